"""Where a model that is asked about one column is asked about rows that do not occur.

Setting a column to a value in every row breaks its links with the others. For each value, the rows that
have nearly this value show which values of a linked column go with it: between the smallest and the
largest, or of categories those that are met. The share of all rows that have one of those, divided by the
share that as many rows drawn blindly would show, is the support. Near 1 the value goes with everything;
a support of 0.2 says that four in five of the rows asked there are unlike any that were seen, and the
answer is what the model makes up between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivetrain.data.frame import Factor, Frame
from drivetrain.interpret.asking import sampled
from drivetrain.interpret.association import MOST_ROWS, Link, as_numbers
from drivetrain.interpret.grids import Grid

NEAR = 0.1
"""Share of the rows that count as having nearly a value."""

FEWEST_NEAR = 20
"""Rows that do, at least, as far as there are so many."""

LITTLE = 0.5
"""Support below which a value is said to have few rows like those that are asked."""


def support(frame: Frame, grid: Grid, links: Sequence[Link], *, seed: int) -> np.ndarray:
    """(G,) for each value of the grid, the support by the linked column that gives the least; 1 with
    none.

    Where there are more than `association.MOST_ROWS` rows it is counted on a sample of them.
    """
    found = np.ones(len(grid))
    if not links:
        return found
    frame = frame.take(sampled(len(frame), MOST_ROWS, seed=seed, purpose="support"))
    near = [_near(frame, grid, point) for point in range(len(grid))]
    for link in links:
        partner = frame[link.second if link.first == grid.name else link.first]
        values = as_numbers(partner)
        is_words = isinstance(partner, Factor)
        for point, rows in enumerate(near):
            if len(rows):
                seen = float(_seen(values, values[rows], is_words).mean())
                blindly = _seen_blindly(values, len(rows), is_words)
                found[point] = min(found[point], seen / blindly if blindly > 0 else 0.0)
    return found


def _near(frame: Frame, grid: Grid, point: int) -> np.ndarray:
    """Positions of the rows that have nearly the value of this point."""
    column = frame[grid.name]
    values, at = as_numbers(column), grid.numbers()[point]
    if np.isnan(at):
        return np.flatnonzero(np.isnan(values))
    if isinstance(column, Factor):
        return np.flatnonzero(values == at)
    there = np.flatnonzero(~np.isnan(values))
    order = there[np.argsort(values[there], kind="stable")]
    many = min(len(order), max(FEWEST_NEAR, round(NEAR * len(order))))
    first = np.searchsorted(values[order], at, side="left")
    last = np.searchsorted(values[order], at, side="right")
    if last - first >= many:  # so many rows have the very value
        return order[first:last]
    start = int(np.clip((first + last - many) // 2, 0, len(order) - many))
    return order[start : start + many]


def _seen(values: np.ndarray, near: np.ndarray, is_words: bool) -> np.ndarray:
    """(N,) whether each row's value is among, or between, those of the rows near by."""
    missing = np.isnan(values) & np.isnan(near).any()
    there = near[~np.isnan(near)]
    if len(there) == 0:
        return missing
    if is_words:
        return missing | np.isin(values, there)
    return missing | ((values >= there.min()) & (values <= there.max()))


def _seen_blindly(values: np.ndarray, draws: int, is_words: bool) -> float:
    """The share of rows that `_seen` marks on average, if the rows near by are any so many rows."""
    n = len(values)
    kinds, counts = np.unique(values, return_counts=True, equal_nan=True)
    if (
        not is_words
    ):  # one kind for each value would ask too much: what is there, and what is missing
        counts = np.array([np.isnan(values).sum()])
    elif not np.isnan(kinds[-1]):
        counts = counts.astype(np.int64)
    met = (
        float((counts * (1 - (1 - draws / n) ** counts)).sum()) / n
    )  # categories, or missing numbers
    if is_words:
        return met
    there = n - int(counts[0])
    drawn = draws * there / n
    return met + there / n * max(0.0, (drawn - 1) / (drawn + 1))
