"""A workbook with live formulas: what every sheet of Drivetrain is written with, over XlsxWriter.

Cells are kept in memory, each with the value that Python computed, and written at once by `save`: so a
viewer without an engine shows the same numbers, and an engine recalculates them. Three rules hold for
every file:

- Text is text. What comes from data never becomes a formula, a link or a number, whatever it begins with.
- Inputs are coloured and unlocked, and remembered on the sheet `Made with`: while one of them differs
  from what it was, the checks say CHANGED and not WRONG.
- A sheet is as wide as a screen: columns are made narrower and numbers shorter until it fits 1280 pixels.

    book = Workbook("A sum", "Two numbers and their sum.")
    book.guide(what="One sheet.", change=[("first to 5", "The sum is 7.")])
    sheet = book.sheet("Sum")
    sheet.text(0, 0, "first")
    sheet.input(0, 1, 1.0, name="first")
    sheet.formula(1, 1, "first+2", 3.0)
    sheet.check("the sum", "B2", 3.0)
    book.save("sum.xlsx")
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat

from drivetrain.sheets.places import at, block

if TYPE_CHECKING:
    from drivetrain.store import StrPath

Style = Literal["title", "head", "note", "index"]
Value = SupportsFloat | str | None
"""What an input may hold; None is an empty cell."""

GUIDE, MADE = "Guide", "Made with"


@dataclass(frozen=True)
class Cell:
    """A cell as it will be written."""

    kind: Literal["text", "input", "number", "formula", "array", "inside"]
    value: float | str | None
    formula: str = ""
    style: str = ""
    note: str = ""
    shape: tuple[int, int] = (1, 1)  # of an array formula
    format: str = ""


@dataclass(frozen=True)
class Check:
    """A result beside the value that Python has for it."""

    label: str
    cell: str
    expected: float
    tolerance: float
    place: tuple[int, int] | None


@dataclass(frozen=True)
class Chart:
    """A chart of lines."""

    title: str
    series: tuple[tuple[str, str], ...]  # name, range
    x: str
    place: tuple[int, int]
    x_title: str
    y_title: str
    log: bool
    size: tuple[int, int]
    markers: bool


class Workbook:
    """The sheets of one file, in the order in which they were made; the guide comes first.

    Args:
        title: name of the workbook, at the top of the guide.
        about: one sentence under it.
    """

    def __init__(self, title: str, about: str) -> None:
        self.title, self.about = title, about
        self.sheets: list[Sheet] = []
        self.names: dict[str, str] = {}
        """Defined name -> what it stands for, such as `Fit!$B$2`."""
        self.what = ""
        self.change: tuple[tuple[str, str], ...] = ()

    def sheet(self, name: str) -> Sheet:
        """A new sheet. Raises: ValueError: the name is taken, or no spreadsheet allows it."""
        taken = {one.name.lower() for one in self.sheets} | {GUIDE.lower(), MADE.lower()}
        if (
            not 0 < len(name) <= 31
            or re.search(r"[\[\]:*?/\\]|^'|'$", name)
            or name.lower() in taken
        ):
            raise ValueError(f"'{name}' is taken, or no name for a sheet.")
        made = Sheet(self, name)
        self.sheets.append(made)
        return made

    def guide(self, *, what: str, change: Sequence[tuple[str, str]]) -> None:
        """Say what the sheets hold, and what to try: (change this, watch that) for each line."""
        self.what, self.change = what, tuple(change)

    def define(self, name: str, where: str) -> None:
        """Give cells a name that formulas can use.

        Args:
            name: as formulas call it.
            where: cells, such as `Fit!B2`.

        Raises: ValueError: it is taken, or a spreadsheet reads it as a cell (`lr1` is one).
        """
        is_cell = re.fullmatch(r"[A-Za-z]{1,3}\d+|[rRcC]\d*|[rR]\d*[cC]\d*", name)
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or is_cell:
            raise ValueError(f"'{name}' is no name that a formula can use.")
        if name.lower() in {one.lower() for one in self.names}:
            raise ValueError(f"The name '{name}' is taken.")
        self.names[name] = where

    def value(self, where: str) -> float | str | None:
        """Python's value of a cell or of a defined name: `lr`, `Fit!B2`.

        Args:
            where: a cell with its sheet, or a defined name.
        """
        sheet, _, cell = (
            self.names.get(where, where).replace("$", "").replace("'", "").rpartition("!")
        )
        for one in self.sheets:
            if one.name == sheet:
                return one.value(cell)
        raise KeyError(where)

    def save(self, path: StrPath) -> Path:
        """Write the file; one that is there is replaced.

        Args:
            path: of the file.

        Returns: the path.
        Raises: MissingPackageError: XlsxWriter is not installed. StorageError: the disk refused.
        """
        from drivetrain import store
        from drivetrain.sheets.writing import workbook_bytes

        store.write_bytes(path, workbook_bytes(self))
        return Path(path)


@dataclass
class Sheet:
    """One sheet. Rows and columns count from 0; formulas are written without the `=`."""

    book: Workbook
    name: str
    cells: dict[tuple[int, int], Cell] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    heats: list[tuple[str, str]] = field(default_factory=list)
    blocks: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Blocks of inputs: row, column, rows, columns."""
    pixels: dict[int, int] = field(default_factory=dict)
    frozen: tuple[int, int] | None = None

    def text(self, row: int, column: int, text: str, *, style: Style | None = None) -> None:
        """Words. They never become a formula, whatever they begin with."""
        self._put(row, column, Cell("text", str(text), style=style or ""))

    def input(
        self, row: int, column: int, value: Value, *, name: str | None = None, note: str = ""
    ) -> None:
        """A cell that the reader may change: coloured, unlocked.

        Args:
            name: what formulas call it.
            note: what it may be; shown beside it where there is room, and when it is chosen.
        """
        self._put(row, column, Cell("input", _plain(value), note=note))
        self.blocks.append((row, column, 1, 1))
        if name is not None:
            self.define(name, row, column)

    def inputs(self, row: int, column: int, values: Sequence[Sequence[Value]]) -> None:
        """A block of inputs without names, row by row."""
        for i, line in enumerate(values):
            for j, value in enumerate(line):
                self._put(row + i, column + j, Cell("input", _plain(value)))
        self.blocks.append((row, column, len(values), len(values[0])))

    def number(
        self,
        row: int,
        column: int,
        value: SupportsFloat,
        *,
        style: Style | None = None,
        format: str = "",
    ) -> None:
        """A constant of the data. Raises: ValueError: it is not finite."""
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{self.name}!{at(row, column)} is {number}: no cell can hold that.")
        self._put(row, column, Cell("number", number, style=style or "", format=format))

    def formula(
        self, row: int, column: int, formula: str, value: SupportsFloat | str, *, format: str = ""
    ) -> None:
        """A formula, and what it gives as computed in Python.

        Args:
            format: how a number is shown, such as "0.0%"; by default as its size asks for.
        """
        self._put(row, column, Cell("formula", _plain(value), formula.lstrip("="), format=format))

    def array(
        self,
        row: int,
        column: int,
        rows: int,
        columns: int,
        formula: str,
        values: Sequence[Sequence[SupportsFloat]],
    ) -> None:
        """A formula that fills a block of cells, such as MMULT."""
        for i in range(rows):
            for j in range(columns):
                first = not i and not j
                kind, shape = ("array", (rows, columns)) if first else ("inside", (1, 1))
                value = _plain(values[i][j])
                text = formula.lstrip("=") if first else ""
                self._put(row + i, column + j, Cell(kind, value, text, shape=shape))

    def define(self, name: str, row: int, column: int, rows: int = 1, columns: int = 1) -> None:
        """Give a cell, or a block of cells, a name that formulas can use."""
        if rows == columns == 1:
            self.book.define(name, at(row, column, sheet=self.name))
        else:
            self.book.define(name, block(row, column, rows, columns, sheet=self.name))

    def check(
        self,
        label: str,
        cell: str,
        expected: SupportsFloat,
        *,
        tolerance: float = 1e-6,
        place: tuple[int, int] | None = None,
    ) -> None:
        """A line of the Check block under the sheet: cell, Python's value, difference, OK or WRONG.

        Args:
            cell: a cell of this sheet, or an expression.
            expected: what Python has; it is right for the inputs that the file is made with.
            tolerance: times the larger of 1 and |expected|.
            place: put Python's value and the verdict here and in the next cell, in place of a line in
                the block: for a table whose every row is checked.
        """
        self.checks.append(Check(label, cell, float(expected), tolerance, place))
        if place is not None:
            self._put(*place, Cell("number", float(expected), style="expected"))
            self._put(
                place[0], place[1] + 1, Cell("inside", "")
            )  # its verdict, written with the checks

    def chart(
        self,
        title: str,
        series: Sequence[tuple[str, str]],
        *,
        x: str,
        place: tuple[int, int],
        x_title: str = "step",
        y_title: str = "",
        log: bool = False,
        size: tuple[int, int] = (520, 300),
        markers: bool = False,
    ) -> None:
        """A chart of lines over cells.

        Args:
            series: (name, range) of each line; ranges as `places.block` writes them.
            x: the range along the horizontal axis.
            place: row and column of its upper left corner.
            log: a logarithmic vertical axis.
            size: width and height, pixels.
            markers: points without lines.
        """
        shown = Chart(title, tuple(series), x, place, x_title, y_title, log, size, markers)
        self.charts.append(shown)

    def heat(
        self, row: int, column: int, rows: int, columns: int, *, kind: Literal["", "signed"] = ""
    ) -> None:
        """Colour a block by its numbers: white to blue, or with `signed` red over white to blue."""
        self.heats.append((block(row, column, rows, columns).replace("$", ""), kind))

    def widths(self, first: int, last: int, characters: float) -> None:
        """Fix the width of columns, as for so many digits; by default it follows from what they hold."""
        for column in range(first, last + 1):
            self.pixels[column] = round(7 * characters + 5)

    def freeze(self, row: int, column: int = 0) -> None:
        """Keep the rows above and the columns left of this cell in sight."""
        self.frozen = (row, column)

    def cell(self, row: int, column: int) -> str:
        """`C4`, for row 3 and column 2."""
        return at(row, column)

    def value(self, cell: str) -> float | str | None:
        """Python's value of a cell such as `C4`."""
        letters, digits = re.fullmatch(r"([A-Z]+)(\d+)", cell.replace("$", "")).groups()  # type: ignore[union-attr]
        column = 0
        for letter in letters:
            column = 26 * column + ord(letter) - ord("A") + 1
        return self.cells[int(digits) - 1, column - 1].value

    def _put(self, row: int, column: int, cell: Cell) -> None:
        if (row, column) in self.cells:
            raise ValueError(f"{self.name}!{at(row, column)} is written twice.")
        self.cells[row, column] = cell


def _plain(value: Any) -> float | str | None:
    """A number, text or nothing, as a cell holds it."""
    return value if value is None or isinstance(value, str) else float(value)
