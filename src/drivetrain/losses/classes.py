"""Losses for one of several classes: cross-entropy, its soft form, focal.

Letters: B batch, C classes, `...` any further dimensions, such as the pixels of a mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.losses.common import Reduction, Weights, check_options, weights_for


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """-log of the probability that softmax gives to the true class, in nats.

    Label smoothing (Szegedy et al. 2015, arXiv:1512.00567, sec. 7) asks for a little probability for
    each class, so that scores do not grow without end.

    Args:
        logits: (B, C, ...) float, unnormalised scores.
        targets: (B, ...) int64, class indices in [0, C).
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
        weight: one number a class, for rare classes that should count more. The mean is then the
            weighted mean, as in torch: divided by the sum of the weights of the targets.
        ignore_index: items (pixels) with this target count nothing.
        reduction: "mean", or "none" for the values before it, shaped like `targets`.

    Raises: ShapeError: not one weight for each class. ConfigError: an option is out of range.

    >>> cross_entropy(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2]))
    tensor(0.4076)
    """
    if label_smoothing or weight is not None:
        check_options("cross_entropy", label_smoothing=label_smoothing, weight=weight)
    return F.cross_entropy(
        logits,
        targets,
        weight=weights_for("cross_entropy", weight, logits),
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def soft_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy against a share of each class: mixed pictures, several annotators, a teacher.

    Class indices are also taken, as one-hot shares, so that one loss serves mixed training batches
    and plain validation batches; it is then `cross_entropy`.

    Args:
        logits: (B, C, ...) float, unnormalised scores.
        targets: shaped like `logits`, from 0 to 1 and summing to 1 over the classes; or (B, ...)
            int64, class indices in [0, C).
        label_smoothing: as in `cross_entropy`.
        reduction: "mean", or "none" for the values before it, (B, ...).

    Raises: ShapeError: another shape. ConfigError: an option is out of range.

    >>> soft_cross_entropy(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.0, 0.5, 0.5]]))
    tensor(0.9076)
    """
    check_options("soft_cross_entropy", label_smoothing=label_smoothing)
    indices = (logits.shape[0], *logits.shape[2:])
    if targets.shape == logits.shape:
        targets = targets.to(logits.dtype)
    elif targets.shape != indices or targets.is_floating_point():
        raise ShapeError(
            f"`soft_cross_entropy` got targets of shape {tuple(targets.shape)}, expected "
            f"{tuple(logits.shape)}: a share for each class, like the scores; "
            f"or {indices} with class indices."
        )
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing, reduction=reduction)


def focal(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy times (1 - p)^gamma: what is already right counts next to nothing.

    For classes so frequent and easy that they drown the rest. Paper: Lin et al. 2017,
    arXiv:1708.02002, eq. 4, with softmax in place of its sigmoid, which is `binary_focal`.

    Args:
        logits: (B, C, ...) float, unnormalised scores.
        targets: (B, ...) int64, class indices in [0, C).
        gamma: from 0, which is cross-entropy, up; the paper's best is 2.
        weight: one number a class (the paper's alpha); the mean is the weighted one, as there.
        ignore_index: items with this target count nothing.
        reduction: "mean", or "none" for the values before it, shaped like `targets`.

    Raises: ShapeError: not one weight for each class. ConfigError: an option is out of range.

    >>> focal(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2]), gamma=0.0)
    tensor(0.4076)
    """
    check_options("focal", gamma=gamma, weight=weight)
    log_p = -F.cross_entropy(logits, targets, ignore_index=ignore_index, reduction="none")
    values = -focusing(log_p, gamma) * log_p  # (B, ...), 0 where ignored
    class_weights = weights_for("focal", weight, logits)
    kept = targets != ignore_index
    if class_weights is None:
        shares = kept.to(values.dtype)
    else:
        shares = torch.where(kept, class_weights[torch.where(kept, targets, 0)], 0)
        values = values * shares
    return values if reduction == "none" else values.sum() / shares.sum()


def focusing(log_p: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma from log p, exact where p is near 1 and 1 - p would be rounded away.

    At p = 1 a gamma below 1 has an infinite slope; held just above 0 it has none.
    """
    return (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny) ** gamma
