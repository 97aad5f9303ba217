"""The callbacks, one a file, and their names.

    Learner(..., callbacks=[EMA(decay=0.99)])          imported from its own module
    Learner(..., callbacks=[callback("ema", decay=0.99)])

A callback is its name and its options: that is how a run records it, and how it is made again.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from drivetrain._registry import did_you_mean, lookup
from drivetrain.errors import ConfigError

if TYPE_CHECKING:
    from drivetrain.train.callback import Callback

CALLBACKS: Mapping[str, str] = MappingProxyType(
    {
        "accumulate": "drivetrain.train.callbacks.accumulate:Accumulate",
        "activation_stats": "drivetrain.train.callbacks.activation_stats:ActivationStats",
        "carry_state": "drivetrain.train.callbacks.carry_state:CarryState",
        "checkpoint": "drivetrain.train.callbacks.checkpoint:Checkpoint",
        "clip_gradients": "drivetrain.train.callbacks.clip_gradients:ClipGradients",
        "cutmix": "drivetrain.train.callbacks.cutmix:CutMix",
        "early_stopping": "drivetrain.train.callbacks.early_stopping:EarlyStopping",
        "ema": "drivetrain.train.callbacks.ema:EMA",
        "freeze_batchnorm": "drivetrain.train.callbacks.freeze_batchnorm:FreezeBatchnorm",
        "label_smoothing": "drivetrain.train.callbacks.label_smoothing:LabelSmoothing",
        "mixed_precision": "drivetrain.train.callbacks.mixed_precision:MixedPrecision",
        "mixup": "drivetrain.train.callbacks.mixup:Mixup",
        "nonfinite_guard": "drivetrain.train.callbacks.nonfinite_guard:NonFiniteGuard",
        "optimizer_mode": "drivetrain.train.callbacks.optimizer_mode:OptimizerMode",
        "progressive_resizing": "drivetrain.train.callbacks.progressive_resizing:ProgressiveResizing",
        "reduce_on_plateau": "drivetrain.train.callbacks.reduce_on_plateau:ReduceOnPlateau",
        "rnn_regularization": "drivetrain.train.callbacks.rnn_regularization:RNNRegularization",
        "save_best": "drivetrain.train.callbacks.save_best:SaveBest",
        "stochastic_depth": "drivetrain.train.callbacks.stochastic_depth:StochasticDepth",
        "time_budget": "drivetrain.train.callbacks.time_budget:TimeBudget",
        "unknown_rows": "drivetrain.train.callbacks.unknown_rows:UnknownRows",
    }
)
"""Name -> "module:class", imported on first use."""


def callback(name: str, **options: Any) -> Callback:
    """A new callback by its name in `CALLBACKS`.

    Raises: UnknownNameError: no callback has that name. ConfigError: an option is unknown, missing or
        out of range.

    >>> callback("ema", decay=0.99).decay
    0.99
    """
    cls = _class_of(name)
    accepted = inspect.signature(cls).parameters
    for key in options:
        if key not in accepted:
            known = ", ".join(accepted) or "none"
            raise ConfigError(
                f"Callback '{name}' has no option '{key}'.{did_you_mean(key, accepted)} "
                f"Options: {known}."
            )
    needed = [key for key, p in accepted.items() if p.default is p.empty and key not in options]
    if needed:
        many = "s" if len(needed) > 1 else ""
        raise ConfigError(f"Callback '{name}' needs the option{many} {' and '.join(needed)}.")
    return cls(**options)


def record_of(callback: Callback) -> dict[str, Any]:
    """A callback as plain JSON: its name and its options. `from_record` makes it again.

    Raises: ConfigError: it has no name in `CALLBACKS`, or an option that JSON does not have.

    >>> from drivetrain.train.callbacks.ema import EMA
    >>> record_of(EMA(0.99))
    {'name': 'ema', 'decay': 0.99, 'warmup': True}
    """
    cls = type(callback)
    origin = f"{cls.__module__}:{cls.__qualname__}"
    name = next((name for name, one in CALLBACKS.items() if one == origin), None)
    if name is None:
        raise ConfigError(
            f"The callback `{cls.__name__}` has no name, so a record cannot say how to make it again. "
            f"Hand it over in code. Known: {', '.join(CALLBACKS)}."
        )
    options = {
        key: _plain(getattr(callback, key), f"`{cls.__name__}.{key}`")
        for key in inspect.signature(cls).parameters
    }
    return {"name": name, **options}


def from_record(record: Mapping[str, Any]) -> Callback:
    """The callback that `record_of` wrote down.

    Raises: ConfigError: there is no name in it; otherwise as `callback`.
    """
    if not isinstance(record.get("name"), str):
        raise ConfigError(
            f"The record of a callback is a dict with `name` and options. Got {dict(record)}."
        )
    return callback(**record)


def _class_of(name: str) -> type[Callback]:
    module, _, attribute = lookup(CALLBACKS, name, what="callback").partition(":")
    return getattr(importlib.import_module(module), attribute)


def _plain(value: Any, where: str) -> Any:
    """The same in what JSON gives back."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part, where) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, where) for part in value]
    raise ConfigError(f"{where} cannot be recorded: JSON has no {type(value).__name__}.")
