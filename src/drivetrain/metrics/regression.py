"""Metrics of regression: MAE, MSE, RMSE, RMSLE and R2, over every number of the targets.

Predictions and targets have one shape, (B, ...). Sums are kept in float64, so that a million small
errors do not get lost in a float32 sum. Intervals go by items: the numbers of one are not independent.
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from math import inf

import numpy as np
import torch
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.metrics.base import NAN, BaseMetric, Interval, bare
from drivetrain.metrics.bootstrap import Array, metric_interval
from drivetrain.metrics.interval import check_confidence, of_squares, two_sided_student
from drivetrain.metrics.means import ROUNDING, MeanOfItems, Values


class MeanCost(MeanOfItems):
    """Base: the mean over all numbers of a cost of being wrong, given by `_cost`."""

    name = "mean_cost"
    higher_is_better = False

    def _values(self, preds: Tensor, targets: Tensor) -> Values:
        return Values(self._cost(*_pair(self.name, preds, targets)))

    def _cost(self, preds: Tensor, targets: Tensor) -> Tensor:
        raise NotImplementedError


class MAE(MeanCost):
    """Mean absolute error, in units of the target. Interval: t, of a mean."""

    name = "mae"

    def _cost(self, preds: Tensor, targets: Tensor) -> Tensor:
        return (preds - targets).abs()


class MSE(MeanCost):
    """Mean squared error, in squared units of the target. Interval: t, of a mean of squares, on the scale
    of logarithms (interval.py)."""

    name = "mse"

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """mean · exp(±t·s/(sqrt(n)·mean)) over items; None for fewer than two, and where all are equal.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        ratio = self._ratio()
        mean, error = ratio.mean, ratio.error
        if not mean + error < inf or error <= ROUNDING * mean:  # also where one is NaN
            return None
        return of_squares(mean, error, two_sided_student(confidence, int(ratio.items) - 1))

    def _cost(self, preds: Tensor, targets: Tensor) -> Tensor:
        return (preds - targets).square()


class RMSE(MSE):
    """Square root of the mean squared error, in units of the target.

    The root is taken once, at the end: the mean of the roots of batches is another number.
    Interval: the roots of the ends of the mean's.
    """

    name = "rmse"

    def compute(self) -> float:
        """The root of the mean; NaN before any item."""
        return super().compute() ** 0.5

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """The roots of the ends of the mean's interval.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        ends = super().interval(confidence)
        return None if ends is None else (ends[0] ** 0.5, ends[1] ** 0.5)


class RMSLE(RMSE):
    """Root of the mean squared difference of log(1 + x): being wrong by a factor, whatever the size.

    For targets of 0 or more, such as prices and counts. A prediction below 0 counts as 0: it has no
    such logarithm, and no target is below 0. Where the target already is a logarithm, this is `rmse`.
    Interval: the roots of the ends of the mean's.
    """

    name = "rmsle"

    def _cost(self, preds: Tensor, targets: Tensor) -> Tensor:
        self._note(targets)
        self._expected = "numbers of 0 or more"
        return (preds.clamp(min=0).log1p() - targets.clamp(min=0).log1p()).square()


class R2(BaseMetric):
    """Share of the targets' variance that the predictions explain: 1 is all, 0 is as good as always
    saying the mean, below 0 is worse than that. Of (B, T) targets all numbers are one column, with one
    mean: columns of different sizes are better measured one by one.

    Squares around the mean are merged batch by batch (Chan, Golub, LeVeque 1983,
    doi:10.1080/00031305.1983.10483115): a sum of squares less a square of sums would lose all digits
    for targets far from zero. Interval: bootstrap, for which four sums (32 bytes) an item are kept.
    """

    name = "r2"
    higher_is_better = True

    def reset(self) -> None:
        """Forget all items."""
        super().reset()
        self._count = 0
        self._origin: Tensor | None = None
        self._mean: Tensor | float = 0.0  # of the targets, less the origin
        self._total: Tensor | float = 0.0  # squares of the targets around their mean
        self._residual: Tensor | float = 0.0  # squares of the errors
        self._rows: list[Tensor] = []  # (4, B): count, Σerror², Σd, Σd², d from the origin

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Args:
            preds: the model's outputs.
            targets: as the loss gets them.

        Raises: ShapeError: the shapes differ.
        """
        guesses, values = _pair(self.name, preds, targets)
        error = guesses - values
        new = targets.numel()
        if new == 0:
            return
        if self._origin is None:
            self._origin = values.flatten()[
                0
            ]  # then equal targets have a variance of 0 to the last bit
        values = values - self._origin
        mean = values.mean()
        gap, count = mean - self._mean, self._count + new
        self._total = (
            self._total
            + (values - mean).square().sum()
            + gap.square() * (self._count * new / count)
        )
        self._mean = self._mean + gap * (new / count)
        self._residual = self._residual + error.square().sum()
        self._count = count
        squares, apart = (part.reshape(len(values), -1) for part in (error.square(), values))
        sizes = torch.full_like(squares[:, 0], squares.shape[1])
        self._rows.append(torch.stack([sizes, squares.sum(1), apart.sum(1), apart.square().sum(1)]))

    def compute(self) -> float:
        """1 - residual / total; NaN before any item, and where all targets are equal."""
        total = float(self._total)
        return 1 - float(self._residual) / total if total > 0 else NAN

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Percentiles of the value on resampled items (bootstrap.py); None where the value is NaN, and
        where nothing is left to explain.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        value = self.compute()
        if np.isnan(value):
            return None
        rows = torch.cat(self._rows, dim=1).T.contiguous().cpu().numpy()  # (N, 4)

        def of_items(weights: Array) -> Array:
            count, residual, total, squares = (weights @ rows).T
            with np.errstate(invalid="ignore", divide="ignore"):
                spread = squares - total**2 / count
                return np.where(spread > 0, 1 - residual / spread, NAN)

        return metric_interval(value, of_items, len(rows), confidence=confidence, name=self.name)


def _pair(name: str, preds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64. Refuses shapes that would be broadcast against each other."""
    if preds.shape != targets.shape:
        raise ShapeError(
            f"`{name}` got predictions of shape {tuple(preds.shape)} and targets of shape "
            f"{tuple(targets.shape)}, expected equal shapes: broadcasting would pair the wrong items."
        )
    preds, targets = bare(preds, targets)
    return preds.to(torch.float64), targets.to(torch.float64)
