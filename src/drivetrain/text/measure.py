"""How good predictions about texts are: metrics, and the interval of the one that counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from drivetrain import metrics
from drivetrain.text.goal import Goal

TINY = 1e-15
"""Stands for a probability of 0 where its logarithm is taken."""
NAMES = {
    "class": ("accuracy", "error_rate", "log_loss"),
    "labels": ("binary_accuracy",),
    "number": ("pearson", "rmse"),
}
"""Kind of target -> metrics, the one that models are compared by first."""


@dataclass(frozen=True)
class Measured:
    """What predictions about labelled texts are worth."""

    metrics: dict[str, float]
    """By name; the first is the one that models are compared by."""
    interval: tuple[float, float] | None
    """95%, of the first metric; None where there is none."""
    count: int

    @property
    def primary(self) -> str:
        """The metric that models are compared by."""
        return next(iter(self.metrics))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: `{metrics, interval, count}`."""
        interval = None if self.interval is None else list(self.interval)
        return {"metrics": self.metrics, "interval": interval, "count": self.count}

    def as_baseline(self) -> dict[str, Any]:
        """`{metric: value, interval}`, as it stands beside a result."""
        interval = None if self.interval is None else list(self.interval)
        return {self.primary: self.metrics[self.primary], "interval": interval}


def measure(goal: Goal, outputs: np.ndarray, targets: np.ndarray) -> Measured:
    """Metrics of predictions, with the interval of the first.

    Args:
        goal: what was predicted.
        outputs: (N, C) probabilities, or (N,) numbers in the target's unit.
        targets: as `Goal.encode` gives them.
    """
    found, preds, true = prepared_metrics(goal, outputs, targets)
    values = {}
    for one in found:
        one.update(preds, true)
        values[one.name] = float(one.compute())
    interval = metrics.interval_of(found[0])
    if interval is not None and not all(map(np.isfinite, interval)):
        interval = None
    return Measured(values, interval, len(targets))


def prepared_metrics(
    goal: Goal, outputs: np.ndarray, targets: np.ndarray
) -> tuple[list[Any], torch.Tensor, torch.Tensor]:
    """The metrics of a goal, and what they are to be updated with; arguments as of `measure`."""
    true = torch.from_numpy(np.ascontiguousarray(targets))
    if goal.kind == "class":
        preds = torch.from_numpy(np.log(np.maximum(outputs, TINY)))  # softmax takes them back
    elif goal.kind == "labels":
        inner = np.clip(outputs, TINY, 1 - TINY)
        preds = torch.from_numpy(np.log(inner / (1 - inner)))
    else:
        preds = torch.from_numpy(outputs.astype(np.float64))
        true = torch.from_numpy(goal.shown(targets))
    return [metrics.metric(name) for name in NAMES[goal.kind]], preds, true
