"""Checkpoints: after each epoch, all that a cut run needs to go on."""

from __future__ import annotations

from collections.abc import Callable

from drivetrain.train.callback import LAST, Callback
from drivetrain.train.state import FitState


class Checkpoint(Callback):
    """Calls `save` after each epoch, last of all callbacks, so that what they did is in it."""

    order = LAST

    def __init__(self, save: Callable[[FitState], None]) -> None:
        self.save = save

    def after_epoch(self, state: FitState) -> None:
        self.save(state)
