"""Principal components: the directions along which vectors differ most.

Paper: Hotelling 1933, doi:10.1037/h0071325. Equal to a singular value decomposition of the centred
vectors, which the tests hold it to, and found by less: from the covariance of the columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.errors import ConfigError, DataError, ShapeError

BLOCK = 1 << 16
"""Vectors that are looked at at once, so that memory stays bounded whatever their number."""


@dataclass(frozen=True, eq=False)
class Components:
    """Directions along which vectors differ most."""

    center: np.ndarray
    """(F,) float64, the mean vector."""
    axes: np.ndarray
    """(k, F) float64, of unit length and at right angles. Of each, the entry that is largest in size is
    positive; of several as large, the first."""
    points: np.ndarray
    """(N, k) float64, where each vector lies along the axes."""
    shares: np.ndarray
    """(k,) float64 in [0, 1], how much of the variance lies along each, the largest first."""

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """(M, F) other vectors -> (M, k) float64."""
        return (vectors - self.center) @ self.axes.T

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the points left out."""
        return {
            "center": self.center.tolist(),
            "axes": self.axes.tolist(),
            "shares": self.shares.tolist(),
        }


def principal_components(vectors: np.ndarray, k: int = 2) -> Components:
    """The `k` principal components of vectors: what a singular value decomposition gives, centred.

    Found from the covariance of the columns in float64, which takes memory of (F, F) beside the
    vectors whatever N is. Axes of equal share may be any two that span the same plane.

    Args:
        vectors: (N, F) of numbers.
        k: up to the smaller of N and F.

    Raises: ShapeError: no (N, F). ConfigError: `k` is out of range. DataError: a number is not finite.
    """
    if vectors.ndim != 2 or not vectors.size:
        raise ShapeError(f"Components are found of vectors (N, F). Got shape {vectors.shape}.")
    if not 1 <= k <= min(vectors.shape):
        raise ConfigError(
            f"`k` is 1 to {min(vectors.shape)} for vectors of shape {vectors.shape}. Got {k}."
        )
    if not np.isfinite(vectors).all():
        raise DataError("A vector holds a number that is not finite, and components need them all.")
    center = vectors.mean(0, dtype=np.float64)
    covariance = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(vectors), BLOCK):
        part = vectors[start : start + BLOCK] - center
        covariance += part.T @ part
    variances, directions = np.linalg.eigh(covariance)  # ascending
    axes = directions.T[::-1][:k].copy()
    largest = np.abs(axes).argmax(1)
    axes *= np.where(axes[np.arange(k), largest] < 0, -1.0, 1.0)[:, None]
    variances = variances[::-1].clip(0)
    total = variances.sum()
    shares = variances[:k] / total if total > 0 else np.zeros(k)
    points = np.empty((len(vectors), k))
    for start in range(0, len(vectors), BLOCK):
        part = vectors[start : start + BLOCK] - center
        points[start : start + BLOCK] = part @ axes.T
    return Components(center, axes, points, shares)
