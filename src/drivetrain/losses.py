"""Losses: how wrong a batch of predictions is, as one number that has a gradient.

Each is a plain function `(predictions, targets) -> ()`, the mean over the batch, and carries
nothing; `reduction="none"` gives the values before the mean. A loss is for the optimizer, which
needs a gradient everywhere; a metric (`drivetrain.metrics`) is for people, and is another object.

Which loss fits which target is decided by `choose_loss`, and `check_pair` refuses a pair that
does not fit before any training: several of them would run, and learn nothing.
Twin: drivetrain.reference.losses.

Letters: B batch, C classes, `...` any further dimensions (the same in both arguments).
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivetrain._registry import lookup
from drivetrain.errors import ShapeError

LossFunction = Callable[..., Tensor]
Reduction = Literal["mean", "none"]


def cross_entropy(logits: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """-log of the probability that softmax gives to the true class, in nats.

    Args:
        logits: (B, C, ...) float, unnormalised scores.
        targets: (B, ...) int64, class indices in [0, C).
        reduction: "mean", or "none" for the values before it, shaped like `targets`.

    >>> cross_entropy(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2]))
    tensor(0.4076)
    """
    return F.cross_entropy(logits, targets, reduction=reduction)


def binary_cross_entropy_with_logits(
    logits: Tensor, targets: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy of yes-or-no questions, one score each; several per item make it multi-label.

    Args:
        logits: (B, ...) float, unnormalised: above 0 means more likely yes.
        targets: shaped like `logits`; 0, 1 or a probability between; any number type or bool.
        reduction: "mean", or "none" for the values before it, shaped like `logits`.

    Raises: ShapeError: the shapes differ.
    """
    _same_shape("binary_cross_entropy_with_logits", logits, targets)
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction=reduction)


def mse(preds: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Mean squared error: large mistakes count most; in squared units of the target.

    Args:
        preds: (B, ...) float.
        targets: shaped like `preds`.
        reduction: "mean", or "none" for the values before it, shaped like `preds`.

    Raises: ShapeError: the shapes differ; torch would pair every prediction with every target.
    """
    _same_shape("mse", preds, targets)
    return F.mse_loss(preds, targets.to(preds.dtype), reduction=reduction)


def mae(preds: Tensor, targets: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Mean absolute error: every unit of mistake counts the same; in units of the target.

    The arguments and errors are those of `mse`.

    >>> mae(torch.tensor([0.9, 0.4, 0.2]), torch.tensor([1, 0, 1]))
    tensor(0.4333)
    """
    _same_shape("mae", preds, targets)
    return F.l1_loss(preds, targets.to(preds.dtype), reduction=reduction)


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
    _same_shape("mnist_loss", logits, targets)
    return mae(logits.sigmoid(), targets, reduction=reduction)


LOSSES: Mapping[str, LossFunction] = MappingProxyType(
    {
        "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
        "cross_entropy": cross_entropy,
        "mae": mae,
        "mnist_loss": mnist_loss,
        "mse": mse,
    }
)


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


class LossChoice(NamedTuple):
    """A loss, and why it was chosen."""

    name: str
    fn: LossFunction
    reason: str


def choose_loss(kind: Literal["class", "number", "binary"]) -> LossChoice:
    """The loss for a kind of target, with the reason in one sentence.

    Args:
        kind: "class" (one of several), "number" (a quantity), "binary" (yes or no, one score each).

    Raises: UnknownNameError: another kind.

    >>> choose_loss("class").name
    'cross_entropy'
    """
    return lookup(_CHOICES, kind, what="kind of target")


_CHOICES: Mapping[str, LossChoice] = MappingProxyType(
    {
        "class": LossChoice(
            "cross_entropy",
            cross_entropy,
            "Each item is one of several classes: cross-entropy asks for a high probability of "
            "the true one, and is high for answers that are wrong and confident.",
        ),
        "number": LossChoice(
            "mse",
            mse,
            "The target is a number: mean squared error makes the prediction the average of what "
            "is seen; `mae` makes it the median, and heeds outliers less.",
        ),
        "binary": LossChoice(
            "binary_cross_entropy_with_logits",
            binary_cross_entropy_with_logits,
            "Each score answers yes or no on its own: cross-entropy with a sigmoid for each.",
        ),
    }
)


def loss_table(probs: Sequence[float] = (0.99, 0.51, 0.01)) -> list[tuple[float, float]]:
    """Rows (probability given to the true class, cross-entropy): what being wrong costs.

    Right and sure costs next to nothing, right and unsure costs, wrong and sure costs most.

    >>> [(prob, round(loss, 4)) for prob, loss in loss_table()]
    [(0.99, 0.0101), (0.51, 0.6733), (0.01, 4.6052)]
    """
    true = torch.tensor(probs, dtype=torch.float64)
    logits = torch.stack([true, 1 - true], dim=1).log()  # softmax takes these back to the probs
    target = torch.zeros(len(true), dtype=torch.int64)
    return list(zip(probs, cross_entropy(logits, target, reduction="none").tolist(), strict=True))


def check_pair(loss_fn: LossFunction, preds: Any, targets: Any) -> None:
    """Refuse predictions and targets that do not fit the loss; asked once, on the first batch.

    Knows the losses here and torch's (functions, modules, and `partial`s of them); about a loss of
    your own it says nothing.

    Raises: ShapeError: the wrong shape, type or range, with what to do instead.
    """
    bare = loss_fn
    while isinstance(bare, functools.partial):
        bare = bare.func
    key = type(bare) if isinstance(bare, nn.Module) else bare
    check = _CHECKS.get(key) if isinstance(key, Hashable) else None
    if check is None:
        return
    name = _loss_name(bare)
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
    check(name, preds, targets)


def _check_classes(name: str, preds: Tensor, targets: Tensor) -> None:
    shape = tuple(preds.shape)
    if preds.ndim < 2 or preds.shape[1] == 1:
        raise ShapeError(
            f"`{name}` got scores of shape {shape}, expected (B, C) with a score for each of "
            "two or more classes. For one score per item use `binary_cross_entropy_with_logits`."
        )
    expected = (shape[0], *shape[2:])
    classes = f"class indices in 0..{shape[1] - 1}"
    if tuple(targets.shape) != expected:
        soft = " For one-hot targets give `targets.argmax(1)`." if targets.shape == shape else ""
        raise ShapeError(
            f"`{name}` got targets of shape {tuple(targets.shape)}, expected {expected}: "
            f"{classes}, for scores of shape {shape}.{soft}"
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
    if (
        targets.numel()
        and not 0 <= (low := int(targets.min())) <= (high := int(targets.max())) < shape[1]
    ):
        wrong = low if low < 0 else high
        raise ShapeError(
            f"`{name}` got target {wrong}, expected {classes}: the model gives {shape[1]} scores "
            "per item. Make its last layer as wide as there are classes, numbered from 0."
        )


def _check_torch_classes(name: str, preds: Tensor, targets: Tensor) -> None:
    # torch's own also takes a probability per class, and skips targets of `ignore_index`.
    if targets.is_floating_point() and targets.shape == preds.shape and preds.ndim >= 2:
        return
    _check_classes(name, preds, targets.clamp(min=0) if targets.dtype == torch.int64 else targets)


def _check_numbers(name: str, preds: Tensor, targets: Tensor) -> None:
    if targets.dtype == torch.int64 and preds.ndim == 2 and targets.shape == preds.shape[:1]:
        if preds.shape[1] > 1:
            raise ShapeError(
                f"`{name}` got int64 targets of shape {tuple(targets.shape)} for predictions of "
                f"shape {tuple(preds.shape)}, expected numbers of that shape. If the targets are "
                "classes, use `cross_entropy`."
            )
    _same_shape(name, preds, targets)


def _check_binary(name: str, preds: Tensor, targets: Tensor) -> None:
    if targets.dtype == torch.int64 and preds.ndim == 2 and targets.shape == preds.shape[:1]:
        if preds.shape[1] > 1:
            raise ShapeError(
                f"`{name}` got scores of shape {tuple(preds.shape)} and targets of shape "
                f"{tuple(targets.shape)}, expected a 0 or 1 for each score. If the targets are "
                "classes, use `cross_entropy`."
            )
    _same_shape(name, preds, targets)
    if (
        targets.numel()
        and not 0 <= (low := float(targets.min())) <= (high := float(targets.max())) <= 1
    ):
        wrong = low if low < 0 else high
        raise ShapeError(
            f"`{name}` got target {wrong:g}, expected 0 or 1 for each score. "
            "For one of several classes use `cross_entropy`, for numbers `mse`."
        )


def _same_shape(name: str, preds: Tensor, targets: Tensor) -> None:
    if preds.shape == targets.shape:
        return
    if preds.shape == (*targets.shape, 1):
        advice = "Give `preds.squeeze(-1)`."
    elif targets.shape == (*preds.shape, 1):
        advice = "Give `targets.squeeze(-1)`."
    else:
        advice = "They must be equal: broadcasting would pair the wrong items."
    raise ShapeError(
        f"`{name}` got predictions of shape {tuple(preds.shape)} and targets of shape "
        f"{tuple(targets.shape)}. {advice}"
    )


_CHECKS: Mapping[Any, Callable[[str, Tensor, Tensor], None]] = MappingProxyType(
    {
        cross_entropy: _check_classes,
        F.cross_entropy: _check_torch_classes,
        nn.CrossEntropyLoss: _check_torch_classes,
        binary_cross_entropy_with_logits: _check_binary,
        F.binary_cross_entropy_with_logits: _check_binary,
        nn.BCEWithLogitsLoss: _check_binary,
        mnist_loss: _check_binary,
        mse: _check_numbers,
        F.mse_loss: _check_numbers,
        nn.MSELoss: _check_numbers,
        mae: _check_numbers,
        F.l1_loss: _check_numbers,
        nn.L1Loss: _check_numbers,
        F.smooth_l1_loss: _check_numbers,
        nn.SmoothL1Loss: _check_numbers,
        F.huber_loss: _check_numbers,
        nn.HuberLoss: _check_numbers,
    }
)


def _loss_name(loss_fn: Any) -> str:
    return getattr(loss_fn, "__name__", type(loss_fn).__name__)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _takes_reduction(loss_fn: LossFunction) -> bool:
    try:
        return "reduction" in inspect.signature(loss_fn).parameters
    except ValueError:  # a function written in C without a signature
        return False
