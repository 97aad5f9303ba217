"""Permutation importance and partial dependence of a forest, against scikit-learn's, at equal values.

Both sides have the same trees (Drivetrain grows them with scikit-learn, so that the same settings and
seed give them again), the same shuffles and the same grid. Two rows for each: the forest that each
program keeps, as its user would ask it; and scikit-learn's forest on both sides, which leaves the asking
alone. Drivetrain's answers also hold an interval for each column, or the support of each grid point.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from measure import Goal, Result, data_folder, finish, median, ratio, skip, take_turns
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.inspection import (
    partial_dependence as their_dependence,
    permutation_importance as their_importance,
)

import drivetrain as dt
from drivetrain.data.frame import Frame
from drivetrain.interpret.importance import permutation_importance
from drivetrain.interpret.partial import partial_dependence

REPEATS, SEED = 5, 42
COLUMNS = 6
"""The most important ones, whose partial dependence is asked."""
CLOSE = 1e-9
FOREST = {"num_trees": 100, "min_samples_leaf": 3, "max_features": 0.5}
THEIRS, OURS, SHARED = "scikit-learn", "Drivetrain", "Drivetrain asks scikit-learn's forest"


@dataclass
class Case:
    """One table, its forest twice, and the rows that are asked about."""

    name: str
    frame: Frame
    targets: np.ndarray
    theirs: Any
    """scikit-learn's forest."""
    ours: Any
    """The same as a `TreeEnsemble`."""

    @property
    def is_class(self) -> bool:
        """Whether classes are predicted."""
        return self.ours.num_classes > 0

    def predicts(self) -> dict[str, Callable[[Frame], np.ndarray]]:
        """Drivetrain's forest and scikit-learn's, as Drivetrain asks them."""
        ask = self.theirs.predict_proba if self.is_class else self.theirs.predict
        return {
            OURS: lambda frame: self.ours.predict(frame.matrix()),
            SHARED: lambda frame: ask(frame.matrix()),
        }

    def score(self, targets: np.ndarray, preds: np.ndarray) -> float:
        """Accuracy, or minus the root mean squared error."""
        if self.is_class:
            return float((preds.argmax(axis=1) == targets).mean())
        return -float(np.sqrt(((preds - targets) ** 2).mean()))


def measure(options: argparse.Namespace) -> Result:
    """Both questions on both tables."""
    folder = data_folder()
    if folder is None:
        skip("no data folder; set DRIVETRAIN_DATA")
        raise AssertionError("skip ends the process")
    quick = options.quick
    made = [
        case("adult", dt.tabular.from_csv(folder / "adult" / "adult.csv", "salary"), quick),
        case(
            "bulldozers",
            dt.tabular.from_csv(folder / "bulldozers/train.csv", "SalePrice", log_target=True),
            quick,
        ),
    ]
    rows, goals, raw = [], [], {}
    for one in made:
        for what, ask in (("importance", importance), ("partial dependence", dependence)):
            variants, difference = ask(one)
            times = take_turns(
                variants, rounds=1 if quick else 3, warm_up=0, clock=time.process_time
            )
            title = f"{one.name}, {what}"
            rows += [
                [
                    f"{title}, {name}",
                    f"{median(taken):.2f} s",
                    f"{ratio(times, name, THEIRS):.2f}",
                    "" if name == THEIRS else f"{difference[name]:.1e}",
                ]
                for name, taken in times.items()
            ]
            goals += [
                Goal(f"{title}, seconds: Drivetrain / scikit-learn", ratio(times, OURS, THEIRS), 1),
                Goal(f"{title}, largest difference of a value", max(difference.values()), CLOSE),
            ]
            raw[title] = {"seconds": times, "difference": difference}
    sizes = "; ".join(
        f"{c.name}: {len(c.frame):,} rows, {len(c.frame.names)} columns" for c in made
    )
    return Result(
        case="explain",
        title="Permutation importance and partial dependence of a forest",
        columns=["table, question, program", "median", "ratio", "largest difference"],
        rows=rows,
        how=(
            f"CPU time of one thread, programs in turn; the rows that validate ({sizes}). Forests of "
            f"{FOREST['num_trees']} trees. Importance: {REPEATS} shuffles of each column; partial "
            f"dependence: the {COLUMNS} most important columns at Drivetrain's own grid, up to 40 "
            "values, scikit-learn with `custom_values` and `method='brute'`. Drivetrain's time has its "
            "intervals, curves of single rows and supports in it. Ratio and difference are to "
            "scikit-learn with its own forest."
        ),
        goals=goals,
        raw=raw,
    )


def case(name: str, data: Any, quick: bool) -> Case:
    """Grow the forest on both sides, and see that it is the same."""
    train, targets = data.part("train")
    rows, true = data.part("valid")
    if quick:
        rows, true = rows.take(np.arange(300)), true[:300]
    design = data.preprocess.design(train)
    fitted = dt.tabular.fit(data, model="forest", num_threads=1, settings=FOREST | {"seed": SEED})
    make = RandomForestClassifier if data.classes else RandomForestRegressor
    theirs = make(
        FOREST["num_trees"], min_samples_leaf=FOREST["min_samples_leaf"],
        max_features=FOREST["max_features"], random_state=SEED, n_jobs=1,
    ).fit(design, targets)  # fmt: skip
    estimator: Any = fitted.estimator
    matrix = data.preprocess.design(rows)
    frame = Frame.from_matrix(matrix, data.preprocess.design_names)
    answers = theirs.predict_proba(matrix) if data.classes else theirs.predict(matrix)
    assert np.abs(estimator.ensemble.predict(matrix) - answers).max() < CLOSE, "not the same forest"
    return Case(name, frame, true, theirs, estimator.ensemble)


Asked = tuple[dict[str, Callable[[], Any]], dict[str, float]]
"""What is timed, and how far the values of each are from scikit-learn's."""


def importance(one: Case) -> Asked:
    """The drop of each shuffle of each column."""
    matrix = one.frame.matrix()
    scoring = "accuracy" if one.is_class else "neg_root_mean_squared_error"
    orders = shuffles(len(matrix))

    def theirs() -> Any:
        return their_importance(
            one.theirs, matrix, one.targets, scoring=scoring, n_repeats=REPEATS, random_state=SEED
        )

    def asker(predict: Callable[[Frame], np.ndarray]) -> Callable[[], Any]:
        return lambda: permutation_importance(
            predict, one.frame, one.targets, one.score, orders=orders
        )

    known = theirs().importances  # (K, repeats)
    variants = {name: asker(predict) for name, predict in one.predicts().items()}
    difference = {}
    for name, ask in variants.items():
        found = ask()
        drops = np.array([found[column].drops for column in one.frame.names])
        difference[name] = float(np.abs(drops - known).max())
    return {THEIRS: theirs, **variants}, difference


def dependence(one: Case) -> Asked:
    """The curve of the columns that the trees' splits gain most by."""
    matrix = one.frame.matrix()
    chosen = np.argsort(-one.ours.importance())[:COLUMNS].tolist()
    names = [one.frame.names[place] for place in chosen]
    predicts = one.predicts()
    grids = {n: partial_dependence(predicts[OURS], one.frame, n).grid.numbers() for n in names}

    def theirs() -> list[np.ndarray]:
        return [
            their_dependence(
                one.theirs, matrix, [place], method="brute", kind="both",
                custom_values={place: grids[name]},
            )["average"][0]
            for place, name in zip(chosen, names, strict=True)
        ]  # fmt: skip

    def asker(predict: Callable[[Frame], np.ndarray]) -> Callable[[], list[np.ndarray]]:
        def ask() -> list[np.ndarray]:
            found = [partial_dependence(predict, one.frame, name).mean for name in names]
            return [curve[:, 1] if one.is_class else curve for curve in found]

        return ask

    known = theirs()
    variants = {name: asker(predict) for name, predict in predicts.items()}
    difference = {
        name: max(float(np.abs(a - b).max()) for a, b in zip(ask(), known, strict=True))
        for name, ask in variants.items()
    }
    return {THEIRS: theirs, **variants}, difference


def shuffles(rows: int) -> np.ndarray:
    """scikit-learn's shuffles of a column, (repeats, N): each starts from the one before."""
    drawn = np.random.RandomState(SEED).randint(np.iinfo(np.int32).max + 1)
    state = np.random.RandomState(drawn)
    index, at, found = np.arange(rows), np.arange(rows), []
    for _ in range(REPEATS):
        state.shuffle(index)
        at = at[index]
        found.append(at)
    return np.stack(found)


if __name__ == "__main__":
    finish(measure, __doc__)
