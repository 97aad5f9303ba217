"""Tables, lists and numbers as words, for what is printed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

LONGEST = 32
"""Letters of a name in a printed table or a picture; of a longer one the middle is cut out."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Lines of equal columns under headings; the first `left` columns to the left, the others right.

    >>> print(table(["column", "drop"], [["age", "0.1"], ["sex", "0.25"]]))
    column  drop
    age      0.1
    sex     0.25
    """
    lines = [list(headings), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def number(value: float | None) -> str:
    """Four significant digits, or four decimals, whichever is fewer; `-` for None.

    >>> number(0.0123456), number(1234.5678), number(2.0), number(1e-9), number(-0.00001)
    ('0.0123', '1235', '2', '1.0e-09', '-1.0e-05')
    """
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) < 1e-4 or abs(value) >= 1e7:
        return f"{value:.1e}"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.4g}"


def aligned(values: Sequence[float] | np.ndarray) -> list[str]:
    """All with the same decimals: as many as tell three digits of the range between them.

    >>> aligned([10.2, 10.25, 10.214]), aligned([0.5, 120.0])
    (['10.2000', '10.2500', '10.2140'], ['0', '120'])
    """
    values = np.asarray(values, dtype=np.float64)
    width = float(np.ptp(values)) or float(np.abs(values).max(initial=0.0))
    largest = float(np.abs(values).max(initial=0.0))
    if largest >= 1e7 or 0 < largest < 1e-4:
        return [f"{value:.3e}" for value in values]
    decimals = 0 if width == 0 else min(max(2 - math.floor(math.log10(width)), 0), 6)
    return [f"{value:.{decimals}f}" for value in values]


def chance(p_value: float) -> str:
    """A p-value of two digits; of one that is too small for a number, `<1e-300`."""
    return "<1e-300" if p_value < 1e-300 else f"{p_value:.2g}"


def span(low: float | None, high: float | None) -> str:
    """`0.0100 to 0.0200`, or `-` where there is none."""
    return "-" if low is None or high is None else f"{number(low)} to {number(high)}"


def share(part: float, whole: float) -> str:
    """`12.3%`; `0%` of nothing."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f}%" if percent in (0, 100) else f"{percent:.1f}%"


def ordinal(place: int) -> str:
    """`1st`, `2nd`, `3rd`, `4th`, `11th`, `22nd`."""
    teens = 10 < place % 100 < 14
    return f"{place}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(place % 10, 'th')}"


def listed(words: Sequence[str], most: int = 5) -> str:
    """`a, b and c`; beyond `most`, `a, b and 7 more`.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed(["a", "b", "c", "d"], most=2)
    ('a', 'a, b and c', 'a, b and 2 more')
    """
    shown = [*words] if len(words) <= most else [*words[:most], f"{len(words) - most} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def cut(name: str, longest: int = LONGEST) -> str:
    """The name on one line; where it is longer, its middle as `…`, since long names differ at the end.

    >>> cut("Undercarriage_Pad_Width", 12)
    'Undercar…dth'
    """
    plain = " ".join(name.split())
    if len(plain) <= longest:
        return plain
    tail = (longest - 1) // 3
    return f"{plain[: longest - 1 - tail]}…{plain[len(plain) - tail :]}"


def rows(count: int) -> str:
    """`1 row`, `12,345 rows`."""
    return "1 row" if count == 1 else f"{count:,} rows"


def items(count: int) -> str:
    """`1 item`, `12,345 items`."""
    return "1 item" if count == 1 else f"{count:,} items"


def wrapped(text: str, width: int = 100) -> str:
    """Lines of at most `width` letters; the line breaks of `text` stay."""
    return "\n".join(textwrap.fill(line, width) for line in text.split("\n"))
