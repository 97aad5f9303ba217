"""A residual network, from one small record of settings.

Papers: He et al. 2016, arXiv:1512.03385 (the network); Goyal et al. 2017, arXiv:1706.02677,
sec. 5.1 (the last norm of each block starts at zero, so that a block starts as the identity);
He et al. 2019, arXiv:1812.01187, sec. 4 (the stem of three small convolutions, and the shortcut
that pools before it widens, "ResNet-D"). As in most code since, a bottleneck's stride is in its
3x3 convolution.

`ResNetConfig` reaches from a net for 8-pixel digits (`resnet_tiny`) to ResNet-18, -50 and their D
forms, whose outputs a test compares with timm's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Literal

from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.models.picture import Layer
from drivetrain.nn.init import kaiming_init_


@dataclass(frozen=True)
class ResNetConfig:
    """The shape of a ResNet. Its defaults are ResNet-18."""

    in_channels: int = 3
    """Channels of the pictures: 3 for colour, 1 for grey."""
    stem_widths: tuple[int, ...] = (64,)
    """Output channels of each convolution of the stem; the first one has the stem's stride."""
    stem_kernel: int = 7
    """Window of the stem's convolutions, an odd number."""
    stem_stride: int = 2
    """1 keeps every pixel, which small pictures need; 2 halves height and width."""
    stem_pool: bool = True
    """Whether a 3x3 maximum halves height and width once more after the stem."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Width of each stage; a bottleneck's output is four times as wide."""
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    """Blocks in each stage."""
    first_stride: int = 1
    """Stride of the first stage; each later stage halves height and width."""
    block: Literal["basic", "bottleneck"] = "basic"
    """Two 3x3 convolutions, or 1x1, 3x3, 1x1 with the 3x3 at a quarter of the width."""
    pool_shortcut: bool = False
    """Whether a shortcut averages 2x2 pixels before it widens, instead of skipping three of four."""
    zero_last_norm: bool = True
    """Whether each block's last norm starts at zero, so that the block starts as the identity."""

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.blocks):
            raise ConfigError(
                f"`ResNetConfig` got {len(self.widths)} widths and {len(self.blocks)} block counts, "
                "expected one of each for every stage, and one stage or more."
            )
        if not self.stem_widths:
            raise ConfigError("`ResNetConfig` got no stem widths, expected one or more.")
        if self.stem_kernel % 2 == 0:
            raise ConfigError(
                f"`ResNetConfig` got stem_kernel {self.stem_kernel}, expected an odd number: only "
                "then does a window have a middle."
            )
        if self.block not in ("basic", "bottleneck"):
            raise ConfigError(
                f"`ResNetConfig` got block '{self.block}', expected 'basic' or 'bottleneck'."
            )
        counts = (self.in_channels, *self.stem_widths, *self.widths, *self.blocks)
        if min(*counts, self.stem_stride, self.first_stride) < 1:
            raise ConfigError(
                "`ResNetConfig` got a number below 1; all of its numbers count things."
            )


RESNET18 = ResNetConfig()
"""The shape that blocks have where nothing else is asked for."""


class ResNet(nn.Module):
    """A residual network without its head: pictures to feature maps.

    Shapes: (B, in_channels, H, W) -> (B, num_features, h, w).

    Weights are drawn from torch's generator (`kaiming_init_`).

    Args:
        config: widths, blocks and stem.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        expansion = 4 if config.block == "bottleneck" else 1
        self.stem = _stem(config)
        self.layers = nn.ModuleList()
        channels = config.stem_widths[-1]
        for index, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            stage = nn.Sequential()
            for position in range(count):
                stride = 1 if position > 0 else (config.first_stride if index == 0 else 2)
                stage.append(ResidualBlock(channels, width, stride=stride, config=config))
                channels = width * expansion
            self.layers.append(stage)
        self.num_features = channels
        kaiming_init_(self)
        if config.zero_last_norm:
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    nn.init.zeros_(module.last_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The last stage's feature maps.

        Args:
            x: (B, in_channels, H, W) float.
        """
        x = self.stem(x)
        for stage in self.layers:
            x = stage(x)
        return x

    def stages(self) -> list[list[Layer]]:
        """The stem, then each stage."""
        return [[self.stem], *([stage] for stage in self.layers)]

    def layer_groups(self) -> list[list[Layer]]:
        """The stem with the first half of the stages; the rest."""
        stages = self.stages()
        cut = 1 + len(self.layers) // 2
        return [list(chain(*stages[:cut])), list(chain(*stages[cut:]))]


class ResidualBlock(nn.Module):
    """`relu(main(x) + shortcut(x))`: the layers learn what to change in x, not x itself.

    Shapes: (B, in_channels, H, W) -> (B, width or 4 width, H / stride, W / stride).
    """

    def __init__(
        self, in_channels: int, width: int, *, stride: int = 1, config: ResNetConfig = RESNET18
    ) -> None:
        super().__init__()
        if config.block == "bottleneck":
            out_channels = 4 * width
            layers = [
                *conv_norm(in_channels, width, kernel_size=1),
                nn.ReLU(inplace=True),
                *conv_norm(width, width, stride=stride),
                nn.ReLU(inplace=True),
                *conv_norm(width, out_channels, kernel_size=1),
            ]
        else:
            out_channels = width
            layers = [
                *conv_norm(in_channels, width, stride=stride),
                nn.ReLU(inplace=True),
                *conv_norm(width, width),
            ]
        self.main = nn.Sequential(*layers)
        self.drop_path: nn.Module = nn.Identity()  # a place for `StochasticDepth`
        self.shortcut = _shortcut(in_channels, out_channels, stride, pool=config.pool_shortcut)
        self.act = nn.ReLU(inplace=True)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm whose scale, when zero, makes the block the identity (on values from 0 up)."""
        norm = self.main[-1]
        assert isinstance(norm, nn.BatchNorm2d)
        return norm

    def forward(self, x: Tensor) -> Tensor:
        """Never below 0, as the last thing is a ReLU."""
        return self.act(self.drop_path(self.main(x)) + self.shortcut(x))


def conv_norm(
    in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution that keeps the size at stride 1, without the bias its norm would cancel."""
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
    )
    return conv, nn.BatchNorm2d(out_channels)


def resnet_tiny(in_channels: int = 3) -> ResNet:
    """A small net for small pictures (8 to 64 pixels), quick on one CPU thread.

    It keeps every pixel in its stem. Its blocks do not start as the identity: a net of three blocks
    needs no such help, and with it the first epochs of a short training are lost (handwritten digits
    after one epoch: 0.3 right with it, 0.8 without).

    Args:
        in_channels: of the pictures: 3, or 1 for grey ones.
    """
    return ResNet(
        ResNetConfig(
            in_channels=in_channels,
            stem_widths=(16,),
            stem_kernel=3,
            stem_stride=1,
            stem_pool=False,
            widths=(16, 32, 64),
            blocks=(1, 1, 1),
            first_stride=2,
            zero_last_norm=False,
        )
    )


def _stem(config: ResNetConfig) -> nn.Sequential:
    stem = nn.Sequential()
    widths: Sequence[int] = (config.in_channels, *config.stem_widths)
    for index, (before, after) in enumerate(pairwise(widths)):
        stride = config.stem_stride if index == 0 else 1
        stem.extend(conv_norm(before, after, kernel_size=config.stem_kernel, stride=stride))
        stem.append(nn.ReLU(inplace=True))
    if config.stem_pool:
        stem.append(nn.MaxPool2d(3, stride=2, padding=1))
    return stem


def _shortcut(in_channels: int, out_channels: int, stride: int, *, pool: bool) -> nn.Module:
    """The identity where the shape stays, else a 1x1 convolution with the block's stride."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if pool and stride > 1:
        # Odd sizes round up, as the strided convolutions of `main` do; a last row or column that
        # stands alone is averaged over the pixels it has.
        average = nn.AvgPool2d(stride, stride, ceil_mode=True)
        return nn.Sequential(average, *conv_norm(in_channels, out_channels, kernel_size=1))
    return nn.Sequential(*conv_norm(in_channels, out_channels, kernel_size=1, stride=stride))
