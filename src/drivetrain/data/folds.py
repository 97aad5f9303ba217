"""Folds: the same items split several times, so that each of them validates once.

    k_folds             at random
    stratified_folds    every class spread evenly over the folds
    group_folds         what belongs together stays in one fold
    rolling_origin      forward in time: each fold validates on what comes after its training rows

A mean over folds uses many items for validation, and its spread says how much their choice matters.
The folds share training items, so their results are not independent of one another.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from drivetrain.data.split import Split, coded, distinct_times, drawn_order, split_by_mask
from drivetrain.errors import ConfigError, DataError
from drivetrain.randomness import permutation

Gap: TypeAlias = float | timedelta | np.timedelta64


def k_folds(count: int, k: int = 5, seed: int = 42) -> list[Split]:
    """Deal `count` items at random to `k` folds, whose sizes differ by one at most.

    Raises: ConfigError: `k` is below 2. DataError: fewer items than folds.
    """
    _check(k, count, "items")
    order = permutation(count, seed=seed, epoch=0, purpose="folds").numpy()
    return _dealt(order, k, "k_folds")


def stratified_folds(
    labels: Sequence[Hashable] | np.ndarray, k: int = 5, seed: int = 42
) -> list[Split]:
    """Deal every class evenly: its counts in the folds differ by one at most, and so do the sizes.

    A class with fewer items than folds validates in some of them only.

    Args:
        labels: (N,) the class of each item.
        k: folds, 2 or more.
        seed: of the order in which the items of a class are dealt.
    Raises: ConfigError: `k` is below 2. DataError: fewer items than folds.
    """
    names, codes = coded(labels)
    _check(k, len(codes), "items")
    by_class = np.argsort(codes, kind="stable")
    members_of = np.split(by_class, np.cumsum(np.bincount(codes))[:-1])
    hands: list[np.ndarray] = []
    for name, members in sorted(zip(map(str, names), members_of, strict=True), key=lambda m: m[0]):
        order = permutation(len(members), seed=seed, epoch=0, purpose=f"folds {name}").numpy()
        hands.append(members[order])
    # Each class is dealt on from the fold where the one before it ended: so the sizes stay even too.
    return _dealt(np.concatenate(hands), k, "stratified_folds")


def group_folds(groups: Sequence[Hashable] | np.ndarray, k: int = 5, seed: int = 42) -> list[Split]:
    """Keep each group in one fold, with folds as equal in rows as the groups allow.

    The largest group goes first, each to the fold that has the fewest rows: no fold then has more rows
    than the smallest and one group together.

    Args:
        groups: (N,) the group of each row; a row without one needs one of its own.
        k: folds, 2 or more.
        seed: of the order among groups of equal size.
    Raises: ConfigError: `k` is below 2. DataError: fewer groups than folds.
    """
    names, codes = coded(groups)
    _check(k, len(names), "groups")
    sizes = np.bincount(codes)
    order = drawn_order(names, seed=seed, purpose="folds group")
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of = np.empty(len(names), dtype=np.int64)
    filled = [(0, fold) for fold in range(k)]  # (rows, fold), the emptiest first
    for group in order.tolist():
        rows, fold = heapq.heappop(filled)
        fold_of[group] = fold
        heapq.heappush(filled, (rows + int(sizes[group]), fold))
    return _of_folds(fold_of[codes], k, "group_folds")


def rolling_origin(times: np.ndarray, k: int = 5, *, gap: Gap = 0) -> list[Split]:
    """Walk forward in time: train on what came before, validate on what comes next, and move on.

    The times are cut into k + 1 blocks of about as many rows. Fold i validates on block i + 1 and
    trains on all rows before it, so a fold trains on more than the one before it did, and never on a
    row that is as late as one that it validates on. Rows of the same time are in one block.

    Args:
        times: (N,) datetime64 or numbers. A row without a time (NaT, NaN) is in no fold: it might lie
            in the future.
        k: folds, 1 or more.
        gap: time before the first validating row from which no row trains, 0 or more: a `timedelta`
            where times are dates, else a number in their unit. It keeps out rows whose target was not
            known yet when the prediction would have been made.

    Returns: the folds, the earliest first.
    Raises: ConfigError: `k` is below 1, or `gap` is negative or of the wrong kind. DataError: fewer
        different times than blocks, or `gap` leaves a fold without a training row. ShapeError: `times`
        holds neither dates nor numbers.
    """
    values, counts, places = distinct_times(times)
    _check(k, len(values) - 1, "different times after the first", least=1)
    wait = _as_gap(gap, values)
    edges = _edges(counts, k)
    folds: list[Split] = []
    for start, end in pairwise(edges):
        last = np.searchsorted(values, values[start] - wait, side="left" if wait else "right")
        last = min(int(last), start)
        if last == 0:
            raise DataError(
                f"`gap` of {gap} leaves nothing to train on before {values[start]}, where fold "
                f"{len(folds) + 1} of {k} starts to validate. Take a shorter gap, or fewer folds."
            )
        train = np.flatnonzero((places >= 0) & (places < last))
        valid = np.flatnonzero((places >= start) & (places < end))
        folds.append(Split(tuple(train.tolist()), tuple(valid.tolist()), method="rolling_origin"))
    return folds


def _edges(counts: np.ndarray, k: int) -> list[int]:
    """Where the blocks after the first start among the times, and the end: k + 1 ascending places."""
    before = np.concatenate([[0], np.cumsum(counts)])  # rows before each time, and all
    edges: list[int] = []
    for block in range(1, k + 1):
        lowest = edges[-1] + 1 if edges else 1
        highest = len(counts) - 1 - (k - block)  # a time for each block that is still to come
        wanted = before[-1] * block / (k + 1)
        edges.append(lowest + int(np.argmin(np.abs(before[lowest : highest + 1] - wanted))))
    return [*edges, len(counts)]


def _as_gap(gap: Gap, values: np.ndarray) -> Gap:
    """The gap in the unit of the times."""
    if values.dtype.kind == "M":
        if isinstance(gap, timedelta):
            gap = np.timedelta64(gap)
        elif not isinstance(gap, np.timedelta64):
            if gap != 0:
                raise ConfigError(
                    "The times are dates, so `gap` is a `timedelta`, such as timedelta(days=7). "
                    f"Got {gap!r}."
                )
            gap = np.timedelta64(0)
        is_negative = gap < np.timedelta64(0)
    elif isinstance(gap, timedelta | np.timedelta64):
        raise ConfigError(f"The times are numbers, so `gap` is a number too. Got {gap!r}.")
    else:
        is_negative = not gap >= 0
    if is_negative:
        raise ConfigError(f"`gap` must be 0 or more. Got {gap}.")
    return gap


def _dealt(order: np.ndarray, k: int, method: str) -> list[Split]:
    """Deal rows one by one to the folds, like cards."""
    fold_of = np.empty(len(order), dtype=np.int64)
    fold_of[order] = np.arange(len(order)) % k
    return _of_folds(fold_of, k, method)


def _of_folds(fold_of: np.ndarray, k: int, method: str) -> list[Split]:
    """The splits in which each fold validates in turn; `fold_of` (N,) int64."""
    return [split_by_mask(fold_of == fold, method) for fold in range(k)]


def _check(k: int, count: int, what: str, least: int = 2) -> None:
    if k < least:
        raise ConfigError(f"`k` is a number of folds, {least} or more. Got {k}.")
    if count < k:
        raise DataError(f"{k} folds need at least {k} {what}. There are {count}.")
