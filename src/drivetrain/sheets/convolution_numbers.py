"""The numbers of the workbook `convolution`: digit, weights, and what torch's layers make of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.randomness import preserved

SIZE = 28
"""Rows and columns of the digit, and the most that a grid of activations can have here."""

MAX_KERNEL, MAX_PADDING, MAX_STRIDE = 5, 2, 3
CHANNELS, CLASSES, POOL = 2, 2, 2
POOLED = SIZE // POOL


@dataclass(frozen=True)
class Settings:
    """What the cells say: of layer 1 and layer 2, and which pooling goes on."""

    kernel: tuple[int, int] = (3, 3)
    padding: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 2)
    pool: int = 1  # 1 the largest, 2 the mean
    seed: int = 42

    @property
    def look(self) -> tuple[int, int]:
        """Row and column of the pooled cell that is looked at first."""
        inside = min(3, self.sizes[2] - 1)
        return inside, inside

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Rows and columns after layer 1, layer 2 and pooling."""
        n = SIZE
        found: list[int] = []
        for kernel, padding, stride in zip(self.kernel, self.padding, self.stride, strict=True):
            n = (n + 2 * padding - kernel) // stride + 1
            found.append(n)
        return found[0], found[1], n // POOL


@dataclass(frozen=True)
class Numbers:
    """The digit, all weights, and what torch's layers make of them, float64."""

    digit: Tensor  # (28, 28)
    kernels: tuple[Tensor, Tensor]  # (2, 1, 5, 5), (2, 2, 5, 5): the upper left kernel² are used
    biases: tuple[Tensor, Tensor]  # (2,), (2,)
    weights: Tensor  # (2, 2, 14, 14): class, channel, row, column
    bias: Tensor  # (2,)
    padded: tuple[Tensor, Tensor]  # (1, n, n), (2, n, n)
    layers: tuple[Tensor, Tensor]  # (2, n, n) after the ReLU
    largest: Tensor  # (2, n, n)
    mean: Tensor  # (2, n, n)
    classes: Tensor  # (2,)
    seen: tuple[tuple[int, int, int, int], ...]  # first and last row and column, input first


def draw_seven() -> np.ndarray:
    """A crossed seven, drawn with a round pen: (28, 28) float64 in [0, 1], two decimals."""
    lines = [
        ((6, 6), (5.5, 20.5), 1.2),
        ((5.5, 20.5), (13.5, 15), 1.2),
        ((13.5, 15), (22.5, 11), 1.2),
    ]
    lines.append(((14, 10), (13.5, 19), 0.7))
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(float)
    ink = np.zeros((SIZE, SIZE))
    for (r0, c0), (r1, c1), width in lines:
        down, across = r1 - r0, c1 - c0
        along = ((rows - r0) * down + (columns - c0) * across) / (down**2 + across**2)
        along = along.clip(0, 1)
        away = np.hypot(rows - r0 - along * down, columns - c0 - along * across)
        ink = np.maximum(ink, (width + 0.5 - away).clip(0, 1))
    return ink.round(2)


@preserved()  # torch's layers draw their first weights
def computed(settings: Settings, digit: Tensor | None = None) -> Numbers:
    """The numbers of the workbook, by torch's own layers in float64.

    Raises: ConfigError: a setting is out of the range that the sheets have room for.
    """
    _check(settings)
    generator = torch.Generator().manual_seed(settings.seed)

    def drawn(*shape: int, spread: float) -> Tensor:
        numbers = torch.randn(shape, generator=generator, dtype=torch.float64) * spread
        return numbers.round(decimals=1)

    digit = torch.from_numpy(draw_seven()) if digit is None else digit
    first = drawn(CHANNELS, 1, MAX_KERNEL, MAX_KERNEL, spread=0.3)
    edge = torch.tensor([[1.0, 1, 1], [0, 0, 0], [-1, -1, -1]], dtype=torch.float64)
    first[0, 0, :3, :3], first[1, 0, :3, :3] = edge, edge.T
    second = drawn(CHANNELS, CHANNELS, MAX_KERNEL, MAX_KERNEL, spread=0.4)
    kernels, biases = (first, second), (drawn(CHANNELS, spread=0.3), drawn(CHANNELS, spread=0.3))
    weights, bias = (
        drawn(CLASSES, CHANNELS, POOLED, POOLED, spread=0.2),
        drawn(CLASSES, spread=0.1),
    )

    x = digit[None]
    padded: list[Tensor] = []
    layers: list[Tensor] = []
    for number, (kernel, shift) in enumerate(zip(kernels, biases, strict=True)):
        k, p, s = (each[number] for each in (settings.kernel, settings.padding, settings.stride))
        layer = nn.Conv2d(len(x), CHANNELS, k, stride=s, padding=p, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(kernel[:, :, :k, :k])
            layer.bias.copy_(shift)  # pyright: ignore[reportOptionalMemberAccess]
            padded.append(F.pad(x, (p, p, p, p)))
            x = nn.ReLU()(layer(x[None])[0])
        layers.append(x)
    largest, mean = nn.MaxPool2d(POOL)(x), nn.AvgPool2d(POOL)(x)
    chosen = largest if settings.pool == 1 else mean
    n = settings.sizes[2]
    dense = nn.Linear(CHANNELS * n * n, CLASSES, dtype=torch.float64)
    with torch.no_grad():
        dense.weight.copy_(weights[:, :, :n, :n].flatten(1))
        dense.bias.copy_(bias)
        classes = dense(chosen.flatten())
    return Numbers(
        *(digit, kernels, biases, weights, bias),
        *((padded[0], padded[1]), (layers[0], layers[1]), largest, mean, classes, seen(settings)),
    )


def seen(settings: Settings) -> tuple[tuple[int, int, int, int], ...]:
    """What reaches the chosen pooled cell, by torch's gradients through layers whose weights are 1.

    Returns: first row, last row, first column, last column on the digit, after layer 1, after layer 2
        and after pooling.
    """
    grids = [torch.zeros(1, 1, SIZE, SIZE, dtype=torch.float64, requires_grad=True)]
    for k, p, s in zip(settings.kernel, settings.padding, settings.stride, strict=True):
        ones = torch.ones(1, 1, k, k, dtype=torch.float64)
        grids.append(F.conv2d(grids[-1], ones, stride=s, padding=p))
    grids.append(F.avg_pool2d(grids[-1], POOL))
    row, column = settings.look
    found = torch.autograd.grad(grids[-1][0, 0, row, column], grids)
    ranges: list[tuple[int, int, int, int]] = []
    for gradient in found:
        rows, columns = (gradient[0, 0] != 0).nonzero(as_tuple=True)
        ends = (rows.min(), rows.max(), columns.min(), columns.max())
        first_row, last_row, first_column, last_column = (int(end) for end in ends)
        ranges.append((first_row, last_row, first_column, last_column))
    return tuple(ranges)


def _check(settings: Settings) -> None:
    wrong = [
        f"`{name}` must be {low} to {high} in each layer. Got {values}."
        for name, values, low, high in (
            ("kernel", settings.kernel, 1, MAX_KERNEL),
            ("padding", settings.padding, 0, MAX_PADDING),
            ("stride", settings.stride, 1, MAX_STRIDE),
        )
        if not all(low <= value <= high for value in values)
    ]
    if settings.pool not in (1, 2):
        wrong.append(f"`pool` must be 1 (the largest) or 2 (the mean). Got {settings.pool}.")
    if not wrong and max(settings.sizes) > SIZE:
        wrong.append(
            f"The sheets have room for grids of {SIZE} × {SIZE}. Got sizes {settings.sizes}: take less "
            "padding or a larger kernel."
        )
    if wrong:
        raise ConfigError(" ".join(wrong))
