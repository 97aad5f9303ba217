"""Small pieces that several workbooks lay out alike: heads of a table, settings, random order."""

from __future__ import annotations

from collections.abc import Sequence

from drivetrain.sheets.workbook import Sheet

MULTIPLIER, MODULUS = 16807, 2**31 - 1
"""Of the random numbers that cells compute (Park and Miller 1988): products stay below 2^53."""


def heads(sheet: Sheet, row: int, column: int, titles: Sequence[str]) -> None:
    """Titles of columns; an empty one leaves its cell empty."""
    for place, title in enumerate(titles, start=column):
        if title:
            sheet.text(row, place, title, style="head")


def settings(
    sheet: Sheet, row: int, column: int, lines: Sequence[tuple[str, str, float, str]]
) -> None:
    """Inputs one under another: (words, name, value, what it may be)."""
    for line, (words, name, value, note) in enumerate(lines, start=row):
        sheet.text(line, column, words)
        sheet.input(line, column + 1, value, name=name, note=note)


def next_state(state: int) -> int:
    """The generator's next state; divided by `MODULUS` it is a random number between 0 and 1."""
    return state * MULTIPLIER % MODULUS


def state_formula(before: str) -> str:
    """The same in a cell."""
    return f"MOD({MULTIPLIER}*{before},{MODULUS})"


def central(plus: str, minus: str, step: str) -> str:
    """A slope by going a step to both sides."""
    return f"(({plus})-({minus}))/(2*{step})"
