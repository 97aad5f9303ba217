"""Telling digits apart without learning: the mean picture of each, and which one is nearest.

It is the score that a net has to beat. Letters: N pictures, H rows, W columns, C classes.

Two words that are easily mixed up: the L1 *norm* of a difference is the SUM of absolute values, and the
L2 norm the root of the SUM of squares. The distances used here are their means, so that they are in the
unit of a pixel: the mean absolute error, and the root of the mean squared error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def mean_picture(pictures: np.ndarray) -> np.ndarray:
    """(N, H, W) -> (H, W): each pixel is the mean of that pixel over all pictures."""
    total = np.zeros(pictures.shape[1:])
    for picture in pictures:
        total += picture
    return total / len(pictures)


def mean_pictures(pictures: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes in order, (C,), and the ideal picture of each, (C, H, W)."""
    classes = np.unique(labels)
    return classes, np.stack([mean_picture(pictures[labels == one]) for one in classes])


def mean_absolute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean of |a - b| over the last two axes; what comes before them broadcasts."""
    return np.abs(a - b).mean(axis=(-2, -1))


def root_mean_squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root of the mean of (a - b)² over the last two axes: one large difference weighs more."""
    return np.sqrt(((a - b) ** 2).mean(axis=(-2, -1)))


def nearest(
    pictures: np.ndarray, classes: np.ndarray, ideals: np.ndarray, distance: Distance
) -> np.ndarray:
    """(N,), the class whose ideal picture (C, H, W) is nearest; of equally near ones, the first.

    (N, 1, H, W) meets (C, H, W): every picture is compared with every ideal, and (N, C) distances result.
    """
    distances = distance(pictures[:, None], ideals)  # (N, C)
    return classes[distances.argmin(axis=1)]


def held_out(count: int, share: float = 0.2, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Places of (train, valid) items: the first `share` of a shuffled order is held out, rounded down."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).numpy()
    cut = int(share * count)
    return order[cut:], order[:cut]


def baseline(
    pictures: np.ndarray,
    labels: np.ndarray,
    distance: Distance = mean_absolute,
    *,
    share: float = 0.2,
    seed: int = 42,
) -> tuple[float, int]:
    """The share of held-out pictures that the nearest mean of the others names rightly, and their number.

    Args:
        pictures: (N, H, W).
        labels: (N,).
    """
    train, valid = held_out(len(labels), share, seed)
    classes, ideals = mean_pictures(pictures[train], labels[train])
    guesses = nearest(pictures[valid], classes, ideals, distance)
    return float((guesses == labels[valid]).mean()), len(valid)
