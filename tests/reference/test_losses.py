"""The losses against their twins: values and gradients, at ordinary and at extreme scores."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from drivetrain import losses
from drivetrain.reference import losses as twin


def scores(*shape: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def classes(count: int, num_classes: int, seed: int = 1) -> Tensor:
    return torch.randint(num_classes, (count,), generator=torch.Generator().manual_seed(seed))


def answers(count: int, seed: int = 1) -> Tensor:
    return classes(count, 2, seed).to(torch.float64)


PAIRS = [
    pytest.param(
        losses.cross_entropy,
        twin.cross_entropy,
        twin.cross_entropy_gradient,
        scores(16, 5),
        classes(16, 5),
        id="cross_entropy",
    ),
    pytest.param(
        losses.binary_cross_entropy_with_logits,
        twin.binary_cross_entropy,
        twin.binary_cross_entropy_gradient,
        scores(16),
        answers(16),
        id="binary_cross_entropy_with_logits",
    ),
    pytest.param(losses.mse, twin.mse, twin.mse_gradient, scores(16), scores(16, seed=2), id="mse"),
    pytest.param(losses.mae, twin.mae, twin.mae_gradient, scores(16), scores(16, seed=2), id="mae"),
    pytest.param(
        losses.mnist_loss,
        twin.mnist_loss,
        twin.mnist_loss_gradient,
        scores(16),
        answers(16),
        id="mnist_loss",
    ),
]


def test_every_loss_has_a_twin_here():
    assert {pair.id for pair in PAIRS} == set(losses.LOSSES)


@pytest.mark.parametrize(("loss", "by_hand", "gradient", "x", "y"), PAIRS)
def test_value_equals_the_twin(loss, by_hand, gradient, x, y):
    torch.testing.assert_close(loss(x, y), by_hand(x, y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("loss", "by_hand", "gradient", "x", "y"), PAIRS)
def test_gradient_equals_the_formula(loss, by_hand, gradient, x, y):
    x = x.clone().requires_grad_()
    loss(x, y).backward()
    torch.testing.assert_close(x.grad, gradient(x.detach(), y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("loss", "by_hand", "gradient", "x", "y"), PAIRS)
def test_gradient_equals_finite_differences(loss, by_hand, gradient, x, y):
    x = x.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, y), (x,))
    assert torch.autograd.gradcheck(lambda x: by_hand(x, y), (x,))


@given(
    rows=st.lists(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3), min_size=1, max_size=8),
    picks=st.data(),
)
@settings(max_examples=50, deadline=None)
def test_cross_entropy_equals_the_twin_for_any_scores(rows, picks):
    x = torch.tensor(rows, dtype=torch.float64)
    y = torch.tensor(
        picks.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    )
    value = losses.cross_entropy(x, y, reduction="none")
    assert bool((value >= 0).all())
    torch.testing.assert_close(value, twin.cross_entropy_per_item(x, y), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("score", [-1000.0, 1000.0])
def test_scores_that_overflow_exp_have_a_finite_loss_in_both(score):
    x, y = torch.tensor([[score, 0.0]], dtype=torch.float64), torch.tensor([0])
    expected = torch.tensor(max(-score, 0.0), dtype=torch.float64)
    torch.testing.assert_close(losses.cross_entropy(x, y), expected)
    torch.testing.assert_close(twin.cross_entropy(x, y), expected)
    binary = x[:, 0], torch.ones(1, dtype=torch.float64)
    torch.testing.assert_close(losses.binary_cross_entropy_with_logits(*binary), expected)
    torch.testing.assert_close(twin.binary_cross_entropy(*binary), expected)


def test_two_class_cross_entropy_is_binary_cross_entropy_of_the_difference():
    x, y = scores(12, 2), classes(12, 2)
    torch.testing.assert_close(
        twin.cross_entropy(x, y), twin.binary_cross_entropy(x[:, 1] - x[:, 0], y.double())
    )
