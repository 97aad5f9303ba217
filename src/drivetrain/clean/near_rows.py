"""Rows of a table that are the same, to the letter or but for case, blanks and the spelling of numbers.

    pairs = near_rows(frame)                          # of all columns
    conflicts = label_conflicts(frame, "salary")      # equal in all else, and of different targets

Numbers are compared as they were read, so that 1, 1.0 and 1e0 are one number; words that spell a number
are too. A missing cell equals a missing cell. Rows are never "near" by their numbers being close: two
people may well differ by a year.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivetrain.clean.duplicates import NearPairs
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import DataError


def near_rows(frame: Frame, *, ignore: Sequence[str] = ()) -> NearPairs:
    """Pairs of rows that are the same in all columns; each is paired with the first of its kind.

    Args:
        frame: N rows; one without columns has no pairs.
        ignore: columns that are not compared, such as running numbers.

    Returns: pairs with `exact` where they are the same to the letter; the score is 1.
    Raises: DataError: `ignore` names no column.
    """
    names = _others(frame, ignore)
    loose, strict = kinds_of(frame, names), kinds_of(frame, names, to_the_letter=True)
    first = np.full(int(loose.max(initial=-1)) + 1, len(frame), dtype=np.int64)
    np.minimum.at(first, loose, np.arange(len(frame)))
    head = first[loose]
    again = np.flatnonzero(head < np.arange(len(frame)))
    exact = strict[again] == strict[head[again]]
    return NearPairs(head[again], again, np.ones(len(again)), exact, compared=len(frame))


def label_conflicts(
    frame: Frame, targets: np.ndarray, *, ignore: Sequence[str] = ()
) -> list[np.ndarray]:
    """Groups of rows that are the same in all columns and have different targets.

    Args:
        frame: N rows, the target not among the columns.
        targets: (N,) classes or numbers; rows of which it is negative, as a class, or NaN are not asked.
        ignore: columns that are not compared.

    Returns: (G,) arrays of rows, ascending. Raises: DataError: `ignore` names no column.
    """
    known = targets >= 0 if targets.dtype.kind in "iu" else ~np.isnan(targets)
    rows = np.flatnonzero(known)
    kinds = kinds_of(frame, _others(frame, ignore))[rows]
    goals = np.unique(targets[rows], return_inverse=True)[1]
    order = np.lexsort((rows, kinds))
    edges = np.flatnonzero(np.diff(kinds[order])) + 1
    groups = np.split(order, edges) if len(order) else []
    return [rows[one] for one in groups if len(np.unique(goals[one])) > 1]


def kinds_of(frame: Frame, names: Sequence[str], *, to_the_letter: bool = False) -> np.ndarray:
    """(N,) int64: equal for rows that are the same in these columns, exactly (no hash is used).

    Without columns every row is a kind of its own.
    """
    if not names:
        return np.arange(len(frame))
    kinds = np.zeros(len(frame), dtype=np.int64)
    for name in names:
        codes = _codes(frame[name], to_the_letter)
        both = kinds * (int(codes.max(initial=0)) + 1) + codes
        kinds = np.unique(both, return_inverse=True)[1].astype(np.int64)
    return kinds


def _codes(values: Values, to_the_letter: bool) -> np.ndarray:
    """(N,) int64 from 0: one for each value, and one for what is missing."""
    if isinstance(values, Factor):
        if to_the_letter:
            return values.codes.astype(np.int64) + 1
        spelled = [_spelled(word) for word in values.levels]
        place = {word: code for code, word in enumerate(dict.fromkeys(spelled), 1)}
        table = np.array([place[word] for word in spelled] + [0], dtype=np.int64)
        return table[values.codes]  # -1, missing, is the last
    return np.unique(values, return_inverse=True, equal_nan=True)[1].astype(np.int64)


def _spelled(word: str) -> str:
    """One spelling for words that differ in case, blanks, or how they write a number.

    >>> _spelled("  New\\u00a0 York "), _spelled("1.50"), _spelled("1e400"), _spelled("1_0")
    ('new york', '1.5', '1e400', '1_0')
    """
    plain = " ".join(word.casefold().split())
    if plain[-1:].isdigit() and "_" not in plain:
        try:
            number = float(plain)
        except ValueError:
            return plain
        if abs(number) < 2**53:
            return repr(number + 0.0)  # of -0.0 too
    return plain


def _others(frame: Frame, ignore: Sequence[str]) -> list[str]:
    wrong = [name for name in ignore if name not in frame]
    if wrong:
        raise DataError(
            f"`ignore`: there is no column {wrong[0]!r}. There are: {list(frame.names)}."
        )
    return [name for name in frame.names if name not in ignore]
