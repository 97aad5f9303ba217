"""Which items a model would show: the lists of many users, a block of users at a time.

Letters: U users, I items, the unknown one of each counted; B users of a block; k items of a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from drivetrain.data.ratings import Lists
from drivetrain.errors import ConfigError, NonFiniteError, ShapeError

CELLS = 4_000_000
"""Scores that are in memory at once: 16 MB."""


class Scorer(Protocol):
    """What says how much a user likes an item: a `Factors`, or anything with these two methods."""

    def scores(self, users: np.ndarray) -> np.ndarray:
        """(B,) codes -> (B, I) float32 of all items."""
        ...

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(B,) and (B,) codes -> (B,) float32."""
        ...


def blocks(users: np.ndarray, num_items: int, *, cells: int = CELLS) -> Iterator[np.ndarray]:
    """Users, so many at a time that their scores fit in `cells`."""
    size = max(1, cells // max(num_items, 1))
    for start in range(0, len(users), size):
        yield users[start : start + size]


def open_scores(scorer: Scorer, users: np.ndarray, seen: Lists, num_items: int) -> np.ndarray:
    """Scores of the items that may still be shown to each user.

    Args:
        users: (B,) codes.
        seen: U lists of the items that are not shown again.
        num_items: I.

    Returns: (B, I) float32, a copy; minus infinity for the unknown item and for those seen.
    Raises: ShapeError: the model answered with another shape. NonFiniteError: it answered NaN.
    """
    scores = np.array(scorer.scores(users), dtype=np.float32)
    if scores.shape != (len(users), num_items):
        raise ShapeError(
            f"`scores` of {len(users)} users must be ({len(users)}, {num_items}), all items. Got "
            f"{scores.shape}."
        )
    if np.isnan(scores).any():
        raise NonFiniteError("The model's scores hold NaN, so that no list can be made of them.")
    scores[seen_cells(users, seen)] = -np.inf
    scores[:, 0] = -np.inf
    return scores


def seen_cells(users: np.ndarray, seen: Lists) -> tuple[np.ndarray, np.ndarray]:
    """Rows (place in `users`) and columns (item) of what the users have seen."""
    lists = seen.take(users)
    return lists.owners(), lists.values


def top_items(scores: np.ndarray, k: int) -> np.ndarray:
    """The items of the highest scores, the highest first; of equal ones the lower code.

    Args:
        scores: (B, I) float; minus infinity for what must not be listed.
        k: items of a list.

    Returns: (B, k) int32; 0 where fewer than k may be listed.

    >>> top_items(np.array([[-np.inf, 1, 3, 3], [-np.inf, 5, -np.inf, -np.inf]]), 2).tolist()
    [[2, 3], [1, 0]]
    """
    if k < 1:
        raise ConfigError(f"A list needs an item or more. Got k={k}.")
    size = min(k, scores.shape[1])
    chosen = np.argpartition(-scores, size - 1, axis=1)[:, :size]  # (B, size), in any order
    values = np.take_along_axis(scores, chosen, axis=1)
    # Where several items share the last place, which of them came is chance: those rows are sorted.
    tied = (scores >= values.min(axis=1, keepdims=True)).sum(axis=1) > size
    if tied.any():
        chosen[tied] = np.argsort(-scores[tied], axis=1, kind="stable")[:, :size]
        values = np.take_along_axis(scores, chosen, axis=1)
    order = np.lexsort((chosen, -values), axis=1)
    chosen = np.take_along_axis(chosen, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    found = np.zeros((len(scores), k), dtype=np.int32)
    found[:, :size] = np.where(values > -np.inf, chosen, 0)
    return found


def shown_lists(
    scorer: Scorer, users: np.ndarray, seen: Lists, *, k: int, num_items: int
) -> np.ndarray:
    """What each user would be shown.

    Args:
        users: (M,) codes.
        seen: U lists of the items that are not shown again.
        num_items: I.

    Returns: (M, k) int32; 0 where there is nothing left.
    """
    found = [
        top_items(open_scores(scorer, some, seen, num_items), k) for some in blocks(users, num_items)
    ]  # fmt: skip
    return np.concatenate([*found, np.zeros((0, k), np.int32)])
