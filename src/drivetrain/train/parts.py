"""What a person may give for loaders and for a loss, as the loop needs them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from drivetrain import losses
from drivetrain._registry import lookup
from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError
from drivetrain.train.loop import call_of
from drivetrain.train.state import LossFn


def as_loaders(loaders: Any) -> Loaders:
    """`Loaders` from themselves, from a tuple (train, valid, test) or its beginning, or from one loader.

    A list is one loader: a list of batches is iterated over as often as one likes.
    """
    if isinstance(loaders, Loaders):
        return loaders
    if isinstance(loaders, tuple) and 1 <= len(loaders) <= 3:
        return Loaders(*loaders)
    return Loaders(loaders)


def as_loss(loss_fn: LossFn | str | None, loaders: Loaders) -> LossFn:
    """A loss from itself, from its name, or chosen by the targets of the first training batch.

    Raises: UnknownNameError: no such loss. ConfigError: there is no batch, or targets that are no tensor.
    """
    if isinstance(loss_fn, str):
        return lookup(losses.LOSSES, loss_fn, what="loss")
    if loss_fn is not None:
        return loss_fn
    batch = next(iter(loaders.train), None)
    if batch is None:
        raise ConfigError("The training loader is empty: there is nothing to learn from.")
    _, _, targets = call_of(batch)
    if not isinstance(targets, Tensor):
        raise ConfigError(
            f"No loss is known for targets of type {type(targets).__name__}. Give `loss_fn`."
        )
    return losses.choose_loss("number" if targets.is_floating_point() else "class").fn
