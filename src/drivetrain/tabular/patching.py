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

    Raises: DataError: there are several targets, and a change does not say of which it is.
    """
    pa = require("pyarrow", extra="tabular")
    hashes = hashes_of(table, targets)
    made = []
    for name in targets:
        place = table.column_names.index(name)
        before = words_of(table.column(place))
        own = patch if len(targets) == 1 else _of_target(patch, name, is_first=name == targets[0])
        applied = own.apply(hashes, [word or "" for word in before], name)
        made.append(applied)
        if applied.relabelled:
            column = [
                old if (old or "") == new else new
                for old, new in zip(before, applied.labels, strict=True)
            ]
            kind = table.schema.field(place).type
            table = table.set_column(place, name, pa.array(column, pa.string()).cast(kind))
    others = [name for name in patch.targets if name not in targets]
    applied = Applied.of_targets(made, others)
    kept = np.flatnonzero(np.array(applied.kept))
    return table.take(pa.array(kept)), ids[kept], applied


def _of_target(patch: Patch, name: str, *, is_first: bool) -> Patch:
    """What a patch says of one of several targets; the first has the rows that are left out as well."""
    for item, change in patch.changes.items():
        if change.label is not None or change.was is not None:
            raise DataError(
                f"The patch changes {change.name or item[:12]}, and does not say of which target. Decide "
                "it once more in a run of all targets, with `drivetrain clean RUN`: its patch says so."
            )
    return Patch(patch.changes if is_first else {}, {name: patch.targets.get(name, {})})
