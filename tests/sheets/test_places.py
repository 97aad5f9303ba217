"""Names of cells are those of a spreadsheet."""

from __future__ import annotations

from hypothesis import given, strategies as st
from openpyxl.utils import get_column_letter, range_boundaries

from drivetrain.sheets.places import at, block, letters

ROWS, COLUMNS = st.integers(0, 1_048_575), st.integers(0, 16_383)


@given(ROWS, COLUMNS)
def test_a_cell_has_its_columns_letters_and_its_rows_number(row: int, column: int) -> None:
    assert letters(column) == get_column_letter(column + 1)
    assert at(row, column) == f"{get_column_letter(column + 1)}{row + 1}"
    assert at(row, column, fix="both").replace("$", "") == at(row, column)


@given(ROWS, COLUMNS, st.integers(1, 100), st.integers(1, 100))
def test_a_block_is_read_back_as_its_corners(
    row: int, column: int, rows: int, columns: int
) -> None:
    rows, columns = min(rows, 1_048_576 - row), min(columns, 16_384 - column)
    found = range_boundaries(block(row, column, rows, columns))
    assert found == (column + 1, row + 1, column + columns, row + rows)


def test_a_sheet_whose_name_has_a_blank_is_quoted() -> None:
    assert at(0, 0, sheet="Layer 1") == "'Layer 1'!$A$1"
    assert block(0, 0, 1, 2, sheet="Digit") == "Digit!$A$1:$B$1"
