"""Models that a call of scikit-learn or LightGBM fits, in a script: the functions `fit` and `predict`.

The calls are written here, with the settings of the run; tests hold each against what the library's own
growing gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from drivetrain._registry import lookup
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.text import edited
from drivetrain.errors import EjectError
from drivetrain.tabular.ejecting.data import TableWriter
from drivetrain.tabular.ejecting.found import Member
from drivetrain.tabular.estimators import softmax
from drivetrain.tabular.fitting import FITTERS, _logistic
from drivetrain.trees import from_lightgbm, splits
from drivetrain.trees.form import DEEPEST
from drivetrain.trees.grown import Rows


class Models:
    """Writes them.

    Args:
        table: for settings, and for the target.
        lifter: for what the functions call.
        is_average: several are fitted, so that each has names of its own.
    """

    def __init__(self, table: TableWriter, lifter: Lifter, *, is_average: bool) -> None:
        self.table = table
        self.lifter = lifter
        self.is_average = is_average
        self.goal = table.goal
        self.seed = table.data.seed
        self.is_class = self.goal.kind == "class"
        self.written: list[Written] = []

    def write(self, member: Member) -> None:
        """The two functions for a model, and constants for its settings.

        Raises: EjectError: a rule that asks nothing. KeyError, TypeError: a setting is not on record.
        """
        self.prefix = f"{member.name.upper()}_" if self.is_average else ""
        self.suffix = f"_{member.name}" if self.is_average else ""
        writers = {
            "majority": self._majority,
            "one_r": self._one_r,
            "tree": self._forest,
            "forest": self._forest,
            "extra_trees": self._forest,
            "boosting": self._boosting,
            "boosting_sets": self._boosting,
            "linear": self._linear,
        }
        lookup(writers, member.name, what="model that a script can fit")(member)

    def _function(self, name: str, text: str, uses: Mapping[str, Any] | None = None) -> None:
        """A function of the section `model`; `{name}` is its name."""
        self.written.append(
            Written(text.format(name=f"{name}{self.suffix}"), "model", dict(uses or {}))
        )

    def _option(self, name: str, value: Any, reason: str) -> str:
        """A constant for a setting of a model."""
        return self.table.setting(f"{self.prefix}{name}", value, reason)

    def _seed(self, settings: Mapping[str, Any], most: int) -> str:
        """The seed of a model as an expression."""
        seed = settings["seed"] % most
        if seed == self.seed:
            return "SEED"
        return self._option("MODEL_SEED", seed, "of what growing draws")

    def _forest(self, member: Member) -> None:
        settings, name = member.settings, member.name
        kind = "Classifier" if self.is_class else "Regressor"
        made = {"tree": "DecisionTree", "forest": "RandomForest", "extra_trees": "ExtraTrees"}[name]
        home = "sklearn.tree" if name == "tree" else "sklearn.ensemble"
        self.lifter.add_import(Import(home, f"{made}{kind}"))
        options: dict[str, str] = {}
        if name != "tree":
            options["n_estimators"] = self._option("NUM_TREES", settings["num_trees"], "trees")
        reason = "training rows that a leaf holds at least"
        options["min_samples_leaf"] = self._option(
            "MIN_SAMPLES_LEAF", settings["min_samples_leaf"], reason
        )
        if name != "tree":
            features = settings["max_features"]
            features = features if features is not None else "sqrt" if self.is_class else 1.0
            reason = "of the columns, those that a split chooses among"
            options["max_features"] = self._option("MAX_FEATURES", features, reason)
            if settings["bootstrap"] != (name == "forest"):
                options["bootstrap"] = repr(settings["bootstrap"])
            if settings["max_samples"] is not None:
                reason = "training rows that a tree is grown on: a number, or a share"
                options["max_samples"] = self._option(
                    "MAX_SAMPLES", settings["max_samples"], reason
                )
        if settings["max_leaf_nodes"] is not None:
            options["max_leaf_nodes"] = self._option(
                "MAX_LEAF_NODES", settings["max_leaf_nodes"], "leaves of a tree, the best first"
            )
        ensemble: Any = member.estimator
        deepest = int(ensemble.ensemble.depth.max())
        if settings["max_depth"] is not None or deepest >= DEEPEST:
            depth = DEEPEST if settings["max_depth"] is None else settings["max_depth"]
            options["max_depth"] = self._option("MAX_DEPTH", depth, "levels below the root")
        options["random_state"] = self._seed(settings, 2**32)
        if name != "tree":
            options["n_jobs"] = "-1"
        listed = ", ".join(f"{key}={value}" for key, value in options.items())
        self._function(
            "fit",
            f'''
def {{name}}(train: Part) -> {made}{kind}:
    """{_says(name)}"""
    model = {made}{kind}({listed})
    return model.fit(train.design, train.targets)
''',
        )
        order = (
            ""
            if name == "tree"
            else "\n    model.set_params(n_jobs=1)  # the trees are added in their order, to the last bit"
        )
        call = "predict_proba" if self.is_class else "predict"
        self._function(
            "predict",
            f'''
def {{name}}(model: {made}{kind}, rows: Part) -> np.ndarray:
    """{self._answers()}"""{order}
    return model.{call}(rows.design)
''',
        )

    def _boosting(self, member: Member) -> None:
        settings = dict(member.settings)
        ensemble: Any = member.estimator
        library = settings.get("library") or (
            "scikit-learn" if ensemble.ensemble.base.any() else "lightgbm"
        )
        trees = self._option("NUM_TREES", settings["num_trees"], _WHY_SO_MANY)
        if library == "lightgbm":
            self._lightgbm(member.name, settings, trees)
        else:
            self._histograms(member.name, settings, trees)

    def _lightgbm(self, name_of: str, settings: dict[str, Any], trees: str) -> None:
        classes = len(self.goal.classes)
        nothing = Rows(np.zeros((1, 1)), np.zeros(1), classes, None)
        params = from_lightgbm._params(nothing, settings, 1)
        usual = {"lambda_l2": 0.0, "feature_fraction": 1.0}
        if settings["num_leaves"] <= DEEPEST:
            usual["max_depth"] = DEEPEST  # cannot be reached
        params = {
            key: value
            for key, value in params.items()
            if key not in ("metric", "num_threads") and usual.get(key) != value
        }
        reason = "of LightGBM; the same trees whatever the number of threads"
        name = self._option("PARAMS", params, reason)
        self.lifter.add_import(Import("lightgbm"))
        sets = ""
        if settings["categorical"]:
            sets = f", categorical_feature={self._sets(settings)}"
        self._function(
            "fit",
            f'''
def {{name}}(train: Part) -> lightgbm.Booster:
    """{_says(name_of)}"""
    dataset = lightgbm.Dataset(train.design, label=train.targets{sets})
    return lightgbm.train({name}, dataset, num_boost_round={trees})
''',
        )
        body = "return model.predict(rows.design)"
        if classes == 2:
            body = (
                "positive = model.predict(rows.design)\n"
                "    return np.stack([1.0 - positive, positive], axis=1)"
            )
        self._function(
            "predict",
            f'''
def {{name}}(model: lightgbm.Booster, rows: Part) -> np.ndarray:
    """{self._answers()}"""
    {body}
''',
        )

    def _histograms(self, name_of: str, settings: dict[str, Any], trees: str) -> None:
        made = f"HistGradientBoosting{'Classifier' if self.is_class else 'Regressor'}"
        self.lifter.add_import(Import("sklearn.ensemble", made))
        options = {
            "max_iter": trees,
            "learning_rate": self._option(
                "LEARNING_RATE", settings["learning_rate"], "what a tree's answer is multiplied by"
            ),
            "max_leaf_nodes": self._option(
                "NUM_LEAVES", settings["num_leaves"], "of a tree, at most"
            ),
            "min_samples_leaf": self._option(
                "MIN_SAMPLES_LEAF",
                settings["min_samples_leaf"],
                "training rows of a leaf, at least",
            ),
            "early_stopping": "False",
            "random_state": self._seed(settings, 2**32),
        }
        if settings["max_features"] < 1:
            options["max_features"] = self._option(
                "MAX_FEATURES",
                settings["max_features"],
                "of the columns, those a split chooses among",
            )
        if settings["categorical"]:
            options["categorical_features"] = self._sets(settings)
        listed = ", ".join(f"{key}={value}" for key, value in options.items())
        call = "predict_proba" if self.is_class else "predict"
        self._function(
            "fit",
            f'''
def {{name}}(train: Part) -> {made}:
    """{_says(name_of)}"""
    model = {made}({listed})
    return model.fit(train.design, train.targets)
''',
        )
        self._function(
            "predict",
            f'''
def {{name}}(model: {made}, rows: Part) -> np.ndarray:
    """{self._answers()}"""
    return model.{call}(rows.design)
''',
        )

    def _sets(self, settings: dict[str, Any]) -> str:
        """The columns whose categories are split into sets, as a constant."""
        reason = "columns of categories: each split puts some of their levels on one side"
        return self._option("SPLIT_BY_SETS", list(settings["categorical"]), reason)

    def _linear(self, member: Member) -> None:
        penalty = self._option("PENALTY", member.settings["penalty"], "on the weights")
        if self.is_class:
            self.lifter.add_import(Import("sklearn.linear_model", "LogisticRegression"))
            self._function(
                "fit",
                f'''
def {{name}}(train: Part) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression: the weights and the bias of the classes' scores."""
    model = LogisticRegression(C=1 / {penalty}, max_iter=300, tol=1e-3)
    return _logistic(model, train.linear, train.targets)
''',
                {"_logistic": _logistic},
            )
            answer = "softmax(scores)"
            self.lifter.known["drivetrain.tabular.fitting:_logistic"] = {
                "weights.shape[1] == 1": Known(len(self.goal.classes) == 2)
            }
        else:
            self.lifter.add_import(Import("sklearn.linear_model", "Ridge"))
            self._function(
                "fit",
                f'''
def {{name}}(train: Part) -> tuple[np.ndarray, np.ndarray]:
    """Least squares with a penalty on the weights: these and the bias."""
    model = Ridge(alpha={penalty}).fit(train.linear, train.targets)
    return np.atleast_2d(model.coef_).T.copy(), np.atleast_1d(model.intercept_)
''',
            )
            answer = "scores" if len(self.goal.names) > 1 else "scores[:, 0]"
        self._function(
            "predict",
            f'''
def {{name}}(model: tuple[np.ndarray, np.ndarray], rows: Part) -> np.ndarray:
    """{self._answers()}"""
    weights, bias = model
    scores = rows.linear @ weights + bias
    return {answer}
''',
            {"softmax": softmax} if self.is_class else {},
        )

    def _majority(self, member: Member) -> None:
        if len(self.goal.names) > 1:
            fitted, answer = "train.targets.mean(axis=0)", "np.tile(model, (len(rows.targets), 1))"
        else:
            # a sum of products, as the run has it: `mean` adds in another order
            fitted = f"np.ones(len(train.targets)) @ {self._shares()} / len(train.targets)"
            answer = "np.tile(model, (len(rows.targets), 1))" + ("" if self.is_class else "[:, 0]")
        self._function(
            "fit",
            f'''
def {{name}}(train: Part) -> np.ndarray:
    """{_says("majority")}"""
    return {fitted}
''',
        )
        self._function(
            "predict",
            f'''
def {{name}}(model: np.ndarray, rows: Part) -> np.ndarray:
    """{self._answers()}"""
    return {answer}
''',
        )

    def _shares(self) -> str:
        return "np.eye(len(CLASSES))[train.targets]" if self.is_class else "train.targets[:, None]"

    def _one_r(self, member: Member) -> None:
        if member.settings["column"] is None:
            raise EjectError(
                "'one_r' found no column to ask about, so it is the same as 'majority'. Eject that."
            )
        is_number = Known(not self.is_class)
        home = "drivetrain.trees.splits"
        for function in ("_scatter", "_scatters"):
            self.lifter.known[f"{home}:{function}"] = {"y.dtype.kind == 'f'": is_number}
        unchecked = {"    column, y = _checked(column, y)\n": ""}
        self.lifter.instead[f"{home}:best_split"] = edited(splits.best_split, unchecked)
        self.lifter.instead[f"{home}:split_score"] = edited(
            splits.split_score, unchecked, "The score of `column <= threshold`: lower is better."
        )
        self.lifter.known[f"{home}:best_split"] = {"num_known": Known(object())}
        self._function(
            "fit",
            f'''
def {{name}}(train: Part) -> tuple[int, float, np.ndarray, np.ndarray]:
    """The best split of one column: it, its threshold, the answers at or below it and above."""
    found = [(best_split(column, train.targets), i) for i, column in enumerate(train.design.T)]
    (threshold, _), column = min(found, key=lambda one: one[0][1])
    is_low, targets = train.design[:, column] <= threshold, {self._shares()}
    low, high = (targets[side].sum(axis=0) / side.sum() for side in (is_low, ~is_low))
    return column, threshold, low, high
''',
            {"best_split": splits.best_split},
        )
        only = "" if self.is_class else "[:, 0]"
        self._function(
            "predict",
            f'''
def {{name}}(model: tuple[int, float, np.ndarray, np.ndarray], rows: Part) -> np.ndarray:
    """{self._answers()}"""
    column, threshold, low, high = model
    return np.where(rows.design[:, [column]] <= threshold, low, high){only}
''',
        )

    def _answers(self) -> str:
        if self.is_class:
            return "The probability of each class, (N, C)."
        return "The numbers, (N,)." if len(self.goal.names) == 1 else "The numbers, (N, T)."


def _says(name: str) -> str:
    what = FITTERS[name].what
    return f"{what[:1].upper()}{what[1:]}."


_WHY_SO_MANY = "stages; found by stopping early on rows that were held out of the training ones"
