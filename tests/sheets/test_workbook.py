"""The workbook itself: text stays text, inputs are remembered, checks tell, a screen is wide enough."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from drivetrain import sheets
from drivetrain.errors import UnknownNameError
from drivetrain.sheets.places import at, block, letters
from drivetrain.sheets.workbook import GUIDE, Workbook
from tests.sheets.live import change
from tests.sheets.recalculate import convert
from tests.sheets.shown import Shown

EVIL = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    '=HYPERLINK("http://x")',
    "http://x.example/",
    "\t=1",
    "{=1}",
    "'=1",
    "007",
)


def small(*, expected: float = 5.0, about: str = "Two numbers.") -> Workbook:
    book = Workbook("A sum", about)
    book.guide(what="One sheet.", change=[("first to 5", "The sum is 8.")])
    sheet = book.sheet("Sum")
    sheet.text(0, 0, "Sum", style="title")
    sheet.input(2, 1, 2.0, name="first", note="any number")
    sheet.number(3, 1, 3)
    sheet.formula(4, 1, "first+B4", 5.0)
    sheet.array(5, 1, 1, 2, "B4:B4*{1,2}", [[3.0, 6.0]])
    sheet.check("the sum", "B5", expected)
    sheet.check("the sum, beside it", "B5", 5.0, place=(4, 3))
    return book


def of_texts() -> Workbook:
    book = Workbook("=1+1", "=2+2")
    book.guide(what="=3+3", change=[("=4+4", "@SUM(1)")])
    sheet = book.sheet("=5+5")
    for row, text in enumerate(EVIL):
        sheet.text(row, 0, text)
        sheet.input(row, 1, text)
        sheet.number(row, 2, row)
    sheet.check("=6+6", "C1", 0.0)
    sheet.chart(
        "=7+7",
        [("=8+8", block(0, 2, 5, 1))],
        x=block(0, 2, 5, 1),
        place=(0, 4),
        x_title="=9",
        y_title="=10",
    )
    return book


def files(folder: Path) -> list[Path]:
    """What is recalculated."""
    made = [
        small().save(folder / "right.xlsx"),
        small(expected=6.0).save(folder / "wrong.xlsx"),
    ]
    return [*made, change(made[0], folder / "one_changed.xlsx", {"first": 5})]


@pytest.fixture(scope="module")
def recalculated(files: Any) -> dict[str, Shown]:
    names = ("right", "wrong", "one_changed")
    return {name: files.computed[name] for name in names}


def test_checks_say_ok_wrong_or_changed(recalculated: dict[str, Shown]) -> None:
    def verdicts(name: str) -> tuple[str, list[str]]:
        book = recalculated[name]
        assert book.problems() == []
        cells = [value for row in book["Sum"].rows for value in row]
        return book.named("all_checks"), [one for one in cells if one in ("OK", "WRONG", "CHANGED")]

    assert verdicts("right") == ("OK: all 2 checks", ["OK", "OK"])
    assert verdicts("wrong") == ("WRONG: 1 of 2", ["OK", "WRONG"])
    said, each = verdicts("one_changed")
    assert (
        said
        == "CHANGED: 1 changed input cells: the checks wait until they are as the file was made"
    )
    assert each == ["CHANGED", "CHANGED"]
    assert recalculated["one_changed"]["Sum"]["B5"] == 8
    assert [recalculated["right"]["Sum"][cell] for cell in ("B6", "C6")] == [3, 6]


def test_text_never_becomes_a_formula_a_link_or_a_number(tmp_path: Path) -> None:
    path = of_texts().save(tmp_path / "texts.xlsx")
    written = openpyxl.load_workbook(path)
    formulas = [
        str(cell.value)
        for sheet in written.worksheets
        for row in sheet.iter_rows()
        for cell in row
        if cell.data_type == "f"
    ]
    assert formulas and not [
        one for one in formulas if one in EVIL or re.fullmatch(r"=\d+\+\d+", one)
    ]
    (computed,) = convert([path], tmp_path / "out")
    for book in (written, openpyxl.load_workbook(computed, data_only=True)):
        sheet = book["=5+5"]
        for row, text in enumerate(EVIL, start=1):
            for column in (1, 2):
                cell = sheet.cell(row, column)
                assert (cell.data_type, cell.value, cell.hyperlink) == ("s", text, None)
        assert book[GUIDE]["A1"].value == "=1+1"
    with zipfile.ZipFile(path) as parts:
        chart = parts.read("xl/charts/chart1.xml").decode()
        assert "<c:f>7+7" not in chart and " =7+7" in chart and " =8+8" in chart
        assert not [
            name for name in parts.namelist() if "externalLink" in name or "vba" in name.lower()
        ]


def named(book: Any, name: str) -> Any:
    """The value of the cell that has a defined name, by openpyxl."""
    ((sheet, cell),) = book.defined_names[name].destinations
    return book[sheet][cell.replace("$", "")].value


def test_a_viewer_without_an_engine_sees_what_python_computed(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(small().save(tmp_path / "a.xlsx"), data_only=True)
    sheet = book["Sum"]
    assert [sheet[cell].value for cell in ("B3", "B5", "B6", "C6", "D5", "E5")] == [
        2,
        5,
        3,
        6,
        5,
        "OK",
    ]
    assert named(book, "all_checks") == "OK: all 2 checks"
    wrong = openpyxl.load_workbook(small(expected=7).save(tmp_path / "b.xlsx"), data_only=True)
    assert named(wrong, "all_checks") == "WRONG: 1 of 2"


def test_inputs_are_coloured_and_unlocked_and_all_else_is_locked(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(small().save(tmp_path / "a.xlsx"))
    sheet = book["Sum"]
    assert sheet.protection.sheet and not sheet.protection.password
    colours = {
        cell: (sheet[cell].protection.locked, sheet[cell].fill.fgColor.rgb) for cell in ("B3", "B5")
    }
    assert colours == {"B3": (False, "FFFFF2CC"), "B5": (True, "00000000")}


def test_the_same_workbook_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (small().save(tmp_path / f"{name}.xlsx").read_bytes() for name in "ab")
    assert first == second


def test_what_a_spreadsheet_would_misread_is_refused() -> None:
    book = Workbook("A", "B")
    sheet = book.sheet("One")
    for name in ("lr1", "b1", "R", "c", "r1c1", "two words", "1st", ""):
        with pytest.raises(ValueError, match=rf"^'{name}' is no name that a formula can use\.$"):
            sheet.input(0, 0, 1.0, name=name)
        sheet.cells.clear()
    sheet.input(0, 0, 1.0, name="lr")
    with pytest.raises(ValueError, match=r"^The name 'LR' is taken\.$"):
        sheet.input(1, 0, 1.0, name="LR")
    with pytest.raises(ValueError, match=r"^One!A1 is written twice\.$"):
        sheet.text(0, 0, "again")
    with pytest.raises(ValueError, match=r"^One!C3 is nan: no cell can hold that\.$"):
        sheet.number(2, 2, float("nan"))
    for name in ("one", "a/b", "x" * 32, "", "Guide", "'a"):
        with pytest.raises(ValueError, match=rf"^'{name}' is taken, or no name for a sheet\.$"):
            book.sheet(name)


def test_places_are_named_as_formulas_name_them() -> None:
    assert [letters(n) for n in (0, 25, 26, 701, 702, 16383)] == [
        "A",
        "Z",
        "AA",
        "ZZ",
        "AAA",
        "XFD",
    ]
    assert at(3, 2, fix="row") == "C$4" and at(0, 0, sheet="A b") == "'A b'!$A$1"
    assert block(0, 0, 2, 3, sheet="Data") == "Data!$A$1:$C$2"


def test_an_unknown_workbook_is_answered() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^Unknown workbook 'desent'\. Did you mean 'descent'\? Known: "
    ):
        sheets.build("desent")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from drivetrain.errors import MissingPackageError

    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(
        MissingPackageError,
        match=r"^`xlsxwriter` is not installed\. Install it with: pip install "
        r"'drivetrain\[sheets\]'\.$",
    ):
        small().save(tmp_path / "a.xlsx")
