"""How far outside the data settings lie: a place for each lever, and a distance for all of them together.

A model answers for anything, also for a price that nobody ever paid. Two distances say how much its
answer rests on: of the levers' settings alone, and of whole rows, levers and the rest. Each is the
distance to the fifth nearest row of the data, so that one odd row makes no neighbourhood, and each is
compared with what the data's own rows have among themselves: "farther than 97% of the data's rows are
from each other".

The distance is a sum over columns (Gower 1971, doi:10.2307/2528823): for numbers and dates the difference
divided by the range from the 5th to the 95th percentile, for words 0 or 1, for a missing against a
present value 1. N rows of the data (at most 1,000, drawn), M settings, R rows of the context.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.randomness import derive

MOST_ROWS = 1000
"""Rows of the data that are looked at; more are drawn down to this."""
NEIGHBOURS = 5
GAP = 1 / 8
"""Where a column has few values, so much of its range beside one of them still counts as near it."""
_CELLS = 8_000_000  # distances that are in memory at once


@dataclass(frozen=True)
class Space:
    """Some columns of the data, and how differences in them are measured."""

    rows: Frame
    """(N,) rows of the data with these columns."""
    scales: tuple[float, ...]
    """What a difference is divided by, one a column; 1 for words."""

    @classmethod
    def of(cls, data: Frame, names: Iterable[str], rows: np.ndarray) -> Space:
        """The space of these columns: scales of all rows of the data, neighbours among `rows` (N,)."""
        chosen = data.select(names)
        return cls(chosen.take(rows), tuple(_scale(chosen[name]) for name in chosen.names))

    def distances(self, frame: Frame) -> np.ndarray:
        """(M,) rows that have these columns -> (M, N) distances to those of the data."""
        total = np.zeros((len(frame), len(self.rows)))
        for name, scale in zip(self.rows.names, self.scales, strict=True):
            known, new = self.rows[name], frame[name]
            if isinstance(known, Factor):
                assert isinstance(new, Factor)
                codes = new.recoded(known.levels).codes
                codes = np.where((codes < 0) & (new.codes >= 0), -2, codes)  # a word never seen
                total += codes[:, None] != known.codes[None, :]
            else:
                assert not isinstance(new, Factor)
                apart = np.abs(_numbers(new)[:, None] - _numbers(known)[None, :]) / scale
                absent = np.isnan(_numbers(new))[:, None] != np.isnan(_numbers(known))[None, :]
                total += np.where(np.isnan(apart), absent, apart)
        return total


@dataclass(frozen=True)
class Place:
    """Where one lever's setting lies among the data's values."""

    lever: str
    low: float = np.nan
    """The data's 5th percentile; NaN for words, and where the lever is no column."""
    high: float = np.nan
    """The 95th."""
    smallest: float = np.nan
    largest: float = np.nan
    share: float = np.nan
    """Of the data's rows: those below the setting, half of those at it; of a word, those that have it."""
    holds_words: bool = False

    @property
    def is_column(self) -> bool:
        """Whether the data has such a column."""
        return self.share == self.share

    def __str__(self) -> str:
        if not self.is_column:
            return "no column of the data"
        if self.holds_words:
            return (
                "in none of the rows"
                if self.share == 0
                else f"in {_percent(self.share)} of the rows"
            )
        if self.share <= 0:
            return "below all rows"
        return "above all rows" if self.share >= 1 else f"above {_percent(self.share)} of the rows"


@dataclass(frozen=True)
class Domain:
    """The data as a neighbourhood; made by `Domain.of`."""

    levers: Space
    others: Space
    lever_reference: np.ndarray
    """(N,) ascending: what the data's rows have, levers alone."""
    row_reference: np.ndarray
    """(N,) ascending: the same for whole rows."""
    neighbours: int

    @classmethod
    def of(cls, data: Frame, levers: Sequence[str], *, seed: int = 42) -> Domain:
        """The neighbourhood of the rows of `data`.

        Args:
            levers: columns of the data that can be set; the others are what goes with them.
            seed: which rows are drawn where there are more than 1,000.
        """
        count = len(data)
        rows = np.arange(count)
        if count > MOST_ROWS:
            draw = np.random.default_rng(derive(seed, "levers domain"))
            rows = np.sort(draw.permutation(count)[:MOST_ROWS])
        names = [name for name in levers if name in data]
        lever_space = Space.of(data, names, rows)
        other_space = Space.of(data, [name for name in data.names if name not in names], rows)
        neighbours = max(1, min(NEIGHBOURS, len(rows) // 20))
        between = lever_space.distances(lever_space.rows)
        whole = between + other_space.distances(other_space.rows)
        return cls(
            levers=lever_space,
            others=other_space,
            lever_reference=_among_themselves(between, neighbours),
            row_reference=_among_themselves(whole, neighbours),
            neighbours=neighbours,
        )

    def lever_distance(self, settings: Frame) -> np.ndarray:
        """(M,) settings -> (M,) the distance of the levers alone."""
        return np.concatenate(
            [
                _nearest(self.levers.distances(part), self.neighbours)
                for part in _parts(settings, len(self.levers.rows))
            ]
        )

    def from_context(self, rows: Frame) -> np.ndarray:
        """(R,) rows of the context -> (R, N) the part of their distance that no lever changes."""
        return self.others.distances(rows)

    def row_distances(self, settings: Frame, from_context: np.ndarray) -> np.ndarray:
        """(M,) settings and (R, N) of `from_context` -> (M, R): of each row with the levers so set."""
        found = np.empty((len(settings), len(from_context)))
        to_levers = self.levers.distances(settings)  # (M, N)
        at_once = max(1, _CELLS // max(from_context.size, 1))
        for start in range(0, len(settings), at_once):
            part = slice(start, start + at_once)
            whole = to_levers[part, None, :] + from_context[None, :, :]  # (m, R, N)
            found[part] = _nearest(whole, self.neighbours)
        return found

    def lever_share(self, distances: np.ndarray) -> np.ndarray:
        """The share of the data's rows that are nearer to the others than these distances."""
        return _share_below(self.lever_reference, distances)

    def row_share(self, distances: np.ndarray) -> np.ndarray:
        """The same for distances of whole rows."""
        return _share_below(self.row_reference, distances)

    def bound(self, share: float) -> tuple[float, float]:
        """The largest distances, of levers and of whole rows, that are within this share of the data."""
        found = [
            float(np.quantile(reference, share, method="inverted_cdf"))
            for reference in (self.lever_reference, self.row_reference)
        ]
        return found[0], found[1]

    def rows_near(self, settings: Frame, reach: float = 0.1) -> np.ndarray:
        """(M,) settings -> (M,) the share of the data's rows whose levers are within `reach`."""
        return (self.levers.distances(settings) <= reach + 1e-12).mean(axis=1)


def place_of(data: Frame, lever: str, setting: float | str) -> Place:
    """Where a setting lies among all rows of the data."""
    if lever not in data:
        return Place(lever)
    values = data[lever]
    if isinstance(values, Factor):
        word = str(setting)
        code = values.levels.index(word) if word in values.levels else -2
        return Place(lever, share=float((values.codes == code).mean()), holds_words=True)
    numbers = _numbers(values)
    numbers = numbers[~np.isnan(numbers)]
    if not len(numbers):
        return Place(lever)
    low, high = np.quantile(numbers, [0.05, 0.95])
    number = float(setting)
    share = float((numbers < number).mean() + (numbers == number).mean() / 2)
    return Place(lever, float(low), float(high), float(numbers.min()), float(numbers.max()), share)


def _numbers(values: Values) -> np.ndarray:
    """(N,) float64; dates as days, NaN where there is none."""
    assert not isinstance(values, Factor)
    if values.dtype.kind == "f":
        return values
    days = values.astype("datetime64[us]").astype(np.int64) / 86_400e6
    return np.where(np.isnat(values), np.nan, days)


def _scale(values: Values) -> float:
    """The range from the 5th to the 95th percentile, or the whole one where that is 0, or 1."""
    if isinstance(values, Factor):
        return 1.0
    numbers = _numbers(values)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return 1.0
    low, high = np.quantile(numbers, [0.05, 0.95])
    return float(high - low) or float(np.ptp(numbers)) or 1.0


def _among_themselves(distances: np.ndarray, neighbours: int) -> np.ndarray:
    """(N, N) -> (N,) ascending: of each row to the others.

    Where rows repeat each other, as prices of 1, 2 and 3 do, all distances would be 0 and 2.5 would be
    outside. There the next other value counts instead, as far as `GAP`.
    """
    distances = distances.copy()
    np.fill_diagonal(distances, np.inf)
    to_rows = _nearest(distances, neighbours)
    to_others = _nearest(np.where(distances <= 1e-12, np.inf, distances), neighbours)
    found = np.maximum(to_rows, np.minimum(to_others, GAP))
    return np.sort(np.where(np.isfinite(found), found, 0.0))


def _nearest(distances: np.ndarray, neighbours: int) -> np.ndarray:
    """(…, N) -> (…) the distance to the `neighbours`-th nearest of N."""
    place = min(neighbours, distances.shape[-1]) - 1
    return np.partition(distances, place, axis=-1)[..., place]


def _share_below(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.searchsorted(reference, np.asarray(values) - 1e-12, side="left") / len(reference)


def _parts(frame: Frame, width: int) -> list[Frame]:
    at_once = max(1, _CELLS // max(width, 1))
    if len(frame) <= at_once:
        return [frame]
    starts = range(0, len(frame), at_once)
    return [frame.take(np.arange(start, min(start + at_once, len(frame)))) for start in starts]


def _percent(share: float) -> str:
    """Never rounded to all or nothing."""
    if share < 0.01:
        return "<1%"
    return ">99%" if share > 0.99 else f"{share:.0%}"
