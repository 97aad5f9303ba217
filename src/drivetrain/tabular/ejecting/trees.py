"""Models of tables that no Learner trained, as plain scripts: trees, linear models, averages of them.

    eject_model("runs/adult-forest", "forest.py")     # or a TabularModel, or a Leaderboard
    python forest.py --data adult.csv --out again/

A script reads, splits and preprocesses the table as the run did, calls scikit-learn or LightGBM with the
settings of the run, and predicts the validation rows: to the last bit what the run's model predicts. It
ends with one line of JSON: `predictions_sha256` (see the function of that name) and `metrics`.

Reading, splitting and preprocessing are the library's own source, lifted (`ejecting.data`). The calls
of the two libraries are written here; tests hold each of them against what the library's own growing
gives.
"""

from __future__ import annotations

import hashlib
import shlex
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain import store
from drivetrain._registry import lookup
from drivetrain.data.frame import Frame
from drivetrain.eject.inline import Setting
from drivetrain.eject.known import Known
from drivetrain.eject.layout import WIDTH, laid_out, pieces_of, put_together, ruff_path
from drivetrain.eject.lift import Import, Lifter
from drivetrain.eject.parts import Written
from drivetrain.eject.text import docstring
from drivetrain.errors import EjectError
from drivetrain.tabular import preprocess
from drivetrain.tabular.data import TabularData, gather_again
from drivetrain.tabular.ejecting.data import TableWriter, edited, indented
from drivetrain.tabular.estimators import AverageEstimator, Estimator, NetEstimator, softmax
from drivetrain.tabular.fitting import FITTERS, _logistic
from drivetrain.tabular.measure import metrics_of
from drivetrain.tabular.models import TabularModel, load
from drivetrain.train.run import Run, check_form, said_as_damage
from drivetrain.trees import from_lightgbm, splits
from drivetrain.trees.form import DEEPEST
from drivetrain.trees.grown import Rows

if TYPE_CHECKING:
    from drivetrain.tabular.leaderboard import Leaderboard

RECORD: Mapping[str, Any] = {
    "model": {"name": str},
    "settings": dict,
    "fingerprint": str,
    "data": {"target": list, "seed": int},
}
"""What `run.json` has to say for a model without a Learner to be ejected."""

SECTIONS = (
    ("settings", "Settings"),
    ("randomness", "Randomness: every draw is a function of the seed and of what it is for"),
    ("data", "Data"),
    ("model", "Model"),
    ("main", "The run"),
)


def eject_model(
    source: TabularModel | Leaderboard | store.StrPath,
    path: store.StrPath,
    *,
    model: str | None = None,
) -> Path:
    """Write a script that fits a model of a table again and predicts its validation rows the same.

    Args:
        source: a model, a leaderboard, or the folder of a run of one.
        path: the script; one that is there is replaced.
        model: which of a leaderboard's models; by default the one that its run predicts with.

    Raises: EjectError: the model is a net or has one in it, or the table came from memory; the message
        says what to do. RunError, DataError: the run or its table cannot be opened.
    """
    return write(find_model(source, model=model), path)


def write(found: Found, path: store.StrPath) -> Path:
    """Write the script of a model that was found; see `eject_model`."""
    path = Path(path)
    ruff = ruff_path()
    store.write_text(path, laid_out(_Script(found, path.name).text(), ruff))
    return path


def predictions_sha256(model: TabularModel, frame: Frame) -> str:
    """SHA-256 over what a model predicts of rows: little-endian float64, row by row."""
    return _hashed(model.predict_frame(frame))


def _hashed(predictions: np.ndarray) -> str:
    return hashlib.sha256(predictions.astype("<f8").tobytes()).hexdigest()


# --- what is to be written ------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """One model that is fitted."""

    name: str
    """Of `fitting.FITTERS`."""
    settings: Mapping[str, Any]
    estimator: Estimator


@dataclass(frozen=True)
class Found:
    """A model and what it was fitted on."""

    name: str
    data: TabularData
    members: tuple[Member, ...]
    weights: tuple[float, ...]
    """Of an average; empty for a model by itself."""


def find_model(
    source: TabularModel | Leaderboard | store.StrPath, *, model: str | None = None
) -> Found:
    """The model that is to be written, with its table read again. Arguments and errors: `eject_model`."""
    from drivetrain.tabular.leaderboard import Leaderboard

    if isinstance(source, TabularModel):
        if source.data is None or source.fitted is None:
            raise EjectError(
                "This model was loaded, and does not know what it was fitted on. Eject from its run: "
                "give the folder."
            )
        return _opened(
            source.name,
            source.data,
            source.estimator,
            source.settings(),
            {source.name: source.settings()},
        )
    if isinstance(source, Leaderboard):
        name = model or source.main.name
        settings = {n: one.settings() for n, one in source.models.items()}
        return _opened(name, source.data, source[name].estimator, settings[name], settings)
    return _of_run(Path(source), model)


def _of_run(folder: Path, model: str | None) -> Found:
    from drivetrain.tabular.leaderboard import ALL

    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, RECORD, path)
    with said_as_damage(path):
        data = gather_again(record["data"])
    if data.fingerprint() != record["fingerprint"]:
        raise EjectError(
            f"The table {data.source} is not the one that {folder} began with. Put it back, or fit anew."
        )
    many = record["settings"].get("models")
    settings = many if isinstance(many, dict) else {record["model"]["name"]: record["settings"]}
    name = model or record["model"]["name"]
    lookup({key: None for key in settings if key in ALL}, name, what="model of this run")
    if not isinstance(settings[name], dict):
        raise EjectError(f"{path} does not say what '{name}' was fitted with. Fit anew.")
    place = run.folder / "models" / name if isinstance(many, dict) else run.folder
    return _opened(name, data, load(place).estimator, settings[name], settings)


def _opened(
    name: str,
    data: TabularData,
    estimator: Estimator,
    settings: Mapping[str, Any],
    known: Mapping[str, Any],
) -> Found:
    if not isinstance(estimator, AverageEstimator):
        return Found(name, data, (_member(name, settings, estimator),), ())
    members = []
    for place, inner in zip(estimator.names, estimator.members, strict=True):
        if isinstance(inner, AverageEstimator) or not isinstance(known.get(place), Mapping):
            raise EjectError(
                f"'{name}' is an average, and what '{place}' in it was fitted with is not on record. "
                "Eject from the leaderboard, or from its run."
            )
        members.append(_member(place, known[place], inner))
    weights = tuple(float(weight) for weight in estimator.weights)
    return Found(name, data, tuple(members), weights)


def _member(name: str, settings: Mapping[str, Any], estimator: Estimator) -> Member:
    if isinstance(estimator, NetEstimator):
        raise EjectError(
            "A net is trained by a loop, and such a script is written from a run of the net by itself: "
            "train it (`--model net`, or `tabular.learner`), and eject that. For an average without it, "
            "leave 'net' out of `models`."
        )
    if name not in FITTERS:
        raise EjectError(f"'{name}' is no model that a script can fit: {', '.join(FITTERS)}.")
    return Member(name, settings, estimator)


# --- the script -----------------------------------------------------------------------------------


class _Script:
    """One script in the making."""

    def __init__(self, found: Found, name: str) -> None:
        self.found, self.data, self.name = found, found.data, name
        self.lifter = Lifter()
        self.table = TableWriter(found.data, self.lifter)
        self.goal = found.data.target
        self.is_class = self.goal.kind == "class"
        self.written: list[Written] = []
        self.takes_linear = any(member.name == "linear" for member in found.members)
        self.takes_design = any(member.name != "linear" for member in found.members)
        self.table.settings.append(
            Setting("SEED", found.data.seed, "the same seed gives the same rows and the same model")
        )
        self.lifter.constants["SEED"] = found.data.seed

    def text(self) -> str:
        """All of it, not yet laid out."""
        self._data()
        for member in self.found.members:
            try:
                self._model(member)
            except (KeyError, TypeError) as error:
                raise EjectError(
                    f"What '{member.name}' was fitted with is not on record as a script needs it "
                    f"({type(error).__name__}: {str(error)[:80]}). Fit it anew."
                ) from error
        for member, weight in zip(self.found.members, self.found.weights, strict=False):
            self.table.setting(f"{member.name.upper()}_WEIGHT", weight, "in the mean of the models")
        self._measure()
        self._main()
        self.lifter.known |= self.table.known
        self.lifter.instead |= self.table.instead
        return put_together(
            self.lifter,
            pieces_of(self.written, self.lifter),
            self.table.settings,
            docstring=self._docstring(),
            sections=SECTIONS,
            section_of=_section_of,
        )

    # --- rows -------------------------------------------------------------------------------------

    def _data(self) -> None:
        table, uses = self.table, dict[str, Any]()
        learnt = self.data.preprocess
        read = table.read()
        body = ["columns = read(path)", *table.targets(uses), *table.split(uses)]
        body += [*table.expand(uses), *table.learn(uses, scales=self.takes_linear)]
        fields, made, lines = list[str](), list[str](), list[str]()
        codes = f"codes = {table.codes(uses)}" if learnt.categories else ""
        flags = f"flags = {table.flags()}" if table.has_flags else ""
        lines += [line for line in (codes, flags) if line]
        also = ["*flags"] if flags else []
        if self.takes_design:
            fields.append(f"design: np.ndarray  # {self._columns('a code for each category')}")
            if learnt.numbers:
                lines.append(f"known = {table.scaled(uses, 'filled')}")
            parts = [*(["*codes"] if codes else []), *(["*known"] if learnt.numbers else []), *also]
            made.append(f"np.column_stack([{', '.join(parts)}]).astype(np.float64)")
        if self.takes_linear:
            fields.append(f"linear: np.ndarray  # {self._columns('a column a level')}")
            if learnt.numbers:
                how = "standardised" if learnt.scale == "standard" else "by_largest"
                lines.append(f"scaled = {table.scaled(uses, how)}")
            parts = [*(["*scaled"] if learnt.numbers else []), *also]
            if codes:
                uses["level_dummies"] = preprocess.level_dummies
                of = ".levels" if table.takes_mode else ""
                dummies = f"level_dummies(codes[i], len(levels[name]{of}))"
                lines.append(f"dummies = [{dummies} for i, name in enumerate(CATEGORIES)]")
                parts.append("*dummies")
            made.append(f"np.column_stack([{', '.join(parts)}]).astype(np.float64)")
        kind = "(N,) int64: which of CLASSES each is of" if self.is_class else "(N,) float64"
        kind = kind if len(self.goal.names) == 1 else "(N, T) float64: one for each of TARGETS"
        fields.append(f"targets: np.ndarray  # {kind}")
        self.written.append(Written(_PART.format(fields=indented(fields, 1)), "data"))
        self.written.append(read)
        body += ["", "def part(rows: np.ndarray) -> Part:"]
        body += [f"    {line}" for line in lines]
        body += [
            "    return Part(",
            *(f"        {one}," for one in (*made, "targets[rows]")),
            "    )",
        ]
        body += ["", "return part(train), part(valid)"]
        self.written.append(Written(_LOAD.format(body=indented(body, 1)), "data", uses))
        self.lifter.add_import(Import("typing", "NamedTuple"))

    def _columns(self, categories: str) -> str:
        """What a matrix of columns holds."""
        learnt = self.data.preprocess
        what = [
            *([categories] if learnt.categories else []),
            *(["numbers"] if learnt.numbers else []),
            *(["flags of what was missing"] if self.table.has_flags else []),
        ]
        return f"(N, K) float64: {', '.join(what)}"

    # --- models -----------------------------------------------------------------------------------

    def _model(self, member: Member) -> None:
        self.prefix = f"{member.name.upper()}_" if self.found.weights else ""
        self.suffix = f"_{member.name}" if self.found.weights else ""
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
        if seed == self.data.seed:
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

    # --- the end ----------------------------------------------------------------------------------

    def _measure(self) -> None:
        lines = [f'"{one.name}": {_METRICS[one.name]},' for one in metrics_of(self.goal)]
        if any("roc_auc_score" in line for line in lines):
            self.lifter.add_import(Import("sklearn.metrics", "roc_auc_score"))
        labels = "\n    labels = predictions.argmax(axis=1)" if self.is_class else ""
        found = "\n    errors = predictions - targets" if not self.is_class else ""
        body = indented(lines, 2)
        self.written.append(Written(_MEASURE.format(first=labels + found, body=body), "main"))

    def _main(self) -> None:
        members, suffixes = self.found.members, [""]
        if self.found.weights:
            suffixes = [f"_{member.name}" for member in members]
        lines = ["train, valid = load(arguments.data)"]
        if self.found.weights:
            for place, suffix in enumerate(suffixes):
                weight = f"{suffix[1:].upper()}_WEIGHT"
                made = f"{weight} * predict{suffix}(fit{suffix}(train), valid)"
                lines.append(f"predictions {'+=' if place else '='} {made}")
        else:
            lines += ["model = fit(train)", "predictions = predict(model, valid)"]
        lines.append("metrics = measure(predictions, valid.targets)")
        if self.goal.is_log:
            lines.append("predictions = np.expm1(predictions)  # in the unit of the target")
        place = "a Parquet file" if self.table.reading.is_parquet else "a CSV file"
        self.written.append(Written(_MAIN.format(body=indented(lines, 1), place=place), "main"))
        for module in ("argparse", "hashlib", "json"):
            self.lifter.add_import(Import(module))

    def _docstring(self) -> str:
        goal, count = self.goal, len(self.data.reader.features)
        columns = "1 column" if count == 1 else f"{count} columns"
        some = ", ".join(goal.classes[:3]) + (", …" if len(goal.classes) > 3 else "")
        what = f"{goal.name} ({some})" if self.is_class else goal.name
        names = " and ".join(_MODELS[member.name] for member in self.found.members)
        head = f"the mean of {names}" if self.found.weights else names
        text = [f"Fit {head} to predict {what} from {columns} of a table.", ""]
        words = (
            "Written by Drivetrain: the steps of the run, and its predictions to the last bit (on the "
            "same kind of machine, with the same versions)."
        )
        text += [*textwrap.wrap(words, WIDTH), ""]
        text += [f"    python {shlex.quote(self.name)} --data DATA --out OUT", ""]
        return docstring(text)


def _says(name: str) -> str:
    what = FITTERS[name].what
    return f"{what[:1].upper()}{what[1:]}."


def _section_of(module: str) -> str:
    if module.startswith("drivetrain.randomness"):
        return "randomness"
    is_model = module.startswith(("drivetrain.trees", "drivetrain.tabular.fitting"))
    return "model" if is_model or module == "drivetrain.tabular.estimators" else "data"


_MODELS = {
    "majority": "the commonest answer",
    "one_r": "one rule",
    "tree": "a decision tree",
    "linear": "a linear model",
    "forest": "a random forest",
    "extra_trees": "extremely random trees",
    "boosting": "boosted trees",
    "boosting_sets": "boosted trees that split categories into sets",
}
"""What a script calls each model."""

_WHY_SO_MANY = "stages; found by stopping early on rows that were held out of the training ones"

_METRICS = {
    "accuracy": "float((labels == targets).mean())",
    "error_rate": "float((labels != targets).mean())",
    "log_loss": "-float(np.log(np.maximum(predictions[np.arange(len(targets)), targets], 1e-15)).mean())",
    "roc_auc": "float(roc_auc_score(targets, predictions[:, 1]))",
    "rmse": "float(np.sqrt((errors**2).mean()))",
    "mae": "float(np.abs(errors).mean())",
    "r2": "1 - float((errors**2).sum() / ((targets - targets.mean()) ** 2).sum())",
}
"""By the names that the run has for them."""

_PART = '''
class Part(NamedTuple):
    """The rows that train, or those that validate, as the model sees them."""

{fields}
'''

_LOAD = '''
def load(path: Path) -> tuple[Part, Part]:
    """Read and split the table, and learn from the training rows how the model is to see them."""
{body}
'''

_MEASURE = '''
def measure(predictions: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """How good predictions are."""{first}
    return {{
{body}
    }}
'''

_MAIN = '''
def main() -> None:
    """Load, fit, predict, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the table, {place}")
    parser.add_argument("--out", type=Path, required=True, help="folder for the predictions")
    arguments = parser.parse_args()
{body}
    print("  ".join(f"{{name}} {{value:.4g}}" for name, value in metrics.items()), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    np.save(arguments.out / "predictions.npy", predictions)
    digest = hashlib.sha256(predictions.astype("<f8").tobytes()).hexdigest()
    print(json.dumps({{"predictions_sha256": digest, "metrics": metrics}}))
'''
