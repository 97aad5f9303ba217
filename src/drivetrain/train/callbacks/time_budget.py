"""The end of a time budget: the fit ends at the batch where it is used up."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from drivetrain.errors import ConfigError
from drivetrain.train.callback import LAST, Callback, CancelFit
from drivetrain.train.state import FitState


class TimeBudget(Callback):
    """Ends training when its minutes are used up, and says so in one line.

    The minutes count what is spent in fits: steps, validations, checkpoints, and those of the same run
    before it was cut. Where it ends depends on the clock, so two trainings that meet it do not give the
    same bits; `train.budget.plan` chooses epochs that end before.

    Args:
        minutes: above 0; by default an hour.
    Raises: ConfigError: `minutes` is not above 0.
    """

    order = LAST + 5  # the batch is done for everybody else
    in_script = False

    clock: Callable[[], float] = staticmethod(time.monotonic)
    """Answers seconds."""

    def __init__(self, minutes: float = 60.0) -> None:
        if not 0 < minutes < math.inf:
            raise ConfigError(f"`TimeBudget` needs `minutes` above 0. Got {minutes}.")
        self.minutes = minutes
        self.spent = 0.0
        """Seconds of the fits before this one."""
        self._began: float | None = None

    @property
    def seconds(self) -> float:
        """Spent so far, in seconds."""
        running = 0.0 if self._began is None else self.clock() - self._began
        return self.spent + running

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.spent = float(state["seconds"])
        if self._began is not None:
            self._began = self.clock()

    def before_fit(self, state: FitState) -> None:
        self._began = self.clock()

    def before_epoch(self, state: FitState) -> None:
        """A fit for which nothing is left does not begin."""
        self._end_if_used_up(state)

    def after_batch(self, state: FitState) -> None:
        self._end_if_used_up(state)

    def after_fit(self, state: FitState) -> None:
        self.spent, self._began = self.seconds, None

    def _end_if_used_up(self, state: FitState) -> None:
        if self.seconds < 60 * self.minutes or state.interrupted is not None:
            return
        sys.stderr.write(
            f"The time budget of {self.minutes:.3g} minutes is used up: training ends in epoch "
            f"{state.epochs_done + 1} of {state.epochs}, after {state.batches_done} batches of it.\n"
        )
        raise CancelFit
