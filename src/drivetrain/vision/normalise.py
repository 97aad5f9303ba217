"""From uint8 pictures to the floats that a model was trained on: (x / 255 - mean) / std, a channel.

Both this and the light changes of augmentation are a multiplication and an addition a channel, so they
are one here: `scaled` takes a scale and a shift for each channel, or for each picture and channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError


class Normalise:
    """The transform of valid and test pictures; a `Transform` for a loader.

    Args:
        mean: one number a channel, of pixels in [0, 1].
        std: one number a channel, above 0.
    Raises: ConfigError: the two differ in length, or a `std` is not above 0.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        if len(self.mean) != len(self.std) or not self.mean:
            raise ConfigError(
                f"`mean` and `std` need one number a channel. Got {self.mean} and {self.std}."
            )
        if not all(value > 0 for value in self.std):
            raise ConfigError(f"`std` must be above 0 in every channel. Got {self.std}.")

    def __call__(
        self, batch: tuple[Tensor, *tuple[Any, ...]], indices: Tensor | None = None, epoch: int = 0
    ) -> tuple[Any, ...]:
        """(inputs (B, C, H, W) uint8, …) -> (inputs float32, channels last, …); the rest untouched."""
        inputs, *rest = batch
        return (self.normalised(inputs), *rest)

    def normalised(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) uint8 -> the same shape, float32, channels last.

        Args:
            inputs: (B, C, H, W) uint8.
        """
        self.check(inputs)
        return normalised(inputs, self.mean, self.std)

    def denormalised(self, inputs: Tensor) -> Tensor:
        """The inverse, for looking at inputs: float32 (B, C, H, W) -> uint8, rounded and clipped."""
        mean, std = self.columns()
        pixels = (inputs.cpu() * std[:, None, None] + mean[:, None, None]) * 255
        return pixels.round().clamp(0, 255).to(torch.uint8)

    def scale_and_shift(
        self, gain: Tensor | float = 1.0, brightness: Tensor | float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Scale and shift, (C,) or (B, C), of a picture whose light is changed before it is normalised.

        Args:
            gain: how far pixels stand from mid-grey, times this; a number or (B, 1).
            brightness: what is added to pixels in [0, 1]; a number or (B, 1).

        `gain` 1 and `brightness` 0 give bit for bit what no light change gives.
        """
        return scale_and_shift(self.mean, self.std, gain=gain, brightness=brightness)

    def columns(self) -> tuple[Tensor, Tensor]:
        """Mean and std, (C,) float32 each."""
        return torch.tensor(self.mean), torch.tensor(self.std)

    def check(self, inputs: Tensor) -> None:
        """Refuse what is not a uint8 batch of this many channels.

        Args:
            inputs: what a loader gives.

        Raises: ShapeError.
        """
        channels = len(self.mean)
        if inputs.ndim != 4 or inputs.shape[1] != channels or inputs.dtype != torch.uint8:
            raise ShapeError(
                f"Pictures must be (B, {channels}, H, W) uint8 before they are normalised. "
                f"Got {tuple(inputs.shape)} {str(inputs.dtype).removeprefix('torch.')}."
            )

    def __repr__(self) -> str:
        return f"Normalise(mean={self.mean}, std={self.std})"


def normalised(pictures: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(pixels / 255 - mean) / std: (B, C, H, W) uint8 -> the same shape, float32, channels last."""
    scale, shift = scale_and_shift(mean, std)
    return scaled(pictures, scale, shift)


def scale_and_shift(
    mean: Sequence[float],
    std: Sequence[float],
    *,
    gain: Tensor | float = 1.0,
    brightness: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """What pixels are multiplied by, and what is added: light and normalising in one.

    Args:
        mean: a number a channel; also `std`.
        gain: how far pixels stand from mid-grey, times this; a number or (B, 1).
        brightness: what is added to pixels in [0, 1]; a number or (B, 1).
    """
    middle = 0.5 * (1 - gain) + brightness
    return gain / (255 * torch.tensor(std)), (middle - torch.tensor(mean)) / torch.tensor(std)


def scaled(pixels: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`pixels * scale + shift` in float32, channels last.

    Args:
        pixels: (B, C, H, W) uint8 or float32; a float32 tensor in channels last is overwritten.
        scale: (C,) or (B, C); also `shift`.

    Multiplication and addition are two steps on purpose: fused, their rounding would depend on where
    in the batch a picture stands.
    """
    _, channels, _, width = pixels.shape
    rows = pixels.to(torch.float32, memory_format=torch.channels_last).permute(0, 2, 3, 1)
    flat = rows.reshape(*rows.shape[:2], width * channels)  # (B, H, W * C): long rows are fast
    flat.mul_(_along_row(scale, width).to(flat.device))
    flat.add_(_along_row(shift, width).to(flat.device))
    return flat.view(rows.shape).permute(0, 3, 1, 2)


def _along_row(values: Tensor, width: int) -> Tensor:
    """(C,) or (B, C) -> (1 or B, 1, W * C): the values of one row of pixels in channels last."""
    values = values if values.ndim == 2 else values[None]
    return values.repeat(1, width)[:, None]
