"""Descent on three coefficients: gradients by hand, the known answer, and the largest rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.reference import descent as twin
from tests.reference.gradients import same

ABC = np.array([1.5, -0.5, 0.25])


@pytest.mark.row(36)
@pytest.mark.parametrize(
    ("loss", "gradient", "torchs"),
    [
        (twin.mean_squared, twin.mean_squared_gradient, F.mse_loss),
        (twin.mean_absolute, twin.mean_absolute_gradient, F.l1_loss),
    ],
)
def test_gradients_by_hand_are_torchs_and_those_of_trying(
    loss: Callable[..., float],
    gradient: Callable[..., np.ndarray],
    torchs: Callable[[Tensor, Tensor], Tensor],
) -> None:
    x, y = twin.noisy_points()
    abc = torch.tensor(ABC, requires_grad=True)
    a, b, c = abc
    points = torch.from_numpy(x)
    expected = torchs(a * points**2 + b * points + c, torch.from_numpy(y))
    expected.backward()
    assert abc.grad is not None
    same(loss(ABC, x, y), expected, atol=1e-12)
    same(gradient(ABC, x, y), abc.grad, atol=1e-12)
    tried = twin.numeric_gradient(lambda w: loss(w, x, y), ABC)
    same(tried, abc.grad, atol=1e-8)


@pytest.mark.row(34)
@pytest.mark.parametrize("seed", range(5))
def test_descent_finds_the_parabola_that_least_squares_finds(seed: int) -> None:
    x, y = twin.noisy_points(seed=seed)
    assert x.shape == y.shape == (20,)
    best = twin.least_squares(x, y)
    same(best, np.polyfit(x, y, 2), atol=1e-10)
    found, losses = twin.fitted(x, y, lr=0.1, steps=1000)
    same(found, best, atol=1e-9)
    assert np.abs(found - [3, 2, 1]).max() < 0.3  # one spread of the noise
    assert losses[-1] == pytest.approx(twin.mean_squared(best, x, y))


@pytest.mark.row(34)
def test_the_loss_falls_every_step_below_the_largest_rate_and_grows_above_it() -> None:
    x, y = twin.noisy_points()
    edge = twin.largest_rate(x)
    assert 0.2 < edge < 0.25
    _, slow = twin.fitted(x, y, lr=0.01, steps=300)
    _, quick = twin.fitted(x, y, lr=0.99 * edge, steps=50)
    _, too_quick = twin.fitted(x, y, lr=1.05 * edge, steps=300)
    assert bool((np.diff(slow) < 0).all()) and bool((np.diff(quick) < 0).all())
    assert too_quick[-1] > 1e6 * too_quick[0]


@pytest.mark.row(33)
def test_each_step_is_torchs_sgd() -> None:
    path = twin.descend(lambda w: 2 * w, np.array(3.0), lr=0.1, steps=3)
    same(path, [3, 2.4, 1.92, 1.536], atol=1e-12)
    w = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=1.01)
    for expected in twin.descend(lambda w: 2 * w, np.array(3.0), lr=1.01, steps=20):
        same(expected, w, atol=1e-10)
        optimizer.zero_grad()
        (w**2).backward()
        optimizer.step()
    assert abs(w.item()) > 4  # it runs away, slowly, to both sides in turn


def test_one_sided_slopes_are_off_by_half_the_curvature() -> None:
    (central,) = twin.numeric_gradient(lambda w: float(w[0] ** 2), np.array([3.0]), h=0.01)
    assert central == pytest.approx(6, abs=1e-10)
    one_sided = (3.01**2 - 3**2) / 0.01
    assert one_sided == pytest.approx(6.01, abs=1e-10)
