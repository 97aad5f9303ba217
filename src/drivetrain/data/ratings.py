"""Who rated what, as codes: a table of ratings, and lists of codes for many owners.

Code 0 stands for a user or an item that training did not see; the known ones count from 1. So a model
has a row for what it does not know, and arrays of users or items begin with that row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from drivetrain.errors import ShapeError


@dataclass(frozen=True)
class Lists:
    """A list of codes for each of some owners, end to end in one array.

    >>> seen = Lists.from_codes(np.array([2, 0, 2]), np.array([7, 5, 6]), 3)
    >>> [seen[owner].tolist() for owner in range(len(seen))]
    [[5], [], [7, 6]]
    """

    values: np.ndarray
    """(N,) int32."""
    offsets: np.ndarray
    """(M + 1,) int64: the list of owner m is `values[offsets[m]:offsets[m + 1]]`."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, owner: int) -> np.ndarray:
        return self.values[self.offsets[owner] : self.offsets[owner + 1]]

    def lengths(self) -> np.ndarray:
        """(M,) int64, how many codes each owner has."""
        return np.diff(self.offsets)

    def owners(self) -> np.ndarray:
        """(N,) int32, whose each value is."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths())

    def take(self, owners: np.ndarray) -> Lists:
        """The lists of some owners, in that order."""
        lengths = self.lengths()[owners]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        shifts = np.repeat(self.offsets[owners] - offsets[:-1], lengths)
        return Lists(self.values[np.arange(offsets[-1]) + shifts], offsets)

    @classmethod
    def from_codes(cls, owners: np.ndarray, values: np.ndarray, num_owners: int) -> Lists:
        """The values of each owner, in the order in which they stand.

        Args:
            owners: (N,) whole numbers, 0 to `num_owners` - 1.
            values: (N,) whole numbers below 2^31.
            num_owners: lists there are.
        """
        order = np.argsort(owners, kind="stable")
        counts = np.bincount(owners, minlength=num_owners)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return cls(np.asarray(values, dtype=np.int32)[order], offsets)


@dataclass(frozen=True)
class RatingTable:
    """Ratings as columns of equal length."""

    users: np.ndarray
    """(N,) int32 codes, 0 for unknown."""
    items: np.ndarray
    """(N,) int32 codes, 0 for unknown."""
    ratings: np.ndarray
    """(N,) float32; all 1 for events."""
    times: np.ndarray | None
    """(N,) int64, a larger one is later; None where the source has none."""
    num_users: int
    """U, the unknown one counted."""
    num_items: int
    """I, the unknown one counted."""

    def __post_init__(self) -> None:
        columns = [self.users, self.items, self.ratings]
        lengths = [len(column) for column in columns if column is not None]
        if self.times is not None:
            lengths.append(len(self.times))
        if len(set(lengths)) != 1:
            raise ShapeError(f"`RatingTable` needs columns of equal length. Got lengths {lengths}.")

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: np.ndarray) -> RatingTable:
        """Some of the ratings: positions, or a mask."""
        times = None if self.times is None else self.times[rows]
        return replace(
            self,
            users=self.users[rows],
            items=self.items[rows],
            ratings=self.ratings[rows],
            times=times,
        )

    def by_user(self) -> Lists:
        """The items each user rated, in the table's order: U lists."""
        return Lists.from_codes(self.users, self.items, self.num_users)

    def by_item(self) -> Lists:
        """The users who rated each item: I lists."""
        return Lists.from_codes(self.items, self.users, self.num_items)

    def tensors(self) -> tuple[Tensor, Tensor]:
        """What a model is given: pairs of codes (N, 2) int32, ratings (N,) float32."""
        pairs = torch.from_numpy(np.stack([self.users, self.items], axis=1).astype(np.int32))
        return pairs, torch.from_numpy(np.ascontiguousarray(self.ratings, dtype=np.float32))
