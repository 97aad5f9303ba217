"""What items are called: from a table of items, or a column beside the ratings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from drivetrain.collab.table.columns import KNOWN
from drivetrain.collab.table.ids import Ids, as_id
from drivetrain.collab.table.rows import as_text
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import DataError

NAMED = ("title", "name", "label")
"""Words of a column's name that say that it holds titles."""


def read_titles(source: Any, ids: Ids) -> tuple[tuple[str, ...], list[str]]:
    """The title of each known item, its id where none is known; and sentences on what is missing.

    Args:
        source: id -> title; or a table (a path, a frame) with a column of ids, the first or the one that
            is named so, and a column called `title` or `name`, else the second. A file without a header
            is taken as it is.
        ids: the items.

    Returns: (I,) titles; that of the unknown item is "".
    Raises: DataError: the table cannot be read, has one column, or names none of the items.
    """
    found = _pairs(source)
    titles = tuple(found.get(name, name) if code else "" for code, name in enumerate(ids.names))
    missing = [name for name in ids.names[1:] if name not in found]
    if len(missing) == len(ids) - 1:
        raise DataError(
            f"{_named(source)} has a title for none of the {len(missing):,} items, such as "
            f"'{missing[0]}': are its ids those of the ratings?"
        )
    notes = []
    if missing:
        notes.append(f"{len(missing):,} items have no title, such as '{missing[0]}'.")
    return titles, notes


def _pairs(source: Any) -> dict[str, str]:
    if isinstance(source, Mapping) and all(isinstance(v, str) for v in source.values()):
        return {as_id(name): title for name, title in source.items()}
    table = open_table(source)
    if table.is_bare or _looks_bare(table.names):
        table = open_table(source, names=[f"column {n + 1}" for n in range(len(table.names))])
    if len(table.names) < 2:
        raise DataError(f"{_named(source)} has one column: titles need one of ids beside it.")
    key, title = id_column(table.names), _title_column(table.names)
    if key == title:
        key = next(name for name in table.names if name != title)
    columns = table.only([key, title]).read()
    names, titles = as_text(columns.column(key).combine_chunks()), columns.column(title)
    pairs = zip(names.to_pylist(), titles.to_pylist(), strict=True)
    return {name: str(said) for name, said in pairs if name is not None and said is not None}


def id_column(names: Sequence[str]) -> str:
    """The column of ids among those of a table of items: named so, else the first."""
    for name in names:
        words = name.lower().replace("_", " ").replace("id", " id").split()
        if words == ["id"] or (words[-1:] == ["id"] and words[0] in KNOWN["item"]):
            return name
    return names[0]


def _title_column(names: Sequence[str]) -> str:
    for word in NAMED:
        for name in names:
            if word in name.lower():
                return name
    return names[1]


def _looks_bare(names: Sequence[str]) -> bool:
    """Whether what was taken for a header is a row: its first cell is a number."""
    return names[0].strip().isdigit()


def _named(source: Any) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else "The table of titles"
