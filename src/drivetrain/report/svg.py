"""What charts are made of: text that is only text, shapes of SVG, and numbers for axes.

Colours are CSS variables of the page that holds a chart, so that it is right in light and in dark.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import numpy as np

_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Control characters, and those that turn the direction of writing: names come from strangers."""


def safe(words: object) -> str:
    """Text that is text in HTML and SVG, in an attribute as well, whatever it holds.

    >>> safe('<b a="1">')
    '&lt;b a=&quot;1&quot;&gt;'
    """
    return html.escape(_UNSAFE.sub("\ufffd", str(words)))


def svg(
    width: float, height: float, title: str, inside: Sequence[str], *, most: float | None = None
) -> str:
    """One `<svg>` element.

    Args:
        title: what it shows, for who cannot see it.
        most: pixels that it is shown at at most; by default as many as there is room for.
    """
    limit = "" if most is None else f' style="max-width:{most:.0f}px"'
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{safe(title)}"{limit}>'
        f"{''.join(inside)}</svg>"
    )


def words(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    """A line of text that begins, ends or has its middle at x."""
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    of = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{at}{of}>{safe(text)}</text>'


def rectangles(boxes: Sequence[tuple[float, float, float, float]], kind: str) -> str:
    """Rectangles (x, y, width, height) as one path; those without height are left out."""
    drawn = "".join(
        f"M{x:.1f} {y:.1f}h{wide:.1f}v{high:.2f}h{-wide:.1f}z"
        for x, y, wide, high in boxes
        if high > 0 and wide > 0
    )
    return f'<path class="{kind}" d="{drawn}"/>' if drawn else ""


def rule(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


SMALLEST = 1e-300
"""Below it a power of ten has no reciprocal."""


def round_numbers(low: float, high: float) -> list[float]:
    """Three to seven round numbers from low to high, or these two where they are too close together.

    >>> round_numbers(16, 92), round_numbers(0.0, 0.35)
    ([20.0, 40.0, 60.0, 80.0], [0.0, 0.1, 0.2, 0.3])
    """
    width = high / 2 - low / 2  # of the largest floats, twice that is infinite
    if not width > max(1e-12 * max(abs(low), abs(high)), SMALLEST):
        return [low, high]
    power = int(np.floor(np.log10(width / 2.5)))
    for step in (1, 2, 5, 10, 20, 50):
        size = step * 10.0**power
        first, last = np.ceil(low / size - 1e-9), np.floor(high / size + 1e-9)
        if last - first <= 6:
            # divided where that is exact: 3 / 10 is 0.3, and 3 * 0.1 is not
            tens = 10.0**-power if power < 0 else 1.0
            ticks = np.arange(first, last + 1) * step + 0.0  # no -0
            return (ticks / tens if power < 0 else ticks * 10.0**power).tolist()
    return [low, high]


def short(number: float) -> str:
    """A number in few letters; thousands from ten of them on, so that years stay years.

    >>> short(950), short(2014), short(12_000), short(3_400_000), short(0.25)
    ('950', '2014', '12k', '3.4M', '0.25')
    """
    size = abs(number)
    if 1000 <= size < 9999.5:
        return f"{number:.0f}"
    for unit, of in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if of <= size < of * 1000:
            return f"{number / of:.3g}{unit}"
    return f"{number:.3g}"
