"""Prediction sets and intervals that hold the truth as often as they say (split conformal prediction).

Each held-out item is given a number, its strangeness: how little the model liked the truth. Whatever the
model, a new item from the same source is stranger than the k-th of the n held-out items in at most
1 - k / (n + 1) of cases. So the set of all classes less strange than that one holds the truth as often
as was asked for. Papers: Vovk et al. 2005; Lei et al. 2018, arXiv:1604.04173 (intervals); Sadinle et
al. 2019, arXiv:1609.00451 (the sets used here, the smallest on average of all).

Strangeness of a class is 1 - its probability, and 0 for the predicted class: a set is never empty. Where
the model alone is right more often than was asked for, every set is its one prediction and holds the
truth more often; `expected` says how often. Why these sets and not APS or RAPS:
docs/decisions/0015-guard.md. Twin: drivetrain.reference.guard.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil, inf
from typing import Any

from torch import Tensor

from drivetrain.bundle.checks import (
    MOST,
    check_logits,
    check_rows,
    check_share,
    check_targets,
    read_share,
    read_threshold,
    threshold_to_json,
)
from drivetrain.bundle.fields import Fields
from drivetrain.errors import InputError, ShapeError


@dataclass(frozen=True)
class Sets:
    """Which classes go into a prediction set."""

    coverage: float
    """How often a set holds the truth, at least, over items from where the held-out ones came from."""
    threshold: float
    """The strangest that goes in; infinity where there were too few items, and all classes go in."""
    expected: float
    """How often it holds the truth, as the held-out items tell: more than asked where that is easy."""
    mean_size: float
    """Classes a set has, over the held-out items."""
    num_items: int
    """How many it was fitted on."""

    @property
    def is_enough(self) -> bool:
        """Whether there were items enough to promise `coverage` with less than all classes."""
        return self.threshold < inf

    def sets(self, probs: Tensor) -> Tensor:
        """(B, C) calibrated probabilities -> (B, C) bool, at least one class an item."""
        return strangeness(probs) <= self.threshold

    def to_json(self) -> dict[str, Any]:
        """The fields; an infinite threshold is null."""
        return asdict(self) | {"threshold": threshold_to_json(self.threshold)}

    @classmethod
    def from_json(cls, fields: Fields) -> Sets:
        """Back from `to_json`. Raises: BundleError: anything else."""
        found = cls(
            read_share(fields, "coverage"),
            read_threshold(fields, "threshold", 0, 1),
            fields.number("expected", 0, 1),
            fields.number("mean_size", 1, MOST),
            fields.whole("num_items", 1, 2**53),
        )
        fields.end()
        return found

    def __str__(self) -> str:
        if not self.is_enough:
            return (
                f"Prediction sets hold all classes: {self.num_items} validation items are too few to "
                f"promise {self.coverage:.0%}; it takes {items_needed(self.coverage)}."
            )
        easy = " (the model alone is right that often)" if self.threshold == 0 else ""
        return (
            f"Prediction sets hold the truth in {self.expected:.1%} of items{easy}; "
            f"{self.coverage:.0%} was asked for. They have {self.mean_size:.2f} classes on average."
        )


def fit_sets(probs: Tensor, targets: Tensor, *, coverage: float = 0.9) -> Sets:
    """The threshold under which sets hold the truth in at least `coverage` of items.

    Args:
        probs: (N, C) float probabilities of held-out items.
        targets: (N,) int64 class indices.
        coverage: in (0, 1).

    Raises: ShapeError, InputError: they are not that. ConfigError: a coverage outside (0, 1).
    """
    check_share("fit_sets", "coverage", coverage)
    probs = check_logits("fit_sets", probs)
    targets = check_targets("fit_sets", targets, probs)
    strange = strangeness(probs)
    of_truth = strange.gather(1, targets[:, None]).squeeze(1)  # (N,)
    threshold = upper_quantile(of_truth, coverage)
    hits = int((of_truth <= threshold).sum())
    n = len(probs)
    return Sets(
        coverage=coverage,
        threshold=threshold,
        expected=1.0 if threshold == inf else hits / (n + 1),
        mean_size=float((strange <= threshold).sum(dim=1).double().mean()),
        num_items=n,
    )


def strangeness(probs: Tensor) -> Tensor:
    """How strange each class is, (B, C) float64: 1 - probability, 0 for the highest of an item."""
    strange = 1 - probs.double()
    return strange.scatter(1, probs.argmax(dim=1, keepdim=True), 0.0)


@dataclass(frozen=True)
class Intervals:
    """How far the truth may be from a predicted number."""

    coverage: float
    """How often an interval holds the truth, at least."""
    half_width: float
    """To each side, in units of the target, or of `scale` where that was given; may be infinite."""
    num_items: int
    """How many it was fitted on."""

    def interval(self, preds: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B,) predictions -> (B,) low and (B,) high, float64.

        Args:
            preds: predicted numbers.
            scale: (B,) how hard each item is, from where the held-out items' scale came from.
        """
        reach = self.half_width * (1.0 if scale is None else scale.double())
        return preds.double() - reach, preds.double() + reach

    def to_json(self) -> dict[str, Any]:
        """The fields; an infinite half-width is null."""
        return asdict(self) | {"half_width": threshold_to_json(self.half_width)}

    @classmethod
    def from_json(cls, fields: Fields) -> Intervals:
        """Back from `to_json`. Raises: BundleError: anything else."""
        found = cls(
            read_share(fields, "coverage"),
            read_threshold(fields, "half_width", 0, 1e300),
            fields.whole("num_items", 0, 2**53),
        )
        fields.end()
        return found

    def __str__(self) -> str:
        if self.half_width == inf:
            return (
                f"Intervals are without end: {self.num_items} validation items are too few to promise "
                f"{self.coverage:.0%}; it takes {items_needed(self.coverage)}."
            )
        return (
            f"Intervals of ± {self.half_width:.4g} hold the truth in {self.coverage:.0%} of items."
        )


def fit_interval(
    preds: Tensor, targets: Tensor, coverage: float = 0.9, *, scale: Tensor | None = None
) -> Intervals:
    """The half-width of intervals that hold the truth in at least `coverage` of items.

    Args:
        preds: (N,) float, predicted numbers of held-out items.
        targets: (N,) float, the true ones.
        coverage: in (0, 1).
        scale: (N,) float above 0, how hard each item is: intervals are as many times as wide.

    Raises: ShapeError, InputError: they are not that. ConfigError: a coverage outside (0, 1).
    """
    check_share("fit_interval", "coverage", coverage)
    columns = [("preds", preds), ("targets", targets)]
    columns += [] if scale is None else [("scale", scale)]
    for name, column in columns:
        if column.ndim != 1 or column.shape != preds.shape or len(column) == 0:
            raise ShapeError(
                f"`fit_interval` got {name} of shape {tuple(column.shape)}, expected (N,) like the "
                f"preds' {tuple(preds.shape)}, and 1 or more."
            )
    checked = [
        check_rows("fit_interval", name, col.double()[:, None])[:, 0] for name, col in columns
    ]
    misses = (checked[1] - checked[0]).abs()
    if scale is not None:
        if float(checked[2].min()) <= 0:
            raise InputError("`fit_interval` got a scale of 0 or less, expected numbers above 0.")
        misses = misses / checked[2]
    return Intervals(coverage, upper_quantile(misses, coverage), len(misses))


def upper_quantile(values: Tensor, share: float) -> float:
    """The ceil((n + 1) · share)-th smallest of (n,) values; infinity where there are fewer.

    A new value from the same source is at most this in at least `share` of cases.
    """
    n = len(values)
    k = ceil((n + 1) * share - 1e-9)  # (n + 1) · 0.9 must not become 9.000000000000002
    return inf if k > n else float(values.double().kthvalue(max(k, 1)).values)


def items_needed(share: float) -> int:
    """The fewest items with which `upper_quantile` is finite."""
    return ceil(share / (1 - share) - 1e-9)
