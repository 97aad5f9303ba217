"""Convolution by loops: a small kernel is laid on every place of a picture. Twin of `torch.nn.Conv2d`.

At each place the numbers under the kernel are multiplied by the kernel's own and added up, over all
channels; a bias is added. Kernels are not turned round, as they are in mathematics: the field calls
this convolution all the same. Source: Dumoulin & Visin 2016, arXiv:1603.07285 (sizes, and gradients).

Letters: B pictures, C channels in, F channels out (a kernel each), h and w height and width of what
comes out, k the kernel's side, s stride, p padding: rings of zeros around the picture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

EDGES = {
    "top": np.array([[-1.0, -1.0, -1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]),
    "bottom": np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -1.0, -1.0]]),
    "left": np.array([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]),
    "right": np.array([[1.0, 0.0, -1.0], [1.0, 0.0, -1.0], [1.0, 0.0, -1.0]]),
}
"""Kernels that answer where something bright begins: 0 on any even ground, large at its named edge."""

Place = tuple[int, int, int, int]
"""Picture, kernel, row and column of one number that comes out."""


# --- sizes ----------------------------------------------------------------------------------------


def output_size(n: int, kernel: int, *, stride: int = 1, padding: int = 0) -> int:
    """How many places a kernel has along a side of n pixels: (n + 2p - k) // s + 1.

    The first place is at the edge of the padding; n + 2p - k pixels are left to move over, in steps of
    s, and a last step that does not fit is not made.

    >>> output_size(28, 3), output_size(28, 3, padding=1), output_size(28, 3, padding=1, stride=2)
    (26, 28, 14)

    Raises: ValueError: the kernel is larger than the padded side.
    """
    if kernel > n + 2 * padding:
        raise ValueError(
            f"A kernel of {kernel} does not fit on a side of {n} pixels with padding {padding}. "
            f"Pad by {-(-(kernel - n) // 2)} or more, or take a kernel of {n + 2 * padding} or less."
        )
    return (n + 2 * padding - kernel) // stride + 1


def keeping_padding(kernel: int) -> int:
    """The padding at which stride 1 keeps the size: n + 2p - k + 1 = n, so p = (k - 1) / 2.

    >>> [keeping_padding(kernel) for kernel in (1, 3, 5, 7)]
    [0, 1, 2, 3]

    Raises: ValueError: an even kernel has no middle, and would need half a ring.
    """
    if kernel % 2 == 0:
        raise ValueError(
            f"No whole padding keeps the size under a kernel of {kernel}: it would have to be "
            f"{kernel - 1}/2. Take an odd kernel."
        )
    return (kernel - 1) // 2


def padded(x: np.ndarray, padding: int) -> np.ndarray:
    """(…, H, W) with rings of zeros around each picture: (…, H + 2p, W + 2p)."""
    ring = (padding, padding)
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [ring, ring])


# --- values ---------------------------------------------------------------------------------------


def under(kernel: tuple[int, int], row: int, column: int, stride: int) -> tuple[slice, slice]:
    """Which rows and columns of the padded picture lie under the kernel at one place."""
    top, left = row * stride, column * stride
    return slice(top, top + kernel[0]), slice(left, left + kernel[1])


def places(x: np.ndarray, weight: np.ndarray, stride: int, padding: int) -> Iterator[Place]:
    """Every number that a convolution gives, one after the other."""
    heights = range(output_size(x.shape[2], weight.shape[2], stride=stride, padding=padding))
    widths = range(output_size(x.shape[3], weight.shape[3], stride=stride, padding=padding))
    for picture in range(len(x)):
        for kernel in range(len(weight)):
            for row in heights:
                for column in widths:
                    yield picture, kernel, row, column


def convolve(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
) -> np.ndarray:
    """The convolution, one number after the other.

    Args:
        x: (B, C, H, W).
        weight: (F, C, k, k'), the kernels.
        bias: (F,), or nothing.
        stride: pixels from one place to the next.
        padding: rings of zeros around each picture.

    Returns: (B, F, h, w), sizes as `output_size` gives them.
    """
    height = output_size(x.shape[2], weight.shape[2], stride=stride, padding=padding)
    width = output_size(x.shape[3], weight.shape[3], stride=stride, padding=padding)
    out = np.zeros((len(x), len(weight), height, width), dtype=x.dtype)
    picture = padded(x, padding)
    for b, f, row, column in places(x, weight, stride, padding):
        rows, columns = under(weight.shape[2:], row, column, stride)
        out[b, f, row, column] = (picture[b, :, rows, columns] * weight[f]).sum()
    return out if bias is None else out + bias[:, None, None]


# --- gradients ------------------------------------------------------------------------------------


def convolve_gradients(
    x: np.ndarray, weight: np.ndarray, pull: np.ndarray, *, stride: int = 1, padding: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the loss moves with the pictures, the kernels and the biases.

    Each number that came out is a sum of products; a product's gradient with respect to one factor is
    the other. So where a kernel lay, its numbers times the pull go back to the pixels, and the pixels
    times the pull to the kernel. A pixel under several places gets the sum, and so does a weight, which
    was used at every place: that is what sharing costs.

    Args:
        pull: (B, F, h, w), the gradient of the loss with respect to what came out.

    Returns: (B, C, H, W), (F, C, k, k') and (F,).
    """
    picture = padded(x, padding)
    of_picture, of_weight = np.zeros_like(picture), np.zeros_like(weight)
    for b, f, row, column in places(x, weight, stride, padding):
        rows, columns = under(weight.shape[2:], row, column, stride)
        of_picture[b, :, rows, columns] += pull[b, f, row, column] * weight[f]
        of_weight[f] += pull[b, f, row, column] * picture[b, :, rows, columns]
    inside = slice(padding, padding + x.shape[2]), slice(padding, padding + x.shape[3])
    return of_picture[:, :, inside[0], inside[1]], of_weight, pull.sum(axis=(0, 2, 3))
