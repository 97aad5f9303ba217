"""The gate for ratings: what is wrong with them before a model learns from them.

    found = check("ratings.csv")
    print(found)

Ratings of one user for one item are made one when they are read; that is told of by the reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from drivetrain.clean.duplicates import Duplicates, same_content
from drivetrain.collab.data import CollabData, gather
from drivetrain.data.split import Split, time_split
from drivetrain.errors import DataError
from drivetrain.gate.findings import Finding, Findings
from drivetrain.gate.items import unreadable
from drivetrain.gate.telling import before_training
from drivetrain.gate.worth import Worth, worth_of_split
from drivetrain.interpret import text

MODEL = "the mean of each item"
MOST_QUICKLY = 2_000_000
"""Ratings that are looked through before a training: about two seconds."""
FEWEST = 10
"""Ratings from which on two users with the same ones are told of: fewer may be alike by chance."""


def check(source: Any, **options: Any) -> Findings:
    """Look at ratings before a model learns from them.

    Args:
        source: a table; see `collab.data.gather` for it and the options.

    Returns: the findings, the gravest first; print them.
    Raises: what reading raises.
    """
    return check_data(gather(source, **options))


def check_data(data: CollabData) -> Findings:
    """The same of ratings that are read already."""
    return _checked(data, quick=False)


def check_quickly(data: CollabData) -> Findings:
    """The same without measuring; users with the same ratings are looked for among so many alone."""
    return _checked(data, quick=True)


def warned(data: CollabData) -> str:
    """What `learner` writes of ratings before a training; see `gate.telling`."""
    source = data.recipe.get("source")
    shown = repr(source) if isinstance(source, str) else "frame"
    return before_training(check_quickly(data), f"dt.collab.check({shown})")


def _checked(data: CollabData, *, quick: bool) -> Findings:
    looked, left_out = [], []
    if quick:
        left_out.append("what a split in time changes." if data.table.times is not None else "")
    same: list[Finding] = []
    if quick and len(data.table) > MOST_QUICKLY:
        left_out.append("users with the same ratings.")
    else:
        same += _same_users(data)
        looked.append(
            f"{len(data.users) - 1:,} users, for those with the same {FEWEST} ratings or more."
        )
    findings = [
        *_time_order(data, measured=not quick),
        *same,
        *unreadable(data.quarantined, len(data.table), what="rows"),
    ]
    return Findings.of(
        data.source,
        findings,
        counts=data.counts(),
        looked=looked,
        left_out=[one for one in left_out if one],
    )


def _time_order(data: CollabData, *, measured: bool) -> Iterator[Finding]:
    """Ratings with times that are split at random."""
    times = data.table.times
    train, valid = data.rows("train"), data.rows("valid")
    if times is None or data.split in ("time", "last") or not len(train) or not len(valid):
        return
    if times[valid].min() >= times[train].max():
        return
    later = float((times[train] > np.median(times[valid])).mean())
    yield Finding(
        "time-order",
        "warning",
        f"The ratings have times, and {text.share(later, 1)} of training is later than the middle of "
        "validation. A model is used on what comes later: fashions that it has seen flatter it.",
        "all ratings",
        "split by time: --split time, or --split last for the last one of each user.",
        "You say that time changes nothing here, or that results are compared with others split so.",
        count=len(valid),
        worth=_worth_of_time(data, times, train, valid) if measured else None,
    )


def _worth_of_time(
    data: CollabData, times: np.ndarray, train: np.ndarray, valid: np.ndarray
) -> Worth | None:
    if data.is_implicit:
        return None
    asked = np.concatenate([train, valid])
    try:
        inner = time_split(times[asked].astype(np.float64), valid=len(valid) / len(asked))
    except DataError:  # all at one time
        return None
    late = Split(tuple(asked[list(inner.train)].tolist()), tuple(asked[list(inner.valid)].tolist()))
    errors = [
        _errors_of_means(data, np.array(rows[0]), np.array(rows[1]))
        for rows in ((train, valid), (late.train, late.valid))
    ]
    return worth_of_split(*errors, metric="mean absolute error", model=MODEL)


def _errors_of_means(data: CollabData, train: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(M,) absolute errors of the mean training rating of each item, drawn a little to that of all."""
    items, ratings = data.table.items, data.table.ratings.astype(np.float64)
    count = int(items.max()) + 1
    sums = np.bincount(items[train], weights=ratings[train], minlength=count)
    rows = np.bincount(items[train], minlength=count)
    mean = ratings[train].mean()
    return np.abs(((sums + 5 * mean) / (rows + 5))[items[valid]] - ratings[valid])


def _same_users(data: CollabData) -> Iterator[Finding]:
    """Users whose ratings are those of another user, one for one."""
    users, items = data.table.users, data.table.items
    order = np.lexsort((items, users))
    edges = np.flatnonzero(np.diff(users[order])) + 1
    hashes, names = [], []
    for rows in np.split(order, edges):
        if len(rows) < FEWEST or users[rows[0]] == 0:
            continue
        told = np.stack([items[rows].astype(np.float64), data.table.ratings[rows]])
        hashes.append(hashlib.sha256(told.tobytes()).hexdigest())
        names.append(data.users.names[int(users[rows[0]])])
    found = Duplicates.of(same_content(hashes), names)
    if not len(found):
        return
    count = sum(map(len, found.groups))
    yield Finding(
        "duplicates-within",
        "warning",
        f"{count:,} users have rated the same items the same as another, in {len(found.groups):,} "
        "groups: one person of several accounts, or rows that were read twice.",
        "users",
        "keep one of each.",
        "You say that they are different people.",
        items=tuple(" = ".join(names[at] for at in group[:3]) for group in found.groups[:100]),
        count=count,
        subject="users",
    )
