"""The losses against their twins: values and gradients, at ordinary and at extreme scores."""

from __future__ import annotations

import inspect
from functools import partial

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


def pixels(pictures: int, num_classes: int, side: int, seed: int = 1) -> Tensor:
    return classes(pictures * side, num_classes, seed).reshape(pictures, side)


W = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0], dtype=torch.float64)
SHARES = scores(16, 5, seed=3).softmax(dim=1)


def case(
    name: str,
    by_hand: str,
    x: Tensor,
    y: Tensor,
    ours: dict[str, object] | None = None,
    twins: dict[str, object] | None = None,
):
    """A loss with options, its twin, and the twin's gradient; `twins` where their options differ."""
    options = ours or {}
    their_options = options if twins is None else twins
    return pytest.param(
        losses.loss(name, **options),
        partial(getattr(twin, by_hand), **their_options),
        partial(getattr(twin, f"{by_hand}_gradient"), **their_options),
        x,
        y,
        id=" ".join([name, *options]),
    )


ONE = scores(16), answers(16)
TWO = scores(16), scores(16, seed=2)
CLASS = scores(16, 5), classes(16, 5)

PAIRS = [
    case("cross_entropy", "cross_entropy", *CLASS),
    case(
        "cross_entropy",
        "weighted_cross_entropy",
        *CLASS,
        {"weight": W.tolist(), "ignore_index": 3},
        {"weight": W, "ignore": 3},
    ),
    case("soft_cross_entropy", "soft_cross_entropy", scores(16, 5), SHARES),
    case("token_cross_entropy", "token_cross_entropy", scores(3, 5, 4), pixels(3, 5, 4)),
    case("focal", "focal", *CLASS),
    case("focal", "focal", *CLASS, {"gamma": 0.7}),
    case("dice", "dice", scores(3, 4, 10), pixels(3, 4, 10)),
    case("dice", "dice", scores(3, 4, 10), pixels(3, 4, 10), {"smooth": 0.01}),
    case("binary_cross_entropy_with_logits", "binary_cross_entropy", *ONE),
    case(
        "binary_cross_entropy_with_logits",
        "weighted_binary_cross_entropy",
        *ONE,
        {"pos_weight": 3.0},
    ),
    case("binary_focal", "binary_focal", *ONE),
    case("binary_focal", "binary_focal", *ONE, {"gamma": 0.7, "alpha": 0.25}),
    case("mse", "mse", *TWO),
    case("mae", "mae", *TWO),
    case("huber", "huber", *TWO),
    case("huber", "huber", *TWO, {"delta": 2.5}),
    case("quantile", "quantile", *TWO),
    case("quantile", "quantile", *TWO, {"q": 0.9}),
    case("mnist_loss", "mnist_loss", *ONE),
]


def test_every_loss_has_a_twin_here():
    assert {str(pair.id).split()[0] for pair in PAIRS} == set(losses.LOSSES)


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


def test_label_smoothing_is_soft_cross_entropy_against_smoothed_shares():
    x, y = CLASS
    shares = twin.smoothed(y, 5, 0.1)
    value = losses.cross_entropy(x, y, label_smoothing=0.1)
    torch.testing.assert_close(value, twin.soft_cross_entropy(x, shares), rtol=1e-12, atol=1e-12)


def test_the_twins_have_the_same_defaults():
    for name, option in (
        *(("focal", "gamma"), ("binary_focal", "gamma"), ("binary_focal", "alpha")),
        *(("dice", "smooth"), ("huber", "delta"), ("quantile", "q")),
    ):
        fast, by_hand = losses.LOSSES[name], getattr(twin, name)
        defaults = [inspect.signature(f).parameters[option].default for f in (fast, by_hand)]
        assert defaults[0] == defaults[1], f"{name} {option}"


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
