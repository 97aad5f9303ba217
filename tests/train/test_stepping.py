"""The quick way to step gives torch's bits, and is not taken where somebody looks on."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from drivetrain.train import stepping
from drivetrain.train.stepping import clear_gradients, take_step

KINDS: list[type[Optimizer]] = [Adam, AdamW]


def weights(seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [
        nn.Parameter(torch.randn(shape, generator=generator))
        for shape in ((5, 3), (7,), (), (0, 4), (2, 3, 2))
    ]


def give_gradients(parameters: list[nn.Parameter], seed: int, missing: int | None = None) -> None:
    generator = torch.Generator().manual_seed(seed)
    for index, parameter in enumerate(parameters):
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad = None if index == missing else gradient


def everything(optimizer: Optimizer) -> list[Tensor]:
    """Weights and all that the optimizer keeps, in the order of the parameters."""
    listed = [p for group in optimizer.param_groups for p in group["params"]]
    kept = [optimizer.state[p] for p in listed]
    return [p.detach() for p in listed] + [one[name] for one in kept for name in sorted(one)]


def assert_same_bits(one: Optimizer, other: Optimizer) -> None:
    for left, right in zip(everything(one), everything(other), strict=True):
        assert torch.equal(left, right)


@settings(deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    lr=st.floats(1e-6, 1.0),
    betas=st.tuples(st.floats(0, 0.999), st.floats(0, 0.9999)),
    eps=st.floats(1e-10, 1e-2),
    decay=st.floats(0, 0.5),
    maximize=st.booleans(),
    missing=st.none() | st.integers(0, 4),
    is_split=st.booleans(),
)
def test_the_weights_are_torchs_to_the_last_bit(
    kind: Callable[..., Optimizer],
    lr: float,
    betas: tuple[float, float],
    eps: float,
    decay: float,
    maximize: bool,
    missing: int | None,
    is_split: bool,
) -> None:
    sides = []
    for step in (take_step, lambda optimizer: optimizer.step()):
        found = weights()
        groups: Any = (
            [{"params": found[:2], "lr": lr / 3}, {"params": found[2:], "weight_decay": 0.0}]
            if is_split
            else found
        )
        optimizer = kind(
            groups,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=decay,
            maximize=maximize,
            fused=True,
        )
        for number in range(4):
            give_gradients(found, seed=number, missing=missing if number % 2 else None)
            step(optimizer)
            optimizer.param_groups[0]["betas"] = (betas[0] / 2, betas[1])  # as a schedule does
        sides.append(optimizer)
    assert_same_bits(*sides)


@pytest.mark.parametrize("kind", KINDS)
def test_after_the_first_step_torchs_is_not_called(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = weights()
    optimizer = kind(found, lr=0.1, fused=True)
    give_gradients(found, seed=0)
    take_step(optimizer)  # torch makes the averages
    calls: list[int] = []
    monkeypatch.setattr(kind, "step", lambda self: calls.append(1))
    before = [parameter.detach().clone() for parameter in found]
    take_step(optimizer)
    assert not calls
    moved = [not torch.equal(a, b) for a, b in zip(before, found, strict=True) if a.numel()]
    assert all(moved)


class Changed(AdamW):
    """An optimizer of one's own."""


def _own_hook(optimizer: Optimizer, calls: list[str]) -> Any:
    return optimizer.register_step_pre_hook(lambda *_: calls.append("own"))


def _hook_of_all(optimizer: Optimizer, calls: list[str]) -> Any:
    return register_optimizer_step_post_hook(lambda *_: calls.append("all"))


@pytest.mark.parametrize("add", [_own_hook, _hook_of_all])
def test_hooks_are_called_once_a_step(add: Callable[[Optimizer, list[str]], Any]) -> None:
    found = weights()
    optimizer = AdamW(found, lr=0.1, fused=True)
    give_gradients(found, seed=0)
    take_step(optimizer)
    calls: list[str] = []
    handle = add(optimizer, calls)
    try:
        take_step(optimizer)
        take_step(optimizer)
    finally:
        handle.remove()
    take_step(optimizer)
    assert len(calls) == 2


def test_the_profiler_sees_the_step() -> None:
    found = weights()
    optimizer = AdamW(found, lr=0.1, fused=True)
    give_gradients(found, seed=0)
    take_step(optimizer)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        take_step(optimizer)
    assert "Optimizer.step#AdamW.step" in {event.key for event in seen.key_averages()}


def test_a_scheduler_of_torch_counts_the_steps() -> None:
    found = weights()
    optimizer = AdamW(found, lr=0.1, fused=True)
    give_gradients(found, seed=9)
    take_step(optimizer)  # before there is a scheduler: the next could be quick
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns where it saw no step
        for number in range(3):
            give_gradients(found, seed=number)
            take_step(optimizer)
            scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.0125


def test_a_step_that_a_scaler_leaves_out_is_left_out() -> None:
    found = weights()
    optimizer = AdamW(found, lr=0.1, fused=True)
    give_gradients(found, seed=0)
    take_step(optimizer)
    before = [parameter.detach().clone() for parameter in found]
    optimizer.grad_scale, optimizer.found_inf = torch.ones(()), torch.ones(())  # pyright: ignore[reportAttributeAccessIssue]
    take_step(optimizer)
    assert all(torch.equal(a, b) for a, b in zip(before, found, strict=True))


OTHERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "SGD": lambda p: SGD(p, lr=0.1, momentum=0.9, fused=True),
    "not fused": lambda p: AdamW(p, lr=0.1),
    "amsgrad": lambda p: AdamW(p, lr=0.1, amsgrad=True, fused=True),
    "a rate that is a tensor": lambda p: AdamW(p, lr=torch.tensor(0.1), fused=True),
    "a class of one's own": lambda p: Changed(p, lr=0.1, fused=True),
    "one group of two": lambda p: AdamW(
        [{"params": p[:2]}, {"params": p[2:], "amsgrad": True}], lr=0.1, fused=True
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_is_stepped_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, torchs = weights(), weights()
    ours, theirs = OTHERS[name](found), OTHERS[name](torchs)
    monkeypatch.setattr(stepping, "_move", None)  # the quick way would fail
    for number in range(3):
        give_gradients(found, seed=number)
        give_gradients(torchs, seed=number)
        take_step(ours)
        theirs.step()
    assert_same_bits(ours, theirs)


def test_doubles_and_a_new_parameter_are_left_to_torch() -> None:
    double = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = AdamW([double], lr=0.1, fused=True)
    for _ in range(2):
        double.grad = torch.ones_like(double)
        take_step(optimizer)
    added = nn.Parameter(torch.ones(2))
    optimizer.add_param_group({"params": [added]})
    added.grad = torch.ones(2)
    take_step(optimizer)
    assert optimizer.state[double]["step"].item() == 3
    assert optimizer.state[added]["step"].item() == 1


def test_a_group_of_two_kinds_is_sorted_by_torch() -> None:
    sides = []
    for step in (take_step, lambda optimizer: optimizer.step()):
        found = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3, dtype=torch.float64))]
        optimizer = AdamW(found, lr=0.1, fused=True)
        for number in range(3):
            for parameter in found:
                parameter.grad = torch.full_like(parameter, 0.5 + number)
            step(optimizer)
        sides.append(optimizer)
    assert_same_bits(*sides)


def test_a_sparse_gradient_is_refused_by_torch() -> None:
    found = weights()[:1]
    optimizer = AdamW(found, lr=0.1, fused=True)
    give_gradients(found, seed=0)
    take_step(optimizer)
    found[0].grad = torch.zeros(5, 3).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        take_step(optimizer)


def test_the_state_is_saved_and_loaded_as_torchs() -> None:
    found = weights()
    optimizer = AdamW(found, lr=0.1, fused=True)
    for number in range(3):
        give_gradients(found, seed=number)
        take_step(optimizer)
    again = weights()
    for parameter, kept in zip(again, found, strict=True):
        parameter.data.copy_(kept.data)
    loaded = AdamW(again, lr=0.1, fused=True)
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    give_gradients(found, seed=9)
    give_gradients(again, seed=9)
    take_step(optimizer)
    loaded.step()
    assert_same_bits(optimizer, loaded)


def test_gradients_are_cleared_by_an_optimizers_own_way_where_it_has_one() -> None:
    class Counting(AdamW):
        cleared = 0

        def zero_grad(self, set_to_none: bool = True) -> None:
            self.cleared += 1
            super().zero_grad(set_to_none)

    for kind in (AdamW, Counting):
        found = weights()
        optimizer = kind(found, lr=0.1)
        give_gradients(found, seed=0)
        clear_gradients(optimizer)
        assert [parameter.grad for parameter in found] == [None] * len(found)
        assert getattr(optimizer, "cleared", 1) == 1
