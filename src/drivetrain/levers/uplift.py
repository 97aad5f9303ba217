"""Whom to treat: rows ranked by what the treatment changes, from an experiment's rows.

A model of who buys ranks those first who buy anyway. What counts is the uplift: the outcome if treated
less the outcome if not. No row shows both, so it takes rows of which some were treated and some not,
by lot.

The effects come from an X-learner (Künzel et al. 2019, doi:10.1073/pnas.1804597116): a model of the
outcome in each group; what each row's outcome differs from what the other group's model expects of it;
a model of those differences in each group; their mean, weighted by the chance of being treated. Of six
methods with the same forests it ranked best on simulated experiments (docs/levers.md has the table).
Everything that is told of the ranking is told of rows that the models did not see: the rows are
divided into folds, and each fold is ranked by models of the others.

N rows, K folds, D columns of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from drivetrain._strict import shown
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.levers.qini import SHARES, Comparison, UpliftCurve, uplift_curves
from drivetrain.metrics.interval import two_sided
from drivetrain.randomness import derive

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Function: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""(M, D) -> (M,) predictions."""
Grow: TypeAlias = Callable[[np.ndarray, np.ndarray, int], Function]
"""(N, D) columns with NaN where missing, (N,) numbers, a seed -> the fitted model as a function."""

FOLDS = 5
FEWEST = 50
"""Rows in each group, below which nothing is fitted."""
CLIP = 0.05
"""Chances of being treated are kept this far from 0 and 1 where they are estimated."""
_TOLD_SHARES = (0.1, 0.2, 0.3, 0.5, 1.0)
_MOST_WORDS = 12
"""A column of more words than this becomes one column of places, by how frequent they are."""
_YES, _NO = frozenset(("1", "yes", "true", "y", "1.0")), frozenset(("0", "no", "false", "n", "0.0"))


@dataclass(frozen=True)
class Balance:
    """Whether the treated differ from the others in their columns, as by lot they would not."""

    auc: float
    """Of telling the treated from the others, on rows not seen: 0.5 by lot."""
    interval: tuple[float, float]
    """95%."""

    @property
    def is_even(self) -> bool:
        """Whether the columns do not tell who was treated."""
        return self.interval[0] <= 0.5

    def __str__(self) -> str:
        told = f"(AUC {self.auc:.3f}, 95%: {self.interval[0]:.3f} to {self.interval[1]:.3f})"
        if self.is_even:
            return (
                f"The columns do not tell who was treated {told}, as it is where the lot decided."
            )
        return (
            f"The columns tell who was treated {told}: it was not by the same lot for all. The effects "
            "are corrected for what the columns show, and are wrong where something else decided too."
        )


@dataclass(frozen=True)
class Ranking:
    """Rows in the order in which to treat them."""

    order: np.ndarray
    """(N,) int64 positions of the rows, the largest uplift first."""
    uplift: np.ndarray
    """(N,) of each row, in the order of the rows: what treating it is expected to change."""
    score: np.ndarray
    """(N,) the outcome that is expected if it is treated."""


@dataclass(frozen=True)
class Uplift:
    """Effects row by row, and what ranking by them is worth."""

    treated: str
    """The column of who was treated."""
    outcome: str
    """The column of what came of it."""
    num_rows: int
    """Of the experiment."""
    num_treated: int
    """Rows that were treated."""
    uplift: np.ndarray
    """(N,) of the experiment's rows, each by models that did not see it."""
    score: np.ndarray
    """(N,) the outcome expected if treated, likewise."""
    effect: float
    """Of treating all, the mean a row."""
    effect_interval: tuple[float, float]
    """95%."""
    curves: Mapping[str, UpliftCurve]
    """`uplift` and `score`: what each order brings."""
    comparison: Comparison
    """The area of `uplift` less that of `score`."""
    balance: Balance
    """Whether the treated are like the others before the treatment."""
    notes: tuple[str, ...]
    """Whole sentences."""
    _models: tuple[_XLearner, ...]
    _columns: _Columns

    def rank(self, frame: Frame) -> Ranking:
        """The order in which to treat these rows.

        Args:
            frame: has the columns that were learnt from.
        Raises: DataError: a column is missing or of another kind.
        """
        X = self._columns.matrix(frame)  # noqa: N806
        found = [model.predict(X) for model in self._models]
        uplift = np.mean([each.uplift for each in found], axis=0)
        score = np.mean([each.if_treated for each in found], axis=0)
        return Ranking(np.argsort(-uplift, kind="stable"), uplift, score)

    def __str__(self) -> str:
        by_uplift, by_score = self.curves["uplift"], self.curves["score"]
        table = [
            (share * self.effect, by_score.at(share), by_uplift.at(share)) for share in _TOLD_SHARES
        ]
        num = _same_places([*table, by_uplift.interval])
        gains = [("treated", "by uplift", "by score", "by chance")]
        gains += [
            (f"{share:.0%}", num(row[2]), num(row[1]), num(row[0]))
            for share, row in zip(_TOLD_SHARES, table, strict=True)
        ]
        areas = (
            ("ranked by uplift", by_uplift.area, by_uplift.interval),
            ("ranked by score", by_score.area, by_score.interval),
            ("difference", self.comparison.difference, self.comparison.interval),
        )
        rows = [("", "area", "95% interval")]
        rows += [
            (label, num(area), f"{num(low)} to {num(high)}") for label, area, (low, high) in areas
        ]
        low, high = self.effect_interval
        parts = [
            f"{self.num_rows:,} rows, {self.num_treated:,} treated ({self.treated}); the outcome is "
            f"{self.outcome}",
            f"Treating all changes the outcome by {num(self.effect)} a row (95%: {num(low)} to "
            f"{num(high)}).",
            "What treating part of the rows brings, a row of all rows:\n" + _aligned(gains),
            "Area between each order and one by chance:\n" + _aligned(rows),
            self._verdict(),
            f"{self.balance}",
            *self.notes,
        ]
        return "\n\n".join(parts)

    def _verdict(self) -> str:
        low, high = self.comparison.interval
        if self.curves["uplift"].interval[0] <= 0:
            return (
                "No ranking by uplift: its area may as well be 0, so that the rows cannot be told "
                "apart by what the treatment does to them. Decide for all of them by the effect above, "
                "or run a larger experiment."
            )
        if low > 0:
            return "Ranking by uplift is better than ranking by the expected outcome."
        if high < 0:
            return "Ranking by the expected outcome is better than ranking by uplift on these rows."
        return (
            "Ranking by uplift is better than chance; whether it is better than ranking by the "
            "expected outcome cannot be told from so many rows."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; the curves in steps of 1%."""
        return {
            "rows": self.num_rows,
            "treated": self.num_treated,
            "treated_column": self.treated,
            "outcome_column": self.outcome,
            "effect": self.effect,
            "effect_interval": list(self.effect_interval),
            "curves": {
                name: {
                    "share": SHARES.tolist(),
                    "gain": curve.gain.tolist(),
                    "low": curve.low.tolist(),
                    "high": curve.high.tolist(),
                    "area": curve.area,
                    "interval": list(curve.interval),
                }
                for name, curve in self.curves.items()
            },
            "difference": self.comparison.difference,
            "difference_interval": list(self.comparison.interval),
            "balance": {
                "auc": self.balance.auc,
                "interval": list(self.balance.interval),
                "is_even": self.balance.is_even,
            },
            "notes": list(self.notes),
        }

    def plot(self) -> Figure:
        """Both curves with their intervals, and the line of an order by chance: a matplotlib Figure.

        Raises: MissingPackageError: there is no matplotlib.
        """
        from drivetrain.levers.plot import plot_uplift

        return plot_uplift(self)


def fit_uplift(
    frame: Frame,
    treated: str,
    outcome: str,
    *,
    features: Sequence[str] | None = None,
    grow: Grow | None = None,
    folds: int = FOLDS,
    seed: int = 42,
) -> Uplift:
    """Learn from an experiment's rows what the treatment changes for whom.

    Args:
        frame: the rows; each is a person or thing of its own.
        treated: the column that says who was treated: 1 and 0, or yes and no.
        outcome: the column of what came of it: numbers, or yes and no.
        features: columns to learn from, known before the treatment; by default all others.
        grow: fits a model of numbers; by default a forest.
        folds: parts of the rows, each ranked by models of the others; 2 or more.
        seed: of folds, forests and intervals.

    Returns: effects row by row, and what an order by them brings; print it.
    Raises: DataError: a column is missing, of another kind or always the same; rows are too few.
        ConfigError: `folds`.
    """
    if folds < 2:
        raise ConfigError(f"`folds` is 2 or more. Got {folds}.")
    if treated == outcome:
        raise DataError(f"`treated` and `outcome` are one column, {shown(treated)}. Name two.")
    t = _yes_or_no(frame[treated], treated)
    y = _outcomes(frame[outcome], outcome)
    names = [n for n in frame.names if n not in (treated, outcome)]
    if features is not None:
        names = list(features)
        wrong = [name for name in names if name in (treated, outcome)]
        if wrong:
            raise DataError(f"{shown(wrong[0])} is what happened, and cannot be learnt from.")
    num_treated = int(t.sum())
    if min(num_treated, len(t) - num_treated) < max(FEWEST, 2 * folds):
        raise DataError(
            f"{num_treated:,} rows were treated ({treated}) and {len(t) - num_treated:,} were not. It "
            f"takes {max(FEWEST, 2 * folds)} of each, and many more to tell them apart."
        )
    if np.ptp(y) == 0:
        raise DataError(
            f"The outcome {shown(outcome)} is {y[0]:g} in every row: nothing to learn from."
        )
    columns = _Columns.of(frame, names)
    X = columns.matrix(frame)  # noqa: N806
    grow = forest if grow is None else grow
    part = _folds(t, y, folds, seed)

    chance = _out_of_fold(X, t, part, grow, derive(seed, "uplift balance"))
    balance = _balance(_ranks(chance, part), t)
    share = np.full(len(t), t.mean())
    notes = []
    if not balance.is_even:
        share = np.clip(chance, CLIP, 1 - CLIP)
        clipped = float(((chance < CLIP) | (chance > 1 - CLIP)).mean())
        if clipped > 0.05:
            notes.append(
                f"{clipped:.0%} of the rows were treated almost always or almost never: of them little "
                "can be said."
            )
    uplift, if_treated, if_not = np.empty(len(t)), np.empty(len(t)), np.empty(len(t))
    models = []
    for fold in range(folds):
        rest, here = part != fold, part == fold
        model = _XLearner.fit(
            X[rest], t[rest], y[rest], share[rest], grow, derive(seed, "uplift", fold)
        )
        models.append(model)
        found = model.predict(X[here], share[here] if not balance.is_even else None)
        uplift[here], if_treated[here], if_not[here] = found.uplift, found.if_treated, found.if_not
    effects = doubly_robust(t, y, if_treated, if_not, share)
    effect = float(effects.mean())
    half = two_sided(0.95) * float(effects.std(ddof=1) / np.sqrt(len(effects)))
    scores = {"uplift": _ranks(uplift, part), "score": _ranks(if_treated, part)}
    curves, comparison = uplift_curves(scores, effects, seed=seed)
    assert comparison is not None
    rare = float(min(y.sum(), (1 - y).sum())) if set(np.unique(y)) <= {0.0, 1.0} else np.inf
    if rare < 100:
        notes.append(
            f"Only {rare:.0f} rows have the rarer outcome. Intervals of so few are too short rather "
            "than too long."
        )
    return Uplift(
        treated=treated,
        outcome=outcome,
        num_rows=len(t),
        num_treated=num_treated,
        uplift=uplift,
        score=if_treated,
        effect=effect,
        effect_interval=(effect - half, effect + half),
        curves=curves,
        comparison=comparison,
        balance=balance,
        notes=tuple(notes),
        _models=tuple(models),
        _columns=columns,
    )


def doubly_robust(
    treated: np.ndarray,
    outcome: np.ndarray,
    if_treated: np.ndarray,
    if_not: np.ndarray,
    share: np.ndarray,
) -> np.ndarray:
    """(N,) scores whose mean over a group of rows is the effect of treating it.

    Args:
        treated: (N,) 1 or 0.
        outcome: (N,).
        if_treated: (N,) the outcome that models of other rows expect with treatment; `if_not` without.
        share: (N,) the chance of being treated, in (0, 1).
    """
    seen = np.where(treated > 0, (outcome - if_treated) / share, (if_not - outcome) / (1 - share))
    return if_treated - if_not + seen


def forest(X: np.ndarray, y: np.ndarray, seed: int) -> Function:  # noqa: N803
    """The default `grow`: 60 trees, with leaves that grow with the root of the number of rows."""
    from drivetrain.trees.grow import forest as grow_forest

    leaf = max(5, round(0.5 * np.sqrt(len(y))))
    grown = grow_forest(
        X, y, seed=seed & 0x7FFFFFFF, num_trees=60, min_samples_leaf=leaf, max_features=0.5
    )
    return grown.ensemble.predict


@dataclass(frozen=True)
class _Effects:
    uplift: np.ndarray
    if_treated: np.ndarray
    if_not: np.ndarray


@dataclass(frozen=True)
class _XLearner:
    """Four models, and the chance of being treated where it is the same for all."""

    if_treated: Function
    if_not: Function
    of_treated: Function
    of_others: Function
    share: float

    @classmethod
    def fit(
        cls, X: np.ndarray, t: np.ndarray, y: np.ndarray, share: np.ndarray, grow: Grow, seed: int  # noqa: N803
    ) -> _XLearner:  # fmt: skip
        yes, no = t > 0, t <= 0
        seeds = [derive(seed, "x learner", place) for place in range(4)]
        if_treated, if_not = grow(X[yes], y[yes], seeds[0]), grow(X[no], y[no], seeds[1])
        return cls(
            if_treated,
            if_not,
            grow(X[yes], y[yes] - if_not(X[yes]), seeds[2]),
            grow(X[no], if_treated(X[no]) - y[no], seeds[3]),
            float(share.mean()),
        )

    def predict(self, X: np.ndarray, share: np.ndarray | None = None) -> _Effects:  # noqa: N803
        weight = self.share if share is None else share
        uplift = (1 - weight) * self.of_treated(X) + weight * self.of_others(X)
        return _Effects(uplift, self.if_treated(X), self.if_not(X))


@dataclass(frozen=True)
class _Columns:
    """How the columns of a frame become numbers."""

    levels: Mapping[str, tuple[str, ...] | None]
    """Name -> the words, most frequent first; None for numbers and dates."""

    @classmethod
    def of(cls, frame: Frame, names: Sequence[str]) -> _Columns:
        levels: dict[str, tuple[str, ...] | None] = {}
        for name in names:
            values = frame[name]
            if isinstance(values, Factor):
                counts = np.bincount(values.codes[values.codes >= 0], minlength=len(values.levels))
                order = np.argsort(-counts, kind="stable")
                levels[name] = tuple(values.levels[i] for i in order if counts[i])
            else:
                levels[name] = None
        if not levels:
            raise DataError("There is no column to learn from. Name some with features=.")
        return cls(levels)

    def matrix(self, frame: Frame) -> np.ndarray:
        """(N, D): numbers as they are, days of dates; a column a word where there are few."""
        found: list[np.ndarray] = []
        for name, levels in self.levels.items():
            values = frame[name]
            if isinstance(values, Factor) != (levels is not None):
                what = "words" if levels is not None else "numbers"
                raise DataError(f"The column {shown(name)} held {what} where it was learnt from.")
            if levels is None:
                assert not isinstance(values, Factor)
                found.append(_as_numbers(values))
                continue
            codes = values.recoded(levels).codes if isinstance(values, Factor) else values
            if len(levels) <= _MOST_WORDS:
                found += [(codes == place).astype(np.float64) for place in range(len(levels))]
            else:
                found.append(np.where(codes < 0, np.nan, codes))
        return np.stack(found, axis=1)


def _as_numbers(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return np.where(np.isfinite(values), values, np.nan)
    days = values.astype("datetime64[us]").astype(np.int64) / 86_400e6
    return np.where(np.isnat(values), np.nan, days)


def _yes_or_no(values: Values, name: str) -> np.ndarray:
    """(N,) 1.0 or 0.0."""
    if isinstance(values, Factor):
        words = {level.strip().lower(): level for level in values.levels}
        known = [level for level in values.levels if level.strip().lower() in _YES | _NO]
        if len(known) == len(values.levels) == len(words) and (values.codes >= 0).all():
            yes = np.array([level.strip().lower() in _YES for level in values.levels])
            return yes[values.codes].astype(np.float64)
    elif values.dtype.kind == "f" and np.isin(values, (0.0, 1.0)).all():
        return values
    raise DataError(f"The column {shown(name)} has to be 1 and 0, or yes and no, in every row.")


def _outcomes(values: Values, name: str) -> np.ndarray:
    if isinstance(values, Factor):
        return _yes_or_no(values, name)
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise DataError(
            f"The outcome {shown(name)} has to be a number, or yes and no, in every row. Rows without "
            "one can be dropped only where the treatment has nothing to do with its being missing."
        )
    return values


def _folds(t: np.ndarray, y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """(N,) the fold of each row: treated and others, low and high outcomes spread evenly."""
    draw = np.random.default_rng(derive(seed, "uplift folds"))
    shuffled = draw.permutation(len(t))
    order = shuffled[np.lexsort((y[shuffled], t[shuffled]))]
    part = np.empty(len(t), dtype=np.int64)
    starts = np.arange(0, len(t), folds)
    block = draw.permuted(np.tile(np.arange(folds), (len(starts), 1)), axis=1).ravel()[: len(t)]
    part[order] = block
    return part


def _out_of_fold(
    X: np.ndarray, y: np.ndarray, part: np.ndarray, grow: Grow, seed: int  # noqa: N803
) -> np.ndarray:  # fmt: skip
    found = np.empty(len(y))
    for fold in range(int(part.max()) + 1):
        model = grow(X[part != fold], y[part != fold], derive(seed, "fold", fold))
        found[part == fold] = model(X[part == fold])
    if found.shape != y.shape or not np.isfinite(found).all():
        raise ShapeError(
            "`grow` has to give a function of (N, D) columns with (N,) finite numbers."
        )
    return found


def _ranks(scores: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(N,) the rank of each row in its own fold, in (0, 1); ties share theirs.

    Folds are not compared with each other: where a fold has high outcomes by chance, the others, and
    so the model that it is scored with, have low ones, and a ranking over all folds would look worse
    than it is.
    """
    found = np.empty(len(scores))
    for fold in np.unique(part):
        here = part == fold
        _, place, counts = np.unique(scores[here], return_inverse=True, return_counts=True)
        found[here] = ((np.cumsum(counts) - counts / 2) / here.sum())[place]
    return found


def _balance(chance: np.ndarray, t: np.ndarray) -> Balance:
    import torch

    from drivetrain.metrics.ranking import RocAuc

    metric = RocAuc()
    metric.update(torch.from_numpy(chance), torch.from_numpy(t))
    interval = metric.interval()
    assert interval is not None
    return Balance(metric.compute(), interval)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _same_places(table: Sequence[Sequence[float]]) -> Callable[[float], str]:
    """Writes numbers with the places after the point with which the largest of these has three digits."""
    largest = max(abs(value) for row in table for value in row)
    places = max(0, 2 - int(np.floor(np.log10(largest)))) if largest > 0 else 2
    return lambda value: f"{value:,.{min(places, 12)}f}"
