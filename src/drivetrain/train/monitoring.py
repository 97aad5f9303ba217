"""Watching one column of the history: which way is better, and since when it has not become better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError
from drivetrain.train.state import FitState

MODES = (None, "min", "max")
"""What `mode` may be; None reads it off the column: losses fall, a metric says `higher_is_better`."""


class Watch:
    """The best value of a column so far, and how many epochs came after it.

    NaN and infinities are never better than anything.

    Args:
        owner: the callback that asks, for messages.
        monitor: a column of the history's row, as it is at `after_validate`.
        mode: `min`, `max`, or None.
        min_delta: how much better a value must be to count as better.
    """

    def __init__(
        self, owner: str, monitor: str, *, mode: str | None = None, min_delta: float = 0.0
    ) -> None:
        self.owner, self.monitor, self.mode, self.min_delta = owner, monitor, mode, min_delta
        self.reset()

    def reset(self) -> None:
        """As at the start of a fit."""
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.value: float | None = None
        """The last value seen."""
        self.bad_epochs = 0
        """Epochs since the best one, or since the owner set it back to 0."""
        self.has_looked = False

    def check(self, state: FitState) -> None:
        """Refuse, before anything is trained, what only a validation could tell.

        Raises: ConfigError: the column comes from the validation, and there is none.
        """
        from_validation = {"valid_loss", *(metric.name for metric in state.metrics)}
        if state.loaders.valid is None and self.monitor in from_validation:
            raise ConfigError(
                f"`{self.owner}` watches '{self.monitor}', but there are no validation items to "
                "measure it on. Give a validation loader, or `monitor='train_loss'`."
            )

    def look(self, state: FitState) -> bool:
        """Whether this epoch is the best so far. To be called once an epoch, at `after_validate`.

        Raises: ConfigError: at the first epoch: there is no such column, it holds no number, or nobody
            can tell which way is better.
        """
        row = columns_of(state)
        if self.monitor not in row:
            if self.has_looked:  # a column that does not come each epoch
                return False
            raise ConfigError(
                f"`{self.owner}` watches '{self.monitor}', which the history has no column of."
                f"{did_you_mean(self.monitor, row)} Columns: {', '.join(row)}."
            )
        rises = self._rises(state.metrics)
        self.has_looked = True
        return self.note(self._number(row[self.monitor]), state.epoch, rises=rises)

    def note(self, value: float, epoch: int, *, rises: bool) -> bool:
        """Whether a value is the best so far, and since when it is not."""
        gain = math.inf
        if self.best is not None:
            gain = value - self.best if rises else self.best - value
        is_better = math.isfinite(value) and gain > self.min_delta
        if is_better:
            self.best, self.best_epoch, self.bad_epochs = value, epoch, 0
        else:
            self.bad_epochs += 1
        self.value = value
        return is_better

    def state_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "value": self.value,
            "bad_epochs": self.bad_epochs,
            "has_looked": self.has_looked,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` answered."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.value, self.bad_epochs = state["value"], state["bad_epochs"]
        self.has_looked = state["has_looked"]

    def _rises(self, metrics: Sequence[Any]) -> bool:
        if self.mode is not None:
            return self.mode == "max"
        for metric in metrics:
            direction = getattr(metric, "higher_is_better", None)
            if metric.name == self.monitor and direction is not None:
                return bool(direction)
        if self.monitor.endswith("loss"):
            return False
        raise ConfigError(
            f"`{self.owner}` cannot tell whether more or less of '{self.monitor}' is better: it is "
            "neither a loss nor a metric that says so. Give `mode='min'` or `mode='max'`."
        )

    def _number(self, value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"`{self.owner}` watches '{self.monitor}', which holds no number. Got {value!r}."
            ) from error


def columns_of(state: FitState) -> dict[str, Any]:
    """The epoch's row; where nobody records, what the validation gave."""
    found = state.evaluation if state.loaders.valid is not None else None
    measured = {} if found is None else {"valid_loss": found.loss, **found.metrics}
    return {**state.row, **{k: v for k, v in measured.items() if k not in state.row}}
