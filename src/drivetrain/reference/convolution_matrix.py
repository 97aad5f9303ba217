"""Convolution is a linear layer: its whole matrix written out, most of it zeros, the rest shared.

A linear layer has a weight of its own for each pair of an input and an output. Lay a picture out as one
column of numbers, and a convolution is such a layer with two rules: a weight is 0 where the kernel does
not reach, and the same weight stands in every row, moved along. Those rules are what it knows about
pictures before it has seen one. Twin of `torch.nn.functional.conv2d`, whose output it gives, and of
`conv_transpose2d`, which is the same matrix turned.

For a picture of 3 × 3 and a kernel α β γ δ of 2 × 2 the matrix is 4 × 9:

    α β · γ δ · · · ·
    · α β · γ δ · · ·
    · · · α β · γ δ ·
    · · · · α β · γ δ
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivetrain.reference.convolution import output_size


@dataclass(frozen=True)
class Layout:
    """Which weight stands in which cell of the matrix; the weights themselves are not in it."""

    rows: np.ndarray
    """Of each cell that is not 0: its row, a number of the output."""
    columns: np.ndarray
    """Its column, a number of the input."""
    numbers: np.ndarray
    """Its weight's number, in the order of the kernels laid out flat."""
    shape: tuple[int, int]
    """Numbers that come out, numbers that go in: (F·h·w, C·H·W)."""

    def matrix(self, weight: np.ndarray) -> np.ndarray:
        """The matrix with all its zeros."""
        full = np.zeros(self.shape, dtype=weight.dtype)
        full[self.rows, self.columns] = weight.reshape(-1)[self.numbers]
        return full

    def product(self, weight: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The matrix times a column of numbers x, from the cells that are not 0 alone."""
        out = np.zeros(self.shape[0], dtype=x.dtype)
        np.add.at(out, self.rows, weight.reshape(-1)[self.numbers] * x[self.columns])
        return out

    def gradients(
        self, weight: np.ndarray, x: np.ndarray, pull: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of the input, by the matrix turned; of each weight, the sum over all its cells.

        Args:
            pull: (F·h·w,), the gradient of the loss with respect to what came out.
        """
        of_x, of_weight = np.zeros_like(x), np.zeros(weight.size, dtype=weight.dtype)
        np.add.at(of_x, self.columns, weight.reshape(-1)[self.numbers] * pull[self.rows])
        np.add.at(of_weight, self.numbers, x[self.columns] * pull[self.rows])
        return of_x, of_weight.reshape(weight.shape)


def layout(
    size: tuple[int, int], weight_shape: tuple[int, ...], *, stride: int = 1, padding: int = 0
) -> Layout:
    """Where the weights of a convolution stand.

    Padding needs no numbers here: a cell that would meet a zero of the ring is left out.

    Args:
        size: (H, W) of the picture.
        weight_shape: (F, C, k, k') of the kernels.

    >>> one = layout((3, 3), (1, 1, 2, 2))
    >>> one.shape, len(one.numbers), len(set(one.numbers.tolist()))
    ((4, 9), 16, 4)
    """
    filters, channels, *kernel = weight_shape
    height, width = (
        output_size(n, k, stride=stride, padding=padding) for n, k in zip(size, kernel, strict=True)
    )
    cells = []
    for out in np.ndindex(filters, height, width):
        for at in np.ndindex(channels, *kernel):
            row, column = (
                place * stride - padding + step for place, step in zip(out[1:], at[1:], strict=True)
            )
            if 0 <= row < size[0] and 0 <= column < size[1]:
                cells.append(
                    (
                        np.ravel_multi_index(out, (filters, height, width)),
                        np.ravel_multi_index((at[0], row, column), (channels, *size)),
                        np.ravel_multi_index((out[0], *at), weight_shape),
                    )
                )
    rows, columns, numbers = np.array(cells).T
    shape = (filters * height * width, channels * size[0] * size[1])
    return Layout(rows, columns, numbers, shape)
