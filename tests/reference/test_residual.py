"""The residual block by hand beside `models.resnet.ResidualBlock`, and as the identity it starts as."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from drivetrain.models.resnet import ResidualBlock, ResNet, ResNetConfig
from drivetrain.randomness import seeded
from drivetrain.reference import residual as twin
from drivetrain.reference.normalization import BatchNorm
from tests.reference.arrays import assert_equal, normal

SHAPES = [(4, 4, 1), (3, 6, 1), (3, 6, 2)]
"""Channels in, width, stride; only the first has the plain identity as its shortcut."""


def array(tensor: Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.detach().numpy().copy()


def pair(layers: Sequence[nn.Module]) -> twin.ConvNorm:
    conv, norm = layers
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    by_hand = BatchNorm(norm.num_features)
    by_hand.scale, by_hand.shift = array(norm.weight), array(norm.bias)
    by_hand.running_mean, by_hand.running_var = array(norm.running_mean), array(norm.running_var)
    return twin.ConvNorm(array(conv.weight), by_hand, conv.stride[0])


def both(channels: int, width: int, stride: int) -> tuple[twin.Block, ResidualBlock]:
    with seeded(4, "block"):
        block = ResidualBlock(channels, width, stride=stride).double()
        for name, tensor in block.state_dict().items():  # norms as if they had been trained
            if "num_batches" not in name and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5)
    assert isinstance(block.main, nn.Sequential)
    shortcut = (
        None if isinstance(block.shortcut, nn.Identity) else pair([*block.shortcut.children()])
    )
    return twin.Block(pair(block.main[0:2]), pair(block.main[3:5]), shortcut), block


@pytest.mark.row(142)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_values_gradients_and_statistics_are_those_of_the_library(
    shape: tuple[int, int, int], training: bool
) -> None:
    ours, theirs = both(*shape)
    theirs.train(training)
    x = normal(0, 3, shape[0], 6, 5)
    tensor = torch.tensor(x, requires_grad=True)
    output = theirs(tensor)
    pull = normal(1, *output.shape)
    parameters = list(theirs.parameters())
    wanted = torch.autograd.grad((output * torch.from_numpy(pull)).sum(), [tensor, *parameters])
    of_x, of_weights = ours.gradients(x, pull, training=training)
    for found, gradient in zip([of_x, *of_weights], wanted, strict=True):
        assert_equal(found, gradient)
    assert_equal(ours(x, training=training), output)  # and the statistics move once
    assert isinstance(theirs.main[4], nn.BatchNorm2d)
    assert_equal(ours.second.norm.running_mean, array(theirs.main[4].running_mean))
    assert_equal(ours.second.norm.running_var, array(theirs.main[4].running_var))


@pytest.mark.row(142)
@pytest.mark.parametrize("training", [True, False])
def test_with_a_last_scale_of_0_it_gives_its_input_to_the_last_bit(training: bool) -> None:
    ours, theirs = both(4, 4, 1)
    ours.second.norm.scale[:] = 0
    ours.second.norm.shift[:] = 0
    nn.init.zeros_(theirs.last_norm.weight)
    nn.init.zeros_(theirs.last_norm.bias)
    x = np.abs(normal(0, 3, 4, 6, 5))  # as what comes out of a block: nothing below 0
    assert np.array_equal(ours(x, training=training), x)
    assert torch.equal(theirs.train(training)(torch.from_numpy(x)), torch.from_numpy(x))
    of_x, of_weights = ours.gradients(x, np.ones_like(x), training=training)
    assert np.array_equal(of_x, np.ones_like(x))  # the gradient goes past it whole
    assert of_weights[4].any()  # and the scale is pulled away from 0: the block will learn


@pytest.mark.row(142)
def test_a_net_with_more_such_blocks_gives_the_same_features() -> None:
    def net(blocks: tuple[int, int]) -> ResNet:
        config = ResNetConfig(
            stem_kernel=3, stem_stride=1, stem_pool=False, stem_widths=(8,), widths=(8, 16),
            blocks=blocks,
        )  # fmt: skip
        with seeded(1, "net"):
            return ResNet(config)

    shallow, deep = net((1, 1)), net((4, 3))
    ours, theirs = deep.state_dict(), shallow.state_dict()
    deep.load_state_dict({name: theirs.get(name, tensor) for name, tensor in ours.items()})
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(deep.eval()(x), shallow.eval()(x))
    assert sum(1 for m in deep.modules() if isinstance(m, ResidualBlock)) == 7
