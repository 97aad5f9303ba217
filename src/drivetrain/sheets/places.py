"""Names of cells and of blocks of cells, as a formula writes them.

Rows and columns count from 0, as everywhere in `drivetrain.sheets`. A name with dollars stays where it
is when a reader copies the formula; a name with a sheet points to another sheet.

    >>> at(3, 2), at(3, 2, fix="row"), at(3, 2, sheet="Layer 1")
    ('C4', 'C$4', "'Layer 1'!$C$4")
    >>> block(3, 2, 2, 28, sheet="Digit")
    'Digit!$C$4:$AD$5'
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

Fix = Literal["none", "row", "column", "both"]


@lru_cache(maxsize=1024)
def letters(column: int) -> str:
    """The letters of a column.

    >>> letters(0), letters(25), letters(26), letters(701), letters(702)
    ('A', 'Z', 'AA', 'ZZ', 'AAA')
    """
    name, rest = "", column + 1
    while rest:
        rest, digit = divmod(rest - 1, 26)
        name = chr(ord("A") + digit) + name
    return name


def at(row: int, column: int, *, fix: Fix = "none", sheet: str | None = None) -> str:
    """The name of one cell; on another sheet always with dollars."""
    if sheet is not None:
        fix = "both"
    down = "$" if fix in ("row", "both") else ""
    across = "$" if fix in ("column", "both") else ""
    return f"{_of(sheet)}{across}{letters(column)}{down}{row + 1}"


@lru_cache(maxsize=4096)
def block(row: int, column: int, rows: int, columns: int, *, sheet: str | None = None) -> str:
    """The name of a block of cells, with dollars."""
    last = at(row + rows - 1, column + columns - 1, fix="both")
    return f"{_of(sheet)}{at(row, column, fix='both')}:{last}"


def _of(sheet: str | None) -> str:
    if sheet is None:
        return ""
    return f"{sheet}!" if sheet.isalpha() else f"'{sheet}'!"
