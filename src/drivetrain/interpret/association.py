"""How far two columns of a table go together, whichever kinds they are.

    numbers, dates   Spearman's rank correlation, in [-1, 1]: the correlation of the ranks
    categories       Cramér's V without its bias, in [0, 1] (Bergsma 2013,
                     doi:10.1016/j.jkss.2012.10.002)
    one of each      the correlation ratio of the ranks, in [0, 1]: the root of the share of their
                     variance that lies between the categories, less what chance gives (Kelley 1935)

Chance alone makes many categories look linked, hence the corrected forms. A missing category is one of
its own. Of numbers, the rows count where both are there; ranks are those in the whole column, so that
with missing values the result is near to Spearman's and not always equal to it. A link that goes up and
comes down again is not seen between numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.interpret.asking import sampled
from drivetrain.metrics.ranking import midranks

MOST_ROWS = 10_000
"""Rows that associations are counted on; more are drawn down to these."""


class Link(NamedTuple):
    """Two columns, and how far they go together."""

    first: str
    second: str
    strength: float
    """In [-1, 1] for two columns of numbers, otherwise in [0, 1]."""


def as_numbers(values: Values) -> np.ndarray:
    """A column as (N,) float64: numbers as they are, dates in microseconds, codes; NaN where missing."""
    if isinstance(values, Factor):
        return np.where(values.codes < 0, np.nan, values.codes.astype(np.float64))
    if values.dtype.kind == "M":
        whole = values.astype("datetime64[us]").astype(np.int64).astype(np.float64)
        return np.where(np.isnat(values), np.nan, whole)
    return values.astype(np.float64, copy=False)


def centred_ranks(column: np.ndarray) -> np.ndarray:
    """(N,) twice the rank less n + 1, among the n values that are there; NaN elsewhere.

    They are whole numbers that add up to 0: equal orders give equal bits.
    """
    there = ~np.isnan(column)
    ranks = np.full(len(column), np.nan)
    if there.any():
        ranks[there] = 2 * midranks(column[there]) - (there.sum() + 1)
    return ranks


def rank_correlations(ranks: np.ndarray) -> np.ndarray:
    """(N, K) `centred_ranks` side by side -> (K, K) rank correlations.

    Exactly 1, or -1, where two columns have the same order, or the opposite one. NaN against a column
    of equal values, and where fewer than two rows have both.
    """
    there = ~np.isnan(ranks)
    present = there.astype(np.float64)
    filled = np.where(there, ranks, 0.0)
    count = present.T @ present
    total = filled.T @ present  # of each column, over the rows where the other is there too
    squares = (filled**2).T @ present
    products = filled.T @ filled
    with np.errstate(invalid="ignore", divide="ignore"):
        together = products - total * total.T / count
        spread = squares - total**2 / count
        found = together / (np.sqrt(spread) * np.sqrt(spread.T))
    found[(count < 2) | (spread <= 0) | (spread.T <= 0)] = np.nan
    np.clip(found, -1.0, 1.0, out=found)
    _mark_equal_orders(ranks, found)
    return found


def _mark_equal_orders(ranks: np.ndarray, found: np.ndarray) -> None:
    """Rounding may leave 1 - 1e-16 where the orders are the same; what is equal says 1."""
    columns = [np.ascontiguousarray(column) for column in ranks.T]
    upward: dict[bytes, list[int]] = {}
    for place, column in enumerate(columns):
        if not np.isnan(found[place, place]):
            upward.setdefault((column + 0.0).tobytes(), []).append(place)
    for place, column in enumerate(columns):
        if np.isnan(found[place, place]):
            continue
        same = upward.get((column + 0.0).tobytes(), [])
        found[place, same] = 1.0
        # `+ 0.0` makes -0.0 the 0.0 that the bytes are compared with; NaN keeps its own sign bit.
        opposite = np.where(np.isnan(column), column, -column + 0.0)
        found[place, [i for i in upward.get(opposite.tobytes(), []) if i not in same]] = -1.0


def links_of(frame: Frame, name: str, *, at_least: float, seed: int = 42) -> tuple[Link, ...]:
    """The columns that go with one, first the strongest.

    Args:
        at_least: strength from which on a column is named, in [0, 1].
        seed: which rows, where there are more than `MOST_ROWS`.

    Raises: DataError: there is no such column.
    """
    chosen = frame.take(sampled(len(frame), MOST_ROWS, seed=seed, purpose="association"))
    found = _against(_Prepared(chosen), name, chosen.names)
    kept = [link for link in found if abs(link.strength) >= at_least]
    return tuple(sorted(kept, key=lambda link: -abs(link.strength)))


def linked_pairs(
    frame: Frame, *, at_least: float, names: Sequence[str] | None = None, seed: int = 42
) -> tuple[Link, ...]:
    """All pairs of columns that go together, first the strongest; see `links_of`."""
    chosen = frame.take(sampled(len(frame), MOST_ROWS, seed=seed, purpose="association"))
    prepared, order = _Prepared(chosen), tuple(frame.names if names is None else names)
    found = [
        link
        for place, name in enumerate(order)
        for link in _against(prepared, name, order[place + 1 :])
        if abs(link.strength) >= at_least
    ]
    return tuple(sorted(found, key=lambda link: -abs(link.strength)))


class _Prepared:
    """Ranks and codes of a frame's columns, each made when it is first needed."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._ranks: dict[str, np.ndarray] = {}
        self._codes: dict[str, tuple[np.ndarray, int]] = {}

    def is_factor(self, name: str) -> bool:
        return isinstance(self.frame[name], Factor)

    def ranks(self, name: str) -> np.ndarray:
        if name not in self._ranks:
            self._ranks[name] = centred_ranks(as_numbers(self.frame[name]))
        return self._ranks[name]

    def codes(self, name: str) -> tuple[np.ndarray, int]:
        """Codes of the kinds that occur, a missing one among them, and how many there are."""
        if name not in self._codes:
            kinds, codes = np.unique(self.frame.factor(name).codes, return_inverse=True)
            self._codes[name] = codes.astype(np.int64), len(kinds)
        return self._codes[name]


def _against(prepared: _Prepared, name: str, others: Sequence[str]) -> list[Link]:
    others = [other for other in others if other != name]
    words = [other for other in others if prepared.is_factor(other)]
    numbers = [other for other in others if not prepared.is_factor(other)]
    found: list[tuple[str, float]] = []
    if prepared.is_factor(name):
        found += [(o, cramers_v(*prepared.codes(name), *prepared.codes(o))) for o in words]
        found += [(o, correlation_ratio(*prepared.codes(name), prepared.ranks(o))) for o in numbers]
    else:
        ranks = prepared.ranks(name)
        found += [(o, correlation_ratio(*prepared.codes(o), ranks)) for o in words]
        found += [(o, _pair(ranks, prepared.ranks(o))) for o in numbers]
    return [Link(name, other, value) for other, value in found if not np.isnan(value)]


def _pair(first: np.ndarray, second: np.ndarray) -> float:
    return float(rank_correlations(np.stack([first, second], axis=1))[0, 1])


def cramers_v(first: np.ndarray, num_first: int, second: np.ndarray, num_second: int) -> float:
    """(N,) codes from 0 of two columns, and how many kinds each has -> V without its bias, in [0, 1].

    NaN where a column has a single kind.
    """
    n = len(first)
    if min(num_first, num_second) < 2 or n < 2:
        return float("nan")
    cells, counts = np.unique(first * num_second + second, return_counts=True)  # those not empty
    rows, columns = np.bincount(first), np.bincount(second)
    expected = rows[cells // num_second] * (columns[cells % num_second] / n)
    squared = float((counts / expected * counts).sum()) / n - 1  # chi-squared / n
    squared = max(0.0, squared - (num_first - 1) * (num_second - 1) / (n - 1))
    fewer = min(k - (k - 1) ** 2 / (n - 1) for k in (num_first, num_second)) - 1
    return min(1.0, float(np.sqrt(squared / fewer))) if fewer > 0 else float("nan")


def correlation_ratio(codes: np.ndarray, num_kinds: int, ranks: np.ndarray) -> float:
    """(N,) codes from 0 and (N,) ranks, NaN where missing -> the corrected ratio, in [0, 1].

    NaN where the ranks are all equal, or where as many kinds are left as rows.
    """
    there = ~np.isnan(ranks)
    codes, ranks = codes[there], ranks[there]
    n = len(ranks)
    counts = np.bincount(codes, minlength=num_kinds)
    kinds = int((counts > 0).sum())
    if n < 2 or kinds >= n or kinds < 2:
        return float("nan")
    centred = ranks - ranks.mean()
    total = float(centred @ centred)
    if total <= 0:
        return float("nan")
    sums = np.bincount(codes, weights=centred, minlength=num_kinds)
    between = float((sums**2 / np.maximum(counts, 1)).sum()) / total
    return float(np.sqrt(max(0.0, 1 - (1 - between) * (n - 1) / (n - kinds))))
