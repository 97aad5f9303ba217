"""Metrics as means over rows: so that two results can be compared on the same draws of them.

Paper: Efron 1979, doi:10.1214/aos/1176344552. What makes a row hard is in both results and cancels, so
the interval of a difference is much narrower than two intervals side by side suggest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from drivetrain import metrics
from drivetrain._registry import lookup
from drivetrain.metrics.bootstrap import bootstrap_interval
from drivetrain.tabular.measure import TINY
from drivetrain.tabular.target import Target

BLOCKS = 50
"""Stretches of time whose rows are drawn together."""


@dataclass(frozen=True)
class Scoring:
    """A metric that is a function of a mean over rows."""

    name: str
    kind: str
    """Of the target: `class` or `number`."""
    higher_is_better: bool
    of_rows: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """(outputs, targets) -> (N,) what each row adds."""
    of_mean: Callable[[Any], Any] = field(default=lambda mean: mean)

    def value(self, rows: np.ndarray) -> float:
        """The metric over rows (N,)."""
        return float(self.of_mean(rows.mean()))


def _log_loss(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(outputs[np.arange(len(targets)), targets], TINY))


def _error(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.abs(outputs - targets).reshape(len(targets), -1)


SCORINGS: Mapping[str, Scoring] = MappingProxyType(
    {
        one.name: one
        for one in (
            Scoring("accuracy", "class", True, lambda o, t: (o.argmax(axis=1) == t).astype(float)),
            Scoring("log_loss", "class", False, _log_loss),
            Scoring("rmse", "number", False, lambda o, t: (_error(o, t) ** 2).mean(axis=1), np.sqrt),
            Scoring("mae", "number", False, lambda o, t: _error(o, t).mean(axis=1)),
        )
    }
)  # fmt: skip
"""Metrics that can be searched by."""


def scoring_of(target: Target, metric: str | None = None) -> Scoring:
    """The metric of that name, or the one that models are compared by.

    Raises: UnknownNameError: there is none of that name for such a target.
    """
    usual = "accuracy" if target.kind == "class" else "rmse"
    known = {name: one for name, one in SCORINGS.items() if one.kind == target.kind}
    return lookup(known, metric or usual, what="metric")


def paired_gain(
    scoring: Scoring, before: np.ndarray, after: np.ndarray, *, groups: np.ndarray | None = None
) -> tuple[float, tuple[float, float] | None]:
    """What the second result has over the first on the same rows, and its 95% interval.

    Rows are drawn again with replacement, the same ones for both; rows of a group together.

    Args:
        scoring: the metric.
        before, after: (N,) what each row adds to the metric; see `Scoring.of_rows`.
        groups: (N,) whole numbers, the group of each row.

    Returns: the gain, above zero where `after` is better, and its interval; None where the rows are all
        of one group.
    """
    sign = 1.0 if scoring.higher_is_better else -1.0
    gain = sign * (scoring.value(after) - scoring.value(before))
    sums, counts = np.stack([before, after]), np.ones(len(before))
    if groups is not None:
        codes = np.unique(groups, return_inverse=True)[1]
        counts = np.bincount(codes).astype(np.float64)
        sums = np.stack([np.bincount(codes, one) for one in sums])
    if len(counts) < 2:
        return gain, None

    def of_weights(weights: np.ndarray) -> np.ndarray:
        total = weights @ counts
        first, second = (scoring.of_mean(weights @ one / total) for one in sums)
        return sign * (second - first)

    name = f"paired {scoring.name}"
    found = bootstrap_interval(gain, of_weights, len(counts), confidence=0.95, name=name)
    return gain, found


def time_blocks(times: np.ndarray) -> np.ndarray:
    """Rows near in time are alike: `BLOCKS` stretches of as many rows, (N,) int64, to draw together.

    Paper: Carlstein 1986, doi:10.1214/aos/1176350057 (blocks that do not overlap).
    """
    order = np.argsort(times, kind="stable")
    found = np.empty(len(times), dtype=np.int64)
    found[order] = np.arange(len(times)) * BLOCKS // len(times)
    return found


def own_interval(
    scoring: Scoring, outputs: np.ndarray, targets: np.ndarray
) -> tuple[float, float] | None:
    """95% of the metric itself, as `drivetrain.metrics` has it."""
    scores = np.log(np.maximum(outputs, TINY)) if scoring.kind == "class" else outputs
    metric = metrics.metric(scoring.name)
    metric.update(torch.from_numpy(np.ascontiguousarray(scores)), torch.from_numpy(targets))
    return metrics.interval_of(metric)
