"""Fitting each kind of model to a table; nothing here looks at the validation rows.

`FITTERS` is the list: name -> what it is and how it is fitted. Where a model has to choose when to stop
(boosting), it does so on a share of the training rows that is split off in the manner of the split.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from drivetrain._optional import require
from drivetrain._registry import lookup
from drivetrain.errors import ConfigError
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import Estimator, LinearEstimator, Prepared, TreeEstimator
from drivetrain.trees import grow

MOST_ROUNDS = 1000
"""Trees that boosting makes at most; it stops where the held-out rows stop gaining."""
PATIENCE = 30
ONE_THREAD = 1_000_000
"""Rows times columns up to which boosting takes one thread: its threads meet after each split, and where
another program has one of the cores, they wait for each other longer than they work."""
SHAPES = ((31, 1.0), (127, 0.6))
"""Leaves of a tree and share of the columns that it may ask about: a usual one, and one for tables where
much depends on many columns together."""
CHOOSES = 2_000_000
"""Rows times columns up to which boosting tries each shape."""
MOST_CODES = {"lightgbm": 2**31 - 2, "scikit-learn": 255}
"""Codes of a category that boosting can split into sets."""


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator and what fitting told."""

    estimator: Estimator
    settings: dict[str, Any]
    """What it was fitted with, plain JSON."""
    oob: np.ndarray | None = None
    """(N, V) predictions of the training rows by trees that have not seen them; NaN where none has."""
    curve: grow.Curve | None = None
    """Of boosting: the loss after each stage, on rows held out of the training ones."""


@dataclass(frozen=True)
class Fitter:
    """How one kind of model is fitted."""

    name: str
    what: str
    """One line: what it is."""
    fit: Callable[..., Fitted]
    """`(data, seed=, num_threads=, **settings)`."""
    is_baseline: bool = False
    """Stands in every result to compare with."""
    many_targets: bool = False
    """Whether it predicts several numbers at once."""


def fit_majority(data: TabularData, *, seed: int, num_threads: int) -> Fitted:
    """The commonest class, or the mean."""
    matrix, targets = _design(data)
    if targets.ndim == 2:  # several numbers: a linear model that heeds no column
        weights = np.zeros((len(data.preprocess.linear_names), targets.shape[1]))
        return Fitted(LinearEstimator(weights, targets.mean(axis=0), False), {})
    return _grown(grow.majority(matrix, targets, num_classes=len(data.classes)))


def fit_one_r(data: TabularData, *, seed: int, num_threads: int) -> Fitted:
    """The one best split of one column."""
    matrix, targets = _design(data)
    return _grown(grow.one_r(matrix, targets, num_classes=len(data.classes)))


def fit_tree(
    data: TabularData,
    *,
    seed: int,
    num_threads: int,
    min_samples_leaf: int | None = None,
    max_leaf_nodes: int | None = None,
    max_depth: int | None = None,
) -> Fitted:
    """One decision tree; by default with leaves of at least 1% of the rows, which can be read."""
    matrix, targets = _design(data)
    if min_samples_leaf is None:
        bounds = (max_leaf_nodes, max_depth)
        min_samples_leaf = 1 if any(b is not None for b in bounds) else max(5, len(matrix) // 100)
    return _grown(
        grow.tree(
            matrix,
            targets,
            num_classes=len(data.classes),
            min_samples_leaf=min_samples_leaf,
            max_leaf_nodes=max_leaf_nodes,
            max_depth=max_depth,
            seed=seed,
        )
    )


def fit_forest(
    data: TabularData,
    *,
    seed: int,
    num_threads: int,
    num_trees: int = 100,
    min_samples_leaf: int = 3,
    max_features: float | str = 0.5,
    max_samples: int | float | None = None,
) -> Fitted:
    """Trees on resampled rows, averaged."""
    matrix, targets = _design(data)
    return _grown(
        grow.forest(
            matrix,
            targets,
            num_classes=len(data.classes),
            num_trees=num_trees,
            min_samples_leaf=min_samples_leaf,
            max_features=max_features,
            max_samples=max_samples,
            seed=seed,
            num_threads=num_threads,
        )
    )


def fit_extra_trees(
    data: TabularData,
    *,
    seed: int,
    num_threads: int,
    num_trees: int = 100,
    min_samples_leaf: int = 3,
    max_features: float | str = 0.5,
) -> Fitted:
    """Trees with random thresholds on all rows, averaged."""
    matrix, targets = _design(data)
    return _grown(
        grow.extra_trees(
            matrix,
            targets,
            num_classes=len(data.classes),
            num_trees=num_trees,
            min_samples_leaf=min_samples_leaf,
            max_features=max_features,
            seed=seed,
            num_threads=num_threads,
        )
    )


def fit_boosting(
    data: TabularData,
    *,
    seed: int,
    num_threads: int,
    library: str | None = None,
    num_trees: int | None = None,
    learning_rate: float = 0.05,
    num_leaves: int | None = None,
    max_features: float | None = None,
    min_samples_leaf: int = 20,
) -> Fitted:
    """Small trees, each on what those before left over.

    How many is found on a tenth of the training rows, then all of them are used. Where none of
    `num_leaves`, `max_features` and `num_trees` is given and the table is not too large, the same tenth
    chooses among `SHAPES`; otherwise what is not given is as in the first of them.
    """
    return _boosted(
        data,
        [],
        num_trees,
        (num_leaves, max_features),
        library=library,
        learning_rate=learning_rate,
        min_samples_leaf=min_samples_leaf,
        seed=seed,
        num_threads=num_threads,
    )


def fit_boosting_sets(
    data: TabularData,
    *,
    seed: int,
    num_threads: int,
    library: str | None = None,
    num_trees: int | None = None,
    learning_rate: float = 0.05,
    num_leaves: int | None = None,
    max_features: float | None = None,
    min_samples_leaf: int = 20,
) -> Fitted:
    """As `fit_boosting`; but a split of a category puts any of its levels on one side.

    Where their codes are an order, as those of levels that were given in one, they stay one. Averaged
    with `fit_boosting`, whose trees split between neighbouring codes, it is often better than either.
    """
    return _boosted(
        data,
        sets_of(data, library),
        num_trees,
        (num_leaves, max_features),
        library=library,
        learning_rate=learning_rate,
        min_samples_leaf=min_samples_leaf,
        seed=seed,
        num_threads=num_threads,
    )


def _boosted(
    data: TabularData,
    categorical: Sequence[int],
    num_trees: int | None,
    shape: tuple[int | None, float | None],
    **settings: Any,
) -> Fitted:
    """The number of trees, and their shape, that predict held-out rows best; grown on all rows.

    Args:
        categorical: columns of the design that are split into sets.
        num_trees: None to find it.
        shape: leaves and share of the columns; None for what is not given.
        settings: others of `grow.boosting`.
    """
    matrix, targets = _design(data)
    settings |= {"num_classes": len(data.classes), "categorical": categorical}
    if matrix.size <= ONE_THREAD:
        settings["num_threads"] = 1
    usual = SHAPES[0]
    shapes = [(shape[0] or usual[0], shape[1] or usual[1])]
    if num_trees is None and shape == (None, None) and matrix.size <= CHOOSES:
        shapes = list(SHAPES)
    (leaves, features), curve, lowest = shapes[0], None, float("inf")
    if num_trees is None:
        fitted, held_out = data.inner_split(seed=settings["seed"])
        for leaves_tried, features_tried in shapes:
            found = grow.boosting(
                matrix[fitted],
                targets[fitted],
                valid=(matrix[held_out], targets[held_out]),
                patience=PATIENCE,
                num_trees=MOST_ROUNDS,
                num_leaves=leaves_tried,
                max_features=features_tried,
                **settings,
            ).curve
            assert found is not None and found.valid is not None, "boosting tells each stage's loss"
            if found.valid.min() < lowest:
                curve, lowest = found, float(found.valid.min())
                leaves, features = leaves_tried, features_tried
        assert curve is not None, "there is a shape at least"
        num_trees = max(curve.kept, 1)
    last = grow.boosting(
        matrix, targets, num_trees=num_trees, num_leaves=leaves, max_features=features, **settings
    )
    return Fitted(TreeEstimator(last.ensemble), last.settings, curve=curve)


def sets_of(data: TabularData, library: str | None) -> list[int]:
    """Columns of the design that hold codes without an order, and not too many for the library."""
    if library is None:
        library = "lightgbm" if importlib.util.find_spec("lightgbm") else "scikit-learn"
    most = MOST_CODES.get(library, 0)  # growing tells of a library that there is not
    ordered = data.recipe.get("levels", {})
    return [
        place
        for place, column in enumerate(data.preprocess.categories)
        if column.name not in ordered and len(column.levels) + 1 <= most
    ]


def fit_linear(data: TabularData, *, seed: int, num_threads: int, penalty: float = 1.0) -> Fitted:
    """Logistic regression, or least squares with a penalty on the weights."""
    linear = require("sklearn.linear_model", extra="tabular")
    frame, targets = data.part("train")
    matrix = Prepared(data.preprocess, frame).linear
    if penalty <= 0:
        raise ConfigError(f"`penalty` must be above 0. Got {penalty}.")
    settings = {"penalty": penalty}
    if data.target.kind == "class":
        model = linear.LogisticRegression(C=1 / penalty, max_iter=300, tol=1e-3)
        weights, bias = _logistic(model, matrix, targets)
        return Fitted(LinearEstimator(weights, bias, True), settings)
    model = linear.Ridge(alpha=penalty)
    model.fit(matrix, targets)
    weights = np.atleast_2d(model.coef_).T.copy()
    bias = np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64)).copy()
    return Fitted(LinearEstimator(weights, bias, False), settings)


FITTERS: Mapping[str, Fitter] = MappingProxyType(
    {
        fitter.name: fitter
        for fitter in (
            Fitter("majority", "the commonest class, or the mean", fit_majority, True, True),
            Fitter("one_r", "one rule: the best split of one column", fit_one_r, True),
            Fitter("tree", "one decision tree", fit_tree, True),
            Fitter("linear", "logistic or linear regression", fit_linear, False, True),
            Fitter("forest", "a random forest", fit_forest, True),
            Fitter("extra_trees", "extremely random trees", fit_extra_trees),
            Fitter("boosting", "gradient boosting", fit_boosting),
            Fitter("boosting_sets", "gradient boosting, categories in sets", fit_boosting_sets),
        )
    }
)
"""All but the net, which is trained by a Learner."""


def fit(name: str, data: TabularData, *, num_threads: int = 2, **settings: Any) -> Fitted:
    """Fit a model by name.

    Raises: UnknownNameError: no such model. ConfigError: it does not take several targets, or no such
        setting.
    """
    fitter = lookup(FITTERS, name, what="model")
    if len(data.target.names) > 1 and not fitter.many_targets:
        raise ConfigError(
            f"'{name}' predicts one target. Several are predicted by: net, "
            f"{', '.join(n for n, f in FITTERS.items() if f.many_targets)}."
        )
    import inspect

    known = inspect.signature(fitter.fit).parameters
    for key in settings:
        if key not in known:
            from drivetrain._registry import did_you_mean

            usual = [k for k in known if k not in ("data", "seed", "num_threads")]
            raise ConfigError(
                f"'{name}' has no setting '{key}'.{did_you_mean(key, usual)} "
                f"It has: {', '.join(usual) or 'none'}."
            )
    settings = {"seed": data.seed, **settings}
    return fitter.fit(data, num_threads=num_threads, **settings)


def _design(data: TabularData) -> tuple[np.ndarray, np.ndarray]:
    frame, targets = data.part("train")
    return data.preprocess.design(frame), targets


def _grown(found: Any) -> Fitted:
    return Fitted(TreeEstimator(found.ensemble), found.settings, oob=found.oob)


def _logistic(model: Any, matrix: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (L, C) and bias (C,) whose softmax is the fitted model's probability."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an end before the last digit is told by the result itself
        model.fit(matrix, targets)
    weights, bias = model.coef_.T, model.intercept_
    if weights.shape[1] == 1:  # two classes: one score, of the second
        weights = np.concatenate([np.zeros_like(weights), weights], axis=1)
        bias = np.array([0.0, float(bias[0])])
    return np.ascontiguousarray(weights, dtype=np.float64), np.asarray(bias, dtype=np.float64)
