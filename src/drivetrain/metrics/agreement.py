"""Agreement beyond chance: Cohen's kappa and the Matthews correlation coefficient.

Both are 0 for answers that have nothing to do with the targets and 1 for right ones, however rare a
class is. They are made of the confusion matrix, whose cells are drawn again for the interval.
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from drivetrain._registry import lookup
from drivetrain.metrics.base import NAN, Interval, Kind
from drivetrain.metrics.bootstrap import Array, metric_interval
from drivetrain.metrics.confusion import ConfusionMatrix
from drivetrain.metrics.interval import check_confidence

_WEIGHTS = {"none": 0, "linear": 1, "quadratic": 2}
_MATRIX_CELLS = 4_000_000  # of the matrices that are in memory at once


class OfMatrix(ConfusionMatrix):
    """Base: one number made of a confusion matrix."""

    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "classes")

    def compute(self) -> float:
        """The value; NaN before any item, where it is undefined, and where an output was NaN.

        Raises: InputError: targets that cannot be.
        """
        matrix = self.to_numpy()
        if matrix.sum() == 0 or self.has_nan:
            return NAN
        return float(self._of_matrices(matrix[None].astype(np.float64))[0])

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Percentiles of the value on resampled items (bootstrap.py); None where the value is NaN or all
        items are right, and for several targets an item (pixels), which are not independent.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        value = self.compute()
        if np.isnan(value) or not self.is_one_each:
            return None
        matrix = self.to_numpy()
        flat = np.flatnonzero(matrix)

        def of_cells(weights: Array) -> Array:
            at_once = max(1, _MATRIX_CELLS // matrix.size)
            values = []
            for start in range(0, len(weights), at_once):
                rows = weights[start : start + at_once]
                matrices = np.zeros((len(rows), matrix.size))
                matrices[:, flat] = rows
                values.append(self._of_matrices(matrices.reshape(-1, *matrix.shape)))
            return np.concatenate(values)

        cells = matrix.ravel()[flat]
        return metric_interval(value, of_cells, cells, confidence=confidence, name=self.name)

    def _of_matrices(self, matrices: Array) -> Array:
        """(R, C, C) counts, rows true -> (R,); NaN where undefined."""
        raise NotImplementedError


class Kappa(OfMatrix):
    """Cohen's kappa: how much of the disagreement that chance would give is avoided.

    1 - Σ w·seen / Σ w·expected over the cells, where expected is what the classes' frequencies alone
    give, and w what a confusion of two classes costs. Paper: Cohen 1960,
    doi:10.1177/001316446002000104; weights: Cohen 1968. Undefined, NaN, where all items are of one
    class and taken for it. Interval: bootstrap.

    Args:
        weights: "none" (every confusion costs the same), or for classes in an order "linear" or
            "quadratic" in their distance.
        ignore_index: a target that does not count.

    Raises: UnknownNameError: no such weights.
    """

    name = "kappa"

    def __init__(self, weights: str = "none", ignore_index: int | None = None) -> None:
        lookup(_WEIGHTS, weights, what="weights of kappa")
        self.weights = weights
        super().__init__(ignore_index)
        self.name = "kappa" if weights == "none" else f"kappa_{weights}"

    def _of_matrices(self, matrices: Array) -> Array:
        classes = np.arange(matrices.shape[-1])
        distance = np.abs(classes[:, None] - classes[None, :]).astype(np.float64)
        power = _WEIGHTS[self.weights]
        cost = distance**power if power else (distance > 0) * 1.0
        actual, predicted = matrices.sum(2), matrices.sum(1)  # (R, C)
        seen = (matrices * cost).sum((1, 2))
        expected = ((actual @ cost) * predicted).sum(1) / matrices.sum((1, 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(expected > 0, 1 - seen / expected, NAN)


class Matthews(OfMatrix):
    """Matthews correlation coefficient: the correlation of true and predicted class, in [-1, 1].

    Paper: Matthews 1975, doi:10.1016/0005-2795(75)90109-9; several classes: Gorodkin 2004,
    doi:10.1016/j.compbiolchem.2004.09.006. 0 where all is taken for one class; undefined, NaN, where
    all targets are of one class. Interval: bootstrap.

    Args:
        ignore_index: a target that does not count.
    """

    name = "matthews"

    def _of_matrices(self, matrices: Array) -> Array:
        actual, predicted = matrices.sum(2), matrices.sum(1)  # (R, C)
        total, right = matrices.sum((1, 2)), np.trace(matrices, axis1=1, axis2=2)
        together = right * total - (actual * predicted).sum(1)
        of_actual = total**2 - (actual**2).sum(1)
        of_predicted = total**2 - (predicted**2).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = together / (np.sqrt(of_actual) * np.sqrt(of_predicted))
        value = np.where(of_predicted > 0, np.clip(value, -1.0, 1.0), 0.0)  # but for rounding it is
        return np.where(of_actual > 0, value, NAN)
