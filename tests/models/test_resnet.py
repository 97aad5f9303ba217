"""The library's own ResNet, without timm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from drivetrain.errors import ConfigError
from drivetrain.models.resnet import ResidualBlock, ResNet, ResNetConfig, resnet_tiny
from drivetrain.randomness import permutation, seeded

RESNET50 = ResNetConfig(block="bottleneck", blocks=(3, 4, 6, 3))
SMALL = ResNetConfig(stem_widths=(8,), stem_kernel=3, stem_stride=1, stem_pool=False,
                     widths=(8, 16), blocks=(1, 2))  # fmt: skip


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_a_block_whose_last_scale_is_zero_gives_its_input(block: Any) -> None:
    width = 8 if block == "basic" else 2
    residual = ResidualBlock(8, width, config=ResNetConfig(block=block))
    nn.init.zeros_(residual.last_norm.weight)
    x = torch.rand(2, 8, 5, 5)  # from 0 up, as what a ReLU gives

    assert torch.equal(residual(x), x)
    nn.init.ones_(residual.last_norm.weight)
    assert not torch.equal(residual(x), x)


def test_zero_last_norm_reaches_every_block() -> None:
    def scales(config: ResNetConfig) -> list[float]:
        blocks = [m for m in ResNet(config).modules() if isinstance(m, ResidualBlock)]
        return [block.last_norm.weight.abs().sum().item() for block in blocks]

    assert scales(SMALL) == [0.0, 0.0, 0.0]
    assert scales(replace(SMALL, zero_last_norm=False)) == [8.0, 16.0, 16.0]


@pytest.mark.parametrize(
    ("config", "num_features", "parameters"),
    [
        # The published 11,689,512 and 25,557,032 without their last layers (F + 1) x 1000.
        (ResNetConfig(), 512, 11_689_512 - 513_000),
        (RESNET50, 2048, 25_557_032 - 2_049_000),
    ],
)
def test_the_usual_sizes_have_the_published_numbers_of_parameters(
    config: ResNetConfig, num_features: int, parameters: int
) -> None:
    with torch.device("meta"):
        body = ResNet(config)

    assert body.num_features == num_features
    assert sum(p.numel() for p in body.parameters()) == parameters


@pytest.mark.parametrize("size", [8, 17, 32, 64])
def test_resnet_tiny_takes_small_pictures_of_any_size(size: int) -> None:
    assert resnet_tiny()(torch.rand(2, 3, size, size)).shape == (
        2,
        64,
        -(-size // 8),
        -(-size // 8),
    )


def test_resnet_tiny_takes_grey_pictures() -> None:
    assert resnet_tiny(in_channels=1)(torch.rand(2, 1, 8, 8)).shape == (2, 64, 1, 1)


@pytest.mark.parametrize("size", [15, 16])
def test_a_pooling_shortcut_fits_odd_and_even_sizes_and_averages(size: int) -> None:
    body = ResNet(replace(SMALL, pool_shortcut=True))
    assert body(torch.rand(2, 3, size, size)).shape == (2, 16, 8, 8)

    shortcut = ResidualBlock(
        1, 1, stride=2, config=ResNetConfig(pool_shortcut=True)
    ).shortcut.eval()
    nn.init.ones_(shortcut.get_parameter("1.weight"))
    x = torch.tensor([[[[1.0, 2.0, 5.0], [3.0, 6.0, 7.0], [4.0, 8.0, 9.0]]]])
    expected = torch.tensor([[[[3.0, 6.0], [6.0, 9.0]]]])
    torch.testing.assert_close(shortcut(x), expected, rtol=1e-4, atol=1e-4)


def test_stages_halve_the_maps_one_after_another() -> None:
    body = ResNet(ResNetConfig(widths=(4, 8, 16, 32), stem_widths=(4,), blocks=(1, 1, 1, 1)))
    x = torch.rand(2, 3, 64, 64)
    sizes = []
    for stage in body.stages():
        for layer in stage:
            assert isinstance(layer, nn.Module)
            x = layer(x)
        sizes.append(tuple(x.shape[1:]))

    assert sizes == [(4, 16, 16), (4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 2, 2)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"blocks": (2, 2)},
            "`ResNetConfig` got 4 widths and 2 block counts, expected one of each for every stage, "
            "and one stage or more.",
        ),
        (
            {"stem_kernel": 4},
            "`ResNetConfig` got stem_kernel 4, expected an odd number: only then does a window have "
            "a middle.",
        ),
        (
            {"block": "botleneck"},
            "`ResNetConfig` got block 'botleneck', expected 'basic' or 'bottleneck'.",
        ),
        ({"stem_widths": ()}, "`ResNetConfig` got no stem widths, expected one or more."),
        (
            {"in_channels": 0},
            "`ResNetConfig` got a number below 1; all of its numbers count things.",
        ),
    ],
)
def test_a_config_that_makes_no_net_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ResNetConfig(**changes)
    assert str(caught.value) == message


def _train_on_digits(*, size: int, epochs: int) -> float:
    """Accuracy on held-out handwritten digits after a plain one-cycle training."""
    datasets = pytest.importorskip("sklearn.datasets")
    from drivetrain.models import create_model

    digits = datasets.load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1  # (1797, 1, 8, 8)
    images = nn.functional.interpolate(images, (size, size), mode="bilinear")
    targets = torch.tensor(digits.target)
    order = permutation(len(targets), seed=0, epoch=0, purpose="split")
    images, targets = images[order], targets[order]
    model = create_model("resnet_tiny", num_classes=10, in_channels=1, seed=0).model
    model.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    steps = 1400 // 56
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, epochs * steps, pct_start=0.25)
    with seeded(0, "dropout"):
        for epoch in range(epochs):
            for batch in permutation(1400, seed=0, epoch=epoch).split(56):
                loss = nn.functional.cross_entropy(model(images[batch]), targets[batch])
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
    model.eval()
    with torch.no_grad():
        return (model(images[1400:]).argmax(1) == targets[1400:]).float().mean().item()


@pytest.mark.slow
def test_resnet_tiny_learns_handwritten_digits_in_ten_epochs() -> None:
    assert _train_on_digits(size=16, epochs=10) >= 0.97
