"""What a recalculated workbook shows: the values of its cells, sheet by sheet.

LibreOffice writes each sheet as CSV, every number with 15 digits: that takes half of the time of another
workbook, and what it holds is read at once. The names of cells are those of the workbook as it was made.
"""

from __future__ import annotations

import csv
import re
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from openpyxl.utils.cell import coordinate_to_tuple

Value = float | int | str | None

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ERROR = re.compile(r"#(NAME|VALUE|REF|DIV|N/A|NUM|NULL)|Err:")


class Sheet:
    """One sheet; its file is read when it is first asked."""

    def __init__(self, title: str, path: Path) -> None:
        self.title = title
        self.path = path

    @cached_property
    def rows(self) -> list[tuple[Value, ...]]:
        """All rows, as long as the longest; None where a cell is empty."""
        with self.path.open(encoding="utf-8", newline="") as file:
            return [tuple(map(_value, line)) for line in csv.reader(file)]

    def at(self, row: int, column: int) -> Value:
        """The value of a cell, counted from 0; None where it is empty."""
        line = self.rows[row] if row < len(self.rows) else ()
        return line[column] if column < len(line) else None

    def __getitem__(self, cell: str) -> Value:
        """The value of `B5`."""
        row, column = coordinate_to_tuple(cell)
        return self.at(row - 1, column - 1)

    def problems(self) -> list[str]:
        """Cells that hold an error."""
        return [
            f"{self.title}!row {row}, column {column}: {value}"
            for row, line in enumerate(self.rows, 1)
            for column, value in enumerate(line, 1)
            if isinstance(value, str) and _ERROR.match(value)
        ]


class Shown:
    """A workbook: `shown["Sheet"]` is one of its sheets.

    Args:
        workbook: as it was made.
        folder: of the CSV files, `<workbook>-<sheet>.csv`.
    """

    def __init__(self, workbook: Path, folder: Path) -> None:
        with zipfile.ZipFile(workbook) as parts:
            book = ElementTree.fromstring(parts.read("xl/workbook.xml"))
        titles = [sheet.attrib["name"] for sheet in book.iter(f"{_MAIN}sheet")]
        self.sheets = {
            title: Sheet(title, folder / f"{workbook.stem}-{title}.csv") for title in titles
        }
        self._names = {
            name.attrib["name"]: name.text or "" for name in book.iter(f"{_MAIN}definedName")
        }

    def __getitem__(self, sheet: str) -> Sheet:
        return self.sheets[sheet]

    def named(self, name: str) -> Any:
        """The value of the cell that has a defined name."""
        sheet, _, cell = self._names[name].replace("$", "").rpartition("!")
        return self.sheets[sheet.strip("'").replace("''", "'")][cell]

    def problems(self) -> list[str]:
        """Cells that hold an error, in a file that was recalculated."""
        return [problem for sheet in self.sheets.values() for problem in sheet.problems()]


def _value(text: str) -> Value:
    if text.lstrip("-").isdecimal():
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text or None
