"""Models of tables that no Learner trained, as plain scripts: trees, linear models, averages of them.

    eject_model("runs/adult-forest", "forest.py")     # or a TabularModel, or a Leaderboard
    python forest.py --data adult.csv --out again/

A script reads, splits and preprocesses the table as the run did, calls scikit-learn or LightGBM with the
settings of the run, and predicts the validation rows: to the last bit what the run's model predicts. It
ends with one line of JSON: `predictions_sha256` (see the function of that name) and `metrics`.

Reading, splitting and preprocessing are the library's own source, lifted (`ejecting.data`); the calls of
the two libraries are in `ejecting.models`.
"""

from __future__ import annotations

import hashlib
import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain import store
from drivetrain.data.frame import Frame
from drivetrain.eject.layout import WIDTH, laid_out, pieces_of, put_together, ruff_path
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting
from drivetrain.eject.text import docstring, indented
from drivetrain.errors import EjectError
from drivetrain.tabular import preprocess
from drivetrain.tabular.ejecting.data import TableWriter
from drivetrain.tabular.ejecting.found import Found, find_model
from drivetrain.tabular.ejecting.learning import Learning
from drivetrain.tabular.ejecting.models import Models
from drivetrain.tabular.ejecting.read_function import read_written
from drivetrain.tabular.ejecting.splitting import split_of, targets_of
from drivetrain.tabular.measure import metrics_of
from drivetrain.tabular.models import TabularModel

if TYPE_CHECKING:
    from drivetrain.tabular.leaderboard import Leaderboard

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
    script = _Script(found, path.name)
    text = laid_out(script.text(), ruff)
    for ending, beside in script.table.beside.items():
        store.write_text(path.with_suffix(ending), beside)
    store.write_text(path, text)
    return path


def predictions_sha256(model: TabularModel, frame: Frame) -> str:
    """SHA-256 over what a model predicts of rows: little-endian float64, row by row."""
    return _hashed(model.predict_frame(frame))


def _hashed(predictions: np.ndarray) -> str:
    return hashlib.sha256(predictions.astype("<f8").tobytes()).hexdigest()


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
        self.learning = Learning(self.table, scales=self.takes_linear)
        self.takes_design = any(member.name != "linear" for member in found.members)
        self.table.settings.append(
            Setting("SEED", found.data.seed, "the same seed gives the same rows and the same model")
        )
        self.lifter.constants["SEED"] = found.data.seed

    def text(self) -> str:
        """All of it, not yet laid out."""
        self._data()
        models = Models(self.table, self.lifter, is_average=bool(self.found.weights))
        for member in self.found.members:
            try:
                models.write(member)
            except (KeyError, TypeError) as error:
                raise EjectError(
                    f"What '{member.name}' was fitted with is not on record as a script needs it "
                    f"({type(error).__name__}: {str(error)[:80]}). Fit it anew."
                ) from error
        self.written += models.written
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
        table = self.table
        uses: dict[str, Any] = {}
        learnt = self.data.preprocess
        learning = self.learning
        read = read_written(table)
        body = ["columns = read(path)", *targets_of(table, uses), *split_of(table, uses)]
        body += [*learning.expand(uses), *learning.learn(uses)]
        fields, made, lines = list[str](), list[str](), list[str]()
        codes = f"codes = {learning.codes(uses)}" if learnt.categories else ""
        flags = f"flags = {learning.flags()}" if learning.has_flags else ""
        lines += [line for line in (codes, flags) if line]
        also = ["*flags"] if flags else []
        if self.takes_design:
            fields.append(f"design: np.ndarray  # {self._columns('a code for each category')}")
            if learnt.numbers:
                lines.append(f"known = {learning.scaled(uses, 'filled')}")
            parts = [*(["*codes"] if codes else []), *(["*known"] if learnt.numbers else []), *also]
            made.append(f"np.column_stack([{', '.join(parts)}]).astype(np.float64)")
        if self.takes_linear:
            fields.append(f"linear: np.ndarray  # {self._columns('a column a level')}")
            if learnt.numbers:
                how = "standardised" if learnt.scale == "standard" else "by_largest"
                lines.append(f"scaled = {learning.scaled(uses, how)}")
            parts = [*(["*scaled"] if learnt.numbers else []), *also]
            if codes:
                uses["level_dummies"] = preprocess.level_dummies
                of = ".levels" if learning.takes_mode else ""
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
            *(["flags of what was missing"] if self.learning.has_flags else []),
        ]
        return f"(N, K) float64: {', '.join(what)}"

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
        text += textwrap.wrap(self.table.note, WIDTH)
        return docstring(text)


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
