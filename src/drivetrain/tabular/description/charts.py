"""Charts of columns as plain figures: how many rows each bar stands for, and the target within it.

    numbers      bins of a round width that begin at round numbers; whole numbers are never cut apart.
                 Where there are few different ones, each is a bar
    dates        bins of an hour, a day, a week, a month, a year …
    categories   the commonest levels, then all others as one bar

Missing cells are a bar of their own. With a target each bar also says how many rows it has of each class,
or the mean of the target in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.tabular.description.views import commonest, figure, iso
from drivetrain.tabular.target import Target, words_of

MOST_BARS = 10
"""Levels of a category, or different numbers, that are bars of their own."""
FEWEST_BINS, MOST_BINS = 10, 30
MOST_ONES = 40
"""Whole numbers that span no more than this get a bin each."""
MOST_STEPS = 5000
"""Different values of numbers that are no whole ones, up to which a unit of them is looked for."""
FINE = 20
"""Units in a bin from which on it does not matter whether they are cut apart."""
MOST_CLASSES = 6
"""Classes that charts tell apart; of more, the commonest five and the others together."""
ROUND = (1, 2, 2.5, 5, 10)
"""Widths of bins, times a power of ten."""

_DAY = 86_400_000_000
_CLOCK = (60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200)
"""Widths of bins within days, in seconds."""
_MONTHS = (1, 3, 12, 24, 60, 120, 600, 1200)


class Bar(NamedTuple):
    """Some rows of a table."""

    label: str
    role: str
    """`bin`, `level`, `others` or `missing`."""
    low: float | str | None
    """Where a bin begins; a date is ISO 8601. None for all others."""
    high: float | str | None
    """Where it ends: the last bin of a chart holds this value too, others do not."""
    rows: int
    by_class: tuple[int, ...] = ()
    """Rows of each class that `Outcome.classes` names; empty without a target of classes."""
    mean: float | None = None
    """Of a target that is a number; None without one, or without rows."""


@dataclass(frozen=True)
class Chart:
    """Bars of a column."""

    name: str
    kind: str
    """`number`, `date` or `category`, by what the bars mean."""
    form: str
    """`bins`, which have an axis, or `levels`, which have names."""
    bars: tuple[Bar, ...]
    is_log: bool = False
    """Bins are of log(1 + x)."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        bars = [bar._asdict() | {"by_class": list(bar.by_class)} for bar in self.bars]
        return {**self.__dict__, "bars": bars}


@dataclass(frozen=True, eq=False)
class Outcome:
    """The target as charts show it."""

    name: str
    kind: str
    """`class` or `number`."""
    classes: tuple[str, ...]
    """Those that are told apart; the last may stand for all others."""
    codes: np.ndarray
    """(N,) int64 which of `classes` a row is of, -1 where missing; zeros for numbers."""
    numbers: np.ndarray
    """(N,) float64, NaN where missing; zeros for classes."""
    has_others: bool = False
    """Whether the last of `classes` stands for several."""


def outcome_of(target: Target, frame: Frame) -> Outcome:
    """The target of a frame's rows, in few enough classes for a chart."""
    name, count = target.names[0], len(frame)
    if target.kind == "number":
        numbers = frame.numbers(name)
        return Outcome(name, "number", (), np.zeros(count, dtype=np.int64), numbers)
    codes = words_of(frame, name).recoded(target.classes).codes.astype(np.int64)
    if len(target.classes) <= MOST_CLASSES:
        return Outcome(name, "class", target.classes, codes, np.zeros(count))
    counts = np.bincount(codes[codes >= 0], minlength=len(target.classes))
    kept = np.sort(commonest(counts)[: MOST_CLASSES - 1])
    table = np.full(len(counts) + 1, len(kept), dtype=np.int64)
    table[kept] = np.arange(len(kept))
    table[-1] = -1  # of missing ones
    others = f"{len(counts) - len(kept):,} others"
    shown = (*(target.classes[code] for code in kept.tolist()), others)
    return Outcome(name, "class", shown, table[codes], np.zeros(count), has_others=True)


def chart_of(name: str, values: Values, outcome: Outcome | None) -> Chart | None:
    """The chart of a column; None where all of it is missing."""
    if isinstance(values, Factor):
        return _of_levels(name, values, outcome)
    is_date = values.dtype.kind == "M"
    is_missing = np.isnat(values) if is_date else np.isnan(values)
    there = values[~is_missing]
    if not len(there):
        return None
    if is_date:
        edges, labels = date_edges(there)
    else:
        distinct = np.unique(there)
        if len(distinct) <= MOST_BARS:
            codes = np.where(is_missing, len(distinct), np.searchsorted(distinct, values))
            labels = [figure(value) for value in distinct.tolist()]
            if len(set(labels)) < len(labels):
                labels = [repr(value) for value in distinct.tolist()]
            ends = [(label, "level", None, None) for label in labels]
            return _chart(name, "number", "levels", codes, ends, outcome)
        edges = number_edges(distinct, there)
        labels = _bin_labels(edges, is_whole=_are_whole(distinct))
    codes = np.searchsorted(edges, values, side="right") - 1
    codes = np.where(is_missing, len(labels), np.clip(codes, 0, len(labels) - 1))
    shown = [iso(edge) for edge in edges] if is_date else edges.tolist()
    ends = [(label, "bin", shown[i], shown[i + 1]) for i, label in enumerate(labels)]
    return _chart(name, "date" if is_date else "number", "bins", codes, ends, outcome)


def log_chart(name: str, values: np.ndarray, outcome: Outcome | None) -> Chart | None:
    """The chart of log(1 + x) of a column of numbers from 0 on."""
    chart = chart_of(name, np.log1p(values), outcome)
    return None if chart is None else Chart(name, "number", chart.form, chart.bars, is_log=True)


def _of_levels(name: str, words: Factor, outcome: Outcome | None) -> Chart | None:
    counts = np.bincount(words.codes[words.codes >= 0], minlength=len(words.levels))
    order = commonest(counts)
    if not len(order):
        return None
    # One more than fit is shown by name too: a bar of "1 other" would say less.
    kept = order if len(order) <= MOST_BARS + 1 else order[:MOST_BARS]
    has_others = len(kept) < len(order)
    table = np.full(len(counts) + 1, len(kept), dtype=np.int64)
    table[kept] = np.arange(len(kept))
    table[-1] = len(kept) + has_others
    ends = [(words.levels[code], "level", None, None) for code in kept.tolist()]
    if has_others:
        ends.append((f"{len(order) - len(kept):,} others", "others", None, None))
    return _chart(name, "category", "levels", table[words.codes], ends, outcome)


def _chart(
    name: str,
    kind: str,
    form: str,
    codes: np.ndarray,
    ends: Sequence[tuple[str, str, Any, Any]],
    outcome: Outcome | None,
) -> Chart:
    """Count the rows of each bar.

    Args:
        codes: (N,) the bar of each row; `len(ends)` where the value is missing.
        ends: label, role, low and high of each bar.
    """
    size = len(ends) + 1
    ends = [*ends, ("missing", "missing", None, None)]
    counts = np.bincount(codes, minlength=size)
    by_class: list[tuple[int, ...]] = [()] * size
    means: list[float | None] = [None] * size
    if outcome is not None and outcome.kind == "class":
        of, known = len(outcome.classes), outcome.codes >= 0
        cells = np.bincount(codes[known] * of + outcome.codes[known], minlength=size * of)
        by_class = [tuple(row) for row in cells.reshape(size, of).tolist()]
    elif outcome is not None:
        known = ~np.isnan(outcome.numbers)
        rows = np.bincount(codes[known], minlength=size)
        sums = np.bincount(codes[known], weights=outcome.numbers[known], minlength=size)
        means = [s / n if n else None for s, n in zip(sums.tolist(), rows.tolist(), strict=True)]
    bars = [
        Bar(*end, int(count), cells, mean)
        for end, count, cells, mean in zip(ends, counts, by_class, means, strict=True)
    ]
    return Chart(name, kind, form, tuple(bars if bars[-1].rows else bars[:-1]))


# ---- where bins begin


def number_edges(distinct: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(B + 1,) ends of the bins of numbers: round, ascending, from the least value or below it.

    About as many as Freedman and Diaconis (1981) would have, 2 · (q75 - q25) / n^(1/3) wide, within
    `FEWEST_BINS` and `MOST_BINS` or somewhat more, since widths are round. Where the values are multiples
    of a unit, such as 1 or 0.02, so are the widths: else some bins would hold more of them than others,
    and the chart would show a comb that is not in the table.

    Args:
        distinct: (D,) the different values, sorted, two or more.
        values: (N,) all of them.
    """
    low, high = float(distinct[0]), float(distinct[-1])
    width = high / 2 - low / 2  # of the largest floats, twice that is infinite
    if width > 1e299 or width < 1e-9 * max(abs(low), abs(high)) or width < 1e-250:
        return _plain_edges(low, high)
    width *= 2
    unit = unit_of(distinct)
    if unit == 1 and width <= MOST_ONES and _are_whole(distinct):
        return np.arange(low, high + 2)
    quarter, three = np.quantile(values, [0.25, 0.75]).tolist()
    wanted = 2 * (three - quarter) / len(values) ** (1 / 3)
    wanted = width / min(max(width / wanted if wanted > 0 else MOST_BINS, FEWEST_BINS), MOST_BINS)
    if unit > wanted / FINE:
        wanted = max(wanted, unit)
    else:
        unit = 0.0  # too fine to be seen
    power = int(np.floor(np.log10(wanted)))
    sizes = [(step, power + more) for more in (0, 1) for step in ROUND]
    # of round widths, the narrowest that is not narrower than wanted, and not much wider
    for step, tens in sizes:
        size = step * 10.0**tens
        parts = size / unit if unit else 1.0
        if wanted * (1 - 1e-9) <= size <= 5 * wanted and abs(parts - round(parts)) < 1e-3:
            edges = _multiples(step, tens, low, high, is_open=bool(unit))
            break
    else:
        count = max(round(wanted / unit), 1)
        bins = int((high - low) / (count * unit) + 1)
        edges = low - unit / 2 + count * unit * np.arange(bins + 1)
    if len(edges) < 3 or edges[0] > low or edges[-1] < high or (np.diff(edges) <= 0).any():
        return _plain_edges(low, high)
    return edges


def _multiples(step: float, power: int, low: float, high: float, *, is_open: bool) -> np.ndarray:
    """The multiples of step · 10^power from low or below it, to high or above it.

    Args:
        is_open: the last one is above high, and not the same.
    """
    if step == 2.5:
        step, power = 25, power - 1
    # divided where that is exact: 3 / 10 is the 0.3 that the table holds, 3 * 0.1 is not
    tens = 10.0 ** abs(power)
    size = step * tens if power >= 0 else step / tens
    first, last = np.floor(low / size + 1e-9), np.ceil(high / size - 1e-9)
    if is_open and last * size <= high + 1e-9 * size:
        last += 1
    ticks = np.arange(first, last + 1) * step
    return ticks * tens if power >= 0 else ticks / tens


def unit_of(distinct: np.ndarray) -> float:
    """The largest number whose multiples, from the least value on, all the values are; 0 for none.

    >>> unit_of(np.array([0.02, 0.04, 0.1])), unit_of(np.array([0.0, 1.0, 2.7, 2.9]))
    (0.02, 0)
    """
    if _are_whole(distinct):
        return float(np.gcd.reduce(np.diff(distinct).astype(np.int64)))
    steps = np.diff(distinct)
    if len(steps) > MOST_STEPS or steps.min() < (distinct[-1] - distinct[0]) / MOST_STEPS:
        return 0
    parts = steps / steps.min()
    whole = np.round(parts)
    if float(np.abs(parts - whole).max()) > 0.02:
        return 0
    return float(f"{(distinct[-1] - distinct[0]) / whole.sum():.9g}")


def _plain_edges(low: float, high: float) -> np.ndarray:
    """Of values too far apart, or too close together, for round numbers between them."""
    # halves, since the distance of the largest floats is infinite; half of the least float is 0
    between = np.unique(2 * np.linspace(low / 2, high / 2, FEWEST_BINS + 1))
    between = between[(low < between) & (between < high)]
    return np.concatenate(([low], between, [high]))


def _are_whole(distinct: np.ndarray) -> bool:
    return bool((distinct == np.floor(distinct)).all()) and float(np.abs(distinct).max()) < 2**53


def _bin_labels(edges: np.ndarray, *, is_whole: bool) -> list[str]:
    lows, highs = edges[:-1].tolist(), edges[1:].tolist()
    if is_whole and (edges == np.floor(edges)).all():
        if edges[1] - edges[0] == 1:
            return [f"{low:,.0f}" for low in lows]
        return [f"{low:,.0f} to {high - 1:,.0f}" for low, high in zip(lows, highs, strict=True)]
    texts = distinct_texts(edges)
    return [f"{low} to {high}" for low, high in itertools.pairwise(texts)]


def distinct_texts(numbers: np.ndarray) -> list[str]:
    """Numbers with as many digits as tell them apart."""
    texts = [figure(number) for number in numbers.tolist()]
    for digits in (6, 9, 12, 17):
        if len(set(texts)) == len(texts):
            break
        texts = [f"{number:.{digits}g}" for number in numbers.tolist()]
    return texts


def date_edges(dates: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(B + 1,) ends of the bins of dates, and a label for each bin; at most `MOST_ONES` of them, or as
    many as there are centuries and a bit.

    Args:
        dates: (N,) datetime64[us], none missing.
    """
    first, last = dates.min(), dates.max()
    width = int((last - first).astype(np.int64))
    day = np.timedelta64(1, "D")
    if width <= MOST_ONES // 20 * _DAY:  # two days
        seconds = next(s for s in (*_CLOCK, 86_400) if width <= (MOST_ONES - 1) * s * 1_000_000)
        size = seconds * 1_000_000
        ticks = np.arange(first.astype(np.int64) // size, last.astype(np.int64) // size + 2)
        edges = (ticks * size).astype("datetime64[us]")
        return edges, [np.datetime_as_string(e, unit="m").replace("T", " ") for e in edges[:-1]]
    days = first.astype("datetime64[D]"), last.astype("datetime64[D]")
    for size in (1, 7):
        if width <= (MOST_ONES - 1) * size * _DAY:
            # day 0 was a Thursday, and weeks begin on a Monday
            start = days[0] - (days[0].astype(np.int64) + 3) % size * day if size > 1 else days[0]
            edges = np.arange(start, days[1] + (size + 1) * day, size * day)
            edges = edges[: int(np.searchsorted(edges, days[1], side="right")) + 1]
            word = "" if size == 1 else "week of "
            return edges.astype("datetime64[us]"), [f"{word}{edge}" for edge in edges[:-1]]
    months = first.astype("datetime64[M]").astype(int), last.astype("datetime64[M]").astype(int)
    size = next((m for m in _MONTHS if (months[1] - months[0]) // m < MOST_ONES), _MONTHS[-1])
    since = 1970 * 12  # so that decades begin with a year that ends in 0
    ticks = np.arange((months[0] + since) // size, (months[1] + since) // size + 2) * size - since
    starts = ticks.astype("datetime64[M]")
    if size < 12:
        labels = [str(start) if size == 1 else f"3 months from {start}" for start in starts[:-1]]
    else:
        years = starts.astype("datetime64[Y]")
        labels = [str(year) if size == 12 else f"{size // 12} years from {year}" for year in years]
        labels = labels[:-1]
    return starts.astype("datetime64[us]"), labels
