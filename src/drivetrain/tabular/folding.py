"""Rows predicted out of fold: by boosted trees, or the run's own way.

    pool = pool_of("runs/census")
    queue = queue_of(pool, folder=Path("runs/census/clean"))

The quick model is gradient boosting of small trees that split categories into sets, with as many trees as
predict a held-out tenth of a fold's training best.

Rows of a table with few columns are equal by chance; those are no copies of each other, and may lie in
different folds (`tabular.checking`).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from drivetrain import store
from drivetrain.clean.duplicates import NearPairs
from drivetrain.clean.folds import FoldModel, Pool, Report, bands
from drivetrain.clean.outliers import Space
from drivetrain.clean.row_points import KNEE, MOST_LEVELS, RARITY, row_points
from drivetrain.data.frame import Factor
from drivetrain.data.split import Split, stratified_codes
from drivetrain.errors import ConfigError
from drivetrain.randomness import derive
from drivetrain.tabular import cleaning, fitting
from drivetrain.tabular.checking import copies_of, running_numbers
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import AverageEstimator, Prepared
from drivetrain.tabular.learner import learner as make_learner
from drivetrain.tabular.models import TabularModel, cores, load
from drivetrain.train.choice import Choices
from drivetrain.train.keeping import callbacks_from
from drivetrain.train.run import Run
from drivetrain.trees.boost import boosting

LEAVES, RATE, COLUMNS, LEAST_IN_LEAF = 15, 0.05, 0.6, 20
"""Of the quick model: leaves of a tree, what it is multiplied by, share of the columns that it may ask
about, and rows of a leaf; chosen on other tables and other planted errors than are measured."""
MOST_TREES, PATIENCE = 1000, 30
HELD_OUT = 0.1
"""Of the rows of a fold's training: says how many trees there are to be."""
FEWEST_HELD_OUT = 200
"""Rows of training below which nothing is held out, and there are `FEW_TREES`."""
FEW_TREES = 60


def pool_of(folder: store.StrPath, *, report: Report | None = None) -> Pool:
    """The rows of a run, to be predicted out of fold; sealed ones are not among them.

    Raises: as `tabular.cleaning.pool_of`.
    """
    if report is not None:
        report("rows read", 0, None)
    table = cleaning.pool_of(folder)
    data, rows = table.data, table.rows
    groups = None if data.groups is None else data.groups[rows]
    running = running_numbers(table.every)
    copies, by_chance = copies_of(table.every, running) if table.every.names else (None, 0)
    return Pool(
        table.material,
        {
            "quick": lambda: quick_model(data, rows),
            "own": lambda: own_model(Path(folder), data, rows),
        },
        lambda: _no_pairs(rows) if copies is None else copies,
        near_by=",".join(running),
        groups=groups,
        by_chance=by_chance > 0,
        space=space_of(data, rows),
    )


def space_of(data: TabularData, rows: np.ndarray) -> Space:
    """In which rows are measured that may be unlike the others: the columns that a model sees.

    Args:
        rows: (N,) of `data.frame`.
    """
    names = list(data.frame.names)
    kinds = ["words" if isinstance(data.frame[name], Factor) else "number" for name in names]
    settings = {
        "columns": names,
        "kinds": kinds,
        "by": [KNEE, RARITY, MOST_LEVELS],
    }
    return Space("their columns", settings, lambda: row_points(data.frame.take(rows)))


def quick_model(data: TabularData, rows: np.ndarray) -> FoldModel:
    """Boosted trees that have seen the rows of other folds alone.

    Args:
        rows: (N,) of `data.frame`.
    """
    matrix = data.preprocess.design(data.frame.take(rows))
    targets = data.targets[rows]
    sets = fitting.sets_of(data, None)
    is_class = data.target.kind == "class"
    settings: dict[str, Any] = {
        "num_leaves": LEAVES,
        "learning_rate": RATE,
        "max_features": COLUMNS,
        "categorical": sets,
        "seed": data.seed,
    }

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        there = np.unique(targets[fitted]) if is_class else np.zeros(0, np.int64)
        if len(there) == 1:  # nothing to tell apart
            return np.tile(np.arange(len(data.classes)) == there[0], (len(asked), 1)).astype(float)
        goals = np.searchsorted(there, targets[fitted]) if is_class else targets[fitted]
        seed = derive(data.seed, "clean fold", fold) % (1 << 31)
        if targets.ndim == 2:  # several numbers: trees of each
            columns = [
                _boosted(matrix[fitted], column, 0, {**settings, "seed": seed})
                for column in goals.T
            ]
            said = np.stack([one.predict(matrix[asked]) for one in columns], axis=1)
            return data.target.shown(said)
        found = _boosted(matrix[fitted], goals, len(there), {**settings, "seed": seed})
        said = found.predict(matrix[asked])
        if not is_class:
            return data.target.shown(said)
        outputs = np.zeros((len(asked), len(data.classes)))
        outputs[:, there] = said
        return outputs

    known = {**settings, "columns": data.preprocess.design_names, "least": LEAST_IN_LEAF}
    return FoldModel("gradient boosting", {**known, "is_log": data.target.is_log}, answer)


def _boosted(
    matrix: np.ndarray, targets: np.ndarray, num_classes: int, settings: dict[str, Any]
) -> Any:
    """Trees, as many as predict held-out rows best; what answers `predict`."""
    least = max(1, min(LEAST_IN_LEAF, len(matrix) // 50))
    common = {**settings, "num_classes": num_classes, "min_samples_leaf": least}
    num_trees = FEW_TREES
    if len(matrix) >= FEWEST_HELD_OUT:
        codes = targets if num_classes else bands(targets)
        parts = stratified_codes(codes, valid=HELD_OUT, seed=settings["seed"])
        fitted, held = (np.array(part, dtype=np.int64) for part in (parts.train, parts.valid))
        if num_classes == 0 or len(np.unique(targets[fitted])) == num_classes:
            curve = boosting(
                matrix[fitted],
                targets[fitted],
                valid=(matrix[held], targets[held]),
                patience=PATIENCE,
                num_trees=MOST_TREES,
                **common,
            ).curve
            num_trees = FEW_TREES if curve is None else max(curve.kept, 1)
    return boosting(matrix, targets, num_trees=num_trees, **common).ensemble


def own_model(folder: Path, data: TabularData, rows: np.ndarray) -> FoldModel:
    """The run's own recipe, fitted or trained anew for each fold; an average by all its members.

    Raises: ConfigError: a model that is made otherwise.
    """
    record, model = Run.open(folder).read(), load(folder)
    names, weights = [model.name], np.ones(1)
    if isinstance(model.estimator, AverageEstimator):
        names, weights = list(model.estimator.names), model.estimator.weights
    odd = [name for name in names if name != "net" and name not in fitting.FITTERS]
    if odd:
        raise ConfigError(
            f"The run's model '{odd[0]}' cannot be made anew for each fold. Take: --model quick"
        )
    recipes = {name: _recipe(name, record, model) for name in names}

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        seed = derive(data.seed, "clean fold", fold)
        parts, there = _without_absent(data, rows[fitted], seed)
        wanted = data.frame.take(rows[asked])
        if data.classes and len(there) == 1:
            return np.tile(np.arange(len(data.classes)) == there[0], (len(asked), 1)).astype(float)
        said = sum(
            weight * _fit_and_ask(name, parts, wanted, recipes[name])
            for name, weight in zip(names, weights.tolist(), strict=True)
        )
        said = np.asarray(said)
        if not data.classes:
            return data.target.shown(said)
        outputs = np.zeros((len(asked), len(data.classes)))
        outputs[:, there] = said
        return outputs

    settings = {"recipes": recipes, "weights": weights.tolist(), "seed": data.seed}
    what = names[0] if len(names) == 1 else f"the mean of {', '.join(names)}"
    return FoldModel(f"{what}, fitted anew as the run was", settings, answer)


def _recipe(name: str, record: Mapping[str, Any], model: TabularModel) -> dict[str, Any]:
    """What a model of the run is made with, plain JSON."""
    if name == "net" and "plan" in record:
        settings, described = record["settings"], record["model"]
        taken = ("batch_size", "weight_decay", "num_threads", "metrics", "loss_fn", "optimizer")
        return {
            **{one: settings[one] for one in taken},
            **{one: described[one] for one in ("layers", "dropout", "embedding_dropout")},
            "y_range": described["y_range"] if described["y_range"] is not None else False,
            "lr": record["plan"]["lr"],
            "epochs": record["plan"]["epochs"],
            "callbacks": record["callbacks"],
        }
    board = record.get("board")
    if isinstance(board, Mapping):
        return dict(board.get("settings", {}).get(name, {}))
    if name == "net":
        return {}
    known = inspect.signature(fitting.FITTERS[name].fit).parameters
    given = record.get("settings") or {}
    return {key: given[key] for key in given if key in known and key not in ("seed", "data")}


def _fit_and_ask(
    name: str, parts: TabularData, wanted: Any, recipe: Mapping[str, Any]
) -> np.ndarray:
    prepared = Prepared(parts.preprocess, wanted)
    if name != "net":
        given = {key: value for key, value in recipe.items() if key != "num_threads"}
        return fitting.fit(name, parts, num_threads=cores(), **given).estimator.predict(prepared)
    options = dict(recipe)
    callbacks = callbacks_from(options.pop("callbacks", []))
    found = make_learner(parts, **options, callbacks=callbacks, progress=False)
    found.train()
    application: Any = found.application
    return application.model(found).estimator.predict(prepared)


def _without_absent(
    data: TabularData, rows: np.ndarray, seed: int
) -> tuple[TabularData, np.ndarray]:
    """The table split into rows to train on and some to look at meanwhile, and the classes there are.

    Classes that none of the rows has are left out, since a model of them cannot be fitted.
    """
    targets = data.targets[rows]
    is_class = data.target.kind == "class"
    codes = targets if is_class else bands(targets.reshape(len(targets), -1).sum(axis=1))
    split = stratified_codes(codes, valid=HELD_OUT, seed=seed)
    train, valid = (rows[np.array(part, dtype=np.int64)] for part in (split.train, split.valid))
    there = np.unique(data.targets[train]) if is_class else np.zeros(0, np.int64)
    goal, every = data.target, data.targets
    if is_class and len(there) < len(data.classes):
        goal = replace(goal, classes=tuple(data.classes[code] for code in there.tolist()))
        every = np.where(np.isin(every, there), np.searchsorted(there, every), -1)
        valid = valid[every[valid] >= 0]
    parts = Split(tuple(np.sort(train).tolist()), tuple(np.sort(valid).tolist()))
    return replace(data, split=parts, target=goal, targets=every, choices=Choices()), there


def _no_pairs(rows: np.ndarray) -> NearPairs:
    none = np.zeros(0, np.int64)
    return NearPairs(none, none, np.zeros(0), np.zeros(0, bool), compared=len(rows))
