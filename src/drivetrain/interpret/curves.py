"""Drawing partial dependence: lines over numbers and dates, dots beside categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from drivetrain.interpret import drawing, text
from drivetrain.interpret.grids import Grid
from drivetrain.interpret.support import LITTLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from drivetrain.interpret.partial import PartialDependence

Chosen: TypeAlias = list[tuple[str, np.ndarray, np.ndarray]]
"""Of each output that is drawn: its name, (G,) its mean, (I, G) its curves of single rows."""


def axis_values(grid: Grid, numbers: np.ndarray) -> np.ndarray:
    """Values of `Grid.numbers` for an axis: dates as dates again."""
    if grid.kind != "dates":
        return numbers
    return numbers.astype(np.int64).astype("datetime64[us]")


def draw_line(axes: Axes, found: PartialDependence, chosen: Chosen, mean_label: str) -> str:
    """Curves over numbers or dates, the rows' own values as marks on the lower edge.

    Returns: what is not in the picture, in a sentence, or nothing.
    """
    last = len(found.grid) - found.grid.has_missing
    numbers = found.grid.numbers()[:last]
    shown = slice(*_bulk(numbers))
    x = axis_values(found.grid, numbers[shown])
    for name, mean, curves in chosen:
        axes.plot(x, curves[:, shown].T, color=drawing.FAINT, linewidth=0.6, alpha=0.6)
        colour = drawing.PLAIN if len(chosen) == 1 else None  # None: the next one of the cycle
        mark = "o" if len(x) == 1 else None
        (line,) = axes.plot(
            x, mean[shown], color=colour, marker=mark, linewidth=2.2, label=name, zorder=3
        )
        if found.grid.has_missing:
            missing = axes.axhline(mean[last], color=line.get_color(), linewidth=1.2, linestyle=":")
            if len(chosen) == 1:
                axes.legend([missing], ["where it is missing"], fontsize=8)
    is_weak = found.support[shown] < LITTLE
    for start, stop in _stretches(is_weak):
        left = x[start] - (x[start] - x[max(start - 1, 0)]) / 2
        right = x[stop] + (x[min(stop + 1, len(x) - 1)] - x[stop]) / 2
        axes.axvspan(left, right, color=drawing.UP, alpha=0.12, linewidth=0)
    _draw_rug(axes, found, x)
    weak = "; red: few rows like these" if is_weak.any() else ""
    axes.set_xlabel(f"{drawing.label(found.name)} (marks: values of the rows{weak})")
    axes.set_ylabel(mean_label)
    if found.grid.kind == "dates":
        _mark_dates(axes)
    aside = [
        f"{found.grid.labels[i]} ({text.rows(int(found.grid.counts[i]))})"
        for i in (*range(shown.start), *range(shown.stop, last))
    ]
    return f"Not in the picture, far from the rest: {text.listed(aside)}." if aside else ""


def _bulk(values: np.ndarray) -> tuple[int, int]:
    """First and one past the last point, without single ones as far from the rest as that is wide.

    A code such as 1000 for an unknown year would leave a tenth of the picture to all the others.
    """
    start, stop = 0, len(values)
    while (
        stop - start > 3
        and values[start + 1] - values[start] > values[stop - 1] - values[start + 1]
    ):
        start += 1
    while (
        stop - start > 3 and values[stop - 1] - values[stop - 2] > values[stop - 2] - values[start]
    ):
        stop -= 1
    return start, stop


def _draw_rug(axes: Axes, found: PartialDependence, x: np.ndarray) -> None:
    own = axis_values(found.grid, found.rug)
    if len(x) > 1:
        room = (x[-1] - x[0]) * 3 // 100 if found.grid.kind == "dates" else (x[-1] - x[0]) * 0.03
        axes.set_xlim(x[0] - room, x[-1] + room)
        own = own[(own >= x[0] - room) & (own <= x[-1] + room)]
    axes.plot(
        own, np.zeros(len(own)), "|", color="0.25", markersize=9, alpha=0.5,
        transform=axes.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip


def _mark_dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def draw_words(axes: Axes, found: PartialDependence, chosen: Chosen, mean_label: str) -> str:
    """A line for each category, with its rows, the mean as a dot, and how far single rows go along.

    Each row's curve is moved to the mean of all, so that the grey line shows how unlike the rows answer
    to the category, and not how unlike the rows are.

    Returns: what the colours say and what is not in the picture, or nothing.
    """
    places = np.arange(len(found.grid))
    for name, mean, curves in chosen:
        if len(curves):
            moved = curves - curves.mean(axis=1, keepdims=True) + mean.mean()
            low, high = np.quantile(moved, [0.1, 0.9], axis=0)
            axes.hlines(places, low, high, color=drawing.FAINT, linewidth=3)
        colour = drawing.PLAIN if len(chosen) == 1 else None
        axes.plot(mean, places, "o", color=colour, label=name, zorder=3)
    weak = np.flatnonzero(found.support < LITTLE)
    if len(chosen) == 1 and len(weak):
        axes.plot(chosen[0][1][weak], weak, "o", color=drawing.UP, zorder=4)
    counted = zip(found.grid.labels, found.grid.counts, strict=True)
    drawing.name_lines(axes, [f"{drawing.cut(word, 24)} ({count:,})" for word, count in counted])
    axes.set_xlabel(mean_label)
    axes.set_ylabel(f"{drawing.label(found.name)} (rows)")
    said = []
    if len(chosen[0][2]):
        said.append("Grey: 80% of the single rows, each moved to the mean of all.")
    if len(chosen) == 1 and len(weak):
        said.append("Red: few rows like these.")
    if found.grid.left_out:
        said.append(f"{found.grid.left_out} rarer categories are left out.")
    return " ".join(said)


def _stretches(is_marked: np.ndarray) -> list[tuple[int, int]]:
    """First and last place of each run of true values."""
    edges = np.diff(np.concatenate([[0], is_marked.astype(int), [0]]))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))
