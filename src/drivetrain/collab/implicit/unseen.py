"""Drawing items that a user had nothing to do with, all of them equally likely.

No draw is made twice: the j-th item that a user has not seen is found by one binary search. With the
seen items of a user in order, s_0 < s_1 < …, there are s_k - 1 - k unseen ones before s_k (items count
from 1). So unseen item j comes after all s_k for which that number is j or less, and is 1 + j + how many
those are:

    >>> unseen = Unseen(np.array([1, 1]), np.array([2, 3]), num_users=2, num_items=6)
    >>> int(unseen.counts[1]), unseen.numbered(np.array([1, 1, 1]), np.array([0, 1, 2])).tolist()
    (3, [1, 4, 5])
"""

from __future__ import annotations

import numpy as np
import torch

BLOCK = 1 << 20
"""Draws that are made at once."""


class Unseen:
    """Which items each user has not seen; code 0, the unknown item, is never one of them.

    Args:
        users, items: (N,) codes of what was seen, in any order; a pair may come twice.
        num_users, num_items: U and I, the unknown ones counted.
    """

    def __init__(
        self, users: np.ndarray, items: np.ndarray, num_users: int, num_items: int
    ) -> None:
        pairs = sorted_pairs(users, items, num_items)
        is_new = np.ones(len(pairs), bool)
        np.not_equal(pairs[1:], pairs[:-1], out=is_new[1:])
        owners, seen = np.divmod(pairs[is_new], num_items)
        self._stride = num_items
        self._offsets = np.searchsorted(owners, np.arange(num_users + 1))
        rank = np.arange(len(owners)) - self._offsets[owners]  # k
        self._before = owners * num_items + seen - 1 - rank  # (N,) int64, never falls
        self.counts = num_items - 1 - np.diff(self._offsets)
        """(U,) int64, how many each user has not seen."""

    def numbered(self, users: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """The unseen items of these numbers.

        Args:
            users: (B,) codes; fastest where they are in order.
            numbers: (B,) int64, each from 0 to the user's count - 1.

        Returns: (B,) int32 codes.
        """
        wanted = users.astype(np.int64) * self._stride + numbers
        passed = np.searchsorted(self._before, wanted, side="right") - self._offsets[users]
        return (1 + numbers + passed).astype(np.int32)

    def draw(self, users: np.ndarray, *, seed: int) -> np.ndarray:
        """An unseen item for each entry, (B,) int32, from the seed.

        Args:
            users: (B,) codes of users who have not seen all.
        """
        generator = torch.Generator().manual_seed(seed)
        found = np.empty(len(users), np.int32)
        for start in range(0, len(users), BLOCK):
            some = users[start : start + BLOCK]
            shares = torch.rand(len(some), generator=generator, dtype=torch.float64).numpy()
            numbers = (shares * self.counts[some]).astype(np.int64)
            found[start : start + BLOCK] = self.numbered(some, numbers)
        return found


def sorted_pairs(users: np.ndarray, items: np.ndarray, num_items: int) -> np.ndarray:
    """Pairs of known items in order, each as the number user * I + item: (M,) int64."""
    is_known = items > 0
    pairs = users[is_known].astype(np.int64) * num_items + items[is_known]
    pairs.sort()  # numbers are sorted fastest
    return pairs
