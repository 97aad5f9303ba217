"""A `Workbook` as the bytes of an .xlsx file: formats, widths, checks, the guide.

XlsxWriter writes it. What a person's data brings goes through `write_string` alone, and names of charts
and of series that begin like a formula get a blank before them.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from drivetrain._optional import require
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import GUIDE, MADE, Cell, Sheet, Workbook

SCREEN = 1210
"""Pixels for the columns of a sheet on a screen of 1280: the rest is row numbers and the scroll bar."""

WHEN = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
"""The time of making that is written into files: the same workbook gives the same bytes."""

_FONT = {"font_name": "Arial", "font_size": 10, "valign": "top"}
_LOOKS: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 14},
    "head": {"bold": True, "font_color": "#333333"},
    "note": {"italic": True, "font_color": "#555555"},
    "index": {"font_color": "#777777"},
    "expected": {"font_color": "#777777", "italic": True},
    "input": {
        "bg_color": "#FFF2CC",
        "font_color": "#1F4E9E",
        "locked": False,
        "border": 1,
        "border_color": "#D6B656",
    },
    "verdict": {"bold": True, "align": "center"},
    "link": {"font_color": "#1F4E9E", "underline": 1},
    "right": {"align": "right"},
    "apart": {"indent": 1},
    "wrap": {"text_wrap": True},
}
_VERDICTS = {
    "OK": {"bg_color": "#D5E8D4", "font_color": "#1B5E20"},
    "WRONG": {"bg_color": "#F8CECC", "font_color": "#B71C1C"},
    "CHANGED": {"bg_color": "#FFE6CC", "font_color": "#8A4B00"},
}
_DECIMALS = (4, 3, 2, 1)
_FAR = {4: "0.00E+00", 3: "0.00E+00", 2: "0.0E+00", 1: "0E+00"}
"""How numbers are shown that so many decimals do not suit."""
_HEAD_ROWS = 2
"""Above the lines of a Check block: its title, and the names of its columns."""


def workbook_bytes(book: Workbook) -> bytes:
    """The file. Raises: MissingPackageError: XlsxWriter is not installed."""
    xlsxwriter = require("xlsxwriter", extra="sheets")
    buffer = io.BytesIO()
    file = xlsxwriter.Workbook(
        buffer, {"in_memory": True, "default_format_properties": dict(_FONT)}
    )
    file.set_properties({"title": book.title, "created": WHEN})
    file.set_calc_mode("auto")
    writer = _Writer(file, book)
    writer.write()
    file.close()
    return buffer.getvalue()


class _Writer:
    """Everything of one file while it is written."""

    def __init__(self, file: Any, book: Workbook) -> None:
        self.file, self.book = file, book
        self.formats: dict[tuple[str, ...], Any] = {}
        self.verdicts: dict[str, list[str]] = {one.name: [] for one in book.sheets}
        """Sheet -> the cells that say OK, as ranges."""
        self.lines: dict[str, int] = {}
        """Sheet -> first row of its Check block."""

    def format(self, *names: str, number: str = "") -> Any:
        """A cell format, made once."""
        key = (*names, number)
        if key not in self.formats:
            look: dict[str, Any] = dict(_FONT)
            for name in names:
                look |= _LOOKS[name]
            if number:
                look["num_format"] = number
            self.formats[key] = self.file.add_format(look)
        return self.formats[key]

    def write(self) -> None:
        """All sheets; the guide is written last, since it counts the checks, and stands first."""
        guide = self.file.add_worksheet(GUIDE)
        pages = [self.file.add_worksheet(sheet.name) for sheet in self.book.sheets]
        made = self.file.add_worksheet(MADE)
        self._made_with(made)
        for sheet, page in zip(self.book.sheets, pages, strict=True):
            _SheetWriter(self, sheet, page).write()
        self._guide(guide)
        for name, where in self.book.names.items():
            self.file.define_name(name, f"={where}")
        for page in (guide, *pages, made):
            page.hide_gridlines(2)
            page.set_landscape()
            page.set_paper(9)
            page.set_margins(0.3, 0.3, 0.4, 0.4)
            page.fit_to_pages(1, 0)
            free = ("format_cells", "format_columns", "format_rows", "select_unlocked_cells")
            page.protect("", dict.fromkeys(free, True))

    # --- the guide ------------------------------------------------------------------------------------

    def _guide(self, page: Any) -> None:
        book = self.book
        wrap, head = self.format("wrap"), self.format("head")
        page.set_column_pixels(0, 0, 330, self.format())
        page.set_column_pixels(1, 1, 700, self.format())
        page.set_column_pixels(2, 2, 120, self.format())
        page.write_string(0, 0, book.title, self.format("title"))
        page.write_string(1, 0, book.about)
        row = 3
        page.write_string(row, 0, "All checks of this file", head)
        self._all_checks(page, row)
        page.write_string(row + 1, 0, "a cell of this colour", self.format("input"))
        page.write_string(
            *(
                row + 1,
                1,
                "is yours to change. Everything else follows from it by formulas; they are",
            ),
        )
        page.write_string(
            *(
                row + 2,
                1,
                "locked without a password (Review, Unprotect sheet). No macros, no solver.",
            ),
        )
        row += 4
        page.write_string(row, 0, "What the sheets hold", head)
        page.write_string(row, 1, book.what, wrap)
        page.set_row_pixels(row, _height(book.what, 700))
        row += 2
        page.write_string(row, 0, "Change this", head)
        page.write_string(row, 1, "and watch that", head)
        for line, (change, watch) in enumerate(book.change, start=row + 1):
            page.write_string(line, 0, change, wrap)
            page.write_string(line, 1, watch, wrap)
            page.set_row_pixels(line, max(_height(change, 330), _height(watch, 700)))
        row += len(book.change) + 2
        page.write_string(row, 0, "Sheet", head)
        page.write_string(row, 1, "checks that are OK, of how many", head)
        for line, sheet in enumerate(book.sheets, start=row + 1):
            link = f"internal:'{sheet.name}'!A1"
            page.write_url(line, 0, link, self.format("link"), sheet.name)
            ranges, count = self.verdicts[sheet.name], len(sheet.checks)
            if not count:
                continue
            good = sum(self._is_right(sheet, index) for index in range(count))
            formula = f'={self._counted(ranges, "OK")}&" of {count}"'
            page.write_formula(line, 1, formula, None, f"{good} of {count}")
            if sheet.name in self.lines:
                link = f"internal:'{sheet.name}'!A{self.lines[sheet.name] + 1}"
                page.write_url(line, 2, link, self.format("link"), "its Check block")
        page.activate()

    def _all_checks(self, page: Any, row: int) -> None:
        ranges = [one for sheet in self.book.sheets for one in self.verdicts[sheet.name]]
        count = sum(len(sheet.checks) for sheet in self.book.sheets)
        right = sum(
            self._is_right(sheet, index)
            for sheet in self.book.sheets
            for index in range(len(sheet.checks))
        )
        good = self._counted(ranges, "OK") if ranges else "0"
        said = f"OK: all {count} checks" if right == count else f"WRONG: {count - right} of {count}"
        changed = "changed input cells: the checks wait until they are as the file was made"
        formula = (
            f'=IF(inputs_changed>0,"CHANGED: "&inputs_changed&" {changed}",'
            f'IF({good}={count},"OK: all {count} checks","WRONG: "&({count}-({good}))&" of {count}"))'
        )
        page.write_formula(row, 1, formula, self.format("wrap"), said)
        self.file.define_name("all_checks", f"={at(row, 1, sheet=GUIDE)}")
        self._colour(page, row, 1, row, 1, begins=True)

    def _counted(self, ranges: list[str], verdict: str) -> str:
        return "+".join(f'COUNTIF({one},"{verdict}")' for one in ranges)

    def _is_right(self, sheet: Sheet, index: int) -> bool:
        check = sheet.checks[index]
        return _verdict(_value_of(sheet, check.cell, check.expected), check) == "OK"

    def _colour(
        self, page: Any, row: int, column: int, last: int, right: int, *, begins: bool = False
    ) -> None:
        """Green, red and amber for verdicts."""
        for verdict, look in _VERDICTS.items():
            rule: dict[str, Any] = {"format": self._rule(verdict, look)}
            if begins:
                rule |= {"type": "text", "criteria": "begins with", "value": verdict}
            else:
                rule |= {"type": "cell", "criteria": "==", "value": f'"{verdict}"'}
            page.conditional_format(row, column, last, right, rule)

    def _rule(self, verdict: str, look: dict[str, Any]) -> Any:
        key = ("rule", verdict)
        if key not in self.formats:
            self.formats[key] = self.file.add_format(look)
        return self.formats[key]

    # --- what the file was made with ------------------------------------------------------------------

    def _made_with(self, page: Any) -> None:
        """The inputs as they are now, and how many cells differ from them."""
        page.set_column_pixels(0, 0, 200)
        page.write_string(0, 0, "The inputs as this file was made", self.format("title"))
        page.write_string(
            1, 0, "A check holds for these. Copy a value back from here to undo a change."
        )
        page.write_string(3, 0, "cells", self.format("head"))
        page.write_string(3, 1, "changed", self.format("head"))
        page.write_string(3, 2, "value", self.format("head"))
        first = row = 4
        for sheet in self.book.sheets:
            for top, left, rows, columns in sheet.blocks:
                name = block(top, left, rows, columns, sheet=sheet.name)
                shown = (
                    name.replace("$", "") if rows * columns > 1 else self._called(sheet, top, left)
                )
                page.write_string(row, 0, shown)
                copy = block(row, 2, rows, columns)
                page.write_formula(row, 1, f"=SUMPRODUCT(--({name}<>{copy}))", None, 0)
                for i in range(rows):
                    for j in range(columns):
                        value = sheet.cells[top + i, left + j].value
                        _write_value(page, row + i, 2 + j, value, self.format())
                row += rows
        count = f"=SUM({block(first, 1, max(1, row - first), 1)})"
        page.write_string(2, 0, "changed in all", self.format("head"))
        page.write_formula(2, 1, count, None, 0)
        self.file.define_name("inputs_changed", f"={at(2, 1, sheet=MADE)}")

    def _called(self, sheet: Sheet, row: int, column: int) -> str:
        where = at(row, column, sheet=sheet.name)
        named = [name for name, cell in self.book.names.items() if cell == where]
        return f"{named[0]}: {where}".replace("$", "") if named else where.replace("$", "")


class _SheetWriter:
    """One sheet while it is written."""

    def __init__(self, writer: _Writer, sheet: Sheet, page: Any) -> None:
        self.writer, self.sheet, self.page = writer, sheet, page
        self.rows: dict[int, list[int]] = {}
        for row, column in sorted(sheet.cells):
            self.rows.setdefault(row, []).append(column)
        self.columns = 1 + max((column for _, column in sheet.cells), default=0)
        self.decimals, self.wide = self._widths()
        self.fractions = {
            column
            for (_, column), cell in sheet.cells.items()
            if isinstance(cell.value, float)
            and cell.kind != "input"
            and not cell.value.is_integer()
        }
        """Columns with numbers that are not whole."""
        self.tall: dict[int, int] = {}
        """Pixels of the rows whose words are broken into lines."""

    def write(self) -> None:
        """Widths, cells, colours, charts, and the Check block under all of it."""
        for column in range(max(self.columns, 1)):
            self.page.set_column_pixels(column, column, self._width(column))
        for (row, column), cell in self.sheet.cells.items():
            self._cell(row, column, cell)
        for area, kind in self.sheet.heats:
            ends = {"min_color": "#F4A582", "mid_color": "#FFFFFF", "max_color": "#92C5DE"}
            rule = (
                {"type": "3_color_scale", "mid_type": "num", "mid_value": 0, **ends}
                if kind
                else {"type": "2_color_scale", "min_color": "#FFFFFF", "max_color": "#7FB2E5"}
            )
            self.page.conditional_format(area, rule)
        for chart in self.sheet.charts:
            self._chart(chart)
        if self.sheet.frozen is not None:
            self.page.freeze_panes(*self.sheet.frozen)
        self._placed_checks()
        self._check_block()

    # --- widths ---------------------------------------------------------------------------------------

    def _width(self, column: int) -> int:
        return self.wide.get(column, 64)

    def _widths(self) -> tuple[int, dict[int, int]]:
        """How many decimals are shown, and the pixels of each column: the first that fit the screen."""
        decimals, wide = _DECIMALS[-1], {}
        for decimals in _DECIMALS:
            wide = self._needed(decimals)
            if sum(wide.values()) <= SCREEN:
                break
        return decimals, wide

    def _needed(self, decimals: int) -> dict[int, int]:
        need = dict.fromkeys(range(self.columns), 28)
        for (_, column), cell in self.sheet.cells.items():
            if cell.kind != "text" and cell.value is not None:
                shown = _shown(cell, decimals)
                need[column] = max(need[column], 7 * len(shown) + 9)
        for (row, column), cell in self.sheet.cells.items():
            if cell.kind == "text" and self._neighbour(row, column) == column + 1:
                longest = max(map(len, str(cell.value).split()), default=0)
                letters = longest if cell.style == "head" else len(str(cell.value))
                need[column] = max(need[column], min(6.4 * letters + 9, 250).__ceil__())
        return {**need, **{c: w for c, w in self.sheet.pixels.items() if c < self.columns}}

    def _neighbour(self, row: int, column: int) -> int:
        """The next cell to the right that is not empty; beyond the last column where there is none."""
        return next((c for c in self.rows[row] if c > column), 10_000)

    # --- cells ----------------------------------------------------------------------------------------

    def _cell(self, row: int, column: int, cell: Cell) -> None:
        page, form = self.page, self.writer.format
        if cell.kind == "text":
            self._text(row, column, cell)
        elif cell.kind == "input":
            _write_value(page, row, column, cell.value, form("input", number=cell.format))
            self._note(row, column, cell)
        elif cell.kind == "number":
            number = cell.format or ("" if cell.style != "expected" else self._number(cell, column))
            looks = (cell.style,) if cell.style else ()
            page.write_number(row, column, float(cell.value or 0), form(*looks, number=number))
        elif cell.kind == "formula":
            look = form(number=self._number(cell, column))
            page.write_formula(row, column, f"={cell.formula}", look, _stored(cell.value))
        elif cell.kind == "array":
            rows, columns = cell.shape
            last = (row + rows - 1, column + columns - 1)
            look = form(number=self._number(cell, column))
            page.write_array_formula(
                *(row, column, *last, f"{{={cell.formula}}}", look, _stored(cell.value)),
            )
            for i in range(rows):  # what the other cells of the block show until it is recalculated
                for j in range(columns):
                    inside = self.sheet.cells[row + i, column + j]
                    if (i or j) and isinstance(inside.value, float) and math.isfinite(inside.value):
                        look = form(number=self._number(inside, column + j))
                        page.write_number(row + i, column + j, inside.value, look)

    def _number(self, cell: Cell, column: int) -> str:
        """How a number is shown: as it was asked for, or as its size asks for."""
        if cell.format or not isinstance(cell.value, float):
            return cell.format
        size = abs(cell.value)
        if size <= 1e-12 and cell.kind != "input":  # rounding: 0 here may be 1e-17 there
            return f"0.{'0' * self.decimals}" if column in self.fractions else "General"
        if size and _is_far(size, self.decimals) and not cell.value.is_integer():
            return _FAR[self.decimals]
        return "General" if cell.value.is_integer() else f"0.{'0' * self.decimals}"

    def _text(self, row: int, column: int, cell: Cell) -> None:
        """Words, over the empty cells beside them; broken into lines where there is no more room."""
        words, looks = str(cell.value), (cell.style,) if cell.style else ()
        letter = 9.0 if cell.style == "title" else 6.4
        after = self._neighbour(row, column)
        start = sum(self._width(c) for c in range(column))
        room = sum(self._width(c) for c in range(column, min(after, self.columns)))
        if after >= self.columns:
            room = max(room, SCREEN - start)
        form = self.writer.format
        if cell.style == "title":
            self.page.set_row_pixels(row, 26)
        narrow = letter * len(words) <= self._width(column) or after == column + 1
        narrow = narrow or self._ends_a_table(row, column, cell)
        if cell.style == "head" and self._is_number(row + 1, column) and narrow:
            looks = (*looks, "right")
        if letter * len(words) <= (self._width(column) if "right" in looks else room):
            self.page.write_string(row, column, words, form(*looks))
        elif after == column + 1 or self._ends_a_table(row, column, cell):
            room = self._width(column)
            self.page.write_string(row, column, words, form(*looks, "wrap"))
            self.tall[row] = max(self.tall.get(row, 0), _height(words, room))
            self.page.set_row_pixels(row, self.tall[row])
        else:
            last, width = column, self._width(column)
            while last + 1 < after and width + self._width(last + 1) <= room:
                last += 1
                width += self._width(last)
            self.page.set_row_pixels(row, _height(words, width))
            look = form(*looks, "wrap")
            if last == column:
                self.page.write_string(row, column, words, look)
            else:
                self.page.merge_range(row, column, row, last, "", look)
                self.page.write_string(row, column, words, look)

    def _ends_a_table(self, row: int, column: int, cell: Cell) -> bool:
        """Is it the last of several heads in a row? Such a one stays in its column."""
        before = self.sheet.cells.get((row, column - 1))
        heads = cell.style == "head" and before is not None and before.style == "head"
        return heads and len(str(cell.value)) < 40 and self._is_number(row + 1, column)

    def _is_number(self, row: int, column: int) -> bool:
        """Does a column go on with numbers here? Its first cells may be empty."""
        found = (self.sheet.cells.get((line, column)) for line in range(row, row + 5))
        first = next((cell for cell in found if cell is not None), None)
        return first is not None and isinstance(first.value, float)

    def _note(self, row: int, column: int, cell: Cell) -> None:
        """What an input may be: said when it is chosen, and beside it where that is free."""
        if not cell.note:
            return
        message = {"validate": "any", "input_title": "Change me", "input_message": cell.note[:255]}
        self.page.data_validation(row, column, row, column, message)
        after = self._neighbour(row, column)
        last = min(after, self.columns) if after < 10_000 else self.columns
        room = sum(self._width(c) for c in range(column + 1, last))
        start = sum(self._width(c) for c in range(column + 1))
        room = max(room, SCREEN - start if after == 10_000 else 0)
        if 6.2 * len(cell.note) + 9 <= room:
            self.page.write_string(row, column + 1, cell.note, self.writer.format("note", "apart"))

    # --- charts ---------------------------------------------------------------------------------------

    def _chart(self, chart: Any) -> None:
        kind = {"type": "scatter"} if chart.markers else {"type": "scatter", "subtype": "straight"}
        made = self.writer.file.add_chart(kind)
        colours = ("#1F4E9E", "#D9822B", "#2E8B57", "#B03A2E", "#7D3C98", "#7A7A7A")
        for index, (name, values) in enumerate(chart.series):
            colour = colours[index % len(colours)]
            series: dict[str, Any] = {
                "name": _words(name),
                "categories": f"={self._on_sheet(chart.x)}",
                "values": f"={self._on_sheet(values)}",
            }
            if chart.markers:
                series["marker"] = {"type": "circle", "size": 4, "fill": {"color": colour}}
            else:
                series["line"] = {"color": colour, "width": 1.75}
            made.add_series(series)
        made.set_title({"name": _words(chart.title), "name_font": {"size": 11}, "overlay": False})
        x_axis: dict[str, Any] = {
            "name": _words(chart.x_title),
            "major_gridlines": {"visible": False},
        }
        made.set_x_axis(x_axis | self._ends(chart.x))
        y_axis: dict[str, Any] = {"name": _words(chart.y_title) if chart.y_title else ""}
        y_axis |= {"major_gridlines": {"visible": True, "line": {"color": "#DDDDDD"}}}
        if chart.log:
            y_axis |= {"log_base": 10, "crossing": "min", "num_format": "0E+00"}
        made.set_y_axis(y_axis)
        made.set_legend({"position": "bottom"} if len(chart.series) > 1 else {"none": True})
        width, height = chart.size
        made.set_size({"width": width, "height": height})
        self.page.insert_chart(*chart.place, made, {"description": _words(chart.title)})

    def _ends(self, area: str) -> dict[str, float]:
        """Where the horizontal axis begins and ends, if its cells are constants of this sheet."""
        places = re.fullmatch(r"\$([A-Z]+)\$(\d+):\$([A-Z]+)\$(\d+)", area)
        if places is None or places[1] != places[3]:
            return {}
        rows = range(int(places[2]), int(places[4]) + 1)
        column = next(c for c in range(self.columns) if at(0, c)[:-1] == places[1])
        found = [self.sheet.cells.get((row - 1, column)) for row in rows]
        if any(cell is None or cell.kind != "number" for cell in found):
            return {}
        numbers = [float(cell.value or 0) for cell in found if cell is not None]
        return {"min": min(numbers), "max": max(numbers)}

    def _on_sheet(self, area: str) -> str:
        return area if "!" in area else f"'{self.sheet.name}'!{area}"

    # --- checks ---------------------------------------------------------------------------------------

    def _placed_checks(self) -> None:
        """Verdicts beside the rows of a table."""
        form = self.writer.format("verdict")
        runs: dict[int, list[tuple[int, int]]] = {}
        for check in self.sheet.checks:
            if check.place is None:
                continue
            row, column = check.place[0], check.place[1] + 1
            value = _value_of(self.sheet, check.cell, check.expected)
            expected = at(row, column - 1)
            formula = _verdict_formula(check.cell, expected, check.tolerance)
            self.page.write_formula(row, column, formula, form, _verdict(value, check))
            known = runs.setdefault(column, [])
            if known and known[-1][1] == row - 1:
                known[-1] = (known[-1][0], row)
            else:
                known.append((row, row))
        for column, found in runs.items():
            for first, last in found:
                area = block(first, column, last - first + 1, 1, sheet=self.sheet.name)
                self.writer.verdicts[self.sheet.name].append(area)
                self.writer._colour(self.page, first, column, last, column)

    def _check_block(self) -> None:
        """The lines under the sheet: the cell, Python's value, the difference, the verdict."""
        checks = [check for check in self.sheet.checks if check.place is None]
        if not checks:
            return
        top = 2 + max(
            max(self.rows, default=0), *(self._under(chart) for chart in self.sheet.charts), 0
        )
        self.writer.lines[self.sheet.name] = top
        form, page = self.writer.format, self.page
        longest = max(len(check.label) for check in checks)
        spans = list(self._spans((min(460, 30 + round(6.4 * longest)), 104, 104, 90, 88)))
        page.write_string(top, 0, "Check: the cells beside what Python has", form("head"))
        titles = ("what", "cell", "Python", "difference", "verdict")
        for (left, right), title in zip(spans, titles, strict=True):
            look = form("head", *(("right",) if title in ("cell", "Python", "difference") else ()))
            self._span(top + 1, left, right, look)
            page.write_string(top + 1, left, title, look)
        first = top + _HEAD_ROWS
        (name, value, python, difference, verdict) = (left for left, _ in spans)
        looks = ((), ("expected",), ("expected",), ("expected",), ("verdict",))
        numbers = ("", "0.000000", "0.000000", "0.0E+00", "")
        for row, check in enumerate(checks, start=first):
            shown = [form(*look, number=n) for look, n in zip(looks, numbers, strict=True)]
            for (left, right), look in zip(spans, shown, strict=True):
                self._span(row, left, right, look)
            own = _value_of(self.sheet, check.cell, check.expected)
            page.write_string(row, name, check.label, shown[0])
            page.write_formula(row, value, f"={check.cell}", shown[1], _stored(own))
            page.write_number(row, python, check.expected, shown[2])
            gap = own - check.expected if isinstance(own, float) else own
            page.write_formula(
                *(row, difference, f"={at(row, value)}-{at(row, python)}", shown[3], _stored(gap)),
            )
            formula = _verdict_formula(at(row, value), at(row, python), check.tolerance)
            page.write_formula(row, verdict, formula, shown[4], _verdict(own, check))
        last = first + len(checks) - 1
        area = block(first, verdict, len(checks), 1, sheet=self.sheet.name)
        self.writer.verdicts[self.sheet.name].append(area)
        self.writer._colour(page, first, verdict, last, verdict)

    def _span(self, row: int, left: int, right: int, look: Any) -> None:
        if right > left:
            self.page.merge_range(row, left, row, right, "", look)

    def _spans(self, needed: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Columns taken together until they are as wide as is needed: a sheet may have narrow ones."""
        column = 0
        for pixels in needed:
            first, width = column, self._width(column)
            while width < pixels:
                column += 1
                width += self._width(column)
            yield first, column
            column += 1

    def _under(self, chart: Any) -> int:
        """The first row below a chart; a row is 17 to 20 pixels high."""
        return chart.place[0] + math.ceil(chart.size[1] / 17)


def _shown(cell: Cell, decimals: int) -> str:
    """About what a cell shows: as long as that."""
    if isinstance(cell.value, str):
        return cell.value if len(cell.value) < 30 else ""  # a long answer runs over the next cells
    number = float(cell.value or 0)
    if not math.isfinite(number):
        return "#NUM!"
    if cell.format.startswith("0") and "." in cell.format and "E" not in cell.format:
        return f"{number:.{cell.format.count('0') - 1}f}"
    if number.is_integer():
        return f"{number:.0f}"[:9]
    if cell.kind in ("input", "number") and cell.style != "expected":
        return f"{number:.7g}"[: decimals + 4]
    return f"-{_FAR[decimals]}" if _is_far(abs(number), decimals) else f"{number:.{decimals}f}"


def _is_far(size: float, decimals: int) -> bool:
    """Is a number too large, or too near 0, to be shown with so many decimals?"""
    return size >= (1e5 if decimals > 1 else 1e4) or size < 0.5 * 10.0**-decimals


def _height(words: str, width: float) -> int:
    """Pixels of a row for words that are broken into lines of a width: no engine finds it by itself."""
    lines, left = 1, width - 8
    for word in words.split():
        need = 7.0 * (len(word) + 1)
        if need > left and left < width - 8:
            lines, left = lines + 1, width - 8
        left -= need
    return 17 * lines + 3


def _words(text: str) -> str:
    """Text for a chart, where what begins with `=` is read as a reference."""
    return f" {text}" if text.startswith("=") else text


def _stored(value: float | str | None) -> float | str:
    """A formula's value as it is stored: no number is NaN or infinite in a cell."""
    if isinstance(value, str):
        return value
    return "#NUM!" if value is None or not math.isfinite(value) else value


def _write_value(page: Any, row: int, column: int, value: float | str | None, look: Any) -> None:
    if value is None:
        page.write_blank(row, column, None, look)
    elif isinstance(value, str):
        page.write_string(row, column, value, look)
    else:
        page.write_number(row, column, value, look)


def _value_of(sheet: Sheet, cell: str, expected: float) -> float | str | None:
    """Python's value of the cell that is checked; of an expression, what is expected."""
    if re.fullmatch(r"\$?[A-Z]{1,3}\$?\d+", cell) is None:
        return expected
    return sheet.value(cell)


def _verdict(value: float | str | None, check: Any) -> str:
    if not isinstance(value, float) or not math.isfinite(value):
        return "WRONG"
    limit = check.tolerance * max(1.0, abs(check.expected))
    return "OK" if abs(value - check.expected) <= limit else "WRONG"


def _verdict_formula(cell: str, expected: str, tolerance: float) -> str:
    return (
        f'=IF(inputs_changed>0,"CHANGED",IF(ISNUMBER({cell}),'
        f'IF(ABS({cell}-{expected})<={tolerance!r}*MAX(1,ABS({expected})),"OK","WRONG"),"WRONG"))'
    )
