"""Vectors that are caught on their way through a net, and hooks that come off."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from drivetrain.errors import ConfigError, DataError, ShapeError, UnknownNameError
from drivetrain.interpret.head_inputs import head_inputs
from drivetrain.interpret.map_items import of_predictions, sample, steps
from drivetrain.train.predictions import Predictions


def net() -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3)
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return made


def num_hooks(model: nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


def pictures(count: int) -> torch.Tensor:
    return torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def test_they_are_what_the_last_linear_layer_is_given_batch_after_batch() -> None:
    model, inputs = net(), pictures(7)
    with head_inputs(model) as caught, torch.no_grad():
        outputs = torch.cat([model(part) for part in inputs.split(3)])
    assert caught.last == "4"
    with torch.no_grad():
        # convolutions of other batches may round otherwise
        np.testing.assert_allclose(caught.vectors(), model[:4](inputs).numpy(), rtol=1e-5)
        torch.testing.assert_close(model[4](torch.from_numpy(caught.vectors())), outputs)
    assert num_hooks(model) == 0


def test_of_a_named_layer_its_output_and_of_maps_their_mean() -> None:
    model, inputs = net(), pictures(5)
    with head_inputs(model, "2") as hidden, torch.no_grad():
        model(inputs)
    with head_inputs(model, "0") as maps, torch.no_grad():
        model(inputs)
    with torch.no_grad():
        np.testing.assert_array_equal(hidden.vectors(), model[:3](inputs).numpy())
        np.testing.assert_array_equal(maps.vectors(), model[0](inputs).mean(dim=(2, 3)).numpy())
    assert (hidden.pooled, maps.pooled) == (0, 4)


def test_hooks_come_off_after_an_error_and_nothing_else_has_changed() -> None:
    model = net().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = []
    model[0].register_forward_pre_hook(lambda *args: seen.append(num_hooks(model)))
    with pytest.raises(RuntimeError), head_inputs(model):
        model(torch.zeros(2, 5, 4, 4))
    assert seen == [4]  # ours: two linear layers and the whole
    model[0]._forward_pre_hooks.clear()
    assert num_hooks(model) == 0
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(UnknownNameError) as caught, head_inputs(model, "9"):
        pass
    assert str(caught.value).startswith("The model has no layer '9'.")
    assert num_hooks(model) == 0


def test_what_gives_no_vector_is_refused() -> None:
    with head_inputs(net()) as caught:
        pass
    with pytest.raises(DataError) as none:
        caught.vectors()
    assert str(none.value) == (
        "No activations were caught: nothing went through the model, or no linear layer is used in it. "
        "Name a layer that it uses."
    )
    tokens = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5))
    with head_inputs(tokens) as caught:
        tokens(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ShapeError) as shape:
        caught.vectors()
    assert str(shape.value) == (
        "A map needs one vector an item, (B, F), or maps, (B, C, h, w). Layer '1' has 2x3x4. Choose "
        "another layer."
    )


# --- items of predictions -------------------------------------------------------------------------


def caught_of(count: int):
    model = net()
    with head_inputs(model) as caught, torch.no_grad():
        outputs = model(pictures(count))
    return caught, outputs


def record(targets: torch.Tensor, outputs: torch.Tensor, *classes: str) -> Predictions:
    names = [f"item {row}" for row in range(len(targets))]
    return Predictions(names, targets, outputs, torch.zeros(len(targets)), classes)


def test_of_classes_groups_are_true_ones_and_mistakes_are_marked() -> None:
    caught, outputs = caught_of(6)
    targets = outputs.argmax(dim=1)
    targets[2] = (targets[2] + 1) % 3
    targets[4] = -1  # no label
    items = of_predictions(caught, record(targets, outputs, "a", "b", "c"), noun="pictures")
    assert items.wrong is not None and np.flatnonzero(items.wrong).tolist() == [
        2
    ]  # of one without a label nobody knows
    assert items.label(4) == "" and items.label(0) == "abc"[int(targets[0])]
    assert list(items.said) == ["abc"[code] for code in outputs.argmax(dim=1).tolist()]
    assert items.what == (
        "What the last layer, 4, is given: 6 numbers for each of the validation pictures."
    )
    with pytest.raises(ConfigError) as wrong:
        of_predictions(caught, record(targets[:3], outputs[:3], "a", "b", "c"), noun="pictures")
    assert str(wrong.value) == "6 vectors were caught for 3 predictions: one each is needed."


def test_of_numbers_groups_are_steps_and_of_several_labels_there_are_none() -> None:
    caught, outputs = caught_of(6)
    numbers = of_predictions(
        caught, record(torch.arange(6.0), outputs[:, 0]), noun="rows", target="price"
    )
    assert numbers.groups == ("0 to 1", "1 to 2", "2 to 3", "3 to 4", "4 to 5")
    assert numbers.codes is not None and numbers.codes.tolist() == [0, 1, 2, 3, 4, 4]
    assert numbers.is_ordered and numbers.wrong is None and numbers.group_of == "price"
    labels = of_predictions(caught, record(torch.ones(6, 3), outputs, "a", "b", "c"), noun="texts")
    assert labels.codes is None and labels.wrong is None and labels.label(0) == ""


def test_steps_of_equal_and_of_missing_numbers() -> None:
    names, codes = steps(np.array([3.0, 3.0, np.nan]))
    assert (names, codes.tolist()) == (("3",), [0, 0, -1])
    names, codes = steps(np.full(2, np.nan))
    assert (names, codes.tolist()) == ((), [-1, -1])


def test_a_sample_is_drawn_by_the_seed_alone() -> None:
    drawn = sample(1000, 50, 3)
    assert len(set(drawn.tolist())) == 50 and (np.diff(drawn) > 0).all()
    assert np.array_equal(drawn, sample(1000, 50, 3))
    assert not np.array_equal(drawn, sample(1000, 50, 4))
    assert sample(5, 50, 3).tolist() == [0, 1, 2, 3, 4]
