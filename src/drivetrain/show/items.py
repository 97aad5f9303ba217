"""Items of a Learner's data by number or by name: the batch that an item is in, and its place there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from drivetrain._registry import did_you_mean
from drivetrain.data.loaders import BatchLoader
from drivetrain.errors import ConfigError, InputError
from drivetrain.randomness import preserved
from drivetrain.train.batches import call_of, num_items, to_device
from drivetrain.train.learner import Learner
from drivetrain.train.loop import epoch_of


@dataclass(frozen=True)
class Item:
    """An item of a loader, with the batch around it."""

    batch: Any
    """On the Learner's device."""
    place: int
    """Where the item stands in the batch."""
    index: int
    """Its number in the loader."""
    name: str
    """Its id, or its number where it has none."""

    def alone(self) -> Any:
        """The batch cut down to the item: what it is given to the model alone."""
        at = self.place

        def cut(part: Any) -> Any:
            if isinstance(part, torch.Tensor) and part.ndim:
                return part[at : at + 1]
            if isinstance(part, tuple | list):
                return tuple([cut(one) for one in part])
            return part

        if isinstance(self.batch, dict):
            return {key: cut(value) for key, value in self.batch.items()}
        return tuple([cut(part) for part in self.batch])


def valid_item(learner: Learner, item: int | str = 0) -> Item:
    """An item of the validation set, by its number from 0 or by its id.

    Raises: InputError: there is no such item. ConfigError: there are no validation items.
    """
    loader = learner.loaders.valid
    if loader is None:
        raise ConfigError("There are no validation items to choose one from.")
    return item_of(loader, item, learner)


def item_of(loader: Iterable[Any], item: int | str, learner: Learner) -> Item:
    """An item of a loader, with the batch it comes in; nothing that is drawn later changes.

    Raises: InputError: there is no such item.
    """
    ids = ids_of(loader)
    index = item if isinstance(item, int) else _index(ids, item)
    if index < 0:
        raise InputError(f"Items are counted from 0. Got {index}.")
    start, seen = 0, 0
    if isinstance(loader, BatchLoader) and not loader.shuffle and len(loader):
        # Only the batch it is in is fetched; a short last batch may have joined the one before.
        start = min(index // loader.batch_size, len(loader) - 1)
        seen = start * loader.batch_size
    with preserved():
        for batch in epoch_of(loader, learner.seed, 0, start=start):
            count = num_items(call_of(batch)[2])
            if index < seen + count:
                name = ids[index] if ids is not None and index < len(ids) else str(index)
                return Item(to_device(batch, learner.device), index - seen, index, str(name))
            seen += count
    raise InputError(f"There is no item {index}: there are {seen}, counted from 0.")


def ids_of(loader: Any) -> Sequence[str] | None:
    """The ids of a loader's items, in its order; None where they have none."""
    return getattr(getattr(loader, "data", None), "ids", None)


def count_of(loader: Iterable[Any]) -> int:
    """How many items a loader has; of a stream of tokens its rows, batch by batch."""
    data = getattr(loader, "data", None)
    if hasattr(data, "__len__"):
        return len(data)  # pyright: ignore[reportArgumentType]
    return sum(num_items(call_of(batch)[2]) for batch in loader)


def _index(ids: Sequence[str] | None, item: str) -> int:
    if ids is not None and item in ids:
        return list(ids).index(item)
    if item.removeprefix("-").isdigit():
        return int(item)
    if ids is None:
        raise InputError(f"The items have no names: give a number from 0 up. Got '{item}'.")
    raise InputError(
        f"No validation item is called '{item}'.{did_you_mean(item, list(ids))} "
        f"They are called such as '{ids[0]}'; a number from 0 to {len(ids) - 1} does too."
    )
