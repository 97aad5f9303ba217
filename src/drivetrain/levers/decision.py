"""What comes out of a problem: settings, gain, how far from the data, and what is not known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain.levers.domain import Place
from drivetrain.levers.gain import Gain
from drivetrain.levers.measure import Measurement
from drivetrain.levers.problem import Limit, Problem, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAUSE = (
    "A prediction is not a cause. The data show which settings and outcomes went together; if whoever "
    "set the levers looked at something that is not among the columns, or the outcome moved the "
    "levers, then setting them now will not bring what is predicted. Only an experiment tells."
)


_SOURCES: Mapping[str, str] = {
    "members": "The interval is what models disagree on that learnt from other draws of the data; single "
    "trees do so more than whole forests would.",
    "spread": "The interval is the model's own doubt about each row, taken as if it erred alike in all "
    "rows and independently today and then.",
}
"""Where an interval comes from -> what it holds."""


@dataclass(frozen=True)
class LeverRange:
    """Settings of one lever that are as good, or nearly so, the others left at their best."""

    lever: str
    low: float = math.nan
    high: float = math.nan
    values: tuple[Setting, ...] = ()
    """All of them, where only some are possible; else they reach from `low` to `high`."""

    def __str__(self) -> str:
        if self.values:
            listed = ", ".join(shown(value) for value in self.values[:8])
            return f"{self.lever} {listed}{' …' if len(self.values) > 8 else ''}"
        return f"{self.lever} {shown(self.low)} to {shown(self.high)}"

    def to_json(self) -> Any:
        """A list of values, or `{low, high}`."""
        return list(self.values) if self.values else {"low": self.low, "high": self.high}


@dataclass(frozen=True)
class Curve:
    """The objective along one lever, the others at their best."""

    lever: str
    settings: tuple[Setting, ...]
    values: np.ndarray
    """(V,) the objective."""
    doubt: np.ndarray | None
    """(V,) its standard deviation, as the model gives it."""
    is_inside: np.ndarray
    """(V,) whether the setting is within the data's domain."""
    is_allowed: np.ndarray
    """(V,) whether the limits are kept."""


@dataclass(frozen=True)
class Reach:
    """How far from the data the best settings lie; see domain.py."""

    lever_share: float
    """Of the data's rows: those whose levers are nearer to other rows than these settings are."""
    row_share: float
    """The same for whole rows, the mean of the context's rows."""
    outside_share: float
    """Of the context's rows: those that are farther from the data than 95% of its own rows."""
    context_is_foreign: bool
    """Whether the context is so far out that no setting of the levers could be near the data."""
    stay_within: float | None

    def __str__(self) -> str:
        words = (
            "How far out (0% as usual as can be, 100% farther than any row of the data): the levers by "
            f"themselves {self.lever_share:.0%}, whole rows {self.row_share:.0%}."
        )
        if self.outside_share > 0.05:
            words += (
                f" In {percent(self.outside_share)} of the rows they make a case such as the data "
                "hardly has (farther out than 95% of its rows): there the prediction is a guess."
            )
        if self.context_is_foreign:
            words += (
                " The rows themselves are unlike the data, whatever the levers are set to: the search "
                "was kept to the settings that are least so."
            )
        elif self.stay_within is None:
            words += " The search was not kept to the data (stay_within = false)."
        else:
            words += f" The search was kept to settings within {self.stay_within:.0%} of the data."
        return words


@dataclass(frozen=True)
class Beyond:
    """Settings outside the data of which the model promises more."""

    settings: Mapping[str, Setting]
    value: float


@dataclass(frozen=True)
class Decision:
    """The settings that the model likes best, and what speaks for and against them."""

    problem: Problem
    """What was to be decided."""
    settings: Mapping[str, Setting]
    """Lever -> its best setting."""
    today: Mapping[str, Setting]
    """Lever -> its setting as it is today."""
    gain: Gain
    """What the objective gains over today's settings, with an interval."""
    places: tuple[Place, ...]
    """Where each lever's setting lies among the data's values."""
    reach: Reach
    """How far from the data the settings lie."""
    equal: tuple[LeverRange, ...]
    """Levers that have more than one equally good setting."""
    nearly: tuple[LeverRange, ...]
    """For each lever, what costs at most 5% of the gain; empty where there is no gain."""
    limits: tuple[tuple[Limit, float], ...]
    """Each limit, and its value with the best settings."""
    beyond: Beyond | None
    """Settings outside the data of which the model promises more; None where there are none."""
    measure: tuple[Measurement, ...]
    """What to try in the world, where the model is least sure."""
    curves: tuple[Curve, ...]
    """The objective along each lever."""
    tried: int
    """Settings that were tried."""
    notes: tuple[str, ...] = ()
    """Whole sentences."""

    def __str__(self) -> str:
        parts = [
            self._title(),
            self._table(),
            self._gain(),
            *(f"Equally good: {each}." for each in self.equal),
        ]
        if self.nearly:
            parts.append(
                f"At most 5% of the gain is lost with {'; '.join(map(str, self.nearly))} (one lever at "
                "a time)."
            )
        parts += [f"Limit: {limit}; it is {number(value)}." for limit, value in self.limits]
        parts.append(f"Data: {self.reach}")
        if self.beyond is not None:
            parts.append(
                f"Outside the data the model promises {number(self.beyond.value)} with "
                f"{listed(self.beyond.settings)}. It has not seen such rows."
            )
        parts += [f"Note: {note}" for note in self.notes]
        parts.append(f"Cause: {CAUSE}")
        parts.append(f"Experiment: {self._experiment()}")
        if self.measure:
            lines = [
                f"  {place}. {listed(each.settings)}: {each.reason}."
                for place, each in enumerate(self.measure, start=1)
            ]
            parts.append("\n".join(["Measure next:", *lines]))
        return "\n\n".join(parts)

    def _title(self) -> str:
        count = self.gain.num_rows
        over = f", the {self.problem.over} over {count:,} rows" if count > 1 else ""
        return f"{self.problem.direction} {self.problem.objective}{over} ({self.tried:,} settings tried)"

    def _table(self) -> str:
        rows = [("lever", "today", "best", "90% of the data", "best in the data")]
        for place in self.places:
            best = self.settings[place.lever]
            usual = "" if math.isnan(place.low) else f"{shown(place.low)} to {shown(place.high)}"
            rows.append(
                (place.lever, shown(self.today[place.lever]), shown(best), usual, str(place))
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def _gain(self) -> str:
        gain = self.gain
        if gain.gain <= 0:
            return (
                f"No better settings were found than today's: the objective is {number(gain.today)} "
                f"today and {number(gain.best)} with the best that is allowed."
            )
        more = "more" if self.problem.direction == "maximise" else "less"
        goes = (
            f"Gain: the objective goes from {number(gain.today)} today to {number(gain.best)}, "
            f"{number(gain.gain)} {more}"
        )
        if gain.source == "no model":
            return f"{goes}. The objective does not ask the model, so this is exact."
        if gain.interval is None:
            lines = [f"{goes}; the model does not say how sure it is, so there is no interval."]
        else:
            low, high = gain.interval
            lines = [f"{goes} (95%: {number(low)} to {number(high)})."]
            if low <= 0:
                lines.append("No gain at all is well possible.")
            lines.append(_SOURCES[gain.source])
        if gain.seen_interval is not None:
            rows = "one new row" if gain.num_rows == 1 else f"{gain.num_rows:,} new rows"
            low, high = gain.seen_interval
            lines.append(
                f"In {rows} with each, chance included, the difference seen would lie between "
                f"{number(low)} and {number(high)} (95%)."
            )
        lines.append(
            "Not covered: a model that is wrong in the same way for all settings, a world that changes, "
            "and luck: the best of many predictions is on average worth less than predicted."
        )
        return "\n  ".join(lines)

    def _experiment(self) -> str:
        if self.gain.experiment is not None:
            return f"{self.gain.experiment}"
        if self.gain.gain <= 0:
            return "there is no gain to look for."
        return (
            "how many rows it takes depends on how much single outcomes differ. Give the model's "
            "errors on validation rows (residuals) to have it worked out."
        )

    def to_json(self) -> dict[str, Any]:
        """Everything but the curves' doubt, as plain values."""
        gain = self.gain
        return {
            "problem": self.problem.to_json(),
            "settings": dict(self.settings),
            "today": dict(self.today),
            "objective": {
                "best": gain.best,
                "today": gain.today,
                "gain": gain.gain,
                "interval": gain.interval,
                "interval_source": gain.source or None,
                "seen_interval": gain.seen_interval,
                "rows": gain.num_rows,
            },
            "experiment": None if gain.experiment is None else vars(gain.experiment),
            "places": {
                place.lever: {
                    "low": _or_none(place.low),
                    "high": _or_none(place.high),
                    "share": _or_none(place.share),
                }
                for place in self.places
            },
            "domain": {
                "lever_share": self.reach.lever_share,
                "row_share": self.reach.row_share,
                "outside_share": self.reach.outside_share,
                "context_is_foreign": self.reach.context_is_foreign,
                "stay_within": self.reach.stay_within,
            },
            "equally_good": {each.lever: each.to_json() for each in self.equal},
            "nearly_as_good": {each.lever: each.to_json() for each in self.nearly},
            "limits": [limit.to_json() | {"value": value} for limit, value in self.limits],
            "beyond": None
            if self.beyond is None
            else {"settings": dict(self.beyond.settings), "objective": self.beyond.value},
            "measure_next": [
                {
                    "settings": dict(each.settings),
                    "objective": each.value,
                    "doubt": each.doubt,
                    "rows_near": each.rows_near,
                    "outside": each.is_outside,
                    "reason": each.reason,
                }
                for each in self.measure
            ],
            "curves": {
                curve.lever: {
                    "settings": list(curve.settings),
                    "objective": [_or_none(float(value)) for value in curve.values],
                    "inside": curve.is_inside.tolist(),
                }
                for curve in self.curves
            },
            "tried": self.tried,
            "notes": [*self.notes, CAUSE],
        }

    def plot(self) -> Figure:
        """The objective along each lever, with today's and the best setting: a matplotlib Figure.

        Raises: MissingPackageError: there is no matplotlib.
        """
        from drivetrain.levers.plot import plot_decision

        return plot_decision(self)


def listed(settings: Mapping[str, Setting]) -> str:
    """`price 9.5, channel web`."""
    return ", ".join(f"{name} {shown(value)}" for name, value in settings.items())


def shown(setting: Setting) -> str:
    """A lever's value for people: five digits that matter.

    >>> shown(9.0), shown(0.123456), shown(123456.0), shown("web")
    ('9', '0.12346', '123456', 'web')
    """
    if isinstance(setting, str):
        return setting
    if abs(setting) >= 1e4:
        return f"{setting:.0f}"
    return f"{setting:.5g}"


def number(value: float) -> str:
    """A value of the objective for people: four digits that matter.

    >>> number(12345.6), number(0.000123456), number(7.0)
    ('12,346', '0.0001235', '7')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def percent(share: float) -> str:
    """Never rounded to all or nothing.

    >>> percent(0.0), percent(0.001), percent(0.42), percent(0.999)
    ('none', '<1%', '42%', '>99%')
    """
    if share <= 0:
        return "none"
    if share < 0.01:
        return "<1%"
    if share >= 1:
        return "all"
    return ">99%" if share > 0.99 else f"{share:.0%}"


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
