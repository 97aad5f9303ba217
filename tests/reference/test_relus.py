"""A sum of ReLUs: built to meet a curve, let down the gradient, and nearer with every doubling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.reference import relus as twin
from tests.reference.gradients import assert_equal_to_torch, normal, same

LOW, HIGH = -np.pi, np.pi
COUNTS = (2, 4, 8, 16, 32)


@pytest.mark.row(45)
@given(count=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_the_sum_that_is_built_is_the_line_through_points_of_the_curve(count: int) -> None:
    built = twin.built(np.sin, LOW, HIGH, count)
    x = np.linspace(LOW, HIGH, 301)
    places = np.linspace(LOW, HIGH, count + 1)
    same(built(x).data, np.interp(x, places, np.sin(places)), atol=1e-12)
    width = (HIGH - LOW) / count
    assert twin.largest_error(built, np.sin, LOW, HIGH) <= width**2 / 8 + 1e-12


@pytest.mark.row(45)
def test_more_relus_come_nearer_to_a_sine() -> None:
    errors = [
        twin.largest_error(twin.built(np.sin, LOW, HIGH, count), np.sin, LOW, HIGH)
        for count in COUNTS
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.005
    assert 3.5 < errors[-2] / errors[-1] < 4.5  # twice as many, a quarter


@pytest.mark.row(45)
def test_descent_brings_each_nearer_and_more_of_them_are_still_better() -> None:
    x = np.linspace(LOW, HIGH, 201)
    errors: list[float] = []
    for count in COUNTS:
        relus = twin.built(np.sin, LOW, HIGH, count)
        before = twin.largest_error(relus, np.sin, LOW, HIGH)
        losses = twin.fit(relus, x, np.sin(x), steps=300)
        assert bool((np.diff(losses) < 0).all())
        assert losses[-1] < losses[0] / 2
        errors.append(twin.largest_error(relus, np.sin, LOW, HIGH))
        if (
            count > 2
        ):  # two start flat on a sine, and what is best for the mean is not for the worst
            assert errors[-1] < before
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.004


@pytest.mark.row(45)
def test_values_gradients_and_steps_are_torchs() -> None:
    x, y = normal(30), normal(30, seed=1)
    arrays = normal(6, seed=2), normal(6, seed=3), normal(seed=4)
    points = torch.from_numpy(x)[:, None]
    assert_equal_to_torch(
        lambda kinks, bends, start: twin.Relus(kinks, bends, start)(x),
        lambda kinks, bends, start: ((points - kinks).relu() * bends).sum(1) + start,
        *map(np.asarray, arrays),
    )
    relus = twin.Relus(*map(twin.Value, arrays))
    weights = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    optimizer = torch.optim.SGD(weights, lr=0.1 / 6)  # the default rate of six
    for _ in range(10):
        optimizer.zero_grad()
        kinks, bends, start = weights
        preds = ((points - kinks).relu() * bends).sum(1) + start
        ((preds - torch.from_numpy(y)) ** 2).mean().backward()
        optimizer.step()
    twin.fit(relus, x, y, steps=10)
    for value, weight in zip(relus.parameters, weights, strict=True):
        same(value.data, weight)
