"""How good predicted ratings and recommended lists are, with intervals over users.

    model = UserItemMean.fit(train)
    predicted = model.predict(valid.users, valid.items)
    print(measure_ratings(predicted, valid.ratings, valid.users))
    print(measure_ranking(model.scores, train, valid, k=10))

Two models are compared on the same users, one beside the other: `compare_ratings`, and
`RankingResult.against`. Their single intervals may overlap where the difference is plain, since most of
their width is the difference between people, which both share.

Letters: N ratings, U users, I items, M users that are looked at, B of a block, k places of a list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isnan, sqrt
from typing import Any

import numpy as np

from drivetrain.collab.shown import blocks, seen_cells, top_items
from drivetrain.data.ratings import Lists, RatingTable
from drivetrain.errors import ConfigError, DataError, NonFiniteError, ShapeError
from drivetrain.interpret.text import table as text_table
from drivetrain.metrics.clusters import Estimate, cluster_means
from drivetrain.metrics.interval import check_confidence
from drivetrain.metrics.recommending import (
    PER_USER,
    coverage,
    exposure,
    find_hits,
    gini,
    mean_of_codes,
    mean_of_lists,
    mean_over_users,
    novelty,
    popularity_ratio,
)
from drivetrain.randomness import permutation

LIKED = 0.75
"""How far up the range of the training ratings an item begins to count as liked: 4 of 1 to 5 stars, 4 of
half a star to 5 (3.875 and above), 8 of 1 to 10."""
CANDIDATES = ("all", "valid")


@dataclass(frozen=True)
class RatingResult:
    """How far predicted ratings are from those given, in the ratings' own unit."""

    rmse: Estimate
    mse: Estimate
    mae: Estimate
    num_ratings: int
    num_users: int
    share_unknown: float
    """Share of the ratings whose user (or item, where that was said) training did not have."""
    confidence: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, one entry a field."""
        return {
            "rmse": self.rmse.to_json(),
            "mse": self.mse.to_json(),
            "mae": self.mae.to_json(),
            "num_ratings": self.num_ratings,
            "num_users": self.num_users,
            "share_unknown": self.share_unknown,
            "confidence": self.confidence,
        }

    def __str__(self) -> str:
        rows = [_row(name.upper(), getattr(self, name)) for name in ("rmse", "mse", "mae")]
        unknown = f", {self.share_unknown:.1%} unknown to training" if self.share_unknown else ""
        return (
            text_table(["", "value", f"{self.confidence:.0%} interval"], rows)
            + f"\n{self.num_ratings:,} ratings of {self.num_users:,} users{unknown}; the interval "
            "is over users"
        )


def measure_ratings(
    predicted: np.ndarray,
    targets: np.ndarray,
    users: np.ndarray,
    *,
    is_unknown: np.ndarray | None = None,
    confidence: float = 0.95,
) -> RatingResult:
    """RMSE, MSE and MAE over ratings, each with an interval: users are drawn with all their ratings.

    Args:
        predicted: (N,) float.
        targets: (N,) float, the ratings that were given.
        users: (N,) integers, who gave them. Ratings of code 0 are of unknown people; since it is not
            known who is who, each counts as one person's. Where the source tells them apart, give
            numbers of your own.
        is_unknown: (N,) bool, what training did not have; None: users of code 0.
        confidence: in (0, 1).

    Raises: ShapeError: the arrays differ in length. DataError: there is no rating. NonFiniteError: a
        prediction is NaN or infinite. ConfigError: a confidence outside (0, 1).
    """
    check_confidence(confidence)
    predicted, targets = _pair(predicted, targets, users)
    unknown = np.asarray(users) == 0 if is_unknown is None else np.asarray(is_unknown)
    if len(unknown) != len(targets):
        raise ShapeError(f"`is_unknown` has {len(unknown)} values for {len(targets)} ratings.")
    errors = predicted - targets
    owners, num_owners = _people(users)
    columns = [np.square(errors), np.abs(errors)]
    mse, mae = _by_owner(columns, owners, num_owners, confidence)
    return RatingResult(
        rmse=_root(mse),
        mse=mse,
        mae=mae,
        num_ratings=len(targets),
        num_users=num_owners,
        share_unknown=float(unknown.mean()),
        confidence=confidence,
    )


def compare_ratings(
    predicted: np.ndarray,
    other: np.ndarray,
    targets: np.ndarray,
    users: np.ndarray,
    *,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """How much further off the first predictions are than the others, on the same ratings.

    Args:
        predicted: (N,) float, of the one model.
        other: (N,) float, of the other.
        targets: (N,) float, the ratings that were given.
        users: (N,) integers, who gave them; as of `measure_ratings`.
        confidence: in (0, 1).

    Returns: the differences of `mse` and `mae`; below 0 the first is better. An interval without 0 is
        more than chance in which users were looked at.
    Raises: as `measure_ratings`.
    """
    check_confidence(confidence)
    predicted, known = _pair(predicted, targets, users)
    other, _ = _pair(other, targets, users)
    owners, num_owners = _people(users)
    errors, others = predicted - known, other - known
    columns = [np.square(errors) - np.square(others), np.abs(errors) - np.abs(others)]
    found = _by_owner(columns, owners, num_owners, confidence)
    return dict(zip(("mse", "mae"), found, strict=True))


def liked_from(train: RatingTable) -> float:
    """The rating from which on an item counts as liked: `LIKED` of the way up the training range.

    For events, which are all equal, it is their value: all are liked.
    """
    if not len(train):
        raise DataError("There is no training rating, so it is not known which ones are high.")
    low, high = float(train.ratings.min()), float(train.ratings.max())
    return low + LIKED * (high - low)


@dataclass(frozen=True, eq=False)
class RankingResult:
    """What users get out of recommended lists, and what the lists do to the catalogue."""

    k: int
    relevant_from: float
    """The rating from which on an item counts as liked."""
    candidates: str
    """What was put in order: `all` known items, `valid` (those that somebody rated in validation), or
    `given`; always without what the user rated in training."""
    per_list: Mapping[str, Estimate]
    """`recall`, `precision`, `ndcg`, `map`, `mrr` and `hit_rate` as `metrics.recommending` defines them,
    and `novelty` in bits."""
    coverage: float
    """Share of the candidates that stand in a list."""
    gini: float
    """How unequally often they do: 0 all alike, near 1 a few take all places."""
    popularity_ratio: Estimate
    """How many times as popular as what these users rated in training is what they are shown."""
    num_users: int
    """M, users that were looked at."""
    num_without: int
    """Known users with validation ratings none of which can be found: they like nothing of it, or only
    items that training does not know, or that they rated in training, too. They are left out."""
    num_unknown: int
    """Validation ratings of unknown users, for whom there is no list; left out."""
    num_unreachable: int
    """Liked ratings of the users looked at whose item cannot be listed: training does not know it, the
    user rated it there, too, or it is no candidate. They count nowhere."""
    confidence: float
    users: np.ndarray = field(repr=False)
    """(M,) codes in ascending order."""
    per_user: Mapping[str, np.ndarray] = field(repr=False)
    """(M,) of each user what `per_list` has the mean of."""
    recommended: np.ndarray = field(repr=False)
    """(M, k) int32, the lists; 0 at a place with nothing in it."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON without what is of single users."""
        return {
            "k": self.k,
            "relevant_from": self.relevant_from,
            "candidates": self.candidates,
            **{name: found.to_json() for name, found in self.per_list.items()},
            "coverage": _known(self.coverage),
            "gini": _known(self.gini),
            "popularity_ratio": self.popularity_ratio.to_json(),
            "num_users": self.num_users,
            "num_without": self.num_without,
            "num_unknown": self.num_unknown,
            "num_unreachable": self.num_unreachable,
            "confidence": self.confidence,
        }

    def __str__(self) -> str:
        names = {name: name.replace("_", " ") for name in self.per_list}
        names |= {"ndcg": "NDCG", "map": "MAP", "mrr": "MRR"}
        rows = [
            _row(f"{names[name]}{'' if name == 'novelty' else f' at {self.k}'}", found)
            for name, found in self.per_list.items()
        ]
        rows += [
            _row("popularity ratio", self.popularity_ratio),
            ["coverage", _number(self.coverage), ""],
            ["Gini of exposure", _number(self.gini), ""],
        ]
        left_out = (
            f"; {self.num_without:,} without a liked item left out" if self.num_without else ""
        )
        if self.num_unknown:
            left_out += f"; {self.num_unknown:,} ratings of unknown users left out"
        return (
            text_table(["", "value", f"{self.confidence:.0%} interval"], rows)
            + f"\n{self.num_users:,} users; liked is {self.relevant_from:g} and above{left_out}"
        )

    def against(self, other: RankingResult) -> dict[str, Estimate]:
        """This minus another, per user: differences of the means of `per_list`, with intervals.

        Raises: ConfigError: the two are not of the same users and settings.
        """
        settings = [
            (one.k, one.relevant_from, one.candidates, one.users.tolist()) for one in (self, other)
        ]
        if settings[0] != settings[1]:
            raise ConfigError(
                "Two rankings are compared on the same users, with the same `k`, `relevant_from` and "
                "`candidates`. Measure both with the same arguments."
            )
        return mean_over_users(
            {name: found - other.per_user[name] for name, found in self.per_user.items()},
            confidence=self.confidence,
        )


def measure_ranking(
    scores: Callable[[np.ndarray], np.ndarray],
    train: RatingTable,
    valid: RatingTable,
    *,
    k: int = 10,
    relevant_from: float | None = None,
    candidates: str | np.ndarray = "all",
    max_users: int | None = None,
    seed: int = 42,
    confidence: float = 0.95,
) -> RankingResult:
    """Recommend k items to each user and see whether they are among those the user liked later.

    All candidates are put in order, never a sample of them: by samples a worse model may look better
    (Krichene & Rendle 2020, doi:10.1145/3394486.3403226). What a user rated in training is not listed.
    Of equal scores the item of the lower code stands first. A listed item that the user never rated
    counts as a miss, though they may love it: the numbers compare models, and are no share of good
    recommendations.

    Args:
        scores: (B,) codes of users -> (B, I) float, the higher the better; minus infinity: never.
        train: what the model learnt from; also says what was seen, and how popular items are.
        valid: what came out of the users' later ratings.
        k: places of a list.
        relevant_from: the rating from which on an item counts as liked; None: `liked_from(train)`.
        candidates: `all` known items; `valid`: those that somebody rated in validation; or codes.
        max_users: look at so many users only, drawn by the seed; None: at all that have a liked item.
        seed: of that draw.
        confidence: in (0, 1).

    Returns: each metric with its interval, and what was looked at; print it.
    Raises: ConfigError: an argument is out of range. DataError: no user has a liked item that could be
        found, or the tables have different codes. ShapeError: scores of another shape. NonFiniteError:
        a score is NaN.
    """
    check_confidence(confidence)
    if k < 1 or (max_users is not None and max_users < 1):
        raise ConfigError(f"`k` and `max_users` must be at least 1. Got {k} and {max_users}.")
    if (train.num_users, train.num_items) != (valid.num_users, valid.num_items):
        raise DataError(
            f"`train` has codes of {train.num_users} users and {train.num_items} items, `valid` of "
            f"{valid.num_users} and {valid.num_items}. Take both from the same data."
        )
    num_items = train.num_items
    named, allowed = _candidates(candidates, valid, num_items)
    threshold = liked_from(train) if relevant_from is None else float(relevant_from)
    users, relevant, seen, num_without, num_unreachable = _asked(
        train, valid, allowed, threshold, max_users, seed
    )
    found = [np.zeros((0, k), np.int32)]
    start = 0
    for some in blocks(users, num_items):
        block = _scored(scores, some, num_items)
        places = np.arange(start, start + len(some))
        block[seen_cells(places, seen)] = -np.inf
        block[:, ~allowed] = -np.inf
        found.append(top_items(block, k))
        start += len(some)
    recommended = np.concatenate(found)

    popularity = np.bincount(train.items, minlength=num_items)
    num_people = int((np.bincount(train.users, minlength=train.num_users)[1:] > 0).sum())
    hits = find_hits(recommended, relevant)
    per_user = {name: metric(hits) for name, metric in PER_USER.items()}
    per_user["novelty"] = novelty(recommended, popularity, max(num_people, 1))
    listed = mean_of_lists(recommended, popularity)
    return RankingResult(
        k=k,
        relevant_from=threshold,
        candidates=named,
        per_list=mean_over_users(per_user, confidence=confidence),
        coverage=coverage(recommended, num_items, np.flatnonzero(allowed)),
        gini=gini(exposure(recommended, num_items)[allowed]),
        popularity_ratio=popularity_ratio(
            listed, mean_of_codes(seen, popularity), confidence=confidence
        ),
        num_users=len(users),
        num_without=num_without,
        num_unknown=int((valid.users == 0).sum()),
        num_unreachable=num_unreachable,
        confidence=confidence,
        users=users,
        per_user=per_user,
        recommended=recommended,
    )


def _asked(
    train: RatingTable,
    valid: RatingTable,
    allowed: np.ndarray,
    threshold: float,
    max_users: int | None,
    seed: int,
) -> tuple[np.ndarray, Lists, Lists, int, int]:
    """Users (M,) to look at, what each likes and has seen (M lists each), how many are left out for want
    of a liked item, and how many liked items cannot be found.
    """
    has_any = np.bincount(valid.users, minlength=valid.num_users) > 0
    has_any[0] = False
    is_liked = (valid.ratings >= threshold) & (valid.users > 0)
    owners, items = valid.users[is_liked], valid.items[is_liked]
    can_be = allowed[items]
    # Of what a user has rated in training nothing is listed, so it cannot be found again.
    can_be &= ~_among(owners, items, train)
    reachable = np.bincount(owners[can_be], minlength=valid.num_users)
    users = np.flatnonzero(reachable).astype(np.int32)
    if not len(users):
        raise DataError(
            f"None of the {int(has_any.sum()):,} known users with validation ratings has one of "
            f"{threshold:g} or above, of an item that could be recommended. Give a lower "
            "`relevant_from`, or another split."
        )
    num_without = int(has_any.sum()) - len(users)
    if max_users is not None and max_users < len(users):
        drawn = permutation(len(users), seed=seed, epoch=0, purpose="measured users").numpy()
        users = users[np.sort(drawn[:max_users])]
    places = np.full(valid.num_users, -1, dtype=np.int32)  # of each user among those looked at
    places[users] = np.arange(len(users), dtype=np.int32)
    num_unreachable = int(((places[owners] >= 0) & ~can_be).sum())
    relevant = _lists(places[owners[can_be]], items[can_be], len(users))
    seen = _lists(places[train.users], train.items, len(users))
    return users, relevant, seen, num_without, num_unreachable


def _among(users: np.ndarray, items: np.ndarray, train: RatingTable) -> np.ndarray:
    """(N,) bool: which pairs training has."""
    is_asked = np.zeros(train.num_users, dtype=bool)
    is_asked[users] = True
    rows = is_asked[train.users]
    keys = np.sort(train.users[rows].astype(np.int64) * train.num_items + train.items[rows])
    asked = users.astype(np.int64) * train.num_items + items
    at = np.searchsorted(keys, asked)
    found = np.zeros(len(asked), dtype=bool)
    inside = at < len(keys)
    found[inside] = keys[at[inside]] == asked[inside]
    return found


def _lists(places: np.ndarray, items: np.ndarray, count: int) -> Lists:
    kept = places >= 0
    return Lists.from_codes(places[kept], items[kept], count)


def _candidates(
    candidates: str | np.ndarray, valid: RatingTable, num_items: int
) -> tuple[str, np.ndarray]:
    """What they are called, and (I,) bool."""
    allowed = np.zeros(num_items, dtype=bool)
    if isinstance(candidates, str):
        if candidates not in CANDIDATES:
            raise ConfigError(
                f"`candidates` is 'all', 'valid' or an array of item codes. Got '{candidates}'."
            )
        allowed[:] = True
        if candidates == "valid":
            allowed = np.bincount(valid.items, minlength=num_items) > 0
        allowed[0] = False
        return candidates, allowed
    codes = np.asarray(candidates)
    if codes.ndim != 1 or codes.dtype.kind not in "iu" or not len(codes):
        raise ConfigError(
            f"`candidates` is {codes.dtype} of shape {codes.shape}, expected (C,) item codes, at least "
            "one."
        )
    if codes.min() < 1 or codes.max() >= num_items:
        odd = codes.min() if codes.min() < 1 else codes.max()
        raise ConfigError(f"`candidates` has the item {odd}, expected codes 1 to {num_items - 1}.")
    allowed[codes] = True
    return "given", allowed


def _scored(
    scores: Callable[[np.ndarray], np.ndarray], users: np.ndarray, num_items: int
) -> np.ndarray:
    block = np.array(scores(users), dtype=np.float32)  # a copy: it is written into
    if block.shape != (len(users), num_items):
        raise ShapeError(
            f"`scores` of {len(users)} users must be ({len(users)}, {num_items}): one for every item, "
            f"the unknown one counted. Got {block.shape}."
        )
    if np.isnan(block).any():
        raise NonFiniteError("The model's scores hold NaN, so that no list can be made of them.")
    return block


def _pair(
    predicted: np.ndarray, targets: np.ndarray, users: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    predicted, targets = np.asarray(predicted, np.float64), np.asarray(targets, np.float64)
    shapes = (predicted.shape, targets.shape, np.shape(users))
    if len(set(shapes)) != 1 or predicted.ndim != 1:
        raise ShapeError(
            "`predicted`, `targets` and `users` must be (N,), one value a rating. Got "
            f"{shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    if not len(predicted):
        raise DataError("There is no rating to measure on.")
    if not np.isfinite(predicted).all():
        raise NonFiniteError(
            f"{int((~np.isfinite(predicted)).sum()):,} of the {len(predicted):,} predicted ratings are "
            "NaN or infinite."
        )
    return predicted, targets


def _people(users: np.ndarray) -> tuple[np.ndarray, int]:
    """(N,) whose each rating is, from 0, and how many people these are; an unknown one is each time
    another.
    """
    _, owners = np.unique(users, return_inverse=True)
    unknown = np.flatnonzero(np.asarray(users) == 0)
    if len(unknown):
        owners = owners.copy()
        owners[unknown] = owners.max() + 1 + np.arange(len(unknown))
        _, owners = np.unique(owners, return_inverse=True)
    return owners, int(owners.max()) + 1


def _by_owner(
    columns: list[np.ndarray], owners: np.ndarray, num_owners: int, confidence: float
) -> list[Estimate]:
    """The mean of each column over ratings."""
    sums = [np.bincount(owners, weights=values, minlength=num_owners) for values in columns]
    counts = np.bincount(owners, minlength=num_owners)
    return cluster_means(
        np.stack(sums, axis=1),
        np.repeat(counts[:, None], len(columns), axis=1),
        confidence=confidence,
        name="users",
    )


def _root(found: Estimate) -> Estimate:
    """Of the mean square: the root keeps the order, so the ends of the interval are roots, too."""
    return Estimate(sqrt(found.value), sqrt(found.low), sqrt(found.high), found.num_owners)


def _row(name: str, found: Estimate) -> list[str]:
    interval = "" if isnan(found.low) else f"{found.low:.4f} to {found.high:.4f}"
    return [name, _number(found.value), interval]


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.4f}"


def _known(value: float) -> float | None:
    return None if isnan(value) else value
