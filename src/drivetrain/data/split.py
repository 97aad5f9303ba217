"""Splits: which items train, which validate, which are sealed for the test.

Pure functions from labels (or ids) to a frozen record. An item stands in exactly one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drivetrain.errors import ConfigError, DataError
from drivetrain.randomness import permutation


@dataclass(frozen=True)
class Split:
    """Indices of the items of each part, in ascending order."""

    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...] = ()
    method: str = "given"
    """`stratified`, `random`, `folders` or `given`."""

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


def _complement(count: int, chosen: Sequence[int], method: str) -> Split:
    valid = set(chosen)
    train = tuple(i for i in range(count) if i not in valid)
    if not train or not valid:
        items = "1 item is" if count == 1 else f"{count} items are"
        raise DataError(f"{items} too few to split into training and validation. Add more items.")
    return Split(train=train, valid=tuple(sorted(valid)), method=method)


def _check_share(valid: float) -> None:
    if not 0 < valid < 1:
        raise ConfigError(f"`valid` is the share for validation, between 0 and 1. Got {valid}.")
