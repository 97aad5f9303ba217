"""What the applications' factories choose alike: loss and optimizer, each recorded with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from drivetrain import losses
from drivetrain.errors import ConfigError
from drivetrain.train.choice import Choices
from drivetrain.train.optimizing import OptimizerFactory
from drivetrain.train.parts import DEFAULT, as_optimizer, optimizer_record


def chosen_loss(
    asked: str | Mapping[str, Any] | Callable[..., Any] | None, kind: Any, choices: Choices
) -> Callable[..., Any]:
    """The loss that was asked for, else the one for the kind of target; see `losses.choose_loss`.

    Raises: UnknownNameError: no such loss, or kind.
    """
    usual = losses.choose_loss(kind)
    found = None
    if isinstance(asked, str):
        found = losses.loss(asked)
    elif isinstance(asked, Mapping):
        found = losses.loss_from_record(asked)
    elif asked is not None:
        found = asked
    choices.choose(
        "loss",
        None if found is None else losses.loss_record(found)["name"],
        usual=usual.name,
        reason=usual.reason,
        change="--set loss_fn=NAME",
    )
    return usual.fn if found is None else found


def chosen_optimizer(
    asked: str | Mapping[str, Any] | OptimizerFactory | None, choices: Choices, *, factory: str
) -> OptimizerFactory:
    """What makes the optimizer that was asked for, else AdamW.

    Args:
        factory: the name of the function that makes the model, for the message.

    Raises: ConfigError: it is an optimizer that is made already. UnknownNameError: no such optimizer.
    """
    found = as_optimizer(asked)
    if isinstance(found, torch.optim.Optimizer):
        raise ConfigError(
            f"`{factory}` makes the model, so an optimizer that is made already has other weights in "
            "it. Give what makes one: `optimizer=torch.optim.SGD`, or a name such as 'lamb'."
        )
    name = optimizer_record(found)["name"]
    choices.choose(
        "optimizer",
        None if name == DEFAULT else name,
        usual="adamw",
        reason="finds its way at most rates; with the settings that short trainings want",
        change="--set optimizer=NAME",
    )
    return found
