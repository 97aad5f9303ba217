"""A formula as a picture, from how it is written: `plot_expression("1 / (1 + exp(-x))")`.

The formula is arithmetic as `levers.expression` reads it, over one name; nothing of it is run by Python.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from drivetrain._optional import require
from drivetrain.errors import ConfigError
from drivetrain.levers.expression import parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_expression(
    text: str, low: float = -5.0, high: float = 5.0, *, num_points: int = 401
) -> Figure:
    """The curve of a formula of one name between two values; where it is not finite there is a gap.

    Raises: ConfigError: the text is no arithmetic of one name, or the values are in the wrong order.
        MissingPackageError: there is no matplotlib.

    >>> plot_expression("1 / (1 + exp(-x))").axes[0].get_xlabel()
    'x'
    """
    formula = parse(text)
    if len(formula.names) != 1:
        names = ", ".join(sorted(formula.names)) or "none"
        raise ConfigError(
            f"A curve is of a formula with one name, such as x. Got {names}: {text[:80]}."
        )
    if not low < high or num_points < 2:
        raise ConfigError(
            f"A curve goes from a lower value to a higher one. Got {low} and {high}, {num_points} points."
        )
    (name,) = formula.names
    x = np.linspace(low, high, num_points)
    y = np.broadcast_to(formula.evaluate({name: x}), x.shape).astype(np.float64)
    figure: Figure = require("matplotlib.figure", extra="plot").Figure(
        figsize=(5, 3.2), layout="constrained"
    )
    axes = figure.subplots()
    axes.plot(x, np.where(np.isfinite(y), y, np.nan))
    axes.axhline(0, color="0.7", linewidth=0.8)
    axes.axvline(0, color="0.7", linewidth=0.8)
    axes.set_xlabel(name)
    axes.set_ylabel(text if len(text) <= 40 else text[:39] + "…")
    axes.grid(alpha=0.3)
    return figure


def expression_svg(text: str, low: float = -5.0, high: float = 5.0) -> str:
    """The curve as SVG, to stand in a page.

    Raises: as `plot_expression`.
    """
    image = io.StringIO()
    plot_expression(text, low, high).savefig(image, format="svg")
    return image.getvalue()
