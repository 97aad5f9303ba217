"""The texts of a run as a patch may change their source itself: a folder of files, or a CSV.

    source = source_of(Run.open("runs/reviews").read())

Files move between class folders (`clean.inplace`), and rows of a CSV are written anew
(`clean.inplace_table`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivetrain.clean.inplace import Source
from drivetrain.clean.inplace_table import TableSource
from drivetrain.clean.queue import text_hash
from drivetrain.errors import DataError
from drivetrain.text.data import TextData, gather_again


def source_of(record: Mapping[str, Any]) -> Source | TableSource:
    """The texts of training and of validation of a run's source, as it is now; sealed ones are not among
    them.

    Args:
        record: `run.json`.

    Returns: a folder, or a CSV and which of its rows may change.
    Raises: DataError: the source is not there any more, or has no column of labels.
    """
    recipe = {name: value for name, value in record["data"].items() if name != "patch"}
    data = gather_again(recipe)
    if data.goal is None or data.goal.kind not in ("class", "number"):
        raise DataError(
            f"{data.source} has no one label for each text: it is not changed in place. Write a patch, "
            "and train with it: drivetrain clean RUN --apply; drivetrain train SOURCE --patch FILE"
        )
    hashes = _hashes(data)
    path = Path(str(recipe["source"]))
    if recipe["from"] == "folder":
        return Source(path, data.classes, lambda file: hashes.get(_id(file, path), ""))
    column = data.goal.name
    rows = {int(name.removeprefix("row ")) - 1: hash_ for name, hash_ in hashes.items()}
    return TableSource(
        path, column, rows, data.classes, recipe.get("delimiter"), recipe.get("encoding"), ()
    )


def _hashes(data: TextData) -> dict[str, str]:
    """Id -> hash of each text that trains or validates."""
    rows = [*data.split.train, *data.split.valid]
    return {data.ids[row]: text_hash(data.texts[row]) for row in rows}


def _id(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()
