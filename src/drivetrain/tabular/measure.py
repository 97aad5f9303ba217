"""How good predictions of a table are: metrics, intervals, and which of two results is the better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from drivetrain import metrics
from drivetrain.tabular.target import Target

TINY = 1e-15
"""Stands for a probability of 0 where its logarithm is taken."""


@dataclass(frozen=True)
class Measured:
    """What predictions of labelled rows are worth."""

    metrics: dict[str, float]
    """By name; the first is the one that models are compared by."""
    interval: tuple[float, float] | None
    """95%, of the first metric."""
    count: int
    """Rows."""

    @property
    def primary(self) -> str:
        """The metric that models are compared by."""
        return next(iter(self.metrics))

    @property
    def value(self) -> float:
        """Of the first metric."""
        return self.metrics[self.primary]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        interval = None if self.interval is None else list(self.interval)
        return {"metrics": self.metrics, "interval": interval, "count": self.count}


HIGHER_IS_BETTER: Mapping[str, bool] = {"accuracy": True, "rmse": False}


def metrics_of(target: Target) -> list[Any]:
    """The metrics of a table's target, the one that counts first."""
    if target.kind == "class":
        names = ["accuracy", "error_rate", "log_loss"]
        if len(target.classes) == 2:
            names.append("roc_auc")
        return [metrics.metric(name) for name in names]
    # of several numbers the variance around their one mean is mostly that between them: no R2
    names = ["rmse", "mae", "r2"] if len(target.names) == 1 else ["rmse", "mae"]
    return [metrics.metric(name) for name in names]


def measure(target: Target, outputs: np.ndarray, targets: np.ndarray) -> Measured:
    """Metrics of predictions, with the interval of the first.

    Args:
        target: what was predicted.
        outputs: (N,) or (N, T) numbers, or (N, C) probabilities.
        targets: as `Target.values` gives them.
    """
    found, preds, true = prepared_metrics(target, outputs, targets)
    values = {}
    for one in found:
        one.update(preds, true)
        values[one.name] = float(one.compute())
    return Measured(values, metrics.interval_of(found[0]), len(targets))


def prepared_metrics(
    target: Target, outputs: np.ndarray, targets: np.ndarray
) -> tuple[list[Any], torch.Tensor, torch.Tensor]:
    """The metrics of a target, and what they are to be updated with; arguments as of `measure`."""
    if target.kind == "class":
        preds = torch.from_numpy(np.log(np.maximum(outputs, TINY)))  # softmax takes them back
    else:
        preds = torch.from_numpy(np.ascontiguousarray(outputs))
    return metrics_of(target), preds, torch.from_numpy(np.ascontiguousarray(targets))


def score(target: Target, outputs: np.ndarray, targets: np.ndarray) -> float:
    """One number, higher is better: accuracy, or minus the root mean squared error."""
    if target.kind == "class":
        return float((outputs.argmax(axis=1) == targets).mean())
    return -float(np.sqrt(((outputs - targets) ** 2).mean()))


def loss(target: Target, outputs: np.ndarray, targets: np.ndarray) -> float:
    """What ensembles minimise: mean log loss, or mean squared error."""
    if target.kind == "class":
        true = np.maximum(outputs[np.arange(len(targets)), targets], TINY)
        return -float(np.log(true).mean())
    return float(((outputs - targets) ** 2).mean())
