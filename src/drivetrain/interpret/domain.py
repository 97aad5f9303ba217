"""Do new rows come from where the training rows came from? Column by column, and all columns together.

**Columns.** Numbers and dates: the test of Kolmogorov and Smirnov, a missing value standing below all
others. Categories: chi-squared, with those that are expected less than 5 times taken together (Cochran
1954). The p-values are corrected by Holm 1979, so that a column is named by chance in at most `level` of
cases, however the columns hang together.

**All together** (chapter 9 of the fastai book): a forest is taught to tell training rows from new ones,
on `folds` - 1 parts and asked about the other. The area under its ROC curve is 0.5 where it cannot, and
its importances say which columns give the new rows away: those that a model should not lean on, or that
are about to change. Within each part a Mann-Whitney test asks whether the forest did better than chance;
twice the mean of their p-values holds however the parts hang together (Vovk & Wang 2020,
doi:10.1093/biomet/asaa027). It sees changes in how columns go together, which the columns one by one
hide.

Twice the smaller of both p-values is that of the whole, so that the alarm, too, is false in at most
`level` of cases. Rows beyond `MOST_ROWS` of either table are drawn down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from drivetrain._optional import require
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import drawing, text
from drivetrain.interpret.asking import generator, sampled
from drivetrain.interpret.association import as_numbers
from drivetrain.metrics.ranking import midranks
from drivetrain.trees.grow import forest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Grow: TypeAlias = Callable[
    [np.ndarray, np.ndarray, int], tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]
]
"""(N, K) float64, (N,) int64 of 0 and 1, a seed -> what scores rows, (M, K) -> (M,), higher for 1; and
(K,) importances."""

MOST_ROWS = 20_000
"""Rows of each table that are compared, at most."""

FEWEST_EXPECTED = 5.0
"""Of a category, in either table, for the limit of chi-squared to hold."""


class ColumnShift(NamedTuple):
    """One column in both tables."""

    name: str
    """Of the column."""
    distance: float
    """How far the two distributions are apart, in [0, 1]: the largest gap of the shares up to a value, or
    half the sum of the differences of the shares of the categories."""
    p_value: float
    """Of this column alone."""
    corrected: float
    """By Holm, for all columns together."""
    importance: float | None
    """Share of what the forest used to tell the rows apart; None without a forest."""


class Separation(NamedTuple):
    """How well a forest tells the two tables apart."""

    area: float
    """Under the ROC curve, the mean over the parts: how often a new row gets the higher score."""
    p_value: float
    """How often chance alone gives as good a one, at most."""
    areas: tuple[float, ...]
    """Of each part."""


@dataclass(frozen=True)
class DomainShift:
    """Whether new rows are of another source, and which columns say so."""

    p_value: float
    """How often chance alone gives a table as different, at most."""
    level: float
    """The share of tables of the same source that are called shifted, at most."""
    columns: tuple[ColumnShift, ...]
    """All that were compared; the surest first, and of equally sure ones the farther apart."""
    separation: Separation | None
    """Of the forest; None where none was grown."""
    num_train: int
    """Training rows that were compared."""
    num_new: int
    """New rows that were compared."""

    @property
    def is_shifted(self) -> bool:
        """Whether the p-value is at or below the level."""
        return self.p_value <= self.level

    @property
    def moved(self) -> tuple[str, ...]:
        """Columns whose corrected p-value is at or below the level."""
        return tuple(column.name for column in self.columns if column.corrected <= self.level)

    @property
    def giving_away(self) -> tuple[str, ...]:
        """Columns by what the forest used, the most first; those of less than a twentieth are left
        out."""
        used = [(c.importance, c.name) for c in self.columns if (c.importance or 0) >= 0.05]
        return tuple(name for _, name in sorted(used, reverse=True))

    @property
    def text(self) -> str:
        """What was found, in sentences."""
        apart = ""
        if self.separation is not None:
            area = self.separation.area
            apart = f" A forest tells them apart with an area under the ROC curve of {area:.3f}"
            apart += (
                f", by {text.listed(self.giving_away)}."
                if self.is_shifted and self.giving_away
                else "."
            )
        if not self.is_shifted:
            return (
                f"No shift seen between {text.rows(self.num_train)} and {self.num_new:,} new ones "
                f"(p = {text.chance(self.p_value)}, level {self.level:g}).{apart}"
            )
        count = len(self.moved)
        if count:
            found = f"{count} of {len(self.columns)} columns moved: {text.listed(self.moved)}."
        else:
            found = "No column moved by itself: how they go together did."
        return (
            f"The {self.num_new:,} new rows are not like the {self.num_train:,} of training "
            f"(p = {text.chance(self.p_value)}, level {self.level:g}). {found}{apart}"
        )

    def to_json(self) -> dict[str, Any]:
        """All fields, and the text."""
        return {
            "p_value": self.p_value,
            "is_shifted": self.is_shifted,
            "level": self.level,
            "columns": [column._asdict() for column in self.columns],
            "separation": None
            if self.separation is None
            else {**self.separation._asdict(), "areas": list(self.separation.areas)},
            "num_train": self.num_train,
            "num_new": self.num_new,
            "text": self.text,
        }

    def __str__(self) -> str:
        has_forest = self.separation is not None
        rows = [
            [
                text.cut(c.name),
                f"{c.distance:.3f}",
                text.chance(c.p_value),
                text.chance(c.corrected),
                "moved" if c.corrected <= self.level else "",
                *([f"{c.importance:.3f}"] if c.importance is not None else []),
            ]
            for c in self.columns
        ]
        heads = ["column", "distance", "p", "p corrected", "", *(["forest"] if has_forest else [])]
        return "\n".join([text.wrapped(self.text), text.table(heads, rows)])

    def plot(self) -> Figure:
        """How far each column is apart, and beside it what the forest used.

        Raises: MissingPackageError: there is no matplotlib.
        """
        shown = self.columns[: drawing.MOST_BARS]
        has_forest = self.separation is not None
        figure = drawing.new_figure(8 if has_forest else 7, drawing.height_of(len(shown)))
        all_axes = figure.subplots(1, 2 if has_forest else 1, sharey=True, squeeze=False)[0]
        colours = [drawing.UP if c.corrected <= self.level else drawing.FAINT for c in shown]
        all_axes[0].barh(range(len(shown)), [c.distance for c in shown], color=colours, height=0.7)
        all_axes[0].set_xlim(0, max(0.1, *(c.distance for c in shown)) * 1.05)
        all_axes[0].set_xlabel("distance of the distributions (red: moved)", fontsize=9)
        if has_forest:
            all_axes[1].barh(
                range(len(shown)),
                [c.importance or 0.0 for c in shown],
                color=drawing.PLAIN,
                height=0.7,
            )
            all_axes[1].set_xlabel("share of what the forest used", fontsize=9)
        for axes in all_axes:
            drawing.name_lines(axes, [c.name for c in shown])
            axes.grid(axis="x", alpha=0.3)
            drawing.bare(axes)
        left = len(self.columns) - len(shown)
        drawing.note_below(figure, self.text + (f" {left} columns are not shown." if left else ""))
        return figure


def out_of_domain(
    train: Frame,
    new: Frame,
    *,
    names: Sequence[str] | None = None,
    grow: Grow | None = None,
    with_forest: bool = True,
    folds: int = 5,
    level: float = 0.01,
    seed: int = 42,
) -> DomainShift:
    """Compare new rows with those of training.

    Args:
        train: rows that the model was trained on.
        new: rows that came since.
        names: which columns, by default all of `train`.
        grow: grows the forest; by default that of `drivetrain.trees`. Columns reach it as the places of
            their values among those of both tables, in order, a missing one being the lowest.
        with_forest: False leaves it out, and takes the columns one by one alone.
        folds: parts of the rows, 2 or more.
        level: share of false alarms, in (0, 1).
        seed: of the sample, the parts and the forest.

    Returns: how well the two are told apart, and by which columns; print it.
    Raises: DataError: a column is not in both tables or of another kind there, or there are fewer rows
        than `folds`. ConfigError: a setting out of range. MissingPackageError: there is no scipy.
    """
    who = "out_of_domain"
    if not 0 < level < 1 or folds < 2:
        raise ConfigError(
            f"`{who}` needs a `level` in (0, 1) and 2 `folds` or more. Got {level} and {folds}."
        )
    chosen = tuple(train.names if names is None else names)
    absent = [name for name in chosen if name not in train or name not in new]
    if absent or not chosen:
        raise DataError(
            f"`{who}` compares columns of both tables. Not in both: {text.listed(absent)}."
        )
    if min(len(train), len(new)) < (folds if with_forest else 1):
        raise DataError(
            f"`{who}` got {text.rows(len(train))} and {len(new)} new ones, expected {folds} or more of "
            "each."
        )
    train = train.take(sampled(len(train), MOST_ROWS, seed=seed, purpose=f"{who} train"))
    new = new.take(sampled(len(new), MOST_ROWS, seed=seed, purpose=f"{who} new"))
    pairs = [_comparable(who, name, train[name], new[name]) for name in chosen]
    tested = [
        _kinds_test(*pair) if isinstance(train[name], Factor) else _numbers_test(*pair)
        for name, pair in zip(chosen, pairs, strict=True)
    ]
    p_values = np.array([p for p, _ in tested])
    corrected = holm(p_values)
    separation, importances = None, [None] * len(chosen)
    if with_forest:
        separation, used = _separate(pairs, grow or _own_forest, folds, seed)
        importances = used.tolist()
    columns = [
        ColumnShift(name, distance, p, float(c), importance)
        for name, (p, distance), c, importance in zip(
            chosen, tested, corrected, importances, strict=True
        )
    ]
    p_value = float(corrected.min())
    if separation is not None:
        p_value = min(1.0, 2 * min(p_value, separation.p_value))
    return DomainShift(
        p_value=p_value,
        level=level,
        columns=tuple(sorted(columns, key=lambda c: (c.corrected, c.p_value, -c.distance))),
        separation=separation,
        num_train=len(train),
        num_new=len(new),
    )


def holm(p_values: np.ndarray, out_of: int | None = None) -> np.ndarray:
    """(K,) p-values -> (K,) corrected ones, in their order (Holm 1979).

    Args:
        p_values: each in [0, 1].
        out_of: how many there would be, of which these were picked by looking; None: these are all.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    most = len(p_values) if out_of is None else out_of
    factors = np.arange(most, most - len(p_values), -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return corrected


def _comparable(who: str, name: str, old: Values, new: Values) -> tuple[np.ndarray, np.ndarray]:
    """Both columns by the places of their values among those of both, so that 0 is the lowest.

    A missing one stands below all others. Neither test nor trees ask for more than the order, and places
    survive the float32 that trees may compare in, where dates would not.
    """
    if isinstance(old, Factor) != isinstance(new, Factor) or _kind(old) != _kind(new):
        raise DataError(
            f"`{who}` got the column {name!r} of another kind in each table. Read both the same way."
        )
    if isinstance(old, Factor) and isinstance(new, Factor):
        known = set(old.levels)
        new = new.recoded((*old.levels, *(word for word in new.levels if word not in known)))
    both = np.concatenate([as_numbers(old), as_numbers(new)])
    _, places = np.unique(np.where(np.isnan(both), -np.inf, both), return_inverse=True)
    before, after = np.split(places.astype(np.float64), [len(old)])
    return before, after


def _kind(values: Values) -> str:
    return "words" if isinstance(values, Factor) else values.dtype.kind


def _numbers_test(old: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """p-value and largest gap. The limit of the distribution: ties only make it more careful."""
    found = require("scipy.stats", extra="tabular").ks_2samp(old, new, method="asymp")
    return float(found.pvalue), float(found.statistic)


def _kinds_test(old: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """p-value and distance of the shares."""
    both = np.concatenate([old, new])
    kinds, codes = np.unique(both, return_inverse=True)
    counts = np.stack(
        [np.bincount(part, minlength=len(kinds)) for part in np.split(codes, [len(old)])]
    )
    shares = counts / counts.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    counts = counts[:, np.argsort(counts.sum(axis=0), kind="stable")]  # the rarest first
    expected = counts.sum(axis=0) * min(len(old), len(new)) / len(both)
    num_rare = int((expected < FEWEST_EXPECTED).sum())
    while num_rare and num_rare < len(kinds) and expected[:num_rare].sum() < FEWEST_EXPECTED:
        num_rare += 1  # the rest is too rare itself: the next rarest joins it
    if num_rare:
        counts = np.concatenate(
            [counts[:, :num_rare].sum(axis=1, keepdims=True), counts[:, num_rare:]], axis=1
        )
    if counts.shape[1] < 2:
        return 1.0, distance
    tested = require("scipy.stats", extra="tabular").chi2_contingency(counts, correction=False)
    return float(tested.pvalue), distance


def _separate(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], grow: Grow, folds: int, seed: int
) -> tuple[Separation, np.ndarray]:
    X = np.stack([np.concatenate(pair) for pair in pairs], axis=1)  # noqa: N806 - as trees/
    num_train = len(pairs[0][0])
    y = (np.arange(len(X)) >= num_train).astype(np.int64)
    fold = np.empty(len(X), dtype=np.int64)  # each part has its share of both tables
    for part in (0, 1):
        rows = np.flatnonzero(y == part)
        drawn = generator(seed, "domain folds", part).permutation(len(rows))
        fold[rows[drawn]] = np.arange(len(rows)) % folds
    areas, p_values, importances = [], [], []
    for number in range(folds):
        is_held = fold == number
        predict, importance = grow(X[~is_held], y[~is_held], seed + number)
        area, p_value = _area(np.asarray(predict(X[is_held])), y[is_held])
        areas.append(area)
        p_values.append(p_value)
        importances.append(importance)
    used = np.mean(importances, axis=0)
    total = float(used.sum())
    separation = Separation(
        float(np.mean(areas)), min(1.0, 2 * float(np.mean(p_values))), tuple(areas)
    )
    return separation, used / total if total > 0 else used


def _area(scores: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and the p-value of one as large (Mann-Whitney)."""
    positives, negatives = int(y.sum()), int(len(y) - y.sum())
    ranks = midranks(scores.astype(np.float64))
    area = (float(ranks[y == 1].sum()) - positives * (positives + 1) / 2) / (positives * negatives)
    if np.ptp(scores) == 0:
        return 0.5, 1.0
    test = require("scipy.stats", extra="tabular").mannwhitneyu
    return area, float(test(scores[y == 1], scores[y == 0], alternative="greater").pvalue)


def _own_forest(
    X: np.ndarray,  # noqa: N803 - as trees/
    y: np.ndarray,
    seed: int,
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    grown = forest(X, y, num_classes=2, seed=seed, min_samples_leaf=3)
    return lambda rows: grown.ensemble.predict(rows)[:, 1], grown.ensemble.importance()
