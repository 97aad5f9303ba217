"""Refusing predictions and targets that do not fit the loss, before any training.

Several wrong pairs would run: (B, 1) against (B,) broadcasts to every prediction with every target,
one-hot targets under `mse` train the wrong thing. Each is answered with what to do instead.

Letters: B batch, C classes, `...` pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivetrain.errors import ShapeError
from drivetrain.losses.binary import binary_cross_entropy_with_logits, binary_focal, mnist_loss
from drivetrain.losses.choice import sums_to_one
from drivetrain.losses.classes import cross_entropy, focal, soft_cross_entropy
from drivetrain.losses.common import LossFunction, same_shape, weights_for
from drivetrain.losses.masks import dice
from drivetrain.losses.numbers import huber, mae, mse, quantile
from drivetrain.losses.several import check_widths, summed_cross_entropy
from drivetrain.losses.table import loss_name, unwrapped
from drivetrain.losses.tokens import token_cross_entropy

Options = Mapping[str, Any]


def check_pair(loss_fn: LossFunction, preds: Any, targets: Any) -> None:
    """Refuse predictions and targets that do not fit the loss; asked once, on the first batch.

    Knows the losses here and torch's (functions, modules, and `partial`s of them); about a loss of
    your own it says nothing.

    Args:
        loss_fn: the loss.
        preds: the model's outputs for the batch.
        targets: of the same batch.

    Raises: ShapeError: the wrong shape, type or range, with what to do instead.
    """
    bare, options = unwrapped(loss_fn)
    key = type(bare) if isinstance(bare, nn.Module) else bare
    check = _CHECKS.get(key) if isinstance(key, Hashable) else None
    if check is None:
        return
    if isinstance(bare, nn.Module):  # torch's modules keep their options as attributes
        options = {"ignore_index": getattr(bare, "ignore_index", -100)}
    name = loss_name(bare)
    for what, value in (("predictions", preds), ("targets", targets)):
        if not isinstance(value, Tensor):
            raise ShapeError(
                f"`{name}` got {what} of type {type(value).__name__}, expected a tensor. "
                "Write a loss of your own, (predictions, targets) -> (), that takes them apart."
            )
    if not preds.is_floating_point():
        raise ShapeError(
            f"`{name}` got {_dtype(preds)} predictions, expected floats: the model's scores, "
            "before any argmax or rounding, which have no gradient."
        )
    check(name, preds, targets, options)


def _check_classes(name: str, preds: Tensor, targets: Tensor, options: Options) -> None:
    shape = tuple(preds.shape)
    if preds.ndim < 2 or preds.shape[1] == 1:
        raise ShapeError(
            f"`{name}` got scores of shape {shape}, expected (B, C) with a score for each of "
            "two or more classes. For one score per item use `binary_cross_entropy_with_logits`."
        )
    expected = (shape[0], *shape[2:])
    classes = f"class indices in 0..{shape[1] - 1}"
    if tuple(targets.shape) != expected:
        raise ShapeError(
            f"`{name}` got targets of shape {tuple(targets.shape)}, expected {expected}: "
            f"{classes}, for scores of shape {shape}.{_way_to_classes(preds, targets, expected)}"
        )
    if targets.dtype != torch.int64:
        advice = (
            "For numbers use `mse`; if they are classes, give `targets.long()`."
            if targets.is_floating_point()
            else "Give `targets.long()`."
        )
        raise ShapeError(
            f"`{name}` got {_dtype(targets)} targets, expected int64: {classes}. {advice}"
        )
    weights_for(name, options.get("weight"), preds)
    counted = targets[targets != options.get("ignore_index", -100)]
    if (
        counted.numel()
        and not 0 <= (low := int(counted.min())) <= (high := int(counted.max())) < shape[1]
    ):
        wrong = low if low < 0 else high
        advice = "Make its last layer as wide as there are classes, numbered from 0."
        if wrong == 255 and targets.ndim >= 3:
            advice = (
                "In masks 255 is often a border that belongs to no class: give the loss "
                "`ignore_index=255`. Where it is white, the second class, give `targets // 255`."
            )
        raise ShapeError(
            f"`{name}` got target {wrong}, expected {classes}: the model gives {shape[1]} scores "
            f"per item. {advice}"
        )


def _way_to_classes(preds: Tensor, targets: Tensor, expected: tuple[int, ...]) -> str:
    """What to do with targets that have another shape than class indices have, if that is known."""
    shape = tuple(targets.shape)
    if shape == preds.shape:
        if not sums_to_one(targets):
            return (
                " For several labels per item, a 0 or 1 for each class, use "
                "`binary_cross_entropy_with_logits`."
            )
        if bool(((targets == 0) | (targets == 1)).all()):
            return " For one-hot targets give `targets.argmax(1)`."
        return " For a share of each class use `soft_cross_entropy`."
    if len(shape) == len(expected) + 1 and shape == (shape[0], 1, *expected[1:]):
        return " Give `targets.squeeze(1)`."
    if len(shape) == len(expected) >= 3 and shape[0] == expected[0]:
        return (
            " Scores and mask must have the same height and width: resize one of them, "
            'a mask with `F.interpolate(..., mode="nearest")`.'
        )
    if len(expected) >= 3 and shape == expected[:1]:
        return " There is one class per picture: average the scores over the pixels."
    if len(expected) == 1 and len(shape) >= 3:
        return " They look like masks, a class per pixel: the model must give a score per pixel."
    return ""


def _check_summed(name: str, preds: Tensor, targets: Tensor, options: Options) -> None:
    sizes = options["sizes"]
    check_widths(preds, targets, sizes)
    parts = zip(preds.split(list(sizes), dim=1), targets.unbind(dim=1), strict=True)
    for scores, codes in parts:
        _check_classes(name, scores, codes, {})


def _check_torch_classes(name: str, preds: Tensor, targets: Tensor, options: Options) -> None:
    # torch's own also takes a probability per class.
    if targets.is_floating_point() and targets.shape == preds.shape and preds.ndim >= 2:
        return
    _check_classes(name, preds, targets, options)


def _check_soft(name: str, preds: Tensor, targets: Tensor, options: Options) -> None:
    if targets.shape != preds.shape or preds.ndim < 2 or preds.shape[1] == 1:
        _check_classes(name, preds, targets, options)
    elif targets.numel() and not (bool((targets >= 0).all()) and sums_to_one(targets)):
        raise ShapeError(
            f"`{name}` got targets that do not sum to 1 over the {preds.shape[1]} classes, expected "
            "a share of each class. For several labels per item use "
            "`binary_cross_entropy_with_logits`, for numbers `mse`."
        )


def _check_dice(name: str, preds: Tensor, targets: Tensor, options: Options) -> None:
    if preds.ndim < 3:
        raise ShapeError(
            f"`{name}` got scores of shape {tuple(preds.shape)}, expected (B, C, height, width) "
            "with a score for each class of each pixel. For a class per picture use `cross_entropy`."
        )
    _check_classes(name, preds, targets, options)


def _check_numbers(name: str, preds: Tensor, targets: Tensor, _options: Options) -> None:
    if _are_classes(preds, targets):
        raise ShapeError(
            f"`{name}` got int64 targets of shape {tuple(targets.shape)} for predictions of "
            f"shape {tuple(preds.shape)}, expected numbers of that shape. If the targets are "
            "classes, use `cross_entropy`."
        )
    same_shape(name, preds, targets)


def _check_binary(name: str, preds: Tensor, targets: Tensor, _options: Options) -> None:
    if _are_classes(preds, targets):
        raise ShapeError(
            f"`{name}` got scores of shape {tuple(preds.shape)} and targets of shape "
            f"{tuple(targets.shape)}, expected a 0 or 1 for each score. If the targets are "
            "classes, use `cross_entropy`."
        )
    same_shape(name, preds, targets)
    if (
        targets.numel()
        and not 0 <= (low := float(targets.min())) <= (high := float(targets.max())) <= 1
    ):
        wrong = low if low < 0 else high
        raise ShapeError(
            f"`{name}` got target {wrong:g}, expected 0 or 1 for each score. "
            "For one of several classes use `cross_entropy`, for numbers `mse`."
        )


def _are_classes(preds: Tensor, targets: Tensor) -> bool:
    """Class indices for a model with a score for each class."""
    per_class = preds.ndim >= 2 and preds.shape[1] > 1
    return (
        per_class
        and targets.dtype == torch.int64
        and targets.shape
        == (
            preds.shape[0],
            *preds.shape[2:],
        )
    )


_CHECKS: Mapping[Any, Callable[[str, Tensor, Tensor, Options], None]] = MappingProxyType(
    {
        cross_entropy: _check_classes,
        focal: _check_classes,
        token_cross_entropy: _check_classes,
        F.cross_entropy: _check_torch_classes,
        nn.CrossEntropyLoss: _check_torch_classes,
        soft_cross_entropy: _check_soft,
        summed_cross_entropy: _check_summed,
        dice: _check_dice,
        binary_cross_entropy_with_logits: _check_binary,
        F.binary_cross_entropy_with_logits: _check_binary,
        nn.BCEWithLogitsLoss: _check_binary,
        binary_focal: _check_binary,
        mnist_loss: _check_binary,
        mse: _check_numbers,
        F.mse_loss: _check_numbers,
        nn.MSELoss: _check_numbers,
        mae: _check_numbers,
        F.l1_loss: _check_numbers,
        nn.L1Loss: _check_numbers,
        huber: _check_numbers,
        F.huber_loss: _check_numbers,
        nn.HuberLoss: _check_numbers,
        F.smooth_l1_loss: _check_numbers,
        nn.SmoothL1Loss: _check_numbers,
        quantile: _check_numbers,
    }
)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
