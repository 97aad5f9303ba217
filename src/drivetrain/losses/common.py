"""What the losses share: their form, the range of their options, equal shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError

LossFunction = Callable[..., Tensor]
"""`(predictions, targets) -> ()`, the mean over the batch."""
Reduction = Literal["mean", "none"]
"""The mean over the batch, or the value of each item."""
Weights = Sequence[float] | Tensor


class _Range(NamedTuple):
    holds: Callable[[Any], bool]
    words: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_weights(value: Any) -> bool:
    values = value.tolist() if isinstance(value, Tensor) else value
    if not isinstance(values, list | tuple):
        return False
    return bool(values) and all(_is_number(v) and v >= 0 for v in values) and sum(values) > 0


_RANGES: Mapping[str, _Range] = MappingProxyType(
    {
        "alpha": _Range(lambda v: v is None or (_is_number(v) and 0 <= v <= 1), "from 0 to 1"),
        "delta": _Range(lambda v: _is_number(v) and v > 0, "above 0"),
        "gamma": _Range(lambda v: _is_number(v) and v >= 0, "from 0 up"),
        "ignore_index": _Range(lambda v: isinstance(v, int), "a whole number"),
        "label_smoothing": _Range(lambda v: _is_number(v) and 0 <= v < 1, "from 0 up, below 1"),
        "pos_weight": _Range(
            lambda v: v is None or (_is_number(v) and v > 0) or _are_weights(v),
            "a number above 0, or one for each score",
        ),
        "q": _Range(lambda v: _is_number(v) and 0 < v < 1, "above 0 and below 1"),
        "smooth": _Range(lambda v: _is_number(v) and v > 0, "above 0"),
        "weight": _Range(
            lambda v: v is None or _are_weights(v), "a number from 0 up for each class, not all 0"
        ),
    }
)
"""What the losses' options may be; an option means the same in each loss that has it."""


def check_options(name: str, **options: Any) -> None:
    """Refuse options out of range; `name` is the loss.

    Raises: ConfigError: the first such option.
    """
    for key, value in options.items():
        if not _RANGES[key].holds(value):
            raise ConfigError(f"`{name}` needs `{key}` {_RANGES[key].words}. Got {value!r}.")


def weights_for(name: str, weight: Weights | None, logits: Tensor) -> Tensor | None:
    """Class weights as a tensor like `logits`, (C,).

    Raises: ShapeError: not one for each class.
    """
    if weight is None:
        return None
    if len(weight) != logits.shape[1]:
        raise ShapeError(
            f"`{name}` got {len(weight)} class weights for {logits.shape[1]} scores per item, "
            "expected one for each class, in the order of the classes."
        )
    return torch.as_tensor(weight, dtype=logits.dtype, device=logits.device)


def same_shape(name: str, preds: Tensor, targets: Tensor) -> None:
    """Refuse what torch would broadcast: (B, 1) against (B,) pairs every item with every other.

    Raises: ShapeError: the shapes differ; with what to do where that is known.
    """
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
