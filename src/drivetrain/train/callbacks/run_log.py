"""The run's own log: each epoch's row, on the disk before the checkpoint that says the epoch is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivetrain.train.callback import LAST, Callback
from drivetrain.train.state import FitState


class RunLog(Callback):
    """Hands each finished epoch's row to `write`, after all callbacks that add columns to it.

    Args:
        write: makes the row last, such as `Run.log`.
    """

    order = LAST - 1
    only_looks = True
    in_script = False

    def __init__(self, write: Callable[[Mapping[str, Any]], None]) -> None:
        self.write = write

    def after_epoch(self, state: FitState) -> None:
        self.write(state.row)
