"""Baselines: what a result must beat to mean something.

The majority class needs no picture at all. The nearest mean image is the first approach of the book's
chapter on digits: average the training pictures of each class, and give a picture the class whose
average is nearest. Both see the same split as the model, without augmentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.metrics import wilson_interval
from drivetrain.vision.pictures import PictureData

SIDE = 32
"""Pictures are averaged at no more than so many pixels a side: an average has no fine detail."""

BATCH = 256


def accuracy_record(correct: int, count: int) -> dict[str, Any]:
    """Accuracy with its 95% Wilson interval: `{accuracy, interval: [low, high], correct, count}`."""
    low, high = wilson_interval(correct, count)
    return {
        "accuracy": correct / count,
        "interval": [low, high],
        "correct": correct,
        "count": count,
    }


def majority_class(train: PictureData, valid: PictureData, num_classes: int) -> dict[str, Any]:
    """Always answer the class that is most frequent in training (of equals the first)."""
    counts = torch.bincount(train.targets, minlength=num_classes)
    guess = int(counts.argmax())
    return accuracy_record(int((valid.targets == guess).sum()), len(valid)) | {"class": guess}


def nearest_mean_image(train: PictureData, valid: PictureData, num_classes: int) -> dict[str, Any]:
    """Answer the class whose mean training picture is nearest (Euclidean, over all pixels)."""
    sums: Tensor | float = 0.0
    counts = torch.bincount(train.targets, minlength=num_classes)
    for pixels, targets in _small(train):
        chosen = F.one_hot(targets, num_classes).to(pixels.dtype)  # (B, C)
        sums = sums + chosen.T @ pixels  # (C, D)
    assert isinstance(sums, Tensor), "training has at least one picture"
    means = sums / counts.clamp(min=1)[:, None]
    correct = 0
    for pixels, targets in _small(valid):
        distances = torch.cdist(pixels, means)  # (B, C)
        distances[:, counts == 0] = torch.inf  # a class that training does not have has no mean
        correct += int((distances.argmin(dim=1) == targets).sum())
    return accuracy_record(correct, len(valid))


def _small(data: PictureData) -> Iterator[tuple[Tensor, Tensor]]:
    """Flat pictures (B, D) float64 in [0, 1], D at most 3 * SIDE * SIDE, with their targets."""
    for indices in torch.arange(len(data)).split(BATCH):
        pixels, targets = data.__getitems__(indices)
        floats = pixels.to(torch.float32).contiguous() / 255
        if max(floats.shape[-2:]) > SIDE:
            floats = F.adaptive_avg_pool2d(
                floats, (min(SIDE, floats.shape[-2]), min(SIDE, floats.shape[-1]))
            )
        yield floats.flatten(start_dim=1).to(torch.float64), targets
