"""How often each value of a column occurs, counted batch by batch up to a bound of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.data.tables.reading import ROWS
from drivetrain.tabular.columns.cells import Cells

if TYPE_CHECKING:
    import pyarrow as pa

MOST_VALUES = 200_000
"""Different values of a column that are counted."""
TALLY_BYTES = 1 << 27
"""What the counts of all columns may take."""


class Tally:
    """How many rows have each value of a column, in all and of those that train, up to a bound.

    Args:
        most_bytes: that the values may take; beyond it, and beyond `MOST_VALUES` different ones, only the
            missing ones are counted on.
    """

    def __init__(self, most_bytes: int = TALLY_BYTES) -> None:
        self.most_bytes = most_bytes
        self.is_whole = True
        """Whether every value was counted."""
        self.rows = 0
        self.missing = np.zeros(2, dtype=np.int64)
        """Rows without a value: of all, and of those that train."""
        self._values: list[Any] = []
        self._counts: list[np.ndarray] = []
        self._merged = 0

    def add(self, column: pa.Array, trains: np.ndarray) -> None:
        """Count a batch; `trains` (N,) bool says which of its rows train."""
        self.rows += len(column)
        if not self.is_whole:
            gone = is_missing(column)
            self.missing += (int(gone.sum()), int((gone & trains).sum()))
            return
        pa = require("pyarrow", extra="tabular")
        cells = Cells.of(pa.chunked_array([column]))
        of_training = np.bincount(cells.codes[trains], minlength=cells.distinct + 1)
        self.missing += (cells.missing, int(of_training[cells.distinct]))
        self._values.append(cells.values)
        self._counts.append(np.stack([cells.counts, of_training[: cells.distinct]], axis=1))
        waiting = sum(len(values) for values in self._values) - self._merged
        if waiting > max(self._merged, ROWS):
            self._merge()

    def _merge(self) -> None:
        pa = require("pyarrow", extra="tabular")
        if len(self._values) > 1:
            coded = pa.concat_arrays(self._values).dictionary_encode()
            codes = coded.indices.to_numpy(zero_copy_only=False)
            counts = np.concatenate(self._counts)
            values = coded.dictionary
            sums = [np.bincount(codes, weights=counts[:, which]) for which in (0, 1)]
            self._values = [values]
            self._counts = [np.stack(sums, axis=1).round().astype(np.int64)]
        self._merged = sum(len(values) for values in self._values)
        taken = sum(values.nbytes for values in self._values) + 16 * self._merged
        if self._merged > MOST_VALUES or taken > self.most_bytes:
            self.is_whole, self._values, self._counts = False, [], []

    def counts(self) -> tuple[Any, np.ndarray] | None:
        """The values (D,), in the order in which rows first had them, and (D, 2) rows of each.

        None where there were too many.
        """
        if self.is_whole:
            self._merge()
        return (self._values[0], self._counts[0]) if self.is_whole and self._values else None

    def cells(self) -> Cells | None:
        """The values of all rows, for what is decided of a column."""
        found = self.counts()
        return (
            None if found is None else Cells.counted(found[0], found[1][:, 0], int(self.missing[0]))
        )


def is_missing(column: pa.Array) -> np.ndarray:
    """(N,) bool: null, or a number that is not finite."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    gone = pc.is_null(column)
    if pa.types.is_floating(column.type):
        gone = pc.or_(gone, pc.invert(pc.fill_null(pc.is_finite(column), False)))
    return gone.to_numpy(zero_copy_only=False)
