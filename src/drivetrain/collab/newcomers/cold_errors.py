"""How wrong predicted vectors are, owner by owner: by the ratings or the scores they give.

An owner is a user or an item, whichever side the vectors are of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from drivetrain.collab.factors import Factors
from drivetrain.collab.newcomers.sides import predictions
from drivetrain.data.ratings import Lists, RatingTable
from drivetrain.errors import DataError
from drivetrain.randomness import permutation

MOST_MEASURED = 100_000
"""Ratings that candidates are compared by; of more, so many are drawn."""
BLOCK = 1 << 15
"""Ratings that are predicted at once."""
PRIOR_RATINGS = 5
"""Ratings of the overall mean that a mean rating begins with, so that one rating is not all."""
SHIFT_STEPS = 2
"""Of Gauss-Newton, from the mean vector: a third changes nothing that is shown."""
SHIFT_DECAY = 100.0
"""What a squared step counts beside the squared errors of all ratings."""


class Errors(Protocol):
    """How wrong vectors are, an owner at a time."""

    num: np.ndarray
    """(N,) what each owner counts: errors are means over the sum of it."""
    other_error: float | None
    """Root mean squared error of the other side's mean ratings, which need no vector."""

    def squares(self, vectors: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """(n,) summed squares of owners (n,) whose vectors and biases these (n, K + 1) would be."""
        ...

    def shift(self, vectors: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """(K + 1,), what to add to all of these vectors so that their owners' errors are least."""
        ...


@dataclass(eq=False)
class ByScore:
    """Of scores, against those of the vectors that were learnt, over the whole other side."""

    targets: np.ndarray
    """(N, K + 1), the vectors that were learnt."""
    moment: np.ndarray
    """(K + 1, K + 1), the mean of the other side's vectors (and 1) times themselves."""
    num: np.ndarray
    other_error: float | None = None

    @classmethod
    def of(cls, targets: np.ndarray, other: np.ndarray, weights: np.ndarray) -> ByScore:
        """From vectors (N, K + 1) and weights (N,) of owners, and the other side's (O, K + 1)."""
        return cls(targets, other[1:].T @ other[1:] / max(len(other) - 1, 1), weights)

    def squares(self, vectors: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """See `Errors`."""
        off = vectors - self.targets[owners]
        return ((off @ self.moment) * off).sum(1) * self.num[owners]

    def shift(self, vectors: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """Nothing: a regression's errors are zero on average as they are."""
        return np.zeros(vectors.shape[1])


@dataclass(eq=False)
class ByRating:
    """Of predicted ratings."""

    y_range: tuple[float, float] | None
    owners: Lists
    """Ratings (places in the two arrays below) of each owner."""
    others: np.ndarray
    ratings: np.ndarray
    with_one: np.ndarray
    """(O, K + 1), the other side's vectors and 1."""
    base: np.ndarray
    """(O,) the other side's biases."""
    num: np.ndarray
    other_error: float | None

    @classmethod
    def of(
        cls,
        factors: Factors,
        side: str,
        other: np.ndarray,
        base: np.ndarray,
        codes: np.ndarray,
        ratings: RatingTable,
        seed: int,
    ) -> ByRating:
        """From training ratings.

        Args:
            side: of the owners.
            other, base: as `sides.side_tables` gives them.
            codes: (N,) of the owners.
            seed: of the ratings that are drawn where there are many.

        Raises: DataError: there is no rating of these owners.
        """
        owners, others = ratings.users, ratings.items
        if side == "item":
            owners, others = others, owners
        place = np.full(ratings.num_users if side == "user" else ratings.num_items, -1)
        place[codes] = np.arange(len(codes))
        rows = np.flatnonzero((place[owners] >= 0) & (others > 0))
        if len(rows) > MOST_MEASURED:
            drawn = permutation(len(rows), seed=seed, epoch=0, purpose="measured").numpy()
            rows = np.sort(rows[drawn[:MOST_MEASURED]])
        if not len(rows):
            raise DataError(f"None of `ratings` is of a {side} of whom facts are known.")
        off = (
            shrunk_means(others, ratings.ratings, len(other))[others[rows]] - ratings.ratings[rows]
        )
        lists = Lists.from_codes(place[owners[rows]], rows, len(codes))
        return cls(
            y_range=factors.y_range,
            owners=lists,
            others=others,
            ratings=ratings.ratings,
            with_one=other,
            base=base,
            num=lists.lengths().astype(np.float64),
            other_error=float(np.sqrt(np.square(off).mean())),
        )

    def squares(self, vectors: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """See `Errors`."""
        found = np.zeros(len(owners))
        for own, other, ratings in self._blocks(owners):
            raw = np.einsum("nk,nk->n", vectors[own], self.with_one[other]) + self.base[other]
            off = predictions(raw, self.y_range)[0] - ratings
            found += np.bincount(own, off**2, minlength=len(owners))
        return found

    def shift(self, vectors: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """See `Errors`.

        The mean of vectors that each fit somebody is not the vector that fits everybody: the range is
        curved, and who has few ratings has a vector near zero.
        """
        found = np.zeros(vectors.shape[1])
        for _ in range(SHIFT_STEPS):
            square = SHIFT_DECAY * np.eye(len(found))
            slope = -SHIFT_DECAY * found
            for own, other, ratings in self._blocks(owners):
                inputs = self.with_one[other]
                raw = np.einsum("nk,nk->n", vectors[own] + found, inputs) + self.base[other]
                preds, slopes = predictions(raw, self.y_range)
                lines = inputs * slopes[:, None]
                square += lines.T @ lines
                slope += lines.T @ (ratings - preds)
            found = found + np.linalg.solve(square, slope)
        return found

    def _blocks(self, owners: np.ndarray):
        lists = self.owners.take(owners)
        whose = lists.owners()
        for start in range(0, len(whose), BLOCK):
            rows = lists.values[start : start + BLOCK]
            yield whose[start : start + BLOCK], self.others[rows], self.ratings[rows]


def shrunk_means(codes: np.ndarray, ratings: np.ndarray, total: int) -> np.ndarray:
    """(total,) mean ratings, each with `PRIOR_RATINGS` of the overall mean beside its own.

    Args:
        codes: (N,) whose each rating is.
        ratings: (N,).
        total: how many codes there are.
    """
    middle = float(ratings.mean(dtype=np.float64))
    sums = np.bincount(codes, ratings, minlength=total)
    counts = np.bincount(codes, minlength=total)
    return (sums + PRIOR_RATINGS * middle) / (counts + PRIOR_RATINGS)
