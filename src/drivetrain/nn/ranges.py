"""Keeping an output within a range by a sigmoid."""

from __future__ import annotations

import torch
from torch import Tensor


def sigmoid_range(scores: Tensor, low: float, high: float) -> Tensor:
    """Scores squeezed between `low` and `high`: 0 becomes the middle, and none leaves the range.

    Very large scores are rounded to an end, as near to it as their type can tell.

    A range a little wider than the targets lets a model reach the outermost of them.

    >>> sigmoid_range(torch.tensor([-2.0, 0.0, 2.0]), 0.0, 5.5)
    tensor([0.6556, 2.7500, 4.8444])
    """
    scaled = torch.sigmoid(scores) * (high - low)
    return scaled + low if low else scaled
