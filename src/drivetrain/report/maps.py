"""A map of items as a picture that stands still, for the report; `map_page` is the one that answers.

Groups are told apart by colour and by form, so that who sees no colours reads it too, and the largest
ones by their names. One unit is as long to the right as it is up: distances are what they look like.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.errors import DataError, DrivetrainError
from drivetrain.interpret.embedding_map import EmbeddingMap, agreement, embedding_map
from drivetrain.interpret.map_items import MapItems, sample
from drivetrain.interpret.text import cut, number, share
from drivetrain.report.html import Block, charted, details, paragraph
from drivetrain.report.svg import safe, svg, words

MOST = 800
"""Items that a report draws, each with its name to point at."""
COLOURS, FORMS, STEPS = 8, 4, 5
MOST_GROUPS = 20
"""Groups that have a colour and a form of their own; the rest is grey."""
MOST_NAMES = 12
"""Names of groups that are written into the map."""
WIDE, TALL, EDGE = 400.0, 320.0, 14.0
REST = "all others"


@dataclass(frozen=True, eq=False)
class Drawn:
    """Items in the plane, ready to be drawn."""

    items: MapItems
    """Those that are drawn: all have a point."""
    found: EmbeddingMap
    groups: tuple[str, ...]
    """In the order of the legend; where there are too many, the last is all others."""
    codes: np.ndarray
    """(N,) int64 into `groups`; -1 of items without one."""
    nearest: float | None
    """Share of items whose nearest other is of their group, in all numbers; None without groups."""
    nearest_here: float | None
    """The same in the plane."""

    @property
    def has_rest(self) -> bool:
        """Whether the last group stands for all that have no colour."""
        return len(self.groups) > 0 and len(self.groups) < len(self.items.groups)

    def look(self, code: int) -> tuple[str, int]:
        """CSS class of the colour, and number of the form, of a group."""
        if code < 0 or (self.has_rest and code == len(self.groups) - 1):
            return f"g{COLOURS}", 0
        if self.items.is_ordered:
            return f"s{round(code * (STEPS - 1) / max(len(self.groups) - 1, 1))}", code % FORMS
        return f"g{code % COLOURS}", (code + code // COLOURS) % FORMS

    def counts(self) -> list[tuple[int, int]]:
        """Of each group how many items there are, and how many of them are wrong."""
        wrong = self.items.wrong
        rows = [self.codes == code for code in range(len(self.groups))]
        return [(int(r.sum()), 0 if wrong is None else int((wrong & r).sum())) for r in rows]

    def sentences(self) -> list[str]:
        """What it is, how to read it, and what it hides; plain text."""
        return [*self.about(), *self.trust()]

    def about(self) -> list[str]:
        """What is drawn, and how to read it."""
        items, kept = self.items, len(self.items)
        told = [items.what]
        if items.total > kept + self.found.left_out:
            told.append(f"Drawn are {kept:,} of {items.total:,} {items.noun}, chosen at random.")
        told.append(self.found.caution)
        if items.wrong is not None:
            told.append(f"A ring is a mistake: {int(items.wrong.sum()):,} of {kept:,}.")
        return told

    def trust(self) -> list[str]:
        """What the plane hides, and what else is known of the items."""
        items, told = self.items, []
        if self.nearest is not None and self.nearest_here is not None and len(items.groups) > 1:
            what = (
                f"step of the {items.group_of}" if items.is_ordered else items.group_of or "group"
            )
            told.append(
                f"In all {self.found.width:,} numbers the nearest other one is of the same {what} for "
                f"{share(self.nearest, 1.0)} of the {items.noun}, in this plane for "
                f"{share(self.nearest_here, 1.0)}."
            )
        return [*told, *items.notes]

    def rows(self) -> list[list[str]]:
        """The numbers: name, group, what was said, across, up; mistakes first."""
        items = self.items
        wrong = np.zeros(len(items), bool) if items.wrong is None else items.wrong
        found = []
        for row in np.argsort(~wrong, kind="stable").tolist():
            x, y = self.found.points[row].tolist()
            said = items.said[row] if items.said else ""
            found.append([items.names[row], items.label(row), said, number(x), number(y)])
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: what was drawn, and where each item lies."""
        items, wrong, trained = self.items, self.items.wrong, self.items.trained
        return {
            "method": self.found.method,
            "explained": None if self.found.shares is None else list(self.found.shares),
            "what": items.what,
            "told": self.sentences(),
            "nearest": {"all_numbers": self.nearest, "plane": self.nearest_here},
            "items": [
                {
                    "name": items.names[row],
                    "group": items.label(row),
                    "said": items.said[row] if items.said else None,
                    "wrong": None if wrong is None else bool(wrong[row]),
                    "part": None if trained is None else ("valid", "train")[bool(trained[row])],
                    "x": x,
                    "y": y,
                }
                for row, (x, y) in enumerate(self.found.points.tolist())
            ],
        }


HEADS = ("item", "group", "the model says", "across", "up")


def drawn(items: MapItems, *, method: str = "pca", seed: int = 42, most: int = MOST) -> Drawn:
    """The items in the plane: at most so many, drawn at random.

    Raises: DataError: there is none. As `embedding_map` else.
    """
    if not len(items):
        raise DataError("There are no items to be drawn as a map.")
    total = items.total or len(items)
    some = _taken(items, sample(len(items), most, seed))
    found = embedding_map(some.vectors, method, seed)
    some = dataclasses.replace(_taken(some, found.kept), total=total)
    groups, codes = _grouped(some)
    own = np.full(len(some), -1) if some.codes is None else some.codes
    is_grouped = bool((own >= 0).any())
    return Drawn(
        some,
        found,
        groups,
        codes,
        agreement(some.vectors, own) if is_grouped else None,
        agreement(found.points, own) if is_grouped else None,
    )


def _taken(items: MapItems, rows: np.ndarray) -> MapItems:
    """Some of the items."""
    places, look = rows.tolist(), items.pictures

    def those(values: Sequence[str]) -> list[str]:
        return [str(values[place]) for place in places] if len(values) else []

    return dataclasses.replace(
        items,
        vectors=items.vectors[rows],
        names=those(items.names),
        codes=None if items.codes is None else items.codes[rows],
        said=those(items.said),
        wrong=None if items.wrong is None else items.wrong[rows],
        trained=None if items.trained is None else items.trained[rows],
        details=those(items.details),
        pictures=None if look is None else lambda some, side: look(rows[some], side),
    )


def _grouped(items: MapItems) -> tuple[tuple[str, ...], np.ndarray]:
    """The groups that are told apart; of classes those with most items, and all others as one."""
    if items.codes is None or not items.groups:
        return (), np.full(len(items), -1)
    if len(items.groups) <= MOST_GROUPS:
        return items.groups, items.codes
    known = items.codes[items.codes >= 0]
    counts = np.bincount(known, minlength=len(items.groups))
    most = np.sort(np.argsort(-counts, kind="stable")[: MOST_GROUPS - 1]).tolist()
    place = np.full(len(items.groups), MOST_GROUPS - 1)
    place[most] = np.arange(len(most))
    codes = np.where(items.codes >= 0, place[np.maximum(items.codes, 0)], -1)
    return (*(items.groups[code] for code in most), REST), codes


# --- drawing --------------------------------------------------------------------------------------


def map_block(found: Drawn, title: str) -> Block:
    """The card: the map, what is to be known of it, and its numbers at a click."""
    told = paragraph(" ".join(found.about()), "quiet")
    more = details("How far to trust it", "".join(map(paragraph, found.trust())))
    chart = map_chart(found)
    numbers = charted(chart, HEADS, found.rows(), left=(0, 1, 2))
    inside = told + _legend(found) + numbers + more
    return Block(title, inside)


def map_blocks(items: MapItems | None, title: str) -> list[Block]:
    """The card of a report; why there is none, where the items cannot be drawn; nothing without items."""
    if items is None or not len(items):
        return []
    try:
        return [map_block(drawn(items), title)]
    except DrivetrainError as error:
        return [Block(title, paragraph(str(error), "quiet"))]


def map_chart(found: Drawn) -> str:
    """The map as one `<svg>`."""
    places = _places(found.found.points)
    items, wrong = found.items, found.items.wrong
    inside = []
    for row, (x, y) in enumerate(places.tolist()):
        kind, form = found.look(int(found.codes[row]))
        said = [items.names[row], items.label(row)]
        if items.said and items.said[row] and items.said[row] != items.label(row):
            said.append(f"the model says {items.said[row]}")
        told = safe(cut(" · ".join(part for part in said if part), 120))
        ring = ""
        if wrong is not None and wrong[row]:
            ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="5.2"/>'
        inside.append(
            f'<g><title>{told}</title><path class="mark {kind}" d="{marker(form, x, y)}"/>{ring}</g>'
        )
    inside += _names(found, places)
    across, up = found.found.axes
    inside.append(words(WIDE / 2, TALL + 12, f"→ {across}", "middle", "soft cap"))
    inside.append(words(WIDE / 2, TALL + 27, f"↑ {up}", "middle", "soft cap"))
    title = f"Map of {len(items):,} {items.noun}"
    return svg(WIDE, TALL + 32, title, inside, most=620)


def marker(form: int, x: float, y: float, size: float = 3.2) -> str:
    """A path: circle, square, triangle or diamond, of about the same area, around a place."""
    r = size
    if form == 1:
        r *= 0.88
        return f"M{x - r:.1f} {y - r:.1f}h{2 * r:.1f}v{2 * r:.1f}h{-2 * r:.1f}z"
    if form == 2:
        r *= 1.25
        return f"M{x:.1f} {y - r:.1f}l{r:.1f} {1.7 * r:.1f}h{-2 * r:.1f}z"
    if form == 3:
        r *= 1.25
        return f"M{x:.1f} {y - r:.1f}l{r:.1f} {r:.1f}l{-r:.1f} {r:.1f}l{-r:.1f} {-r:.1f}z"
    arc = f"a{r:.1f} {r:.1f} 0 1 0 "
    return f"M{x - r:.1f} {y:.1f}{arc}{2 * r:.1f} 0{arc}{-2 * r:.1f} 0z"


def _places(points: np.ndarray) -> np.ndarray:
    """(N, 2) units from the left and from the top; one scale for both axes."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle = low / 2 + high / 2
    room = np.array([WIDE - 2 * EDGE, TALL - 2 * EDGE])
    width = np.maximum(high - low, 1e-300)
    scale = float((room / width).min()) if (high > low).any() else 0.0
    return np.array([WIDE / 2, TALL / 2]) + (points - middle) * scale * np.array([1.0, -1.0])


def _names(found: Drawn, places: np.ndarray) -> list[str]:
    """Names of the groups in the middle of theirs, none upon another."""
    if found.items.is_ordered:
        return []
    largest = sorted(enumerate(found.counts()), key=lambda pair: (-pair[1][0], pair[0]))
    named = [code for code, (count, _) in largest[:MOST_NAMES] if count]
    if found.has_rest:
        named = [code for code in named if code != len(found.groups) - 1]
    boxes: list[tuple[float, float, float]] = []  # middle, line, half the width
    texts = []
    for code in named:
        name = cut(found.groups[code], 22)
        half = 3.6 * len(name)
        x, y = np.median(places[found.codes == code], axis=0).tolist()
        x = min(max(x, half + 2), WIDE - half - 2)
        tries = (y + 14.0 * step * way for step in range(12) for way in (1, -1))
        y = next(
            (
                at for at in tries
                if 14 <= at <= TALL - 4
                and all(abs(at - b) >= 14 or abs(x - a) >= half + c for a, b, c in boxes)
            ),
            y,
        )  # fmt: skip
        boxes.append((x, y, half))
        texts.append(words(x, y, name, "middle", "name"))
    return texts


def _legend(found: Drawn) -> str:
    keys = []
    for code, (name, (count, wrong)) in enumerate(zip(found.groups, found.counts(), strict=True)):
        if not count:
            continue
        kind, form = found.look(code)
        told = f"{name}: {count:,}" + (f", {wrong:,} wrong" if wrong else "")
        keys.append(
            f'<span class="key"><svg viewBox="0 0 22 8" aria-hidden="true">'
            f'<path class="{kind}" d="{marker(form, 11, 4)}"/></svg>{safe(told)}</span>'
        )
    return f'<p class="legend">{"".join(keys)}</p>' if keys else ""
