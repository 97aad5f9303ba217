"""A map of items as a page that answers: point at a dot, and it says what it is and shows its picture.

One file, which loads nothing and says so to the browser: the policy allows the page's own script by its
hash, and no other. Names go in as JSON in which no `<` is left, and are put on the page as text.
"""

from __future__ import annotations

import base64
import hashlib
import io
from importlib import resources
from typing import Any

import numpy as np

from drivetrain import __version__
from drivetrain._optional import require
from drivetrain.interpret.map_items import MapItems
from drivetrain.interpret.text import cut
from drivetrain.pages.page import as_json
from drivetrain.report.html import image, paragraph
from drivetrain.report.maps import Drawn
from drivetrain.report.svg import safe

LETTERS = 300
"""Of what is said of an item."""
SHEET_BYTES = 2_500_000
"""Of all small pictures together; as text in a page they take a third more."""
ACROSS = 32
"""Small pictures in a line of the sheet that holds all of them."""


def map_page(found: Drawn, title: str) -> str:
    """The whole file.

    Args:
        found: the items in the plane.
        title: what they are of, such as the name of a run.
    """
    script = _part("map.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    told = "".join(paragraph(sentence) for sentence in found.sentences())
    side = _side(len(found.items)) if found.items.pictures is not None else 0
    sheet = _sheet(found.items, side)
    name = safe(title)
    return f"""<!DOCTYPE html>
<html lang="en" class="map">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Drivetrain {safe(__version__)}">
<title>{name}: map</title>
<style>
{_part("report.css")}{_part("map.css")}</style>
</head>
<body>
<header><p class="over">Map of {len(found.items):,} {safe(found.items.noun)}</p><h1>{name}</h1></header>
<main>
<div class="tools">
<input id="search" type="search" placeholder="find by name or group" aria-label="Find by name or group">
<label id="only"><input id="wrong" type="checkbox"> mistakes alone</label>
<span class="zoom"><button id="out" aria-label="Smaller">−</button><button id="in"
 aria-label="Larger">+</button><button id="whole">whole</button></span>
</div>
<div id="keys" role="group" aria-label="Groups: press one to see it alone"></div>
<div class="two">
<div class="plane"><canvas id="plane" tabindex="0" role="img"
 aria-label="Map: arrow keys go from dot to dot"></canvas>
<p class="axes" id="axes"></p></div>
<aside id="told" aria-live="polite"><p class="quiet">Point at a dot, or tap it. With the arrow keys you go
from dot to dot.</p></aside>
</div>
<details id="numbers"><summary>Numbers</summary><p class="quiet" id="many"></p><div class="scroll"
 tabindex="0"><table><thead></thead><tbody></tbody></table></div></details>
<section><h2>How to read it</h2>{told}</section>
</main>
<footer><p>Made by Drivetrain {safe(__version__)}. This page holds items of your data: whoever has it sees
them.</p></footer>
<noscript><p class="notes">This page answers with a script of its own: allow it to run.</p></noscript>
{sheet}<script type="application/json" id="data">{as_json(_data(found, side))}</script>
<script>{script}</script>
</body>
</html>
"""


def _data(found: Drawn, side: int) -> dict[str, Any]:
    items = found.items
    points = found.found.points
    width = float(np.ptp(points, axis=0).max()) or 1.0
    digits = max(0, 4 - int(np.floor(np.log10(width))))  # a ten-thousandth of the map
    looks = [found.look(code) for code in range(len(found.groups))]
    none, _ = found.look(-1)
    return {
        "x": [round(value, digits) for value in points[:, 0].tolist()],
        "y": [round(value, digits) for value in points[:, 1].tolist()],
        "code": found.codes.tolist(),
        "groups": [
            {"name": name, "kind": kind, "form": form}
            for name, (kind, form) in zip(found.groups, looks, strict=True)
        ],
        "rest": none,
        "ordered": items.is_ordered,
        "names": [cut(name, LETTERS) for name in items.names],
        "labels": [cut(items.label(row), LETTERS) for row in range(len(items))],
        "said": [cut(text, LETTERS) for text in items.said],
        "wrong": [] if items.wrong is None else np.flatnonzero(items.wrong).tolist(),
        "details": [cut(text, LETTERS) for text in items.details],
        "axes": list(found.found.axes),
        "side": side if items.pictures is not None else 0,
        "across": ACROSS,
    }


def _side(count: int) -> int:
    """Pixels a side of a small picture: many of them have to fit into a page that can be sent."""
    return 64 if count <= 600 else 48 if count <= 1500 else 32 if count <= 3000 else 24


def _sheet(items: MapItems, side: int) -> str:
    """All small pictures as one; each is cut out of it when it is looked at."""
    if items.pictures is None:
        return ""
    require("PIL", extra="vision")
    from PIL import Image

    lines = -(-len(items) // ACROSS)
    sheet = np.zeros((lines * ACROSS, side, side, 3), dtype=np.uint8)
    for start in range(0, len(items), 256):
        rows = np.arange(start, min(start + 256, len(items)))
        sheet[rows] = items.pictures(rows, side)
    tiled = sheet.reshape(lines, ACROSS, side, side, 3).transpose(0, 2, 1, 3, 4)
    whole = Image.fromarray(tiled.reshape(lines * side, ACROSS * side, 3))
    data = b""
    for quality in (80, 60, 35, 15):
        file = io.BytesIO()
        whole.save(file, "JPEG", quality=quality)
        data = file.getvalue()
        if len(data) <= SHEET_BYTES:
            break
    return f'<div id="sheet" hidden>{image(data, "all small pictures")}</div>\n'


def _part(name: str) -> str:
    return resources.files("drivetrain.report").joinpath("parts", name).read_text("utf-8")
