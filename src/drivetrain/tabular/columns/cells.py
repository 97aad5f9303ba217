"""A column by its different values: what is decided, or read, is so once for each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.tabular.columns.schema import shorten

if TYPE_CHECKING:
    import pyarrow as pa


class Cells:
    """The different values of a column, and which row has which.

    Args:
        values: (D,) those that are not missing, in the order in which the rows first have them; of the
            types that `arrow.plain_type` gives.
        codes: (N,) int64 which of them each row has, D where it has none.
        infinite: rows that held an infinite number, which is missing now.
    """

    def __init__(self, values: pa.Array, codes: np.ndarray, infinite: int = 0) -> None:
        self.values = values
        self.codes = codes
        self.infinite = infinite
        self.rows = len(codes)
        self.distinct = len(values)
        self.counts = np.bincount(codes, minlength=self.distinct + 1)[: self.distinct]
        """(D,) rows of each value."""
        self.filled = int(self.counts.sum())
        self.missing = self.rows - self.filled
        self.stands_for = 1.0
        """Rows of the source for each row here; above 1 where these are a sample of them."""

    @classmethod
    def counted(cls, values: pa.Array, counts: np.ndarray, missing: int) -> Cells:
        """Values of which it is known how many rows have each, and not which: `spread` has no rows.

        Args:
            values: as of `Cells`, in the order in which the rows first have them.
            counts: (D,) rows of each.
            missing: rows without a value.
        """
        made = cls(values, np.zeros(0, dtype=np.int64))
        made.counts = counts
        made.filled, made.missing = int(counts.sum()), missing
        made.rows = made.filled + missing
        return made

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Cells:
        """Those of a column: words without blanks around them, numbers that are finite."""
        pa = require("pyarrow", extra="tabular")
        pc = require("pyarrow.compute", extra="tabular")
        types = pa.types
        if types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if types.is_null(column.type) or types.is_large_string(column.type):
            column = column.cast(pa.string())
        if not len(column):
            return cls(pa.array([], column.type), np.zeros(0, dtype=np.int64))
        coded = pa.chunked_array(column.dictionary_encode()).unify_dictionaries().combine_chunks()
        coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
        values = coded.dictionary
        codes = pc.fill_null(coded.indices, len(values)).to_numpy(zero_copy_only=False)
        codes = codes.astype(np.int64)
        if types.is_string(values.type):
            trimmed = pc.utf8_trim_whitespace(values)
            blank = pc.equal(trimmed, "").to_numpy(zero_copy_only=False)
            if blank.any() or not trimmed.equals(values):
                return cls._merged(trimmed, codes, blank)
        elif types.is_floating(values.type):
            numbers = values.to_numpy(zero_copy_only=False)
            if not np.isfinite(numbers).all():
                infinite = int(np.isinf(np.append(numbers, np.nan))[codes].sum())
                return cls._merged(values, codes, ~np.isfinite(numbers), infinite)
        return cls(values, codes)

    @classmethod
    def _merged(
        cls, values: pa.Array, codes: np.ndarray, gone: np.ndarray, infinite: int = 0
    ) -> Cells:
        """Equal values made one, and those that stand for nothing taken out."""
        pa = require("pyarrow", extra="tabular")
        again = values.dictionary_encode()
        place = again.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        kept = np.ones(len(again.dictionary), dtype=bool)
        kept[place[gone]] = False
        count = int(kept.sum())
        new = np.where(kept, np.cumsum(kept) - 1, count)
        table = np.append(new[place], count)
        return cls(again.dictionary.filter(pa.array(kept)), table[codes], infinite)

    @cached_property
    def is_text(self) -> bool:
        """Whether the values are words."""
        return require("pyarrow", extra="tabular").types.is_string(self.values.type)

    @cached_property
    def is_bool(self) -> bool:
        """Whether the values are true and false."""
        return require("pyarrow", extra="tabular").types.is_boolean(self.values.type)

    @cached_property
    def is_date(self) -> bool:
        """Whether the values are timestamps."""
        return require("pyarrow", extra="tabular").types.is_timestamp(self.values.type)

    @cached_property
    def numbers(self) -> np.ndarray:
        """(D,) float64, of values that are neither words nor timestamps."""
        pa = require("pyarrow", extra="tabular")
        pc = require("pyarrow.compute", extra="tabular")
        values = self.values.cast(pa.uint8()) if self.is_bool else self.values
        return pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)

    @cached_property
    def moments(self) -> np.ndarray:
        """(D,) datetime64[us], UTC, of timestamps."""
        pa = require("pyarrow", extra="tabular")
        return self.values.view(pa.int64()).to_numpy(zero_copy_only=False).view("datetime64[us]")

    @cached_property
    def texts(self) -> pa.StringArray:
        """(D,) the values as words: 3 for 3.0, true, 2012-01-31 or 2012-01-31 08:00:00."""
        pa = require("pyarrow", extra="tabular")
        if self.is_text:
            return self.values
        if pa.types.is_floating(self.values.type):
            words = [str(int(v)) if v.is_integer() else repr(v) for v in self.numbers.tolist()]
        elif self.is_date:
            is_whole = (self.moments == self.moments.astype("datetime64[D]")).all()
            words = np.datetime_as_string(self.moments, unit="D" if is_whole else "s").tolist()
            words = [word.replace("T", " ") for word in words]
        else:
            return self.values.cast(pa.string())
        return pa.array(words, pa.string())

    def shown(self, chosen: np.ndarray | int) -> str:
        """A value for a message, in quotes: that at a place, or the first where a mask (D,) is true."""
        place = chosen if isinstance(chosen, int) else int(np.flatnonzero(chosen)[0])
        return repr(shorten(self.texts[place].as_py()))

    def spread(self, values: np.ndarray, missing: Any) -> np.ndarray:
        """(N,) what each row has of (D,) something that is known of each value."""
        return np.append(values, np.array([missing], dtype=values.dtype))[self.codes]

    def count(self, chosen: np.ndarray) -> int:
        """Rows whose value is one of those where a mask (D,) is true."""
        return int(self.counts[chosen].sum())

    def matches(self, pattern: str) -> np.ndarray:
        """(D,) bool, whether a regular expression is found in the words."""
        pc = require("pyarrow.compute", extra="tabular")
        return pc.match_substring_regex(self.texts, pattern).to_numpy(zero_copy_only=False)

    def measured(self, measure: Callable[[pa.StringArray], pa.Array]) -> np.ndarray:
        """(D,) a number for each word."""
        return measure(self.texts).to_numpy(zero_copy_only=False)
