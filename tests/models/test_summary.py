"""The table of parameters and activations."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from drivetrain.errors import InputError
from drivetrain.losses import LOSSES
from drivetrain.models import create_model, summarize
from drivetrain.models.summary import _LOSSES

pytestmark = pytest.mark.row(46)


def _digit_net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(784, 30), nn.ReLU(), nn.Linear(30, 1))


def test_parameters_are_learned_and_activations_calculated() -> None:
    summary = summarize(_digit_net(), (torch.zeros(64, 784),))

    assert [(r.kind, r.output_shape, r.parameters) for r in summary.rows] == [
        ("Linear", (64, 30), 784 * 30 + 30),
        ("ReLU", (64, 30), 0),
        ("Linear", (64, 1), 31),
    ]
    assert summary.parameters == 23_581
    assert summary.activations == 30 + 30 + 1


def test_the_table_prints_both_columns_and_explains_both_ends() -> None:
    net = _digit_net()
    net[0].requires_grad_(False)

    text = str(summarize(net, (torch.zeros(64, 784),), loss="mnist_loss"))

    assert text == "\n".join(
        [
            "layer  kind    activations (calculated)  parameters (learned)  trainable",
            "0      Linear  64x30                                   23,550  no",
            "1      ReLU    64x30                                        0",
            "2      Linear  64x1                                        31  yes",
            "",
            "Input: 64x784; the first number is the batch size.",
            "Parameters: 23,581 learned by training, the same for every item; 31 trainable, "
            "23,550 frozen.",
            "Activations: 61 calculated anew for each item.",
            "First layer: 0, takes 784 numbers an item and gives 30. Items with more or fewer "
            "columns need another first layer.",
            "Last layer: 2, the end of the head: 30 features in, 1 number an item out, one for "
            "each class or target. Another set of classes needs another last layer.",
            "Loss: mnist_loss, a sigmoid turns each output into a probability, and the loss is its "
            "distance from 0 or 1. So the model itself ends in plain scores, without a sigmoid.",
        ]
    )


@pytest.mark.row(115)
def test_a_picture_models_stem_head_and_loss_are_explained() -> None:
    model = create_model("resnet_tiny", num_classes=7).model
    summary = summarize(model, (torch.zeros(2, 3, 16, 16),), loss="cross_entropy")

    assert summary.stem == (
        "First layer: body.stem.0, the input stem: a 3x3 window over 3 channels of the picture, 16 "
        "features out, stride 1. Pictures with another number of channels need another first layer."
    )
    assert summary.head == (
        "Last layer: head.scores, the end of the head: 512 features in, 7 numbers an item out, one "
        "for each class or target. Another set of classes needs another last layer."
    )
    assert summary.loss.startswith("Loss: cross_entropy, softmax turns the outputs into")
    assert summary.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.row(115)
def test_every_loss_of_the_library_is_explained() -> None:
    assert set(_LOSSES) == set(LOSSES)


def test_looking_changes_nothing() -> None:
    model = create_model("resnet_tiny", num_classes=3).model.train()
    model.body.eval()  # a frozen body's mode must survive too
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    example = (torch.rand(1, 3, 16, 16),)  # one item: in training mode a norm would refuse it
    generator = torch.get_rng_state()
    modes = [module.training for module in model.modules()]

    summarize(model, example)

    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


class _Noisy(nn.Linear):
    """Draws in evaluation mode too, as some generative layers do."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + torch.rand(())


def test_looking_leaves_the_generator_even_to_a_layer_that_draws() -> None:
    net = _Noisy(2, 2)
    generator = torch.get_rng_state()
    summarize(net, (torch.zeros(1, 2),))
    assert torch.equal(torch.get_rng_state(), generator)


def test_hooks_and_modes_are_put_back_when_the_example_does_not_fit() -> None:
    net = _digit_net()
    with pytest.raises(RuntimeError):
        summarize(net, (torch.zeros(64, 783),))
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())


class _DotProduct(nn.Module):
    """Two inputs, a shared table, and parameters of its own beside layers inside."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.shift = nn.Parameter(torch.zeros(1))
        self.unused = nn.Linear(2, 2)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        return (self.table(users) * self.table(items)).sum(1) + self.shift


def test_any_module_has_a_row_for_its_own_parameters_and_for_layers_that_did_not_run() -> None:
    ids = torch.zeros(3, dtype=torch.int64)

    summary = summarize(_DotProduct(), (ids, ids))

    assert [(r.path, r.output_shape, r.parameters) for r in summary.rows] == [
        ("table", (3, 4), 20),
        ("(model)", (3,), 1),
        ("unused", None, 6),
    ]
    assert summary.parameters == 27
    assert summary.stem == (
        "First layer: table, looks up 4 learned numbers for each of 5 words or categories; others "
        "need other rows."
    )


def test_tied_weights_count_once() -> None:
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight

    assert [r.parameters for r in summarize(net, (torch.zeros(1, 3),)).rows] == [9, 0]


def test_a_bare_tensor_and_an_empty_model_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        summarize(_digit_net(), cast(Any, torch.zeros(64, 784)))
    assert str(caught.value) == (
        "`summarize` needs the example as a tuple of tensors, one for each input of the model, such "
        "as `(images,)`."
    )
    with pytest.raises(InputError) as caught:
        summarize(nn.ReLU(), (torch.zeros(2),))
    assert str(caught.value) == "`summarize` got a ReLU, which has no parameters."
