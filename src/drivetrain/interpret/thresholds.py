"""Where to draw the line: what each threshold on the probability of one class finds, and what it costs.

    found = dt.interpret.thresholds(predictions, "fraud", cost_missed=50, cost_alarm=1)
    found.best                     # the threshold with the least cost

A threshold is chosen on the items that it is measured on, so its cost here is a little too good; say so
where it is reported, and measure it once more on the test set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import drawing, text
from drivetrain.interpret.outcomes import classified
from drivetrain.train.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_POINTS = 200
"""Thresholds that are kept: spread evenly over the items in the order of their probability."""


class Threshold(NamedTuple):
    """What is found by flagging each item whose probability is at least `at`."""

    at: float
    flagged: int
    hits: int
    """Flagged items that are of the class."""
    alarms: int
    """Flagged items that are not."""
    missed: int
    """Items of the class that are not flagged."""
    precision: float | None
    """Hits among the flagged; None where nothing is flagged."""
    recall: float
    """Hits among the items of the class."""
    f1: float
    cost: float
    """missed · cost_missed + alarms · cost_alarm."""


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Thresholds on the probability of one class, from the highest down."""

    name: str
    """The class."""
    points: tuple[Threshold, ...]
    """One for each threshold."""
    num_items: int
    """Of the record."""
    num_class: int
    """Items of the class."""
    cost_missed: float
    """Of an item of the class that is not flagged."""
    cost_alarm: float
    """Of an item that is flagged and is not of the class."""

    @property
    def best(self) -> Threshold:
        """The one with the least cost; of equal ones the highest."""
        return min(self.points, key=lambda point: (point.cost, -point.at))

    @property
    def best_f1(self) -> Threshold:
        """The one with the highest F1; of equal ones the highest threshold."""
        return max(self.points, key=lambda point: (point.f1, point.at))

    def at(self, threshold: float) -> Threshold:
        """The lowest kept point that is not below this threshold; 0.5 is always exact."""
        return min((p for p in self.points if p.at >= threshold), key=lambda point: point.at)

    def to_json(self) -> dict[str, Any]:
        """All of it, plain; infinity (flag nothing) as None."""
        return {
            "class": self.name,
            "num_items": self.num_items,
            "num_class": self.num_class,
            "cost_missed": self.cost_missed,
            "cost_alarm": self.cost_alarm,
            "best": _plain(self.best),
            "best_f1": _plain(self.best_f1),
            "points": [_plain(point) for point in self.points],
        }

    def __str__(self) -> str:
        chosen = {"least cost": self.best, "best F1": self.best_f1, "at 0.5": self.at(0.5)}
        rows = [
            [
                label,
                "flag none" if np.isinf(p.at) else f"{p.at:.3f}",
                f"{p.flagged:,}",
                text.number(p.precision),
                text.number(p.recall),
                text.number(p.f1),
                f"{p.missed:,}",
                f"{p.alarms:,}",
                text.number(p.cost),
            ]
            for label, p in chosen.items()
        ]
        headings = [
            "",
            "threshold",
            "flagged",
            "precision",
            "recall",
            "F1",
            "missed",
            "alarms",
            "cost",
        ]
        return "\n".join(
            [
                f"{self.num_class:,} of {self.num_items:,} items are {text.cut(self.name)!r}; one that "
                f"is missed costs {text.number(self.cost_missed)}, a false alarm "
                f"{text.number(self.cost_alarm)}.",
                "",
                text.table(headings, rows),
            ]
        )

    def plot(self) -> Figure:
        """Precision, recall and cost along the threshold.

        Raises: MissingPackageError: there is no matplotlib.
        """
        figure = drawing.new_figure(7, 5)
        upper, lower = figure.subplots(2, 1, sharex=True)
        points = [p for p in self.points if np.isfinite(p.at)]
        x = [p.at for p in points]
        upper.plot(x, [p.recall for p in points], color=drawing.DOWN, label="recall")
        upper.plot(x, [p.precision for p in points], color=drawing.UP, label="precision")
        upper.set_ylim(0, 1.02)
        upper.legend(frameon=False)
        lower.plot(x, [p.cost for p in points], color="0.2")
        if np.isfinite(self.best.at):
            lower.axvline(self.best.at, color=drawing.FAINT, linestyle="--")
        lower.set_ylabel("cost")
        lower.set_ylim(bottom=0)
        lower.set_xlabel(f"threshold on the probability of {drawing.label(self.name)}")
        for axes in (upper, lower):
            drawing.bare(axes)
        return figure


def thresholds(
    predictions: Predictions,
    name: str | None = None,
    *,
    cost_missed: float = 1.0,
    cost_alarm: float = 1.0,
) -> Thresholds:
    """What each threshold on the probability of a class finds.

    Args:
        predictions: a record of one class an item.
        name: the class that is looked for; with two classes by default the second.
        cost_missed: of an item of the class that is not flagged.
        cost_alarm: of an item that is flagged and is not of the class.

    Raises: ConfigError: no class is named and there are more than two, there is none of this name, or a
        cost is below 0. DataError: the record has no item of the class, or none of another.
    """
    found = classified("thresholds", predictions)
    if name is None:
        if len(found.classes) != 2:
            raise ConfigError(
                f"`thresholds` has to know which of {len(found.classes)} classes is looked for: "
                f"thresholds(predictions, {found.classes[-1]!r})."
            )
        name = found.classes[1]
    if name not in found.classes:
        raise ConfigError(
            f"`thresholds` got the class {name!r}.{did_you_mean(name, found.classes)} Known: "
            f"{text.listed(found.classes, 8)}."
        )
    for label, cost in (("cost_missed", cost_missed), ("cost_alarm", cost_alarm)):
        if not (np.isfinite(cost) and cost >= 0):
            raise ConfigError(f"`thresholds` got {label}={cost}, expected a number from 0 on.")
    column = found.classes.index(name)
    probs, truth = found.probs[:, column], found.targets == column
    num_class = int(truth.sum())
    if num_class in (0, len(truth)):
        which = "no item" if num_class == 0 else "no other item than those"
        raise DataError(f"`thresholds` got a record with {which} of class {name!r}.")
    order = np.argsort(-probs, kind="stable")
    ends = np.flatnonzero(np.diff(probs[order], append=-1.0))  # the last of equal probabilities
    if len(ends) > MOST_POINTS:
        kept = np.linspace(0, len(ends) - 1, MOST_POINTS).round().astype(int)
        half = np.flatnonzero(probs[order][ends] >= 0.5)[
            -1:
        ]  # what is flagged where nothing is set
        ends = ends[np.unique(np.concatenate([kept, half]))]
    hits = np.cumsum(truth[order])
    points = [_point(np.inf, 0, 0, num_class, cost_missed, cost_alarm)] + [
        _point(
            float(probs[order[end]]),
            int(end) + 1,
            int(hits[end]),
            num_class,
            cost_missed,
            cost_alarm,
        )
        for end in ends
    ]
    return Thresholds(name, tuple(points), len(truth), num_class, cost_missed, cost_alarm)


def _point(
    at: float, flagged: int, hits: int, num_class: int, cost_missed: float, cost_alarm: float
) -> Threshold:
    missed, alarms = num_class - hits, flagged - hits
    return Threshold(
        at, flagged, hits, alarms, missed,
        hits / flagged if flagged else None,
        hits / num_class,
        2 * hits / (flagged + num_class),
        missed * cost_missed + alarms * cost_alarm,
    )  # fmt: skip


def _plain(point: Threshold) -> dict[str, Any]:
    return {**point._asdict(), "at": None if np.isinf(point.at) else point.at}
