"""What a recommender must beat: means, biases and popularity, which know nothing of anybody's taste.

    train_mean      the mean of all training ratings, for everybody and everything
    item_mean       the mean rating of each item, drawn towards the overall mean
    user_item_mean  overall mean + how much a user is above it + how much an item is
    popularity      how often an item was rated: only for ranking

Each is made by `fit` from a table of training ratings, and has `predict` for pairs and `scores` for all
items of some users, as a fitted factorisation has. An unknown user or item (code 0) is nothing special:
its side adds nothing. Predictions may leave the range of the ratings a little.

Letters: U users, I items, the unknown one of each counted; N ratings; B of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, DataError

ITEM_STRENGTH = 5.0
"""Ratings at the overall mean that each item is given beside its own, in `ItemMean`."""
BIAS_STRENGTH = 5.0
"""The penalty λ on squared biases in `UserItemMean`."""
MOST_ROUNDS = 100
TOLERANCE = 1e-5
"""Biases are found to within about this share of the ratings' standard deviation."""
_BLOCK = 1 << 20  # ratings that are looked at at once


class Baseline(Protocol):
    """What all of them answer."""

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(B,) and (B,) codes -> (B,) float32."""
        ...

    def scores(self, users: np.ndarray) -> np.ndarray:
        """(B,) codes -> (B, I) float32, one for every item; ask in blocks of users."""
        ...


@dataclass(frozen=True, eq=False)
class TrainMean:
    """The same number for every pair. As a ranking it is no ranking: all items are equal."""

    mean: float
    """Of the training ratings."""
    num_items: int
    """Items that there are, the unknown one included."""

    @classmethod
    def fit(cls, table: RatingTable) -> TrainMean:
        """The mean of the training ratings.

        Args:
            table: the training ratings.
        Raises: DataError: there is no rating.
        """
        return cls(_mean(table), table.num_items)

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(B,) float32.

        Args:
            users: (B,) codes.
            items: (B,) codes.
        """
        return np.full(len(users), self.mean, dtype=np.float32)

    def scores(self, users: np.ndarray) -> np.ndarray:
        """(B, I) float32.

        Args:
            users: (B,) codes.
        """
        return np.full((len(users), self.num_items), self.mean, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class ItemMean:
    """(sum of an item's ratings + s · mean) / (number of them + s): as if it had s more ratings, all at
    the overall mean. So an item with a single 5 does not stand above one with a hundred between 4 and 5.
    """

    means: np.ndarray
    """(I,) float32; of item 0, and of one without ratings, the overall mean."""

    @classmethod
    def fit(cls, table: RatingTable, *, strength: float = ITEM_STRENGTH) -> ItemMean:
        """Learn from training ratings.

        Args:
            table: the training ratings.
            strength: s, at least 0; 0 is the plain mean.
        Returns: the fitted baseline.
        Raises: DataError: there is no rating. ConfigError: `strength` is negative.
        """
        _check_strength(strength)
        mean = _mean(table)
        above = _totals(table.items, table.num_items, lambda rows: table.ratings[rows] - mean)
        counts = np.bincount(table.items, minlength=table.num_items)
        return cls((mean + _shrunk(above, counts, strength)).astype(np.float32))

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(B,) float32; whose they are does not matter.

        Args:
            users: (B,) codes.
            items: (B,) codes.
        """
        return self.means[items]

    def scores(self, users: np.ndarray) -> np.ndarray:
        """(B, I) float32, equal rows.

        Args:
            users: (B,) codes.
        """
        return np.tile(self.means, (len(users), 1))


@dataclass(frozen=True, eq=False)
class UserItemMean:
    """mean + user's bias + item's bias: the b_u and b_i that make smallest

        Σ (r - mean - b_u - b_i)² + λ (Σ b_u² + Σ b_i²)

    (Koren, Bell & Volinsky 2009, doi:10.1109/MC.2009.263, eq. 1 to 3.) Given the items' biases each
    user's is a shrunk mean of what is left over. Put in, that leaves linear equations for the items'
    biases alone, which conjugate gradients solve in some ten rounds (Hestenes & Stiefel 1952). Letting
    users and items take turns, as is usual, ends at the same but needs many times as many.
    """

    mean: float
    user_bias: np.ndarray
    """(U,) float32, 0 for the unknown user and for one without ratings."""
    item_bias: np.ndarray
    """(I,) float32, as the users'."""
    num_rounds: int
    """Of conjugate gradients."""

    @classmethod
    def fit(
        cls,
        table: RatingTable,
        *,
        strength: float = BIAS_STRENGTH,
        most_rounds: int = MOST_ROUNDS,
    ) -> UserItemMean:
        """Learn from training ratings; a round takes two sums over all of them.

        Args:
            table: the training ratings.
            strength: λ, above 0: without it users and items could trade a constant for ever.
            most_rounds: after which it ends in any case.
        Returns: the fitted baseline.
        Raises: DataError: there is no rating. ConfigError: `strength` or `most_rounds` is not above 0.
        """
        if not strength > 0 or most_rounds < 1:
            raise ConfigError(
                f"`strength` and `most_rounds` must be above 0. Got {strength} and {most_rounds}."
            )
        mean = _mean(table)
        users, items = table.users, table.items
        user_counts = np.bincount(users, minlength=table.num_users)
        item_counts = np.bincount(items, minlength=table.num_items)

        def of_users(values: Callable[[slice], np.ndarray]) -> np.ndarray:
            """The shrunk mean over each user's ratings."""
            return _shrunk(_totals(users, table.num_users, values), user_counts, strength)

        def left_of(users_share: np.ndarray, item_totals: np.ndarray) -> np.ndarray:
            """What is left of the items' totals when the users' share of them is taken away."""
            found = item_totals - _totals(items, table.num_items, lambda s: users_share[users[s]])
            found[0] = 0  # the unknown item's bias is no part of the equations
            return found

        def equations(bias: np.ndarray) -> np.ndarray:
            """Their left side, (I,)."""
            return left_of(of_users(lambda s: bias[items[s]]), (item_counts + strength) * bias)

        def above(rows: slice) -> np.ndarray:
            return table.ratings[rows] - mean

        right = left_of(of_users(above), _totals(items, table.num_items, above))
        enough = TOLERANCE * float(np.std(table.ratings, dtype=np.float64))
        item_bias, num_rounds = _solved(
            equations, right, item_counts + strength, enough, most_rounds
        )
        user_bias = of_users(lambda s: above(s) - item_bias[items[s]])
        return cls(
            mean, user_bias.astype(np.float32), item_bias.astype(np.float32), num_rounds
        )  # fmt: skip

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(B,) float32.

        Args:
            users: (B,) codes.
            items: (B,) codes.
        """
        return np.float32(self.mean) + self.user_bias[users] + self.item_bias[items]

    def scores(self, users: np.ndarray) -> np.ndarray:
        """(B, I) float32; the order of the items is the same for every user.

        Args:
            users: (B,) codes.
        """
        return (np.float32(self.mean) + self.user_bias[users])[:, None] + self.item_bias


@dataclass(frozen=True, eq=False)
class Popularity:
    """Items by how often they were rated, whatever the rating was."""

    counts: np.ndarray
    """(I,) float32, training ratings of each item; 0 for the unknown one."""

    @classmethod
    def fit(cls, table: RatingTable, *, rated_from: float | None = None) -> Popularity:
        """Count the training ratings.

        Args:
            table: the training ratings.
            rated_from: the rating from which on one counts; None: all do.
        Returns: the fitted baseline.
        Raises: DataError: there is no rating.
        """
        _mean(table)
        items = table.items if rated_from is None else table.items[table.ratings >= rated_from]
        counts = np.bincount(items, minlength=table.num_items)
        counts[0] = 0
        return cls(counts.astype(np.float32))

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(B,) float32: numbers of ratings, no ratings.

        Args:
            users: (B,) codes.
            items: (B,) codes.
        """
        return self.counts[items]

    def scores(self, users: np.ndarray) -> np.ndarray:
        """(B, I) float32, equal rows.

        Args:
            users: (B,) codes.
        """
        return np.tile(self.counts, (len(users), 1))


RATING_BASELINES: Mapping[str, Callable[[RatingTable], Baseline]] = MappingProxyType(
    {"train_mean": TrainMean.fit, "item_mean": ItemMean.fit, "user_item_mean": UserItemMean.fit}
)
"""Those that predict ratings, by name."""
RANKING_BASELINES: Mapping[str, Callable[[RatingTable], Baseline]] = MappingProxyType(
    {"popularity": Popularity.fit, "item_mean": ItemMean.fit}
)
"""Those that put items in order, by name."""


def _mean(table: RatingTable) -> float:
    if not len(table):
        raise DataError("A baseline is learnt from ratings, and the table has none.")
    return float(table.ratings.mean(dtype=np.float64))


def _solved(
    equations: Callable[[np.ndarray], np.ndarray],
    right: np.ndarray,
    diagonal: np.ndarray,
    enough: float,
    most_rounds: int,
) -> tuple[np.ndarray, int]:
    """Conjugate gradients for `equations(x) = right`, symmetric and positive, scaled by a diagonal.

    Returns: x, and the rounds it took until what is missing, over the diagonal, is nowhere above
        `enough`.
    """
    found = np.zeros(len(right))
    missing = right.copy()
    scaled = missing / diagonal
    direction, length = scaled, float(missing @ scaled)
    num_rounds = 0
    while num_rounds < most_rounds and np.abs(scaled).max() > enough:
        change = equations(direction)
        step = length / float(direction @ change)
        found += step * direction
        missing -= step * change
        scaled = missing / diagonal
        before, length = length, float(missing @ scaled)
        direction = scaled + length / before * direction
        num_rounds += 1
    return found, num_rounds


def _totals(owners: np.ndarray, size: int, values: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Sums of values over the ratings of each owner, (size,) float64; a block of ratings at a time, so
    that no second column as long as the table is made.
    """
    found = np.zeros(size)
    for start in range(0, len(owners), _BLOCK):
        rows = slice(start, start + _BLOCK)
        found += np.bincount(owners[rows], weights=values(rows), minlength=size)
    return found


def _shrunk(totals: np.ndarray, counts: np.ndarray, strength: float) -> np.ndarray:
    """totals / (counts + strength), 0 for the unknown owner and where nothing is counted."""
    divisors = counts + strength
    found = np.divide(totals, divisors, out=np.zeros(len(totals)), where=counts > 0)
    found[0] = 0  # different ones in one: what they have in common is chance
    return found


def _check_strength(strength: float) -> None:
    if not strength >= 0:
        raise ConfigError(f"`strength` must be at least 0. Got {strength}.")
