"""The guard of a model of ratings: how sure an answer is, and whether the pair is one that it knows.

- Of a pair: an interval that holds the true rating as often as is promised, fitted apart for pairs whose
  user and item are well known, of whom one has few ratings, and one is unknown, since errors differ; how
  many ratings each of the two has; what a mean user would get, which the answer for somebody with few
  ratings is hardly anything else than; and whether the answer lies beyond all ratings.
- Of a table: what share of its pairs is unknown, and whether users, items, predictions and ratings are
  distributed otherwise than in the validation.

Users and items are told apart by what training knows of them: how many ratings they have, an item's mean,
and its place among the names, since catalogues grow in some order. The ratings of one person belong
together, so a table of a thousand ratings by ten people counts as ten, by Kish's effective number,
n² / Σ m² with m the ratings of each (Kish 1965, "Survey Sampling", sec. 8.2): a batch of the same source
is called drifted in at most `level` of cases, and a table of one person never. Where a few people give
most of the ratings, little is seen for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from drivetrain.bundle.checks import check_share
from drivetrain.bundle.columns import ColumnReference, fit_columns
from drivetrain.bundle.conformal import Intervals, fit_interval
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.shift import ShiftReport, report_of
from drivetrain.bundle.two_sample import ks_p_value
from drivetrain.collab.bundling.catalogue import LARGEST
from drivetrain.collab.bundling.judging import (
    FEW_RATINGS,
    UNKNOWN,
    WELL_KNOWN,
    of_mean_user,
    pair_kinds,
    reach_of,
)  # fmt: skip
from drivetrain.data.ratings import RatingTable

KINDS = (WELL_KNOWN, FEW_RATINGS, UNKNOWN)
FEW = 5
"""Ratings below which a vector says little of its own."""
NEAR = 0.25
"""Of how far the truth may be from an answer for a well-known pair: an answer that is less far from a
mean user's is close to it."""
LEVEL = 0.01
"""Of 100 tables of the same source, so many hundredths are called drifted, at most."""
LEAST_FOR_SHIFT = 20
"""People of whose ratings something is said taken together."""
BUSY, WHICH, RATED, LIKED, TOLD, GIVEN = (
    "ratings of the user",
    "place of the item",
    "ratings of the item",
    "mean rating of the item",
    "prediction",
    "rating",
)
"""What a table is compared by; an item's place is among all of their names in order."""

Outputs = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Codes of users and items, (N,) int32 each -> predictions (N,) float32."""


@dataclass(frozen=True)
class Judged:
    """What the guard says of N pairs."""

    user_ratings: np.ndarray
    """(N,) int64, in training; 0: the user is unknown."""
    item_ratings: np.ndarray
    """(N,) int64, as `user_ratings`."""
    mean_user: np.ndarray | None
    """(N,) float32, what a user of whom nothing is known would get; None of events."""
    is_near: np.ndarray
    """(N,) bool: the answer is close to that."""
    is_outside: np.ndarray
    """(N,) bool: the answer lies beyond all ratings."""
    in_domain: np.ndarray
    """(N,) bool: both sides are well known, and the answer is within the ratings."""
    interval: np.ndarray | None
    """(N, 2) float64, low and high; None of events, where no answer has a true value."""


@dataclass(frozen=True)
class RatingGuard:
    """See the head of this file."""

    user_ratings: np.ndarray
    """(U,) int32, ratings of each user in training; 0 of the unknown one."""
    item_ratings: np.ndarray
    """(I,) int64, ratings of each item in training."""
    item_mean: np.ndarray
    """(I,) float32, mean rating of each item in training."""
    few: int
    """Fewer ratings than this are few."""
    near: float
    """Closer to a mean user's answer than this is close; 0 of events."""
    intervals: tuple[Intervals, ...]
    """Of each kind of pairs; empty of events."""
    lowest: float
    """Of all ratings; 0 of events."""
    highest: float
    false_alarm: float
    """Share of the validation pairs that were not in the domain."""
    usual_unknown: float
    """Share of the validation pairs of which user or item was unknown."""
    reference: ColumnReference
    """What tables are compared with."""
    people: int
    """How many people's ratings the reference counts as."""

    @property
    def coverage(self) -> float | None:
        """How often an interval holds the true rating, at least; None of events."""
        return self.intervals[0].coverage if self.intervals else None

    @property
    def half_widths(self) -> list[float]:
        """Of the intervals of each kind of pairs."""
        return [one.half_width for one in self.intervals]

    def judge(
        self, users: np.ndarray, items: np.ndarray, values: np.ndarray, outputs: Outputs
    ) -> Judged:
        """What is to be said of pairs.

        Args:
            users, items: (N,) int32 codes, 0 for unknown.
            values: (N,) float32, the model's predictions.
            outputs: the model.
        """
        user_ratings = self.user_ratings[users].astype(np.int64)
        item_ratings = self.item_ratings[items]
        kinds = pair_kinds(user_ratings, item_ratings, self.few)
        is_known = kinds == WELL_KNOWN
        if not self.intervals:
            none = np.zeros(len(users), bool)
            return Judged(user_ratings, item_ratings, None, none, none, is_known, None)
        mean_user = of_mean_user(outputs, items)
        is_outside = (values < self.lowest) | (values > self.highest)
        return Judged(
            user_ratings,
            item_ratings,
            mean_user,
            np.abs(values - mean_user) <= self.near,
            is_outside,
            is_known & ~is_outside,
            reach_of(values, kinds, self.half_widths, self.lowest, self.highest),
        )

    def shift(
        self,
        users: np.ndarray,
        items: np.ndarray,
        values: np.ndarray,
        *,
        owners: np.ndarray,
        ratings: np.ndarray | None = None,
    ) -> ShiftReport | None:
        """Whether pairs, taken together, are of another kind than those of the validation.

        Args:
            users, items: (N,) codes, 0 for unknown.
            values: (N,) predictions.
            owners: (N,) whole numbers that tell people apart, the unknown ones too.
            ratings: (N,) what was given, where it is known.

        Returns: None where they are the ratings of too few people to say it.
        """
        people = effective_number(owners)
        if people < LEAST_FOR_SHIFT:
            return None
        given = ratings if self.intervals else None
        columns = columns_of(self, users, items, values, given)
        moved = []
        for column in self.reference.columns:
            if column.name in columns:
                one = column.moved(columns[column.name])
                p_value = ks_p_value(torch.tensor([one.distance]), self.people, people)
                moved.append(one._replace(p_value=float(p_value)))
        return report_of(moved, self.reference.level, len(users), of="measures", items="pairs")

    def says_unknown(self, is_known: np.ndarray) -> str | None:
        """A sentence where more of N pairs than usual are unknown; None where there are few of them."""
        count, usual = len(is_known), self.usual_unknown
        if count < LEAST_FOR_SHIFT:
            return None
        share = 1 - float(is_known.mean())
        if share <= usual + 3 * (max(usual * (1 - usual), 0.01) / count) ** 0.5:
            return None
        return (
            f"Of {share:.0%} of these pairs the user or the item is unknown, of those that the model was "
            f"measured on {usual:.0%}: expect larger errors than it is said to have."
        )

    def to_json(self) -> dict[str, Any]:
        """All but the tensor, and what stands in the catalogue."""
        return {
            "few": self.few,
            "near": self.near,
            "intervals": [one.to_json() for one in self.intervals],
            "lowest": self.lowest,
            "highest": self.highest,
            "false_alarm": self.false_alarm,
            "usual_unknown": self.usual_unknown,
            "reference": self.reference.to_json(),
            "people": self.people,
        }

    def tensors(self) -> dict[str, Tensor]:
        """How many ratings each user has: without history nothing else of the bundle says it."""
        return {"user_ratings": torch.from_numpy(self.user_ratings)}

    @classmethod
    def from_parts(
        cls,
        record: Any,
        known: TrainingCounts,
        *,
        of_ratings: bool,
        where: str,
    ) -> RatingGuard:
        """Back from `to_json`, perhaps from a stranger.

        Args:
            known: what its tensor and the catalogue say of users and items.
            of_ratings: the model learnt from ratings, and not from events.
            where: names the file in messages.

        Raises: BundleError: it is something else.
        """
        fields = Fields(record, where)
        entries = fields.inners("intervals", most=len(KINDS))
        if len(entries) != (len(KINDS) if of_ratings else 0):
            fields.refuse(f"has {len(entries)} `intervals`, expected one of each kind of pairs")
        intervals = tuple(Intervals.from_json(entry) for entry in entries)
        if len({one.coverage for one in intervals}) > 1:
            fields.refuse("does not promise the same in all of its `intervals`")
        columns = (BUSY, WHICH, RATED, LIKED, TOLD, *((GIVEN,) if of_ratings else ()))
        reference = ColumnReference.from_json(fields.inner("reference"), numbers=columns, kinds={})
        found = cls(
            *known,
            fields.whole("few", 1, 1 << 31),
            fields.number("near", 0, LARGEST),
            intervals,
            fields.number("lowest", -LARGEST, LARGEST),
            fields.number("highest", -LARGEST, LARGEST),
            fields.number("false_alarm", 0, 1),
            fields.number("usual_unknown", 0, 1),
            reference,
            fields.whole("people", 1, 1 << 53),
        )
        fields.end()
        if found.lowest > found.highest:
            fields.refuse("has a `lowest` above its `highest`")
        if bool((known.user_ratings < 0).any()):
            fields.refuse("lies beside a user with fewer than 0 ratings")
        return found


class Counted(Protocol):
    """Who has what counts of users and items are made of."""

    @property
    def user_ratings(self) -> np.ndarray:
        """(U,) ratings of each user in training."""
        ...

    @property
    def item_ratings(self) -> np.ndarray:
        """(I,) ratings of each item in training."""
        ...

    @property
    def item_mean(self) -> np.ndarray:
        """(I,) mean rating of each item in training."""
        ...


class TrainingCounts(NamedTuple):
    """What training knows of users and items beside their vectors."""

    user_ratings: np.ndarray
    item_ratings: np.ndarray
    item_mean: np.ndarray


def columns_of(
    known: Counted,
    users: np.ndarray,
    items: np.ndarray,
    values: np.ndarray,
    ratings: np.ndarray | None,
) -> dict[str, Tensor]:
    """What a table of pairs is compared by: name -> (N,) float64, NaN for an unknown user or item.

    Args:
        users, items: (N,) codes.
        values: (N,) predictions.
        ratings: (N,) what was given; None where it is not known, and of events.
    """
    found = {
        BUSY: np.where(users > 0, known.user_ratings[users], np.nan),
        WHICH: np.where(items > 0, items, np.nan),
        RATED: np.where(items > 0, known.item_ratings[items], np.nan),
        LIKED: np.where(items > 0, known.item_mean[items], np.nan),
        TOLD: values,
    }
    if ratings is not None:
        found[GIVEN] = ratings
    return {name: torch.from_numpy(column.astype(np.float64)) for name, column in found.items()}


def fit_rating_guard(
    outputs: Outputs,
    train: RatingTable,
    valid: RatingTable,
    *,
    of_ratings: bool,
    item_mean: np.ndarray,
    coverage: float = 0.9,
) -> RatingGuard | None:
    """A guard, from ratings that did not train the model.

    Args:
        outputs: the model.
        train: what trained it.
        valid: what did not.
        of_ratings: it learnt from ratings, and not from events.
        item_mean: (I,) float32, mean training rating of each item.
        coverage: share of ratings that are to lie in their interval.

    Returns: None where there is no validation rating to fit it on.
    Raises: ConfigError: a coverage outside (0, 1).
    """
    check_share("fit_rating_guard", "coverage", coverage)
    if not len(valid) or not len(train):
        return None
    user_ratings = np.bincount(train.users, minlength=train.num_users).astype(np.int32)
    item_ratings = np.bincount(train.items, minlength=train.num_items)
    user_ratings[0] = item_ratings[0] = 0
    values = outputs(valid.users, valid.items)
    kinds = pair_kinds(user_ratings[valid.users], item_ratings[valid.items], FEW)
    near = lowest = highest = 0.0
    intervals: tuple[Intervals, ...] = ()
    is_good = kinds == WELL_KNOWN
    if of_ratings:
        both = np.concatenate([train.ratings, valid.ratings])
        lowest, highest = float(both.min()), float(both.max())
        is_good &= (values >= lowest) & (values <= highest)
        intervals = _intervals(values, valid.ratings, kinds, coverage)
        usual = intervals[WELL_KNOWN].half_width
        near = NEAR * usual if usual < inf else 0.0
    known = TrainingCounts(user_ratings, item_ratings, item_mean)
    ratings = valid.ratings if of_ratings else None
    columns = columns_of(known, valid.users, valid.items, values, ratings)
    return RatingGuard(
        *known,
        FEW,
        near,
        intervals,
        lowest,
        highest,
        1 - float(is_good.mean()),
        float((kinds == UNKNOWN).mean()),
        fit_columns(columns, {}, level=LEVEL),
        _people(valid.users, train.users),
    )


def _people(users: np.ndarray, trained: np.ndarray) -> int:
    """People that ratings count as, where those of unknown users are not told apart.

    Of these each is taken to have as many as people had in training.

    Args:
        users: (N,) codes.
        trained: (M,) codes of the training ratings.
    """
    each = len(trained) / effective_number(trained)
    return max(1, effective_number(users[users > 0]) + int((users == 0).sum() / each))


def _intervals(
    values: np.ndarray, ratings: np.ndarray, kinds: np.ndarray, coverage: float
) -> tuple[Intervals, ...]:
    """Of each kind of pairs; without end where there are too few of them."""
    found = []
    for kind in KINDS:
        own = kinds == kind
        preds, targets = (torch.from_numpy(part[own]) for part in (values, ratings))
        found.append(
            fit_interval(preds, targets, coverage) if own.any() else Intervals(coverage, inf, 0)
        )
    return tuple(found)


def effective_number(owners: np.ndarray) -> int:
    """People that (N,) ratings count as: n² / Σ m², m the ratings of each, rounded down."""
    _, counts = np.unique(owners, return_counts=True)
    squares = float(np.square(counts.astype(np.float64)).sum())
    return int(len(owners) ** 2 / squares) if squares else 0
