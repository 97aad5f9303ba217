"""Whatever a run can be given by name: ejected, run without Drivetrain, equal to the bit.

A new name is tested by being listed in its table. One that asks for other data than points of three
classes, or for options, says so in the tables below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain.losses import LOSSES
from drivetrain.metrics import METRICS
from drivetrain.optim import OPTIMIZERS, SCHEDULES
from drivetrain.train.callbacks import CALLBACKS
from tests.eject import kinds, project, replay

Task = tuple[Callable[..., Any], Callable[[], Any], str]
"""Model, loaders, loss."""

CLASSES: Task = (project.Net, project.loaders, "cross_entropy")
MANY_CLASSES: Task = (kinds.eight_scores, kinds.many_classes, "cross_entropy")
PICTURES: Task = (project.Conv, project.picture_loaders, "cross_entropy")
PIXELS: Task = (kinds.Pixels, kinds.classes_of_pixels, "cross_entropy")
YES_OR_NO: Task = (kinds.one_score, kinds.yes_or_no, "binary_cross_entropy_with_logits")
NUMBERS: Task = (kinds.one_score, kinds.positive_numbers, "mse")
TOKENS: Task = (kinds.Reader, kinds.counting, "token_cross_entropy")
PARABOLA: Task = (project.Parabola, project.curve_loaders, "mse")

TASK_OF_CALLBACK = {
    "cutmix": PICTURES,
    "progressive_resizing": PICTURES,
    "stochastic_depth": PICTURES,
    "freeze_batchnorm": PICTURES,
    "rnn_regularization": TOKENS,
}
TASK_OF_METRIC = {
    "binary_accuracy": YES_OR_NO,
    "top_5_accuracy": MANY_CLASSES,
    "dice": PIXELS,
    "jaccard": PIXELS,
} | dict.fromkeys(["mae", "mse", "pearson", "r2", "rmse", "rmsle", "spearman"], NUMBERS)
TASK_OF_LOSS = {
    "dice": PIXELS,
    "token_cross_entropy": TOKENS,
} | dict.fromkeys(["binary_cross_entropy_with_logits", "binary_focal", "mnist_loss"], YES_OR_NO)
TASK_OF_LOSS |= dict.fromkeys(["huber", "mae", "mse", "quantile"], NUMBERS)

CALLBACK_OPTIONS = {"progressive_resizing": {"step": 2}, "accumulate": {"steps": 2}}
SCHEDULE_OPTIONS = {
    "exponential": {"start": 1.0, "end": 0.1},
    "piecewise": {
        "pieces": [
            {"share": 0.25, "name": "linear", "start": 0.1, "end": 1.0},
            {"share": 0.5, "name": "constant"},
            {"share": 0.25, "name": "cosine"},
        ]
    },
    "warmup": {"then": {"name": "linear", "end": 0.1}},
}


def learner_of(task: Task, **options: Any) -> dt.Learner:
    model, loaders, loss = task
    options = {"loss_fn": loss} | options
    return dt.Learner(model, loaders, progress=False, num_threads=1, **options)


def cases(names: Iterable[str], fast: Iterable[str]) -> list[Any]:
    """Every name; those that are not fast are marked."""
    fast = set(fast)
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", cases(CALLBACKS, ["accumulate", "early_stopping", "ema", "mixup"]))
def test_a_run_with_each_callback(name: str, tmp_path: Path) -> None:
    callback = {"name": name, **CALLBACK_OPTIONS.get(name, {})}
    learner = learner_of(TASK_OF_CALLBACK.get(name, CLASSES), callbacks=[callback])
    learner.fit(3, 1e-2)
    replay.check(learner, tmp_path)


@pytest.mark.parametrize("name", cases(OPTIMIZERS, ["muon", "schedule_free_adamw"]))
def test_a_run_with_each_optimizer(name: str, tmp_path: Path) -> None:
    learner = learner_of(CLASSES, optimizer=name)
    learner.fit_one_cycle(2, 1e-3)
    replay.check(learner, tmp_path)


@pytest.mark.parametrize("name", cases(SCHEDULES, ["piecewise"]))
def test_a_run_with_each_schedule(name: str, tmp_path: Path) -> None:
    learner = learner_of(CLASSES)
    learner.fit(2, 1e-2, schedule={"name": name, **SCHEDULE_OPTIONS.get(name, {})})
    replay.check(learner, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_with_each_schedule_of_one_layer_group(name: str, tmp_path: Path) -> None:
    learner = learner_of(CLASSES)
    own = {"name": name, **SCHEDULE_OPTIONS.get(name, {})}
    learner.fit(2, 1e-2, schedule=["cosine", own])
    replay.check(learner, tmp_path)


@pytest.mark.parametrize("name", cases(METRICS, ["f1"]))
def test_a_run_with_each_metric(name: str, tmp_path: Path) -> None:
    learner = learner_of(TASK_OF_METRIC.get(name, CLASSES), metrics=[name])
    learner.fit(2, 1e-2)
    replay.check(learner, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METRICS if name not in TASK_OF_METRIC])
def test_a_run_with_each_metric_beside_accuracy(name: str, tmp_path: Path) -> None:
    metrics = ["accuracy", name] if name != "accuracy" else [name, "error_rate"]
    learner = learner_of(CLASSES, metrics=metrics)
    learner.fit(1, 1e-2)
    replay.check(learner, tmp_path)


@pytest.mark.parametrize("name", cases(LOSSES, ["focal"]))
def test_a_run_with_each_loss(name: str, tmp_path: Path) -> None:
    learner = learner_of(TASK_OF_LOSS.get(name, CLASSES), loss_fn=name)
    learner.fit(2, 1e-2)
    replay.check(learner, tmp_path)


OPTIONS_OF_CALLBACKS = [
    {"name": "accumulate", "steps": 3},
    {"name": "clip_gradients", "max_norm": 0.1},
    {"name": "cutmix", "per_item": True},
    {"name": "early_stopping", "patience": 1, "min_delta": 0.5},
    {"name": "early_stopping", "monitor": "accuracy", "patience": 2},
    {"name": "ema", "decay": 0.9},
    {"name": "label_smoothing", "smoothing": 0.2},
    {"name": "mixed_precision", "dtype": "float16"},
    {"name": "mixed_precision", "dtype": "bfloat16"},
    {"name": "mixup", "alpha": 1.0, "per_item": True},
    {"name": "progressive_resizing", "step": 4, "start": 0.5},
    {"name": "reduce_on_plateau", "patience": 1, "min_delta": 0.2},
    {"name": "save_best", "monitor": "accuracy"},
    {"name": "stochastic_depth", "rate": 0.5},
]


@pytest.mark.slow
@pytest.mark.parametrize("record", OPTIONS_OF_CALLBACKS, ids=repr)
def test_a_run_with_a_callback_otherwise(record: dict[str, Any], tmp_path: Path) -> None:
    task = TASK_OF_CALLBACK.get(record["name"], CLASSES)
    learner = learner_of(task, callbacks=[record], metrics=["accuracy"])
    learner.fit(5, 1e-2)
    replay.check(learner, tmp_path)


FORMS: dict[str, Task] = {
    "two inputs": (project.TwoInputs, project.pair_loaders, "cross_entropy"),
    "dicts": (project.TwoInputs, project.dict_loaders, "cross_entropy"),
    "torch's loader": (project.Net, project.torch_loaders, "cross_entropy"),
    "a callable": PARABOLA,
}


@pytest.mark.slow
@pytest.mark.parametrize("callback", [None, *CALLBACKS])
@pytest.mark.parametrize("form", FORMS)
def test_a_run_of_each_form_of_batches_with_each_callback(
    form: str, callback: str | None, tmp_path: Path
) -> None:
    record = {"name": callback, **CALLBACK_OPTIONS.get(callback or "", {})}
    try:
        learner = learner_of(FORMS[form], callbacks=[record] if callback else [])
        learner.fit(2, 1e-2)
    except dt.errors.DrivetrainError as error:  # not for this form: nothing was trained
        pytest.skip(f"{callback} is not for {form}: {error}")
    replay.check(learner, tmp_path)


def test_the_tables_above_name_what_there_is() -> None:
    assert TASK_OF_CALLBACK.keys() | CALLBACK_OPTIONS.keys() <= CALLBACKS.keys()
    assert TASK_OF_METRIC.keys() <= METRICS.keys()
    assert TASK_OF_LOSS.keys() <= LOSSES.keys()
    assert SCHEDULE_OPTIONS.keys() <= SCHEDULES.keys()


def test_stages_of_a_journal_one_after_another(tmp_path: Path) -> None:
    learner = learner_of(CLASSES, metrics=["accuracy"])
    learner.fit(1, 1e-2)
    learner.freeze()
    learner.fit_one_cycle(2, [1e-3, 1e-2])
    learner.unfreeze()
    learner.fit_one_cycle(1, slice(1e-4, 1e-3))
    learner.fine_tune(1)
    replay.check(learner, tmp_path)
