"""Pictures of feedback loops: curves of each variant, round by round, with intervals.

Figures are matplotlib's, made without pyplot: nothing global is touched, and no window opens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from drivetrain._optional import require
from drivetrain._registry import lookup
from drivetrain.collab.truth.concentration import ConcentrationReport
from drivetrain.collab.truth.districts import Districts
from drivetrain.collab.truth.feedback import MEASURES, PERCENT, Feedback
from drivetrain.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#c44e52", "#4c72b0", "#2a7f3b", "#dd8452", "#8172b3", "#937860")
TRUTH = "0.35"
SHOWN = ("gini", "shown_top", "coverage", "sameness", "drift", "order")
"""Measures that are drawn unless others are asked for."""
_TITLES = {
    "gini": "Gini of ratings per item",
    "top": "ratings of the top 1% of items",
    "shown_top": "places of the 1% of items most shown",
    "coverage": "items that are shown",
    "popularity": "ratings at first of a shown item",
    "sameness": "what lists of two users share",
    "drift": "drift from the true taste",
    "liking": "true taste for what is shown",
    "order": "rank correlation with the taste",
    "rmse": "error against the taste",
}


def plot_feedback(found: Feedback, measures: Sequence[str] = SHOWN) -> Figure:
    """One field a measure: a line a variant with its 95% interval over seeds, and the reference dashed.

    Returns: a `matplotlib.figure.Figure`.
    Raises: UnknownNameError: no such measure. ConfigError: none is asked for. MissingPackageError: there
        is no matplotlib.
    """
    if not measures:
        raise ConfigError(f"`plot_feedback` needs a measure or more of: {', '.join(MEASURES)}.")
    for name in measures:
        lookup(MEASURES, name, what="measure")
    columns = min(3, len(measures))
    rows = -(-len(measures) // columns)
    figure = _figure(3.6 * columns + 0.4, 2.8 * rows + 0.9)
    fields = figure.subplots(rows, columns, squeeze=False, sharex=True)
    rounds = np.arange(found.rounds + 1)
    for place, axes in enumerate(fields.ravel()):
        if place >= len(measures):
            axes.set_visible(False)
            continue
        name = measures[place]
        scale = 100 if name in PERCENT else 1
        for number, one in enumerate(found.curves):
            colour = COLOURS[number % len(COLOURS)]
            interval = one.interval(name)
            if interval is not None:
                low, high = (scale * end for end in interval)
                axes.fill_between(rounds, low, high, color=colour, alpha=0.15, lw=0)
            axes.plot(rounds, scale * one.mean(name), color=colour, lw=1.6, label=one.name)
        if name not in ("drift", "order", "rmse"):  # of which the reference has none
            wanted = scale * found.reference.mean(name)
            axes.plot(rounds, wanted, color=TRUTH, ls="--", lw=1.2, label="lists by the true taste")
        axes.set_title(_TITLES[name] + (", %" if name in PERCENT else ""), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        if place + columns >= len(measures):
            axes.set_xlabel("round", fontsize=8)
            axes.tick_params(labelbottom=True)
    _legend(figure, list(fields.ravel()))
    what = f"{found.users:,} users a round are shown {found.k} items each"
    figure.suptitle(f"A model that learns from what it showed: {what}", fontsize=10)
    return figure


def plot_districts(found: Mapping[str, Districts]) -> Figure:
    """One field a variant: the first district's share of the records in the cities, and their middle.

    Returns: a `matplotlib.figure.Figure`.
    Raises: ConfigError: there is no variant. MissingPackageError: there is no matplotlib.
    """
    if not found:
        raise ConfigError("`plot_districts` needs a variant or more. Got none.")
    figure = _figure(2.9 * len(found) + 0.6, 3.3)
    fields = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for number, (axes, (name, one)) in enumerate(zip(fields, found.items(), strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        low, middle, high = one.band()
        rounds = np.arange(len(middle))
        axes.fill_between(
            rounds, 100 * low, 100 * high, color=colour, alpha=0.18, lw=0, label="95% of cities"
        )
        axes.plot(rounds, 100 * one.shares[:12, :, 0].T, color=colour, lw=0.6, alpha=0.7)
        axes.plot(rounds, 100 * middle, color="black", lw=1.4, label="median of cities")
        truth = 100 * one.policing.truth[0]
        axes.axhline(truth, color=TRUTH, ls="--", lw=1.2, label="truth")
        drift = 100 * one.mean_drift()[0][-1]
        axes.set_title(f"{name}\nmean drift {drift:.1f}%", fontsize=9)
        axes.set_xlabel("round", fontsize=8)
        axes.set_ylim(0, 100)
        axes.set_xlim(0, max(len(middle) - 1, 1))
        axes.tick_params(labelsize=8)
    fields[0].set_ylabel("records in the first district, %", fontsize=8)
    # a band has its variant's colour: one entry of the legend stands for all
    _legend(figure, [fields[0]])
    return figure


def plot_concentration(report: ConcentrationReport) -> Figure:
    """Lorenz curves of users and items: what the owners with the fewest ratings have together.

    Returns: a `matplotlib.figure.Figure`.
    Raises: MissingPackageError: there is no matplotlib.
    """
    figure = _figure(4.6, 4.2)
    axes = figure.subplots()
    for one, colour in ((report.users, COLOURS[1]), (report.items, COLOURS[0])):
        owners, held = one.lorenz
        label = f"{one.what}, Gini {one.gini:.2f}"
        axes.plot(100 * owners, 100 * held, color=colour, lw=1.8, label=label)
    axes.plot([0, 100], [0, 100], color=TRUTH, ls="--", lw=1.2, label="all alike")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_xlabel("users or items, from the fewest ratings to the most, %")
    axes.set_ylabel("of the ratings, %")
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def _figure(width: float, height: float) -> Figure:
    require("matplotlib", extra="plot")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _legend(figure: Figure, fields: Sequence[Axes]) -> None:
    """One for all fields, each name once."""
    handles = {}
    for axes in fields:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        frameon=False,
    )
