"""A vector for a user or an item of which there are facts only, by a model of the vectors of others.

    cold = fit_cold_start(factors, user_facts, side="user", ratings=data.part("train"))
    print(cold.report)                                   # what facts are worth, on owners held out
    vector, bias = cold.vector(user_facts.facts_of({"age": 24, "occupation": "writer"}))

A ridge regression of the vectors and biases that were learnt, on facts; numbers among the facts may bend
at five places, so that an effect may rise and fall. Its penalty is chosen on owners (users, or items)
that are held out, by the error of the ratings that their predicted vectors predict: that is what a
vector is for, and how far it is from the one that was learnt need not matter where nothing of the other
side points. Then all vectors are moved by the one step that fits the ratings best, since the mean of
vectors that each fit somebody is not the one that fits everybody. Facts are used if they do better than
one vector for all. On MovieLens 100K a forest in place of the bends was worse for items (RMSE 1.018
instead of 1.009) and a little better for users (1.014 instead of 1.017), before that step.

Ratings of somebody new: fold_in.py. Both, or neither: newcomer.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.bundle.fields import Fields
from drivetrain.collab.factors import Factors
from drivetrain.collab.newcomers.cold_errors import ByRating, ByScore, Errors
from drivetrain.collab.newcomers.facts import Facts
from drivetrain.collab.newcomers.sides import SIDES, side_tables
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.randomness import permutation

STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Penalties of the regression, in units of a fact's variance, to choose from."""
FOLDS = 5
BENDS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles at which the effect of a number may bend."""
MANY_VALUES = 10
"""Different values from which on a fact is a number that may bend."""
FORMAT = 1
MOST_FACTS = 1_000_000


@dataclass(frozen=True)
class ColdReport:
    """What facts are worth for those that were held out."""

    side: str
    kind: str
    """"ridge", or "mean" where facts did not help."""
    strength: float
    """The penalty that was chosen."""
    num_owners: int
    """Users or items that it was fitted and measured on."""
    unit: str
    """"rating": errors are of predicted ratings. "score": of what the vector says of the other side's
    vectors, against the vector that was learnt, before the range."""
    error: float
    """Root mean squared error of the regression, on owners held out."""
    center_error: float
    """Of one vector for all of them, the one that fits the ratings of the others best."""
    mean_error: float
    """Of the mean vector."""
    other_error: float | None
    """Of the mean rating on the other side, which needs no vector; None where no ratings were given."""
    gain: float
    """Mean squared error that facts save against one vector for all."""
    interval: tuple[float, float]
    """95% interval of `gain`, over owners."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "side": self.side,
            "kind": self.kind,
            "strength": self.strength,
            "num_owners": self.num_owners,
            "unit": self.unit,
            "error": self.error,
            "center_error": self.center_error,
            "mean_error": self.mean_error,
            "other_error": self.other_error,
            "gain": self.gain,
            "interval": list(self.interval),
        }

    @classmethod
    def from_json(cls, fields: Fields) -> ColdReport:
        """What `to_json` wrote. Raises: BundleError: an entry is not what it has to be."""
        record = {
            "side": fields.word("side", SIDES),
            "kind": fields.word("kind", ("ridge", "mean")),
            "strength": fields.number("strength", 0, 1e300),
            "num_owners": fields.whole("num_owners", 1, 1 << 40),
            "unit": fields.word("unit", ("rating", "score")),
            "error": fields.number("error", 0, 1e300),
            "center_error": fields.number("center_error", 0, 1e300),
            "mean_error": fields.number("mean_error", 0, 1e300),
            "gain": fields.number("gain", -1e300, 1e300),
        }
        low, high = fields.numbers("interval", 2, -1e300, 1e300)
        other = fields.take("other_error")
        if other is not None and (type(other) not in (int, float) or not 0 <= other < 1e300):
            fields.wrong("other_error", "a number from 0 up, or null", other)
        fields.end()
        return cls(**record, other_error=other, interval=(low, high))

    def __str__(self) -> str:
        lines = [
            f"A new {self.side}'s vector from facts: root mean squared error of a {self.unit}, on "
            f"{self.num_owners:,} {self.side}s held out in turn",
            f"  {self.error:.4f}  from facts",
            f"  {self.center_error:.4f}  one vector for all",
            f"  {self.mean_error:.4f}  the mean vector",
        ]
        if self.other_error is not None:
            other = "item" if self.side == "user" else "user"
            lines.append(f"  {self.other_error:.4f}  the mean rating of each {other}, no vector")
        low, high = self.interval
        lines.append(
            f"Facts save {self.gain:.4f} of the squared error against one vector for all (95%: {low:.4f} "
            f"to {high:.4f})"
            + (", which may be chance. " if low <= 0 < self.gain else ". ")
            + ("They are used." if self.kind == "ridge" else "They are not used.")
        )
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class ColdStart:
    """A model of vectors and biases by facts. Made by `fit_cold_start`."""

    fact_names: tuple[str, ...]
    """(F,)."""
    fill: np.ndarray
    """(F,) float64, what a missing fact counts as: the mean."""
    bend_columns: np.ndarray
    """(H,) int64, the fact that bends."""
    bend_places: np.ndarray
    """(H,) float64, from which value on."""
    center: np.ndarray
    """(F + H,) float64, subtracted."""
    weight: np.ndarray
    """(F + H, K + 1) float64; zeros for the mean vector. The last column is that of the bias."""
    middle: np.ndarray
    """(K + 1,) float64, the vector and bias of somebody with the mean of all facts."""
    report: ColdReport

    @property
    def side(self) -> str:
        """ "user" or "item"."""
        return self.report.side

    @property
    def uses_facts(self) -> bool:
        """Whether facts did better than the mean vector."""
        return self.report.kind == "ridge"

    def vectors(self, facts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (M, K) and biases (M,), float32, of rows of facts (M, F).

        A row of nothing but NaN gets the mean vector.

        Raises: ShapeError: the rows do not have F facts.
        """
        if facts.ndim != 2 or facts.shape[1] != len(self.fact_names):
            raise ShapeError(
                f"A row holds {len(self.fact_names)} facts. Got an array of shape {facts.shape}."
            )
        made = _expanded(facts, self.fill, self.bend_columns, self.bend_places)
        made[np.isnan(facts).all(1)] = self.center
        found = ((made - self.center) @ self.weight + self.middle).astype(np.float32)
        return found[:, :-1], found[:, -1]

    def vector(self, facts: np.ndarray) -> tuple[np.ndarray, float]:
        """The vector (K,) float32 and the bias of one row of facts (F,)."""
        vectors, biases = self.vectors(np.asarray(facts)[None])
        return vectors[0], float(biases[0])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, beside `tensors`."""
        return {
            "format": FORMAT,
            "fact_names": list(self.fact_names),
            "report": self.report.to_json(),
        }

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays, by name."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_parts(
        cls, record: Any, tensors: Mapping[str, np.ndarray], where: str = "A cold-start model"
    ) -> ColdStart:
        """What `to_json` and `tensors` gave, all of it checked.

        Raises: BundleError: an entry or an array is not what it has to be.
        """
        fields = Fields(record, where)
        fields.whole("format", FORMAT, FORMAT)
        names = fields.take("fact_names")
        if (
            not isinstance(names, list)
            or len(names) > MOST_FACTS
            or not all(isinstance(name, str) for name in names)
        ):
            fields.wrong("fact_names", "a list of texts", names)
        report = ColdReport.from_json(fields.inner("report"))
        fields.end()
        missing = [name for name in _ARRAYS if name not in tensors]
        if missing:
            fields.refuse(f"has no array `{missing[0]}`")
        arrays = {name: tensors[name] for name in _ARRAYS}
        facts, bends = len(names), len(arrays["bend_columns"])
        width = arrays["middle"].size
        shapes = {
            "fill": (facts,),
            "bend_columns": (bends,),
            "bend_places": (bends,),
            "center": (facts + bends,),
            "weight": (facts + bends, width),
            "middle": (width,),
        }
        for name, shape in shapes.items():
            array = arrays[name]
            wanted = np.int64 if name == "bend_columns" else np.float64
            if array.shape != shape or array.dtype != wanted or not np.isfinite(array).all():
                fields.refuse(f"has an array `{name}` that does not fit")
        columns = arrays["bend_columns"]
        if width < 2 or ((columns < 0) | (columns >= facts)).any():
            fields.refuse("has arrays that do not fit one another")
        return cls(tuple(names), **arrays, report=report)

    def __repr__(self) -> str:
        return f"<ColdStart of {self.side}s, {len(self.fact_names)} facts: {self.report.kind}>"


_ARRAYS = ("fill", "bend_columns", "bend_places", "center", "weight", "middle")


def fit_cold_start(
    factors: Factors,
    facts: Facts,
    side: str = "item",
    *,
    weights: np.ndarray | None = None,
    ratings: RatingTable | None = None,
    seed: int = 42,
    strengths: Sequence[float] = STRENGTHS,
) -> ColdStart:
    """A model that gives vectors to users or items of which there are facts only.

    Args:
        factors: fitted.
        facts: (U, F) of users, or (I, F) of items; rows of NaN are not used.
        side: "user" or "item", whose facts these are.
        weights: (U,) or (I,), what each vector counts, such as its ratings in training: a vector of few
            ratings was hardly learnt. None: those counts where `ratings` are given, otherwise 1 each.
        ratings: those of training. Candidates are then compared by the error of predicted ratings;
            without them, by how far scores are from those of the vectors that were learnt.
        seed: of who is held out together.
        strengths: of the penalty, to choose from.

    Raises: ConfigError: an unknown side, or a bad strength. ShapeError: arrays that do not fit.
        DataError: there are fewer than ten vectors with facts.
    """
    own, other, base = side_tables(factors, side)
    total = len(own)
    if len(facts) != total:
        raise ShapeError(
            f"`facts` of {side}s must have {total} rows, one a code. Got {len(facts)}."
        )
    if not strengths or not all(np.isfinite(s) and s > 0 for s in strengths):
        raise ConfigError(f"`strengths` are numbers above 0. Got {tuple(strengths)}.")
    if ratings is not None and (ratings.num_users, ratings.num_items) != (
        len(factors.users),
        len(factors.items),
    ):
        raise ShapeError(
            f"`ratings` are of {ratings.num_users} users and {ratings.num_items} items, and the factors "
            f"of {len(factors.users)} and {len(factors.items)}."
        )
    weights = _weights(weights, ratings, side, total)
    is_used = facts.is_known & (weights > 0)
    is_used[0] = False
    codes = np.flatnonzero(is_used)
    if len(codes) < 2 * FOLDS:
        raise DataError(
            f"A model of vectors by facts needs {2 * FOLDS} {side}s that have both. Got {len(codes)}."
        )
    values, targets, weights = facts.values[codes], own[codes], weights[codes]
    measure: Errors
    if ratings is None:
        measure = ByScore.of(targets, other, weights)
    else:
        measure = ByRating.of(factors, side, other, base, codes, ratings, seed)
    order = permutation(len(codes), seed=seed, epoch=0, purpose="cold start").numpy()
    fold = np.empty(len(codes), dtype=np.int64)
    fold[order] = np.arange(len(codes)) % FOLDS
    best = _best_strength(measure, values, targets, weights, fold, strengths)
    # Once more with that strength, now with vectors moved to where they fit ratings best.
    errors = np.zeros((3, len(codes)))  # summed squares: from facts, one vector for all, the mean
    for inside, held in _folds(fold):
        design = _Design.of(values[inside], weights[inside], targets[inside])
        weight = design.solve([best])[0]
        for place, used in enumerate((weight, np.zeros_like(weight))):
            shift = measure.shift(design.scaled @ used + design.middle, inside)
            found = design.rows(values[held]) @ used + design.middle
            errors[place, held] = measure.squares(found + shift, held)
        errors[2, held] = measure.squares(np.tile(design.middle, (len(held), 1)), held)
    error, center_error, mean_error = np.sqrt(errors.sum(1) / measure.num.sum()).tolist()
    gain, interval = _gain(errors[1] - errors[0], measure.num)
    design = _Design.of(values, weights, targets)
    weight = design.solve([best])[0]
    if gain <= 0:
        weight = np.zeros_like(weight)
    everybody = np.arange(len(codes))
    middle = design.middle + measure.shift(design.scaled @ weight + design.middle, everybody)
    report = ColdReport(
        side=side,
        kind="ridge" if gain > 0 else "mean",
        strength=best,
        num_owners=len(codes),
        unit="score" if ratings is None else "rating",
        error=error,
        center_error=center_error,
        mean_error=mean_error,
        other_error=measure.other_error,
        gain=gain,
        interval=interval,
    )
    return ColdStart(
        fact_names=facts.names,
        fill=design.fill,
        bend_columns=design.bend_columns,
        bend_places=design.bend_places,
        center=design.center,
        weight=weight,
        middle=middle,
        report=report,
    )


def _folds(fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Those to fit on and those held out, in turn."""
    for number in range(FOLDS):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def _best_strength(
    measure: Errors,
    values: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    fold: np.ndarray,
    strengths: Sequence[float],
) -> float:
    errors = np.zeros(len(strengths))
    for inside, held in _folds(fold):
        design = _Design.of(values[inside], weights[inside], targets[inside])
        rows = design.rows(values[held])
        for place, weight in enumerate(design.solve(strengths)):
            errors[place] += measure.squares(rows @ weight + design.middle, held).sum()
    return float(strengths[int(errors.argmin())])


@dataclass(eq=False)
class _Design:
    """Facts of training rows, expanded and centred, ready to be solved for."""

    fill: np.ndarray
    bend_columns: np.ndarray
    bend_places: np.ndarray
    center: np.ndarray
    scaled: np.ndarray
    """(N, F + H), centred."""
    weights: np.ndarray
    """(N,) that add up to one."""
    middle: np.ndarray

    targets: np.ndarray
    """(N, K + 1), from `middle`."""

    @classmethod
    def of(cls, facts: np.ndarray, weights: np.ndarray, targets: np.ndarray) -> _Design:
        weights = weights / weights.sum()
        facts = facts.astype(np.float64)
        is_there = ~np.isnan(facts)
        there = weights @ is_there
        sums = weights @ np.where(is_there, facts, 0.0)
        fill = np.divide(sums, there, out=np.zeros_like(sums), where=there > 0)
        columns, places = _bends(np.where(is_there, facts, fill))
        made = _expanded(facts, fill, columns, places)
        center, middle = weights @ made, weights @ targets
        return cls(fill, columns, places, center, made - center, weights, middle, targets - middle)

    def rows(self, facts: np.ndarray) -> np.ndarray:
        """(M, F + H) of other rows."""
        return _expanded(facts, self.fill, self.bend_columns, self.bend_places) - self.center

    def solve(self, strengths: Sequence[float]) -> list[np.ndarray]:
        """The weight (F + H, K + 1) for each strength."""
        weighted = self.scaled * self.weights[:, None]
        values, directions = np.linalg.eigh(weighted.T @ self.scaled)
        share = directions.T @ (weighted.T @ self.targets)
        return [directions @ (share / (values.clip(0) + s)[:, None]) for s in strengths]


def _expanded(
    facts: np.ndarray, fill: np.ndarray, columns: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """(M, F) -> (M, F + H) float64: the facts, and how far numbers are beyond their bends."""
    filled = np.where(np.isnan(facts), fill, facts).astype(np.float64)
    return np.hstack([filled, np.maximum(filled[:, columns] - places, 0.0)])


def _bends(facts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns (H,) that are numbers of many values, and places (H,) at which they may bend."""
    columns: list[int] = []
    places: list[float] = []
    for column in range(facts.shape[1]):
        values = facts[:, column]
        if len(np.unique(values)) < MANY_VALUES:
            continue
        low, high = values.min(), values.max()
        for place in np.unique(np.quantile(values, BENDS)):
            if low < place < high:
                columns.append(column)
                places.append(float(place))
    return np.array(columns, dtype=np.int64), np.array(places, dtype=np.float64)


def _gain(saved: np.ndarray, num: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Mean of what each owner saves, and its 95% interval; owners differ in how much they count."""
    mean = float(saved.sum() / num.sum())
    off = saved - mean * num
    deviation = float(np.sqrt((off**2).sum() * len(off) / max(len(off) - 1, 1)) / num.sum())
    return mean, (mean - 1.96 * deviation, mean + 1.96 * deviation)


def _weights(
    weights: np.ndarray | None, ratings: RatingTable | None, side: str, total: int
) -> np.ndarray:
    if weights is None and ratings is not None:
        codes = ratings.users if side == "user" else ratings.items
        return np.bincount(codes, minlength=total).astype(np.float64)
    if weights is None:
        return np.ones(total)
    found = np.asarray(weights, dtype=np.float64)
    if found.shape != (total,):
        raise ShapeError(f"`weights` must hold one a code, ({total},). Got {found.shape}.")
    if not np.isfinite(found).all() or (found < 0).any():
        raise DataError("`weights` holds a number that is negative or not finite.")
    return found
