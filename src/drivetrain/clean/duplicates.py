"""Items that are there twice, or nearly: pairs, groups, and which parts of the data they lie in.

    found = Duplicates.of(near_pictures(thumbs), ids, parts=parts)
    found.groups                                      # items that are all one
    found.across("train", "valid")                    # validation items that training has seen
    print(found)

A duplicate within training counts its item twice; one on both sides of a split is an answer known
beforehand, and the score is too good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from drivetrain.errors import ShapeError

SHOWN = 10
"""Pairs that are printed."""


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of items that are the same, or nearly, as positions."""

    first: np.ndarray
    """(P,) int64, below `second`."""
    second: np.ndarray
    score: np.ndarray
    """(P,) float64, at most 1, the higher the nearer."""
    exact: np.ndarray
    """(P,) bool: the same, and not only nearly."""
    compared: int
    """Items that were compared with all others; fewer than there are where time ran out."""
    left_out: str = ""
    """What was not looked at, as a sentence; empty where all was."""


def joined(found: Iterable[NearPairs]) -> NearPairs:
    """All pairs of several answers on the same items, each pair once: exact where any says so.

    Args:
        found: pairs by position, of the same items.
    """
    best: dict[tuple[int, int], tuple[float, bool]] = {}
    answers = list(found)
    for one in answers:
        rows = (one.first.tolist(), one.second.tolist(), one.score.tolist(), one.exact.tolist())
        for first, second, score, exact in zip(*rows, strict=True):
            known = best.get((first, second), (0.0, False))
            best[first, second] = max(known[0], score), known[1] or exact
    keys = sorted(best)
    return NearPairs(
        np.array([key[0] for key in keys], dtype=np.int64),
        np.array([key[1] for key in keys], dtype=np.int64),
        np.array([best[key][0] for key in keys], dtype=np.float64),
        np.array([best[key][1] for key in keys], dtype=bool),
        compared=min((one.compared for one in answers), default=0),
        left_out=" ".join(one.left_out for one in answers if one.left_out),
    )


def same_content(hashes: Sequence[str]) -> NearPairs:
    """Pairs of items with one hash, each with the first that has it. An empty hash equals none.

    Args:
        hashes: (N,) the hash of each item.
    """
    heads: dict[str, int] = {}
    head = [heads.setdefault(one, at) if one else at for at, one in enumerate(hashes)]
    again = [at for at, first in enumerate(head) if first < at]
    return NearPairs(
        np.array([head[at] for at in again], dtype=np.int64),
        np.array(again, dtype=np.int64),
        np.ones(len(again)),
        np.ones(len(again), dtype=bool),
        compared=len(hashes),
    )


class Pair(NamedTuple):
    """Two items that are one, by name."""

    first: str
    second: str
    score: float
    exact: bool
    parts: tuple[str, str]
    """Where either lies; two empty words where there are no parts."""


@dataclass(frozen=True, eq=False)
class Duplicates:
    """The common answer for pictures, texts and rows. Made by `of`."""

    ids: Sequence[str]
    """(N,) names of the items."""
    parts: tuple[str, ...]
    """(N,) the part of each item, such as train; empty where there are none."""
    found: NearPairs
    """The pairs, by position."""

    @classmethod
    def of(
        cls, found: NearPairs, ids: Sequence[str], *, parts: Sequence[str] | None = None
    ) -> Duplicates:
        """Pairs of positions with the names of their items.

        Args:
            found: the pairs, by position.
            ids: names of N items.
            parts: (N,) the part of each item; None where there are none.

        Raises: ShapeError: fewer ids than a pair names, or not as many parts as ids.
        """
        if parts is not None and len(parts) != len(ids):
            raise ShapeError(f"`Duplicates` got {len(parts)} parts for {len(ids)} ids.")
        if len(found.second) and found.second.max() >= len(ids):
            raise ShapeError(
                f"`Duplicates` got {len(ids)} ids, and a pair that names item {found.second.max()}."
            )
        return cls(ids, tuple(parts or ()), found)

    def __len__(self) -> int:
        return len(self.found.first)

    @property
    def pairs(self) -> list[Pair]:
        """All pairs by name; those on two sides of a split first, then the nearest."""
        rows = sorted(
            range(len(self)),
            key=lambda at: (
                self._part(self.found.first[at]) == self._part(self.found.second[at]),
                -self.found.score[at],
                at,
            ),
        )
        return [
            Pair(
                self.ids[int(self.found.first[at])],
                self.ids[int(self.found.second[at])],
                float(self.found.score[at]),
                bool(self.found.exact[at]),
                (self._part(self.found.first[at]), self._part(self.found.second[at])),
            )
            for at in rows
        ]

    @property
    def group_of(self) -> np.ndarray:
        """(N,) int64, the first item of each item's group: itself where it is alone."""
        parent = np.arange(len(self.ids))

        def root(at: int) -> int:
            while parent[at] != at:
                parent[at] = parent[parent[at]]
                at = int(parent[at])
            return at

        for one, other in zip(self.found.first.tolist(), self.found.second.tolist(), strict=True):
            a, b = root(one), root(other)
            parent[max(a, b)] = min(a, b)
        return np.array([root(at) for at in range(len(parent))], dtype=np.int64)

    @property
    def groups(self) -> list[list[int]]:
        """Positions of items that are one, directly or by way of others; the first in order first."""
        heads = self.group_of
        order = np.argsort(heads, kind="stable")
        edges = np.flatnonzero(np.diff(heads[order])) + 1
        return [one.tolist() for one in np.split(order, edges) if len(one) > 1]

    @property
    def extra(self) -> np.ndarray:
        """(E,) positions of items beyond the first of their group: leaving them out leaves each once."""
        return np.flatnonzero(self.group_of < np.arange(len(self.ids)))

    def across(self, seen: str, asked: str) -> np.ndarray:
        """(A,) positions of items of the part `asked` in whose group is an item of the part `seen`."""
        if not self.parts:
            return np.zeros(0, dtype=np.int64)
        heads, parts = self.group_of, np.array(self.parts)
        known = np.isin(heads, heads[parts == seen])
        return np.flatnonzero(known & (parts == asked))

    def within(self, part: str) -> np.ndarray:
        """(W,) positions of items of a part that repeat an earlier one of the same part."""
        members = (
            np.flatnonzero(np.array(self.parts) == part) if self.parts else np.arange(len(self.ids))
        )
        heads = self.group_of[members]
        first = np.unique(heads, return_index=True)[1]
        return members[np.setdiff1d(np.arange(len(members)), first)]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: pairs, groups, and how many lie across."""
        return {
            "items": len(self.ids),
            "compared": self.found.compared,
            "left_out": self.found.left_out,
            "pairs": [one._asdict() | {"parts": list(one.parts)} for one in self.pairs],
            "groups": [[self.ids[at] for at in group] for group in self.groups],
        }

    def __str__(self) -> str:
        if not len(self):
            told = f"{len(self.ids):,} items, no two of them the same or nearly."
            return f"{told} {self.found.left_out}".rstrip()
        exact = int(self.found.exact.sum())
        lines = [
            f"{len(self.ids):,} items: {exact:,} pairs that are the same, {len(self) - exact:,} nearly; "
            f"{len(self.groups):,} groups, {len(self.extra):,} items more than once."
        ]
        for one in self.pairs[:SHOWN]:
            kind = "same" if one.exact else f"{one.score:.3f}"
            where = "" if one.parts[0] == one.parts[1] else f"  ({one.parts[0]}, {one.parts[1]})"
            lines.append(f"  {kind:>5}  {one.first}  {one.second}{where}")
        if len(self) > SHOWN:
            lines.append(f"  and {len(self) - SHOWN:,} more pairs")
        return "\n".join([*lines, *([self.found.left_out] if self.found.left_out else [])])

    def _part(self, at: Any) -> str:
        return self.parts[int(at)] if self.parts else ""
