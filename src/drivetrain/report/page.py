"""The file: one page, or the same as slides. It loads nothing, and says so to the browser.

Slides are cards of the page one at a time, with a script of twenty lines for the arrow keys: without it
they are a page to scroll. The policy of the page allows that script by its hash, and no other.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from drivetrain import __version__
from drivetrain.report.html import Block, Section, breakable
from drivetrain.report.svg import safe

LONG = 11
"""Letters of a value above which it is written smaller."""


@dataclass(frozen=True)
class Fact:
    """A number in the head of the page."""

    name: str
    value: str
    beside: str = ""


@dataclass(frozen=True)
class Head:
    """What stands above all."""

    title: str
    over: str
    verdict: str
    facts: Sequence[Fact]
    kind: str = "report"
    """What the file is, for its title."""


HOLDS_ITEMS = "This page holds items of your data: whoever has it sees them."


def page(
    head: Head, sections: Sequence[Section], notes: Sequence[str] = (), *, foot: str = HOLDS_ITEMS
) -> str:
    """The report as a page to scroll.

    Args:
        head: what stands above all.
        sections: in this order.
        notes: what is missing, and why.
        foot: a sentence at the end of the page.
    """
    links = "".join(f'<a href="#{s.key}">{safe(s.title)}</a>' for s in sections)
    body = "\n".join(_section(section) for section in sections)
    inside = f"""<header>
{_head(head)}
{_notes(notes)}<nav aria-label="Parts of the {safe(head.kind)}">{links}</nav>
</header>
<main>
{body}
</main>
<footer><p>Made by Drivetrain {safe(__version__)}. {safe(foot)}</p></footer>"""
    return _file(f"{head.title}: {head.kind}", inside, "page")


def slides(head: Head, sections: Sequence[Section], notes: Sequence[str] = ()) -> str:
    """The same, one card at a time."""
    first = f'<section class="slide first"><div>{_head(head)}{_notes(notes)}</div></section>'
    cards = [first]
    for section in sections:
        for place, block in enumerate(section.blocks):
            lead = (
                f"<p class='quiet'>{safe(section.lead)}</p>" if section.lead and not place else ""
            )
            cards.append(
                f'<section class="slide"><div><p class="over">{safe(section.title)}</p>'
                f"<h2>{safe(block.title)}</h2>{lead}{block.html}</div></section>"
            )
    body = "\n".join(cards)
    script = _part("slides.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    inside = (
        f'<main id="slides">\n{body}\n</main>\n'
        f'<p id="place" aria-live="polite"></p><script>{script}</script>'
    )
    return _file(f"{head.title}: {head.kind}", inside, "slides", f"; script-src 'sha256-{digest}'")


def _file(title: str, inside: str, kind: str, policy: str = "") -> str:
    style = _part("report.css") + (_part("slides.css") if kind == "slides" else "")
    return f"""<!DOCTYPE html>
<html lang="en" class="{kind}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Drivetrain {safe(__version__)}">
<title>{safe(title)}</title>
<style>
{style}</style>
</head>
<body>
{inside}
</body>
</html>
"""


def _head(head: Head) -> str:
    boxes = "".join(
        f"<div><dt>{safe(fact.name)}</dt><dd{_long(fact.value)}>{breakable(fact.value)}</dd>"
        + (f"<dd class='sub'>{safe(fact.beside)}</dd>" if fact.beside else "")
        + "</div>"
        for fact in head.facts
    )
    said = f"<p class='verdict'>{safe(head.verdict)}</p>" if head.verdict else ""
    return (
        f"<p class='over'>{safe(head.over)}</p><h1>{safe(head.title)}</h1>{said}"
        f"<dl class='facts'>{boxes}</dl>"
    )


def _long(value: str) -> str:
    return " class='long'" if len(value) > LONG else ""


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<p>{safe(note)}</p>" for note in notes)
    return f"<div class='notes'>{items}</div>\n" if items else ""


def _section(section: Section) -> str:
    lead = f"<p class='quiet'>{safe(section.lead)}</p>" if section.lead else ""
    groups = itertools.groupby(section.blocks, key=lambda block: block.wide)
    grids = "".join(f"<div class='grid'>{''.join(map(_card, some))}</div>" for _, some in groups)
    return f'<section id="{section.key}"><h2>{safe(section.title)}</h2>{lead}{grids}</section>'


def _card(block: Block) -> str:
    kind = " class='wide'" if block.wide else ""
    return f"<article{kind}><h3>{safe(block.title)}</h3>{block.html}</article>"


def _part(name: str) -> str:
    return resources.files("drivetrain.report").joinpath("parts", name).read_text("utf-8")
