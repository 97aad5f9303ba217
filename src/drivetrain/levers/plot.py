"""Pictures of a decision: the objective along each lever; what ranking by uplift brings.

Figures are matplotlib's, made without pyplot: nothing global is touched, and no window opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.levers.qini import SHARES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from drivetrain.levers.decision import Curve, Decision
    from drivetrain.levers.uplift import Uplift

LINE, TODAY, BEST, OTHER, CHANCE = "#4c72b0", "#dd8452", "#2a7f3b", "#8c8c8c", "0.4"
_MOST_WORDS = 20
_LONGEST = 24


def plot_decision(decision: Decision) -> Figure:
    """The objective along each lever, the others at their best; grey where the data does not reach.

    Returns: a `matplotlib.figure.Figure`, one field a lever.
    Raises: MissingPackageError: there is no matplotlib.
    """
    curves = decision.curves
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    figure = _figure(4.6 * columns + 0.6, 3.1 * rows + 0.9)
    fields = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(fields.ravel()):
        if place >= len(curves):
            axes.set_visible(False)
            continue
        _draw_curve(axes, curves[place], decision)
        if place % columns == 0:
            axes.set_ylabel(_cut(f"objective, {decision.problem.over} over the rows", 40))
    handles: dict[str, Any] = {}
    for axes in fields.ravel():
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8)
    title = f"{decision.problem.direction} {decision.problem.objective}"
    figure.suptitle(_cut(title, 70), fontsize=10)
    return figure


def plot_uplift(uplift: Uplift) -> Figure:
    """What treating the first so many rows brings: by uplift, by score, and in an order by chance.

    Returns: a `matplotlib.figure.Figure`.
    Raises: MissingPackageError: there is no matplotlib.
    """
    figure = _figure(6.4, 4.4)
    axes = figure.subplots()
    for name, colour in (("score", OTHER), ("uplift", LINE)):
        curve = uplift.curves[name]
        axes.fill_between(100 * SHARES, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
        axes.plot(100 * SHARES, curve.gain, color=colour, label=f"ranked by {name}")
    axes.plot([0, 100], [0, uplift.effect], color=CHANCE, ls="--", label="in an order by chance")
    axes.axhline(0, color="0.85", lw=0.8, zorder=0)
    axes.set_xlabel("rows treated, the first of the ranking, %")
    axes.set_ylabel(_cut(f"change of the mean of {uplift.outcome}", 45))
    axes.set_xlim(0, 100)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title("What treating part of the rows brings (bands: 95%)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_curve(axes: Any, curve: Curve, decision: Decision) -> None:
    today, best = decision.today[curve.lever], decision.settings[curve.lever]
    values = np.where(curve.is_allowed, curve.values, np.nan)
    if isinstance(best, str):
        _draw_words(axes, curve, values, today, best)
    else:
        assert not isinstance(today, str)
        x = np.array(curve.settings, dtype=np.float64)
        if curve.doubt is not None:
            axes.fill_between(
                x, values - 1.96 * curve.doubt, values + 1.96 * curve.doubt, color=LINE, alpha=0.15,
                lw=0, label="doubt of the model, 95%",
            )  # fmt: skip
        axes.plot(x, values, color=LINE, marker="." if len(x) <= 25 else None)
        edges = np.concatenate([[x[0]], (x[1:] + x[:-1]) / 2, [x[-1]]])
        for first, last in _runs(~curve.is_inside):
            axes.axvspan(
                edges[first],
                edges[last + 1],
                color="0.92",
                zorder=0,
                lw=0,
                label="outside the data",
            )
        axes.axvline(today, color=TODAY, ls=":", label="today")
        axes.axvline(best, color=BEST, label="best")
    axes.set_xlabel(_cut(curve.lever, 40))
    axes.spines[["top", "right"]].set_visible(False)


def _draw_words(axes: Any, curve: Curve, values: np.ndarray, today: Any, best: Any) -> None:
    """Choices as points, the highest ones where there are many."""
    shown = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:_MOST_WORDS]
    words = [str(curve.settings[i]) for i in shown]
    places = np.arange(len(shown))
    doubt = None if curve.doubt is None else 1.96 * curve.doubt[shown]
    colours = [BEST if w == best else TODAY if w == today else LINE for w in words]
    for i, place in enumerate(places):
        inside = bool(curve.is_inside[shown[i]])
        axes.errorbar(
            place, values[shown[i]], None if doubt is None else doubt[i], color=colours[i], fmt="o",
            mfc=colours[i] if inside else "white",
        )  # fmt: skip
    axes.set_xticks(
        places, [_cut(word, _LONGEST) for word in words], rotation=30, ha="right", fontsize=8
    )
    axes.margins(x=0.15)


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and last place of each unbroken run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [
        (int(first), int(last) - 1) for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]


def _figure(width: float, height: float) -> Figure:
    require("matplotlib", extra="plot")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _cut(text: str, most: int) -> str:
    """Short enough, and with no dollar sign that starts a formula."""
    return (text if len(text) <= most else text[: most - 1] + "…").replace("$", r"\$")
