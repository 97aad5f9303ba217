"""What the parts of the guard ask of their arguments, and of the tensors they are read from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from drivetrain.bundle.fields import Fields
from drivetrain.errors import BundleError, ConfigError, InputError, ShapeError

MOST = 100_000
"""Features or classes that there may be."""

LARGEST = 1e30
"""Of a number that is looked at: squares of it, and what they are multiplied with, stay finite."""


def check_rows(who: str, name: str, rows: Tensor, *, width: int | None = None) -> Tensor:
    """(N, width) finite float -> the same in float64.

    Raises: ShapeError: another shape or dtype. InputError: NaN or infinity.
    """
    if rows.ndim != 2 or not rows.is_floating_point() or (width and rows.shape[1] != width):
        raise ShapeError(
            f"`{who}` got {name} of shape {tuple(rows.shape)} and dtype {rows.dtype}, expected "
            f"(items, {width or 'any width'}) floats."
        )
    rows = rows.detach().double()
    is_good = rows.abs() <= LARGEST  # False for NaN too
    if not bool(is_good.all()):
        bad = int((~is_good).any(dim=1).nonzero()[0])
        raise InputError(
            f"`{who}` got {name} with NaN, infinity or more than {LARGEST:g}, first in row {bad}. "
            "Look at that item, and at the model's weights."
        )
    return rows


def check_logits(who: str, logits: Tensor, *, classes: int | None = None, least: int = 1) -> Tensor:
    """(N, C) finite float with N at least `least` -> the same in float64. Raises: as `check_rows`."""
    logits = check_rows(who, "logits", logits, width=classes)
    if len(logits) < least or logits.shape[1] < 1:
        raise ShapeError(
            f"`{who}` got logits of shape {tuple(logits.shape)}, expected at least {least} items and a "
            "class."
        )
    return logits


def check_targets(who: str, targets: Tensor, logits: Tensor) -> Tensor:
    """(N,) integers below the number of classes -> int64.

    Raises: ShapeError: another shape or dtype. InputError: a class that there is not.
    """
    n, classes = logits.shape
    if targets.shape != (n,) or targets.is_floating_point() or targets.is_complex():
        raise ShapeError(
            f"`{who}` got targets of shape {tuple(targets.shape)} and dtype {targets.dtype}, expected "
            f"({n},) class indices."
        )
    targets = targets.detach().long()
    low, high = (int(targets.min()), int(targets.max())) if n else (0, 0)
    if low < 0 or high >= classes:
        raise InputError(
            f"`{who}` got targets from {low} to {high}, expected class indices in 0..{classes - 1}."
        )
    return targets


def check_share(who: str, name: str, value: float) -> None:
    """A number in (0, 1). Raises: ConfigError."""
    if not 0 < value < 1:
        raise ConfigError(f"`{who}` got {name} {value}, expected a share between 0 and 1.")


def threshold_to_json(value: float) -> float | None:
    """A threshold; null where it is infinite, which JSON has no number for."""
    return None if math.isinf(value) else value


def read_threshold(fields: Fields, name: str, low: float, high: float) -> float:
    """A number in [low, high], or null for infinity. Raises: BundleError."""
    value = fields.take(name)
    if value is None:
        return math.inf
    return Fields({name: value}, fields.where).number(name, low, high)


def read_share(fields: Fields, name: str) -> float:
    """A number in (0, 1). Raises: BundleError."""
    value = fields.number(name, 0, 1)
    if value in (0, 1):
        fields.wrong(name, "a share between 0 and 1", value)
    return value


def read_tensor(
    tensors: Mapping[str, Any], name: str, sizes: Sequence[range], largest: float = LARGEST
) -> Tensor:
    """A dense float32 tensor whose sizes lie in these ranges, and its numbers in -largest..largest.

    Raises: BundleError.
    """
    value = tensors.get(name)
    if not isinstance(value, Tensor):
        raise BundleError(f"The guard has no tensor '{name}'. Export the bundle again.")
    fits = value.ndim == len(sizes) and all(map(_is_in, value.shape, sizes))
    if not fits or value.dtype != torch.float32 or value.layout != torch.strided:
        wanted = ", ".join(
            str(size[0]) if len(size) == 1 else f"{size[0]}..{size[-1]}" for size in sizes
        )
        raise BundleError(
            f"The guard's tensor '{name}' is {value.dtype} of shape {tuple(value.shape)}, expected "
            f"torch.float32 of shape ({wanted}). Export the bundle again."
        )
    if not bool((value.abs() <= largest).all()):
        raise BundleError(
            f"The guard's tensor '{name}' holds NaN or numbers beyond {largest:g}. "
            "Export the bundle again."
        )
    return value


def _is_in(size: int, sizes: range) -> bool:
    return size in sizes
