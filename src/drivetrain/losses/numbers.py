"""Losses for numbers: squared, absolute, Huber and quantile error.

They differ in what they make the prediction: the average of what is seen (squared), its median
(absolute), something between that outliers hardly move (Huber), or any quantile.

Letters: B batch, `...` any further dimensions (the same in both arguments).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.losses.common import Reduction, check_options, same_shape


def mse(preds: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Mean squared error: large mistakes count most; in squared units of the target.

    Args:
        preds: (B, ...) float.
        targets: shaped like `preds`.
        reduction: "mean", or "none" for the values before it, shaped like `preds`.

    Raises: ShapeError: the shapes differ; torch would pair every prediction with every target.
    """
    same_shape("mse", preds, targets)
    return F.mse_loss(preds, targets.to(preds.dtype), reduction=reduction)


def mae(preds: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Mean absolute error: every unit of mistake counts the same; in units of the target.

    The arguments and errors are those of `mse`.

    Args:
        preds: (B, …) float.
        targets: of the shape of `preds`.
        reduction: "mean", or "none" for the value of each item.

    >>> mae(torch.tensor([0.9, 0.4, 0.2]), torch.tensor([1, 0, 1]))
    tensor(0.4333)
    """
    same_shape("mae", preds, targets)
    return F.l1_loss(preds, targets.to(preds.dtype), reduction=reduction)


def huber(
    preds: Tensor, targets: Tensor, *, delta: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """Half the squared error up to `delta`, from there on a straight line: outliers pull no harder.

    Paper: Huber 1964, Annals of Mathematical Statistics 35(1).

    Args:
        preds: (B, ...) float.
        targets: shaped like `preds`.
        delta: mistake from which on it is a line, above 0, in units of the target.
        reduction: "mean", or "none" for the values before it, shaped like `preds`.

    Raises: ShapeError: the shapes differ. ConfigError: `delta` is out of range.

    >>> huber(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 10.0]), reduction="none")
    tensor([0.5000, 9.5000])
    """
    check_options("huber", delta=delta)
    same_shape("huber", preds, targets)
    return F.huber_loss(preds, targets.to(preds.dtype), delta=delta, reduction=reduction)


def quantile(
    preds: Tensor, targets: Tensor, *, q: float = 0.5, reduction: Reduction = "mean"
) -> Tensor:
    """Pinball loss: at its lowest, a share `q` of the targets lies below the prediction.

    A prediction that is too low costs `q` a unit, one that is too high 1 - `q`. Two models, with
    0.05 and 0.95, bound what nine of ten targets keep to; 0.5 is half of `mae`.
    Paper: Koenker & Bassett 1978, Econometrica 46(1).

    Args:
        preds: (B, ...) float.
        targets: shaped like `preds`.
        q: the quantile, above 0 and below 1.
        reduction: "mean", or "none" for the values before it, shaped like `preds`.

    Raises: ShapeError: the shapes differ. ConfigError: `q` is out of range.

    >>> quantile(torch.tensor([0.0, 0.0]), torch.tensor([1.0, -1.0]), q=0.9, reduction="none")
    tensor([0.9000, 0.1000])
    """
    check_options("quantile", q=q)
    same_shape("quantile", preds, targets)
    above = targets.to(preds.dtype) - preds  # how far the target lies above
    values = torch.maximum(q * above, (q - 1) * above)
    return values if reduction == "none" else values.mean()
