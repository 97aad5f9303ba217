"""AdamW against its twin: the same weights after many steps, fused and not, and the same defaults."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

from drivetrain.optim import adamw
from drivetrain.reference.adam import AdamW


def weights(dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (3,), (2, 2, 3)]
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in shapes
    ]


def set_gradients(params: list[torch.Tensor], step: int) -> None:
    generator = torch.Generator().manual_seed(1000 + step)
    for param in params:
        scale = 10.0 ** ((step % 7) - 4)  # from 1e-4 to 1e2, so that eps and both means matter
        noise = torch.randn(param.shape, generator=generator, dtype=torch.float64)
        param.grad = (scale * noise).to(param.dtype)


def both_after(steps: int, make, dtype: torch.dtype, **options):
    ours, by_hand = weights(dtype), weights(dtype)
    optimizer, twin = make(ours), AdamW(by_hand, **options)
    for step in range(steps):
        for params in (ours, by_hand):
            set_gradients(params, step)
        optimizer.step()
        twin.step()
    return ours, by_hand


@pytest.mark.parametrize("steps", [1, 2, 40])
def test_weights_equal_the_twin_in_float64(steps):
    ours, by_hand = both_after(steps, adamw, torch.float64)
    torch.testing.assert_close(ours, by_hand, rtol=1e-12, atol=1e-14)


def test_weights_equal_the_twin_in_float32():
    ours, by_hand = both_after(40, adamw, torch.float32)
    torch.testing.assert_close(ours, by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_torch_fused_or_not_equals_the_twin_at_other_settings(fused):
    options = {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2}
    ours, by_hand = both_after(
        25, lambda p: torch.optim.AdamW(p, fused=fused, **options), torch.float64, **options
    )
    torch.testing.assert_close(ours, by_hand, rtol=1e-12, atol=1e-14)


def test_defaults_equal_the_twin():
    expected = {
        key: parameter.default
        for key, parameter in inspect.signature(AdamW).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert expected == {"lr": 1e-3, "betas": (0.9, 0.99), "eps": 1e-5, "weight_decay": 0.01}
    defaults = adamw(weights(torch.float32)).defaults
    assert {key: defaults[key] for key in expected} == expected
    assert not defaults["amsgrad"]
    assert not defaults["maximize"]


def test_first_step_is_one_rate_long_whatever_the_size_of_the_gradient():
    """With m̂ = g and v̂ = g² the step is lr · sign(g), as long as |g| is far above eps."""
    for size in (1.0, 1e6):
        weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        weight.grad = torch.full_like(weight, -size)
        AdamW([weight], lr=0.1).step()
        assert weight.item() == pytest.approx(0.1, rel=2e-5)


def test_decay_stands_beside_the_step():
    """No gradient at all still shrinks the weight by lr · decay: Adam with L2 would divide it by √v̂."""
    for make in (adamw, AdamW):
        weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
        weight.grad = torch.zeros_like(weight)
        make([weight], lr=0.1).step()
        assert weight.item() == pytest.approx(1 - 0.1 * 0.01, rel=1e-12)


def test_weight_without_gradient_stays_and_its_count_waits():
    ours, by_hand = weights(torch.float64), weights(torch.float64)
    optimizer, twin = adamw(ours), AdamW(by_hand)
    for step in range(6):
        for params in (ours, by_hand):
            set_gradients(params, step)
            if step < 3:
                params[1].grad = None  # thawed later, as by `unfreeze`
        optimizer.step()
        twin.step()
    assert twin.t == [6, 3, 6]
    torch.testing.assert_close(ours, by_hand, rtol=1e-12, atol=1e-14)


def test_twin_forgets_gradients_when_told():
    params = weights(torch.float64)
    set_gradients(params, 0)
    AdamW(params).zero_grad()
    assert all(param.grad is None for param in params)


def test_both_find_the_bottom_of_a_bowl():
    for make in (adamw, AdamW):
        weight = torch.tensor([5.0, -3.0], requires_grad=True)
        optimizer = make([weight], lr=0.1)
        for _ in range(300):
            optimizer.zero_grad()
            (weight - torch.tensor([1.0, 2.0])).square().sum().backward()
            optimizer.step()
        assert math.dist(weight.tolist(), (1.0, 2.0)) < 0.02
