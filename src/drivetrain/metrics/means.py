"""Means of something per item: the base of shares (accuracy) and of mean costs (MAE, log loss).

An item may have several numbers (pixels, tokens), which are not independent of each other. So the sums
that the interval needs are kept by item, and the mean is a ratio: all costs over all counts.
"""

from __future__ import annotations

from math import inf, isnan, sqrt
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from drivetrain.metrics.base import NAN, BaseMetric, Interval, Pending
from drivetrain.metrics.interval import check_confidence, two_sided_student, wilson_of_share

ROUNDING = 1e-7
"""Standard error as a share of the mean up to which all items are taken to be equal: the sums of squares
that it is made of know no more."""


class Ratio:
    """Sums of a and m over items: the ratio Σa / Σm, and its standard error.

    a is an item's sum of values and m how many it has; the error is that of the linearised ratio,
    which for an equal m everywhere is that of a mean. Sums are float64, counts are exact.
    """

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0  # Σa
        self.squares: Tensor | float = 0.0  # Σa²
        self.cross: Tensor | float = 0.0  # Σam
        self.count: Tensor | int = 0  # Σm
        self.count_squares: Tensor | int = 0  # Σm²
        self.items: Tensor | int = 0  # with m > 0

    def add(self, values: Tensor, counted: Tensor | None) -> None:
        """Add a batch: (B, ...) float64 values, 0 where `counted` (bool, of that shape) is false."""
        items = len(values)
        sums = values if values.ndim == 1 else values.flatten(1).sum(1)  # (B,)
        total = sums.sum()
        self.total = self.total + total
        self.squares = self.squares + torch.dot(sums, sums)
        if counted is None:
            each = values.numel() // items if items else 0
            self.cross = self.cross + total * each
            self.count = self.count + items * each
            self.count_squares = self.count_squares + items * each * each
            self.items = self.items + (items if each else 0)
            return
        counts = (counted[:, None] if counted.ndim == 1 else counted.flatten(1)).sum(1)  # (B,)
        self.cross = self.cross + (sums * counts).sum()
        self.count = self.count + counts.sum()
        self.count_squares = self.count_squares + counts.square().sum()
        self.items = self.items + (counts > 0).sum()

    @property
    def mean(self) -> float:
        """Σa / Σm; NaN where nothing was counted."""
        count = int(self.count)
        return float(self.total) / count if count else NAN

    @property
    def error(self) -> float:
        """The standard error of `mean`; NaN for fewer than two items."""
        items, count, mean = int(self.items), int(self.count), self.mean
        if items < 2:
            return NAN
        around = (
            float(self.squares)
            - 2 * mean * float(self.cross)
            + mean * mean * float(self.count_squares)
        )
        if isnan(around):
            return NAN
        return sqrt(max(around, 0.0) * items / (items - 1)) / count


class Values(NamedTuple):
    """A batch's values."""

    values: Tensor
    """(B, ...), of any number type or bool."""
    scores: Tensor | None = None
    """(B, ...): where this is NaN, so is the value. None: values that are NaN say so themselves."""
    counted: Tensor | None = None
    """(B, ...) bool; None: all count."""


class MeanOfItems(BaseMetric):
    """Base: the mean over everything counted of a value each; a subclass gives the values.

    Its interval is mean ± t·(standard error over items), cut off at `bounds`.
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, inf)

    def reset(self) -> None:
        """Forget all items."""
        super().reset()
        self._sums = Ratio()
        self._pending = Pending()

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Raises: ShapeError: outputs and targets that do not fit.
        """
        values, scores, counted = self._values(preds, targets)
        if values.ndim > 1:
            self._add(values, scores, counted)
        elif self._pending.add(values, scores, counted):
            self._add(*self._pending.take())

    def compute(self) -> float:
        """The mean; NaN before any item, and where an output was NaN.

        Raises: InputError: targets that cannot be.
        """
        return self._ratio().mean

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """mean ± t·s/sqrt(n) over items; None for fewer than two, and where all are equal: that says
        nothing of how far apart they are elsewhere.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        ratio = self._ratio()
        mean, error = ratio.mean, ratio.error
        if not abs(mean) + error < inf or error <= ROUNDING * abs(mean):  # also where one is NaN
            return None
        half = two_sided_student(confidence, int(ratio.items) - 1) * error
        low, high = self.bounds
        return max(low, mean - half), min(high, mean + half)

    def _values(self, preds: Tensor, targets: Tensor) -> Values:
        """The batch's values; new tensors, since they are kept for a while."""
        raise NotImplementedError

    def _ratio(self) -> Ratio:
        """All that was counted.

        Raises: InputError: targets that cannot be.
        """
        self._refuse_wrong_targets()
        if len(self._pending):
            self._add(*self._pending.take())
        return self._sums

    def _add(self, values: Any, scores: Tensor | None, counted: Tensor | None) -> None:
        values = values.to(torch.float64)
        if scores is not None:
            values = torch.where(scores.isnan(), NAN, values)
        if counted is not None:
            values = torch.where(counted, values, 0.0)
        self._sums.add(values, counted)


class Share(MeanOfItems):
    """Base: the share of targets for which something holds.

    Its interval is Wilson's. Where an item has several targets, it is Wilson's for the number of
    independent ones that would scatter as much as the items' shares do (Kish's effective size).
    """

    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Wilson's score interval; None before any item.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        share, ratio = self.compute(), self._ratio()
        if isnan(share):
            return None
        size = float(int(ratio.count))
        if size > int(ratio.items):
            error = ratio.error
            size = min(size, share * (1 - share) / error**2) if error > 0 else int(ratio.items)
        low, high = wilson_of_share(share, size, confidence)
        return (0.0 if share == 0 else low), (1.0 if share == 1 else high)
