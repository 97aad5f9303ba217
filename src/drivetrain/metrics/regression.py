"""Metrics of regression: MAE, MSE, RMSE and R2, over every number of the targets.

Predictions and targets have one shape, (B, ...). Sums are kept in float64, so that a million small
errors do not get lost in a float32 sum. Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

import torch
from torch import Tensor

from drivetrain.errors import ShapeError


class MeanCost:
    """Base: the mean over all numbers of a cost of being wrong, given by `_cost`."""

    name = "mean_cost"
    higher_is_better = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all items."""
        self._sum: Tensor | float = 0.0  # a tensor from the first batch on
        self._count = 0

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Raises: ShapeError: the shapes differ.
        """
        self._sum = self._sum + self._cost(_error(self.name, preds, targets)).sum()
        self._count += targets.numel()

    def compute(self) -> float:
        """The mean; NaN before any item."""
        return float(self._sum) / self._count if self._count else float("nan")

    def _cost(self, error: Tensor) -> Tensor:
        raise NotImplementedError


class MAE(MeanCost):
    """Mean absolute error, in units of the target."""

    name = "mae"

    def _cost(self, error: Tensor) -> Tensor:
        return error.abs()


class MSE(MeanCost):
    """Mean squared error, in squared units of the target."""

    name = "mse"

    def _cost(self, error: Tensor) -> Tensor:
        return error.square()


class RMSE(MSE):
    """Square root of the mean squared error, in units of the target.

    The root is taken once, at the end: the mean of the roots of batches is another number.
    """

    name = "rmse"

    def compute(self) -> float:
        """The root of the mean; NaN before any item."""
        return super().compute() ** 0.5


class R2:
    """Share of the targets' variance that the predictions explain: 1 is all, 0 is as good as always
    saying the mean, below 0 is worse than that.

    Squares around the mean are merged batch by batch (Chan, Golub, LeVeque 1983,
    doi:10.1080/00031305.1983.10483115): a sum of squares less a square of sums would lose all digits
    for targets far from zero.
    """

    name = "r2"
    higher_is_better = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all items."""
        self._count = 0
        self._origin: Tensor | None = None
        self._mean: Tensor | float = 0.0  # of the targets, less the origin
        self._total: Tensor | float = 0.0  # squares of the targets around their mean
        self._residual: Tensor | float = 0.0  # squares of the errors

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Raises: ShapeError: the shapes differ.
        """
        error = _error(self.name, preds, targets)
        new = targets.numel()
        if new == 0:
            return
        values = targets.detach().to(torch.float64).flatten()
        if self._origin is None:
            self._origin = values[0]  # then equal targets have a variance of 0 to the last bit
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

    def compute(self) -> float:
        """1 - residual / total; NaN before any item, and where all targets are equal."""
        total = float(self._total)
        return 1 - float(self._residual) / total if total > 0 else float("nan")


def _error(name: str, preds: Tensor, targets: Tensor) -> Tensor:
    """Prediction less target, float64. Refuses shapes that would be broadcast against each other."""
    if preds.shape != targets.shape:
        raise ShapeError(
            f"`{name}` got predictions of shape {tuple(preds.shape)} and targets of shape "
            f"{tuple(targets.shape)}, expected equal shapes: broadcasting would pair the wrong items."
        )
    return preds.detach().to(torch.float64) - targets.detach()
