"""A seed of the split alone: runs whose other seeds differ then validate on the same items.

    seed = seed_of(42, None)       # 42: the split is drawn by the seed of all else
    seed = seed_of(42, 7)          # 7

Members of an ensemble, and repeated trainings, differ in weights, order and augmentation, and are
measured on one validation set.
"""

from __future__ import annotations

from drivetrain.train.choice import Choices

DRAWN = ("stratified", "random", "group", "cold_users", "cold_items")
"""Splits that are drawn; others follow from the items."""
CHANGE = "--split-seed N"


def seed_of(seed: int, split_seed: int | None) -> int:
    """The seed by which items are shared out.

    Args:
        seed: of all else.
        split_seed: of the split; None: it has none of its own.
    """
    return seed if split_seed is None else split_seed


def say_split_seed(split_seed: int | None, method: str, choices: Choices) -> None:
    """Record a seed of the split alone; where there is none nothing is said.

    Args:
        split_seed: that was given.
        method: how it was split.
        choices: to which it is added.
    """
    if split_seed is None:
        return
    if method in DRAWN or "test" in choices:
        reason = "as asked: runs with other seeds validate on the same items"
    else:
        reason = "as asked, and of no effect: nothing about this split is drawn"
    choices.add("split_seed", split_seed, reason=reason, change=CHANGE)
