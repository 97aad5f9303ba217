"""Rows of a table as points: numbers by their spread, categories by how rare the level is.

    points = row_points(frame)
    find_outliers(points, keys=hashes)

A number is measured from its column's median in spreads, (95% - 5% quantile) / 3.29; from `KNEE` spreads
on by the logarithm, so that one absurd cell does not drown all others, nor an honest long tail. Two
levels a and b of a column are apart by

    distance² = RARITY · (-ln p(a) - ln p(b)) / max(1, entropy of the column in nats)

with p the shares of the rows: a rare level lies far from all others, and farther in a column that is
nearly always the same. What is missing is a level of its own, in a column of numbers too. The table is
encoded a block of rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivetrain.clean.outliers import Points
from drivetrain.data.frame import Factor, Frame, Values

KNEE = 4.0
"""Spreads from which on a number's distance grows by its logarithm."""
RARITY = 2.0
MOST_LEVELS = 64
"""Levels of a column that have places of their own, the commonest: of others no two rows share one."""
MOST_RARE = 12.0
"""Nats that a level counts for at most."""


def row_points(frame: Frame, names: Sequence[str] | None = None) -> Points:
    """The rows of a table as points.

    Args:
        frame: N rows: numbers, dates and categories.
        names: the columns that count; by default all.
    """
    numbers: list[np.ndarray] = []
    levels: list[tuple[np.ndarray, np.ndarray]] = []
    count = len(frame)
    for name in frame.names if names is None else names:
        values = frame[name]
        if isinstance(values, Factor):
            levels.append(_places(values.codes.astype(np.int64) + 1))
            continue
        plain = _plain(values)
        is_missing = ~np.isfinite(plain)
        if not is_missing.all():
            numbers.append(_scaled(plain))
        if is_missing.any():
            levels.append(_places(is_missing.astype(np.int64)))
    scaled = np.stack(numbers, axis=1) if numbers else np.zeros((count, 0))
    squares = (scaled**2).sum(axis=1)
    for codes, weights in levels:
        squares = squares + weights[codes] ** 2

    def rows(at: np.ndarray) -> np.ndarray:
        parts = [scaled[at]]
        for codes, weights in levels:
            shared = min(MOST_LEVELS, len(weights))
            place = codes[at]
            part = np.zeros((len(at), shared))
            has = np.flatnonzero(place < shared)
            part[has, place[has]] = weights[place[has]]
            parts.append(part)
        return np.concatenate(parts, axis=1)

    return Points(squares, rows)


def _plain(values: Values) -> np.ndarray:
    """(N,) float64; dates as days, NaN where there is none."""
    assert not isinstance(values, Factor)
    if values.dtype.kind == "M":
        days = values.astype("datetime64[us]").astype(np.int64) / 86_400e6
        return np.where(np.isnat(values), np.nan, days)
    return values


def _scaled(values: np.ndarray) -> np.ndarray:
    """(N,) spreads from the median, bent at the knee; 0 where there is no number."""
    known = values[np.isfinite(values)]
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95))
    spread = (high - low) / 3.29 or float(known.std()) or 1.0
    apart = np.where(np.isfinite(values), (values - middle) / spread, 0.0)
    size = np.abs(apart)
    bent = KNEE * (1 + np.log(np.maximum(size, KNEE) / KNEE))
    return np.sign(apart) * np.where(size < KNEE, size, bent)


def _places(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) place of each row's level, the commonest first, and (L,) the length that each level has."""
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    place = np.empty(len(counts), dtype=np.int64)
    place[order] = np.arange(len(counts))
    shares = counts[order] / len(codes)
    surprise = np.minimum(-np.log(shares), MOST_RARE)
    entropy = float(-(shares * np.log(shares)).sum())
    return place[inverse], np.sqrt(RARITY * surprise / max(entropy, 1.0))
