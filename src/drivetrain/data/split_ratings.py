"""Splits of rows that belong to owners: the last rows of each owner, or all rows of some owners.

    last   the newest rating of each user validates        `last_split`, `last_parts`
    cold   some users, or some items, are held out whole   `cold_split`, `cold_parts`

An owner is whoever a row belongs to: the user of a rating, or its item. The functions `…_parts` answer
with the part of each row, (N,) int8, which costs a byte a row; those named `…_split` with a `Split`,
which lists the rows of each part, and costs some 40. Nothing is done row by row in Python.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivetrain.data.split import Split
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.randomness import permutation

TRAIN, VALID, TEST = 0, 1, 2
"""The codes of the parts."""


def last_split(
    owners: np.ndarray, times: np.ndarray | None = None, *, count: int = 1, test: int = 0
) -> Split:
    """`last_parts` as a `Split`."""
    return split_of_parts(last_parts(owners, times, count=count, test=test), "last")


def cold_split(
    owners: np.ndarray, *, valid: float = 0.2, test: float = 0.0, seed: int = 42
) -> Split:
    """`cold_parts` as a `Split`."""
    return split_of_parts(cold_parts(owners, valid=valid, test=test, seed=seed), "cold")


def last_parts(
    owners: np.ndarray, times: np.ndarray | None = None, *, count: int = 1, test: int = 0
) -> np.ndarray:
    """Validate on the newest rows of each owner: what would they have liked next?

    With `test` the newest of all are its, and those before them validate. An owner always keeps the
    oldest row for training; one who has too few for both parts gives to validation first. So an owner
    of one row trains.

    Between owners time plays no part: one person's last rating may be older than another's first.
    Where the model must not know the future at all, use `time_split`.

    Args:
        owners: (N,) integers, or texts.
        times: (N,) datetime64 or numbers, a larger one is newer. Of equal ones the later row is the
            newer; a row without a time (NaT, NaN) is the oldest. None: rows stand in order of time.
        count: rows of an owner that validate.
        test: rows of an owner that are the test.

    Returns: (N,) int8, `TRAIN`, `VALID` or `TEST`.
    Raises: ConfigError: `count` is below 1, or `test` below 0. ShapeError: `owners` or `times` are
        something else. DataError: no owner has two rows, or with a test none has three.
    """
    if count < 1 or test < 0:
        raise ConfigError(
            "`count` must be at least 1 and `test` at least 0: rows of each owner. "
            f"Got {count} and {test}."
        )
    codes, num_owners = _codes(owners)
    keys = (codes,) if times is None else (_ages(times, len(codes)), codes)
    order = np.lexsort(keys)  # by owner, then by time; stable, so that equal times keep their order
    sizes = np.bincount(codes, minlength=num_owners)
    ends = np.cumsum(sizes)
    of_row = codes[order]
    from_end = ends[of_row] - 1 - np.arange(len(codes))  # 0 is the newest of its owner
    valid_sizes = np.clip(sizes - 1, 0, count)
    test_sizes = np.clip(sizes - 1 - valid_sizes, 0, test)
    sorted_parts = np.zeros(len(codes), dtype=np.int8)
    sorted_parts[from_end < (valid_sizes + test_sizes)[of_row]] = VALID
    sorted_parts[from_end < test_sizes[of_row]] = TEST
    found = np.empty_like(sorted_parts)
    found[order] = sorted_parts
    if not valid_sizes.any():
        raise DataError(
            f"None of the {num_owners} owners has two rows, so none can give its last one for "
            "validation. Split by time, or at random."
        )
    if test and not test_sizes.any():
        raise DataError(
            f"None of the {num_owners} owners has rows enough for training, {count} for validation and "
            "one for the test. Ask for fewer, or split by time, or at random."
        )
    return found


def cold_parts(
    owners: np.ndarray, *, valid: float = 0.2, test: float = 0.0, seed: int = 42
) -> np.ndarray:
    """Hold out whole owners: how are people served of whom nothing is known, or new items found?

    `round(valid * owners)` owners validate, at least one, and `round(test * owners)` are the test, at
    least one where `test` is above 0. The shares are of owners, not of rows.

    Args:
        owners: (N,) integers, or texts. Which are held out depends on the seed and on an owner's place
            among all in order, not on the order of the rows.
        valid: share of the owners for validation, in (0, 1).
        test: share for the test, in [0, 1 - valid).

    Returns: (N,) int8, `TRAIN`, `VALID` or `TEST`.
    Raises: ConfigError: the shares are out of range. ShapeError: `owners` are something else.
        DataError: there are too few owners for one in each part.
    """
    if not (0 < valid < 1 and test >= 0 and valid + test < 1):
        raise ConfigError(
            "`valid` must be above 0, `test` at least 0, and both together below 1: shares of the "
            f"owners. Got {valid} and {test}."
        )
    codes, num_owners = _codes(owners)
    num_valid = max(round(valid * num_owners), 1)
    num_test = max(round(test * num_owners), 1) if test else 0
    if num_valid + num_test >= num_owners:
        raise DataError(
            f"There are {num_owners} owners, too few to hold out {num_valid} for validation and "
            f"{num_test} for the test, and to train on others. Ask for fewer, or split at random."
        )
    order = permutation(num_owners, seed=seed, epoch=0, purpose="cold split").numpy()
    of_owner = np.zeros(num_owners, dtype=np.int8)
    of_owner[order[:num_valid]] = VALID
    of_owner[order[num_valid : num_valid + num_test]] = TEST
    return of_owner[codes]


def split_of_parts(parts: np.ndarray, method: str = "given") -> Split:
    """The rows of each part, from the part of each row.

    Args:
        parts: (N,) integers: `TRAIN`, `VALID` or `TEST`.
    """
    train, valid, test = (
        tuple(np.flatnonzero(parts == part).tolist()) for part in (TRAIN, VALID, TEST)
    )
    return Split(train=train, valid=valid, test=test, method=method)


def _codes(owners: np.ndarray | Sequence[str]) -> tuple[np.ndarray, int]:
    """(N,) int64: the place of each row's owner among those who occur, and how many those are."""
    owners = np.asarray(owners)
    if owners.ndim != 1 or owners.dtype.kind not in "iuU":
        raise ShapeError(
            f"`owners` is {owners.dtype} of shape {owners.shape}, expected (N,) integers or texts."
        )
    if not len(owners):
        return np.zeros(0, dtype=np.int64), 0
    if owners.dtype.kind in "iu" and owners.min() >= 0 and owners.max() < 4 * len(owners) + 1024:
        # Codes: counting them is much faster than sorting all rows.
        occurs = np.bincount(owners) > 0
        return (np.cumsum(occurs) - 1)[owners], int(occurs.sum())
    names, codes = np.unique(owners, return_inverse=True)
    return codes.astype(np.int64), len(names)


def _ages(times: np.ndarray, count: int) -> np.ndarray:
    """Times as numbers that sort: a missing one before all others."""
    times = np.asarray(times)
    if times.shape != (count,) or times.dtype.kind not in "Mfiu":
        raise ShapeError(
            f"`times` is {times.dtype} of shape {times.shape}, expected ({count},) dates (datetime64) "
            "or numbers."
        )
    if times.dtype.kind == "M":
        return times.astype(np.int64)  # NaT is the smallest of all
    return np.where(np.isnan(times), -np.inf, times) if times.dtype.kind == "f" else times
