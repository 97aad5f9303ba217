"""What a finding is worth: the score of a simple model with it, and without.

    copies       a model is fitted once, and asked about all validation items, then about those alone that
                 training does not have too
    a column     a tree model is fitted with the column and without, and asked about the same rows
    a split      a tree model is fitted on the split as it is, and on one by somebody, or by time

A word with few rows is no split of a tree: LightGBM passes over categories of fewer than ten rows,
scikit-learn over columns of more than 255. So the trees are also told, of each word of a column of many,
the mean of the target over the training rows that have it; of a training row over the rows of the other
folds, or it would tell the row itself (Micci-Barreca 2001, doi:10.1145/507533.507538).

A score is a mean over items (correct or not, or the absolute error), and the interval of the difference
is of items drawn again with replacement (Efron 1979). What a large model would gain may be more: it can
learn by heart what a tree cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.data.frame import Factor, Frame
from drivetrain.data.split import Split
from drivetrain.errors import MissingPackageError
from drivetrain.interpret import text
from drivetrain.metrics.bootstrap import bootstrap_interval
from drivetrain.randomness import derive
from drivetrain.trees.boost import boosting

MOST_ROWS = 20_000
"""Training rows that a tree model is fitted on; of more, evenly spaced ones."""
TREES, LEAVES, ROWS_A_LEAF = 60, 31, 3
"""Small leaves: what is known by heart is known of few rows."""
MOST_LEVELS = 255
"""Words of a column above which its codes are taken as numbers: scikit-learn's boosting has no more."""
MANY_LEVELS = 20
"""Words of a column from which on their means are told as well."""
FOLDS, PRIOR = 5, 1.0
"""In which means are taken for training rows, and how many rows the mean of all counts as."""
MOST_MEANS = 5
"""Classes, the commonest, of which a word's mean is told."""
NEIGHBOUR_BLOCK = 1024
FEWEST = 10
"""Items that a score is told of."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Worth:
    """A score with something, and without it."""

    metric: str
    """`accuracy`, of which more is better, or `mean absolute error`, of which less is."""
    model: str
    """By which simple model."""
    with_it: float
    """The score with it."""
    without: float
    """The score without it."""
    low: float
    """Of the difference: how much better the score looks with it, whatever way the metric counts."""
    high: float
    """The other end of the same interval."""
    num_items: int
    """Validation items that were asked about, with it."""
    confidence: float = CONFIDENCE
    """Of the interval."""

    @property
    def difference(self) -> float:
        """How much better the score looks with it."""
        apart = self.with_it - self.without
        return (apart if self.metric == "accuracy" else -apart) + 0.0  # no -0

    @property
    def is_clear(self) -> bool:
        """The score looks better with it beyond chance."""
        return self.low > 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**self.__dict__, "difference": self.difference, "is_clear": self.is_clear}

    def __str__(self) -> str:
        told = "" if self.is_clear else "; chance alone could do that"
        return (
            f"Worth: {self.metric} of {self.model} {text.number(self.with_it)} with it, "
            f"{text.number(self.without)} without: {self.difference:+.4f} "
            f"({100 * self.confidence:.4g}%: {self.low:+.4f} to {self.high:+.4f}){told}."
        )


def worth_of_copies(
    right: np.ndarray, is_copy: np.ndarray, *, metric: str, model: str
) -> Worth | None:
    """Of a score on all items less that on those that are no copies.

    Args:
        right: (N,) float64, of each item 1 where the model is right, or its absolute error.
        is_copy: (N,) bool.
    Returns: None where there are fewer than `FEWEST` items of either kind than can be told of.
    """
    count = len(right)
    if not is_copy.any() or count - int(is_copy.sum()) < FEWEST:
        return None
    sign = 1.0 if metric == "accuracy" else -1.0
    others = np.where(is_copy, 0.0, 1.0)

    def apart(weights: np.ndarray) -> np.ndarray:
        rest = weights @ others
        with np.errstate(invalid="ignore", divide="ignore"):
            return sign * (
                weights @ right / weights.sum(axis=1) - weights @ (others * right) / rest
            )

    value = float(apart(np.ones((1, count)))[0])
    return _worth(metric, model, right.mean(), right[~is_copy].mean(), value, apart, count)


def worth_of_column(
    with_it: np.ndarray, without: np.ndarray, *, metric: str, model: str
) -> Worth | None:
    """Of two models on the same rows.

    Args:
        with_it: (N,) float64 as `right` above, of the model that has the column; also `without`.
    """
    count = len(with_it)
    if count < FEWEST:
        return None
    gain = (with_it - without) * (1.0 if metric == "accuracy" else -1.0)

    def apart(weights: np.ndarray) -> np.ndarray:
        return weights @ gain / weights.sum(axis=1)

    value = float(gain.mean())
    return _worth(metric, model, with_it.mean(), without.mean(), value, apart, count)


def worth_of_split(
    as_it_is: np.ndarray,
    kept_apart: np.ndarray,
    *,
    metric: str,
    model: str,
    confidence: float = CONFIDENCE,
) -> Worth | None:
    """Of the same model on two splits; the two parts that validate are different rows.

    Args:
        as_it_is: (N,) as `right` above, on the split as it is.
        kept_apart: (M,) the same on the other one.
        confidence: of the interval; higher where several are looked at for one that is clear.
    """
    count = len(as_it_is)
    if min(count, len(kept_apart)) < FEWEST:
        return None
    sign = 1.0 if metric == "accuracy" else -1.0
    one = np.concatenate([as_it_is, np.zeros(len(kept_apart))])
    other = np.concatenate([np.zeros(count), kept_apart])
    is_one = np.arange(len(one)) < count

    def apart(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return sign * (
                weights @ one / (weights @ is_one) - weights @ other / (weights @ ~is_one)
            )

    value = float(apart(np.ones((1, len(one))))[0])
    scores = float(as_it_is.mean()), float(kept_apart.mean())
    return _worth(metric, model, *scores, value, apart, len(one), count, confidence=confidence)


def _worth(
    metric: str,
    model: str,
    with_it: Any,
    without: Any,
    value: float,
    apart: Any,
    drawn: int,
    count: int | None = None,
    *,
    confidence: float = CONFIDENCE,
) -> Worth | None:
    found = bootstrap_interval(value, apart, drawn, confidence=confidence, name=f"worth {metric}")
    if found is None:
        return None
    return Worth(
        metric, model, float(with_it), float(without), found[0] + 0.0, found[1] + 0.0,
        drawn if count is None else count, confidence,
    )  # fmt: skip


def nearest_is_right(
    seen: np.ndarray, seen_labels: np.ndarray, asked: np.ndarray, asked_labels: np.ndarray
) -> np.ndarray:
    """(M,) float64: 1 where the nearest training item by cosine has the label, or the absolute error.

    Args:
        seen: (N, D) float32 vectors of training items.
        seen_labels: (N,) integers for classes, float64 for numbers.
        asked: (M, D) vectors of validation items, with their labels.
    """
    lengths = np.linalg.norm(seen, axis=1, keepdims=True)
    known = (seen / np.maximum(lengths, 1e-12)).T
    nearest = np.concatenate(
        [
            (asked[at : at + NEIGHBOUR_BLOCK] @ known).argmax(axis=1)
            for at in range(0, len(asked), NEIGHBOUR_BLOCK)
        ]
        or [np.zeros(0, np.int64)]
    )
    return _right(seen_labels[nearest], asked_labels)


def trees_are_right(
    frame: Frame, targets: np.ndarray, split: Split, *, num_classes: int
) -> np.ndarray | None:
    """(M,) float64 of the validation rows, of a small boosting model: right or not, or the error.

    Args:
        frame: N rows of the columns that a model sees.
        targets: (N,) int64 classes, or float64 numbers.
        split: positions of rows that train and validate.
        num_classes: 0 for numbers.
    Returns: None where neither LightGBM nor scikit-learn is installed, there is no column, or training
        lacks a class.
    """
    columns, categorical = matrix_of(frame)
    if not columns.shape[1]:
        return None
    train = np.array(split.train, dtype=np.int64)
    valid = np.array(split.valid, dtype=np.int64)
    train = train[:: max(1, -(-len(train) // MOST_ROWS))]
    if num_classes and len(np.unique(targets[train])) < num_classes:
        return None
    columns = np.concatenate(
        [columns, *_means_of(frame, targets, train, num_classes=num_classes)], axis=1
    )
    try:
        grown = boosting(
            columns[train],
            targets[train],
            num_classes=num_classes,
            num_trees=TREES,
            num_leaves=LEAVES,
            min_samples_leaf=ROWS_A_LEAF,
            categorical=categorical,
        )
    except MissingPackageError:
        return None
    said = grown.ensemble.predict(columns[valid])
    return _right(said.argmax(axis=1) if num_classes else said, targets[valid])


def matrix_of(frame: Frame) -> tuple[np.ndarray, list[int]]:
    """(N, K) float64 of all columns, NaN where missing, and which are codes of categories."""
    columns, categorical = [], []
    for name in frame.names:
        values = frame[name]
        if isinstance(values, Factor):
            if len(values.levels) < MOST_LEVELS:
                categorical.append(len(columns))
            columns.append(np.where(values.codes < 0, np.nan, values.codes))
        elif values.dtype.kind == "M":
            days = values.astype("datetime64[us]").astype(np.float64) / 86_400e6
            columns.append(np.where(np.isnat(values), np.nan, days))
        else:
            columns.append(np.where(np.isfinite(values), values, np.nan))
    found = np.empty((len(frame), len(columns)), dtype=np.float64)
    for place, values in enumerate(columns):
        found[:, place] = values
    return found, categorical


def _means_of(
    frame: Frame, targets: np.ndarray, train: np.ndarray, *, num_classes: int
) -> Iterator[np.ndarray]:
    """(N, T) float64 for each column of many words: the mean target of training rows with a row's word.

    T is 1 for numbers and for two classes, else one for each of the commonest classes.
    """
    known = targets[train]
    if not num_classes:
        wanted = known[:, None].astype(np.float64)
    elif num_classes == 2:
        wanted = (known == 1)[:, None].astype(np.float64)
    else:
        common = np.argsort(-np.bincount(known, minlength=num_classes), kind="stable")
        wanted = (known[:, None] == common[:MOST_MEANS]).astype(np.float64)
    middle = wanted.mean(axis=0)
    draw = np.random.Generator(np.random.PCG64(derive(0, "worth folds")))
    fold = draw.integers(0, FOLDS, len(train))
    for name in frame.names:
        values = frame[name]
        if not isinstance(values, Factor) or len(values.levels) < MANY_LEVELS:
            continue
        codes = values.codes.astype(np.int64) + 1  # 0 where missing
        size = len(values.levels) + 1

        def means(rows: np.ndarray, codes: np.ndarray = codes, size: int = size) -> np.ndarray:
            of = codes[train[rows]]
            counts = np.bincount(of, minlength=size)[:, None]
            sums = np.stack([np.bincount(of, one, size) for one in wanted[rows].T], axis=1)
            return (sums + PRIOR * middle) / (counts + PRIOR)

        told = means(np.ones(len(train), dtype=bool))[codes]
        for one in range(FOLDS):
            told[train[fold == one]] = means(fold != one)[codes[train[fold == one]]]
        yield told


def _right(said: np.ndarray, true: np.ndarray) -> np.ndarray:
    if true.dtype.kind in "iu":
        return (said == true).astype(np.float64)
    return np.abs(said - true).astype(np.float64)


def metric_of(targets: np.ndarray) -> str:
    """What is measured of such targets."""
    return "accuracy" if targets.dtype.kind in "iu" else "mean absolute error"
