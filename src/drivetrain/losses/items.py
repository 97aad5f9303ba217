"""The loss of each item, for any loss function: what worst-losses lists are made of."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain.errors import ShapeError
from drivetrain.losses.common import LossFunction


def per_item(loss_fn: LossFunction, preds: Tensor, targets: Tensor) -> Tensor:
    """The loss of each item, (B,), for any loss function; what worst-losses lists are made of.

    A function or module with a `reduction` is asked for "none", and what remains of an item (its
    pixels, its labels) is averaged; any other is called once per item, on a batch of one.

    Args:
        loss_fn: (predictions, targets) -> ().
        preds: (B, ...).
        targets: (B, ...).

    Raises: ShapeError: the batches differ in length.
    """
    if len(preds) != len(targets):
        raise ShapeError(
            f"`per_item` got {len(preds)} predictions and {len(targets)} targets, "
            "expected one target for each prediction."
        )
    if isinstance(loss_fn, nn.Module) and hasattr(loss_fn, "reduction"):
        unreduced: Any = copy.copy(loss_fn)  # shares the tensors; only this copy stops averaging
        unreduced.reduction = "none"
        values = unreduced(preds, targets)
    elif not isinstance(loss_fn, nn.Module) and _takes_reduction(loss_fn):
        values = loss_fn(preds, targets, reduction="none")
    else:
        one = [loss_fn(preds[i : i + 1], targets[i : i + 1]) for i in range(len(preds))]
        return torch.stack(one) if one else preds.new_zeros(0)
    return values.flatten(start_dim=1).mean(dim=1) if values.ndim > 1 else values


def _takes_reduction(loss_fn: LossFunction) -> bool:
    try:
        return "reduction" in inspect.signature(loss_fn).parameters
    except ValueError:  # a function written in C without a signature
        return False
