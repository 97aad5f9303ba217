"""What all pages share: the frame, the sliders, the charts, and the data that the script begins with.

A page may load nothing: a Content-Security-Policy says so to the browser. Its numbers go in as JSON in
which no `<` is left, so that nothing in them ends the script.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from drivetrain import __version__


@dataclass(frozen=True)
class Slider:
    """A number to move."""

    name: str
    """Of the number: its element has this id, and the script reads it by it."""
    label: str
    low: float
    high: float
    step: float
    value: float

    def to_html(self) -> str:
        """The label, the slider, and the number beside it."""
        return (
            f'<label class="slider"><span>{html.escape(self.label)}</span>'
            f'<input type="range" id="{self.name}" min="{self.low:g}" max="{self.high:g}" '
            f'step="{self.step:g}" value="{self.value:g}">'
            f'<output for="{self.name}"></output></label>'
        )


@dataclass(frozen=True)
class Page:
    """A page that moves."""

    title: str
    """Of the page."""
    question: str
    """One or two sentences above all: what is looked at."""
    body: str
    """HTML: charts as empty `<svg>`, sliders, numbers as elements with an id."""
    script: str
    """The name of the script in `parts/`, without its ending."""
    data: Mapping[str, Any]
    """What the script begins with; plain JSON."""
    tries: Sequence[tuple[str, str]]
    """What to change, and what will then be seen."""

    def to_html(self) -> str:
        """The whole file."""
        tries = "".join(
            f"<dt>{html.escape(change)}</dt><dd>{html.escape(watch)}</dd>"
            for change, watch in self.tries
        )
        title = html.escape(self.title)
        return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Drivetrain {html.escape(__version__)}">
<title>{title}</title>
<style>
{_part("page.css")}</style>
</head>
<body>
<header><h1>{title}</h1><p>{html.escape(self.question)}</p></header>
<main>
{self.body}
<section><h2>Change this, watch that</h2><dl class="tries">{tries}</dl></section>
</main>
<noscript><p>This page computes in the browser: allow it to run its own script.</p></noscript>
<script>
"use strict";
const DATA = {as_json(self.data)};
{_part("page.js")}
{_part(f"{self.script}.js")}</script>
</body>
</html>
"""


def as_json(value: Any) -> str:
    """JSON that may stand in a script: no `<`, which could end it, and no line end of JavaScript's own.

    >>> as_json({"label": "</script>"})
    '{"label": "\\\\u003c/script>"}'
    """
    text = json.dumps(value, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def chart(name: str, label: str, *, width: int = 640, height: int = 360) -> str:
    """An empty chart, which the script fills; `label` is what it shows, for who cannot see it."""
    return (
        f'<svg id="{name}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(label)}"></svg>'
    )


def _part(name: str) -> str:
    return resources.files("drivetrain.pages").joinpath("parts", name).read_text("utf-8")
