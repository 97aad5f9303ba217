"""A table in memory: named columns of equal length, each a plain array of one of three kinds.

    numbers      (N,) float64, NaN where there is none
    dates        (N,) datetime64[us], NaT where there is none
    categories   `Factor`: (N,) int32 codes into a tuple of words, -1 where there is none

A `Frame` is never changed: each method gives a new one that shares the columns it kept. `ids` are the
positions of the rows in their source, counted from 0 after the header; they stay with the rows.

    >>> frame = Frame({"age": np.array([22.0, np.nan]), "sex": Factor.of(["male", None])})
    >>> frame.take([1]).ids.tolist(), frame["sex"].values()
    ([1], ['male', None])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.errors import DataError, ShapeError


@dataclass(frozen=True)
class Factor:
    """A column of words: codes into `levels`."""

    codes: np.ndarray
    """(N,) int32, -1 where there is no word."""
    levels: tuple[str, ...]
    """Each word once, in the order of the codes."""

    @classmethod
    def of(cls, values: Iterable[str | None], levels: Sequence[str] | None = None) -> Factor:
        """The column of these words; None is a missing one.

        Args:
            values: the words.
            levels: all that may occur, in order; by default those that do, sorted.
        Raises: DataError: a word is not among `levels`.
        """
        values = list(values)
        order = sorted({v for v in values if v is not None}) if levels is None else list(levels)
        place = {word: code for code, word in enumerate(order)}
        try:
            codes = [-1 if value is None else place[value] for value in values]
        except KeyError as error:
            raise DataError(f"{error.args[0]!r} is none of the levels {order[:10]}.") from None
        return cls(np.array(codes, dtype=np.int32), tuple(order))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, indices: Any) -> Factor:
        return Factor(self.codes[indices], self.levels)

    def values(self) -> list[str | None]:
        """The words of the rows; None where there is none."""
        words = (*self.levels, None)  # code -1 is the last
        return [words[code] for code in self.codes.tolist()]

    def recoded(self, levels: Sequence[str]) -> Factor:
        """The same words as codes into other levels; what is not among them is missing (-1)."""
        place = {word: code for code, word in enumerate(levels)}
        table = np.array([place.get(word, -1) for word in self.levels] + [-1], dtype=np.int32)
        return Factor(table[self.codes], tuple(levels))


Values: TypeAlias = np.ndarray | Factor
"""A column: (N,) float64, (N,) datetime64[us], or a Factor."""


class Frame:
    """Named columns of equal length; see the module.

    Args:
        columns: name -> values.
        ids: (N,) int64 positions of the rows in their source; by default 0 … N-1.
    Raises: ShapeError: lengths differ, or a column is none of the three kinds.
    """

    def __init__(self, columns: Mapping[str, Values], ids: np.ndarray | None = None) -> None:
        lengths = {name: len(values) for name, values in columns.items()}
        count = next(iter(lengths.values()), 0 if ids is None else len(ids))
        wrong = [name for name, length in lengths.items() if length != count]
        if wrong:
            raise ShapeError(
                f"The column {wrong[0]!r} has {lengths[wrong[0]]} rows, expected {count}."
            )
        for name, values in columns.items():
            if not isinstance(values, Factor) and values.dtype.kind not in "fM":
                raise ShapeError(
                    f"The column {name!r} is of {values.dtype}. A column is float64, datetime64[us] or "
                    "a Factor."
                )
        self._columns = dict(columns)
        self.ids = np.arange(count, dtype=np.int64) if ids is None else ids
        if len(self.ids) != count:
            raise ShapeError(f"There are {len(self.ids)} ids for {count} rows.")

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, names: Sequence[str]) -> Frame:
        """The frame of a matrix (N, K) of numbers, one name a column."""
        if matrix.ndim != 2 or matrix.shape[1] != len(names):
            raise ShapeError(
                f"A matrix of shape {matrix.shape} does not have {len(names)} columns."
            )
        numbers = np.ascontiguousarray(matrix.T, dtype=np.float64)
        return cls(dict(zip(names, numbers, strict=True)))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(self._columns)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> Values:
        if name not in self._columns:
            near = did_you_mean(name, self._columns)
            raise DataError(
                f"There is no column {name!r}.{near} There are: {', '.join(self.names)}."
            )
        return self._columns[name]

    def numbers(self, name: str) -> np.ndarray:
        """A column that holds numbers, (N,) float64.

        Raises: DataError: it holds something else, or is not there.
        """
        values = self[name]
        if isinstance(values, Factor) or values.dtype.kind != "f":
            raise DataError(f"The column {name!r} does not hold numbers.")
        return values

    def factor(self, name: str) -> Factor:
        """A column that holds words.

        Raises: DataError: it holds something else, or is not there.
        """
        values = self[name]
        if not isinstance(values, Factor):
            raise DataError(f"The column {name!r} does not hold categories.")
        return values

    def take(self, rows: Any) -> Frame:
        """The rows at these positions (or where a mask is true), in that order."""
        rows = np.asarray(rows)
        if rows.size == 0:
            rows = rows.astype(np.int64)
        return Frame({name: values[rows] for name, values in self._columns.items()}, self.ids[rows])

    def select(self, names: Iterable[str]) -> Frame:
        """These columns alone, in this order."""
        return Frame({name: self[name] for name in names}, self.ids)

    def drop(self, names: Iterable[str]) -> Frame:
        """All columns but these."""
        gone = set(names)
        return Frame({n: v for n, v in self._columns.items() if n not in gone}, self.ids)

    def with_column(self, name: str, values: Values) -> Frame:
        """The frame with a column put in the place of the one of that name, or at the end."""
        return Frame({**self._columns, name: values}, self.ids)

    def repeat(self, times: int) -> Frame:
        """All rows, then all rows again, `times` in all."""
        return self.take(np.tile(np.arange(len(self)), times))

    def matrix(self, names: Iterable[str] | None = None) -> np.ndarray:
        """Columns of numbers side by side, (N, K) float64."""
        chosen = self.names if names is None else tuple(names)
        found = np.empty((len(self), len(chosen)), dtype=np.float64)
        for place, name in enumerate(chosen):
            found[:, place] = self.numbers(name)
        return found

    def __repr__(self) -> str:
        return f"Frame({len(self)} rows: {', '.join(self.names)})"
