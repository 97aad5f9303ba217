"""What a model of a table says, in a line each; the answers print, draw themselves and are JSON.

    asked = dt.tabular.explain(model)          # of a loaded model: explain(model, "rows.csv")
    print(asked.importance())                  # what shuffling a column costs
    print(asked.partial_dependence("age"))     # the answer as one column is swept
    print(asked.waterfall(0))                  # why this row got this answer
    print(asked.out_of_domain("new.csv"))      # are other rows of another kind?

The questions themselves are in `drivetrain.interpret`, and take any model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import columns as dropping, comparison, importance, outliers
from drivetrain.interpret.columns import DropReport
from drivetrain.interpret.comparison import Comparison
from drivetrain.interpret.confidence import Confidence, tree_confidence
from drivetrain.interpret.domain import DomainShift, out_of_domain
from drivetrain.interpret.importance import Importance
from drivetrain.interpret.outliers import OutlierReport
from drivetrain.interpret.partial import PartialDependence, partial_dependence
from drivetrain.interpret.partial_2d import PartialDependence2D, partial_dependence_2d
from drivetrain.interpret.redundancy import Redundancy, redundant_columns, without_each
from drivetrain.interpret.refits import Refits
from drivetrain.interpret.shapley import contributions
from drivetrain.interpret.waterfall import Waterfall, waterfall
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import AverageEstimator, LinearEstimator, TreeEstimator
from drivetrain.tabular.gathering import gather_again
from drivetrain.tabular.measure import score
from drivetrain.tabular.models import TabularModel, cores
from drivetrain.tabular.preprocess import learn
from drivetrain.trees import grow

FOREST_TREES = 40
"""Of the forests that are refitted without a column or some rows."""
MOST_ROWS = 20_000
"""Of the rows that questions are asked about; more are sampled."""


class Explainer:
    """A fitted model, and labelled rows to ask it about.

    Args:
        model: what is asked.
        frame: rows in the model's columns.
        targets: what is true of them, as `Target.values` gives it.
        train: the rows it was fitted on, and their targets; None where they are not known.
    """

    def __init__(
        self,
        model: TabularModel,
        frame: Frame,
        targets: np.ndarray,
        train: tuple[Frame, np.ndarray] | None,
    ) -> None:
        self.model = model
        self.frame = frame
        self.targets = targets
        self._train = train

    @property
    def train(self) -> tuple[Frame, np.ndarray]:
        """Frame and targets of the training rows.

        Raises: DataError: a model that was loaded does not have them.
        """
        if self._train is None:
            raise DataError(
                "This asks for the rows that the model was trained on, and a loaded model does not have "
                "them. Open it with them: explain(model, data) with the `TabularData` it came from."
            )
        return self._train

    def predict(self, frame: Frame) -> np.ndarray:
        """The model's answers, on the scale that it learns: a logarithm is not turned back.

        Args:
            frame: columns that the model sees.
        """
        return self.model.estimator.predict(self.model.prepared(frame))

    def score(self, targets: np.ndarray, preds: np.ndarray) -> float:
        """Accuracy, or the root mean squared error.

        Args:
            targets: (N,) classes or numbers.
            preds: what `predict` answers for the same rows.
        """
        found = score(self.model.target, preds, targets)
        return found if self.is_class else -found

    @property
    def is_class(self) -> bool:
        """Whether classes are predicted."""
        return self.model.target.kind == "class"

    # --- columns ----------------------------------------------------------------------------------

    def importance(self, *, repeats: int = 5, seed: int = 42) -> Importance:
        """What shuffling each column costs in accuracy, or adds to the root mean squared error.

        Args:
            repeats: shuffles of each column.
            seed: of the shuffles.
        """
        frame, targets = self._sample(seed)
        return importance.permutation_importance(
            self.predict,
            frame,
            targets,
            self.score,
            repeats=repeats,
            seed=seed,
            higher_is_better=self.is_class,
        )

    def impurity_importance(self) -> dict[str, float]:
        """The share of each column in what the splits of the trees gained; a flag counts to its column.

        Raises: ConfigError: the model is not made of trees.
        """
        estimator = self.model.estimator
        if not isinstance(estimator, TreeEstimator):
            raise ConfigError(
                f"'{self.model.name}' has no trees, and so no gain of splits. Ask `importance()`."
            )
        preprocess = self.model.preprocess
        shares = estimator.ensemble.importance().tolist()
        found = dict(zip(preprocess.columns, shares, strict=False))
        flagged = [column.name for column in preprocess.numbers if column.has_flag]
        for name, share in zip(flagged, shares[len(preprocess.columns) :], strict=True):
            found[name] += share
        return found

    def compare_importance(self, *, repeats: int = 5, seed: int = 42) -> Comparison:
        """Both kinds of importance side by side; where they disagree, a sentence says so.

        Args:
            repeats: shuffles of each column.
            seed: of the shuffles.
        """
        gains = self.impurity_importance()
        return comparison.compare_importance(gains, self.importance(repeats=repeats, seed=seed))

    def partial_dependence(self, name: str, **options: Any) -> PartialDependence:
        """The mean answer as one column is swept and all others stay; see `interpret.partial`.

        Args:
            name: of the column.
            options: of `interpret.partial_dependence`.
        """
        options.setdefault("outputs", self.model.target.classes)
        return partial_dependence(self.predict, self._sample(42)[0], name, **options)

    def partial_dependence_2d(self, first: str, second: str, **options: Any) -> PartialDependence2D:
        """The mean answer as two columns are swept together; see `interpret.partial_2d`.

        Args:
            first: one column.
            second: the other.
            options: of `interpret.partial_dependence_2d`.
        """
        options.setdefault("outputs", self.model.target.classes)
        return partial_dependence_2d(self.predict, self._sample(42)[0], first, second, **options)

    def redundant_columns(self) -> Redundancy:
        """Which columns say the same, as a tree of rank correlations of the training rows."""
        return redundant_columns(self.train[0])

    def without_each(self, names: Sequence[str] | None = None) -> Refits:
        """The out-of-bag error of a forest without each of these columns; by default those that are
        nearly the same as another.

        Args:
            names: of columns.
        """
        if names is None:
            names = [n for group in self.redundant_columns().clusters() for n in group.names]
        return without_each(self._oob_error, self.train[0].names, candidates=list(names))

    def columns_to_drop(self) -> DropReport:
        """Columns that a forest does as well without, within one standard error out of bag."""
        return dropping.columns_to_drop(self._oob_error, self._forest_gains)

    # --- rows -------------------------------------------------------------------------------------

    def waterfall(self, row: int, *, label: str | None = None, walks: int = 200) -> Waterfall:
        """Why a row got its answer: a start, and what each column adds; they add up to the answer.

        Trees that are averaged are taken apart along their paths, linear models by their weights, and all
        others by Shapley values of drawn orders.

        Args:
            row: its place among the rows that are asked about.
            label: the class whose probability is taken apart; by default the one that is predicted.
            walks: orders that are drawn, where they are.
        """
        if not 0 <= row < len(self.frame):
            raise DataError(f"There is no row {row}: there are {len(self.frame):,} rows, from 0.")
        one = self.frame.take([row])
        answer = self.predict(one)[0]
        output = None
        unit = self.model.target.name
        if self.is_class:
            classes = self.model.target.classes
            if label is not None and label not in classes:
                raise ConfigError(f"There is no class '{label}'. Known: {', '.join(classes)}.")
            output = int(answer.argmax()) if label is None else classes.index(label)
            unit = f"probability of {classes[output]}"
            answer = answer[output]
        elif self.model.target.is_log:
            unit = f"log(1 + {unit})"
        base, adds, answered = self._taken_apart(one, output, walks)
        answer = answer if answered is None else answered
        shown = [_shown(one, name) for name in self.model.preprocess.columns]
        return waterfall(
            base, adds, float(answer), self.model.preprocess.columns, shown=shown, unit=unit
        )

    def confidence(self, *, label: str | None = None) -> Confidence:
        """How far the trees of a forest, or the members of an average, agree on each row.

        Args:
            label: the class whose probability is looked at; by default the last.

        Raises: ConfigError: the model has one voice.
        """
        voices = self._voices()
        targets: np.ndarray = self.targets
        if self.is_class:
            classes = self.model.target.classes
            output = len(classes) - 1 if label is None else classes.index(label)
            voices, targets = voices[:, :, output], (targets == output).astype(np.float64)
        elif voices.ndim == 3:
            voices = voices[:, :, 0]
        return tree_confidence(voices, ids=self.frame.ids, targets=targets)

    def out_of_domain(self, new: Any = None, **options: Any) -> DomainShift:
        """Whether other rows are of another kind than the training rows, and which columns tell.

        Args:
            new: a source of rows; by default the rows that are asked about.
            options: of `interpret.out_of_domain`.
        """
        frame = self.frame if new is None else self.model.reader.read(new)[0]
        columns = self.model.preprocess.columns
        return out_of_domain(self.train[0].select(columns), frame.select(columns), **options)

    def outliers(self, **options: Any) -> OutlierReport:
        """Training rows with values far from the others, by group; none is dropped.

        Args:
            options: of `interpret.outlier_report`.
        """
        return outliers.outlier_report(self.train[0], **options)

    def with_and_without_outliers(self, **options: Any) -> Refits:
        """The error of a forest on the rows asked about, with and without each group of outliers.

        Args:
            options: of `interpret.with_and_without`.
        """

        def fit_score(kept: np.ndarray) -> tuple[float, float]:
            frame, targets = self.train
            rows = np.flatnonzero(kept) if kept.dtype == bool else kept
            preprocess = learn(frame.take(rows))
            grown = self._forest(preprocess.design(frame.take(rows)), targets[rows])
            errors = _errors(
                self.is_class, grown.ensemble.predict(preprocess.design(self.frame)), self.targets
            )
            return _root(self.is_class, errors)

        return outliers.with_and_without(fit_score, self.outliers(), **options)

    # --- how it is done ---------------------------------------------------------------------------

    def _sample(self, seed: int) -> tuple[Frame, np.ndarray]:
        if len(self.frame) <= MOST_ROWS:
            return self.frame, self.targets
        draw = np.random.default_rng(seed)
        rows = np.sort(draw.choice(len(self.frame), MOST_ROWS, replace=False))
        return self.frame.take(rows), self.targets[rows]

    def _taken_apart(
        self, one: Frame, output: int | None, walks: int
    ) -> tuple[float, np.ndarray, float | None]:
        """Start, what each column of the preprocessing adds (K,), and the answer where it was asked anew.

        In float32 a row among others is answered differently in the last bits than by itself.
        """
        estimator, preprocess = self.model.estimator, self.model.preprocess
        place = {name: at for at, name in enumerate(preprocess.columns)}
        if isinstance(estimator, TreeEstimator) and estimator.ensemble.combine == "mean":
            base, moves = estimator.ensemble.contributions(preprocess.design(one))
            chosen = moves[0, :, output or 0]
            adds = chosen[: len(place)].copy()
            flagged = [column.name for column in preprocess.numbers if column.has_flag]
            for name, move in zip(flagged, chosen[len(place) :], strict=True):
                adds[place[name]] += move
            return float(base[output or 0]), adds, None
        if isinstance(estimator, LinearEstimator) and not estimator.is_class:
            return *self._by_weights(estimator, one), None
        asked = one.select(preprocess.columns)  # in the order of the background's
        found = contributions(self.predict, asked, 0, self._background, output=output, walks=walks)
        return found.base, found.values, found.prediction

    def _by_weights(self, estimator: LinearEstimator, one: Frame) -> tuple[float, np.ndarray]:
        """A linear model's weights times how far the row's columns are from the mean row's."""
        preprocess = self.model.preprocess
        row, mean = preprocess.linear(one)[0], preprocess.linear(self._background).mean(axis=0)
        moves = (row - mean) * estimator.weights[:, 0]
        owner = [c.name for c in preprocess.numbers]
        owner += [c.name for c in preprocess.numbers if c.has_flag]
        owner += [c.name for c in preprocess.categories for _ in c.levels]
        adds = np.zeros(len(preprocess.columns))
        for name, move in zip(owner, moves, strict=True):
            adds[preprocess.columns.index(name)] += move
        return float(mean @ estimator.weights[:, 0] + estimator.bias[0]), adds

    @cached_property
    def _background(self) -> Frame:
        """Rows that stand for the usual: of training where they are known."""
        frame = self.frame if self._train is None else self._train[0]
        return frame.select(self.model.preprocess.columns)

    def _voices(self) -> np.ndarray:
        """(T, N, …) answers of each tree or member."""
        estimator, rows = self.model.estimator, self.model.prepared(self.frame)
        if isinstance(estimator, TreeEstimator) and estimator.ensemble.combine == "mean":
            if estimator.ensemble.num_trees > 1:
                return estimator.ensemble.tree_outputs(rows.design)
        elif isinstance(estimator, AverageEstimator):
            return np.stack([member.predict(rows) for member in estimator.members])
        raise ConfigError(
            f"'{self.model.name}' has one voice, so it cannot say how sure it is by itself. Ask a forest."
        )

    @cached_property
    def _forest_gains(self) -> dict[str, float]:
        """Gain of each column in a forest on the training rows."""
        frame, targets = self.train
        preprocess = learn(frame)
        grown = self._forest(preprocess.design(frame), targets)
        shares = grown.ensemble.importance().tolist()
        found = dict(zip(preprocess.columns, shares, strict=False))
        flagged = [column.name for column in preprocess.numbers if column.has_flag]
        for name, share in zip(flagged, shares[len(preprocess.columns) :], strict=True):
            found[name] += share
        return found

    def _forest(self, matrix: np.ndarray, targets: np.ndarray) -> grow.Grown:
        return grow.forest(
            matrix,
            targets,
            num_classes=len(self.model.target.classes),
            num_trees=FOREST_TREES,
            min_samples_leaf=3,
            max_features=0.5,
            num_threads=cores(),
        )

    def _oob_error(self, names: Sequence[str]) -> tuple[float, float]:
        """Out-of-bag error of a forest on these columns, and its standard error."""
        frame, targets = self.train
        chosen = frame.select(names)
        grown = self._forest(learn(chosen).design(chosen), targets)
        assert grown.oob is not None, "grown on resampled rows"
        is_seen = ~np.isnan(grown.oob).any(axis=1)
        answers = grown.ensemble.predictions(grown.oob[is_seen])
        return _root(self.is_class, _errors(self.is_class, answers, targets[is_seen]))


def explain(
    model: TabularModel, rows: TabularData | Any = None, *, part: str = "valid"
) -> Explainer:
    """Ask a model about labelled rows.

    Args:
        model: fitted or loaded.
        rows: a source with the target, or the `TabularData` that the model came from; by default the
            rows of the data that it was fitted on in this process.
        part: of that data: `valid` or `train`.

    Returns: what is asked by its methods: `importance`, `partial_dependence`, `waterfall` …
    Raises: DataError: there are no rows to ask about.
    """
    data = rows if isinstance(rows, TabularData) else model.data if rows is None else None
    if data is not None:
        frame, targets = data.part(part)
        return Explainer(model, frame, targets, data.part("train"))
    if rows is None:
        raise DataError(
            "A loaded model has no rows to ask about. Give some: explain(model, SOURCE)."
        )
    frame, targets, _ = model.labelled(rows)
    train = model.data.part("train") if model.data is not None else None
    return Explainer(model, frame, targets, train)


def explain_run(model: TabularModel, recipe: Any) -> Explainer:
    """Ask a run's model about the validation rows of the table that it was trained on.

    Raises: DataError, RunError: the table is gone, or is not the one it was trained on.
    """
    data = gather_again(recipe)
    if data.report.sha256 != model.trained_on:
        raise DataError(
            f"The table {data.source} is not the one that the model was trained on. Give rows with --on."
        )
    return explain(model, data)


def _shown(frame: Frame, name: str) -> str:
    values = frame[name]
    if isinstance(values, Factor):
        return values.values()[0] or "missing"
    return "missing" if np.isnan(values[0]) else f"{float(values[0]):,.6g}"


def _errors(is_class: bool, answers: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N,) 1 where a row's class is missed and 0 elsewhere, or its squared error."""
    if is_class:
        return (answers.argmax(axis=1) != targets).astype(np.float64)
    return (answers - targets) ** 2


def _root(is_class: bool, errors: np.ndarray) -> tuple[float, float]:
    """The mean of the errors, of squared ones its root, and the standard error of that."""
    mean, stderr = float(errors.mean()), float(errors.std() / np.sqrt(len(errors)))
    if is_class:
        return mean, stderr
    root = mean**0.5
    return root, stderr / (2 * root) if root > 0 else 0.0
