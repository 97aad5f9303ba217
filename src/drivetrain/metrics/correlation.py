"""Correlations of one number an item with its target: Pearson's r and Spearman's rho.

They ask whether predictions rise with the targets, not whether they equal them. Outputs and targets are
(B,), or (B, 1) either. Undefined, NaN, for one item and where all predictions or targets are equal.
Interval: Fisher's z. Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.metrics.base import NAN, BaseMetric, Interval, bare
from drivetrain.metrics.interval import check_confidence, fisher_interval
from drivetrain.metrics.ranking import midranks


class Pearson(BaseMetric):
    """Pearson's correlation coefficient r, in [-1, 1]: how near to a straight line.

    Constant memory: means and sums of products around them are merged batch by batch (Chan, Golub &
    LeVeque 1979). Interval: Fisher's z, variance 1 / (n - 3).
    """

    name = "pearson"

    def reset(self) -> None:
        """Forget all items."""
        super().reset()
        self._count = 0
        self._origin: Tensor | None = None  # (2,) of the first item: equal values then vary by 0.0
        self._mean: Tensor | None = None  # (2,)
        self._products: Tensor | None = None  # (2, 2)

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Args:
            preds: the model's outputs.
            targets: as the loss gets them.

        Raises: ShapeError: not one number for each item.
        """
        both = _one_each(self.name, preds, targets).double()  # (2, B)
        new = both.shape[1]
        if new == 0:
            return
        if self._origin is None or self._mean is None or self._products is None:
            self._origin = both[:, 0]
            self._mean = torch.zeros_like(self._origin)
            self._products = self._mean.new_zeros(2, 2)
        both = both - self._origin[:, None]
        mean = both.mean(dim=1)
        apart, count = mean - self._mean, self._count + new
        around = both - mean[:, None]
        self._products = (
            self._products
            + around @ around.T
            + torch.outer(apart, apart) * (self._count * new / count)
        )
        self._mean = self._mean + apart * (new / count)
        self._count = count

    def compute(self) -> float:
        """r; NaN where it is undefined, and where an output was NaN."""
        if self._products is None:
            return NAN
        (of_preds, together), (_, of_targets) = self._products.tolist()
        if not (of_preds > 0 and of_targets > 0):
            return NAN
        return max(-1.0, min(1.0, together / (sqrt(of_preds) * sqrt(of_targets))))

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """tanh(atanh(r) ± z / sqrt(n - 3)); None for three items or fewer.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        return fisher_interval(self.compute(), self._count, confidence)


class Spearman(BaseMetric):
    """Spearman's rank correlation, in [-1, 1]: whether one rises with the other, straight or not.

    Pearson's r of the ranks; equal values share the mean of theirs. Keeps outputs and targets (8 bytes an
    item in float32). Interval: Fisher's z, variance (1 + rho²/2) / (n - 3) (Bonett & Wright 2000).
    """

    name = "spearman"

    def reset(self) -> None:
        """Forget all items."""
        super().reset()
        self._kept: list[Tensor] = []  # (2, B)

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Keep a batch.

        Args:
            preds: the model's outputs.
            targets: as the loss gets them.

        Raises: ShapeError: not one number for each item.
        """
        self._kept.append(_one_each(self.name, preds, targets))

    def compute(self) -> float:
        """rho; NaN where it is undefined, and where an output was NaN."""
        if not self._kept:
            return NAN
        preds, targets = torch.cat([both.double() for both in self._kept], dim=1).cpu().numpy()
        if np.isnan(preds).any() or np.isnan(targets).any():
            return NAN
        # Twice a rank is a whole number, and so are the sums: equal inputs give equal bits.
        a, b = 2 * midranks(preds) - len(preds) - 1, 2 * midranks(targets) - len(preds) - 1
        spread = sqrt(float(a @ a)) * sqrt(float(b @ b))
        return max(-1.0, min(1.0, float(a @ b) / spread)) if spread > 0 else NAN

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """tanh(atanh(rho) ± z·sqrt((1 + rho²/2) / (n - 3))); None for three items or fewer.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        rho = self.compute()
        count = sum(both.shape[1] for both in self._kept)
        return fisher_interval(rho, count, confidence, spread=1 + rho**2 / 2)


def _one_each(name: str, preds: Tensor, targets: Tensor) -> Tensor:
    """(2, B): predictions and targets, in the wider of their types."""
    shapes = tuple(preds.shape), tuple(targets.shape)
    fits = all(len(s) == 1 or (len(s) == 2 and s[1] == 1) for s in shapes)
    if not fits or shapes[0][0] != shapes[1][0]:
        raise ShapeError(
            f"`{name}` got predictions of shape {shapes[0]} and targets of shape {shapes[1]}, expected "
            "one number for each item: (B,) or (B, 1)."
        )
    preds, targets = bare(preds, targets)
    if not preds.is_floating_point() or not targets.is_floating_point():
        preds, targets = preds.double(), targets.double()
    return torch.stack([preds.flatten(), targets.flatten().to(preds.device)])
