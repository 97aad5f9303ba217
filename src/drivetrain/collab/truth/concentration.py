"""How much of a table of ratings comes from few users and goes to few items, and what a cap on users
changes.

    print(concentration(table))
    print(effect_of_capping(fit, data.part("train"), data.part("valid"), most=200))

A few people who rate very much decide what a model learns, also for those who rate little. A cap takes
the surplus ratings of such people away, and with them knowledge: so what it changes is set beside what
changes where as many ratings are taken away from anybody, by chance.

Owners are users or items. The known ones all count, also those without a rating; code 0, which stands
for many unknown ones at once, does not. Gini 1912; Lorenz 1905, doi:10.2307/2276207.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, nan, sqrt
from typing import Any, Literal

import numpy as np

from drivetrain.collab.shown import Scorer, shown_lists
from drivetrain.data.ratings import Lists, RatingTable
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret.text import table as text_table
from drivetrain.metrics.interval import two_sided_student
from drivetrain.randomness import derive

TOP = (0.001, 0.01, 0.1)
"""Shares of the owners, those with the most ratings, that are reported."""
POINTS = 101
"""Of a Lorenz curve."""
LIGHT, HEAVY = 0.5, 0.9
"""Light users have at most the ratings of the user at this share of all, heavy ones more than that of
the user at the other."""
CONFIDENCE = 0.95
_PREDICTED = 1 << 20  # ratings that are predicted at once


def gini(counts: np.ndarray) -> float:
    """How unequal numbers are: half of their mean difference over their mean.

    Args:
        counts: (M,) numbers of at least 0.

    Returns: 0 where all are equal, (M - 1) / M where one has all; NaN where nobody has any.

    >>> gini(np.array([3, 3, 3])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    ordered = np.sort(np.asarray(counts, dtype=np.float64))
    total, count = ordered.sum(), len(ordered)
    if total <= 0:
        return nan
    places = np.arange(1, count + 1)
    return float(max(((2 * places - count - 1) * ordered).sum() / (count * total), 0.0))


def top_share(counts: np.ndarray, share: float) -> tuple[int, float]:
    """What the owners with the most ratings have.

    Args:
        counts: (M,) ratings of each.
        share: of the owners, in (0, 1]; rounded up to whole ones.

    Returns: how many owners these are, and their share of all ratings.

    >>> top_share(np.array([6, 1, 1, 1, 1]), 0.01)
    (1, 0.6)
    """
    if not 0 < share <= 1:
        raise ConfigError(f"`share` must be above 0 and at most 1. Got {share}.")
    owners = ceil(
        share * len(counts) - 1e-9
    )  # 0.07 of 100 is 7, which floats make 7.000000000000001
    total = float(np.sum(counts, dtype=np.float64))
    if owners == 0 or total <= 0:
        return owners, nan
    largest = np.partition(np.asarray(counts, dtype=np.float64), len(counts) - owners)
    return owners, float(largest[len(counts) - owners :].sum() / total)


def lorenz(counts: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """The share of all ratings that the owners with the fewest have together.

    Returns: shares of the owners, (P,) from 0 to 1 in equal steps, and what they have, (P,).
    """
    ordered = np.sort(np.asarray(counts, dtype=np.float64))
    total = ordered.sum()
    if total <= 0:
        raise DataError("A Lorenz curve needs a rating or more. Got none.")
    held = np.concatenate([[0.0], np.cumsum(ordered) / total])
    held[-1] = 1.0
    shares = np.linspace(0, 1, points)
    return shares, np.interp(shares, np.linspace(0, 1, len(held)), held)


@dataclass(frozen=True, eq=False)
class Concentration:
    """How the ratings are spread over users, or over items."""

    what: str
    """"users" or "items"."""
    owners: int
    """Known ones."""
    without: int
    """Of these, those without a rating."""
    ratings: int
    median: float
    """Ratings of the owner in the middle."""
    largest: int
    """Ratings of the owner with the most."""
    top: tuple[tuple[float, int, float], ...]
    """For each of `TOP`: the share of owners, how many these are, and their share of the ratings."""
    half: int
    """The fewest owners that have half of all ratings together."""
    gini: float
    lorenz: tuple[np.ndarray, np.ndarray]
    """As of `lorenz`."""

    @classmethod
    def of(cls, what: str, counts: np.ndarray) -> Concentration:
        """From (M,) ratings of each known owner.

        Raises: DataError: there is no rating.
        """
        total = int(counts.sum())
        if not total:
            raise DataError(f"There are no ratings of known {what} to look at.")
        descending = np.sort(counts)[::-1]
        return cls(
            what=what,
            owners=len(counts),
            without=int((counts == 0).sum()),
            ratings=total,
            median=float(np.median(counts)),
            largest=int(descending[0]),
            top=tuple((share, *top_share(counts, share)) for share in TOP),
            half=int(np.searchsorted(np.cumsum(descending), total / 2)) + 1,
            gini=gini(counts),
            lorenz=lorenz(counts),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "owners": self.owners,
            "without_ratings": self.without,
            "ratings": self.ratings,
            "median": self.median,
            "largest": self.largest,
            "top": [
                {"share_of_owners": share, "owners": owners, "share_of_ratings": held}
                for share, owners, held in self.top
            ],
            "owners_of_half": self.half,
            "gini": self.gini,
            "lorenz": [line.tolist() for line in self.lorenz],
        }


@dataclass(frozen=True, eq=False)
class ConcentrationReport:
    """Of users and of items."""

    users: Concentration
    items: Concentration

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"users": self.users.to_json(), "items": self.items.to_json()}

    def __str__(self) -> str:
        rows = []
        for one in (self.users, self.items):
            rows += [
                [
                    f"top {100 * share:g}% of {one.what}",
                    f"{owners:,} of {one.owners:,}",
                    f"{100 * held:.1f}%",
                ]
                for share, owners, held in one.top
            ]
        lines = [text_table(["", "how many", "of the ratings"], rows), ""]
        lines += [
            f"Half of the ratings: {one.half:,} {one.what} of {one.owners:,}. Gini of {one.what} "
            f"{one.gini:.3f}; the median has {one.median:g} ratings, the largest {one.largest:,}."
            for one in (self.users, self.items)
        ]
        return "\n".join(lines)


def concentration(table: RatingTable) -> ConcentrationReport:
    """How the ratings are spread over users and over items.

    Args:
        table: N ratings.

    Raises: DataError: there is no rating of a known user and item.
    """
    return ConcentrationReport(
        Concentration.of("users", counts_of(table.users, table.num_users)),
        Concentration.of("items", counts_of(table.items, table.num_items)),
    )


def counts_of(codes: np.ndarray, number: int) -> np.ndarray:
    """(N,) codes -> (number - 1,) int64, how often each known one stands there."""
    return np.bincount(codes, minlength=number)[1:]


def cap_ratings(
    table: RatingTable, most: int, *, seed: int = 42, keep: Literal["random", "newest"] = "random"
) -> RatingTable:
    """At most so many ratings of each user; what stays keeps its order.

    What a lower cap keeps is part of what a higher one does. Ratings of code 0 all stay: they are those
    of many users.

    Args:
        table: N ratings.
        most: ratings of a user, 1 or more.
        seed: of which ones stay where `keep` is "random".
        keep: "random", or "newest" by time, of equal times the later row.

    Raises: ConfigError: a setting that cannot be, or "newest" without times.
    """
    if most < 1:
        raise ConfigError(f"`most` must be 1 or more. Got {most}.")
    if keep == "newest":
        if table.times is None:
            raise ConfigError(
                'To keep the newest ratings, the table needs times; without them use keep="random".'
            )
        order = np.lexsort((table.times, table.users))[::-1]
    elif keep == "random":
        draw = np.random.default_rng(derive(seed, "cap ratings"))
        order = np.lexsort((draw.random(len(table)), table.users))
    else:
        raise ConfigError(f"`keep` must be 'random' or 'newest'. Got {keep!r}.")
    owners = table.users[order]  # each user's rows together
    is_first = np.r_[True, owners[1:] != owners[:-1]][: len(owners)]
    starts = np.maximum.accumulate(np.where(is_first, np.arange(len(owners)), 0))
    stays = (np.arange(len(owners)) - starts < most) | (owners == 0)
    return table.take(np.sort(order[stays]))


@dataclass(frozen=True)
class Change:
    """A root mean squared error less that of the model of all ratings, on the same ratings."""

    difference: float
    interval: tuple[float, float]
    """95%, over users."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"difference": self.difference, "interval": list(self.interval)}


GROUPS = ("all", "light", "heavy")


@dataclass(frozen=True)
class CappedFit:
    """A model of some of the ratings, measured."""

    name: str
    ratings: int
    """It was fitted to."""
    heaviest: float
    """The share of these that the 1% of users with the most have."""
    rmse: dict[str, float]
    """Root mean squared error on the validation ratings of each of `GROUPS`; NaN where there are none."""
    changes: dict[str, Change]
    """Of each group where it can be told; none for the model of all ratings."""
    overlap: float
    """The share of a list that is also in that of the model of all ratings, mean over users."""
    popularity: float
    """Ratings in training of a listed item, mean over the lists."""
    coverage: float
    """The share of known items that is in a list."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name,
            "ratings": self.ratings,
            "share_of_heaviest": self.heaviest,
            "rmse": {name: _plain(value) for name, value in self.rmse.items()},
            "changes": {name: change.to_json() for name, change in self.changes.items()},
            "overlap": _plain(self.overlap),
            "popularity": _plain(self.popularity),
            "coverage": self.coverage,
        }


@dataclass(frozen=True)
class CappingReport:
    """What capping users changes; the first entry is the model of all ratings."""

    fits: tuple[CappedFit, ...]
    k: int
    users: int
    """Whose lists were made."""
    light: int
    """A light user has at most so many ratings in training."""
    heavy: int
    """A heavy user has more than so many."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "k": self.k,
            "users": self.users,
            "light": self.light,
            "heavy": self.heavy,
            "fits": [one.to_json() for one in self.fits],
        }

    def __str__(self) -> str:
        head = ["fitted to", "ratings", "top 1% users"]
        head += ["rmse", "light", "heavy", f"same of {self.k}", "popularity", "coverage"]
        rows = []
        for one in self.fits:
            cells = [one.name, f"{one.ratings:,}", f"{100 * one.heaviest:.1f}%"]
            cells += [_text(one.rmse[group], ".4f") for group in GROUPS]
            cells += [_text(100 * one.overlap, ".0f", "%"), _text(one.popularity, ".0f")]
            rows.append([*cells, f"{100 * one.coverage:.0f}%"])
        changes = [
            [one.name, *(_change_text(one.changes.get(group)) for group in GROUPS)]
            for one in self.fits[1:]
        ]
        return "\n".join(
            [
                text_table(head, rows),
                "",
                "Change of the error, with 95% intervals over users:",
                text_table(["fitted to", *GROUPS], changes),
                "",
                f"Light users have {self.light:,} ratings in training or fewer, heavy ones more than "
                f"{self.heavy:,}. Lists of {self.k} are those of {self.users:,} users.",
            ]
        )


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value


def _text(value: float, form: str, unit: str = "") -> str:
    return "-" if np.isnan(value) else f"{value:{form}}{unit}"


def _change_text(change: Change | None) -> str:
    if change is None:
        return "-"
    low, high = change.interval
    return f"{change.difference:+.4f} ({low:+.4f} to {high:+.4f})"


def effect_of_capping(
    fit: Callable[[RatingTable], Scorer],
    train: RatingTable,
    valid: RatingTable,
    *,
    most: int | Sequence[int] | None = None,
    k: int = 10,
    seed: int = 42,
    keep: Literal["random", "newest"] = "random",
    most_users: int = 2000,
) -> CappingReport:
    """What changes where no user may have more than so many ratings.

    Fits once to all ratings, and for each cap twice: to what it leaves, and to as many ratings drawn
    from all by chance, which tells what the smaller number alone does. Popularity is always that in all
    of `train`, and lists leave out what the user has rated there.

    Args:
        fit: makes a model from a table; the same table must give the same model.
        train: what is capped and fitted to.
        valid: on which errors are measured.
        most: ratings of a user, or several caps; None: one that a tenth of the users are above.
        k: places of a list.
        seed: of what stays, and of whose lists are made.
        keep: "random", or "newest" by time.
        most_users: whose lists are made at most.

    Raises: ConfigError, DataError: a cap below 1, or no ratings.
    """
    if not len(train) or not len(valid):
        raise DataError(
            "Capping needs ratings to fit to and ratings to measure on. Got "
            f"{len(train)} and {len(valid)}."
        )
    counts = np.bincount(train.users, minlength=train.num_users)
    counts[0] = 0
    active = np.flatnonzero(counts)
    if not len(active):
        raise DataError("There are no ratings of known users to cap.")
    light, heavy = np.quantile(counts[active], [LIGHT, HEAVY], method="lower").astype(int).tolist()
    caps = [heavy] if most is None else [most] if isinstance(most, int) else list(most)
    sizes = counts[valid.users]
    groups = {
        "all": np.ones(len(valid), dtype=bool),
        "light": (valid.users > 0) & (sizes <= light),
        "heavy": sizes > heavy,
    }
    users = active
    if len(users) > most_users:
        draw = np.random.default_rng(derive(seed, "capping users"))
        users = np.sort(draw.choice(users, most_users, replace=False))
    look = _Look(valid, groups, users, train.by_user(), counts_of(train.items, train.num_items), k)
    fits = [look.at("all ratings", train, fit(train), None)]
    base = (look.errors, look.lists)
    draw = np.random.default_rng(derive(seed, "capping control"))
    order = draw.permutation(len(train))
    for cap in caps:
        capped = cap_ratings(train, cap, seed=seed, keep=keep)
        fits.append(look.at(f"at most {cap:,} a user", capped, fit(capped), base))
        control = train.take(np.sort(order[: len(capped)]))
        fits.append(look.at("as many by chance", control, fit(control), base))
    return CappingReport(tuple(fits), k, len(users), light, heavy)


class _Look:
    """Measures models on the same ratings and users."""

    def __init__(
        self,
        valid: RatingTable,
        groups: dict[str, np.ndarray],
        users: np.ndarray,
        seen: Lists,
        popularity: np.ndarray,
        k: int,
    ) -> None:
        self.valid, self.groups, self.users, self.seen = valid, groups, users, seen
        self.popularity = np.concatenate([[0], popularity])
        self.k = k
        self.errors = np.zeros(0)
        self.lists = np.zeros((0, k), np.int32)

    def at(
        self,
        name: str,
        table: RatingTable,
        scorer: Scorer,
        base: tuple[np.ndarray, np.ndarray] | None,
    ) -> CappedFit:
        """Of one model; `base` has the errors and lists of the model of all ratings."""
        errors = self.errors = squared_errors(scorer, self.valid)
        lists = self.lists = shown_lists(
            scorer, self.users, self.seen, k=self.k, num_items=self.valid.num_items
        )
        listed = lists[lists > 0]
        rmse, changes = {}, {}
        for group, rows in self.groups.items():
            rmse[group] = sqrt(errors[rows].mean()) if rows.any() else nan
            if base is not None:
                change = rmse_change(errors[rows], base[0][rows], self.valid.users[rows])
                if change is not None:
                    changes[group] = change
        return CappedFit(
            name=name,
            ratings=len(table),
            heaviest=top_share(counts_of(table.users, table.num_users), 0.01)[1],
            rmse=rmse,
            changes=changes,
            overlap=1.0 if base is None else overlap(lists, base[1]),
            popularity=float(self.popularity[listed].mean()) if len(listed) else nan,
            coverage=len(np.unique(listed)) / max(self.valid.num_items - 1, 1),
        )


def squared_errors(scorer: Scorer, table: RatingTable) -> np.ndarray:
    """(N,) float64 of each rating."""
    found = np.empty(len(table), dtype=np.float64)
    for start in range(0, len(table), _PREDICTED):
        part = slice(start, start + _PREDICTED)
        found[part] = scorer.predict(table.users[part], table.items[part])
        found[part] -= table.ratings[part]
    return np.square(found, out=found)


def overlap(lists: np.ndarray, others: np.ndarray) -> float:
    """The share of each list that is also in the other of the same user, mean over users.

    Args:
        lists, others: (M, k) codes, each once a row; 0 for no item.

    Returns: NaN where all lists are empty.
    """
    lengths = (lists > 0).sum(axis=1)
    both = ((lists[:, :, None] == others[:, None, :]) & (lists > 0)[:, :, None]).sum(axis=(1, 2))
    some = lengths > 0
    return float((both[some] / lengths[some]).mean()) if some.any() else nan


def rmse_change(errors: np.ndarray, base: np.ndarray, users: np.ndarray) -> Change | None:
    """The root mean squared error of one model less that of another, on the same ratings.

    The interval is that of the linearised difference, whose parts are summed by user: ratings of one
    user are not independent.

    Args:
        errors, base: (N,) squared errors of the two.
        users: (N,) codes, whose each rating is.

    Returns: None for fewer than two users, or where a model makes no error at all.
    """
    owners, places = np.unique(users, return_inverse=True)
    count = len(owners)
    if count < 2 or not errors.any() or not base.any():
        return None
    one, other = sqrt(errors.mean()), sqrt(base.mean())
    parts = (errors - one**2) / (2 * one) - (base - other**2) / (2 * other)
    sums = np.bincount(places, weights=parts, minlength=count)
    spread = sqrt(count / (count - 1) * np.square(sums).sum()) / len(errors)
    half = two_sided_student(CONFIDENCE, count - 1) * spread
    difference = one - other
    return Change(difference, (difference - half, difference + half))
