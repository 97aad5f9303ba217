"""Early stopping: the fit ends when a loss or metric has not become better for some epochs."""

from __future__ import annotations

import sys
from typing import Any

from drivetrain.train.callback import LAST, Callback, CancelFit
from drivetrain.train.callbacks._checking import check_choice, check_number, check_whole
from drivetrain.train.monitoring import MODES, Watch
from drivetrain.train.state import FitState


class EarlyStopping(Callback):
    """Ends the fit after `patience` epochs in a row without a better value, and says so on stderr.

    The weights stay those of the last epoch; `SaveBest` beside it brings back the best ones. NaN is
    never better. Under a schedule that falls to its end, such as 1cycle, stopping early leaves out the
    low rates that the schedule is there for: use it with a constant rate.

    Args:
        monitor: a column of the history.
        patience: epochs without a better value that are waited for.
        min_delta: how much better counts as better.
        mode: `min` or `max`; None: losses fall, a metric says `higher_is_better` itself.
    Raises: ConfigError: an argument is out of range; in the fit: no such column.
    """

    # Last of all: the epoch is shown, logged and saved before the fit ends.
    order = LAST + 5

    def __init__(
        self,
        monitor: str = "valid_loss",
        *,
        patience: int = 3,
        min_delta: float = 0.0,
        mode: str | None = None,
    ) -> None:
        check_whole("EarlyStopping", "patience", patience, least=1)
        check_number("EarlyStopping", "min_delta", min_delta, least=0)
        check_choice("EarlyStopping", "mode", mode, MODES)
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode
        self.reason = ""
        """Why the last fit was stopped; empty where it was not."""
        self._watch = Watch("EarlyStopping", monitor, mode=mode, min_delta=min_delta)

    def before_fit(self, state: FitState) -> None:
        self._watch.check(state)
        self._watch.reset()
        self.reason = ""

    def state_dict(self) -> dict[str, Any]:
        return self._watch.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._watch.load_state_dict(state)

    def before_epoch(self, state: FitState) -> None:
        """A run killed between its last checkpoint and the stop stops here."""
        if state.saved is not None:
            self._stop_if_due(state)

    def after_validate(self, state: FitState) -> None:
        self._watch.look(state)

    def after_epoch(self, state: FitState) -> None:
        self._stop_if_due(state)

    def _stop_if_due(self, state: FitState) -> None:
        if self._watch.bad_epochs >= self.patience and state.epochs_done < state.epochs:
            self._tell(state)
            raise CancelFit

    def _tell(self, state: FitState) -> None:
        """Why, for people."""
        watch = self._watch
        since = (
            f"has not been better than {watch.best:.4g} (epoch {watch.best_epoch})"
            if watch.best is not None
            else "has not been a finite number"
        )
        many = "s" if watch.bad_epochs > 1 else ""
        self.reason = (
            f"Stopped after {state.epochs_done} of {state.epochs} epochs: {self.monitor} {since} "
            f"for {watch.bad_epochs} epoch{many}."
        )
        sys.stderr.write(self.reason + "\n")
