"""What the guard of a table sees of rows: where they lie among those known, and what in them is new.

Plain functions of a row's columns and of what was learnt of them, so that the script of a bundle has the
very same ones. N rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from drivetrain.data.frame import Factor
from drivetrain.tabular.preprocess import (
    CategoryColumn,
    NumberColumn,
    level_codes,
    level_dummies,
    standardised,
    unseen_rows,
)

MOST_DUMMIES = 50
"""Levels of a category that are told apart; of one with more, only whether a level is known."""
FARTHEST = 1e6
"""Standard deviations from the mean, beyond which it makes no difference how far."""


def places_of(
    columns: Mapping[str, Any],
    categories: Sequence[CategoryColumn],
    numbers: Sequence[NumberColumn],
) -> np.ndarray:
    """Where rows lie, (N, F) float64: standardised numbers, flags of missing ones, a column a level."""
    parts = []
    for column in numbers:
        with np.errstate(over="ignore"):  # what is beyond any number is brought back at once
            scaled = standardised(columns[column.name], column)
        parts.append(np.clip(scaled, -FARTHEST, FARTHEST)[:, None])
        if column.has_flag:
            parts.append(np.isnan(columns[column.name])[:, None])
    for category in categories:
        codes, count = level_codes(columns[category.name], category.levels), len(category.levels)
        parts.append(
            level_dummies(codes, count) if 0 < count <= MOST_DUMMIES else codes[:, None] > 0
        )
    return np.concatenate(parts, axis=1, dtype=np.float64)


class Strange(NamedTuple):
    """What is new in some rows of a column."""

    column: str
    """As the table calls it."""
    what: str
    """`outside` of the range that training rows had, an `unseen` level, or `missing` where none was."""
    rows: np.ndarray
    """(N,) bool."""


def strange_columns(
    columns: Mapping[str, Any],
    categories: Sequence[CategoryColumn],
    numbers: Sequence[NumberColumn],
    called: Mapping[str, str],
) -> list[Strange]:
    """Columns in which a row has what no training row had.

    Args:
        called: what the table calls each column of numbers; those that it does not name are parts of a
            date that say nothing new, and are passed over.
    """
    found = []
    for column in numbers:
        if column.name in called:
            values = columns[column.name]
            is_outside = (values < column.low) | (values > column.high)
            found.append(Strange(called[column.name], "outside", is_outside))
            if not column.has_flag:
                found.append(Strange(called[column.name], "missing", np.isnan(values)))
    found += [
        Strange(category.name, "unseen", unseen_rows(columns[category.name], category))
        for category in categories
    ]
    return [one for one in found if one.rows.any()]


def strange_in_row(found: Sequence[Strange], row: int) -> dict[str, list[str]]:
    """The columns that are new in a row, by what is new."""
    return {
        what: [one.column for one in found if one.what == what and one.rows[row]]
        for what in ("outside", "unseen", "missing")
    }


def kind_codes(words: Factor, levels: Sequence[str]) -> np.ndarray:
    """(N,) int64: 0 where missing, i + 1 for the i-th level, one more than the last for all others."""
    codes = level_codes(words, levels)
    return np.where((codes == 0) & (words.codes >= 0), len(levels) + 1, codes)
