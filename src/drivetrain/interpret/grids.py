"""The values of a column at which a model is asked: quantiles of numbers and dates, or the categories.

Grid points of numbers are values that occur, at even steps of rank and not of value: dense where rows
are, and none where there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret.association import as_numbers
from drivetrain.interpret.text import number

ENDS = (0.01, 0.99)
"""Shares of rows at which the grid of a column of many values begins and ends."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Values of one column, in ascending order; a missing one, where there is one, is the last."""

    name: str
    """Of the column."""
    kind: str
    """`numbers`, `dates` or `categories`."""
    values: Values
    """(G,) of the same kind as the column."""
    counts: np.ndarray
    """(G,) int64 rows nearest to each value, or of that category; together all rows, unless
    `left_out`."""
    left_out: int = 0
    """Categories that occur and are not in the grid, since there are too many."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def has_missing(self) -> bool:
        """Whether the last point is the missing value."""
        return bool(np.isnan(as_numbers(self.values)[-1]))

    @property
    def labels(self) -> list[str]:
        """Each value as a word."""
        if isinstance(self.values, Factor):
            return ["missing" if word is None else word for word in self.values.values()]
        if self.kind == "numbers":
            return ["missing" if np.isnan(v) else number(float(v)) for v in self.values]
        at_midnight = (self.values == self.values.astype("datetime64[D]")) | np.isnat(self.values)
        days = self.values.astype("datetime64[D]") if at_midnight.all() else self.values
        return ["missing" if text == "NaT" else text for text in np.datetime_as_string(days)]

    @property
    def plain(self) -> list[Any]:
        """Each value for JSON: a number, an ISO date or a word; None for the missing one."""
        if isinstance(self.values, Factor):
            return list(self.values.values())
        if self.kind == "numbers":
            return [None if np.isnan(v) else float(v) for v in self.values]
        return [None if np.isnat(v) else str(v) for v in self.values]

    def numbers(self) -> np.ndarray:
        """(G,) where each value stands on an axis of numbers: itself, a date's microseconds, a code."""
        return as_numbers(self.values)

    def nearest(self, column: Values) -> np.ndarray:
        """(N,) the grid point of each row of the column, -1 where it has none."""
        rows, points = as_numbers(column), self.numbers()
        there = points[:-1] if self.has_missing else points
        found = np.full(len(rows), -1)
        if isinstance(column, Factor) and isinstance(self.values, Factor):
            place = {word: i for i, word in enumerate(self.values.values())}
            by_code = [place.get(word, -1) for word in (*column.levels, None)]
            return np.array(by_code)[column.codes]
        if len(there):
            middles = (there[1:] + there[:-1]) / 2
            found = np.searchsorted(middles, rows)
        return np.where(np.isnan(rows), len(points) - 1 if self.has_missing else -1, found)


def make_grid(
    who: str, frame: Frame, name: str, given: Sequence[Any] | np.ndarray | None, num_points: int
) -> Grid:
    """The grid of a column.

    Args:
        who: the function that asks, for the errors.
        given: the points, instead of quantiles or of all categories: numbers, dates (ISO texts or
            datetime64), words of the column's levels. They are put in ascending order.
        num_points: points at most, the missing one not counted.

    Raises: DataError: no such column, no such category, or a column without any value. ConfigError: too
        few points.
    """
    if num_points < 2:
        raise ConfigError(f"`{who}` needs `num_points` of 2 or more. Got {num_points}.")
    column = frame[name]
    if len(frame) == 0 or np.isnan(as_numbers(column)).all():
        raise DataError(f"`{who}` got the column {name!r}, in which every value is missing.")
    if isinstance(column, Factor):
        return _of_words(who, name, column, given, num_points)
    is_date = column.dtype.kind == "M"
    if given is None:
        values = _quantiles(column[~np.isnan(as_numbers(column))], num_points)
    else:
        values = np.unique(_converted(who, name, given, column))
    if given is None and np.isnan(as_numbers(column)).any():
        values = np.append(values, np.array([np.nan], dtype=values.dtype) if not is_date else _NAT)
    grid = Grid(name, "dates" if is_date else "numbers", values, np.zeros(len(values), np.int64))
    return _counted(grid, column)


_NAT = np.array(["NaT"], dtype="datetime64[us]")


def _converted(
    who: str, name: str, given: Sequence[Any] | np.ndarray, column: np.ndarray
) -> np.ndarray:
    try:
        values = np.asarray(given, dtype=column.dtype)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"`{who}` got a grid that is not of the kind of the column {name!r}, {column.dtype}: "
            f"{error}."
        ) from None
    if values.ndim != 1 or len(values) == 0 or np.isnan(as_numbers(values)).any():
        raise DataError(f"`{who}` needs a grid of one or more values, none of them missing.")
    return values


def _quantiles(values: np.ndarray, num_points: int) -> np.ndarray:
    """At most `num_points` different values that occur, at even steps of rank."""
    values = np.sort(values)
    distinct = np.unique(values)
    if len(distinct) <= num_points:
        return distinct
    places = np.linspace(*ENDS, num_points) * (len(values) - 1)
    return np.unique(values[places.round().astype(np.int64)])


def _of_words(
    who: str, name: str, column: Factor, given: Sequence[Any] | np.ndarray | None, num_points: int
) -> Grid:
    counts = np.bincount(column.codes + 1, minlength=len(column.levels) + 1)
    if given is not None:
        words = [None if word is None else str(word) for word in given]
        for word in words:
            if word is not None and word not in column.levels:
                near = did_you_mean(word, column.levels)
                raise DataError(f"`{who}` got {word!r}, no category of the column {name!r}.{near}")
        codes = sorted({-1 if word is None else column.levels.index(word) for word in words})
        left_out = 0
    else:
        occurring = np.flatnonzero(counts[1:])
        most = np.sort(occurring[np.argsort(-counts[1:][occurring], kind="stable")][:num_points])
        codes = most.tolist() + ([-1] if counts[0] else [])
        left_out = len(occurring) - len(most)
    codes = [code for code in codes if code >= 0] + [code for code in codes if code < 0]
    values = Factor(np.array(codes, dtype=np.int32), column.levels)
    return Grid(name, "categories", values, counts[np.array(codes, dtype=np.int64) + 1], left_out)


def _counted(grid: Grid, column: Values) -> Grid:
    nearest = grid.nearest(column)
    counts = np.bincount(nearest[nearest >= 0], minlength=len(grid))
    return Grid(grid.name, grid.kind, grid.values, counts, grid.left_out)
