"""Answers and calculations as text for a terminal: aligned, within 80 to 100 columns.

Arrays that are large are sampled, and each says how many of its numbers stand there; `full` shows all.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # they print themselves by this module
    from drivetrain.show.answer import Answer
    from drivetrain.show.calculation import Calculation

WIDTH = 96
MOST = 27
"""Numbers of an array up to which all are shown: a 3 by 3 patch of three channels."""
BESIDE = 44
"""Letters of a line up to which its meaning stands beside it, at one column with the others."""
ROWS, COLUMNS = 3, 9
"""Of a larger array, the rows (more where they are short) and the columns that are shown."""


def number(value: float, digits: int = 6) -> str:
    """A number with so many significant digits.

    >>> number(0.12345678), number(3.0), number(1234567), number(2.5e-9)
    ('0.123457', '3', '1,234,567', '2.5e-09')
    """
    if isinstance(value, bool | np.bool_):
        return "1" if value else "0"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.{digits}g}"


def columns(rows: Sequence[Sequence[str]], *, indent: int = 0, right: Sequence[int] = ()) -> str:
    """Rows of cells as aligned columns; those numbered in `right` are aligned at their right."""
    if not rows:
        return ""
    count = max(len(row) for row in rows)
    widths = [max((len(row[c]) for row in rows if c < len(row)), default=0) for c in range(count)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(widths[c]) if c in right else cell.ljust(widths[c])
            for c, cell in enumerate(row)
        ]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def text(shown: Any, *, full: bool = False, width: int = WIDTH) -> str:
    """A calculation, an answer or a table as text.

    Args:
        shown: what is to be read.
        full: all numbers of every array.
        width: columns of the terminal.
    """
    if hasattr(shown, "steps"):
        return calculation_text(shown, full=full, width=width)
    return answer_text(shown, width=width) if hasattr(shown, "header") else str(shown)


# --- answers --------------------------------------------------------------------------------------


def answer_text(answer: Answer, *, width: int = WIDTH) -> str:
    """Heading, table, notes; the table's last column is wrapped where it is too wide."""
    parts = [answer.title]
    if answer.rows:
        parts += ["", *_table([answer.header, *answer.rows], width)]
    if answer.notes:
        parts += ["", *(line for note in answer.notes for line in _wrap(note, width))]
    return "\n".join(parts)


def _table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    body = [list(row[:-1]) for row in rows]
    room = width - max(len(line) for line in columns(body, indent=2).splitlines()) - 2
    whole: list[list[str]] = []
    for row in rows:
        first, *more = _wrap(row[-1], max(room, 24)) or [""]
        whole.append([*row[:-1], first])
        whole += [[*("" for _ in row[:-1]), line] for line in more]
    return columns(whole, indent=2).splitlines()


# --- arrays ---------------------------------------------------------------------------------------


def sampled(value: np.ndarray, *, full: bool = False) -> tuple[list[list[float]], int, int]:
    """The rows of numbers of an array that are shown, how many these are, and how many there are.

    A large array of several axes shows the corner of its first matrix, a long vector its beginning.
    """
    array = np.asarray(value)
    if array.ndim == 0:
        return [[array.item()]], 1, 1
    table = array.reshape(math.prod(array.shape[:-1]), array.shape[-1])
    total = int(array.size)
    if not full and total > MOST:
        wide = min(table.shape[1], COLUMNS)
        table = table[:, :MOST] if array.ndim == 1 else table[: max(ROWS, MOST // wide), :wide]
    return table.tolist(), int(table.size), total


def array_lines(value: np.ndarray, *, full: bool = False, width: int = WIDTH) -> Iterator[str]:
    """An array as lines of aligned numbers, with a last line that says what is left out."""
    array = np.asarray(value)
    rows, shown, total = sampled(array, full=full)
    if total == 0:
        yield "no numbers"
        return
    texts = [[number(x, 5) for x in row] for row in rows]
    cell = max(len(text) for row in texts for text in row)
    many = max(1, (width + 2) // (cell + 2))
    if shown < total and array.ndim > 1:  # of a corner, only as many columns as one line holds
        texts = [row[:many] for row in texts]
        shown = sum(len(row) for row in texts)
    for place, row in enumerate(texts):
        if place and array.ndim > 2 and place % array.shape[-2] == 0:
            yield ""  # the next matrix
        for start in range(0, len(row), many):
            yield "  ".join(text.rjust(cell) for text in row[start : start + many])
    if shown < total:
        yield f"… {shown:,} of {total:,} shown, --full shows all"


# --- calculations ---------------------------------------------------------------------------------


def calculation_text(
    calculation: Calculation, *, full: bool = False, width: int = WIDTH, level: int = 0
) -> str:
    """Title, formula, what is put in, each step, the result, and whether the run has the same."""
    lines = _wrap(calculation.title, width if level == 0 else width - 3)
    if level == 0:
        lines.append("=" * max(len(line) for line in lines))
    lines += ["", *("  " + line for line in _wrap(calculation.formula, width - 2))]
    for count, part in enumerate(calculation.parts, start=1):
        text = calculation_text(part, full=full, width=width - 2, level=level + 1)
        heading, *rest = text.splitlines()
        lines += ["", f"{count}. {heading}", *(f"  {line}".rstrip() for line in rest)]
    if calculation.terms:
        given = [(term.name, term.meaning, term.value) for term in calculation.terms]
        lines += ["", "put in", *_section(given, full=full, width=width)]
    if calculation.steps:
        made = [(f"{s.name} = {s.expression}", s.meaning, s.value) for s in calculation.steps]
        lines += ["", "worked out", *_section(made, full=full, width=width)]
    lines += ["", *_checked(calculation, full=full, width=width)]
    return "\n".join(lines)


def _section(
    entries: Sequence[tuple[str, str, np.ndarray]], *, full: bool, width: int
) -> Iterator[str]:
    """Lines of names with their meaning beside them; arrays stand below their name."""
    heads = []
    for head, meaning, value in entries:
        array = np.asarray(value)
        if array.ndim == 0:
            heads.append((f"  {head} = {number(array.item(), 9)}", meaning, None))
        else:
            heads.append((f"  {head}", f"{meaning} ({'×'.join(map(str, array.shape))})", array))
    at = max((len(head) for head, _, _ in heads if len(head) <= BESIDE), default=0) + 3
    for head, meaning, array in heads:
        if len(head) < at and len(meaning) <= width - at:
            yield f"{head:<{at}}{meaning}"
        elif len(head) + 3 + len(meaning) <= width:
            yield f"{head}   {meaning}"
        elif len(head) < at:
            first, *more = _wrap(meaning, width - at)
            yield f"{head:<{at}}{first}"
            yield from (" " * at + line for line in more)
        else:
            yield from _wrap(head, width, indent="      ")
            yield from ("      " + line for line in _wrap(meaning, width - 6))
        if array is not None:
            lines = array_lines(array, full=full, width=width - 6)
            yield from (f"      {line}".rstrip() for line in lines)


def _checked(calculation: Calculation, *, full: bool, width: int) -> Iterator[str]:
    result, own = np.asarray(calculation.result), np.asarray(calculation.own)
    says = "agrees" if calculation.agrees else "DIFFERS"
    if result.ndim == 0:
        yield f"result    {number(result.item(), 9)}"
        yield (
            f"the run   {number(own.item(), 9)}   {says}: difference {calculation.difference:.2g}, "
            f"allowed {calculation.tolerance:.2g}"
        )
    else:
        yield f"result    {'×'.join(map(str, result.shape))} numbers, as above"
        yield (
            f"the run   {says}: largest difference {calculation.difference:.2g}, "
            f"allowed {calculation.tolerance:.2g}"
        )
        if not calculation.agrees:
            yield from (f"      {line}" for line in array_lines(own, full=full, width=width - 6))
    if calculation.source:
        yield from _wrap(f"from      {calculation.source}", width, indent=" " * 10)


def _wrap(text: str, width: int, *, indent: str = "") -> list[str]:
    found: list[str] = []
    for line in text.split("\n"):
        found += textwrap.wrap(
            line,
            width,
            subsequent_indent=indent,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
        ) or [""]
    return found
