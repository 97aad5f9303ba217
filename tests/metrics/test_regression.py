"""Metrics of regression: known answers, numbers far from zero, refusals."""

from __future__ import annotations

import math

import pytest
import torch

from drivetrain.errors import ShapeError
from drivetrain.metrics import MAE, MSE, R2, RMSE

PREDS, TARGETS = torch.tensor([1.0, 2.0, 3.0, 10.0]), torch.tensor([1.0, 3.0, 5.0, 6.0])


@pytest.mark.parametrize(
    ("make", "expected"),
    [(MAE, 7 / 4), (MSE, 21 / 4), (RMSE, (21 / 4) ** 0.5), (R2, 1 - 21 / 14.75)],
)
def test_known_answers_in_uneven_batches(make, expected):
    metric = make()
    metric.update(PREDS[:3], TARGETS[:3])
    metric.update(PREDS[3:], TARGETS[3:])
    assert metric.compute() == pytest.approx(expected, rel=1e-12)


def test_root_is_taken_once_at_the_end():
    metric = RMSE()
    for error in (0.0, 2.0):
        metric.update(torch.tensor([error]), torch.tensor([0.0]))
    assert metric.compute() == pytest.approx(2**0.5)  # the mean of the roots would be 1


def test_always_saying_the_mean_explains_nothing():
    metric = R2()
    metric.update(torch.full((4,), float(TARGETS.mean())), TARGETS)
    assert metric.compute() == pytest.approx(0.0, abs=1e-12)


def test_r2_is_undefined_where_all_targets_are_equal():
    metric = R2()
    for size in (3, 7):  # 0.1 has no exact float: a careless variance would not be 0
        metric.update(torch.zeros(size), torch.full((size,), 0.1, dtype=torch.float64))
    assert math.isnan(metric.compute())


def test_r2_far_from_zero_keeps_its_digits():
    """Variance 1.25 around 1e9: a sum of squares less a square of sums has none of it left."""
    near, far = R2(), R2()
    preds, targets = torch.tensor([0.5, 1.0, 2.0, 2.5]), torch.tensor([0.0, 1.0, 2.0, 3.0])
    for rows in (slice(0, 1), slice(1, 4)):
        near.update(preds[rows].double(), targets[rows].double())
        far.update(preds[rows].double() + 1e9, targets[rows].double() + 1e9)
    assert far.compute() == pytest.approx(near.compute(), rel=1e-6)


def test_many_small_errors_are_not_lost():
    metric = MSE()
    error = torch.full((1000,), 1e-3)
    metric.update(torch.tensor([1e4]), torch.tensor([0.0]))
    for _ in range(100):
        metric.update(error, torch.zeros(1000))
    assert metric.compute() * 100_001 - 1e8 == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("make", [MAE, MSE, RMSE, R2])
def test_shapes_that_would_broadcast_are_refused(make):
    metric = make()
    with pytest.raises(ShapeError) as caught:
        metric.update(torch.zeros(4, 1), torch.zeros(4))
    assert str(caught.value) == (
        f"`{metric.name}` got predictions of shape (4, 1) and targets of shape (4,), expected equal "
        "shapes: broadcasting would pair the wrong items."
    )


@pytest.mark.parametrize("make", [MAE, MSE, RMSE, R2])
def test_several_numbers_per_item_and_whole_targets_count_each(make):
    flat, square = make(), make()
    flat.update(PREDS, TARGETS)
    square.update(PREDS.reshape(2, 2), TARGETS.reshape(2, 2).long())
    assert square.compute() == pytest.approx(flat.compute(), rel=1e-12)
