"""interpret/reliability.py: planted probabilities, and the metric that it must agree with."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve

from drivetrain import metrics
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret import reliability
from tests.interpret.records import of_scores


def sure_of(probs: np.ndarray, truth: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of two classes whose probabilities are (1 - p, p)."""
    return torch.from_numpy(np.log(np.column_stack([1 - probs, probs]))), torch.from_numpy(truth)


@pytest.mark.parametrize("seed", range(3))
def test_error_is_that_of_the_metric_and_shares_are_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    probs = generator.uniform(0.5, 0.999, 400)
    truth = (generator.random(400) < probs).astype(np.int64)
    outputs, targets = sure_of(probs, truth)
    found = reliability(of_scores(outputs, targets), bins=10)
    metric = metrics.CalibrationError(bins=10)
    metric.update(outputs, targets)
    assert found.error == pytest.approx(metric.compute(), abs=1e-12)
    right, promised = calibration_curve(truth, probs, n_bins=10)
    np.testing.assert_allclose([b.right for b in found.bins], right, atol=1e-12)
    np.testing.assert_allclose([b.promised for b in found.bins], promised, atol=1e-12)
    assert sum(b.num_items for b in found.bins) == 400


def test_a_model_that_keeps_its_word_is_told_so_and_one_that_does_not_too() -> None:
    generator = np.random.default_rng(5)
    probs = generator.uniform(0.5, 1.0, 4000)
    kept = (generator.random(4000) < probs).astype(np.int64)
    outputs, targets = sure_of(probs, kept)
    honest = reliability(of_scores(outputs, targets))
    boasting = reliability(of_scores(3 * outputs, targets))
    timid = reliability(of_scores(0.3 * outputs, targets))
    assert str(honest).startswith("The model is as sure as it is right: ")
    assert str(boasting).startswith("The model is surer than it is right: ")
    assert str(timid).startswith("The model is less sure than it is right: ")
    assert boasting.error > 3 * honest.error
    assert sum(not b.keeps for b in honest.bins) <= 1
    assert all(b["right_low"] <= b["right"] <= b["right_high"] for b in honest.to_json()["bins"])
    json.dumps(boasting.to_json(), allow_nan=False)
    honest.plot().canvas.draw()


def test_of_few_items_it_is_said_that_they_tell_little() -> None:
    one = reliability(of_scores(torch.tensor([[2.0, 0.0]]), torch.tensor([0])))
    assert str(one).startswith(
        "The model is as sure as it is right, as far as so few items tell: 88.1% promised, 100.0% right, "
        "of 1 item (calibration error "
    )


def test_wrong_arguments_and_broken_scores_are_refused() -> None:
    record = of_scores(torch.tensor([[0.0, float("nan")]]), torch.tensor([0]))
    with pytest.raises(
        ConfigError, match=r"^`reliability` got bins=0, expected a whole number from 1 on\.$"
    ):
        reliability(record, bins=0)
    with pytest.raises(
        DataError,
        match=r"^`reliability` got scores of 'item 0' that are NaN or infinite: the model is broken\.$",
    ):
        reliability(record)
