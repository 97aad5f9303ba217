"""A few ratings of somebody new made into a vector, without training again.

    vector, bias = fold_in(factors, [50, 7], [5, 2])
    vectors, biases = fold_in_many(factors, lists, ratings, prior=cold.vectors(facts))

With the vectors q of what was rated, their biases c, ratings r, the range f and a prior vector m, the
vector v is found that minimises

    sum (r - f(q v + c))^2 + weight_decay |v - m|^2

the bias being one more number of v. Without a range that is a ridge regression in closed form. With one,
three Gauss-Newton steps minimise the squared error that training minimised, too. Inverting the sigmoid
and solving once is as good for users of MovieLens 100K and worse for its items (RMSE 0.973 instead of
0.964 after ten ratings), since it weighs a rating near the end of the range like one in the middle.

The prior is the mean vector, or better what facts say (cold.py). A prior with the covariance of the
vectors that were learnt did no better there than one number for all directions: vectors of training are
shrunk already, and that covariance with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain.collab.factors import Factors
from drivetrain.collab.newcomers.sides import predictions, side_tables
from drivetrain.data.ratings import Lists, RatingTable
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.randomness import permutation

WEIGHT_DECAY = 6.0
"""Of 1 to 30, the best on MovieLens 100K for users and items alike, a model with a range and five ratings
each. One without a range wants more; `best_weight_decay` finds it."""
SLACK = 1.005
"""How much more error `best_weight_decay` takes for a stronger weight."""
STEPS = 3
"""Of Gauss-Newton: more change the third decimal of a vector and nothing of its error."""

Prior = tuple[np.ndarray, float | np.ndarray]
"""A vector and a bias, of one or of several."""


def fold_in(
    factors: Factors,
    items: Sequence[int] | np.ndarray,
    ratings: Sequence[float] | np.ndarray,
    *,
    side: str = "user",
    weight_decay: float = WEIGHT_DECAY,
    prior: Prior | None = None,
) -> tuple[np.ndarray, float]:
    """The vector and bias of a new user by a few ratings; nothing else changes.

    Args:
        factors: fitted.
        items: (n,) codes of what was rated; code 0, an item that training did not see, says nothing.
        ratings: (n,).
        side: "item": of a new item, whose ratings are by the users `items`.
        weight_decay: how near to the prior it stays, above 0; `best_weight_decay` finds one.
        prior: what is believed without ratings, such as `ColdStart.vector`; None: the mean vector, each
            counted once.

    Returns: (K,) float32, and the bias.
    Raises: ShapeError, DataError, ConfigError: as `fold_in_many`.
    """
    codes, values = np.atleast_1d(np.asarray(items)), np.atleast_1d(np.asarray(ratings))
    if codes.ndim != 1 or codes.shape != values.shape:
        raise ShapeError(
            f"`fold_in` needs a rating for each code. Got shapes {codes.shape} and {values.shape}."
        )
    lists = Lists(codes.astype(np.int64), np.array([0, len(codes)], dtype=np.int64))
    vectors, biases = fold_in_many(
        factors, lists, values, side=side, weight_decay=weight_decay, prior=prior
    )
    return vectors[0], float(biases[0])


def fold_in_many(
    factors: Factors,
    items: Lists,
    ratings: np.ndarray,
    *,
    side: str = "user",
    weight_decay: float = WEIGHT_DECAY,
    prior: Prior | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """As `fold_in`, of M new users at once.

    Args:
        items: M lists of codes.
        ratings: (N,) of `items.values`.
        prior: one vector and bias for all, or (M, K) and (M,).

    Returns: (M, K) and (M,), float32. A model without biases keeps them at the prior's.
    Raises: ShapeError: arrays that do not fit. DataError: a code that there is not, or a rating that is
        not finite. ConfigError: `weight_decay` is not above 0, or an unknown side.
    """
    own, other, base = side_tables(factors, side)
    if not np.isfinite(weight_decay) or weight_decay <= 0:
        raise ConfigError(f"`weight_decay` is a number above 0. Got {weight_decay}.")
    ratings = np.asarray(ratings, dtype=np.float64)
    if ratings.shape != items.values.shape:
        raise ShapeError(
            f"There are {len(items.values)} codes and ratings of shape {ratings.shape}."
        )
    wrong = items.values[(items.values < 0) | (items.values >= len(other))]
    if len(wrong):
        raise DataError(f"There is no code {wrong[0]}: codes go from 0 to {len(other) - 1}.")
    if not np.isfinite(ratings).all():
        raise DataError("A rating is not a finite number. Leave such ratings out.")
    if not factors.user_bias.any() and not factors.item_bias.any():
        other[:, -1] = 0.0
    other[0] = 0.0  # what training did not see says nothing
    start = _prior(prior, own, len(items))
    found = start.copy()
    lengths = items.lengths()
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    width = own.shape[1]
    place = 0
    while place < len(order):  # of about one length together, in a few tens of MB
        longest = lengths[order[place]]
        most = max((1 << 22) // max(int(longest) * width, width * width), 1)
        rows = order[place : place + most]
        rows = rows[lengths[rows] <= max(2 * longest, 8)]
        padded, values = _padded(items, ratings, rows)
        problem = _Problem(
            other[padded], base[padded], values, start[rows], factors.y_range, weight_decay
        )
        found[rows] = problem.solve()
        place += len(rows)
    return found[:, :-1].astype(np.float32), found[:, -1].astype(np.float32)


def _padded(items: Lists, ratings: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and ratings of some lists, (B, n) each; code 0 fills up, whose vector is zero."""
    starts, stops = items.offsets[rows], items.offsets[rows + 1]
    longest = int((stops - starts).max())
    places = starts[:, None] + np.arange(longest)
    is_there = places < stops[:, None]
    places = np.where(is_there, places, 0)
    codes = np.where(is_there, items.values[places], 0)
    return codes, np.where(is_there, ratings[places], 0.0)


@dataclass(eq=False)
class _Problem:
    """B regressions at once: see the module for what is minimised."""

    inputs: np.ndarray
    """(B, n, K + 1), zeros where a place is empty."""
    base: np.ndarray
    """(B, n) biases of what was rated."""
    ratings: np.ndarray
    """(B, n)."""
    prior: np.ndarray
    """(B, K + 1)."""
    y_range: tuple[float, float] | None
    weight_decay: float

    def solve(self) -> np.ndarray:
        """(B, K + 1)"""
        found = self.prior
        is_there = self.inputs.any(2)
        for _ in range(1 if self.y_range is None else STEPS):
            preds, slopes = self._predict(found)
            off = np.where(is_there, self.ratings - preds, 0.0)
            step = self._linear(slopes, off, found) - found
            found = found + step if self.y_range is None else self._best(found, step)
        return found

    def _predict(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and their slopes by the raw score, (B, n) each."""
        raw = (self.inputs @ vectors[:, :, None])[:, :, 0] + self.base
        return predictions(raw, self.y_range)

    def _linear(self, slopes: np.ndarray, off: np.ndarray, at: np.ndarray) -> np.ndarray:
        """The minimum where predictions are taken to be straight lines through `at`."""
        lines = self.inputs * slopes[:, :, None]  # (B, n, K + 1)
        wanted = off + (lines @ (at - self.prior)[:, :, None])[:, :, 0]
        turned = lines.transpose(0, 2, 1)
        num, width = lines.shape[1:]
        if num < width:  # one equation a rating; else one a number of the vector: the same answer
            square = lines @ turned + self.weight_decay * np.eye(num)
            return self.prior + (turned @ np.linalg.solve(square, wanted[:, :, None]))[:, :, 0]
        square = turned @ lines + self.weight_decay * np.eye(width)
        return self.prior + np.linalg.solve(square, turned @ wanted[:, :, None])[:, :, 0]

    def _best(self, at: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The step, or a shorter one where the whole would raise the error: the range is curved."""
        tried = [at, at + step, at + step / 2, at + step / 8]
        errors = np.stack([self._error(vectors) for vectors in tried])  # (4, B)
        errors[0] = np.nextafter(errors[0], np.inf)  # of equal ones, a step
        return np.stack(tried)[errors.argmin(0), np.arange(len(at))]

    def _error(self, vectors: np.ndarray) -> np.ndarray:
        """(B,) what is minimised."""
        off = np.where(self.inputs.any(2), self.ratings - self._predict(vectors)[0], 0.0)
        return (off**2).sum(1) + self.weight_decay * ((vectors - self.prior) ** 2).sum(1)


def _prior(prior: Prior | None, own: np.ndarray, count: int) -> np.ndarray:
    """(count, K + 1)"""
    if prior is None:
        return np.tile(own[1:].mean(0), (count, 1))
    vector, bias = np.asarray(prior[0], np.float64), np.asarray(prior[1], np.float64)
    if vector.shape not in ((own.shape[1] - 1,), (count, own.shape[1] - 1)) or bias.shape not in (
        (),
        (count,),
    ):
        raise ShapeError(
            f"`prior` is a vector ({own.shape[1] - 1},) and a bias, or one for each of {count}. Got "
            f"shapes {vector.shape} and {bias.shape}."
        )
    found = np.empty((count, own.shape[1]))
    found[:, :-1], found[:, -1] = vector, bias
    return found


def best_weight_decay(
    factors: Factors,
    ratings: RatingTable,
    *,
    side: str = "user",
    prior: Prior | None = None,
    given: int = 5,
    choices: Sequence[float] = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 32.0),
    seed: int = 42,
    most: int = 1_000,
) -> tuple[float, Mapping[float, float]]:
    """A `weight_decay` for fold-in, found on owners that training saw.

    Of each, `given` ratings are folded in as if it were new, and up to ten times as many others are
    predicted. The other side's vectors have seen all of them, so that errors are somewhat too low, and
    lowest where the weight is too weak: so the strongest is taken that is within half a percent of that.
    On MovieLens 100K this is near to what is best for users and items held out in truth.

    Args:
        ratings: those of training.
        prior: a vector and bias for all; None: the mean, each counted by its ratings.
        given: how many a newcomer is thought to have.
        most: owners that it is tried on.

    Returns: the one to take, and the root mean squared error of each.
    Raises: DataError: no owner has twice as many ratings as `given`.
    """
    own, other, base = side_tables(factors, side)
    owners, others = ratings.users, ratings.items
    if side == "item":
        owners, others = others, owners
    shuffled = permutation(len(ratings), seed=seed, epoch=0, purpose="fold in").numpy()
    lists = Lists.from_codes(owners[shuffled], shuffled, len(own))
    enough = np.flatnonzero(lists.lengths() >= 2 * given)
    enough = enough[enough > 0]
    if not len(enough) or given < 1:
        raise DataError(f"No {side} has {2 * given} ratings, of which {given} could be folded in.")
    drawn = permutation(len(enough), seed=seed, epoch=0, purpose="fold in owners").numpy()
    lists = lists.take(enough[drawn[:most]])
    whose = lists.owners()
    place = np.arange(len(whose)) - lists.offsets[whose]
    is_given = place < given
    if prior is None:
        counts = np.bincount(owners, minlength=len(own))[1:]
        mean = counts @ own[1:] / counts.sum()
        prior = mean[:-1], float(mean[-1])
    shown = Lists(others[lists.values[is_given]], np.arange(len(lists) + 1, dtype=np.int64) * given)
    told = ratings.ratings[lists.values[is_given]]
    is_asked = ~is_given & (place < 11 * given)
    rows, whose = lists.values[is_asked], whose[is_asked]
    errors: dict[float, float] = {}
    for choice in choices:
        vectors, biases = fold_in_many(
            factors, shown, told, side=side, weight_decay=choice, prior=prior
        )
        whole = np.column_stack([vectors, biases])
        raw = np.einsum("nk,nk->n", whole[whose], other[others[rows]]) + base[others[rows]]
        off = factors.ranged(raw.astype(np.float32)) - ratings.ratings[rows]
        errors[float(choice)] = float(np.sqrt(np.square(off, dtype=np.float64).mean()))
    least = min(errors.values())
    return max(choice for choice, error in errors.items() if error <= SLACK * least), errors
