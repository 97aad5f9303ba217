"""Dice: how little a predicted area overlaps the true one.

Paper: Milletari et al. 2016, arXiv:1606.04797, sec. 3; what differs: the sums below the line are not
of squares, and each class of a picture is judged on its own. Cross-entropy counts pixels, so a small
thing on a large ground is soon forgotten; Dice counts what is found of each class.

Letters: B batch, C classes, `...` the pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.losses.common import Reduction, check_options


def dice(
    logits: Tensor,
    targets: Tensor,
    *,
    smooth: float = 1.0,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """1 - 2 overlap / (predicted area + true area), for each class of each picture; in [0, 1].

    Areas are sums of probabilities, so that there is a gradient.

    Args:
        logits: (B, C, ...) float, unnormalised scores, with one or more dimensions of pixels.
        targets: (B, ...) int64, class indices in [0, C).
        smooth: pixels added above and below the line, above 0: a class that is neither there nor
            predicted costs nothing.
        ignore_index: pixels with this target count nothing.
        reduction: "mean", or "none" for the values before it, (B, C).

    Raises: ShapeError: other shapes. ConfigError: an option is out of range.

    >>> half = torch.zeros(1, 2, 4)  # four pixels, both classes equally likely
    >>> dice(half, torch.tensor([[0, 0, 1, 1]]))
    tensor(0.4000)
    """
    check_options("dice", smooth=smooth)
    expected = (logits.shape[0], *logits.shape[2:])
    if logits.ndim < 3 or tuple(targets.shape) != expected:
        raise ShapeError(
            f"`dice` got scores of shape {tuple(logits.shape)} and targets of shape "
            f"{tuple(targets.shape)}, expected (B, C, height, width) and (B, height, width): "
            "a class for each pixel. For a class per picture use `cross_entropy`."
        )
    kept = (targets != ignore_index).unsqueeze(1)  # (B, 1, ...)
    truth = F.one_hot(torch.where(kept.squeeze(1), targets, 0), logits.shape[1]).movedim(-1, 1)
    truth = (truth * kept).to(logits.dtype).flatten(2)  # (B, C, pixels)
    probs = (logits.softmax(dim=1) * kept).flatten(2)
    overlap = (probs * truth).sum(dim=2)  # (B, C)
    areas = probs.sum(dim=2) + truth.sum(dim=2)
    values = 1 - (2 * overlap + smooth) / (areas + smooth)
    return values if reduction == "none" else values.mean()
