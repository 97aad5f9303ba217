"""Means of what belongs to people, and how sure they are: people are drawn, not their single answers.

Ratings of one person resemble each other, so that a thousand of them tell less than a thousand from
different people. An interval that draws single ratings would be too narrow; here whole owners are drawn
with replacement (the cluster bootstrap: Davison & Hinkley 1997, sec. 3.8), and the mean is a ratio of two
sums over them. With fewer than some 30 owners percentiles are too narrow; with one there are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
import numpy.typing as npt

from drivetrain.errors import ShapeError
from drivetrain.metrics.bootstrap import RESAMPLES, says_nothing
from drivetrain.metrics.interval import check_confidence
from drivetrain.randomness import derive

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value, and the range that holds the true one with the given confidence, as far as chance goes.

    >>> print(Estimate(0.25, 0.21, 0.30, 943))
    0.2500 [0.2100, 0.3000]
    """

    value: float
    low: float
    """NaN where there are fewer than two owners, and where all are alike."""
    high: float
    num_owners: int
    """Users, or other owners, that count in it."""

    def __str__(self) -> str:
        if isnan(self.low):
            return "-" if isnan(self.value) else f"{self.value:.4f}"
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def to_json(self) -> dict[str, Any]:
        """`{value, low, high, num_owners}`; None for what is not known."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        known = {name: None if isnan(end) else end for name, end in ends.items()}
        return {**known, "num_owners": self.num_owners}


def cluster_means(
    sums: npt.ArrayLike,
    counts: npt.ArrayLike,
    *,
    present: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    name: str,
) -> list[Estimate]:
    """Means over owners: Σ sums / Σ counts, of several quantities at once.

    Args:
        sums: (M, S) float, what each of M owners has of each of S quantities.
        counts: (M, S) float, at least 0: over how many things that is a sum. An owner with 0 is left
            out of that quantity; all owners with 1 give the mean over owners.
        present: (M, S) bool, which owners are in; None: those with a count. One that is in with a count
            of 0 adds its sum.
        confidence: in (0, 1).
        name: part of the seed: the same owners then give the same interval.

    Returns: S estimates. Owners are drawn once for all quantities, so their draws go together.
    Raises: ShapeError: the two are not of one shape. ConfigError: a confidence outside (0, 1).
    """
    check_confidence(confidence)
    sums, counts = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if sums.ndim != 2 or sums.shape != counts.shape:
        raise ShapeError(
            f"`cluster_means` got sums {sums.shape} and counts {counts.shape}, expected (M, S) both."
        )
    is_in = counts > 0 if present is None else np.asarray(present, dtype=bool)
    kept = is_in.any(axis=1)
    sums, counts = (np.where(is_in, some, 0.0)[kept] for some in (sums, counts))
    both = np.concatenate([sums, counts], axis=1)  # (M, 2 S)
    num_owners, width = sums.shape
    values = _ratios(both.sum(axis=0))
    low = high = np.full(width, nan)
    if num_owners > 1:
        drawn = _ratios(_resampled(both, name))  # (R, S)
        low, high = _percentiles(drawn, values, confidence)
    owners = is_in[kept].sum(axis=0).tolist()
    return [
        Estimate(float(v), float(a), float(b), n)
        for v, a, b, n in zip(values, low, high, owners, strict=True)
    ]


def _resampled(columns: Array, name: str) -> Array:
    """Sums of each column over owners drawn with replacement, (RESAMPLES, columns)."""
    generator = np.random.Generator(np.random.PCG64(derive(0, "bootstrap", name)))
    count = len(columns)
    found = np.empty((RESAMPLES, columns.shape[1]))
    for row in range(
        RESAMPLES
    ):  # one at a time: with many owners that is all that fits in the cache
        drawn = generator.integers(0, count, size=count, dtype=np.int32)
        found[row] = np.bincount(drawn, minlength=count) @ columns
    return found


def _ratios(both: Array) -> Array:
    """(…, 2 S) sums and counts -> (…, S); NaN where nothing is counted."""
    sums, counts = np.split(both, 2, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0, sums / counts, nan)


def _percentiles(drawn: Array, values: Array, confidence: float) -> tuple[Array, Array]:
    """The ends of each column, widened where they would leave out the value itself."""
    tail = (1 - confidence) / 2
    low, high = np.full(len(values), nan), np.full(len(values), nan)
    for column, value in enumerate(values.tolist()):
        some = drawn[:, column]
        some = some[~np.isnan(some)]
        if not isnan(value) and len(some) >= RESAMPLES / 2:
            ends = np.quantile(some, [tail, 1 - tail])
            if says_nothing(float(ends[0]), float(ends[1])):  # owners who are all alike
                continue
            low[column], high[column] = min(float(ends[0]), value), max(float(ends[1]), value)
    return low, high
