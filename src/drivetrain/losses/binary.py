"""Losses for yes or no, one score each; several scores an item make it multi-label.

Letters: B batch, `...` any further dimensions (the same in both arguments).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.losses.classes import focusing
from drivetrain.losses.common import Reduction, Weights, check_options, same_shape
from drivetrain.losses.numbers import mae


def binary_cross_entropy_with_logits(
    logits: Tensor,
    targets: Tensor,
    *,
    pos_weight: float | Weights | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy of yes-or-no questions, one score each; several per item make it multi-label.

    Args:
        logits: (B, ...) float, unnormalised: above 0 means more likely yes.
        targets: shaped like `logits`; 0, 1 or a probability between; any number type or bool.
        pos_weight: how many times a yes counts; one number, or one for each score (last dimension).
        reduction: "mean", or "none" for the values before it, shaped like `logits`.

    Raises: ShapeError: the shapes differ. ConfigError: an option is out of range.
    """
    same_shape("binary_cross_entropy_with_logits", logits, targets)
    if pos_weight is None:
        weights = None
    else:
        check_options("binary_cross_entropy_with_logits", pos_weight=pos_weight)
        weights = torch.as_tensor(pos_weight, dtype=logits.dtype, device=logits.device)
    return F.binary_cross_entropy_with_logits(
        logits, targets.to(logits.dtype), pos_weight=weights, reduction=reduction
    )


def binary_focal(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Binary cross-entropy times (1 - p)^gamma, p the probability given to the right answer.

    Paper: Lin et al. 2017, arXiv:1708.02002, eq. 4 and 5.

    Args:
        logits: (B, ...) float, unnormalised.
        targets: shaped like `logits`; 0 or 1; any number type or bool.
        gamma: from 0, which is cross-entropy, up; the paper's best is 2.
        alpha: what a yes counts, a no counting 1 - alpha (the paper's best is 0.25 with gamma 2);
            None counts both 1.
        reduction: "mean", or "none" for the values before it, shaped like `logits`.

    Raises: ShapeError: the shapes differ. ConfigError: an option is out of range.
    """
    check_options("binary_focal", gamma=gamma, alpha=alpha)
    same_shape("binary_focal", logits, targets)
    is_yes = targets.to(logits.dtype)
    log_p = F.logsigmoid(torch.where(is_yes > 0.5, logits, -logits))
    values = -focusing(log_p, gamma) * log_p
    if alpha is not None:
        values = values * (alpha * is_yes + (1 - alpha) * (1 - is_yes))
    return values if reduction == "none" else values.mean()


def mnist_loss(logits: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Distance of sigmoid(score) from a yes-or-no target: the first loss of the course.

    It reads as the probability given to the wrong answer, and stays between 0 and 1; so an item
    that is confidently wrong pulls less than under `binary_cross_entropy_with_logits`, which is
    what to train with.

    Args:
        logits: (B, ...) float, unnormalised.
        targets: shaped like `logits`; 0 or 1.
        reduction: "mean", or "none" for the values before it, shaped like `logits`.

    Raises: ShapeError: the shapes differ.

    >>> mnist_loss(torch.tensor([0.9, 0.4, 0.2]), torch.tensor([1, 0, 1]))
    tensor(0.4460)
    """
    same_shape("mnist_loss", logits, targets)
    return mae(logits.sigmoid(), targets, reduction=reduction)
