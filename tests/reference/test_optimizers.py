"""Optimizers against their twins: the same weights after many steps, and the same defaults."""

from __future__ import annotations

import inspect
from itertools import pairwise

import pytest
import torch

from drivetrain.optim import OPTIMIZERS, optimizer
from drivetrain.optim.steppers import newton_schulz
from drivetrain.reference import optimizers as twins
from drivetrain.reference.adam import AdamW

SHAPES = [(5, 4), (3,), (2, 2, 3)]


def weights(shapes=SHAPES, dtype=torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in shapes
    ]


def set_gradients(params: list[torch.Tensor], step: int) -> None:
    generator = torch.Generator().manual_seed(1000 + step)
    scale = 10.0 ** ((step % 7) - 4)  # from 1e-4 to 1e2, so that eps and the means matter
    for param in params:
        noise = torch.randn(param.shape, generator=generator, dtype=torch.float64)
        param.grad = (scale * noise).to(param.dtype)


def run(made, params, steps: int) -> None:
    for step in range(steps):
        set_gradients(params, step)
        if step < 3:
            params[1].grad = None  # thawed later, as by `unfreeze`
        made.step()


# Name: its twin, and settings other than the defaults for both.
TWINS = {
    "sgd": (twins.SGD, {"weight_decay": 0.1}),
    "momentum": (twins.Momentum, {"momentum": 0.8, "dampening": 0.2, "weight_decay": 0.1}),
    "averaged_momentum": (twins.AveragedMomentum, {"momentum": 0.8, "weight_decay": 0.1}),
    "lars": (
        twins.LARS,
        {"lr": 0.5, "momentum": 0.8, "weight_decay": 0.1, "trust_coefficient": 0.01},
    ),
    "rmsprop": (
        twins.RMSProp,
        {"alpha": 0.9, "eps": 1e-4, "momentum": 0.7, "weight_decay": 0.1},
    ),
    "adam": (twins.Adam, {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    "fastai_adam": (AdamW, {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    "radam": (twins.RAdam, {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    "lamb": (twins.LAMB, {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    "schedule_free_sgd": (
        twins.ScheduleFree,
        {"lr": 0.01, "momentum": 0.8, "weight_decay": 0.1, "warmup_steps": 7},
    ),
    "schedule_free_adamw": (
        twins.ScheduleFreeAdamW,
        {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1, "warmup_steps": 7},
    ),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("settings", ["defaults", "others"])
def test_hundred_steps_equal_the_twins(name, settings):
    twin, others = TWINS[name]
    options = {} if settings == "defaults" else others
    ours, by_hand = weights(), weights()
    made, hand = optimizer(name, **options)(ours), twin(by_hand, **options)
    run(made, ours, 100)
    run(hand, by_hand, 100)
    assert hand.t == [100, 97, 100]
    torch.testing.assert_close(ours, by_hand, rtol=1e-12, atol=1e-13)


@pytest.mark.row(151)
def test_adam_by_hand_equals_torchs_after_a_hundred_steps():
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        by_hand, torchs = weights(dtype=dtype), weights(dtype=dtype)
        run(twins.Adam(by_hand, lr=0.01), by_hand, 100)
        run(torch.optim.Adam(torchs, lr=0.01), torchs, 100)
        torch.testing.assert_close(by_hand, torchs, rtol=tolerance, atol=tolerance)


@pytest.mark.row(149)
@pytest.mark.row(150)
@pytest.mark.row(151)
@pytest.mark.parametrize(
    ("twin", "theirs", "options"),
    [
        (twins.SGD, torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.02}),
        (twins.Momentum, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02}),
        (twins.RMSProp, torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.02}),
        (twins.Adam, torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.02}),
        (AdamW, torch.optim.AdamW, {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-5}),
    ],
)
def test_hundred_steps_are_torchs_own(twin, theirs, options):
    by_hand, torchs = weights(), weights()
    run(twin(by_hand, **options), by_hand, 100)
    run(theirs(torchs, **options), torchs, 100)
    torch.testing.assert_close(by_hand, torchs, rtol=0, atol=1e-10)


def after(make, gradients: list[float], start: float) -> list[float]:
    """Where a single number is after each of the gradients."""
    weight = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    made, path = make([weight]), []
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        made.step()
        path.append(weight.item())
    return path


@pytest.mark.row(125)
def test_weight_decay_by_hand_has_no_factor_of_two():
    for decay, expected in (
        (0.0, 4.6),
        (0.01, 4.595),
        (0.02, 4.59),
    ):  # the notes print 4.59 for 0.01
        found = after(lambda p, decay=decay: twins.SGD(p, 0.1, decay), [4.0], 5.0)
        assert found == pytest.approx([expected], abs=1e-12)


@pytest.mark.row(149)
def test_three_gradients_of_four_in_both_forms_of_momentum_by_hand():
    # At a rate of 1, each step is the buffer itself.
    for twin, buffers in (
        (twins.Momentum, [4, 7.6, 10.84]), (twins.AveragedMomentum, [0.4, 0.76, 1.084]),
    ):  # fmt: skip
        path = [0.0, *after(lambda p, twin=twin: twin(p, 1.0, 0.9), [4.0] * 3, 0.0)]
        moves = [before - now for before, now in pairwise(path)]
        assert moves == pytest.approx(buffers, abs=1e-12)


@pytest.mark.row(150)
@pytest.mark.row(151)
def test_first_steps_of_rmsprop_and_adam_by_hand():
    """lr · g / √(.01 g²) is ten rates, and what is debiased is one."""
    assert after(lambda p: twins.RMSProp(p, 0.1), [4.0], 0.0) == pytest.approx([-1.0], abs=1e-7)
    assert after(lambda p: twins.Adam(p, 0.1), [4.0], 5.0) == pytest.approx([4.9], abs=1e-8)


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_averaged_weights_equal_the_twins(name):
    twin, options = TWINS[name]
    ours, by_hand = weights(), weights()
    made, hand = optimizer(name, **options)(ours), twin(by_hand, **options)
    assert all(a is not b for a, b in zip(hand.averaged(), by_hand, strict=True))
    run(made, ours, 20)
    run(hand, by_hand, 20)
    made.eval()
    averaged = [x.detach() for x in ours]
    torch.testing.assert_close(averaged, hand.averaged(), rtol=1e-12, atol=1e-13)


def test_nesterovs_momentum_equals_the_twins():
    ours, by_hand = weights(), weights()
    run(optimizer("nesterov", momentum=0.8)(ours), ours, 30)
    run(twins.Momentum(by_hand, momentum=0.8, nesterov=True), by_hand, 30)
    torch.testing.assert_close(ours, by_hand, rtol=1e-12, atol=1e-14)


def test_centered_rmsprop_equals_the_twins():
    ours, by_hand = weights(), weights()
    run(optimizer("centered_rmsprop", alpha=0.9)(ours), ours, 30)
    run(twins.RMSProp(by_hand, alpha=0.9, centered=True), by_hand, 30)
    torch.testing.assert_close(ours, by_hand, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("inner", "twin"), [("sgd", twins.SGD), ("adam", twins.Adam), ("fastai_adam", AdamW)]
)
def test_lookahead_equals_the_twins(inner, twin):
    ours, by_hand = weights(), weights()
    options = {"sync_period": 3, "slow_step_size": 0.7}
    run(optimizer("lookahead", inner=inner, lr=0.01, **options)(ours), ours, 40)
    run(twins.Lookahead(twin(by_hand, lr=0.01), **options), by_hand, 40)
    torch.testing.assert_close(ours, by_hand, rtol=1e-12, atol=1e-13)


def test_muon_equals_the_twin_with_singular_values():
    shapes = [(6, 4), (4, 6), (5, 5)]
    ours, by_hand = weights(shapes), weights(shapes)
    run(optimizer("muon", ns_dtype="float64")(ours), ours, 30)
    run(twins.Muon(by_hand), by_hand, 30)
    torch.testing.assert_close(ours, by_hand, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 5)])
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_newton_schulz_equals_the_twin_with_singular_values(shape, steps):
    (matrix,) = (w.detach() for w in weights([shape]))
    torch.testing.assert_close(
        newton_schulz(matrix, steps=steps), twins.orthogonal(matrix, steps), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("name", [*TWINS, "lookahead", "muon"])
def test_defaults_equal_the_twins(name):
    twin = (
        TWINS[name][0]
        if name in TWINS
        else {"lookahead": twins.Lookahead, "muon": twins.Muon}[name]
    )
    expected = {
        key: parameter.default
        for key, parameter in inspect.signature(twin).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    # What is a name of its own among ours (nesterov, centered_rmsprop) is a switch of the twin.
    expected = {
        key: value for key, value in expected.items() if key not in ("nesterov", "centered")
    }
    ours = inspect.signature(OPTIMIZERS[name]).parameters
    assert {key: ours[key].default for key in expected} == expected


def test_twin_forgets_gradients_when_told():
    params = weights()
    set_gradients(params, 0)
    twins.SGD(params).zero_grad()
    assert all(param.grad is None for param in params)


def test_twin_of_no_kind_does_not_move():
    params = weights()
    set_gradients(params, 0)
    with pytest.raises(NotImplementedError):
        twins.Optimizer(params).step()
