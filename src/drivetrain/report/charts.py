"""Charts of a report: lines, bars, histograms, intervals, points, a matrix. Each is one `<svg>`.

A chart is 400 units wide, which a phone shows at about the size it has. Colours alone never carry the
meaning: lines are dashed differently, marks say their figures when they are pointed at, and the page has
all numbers in a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain.interpret.text import cut, number
from drivetrain.report.svg import rectangles, round_numbers, rule, safe, short, svg, words

WIDTH = 400
WIDEST = 540
"""Pixels that a chart is shown at at most."""
TALL = 190
"""Height of a plot."""
_LEFT, _RIGHT, _TOP, _BELOW = 46, 12, 12, 34
MOST_POINTS = 1500
"""Dots of a picture of points; beyond them every so-many-th is drawn."""


@dataclass(frozen=True)
class Line:
    """A line of a chart."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    """None where there is a gap."""
    kind: str = "c0"
    """CSS class, which gives the colour."""
    dots: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Axes:
    """Places of a plot's values on the canvas."""

    x: tuple[float, float]
    y: tuple[float, float]
    tall: float = TALL
    left: float = _LEFT

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Units from the left and from the top."""
        wide, (low, high) = WIDTH - _RIGHT - self.left, self.x
        right = self.left + (x - low) / (high - low) * wide if high > low else self.left + wide / 2
        low, high = self.y
        up = (y - low) / (high - low) if high > low else 0.5
        return right, _TOP + self.tall * (1 - up)

    def frame(self, below: str, beside: str = "") -> list[str]:
        """Rules, numbers and names of the axes."""
        inside = []
        for tick in round_numbers(*self.y):
            _, y = self.at(self.x[0], tick)
            inside += [rule(self.left, y, WIDTH - _RIGHT, y)]
            inside += [words(self.left - 5, y + 4, short(tick), "end", "soft")]
        floor = _TOP + self.tall
        inside.append(rule(self.left, floor, WIDTH - _RIGHT, floor, "axis"))
        for tick in round_numbers(*self.x):
            x, _ = self.at(tick, self.y[0])
            anchor = "end" if x > WIDTH - 22 else "middle"
            inside += [rule(x, floor, x, floor + 3, "axis")]
            inside += [words(x, floor + 15, short(tick), anchor, "soft")]
        inside.append(
            words((self.left + WIDTH - _RIGHT) / 2, floor + 30, below, "middle", "soft cap")
        )
        if beside:
            inside.append(words(self.left, 8, beside, kind="soft cap"))
        return inside

    @property
    def height(self) -> float:
        """Of the whole chart."""
        return _TOP + self.tall + _BELOW


def legend(lines: Sequence[Line]) -> str:
    """Names of lines beside a piece of each."""
    keys = "".join(
        f'<span class="key"><svg viewBox="0 0 22 8" aria-hidden="true">'
        f'<line class="line {line.kind}" x1="1" y1="4" x2="21" y2="4"/></svg>{safe(line.name)}</span>'
        for line in lines
    )
    return f'<p class="legend">{keys}</p>'


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    below: str,
    beside: str = "",
    y_from: float | None = None,
    y_to: float | None = None,
    x_from: float | None = None,
    marks: Sequence[tuple[float, str]] = (),
    diagonal: bool = False,
) -> str:
    """Lines over a common axis.

    Args:
        title: what it shows.
        below: what the axis below counts.
        beside: what the other one does.
        y_from: where that one begins; by default at the lowest value; also `y_to`.
        x_from: where the axis below begins.
        marks: upright lines (x, word).
        diagonal: draw y = x, faint.
    """
    xs = [x for line in lines for x in line.x]
    ys = [y for line in lines for y in line.y if y is not None and math.isfinite(y)]
    if not xs or not ys:
        return ""
    low = min(ys) if y_from is None else y_from
    high = max(ys) if y_to is None else y_to
    first = min(xs) if x_from is None else x_from
    axes = Axes((first, max(xs)), (low, high if high > low else low + 1))
    inside = axes.frame(below, beside)
    if diagonal:
        inside.append(rule(*axes.at(axes.x[0], axes.x[0]), *axes.at(axes.x[1], axes.x[1]), "mean"))
    for x, word in marks:
        at, top = axes.at(x, axes.y[1])
        inside.append(rule(at, top, at, top + axes.tall, "mean"))
        is_right = at > WIDTH * 0.6
        inside.append(
            words(
                at + (-4 if is_right else 4), top + 10, word, "end" if is_right else "start", "soft"
            )
        )
    for line in lines:
        inside += _drawn(line, axes)
    return svg(WIDTH, axes.height, title, inside, most=WIDEST)


def _drawn(line: Line, axes: Axes) -> list[str]:
    runs: list[list[str]] = [[]]
    dots = []
    for x, y in zip(line.x, line.y, strict=True):
        if y is None or not math.isfinite(y):
            runs.append([])
            continue
        right, down = axes.at(x, min(max(y, axes.y[0]), axes.y[1]))
        runs[-1].append(f"{right:.1f},{down:.1f}")
        if line.dots:
            said = safe(f"{line.name}, {short(x)}: {number(y)}")
            dots.append(
                f'<circle class="dot {line.kind}" cx="{right:.1f}" cy="{down:.1f}" r="3">'
                f"<title>{said}</title></circle>"
            )
    faint = " faint" if line.faint else ""
    return [
        *(
            f'<polyline class="line {line.kind}{faint}" points="{" ".join(run)}"/>'
            for run in runs
            if len(run) > 1
        ),
        *dots,
    ]


def bar_chart(
    title: str,
    names: Sequence[str],
    values: Sequence[float],
    *,
    shown: Sequence[str] = (),
    kinds: Sequence[str] = (),
) -> str:
    """Lying bars with their names to the left and their numbers at the end.

    Args:
        shown: the numbers as they are written; by default in few letters.
        kinds: CSS classes of the bars.
    """
    tall = 21
    cuts = [cut(name, 20) for name in names]
    left = min(136, 14 + 7.0 * max((len(name) for name in cuts), default=1))
    said = list(shown) or [short(value) for value in values]
    room = WIDTH - _RIGHT - left - 8 - 7.0 * max((len(one) for one in said), default=1)
    largest = max([*values, 1e-12])
    inside = []
    for place, (name, value, one) in enumerate(zip(cuts, values, said, strict=True)):
        y, wide = 3.0 + place * tall, max(value / largest * room, 0.8)
        kind = kinds[place] if kinds else "bar"
        inside += [
            words(left - 7, y + 13, name, "end"),
            rectangles([(left, y + 1, wide, tall - 5)], kind),
            words(left + wide + 6, y + 13, one, kind="soft"),
        ]
    return svg(WIDTH, 6 + tall * len(names), title, inside, most=WIDEST)


def histogram(
    title: str,
    edges: Sequence[float],
    counts: Sequence[int],
    *,
    below: str,
    beside: str = "",
    told: Sequence[float] | None = None,
) -> str:
    """Standing bars from edge to edge.

    Args:
        told: the edges as they are said, where the outer bars hold what lies beyond the axis.
    """
    said = edges if told is None else told
    axes = Axes((edges[0], edges[-1]), (0, max([*counts, 1])), tall=140)
    inside = axes.frame(below, beside)
    boxes = []
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        left, top = axes.at(low, count)
        right, floor = axes.at(high, 0)
        boxes.append((left + 0.5, top, max(right - left - 1, 0.5), floor - top))
    inside.append(rectangles(boxes, "bar"))
    inside += [
        f'<rect class="tip" x="{left:.1f}" y="{_TOP}" width="{wide:.1f}" height="{axes.tall}">'
        f"<title>{safe(f'{number(low)} to {number(high)}: {count:,}')}</title></rect>"
        for (left, _, wide, _), low, high, count in zip(
            boxes, said[:-1], said[1:], counts, strict=True
        )
    ]
    return svg(WIDTH, axes.height, title, inside, most=WIDEST)


@dataclass(frozen=True)
class Measure:
    """A number with its interval."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    kind: str = "soft"
    """CSS class: the model's own stands out."""


def interval_chart(
    title: str, measures: Sequence[Measure], *, below: str, above: bool = False
) -> str:
    """Values as dots on one axis, each with its interval as a bar through it.

    Args:
        above: names stand above their bars, where they are long, and not to the left.
    """
    ends = [end for m in measures for end in (m.low, m.value, m.high) if end is not None]
    low, high = min(ends), max(ends)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    each = 42.0 if above else 27.0
    tall = each * len(measures)
    cuts = [cut(m.name, 54 if above else 21) for m in measures]
    left = 14.0 if above else min(150.0, 16 + 6.9 * max(map(len, cuts)))
    axes = Axes((low - room, high + room), (0, len(measures)), tall=tall, left=left)
    floor = _TOP + tall
    inside = [rule(left, floor, WIDTH - _RIGHT, floor, "axis")]
    for tick in round_numbers(*axes.x):
        x, _ = axes.at(tick, 0)
        inside += [rule(x, _TOP, x, floor), words(x, floor + 15, short(tick), "middle", "soft")]
    inside.append(words((left + WIDTH - _RIGHT) / 2, floor + 30, below, "middle", "soft cap"))
    for place, (measure, name) in enumerate(zip(measures, cuts, strict=True)):
        y = _TOP + each * (place + (0.74 if above else 0.5))
        kind = "own" if measure.kind == "own" else ""
        if above:
            inside.append(words(left, y - 12, name, kind=kind))
        else:
            inside.append(words(left - 8, y + 4, name, "end", kind))
        x, _ = axes.at(measure.value, 0)
        said = f"{measure.name}: {number(measure.value)}"
        if measure.low is not None and measure.high is not None:
            begin, _ = axes.at(measure.low, 0)
            end, _ = axes.at(measure.high, 0)
            inside.append(rule(begin, y, end, y, f"span {measure.kind}"))
            said += f" ({number(measure.low)} to {number(measure.high)})"
        inside.append(
            f'<circle class="dot {measure.kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
            f"<title>{safe(said)}</title></circle>"
        )
    return svg(WIDTH, axes.height, title, inside, most=WIDEST)


def point_chart(
    title: str, x: np.ndarray, y: np.ndarray, *, below: str, beside: str, diagonal: bool = False
) -> str:
    """Dots, at most `MOST_POINTS` of them; with the diagonal both axes are the same."""
    step = max(1, math.ceil(len(x) / MOST_POINTS))
    xs, ys = x[::step], y[::step]
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    ends = ((low, high), (low, high))
    if not diagonal:
        ends = ((float(x.min()), float(x.max())), (float(y.min()), float(y.max())))
    axes = Axes(*ends, tall=240)
    inside = axes.frame(below, beside)
    if diagonal:
        inside.append(rule(*axes.at(low, low), *axes.at(high, high), "mean"))
    places = (axes.at(a, b) for a, b in zip(xs.tolist(), ys.tolist(), strict=True))
    # a point without length but with round ends is a dot, and a path of them is one element
    drawn = "".join(f"M{right:.1f} {down:.1f}h0" for right, down in places)
    inside.append(f'<path class="cloud" d="{drawn}"/>')
    return svg(WIDTH, axes.height, title, inside, most=WIDEST)


def bin_chart(
    title: str,
    points: Sequence[tuple[float, float, float, float, int]],
    *,
    below: str,
    beside: str,
) -> str:
    """What was promised against what came, with intervals; on the diagonal they are equal.

    Args:
        points: (promised, came, low, high, items) in [0, 1].
    """
    axes = Axes((0.0, 1.0), (0.0, 1.0), tall=240)
    inside = [*axes.frame(below, beside), rule(*axes.at(0, 0), *axes.at(1, 1), "mean")]
    for promised, came, low, high, items in points:
        x, y = axes.at(promised, came)
        top, floor = axes.at(promised, high)[1], axes.at(promised, low)[1]
        said = f"promised {promised:.1%}, right {came:.1%} of {items:,}"
        inside.append(rule(x, top, x, floor, "span c0"))
        inside.append(
            f'<circle class="dot c0" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{safe(said)}</title></circle>'
        )
    line = " ".join(
        "{:.1f},{:.1f}".format(*axes.at(promised, came)) for promised, came, *_ in points
    )
    inside.append(f'<polyline class="line c0" points="{line}"/>')
    return svg(WIDTH, axes.height, title, inside, most=WIDEST)


def matrix_chart(
    title: str, matrix: np.ndarray, names: Sequence[str], *, of: np.ndarray | None = None
) -> str:
    """Counts of (true, predicted) as squares, darker for a larger share of the true class.

    Args:
        matrix: (C, C) counts of the classes that are drawn.
        names: of these.
        of: (C,) items of each true class, where some were taken for a class that is not drawn.
    """
    count = len(names)
    side = max(15.0, min(46.0, 420.0 / count))
    cuts = [cut(name, 16) for name in names]
    left = 24 + 7.0 * max(map(len, cuts))
    size = left + side * count + 8
    top = 18.0
    sums = matrix.sum(axis=1) if of is None else of
    shares = matrix / np.maximum(sums, 1)[:, None]
    inside = [words(left + side * count / 2, 11, "predicted", "middle", "soft cap")]
    small = " small" if side < 24 else ""
    for row, name in enumerate(cuts):
        middle = top + side * (row + 0.5)
        inside.append(words(left - 7, middle + 4, name, "end", small.strip()))
        for column in range(count):
            value = int(matrix[row, column])
            if not value:
                continue
            x, y = left + side * column, top + side * row
            kind = "hit" if row == column else "miss"
            share = float(shares[row, column])
            said = f"{names[row]} taken for {names[column]}: {value:,} ({share:.1%})"
            inside.append(
                f'<rect class="{kind}" x="{x + 0.5:.1f}" y="{y + 0.5:.1f}" width="{side - 1:.1f}" '
                f'height="{side - 1:.1f}" fill-opacity="{0.08 + 0.92 * share:.2f}">'
                f"<title>{safe(said)}</title></rect>"
            )
            if side >= 15:
                ink = "over" if share > 0.55 else "under"
                inside.append(
                    words(x + side / 2, y + side / 2 + 4, short(value), "middle", ink + small)
                )
    for edge in range(count + 1):
        at = side * edge
        inside.append(rule(left, top + at, left + side * count, top + at))
        inside.append(rule(left + at, top, left + at, top + side * count))
    foot = top + side * count
    longest = max(map(len, cuts))
    is_upright = longest * 7.5 < side
    for column, name in enumerate(cuts):
        x = left + side * (column + 0.5)
        if is_upright:
            inside.append(words(x, foot + 15, name, "middle", small.strip()))
        else:
            kind = f' class="{small.strip()}"' if small else ""
            inside.append(
                f'<text x="{x + 4:.1f}" y="{foot + 8:.1f}" text-anchor="end"{kind} '
                f'transform="rotate(-55 {x + 4:.1f} {foot + 8:.1f})">{safe(name)}</text>'
            )
    below = 24.0 if is_upright else 14 + 6.2 * longest
    return svg(size, foot + below, title, inside, most=1.3 * size)
