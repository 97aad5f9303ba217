"""A small net of convolutions: what it learns, what it costs, how much of the picture it sees.

Five convolutions of stride 2 halve a picture of 28 pixels until one place is left, with one number for
each of two classes: the first convolutional net of the fastai book (ch. 13). A net of two convolutions of
stride 1 ends in a whole picture, and is refused. Twin of a `torch.nn.Sequential` of `Conv2d` and `ReLU`,
and the tables of `drivetrain show layers`.

Letters as in `convolution`: n side of the picture, k kernel, s stride, p padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain.reference.convolution import output_size
from drivetrain.reference.unfolding import convolve, convolve_gradients


@dataclass(frozen=True)
class Conv:
    """A convolution with bias, and whether a ReLU follows."""

    in_channels: int
    out_channels: int
    kernel: int = 3
    stride: int = 2
    padding: int = 1
    has_relu: bool = True

    @property
    def num_weights(self) -> int:
        """Cells of all kernels: C · F · k²."""
        return self.in_channels * self.out_channels * self.kernel**2

    @property
    def num_parameters(self) -> int:
        """Its weights, and a bias for each kernel. The picture's size is not in it."""
        return self.num_weights + self.out_channels

    def size_after(self, n: int) -> int:
        """The side of what comes out."""
        return output_size(n, self.kernel, stride=self.stride, padding=self.padding)


SIMPLE_CNN = (
    Conv(1, 4),  # 28 -> 14
    Conv(4, 8),  # -> 7
    Conv(8, 16),  # -> 4
    Conv(16, 32),  # -> 2
    Conv(32, 2, has_relu=False),  # -> 1
)
BROKEN_CNN = (Conv(1, 30, stride=1), Conv(30, 1, stride=1, has_relu=False))


def sizes(net: Sequence[Conv], n: int) -> list[int]:
    """The side of the picture, and of what comes out of each layer.

    >>> sizes(SIMPLE_CNN, 28)
    [28, 14, 7, 4, 2, 1]
    """
    found = [n]
    for layer in net:
        found.append(layer.size_after(found[-1]))
    return found


def check_ends_in_classes(net: Sequence[Conv], n: int, num_classes: int) -> None:
    """Raises ValueError unless the net ends in one number for each class: one place, as many kernels."""
    side, kernels = sizes(net, n)[-1], net[-1].out_channels
    if side != 1 or kernels != num_classes:
        raise ValueError(
            f"The net makes {kernels} × {side} × {side} numbers of a picture of {n} × {n}, and "
            f"{num_classes} classes need {num_classes} × 1 × 1: one number a class. Halve the sides "
            "with stride 2 until one place is left, or take the mean over all places, and give the last "
            "layer one kernel a class."
        )


# --- what it costs --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """Multiplications of one layer for one picture, counted in three ways."""

    input_grid: int
    """Its weights times the places of what goes in: the common rule of thumb, right at stride 1 only."""
    output_grid: int
    """Its weights times the places of what comes out: what is calculated, zeros of the padding too."""
    without_padding: int
    """The same, less the products with those zeros: what the picture itself costs."""


def cost(layer: Conv, n: int) -> Cost:
    """What a layer costs on a picture of n × n.

    >>> cost(SIMPLE_CNN[1], 14)
    Cost(input_grid=56448, output_grid=14112, without_padding=12800)
    """
    h = layer.size_after(n)
    # Along one side: pairs of a place and a kernel cell that meet a pixel. Sides are independent.
    meets = sum(
        0 <= place * layer.stride - layer.padding + cell < n
        for place in range(h)
        for cell in range(layer.kernel)
    )
    channels = layer.in_channels * layer.out_channels
    return Cost(layer.num_weights * n * n, layer.num_weights * h * h, channels * meets * meets)


# --- how much it sees -----------------------------------------------------------------------------


def receptive_field(net: Sequence[Conv]) -> int:
    """The side of the square of pixels that one number of the last layer depends on.

    A layer adds k - 1 steps, and a step is as wide as all strides before it multiplied.

    >>> receptive_field([Conv(1, 4), Conv(4, 8)])
    7
    """
    side, step = 1, 1
    for layer in net:
        side += (layer.kernel - 1) * step
        step *= layer.stride
    return side


def seen(net: Sequence[Conv], n: int, place: tuple[int, int]) -> np.ndarray:
    """The same by gradient: which pixels of n × n move the number at a place of the last layer.

    All kernels are one channel of ones, and ReLUs are left out, so that nothing cancels: (n, n) boolean.
    """
    all_sizes = sizes(net, n)
    pull = np.zeros((1, 1, all_sizes[-1], all_sizes[-1]))
    pull[0, 0, place[0], place[1]] = 1
    for layer, side in zip(reversed(net), all_sizes[-2::-1], strict=True):
        weight, x = np.ones((1, 1, layer.kernel, layer.kernel)), np.zeros((1, 1, side, side))
        pull, _, _ = convolve_gradients(x, weight, pull, stride=layer.stride, padding=layer.padding)
    return pull[0, 0] != 0


# --- what it learns -------------------------------------------------------------------------------

Weights = list[tuple[np.ndarray, np.ndarray]]
"""Kernels and biases of each layer."""


def scores(net: Sequence[Conv], weights: Weights, x: np.ndarray) -> list[np.ndarray]:
    """What goes into each layer, and the last one's numbers: (B, C, n, n) each."""
    found = [x]
    for layer, (weight, bias) in zip(net, weights, strict=True):
        out = convolve(found[-1], weight, bias, stride=layer.stride, padding=layer.padding)
        found.append(np.maximum(out, 0) if layer.has_relu else out)
    return found


def gradients(
    net: Sequence[Conv], weights: Weights, x: np.ndarray, targets: np.ndarray
) -> tuple[float, Weights]:
    """The mean cross-entropy of the classes (B,), and the gradients of kernels and biases."""
    found = scores(net, weights, x)
    last = found[-1].reshape(len(x), -1)  # (B, classes)
    powers = np.exp(last - last.max(axis=1, keepdims=True))
    probs = powers / powers.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    loss = float(-np.log(probs[rows, targets]).mean())
    probs[rows, targets] -= 1
    pull = (probs / len(x)).reshape(found[-1].shape)
    pulls: Weights = []
    for place in reversed(range(len(net))):
        layer = net[place]
        if layer.has_relu:
            pull = pull * (found[place + 1] > 0)
        pull, of_weight, of_bias = convolve_gradients(
            found[place], weights[place][0], pull, stride=layer.stride, padding=layer.padding
        )
        pulls.append((of_weight, of_bias))
    return loss, pulls[::-1]


def sgd_step(weights: Weights, pulls: Weights, lr: float) -> None:
    """Move every weight against its gradient, in place."""
    for layer, moves in zip(weights, pulls, strict=True):
        for part, pull in zip(layer, moves, strict=True):
            part -= lr * pull
