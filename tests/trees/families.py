"""Each family of trees beside the library that grows it: data, how we grow it, how the library does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightgbm
import numpy as np
from sklearn import ensemble as forests, tree as single

from drivetrain.trees.grow import Grown, boosting, extra_trees, forest, majority, one_r, tree

Predict = Callable[[np.ndarray], np.ndarray]

NUM_COLUMNS = 5
CATEGORICAL = (3, 4)


def table(seed: int, count: int, *, missing: float = 0.1, scale: float = 1.0) -> np.ndarray:
    """(N, 5): three columns of numbers, then codes 0..39 and 0..4; some missing."""
    draw = np.random.default_rng(seed)
    X = scale * draw.normal(size=(count, NUM_COLUMNS))
    X[:, 3] = draw.integers(0, 40, count)
    X[:, 4] = draw.integers(0, 5, count)
    X[draw.random(X.shape) < missing] = np.nan
    return X


def target(X: np.ndarray, num_classes: int, seed: int = 0) -> np.ndarray:
    """Of all columns, with a little noise: numbers, or classes of about equal size."""
    known = np.nan_to_num(X)
    y = known[:, 0] * known[:, 1] + known[:, 2] + known[:, 3] % 3 + (known[:, 4] == 2)
    y += 0.2 * np.random.default_rng(seed).normal(size=len(y))
    if not num_classes:
        return y
    edges = np.quantile(y, np.arange(1, num_classes) / num_classes)
    return np.digitize(y, edges).astype(np.int64)


def asked(count: int = 400) -> np.ndarray:
    """Rows to predict: beyond the training's range, missing, codes unseen, and the ends of float32."""
    X = table(99, count, missing=0.15, scale=3.0)
    X[:, 3] = np.where(np.arange(count) % 7 == 0, 55, X[:, 3])  # a code that training did not hold
    X[:, 4] = np.where(np.arange(count) % 11 == 0, 7, X[:, 4])
    extreme = [3e38, -3e38, 1e-40, -0.0, 2.0**31]
    X[: len(extreme), 0] = extreme
    X[len(extreme) : 2 * len(extreme), 3] = [-1.0, -0.0, 255.0, 256.0, 1e9]
    X[20] = np.nan
    return X


@dataclass(frozen=True)
class Family:
    """One way to grow trees, and the library's own."""

    grow: Callable[..., Grown]
    num_classes: int
    library: Callable[[np.ndarray, np.ndarray, dict[str, Any]], Predict]
    settings: dict[str, Any] = field(default_factory=dict)

    def grown(self, X: np.ndarray, y: np.ndarray | None = None, **changes: Any) -> Grown:
        y = target(X, self.num_classes) if y is None else y
        return self.grow(X, y, num_classes=self.num_classes, **{**self.settings, **changes})

    def oracle(self, X: np.ndarray, y: np.ndarray | None = None, **changes: Any) -> Predict:
        y = target(X, self.num_classes) if y is None else y
        return self.library(X, y, {"num_classes": self.num_classes, **self.settings, **changes})


def of_scikit_learn(name: str) -> Callable[[np.ndarray, np.ndarray, dict[str, Any]], Predict]:
    def library(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
        num_classes = settings.pop("num_classes")
        module = single if name == "DecisionTree" else forests
        make = getattr(module, name + ("Classifier" if num_classes else "Regressor"))
        options = {"random_state": settings.pop("seed", 42), **settings}
        if "num_trees" in options:
            options["n_estimators"] = options.pop("num_trees")
        model = make(**options).fit(X, y)
        return model.predict_proba if num_classes else model.predict

    return library


def lightgbm_booster(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> lightgbm.Booster:
    num_classes = settings["num_classes"]
    params: dict[str, Any] = {
        "objective": "multiclass" if num_classes > 2 else "binary" if num_classes else "regression",
        "deterministic": True,
        "force_row_wise": True,
        "seed": 42,
        "num_threads": 1,
        "verbosity": -1,
        "num_leaves": settings.get("num_leaves", 31),
        "min_data_in_leaf": settings.get("min_samples_leaf", 20),
        "learning_rate": settings.get("learning_rate", 0.1),
        "lambda_l2": settings.get("l2", 0.0),
        "feature_fraction": settings.get("max_features", 1.0),
    }
    if settings.get("loss") == "poisson":
        params["objective"] = "poisson"
    if num_classes > 2:
        params["num_class"] = num_classes
    train = lightgbm.Dataset(
        X, y, categorical_feature=list(settings.get("categorical", ())), params=params
    )
    return lightgbm.train(params, train, settings["num_trees"])


def of_lightgbm(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    num_classes, booster = settings["num_classes"], lightgbm_booster(X, y, settings)

    def predict(asked: np.ndarray) -> np.ndarray:
        found = np.asarray(booster.predict(asked, num_threads=1))
        return np.stack([1.0 - found, found], axis=1) if num_classes == 2 else found

    return predict


def of_histograms(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    num_classes = settings["num_classes"]
    options: dict[str, Any] = {
        "max_iter": settings["num_trees"],
        "learning_rate": settings.get("learning_rate", 0.1),
        "max_leaf_nodes": settings.get("num_leaves", 31),
        "min_samples_leaf": settings.get("min_samples_leaf", 20),
        "l2_regularization": settings.get("l2", 0.0),
        "max_features": settings.get("max_features", 1.0),
        "categorical_features": list(settings.get("categorical", ())) or None,
        "early_stopping": False,
        "random_state": settings.get("seed", 42),
    }
    if num_classes:
        return forests.HistGradientBoostingClassifier(**options).fit(X, y).predict_proba
    options["loss"] = settings.get("loss", "squared_error")
    return forests.HistGradientBoostingRegressor(**options).fit(X, y).predict


def by_hand(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """One mean, or with a column and a threshold one for each side."""
    num_classes = settings["num_classes"]
    shares = np.eye(num_classes)[y] if num_classes else y[:, None]

    def side(rows: np.ndarray) -> np.ndarray:
        if "column" not in settings:
            return np.zeros(len(rows), dtype=int)
        return (~(rows[:, settings["column"]] <= settings["threshold"])).astype(int)

    means = [shares[side(X) == one].sum(0) / (side(X) == one).sum() for one in np.unique(side(X))]

    def predict(rows: np.ndarray) -> np.ndarray:
        found = np.array(means)[side(rows)]
        return found if num_classes else found[:, 0]

    return predict


SMALL = {"num_trees": 20}
RULE = {"column": 2, "threshold": 0.25}
SETS = {"categorical": CATEGORICAL, **SMALL}

FAMILIES: dict[str, Family] = {
    "majority, numbers": Family(majority, 0, by_hand),
    "one_r, numbers": Family(one_r, 0, by_hand, RULE),
    "one_r, 3 classes": Family(one_r, 3, by_hand, RULE),
    "tree, numbers": Family(tree, 0, of_scikit_learn("DecisionTree")),
    "tree, 2 classes": Family(tree, 2, of_scikit_learn("DecisionTree"), {"max_leaf_nodes": 20}),
    "tree, 4 classes": Family(tree, 4, of_scikit_learn("DecisionTree"), {"min_samples_leaf": 7}),
    "forest, numbers": Family(forest, 0, of_scikit_learn("RandomForest"), SMALL),
    "forest, 2 classes": Family(forest, 2, of_scikit_learn("RandomForest"), SMALL),
    "forest, 4 classes": Family(
        forest, 4, of_scikit_learn("RandomForest"), {"max_samples": 0.5, **SMALL}
    ),
    "extra trees, numbers": Family(extra_trees, 0, of_scikit_learn("ExtraTrees"), SMALL),
    "extra trees, 3 classes": Family(
        extra_trees, 3, of_scikit_learn("ExtraTrees"), {"bootstrap": True, **SMALL}
    ),
    "lightgbm, numbers": Family(boosting, 0, of_lightgbm, {"library": "lightgbm", **SMALL}),
    "lightgbm, 2 classes": Family(boosting, 2, of_lightgbm, {"library": "lightgbm", **SMALL}),
    "lightgbm, 4 classes": Family(boosting, 4, of_lightgbm, {"library": "lightgbm", **SMALL}),
    "lightgbm, numbers, sets": Family(boosting, 0, of_lightgbm, {"library": "lightgbm", **SETS}),
    "lightgbm, 4 classes, sets": Family(boosting, 4, of_lightgbm, {"library": "lightgbm", **SETS}),
    "histograms, numbers": Family(boosting, 0, of_histograms, {"library": "scikit-learn", **SMALL}),
    "histograms, 2 classes": Family(
        boosting, 2, of_histograms, {"library": "scikit-learn", **SMALL}
    ),
    "histograms, 9 classes": Family(
        boosting, 9, of_histograms, {"library": "scikit-learn", **SMALL}
    ),
    "histograms, 2 classes, sets": Family(
        boosting, 2, of_histograms, {"library": "scikit-learn", **SETS}
    ),
}  # fmt: skip


ROWS = table(0, 300)


@functools.cache
def grown(name: str) -> Grown:
    """The family grown on `ROWS`."""
    return FAMILIES[name].grown(ROWS)


@functools.cache
def oracle(name: str) -> Predict:
    """The library's own predictions after `ROWS`."""
    return FAMILIES[name].oracle(ROWS)
