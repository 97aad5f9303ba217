"""Small made ratings that tests share: known by construction, drawn by code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Planted:
    """Ratings with the factors and biases that made them."""

    columns: dict[str, list[Any]]
    users: np.ndarray
    """(U, K) vectors."""
    items: np.ndarray
    """(I, K) vectors."""
    user_bias: np.ndarray
    item_bias: np.ndarray

    def truth(self) -> np.ndarray:
        """(U, I) what each user thinks of each item, without noise."""
        return (3 + self.users @ self.items.T + self.user_bias[:, None] + self.item_bias).astype(
            np.float32
        )


def planted(
    num_users: int = 120,
    num_items: int = 60,
    *,
    factors: int = 2,
    share: float = 0.4,
    noise: float = 0.1,
    bias: float = 0.5,
    taste: float = 0.8,
    seed: int = 0,
) -> Planted:
    """Some of the ratings of a table of low rank, with biases and noise."""
    draw = np.random.default_rng(seed)
    users = draw.normal(0, taste, (num_users, factors))
    items = draw.normal(0, taste, (num_items, factors))
    user_bias, item_bias = draw.normal(0, bias, num_users), draw.normal(0, bias, num_items)
    made = Planted({}, users, items, user_bias, item_bias)
    seen = draw.random((num_users, num_items)) < share
    rows, cols = np.nonzero(seen)
    ratings = made.truth()[rows, cols] + draw.normal(0, noise, len(rows))
    order = draw.permutation(len(rows))
    columns = {
        "user": [f"u{k:03d}" for k in rows[order]],
        "item": [f"i{k:03d}" for k in cols[order]],
        "rating": np.round(ratings[order], 3).tolist(),
        "time": draw.integers(0, 10_000, len(rows)).tolist(),
    }
    return Planted(columns, users, items, user_bias, item_bias)


def write(path: Path, text: str, *, encoding: str = "utf-8", newline: str = "\n") -> Path:
    """A text file with the line ends that are wanted."""
    path.write_bytes(text.replace("\n", newline).encode(encoding))
    return path
