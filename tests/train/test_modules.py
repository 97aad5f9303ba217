"""Models as the loop needs them: what is wrapped, what is refused, what is frozen."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.train.modules import (
    CallableModel,
    as_module,
    detached,
    freeze_groups,
    layer_groups_of,
)


class Line:
    def __init__(self, *values: Any) -> None:
        self.values = list(values) or [nn.Parameter(torch.tensor(2.0))]

    def parameters(self) -> list[Any]:
        return self.values

    def __call__(self, x: Tensor, *, shift: float = 0.0) -> Tensor:
        return self.values[0] * x + shift


def test_a_module_is_taken_as_it_is():
    model = nn.Linear(1, 1)
    assert as_module(model) is model


def test_a_callable_becomes_a_module_with_the_same_parameters():
    line = Line()
    model = as_module(line)
    assert isinstance(model, CallableModel)
    assert [p is line.values[0] for p in model.parameters()] == [True]
    assert model(torch.tensor(3.0), shift=1.0).item() == 7.0
    assert "Line" in repr(model)


def test_training_the_module_trains_the_callable():
    line = Line()
    model = as_module(line)
    model(torch.tensor(3.0)).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert line(torch.tensor(1.0)).item() == pytest.approx(1.7)


def test_weights_of_a_callable_are_saved_and_loaded():
    state = detached(as_module(Line(nn.Parameter(torch.tensor(5.0)))).state_dict())
    line = Line()
    as_module(line).load_state_dict(state)
    assert line(torch.tensor(1.0)).item() == 5.0


def plain(x: Tensor) -> Tensor:
    return x


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (3, "The model must be an `nn.Module` or a callable with parameters. Got int."),
        (
            plain,
            "`function` can be called but has no `parameters()`, so there is nothing to train. "
            "Make it an `nn.Module`, or add a method that lists its `nn.Parameter`s.",
        ),
        (
            Line(torch.tensor(1.0)),
            "`Line.parameters()` must list `nn.Parameter`s. Got Tensor. "
            "Wrap each tensor that is to be learnt: `nn.Parameter(tensor)`.",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(model: Any, said: str):
    with pytest.raises(ConfigError) as caught:
        as_module(model)
    assert str(caught.value) == said


def test_a_callable_that_lists_no_parameters_is_refused():
    class Empty(Line):
        def parameters(self) -> list[Any]:
            return []

    with pytest.raises(ConfigError, match=r"^`Empty.parameters\(\)` .* Got an empty list\. "):
        as_module(Empty())


def test_a_model_without_layer_groups_is_one_group():
    model = nn.Linear(1, 1)
    assert layer_groups_of(model) == [[model]]


class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 1)

    def layer_groups(self) -> Any:
        return ((self.scale, self.body), (self.head,))


def test_layer_groups_may_hold_modules_and_parameters():
    model = Grouped()
    groups = layer_groups_of(model)
    assert groups == [[model.scale, model.body], [model.head]]


@pytest.mark.parametrize(
    ("frozen", "trained"),
    [(0, {"scale", "body", "head"}), (1, {"head"}), (2, set())],
)
def test_the_first_groups_are_frozen_and_the_others_thawed(frozen: int, trained: set[str]):
    model = Grouped()
    for before in (0, 2):  # whatever it was before
        freeze_groups(layer_groups_of(model), before)
        freeze_groups(layer_groups_of(model), frozen)
        names = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
        assert names == trained


def test_copies_do_not_change_with_training():
    model = nn.Linear(2, 1)
    kept = detached(model.state_dict())
    before = kept["weight"].clone()
    with torch.no_grad():
        model.weight += 1
    assert torch.equal(kept["weight"], before)
    assert not kept["weight"].requires_grad


class OwnVectors(nn.Module):
    """A table of vectors, as a tensor, a parameter or a buffer."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.vectors = wrap(torch.zeros(4, 2))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return self.vectors[codes].sum(1) * self.scale


@pytest.mark.row(126)
def test_a_tensor_that_is_no_parameter_is_told_of() -> None:
    said = (
        "`vectors`: a tensor attribute is not a parameter, so it is not trained, nor saved with the "
        "weights. Wrap what is to be trained in `nn.Parameter`, and what is to be kept in `nn.Buffer`."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(said)}$"):
        as_module(OwnVectors(lambda tensor: tensor))
    with pytest.warns(UserWarning, match=re.escape("`0.vectors`: a tensor attribute")):
        as_module(nn.Sequential(OwnVectors(lambda tensor: tensor)))
    for wrap in (nn.Parameter, nn.Buffer, lambda tensor: tensor.long()):
        as_module(OwnVectors(wrap))  # warnings are errors here


@pytest.mark.row(126)
def test_a_model_without_parameters_says_which_tensors_could_be_some() -> None:
    model = OwnVectors(lambda tensor: tensor)
    del model.scale
    said = (
        "`OwnVectors` has no parameters, so there is nothing to train. `vectors`: a tensor attribute is "
        "not a parameter"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}"):
        as_module(model)


@pytest.mark.row(126)
def test_vectors_that_are_parameters_are_trained() -> None:
    model = as_module(OwnVectors(nn.Parameter))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    loss = (model(torch.tensor([1, 1, 3])) - 1).square().mean()
    loss.backward()
    optimizer.step()
    moved: Any = model.vectors
    assert moved.abs().sum(1).gt(0).tolist() == [False, True, False, True]
