"""What training saw of users and items beside their vectors: who rated what, and how."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from drivetrain import store
from drivetrain.data.ratings import Lists, RatingTable
from drivetrain.errors import RunError

if TYPE_CHECKING:
    from drivetrain.collab.data import CollabData

FILE = "ratings.safetensors"


@dataclass(frozen=True)
class Seen:
    """The training ratings, by user."""

    items: Lists
    """U lists of the items each user rated."""
    ratings: np.ndarray
    """(N,) float32, in the order of `items.values`."""
    num_items: int
    """I, the unknown one counted."""

    @classmethod
    def of_table(cls, table: RatingTable) -> Seen:
        """From training ratings."""
        keys = table.users.astype(np.int64) * table.num_items + table.items
        order = np.argsort(keys, kind="stable")  # by item: independent of the file's order
        del keys
        counts = np.bincount(table.users, minlength=table.num_users)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        items = np.asarray(table.items, dtype=np.int32)[order]
        return cls(Lists(items, offsets), table.ratings[order], table.num_items)

    @classmethod
    def of(cls, data: CollabData) -> Seen:
        """From the training part of the data."""
        return cls.of_table(data.pairs("train"))

    @cached_property
    def popularity(self) -> np.ndarray:
        """(I,) int64, ratings each item has; 0 for the unknown one."""
        return np.bincount(self.items.values, minlength=self.num_items)

    @cached_property
    def mean(self) -> float:
        """Mean rating."""
        return float(self.ratings.mean(dtype=np.float64))

    @cached_property
    def item_mean(self) -> np.ndarray:
        """(I,) float32, mean rating of each item; that of all for one that has none."""
        sums = np.bincount(self.items.values, weights=self.ratings, minlength=self.num_items)
        counts = np.maximum(self.popularity, 1)
        return np.where(self.popularity > 0, sums / counts, self.mean).astype(np.float32)

    def of_user(self, user: int) -> tuple[np.ndarray, np.ndarray]:
        """Items and ratings of a user."""
        start, end = self.items.offsets[user : user + 2]
        return self.items.values[start:end], self.ratings[start:end]

    def count_of(self, users: np.ndarray, items: np.ndarray) -> int:
        """How many of the pairs (N,), (N,) of codes are among these; the unknown user and item never."""
        keys = self.items.owners().astype(np.int64) * self.num_items + self.items.values
        known = (users > 0) & (items > 0)
        asked = users[known].astype(np.int64) * self.num_items + items[known]
        return int(np.isin(asked, keys).sum())

    def table(self) -> RatingTable:
        """The ratings as a table, by user."""
        users = self.items.owners()
        return RatingTable(
            users, self.items.values, self.ratings, None, len(self.items), self.num_items
        )

    def tensors(self) -> dict[str, Tensor]:
        """As it is stored."""
        return {
            "items": torch.from_numpy(np.ascontiguousarray(self.items.values)),
            "offsets": torch.from_numpy(np.ascontiguousarray(self.items.offsets)),
            "ratings": torch.from_numpy(np.ascontiguousarray(self.ratings)),
        }

    def sha256(self) -> str:
        """Of the content."""
        digest = hashlib.sha256()
        for part in (self.items.values, self.items.offsets, self.ratings):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def write_seen(folder: store.StrPath, seen: Seen) -> None:
    """Put the ratings beside a model, in its folder."""
    store.write_tensors(Path(folder) / FILE, seen.tensors())


def read_seen(folder: store.StrPath, *, num_users: int, num_items: int, sha256: str) -> Seen:
    """The ratings beside a model.

    Raises: RunError: they are not there, or they are of another model.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise RunError(f"{path} is missing: what users rated before. Restore it from a copy.")
    tensors = store.read_tensors(path)
    if set(tensors) == {"items", "offsets", "ratings"}:
        items, offsets, ratings = (
            tensors[name].numpy() for name in ("items", "offsets", "ratings")
        )
        if _fits(items, offsets, ratings, num_users, num_items):
            found = Seen(Lists(items, offsets), ratings, num_items)
            if found.sha256() == sha256:
                return found
    raise RunError(f"{path} does not belong to the model beside it. Restore it from a copy.")


def _fits(
    items: np.ndarray, offsets: np.ndarray, ratings: np.ndarray, num_users: int, num_items: int
) -> bool:
    """Whether arrays from a file are lists of items: everything that indexing by them relies on."""
    types = (items.dtype, offsets.dtype, ratings.dtype)
    if types != (np.int32, np.int64, np.float32) or not items.ndim == offsets.ndim == 1:
        return False
    if offsets.shape != (num_users + 1,) or ratings.shape != items.shape:
        return False
    rising = offsets[0] == 0 and offsets[-1] == len(items) and bool((np.diff(offsets) >= 0).all())
    return rising and bool(((items >= 0) & (items < num_items)).all())
