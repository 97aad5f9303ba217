"""A recommender that learns from what it showed, in rounds: a simulation on your own model.

    found = simulate_feedback(
        fit, table, taste=fit(table), rounds=10,
        variants={"as it is": Mitigation(), "exploring": Mitigation(exploration=0.1)},
    )
    print(found)

A round: the model, fitted to the ratings so far, shows k items that they have not rated to each user who
comes; users rate what they are shown; these ratings are added, and the model is fitted again. What is not
shown is not rated, so an item that was thought bad too early stays so. Chaney, Stewart & Engelhardt 2018,
arXiv:1710.11214; Jiang et al. 2019, arXiv:1902.10730.

**What users like** is planted, so that there is a truth to drift from: any model may be the taste, such
as one with known factors, or your own fitted to all that you have. The latter says what would happen *if*
people were as the model thinks; it knows no taste that the model could not learn. A user gives an item
the same rating in every variant and round: taste + noise, rounded and kept in range (which draws it to
the middle where the taste is near an end). For events the taste is the probability that a shown item is
taken; what is not taken leaves no trace, and may be shown again. With `once=False` so may what was taken,
as with songs.

Lists by a perfect model also concentrate, for some items are better. So beside the variants stands the
reference: the same users and rounds, with lists by the true taste. **Drift** is measured against it.

**Mitigations.** `exploration`: each place of a list goes, with this probability, to an item drawn by
chance. `weighting`: ratings that the system made likely count less in the next fit. With "shown", by
u / p, where p is the probability with which the item was shown to this user in that round and u that with
which a list by chance would hold it, both exact (inverse propensity, stabilised; Schnabel et al. 2016,
arXiv:1602.05352), so that the new ratings count as those of lists by chance; the ratings it began with
count 1. It needs exploration: what can never be shown has no weight that makes up for it. It makes counts
of events comparable where items can be taken over and over; an item that is taken once leaves the lists
of those who like it, which no weight tells. With "item", by the inverse of how many ratings the item has
so far, mean 1: for models of ratings only, and without exploration. Either is cut off at `clip`. Weights
are no gift: few heavy ratings make a noisy model, and a model of ratings that is right where ratings are
many may lose by them. See `Curves.effective`.

Letters: U users, I items, the unknown one of each counted; k places of a list; R rounds; S seeds; M users
who come in a round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan, sqrt
from typing import Any, Literal

import numpy as np

from drivetrain.collab.shown import Scorer, blocks, open_scores, top_items
from drivetrain.collab.truth.concentration import counts_of, gini, squared_errors, top_share
from drivetrain.data.ratings import Lists, RatingTable
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret.text import table as text_table
from drivetrain.metrics.interval import two_sided_student
from drivetrain.randomness import derive, uniforms

CONFIDENCE = 0.95
SAMPLE = 10_000
"""Pairs of user and item, drawn by chance, on which the error against the true taste is measured."""

MEASURES = {
    "gini": "Gini of the ratings per item, all rounds so far",
    "top": "share of the ratings so far that the 1% of items with the most have",
    "shown_top": "share of the places of a round that the 1% of items most shown in it take",
    "coverage": "share of the known items that are shown in the round",
    "popularity": "ratings that a shown item had before the first round, mean",
    "sameness": "share of a list that is also in the list of another user, mean over pairs of users",
    "drift": "share of all places so far that went to other items than in the reference",
    "liking": "true taste for a shown item, mean",
    "order": "rank correlation of the model's scores with the taste, on pairs drawn by chance",
    "rmse": "error of the model against the taste, on the same pairs; none for events",
}
"""What is measured in each round, of the lists that the model fitted so far makes."""

PERCENT = ("top", "shown_top", "coverage", "sameness", "drift")
"""Measures that are shares, and are printed in hundredths."""


@dataclass(frozen=True)
class Mitigation:
    """What is done against the loop; nothing by default."""

    exploration: float = 0.0
    """The probability that a place of a list goes to an item by chance."""
    weighting: Literal["none", "shown", "item"] = "none"
    """By what a rating counts less: `shown`, the chance that its item was listed; `item`, the
    ratings that its item has; `none`."""
    clip: float = 10.0
    """The greatest weight of a rating."""

    def __post_init__(self) -> None:
        if not 0 <= self.exploration <= 1:
            raise ConfigError(f"`exploration` must be 0 to 1. Got {self.exploration}.")
        if self.weighting not in ("none", "shown", "item"):
            raise ConfigError(
                f"`weighting` must be 'none', 'shown' or 'item'. Got {self.weighting!r}."
            )
        if not self.clip >= 1:
            raise ConfigError(f"`clip` must be 1 or more. Got {self.clip}.")
        if self.weighting == "shown" and self.exploration == 0:
            raise ConfigError(
                "Weighting by the chance of being shown needs `exploration` above 0: items that are "
                "never shown have no ratings to weigh. Or weigh by 'item'."
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "exploration": self.exploration,
            "weighting": self.weighting,
            **({"clip": self.clip} if self.weighting != "none" else {}),
        }


PLAIN = Mitigation()


@dataclass(frozen=True)
class Behaviour:
    """How users answer to what they are shown."""

    taste: Scorer
    """What they truly like: the expected rating of an item, or the probability that it is taken."""
    is_events: bool = False
    """Items are taken or not, instead of rated."""
    noise: float = 0.0
    """Deviation of a rating from the taste, normal, before rounding."""
    low: float = -np.inf
    high: float = np.inf
    step: float = 0.0
    """Ratings are multiples of it above `low`; 0: any number."""
    answers: float = 1.0
    """The probability that a shown item is rated; of events, the taste is multiplied by it."""

    def answer(
        self,
        users: np.ndarray,
        items: np.ndarray,
        liking: np.ndarray,
        *,
        seed: int,
        round_number: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which of (N,) shown pairs are answered, (N,) bool, and with which ratings, (N,) float32."""
        chance = self.answers * liking.clip(0, 1) if self.is_events else self.answers
        coins = uniforms(
            pair_keys(users, items), 1, seed=seed, purpose="answer", epoch=round_number
        ).numpy()[:, 0]
        ratings = (
            np.ones(len(users), np.float32)
            if self.is_events
            else self.rate(liking, users, items, seed)
        )
        return coins < chance, ratings

    def rate(
        self, liking: np.ndarray, users: np.ndarray, items: np.ndarray, seed: int
    ) -> np.ndarray:
        """(N,) true taste for pairs -> (N,) float32 ratings; those of a pair depend on the seed alone."""
        first, second = uniforms(pair_keys(users, items), 2, seed=seed, purpose="rating").numpy().T
        normal = np.sqrt(-2 * np.log1p(-first.astype(np.float64))) * np.cos(2 * np.pi * second)
        found = liking + self.noise * normal
        if self.step > 0:
            base = self.low if np.isfinite(self.low) else 0.0
            found = base + np.round((found - base) / self.step) * self.step
        return found.clip(self.low, self.high).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Curves:
    """What happened in one variant."""

    name: str
    mitigation: Mitigation
    measures: dict[str, np.ndarray]
    """Name of `MEASURES` -> (S, R + 1): of the lists before the first round, and after each."""
    effective: np.ndarray
    """(S, R + 1): as how many ratings of equal weight those count that the model was fitted to."""
    shown: np.ndarray
    """(I,) share of all places of all rounds that each item had, mean over seeds."""
    wanted: np.ndarray
    """(I,) the same in the reference."""

    def mean(self, measure: str) -> np.ndarray:
        """(R + 1,) over seeds."""
        return self.measures[measure].mean(axis=0)

    def interval(self, measure: str) -> tuple[np.ndarray, np.ndarray] | None:
        """(R + 1,) each: the 95% interval of the mean over seeds; None for one seed."""
        values = self.measures[measure]
        if len(values) < 2:
            return None
        spread = values.std(axis=0, ddof=1) / sqrt(len(values))
        half = two_sided_student(CONFIDENCE, len(values) - 1) * spread
        low, high = values.mean(axis=0) - half, values.mean(axis=0) + half
        return (low.clip(0, 1), high.clip(0, 1)) if measure in PERCENT else (low, high)

    def drifted(self, count: int = 10) -> list[tuple[int, float, float]]:
        """The items whose share of all places is furthest from that in the reference.

        Returns: (item, share of the places, share in the reference), the furthest first.
        """
        order = np.argsort(-np.abs(self.shown - self.wanted), kind="stable")[:count]
        return [(int(i), float(self.shown[i]), float(self.wanted[i])) for i in order]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        measures = {}
        for name in self.measures:
            interval = self.interval(name)
            measures[name] = {
                "mean": _plain(self.mean(name)),
                **({} if interval is None else {"interval": [_plain(end) for end in interval]}),
            }
        return {
            "name": self.name,
            "mitigation": self.mitigation.to_json(),
            "measures": measures,
            "effective_ratings": self.effective.mean(axis=0).tolist(),
            "drifted": [
                {"item": item, "shown": shown, "by_taste": wanted}
                for item, shown, wanted in self.drifted()
            ],
        }


@dataclass(frozen=True)
class Feedback:
    """What `simulate_feedback` gives."""

    curves: tuple[Curves, ...]
    reference: Curves
    """Lists by the true taste."""
    rounds: int
    k: int
    users: int
    """Who come in a round."""
    ratings: int
    """Before the first round."""
    noise: float
    seeds: tuple[int, ...]

    def __getitem__(self, name: str) -> Curves:
        for one in self.curves:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.curves)
        raise ConfigError(f"There is no variant '{name}'. There are: {known}.")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "rounds": self.rounds,
            "k": self.k,
            "users": self.users,
            "ratings": self.ratings,
            "noise": self.noise,
            "seeds": list(self.seeds),
            "reference": self.reference.to_json(),
            "curves": [one.to_json() for one in self.curves],
        }

    def __str__(self) -> str:
        """Each measure before the first round and after the last, of each variant."""
        first, last = self.curves[0], [*self.curves, self.reference]
        head = ["", "at first", *[one.name for one in last]]
        rows = [
            [name, _cell(name, first.mean(name)[0], None)]
            + [_cell(name, one.mean(name)[-1], one.interval(name)) for one in last]
            for name in MEASURES
        ]
        ratings = [f"{one.effective[:, -1].mean():,.0f}" for one in last]
        rows.append(["effective ratings", f"{first.effective[:, 0].mean():,.0f}", *ratings])
        width = max(map(len, MEASURES))
        legend = [f"{name.ljust(width)}  {text}" for name, text in MEASURES.items()]
        of = f"{self.users:,} users a round are shown {self.k} items each"
        return "\n".join(
            [
                f"{self.rounds} rounds; {of}; {self.ratings:,} ratings at first; "
                f"{len(self.seeds)} seed{'s' * (len(self.seeds) > 1)}.",
                "",
                text_table(head, rows),
                "",
                *legend,
            ]
        )


def _cell(name: str, value: float, interval: tuple[np.ndarray, np.ndarray] | None) -> str:
    scale, form = (100, ".1f") if name in PERCENT else (1, ".0f" if name == "popularity" else ".3f")
    if np.isnan(value):
        return "-"
    text = f"{scale * value:{form}}" + ("%" if name in PERCENT else "")
    if interval is None:
        return text
    return f"{text} ±{scale * (interval[1][-1] - interval[0][-1]) / 2:{form}}"


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def simulate_feedback(
    fit: Callable[..., Scorer],
    start: RatingTable,
    taste: Scorer,
    *,
    rounds: int = 10,
    k: int = 10,
    variants: Mapping[str, Mitigation] | None = None,
    kind: Literal["ratings", "events"] = "ratings",
    once: bool = True,
    noise: float | None = None,
    answers: float = 1.0,
    users_per_round: int | None = None,
    takes_weights: bool = False,
    seeds: Sequence[int] = (42,),
) -> Feedback:
    """Let a model choose what is rated, and learn from it, in rounds.

    The same seed gives the same users and ratings in every variant, so that what differs is the
    mitigation's doing.

    Args:
        fit: makes a model from a table, and from `weights=` (N,) float64 of mean 1 if `takes_weights`.
            Codes are those of `start`.
        start: the ratings before the first round. Ratings are kept in their range, and are rounded to
            whole numbers where all of these are.
        taste: what users truly like: expected ratings, or probabilities of an event.
        rounds, k: how often the model is fitted again, and items a user is shown each time.
        variants: name -> what is done against the loop; by default nothing.
        kind: whether users rate what they are shown, or take it or not.
        once: leave out of a list what the user has rated or taken.
        noise: deviation of a rating from the taste; None: that of the ratings of `start`.
        answers: the probability that a shown item is rated; for events, the taste is multiplied by it.
        users_per_round: how many of the users with a rating come in a round; None: all.
        takes_weights: whether `fit` does; if not, it is given as many ratings drawn by their weights.
        seeds: one course of the simulation each.

    Raises: ConfigError: a setting that cannot be. DataError: no ratings. ShapeError: the model does not
        score all items.
    """
    variants = {"as it is": PLAIN} if variants is None else variants
    active = np.flatnonzero(np.bincount(start.users, minlength=start.num_users)[1:]) + 1
    if not len(active) or not (start.items > 0).any():
        raise DataError("A simulation needs ratings of known users and items to begin with.")
    coming = len(active) if users_per_round is None else users_per_round
    for name, value, least in (
        *(("rounds", rounds, 1), ("k", k, 1), ("users_per_round", coming, 1)),
        *(("variants", len(variants), 1), ("seeds", len(seeds), 1)),
    ):
        if value < least:
            raise ConfigError(f"`{name}` must be {least} or more. Got {value}.")
    if kind not in ("ratings", "events"):
        raise ConfigError(f"`kind` must be 'ratings' or 'events'. Got {kind!r}.")
    if kind == "events" and any(one.weighting == "item" for one in variants.values()):
        raise ConfigError(
            "Weighting by 'item' makes the counts of all items alike, which for events are all that is "
            "known. Use 'shown'."
        )
    if not 0 < answers <= 1:
        raise ConfigError(f"`answers` must be above 0 and at most 1. Got {answers}.")
    if coming > len(active):
        raise ConfigError(
            f"`users_per_round` must be at most the {len(active)} users with ratings. Got {coming}."
        )
    if kind == "events":
        noise = 0.0
    elif noise is None:
        noise = sqrt(squared_errors(taste, start).mean())
    whole = bool((start.ratings == np.round(start.ratings)).all())
    low, high = float(start.ratings.min()), float(start.ratings.max())
    behaviour = Behaviour(taste, kind == "events", noise, low, high, float(whole), answers)
    setting = _Setting(fit, start, behaviour, rounds, k, active, coming, takes_weights, once)
    perfect = replace(setting, fit=lambda table: taste)
    wanted = [_Course(perfect, PLAIN, seed, None).run() for seed in seeds]
    curves = {
        name: [
            _Course(setting, one, seed, course.shares).run()
            for seed, course in zip(seeds, wanted, strict=True)
        ]
        for name, one in variants.items()
    }
    reference = _curves("true taste", PLAIN, wanted, wanted)
    return Feedback(
        tuple(_curves(name, variants[name], found, wanted) for name, found in curves.items()),
        reference, rounds, k, coming, len(start), noise, tuple(seeds),
    )  # fmt: skip


def _curves(
    name: str, mitigation: Mitigation, courses: list[_Course], wanted: list[_Course]
) -> Curves:
    return Curves(
        name,
        mitigation,
        {m: np.array([[r[m] for r in course.measured] for course in courses]) for m in MEASURES},
        np.array([course.effective for course in courses]),
        np.mean([course.shares[-1] for course in courses], axis=0),
        np.mean([course.shares[-1] for course in wanted], axis=0),
    )


@dataclass(frozen=True, eq=False)
class _Setting:
    """What all courses have in common."""

    fit: Callable[..., Scorer]
    start: RatingTable
    behaviour: Behaviour
    rounds: int
    k: int
    active: np.ndarray
    coming: int
    takes_weights: bool
    once: bool


class _Course:
    """One variant with one seed."""

    def __init__(
        self,
        setting: _Setting,
        mitigation: Mitigation,
        seed: int,
        wanted: list[np.ndarray] | None,
    ) -> None:
        self.setting, self.mitigation, self.seed = setting, mitigation, seed
        self.wanted = wanted
        """The shares of the reference; None: this is the reference."""
        self.table = setting.start
        self.weights = np.ones(len(self.table))
        num_items = self.table.num_items
        self.popularity = np.concatenate([[0], counts_of(self.table.items, num_items)])
        self.places = np.zeros(num_items)
        self.shares: list[np.ndarray] = []
        """(I,) share of all places so far that each item had, after each round."""
        self.measured: list[dict[str, float]] = []
        self.effective: list[float] = []
        draw = np.random.default_rng(derive(seed, "feedback sample"))
        users = draw.choice(setting.active, SAMPLE).astype(np.int32)
        items = draw.integers(1, num_items, SAMPLE, dtype=np.int32)
        truth = np.asarray(setting.behaviour.taste.predict(users, items), dtype=np.float32)
        self.sample = RatingTable(users, items, truth, None, self.table.num_users, num_items)
        self.ranks = _ranks(truth)

    def run(self) -> _Course:
        for number in range(self.setting.rounds + 1):
            model = self._fitted(number)
            new = self._show(model, number)
            if number < self.setting.rounds:
                self._add(*new)
        return self

    def _fitted(self, number: int) -> Scorer:
        weights = self._weights()
        self.effective.append(float(weights.sum() ** 2 / np.square(weights).sum()))
        if self.mitigation.weighting == "none":
            return self.setting.fit(self.table)
        if self.setting.takes_weights:
            return self.setting.fit(self.table, weights=weights)
        first = np.random.default_rng(derive(self.seed, "feedback resample", number)).random()
        return self.setting.fit(self.table.take(drawn_by_weight(weights, first)))

    def _weights(self) -> np.ndarray:
        """(N,) of mean 1."""
        if self.mitigation.weighting == "item":
            counts = np.bincount(self.table.items, minlength=self.table.num_items)
            return balanced(1 / counts[self.table.items], self.mitigation.clip)
        return self.weights / self.weights.mean()

    def _show(
        self, model: Scorer, number: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Make the lists of a round and measure them.

        Returns: users, items, ratings and weights of what is rated.
        """
        setting, start = self.setting, self.setting.start
        k, num_items = setting.k, start.num_items
        users = setting.active
        if setting.coming < len(users):
            draw = np.random.default_rng(derive(self.seed, "feedback users", number))
            users = np.sort(draw.choice(users, setting.coming, replace=False))
        seen = self.table.by_user() if setting.once else _nothing(start.num_users)
        shown, liked = np.zeros(num_items), 0.0
        new: list[tuple[np.ndarray, ...]] = []
        for some in blocks(users, num_items):
            lists, weights = mixed_lists(
                open_scores(model, some, seen, num_items),
                some,
                k=k,
                exploration=self.mitigation.exploration,
                seed=self.seed,
                round_number=number,
            )
            rows, places = np.nonzero(lists)
            who, what = some[rows], lists[rows, places]
            liking = np.asarray(setting.behaviour.taste.predict(who, what), dtype=np.float64)
            shown += np.bincount(what, minlength=num_items)
            liked += float(liking.sum())
            answered, ratings = setting.behaviour.answer(
                who, what, liking, seed=self.seed, round_number=number
            )
            new.append(tuple(x[answered] for x in (who, what, ratings, weights[rows, places])))
        self._measure(model, shown, liked, len(users))
        users, items, ratings, weights = (np.concatenate(parts) for parts in zip(*new, strict=True))
        return users, items, ratings, weights

    def _measure(self, model: Scorer, shown: np.ndarray, liked: float, num_users: int) -> None:
        counts, places = counts_of(self.table.items, self.table.num_items), max(shown.sum(), 1)
        pairs = max(num_users * (num_users - 1) / 2, 1)
        self.places = self.places + shown
        self.shares.append(self.places / max(self.places.sum(), 1))
        wanted = self.shares if self.wanted is None else self.wanted
        predicted = np.asarray(model.predict(self.sample.users, self.sample.items), np.float64)
        errors = predicted - self.sample.ratings
        self.measured.append(
            {
                "gini": gini(counts),
                "top": top_share(counts, 0.01)[1],
                "shown_top": top_share(shown[1:], 0.01)[1],
                "coverage": float((shown > 0).sum() / len(counts)),
                "popularity": float(shown @ self.popularity / places),
                # an item on n lists is shared by n (n - 1) / 2 pairs of users
                "sameness": float((shown * (shown - 1)).sum() / 2 / pairs / (places / num_users)),
                "drift": float(np.abs(self.shares[-1] - wanted[len(self.shares) - 1]).sum() / 2),
                "liking": liked / places,
                "order": _correlation(_ranks(predicted), self.ranks),
                "rmse": nan if self.setting.behaviour.is_events else sqrt(np.square(errors).mean()),
            }
        )

    def _add(
        self, users: np.ndarray, items: np.ndarray, ratings: np.ndarray, weights: np.ndarray
    ) -> None:
        old = self.table
        times = None
        if old.times is not None:
            later = int(old.times.max(initial=0)) + 1
            times = np.concatenate([old.times, np.full(len(users), later, np.int64)])
        self.table = replace(
            old,
            users=np.concatenate([old.users, users.astype(np.int32)]),
            items=np.concatenate([old.items, items.astype(np.int32)]),
            ratings=np.concatenate([old.ratings, ratings]),
            times=times,
        )
        if self.mitigation.weighting == "shown":
            weights = np.minimum(weights, self.mitigation.clip)
        else:
            weights = np.ones(len(users))
        self.weights = np.concatenate([self.weights, weights])


def mixed_lists(
    scores: np.ndarray,
    users: np.ndarray,
    *,
    k: int,
    exploration: float,
    seed: int,
    round_number: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Lists of the best items, some of whose last places go to items by chance.

    How many do is binomial: each of the k places with probability `exploration`. The items by chance are
    drawn from all that are left, each at most once.

    Args:
        scores: (B, I) as of `open_scores`.
        users: (B,) codes; what is drawn for a user depends on the code, seed and round alone.

    Returns: items (B, k) int32, 0 where none are left; and (B, k) float64, how much likelier the item
        would be in a list by chance than it was in this one.
    """
    best = top_items(scores, k)
    left = np.isfinite(scores).sum(axis=1)  # (B,) items that may be shown
    if exploration == 0:
        by_chance = np.minimum(k / np.maximum(left, 1), 1)
        return best, np.repeat(by_chance[:, None], k, axis=1)
    keys = pair_keys(users, np.zeros_like(users))
    coins = uniforms(keys, k, seed=seed, purpose="explore", epoch=round_number).numpy()
    kept = (coins >= exploration).sum(axis=1)  # (B,) places for the best
    places = np.arange(k)
    chance = uniforms(
        keys, scores.shape[1], seed=seed, purpose="explored", epoch=round_number
    ).numpy()  # (B, I)
    chance = np.where(np.isfinite(scores), chance, -np.inf)
    rows, columns = np.nonzero((places < kept[:, None]) & (best > 0))
    chance[rows, best[rows, columns]] = -np.inf
    drawn = top_items(chance, k)
    at = np.clip(places - kept[:, None], 0, k - 1)
    lists = np.where(places < kept[:, None], best, np.take_along_axis(drawn, at, axis=1))
    return lists, _ratio(lists, best, left, exploration)


def _ratio(lists: np.ndarray, best: np.ndarray, left: np.ndarray, exploration: float) -> np.ndarray:
    """(B, k): k / left over the probability that the item was shown, over all draws."""
    k = lists.shape[1]
    kept = np.arange(k + 1)  # m places for the best
    chances = _binomial(k, 1 - exploration)  # (k + 1,) of each m
    rest = np.maximum(left[:, None] - kept, 1)  # (B, k + 1) items to draw from
    drawn = np.minimum((k - kept) / rest, 1)
    # rank r of an item among the best, k for one that is not there: for m > r it is shown for sure
    ranks = np.arange(k + 1)
    sure = np.array([chances[kept > r].sum() for r in ranks])
    shown = sure + np.stack(
        [(chances * drawn)[:, kept <= r].sum(axis=1) for r in ranks], axis=1
    )  # (B, k + 1)
    same = lists[:, :, None] == best[:, None, :]  # (B, k, k)
    rank = np.where(same.any(axis=2), same.argmax(axis=2), k)
    by_chance = np.minimum(k / np.maximum(left, 1), 1)
    return by_chance[:, None] / np.minimum(np.take_along_axis(shown, rank, axis=1), 1)


def _binomial(number: int, chance: float) -> np.ndarray:
    """(number + 1,) probabilities of 0 to `number` hits."""
    found = np.ones(1)
    for _ in range(number):
        found = np.convolve(found, [1 - chance, chance])
    return found


def balanced(weights: np.ndarray, clip: float) -> np.ndarray:
    """Weights of mean 1, none above `clip` times that of the mean before it was cut.

    Args:
        weights: (N,) above 0.
        clip: 1 or more.
    """
    found = np.minimum(weights / weights.mean(), clip)
    return found / found.mean()


def drawn_by_weight(weights: np.ndarray, first: float) -> np.ndarray:
    """(N,) rows, so that one of weight w stands there w times, rounded down or up by chance.

    Rows are met at even distances along their weights laid end to end, which adds less noise than to draw
    each by itself, and for equal weights none. Systematic resampling; Kitagawa 1996,
    doi:10.1080/10618600.1996.10474692.

    Args:
        weights: (N,) above 0, of mean 1.
        first: in [0, 1), where to begin.

    >>> drawn_by_weight(np.array([0.5, 0.5, 2.0]), 0.3).tolist()
    [0, 2, 2]
    """
    ends = np.cumsum(weights, dtype=np.float64)
    places = (np.arange(len(weights)) + first) * (ends[-1] / len(weights))
    # a whole number of rows may lie a rounding error beside its end
    return np.searchsorted(ends, places, side="right").clip(max=len(weights) - 1)


def pair_keys(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(N,) uint64, another one for each pair."""
    return (users.astype(np.uint64) << np.uint64(32)) | items.astype(np.uint64)


def _nothing(number: int) -> Lists:
    return Lists(np.zeros(0, np.int32), np.zeros(number + 1, np.int64))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, equal values sharing their mean rank; NaN where all of one are equal."""
    return _correlation(_ranks(first), _ranks(second))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    centred = [values - values.mean() for values in (first, second)]
    scale = sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float(centred[0] @ centred[1]) / scale if scale else nan


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]
