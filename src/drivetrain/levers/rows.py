"""The rows that a decision is for, from a CSV file, with the kinds of columns that the data has.

Columns that the data has are read as it has them: numbers, dates (ISO 8601) or words. Another column,
which only the objective uses, holds numbers where all its cells are numbers, else words. An empty
cell, `NA` and `NaN` are missing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drivetrain._strict import shown
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import DataError

MISSING = frozenset(("", "NA", "N/A", "NaN", "nan", "null", "None"))
FILE_BYTES = 256 << 20


def read_rows(path: str | Path, *, like: Frame) -> Frame:
    """The rows of a CSV file, whose first line has the names.

    Args:
        path: the file, UTF-8, at most 256 MiB.
        like: the data whose kinds of columns count. A word that it never has stays what it is.
    Raises: DataError: the file cannot be read, a line has too few or too many cells, a cell is no number.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text, at byte {error.start}.") from error
    if len(data) > FILE_BYTES:
        raise DataError(f"{path} is larger than {FILE_BYTES >> 20} MiB. Take a sample of its rows.")
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error}.") from error
    if len(lines) < 2:
        raise DataError(f"{path} has no rows below its line of names.")
    names, rows = lines[0], lines[1:]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise DataError(f"{path} has the column {shown(twins[0])} more than once.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise DataError(f"{path}, row {number}: {len(row)} cells under {len(names)} names.")
    cells = zip(*rows, strict=True)
    return Frame(
        {name: _column(name, column, like, path) for name, column in zip(names, cells, strict=True)}
    )


def _column(name: str, cells: Sequence[str], like: Frame, path: Path) -> Values:
    words = [None if cell.strip() in MISSING else cell for cell in cells]
    if name not in like:
        try:
            return _numbers(words)
        except ValueError:
            return Factor.of(words)
    known = like[name]
    if isinstance(known, Factor):
        new = sorted({word for word in words if word is not None}.difference(known.levels))
        return Factor.of(words, [*known.levels, *new])
    try:
        if known.dtype.kind == "f":
            return _numbers(words)
        return np.array(["NaT" if w is None else w.strip() for w in words], dtype="datetime64[us]")
    except ValueError:
        for number, word in enumerate(words, start=1):
            if word is not None and not _is_of(known.dtype.kind, word):
                what = "number" if known.dtype.kind == "f" else "date, such as 2026-01-31"
                raise DataError(
                    f"{path}, row {number}: {name!r} is {shown(word)}, no {what}."
                ) from None
        raise


def _numbers(words: Sequence[str | None]) -> np.ndarray:
    return np.array([np.nan if word is None else float(word) for word in words], dtype=np.float64)


def _is_of(kind: str, word: str) -> bool:
    try:
        float(word) if kind == "f" else np.datetime64(word.strip(), "us")
    except ValueError:
        return False
    return True
