"""What the model card of a bundle of tables says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.card import Card, Row, card_text, config
from drivetrain.bundle.golden import Golden
from drivetrain.bundle.manifest import Manifest
from drivetrain.tabular.bundling.checked import shown_features
from drivetrain.tabular.bundling.guard import GROUP, TableGuard
from drivetrain.tabular.bundling.predictor import TablePredictor
from drivetrain.tabular.estimators import AverageEstimator, Estimator, TreeEstimator

MOST_NAMED = 20
"""Classes, or columns of a kind, that the card names."""
NEEDS = "drivetrain pyarrow"
"""What pip is to install; neither scikit-learn nor LightGBM."""

_MODELS = {
    "majority": "always the commonest class, or the mean",
    "one_r": "the one best split of one column",
    "tree": "one decision tree",
    "forest": "a random forest",
    "extra_trees": "extremely randomised trees",
    "boosting": "gradient boosted trees",
    "boosting_sets": "gradient boosted trees that split categories into sets of levels",
    "linear": "a linear model",
    "net": "a neural net with an embedding for each category",
}
_BASELINES = _MODELS | {"majority": "guessing: the commonest class, or the mean"}


def card_of(
    manifest: Manifest,
    record: Mapping[str, Any],
    predictor: TablePredictor,
    *,
    title: str,
    golden: Golden,
    has_predictor: bool,
) -> tuple[str, dict[str, Any]]:
    """`README.md` and `config.json`.

    Args:
        record: `run.json`, with `results`.
        predictor: of the bundle, with its guard.
        title: of the card.
    """
    target, told, guard = predictor.target, manifest.training, predictor.guard
    is_class = target.kind == "class"
    metrics = record["results"].get("metrics", {}).get("valid", {})
    usual = "accuracy" if is_class else "rmse"  # what the interval is of
    metric = usual if usual in metrics else next(iter(metrics), usual)
    items = told["items"] if isinstance(told["items"], dict) else {}
    what = (
        f"which of {len(target.classes)} classes a row is of: {_named(target.classes)}"
        if is_class
        else f"the number `{target.name}`"
        if len(target.names) == 1
        else f"the numbers {_named(target.names)}"
    )
    model = _model(predictor.name, predictor.estimator)
    features = shown_features(predictor.reader, predictor.preprocess)
    card = Card(
        title=title,
        purpose=(
            f"Says of rows of a table {what}, from {len(features)} "
            f"{'column' if len(features) == 1 else 'columns'}. The model is {model}, trained with "
            "Drivetrain."
        ),
        pipeline="tabular-classification" if is_class else "tabular-regression",
        classes=manifest.classes,
        data=_data(told, items),
        results=_rows(record["results"], metric, predictor.name),
        measured_on=(
            f"Measured on the {items.get('valid', 0):,} validation rows, which it did not learn from "
            f"(split: {told['split_by'] or 'by hand'})."
        ),
        metrics={name: value for name, value in metrics.items() if name != metric},
        limits=_limits(manifest, predictor),
        licence="unknown",
        licence_note=(
            "What was learnt comes from the table named above alone. Whoever owns the model has not "
            "chosen a licence yet: choose one before you pass it on."
        ),
        preparation=_preparation(features, predictor),
        metric=metric,
        needs=NEEDS,
        golden=_golden(golden),
        use=_use(manifest, predictor, has_predictor),
        files=_files(golden, guard, manifest, has_predictor),
    )
    described = config(
        architecture={name: manifest.architecture[name] for name in ("name", "kind")},
        classes=manifest.classes,
        model_type="drivetrain-tabular",
        model_class="TabularModel",
        extra={"columns": list(predictor.reader.features), "target": list(target.names)},
    )
    return card_text(card), described


def _model(name: str, estimator: Estimator) -> str:
    if isinstance(estimator, AverageEstimator):
        return f"an average of {len(estimator.members)} models ({_named(estimator.names)})"
    if isinstance(estimator, TreeEstimator) and estimator.ensemble.num_trees > 1:
        what = _MODELS.get(name, name)
        return f"{what} of {estimator.ensemble.num_trees} trees"
    return _MODELS.get(name, name)


def _data(told: Mapping[str, Any], items: Mapping[str, Any]) -> list[str]:
    sentences = [
        f"Table: {told['data']}; {items.get('train', 0):,} rows to train, "
        f"{items.get('valid', 0):,} to validate"
        + (f", {items['test']:,} sealed for a test" if items.get("test") else "")
        + ".",
        f"Target: {told['labelled_by'] or 'a column of it'}.",
        f"Split: {told['split_by'] or 'by hand'}.",
    ]
    if items.get("quarantined"):
        sentences.append(f"{items['quarantined']:,} rows were set aside and not used.")
    if told["fingerprint"]:
        sentences.append(f"Fingerprint of table and split: {told['fingerprint']}.")
    return sentences


def _rows(results: Mapping[str, Any], metric: str, name: str) -> list[Row]:
    valid = results.get("metrics", {}).get("valid", {})
    if metric not in valid:
        return []
    rows = [Row("**this model**", valid[metric], _pair(results.get("interval")))]
    for other, baseline in results.get("baselines", {}).items():
        if other != name and metric in baseline:
            interval = _pair(baseline.get("interval"))
            rows.append(Row(_BASELINES.get(other, str(other)), baseline[metric], interval))
    return rows


def _pair(interval: Any) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))


def _limits(manifest: Manifest, predictor: TablePredictor) -> list[str]:
    guard, target = predictor.guard, predictor.target
    given = "a class" if target.kind == "class" else "a number"
    sentences = [
        f"It gives each row {given}, whatever it holds"
        + (
            ". The guard says when a row is unlike those it was trained on, and in which columns; what "
            "looks alike in its eyes can pass."
            if guard is not None
            else ". It has no guard, which would say when a row is unlike those it was trained on."
        ),
        "The figures above hold for rows like those it was trained and validated on. On others (of "
        "another place, source or time) they are to be measured anew: drivetrain evaluate.",
    ]
    if any(isinstance(one, TreeEstimator) for one in _leaves(predictor.estimator)):
        sentences.append(
            "Trees do not continue a trend: beyond the range of the training rows they answer as at its "
            "end."
        )
    if predictor.reader.dates:
        sentences.append(
            f"It looks at dates ({_named(predictor.reader.dates)}), which move on: rows of later times "
            "lie beyond what it has seen."
        )
    if guard is not None:
        sentences.append(
            "What the guard promises holds on average over rows such as the validation rows, not for "
            f"each class or each row. {guard.told(target)}"
        )
    sentences.append(_travels(predictor))
    sentences.append(
        "It was not examined for fairness; it is no ground on which to decide about a person alone."
    )
    return sentences


def _travels(predictor: TablePredictor) -> str:
    """What of the table goes along with the bundle."""
    parts = ["the names of its columns"]
    if predictor.preprocess.categories:
        words = "the words of its categories, also those that stand in one row alone"
        parts.append(words)
    if predictor.preprocess.numbers:
        parts.append(
            "the smallest and largest value, the mean and the spread of each column of numbers"
        )
    if any(isinstance(one, TreeEstimator) for one in _leaves(predictor.estimator)):
        parts.append("the values at which trees split, and means of the rows in their leaves")
    text = (
        f"Of the table it holds {', '.join(parts[:-1])}{' and ' if parts[1:] else ''}{parts[-1]}."
    )
    if predictor.guard is not None:
        text += (
            f" The guard adds means of groups of {GROUP} or more training rows, and counts of validation "
            "rows between bounds, but no row."
        )
    return text


def _leaves(estimator: Estimator) -> list[Estimator]:
    if isinstance(estimator, AverageEstimator):
        return [leaf for member in estimator.members for leaf in _leaves(member)]
    return [estimator]


def _preparation(features: Mapping[str, str], predictor: TablePredictor) -> str:
    shown = "; ".join(f"{name}: {what}" for name, what in list(features.items())[:MOST_NAMED])
    more = f"; and {len(features) - MOST_NAMED} more" if len(features) > MOST_NAMED else ""
    return (
        f"A table needs these columns, others are not looked at: {shown}{more}. A cell may be empty: a "
        "missing number gets a fill value, a missing or unknown word counts as unknown. Dates become "
        "numbers such as month and day of the week."
    )


def _golden(golden: Golden) -> list[str]:
    made_up = (
        "`golden.safetensors` holds what the model answers for {what}: `drivetrain verify` calculates it "
        "anew and compares. The made-up rows are drawn by the program from ranges and words that the "
        "model knows."
    )
    if not golden.items:
        return [
            f"{made_up.format(what='rows that are made up')} No row of the table travels with it."
        ]
    count = len(golden.items)
    return [
        f"**{count} validation {'row travels' if count == 1 else 'rows travel'} with this bundle**, in "
        "`golden/rows.json`, with what is true of them: whoever has the bundle sees them. Export with "
        "`--golden 0` where the rows may not be shared.",
        made_up.format(what="them and for rows that are made up"),
    ]


def _use(manifest: Manifest, predictor: TablePredictor, has_predictor: bool) -> list[str]:
    texts = [
        "INPUT is a CSV or Parquet file. In Python:",
        "```python\n"
        "import drivetrain as dt\n\n"
        'predictor = dt.tabular.load("THIS_FOLDER")\n'
        'print(predictor.predict("rows.csv"))  # or a data frame, or a dict of one row\n'
        "```",
    ]
    if predictor.guard is not None and predictor.guard.reference is not None:
        texts.append(
            "Of 20 rows and more it also says whether they, taken together, are of another kind than the "
            "validation rows were, and in which columns; `--shift --json` gives p-values."
        )
    if has_predictor:
        texts.append(
            f"Without Drivetrain, with {needed(predictor)} alone: `python predict.py TABLE.csv`, and "
            "`--json` for programs. It answers as `drivetrain predict` does, on the CPU, and is made to "
            "be read. It is code: read it before you run it where the bundle is not your own."
        )
    if manifest.onnx is not None:
        names = " and ".join(f"`{port.name}`" for port in manifest.inputs)
        texts.append(
            "Through ONNX Runtime: `drivetrain predict THIS_FOLDER INPUT... --engine onnx`, or with any "
            f"program that reads ONNX: `model.onnx` takes {names}, as bundle.json describes them, and "
            "gives `scores`. Its outputs differed from torch's by at most "
            f"{manifest.onnx.largest_difference:.2g} when it was made."
        )
    return texts


def needed(predictor: TablePredictor) -> str:
    """The packages that `predict.py` imports."""
    has_net = any(leaf.kind == "net" for leaf in _leaves(predictor.estimator))
    torch = "torch, " if has_net or predictor.guard is not None else ""
    return f"{torch}numpy, safetensors and pyarrow"


def _files(
    golden: Golden, guard: TableGuard | None, manifest: Manifest, has_predictor: bool
) -> dict[str, str]:
    files = {
        manifests.NAME: "what the bundle is: model, columns, labels, signature, SHA-256 of every other "
        "file",
        manifests.WEIGHTS: "the model's numbers",
        manifests.CONFIG: "model and labels for the Hugging Face Hub; Drivetrain does not read it",
    }
    if guard is not None:
        files[f"{manifests.GUARD}`, `{manifests.GUARD_TENSORS}"] = (
            "how sure an answer is, and what rows are known"
        )
    rows = "`, `golden/rows.json" if golden.items else ""
    files[f"{manifests.GOLDEN}`, `{manifests.GOLDEN_TENSORS}{rows}"] = (
        "examples and the answers they must get"
    )
    if has_predictor:
        files[manifests.PREDICTOR] = "predicts without Drivetrain"
    if manifest.onnx is not None:
        files[manifests.ONNX] = "the net for ONNX Runtime"
    return files


def _named(words: Any) -> str:
    names = list(words)
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
