"""Charts of columns as SVG inside a page: colours are the page's CSS variables, all text is escaped.

A chart is 360 units wide, which a phone shows at about the size it has. Colours alone never carry the
meaning: each bar says its figures when it is pointed at, and the page has them in a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drivetrain.interpret.text import cut
from drivetrain.report.svg import rectangles, round_numbers, rule, safe, short, svg, words
from drivetrain.tabular.description.charts import Bar, Chart, Outcome, distinct_texts
from drivetrain.tabular.description.views import figure, percent

WIDTH = 360
FEW_ROWS = 5
"""Rows of a bar, below which the target in it is drawn faint."""

_LEFT, _RIGHT = 38, 8
"""Room beside bins, for the axis."""
_TALL = 96
"""Height of the bars."""
_NAMES, _LINE = 116, 19
"""Room for the names of levels, and the height of one."""


def drawn(chart: Chart, outcome: Outcome | None, *, keys: Mapping[str, str] | None = None) -> str:
    """A chart as one `<svg>` element.

    Args:
        outcome: the target by which the bars are split; None for a chart of rows alone.
        keys: level -> the CSS class of its bar, where it has a colour of its own.
    """
    return _bins(chart, outcome) if chart.form == "bins" else _levels(chart, outcome, keys)


def _tip(bar: Bar, outcome: Outcome | None) -> str:
    return f"<title>{safe(told(bar, outcome))}</title>"


def told(bar: Bar, outcome: Outcome | None) -> str:
    """A bar's figures in a line."""
    rows = f"{bar.label}: {bar.rows:,} {'row' if bar.rows == 1 else 'rows'}"
    if outcome is None or not bar.rows:
        return rows
    if outcome.kind == "number":
        return f"{rows}, mean {outcome.name} {figure(bar.mean)}"
    known = sum(bar.by_class)
    shares = [
        f"{name} {percent(count, known)}"
        for name, count in zip(outcome.classes, bar.by_class, strict=True)
        if count
    ]
    return f"{rows}; {', '.join(shares)}"


# ---- bins


def _bins(chart: Chart, outcome: Outcome | None) -> str:
    bars = [bar for bar in chart.bars if bar.role == "bin"]
    step = (WIDTH - _LEFT - _RIGHT) / len(bars)
    gap = min(1.0, step / 8)
    lefts = [_LEFT + i * step for i in range(len(bars))]
    largest = max(max(bar.rows for bar in bars), 1)
    top = 8.0
    floor = top + _TALL
    inside = []
    for tick in _ticks(largest):
        y = floor - tick / largest * _TALL
        inside += [
            rule(_LEFT, y, WIDTH - _RIGHT, y),
            words(_LEFT - 4, y + 3, short(tick), "end", "soft"),
        ]
    inside += _stacks(bars, lefts, step - gap, floor, _TALL / largest, outcome)
    inside += _marks(chart, bars, lefts, step, floor)
    height = floor + 18
    if outcome is not None and outcome.kind == "class":
        inside += _strip(bars, lefts, step - gap, height + 4, 22)
        inside.append(words(_LEFT - 4, height + 18, "share", "end", "soft"))
        height += 30
    elif outcome is not None:
        inside.append(words(_LEFT, height + 11, f"mean {cut(outcome.name, 28)}", kind="cap"))
        inside += _means(bars, [left + (step - gap) / 2 for left in lefts], height + 18, 44)
        height += 70
    inside += [
        f'<rect class="tip" x="{left:.1f}" y="{top}" width="{step:.1f}" height="{height - top:.1f}">'
        f"{_tip(bar, outcome)}</rect>"
        for bar, left in zip(bars, lefts, strict=True)
        if bar.rows
    ]
    split = f" by {outcome.name}" if outcome is not None else ""
    name = f"log(1 + {chart.name})" if chart.is_log else chart.name
    return svg(WIDTH, height, f"Histogram of {name}{split}, {len(bars)} bins", inside)


def _stacks(
    bars: Sequence[Bar],
    lefts: Sequence[float],
    wide: float,
    floor: float,
    scale: float,
    outcome: Outcome | None,
) -> list[str]:
    """Bars that stand on a floor, in the colours of the classes."""
    if outcome is None or outcome.kind == "number":
        boxes = [
            (left, floor - bar.rows * scale, wide, bar.rows * scale)
            for bar, left in zip(bars, lefts, strict=True)
        ]
        return [rectangles(boxes, "bar")]
    found, below = [], np.zeros(len(bars))
    for place in range(len(outcome.classes)):
        counts = np.array([bar.by_class[place] for bar in bars])
        boxes = [
            (left, floor - (under + count) * scale, wide, count * scale)
            for left, under, count in zip(lefts, below.tolist(), counts.tolist(), strict=True)
        ]
        found.append(rectangles(boxes, f"c{place}"))
        below = below + counts
    rest = np.array([bar.rows for bar in bars]) - below  # rows without a target
    boxes = [
        (left, floor - (under + count) * scale, wide, count * scale)
        for left, under, count in zip(lefts, below.tolist(), rest.tolist(), strict=True)
    ]
    return [*found, rectangles(boxes, "none")]


def _strip(
    bars: Sequence[Bar], lefts: Sequence[float], wide: float, top: float, tall: float
) -> list[str]:
    """Below each bar the shares of the classes in it, from the floor up as the bars are."""
    found: list[str] = []
    for is_faint in (False, True):
        chosen = [
            (bar, left)
            for bar, left in zip(bars, lefts, strict=True)
            if sum(bar.by_class) and (bar.rows < FEW_ROWS) == is_faint
        ]
        if not chosen:
            continue
        below = [0.0] * len(chosen)
        drawn = []
        for place in range(len(chosen[0][0].by_class)):
            boxes = []
            for i, (bar, left) in enumerate(chosen):
                share = bar.by_class[place] / sum(bar.by_class)
                boxes.append((left, top + tall * (1 - below[i] - share), wide, tall * share))
                below[i] += share
            drawn.append(rectangles(boxes, f"c{place}"))
        found.append(f'<g class="faint">{"".join(drawn)}</g>' if is_faint else "".join(drawn))
    return found


def _means(bars: Sequence[Bar], middles: Sequence[float], top: float, tall: float) -> list[str]:
    """Below each bar the mean of the target in it."""
    known = [(x, bar) for x, bar in zip(middles, bars, strict=True) if bar.mean is not None]
    means = [bar.mean for _, bar in known if bar.mean is not None]
    if not means:
        return []
    low, high = min(means), max(means)
    if not np.isfinite(high - low):
        return []
    scale = tall / (high - low) if high > low else 0.0
    places = [top + tall - (mean - low) * scale for mean in means]
    inside = [rule(_LEFT, top, WIDTH - _RIGHT, top)]
    inside.append(rule(_LEFT, top + tall, WIDTH - _RIGHT, top + tall))
    line = " ".join(f"{x:.1f},{y:.1f}" for (x, _), y in zip(known, places, strict=True))
    inside.append(f'<polyline class="line" points="{line}"/>')
    for (x, bar), y in zip(known, places, strict=True):
        faint = " faint" if bar.rows < FEW_ROWS else ""
        inside.append(f'<circle class="dot{faint}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>')
    if high > low:
        inside.append(words(_LEFT - 4, top + 3, short(high), "end", "soft"))
    inside.append(words(_LEFT - 4, top + tall + 3, short(low), "end", "soft"))
    return inside


def _marks(
    chart: Chart, bars: Sequence[Bar], lefts: Sequence[float], step: float, floor: float
) -> list[str]:
    """The axis below: values where bins begin, or below the middle of bins of one value each."""
    y = floor + 13
    inside = [rule(_LEFT, floor, WIDTH - _RIGHT, floor, "axis")]
    end = WIDTH - _RIGHT
    if chart.kind == "date":
        inside.append(words(_LEFT, y, str(bars[0].low)))
        if len(bars) > 3:
            middle = len(bars) // 2
            inside.append(words(lefts[middle], y, str(bars[middle].low), "middle"))
        return [*inside, words(end, y, str(bars[-1].high), "end")]
    lows = [float(bar.low) for bar in bars if bar.low is not None]
    is_ones = not chart.is_log and all(
        bar.label == f"{low:,.0f}" for bar, low in zip(bars, lows, strict=True)
    )
    if is_ones:  # below the middle: the bar stands for this one number
        every = next((n for n in (1, 2, 5) if len(bars) <= 8 * n), 10)
        chosen = [i for i, low in enumerate(lows) if low % every == 0]
        return inside + [words(lefts[i] + step / 2, y, f"{lows[i]:.0f}", "middle") for i in chosen]
    first, last = lows[0], float(bars[-1].high or 0.0)
    values = round_numbers(first, last)
    for value, label in zip(values, labels_of(values), strict=True):
        at = _LEFT + (value - first) / (last - first) * (end - _LEFT)
        room = 3.1 * len(label)
        anchor = "end" if at + room > WIDTH else "start" if at < room else "middle"
        inside += [rule(at, floor, at, floor + 3, "axis"), words(at, y, label, anchor)]
    return inside


# ---- levels


def _levels(chart: Chart, outcome: Outcome | None, keys: Mapping[str, str] | None) -> str:
    bars = chart.bars
    right = WIDTH - _RIGHT
    names = [cut(bar.label, 17) for bar in bars]
    left = min(_NAMES, 14 + 6.6 * max(map(len, names)))
    room = (right if outcome is None else 234) - left
    largest = max(max(bar.rows for bar in bars), 1)
    numbers = [short(bar.rows) for bar in bars]
    beside = 7 + 6.2 * max(map(len, numbers))
    scale = (room - beside) / largest
    top = 4.0 if outcome is None else 18.0
    lines = [top + i * _LINE for i in range(len(bars))]
    inside = []
    for bar, name, y, number in zip(bars, names, lines, numbers, strict=True):
        kind = "" if bar.role == "level" else "soft"
        inside.append(words(left - 6, y + 12, name, "end", kind))
        wide = bar.rows * scale
        inside.append(words(left + wide + 5, y + 12, number, kind="soft"))
    kinds = [(keys or {}).get(bar.label, "bar") if bar.role == "level" else "none" for bar in bars]
    for kind in dict.fromkeys(kinds):
        boxes = [
            (left, y + 2, max(bar.rows * scale, 0.6), _LINE - 5)
            for bar, y, its in zip(bars, lines, kinds, strict=True)
            if its == kind and bar.rows
        ]
        inside.append(rectangles(boxes, kind))
    if outcome is not None:
        inside += _beside(bars, lines, left + room + 8, right, outcome)
    inside += [
        f'<rect class="tip" x="0" y="{y:.1f}" width="{WIDTH}" height="{_LINE}">'
        f"{_tip(bar, outcome)}</rect>"
        for bar, y in zip(bars, lines, strict=True)
    ]
    split = f" by {outcome.name}" if outcome is not None else ""
    return svg(WIDTH, lines[-1] + _LINE + 4, f"Rows of each value of {chart.name}{split}", inside)


def _beside(
    bars: Sequence[Bar], lines: Sequence[float], left: float, right: float, outcome: Outcome
) -> list[str]:
    """To the right of each bar the target in it: shares of the classes, or the mean."""
    wide = right - left
    if outcome.kind == "class":
        inside = [words(left, 12, f"share by {cut(outcome.name, 14)}", kind="cap")]
        for is_faint in (False, True):
            drawn = []
            for place in range(len(outcome.classes)):
                boxes = []
                for bar, y in zip(bars, lines, strict=True):
                    known = sum(bar.by_class)
                    if known and (bar.rows < FEW_ROWS) == is_faint:
                        before = sum(bar.by_class[:place]) / known
                        share = bar.by_class[place] / known
                        boxes.append((left + wide * before, y + 2, wide * share, _LINE - 5))
                drawn.append(rectangles(boxes, f"c{place}"))
            inside.append(f'<g class="faint">{"".join(drawn)}</g>' if is_faint else "".join(drawn))
        return inside
    inside = [words(left, 12, f"mean {cut(outcome.name, 18)}", kind="cap")]
    means = [bar.mean for bar in bars if bar.mean is not None]
    known = outcome.numbers[~np.isnan(outcome.numbers)]
    low, high = min([0.0, *means]), max([0.0, *means])
    if not means or not np.isfinite(high - low) or high == low:
        return inside
    scale = (wide - 44) / (high - low)  # beside the figure at the end
    middle = left + 2 + (float(known.mean()) - low) * scale
    inside.append(rule(middle, lines[0], middle, lines[-1] + _LINE, "mean"))
    for bar, y in zip(bars, lines, strict=True):
        if bar.mean is not None:
            at = left + 2 + (bar.mean - low) * scale
            faint = " faint" if bar.rows < FEW_ROWS else ""
            inside.append(rule(left + 2, y + 9, at, y + 9, f"stem{faint}"))
            inside.append(f'<circle class="dot{faint}" cx="{at:.1f}" cy="{y + 9:.1f}" r="3"/>')
            inside.append(words(right, y + 12, short(bar.mean), "end", "soft"))
    return inside


# ---- numbers on axes


def _ticks(largest: int) -> list[float]:
    """0 excepted, one to three round numbers up to the largest."""
    power = 10 ** int(np.floor(np.log10(largest)))
    step = next(s * power for s in (0.1, 0.2, 0.5, 1, 2, 5) if largest / (s * power) < 4)
    step = max(step, 1)
    return [step * i for i in range(1, int(largest // step) + 1)]


def labels_of(values: Sequence[float]) -> list[str]:
    """Numbers on an axis in few letters that tell them apart."""
    labels = [short(value) for value in values]
    return labels if len(set(labels)) == len(labels) else distinct_texts(np.array(values))
