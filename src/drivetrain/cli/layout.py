"""Text for people: aligned columns, short numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(rows: Iterable[Sequence[str]], *, indent: int = 0, gap: int = 2) -> str:
    """Rows of cells as aligned columns; the last column is left as long as it is."""
    kept = [list(row) for row in rows]
    columns = max((len(row) for row in kept), default=0)
    widths = [max((len(r[c]) for r in kept if len(r) > c + 1), default=0) for c in range(columns)]
    lines = []
    for row in kept:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append(" " * indent + (" " * gap).join(cells).rstrip())
    return "\n".join(lines)


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
