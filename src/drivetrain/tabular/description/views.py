"""Columns in figures: the course's two tables, of numbers and of words, and one of dates.

The figures are those of pandas' `describe()`: quartiles between two values are interpolated, the
standard deviation is that of a sample (n - 1), and so is the skew. Missing cells count in `missing`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivetrain.data.frame import Factor
from drivetrain.tabular.preprocess import skew

MOST_LEVELS = 10
"""Words of a column that are counted by name."""
REGULAR = 0.5
"""Share of the steps between dates that are equal from which on a longer one is called a gap."""


@dataclass(frozen=True)
class NumberView:
    """A column of numbers; None where there are too few values for a figure."""

    name: str
    count: int
    """Values, missing ones not among them."""
    missing: int
    distinct: int
    zeros: int
    mean: float | None
    std: float | None
    min: float | None
    q25: float | None
    """A quarter of the values lie below."""
    median: float | None
    q75: float | None
    max: float | None
    skew: float | None
    """Above 0 with a long tail to the right, below with one to the left."""


@dataclass(frozen=True)
class WordView:
    """A column of words, codes, ids or texts."""

    name: str
    kind: str
    """As in the schema: category, id, text or constant."""
    count: int
    """Values, missing ones not among them."""
    missing: int
    distinct: int
    top: str | None
    """The commonest; of equals the first in order."""
    frequency: int
    """Rows that have it."""
    levels: tuple[tuple[str, int], ...]
    """The commonest `MOST_LEVELS` with their rows."""


@dataclass(frozen=True)
class DateView:
    """A column of dates; texts are ISO 8601, UTC where the source told a zone."""

    name: str
    count: int
    missing: int
    distinct: int
    first: str | None
    last: str | None
    step: str | None
    """The commonest time between one date that occurs and the next, such as `1 day`."""
    num_gaps: int
    """Longer ones, where most are equal; 0 where dates come as they may."""
    longest: str | None
    """The longest time without a date, such as `12 days`."""
    longest_from: str | None
    """The last date before it."""
    longest_to: str | None
    """The first after it."""


def number_view(name: str, values: np.ndarray) -> NumberView:
    """Of a column (N,) float64, NaN where missing."""
    there = np.sort(values[~np.isnan(values)])
    count = len(there)
    with np.errstate(over="ignore", invalid="ignore"):  # figures of 1e308 need not be finite
        low, q25, median, q75, high = (
            np.quantile(there, [0, 0.25, 0.5, 0.75, 1]).tolist() if count else [None] * 5
        )
        return NumberView(
            name=name,
            count=count,
            missing=len(values) - count,
            distinct=num_distinct(there),
            zeros=int((there == 0).sum()),
            mean=_finite(there.mean()) if count else None,
            std=_finite(there.std(ddof=1)) if count > 1 else None,
            min=low,
            q25=q25,
            median=median,
            q75=q75,
            max=high,
            skew=_skew(there),
        )


def word_view(name: str, kind: str, words: Factor) -> WordView:
    """Of a column of words."""
    counts = np.bincount(words.codes[words.codes >= 0], minlength=len(words.levels))
    count = int(counts.sum())
    order = commonest(counts)[:MOST_LEVELS]
    levels = tuple((words.levels[code], int(counts[code])) for code in order.tolist())
    return WordView(
        name=name,
        kind=kind,
        count=count,
        missing=len(words) - count,
        distinct=int((counts > 0).sum()),
        top=levels[0][0] if levels else None,
        frequency=levels[0][1] if levels else 0,
        levels=levels,
    )


def date_view(name: str, dates: np.ndarray) -> DateView:
    """Of a column (N,) datetime64[us], NaT where missing."""
    there = dates[~np.isnat(dates)].astype("datetime64[us]")
    moments = np.unique(there)
    steps = np.diff(moments).astype(np.int64)
    step = longest = start = end = None
    num_gaps = 0
    if len(steps):
        lengths, counts = np.unique(steps, return_counts=True)
        usual = int(lengths[counts.argmax()])
        step = span(usual)
        if len(steps) > 1 and counts.max() >= REGULAR * len(steps):
            num_gaps = int((steps > usual).sum())
        at = int(steps.argmax())
        longest, start, end = span(int(steps[at])), iso(moments[at]), iso(moments[at + 1])
    return DateView(
        name=name,
        count=len(there),
        missing=len(dates) - len(there),
        distinct=len(moments),
        first=iso(moments[0]) if len(moments) else None,
        last=iso(moments[-1]) if len(moments) else None,
        step=step,
        num_gaps=num_gaps,
        longest=longest,
        longest_from=start,
        longest_to=end,
    )


def commonest(counts: np.ndarray) -> np.ndarray:
    """Places of (K,) counts above 0, the largest first; of equals the first first."""
    order = np.argsort(-counts, kind="stable")
    return order[counts[order] > 0]


def num_distinct(ordered: np.ndarray) -> int:
    """Different values among (N,) sorted ones."""
    return int((ordered[1:] != ordered[:-1]).sum()) + 1 if len(ordered) else 0


def iso(moment: np.datetime64) -> str:
    """A moment as `2012-01-31`, or `2012-01-31 08:30:00` where it has a time of day."""
    is_whole = moment == moment.astype("datetime64[D]")
    return np.datetime_as_string(moment, unit="D" if is_whole else "s").replace("T", " ")


def span(microseconds: int) -> str:
    """A length of time in its largest whole unit.

    >>> span(86_400_000_000), span(5_400_000_000)
    ('1 day', '90 minutes')
    """
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if microseconds and microseconds % (size * 1_000_000) == 0:
            count = microseconds // (size * 1_000_000)
            return f"1 {unit}" if count == 1 else f"{count:,} {unit}s"
    return f"{microseconds / 1e6:g} seconds"


def figure(value: float | None) -> str:
    """A number for people: four digits that tell, separators; an en dash where there is none.

    >>> figure(1234567.0), figure(0.123456), figure(32.20421), figure(None), figure(1e-7)
    ('1,234,567', '0.1235', '32.2', '–', '1e-07')
    """
    if value is None or value != value:
        return "–"
    if value == round(value, 0) and abs(value) < 1e12:
        return f"{value:,.0f}"
    if 1000 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def percent(part: float, whole: float) -> str:
    """A share for people; never 0 % of something, nor 100 % of less than all.

    >>> percent(1, 3), percent(1, 10_000), percent(9_999, 10_000), percent(0, 0)
    ('33 %', '<0.1 %', '>99.9 %', '0 %')
    """
    share = part / whole if whole else 0.0
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    digits = 1 if 0 < share < 0.0995 or 0.9 < share < 1 else 0
    return f"{100 * share:.{digits}f} %"


def _skew(values: np.ndarray) -> float | None:
    """Of sorted values; None of fewer than three, or where they are all the same."""
    if len(values) < 3 or values[0] == values[-1]:
        return None
    # it does not depend on the unit, and the cube of a large number is no number
    return _finite(skew(values / max(abs(values[0]), abs(values[-1]))))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
