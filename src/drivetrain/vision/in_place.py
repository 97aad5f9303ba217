"""The CSV of a run of pictures as a patch may change it itself; see `clean.inplace_table`.

done = inplace_table.apply(patch, source_of("runs/leaves"))

A row is known by the content of its picture, as in a patch. Pictures themselves are not moved.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.clean.inplace_table import TableSource
from drivetrain.data.items import item_id
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import DataError
from drivetrain.train.run import Run


def source_of(folder: store.StrPath) -> TableSource:
    """The rows of training and of validation of a run's CSV, as it is now; none that are sealed.

    Args:
        folder: of the run.

    Returns: the file, its columns of labels, and which of its rows may change.
    Raises: DataError: it is not there any more, or has no such columns. MissingPackageError: there is
        nothing to read tables with.
    """
    run = Run.open(folder)
    record, split = run.read(), run.read_split()
    recipe: Mapping[str, Any] = record["data"]
    path = Path(str(recipe["source"]))
    if not path.is_file():
        raise DataError(f"{path} is not there any more. Put it back.")
    names, classes = _targets_of(record)
    opened = open_table(path, missing=())
    table = opened.read()
    for column in (recipe["path_column"], *names):
        if column not in table.column_names:
            raise DataError(
                f"{path} has no column {column!r} any more. Put it back, or train anew."
            )
    known = {*split.get("train", ()), *split.get("valid", ())}
    root = Path(str(recipe["folder"]))
    hashes: dict[int, str] = {}
    said = table.column(recipe["path_column"]).to_pylist()
    for row, word in zip(opened.row_ids.tolist(), said, strict=True):
        picture = root / str(word or "").strip().replace("\\", "/")
        if _name_of(picture, root) in known and picture.is_file():
            hashes[int(row)] = store.file_sha256(picture)
    targets = dict(zip(names, classes, strict=True)) if recipe.get("targets") else {}
    return TableSource(path, names[0], hashes, classes[0], missing=(), targets=targets)


def _targets_of(record: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Columns of labels, and the labels that may stand in each."""
    recipe, task = record["data"], record["task"]
    if recipe.get("targets"):
        names = tuple(map(str, recipe["targets"]))
        return names, tuple(tuple(map(str, task["targets"][name])) for name in names)
    return (str(recipe["label_column"]),), (tuple(map(str, task["classes"])),)


def _name_of(picture: Path, root: Path) -> str:
    """Its id, as `vision.sources` gives it."""
    return posixpath.normpath(item_id(picture.absolute(), root.absolute()))
