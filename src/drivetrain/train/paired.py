"""Two models on the same items: how far apart their errors are, and how much of that is chance.

Two intervals that overlap say little of the difference: both models meet the same hard items. So the
difference is taken item by item. An error is the mean of the items' errors (a share of wrong answers)
or the root of a mean of squares (RMSE); of either, what an item adds to it is its influence, and the
standard error of the difference is that of the mean of the differences of influences (the delta
method). Items of one group, such as the ratings of one person, stand or fall together and count as
one.

Of shares two items are added in thought, one that only the first model got wrong and one that only the
second did (Bonett and Price 2012, doi:10.3102/1076998611411915): without them, a model that is right on
all of three items and one that is wrong on all of them would differ by exactly 1, beyond any doubt.

Of several pairs of trainings with other seeds both chances are in the interval: that of the items, and
that of the seeds, whose squares add up (Zou and Donner 2008, doi:10.1002/sim.3095).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain.errors import InputError
from drivetrain.metrics.interval import of_squares, two_sided_student, wilson_interval
from drivetrain.randomness import derive

SHARE, RMSE = "share", "rmse"
ROUNDING = 1e-12
"""Standard error as a share of what it is of, up to which it is 0."""
DRAWS = 200
"""Times that the validation items are drawn again, to see what choosing the best flatters it by."""


@dataclass(frozen=True)
class Errors:
    """What a model did wrong on each of N items. Made by `errors_of`."""

    kind: str
    """`share`: the error is the mean of the values. `rmse`: the root of their mean."""
    values: np.ndarray
    """(N,) float64, 0 or more, in the order of the items' ids."""
    groups: np.ndarray | None
    """(N,) int64, which items belong together; None where each stands for itself."""
    items: str
    """SHA-256 over the ids: errors with the same one are of the same items."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def error(self) -> float:
        """Over all items."""
        return _error(self.kind, float(self.values.mean()))

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Of the error, as far as chance in the items goes; None for fewer than two of them, and where
        all are equal and no counts: that says nothing of the next one.
        """
        is_count = self.groups is None and bool(np.isin(self.values, (0.0, 1.0)).all())
        if self.kind == SHARE and is_count:
            return wilson_interval(int(self.values.sum()), len(self), confidence)
        spread, freedom = _spread(self.values - self.values.mean(), self.groups)
        if freedom < 1 or spread <= ROUNDING * abs(float(self.values.mean())):
            return None
        mean, t = float(self.values.mean()), two_sided_student(confidence, freedom)
        if self.kind == SHARE:
            return max(0.0, mean - t * spread), min(1.0, mean + t * spread)
        ends = of_squares(mean, spread, t)
        return None if ends is None else (math.sqrt(ends[0]), math.sqrt(ends[1]))

    def influence(self) -> np.ndarray:
        """(N,) what each item adds to the error, to first order; its mean is 0."""
        apart = self.values - self.values.mean()
        if self.kind == SHARE:
            return apart
        return apart / (2 * self.error) if self.error > 0 else np.zeros_like(apart)


@dataclass(frozen=True)
class Difference:
    """By how much the first error is above the second, with its interval."""

    value: float
    low: float
    high: float

    @property
    def may_be_none(self) -> bool:
        """0 is in the interval: nobody can tell them apart."""
        return self.low <= 0 <= self.high


def errors_of(
    kind: str, ids: Sequence[str], values: np.ndarray, groups: np.ndarray | None = None
) -> Errors:
    """Errors of items in any order, as they are compared.

    Args:
        kind: `share` or `rmse`.
        ids: (N,) names of the items.
        values: (N,) 0 or more: 1 for a wrong answer, or a squared distance.
        groups: (N,) which items belong together.

    Raises: InputError: there are none, not as many as ids, or one is no number.
    """
    if not len(ids) or len(ids) != len(values) or not np.isfinite(values).all():
        raise InputError(
            f"`errors_of` needs a number for each of its items, and at least one. Got {len(values)} "
            f"values for {len(ids)} ids."
        )
    order = sorted(range(len(ids)), key=ids.__getitem__)
    digest = hashlib.sha256()
    for place in order:
        digest.update(ids[place].encode("utf-8", "surrogateescape") + b"\0")
    kept = np.ascontiguousarray(values, dtype=np.float64)[order]
    belongs = None if groups is None else np.ascontiguousarray(groups, dtype=np.int64)[order]
    return Errors(kind, kept, belongs, digest.hexdigest())


def difference(first: Errors, second: Errors, confidence: float = 0.95) -> Difference | None:
    """How much larger the first error is; None for fewer than two items, which say nothing of chance, and
    for numbers where each item says the same.

    Raises: InputError: they are of other items, or of another kind.
    """
    return difference_over_seeds([(first, second)], confidence)


def difference_over_seeds(
    pairs: Sequence[tuple[Errors, Errors]], confidence: float = 0.95
) -> Difference | None:
    """How much larger the first error is on average over pairs of trainings, a seed a pair.

    Of one pair the interval is of the chance in the items alone.

    Args:
        pairs: (one, other) of the same items, P of them.
        confidence: in (0, 1).

    Returns: None for fewer than two items, and for numbers where each item says the same.
    Raises: InputError: no pair, or errors of other items, or of another kind.
    """
    if not pairs:
        raise InputError("`difference_over_seeds` needs a pair of errors. Got none.")
    start = pairs[0][0]
    for one in (errors for pair in pairs for errors in pair):
        if (one.kind, one.items) != (start.kind, start.items):
            raise InputError(
                "Only errors on the same items, measured in the same way, are compared item by item."
            )
    apart = np.array([one.error - other.error for one, other in pairs])
    value = middle = float(apart.mean())
    if start.kind == SHARE:
        items = np.mean([one.values - other.values for one, other in pairs], axis=0)
        middle, spread, freedom = _spread_of_shares(items, start.groups)
    else:
        influence = np.mean([one.influence() - other.influence() for one, other in pairs], axis=0)
        spread, freedom = _spread(influence, start.groups)
    if freedom < 1 or (value != 0 and spread <= ROUNDING * abs(value)):
        return None
    squares = (two_sided_student(confidence, freedom) * spread) ** 2
    if len(pairs) > 1:
        by_seed = float(apart.std(ddof=1)) / math.sqrt(len(pairs))
        squares += (two_sided_student(confidence, len(pairs) - 1) * by_seed) ** 2
    half = math.sqrt(squares)
    low, high = min(value, middle - half), max(value, middle + half)
    if start.kind == SHARE:
        low, high = max(-1.0, low), min(1.0, high)
    return Difference(value, low, high)


def flattery(errors: Sequence[Errors], *, draws: int = DRAWS) -> float:
    """How much lower the error of the best of several looks than it is, because it was chosen by it.

    The items are drawn again with replacement, the best on the drawn ones is chosen, and its error there
    is held against its error on all items (the optimism of Efron 1983, doi:10.2307/2288636, of choosing).

    Args:
        errors: of K models on the same items.
        draws: times they are drawn; the draws follow from nothing but their number.

    Returns: the mean over the draws, 0 or more; 0 for one model.
    Raises: InputError: errors of other items, or of another kind.
    """
    if len(errors) < 2:
        return 0.0
    start = errors[0]
    if any((one.kind, one.items) != (start.kind, start.items) for one in errors):
        raise InputError("Only errors on the same items, measured in the same way, are compared.")
    values = np.stack([one.values for one in errors])  # (K, N)
    counts = np.ones(values.shape[1])
    if start.groups is not None:  # a group is drawn whole
        _, place = np.unique(start.groups, return_inverse=True)
        counts = np.bincount(place).astype(np.float64)
        values = np.stack([np.bincount(place, weights=one) for one in values])
    generator = np.random.Generator(np.random.PCG64(derive(0, "flattery")))
    size = values.shape[1]
    found = []
    for _ in range(draws):
        weights = generator.multinomial(size, np.full(size, 1 / size)).astype(np.float64)
        drawn = (values @ weights) / (counts @ weights)
        best = int(drawn.argmin())
        found.append(errors[best].error - _error(start.kind, float(drawn[best])))
    return max(0.0, float(np.mean(found)))


def _error(kind: str, mean: float) -> float:
    return math.sqrt(mean) if kind == RMSE else mean


def _spread_of_shares(apart: np.ndarray, groups: np.ndarray | None) -> tuple[float, float, int]:
    """Middle and standard error of a mean of N differences in [-1, 1], and its degrees of freedom.

    Two groups as large as the mean one are added, with differences of 1 and of -1.
    """
    place = None if groups is None else np.unique(groups, return_inverse=True)[1]
    sums = apart if place is None else np.bincount(place, weights=apart)
    sizes = np.ones(len(sums)) if place is None else np.bincount(place).astype(np.float64)
    count, mean_size = len(sums), float(sizes.mean())
    if count < 2:
        return 0.0, 0.0, 0
    sums = np.append(sums, [mean_size, -mean_size])
    sizes = np.append(sizes, [mean_size, mean_size])
    middle = float(sums.sum() / sizes.sum())
    squares = float(np.square(sums - middle * sizes).sum()) * (count + 2) / (count + 1)
    return middle, math.sqrt(squares) / float(sizes.sum()), count - 1


def _spread(influence: np.ndarray, groups: np.ndarray | None) -> tuple[float, int]:
    """The standard error of a mean of N influences around 0, and its degrees of freedom."""
    sums = influence if groups is None else np.bincount(groups, weights=influence)
    count = len(sums) if groups is None else len(np.unique(groups))
    if count < 2:
        return 0.0, 0
    squares = float(np.square(sums).sum()) * count / (count - 1)
    return math.sqrt(squares) / len(influence), count - 1
