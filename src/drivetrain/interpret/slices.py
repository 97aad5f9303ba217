"""Groups of items that the model does worse on than on the rest.

    found = dt.interpret.slices(predictions, {"age": ages, "shop": Factor.of(shops)})
    print(found)

What is known of the items (columns of the table, the length of a text, the brightness of a picture, how
many ratings a user has) is cut into slices: each word of a column, and each fifth of its numbers, and, of
what stands out, two at once. A slice is told where its error is above that of all other items by more
than chance: shares of wrong answers by Fisher's exact test, distances by Welch's and by that of numbers
dealt out at random. The p-values are
corrected for how many slices there are (Holm 1979), half of the level for single ones and half for two at
once. Of these only a few are looked at, which the errors themselves have chosen: so all that might have
been chosen are counted. That says where the model is weak; why, one has to find out.

On errors that had nothing to do with any column, something was named in at most 5 of 100 draws
(tests/interpret/test_slices.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.interpret import text
from drivetrain.interpret.by_chance import drawn_or_more, mean_or_more
from drivetrain.interpret.domain import holm
from drivetrain.interpret.outcomes import errors_of
from drivetrain.metrics.interval import check_confidence, two_sided_student, wilson_interval
from drivetrain.train.predictions import Predictions

PARTS = 5
"""Slices of a column of numbers: equally many items in each, as far as equal numbers allow."""
PAIRED = 8
"""Slices, those with the highest excess, that are also looked at two at once."""
LEAST = 20
"""Items that a slice must have; with fewer, chance decides."""


class Slice(NamedTuple):
    """A group of items."""

    name: str
    """Such as `shop = north`, or `age: 17 to 25`."""
    num_items: int
    error: float
    """Mean error of its items."""
    low: float
    high: float
    """The error's interval."""
    rest: float
    """Mean error of all other items."""
    p_value: float
    """Of an error this far above the rest's by chance, corrected for the number of slices."""

    @property
    def excess(self) -> float:
        """Items' worth of error that would be saved if the slice were like the rest."""
        return self.num_items * (self.error - self.rest)


@dataclass(frozen=True, eq=False)
class Slices:
    """The slices that do worse, the largest excess first."""

    found: tuple[Slice, ...]
    """With a corrected p-value of at most `level`."""
    tried: int
    """Slices that there are, single ones and two at once, which the p-values are corrected for."""
    measure: str
    """What the error is: `error rate`, or `mean absolute error`."""
    error: float
    """Of all items."""
    num_items: int
    """Of the record."""
    level: float
    """The chance of naming any slice where none is worse."""
    confidence: float
    """Of the intervals."""

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "found": [{**one._asdict(), "excess": one.excess} for one in self.found],
            **{
                name: getattr(self, name)
                for name in ("tried", "measure", "error", "num_items", "level", "confidence")
            },
        }

    def __str__(self) -> str:
        head = (
            f"{self.num_items:,} items, {self.measure} {text.number(self.error)}; {self.tried:,} slices "
            "looked at"
        )
        if not self.found:
            return f"{head}: none does worse than the rest beyond chance."
        rows = [
            [
                text.cut(one.name, 44),
                f"{one.num_items:,}",
                text.number(one.error),
                text.span(one.low, one.high),
                text.number(one.rest),
                text.chance(one.p_value),
            ]
            for one in self.found
        ]
        headings = ["slice", "items", "error", f"{100 * self.confidence:g}%", "the rest", "p"]
        return "\n".join([f"{head}, these do worse than the rest:", "", text.table(headings, rows)])


def slices(
    predictions: Predictions,
    facts: Frame | Mapping[str, Values],
    *,
    level: float = 0.05,
    least: int = LEAST,
    confidence: float = 0.95,
) -> Slices:
    """The slices of the record's items with an error above the rest's.

    Args:
        predictions: a record of N items.
        facts: what is known of the items, (N,) each, in the record's order.
        level: the chance of naming any slice where none is worse.
        least: items that a slice must have.
        confidence: of the intervals, in (0, 1).

    Raises: ShapeError: a column has another number of items. ConfigError: `level` or `confidence` outside
        (0, 1), or `least` below 2. DataError: an output is NaN.
    """
    if not 0 < level < 1:
        raise ConfigError(f"`slices` got level={level}, expected a probability such as 0.05.")
    if least < 2:
        raise ConfigError(f"`slices` got least={least}: a slice needs two items or more.")
    check_confidence(confidence)
    errors, measure = errors_of(predictions)
    columns = {name: facts[name] for name in (facts.names if isinstance(facts, Frame) else facts)}
    for name, values in columns.items():
        if len(values) != len(errors):
            raise ShapeError(
                f"`slices` got {len(values):,} values of {name!r} for {len(errors):,} items."
            )
    single = [
        (name, label, members)
        for name, values in columns.items()
        for label, members in _parts(name, values)
        if least <= members.sum() <= len(errors) - least
    ]
    if not single:
        return Slices((), 0, measure, float(errors.mean()), len(errors), level, confidence)
    is_share = measure == "error rate"

    def compared(tried: list[tuple[str, np.ndarray]]) -> list[Slice]:
        return [_compared(label, members, errors, confidence, is_share) for label, members in tried]

    alone = compared([(label, members) for _, label, members in single])
    many = _num_pairs(single, least)
    both = compared(_pairs(single, errors, least)) if many else []
    halves = 2 if many else 1
    found = [
        one._replace(p_value=min(1.0, halves * float(p)))
        for raw, out_of in ((alone, len(alone)), (both, many))
        for one, p in zip(raw, holm(np.array([o.p_value for o in raw]), out_of), strict=True)
        if halves * p <= level
    ]
    found.sort(key=lambda one: (-one.excess, one.p_value, one.name))
    return Slices(
        tuple(found),
        len(alone) + many,
        measure,
        float(errors.mean()),
        len(errors),
        level,
        confidence,
    )


def _parts(name: str, values: Values) -> Iterator[tuple[str, np.ndarray]]:
    """The slices of one column: (name, (N,) bool)."""
    if isinstance(values, Factor):
        for code, word in enumerate(values.levels):
            yield f"{name} = {text.cut(word)}", values.codes == code
        missing = values.codes < 0
    else:
        array = np.asarray(values)
        missing = np.isnat(array) if array.dtype.kind == "M" else np.isnan(array.astype(np.float64))
        known = array[~missing]
        ends = np.linspace(0, 1, PARTS + 1)
        edges = np.unique(np.quantile(known, ends, method="nearest")) if len(known) else known
        for index, low in enumerate(edges[:-1] if len(edges) > 1 else edges):
            last = index >= len(edges) - 2
            high = edges[min(index + 1, len(edges) - 1)]
            inside = (array >= low) & ((array <= high) if last else (array < high))
            yield f"{name}: {_shown(low)} to {'' if last else 'below '}{_shown(high)}", inside
    if missing.any():
        yield f"{name} missing", missing


def _shown(value: Any) -> str:
    return str(value)[:10] if isinstance(value, np.datetime64) else text.number(float(value))


def _num_pairs(single: list[tuple[str, str, np.ndarray]], least: int) -> int:
    """How many pairs of slices of different columns have enough items to be looked at."""
    codes: dict[str, np.ndarray] = {}  # of each column, whose slices share no item: from 1 on
    for name, _, members in single:
        column = codes.setdefault(name, np.zeros(len(members), dtype=np.int64))
        column[members] = column.max() + 1
    found = 0
    for one, other in combinations(codes.values(), 2):
        across = int(other.max()) + 1
        cells = np.bincount(one * across + other, minlength=(int(one.max()) + 1) * across)
        inner = cells.reshape(-1, across)[1:, 1:]
        found += int(((inner >= least) & (inner <= len(one) - least)).sum())
    return found


def _pairs(
    single: list[tuple[str, str, np.ndarray]], errors: np.ndarray, least: int
) -> list[tuple[str, np.ndarray]]:
    """Two slices of different columns at once, of those with the highest excess."""
    excess = [members.sum() * (errors[members].mean() - errors.mean()) for _, _, members in single]
    chosen = [single[i] for i in np.argsort(-np.array(excess), kind="stable")[:PAIRED]]
    return [
        (f"{first} and {second}", both)
        for (one, first, a), (other, second, b) in combinations(chosen, 2)
        if one != other and least <= (both := a & b).sum() <= len(errors) - least
    ]


def _compared(
    label: str, members: np.ndarray, errors: np.ndarray, confidence: float, is_share: bool
) -> Slice:
    """A slice against all other items, one-sided."""
    inside, outside = errors[members], errors[~members]
    mean, rest, count = float(inside.mean()), float(outside.mean()), len(inside)
    if is_share:
        wrong = round(float(inside.sum()))
        p_value = drawn_or_more(wrong, count, round(float(errors.sum())), len(errors))
        low, high = wilson_interval(wrong, count, confidence)
    else:
        p_value = mean_or_more(inside, outside)
        half = two_sided_student(confidence, count - 1) * float(inside.std(ddof=1)) / sqrt(count)
        low, high = max(0.0, mean - half), mean + half
    return Slice(label, count, mean, low, high, rest, p_value)
