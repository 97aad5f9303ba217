"""What a run's record says, read for people: question, result, choices, and how to do it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.metrics import METRICS
from drivetrain.train.choice import Choice
from drivetrain.train.run import Run, check_form, is_own

NAMES = {
    "accuracy": "accuracy",
    "error_rate": "error rate",
    "log_loss": "log loss",
    "roc_auc": "AUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "MSE",
    "map": "MAP",
    "mrr": "MRR",
    "r2": "R²",
    "ndcg": "NDCG",
    "pearson": "correlation",
    "perplexity": "perplexity",
    "binary_accuracy": "accuracy a label",
    "majority": "always the commonest",
    "majority_class": "always the commonest",
    "nearest_mean_image": "nearest mean picture",
    "one_r": "one column (OneR)",
    "tree": "a small tree",
    "linear": "linear",
    "forest": "forest",
    "naive_bayes": "naive Bayes",
    "tfidf_logistic": "words, logistic",
    "train_mean": "the mean of all",
    "item_mean": "the item's mean",
    "user_item_mean": "user's and item's mean",
    "popularity": "popularity",
    "unigram": "word frequencies",
    "uniform": "any word alike",
}


LONG = {
    "rmse": "root mean squared error (RMSE)",
    "mae": "mean absolute error (MAE)",
    "mse": "mean squared error (MSE)",
    "r2": "share of the variance explained (R²)",
    "roc_auc": "area under the ROC curve (AUC)",
    "ndcg": "normalised gain of the lists (NDCG)",
    "map": "mean average precision (MAP)",
    "mrr": "mean reciprocal rank (MRR)",
}
"""Names that say what is measured, where there is room."""


def called(name: str) -> str:
    """A metric or a baseline in words."""
    return NAMES.get(name, name.replace("_", " "))


_OF_LISTS = ("ndcg", "map", "mrr", "hit_rate", "coverage")


def better(name: str) -> str:
    """Whether `more` or `less` of a metric is better; empty of one that nobody knows here.

    >>> better("rmsle"), better("f1_micro"), better("top_3_accuracy"), better("profit")
    ('less', 'more', 'more', '')
    """
    if name == "loss":
        return "less"
    if name in _OF_LISTS or re.fullmatch(r"top_\d+_accuracy", name):
        return "more"
    # what a metric was made with follows its name: f_beta_0.5, roc_auc_weighted
    known = [one for one in METRICS if name == one or name.startswith(f"{one}_")]
    if not known:
        return ""
    return "more" if getattr(METRICS[max(known, key=len)], "higher_is_better", True) else "less"


@dataclass(frozen=True)
class Score:
    """A value of the first metric, with its interval where there is one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Result:
    """What a run reached on its validation items."""

    metric: str
    higher_is_better: bool
    own: Score
    baselines: tuple[Score, ...]
    metrics: Mapping[str, float]
    items: Mapping[str, int]
    epochs: int | None
    seconds: float | None
    weights_sha256: str

    def beats(self, other: Score) -> bool | None:
        """Whether the run is better than a baseline by more than the intervals leave open; None where
        they overlap."""
        mine, its = self.own, other
        if None not in (mine.low, mine.high, its.low, its.high):
            assert mine.low is not None and mine.high is not None, "looked at"
            assert its.low is not None and its.high is not None, "looked at"
            if mine.low > its.high:
                return self.higher_is_better
            if mine.high < its.low:
                return not self.higher_is_better
            return None
        if mine.value == its.value:
            return None
        return (mine.value > its.value) == self.higher_is_better

    def may_beat(self, other: Score) -> bool | None:
        """Whether it is likely better though the intervals touch: neither value lies in the other's; None
        where that cannot be said. Both were measured on the same items, so that their intervals say too
        little of their difference."""
        mine, its = self.own, other
        if None in (mine.low, mine.high, its.low, its.high):
            return None
        assert mine.low is not None and mine.high is not None, "looked at"
        assert its.low is not None and its.high is not None, "looked at"
        if its.low <= mine.value <= its.high or mine.low <= its.value <= mine.high:
            return None
        return (mine.value > its.value) == self.higher_is_better


@dataclass(frozen=True)
class Record:
    """A run's `run.json` and `log.jsonl`, as far as they are of the form that Drivetrain writes."""

    folder: Path
    value: Mapping[str, Any]
    epochs: tuple[dict[str, Any], ...]
    batches: Mapping[int, tuple[float | None, ...]]
    """Epoch -> mean losses of pieces of it; empty in runs that did not keep them."""

    @property
    def task(self) -> Mapping[str, Any]:
        """The problem."""
        return self.value.get("task", {})

    @property
    def application(self) -> str:
        """`vision`, `text`, `tabular` or `collab`."""
        return str(self.task.get("application", "vision"))

    @property
    def choices(self) -> list[Choice]:
        """What was chosen, with reasons."""
        return choices_of(self.value, self.folder / "run.json")

    @property
    def result(self) -> Result | None:
        """None where training is not finished."""
        return result_of(self.value.get("results"))

    @property
    def model(self) -> str:
        """The model's name."""
        model = self.value.get("model")
        return str(model.get("name", "")) if isinstance(model, dict) else ""


def open_record(folder: store.StrPath) -> Record:
    """The record of a run.

    Raises: RunError: there is no run, or its record is damaged.
    """
    run = Run.open(folder)
    value, path = run.read(), run.folder / "run.json"
    check_form(value, {} if is_own(value) else {"task": dict}, path)
    batches: dict[int, tuple[float | None, ...]] = {}
    for row in store.read_lines(run.folder / "log.jsonl"):
        losses = row.get("loss")
        if type(row.get("batches_of")) is int and isinstance(losses, list):
            numbers = (float(x) if isinstance(x, int | float) else None for x in losses)
            batches[row["batches_of"]] = tuple(numbers)
    return Record(run.folder, value, tuple(run.read_log()), batches)


def choices_of(record: Mapping[str, Any], path: Path) -> list[Choice]:
    """The choices of a run's record; `path` is named in errors.

    Raises: RunError: they are not of the form that Drivetrain writes.
    """
    found = []
    listed = record.get("choices", [])
    for one in listed if isinstance(listed, list) else [{}]:
        fields: dict[str, Any] = one if isinstance(one, dict) else {}
        is_right = set(fields) == {"what", "value", "reason", "change"}
        if not is_right or not all(
            isinstance(fields[k], str) for k in ("what", "reason", "change")
        ):
            raise RunError(
                f"{path} cannot be used: a choice in it is not one that Drivetrain wrote. Restore it "
                "from a copy."
            )
        found.append(Choice(**fields))
    return found


def result_of(results: Any) -> Result | None:
    """The result of a run's record; None where there is none, or it is of another form."""
    if not isinstance(results, dict):
        return None
    metrics = results.get("metrics")
    valid = metrics.get("valid") if isinstance(metrics, dict) else None
    if not isinstance(valid, dict):
        return None
    numbers = {name: float(value) for name, value in valid.items() if _is_number(value)}
    baselines = results.get("baselines")
    records = baselines if isinstance(baselines, dict) else {}
    metric = _first_metric(numbers, records)
    if metric is None:
        return None
    low, high = _ends(results.get("interval"))
    found = [
        Score(name, float(one[metric]), *_ends(one.get("interval")))
        for name, one in records.items()
        if isinstance(one, dict) and _is_number(one.get(metric))
    ]
    items = results.get("items")
    epochs, seconds = results.get("epochs"), results.get("seconds")
    return Result(
        metric,
        better(metric) != "less",
        Score(str(results.get("model", "this model")), numbers[metric], low, high),
        tuple(found),
        numbers,
        {k: v for k, v in items.items() if isinstance(v, int)} if isinstance(items, dict) else {},
        epochs if isinstance(epochs, int) else None,
        float(seconds) if _is_number(seconds) else None,
        str(results.get("weights_sha256", "")),
    )


def _first_metric(numbers: Mapping[str, float], baselines: Mapping[str, Any]) -> str | None:
    """What the baselines are measured by; without any, the first metric that is not the loss."""
    for one in baselines.values():
        for name in one if isinstance(one, dict) else ():
            if name in numbers:
                return name
    names = [name for name in numbers if name != "loss"] or list(numbers)
    return names[0] if names else None


def _ends(interval: Any) -> tuple[float | None, float | None]:
    is_pair = isinstance(interval, list) and len(interval) == 2
    if is_pair and all(map(_is_number, interval)):
        return float(interval[0]), float(interval[1])
    return None, None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


# ---- how to do it again


_PLAIN = re.compile(r"--(?P<option>[a-z-]+) [A-Z]+")
_SET = re.compile(r"--set (?P<name>[a-z_]+)=[A-Z]+")


def command_of(record: Record) -> tuple[str, list[str]]:
    """The line that trains such a run again, and what was asked for that the line cannot say.

    All that was left to the program is chosen again in the same way by the same version; what was asked
    for is in the line where its option takes one value.
    """
    value, data = record.value, record.value.get("data")
    data = data if isinstance(data, dict) else {}
    source = data.get("source") or record.task.get("source") or "SOURCE"
    parts = ["drivetrain", "train", str(source)]
    if record.application != "vision":
        parts += ["--task", record.application]
    target = data.get("target")
    for one in data.get("targets") or () if "targets" in data else ():
        parts += ["--target", str(one)]
    if isinstance(target, list):
        target = ",".join(map(str, target))
    if target:
        parts += ["--target", str(target)]
    unsaid = []
    model = value.get("model")
    if record.application == "tabular" and "plan" in value and isinstance(model, dict):
        parts += ["--model", "net"]
    for choice in record.choices:
        if choice.reason != "as asked" or choice.what in ("seed", "target"):
            continue
        plain, of_set = _PLAIN.fullmatch(choice.change), _SET.fullmatch(choice.change)
        asked = choice.value
        if isinstance(asked, list) and len(asked) == 2 and asked[0] == asked[1]:
            asked = asked[0]  # a square
        is_one = isinstance(asked, str | int | float) and not isinstance(asked, bool)
        if is_one and plain and f"--{plain['option']}" not in parts:
            parts += [f"--{plain['option']}", str(asked)]
        elif is_one and of_set:
            parts += ["--set", f"{of_set['name']}={asked}"]
        else:
            unsaid.append(choice.what)
    seed = value.get("seed")
    if isinstance(seed, int):
        parts += ["--seed", str(seed)]
    return " ".join(map(shlex.quote, parts)), unsaid


def shown_value(value: Any) -> str:
    """A choice's value in words.

    >>> shown_value([224, 224]), shown_value(True), shown_value(None), shown_value(1e-3)
    ('224 x 224', 'yes', 'none', '0.001')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        is_size = all(isinstance(part, int) for part in value)
        return (" x " if is_size else ", ").join(map(shown_value, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown_value(part)}" for name, part in value.items())
    return str(value)
