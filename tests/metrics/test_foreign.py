"""torchmetrics as it is, in `metric` and in a Learner."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch

import drivetrain
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.errors import ConfigError
from drivetrain.metrics import ForeignMetric, interval_of, metric, record_of

torchmetrics: Any = None


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Here and not at the top: it takes seconds, which every process that collects would spend."""
    global torchmetrics
    torchmetrics = pytest.importorskip("torchmetrics")


CLASSES = 4


def several(count=60):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(count, CLASSES, generator=generator)
    return scores, torch.randint(CLASSES, (count,), generator=generator)


def yes_or_no(count=60):
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(count, 1, generator=generator)
    return logits, (torch.rand(count, 1, generator=generator) < logits.sigmoid()).float()


def both(theirs, ours, preds, targets):
    """Values of a torchmetrics object and of a metric of ours, in uneven batches."""
    values = []
    for found in (metric(theirs), metric(ours) if isinstance(ours, str) else ours):
        found.reset()
        with torch.inference_mode():
            for rows in (slice(0, 25), slice(25, 60)):
                found.update(preds[rows], targets[rows])
        values.append(found.compute())
    return values


def theirs(name, **options):
    kind = getattr(torchmetrics, name)
    return kind(task="multiclass", num_classes=CLASSES, **options)


@pytest.mark.parametrize(
    ("make", "ours", "name"),
    [
        (lambda: theirs("Accuracy", average="micro"), "accuracy", "multiclass_accuracy"),
        (lambda: theirs("F1Score", average="macro"), "f1", "multiclass_f1_score"),
        (lambda: theirs("AUROC"), "roc_auc", "multiclass_auroc"),
        (lambda: theirs("CohenKappa"), "kappa", "multiclass_cohen_kappa"),
    ],
)
def test_of_classes_equal_ours(make, ours, name):
    found = metric(make())
    assert isinstance(found, ForeignMetric)
    assert (found.name, found.higher_is_better) == (name, True)
    their_value, our_value = both(make(), ours, *several())
    assert type(their_value) is float
    assert their_value == pytest.approx(our_value, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        ("Accuracy", "accuracy"),
        ("F1Score", "f1"),
        ("AUROC", "roc_auc"),
        ("AveragePrecision", "average_precision"),
        ("MatthewsCorrCoef", "matthews"),
    ],
)
def test_of_yes_or_no_equal_ours_with_the_float_targets_of_the_loss(kind, ours):
    found = getattr(torchmetrics, kind)(task="binary")
    their_value, our_value = both(found, ours, *yes_or_no())
    assert their_value == pytest.approx(our_value, rel=1e-5)


def test_of_numbers_equal_ours_and_know_their_direction():
    generator = torch.Generator().manual_seed(2)
    preds, targets = (torch.randn(60, generator=generator) for _ in range(2))
    for make, ours, name, higher in [
        (torchmetrics.MeanSquaredError, "mse", "mean_squared_error", False),
        (torchmetrics.MeanAbsoluteError, "mae", "mean_absolute_error", False),
        (torchmetrics.R2Score, "r2", "r2_score", True),
    ]:
        found = metric(make())
        assert (found.name, found.higher_is_better) == (name, higher)
        their_value, our_value = both(make(), ours, preds, targets)
        assert their_value == pytest.approx(our_value, rel=1e-4), name


def test_no_items_are_nan_without_a_warning():
    found = metric(torchmetrics.MeanSquaredError())
    assert math.isnan(found.compute())
    found.update(torch.ones(3), torch.zeros(3))
    assert found.compute() == 1.0
    found.reset()
    assert math.isnan(found.compute())


def test_several_numbers_are_refused_with_what_to_do():
    per_class = metric(theirs("Accuracy", average=None))
    per_class.update(*several())
    with pytest.raises(ConfigError) as caught:
        per_class.compute()
    assert str(caught.value) == (
        "The metric `multiclass_accuracy` gave 4 numbers, and a column of the history holds one. "
        "Make it average them (`average='macro'`), or give one metric for each number."
    )
    group = metric(
        torchmetrics.MetricCollection(
            [torchmetrics.MeanSquaredError(), torchmetrics.MeanAbsoluteError()]
        ),
        higher_is_better=False,
    )
    group.update(torch.ones(3), torch.zeros(3))
    with pytest.raises(ConfigError, match=r"^The metric `metric_collection` gave 2 numbers, "):
        group.compute()


def test_one_that_does_not_say_which_way_is_good_is_asked():
    with pytest.raises(ConfigError) as caught:
        metric(torchmetrics.MeanMetric())
    assert str(caught.value) == (
        "The metric `MeanMetric` does not say which way is good. "
        "Say it: `metric(yours, higher_is_better=True)`."
    )


def test_name_and_direction_can_be_given_and_the_record_says_what_it_was():
    found = metric(torchmetrics.MeanSquaredError(), name="mse_theirs", higher_is_better=False)
    assert found.name == "mse_theirs"
    record = record_of(found)
    assert record == {
        "name": "mse_theirs",
        "class": "torchmetrics.regression.mse.MeanSquaredError",
    }
    assert interval_of(found) is None
    assert repr(found) == "ForeignMetric(MeanSquaredError(), name='mse_theirs')"
    with pytest.raises(ConfigError, match=r"of the class torchmetrics\.regression\.mse\.Mean"):
        metric(record)


def test_wrapping_twice_changes_nothing():
    once = metric(torchmetrics.MeanSquaredError())
    assert metric(once) is once


def test_in_a_learner_they_fill_columns_equal_to_ours():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 3, generator=generator)
    targets = (inputs @ torch.randn(3, CLASSES, generator=generator)).argmax(1)
    data = TensorData(inputs, targets)
    model = torch.nn.Linear(3, CLASSES)
    with torch.no_grad():
        model.weight.copy_(torch.eye(CLASSES, 3))
        model.bias.zero_()
    learner = drivetrain.Learner(
        model,
        Loaders(BatchLoader(data, batch_size=16, shuffle=True), BatchLoader(data, batch_size=16)),
        "cross_entropy",
        metrics=[
            theirs("Accuracy", average="micro"),
            theirs("F1Score", average="macro"),
            theirs("AUROC"),
            "accuracy",
            "f1",
            "roc_auc",
        ],
        lr=0.1,
        progress=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner.fit(2)
    for row in learner.history:
        for their_name, our_name in (
            ("multiclass_accuracy", "accuracy"),
            ("multiclass_f1_score", "f1"),
            ("multiclass_auroc", "roc_auc"),
        ):
            assert row[their_name] == pytest.approx(row[our_name], rel=1e-5)
    assert learner.history[-1]["accuracy"] > 0.5
