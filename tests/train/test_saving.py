"""Checkpoints: weights and optimizer state by name, there and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from drivetrain import optim, store
from drivetrain.errors import RunError
from drivetrain.randomness import seeded
from drivetrain.train import saving


def net(hidden: int = 4) -> nn.Sequential:
    with seeded(3, "test"):
        return nn.Sequential(nn.Linear(2, hidden), nn.BatchNorm1d(hidden), nn.Linear(hidden, 1))


def train(model: nn.Module, optimizer: Optimizer, steps: int) -> None:
    generator = torch.Generator().manual_seed(steps)
    for _ in range(steps):
        inputs = torch.randn(8, 2, generator=generator)
        (model(inputs) - inputs.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


Maker = Callable[[Any], Optimizer]
OPTIMIZERS: dict[str, Maker] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.05),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.05, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.05, momentum=0.5),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.05),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
}


OURS: dict[str, Maker] = {name: partial(make, lr=0.05) for name, make in optim.OPTIMIZERS.items()}
"""Muon among them, which remembers other things of a matrix than of a bias."""


@pytest.mark.parametrize("make", [*OPTIMIZERS.values(), *OURS.values()], ids=[*OPTIMIZERS, *OURS])
def test_from_the_disk_it_goes_on_as_if_it_had_not_stopped(tmp_path: Path, make: Maker):
    model = net()
    optimizer = make(model.parameters())
    train(model, optimizer, 5)
    store.write_tensors(tmp_path / "x.safetensors", saving.pack(model, optimizer))
    train(model, optimizer, 3)

    other = net()
    tensors = store.read_tensors(tmp_path / "x.safetensors")
    saving.unpack_model(tensors, other, what="x")
    again = make(other.parameters())
    saving.unpack_optimizer(tensors, other, again)
    train(other, again, 3)
    assert store.weights_sha256(other.state_dict()) == store.weights_sha256(model.state_dict())


def test_state_is_found_by_name_however_parameters_are_grouped():
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    train(model, optimizer, 5)
    tensors = {k: v.clone() for k, v in saving.pack(model, optimizer).items()}
    assert "model.1.running_mean" in tensors
    assert {k for k in tensors if k.startswith("optimizer.0.weight|")} == {
        "optimizer.0.weight|step",
        "optimizer.0.weight|exp_avg",
        "optimizer.0.weight|exp_avg_sq",
    }
    train(model, optimizer, 3)

    other = net()
    saving.unpack_model(tensors, other, what="x")
    reversed_groups = [{"params": [p]} for p in reversed(list(other.parameters()))]
    again = torch.optim.AdamW(reversed_groups, lr=0.05)
    saving.unpack_optimizer(tensors, other, again)
    train(other, again, 3)
    for ours, theirs in zip(other.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_what_is_frozen_has_no_state_and_needs_none():
    model = net()
    model[0].requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    train(model, optimizer, 2)
    names = {k.split("|")[0] for k in saving.pack(model, optimizer) if k.startswith("optimizer.")}
    assert names == {
        "optimizer.1.weight",
        "optimizer.1.bias",
        "optimizer.2.weight",
        "optimizer.2.bias",
    }


def test_loaded_state_is_the_optimizers_own():
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    train(model, optimizer, 2)
    tensors = {k: v.clone() for k, v in saving.pack(model, optimizer).items()}
    before = tensors["optimizer.0.weight|exp_avg"].clone()
    again = torch.optim.AdamW(model.parameters(), lr=0.05)
    saving.unpack_optimizer(tensors, model, again)
    train(model, again, 1)
    assert torch.equal(tensors["optimizer.0.weight|exp_avg"], before)


def test_state_goes_where_its_parameter_is_and_the_count_of_steps_stays():
    model = nn.Linear(2, 1, bias=False, device="meta")
    tensors = {
        "optimizer.weight|exp_avg": torch.zeros(1, 2),
        "optimizer.weight|step": torch.tensor(5.0),
    }
    optimizer = torch.optim.AdamW(model.parameters())
    saving.unpack_optimizer(tensors, model, optimizer)
    state = optimizer.state[model.weight]
    assert state["exp_avg"].device.type == "meta"
    assert state["step"].device.type == "cpu"


def refusal(weights: dict[str, Tensor], model: nn.Module) -> str:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(RunError) as caught:
        saving.load_weights(model, weights, what="runs/a")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])  # refused whole
    return str(caught.value)


def test_weights_of_another_width_are_refused():
    assert refusal(dict(net(5).state_dict()), net()) == (
        "runs/a holds the weights of another model (other shape: 0.weight, 0.bias, 1.weight and "
        "4 more). Build the model with the same name and number of classes."
    )


def test_weights_of_other_names_are_refused():
    weights = {"0.weight": torch.zeros(1, 2), "extra": torch.zeros(1)}
    assert refusal(weights, nn.Sequential(nn.Linear(2, 1))) == (
        "runs/a holds the weights of another model (missing: 0.bias; unknown: extra). "
        "Build the model with the same name and number of classes."
    )


def test_an_optimizers_state_of_another_model_is_refused():
    model = nn.Linear(2, 1)
    with pytest.raises(RunError) as caught:
        saving.unpack_optimizer(
            {"optimizer.head.weight|step": torch.tensor(1.0)},
            model,
            torch.optim.AdamW(model.parameters()),
        )
    assert str(caught.value) == (
        "The checkpoint remembers 'head.weight', which the model does not have. "
        "Build the model as it was when the checkpoint was written."
    )


@pytest.mark.parametrize("make", [OPTIMIZERS["adamw"], OURS["adamw"], OURS["muon"]])
def test_state_that_lacks_of_one_parameter_what_it_has_of_its_like_is_refused(make: Maker):
    model = net()
    optimizer = make(model.parameters())
    train(model, optimizer, 1)
    tensors = saving.pack(model, optimizer)
    del tensors["optimizer.0.bias|exp_avg_sq"]
    other = net()
    with pytest.raises(RunError) as caught:
        saving.unpack_optimizer(tensors, other, make(other.parameters()))
    assert str(caught.value) == (
        "The checkpoint remembers other things of one parameter than of another of its kind, as no "
        "optimizer does. Train anew."
    )
