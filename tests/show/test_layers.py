"""The table of a network: shapes, formulas, three counts of multiplications, what is seen, values."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.errors import InputError
from drivetrain.randomness import seeded
from drivetrain.show.layers import NEAR_ZERO, LayerTable, layers
from drivetrain.train.learner import Learner


def simple_cnn() -> nn.Sequential:
    """The course's net: 28 -> 14 -> 7 -> 4 -> 2 -> 1."""
    parts: list[nn.Module] = []
    with seeded(0, "test"):
        for before, after in itertools.pairwise((1, 4, 8, 16, 32)):
            parts += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        return nn.Sequential(*parts, nn.Conv2d(32, 2, 3, stride=2, padding=1), nn.Flatten())


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """(8, 1, 28, 28) in [0, 1). Not to be changed."""
    return torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def table(digits: Tensor) -> LayerTable:
    """Of the course's net."""
    return layers(simple_cnn(), digits)


@pytest.mark.row(134)
@pytest.mark.row(136)
def test_sizes_and_parameters_come_with_their_formulas(table: LayerTable) -> None:
    convolutions = [row for row in table.rows if row.kind == "Conv2d"]
    assert [row.size for row in convolutions] == [
        "(28+2·1−3)//2+1 = 14",
        "(14+2·1−3)//2+1 = 7",
        "(7+2·1−3)//2+1 = 4",
        "(4+2·1−3)//2+1 = 2",
        "(2+2·1−3)//2+1 = 1",
    ]
    assert [row.parameters_formula for row in convolutions] == [
        "4·1·3·3 + 4 = 40",
        "8·4·3·3 + 8 = 296",
        "16·8·3·3 + 16 = 1,168",
        "32·16·3·3 + 32 = 4,640",
        "2·32·3·3 + 2 = 578",
    ]
    assert [row.parameters for row in convolutions] == [40, 296, 1168, 4640, 578]
    assert table.parameters == table.trainable == 6722
    assert [(row.input_shape, row.output_shape) for row in convolutions[:2]] == [
        ((1, 28, 28), (4, 14, 14)),
        ((4, 14, 14), (8, 7, 7)),
    ]
    assert table.rows[-1].size == "2·1·1 = 2"
    assert all(row.advice == "" for row in table.rows)  # nothing is lost at the edges


@pytest.mark.row(137)
def test_multiplications_are_counted_in_three_ways(table: LayerTable) -> None:
    second, third, fourth = (row for row in table.rows if row.path in ("2", "4", "6"))
    assert [row.over_input_grid for row in (second, third)] == [
        56_448,
        56_448,
    ]  # the course's equality
    assert [row.over_output_grid for row in (second, third)] == [14_112, 18_432]  # what is computed
    assert [row.without_padding for row in (second, third, fourth)] == [
        12_800
    ] * 3  # the true equality
    assert table.rows[1].over_output_grid is None  # a ReLU multiplies nothing
    assert table.multiplications[1] == sum(
        row.over_output_grid for row in table.rows if row.over_output_grid is not None
    )


def counted(conv: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> int:
    """Products of a weight with a number of the input, counted: of ones, each adds one."""
    with torch.no_grad():
        ones = type(conv)(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,  # type: ignore[arg-type]
            dilation=conv.dilation, groups=conv.groups, bias=False,  # type: ignore[arg-type]
        )  # fmt: skip
        ones.weight.fill_(1.0)
        return int(ones(torch.ones_like(x[:1])).sum())


@pytest.mark.row(137)
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(4, 6, 3, 2, 1),
        lambda: nn.Conv2d(4, 6, (3, 2), (1, 2), (2, 0), groups=2),
        lambda: nn.Conv2d(4, 8, 3, 1, 2, dilation=2, groups=4),
        lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, groups=2),
    ],
)
def test_without_padding_is_what_counting_gives(
    make: Callable[[], nn.Conv2d | nn.ConvTranspose2d],
) -> None:
    x = torch.ones(3, 4, 7, 6)
    with seeded(0, "test"):
        conv = make()
    (row,) = layers(conv, x).rows
    assert row.without_padding == counted(conv, x)
    assert row.output_shape is not None
    out = row.output_shape[1] * row.output_shape[2]
    assert row.over_output_grid == out * conv.weight.numel()
    assert row.over_input_grid == 42 * conv.weight.numel()


@pytest.mark.row(137)
@pytest.mark.parametrize("padding", [0, 1])
def test_the_receptive_field_is_where_the_gradient_is_not_zero(padding: int) -> None:
    with seeded(0, "test"):
        net = nn.Sequential(
            nn.Conv2d(1, 2, 3, 2, padding),
            nn.Conv2d(2, 2, 3, 2, padding),
            nn.AvgPool2d(2),
            nn.Conv2d(2, 2, 3, 1, padding, dilation=2),
        )
    x = torch.randn(1, 1, 91, 91, generator=torch.Generator().manual_seed(0))
    rows = layers(net, x).rows
    assert [row.receptive_field for row in rows] == [(3, 3), (7, 7), (11, 11), (43, 43)]
    for depth, row in enumerate(rows, start=1):
        picture = x.clone().requires_grad_()
        out = net[:depth](picture)
        out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
        assert picture.grad is not None
        seen = picture.grad[0, 0].nonzero()
        extent = seen.max(0).values - seen.min(0).values + 1
        assert tuple(extent.tolist()) == row.receptive_field


def test_a_branch_that_sees_more_counts_and_a_mean_over_the_picture_sees_all() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.near, self.far = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 5, padding=2)
            self.gate, self.last = nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            both = self.near(x) + self.far(x)
            return self.last(both) * self.gate(both)

    found = {row.path: row for row in layers(Gated(), torch.zeros(1, 1, 9, 9)).rows}
    assert found["near"].receptive_field == (1, 1)
    assert found["last"].receptive_field == (7, 7)
    assert found["gate"].sees_everything
    assert found["gate"].receptive_field is None
    assert found["gate"].size == "one number of 9×9"


def test_activations_are_told_by_mean_spread_and_share_near_zero(
    digits: Tensor, table: LayerTable
) -> None:
    net = simple_cnn().eval()
    with torch.no_grad():
        after = net[:2](digits).double()
    row = table.rows[1]
    assert table.num_items == 8
    assert row.mean == pytest.approx(after.mean().item())
    assert row.std == pytest.approx(after.std(correction=0).item())
    assert row.near_zero == pytest.approx((after.abs() < NEAR_ZERO).double().mean().item())


def test_the_model_is_left_as_it_was(digits: Tensor) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.default_generator.get_state()
    layers(net, digits)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert torch.equal(torch.default_generator.get_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


@pytest.mark.row(134)
@pytest.mark.parametrize(
    ("conv", "size", "advice"),
    [
        (nn.Conv2d(1, 1, 3), "(28+2·0−3)//1+1 = 26", "28 → 26; padding 1 keeps 28"),
        (nn.Conv2d(1, 1, 5, 2), "(28+2·0−5)//2+1 = 12", "28 → 12; padding 2 gives 14"),
        (
            nn.Conv2d(1, 1, 3, dilation=2),
            "(28+2·0−2·(3−1)−1)//1+1 = 24",
            "28 → 24; padding 2 keeps 28",
        ),
        (
            nn.Conv2d(1, 1, 4),
            "(28+2·0−4)//1+1 = 25",
            "28 → 25; a kernel that covers 4, an even number, keeps the size only with unequal padding, "
            "1 and 2",
        ),
        (
            nn.Conv2d(1, 1, (3, 1)),
            "(28+2·0−3)//1+1 = 26 × (28+2·0−1)//1+1 = 28",
            "28 → 26; padding 1 keeps 28",
        ),
        (nn.ConvTranspose2d(1, 1, 3, 2, 1, 1), "(28−1)·2−2·1+3+1 = 56", ""),
        (nn.MaxPool2d(3, 2, ceil_mode=True), "⌈(28+2·0−3)/2⌉+1 = 14", ""),
        (nn.AdaptiveAvgPool2d(4), "28 → 4 windows", ""),
    ],
)
def test_a_size_is_explained_and_a_padding_that_keeps_it_offered(
    conv: nn.Module, size: str, advice: str
) -> None:
    net = nn.Sequential(conv, nn.PReLU())  # a table needs something that learns
    row = layers(net, torch.zeros(1, 1, 28, 28)).rows[0]
    assert row.size == size
    assert row.advice == advice
    assert row.output_shape == tuple(conv(torch.zeros(1, 1, 28, 28)).shape[1:])
    numbers = [text.rpartition("= ")[2] for text in size.split(" × ")]
    if "=" in size:
        assert numbers == [str(n) for n in dict.fromkeys(row.output_shape[1:])]


class Attends(nn.Module):
    """Words, attention by a function, tied output weights."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.project = nn.Linear(8, 24)
        self.scores = nn.Linear(8, 20, bias=False)
        self.scores.weight = self.words.weight
        self.project.bias.requires_grad_(False)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.project(self.words(tokens)).chunk(3, 2)
        return self.scores(nn.functional.scaled_dot_product_attention(q, k, v))


@pytest.mark.row(46)
def test_functions_shared_weights_and_frozen_ones_are_told() -> None:
    table = layers(Attends(), torch.zeros(4, 5, dtype=torch.int64))
    words, project, attention, scores = table.rows
    assert (words.size, words.parameters_formula) == ("8 numbers for each of 20", "20·8 = 160")
    assert (words.receptive_field, words.sees_everything) == (None, False)
    assert (project.parameters_formula, project.trainable) == ("24·8 + 24 = 216", 192)
    assert (attention.path, attention.kind) == ("(model) · attention", "function")
    assert attention.over_output_grid == 5 * 5 * (8 + 8)
    assert (scores.parameters, scores.parameters_formula) == (0, "")  # the words' own
    assert scores.over_output_grid == 5 * 8 * 20
    assert table.parameters == 376
    assert "192 of them" in str(table)


@pytest.mark.row(46)
def test_a_recurrent_layer_counts_its_matrices_at_each_time() -> None:
    (row,) = layers(nn.LSTM(3, 4, batch_first=True), torch.zeros(2, 6, 3)).rows
    assert row.parameters_formula == "16·3 + 16·4 + 16 + 16 = 144"
    assert row.over_output_grid == 6 * (16 * 3 + 16 * 4)


def test_inputs_may_be_named_or_come_from_a_learner() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 3)

        def forward(self, *, a: Tensor, b: Tensor) -> Tensor:
            return self.layer(a + b)

    parts = {"a": torch.ones(4, 2), "b": torch.ones(4, 2)}
    assert layers(Named(), parts).input_shapes == ((2,), (2,))
    x = torch.ones(8, 2)
    data = Loaders(BatchLoader(TensorData(x, x[:, :1]), batch_size=8))
    table = layers(Learner(nn.Linear(2, 1), data, "mse", progress=False))
    assert (table.num_items, table.rows[0].path) == (8, "(model)")


def test_it_is_plain_json_and_two_tables_of_text(table: LayerTable) -> None:
    document = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert document["parameters"] == 6722
    assert document["multiplications"]["over_output_grid"] == table.multiplications[1]
    assert document["rows"][2]["output_shape"] == [8, 7, 7]
    text = str(table)
    assert re.search(
        r"^2 +Conv2d +4×14×14 +8×7×7 +\(14\+2·1−3\)//2\+1 = 7 +8·4·3·3 \+ 8 = 296 +yes$", text, re.M
    )
    assert re.search(r"^2 +56,448 +14,112 +12,800 +7×7 ", text, re.M)
    assert "Parameters: 6,722; 6,722 trainable, 0 frozen." in text
    assert max(map(len, text.splitlines()[:25])) < 110


def test_a_model_that_learns_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"^`summarize` got a ReLU, which has no parameters\.$"):
        layers(nn.ReLU(), torch.zeros(1, 2))
