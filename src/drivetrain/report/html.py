"""What sections are made of: blocks of HTML, tables, and charts with their numbers one click below."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from drivetrain.report.svg import safe

_QUOTED = re.compile(r"`([^`<>]{1,60})`")

MOST_ROWS = 200
"""Rows of a table below a chart; how many more there are stands under it."""


@dataclass(frozen=True)
class Block:
    """A card of the page, and a slide of the slides."""

    title: str
    html: str
    """Escaped by whoever made it."""
    wide: bool = False
    """As wide as the page."""


@dataclass(frozen=True)
class Section:
    """A part of the report under one heading."""

    key: str
    """The link to it."""
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    lead: str = ""
    """A sentence above the blocks; plain text."""


def paragraph(text: str, kind: str = "") -> str:
    """Plain text as a paragraph."""
    return f"<p{_class(kind)}>{safe(text)}</p>" if text else ""


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    left: Sequence[int] = (0,),
    kind: str = "",
    most: int = MOST_ROWS,
) -> str:
    """A table that scrolls sideways where it is wider than the page.

    Args:
        rows: cells, plain; `Marked` ones are HTML already.
        left: columns of words; all others are numbers, and to the right.
    """
    kinds = ["" if place in left else " class='num'" for place in range(len(heads))]
    head = "".join(f"<th{k}>{safe(h)}</th>" for h, k in zip(heads, kinds, strict=True))
    kept = list(rows)
    body = "".join(
        "<tr>"
        + "".join(f"<td{k}>{_cell(c)}</td>" for c, k in zip(row, kinds, strict=True))
        + "</tr>"
        for row in kept[:most]
    )
    more = f"<p class='quiet'>… and {len(kept) - most:,} more.</p>" if len(kept) > most else ""
    return (
        f"<div class='scroll' tabindex='0'><table{_class(kind)}><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>{more}"
    )


class Marked(str):
    """Text that is HTML already."""


def breakable(name: object) -> str:
    """A name, escaped, that may be broken where its words end."""
    return safe(name).replace("_", "_<wbr>")


def coded(text: str) -> str:
    """Text, escaped, whose words in backticks are code."""
    return _QUOTED.sub(r"<code>\1</code>", safe(text))


def _cell(value: object) -> str:
    return value if isinstance(value, Marked) else breakable(value)


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def details(title: str, inside: str) -> str:
    """What is shown at a click."""
    return f"<details><summary>{safe(title)}</summary>{inside}</details>" if inside else ""


def charted(
    chart: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    left: Sequence[int] = (0,),
    before: str = "",
    more: str = "",
) -> str:
    """A chart, and its numbers in a table at a click.

    Args:
        before: HTML above the chart.
        more: HTML below the table.
    """
    if not chart:
        return ""
    numbers = details("Numbers", table(heads, rows, left=left) + more)
    return f"<figure>{before}{chart}</figure>{numbers}"


def pairs(entries: Iterable[tuple[str, object]]) -> str:
    """Names and values under each other."""
    inside = "".join(f"<dt>{safe(name)}</dt><dd>{_cell(value)}</dd>" for name, value in entries)
    return f"<dl class='pairs'>{inside}</dl>" if inside else ""


def code(text: str) -> str:
    """A line as it is typed."""
    return f"<pre><code>{safe(text)}</code></pre>"


def image(data: bytes, alt: str, *, pixels: bool = False) -> str:
    """A picture inside the page.

    Args:
        data: of a PNG or JPEG file that this program has written.
        pixels: it is tiny, and is shown with its pixels as squares.
    """
    form = "png" if data.startswith(b"\x89PNG") else "jpeg"
    text = base64.b64encode(data).decode("ascii")
    kind = ' class="pixels"' if pixels else ""
    return f'<img{kind} alt="{safe(alt)}" src="data:image/{form};base64,{text}">'
