"""A layer's output element with all that led to it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.errors import InputError, ShapeError, UnknownNameError
from drivetrain.randomness import seeded
from drivetrain.show.layer import element, layer, look_at, names
from drivetrain.train.learner import Learner
from tests.show.independent import recalculate


class Block(nn.Module):
    """A residual block with a convolution beside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.beside = nn.Conv2d(2, 4, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.act(self.norm1(self.conv1(x)))
        return self.act(self.norm2(self.conv2(inner)) + self.beside(x))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(x))


@pytest.fixture(scope="module")
def net() -> Net:
    """Not to be changed."""
    with seeded(0, "test"):
        return Net()


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """(3, 2, 6, 6). Not to be changed."""
    return torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.row(164)
def test_a_convolution_is_its_patch_times_its_kernel(net: Net, pictures: Tensor) -> None:
    found = layer(net, pictures, "block.conv1", item=1, at=(3, 0, 5))
    assert found.title == "block.conv1 (Conv2d): output [item 1, channel 3, row 0, column 5]"
    assert found.formula == "y = Σ x·w"
    assert found.source == "block.conv1 (Conv2d), operation aten.convolution.default"
    patch = np.zeros((2, 3, 3))
    patch[:, 1:, :2] = pictures[1, :, 0:2, 4:6].numpy()  # the corner: five of nine are padding
    x, w = found.term("x"), found.term("w")
    assert np.array_equal(x.value, patch)
    assert np.array_equal(w.value, net.block.conv1.weight[3].detach().double().numpy())
    assert (x.role, w.role) == ("input", "weight")
    assert w.meaning.endswith("the parameter block.conv1.weight")
    assert found.agrees
    assert found.parts == ()


def test_without_a_place_it_is_the_largest_activation(net: Net, pictures: Tensor) -> None:
    seen = look_at(net, pictures)
    for name in ("block", "block.norm1", "head"):
        found = element(seen, seen.call(name), item=2)
        assert float(found.own) == seen.call(name).outputs[0].tensor[2].max().item()


def test_a_block_is_made_of_all_its_operations_and_they_fit_together(
    net: Net, pictures: Tensor
) -> None:
    found = layer(net, pictures, "block")
    ran = [part.source.rpartition(" ")[2] for part in found.parts]
    assert ran == [
        "aten.convolution.default",
        "aten.native_batch_norm.default",
        "aten.relu_.default",
        "aten.convolution.default",
        "aten.native_batch_norm.default",
        "aten.convolution.default",
        "aten.add.Tensor",
    ]
    assert {part.title.partition(" ")[0] for part in found.parts} == {
        *(
            "block.conv1",
            "block.norm1",
            "block.act",
            "block.conv2",
            "block.norm2",
            "block.beside",
            "block",
        ),
    }
    assert found.agrees_throughout
    assert found.not_shown == ()
    # every part's own number is put into one of the later ones, bit for bit
    later = list(found.walk())
    for position, part in enumerate(later[:-1]):
        used = [
            term.value
            for other in later[position + 1 :]
            for term in other.terms
            if term.role == "step"
        ]
        assert any((values == part.own).any() for values in used), part.title
    assert {t.role for part in found.walk() for t in part.terms} <= {
        "input",
        "step",
        "weight",
        "state",
        "setting",
    }
    first = found.parts[0]
    assert first.term("x").role == "input"
    assert found.term("x").role == "step"
    # what comes from another layer is a step within the block, and the input of a layer in it
    inner = next(part for part in found.parts if part.title.startswith("block.conv2"))
    assert inner.term("x").role == "step"
    assert layer(net, pictures, "block.conv2").term("x").role == "input"


def test_the_whole_model_leads_from_a_score_to_the_picture(net: Net, pictures: Tensor) -> None:
    found = layer(net, pictures, item=1, at=(2,))
    assert found.title == "(model) (Net): output [item 1, feature 2]"
    assert found.formula == "y = Σ x·w + b"
    assert len(found.parts) == 9
    assert "mean" in found.parts[-1].source
    assert recalculate(json.dumps(found.to_json())).calculations == 10
    with torch.no_grad():
        expected = net.eval()(pictures)[1, 2].item()
    assert float(found.own) == expected


def test_layers_are_listed_and_a_wrong_name_is_answered(net: Net, pictures: Tensor) -> None:
    listed = names(net, pictures)
    assert listed[:4] == ("(model)", "block", "block.conv1", "block.norm1")
    sentence = (
        "Unknown layer 'block.conv3'. Did you mean 'block.conv2'? Layers: "
        + ", ".join(listed)
        + "."
    )
    with pytest.raises(UnknownNameError, match=f"^{re.escape(sentence)}$"):
        layer(net, pictures, "block.conv3")


def test_a_layer_that_moves_numbers_or_nothing_says_so(net: Net, pictures: Tensor) -> None:
    flat = layer(net, pictures, "head.1", item=1, at=(3,))
    assert flat.formula == "output[1, 3] = input[1, 3, 0, 0]"
    passed = layer(net, pictures, "head.2", item=1, at=(3,))
    assert passed.formula == "y = x"
    assert passed.source == "head.2 (Dropout), which passes its input on"
    assert (
        float(passed.own)
        == float(flat.own)
        == float(layer(net, pictures, "head.0", item=1, at=(3, 0, 0)).own)
    )


def test_in_training_the_mask_is_part_of_it(net: Net, pictures: Tensor) -> None:
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    found = layer(net, pictures, "head.2", item=0, at=(1,), training=True)
    assert [part.formula for part in found.parts] == [
        "y is 1 with probability 0.5, else 0: drawn",
        "y = a / b",
    ]
    assert float(found.term("b").value) in (0.0, 2.0)
    norm = layer(net, pictures, "block.norm1", at=(0, 0, 0), training=True)
    assert norm.term("x").value.shape == (3, 6, 6)
    assert norm.agrees
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())


class Strange(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x) * 2


def test_an_operation_that_nothing_knows_is_named_and_counted() -> None:
    found = layer(Strange(), torch.ones(1, 2))
    assert found.agrees
    assert not found.agrees_throughout
    assert found.not_shown == ("(model) (Strange), special_bessel_j0 [0, 0]: not shown",)
    (part,) = found.parts
    assert (
        part.formula
        == "special_bessel_j0(self 1×2) is not among the operations that are worked out here"
    )
    assert not part.is_shown
    assert float(part.own) == pytest.approx(0.7651976865579666)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"item": 3}, "The output of 'block' is 3×4×6×6. Got item 3, expected one of 0 to 2."),
        (
            {"at": (4, 0, 0)},
            "The output of 'block' is 4×6×6 an item. Got at=(4, 0, 0), expected 3 whole numbers, each "
            "from 0 to below the size of its axis.",
        ),
        (
            {"at": (1, 2)},
            "The output of 'block' is 4×6×6 an item. Got at=(1, 2), expected 3 whole numbers, each "
            "from 0 to below the size of its axis.",
        ),
    ],
)
def test_a_place_that_is_not_there_is_refused(
    net: Net, pictures: Tensor, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ShapeError, match=f"^{re.escape(sentence)}$"):
        layer(net, pictures, "block", **options)  # type: ignore[arg-type]


def test_what_gives_no_tensor_or_has_no_inputs_is_refused(net: Net, pictures: Tensor) -> None:
    with pytest.raises(
        InputError, match=r"^The layer 'block' gives 1 tensors\. Got output 1; they count from 0\.$"
    ):
        layer(net, pictures, "block", output=1)
    with pytest.raises(
        InputError,
        match=r"^There are no inputs to show\. Give what the model is called with, such as a tensor of "
        r"one item; only a Learner has batches of its own\.$",
    ):
        layer(net)


def test_of_a_learner_the_first_validation_batch_is_shown() -> None:
    x = torch.linspace(-1, 1, 16).unsqueeze(1)
    data = Loaders(*(BatchLoader(TensorData(part, 3 * part), batch_size=4) for part in (x, x[8:])))
    with seeded(0, "test"):
        learner = Learner(nn.Linear(1, 1), data, "mse", progress=False)
    found = layer(learner, item=2, at=(0,))
    assert float(found.term("x").value[0]) == x[10].item()
    assert found.agrees
    assert names(learner) == ("(model)",)


def test_a_number_of_a_scalar_or_of_another_output_can_be_shown() -> None:
    class Several(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x * 2, (x * 3).sum()

    x = torch.tensor([[1.0, 5.0]])
    assert float(layer(Several(), x).own) == 10.0
    total = layer(Several(), x, output=1)
    assert total.title == "(model) (Several): output []"
    assert float(total.own) == 18.0
    assert len(total.parts) == 1
