"""Batches as loaders give them, `(inputs, targets)` and its other forms, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from drivetrain.losses.table import unwrapped
from drivetrain.losses.tokens import num_tokens, token_cross_entropy


def call_of(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """How a batch is put into the model: positional arguments, named arguments, targets.

    `(inputs, targets)` is `model(inputs)`; `(a, b, targets)` is `model(a, b)`; a dict with `targets` (or
    `labels`) is `model(**rest)`.
    """
    if isinstance(batch, dict):
        name = "targets" if "targets" in batch else "labels"
        return (), {key: value for key, value in batch.items() if key != name}, batch[name]
    return tuple(batch[:-1]), {}, batch[-1]


def inputs_of(batch: Any) -> list[Any]:
    """What a batch gives to the model, by position and by name, without the targets."""
    args, named, _ = call_of(batch)
    return [*args, *named.values()]


def map_inputs(batch: Any, change: Callable[[Any], Any]) -> Any:
    """The batch with `change` applied to each input; targets and form stay.

    >>> map_inputs((torch.tensor([1.0]), torch.tensor([0])), lambda part: part + 1)
    (tensor([2.]), tensor([0]))
    """
    _, named, targets = call_of(batch)
    if isinstance(batch, dict):
        return batch | {key: change(part) for key, part in named.items()}
    return (*[change(part) for part in batch[:-1]], targets)


def num_items(targets: Any) -> int:
    """Items in a batch, read from its targets."""
    return targets.shape[0] if isinstance(targets, Tensor) and targets.ndim else 1


def num_terms(loss_fn: Any, targets: Any) -> int:
    """What the mean that a loss gives for a batch is over: its weight in the mean over all batches.

    Items; of `token_cross_entropy` the tokens that count, since a text's last batch may be shorter.
    """
    bare, options = unwrapped(loss_fn)
    if bare is token_cross_entropy:
        return num_tokens(targets, ignore_index=options.get("ignore_index", -100))
    return num_items(targets)


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch with its tensors on `device`; tuples, lists and dicts keep their form."""
    if isinstance(batch, Tensor):
        return batch if batch.device == device else batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple([to_device(part, device) for part in batch])
    return batch


def bare(outputs: Any) -> Any:
    """Without a graph: a view of a parameter has one even where no gradients are recorded."""
    if isinstance(outputs, Tensor):
        return outputs.detach()
    if isinstance(outputs, dict):
        return {key: bare(value) for key, value in outputs.items()}
    if isinstance(outputs, tuple | list):
        return tuple([bare(part) for part in outputs])
    return outputs


def length(loader: Iterable[Any]) -> int | None:
    """Number of batches where the loader knows it."""
    return len(loader) if hasattr(loader, "__len__") else None  # pyright: ignore[reportArgumentType]


def weighted_mean(values: Sequence[Tensor], counts: Sequence[int]) -> float:
    """Mean of per-batch means, in float64: each batch weighs as many terms as its mean is over."""
    if not values:
        return float("nan")
    stacked = torch.stack([value.detach() for value in values]).to("cpu", torch.float64)
    weights = torch.tensor(counts, dtype=torch.float64)
    return float((stacked * weights).sum() / weights.sum())
