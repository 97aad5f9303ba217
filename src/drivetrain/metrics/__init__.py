"""Metrics: how good a model is, in numbers for people.

A metric is not a loss: it needs no gradient, and changing it changes no weight. It streams:
`reset` before a pass over the data, `update` with each batch, `compute` at the end. What it keeps
are counts and sums, so that a smaller last batch weighs less; they stay on the batch's device until
`compute`, so that `update` never waits for the device. Only what asks for an order (`roc_auc`,
`average_precision`, `spearman`) or needs its items for an interval keeps more, and says how much.

    >>> import torch
    >>> accuracy = metric("accuracy")
    >>> accuracy.update(torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]]), torch.tensor([0, 1, 1]))
    >>> round(accuracy.compute(), 4)
    0.6667

`interval` says how sure the value is, as far as chance in which items were drawn goes:

    >>> [round(end, 2) for end in interval_of(accuracy)]
    [0.21, 0.94]

Options are given by name, `metric("f_beta", beta=0.5)`, and a metric's record is plain JSON, from which
`metric` makes it again. Any object with reset, update and compute fits, torchmetrics' as they are.
How outputs and targets are read: `drivetrain.metrics.base`. Twin: drivetrain.reference.metrics.
Lists recommended to users are judged whole and not in batches: `drivetrain.metrics.recommending`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from torch import Tensor

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.metrics.agreement import Kappa, Matthews
from drivetrain.metrics.base import BaseMetric
from drivetrain.metrics.classification import Accuracy, BinaryAccuracy, ErrorRate, TopK
from drivetrain.metrics.confusion import ConfusionMatrix
from drivetrain.metrics.correlation import Pearson, Spearman
from drivetrain.metrics.counts import F1, Dice, FBeta, Jaccard, Precision, Recall
from drivetrain.metrics.foreign import ForeignMetric
from drivetrain.metrics.interval import check_confidence, wilson_interval
from drivetrain.metrics.probability import Brier, CalibrationError, LogLoss, Perplexity
from drivetrain.metrics.ranking import AveragePrecision, RocAuc
from drivetrain.metrics.regression import MAE, MSE, R2, RMSE, RMSLE

__all__ = [
    "F1",
    "MAE",
    "METRICS",
    "MSE",
    "R2",
    "RMSE",
    "RMSLE",
    "Accuracy",
    "AveragePrecision",
    "BinaryAccuracy",
    "Brier",
    "CalibrationError",
    "ConfusionMatrix",
    "Dice",
    "ErrorRate",
    "FBeta",
    "ForeignMetric",
    "Jaccard",
    "Kappa",
    "LogLoss",
    "Matthews",
    "Metric",
    "Pearson",
    "Perplexity",
    "Precision",
    "Recall",
    "RocAuc",
    "Spearman",
    "TopK",
    "interval_of",
    "metric",
    "record_of",
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
        """Count a batch in: the model's outputs and the targets as the loss gets them.

        Args:
            preds: (B, …), not yet probabilities.
            targets: (B,) or (B, …).
        """
        ...

    def compute(self) -> float:
        """The value over all items since `reset`."""
        ...


METRICS: Mapping[str, Callable[..., BaseMetric]] = MappingProxyType(
    {
        "accuracy": Accuracy,
        "average_precision": AveragePrecision,
        "binary_accuracy": BinaryAccuracy,
        "brier": Brier,
        "calibration_error": CalibrationError,
        "dice": Dice,
        "error_rate": ErrorRate,
        "f1": F1,
        "f_beta": FBeta,
        "jaccard": Jaccard,
        "kappa": Kappa,
        "log_loss": LogLoss,
        "mae": MAE,
        "matthews": Matthews,
        "mse": MSE,
        "pearson": Pearson,
        "perplexity": Perplexity,
        "precision": Precision,
        "r2": R2,
        "recall": Recall,
        "rmse": RMSE,
        "rmsle": RMSLE,
        "roc_auc": RocAuc,
        "spearman": Spearman,
        "top_5_accuracy": TopK,
    }
)
"""Name -> the class that it makes one of, with options by name; see `metric`."""

# What others call them; answered as a slip, so that each has one name here.
_ELSEWHERE = MappingProxyType(
    {
        "auc": "roc_auc",
        "auroc": "roc_auc",
        "average_precision_score": "average_precision",
        "brier_score": "brier",
        "cohen_kappa": "kappa",
        "cross_entropy": "log_loss",
        "ece": "calibration_error",
        "explained_variance": "r2",
        "iou": "jaccard",
        "matthews_corrcoef": "matthews",
        "mcc": "matthews",
        "mean_absolute_error": "mae",
        "mean_squared_error": "mse",
        "pr_auc": "average_precision",
        "sensitivity": "recall",
    }
)


def metric(name: str | Mapping[str, Any] | Metric, /, **options: Any) -> Metric:
    """A new metric by its name in `METRICS`, with options by name; or an object of your own, checked.

    Args:
        name: a name, also `top_3_accuracy` for any number; the record of a metric (`record_of`), which
            makes it again; or an object with reset, update and compute. One without a `name`, and
            what torchmetrics makes, is wrapped (`ForeignMetric`); any other is handed back.
        options: of the metric. `name="…"` names its column in the history in every case, and
            `higher_is_better` says which way is good where an object does not.

    Raises: UnknownNameError: no metric or option has that name. ConfigError: a value that an option
        cannot have, or an object that lacks something a metric has.

    >>> metric("f_beta", beta=0.5).name
    'f_beta_0.5'
    """
    if isinstance(name, Mapping):
        return _from_record(name, options)
    if not isinstance(name, str):
        return _own(name, options)
    column = options.pop("name", None)
    if top := re.fullmatch(r"top_(\d+|k)_accuracy", name):
        name = "top_5_accuracy"
        if top[1].isdigit():
            options = {"k": int(top[1])} | options
    if name not in METRICS and name in _ELSEWHERE:
        raise UnknownNameError(
            f"Unknown metric '{name}'. Did you mean '{_ELSEWHERE[name]}'? "
            f"Known: {', '.join(sorted(METRICS))}."
        )
    make = lookup(METRICS, name, what="metric")
    known = inspect.signature(make).parameters
    for option in options:
        if not known:
            raise ConfigError(f"The metric `{name}` has no options. Got '{option}'.")
        lookup(known, option, what=f"option of `{name}`")
    found = make(**options)
    if column is not None:
        found.name = str(column)
    return found


def record_of(found: Metric) -> dict[str, Any]:
    """Plain JSON that says which metric this is. `metric(record)` makes it again, if it is one of ours;
    of an object of your own only its name is known.

    Args:
        found: one of ours, or an object of your own.

    >>> record_of(metric("kappa", weights="quadratic"))
    {'name': 'kappa', 'options': {'weights': 'quadratic', 'ignore_index': None}}
    """
    record = getattr(found, "record", None)
    if callable(record):
        described = record()
        if isinstance(described, dict):
            return described
    return {"name": found.name, "class": f"{type(found).__module__}.{type(found).__qualname__}"}


def interval_of(found: Metric, confidence: float = 0.95) -> tuple[float, float] | None:
    """(low, high) around the metric's value; None where the metric cannot say.

    Args:
        found: a metric that has counted items.
        confidence: of the interval, in (0, 1).

    Raises: ConfigError: a confidence outside (0, 1).
    """
    check_confidence(confidence)
    ask: Any = getattr(found, "interval", None)
    return None if ask is None else ask(confidence)


def _from_record(record: Mapping[str, Any], options: Mapping[str, Any]) -> Metric:
    if "options" not in record or options:
        what = record.get("class")
        advice = f" It was an object of the class {what}: give one again." if what else ""
        raise ConfigError(
            f"This is no record of a metric that can be made again: {dict(record)}.{advice}"
            if not options
            else f"A metric's record holds its options. Got another: {', '.join(options)}."
        )
    column = {"name": record["column"]} if "column" in record else {}
    return metric(record["name"], **record["options"], **column)


def _own(value: Any, options: dict[str, Any]) -> Metric:
    what = value.__name__ if isinstance(value, type) else type(value).__name__
    if isinstance(value, type):
        raise ConfigError(f"The metric `{what}` is a class. Give an object of it: `{what}()`.")
    missing = [part for part in ("reset", "update", "compute") if not hasattr(value, part)]
    if missing:
        raise ConfigError(
            f"A metric has the methods reset, update and compute; this `{what}` lacks "
            f"{' and '.join(missing)}. Known by name: {', '.join(sorted(METRICS))}."
        )
    for option in options:
        lookup({"name": 0, "higher_is_better": 0}, option, what="option of a metric of your own")
    is_whole = isinstance(getattr(value, "name", None), str) and isinstance(
        getattr(value, "higher_is_better", None), bool
    )
    if is_whole and not options and not _is_torchmetrics(value):
        return value
    return ForeignMetric(value, **options)


def _is_torchmetrics(value: Any) -> bool:
    return any(kind.__module__.partition(".")[0] == "torchmetrics" for kind in type(value).__mro__)
