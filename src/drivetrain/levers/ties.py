"""Columns that go with a lever: moving the lever and leaving them makes rows that cannot be.

Set the years of schooling and leave the degree, and the model is asked for what nobody is. How far a
column is told by a lever is the share of its variation that is gone once the lever is known: for numbers
of the variance of ranks (the square of Spearman's correlation; between groups of words the correlation
ratio, Pearson 1905), for words of the chance that two rows differ (Goodman and Kruskal's tau, 1954,
doi:10.2307/2281536). N rows, at most 2,000, evenly taken.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values

STRONG = 0.8
"""Share of a column's variation from which on it counts as tied to a lever."""
MOST_ROWS = 2000
_GROUPS = 20
"""Parts into which a lever of numbers is cut to tell words by it."""


def tied_columns(data: Frame, lever: str, others: Iterable[str]) -> list[tuple[str, float]]:
    """The columns that a lever tells, and how much of their variation, the strongest first."""
    rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), MOST_ROWS)).astype(np.int64))
    known = data[lever][rows]
    found = [(name, told_by(known, data[name][rows])) for name in others if name != lever]
    return sorted((pair for pair in found if pair[1] >= STRONG), key=lambda pair: -pair[1])


def told_by(known: Values, other: Values) -> float:
    """The share of the variation of `other` that is gone once `known` is, in [0, 1]; rows (N,) of both.

    0 where `other` does not vary. Rows without a value in one of the two are left out.
    """
    has = _has_value(known) & _has_value(other)
    known, other = known[has], other[has]
    if not isinstance(other, Factor) and not isinstance(known, Factor):
        a, b = _ranks(known), _ranks(other)
        spread = a.std() * b.std()
        return float((np.mean((a - a.mean()) * (b - b.mean())) / spread) ** 2) if spread else 0.0
    groups = _groups(known)
    if not isinstance(other, Factor):
        ranks = _ranks(other)
        return _share_gone(ranks, np.square(ranks), groups)
    kinds = np.unique(other.codes)
    indicators = (other.codes[:, None] == kinds[None, :]).astype(np.float64)  # (N, K)
    total = 1 - np.square(indicators.mean(axis=0)).sum() if len(kinds) else 0.0
    if total <= 0:
        return 0.0
    counts = np.zeros((groups.max() + 1, len(kinds)))
    np.add.at(counts, groups, indicators)
    sizes = counts.sum(axis=1, keepdims=True)
    left = float((sizes[:, 0] - (counts**2).sum(axis=1) / np.maximum(sizes[:, 0], 1)).sum())
    return _unbiased(1 - left / len(groups) / total, len(groups), len(np.unique(groups)))


def _share_gone(values: np.ndarray, squares: np.ndarray, groups: np.ndarray) -> float:
    total = float(squares.mean() - values.mean() ** 2) if len(values) else 0.0
    if total <= 0:
        return 0.0
    counts = np.bincount(groups)
    sums = np.bincount(groups, values)
    between = float((sums**2 / np.maximum(counts, 1)).sum() / len(values) - values.mean() ** 2)
    return _unbiased(between / total, len(values), int((counts > 0).sum()))


def _unbiased(share: float, count: int, groups: int) -> float:
    """Many groups tell something by chance alone; that is taken off, as of an adjusted R²."""
    if count <= groups:
        return 0.0
    return max(0.0, 1 - (1 - share) * (count - 1) / (count - groups))


def _groups(values: Values) -> np.ndarray:
    """(N,) int64 from 0: of words each its own, of numbers parts of about equal size."""
    if isinstance(values, Factor):
        return np.unique(values.codes, return_inverse=True)[1].astype(np.int64)
    ranks = _ranks(values)
    return np.minimum((ranks / max(len(ranks), 1) * _GROUPS).astype(np.int64), _GROUPS - 1)


def _ranks(values: Values) -> np.ndarray:
    """(N,) from 0 to N - 1; equal values share the mean of theirs."""
    assert not isinstance(values, Factor)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[place]


def _has_value(values: Values) -> np.ndarray:
    if isinstance(values, Factor):
        return values.codes >= 0
    return ~np.isnat(values) if values.dtype.kind == "M" else ~np.isnan(values)
