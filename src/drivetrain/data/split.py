"""Splits: which items train, which validate, which are sealed for the test.

Pure functions from labels (or ids) to a frozen record. An item stands in exactly one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.errors import ConfigError, DataError
from drivetrain.randomness import permutation


@dataclass(frozen=True)
class Split:
    """Indices of the items of each part, in ascending order."""

    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...] = ()
    method: str = "given"
    """`stratified`, `random`, `time`, `group`, `folders` or `given`."""

    def to_json(self, ids: Sequence[str]) -> dict[str, Any]:
        """The split by item id, so that it can be read and replayed: `{method, train, valid, test}`."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {"method": self.method} | {k: [ids[i] for i in v] for k, v in parts.items()}


def stratified_split(labels: Sequence[str], *, valid: float = 0.2, seed: int = 42) -> Split:
    """Take the same share of every class for validation.

    Each class gives `round(valid * count)` items, at least one where it has two or more; a class with a
    single item keeps it for training. Which items go depends on the seed and on the class's own items.

    Args:
        labels: (N,) the class of each item.
        valid: share for validation, in (0, 1).
    Raises: ConfigError: `valid` is out of range. DataError: nothing is left for one of the parts.
    """
    _check_share(valid)
    chosen = choose_of_each_class(labels, valid=valid, seed=seed)
    if len(labels) == len(set(labels)) > 1:
        raise DataError(
            f"Each of the {len(labels)} classes has a single item, so none can be set aside for "
            "validation. Add items, or choose the validation items yourself."
        )
    return _complement(len(labels), chosen, "stratified")


def choose_of_each_class(labels: Sequence[str], *, valid: float, seed: int) -> list[int]:
    """The items that validate: a share of every class, at least one where it has two or more."""
    members_of: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        members_of.setdefault(label, []).append(i)
    chosen: list[int] = []
    for name, members in sorted(members_of.items()):
        if len(members) < 2:
            continue
        count = min(max(round(valid * len(members)), 1), len(members) - 1)
        order = permutation(len(members), seed=seed, epoch=0, purpose=f"split {name}")
        chosen += [members[i] for i in order[:count].tolist()]
    return sorted(chosen)


def stratified_codes(codes: np.ndarray, *, valid: float = 0.2, seed: int = 42) -> Split:
    """`stratified_split` for classes that are numbers, by whole columns.

    Args:
        codes: (N,) int64 the class of each item.
        valid: share for validation, in (0, 1).
    Raises: as `stratified_split`.
    """
    _check_share(valid)
    order = np.argsort(codes, kind="stable")
    classes, starts = np.unique(codes[order], return_index=True)
    chosen = []
    for code, members in zip(classes.tolist(), np.split(order, starts[1:]), strict=True):
        if len(members) < 2:
            continue
        count = min(max(round(valid * len(members)), 1), len(members) - 1)
        drawn = permutation(len(members), seed=seed, epoch=0, purpose=f"split {code}")
        chosen.append(members[drawn[:count].numpy()])
    if len(codes) == len(classes) > 1:
        raise DataError(
            f"Each of the {len(codes)} classes has a single item, so none can be set aside for "
            "validation. Add items, or choose the validation items yourself."
        )
    return _of_mask(len(codes), np.concatenate(chosen) if chosen else codes[:0], "stratified")


def time_split(times: np.ndarray, *, valid: float = 0.2) -> Split:
    """The last items validate; items of one time stay on one side, items without a time train.

    Args:
        times: (N,) datetime64 or float64; NaT or NaN where there is none.
        valid: share of the items with a time that validates, about: the cut lies between two times.
    Raises: ConfigError: `valid` is out of range. DataError: all times are alike, or there are none.
    """
    _check_share(valid)
    is_known = ~(np.isnat(times) if times.dtype.kind == "M" else np.isnan(times))
    distinct, counts = np.unique(times[is_known], return_counts=True)
    if len(distinct) < 2:
        raise DataError(
            "A split by time needs items of at least two different times. Split at random, or by group."
        )
    before = np.cumsum(counts)[:-1]  # items earlier than distinct[1], distinct[2] …
    first = distinct[1 + int(np.abs(before - (1 - valid) * counts.sum()).argmin())]
    return _of_mask(len(times), np.flatnonzero(is_known & (times >= first)), "time")


def group_split(groups: np.ndarray, *, valid: float = 0.2, seed: int = 42) -> Split:
    """Items of one group stay on one side; groups are drawn until the share is reached.

    Args:
        groups: (N,) what tells groups apart, such as int64 numbers.
        valid: share of the items that validates, about: groups are not cut.
    Raises: ConfigError: `valid` is out of range. DataError: there are fewer than two groups.
    """
    _check_share(valid)
    names, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise DataError("A split by group needs at least two groups. Split at random.")
    order = permutation(len(names), seed=seed, epoch=0, purpose="split groups").numpy()
    reached = np.cumsum(counts[order])
    taken = 1 + int(np.abs(reached[:-1] - valid * len(groups)).argmin())
    return _of_mask(len(groups), np.flatnonzero(np.isin(codes, order[:taken])), "group")


def random_split(count: int, *, valid: float = 0.2, seed: int = 42) -> Split:
    """Take `round(valid * count)` items for validation, at least one, whatever their labels."""
    _check_share(valid)
    taken = min(max(round(valid * count), 1), count - 1)
    order = permutation(count, seed=seed, epoch=0, purpose="split")
    return _complement(count, order[: max(taken, 0)].tolist(), "random")


def split_by_part(parts: Sequence[str]) -> Split:
    """Follow a part given for each item: `train`, `valid` or `test`."""
    picked = {
        name: tuple(i for i, part in enumerate(parts) if part == name)
        for name in ("train", "valid", "test")
    }
    return Split(**picked, method="folders")


def _of_mask(count: int, chosen: np.ndarray, method: str) -> Split:
    """The split in which the items at these places validate, made from whole columns."""
    is_valid = np.zeros(count, dtype=bool)
    is_valid[chosen] = True
    train, valid = np.flatnonzero(~is_valid), np.flatnonzero(is_valid)
    if not len(train) or not len(valid):
        raise _too_few(count)
    return Split(tuple(train.tolist()), tuple(valid.tolist()), method=method)


def _complement(count: int, chosen: Sequence[int], method: str) -> Split:
    valid = set(chosen)
    train = tuple(i for i in range(count) if i not in valid)
    if not train or not valid:
        raise _too_few(count)
    return Split(train=train, valid=tuple(sorted(valid)), method=method)


def _too_few(count: int) -> DataError:
    items = "1 item is" if count == 1 else f"{count} items are"
    return DataError(f"{items} too few to split into training and validation. Add more items.")


def _check_share(valid: float) -> None:
    if not 0 < valid < 1:
        raise ConfigError(f"`valid` is the share for validation, between 0 and 1. Got {valid}.")
