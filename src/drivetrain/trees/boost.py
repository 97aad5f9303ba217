"""Gradient boosting: each tree is fitted to what those before it left, and adds a little.

Paper: Friedman 2001, doi:10.1214/aos/1013203451. LightGBM grows the trees (Ke et al. 2017), or
scikit-learn's histogram boosting, which is of the same design. Outputs are margins: numbers, log odds,
or the logarithm of an expected count.

    margin = base + sum over trees of learning_rate * tree

with the rate inside the leaves' values. LightGBM puts the base into the first tree.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.trees import from_histograms, from_lightgbm
from drivetrain.trees.grown import Grown, Rows, check_counts, checked_rows

LIBRARIES = ("lightgbm", "scikit-learn")
LOSSES = ("squared_error", "poisson")
"""Of numbers; that of classes is `log_loss`."""

MOST_CATEGORY = 2**31 - 2
"""LightGBM reads a code as an int of 32 bits."""


def boosting(
    X: np.ndarray,  # noqa: N803
    y: np.ndarray,
    *,
    num_classes: int = 0,
    sample_weight: np.ndarray | None = None,
    seed: int = 42,
    library: str | None = None,
    num_trees: int = 100,
    learning_rate: float = 0.1,
    num_leaves: int = 31,
    min_samples_leaf: int = 20,
    max_depth: int | None = None,
    l2: float = 0.0,
    max_features: float = 1.0,
    max_samples: float = 1.0,
    loss: str | None = None,
    categorical: Sequence[int] = (),
    valid: tuple[np.ndarray, np.ndarray] | None = None,
    patience: int = 50,
    num_threads: int = 1,
) -> Grown:
    """Grow trees one on another.

    Args:
        X: (N, K) columns, NaN where missing.
        y: (N,) numbers, or classes 0..C-1, each of which some row is of.
        num_classes: C, or 0 for numbers.
        sample_weight: (N,) what each row counts.
        seed: of what is drawn, where `max_features` or `max_samples` is below 1.
        library: `lightgbm` or `scikit-learn`; by default the first that is installed.
        num_trees: stages; with more than two classes, each stage grows a tree a class.
        learning_rate: what a tree's answer is multiplied by, in (0, 1].
        num_leaves: of a tree, at most.
        min_samples_leaf: rows that a leaf holds at least.
        max_depth: levels below a root, at most 512, the default.
        l2: weight of the penalty on the leaves' values.
        max_features: share of the columns that a tree (scikit-learn: a split) may ask about.
        max_samples: share of the rows that a tree is fitted to; LightGBM only.
        loss: `squared_error` (default) or `poisson` for numbers; classes have `log_loss`.
        categorical: columns that hold codes 0, 1, … of categories, which are split into two sets.
            scikit-learn takes at most 255 codes a column.
        valid: rows (X, y) that decide how many stages are kept: those up to the lowest loss on them.
        patience: stages without a lower one after which no more are grown.
        num_threads: the trees do not depend on it.
    Raises: ShapeError, ConfigError, DataError: the rows or settings cannot be used.
        MissingPackageError: the library is not installed.
    """
    rows = checked_rows(X, y, num_classes=num_classes, sample_weight=sample_weight)
    check_counts(
        num_trees=(num_trees, 1),
        num_leaves=(num_leaves, 2),
        min_samples_leaf=(min_samples_leaf, 1),
        max_depth=(max_depth, 1),
        patience=(patience, 1),
        num_threads=(num_threads, 1),
    )
    if library is None:
        library = "lightgbm" if importlib.util.find_spec("lightgbm") else "scikit-learn"
    if library not in LIBRARIES:
        raise ConfigError(f"`library` is {' or '.join(LIBRARIES)}. Got {library!r}.")
    settings = {
        "num_trees": num_trees,
        "learning_rate": learning_rate,
        "num_leaves": num_leaves,
        "min_samples_leaf": min_samples_leaf,
        "max_depth": max_depth,
        "l2": l2,
        "max_features": max_features,
        "max_samples": max_samples,
        "loss": _checked_loss(loss, rows),
        "categorical": sorted({int(column) for column in categorical}),
        "patience": patience,
        "seed": seed,
    }
    _check_shares(settings, library)
    _check_classes(rows)
    _check_codes(rows.X, settings["categorical"])
    held_out = _checked_valid(valid, rows, settings)
    grow = from_lightgbm.grow if library == "lightgbm" else from_histograms.grow
    return grow(rows, held_out, settings, num_threads)


def _checked_loss(loss: str | None, rows: Rows) -> str:
    if rows.num_classes:
        if loss not in (None, "log_loss"):
            raise ConfigError(f"`loss` of classes is log_loss. Got {loss!r}.")
        return "log_loss"
    if loss not in (None, *LOSSES):
        raise ConfigError(f"`loss` of numbers is {' or '.join(LOSSES)}. Got {loss!r}.")
    if loss == "poisson" and (rows.y.min() < 0 or not rows.y.any()):
        raise DataError(
            "The loss poisson is of counts: none negative, and not all 0. "
            f"The target's least is {rows.y.min():g}. Use squared_error."
        )
    return loss or "squared_error"


def _check_shares(settings: dict[str, Any], library: str) -> None:
    for name in ("learning_rate", "max_features", "max_samples"):
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise ConfigError(f"`{name}` is a number above 0 and up to 1. Got {value!r}.")
    if not isinstance(settings["l2"], int | float) or not 0 <= settings["l2"] < np.inf:
        raise ConfigError(f"`l2` is a number from 0 up. Got {settings['l2']!r}.")
    if library == "scikit-learn" and settings["max_samples"] != 1:
        raise ConfigError(
            "scikit-learn's boosting fits each tree to all rows. Leave `max_samples` out, or use "
            "lightgbm."
        )


def _check_classes(rows: Rows) -> None:
    absent = set(range(rows.num_classes)) - set(np.unique(rows.y).tolist())
    if absent:
        raise DataError(
            f"No row is of class {min(absent)} of {rows.num_classes}, and boosting has to see each. "
            "Leave such classes out, or grow a forest."
        )


def _check_codes(X: np.ndarray, categorical: Sequence[int]) -> None:  # noqa: N803
    for column in categorical:
        if not 0 <= column < X.shape[1]:
            raise ConfigError(
                f"`categorical` names columns from 0 to {X.shape[1] - 1}. Got {column}."
            )
        codes = X[:, column]
        known = codes[~np.isnan(codes)]
        wrong = known[(known < 0) | (known > MOST_CATEGORY) | (known != np.floor(known))]
        if len(wrong):
            raise DataError(
                f"The categorical column {column} holds {wrong[0]:g}. Its codes are whole numbers from "
                "0 up, and NaN where missing."
            )


def _checked_valid(
    valid: tuple[np.ndarray, np.ndarray] | None, rows: Rows, settings: dict[str, Any]
) -> Rows | None:
    if valid is None:
        return None
    found = checked_rows(*valid, num_classes=rows.num_classes)
    if found.X.shape[1] != rows.X.shape[1]:
        raise ShapeError(
            f"`valid` has {found.X.shape[1]} columns, and the training rows {rows.X.shape[1]}."
        )
    _check_codes(found.X, settings["categorical"])
    if settings["loss"] == "poisson" and found.y.min() < 0:
        raise DataError(f"`valid` holds the count {found.y.min():g}. Counts are not negative.")
    return found
