"""Rows whose labels a patch corrected, in the script of their run: by their positions in the file.

The library's own functions read the table again and apply the patch; the script is told what that
changed. It changes cells before they become values, as the library does. See `eject.corrections`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.clean.patch import Patch
from drivetrain.data.tables.reading import open_table
from drivetrain.eject.corrections import Corrections
from drivetrain.tabular.columns.kinds import parse_frame
from drivetrain.tabular.ejecting.reading import Reading, are_equal, unreadable
from drivetrain.tabular.patching import patched, words_of

if TYPE_CHECKING:
    import pyarrow as pa

    from drivetrain.tabular.data import TabularData


def correct(data: TabularData, reading: Reading, names: Sequence[str]) -> Corrections:
    """What the patch of a run did to its rows; `reading.frame` becomes what it left.

    Args:
        data: of the run, read from a file.
        reading: how the script reads the file.
        names: the columns that it reads, in the order of the table.

    Raises: EjectError: the rows would not become those of the run.
    """
    asked, path = data.recipe.get("patch"), Path(data.source)
    if asked is None:
        return Corrections()
    pa = require("pyarrow", extra="tabular")
    recipe, targets = data.recipe, data.target.names
    options = {name: recipe[name] for name in ("delimiter", "encoding", "missing")}
    before = open_table(path, **options).read()
    every = np.arange(before.num_rows)
    after, kept, _ = patched(before, every, targets, Patch.of_setting(asked))
    left_out = sorted(set(every.tolist()) - set(kept.tolist()))
    table = reading.table(path, names)
    fixed, relabelled = table, dict[int, dict[str, Any]]()
    try:
        for target in targets:
            old, new = words_of(before.column(target)), words_of(after.column(target))
            rows = zip(kept.tolist(), new, strict=True)
            changed = {row: word for row, word in rows if word != old[row]}
            kind = table.column(target).type
            cells = pa.array(list(changed.values()), pa.string())
            cells = cells if pa.types.is_dictionary(kind) else cells.cast(kind)
            labels = dict(zip(changed, cells.to_pylist(), strict=True))
            fixed = with_labels(fixed, target, labels)
            for row, label in labels.items():
                relabelled.setdefault(row, {})[target] = label
        fixed = without(fixed, left_out)
        columns = {name: way.values(fixed[name]) for name, way in reading.ways.items()}
    except (pa.ArrowException, ValueError) as error:
        said = " and ".join(f"'{target}'" for target in targets)
        raise unreadable(path, f"labels that a patch gives {said}") from error
    reading.frame, _ = parse_frame(after, data.schema, names=names)
    for name, values in columns.items():
        if not are_equal(values, reading.frame[name]):
            raise unreadable(path, f"its column '{name}', as a patch leaves it")
    found = found_rows(table, [*relabelled, *left_out])
    one = {row: labels[targets[0]] for row, labels in relabelled.items() if len(targets) == 1}
    return Corrections(one or dict(sorted(relabelled.items())), tuple(left_out), found)


# --- what a script calls --------------------------------------------------------------------------


def found_rows(table: pa.Table, rows: Collection[int]) -> list[Any]:
    """[position, cells] of rows of a table; of one that it does not have, the position alone."""
    return [[row, *table.slice(row, 1).to_pylist()] for row in sorted(rows)]


def with_labels(table: pa.Table, target: str, relabelled: Mapping[int, Any]) -> pa.Table:
    """The table with other labels in some rows."""
    pa = require("pyarrow", extra="tabular")
    labels = table[target].to_pylist()
    for row, label in relabelled.items():
        labels[row] = label
    column = pa.array(labels, table[target].type)
    return table.set_column(table.column_names.index(target), target, column)


def with_targets(
    table: pa.Table, targets: Sequence[str], relabelled: Mapping[int, Mapping[str, Any]]
) -> pa.Table:
    """The table with other labels of some targets in some rows."""
    for target in targets:
        own = {row: labels[target] for row, labels in relabelled.items() if target in labels}
        table = with_labels(table, target, own)
    return table


def without(table: pa.Table, rows: Collection[int]) -> pa.Table:
    """The table without some rows."""
    return table.take(np.delete(np.arange(len(table)), list(rows)))
