"""A table as a patch leaves it: rows with another label, or without some.

    table, ids, applied = patched(table, ids, ["salary"], Patch.read("census.patch.json"))

A row is known by its cells as they are read, without the target: a table may be sorted anew, or another
column may be dropped from training, and a patch still fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.clean.patch import Applied, Patch
from drivetrain.clean.queue import row_hash
from drivetrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def hashes_of(table: pa.Table, targets: Sequence[str]) -> list[str]:
    """(N,) the hash of each row: of its cells but the targets."""
    names = [name for name in table.column_names if name not in targets]
    columns = [words_of(table.column(name)) for name in names]
    return [row_hash(dict(zip(names, cells, strict=True))) for cells in zip(*columns, strict=True)]


def words_of(column: Any) -> list[str | None]:
    """Cells as text; None where there is none."""
    return [None if value is None else str(value) for value in column.to_pylist()]


def patched(
    table: pa.Table, ids: np.ndarray, targets: Sequence[str], patch: Patch
) -> tuple[pa.Table, np.ndarray, Applied]:
    """A table that was read, and where its rows stand, as a patch leaves them; the file stays as it is.

    Raises: DataError: there are several targets.
    """
    if len(targets) != 1:
        raise DataError("A patch gives one label to a row, and this table has several targets.")
    pa = require("pyarrow", extra="tabular")
    place = table.column_names.index(targets[0])
    before = words_of(table.column(place))
    applied = patch.apply(hashes_of(table, targets), [word or "" for word in before])
    if applied.relabelled:
        column = [
            old if (old or "") == new else new
            for old, new in zip(before, applied.labels, strict=True)
        ]
        kind = table.schema.field(place).type
        table = table.set_column(place, targets[0], pa.array(column, pa.string()).cast(kind))
    kept = np.flatnonzero(np.array(applied.kept))
    return table.take(pa.array(kept)), ids[kept], applied
