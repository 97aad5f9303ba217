"""Text for people: aligned columns, short numbers."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LINE = 100
"""Columns of a line where nobody says how many there are."""

LEAST = 24
"""Columns that a last column needs for its words to be broken into lines: fewer are a ladder."""


def columns() -> int | None:
    """Columns of the terminal that is written to; None where it is a file, a pipe or a program.

    There lines are left as long as they are, for whoever reads them.
    """
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def line() -> int:
    """Columns of a line of prose: the terminal's, and at most 100."""
    return min(columns() or LINE, LINE)


def table(rows: Iterable[Sequence[str]], *, indent: int = 0, gap: int = 2) -> str:
    """Rows of cells as aligned columns.

    The last column is left as long as it is; in a terminal that is too narrow for it, its words go on
    below, in their column.
    """
    kept = [list(row) for row in rows]
    count = max((len(row) for row in kept), default=0)
    widths = [max((len(r[c]) for r in kept if len(r) > c + 1), default=0) for c in range(count)]
    within = columns()
    lines = []
    for row in kept:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        text = " " * indent + (" " * gap).join(cells).rstrip()
        start = len(text) - len(row[-1].rstrip()) if row else 0
        if within is None or len(text) <= within or within - start < LEAST:
            lines.append(text)
        else:
            lines += _hanging(text, start, within)
    return "\n".join(lines)


_TYPED = re.compile(r"\s*(drivetrain|python|cd|pip) ")
_COLUMN = re.compile(r"(?<=\S) {2,}(?=\S)")


def fitted(text: str, within: int | None) -> str:
    """The text with lines no wider than `within` columns, broken between words; None: as it is.

    What is below begins where the last column of its line does, or is set in where that leaves too few
    columns. Lines to be typed stay whole, to be copied.

    >>> print(fitted("  of  one two three four five six seven", 32))
      of  one two three four five
          six seven
    """
    if within is None:
        return text
    lines = []
    for line in text.split("\n"):
        if len(line) <= within or _TYPED.match(line):
            lines.append(line)
            continue
        indent = len(line) - len(line.lstrip())
        gaps = [gap.end() for gap in _COLUMN.finditer(line)]
        wide = [gap for gap in gaps if within - gap >= LEAST]
        start = wide[-1] if wide else indent + 4 if gaps else indent
        lines += _hanging(line, start, within)
    return "\n".join(lines)


def _hanging(text: str, start: int, within: int) -> list[str]:
    """The text in lines of so many columns; those after the first begin at `start`."""
    first = min(start, len(text) - len(text.lstrip())) if text[:start].strip() == "" else start
    return textwrap.wrap(
        text[first:],
        within,
        initial_indent=text[:first],
        subsequent_indent=" " * start,
        break_long_words=False,  # a path or a command stays whole, to be copied
        break_on_hyphens=False,
    )


def number(value: Any) -> str:
    """Three decimals for a fraction, separators for a count.

    >>> number(0.97561), number(1437), number(0.00004)
    ('0.976', '1,437', '4e-05')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if value == 0 or abs(value) >= 5e-4 else f"{value:.1g}"


def percent(share: float) -> str:
    """A probability as a percentage; never rounded to certainty, since no model is certain.

    >>> percent(0.981), percent(1.0), percent(0.0001)
    ('98.1 %', '>99.9 %', '<0.1 %')
    """
    if share >= 0.9995:
        return ">99.9 %"
    if share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Seconds below two minutes, else minutes and seconds.

    >>> duration(12.34), duration(3723)
    ('12.3 s', '62 min 3 s')
    """
    return (
        f"{seconds:.1f} s" if seconds < 120 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
    )


def shorten(names: Sequence[str], most: int = 6) -> str:
    """The first few names, and how many there are when some are left out.

    >>> shorten(["a", "b", "c"], most=2)
    'a, b … (3)'
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} … ({len(names)})"


def best(probabilities: Mapping[str, float], count: int = 3) -> list[tuple[str, float]]:
    """The likeliest labels, likeliest first."""
    return sorted(probabilities.items(), key=lambda pair: -pair[1])[:count]
