"""What a model of ratings answers: for one pair of user and item, and for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_SHOWN = 20
"""Answers that are printed; `to_json` has all."""


@dataclass(frozen=True)
class RatingPrediction:
    """How a user would rate an item."""

    user: str
    """The name that was asked for."""
    item: str
    """The name that was asked for."""
    title: str
    """What the item is called; its name where nothing else is known."""
    value: float
    """The predicted rating."""
    is_known: bool
    """Whether training had ratings of both; else the mean of all stands for the one it does not know."""

    def to_json(self) -> dict[str, Any]:
        """`{input: {user, item}, title, value, known}`."""
        return {
            "input": {"user": self.user, "item": self.item},
            "title": self.title,
            "value": self.value,
            "known": self.is_known,
        }

    def __str__(self) -> str:
        unsure = "" if self.is_known else "  (user or item unknown)"
        return f"user {self.user}, {self.title}: {self.value:.3g}{unsure}"


@dataclass(frozen=True)
class RatingPredictions(Sequence[RatingPrediction]):
    """The answers for many pairs, in the order of the source."""

    users: tuple[str, ...]
    """(N,) names as they were asked for."""
    items: tuple[str, ...]
    """(N,) names as they were asked for."""
    titles: tuple[str, ...]
    """(N,) what the items are called."""
    values: np.ndarray
    """(N,) float32."""
    is_known: np.ndarray
    """(N,) bool."""
    notes: tuple[str, ...] = ()
    """What reading them found, and how many are unknown."""

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        return RatingPrediction(
            self.users[index],
            self.items[index],
            self.titles[index],
            float(self.values[index]),
            bool(self.is_known[index]),
        )

    def __iter__(self) -> Iterator[RatingPrediction]:
        return (self[index] for index in range(len(self)))

    def to_json(self) -> list[dict[str, Any]]:
        """A record for each pair."""
        return [one.to_json() for one in self]

    def __str__(self) -> str:
        lines = [str(one) for one in self[:MOST_SHOWN]]
        if len(self) > MOST_SHOWN:
            lines.append(f"… and {len(self) - MOST_SHOWN:,} more")
        return "\n".join(lines)
