"""The baseline of 2012: features that people thought of, and logistic regression on them.

Before nets learnt their features, one counted colours and edges. It stands beside a net's score, so that
one sees what learning the features was worth. Zeiler & Fergus showed in 2013 (arXiv:1311.2901) that the
first layers of a net come to much the same things by themselves.

Letters: B pictures, F features.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain._optional import require
from drivetrain.metrics.interval import wilson_interval
from drivetrain.randomness import permutation
from drivetrain.report.evidence import Baseline
from drivetrain.vision.pictures import PictureData

SIDE = 64
"""Pixels a side at most at which edges are counted."""
GRID = 3
"""Rows and columns of places in which colours and edges are counted apart."""
DIRECTIONS = 6
"""Of edges, over half a turn."""
MOST_PICTURES = 4000
"""Of training that the regression learns from: more of them change such a model little."""
BATCH = 256

WHAT = "colours and edges counted in nine places, and logistic regression on the counts"


def hand_features(pixels: Tensor) -> Tensor:
    """What was looked at before nets: colours and edges, in `GRID` x `GRID` places of the picture.

    Args:
        pixels: (B, 3, H, W) uint8.

    Returns: (B, F) float32: of each place and channel the mean and the standard deviation, and of each
        place and direction the mean strength of the grey picture's edges.
    """
    floats = pixels.to(torch.float32).contiguous() / 255
    if max(floats.shape[-2:]) > SIDE:
        size = (min(SIDE, floats.shape[-2]), min(SIDE, floats.shape[-1]))
        floats = F.adaptive_avg_pool2d(floats, size)
    means = F.adaptive_avg_pool2d(floats, GRID)  # (B, 3, 3, 3)
    squares = F.adaptive_avg_pool2d(floats**2, GRID)
    spread = (squares - means**2).clamp(min=0).sqrt()
    return torch.cat([part.flatten(1) for part in (means, spread, _edges(floats))], dim=1)


def _edges(floats: Tensor) -> Tensor:
    """(B, DIRECTIONS, GRID, GRID) mean strength of the edges of each direction (Sobel's kernels)."""
    grey = floats.mean(dim=1, keepdim=True)
    across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 8
    kernels = torch.stack([across, across.T])[:, None]
    slopes = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels)  # (B, 2, H, W)
    strength = slopes.square().sum(dim=1).sqrt()
    angle = torch.atan2(slopes[:, 1], slopes[:, 0]) % torch.pi  # an edge has no front
    place = (angle / torch.pi * DIRECTIONS).long() % DIRECTIONS
    apart = torch.zeros(len(grey), DIRECTIONS, *grey.shape[-2:])
    apart.scatter_(1, place[:, None], strength[:, None])
    return F.adaptive_avg_pool2d(apart, GRID)


def hand_baseline(train: PictureData, valid: PictureData, *, seed: int = 42) -> Baseline:
    """Accuracy of logistic regression on hand features, on the validation pictures.

    Args:
        train: of it `MOST_PICTURES` at most, drawn by `seed`.

    Raises: MissingPackageError: there is no scikit-learn. PictureError: a file is gone.
    """
    require("sklearn", extra="tabular")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = permutation(len(train), seed=seed, epoch=0, purpose="hand features")[:MOST_PICTURES]
    inputs, targets = _features(train, chosen)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    model.fit(inputs, targets)
    inputs, targets = _features(valid, torch.arange(len(valid)))
    correct = int((model.predict(inputs) == targets).sum())
    low, high = wilson_interval(correct, len(valid))
    return Baseline("hand features", WHAT, correct / len(valid), low, high)


def _features(data: PictureData, indices: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(N, F) float64 and (N,) int64."""
    parts = list(_batches(data, indices))
    features = torch.cat([features for features, _ in parts]).double().numpy()
    return features, torch.cat([targets for _, targets in parts]).numpy()


def _batches(data: PictureData, indices: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for part in indices.split(BATCH):
        pixels, targets = data.__getitems__(part)
        yield hand_features(pixels), targets
