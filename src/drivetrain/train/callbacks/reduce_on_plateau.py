"""Reduce on plateau: a lower learning rate when a loss or metric stops becoming better."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from drivetrain.errors import ConfigError
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks._checking import check_choice, check_number, check_whole
from drivetrain.train.monitoring import MODES, Watch
from drivetrain.train.state import FitState


class ReduceOnPlateau(Callback):
    """Multiplies the rates by `factor` after `patience` epochs in a row without a better value.

    What falls is each group's highest rate, so it works beside a schedule, which sets a share of it. It
    holds for one fit: the next starts at the rates it is given. torch's `ReduceLROnPlateau` with
    `threshold_mode="abs"` waits for one epoch more at the same `patience`.

    Args:
        monitor: a column of the history. NaN is never better.
        factor: what a rate is multiplied by, above 0 and below 1.
        patience: epochs without a better value that are waited for.
        min_delta: how much better counts as better.
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: no rate is reduced below it; one that is lower already stays.
        mode: `min` or `max`; None: losses fall, a metric says `higher_is_better` itself.
    Raises: ConfigError: an argument is out of range; in the fit: no such column.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        *,
        factor: float = 0.1,
        patience: int = 3,
        min_delta: float = 0.0,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: str | None = None,
    ) -> None:
        check_number("ReduceOnPlateau", "factor", factor, above=0, below=1)
        check_whole("ReduceOnPlateau", "patience", patience, least=1)
        check_number("ReduceOnPlateau", "min_delta", min_delta, least=0)
        check_whole("ReduceOnPlateau", "cooldown", cooldown, least=0)
        check_number("ReduceOnPlateau", "min_lr", min_lr, least=0)
        check_choice("ReduceOnPlateau", "mode", mode, MODES)
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.min_delta = min_delta
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.mode = mode
        self.reductions = 0
        """How often the rates were reduced in this fit."""
        self._watch = Watch("ReduceOnPlateau", monitor, mode=mode, min_delta=min_delta)
        self._cooling = 0
        self._optimizer: Optimizer | None = None
        self._rates: list[dict[str, float]] | None = None  # after a reduction
        self._first: list[float | None] = []

    def before_fit(self, state: FitState) -> None:
        self._watch.check(state)
        self._watch.reset()
        self._optimizer = state.optimizer
        self._first = [group.get("max_lr") for group in state.optimizer.param_groups]
        self._rates, self._cooling, self.reductions = None, 0, 0

    def state_dict(self) -> dict[str, Any]:
        return {
            **self._watch.state_dict(),
            "cooling": self._cooling,
            "reductions": self.reductions,
            "rates": self._rates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._watch.load_state_dict(state)
        self._cooling, self.reductions = state["cooling"], state["reductions"]
        self._rates = state["rates"]
        if self._rates is None or self._optimizer is None:
            return
        groups = self._optimizer.param_groups
        if len(groups) != len(self._rates):
            raise ConfigError(
                f"`ReduceOnPlateau` had reduced the rates of {len(self._rates)} optimizer groups, and "
                f"this optimizer has {len(groups)}. Go on with the optimizer that the fit had."
            )
        for group, rates in zip(groups, self._rates, strict=True):
            group.update(rates)

    def after_validate(self, state: FitState) -> None:
        self._watch.look(state)
        if self._cooling > 0:
            self._cooling -= 1
            self._watch.bad_epochs = 0
        if self._watch.bad_epochs < self.patience:
            return
        self._watch.bad_epochs = 0
        self._cooling = self.cooldown
        self.reductions += 1
        self._rates = [
            reduced(group, self.factor, self.min_lr) for group in state.optimizer.param_groups
        ]
        for group, new in zip(state.optimizer.param_groups, self._rates, strict=True):
            group.update(new)

    def after_fit(self, state: FitState) -> None:
        """The highest rates are the optimizer's own again; the last rate stays, as with a schedule."""
        for group, first in zip(state.optimizer.param_groups, self._first, strict=False):
            if first is not None:
                group["max_lr"] = first
        self._optimizer, self._first = None, []


def reduced(group: dict[str, Any], factor: float, min_lr: float) -> dict[str, float]:
    """The rates of an optimizer group times `factor`, but none below `min_lr`."""
    if "max_lr" not in group:
        return {"lr": lower(group["lr"], factor, min_lr)}
    highest = lower(group["max_lr"], factor, min_lr)
    share = highest / group["max_lr"] if group["max_lr"] else 1.0
    # Without a schedule a rate is its highest, to the last bit; with one the next step sets it.
    lr = highest if group["lr"] == group["max_lr"] else group["lr"] * share
    return {"max_lr": highest, "lr": lr}


def lower(rate: float, factor: float, min_lr: float) -> float:
    """A rate times `factor`; it is not taken below `min_lr`, and never raised."""
    return min(rate, max(rate * factor, min_lr))
