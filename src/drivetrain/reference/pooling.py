"""Pooling: a region becomes one number, its largest or its mean. Nothing here is learnt.

The largest asks whether a feature is anywhere in the region: is there any bear? The mean asks how much
of it there is: is it mostly bear? Both side by side leave the choice to the head. Twins of
`torch.nn.MaxPool2d` and `AvgPool2d`, and of `drivetrain.nn.ConcatPool2d`.

Letters as in `convolution`: pictures (B, C, H, W); what comes out has h rows and w columns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drivetrain.reference.convolution import output_size, under


def regions(
    x: np.ndarray, kernel: int, stride: int | None, summary: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """What a summary says of each region of each channel; regions touch where no stride is given."""
    stride = kernel if stride is None else stride
    height, width = (output_size(n, kernel, stride=stride) for n in x.shape[2:])
    out = np.zeros((*x.shape[:2], height, width), dtype=x.dtype)
    for row in range(height):
        for column in range(width):
            rows, columns = under((kernel, kernel), row, column, stride)
            out[:, :, row, column] = summary(x[:, :, rows, columns])
    return out


def max_pool(x: np.ndarray, kernel: int, stride: int | None = None) -> np.ndarray:
    """The largest number of each region: (B, C, H, W) -> (B, C, h, w).

    >>> max_pool(np.array([[[[1.0, 9.0], [1.0, 1.0]]]]), 2).item()
    9.0
    """
    return regions(x, kernel, stride, lambda region: region.max(axis=(2, 3)))


def average_pool(x: np.ndarray, kernel: int, stride: int | None = None) -> np.ndarray:
    """The mean of each region: (B, C, H, W) -> (B, C, h, w).

    >>> average_pool(np.array([[[[1.0, 9.0], [1.0, 1.0]]]]), 2).item()
    3.0
    """
    return regions(x, kernel, stride, lambda region: region.mean(axis=(2, 3)))


def max_pool_gradient(
    x: np.ndarray, pull: np.ndarray, kernel: int, stride: int | None = None
) -> np.ndarray:
    """The pull on each region goes to its largest number; of equals, to the first, as in torch.

    A small change of any other number changes nothing that comes out.
    """
    stride = kernel if stride is None else stride
    of_x = np.zeros_like(x)
    for b, c, row, column in np.ndindex(*pull.shape):
        rows, columns = under((kernel, kernel), row, column, stride)
        i, j = np.unravel_index(x[b, c, rows, columns].argmax(), (kernel, kernel))
        of_x[b, c, row * stride + i, column * stride + j] += pull[b, c, row, column]
    return of_x


def average_pool_gradient(
    x: np.ndarray, pull: np.ndarray, kernel: int, stride: int | None = None
) -> np.ndarray:
    """The pull on each region is spread evenly over its numbers."""
    stride = kernel if stride is None else stride
    of_x = np.zeros_like(x)
    for row, column in np.ndindex(*pull.shape[2:]):
        rows, columns = under((kernel, kernel), row, column, stride)
        of_x[:, :, rows, columns] += pull[:, :, row, column, None, None] / kernel**2
    return of_x


def concat_pool(x: np.ndarray) -> np.ndarray:
    """Each channel's mean, then each channel's largest, of the whole picture: (B, C, H, W) -> (B, 2C)."""
    return np.concatenate([x.mean(axis=(2, 3)), x.max(axis=(2, 3))], axis=1)


def concat_pool_gradient(x: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Of (B, 2C) back to (B, C, H, W). Here pixels that are equally large share the pull.

    So does torch's maximum over axes, while its pooling lets the first one have it: where two are
    equal there is no gradient, and both are answers that lie between those of either side.
    """
    channels = x.shape[1]
    of_mean, of_max = pull[:, :channels, None, None], pull[:, channels:, None, None]
    is_largest = x == x.max(axis=(2, 3), keepdims=True)
    shares = is_largest / is_largest.sum(axis=(2, 3), keepdims=True)
    return of_mean / (x.shape[2] * x.shape[3]) + of_max * shares
