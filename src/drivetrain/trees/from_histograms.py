"""Boosting by scikit-learn's histogram trees, and these as arrays.

Columns of categories are moved to the front and their codes numbered anew within scikit-learn, and come
back here: a node's set holds the codes as they were given, and for codes that training did not hold,
the side that missing values take.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from drivetrain._optional import require
from drivetrain.errors import ConfigError
from drivetrain.trees.ensemble import TreeEnsemble
from drivetrain.trees.form import DEEPEST
from drivetrain.trees.grown import Grown, Rows, fit
from drivetrain.trees.nodes import Nodes, ensemble_arrays, with_means
from drivetrain.trees.stages import link_of, mean_loss, stopped

_MOST_CODES = 255
"""Different codes of a column."""


def grow(rows: Rows, valid: Rows | None, settings: dict[str, Any], num_threads: int) -> Grown:
    """Boost with scikit-learn; the settings are those of `boost.boosting`."""
    for column in settings["categorical"]:
        count = len(np.unique(rows.X[~np.isnan(rows.X[:, column]), column]))
        if count > _MOST_CODES:
            raise ConfigError(
                f"scikit-learn's boosting takes {_MOST_CODES} categories a column, and column "
                f"{column} has {count}. Use lightgbm, or give it as a number."
            )
    X = np.where(np.isnan(rows.X).all(axis=0), 0.0, rows.X)  # noqa: N806 - it takes no empty column
    library = require("sklearn.ensemble", extra="tabular")
    threads = require("threadpoolctl", extra="tabular")
    depth = settings["max_depth"]
    options: dict[str, Any] = {
        "max_iter": settings["num_trees"],
        "learning_rate": settings["learning_rate"],
        "max_leaf_nodes": settings["num_leaves"],
        "min_samples_leaf": settings["min_samples_leaf"],
        "max_depth": min(DEEPEST, DEEPEST if depth is None else depth),
        "l2_regularization": settings["l2"],
        "max_features": settings["max_features"],
        "categorical_features": settings["categorical"] or None,
        "early_stopping": False,  # decided below, by the rule that holds for LightGBM
        "random_state": settings["seed"] % 2**32,
    }
    if rows.num_classes:
        grown = library.HistGradientBoostingClassifier(**options)
    else:
        grown = library.HistGradientBoostingRegressor(loss=settings["loss"], **options)
    with threads.threadpool_limits(limits=num_threads, user_api="openmp"):
        fit(grown, X, rows)
    num_stages = len(grown._predictors)
    whole = _ensemble(grown, rows, settings, num_stages)
    train = _losses(whole, rows, settings)
    curve = stopped(
        train,
        None if valid is None else _losses(whole, valid, settings),
        settings["loss"],
        settings["patience"],
    )
    kept = whole if curve.kept == num_stages else _ensemble(grown, rows, settings, curve.kept)
    version = require("sklearn", extra="tabular").__version__
    return Grown(kept, settings, "scikit-learn", version, curve=curve)


def _losses(trees: TreeEnsemble, rows: Rows, settings: dict[str, Any]) -> list[float]:
    return [mean_loss(found, rows, settings["loss"]) for found in trees.staged(rows.X)]


def _ensemble(grown: Any, rows: Rows, settings: dict[str, Any], num_stages: int) -> TreeEnsemble:
    categorical: list[int] = settings["categorical"]
    others = [column for column in range(rows.X.shape[1]) if column not in categorical]
    columns = np.array([*categorical, *others])  # as scikit-learn orders them
    codes = {
        place: np.unique(rows.X[~np.isnan(rows.X[:, column]), column]).astype(np.int64)
        for place, column in enumerate(categorical)
    }
    nodes = [
        _nodes(one, columns, codes) for stage in grown._predictors[:num_stages] for one in stage
    ]
    base = np.asarray(grown._baseline_prediction, dtype=np.float64).ravel()
    several = len(base) > 1
    return TreeEnsemble(
        kind="boosting",
        num_features=rows.X.shape[1],
        num_classes=rows.num_classes,
        combine="sum",
        link=link_of(settings["loss"], rows.num_classes),
        precision="float64",
        exponential="c" if settings["loss"] == "log_loss" and not several else "numpy",
        base=base,
        **with_means(
            ensemble_arrays(nodes, np.arange(len(nodes)) % len(base) if several else None)
        ),
    )


def _nodes(grown: Any, columns: np.ndarray, codes: dict[int, np.ndarray]) -> Nodes:
    nodes = grown.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    by_set = nodes["is_categorical"].astype(bool) & ~is_leaf
    missing_left = nodes["missing_go_to_left"].astype(bool)
    sets: dict[int, np.ndarray] = {}
    for node in np.flatnonzero(by_set).tolist():
        known = codes[int(nodes["feature_idx"][node])]
        words = grown.raw_left_cat_bitsets[nodes["bitset_idx"][node]].astype("<u4")
        goes_left = np.unpackbits(words.view(np.uint8), bitorder="little").astype(bool)
        of_code = np.full(int(known[-1]) + 1, missing_left[node])
        of_code[known] = goes_left[: len(known)]
        sets[node] = of_code
    return Nodes(
        left=np.where(is_leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(is_leaf, -1, nodes["right"].astype(np.int64)),
        feature=columns[np.where(is_leaf, 0, nodes["feature_idx"])],
        threshold=np.where(by_set, 0.0, nodes["num_threshold"]),
        default_left=missing_left,
        value=nodes["value"][:, None],
        cover=nodes["count"].astype(np.float64),
        impurity=np.zeros(len(nodes)),
        gain=nodes["gain"],
        sets=sets,
    )
