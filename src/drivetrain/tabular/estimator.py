"""Models of tables where scikit-learn's are expected: in its pipelines, searches and cross-validation.

    search = GridSearchCV(TabularClassifier("forest"), {"min_samples_leaf": [1, 3, 10]})
    search.fit(frame, labels)
    search.best_estimator_.to_model().save("runs/forest")

`fit` learns from all rows that it is given: which rows validate is up to scikit-learn. Rows are an array
of numbers, whose columns are called x0, x1 …, or a frame of pandas, polars or Arrow, which may hold words
and dates too and whose columns' kinds are inferred; a missing value is NaN or null in either. Rows are
not weighted: there is no `sample_weight`.

What was fitted is a `TabularModel` like any other. `to_model` gives it, and it is kept without pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from drivetrain._optional import require
from drivetrain._registry import lookup
from drivetrain.data.frame import Frame
from drivetrain.data.split import Split
from drivetrain.data.tables.arrow import as_arrow
from drivetrain.data.tables.csv_dialect import unique_names
from drivetrain.data.tables.reading import DEFAULT_MISSING, open_table
from drivetrain.errors import DataError
from drivetrain.tabular.columns.dates import date_parts, tells_time
from drivetrain.tabular.columns.kinds import infer_schema, parse_frame
from drivetrain.tabular.data import USED, TabularData
from drivetrain.tabular.estimators import TreeEstimator
from drivetrain.tabular.fitting import FITTERS
from drivetrain.tabular.models import TabularModel
from drivetrain.tabular.preprocess import Preprocess, learn
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.target import Target
from drivetrain.tabular.tuning import training

# Its classes are the bases of ours; this module is loaded when one of ours is asked for.
base = require("sklearn.base", extra="tabular")
multiclass = require("sklearn.utils.multiclass", extra="tabular")
validation = require("sklearn.utils.validation", extra="tabular")

OF_MODELS = (
    "num_trees", "learning_rate", "num_leaves", "library", "min_samples_leaf",
    "max_leaf_nodes", "max_depth", "max_features", "max_samples", "penalty", "layers", "epochs",
    "lr", "batch_size", "weight_decay", "dropout", "embedding_dropout", "y_range",
)  # fmt: skip
"""Parameters that are settings of some model; None leaves the choice to it."""
OF_COLUMNS = ("fill", "constant", "scale", "unseen", "log", "levels", "rare")
"""Parameters of preprocessing."""
WEAK = ("majority", "one_r")
"""Models that stand there to be beaten."""


class _TabularEstimator(base.BaseEstimator):
    """What the classifier and the regressor share."""

    def __init__(
        self,
        model: str = "boosting",
        *,
        num_trees: int | None = None,
        learning_rate: float | None = None,
        num_leaves: int | None = None,
        library: str | None = None,
        min_samples_leaf: int | None = None,
        max_leaf_nodes: int | None = None,
        max_depth: int | None = None,
        max_features: float | str | None = None,
        max_samples: int | float | None = None,
        penalty: float | None = None,
        layers: Sequence[int] | None = None,
        epochs: int | None = None,
        lr: float | None = None,
        batch_size: int | None = None,
        weight_decay: float | None = None,
        dropout: float | None = None,
        embedding_dropout: float | None = None,
        y_range: Sequence[float] | bool | None = None,
        kinds: Mapping[str, str] | None = None,
        fill: str = "median",
        constant: float = 0.0,
        scale: str = "standard",
        unseen: str = "missing",
        log: Sequence[str] = (),
        levels: Mapping[str, Sequence[str]] | None = None,
        rare: int | None = None,
        random_state: Any = 42,
        num_threads: int = 1,
    ) -> None:
        self.model = model
        self.num_trees = num_trees
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.library = library
        self.min_samples_leaf = min_samples_leaf
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.max_features = max_features
        self.max_samples = max_samples
        self.penalty = penalty
        self.layers = layers
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.embedding_dropout = embedding_dropout
        self.y_range = y_range
        self.kinds = kinds
        self.fill = fill
        self.constant = constant
        self.scale = scale
        self.unseen = unseen
        self.log = log
        self.levels = levels
        self.rare = rare
        self.random_state = random_state
        self.num_threads = num_threads

    def to_model(self) -> TabularModel:
        """What was fitted, as `tabular.fit` gives it: to save, to load and to ask why.

        Raises: sklearn.exceptions.NotFittedError: `fit` was not called.
        """
        validation.check_is_fitted(self)
        return self.model_

    @property
    def feature_importances_(self) -> np.ndarray:
        """The share of each column of X in what all splits gained: (n_features_in_,), adds up to 1.

        A date has the sum over the columns made of it, and a column with gaps also what the flag of its
        missing values gained. 0 for columns that are not used. Of models of trees only.
        """
        estimator = self.to_model().estimator
        if not isinstance(estimator, TreeEstimator):
            raise AttributeError(
                f"'{self.model}' has no `feature_importances_`: models of trees have."
            )
        place = {name: n for n, name in enumerate(self._names())}
        found = np.zeros(self.n_features_in_)
        owners = _owners(self.model_.preprocess, self.model_.reader)
        for name, share in zip(owners, estimator.ensemble.importance(), strict=True):
            found[place[name]] += share
        return found

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator: NaN is a missing value."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # --- between scikit-learn and a table ---------------------------------------------------------

    def _names(self) -> tuple[str, ...]:
        """The columns of X as the model calls them."""
        if hasattr(self, "feature_names_in_"):
            return unique_names(self.feature_names_in_.tolist(), [])
        return tuple(f"x{place}" for place in range(self.n_features_in_))

    def _checked(self, X: Any, y: Any = None, *, is_fit: bool) -> Any:  # noqa: N803
        """X as a frame, or as (N, K) float64; its width and its names are kept or compared."""
        if not _is_frame(X):
            X = self._array(X, least=2 if is_fit else 1)  # noqa: N806
        given = {"y": y} if is_fit else {}
        validation.validate_data(self, X, reset=is_fit, skip_check_array=True, **given)
        return X

    def _array(self, X: Any, least: int) -> np.ndarray:  # noqa: N803
        try:
            return validation.check_array(
                X,
                dtype=np.float64,
                ensure_all_finite="allow-nan",
                ensure_min_samples=least,
                estimator=self,
                input_name="X",
            )
        except ValueError as error:
            if getattr(X, "dtype", np.dtype(object)).kind in "OUS":
                error.add_note(
                    "An array holds numbers. Give words and dates as a frame of pandas, polars or Arrow."
                )
            raise

    def _fit(self, X: Any, y: np.ndarray, name: str, *, is_class: bool) -> TabularModel:  # noqa: N803
        """The model of checked rows and targets, (N,) or (N, T), which are called `name`."""
        validation.check_consistent_length(X, y)
        names = self._names()
        columns = y.T if y.ndim == 2 else [y]
        targets = [
            _unused(name if y.ndim == 1 else f"{name}{n}", names) for n in range(len(columns))
        ]
        table = _table(X, names, dict(zip(targets, columns, strict=True)))
        kinds = {} if _is_frame(X) else dict.fromkeys(names, "number")
        kinds |= self.kinds or {}
        kinds |= dict.fromkeys(targets, "category" if is_class else "number")
        data = self._data(table, kinds, targets, y, is_class)
        given = {name: getattr(self, name) for name in OF_MODELS}
        settings = {name: value for name, value in given.items() if value is not None}
        found = training.train(self.model, data, settings, num_threads=self.num_threads)
        found.data = None  # an estimator does not carry the rows it learnt from
        return found

    def _data(
        self,
        table: Any,
        kinds: Mapping[str, str],
        targets: Sequence[str],
        y: np.ndarray,
        is_class: bool,
    ) -> TabularData:
        """All rows as training rows."""
        opened = open_table(table)
        read = opened.read()
        schema = infer_schema(read, kinds=kinds, target=targets)
        features = tuple(c.name for c in schema.columns if c.kind in USED and c.name not in targets)
        if not features:
            raise DataError(
                "X has no column to learn from: all are ids, texts or constant. Say what they are: "
                "kinds={'COLUMN': 'category'}."
            )
        wanted = [*features, *targets]
        frame, notes = parse_frame(read, schema, names=wanted, row_ids=opened.row_ids)
        target, found = Target(tuple(targets), "number"), y
        if is_class:
            labels, first, codes = np.unique(y, return_index=True, return_inverse=True)
            words = _words(labels, frame.factor(targets[0])[first].values())
            target, found = Target(tuple(targets), "class", words), codes.astype(np.int64)
        moments = {
            name: values
            for name in features
            if isinstance(values := frame[name], np.ndarray) and values.dtype.kind == "M"
        }
        dates = {name: tells_time(values) for name, values in moments.items()}
        reader = Reader(schema, features, dates, tuple(DEFAULT_MISSING))
        used = reader.expand(frame.select(features))
        return TabularData(
            source="the rows given to `fit`",
            recipe={"source": None, "target": list(targets)},
            report=opened.report,
            schema=schema,
            reader=reader,
            frame=used,
            target=target,
            targets=found,
            split=Split(tuple(range(len(used))), ()),
            preprocess=learn(used, **{name: getattr(self, name) for name in OF_COLUMNS}),
            quarantined=[],
            notes=[*opened.report.notes, *notes],
            seed=self._seed(),
            # boosting stops by rows that come after those it is fitted to, where that can be told
            times=next(iter(moments.values()), None),
        )

    def _seed(self) -> int:
        """A number as it is; what scikit-learn else allows is drawn from once."""
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        drawn = require("sklearn.utils", extra="tabular").check_random_state(self.random_state)
        return int(drawn.randint(2**31 - 1))

    def _outputs(self, X: Any) -> np.ndarray:  # noqa: N803
        """Numbers (N,) or (N, T), or probabilities (N, C)."""
        validation.check_is_fitted(self)
        X = self._checked(X, is_fit=False)  # noqa: N806
        reader, names = self.model_.reader, self._names()
        if not _is_frame(X) and all(
            reader.schema[name].kind == "number" for name in reader.features
        ):
            places = [names.index(name) for name in reader.features]
            return self.model_.predict_frame(Frame.from_matrix(X[:, places], reader.features))
        table = open_table(_table(X, names), missing=reader.missing).read()
        frame, _ = parse_frame(table, reader.schema, names=reader.features)
        return self.model_.predict_frame(reader.expand(frame))


class TabularClassifier(base.ClassifierMixin, _TabularEstimator):
    """Any of Drivetrain's models as a classifier of scikit-learn.

    Args:
        model: `boosting`, `boosting_sets`, `forest`, `extra_trees`, `tree`, `linear`, `net`, `one_r`,
            `majority`.
        num_trees, learning_rate, num_leaves, library, min_samples_leaf,
            max_leaf_nodes, max_depth, max_features, max_samples, penalty: of the models that have
            them; None is the model's own choice. See `tabular.fitting`.
        layers, epochs, lr, batch_size, weight_decay, dropout, embedding_dropout, y_range: of the net.
            See `tabular.learner`.
        kinds: column -> `number`, `category`, `date` …, where the inferred kind is not right. Columns of
            an array are numbers.
        fill, constant, scale, unseen, log, levels, rare: see `tabular.preprocess.learn`.
        random_state: the seed, a whole number; or what else scikit-learn takes.
        num_threads: that a library may use. Searches run several fits at once, so it is 1.

    Attributes:
        classes_: (C,) the labels, sorted.
        n_features_in_, feature_names_in_: the columns of X; names where X was a frame.
        feature_importances_: of models of trees.
        model_: the `TabularModel`.
    """

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Learn from all rows.

        Args:
            X: (N, K) numbers, or a frame of N rows.
            y: (N,) labels: words, whole numbers or booleans.

        Raises: ValueError, TypeError: as scikit-learn has it. DataError, ConfigError (both ValueErrors),
            UnknownNameError: the table or a parameter cannot be used.
        """
        lookup(dict.fromkeys([*FITTERS, training.NET]), self.model, what="model")
        X = self._checked(X, y, is_fit=True)  # noqa: N806
        labels = validation.check_array(y, ensure_2d=False, dtype=None, input_name="y")
        multiclass.check_classification_targets(labels)
        labels = validation.column_or_1d(labels, warn=True)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise DataError(
                f"All rows are of one class, {self.classes_[0]}, so there is nothing to learn. Give "
                "rows of two classes or more."
            )
        self.model_ = self._fit(X, labels, _name_of(y), is_class=True)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The class with the highest probability, (N,), as `y` had it."""
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Probabilities (N, C) float64 in the order of `classes_`; rows sum to 1."""
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        """See scikit-learn."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = self.model in WEAK
        return tags


class TabularRegressor(base.RegressorMixin, _TabularEstimator):
    """Any of Drivetrain's models as a regressor of scikit-learn.

    Args: as `TabularClassifier`.

    Attributes:
        n_features_in_, feature_names_in_: the columns of X; names where X was a frame.
        feature_importances_: of models of trees.
        model_: the `TabularModel`.
    """

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Learn from all rows.

        Args:
            X: (N, K) numbers, or a frame of N rows.
            y: (N,) numbers; (N, T) for `net`, `linear` and `majority`, which predict several at once.

        Raises: as `TabularClassifier.fit`.
        """
        lookup(dict.fromkeys([*FITTERS, training.NET]), self.model, what="model")
        X = self._checked(X, y, is_fit=True)  # noqa: N806
        numbers = validation.check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if numbers.ndim == 1 or numbers.shape[1] == 1 or not self._takes_many():
            numbers = validation.column_or_1d(numbers, warn=True)
        self.model_ = self._fit(X, numbers, _name_of(y), is_class=False)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Numbers (N,) float64, or (N, T)."""
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        """See scikit-learn."""
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = self.model in WEAK
        tags.target_tags.multi_output = self._takes_many()
        return tags

    def _takes_many(self) -> bool:
        return self.model == training.NET or (
            self.model in FITTERS and FITTERS[self.model].many_targets
        )


def _is_frame(X: Any) -> bool:  # noqa: N803
    """Whether X is a table with named columns: of pandas, polars, Arrow or their like."""
    return hasattr(X, "__arrow_c_stream__") and len(getattr(X, "shape", ())) == 2


def _table(X: Any, names: Sequence[str], more: Mapping[str, np.ndarray] | None = None) -> Any:  # noqa: N803
    """A frame, or an array (N, K), as an Arrow table with these names, and more columns at its end."""
    pa = require("pyarrow", extra="tabular")
    if _is_frame(X):
        if hasattr(X, "reset_index"):
            X = X.reset_index(drop=True)  # noqa: N806 - an index with a name is no column here
        columns = as_arrow(X, []).columns
    else:
        columns = [pa.array(column, from_pandas=True) for column in X.T]
    columns = [*columns, *(pa.array(column, from_pandas=True) for column in (more or {}).values())]
    return pa.Table.from_arrays(columns, names=[*names, *(more or {})])


def _name_of(y: Any) -> str:
    """What a series is called, else y."""
    name = getattr(y, "name", None)
    return name if isinstance(name, str) and name else "y"


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _words(labels: np.ndarray, found: Sequence[str | None]) -> tuple[str, ...]:
    """The labels as the words that a table has for them: 1 for 1.0.

    Args:
        labels: (C,) all different.
        found: what reading makes of each; None where it stands for a missing value.
    """
    plain = [str(label) for label in labels.tolist()]
    words = [own if word is None else word for own, word in zip(plain, found, strict=True)]
    return tuple(words if len(set(words)) == len(words) else plain)


def _owners(preprocess: Preprocess, reader: Reader) -> list[str]:
    """For each column of the design that trees see, the column of the table that it is made of."""
    of_date = {part: name for name, has in reader.dates.items() for part in date_parts(name, has)}
    flags = [column.name for column in preprocess.numbers if column.has_flag]
    return [of_date.get(name, name) for name in (*preprocess.columns, *flags)]
