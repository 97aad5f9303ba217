"""The loss of a model that answers several questions of one item: the weighted sum of their losses.

    loss = functools.partial(summed_cross_entropy, sizes=(10, 3), weights=(1.0, 0.5))
    loss(scores, targets)                      # scores (B, 13), targets (B, 2)

It is not one of `losses.LOSSES`, which are made from a name alone: how wide each target is comes from
the data.

Multi-task learning with hard sharing: one body, a head for each question (Caruana 1997, "Multitask
Learning", doi:10.1023/A:1007379606734). Letters: B batch, T targets, C_t classes of target t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.losses.common import Reduction


def summed_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    sizes: Sequence[int],
    weights: Sequence[float] | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """The cross-entropy of each target, times its weight, added up; in nats.

    A target of weight 0 is not looked at at all: the loss and its gradients are then bit for bit those
    of the others alone, also where its scores are infinite.

    Args:
        logits: (B, C_1 + … + C_T) float, the scores of the first target's classes, then the next one's.
        targets: (B, T) int64, column t the class indices of target t, in [0, C_t).
        sizes: C_1 … C_T, classes of each target.
        weights: T numbers from 0 up, not all 0; None: 1 each.
        reduction: "mean", or "none" for the values before it, (B,).

    Raises: ShapeError: scores or targets are not as wide as that.

    >>> import torch
    >>> logits = torch.tensor([[1.0, 2.0, 3.0, 0.0, 0.0]])
    >>> summed_cross_entropy(logits, torch.tensor([[2, 0]]), sizes=(3, 2), weights=(1.0, 0.5))
    tensor(0.7542)
    """
    check_widths(logits, targets, sizes)
    weights = (1.0,) * len(sizes) if weights is None else weights
    total: Any = 0
    for scores, codes, weight in zip(
        logits.split(list(sizes), dim=1), targets.unbind(dim=1), weights, strict=True
    ):
        if weight:
            total = total + weight * F.cross_entropy(scores, codes, reduction=reduction)
    return total


def check_widths(logits: Tensor, targets: Tensor, sizes: Sequence[int]) -> None:
    """Raises: ShapeError: not a score for each class of each target, or not a class for each target."""
    if logits.ndim != 2 or logits.shape[1] != sum(sizes):
        raise ShapeError(
            f"`summed_cross_entropy` got scores of shape {tuple(logits.shape)}, expected "
            f"(B, {sum(sizes)}): {' + '.join(map(str, sizes))}, a score for each class of each target."
        )
    if targets.shape != (len(logits), len(sizes)):
        raise ShapeError(
            f"`summed_cross_entropy` got targets of shape {tuple(targets.shape)}, expected "
            f"({len(logits)}, {len(sizes)}): a column of class indices for each target."
        )


def check_weights(weights: Sequence[Any], names: Sequence[str]) -> tuple[float, ...]:
    """The weights of targets as floats.

    Raises: ConfigError: one of them is no number from 0 up, or all are 0.
    """
    for name, weight in zip(names, weights, strict=True):
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not math.isfinite(weight) or weight < 0:
            raise ConfigError(
                f"The weight of the target {name!r} must be a number from 0 up. Got {weight!r}."
            )
    if not any(weights):
        raise ConfigError(
            f"The weights of {', '.join(names)} are all 0: there is nothing to learn. Give one of them "
            "a weight above 0."
        )
    return tuple(float(weight) for weight in weights)
