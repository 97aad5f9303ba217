"""One prediction as a sum: where it starts, what each column adds, where it ends.

How the contributions are found is the explainer's matter (`drivetrain.trees` has one for trees); that
they add up to the prediction is checked here, so that no picture shows a sum that is not one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drivetrain.errors import InputError, ShapeError
from drivetrain.interpret import drawing, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOLERANCE = 1e-9
"""By how much the sum may miss the prediction, times the largest number in it where that is above 1."""


class Part(NamedTuple):
    """What one column adds."""

    name: str
    """Of the column; of several smaller ones taken together, how many."""
    shown: str
    """The row's value in it; empty where it was not given."""
    contribution: float
    """What it adds to the prediction."""


@dataclass(frozen=True)
class Waterfall:
    """A prediction taken apart; `base` and all contributions add up to it."""

    base: float
    """Where the sum starts: for trees, the mean of the training targets."""
    parts: tuple[Part, ...]
    """All columns, the largest contribution first, whichever its sign."""
    prediction: float
    """Where it ends."""
    unit: str = "prediction"
    """What the numbers are, for the axis."""

    def shortened(self, most: int) -> tuple[Part, ...]:
        """The largest `most` - 1 contributions, and all others as one; all where there are no more."""
        if len(self.parts) <= most:
            return self.parts
        rest = self.parts[most - 1 :]
        left = sum(part.contribution for part in rest)
        return (*self.parts[: most - 1], Part(f"{len(rest)} other columns", "", left))

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        return {
            "base": self.base,
            "parts": [part._asdict() for part in self.parts],
            "prediction": self.prediction,
            "unit": self.unit,
        }

    def __str__(self) -> str:
        parts = self.shortened(13)
        adds = [part.contribution for part in parts]
        makes = self.base + np.concatenate([[0.0], np.cumsum(adds)])
        added = text.aligned([*adds, self.prediction - self.base])
        made = text.aligned([*makes, self.prediction])
        signed = [one if one.startswith("-") else f"+{one}" for one in added]
        rows = [["start", "", "", made[0]]]
        rows += [
            [text.cut(part.name), text.cut(part.shown, 24), signed[i], made[i + 1]]
            for i, part in enumerate(parts)
        ]
        rows.append([self.unit, "", signed[-1], made[-1]])
        return text.table(["column", "value", "adds", "makes"], rows, left=2)

    def plot(self, *, most: int = 13) -> Figure:
        """Bars from the start to the prediction, red for what raises it and blue for what lowers it.

        Args:
            most: bars, the last of which takes the smaller ones together.

        Raises: MissingPackageError: there is no matplotlib.
        """
        parts = self.shortened(most)
        figure = drawing.new_figure(7.5, drawing.height_of(len(parts) + 2))
        axes = figure.subplots()
        steps = np.array([part.contribution for part in parts])
        starts = self.base + np.concatenate([[0.0], np.cumsum(steps)])  # (parts + 1,)
        places = np.arange(1, len(parts) + 1)
        colours = [drawing.UP if step > 0 else drawing.DOWN for step in steps]
        axes.barh(places, steps, left=starts[:-1], color=colours, height=0.7)
        for place, at in enumerate(starts):  # from the end of each bar down to the next
            axes.plot([at, at], [place - 0.35, place + 1.35], color="0.6", linewidth=0.8)
        for place, start, step in zip(places, starts[:-1], steps, strict=True):
            axes.annotate(
                f"{step:+.3g}", (max(start, start + step), place), xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=8,
            )  # fmt: skip
        ends = [(0, self.base, "start"), (len(parts) + 1, self.prediction, self.unit)]
        for place, at, _ in ends:
            axes.plot(at, place, "o", color="0.2", markersize=5)
            axes.annotate(
                f"{at:.4g}",
                (at, place),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        names = [
            f"{text.cut(p.name, 26)} = {text.cut(p.shown, 20)}" if p.shown else p.name
            for p in parts
        ]
        drawing.name_lines(axes, ["start", *names, self.unit], longest=49)
        low, high = min(starts.min(), self.prediction), max(starts.max(), self.prediction)
        room = (high - low) or abs(high) or 1.0
        axes.set_xlim(low - 0.05 * room, high + 0.14 * room)
        axes.set_xlabel(drawing.label(self.unit))
        axes.grid(axis="x", alpha=0.3)
        drawing.bare(axes)
        return figure


def waterfall(
    base: float,
    contributions: Sequence[float] | np.ndarray,
    prediction: float,
    names: Sequence[str],
    *,
    shown: Sequence[str] | None = None,
    unit: str = "prediction",
) -> Waterfall:
    """Take one prediction apart.

    Args:
        base: where the sum starts.
        contributions: (K,) what each column adds.
        prediction: what the model answers for the row.
        names: of the columns.
        shown: (K,) the row's values, as they are to be read.
        unit: what the numbers are, such as `log of the price` or `probability of survival`.

    Raises: ShapeError: not so many names or values as contributions. InputError: base and contributions
        do not add up to the prediction within `TOLERANCE`.
    """
    adds = np.asarray(contributions, dtype=np.float64)
    values = [""] * len(names) if shown is None else list(shown)
    if adds.shape != (len(names),) or len(values) != len(names):
        raise ShapeError(
            f"`waterfall` got contributions of shape {adds.shape}, {len(names)} names and {len(values)} "
            "values, expected one of each a column."
        )
    total = float(base) + float(adds.sum())
    allowed = TOLERANCE * max(1.0, abs(float(prediction)), float(np.abs(adds).max(initial=0.0)))
    if not abs(total - float(prediction)) <= allowed:
        raise InputError(
            f"`waterfall` got parts that add up to {total!r}, and a prediction of {float(prediction)!r}. "
            "Take base, contributions and prediction of the same model, row and output."
        )
    order = np.argsort(-np.abs(adds), kind="stable")
    parts = tuple(Part(names[i], str(values[i]), float(adds[i])) for i in map(int, order))
    return Waterfall(float(base), parts, float(prediction), unit)
