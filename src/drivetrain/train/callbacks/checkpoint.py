"""Checkpoints: after each epoch and every few minutes, all that a cut run needs to go on."""

from __future__ import annotations

import time

from drivetrain.errors import ConfigError
from drivetrain.train.callback import LAST, Callback
from drivetrain.train.state import FitState

MINUTES = 5.0
"""Between two checkpoints within an epoch: what a kill costs at most."""


class Checkpoint(Callback):
    """Has the state saved, last of all callbacks, so that what they did is in it.

    A Learner with a run brings one; one of your own takes its place: `callbacks=[Checkpoint(steps=500)]`.

    Args:
        minutes: save when so many have gone since the last checkpoint; None only at epochs' ends.
        steps: save also after every so many batches.
    Raises: ConfigError: one of them is not above 0.
    """

    order = LAST
    only_looks = True
    in_script = False

    def __init__(self, *, minutes: float | None = MINUTES, steps: int | None = None) -> None:
        for name, value in (("minutes", minutes), ("steps", steps)):
            if value is not None and value <= 0:
                raise ConfigError(f"`Checkpoint` needs `{name}` above 0. Got {value}.")
        self.minutes = minutes
        self.steps = steps
        self._last = 0.0

    def before_fit(self, state: FitState) -> None:
        self._last = time.monotonic()

    def after_batch(self, state: FitState) -> None:
        by_steps = self.steps is not None and state.step % self.steps == 0
        by_time = self.minutes is not None and time.monotonic() - self._last > 60 * self.minutes
        if by_steps or by_time:
            self._save(state)

    def after_epoch(self, state: FitState) -> None:
        self._save(state)

    def _save(self, state: FitState) -> None:
        if state.save is not None:
            state.save(state)
        self._last = time.monotonic()
