"""What the pictures of this package share. Each is a matplotlib Figure made without pyplot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drivetrain._optional import require
from drivetrain.interpret.text import LONGEST, cut, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 40
"""Columns that a picture shows; how many more there are stands below."""

UP, DOWN, PLAIN, FAINT = "#c44e52", "#4c72b0", "#4c72b0", "0.7"
"""Colours: raises, lowers, neither, aside. Red and blue that the colour-blind can tell apart."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches.

    Raises: MissingPackageError: there is no matplotlib.
    """
    require("matplotlib", extra="plot")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def height_of(lines: int) -> float:
    """Inches for so many labelled lines under each other."""
    return 1.3 + 0.22 * max(lines, 4)


def label(name: str, longest: int = LONGEST) -> str:
    """A name as it may stand in a picture: short, and with no dollar sign that starts a formula."""
    return cut(name, longest).replace("$", r"\$")


def name_lines(axes: Axes, names: Sequence[str], longest: int = LONGEST) -> None:
    """Put names on the lines of a picture, the first at the top."""
    axes.set_yticks(range(len(names)), [label(name, longest) for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def bare(axes: Axes) -> None:
    """Take away the frame's upper and right line."""
    axes.spines[["top", "right"]].set_visible(False)


def whole_numbers(axes: Axes) -> None:
    """Let the lower axis be marked at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def note_below(figure: Figure, text: str, *, width: int = 112) -> None:
    """Small print under the picture."""
    if text:
        figure.supxlabel(
            wrapped(text, width).replace("$", r"\$"), fontsize=8, color="0.35", x=0.01, ha="left"
        )
