"""Whether runs can be put together: they validate on the same items, and no run trained on another's.

An item is known by its name and by a hash of what it holds; hashes are compared where they are of the
same things, such as the bytes of pictures. Runs that see an item in different ways, a text model and a
model of the other columns, say, are of the same items where they name them alike and come from one
source.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import permutations

from drivetrain.errors import DataError


@dataclass(frozen=True)
class SplitItems:
    """What a run was trained on, and what it validates on."""

    train: Mapping[str, str]
    """Hash of each item, by name."""
    valid: Mapping[str, str]
    hashed: str
    """What the hashes are of, such as `picture`; those of other things are not compared."""
    source: str
    """Where the items come from."""


def check_same_items(runs: Mapping[str, SplitItems]) -> None:
    """Check that runs can be measured together.

    Args:
        runs: by name, two or more.

    Raises: DataError: a run was trained on what another validates on, or they validate on other items, or
        nobody can tell.
    """
    for (one, first), (other, second) in permutations(runs.items(), 2):
        by_hash = first.hashed == second.hashed
        if not by_hash and first.source != second.source:
            raise DataError(
                f"{one} is of {first.source} and {other} of {second.source}, and the two see an item in "
                "different ways: nobody can tell whether these are the same items. Train both from one "
                "source."
            )
        keys = {_key(name, hash_, by_hash): name for name, hash_ in first.valid.items()}
        # copies of one item within a run's own data are what `drivetrain check` looks for
        known = _keys(first.train, by_hash)
        leaked = [
            keys[key] for key in _keys(second.train, by_hash) if key in keys and key not in known
        ]
        if leaked:
            raise DataError(
                f"{other} was trained on {len(leaked):,} of the {len(first.valid):,} items that {one} is "
                f"validated on, such as {min(leaked)}: together they would be measured on what one of "
                "them has seen. Train them on one split: the same source and seed, or parts of its own."
            )
    (one, first), *others = runs.items()
    for other, second in others:
        apart = sorted(set(first.valid) ^ set(second.valid))
        if apart:
            raise DataError(
                f"{one} and {other} validate on other items: {len(apart):,} are in one of the two "
                f"only, such as {apart[0]}. Train them on one split: the same source and seed, or "
                "parts of its own."
            )
        changed = sorted(
            name
            for name, hash_ in first.valid.items()
            if first.hashed == second.hashed and second.valid[name] != hash_
        )
        if changed:
            raise DataError(
                f"{one} and {other} validate on other items: of {len(changed):,} the name is the same "
                f"and the content is not, such as {changed[0]}. Train both from one source."
            )


def _key(name: str, hash_: str, by_hash: bool) -> str:
    return hash_ if by_hash else name


def _keys(items: Mapping[str, str], by_hash: bool) -> Collection[str]:
    return set(items.values()) if by_hash else set(items)
