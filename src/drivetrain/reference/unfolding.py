"""Convolution as one matrix product: what lies under the kernel is unfolded into columns.

The loops of `convolution` say what is calculated; this is how it is made fast. Each place's numbers are
written into a column, copied as often as kernels overlap; then all kernels meet all places in a single
product. Folding back adds the copies up. Twin of `torch.nn.functional.unfold`, `fold` and `conv2d`.
Source: Chellapilla et al. 2006, inria-00112631.

Letters as in `convolution`; L = h·w, the places of the kernel.
"""

from __future__ import annotations

import numpy as np

from drivetrain.reference.convolution import output_size, padded

Sides = tuple[int, int]


def unfold(x: np.ndarray, kernel: Sides, *, stride: int = 1, padding: int = 0) -> np.ndarray:
    """(B, C, H, W) -> (B, C·k·k', L): a column for each place, the kernel's cells below each other.

    Filled by a row of the result at a time: what one cell of the kernel meets, over all places.
    """
    picture = padded(x, padding)
    height = output_size(x.shape[2], kernel[0], stride=stride, padding=padding)
    width = output_size(x.shape[3], kernel[1], stride=stride, padding=padding)
    columns = np.zeros((*x.shape[:2], *kernel, height, width), dtype=x.dtype)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + stride * height, stride)
            columns[:, :, i, j] = picture[:, :, rows, j : j + stride * width : stride]
    return columns.reshape(len(x), -1, height * width)


def fold(
    columns: np.ndarray, size: Sides, kernel: Sides, *, stride: int = 1, padding: int = 0
) -> np.ndarray:
    """(B, C·k·k', L) -> (B, C, H, W): each number goes back to its pixel, and those of a pixel add up.

    This is not the way back from `unfold`, but its gradient: a pixel that was copied to four columns
    gets four numbers.
    """
    height = output_size(size[0], kernel[0], stride=stride, padding=padding)
    width = output_size(size[1], kernel[1], stride=stride, padding=padding)
    columns = columns.reshape(len(columns), -1, *kernel, height, width)
    picture = padded(np.zeros((*columns.shape[:2], *size), dtype=columns.dtype), padding)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + stride * height, stride)
            picture[:, :, rows, j : j + stride * width : stride] += columns[:, :, i, j]
    return picture[:, :, padding : padding + size[0], padding : padding + size[1]]


def convolve(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
) -> np.ndarray:
    """The convolution of `convolution.convolve`: (F, C·k·k') times (C·k·k', L) for each picture."""
    columns = unfold(x, weight.shape[2:], stride=stride, padding=padding)
    out = weight.reshape(len(weight), -1) @ columns  # (B, F, L)
    height = output_size(x.shape[2], weight.shape[2], stride=stride, padding=padding)
    out = out.reshape(len(x), len(weight), height, -1)
    return out if bias is None else out + bias[:, None, None]


def convolve_gradients(
    x: np.ndarray, weight: np.ndarray, pull: np.ndarray, *, stride: int = 1, padding: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of pictures, kernels and biases, as those of a matrix product: with Y = W X,
    they are Wᵀ · pull and pull · Xᵀ.

    Args:
        pull: (B, F, h, w), the gradient of the loss with respect to what came out.
    """
    kernel = weight.shape[2:]
    columns = unfold(x, kernel, stride=stride, padding=padding)  # X: (B, C·k·k', L)
    flat = pull.reshape(len(x), len(weight), -1)  # (B, F, L)
    of_columns = weight.reshape(len(weight), -1).T @ flat
    of_x = fold(of_columns, x.shape[2:], kernel, stride=stride, padding=padding)
    of_weight = (flat @ columns.transpose(0, 2, 1)).sum(axis=0).reshape(weight.shape)
    return of_x, of_weight, pull.sum(axis=(0, 2, 3))
