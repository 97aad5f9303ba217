"""Splits: which items train, which validate, which are sealed for the test.

Pure functions from labels (or ids) to a frozen record. An item stands in exactly one part.

    stratified   the same share of every class            `stratified_split`, `stratified_codes`
    random       a share of all                           `random_split`
    time         the last rows in time validate           `time_split`
    group        what belongs together stays together     `group_split`

Several splits of the same items, for validating on each of them once, are in `folds.py`; the last rows
of each owner, and whole owners, as for ratings, in `split_ratings.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.randomness import item_keys, permutation, uniforms


@dataclass(frozen=True)
class Split:
    """Indices of the items of each part, in ascending order."""

    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...] = ()
    method: str = "given"
    """`stratified`, `random`, `time`, `group`, `last`, `cold`, `folders`, `given`, or the function of
    folds.py."""

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
        raise DataError(_ALL_SINGLE.format(count=len(labels)))
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


def stratified_codes(
    codes: np.ndarray, *, valid: float = 0.2, seed: int = 42, names: Sequence[str] | None = None
) -> Split:
    """`stratified_split` for classes that are numbers: no work is done row by row in Python.

    Args:
        codes: (N,) integers, the class of each row.
        valid: share for validation, in (0, 1).
        seed: which rows go depends on it, and on the class's own rows.
        names: the class of code i is names[i]; the split is then that of `stratified_split` for these
            words. By default a class is called by its number.
    Raises: ConfigError: `valid` is out of range. DataError: nothing is left for one of the parts.
        ShapeError: `codes` is not one row of integers, or one of them has no name.
    """
    _check_share(valid)
    codes = np.asarray(codes)
    if codes.ndim != 1 or codes.dtype.kind not in "iub":
        raise ShapeError(
            f"`codes` is {codes.dtype} of shape {codes.shape}, expected (N,) integers, one class a row."
        )
    order = np.argsort(codes, kind="stable")  # rows of a class side by side, in ascending order
    classes, starts = np.unique(codes[order], return_index=True)
    if names is not None and len(classes) and not 0 <= classes[0] <= classes[-1] < len(names):
        odd = classes[0] if classes[0] < 0 else classes[-1]
        raise ShapeError(f"`codes` has a {odd}, expected 0 to {len(names) - 1}: one of the names.")
    is_valid = np.zeros(len(codes), dtype=bool)
    for code, members in zip(classes.tolist(), np.split(order, starts[1:]), strict=True):
        if len(members) > 1:
            name = str(code) if names is None else names[code]
            taken = _count_of(len(members), valid)
            drawn = permutation(len(members), seed=seed, epoch=0, purpose=f"split {name}")
            is_valid[members[drawn[:taken].numpy()]] = True
    if len(codes) == len(classes) > 1:
        raise DataError(_ALL_SINGLE.format(count=len(codes)))
    return split_by_mask(is_valid, "stratified")


def random_split(count: int, *, valid: float = 0.2, seed: int = 42) -> Split:
    """Take `round(valid * count)` items for validation, at least one, whatever their labels."""
    _check_share(valid)
    taken = _count_of(count, valid)
    order = permutation(count, seed=seed, epoch=0, purpose="split")
    return _complement(count, order[: max(taken, 0)].numpy(), "random")


def time_split(times: np.ndarray, *, valid: float = 0.2) -> Split:
    """Validate on the last rows in time, as a model is used on what comes after its training.

    Rows of the same time stay on one side, so the cut lies between two times: where the share comes
    nearest to `valid`, and of two that are equally near, at the earlier. The order of the rows in the
    table plays no part.

    Args:
        times: (N,) datetime64 or numbers. A row without a time (NaT, NaN) trains.
        valid: share for validation of the rows that have a time, in (0, 1).
    Raises: ConfigError: `valid` is out of range. ShapeError: `times` is something else. DataError:
        fewer than two different times.
    """
    _check_share(valid)
    _, counts, places = distinct_times(times)
    if len(counts) < 2:
        only = f"have the same time, {times[places == 0][0]}" if len(counts) else "have no time"
        raise DataError(
            f"All of the {len(places)} rows {only}, so none comes after another. Split by another "
            "column, or at random."
        )
    after = counts.sum() - np.cumsum(counts)[:-1]  # rows later than each time but the last
    cut = np.argmin(np.abs(after - valid * counts.sum()))  # the last time that trains
    return split_by_mask(places > cut, "time")


def distinct_times(times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The times that occur, how often each does, and where each row's time stands among them.

    Args:
        times: (N,) datetime64 or numbers.

    Returns: (T,) ascending without NaT and NaN, (T,) int64, and (N,) int64 from 0 to T - 1; -1 for a
        row without a time.
    Raises: ShapeError: `times` is something else.
    """
    times = np.asarray(times)
    if times.ndim != 1 or times.dtype.kind not in "Mfiu":
        raise ShapeError(
            f"`times` is {times.dtype} of shape {times.shape}, expected (N,) dates (datetime64) or "
            "numbers."
        )
    is_known = ~(np.isnat(times) if times.dtype.kind == "M" else np.isnan(times))
    values, inverse, counts = np.unique(times[is_known], return_inverse=True, return_counts=True)
    places = np.full(len(times), -1, dtype=np.int64)
    places[is_known] = inverse
    return values, counts.astype(np.int64), places


def group_split(
    groups: Sequence[Hashable] | np.ndarray,
    *,
    valid: float = 0.2,
    seed: int = 42,
    labels: Sequence[Hashable] | np.ndarray | None = None,
) -> Split:
    """Keep together what belongs together: all rows of a patient, a machine, a document.

    A model may know a patient again; validated on rows of a patient that it saw, it would be flattered.

    Groups come in an order that is drawn; each is taken for validation if that brings the number of
    validating rows nearer to the share that was asked for. With `labels` it is the numbers of all
    classes that have to come nearer (the sum over classes of difference² / rows of the class). So the
    share is met as far as the groups' sizes allow, and at least one group is on each side. Where a
    group stands in the order depends on its name and the seed alone, never on the order of the rows.

    Args:
        groups: (N,) the group of each row; a row without one needs one of its own.
        valid: share of rows for validation, in (0, 1).
        seed: of the order.
        labels: (N,) the class of each row, where each class is to give its share.
    Raises: ConfigError: `valid` is out of range. DataError: fewer than two groups. ShapeError: `labels`
        are not as many as `groups`.
    """
    _check_share(valid)
    names, codes = coded(groups)
    if len(names) < 2:
        raise DataError(
            f"All of the {len(codes)} rows are of one group, so none can be set aside for validation. "
            "Split by another column, or at random."
        )
    classes = np.zeros(len(codes), dtype=np.int64) if labels is None else coded(labels)[1]
    if len(classes) != len(codes):
        raise ShapeError(f"There are {len(classes)} labels for {len(codes)} rows.")
    totals = np.bincount(classes)  # (C,) rows of each class
    wanted = (valid * totals).tolist()
    weights = (1 / np.maximum(totals, 1)).tolist()
    taken = [0] * len(totals)

    def change(members: list[tuple[int, int]]) -> float:
        """Of the sum of weight * (taken - wanted)², if a group of these (class, rows) is taken."""
        return sum(weights[c] * rows * (rows + 2 * (taken[c] - wanted[c])) for c, rows in members)

    contents = _contents(codes, classes, len(names))
    order = drawn_order(names, seed=seed, purpose="split group").tolist()
    chosen: list[int] = []
    for group in order:
        if change(contents[group]) < 0:
            chosen.append(group)
            for c, rows in contents[group]:
                taken[c] += rows
    if not chosen:  # each holds more than twice the share: the one that overshoots least
        chosen = [min(order, key=lambda group: change(contents[group]))]
    elif len(chosen) == len(names):
        chosen.pop()
    is_chosen = np.zeros(len(names), dtype=bool)
    is_chosen[chosen] = True
    return split_by_mask(is_chosen[codes], "group")


def coded(values: Sequence[Hashable] | np.ndarray) -> tuple[list[Hashable], np.ndarray]:
    """What occurs, and (N,) int64 where each value stands among it."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        if values.ndim != 1:
            raise ShapeError(f"Expected one value a row, (N,). Got the shape {values.shape}.")
        found, codes = np.unique(values, return_inverse=True)
        return found.tolist(), codes.astype(np.int64)
    places: dict[Hashable, int] = {}
    codes = [places.setdefault(value, len(places)) for value in values]
    return list(places), np.array(codes, dtype=np.int64)


def drawn_order(names: Sequence[Hashable], *, seed: int, purpose: str) -> np.ndarray:
    """An order of named things, (G,) int64, in which each one's place is drawn from its own name."""
    keys = item_keys([str(name) for name in names])
    drawn = uniforms(keys, 1, seed=seed, purpose=purpose)[:, 0].numpy()
    return np.lexsort((keys, drawn))  # equal draws of 24 bits are put in order by the key


def _contents(codes: np.ndarray, classes: np.ndarray, count: int) -> list[list[tuple[int, int]]]:
    """Of each group the classes in it, with their number of rows."""
    num_classes = int(classes.max()) + 1
    pairs, rows = np.unique(codes * num_classes + classes, return_counts=True)
    found: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for pair, size in zip(pairs.tolist(), rows.tolist(), strict=True):
        group, class_ = divmod(pair, num_classes)
        found[group].append((class_, size))
    return found


def split_by_part(parts: Sequence[str]) -> Split:
    """Follow a part given for each item: `train`, `valid` or `test`."""
    picked = {
        name: tuple(i for i, part in enumerate(parts) if part == name)
        for name in ("train", "valid", "test")
    }
    return Split(**picked, method="folders")


def split_by_mask(is_valid: np.ndarray, method: str = "given") -> Split:
    """The split in which the rows of a mask, (N,) bool, validate and all others train.

    Raises: DataError: one of the parts is empty.
    """
    count = len(is_valid)
    train, valid = np.flatnonzero(~is_valid), np.flatnonzero(is_valid)
    if not len(train) or not len(valid):
        items = "1 item is" if count == 1 else f"{count} items are"
        raise DataError(f"{items} too few to split into training and validation. Add more items.")
    return Split(train=tuple(train.tolist()), valid=tuple(valid.tolist()), method=method)


def _complement(count: int, chosen: Sequence[int] | np.ndarray, method: str) -> Split:
    is_valid = np.zeros(count, dtype=bool)
    is_valid[np.asarray(chosen, dtype=np.int64)] = True
    return split_by_mask(is_valid, method)


def _count_of(members: int, valid: float) -> int:
    """How many of a class validate: its share, at least one, never all."""
    return min(max(round(valid * members), 1), members - 1)


def _check_share(valid: float) -> None:
    if not 0 < valid < 1:
        raise ConfigError(f"`valid` is the share for validation, between 0 and 1. Got {valid}.")


_ALL_SINGLE = (
    "Each of the {count} classes has a single item, so none can be set aside for validation. Add items, "
    "or choose the validation items yourself."
)
