"""All losses by name: with options, and as a record that a run stores and builds again.

>>> made = loss("cross_entropy", label_smoothing=0.1)
>>> loss_record(made)
{'name': 'cross_entropy', 'options': {'label_smoothing': 0.1}}
>>> loss_from_record(loss_record(made)).keywords
{'label_smoothing': 0.1}
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from drivetrain._registry import did_you_mean, lookup
from drivetrain.errors import ConfigError
from drivetrain.losses.binary import binary_cross_entropy_with_logits, binary_focal, mnist_loss
from drivetrain.losses.classes import cross_entropy, focal, soft_cross_entropy
from drivetrain.losses.common import LossFunction, check_options
from drivetrain.losses.masks import dice
from drivetrain.losses.numbers import huber, mae, mse, quantile
from drivetrain.losses.tokens import token_cross_entropy

LOSSES: Mapping[str, LossFunction] = MappingProxyType(
    {
        "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
        "binary_focal": binary_focal,
        "cross_entropy": cross_entropy,
        "dice": dice,
        "focal": focal,
        "huber": huber,
        "mae": mae,
        "mnist_loss": mnist_loss,
        "mse": mse,
        "quantile": quantile,
        "soft_cross_entropy": soft_cross_entropy,
        "token_cross_entropy": token_cross_entropy,
    }
)
"""Each is the mean over its items, and lower is better."""


def loss(name: str, **options: Any) -> LossFunction:
    """The loss `name` with its options filled in; name and options are all a run stores.

    Args:
        name: one of `LOSSES`.
        options: of that loss, as its docstring says; `reduction` is not one.

    Returns: the function itself where there are no options, else a `functools.partial` of it.
    Raises: UnknownNameError: no such loss. ConfigError: an option is unknown or out of range.

    >>> loss("mse") is mse
    True
    """
    function = lookup(LOSSES, name, what="loss")
    accepted = _options_of(function)
    for key in options:
        if key not in accepted:
            listed = f"Options: {', '.join(accepted)}." if accepted else "It has none."
            raise ConfigError(
                f"Loss '{name}' has no option '{key}'.{did_you_mean(key, accepted)} {listed}"
            )
    check_options(name, **options)
    return functools.partial(function, **options) if options else function


def loss_record(loss_fn: LossFunction) -> dict[str, Any]:
    """Name and options of a loss as plain JSON: `{"name": "focal", "options": {"gamma": 2.0}}`.

    A loss that is not from `LOSSES` has its name alone: only its owner can build it again.

    Args:
        loss_fn: one of `LOSSES`, with or without options; or one of your own.
    """
    bare, options = unwrapped(loss_fn)
    name = loss_name(bare)
    if LOSSES.get(name) is not bare:
        return {"name": name}
    return {"name": name, "options": {key: _plain(value) for key, value in options.items()}}


def loss_from_record(record: Mapping[str, Any]) -> LossFunction:
    """The loss that `loss_record` wrote down.

    Args:
        record: name and options.

    Raises: ConfigError: it was a loss of somebody's own, or an option does not fit.
        UnknownNameError: no such loss.
    """
    if "options" not in record:
        raise ConfigError(
            f"The loss '{record.get('name')}' is not one of Drivetrain's, so a record cannot build it "
            "again. Give the function as `loss_fn`."
        )
    return loss(record["name"], **record["options"])


def unwrapped(loss_fn: Any) -> tuple[Any, dict[str, Any]]:
    """A loss without its `partial`s, and the options that they fill in."""
    options: dict[str, Any] = {}
    while isinstance(loss_fn, functools.partial):
        options = {**loss_fn.keywords, **options}  # the outer one was given last, and wins
        loss_fn = loss_fn.func
    return loss_fn, options


def loss_name(loss_fn: Any) -> str:
    """What to call a loss in a message: the function's name, or its class."""
    return getattr(loss_fn, "__name__", type(loss_fn).__name__)


def _options_of(function: LossFunction) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "reduction"]


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
