"""The loss worked out: of one item, or the mean of a batch, for every loss of `drivetrain.losses`.

    dt.show.loss(learner, item=3)            # of one validation item
    dt.show.loss(learner)                    # the mean over the first validation batch
    dt.show.loss_of("huber", preds, targets) # of numbers of one's own

The calculation starts at what the model gave, and is checked against what the loss itself says of it.
Of a loss of one's own, which is no formula here, what went in and what came out stand there, and that
it is not worked out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivetrain import losses
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.losses.several import summed_cross_entropy
from drivetrain.losses.table import loss_name, unwrapped
from drivetrain.randomness import preserved
from drivetrain.show.calculation import Calculation
from drivetrain.show.items import Item, valid_item
from drivetrain.show.measures.losses import WRITTEN, Case
from drivetrain.show.record import unchanged
from drivetrain.show.working import Working
from drivetrain.train.batches import bare, call_of
from drivetrain.train.learner import Learner

At = Sequence[int]
SUMMED = "summed_cross_entropy"
"""The loss of several targets, which is no loss of `losses.LOSSES`: its widths come from the data."""


def loss(learner: Learner, *, item: int | str | None = None, at: At = ()) -> Calculation:
    """The loss of a validation item worked out; without an item, the mean over the first batch of them.

    Args:
        learner: whose loss, model and validation items are used; nothing of it changes.
        item: its number from 0, or its id.
        at: where an item has many targets, the one of them: (row, column) of a mask, (position,) of a
            text, (number,) of several questions, from 0.

    Returns: of a loss that is not written out here a `Calculation` whose `is_shown` is False.
    Raises: InputError: no such item.
    """
    if at and item is None:
        raise ConfigError("`at` is a place among the targets of an item: name the item too.")
    found = valid_item(learner, 0 if item is None else item)
    preds, targets = outputs_of(learner, found.batch)
    classes = learner.application.classes if learner.application is not None else ()
    if item is None:
        return loss_of(learner.loss_fn, preds, targets, classes=classes)
    named = _name_of(found)
    return loss_of(
        learner.loss_fn, preds, targets, item=found.place, at=at, classes=classes, name=named
    )


def outputs_of(learner: Learner, batch: Any) -> tuple[Any, Any]:
    """What the model gives for a batch in evaluation, and the targets; the model is left as it was."""
    args, kwargs, targets = call_of(batch)
    with unchanged(learner.model), torch.no_grad(), preserved():
        return bare(learner.model(*args, **kwargs)), targets


def _name_of(item: Item) -> str:
    return (
        f"item {item.index}" if item.name == str(item.index) else f"item {item.index} ({item.name})"
    )


def loss_of(
    loss_fn: Any,
    preds: Tensor,
    targets: Tensor,
    *,
    item: int | None = None,
    at: At = (),
    classes: Sequence[str] = (),
    name: str = "",
) -> Calculation:
    """A loss of predictions worked out.

    Args:
        loss_fn: a name of `losses.LOSSES`, one of these functions with or without its options filled in,
            or torch's loss of the same kind.
        preds: (B, …) what the model gave.
        targets: (B, …) as the loss takes them.
        item: the place in the batch of the item whose loss it is to be; None: the mean over all.
        at: of an item with many targets, the one.
        classes: what the classes are called.
        name: what to call the item in the title.

    Returns: of a loss that is not written out here a `Calculation` whose `is_shown` is False.
    Raises: UnknownNameError: there is no loss of that name. ShapeError: no such place.
    """
    function = losses.loss(loss_fn) if isinstance(loss_fn, str) else loss_fn
    try:
        kind, options = known(function)
    except ConfigError as error:
        return _not_shown(function, preds, targets, item, name, str(error))
    preds, targets = preds.detach(), targets.detach()
    if item is None:
        title = f"{kind} of {len(targets):,} items: the mean"
        own = function(preds, targets)
    else:
        if not 0 <= item < len(targets):
            raise ShapeError(f"There is no item {item} in a batch of {len(targets)}.")
        preds, targets = preds[item : item + 1], targets[item : item + 1]
        title = f"{kind} of {name or f'item {item}'}"
        if at and kind == SUMMED:
            preds, targets = _of_target(preds, targets, at, options["sizes"])
            kind, options, function = "cross_entropy", {}, losses.cross_entropy
            title = f"{kind} of {name or f'item {item}'}, target {at[0] + 1}"
        elif at:
            preds, targets = _at(preds, targets, at)
            title += f", at {', '.join(map(str, at))}"
        own = losses.per_item(function, preds, targets)[0]
    work = Working()
    case = Case(work, preds.double().cpu(), targets.cpu(), options, item is None, classes)
    formula = WRITTEN[kind](case)
    source = f"{loss_name(unwrapped(function)[0])}, drivetrain.losses"
    tolerance = {torch.float64: 1e-9, torch.float32: 1e-5}.get(preds.dtype, 1e-2)
    return work.done(title + case.said, formula, own, source=source, tolerance=tolerance)


def _not_shown(
    function: Any, preds: Any, targets: Any, item: int | None, name: str, reason: str
) -> Calculation:
    """What goes into a loss of one's own and what it gives, repeated; nothing of it is worked out."""
    of = f"{_length(targets):,} items"
    if item is not None:
        if not 0 <= item < _length(targets):
            raise ShapeError(f"There is no item {item} in a batch of {_length(targets)}.")
        preds, targets = (_only(one, item) for one in (preds, targets))
        of = f"{name or f'item {item}'}, as a batch of its own"
    with torch.no_grad():
        own = function(preds, targets)
    work = Working()
    for called, value, meaning in (
        ("x", preds, "what the model gives"),
        ("y", targets, "the target"),
    ):
        if isinstance(value, Tensor):
            work.put(called, value, meaning)
    work.put("given", own, "the loss's own value", "result")
    work.line("loss", "given", "as the loss gives it")
    kind = loss_name(unwrapped(function)[0])
    return work.done(f"{kind} of {of}: not shown", reason, own, source=kind, is_shown=False)


def _length(targets: Any) -> int:
    return len(targets) if isinstance(targets, Tensor) else len(next(iter(targets)))


def _only(value: Any, item: int) -> Any:
    """One item of a batch, as a batch of its own."""
    if isinstance(value, Tensor):
        return value.detach()[item : item + 1]
    if isinstance(value, Mapping):
        return {key: _only(one, item) for key, one in value.items()}
    return type(value)(_only(one, item) for one in value)


def _of_target(
    preds: Tensor, targets: Tensor, at: At, sizes: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The scores (1, C_t) and the class (1,) of one of several targets, by its place from 0."""
    if len(at) != 1 or not 0 <= at[0] < len(sizes):
        raise ShapeError(
            f"`at` must be one of the {len(sizes)} targets, 0 to {len(sizes) - 1}. Got {tuple(at)}."
        )
    return preds.split(list(sizes), dim=1)[at[0]], targets[:, at[0]]


def _at(preds: Tensor, targets: Tensor, at: At) -> tuple[Tensor, Tensor]:
    rest = targets.shape[1:]
    if not rest:
        raise ShapeError(f"An item here has one target, so there is no `at`. Got {tuple(at)}.")
    if len(at) != len(rest) or not all(0 <= a < n for a, n in zip(at, rest, strict=False)):
        raise ShapeError(
            f"`at` must be a place in {tuple(rest)}, the targets of an item. Got {tuple(at)}."
        )
    place = tuple(slice(a, a + 1) for a in at)
    if preds.ndim == targets.ndim:
        return preds[(slice(None), *place)], targets[(slice(None), *place)]
    flat = preds[(slice(None), slice(None), *place)].flatten(1)  # (1, C)
    return flat, targets[(slice(None), *place)].flatten()


# --- which loss it is -----------------------------------------------------------------------------

_TORCH: Mapping[Any, str] = MappingProxyType(
    {
        F.binary_cross_entropy_with_logits: "binary_cross_entropy_with_logits",
        F.cross_entropy: "cross_entropy",
        F.huber_loss: "huber",
        F.l1_loss: "mae",
        F.mse_loss: "mse",
        nn.BCEWithLogitsLoss: "binary_cross_entropy_with_logits",
        nn.CrossEntropyLoss: "cross_entropy",
        nn.HuberLoss: "huber",
        nn.L1Loss: "mae",
        nn.MSELoss: "mse",
    }
)
_OPTIONS = ("weight", "label_smoothing", "ignore_index", "pos_weight", "delta")


def known(loss_fn: Any) -> tuple[str, dict[str, Any]]:
    """The name of a loss in `losses.LOSSES` and its options; torch's own losses are known too.

    Raises: ConfigError: it is another loss, or has an option that is not written out here.
    """
    bare_fn, options = unwrapped(loss_fn)
    name = loss_name(bare_fn)
    if losses.LOSSES.get(name) is bare_fn or bare_fn is summed_cross_entropy:
        return name, options
    kind = _TORCH.get(type(bare_fn)) or (_TORCH.get(bare_fn) if _is_hashable(bare_fn) else None)
    if kind is None:
        raise ConfigError(
            f"The loss `{name}` is not one whose formula is written here. Written: "
            f"{', '.join(one for one in WRITTEN if one != SUMMED)}."
        )
    if isinstance(bare_fn, nn.Module):
        options = {key: getattr(bare_fn, key) for key in _OPTIONS if hasattr(bare_fn, key)}
    if getattr(bare_fn, "reduction", options.pop("reduction", "mean")) != "mean":
        raise ConfigError(
            f"The loss `{name}` is written here as a mean, and its reduction is another."
        )
    if kind != "cross_entropy" and options.pop("weight", None) is not None:
        raise ConfigError(f"The option `weight` of `{name}` is not written out here.")
    return kind, {key: value for key, value in options.items() if value is not None}


def _is_hashable(value: Any) -> bool:
    return getattr(value, "__hash__", None) is not None
