"""ConcatPool2d, PictureHead and kaiming_init_."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from drivetrain.errors import ConfigError
from drivetrain.nn import ConcatPool2d, PictureHead, kaiming_init_
from drivetrain.randomness import seeded


def test_concat_pool_gives_the_averages_then_the_maxima() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[-4.0, -8.0], [-4.0, 0.0]]]])  # (1, 2, 2, 2)

    pooled = ConcatPool2d()(maps)

    torch.testing.assert_close(pooled, torch.tensor([[3.0, -4.0, 6.0, 0.0]]))


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (5, 3)])
def test_concat_pool_takes_any_height_and_width(size: tuple[int, int]) -> None:
    assert ConcatPool2d()(torch.rand(2, 4, *size)).shape == (2, 8)


def test_head_gives_one_score_a_class_and_has_only_the_biases_of_its_norms() -> None:
    head = PictureHead(16, 3, hidden=32)

    assert head(torch.rand(4, 16, 2, 2)).shape == (4, 3)
    assert [name for name, _ in head.named_parameters() if "bias" in name] == [
        "norm.bias",
        "hidden_norm.bias",
    ]
    # 2F scales and shifts, 2F x hidden, hidden scales and shifts, hidden x classes.
    assert sum(p.numel() for p in head.parameters()) == 64 + 32 * 32 + 64 + 32 * 3


def test_head_equals_the_same_layers_written_out() -> None:
    head = PictureHead(4, 2, hidden=8).eval()
    with torch.no_grad():
        for name, tensor in head.state_dict().items():  # norms as if they had been trained
            if "norm" in name and tensor.is_floating_point():
                tensor.uniform_(0.5, 2)
    maps = torch.rand(5, 4, 3, 3)

    def normed(x: torch.Tensor, norm: nn.BatchNorm1d) -> torch.Tensor:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scaled = (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        return scaled * norm.weight + norm.bias

    pooled = torch.cat([maps.flatten(2).mean(2), maps.flatten(2).max(2).values], 1)
    hidden = (normed(pooled, head.norm) @ head.hidden.weight.T).clamp(min=0)
    expected = normed(hidden, head.hidden_norm) @ head.scores.weight.T

    torch.testing.assert_close(head(maps), expected)


def test_head_drops_half_as_much_before_the_hidden_layer_as_after_it() -> None:
    head = PictureHead(4, 2, dropout=0.4)

    assert (head.dropout.p, head.hidden_dropout.p) == (0.2, 0.4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2), "`PictureHead` got num_features 0, expected 1 or more."),
        ((4, 0), "`PictureHead` got num_classes 0, expected 1 or more."),
    ],
)
def test_head_refuses_a_width_below_one(arguments: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PictureHead(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_head_refuses_a_dropout_outside_0_to_1(dropout: float) -> None:
    with pytest.raises(ConfigError) as caught:
        PictureHead(4, 2, dropout=dropout)
    assert str(caught.value) == f"`PictureHead` got dropout {dropout}, expected 0 to below 1."


def test_kaiming_keeps_the_size_of_activations_through_many_relu_layers() -> None:
    with seeded(0, "test"):
        net = kaiming_init_(
            nn.Sequential(*(m for _ in range(20) for m in (nn.Linear(512, 512), nn.ReLU())))
        )
        inputs = torch.randn(256, 512)

    size = net(inputs).square().mean().item()

    assert 0.5 < size < 2.0  # torch's own initialisation gives below 1e-14 here


def test_kaiming_draws_a_convolution_by_its_outputs_and_window() -> None:
    with seeded(0, "test"):
        conv = kaiming_init_(nn.Conv2d(64, 128, 3))

    assert isinstance(conv, nn.Conv2d)
    assert conv.weight.var().item() == pytest.approx(2 / (128 * 9), rel=0.05)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_kaiming_resets_norms_and_leaves_other_layers() -> None:
    embedding = nn.Embedding(3, 2)
    before = embedding.weight.detach().clone()
    norm = nn.BatchNorm2d(4)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)

    kaiming_init_(nn.ModuleList([embedding, norm, nn.LayerNorm(4, elementwise_affine=False)]))

    assert torch.equal(embedding.weight, before)
    assert torch.equal(norm.weight, torch.ones(4))
    assert torch.equal(norm.bias, torch.zeros(4))
