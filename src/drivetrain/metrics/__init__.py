"""Metrics: how good a model is, in numbers for people.

A metric is not a loss: it needs no gradient, and changing it changes no weight. It streams:
`reset` before a pass over the data, `update` with each batch, `compute` at the end. What it keeps
are counts and sums, so that a smaller last batch weighs less; they stay on the batch's device until
`compute`, so that `update` never waits for the device.

    >>> import torch
    >>> accuracy = metric("accuracy")
    >>> accuracy.update(torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]]), torch.tensor([0, 1, 1]))
    >>> round(accuracy.compute(), 4)
    0.6667

Any object with the same attributes and methods fits (torchmetrics' need a `name`).
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from torch import Tensor

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError
from drivetrain.metrics.classification import F1, Accuracy, BinaryAccuracy, ErrorRate, TopK
from drivetrain.metrics.confusion import ConfusionMatrix
from drivetrain.metrics.interval import wilson_interval
from drivetrain.metrics.regression import MAE, MSE, R2, RMSE

__all__ = [
    "F1",
    "MAE",
    "METRICS",
    "MSE",
    "R2",
    "RMSE",
    "Accuracy",
    "BinaryAccuracy",
    "ConfusionMatrix",
    "ErrorRate",
    "Metric",
    "TopK",
    "metric",
    "wilson_interval",
]


class Metric(Protocol):
    """What the loop asks of a metric. `compute` before any item answers NaN."""

    name: str
    """The column of the history it fills."""
    higher_is_better: bool
    """Which way is good: what early stopping and "best epoch" read."""

    def reset(self) -> None:
        """Forget all items."""
        ...

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in: the model's outputs and the targets as the loss gets them."""
        ...

    def compute(self) -> float:
        """The value over all items since `reset`."""
        ...


METRICS: Mapping[str, Callable[[], Metric]] = MappingProxyType(
    {
        "accuracy": Accuracy,
        "binary_accuracy": BinaryAccuracy,
        "error_rate": ErrorRate,
        "f1": F1,
        "mae": MAE,
        "mse": MSE,
        "r2": R2,
        "rmse": RMSE,
        "top_5_accuracy": TopK,
    }
)


def metric(name: str | Metric) -> Metric:
    """A new metric by its name in `METRICS`; a metric of your own is checked and handed back.

    Raises: UnknownNameError: no metric has that name. ConfigError: an object that lacks something a
        metric has.
    """
    if isinstance(name, str):
        return lookup(METRICS, name, what="metric")()
    _check_protocol(name)
    return name


def _check_protocol(value: Any) -> None:
    what = value.__name__ if isinstance(value, type) else type(value).__name__
    if isinstance(value, type):
        raise ConfigError(f"The metric `{what}` is a class. Give an object of it: `{what}()`.")
    missing = [part for part in ("reset", "update", "compute") if not hasattr(value, part)]
    if missing:
        raise ConfigError(
            f"A metric has the methods reset, update and compute; this `{what}` lacks "
            f"{' and '.join(missing)}. Known by name: {', '.join(sorted(METRICS))}."
        )
    if not isinstance(getattr(value, "name", None), str):
        raise ConfigError(
            f"The metric `{what}` has no name for its column in the history. "
            "Give it one: `your_metric.name = 'auc'`."
        )
