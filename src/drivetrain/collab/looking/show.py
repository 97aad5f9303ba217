"""A map of items as a picture: those with most ratings by name, no name upon another.

figure = item_map_figure(map_items(factors, titles, counts=counts))
figure.savefig("items.png")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from drivetrain._optional import require
from drivetrain.collab.looking.reading import Ends, ItemMap
from drivetrain.errors import ConfigError
from drivetrain.interpret.drawing import DOWN, bare, label, new_figure, note_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 32
"""Letters of a title in the picture."""
NAMED_ENDS = 2
"""Items at each end of an axis that are named, however few ratings they have."""
RINGS = (5.0, 11.0, 18.0, 26.0, 36.0)
"""How far from its point a title may stand, in points of print; nearer ones are tried first."""
MARGIN = 1.0
"""Points of print that are left free around a title."""


def item_map_figure(
    found: ItemMap,
    *,
    labels: int = 40,
    size: tuple[float, float] = (11.0, 8.5),
    font_size: float = 7.5,
) -> Figure:
    """The items in the plane of their two principal components.

    Each is a dot. The names of the first `labels` items, those with most ratings, stand beside theirs,
    and those of the items at the ends of the axes. A name that finds no free place near its dot is left
    out; below the picture is said how many.

    Args:
        found: from `reading.map_items`.
        labels: how many names, at most.
        size: of the picture in inches.
        font_size: of the names, in points.

    Raises: ConfigError: `labels` is negative. MissingPackageError: there is no matplotlib.
    """
    if isinstance(labels, bool) or not isinstance(labels, int) or labels < 0:
        raise ConfigError(f"`labels` is a whole number from 0 up. Got {labels!r}.")
    require("matplotlib", extra="plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = new_figure(*size)
    canvas = FigureCanvasAgg(figure)  # text is measured where it is drawn
    axes = figure.subplots()
    points = found.points
    axes.scatter(points[:, 0], points[:, 1], s=8, color="0.75", linewidths=0, zorder=1)
    axes.axhline(0, color="0.9", zorder=0)
    axes.axvline(0, color="0.9", zorder=0)
    for axis, name in zip(found.axes, ("x", "y"), strict=True):
        getattr(axes, f"set_{name}label")(_axis_label(axis), fontsize=8)
    bare(axes)
    axes.margins(0.06)
    named = _named(found, labels)
    axes.scatter(points[named, 0], points[named, 1], s=14, color=DOWN, linewidths=0, zorder=2)
    note = _note(found, 0)
    note_below(figure, note)
    canvas.draw()  # what follows needs the final place of the axes
    figure.set_layout_engine("none")
    missed = _place(figure, axes, found, named, font_size)
    if missed:
        note_below(figure, _note(found, missed))
    return figure


def _named(found: ItemMap, labels: int) -> np.ndarray:
    """(n,) places of the items to name: those at the ends first, since they explain the axes."""
    if not labels:
        return np.zeros(0, dtype=np.int64)
    ends = [
        entry.code
        for axis in found.axes
        for side in (axis.highest, axis.lowest)
        for entry in side[:NAMED_ENDS]
    ]
    place = {code: i for i, code in enumerate(found.codes.tolist())}
    order = dict.fromkeys([*(place[code] for code in ends), *range(len(found.codes))])
    return np.array([*order][:labels], dtype=np.int64)


def _place(
    figure: Figure, axes: Axes, found: ItemMap, named: Sequence[int] | np.ndarray, size: float
) -> int:
    """Put names beside their dots, each where it meets no other; gives how many found no place."""
    unit = figure.dpi / 72  # pixels of a point of print
    window = axes.get_window_extent()
    taken = np.empty((0, 4))  # boxes: left, bottom, right, top, in pixels
    dots = axes.transData.transform(found.points[named])
    near = np.column_stack([dots - 2.5 * unit, dots + 2.5 * unit])
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # lines must not move the dots
    missed = 0
    for own, item in enumerate(named):
        text = axes.annotate(
            label(found.titles[item], LONGEST),
            found.points[item],
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=size,
            va="bottom",
            zorder=3,
            annotation_clip=False,
        )
        box = text.get_window_extent()
        others = np.vstack([taken, np.delete(near, own, axis=0)])
        spot = _spot(dots[own], box.width, box.height, unit, np.asarray(window.extents), others)
        if spot is None:
            text.remove()
            missed += 1
            continue
        left, bottom, right, top, ring = spot
        taken = np.vstack([taken, [left, bottom, right, top]])
        shift = (np.array([left, bottom]) - dots[own]) / unit + MARGIN
        text.set_position((float(shift[0]), float(shift[1])))
        if ring > RINGS[0]:  # a line leads from the dot to the nearest place of its name
            end = np.clip(dots[own], [left, bottom], [right, top])
            line = axes.transData.inverted().transform(np.stack([dots[own], end]))
            axes.plot(line[:, 0], line[:, 1], color="0.6", linewidth=0.5, zorder=1.5)
    return missed


def _spot(
    dot: np.ndarray,
    width: float,
    height: float,
    unit: float,
    window: np.ndarray,
    others: np.ndarray,
) -> tuple[float, float, float, float, float] | None:
    """The nearest free box for a name: left, bottom, right, top in pixels, and its ring; or None."""
    margin = MARGIN * unit
    wide, high = width + 2 * margin, height + 2 * margin
    for ring in RINGS:
        away = ring * unit
        slant = away * 0.7
        x, y = dot
        corners = (
            (x + away, y - high / 2),  # to the right
            (x - away - wide, y - high / 2),  # to the left
            (x - wide / 2, y + away),  # above
            (x - wide / 2, y - away - high),  # below
            (x + slant, y + slant),
            (x + slant, y - slant - high),
            (x - slant - wide, y + slant),
            (x - slant - wide, y - slant - high),
        )
        for left, bottom in corners:
            right, top = left + wide, bottom + high
            inside = (
                left >= window[0]
                and bottom >= window[1]
                and right <= window[2]
                and top <= window[3]
            )
            apart = (
                (others[:, 0] >= right)
                | (others[:, 2] <= left)
                | (others[:, 1] >= top)
                | (others[:, 3] <= bottom)
            )
            if inside and apart.all():
                return left, bottom, right, top, ring
    return None


def _axis_label(axis: Ends) -> str:
    """The lower end at the left, or below; the higher at the right, or above."""
    ends = [
        ", ".join(label(entry.title, 24) for entry in side[:2])
        for side in (axis.lowest, axis.highest)
    ]
    share = "" if axis.share is None else f"  ({axis.share:.0%} of the spread)"
    return f"← {ends[0]}      {axis.name.split(',')[0]}{share}      {ends[1]} →"


def _note(found: ItemMap, missed: int) -> str:
    said = [f"{len(found.codes):,} items"]
    if found.num_left_out:
        said.append(f"{found.num_left_out:,} with fewer ratings left out")
    if missed:
        said.append(f"{missed} {'name' if missed == 1 else 'names'} without a free place left out")
    return "; ".join(said) + "."
