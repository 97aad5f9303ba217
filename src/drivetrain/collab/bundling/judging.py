"""What the guard of a model of ratings sees in a pair: how well training knows its user and its item.

Plain functions of codes and counts, so that the script of a bundle has the very same ones. N pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

WELL_KNOWN, FEW_RATINGS, UNKNOWN = 0, 1, 2
"""Kinds of pairs: of each the errors are of another size."""


def pair_kinds(user_ratings: np.ndarray, item_ratings: np.ndarray, few: int) -> np.ndarray:
    """How well training knows both sides of pairs.

    Args:
        user_ratings, item_ratings: (N,) whole numbers, what each has in training; 0 where unknown.
        few: fewer ratings than this are few.

    Returns: (N,) int64: `WELL_KNOWN`, `FEW_RATINGS` or `UNKNOWN`, the worse of the two sides.

    >>> pair_kinds(np.array([9, 9, 2, 0]), np.array([9, 1, 9, 9]), 5).tolist()
    [0, 1, 1, 2]
    """
    least = np.minimum(user_ratings, item_ratings)
    return np.where(least == 0, UNKNOWN, np.where(least < few, FEW_RATINGS, WELL_KNOWN))


def of_mean_user(
    outputs: Callable[[np.ndarray, np.ndarray], np.ndarray], items: np.ndarray
) -> np.ndarray:
    """What a user of whom nothing is known would get for each item.

    Args:
        outputs: codes of users and items, (N,) each -> predictions (N,).
        items: (N,) codes.
    """
    some, places = np.unique(items, return_inverse=True)
    return outputs(np.zeros_like(some), some)[places]


def reach_of(
    values: np.ndarray,
    kinds: np.ndarray,
    half_widths: Sequence[float],
    lowest: float,
    highest: float,
) -> np.ndarray:
    """(N, 2) float64: low and high of the interval about each prediction, within the scale of ratings.

    Args:
        values: (N,) predictions.
        kinds: (N,) as `pair_kinds` gives them.
        half_widths: of each kind, infinite where too little is known of it: then it is the whole scale.
        lowest, highest: of all ratings.
    """
    half = np.array(half_widths)[kinds]
    both = np.stack([values.astype(np.float64) - half, values.astype(np.float64) + half], axis=1)
    return np.clip(both, lowest, highest)


def new_in_pair(
    user_ratings: int, item_ratings: int, few: int, is_near: bool, is_outside: bool
) -> list[str]:
    """What speaks against trusting the answer for a pair, in words.

    Args:
        user_ratings, item_ratings: what each has in training; 0 where unknown.
        few: fewer ratings than this are few.
        is_near: the answer is close to what a mean user gets.
        is_outside: the answer lies beyond all ratings.

    >>> new_in_pair(1, 0, 5, True, False)
    ["user has 1 rating, answer close to a mean user's", 'item unknown']
    """
    found = []
    for what, count in (("user", user_ratings), ("item", item_ratings)):
        if count == 0:
            found.append(f"{what} unknown")
        elif count < few:
            near = ", answer close to a mean user's" if what == "user" and is_near else ""
            found.append(f"{what} has {count} rating{'s' if count > 1 else ''}{near}")
    return [*found, "answer beyond all ratings"] if is_outside else found
