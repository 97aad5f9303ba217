"""What a person may give for loaders, loss, optimizer and callbacks, and how a run records them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from drivetrain import losses, optim
from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError
from drivetrain.train import callbacks
from drivetrain.train.batches import call_of
from drivetrain.train.callback import Callback
from drivetrain.train.optimizing import OptimizerFactory
from drivetrain.train.state import LossFn

DEFAULT = "default"
"""Name in a record of the optimizer that is used when none is given: `optim.adamw`."""


def as_loaders(loaders: Any) -> Loaders:
    """`Loaders` from themselves, from a tuple (train, valid, test) or its beginning, or from one loader.

    A list is one loader: a list of batches is iterated over as often as one likes.

    Raises: ConfigError: a function that `makes` did not take.
    """
    if isinstance(_bare(loaders), FunctionType) and _lacks(loaders):
        raise _lacking(loaders)
    if isinstance(loaders, Loaders):
        return loaders
    if isinstance(loaders, tuple) and 1 <= len(loaders) <= 3:
        return Loaders(*loaders)
    return Loaders(loaders)


def makes(given: Any) -> Callable[[], Any] | None:
    """What is given, where it makes a thing instead of being one: a class, a function, a `partial`.

    A function that wants arguments, or answers `parameters()`, is a thing itself.

    Raises: ConfigError: a class whose arguments are not filled in.
    """
    bare = _bare(given)
    if isinstance(bare, FunctionType):
        return None if hasattr(given, "parameters") or _lacks(given) else given
    if not isinstance(bare, type):
        return None
    if _lacks(given):
        raise _lacking(given)
    return given


def _bare(given: Any) -> Any:
    """What a `partial` calls, or what is given."""
    return given.func if isinstance(given, functools.partial) else given


def _lacks(given: Callable[..., Any]) -> list[str]:
    """Names of the arguments that a call without any would miss."""
    try:
        wanted = inspect.signature(given).parameters.values()
    except ValueError:  # of classes written in C, some tell nothing
        return []
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in wanted if p.default is p.empty and p.kind not in open_ended]


def _lacking(given: Callable[..., Any]) -> ConfigError:
    names, name = _lacks(given), _bare(given).__name__
    arguments, them = ("argument", "it") if len(names) == 1 else ("arguments", "them")
    return ConfigError(
        f"`{name}` cannot be made without its {arguments} {', '.join(f'`{n}`' for n in names)}. "
        f"Fill {them} in: `functools.partial({name}, …)`."
    )


def as_loss(loss_fn: LossFn | str | Mapping[str, Any] | None, loaders: Loaders) -> LossFn:
    """A loss from itself, from its name or record, or chosen by the targets of the first training batch.

    Raises: UnknownNameError: no such loss. ConfigError: an option does not fit; or there is no batch, or
        targets that are no tensor.
    """
    if isinstance(loss_fn, str):
        return losses.loss(loss_fn)
    if isinstance(loss_fn, Mapping):
        return losses.loss_from_record(loss_fn)
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
    return losses.choose_loss(losses.kind_of_targets(targets)).fn


def as_optimizer(
    given: Optimizer | OptimizerFactory | str | Mapping[str, Any] | None,
) -> Optimizer | OptimizerFactory:
    """An optimizer or what makes one: from itself, from a name or a record; `optim.adamw` for None.

    Raises: UnknownNameError: no such optimizer. ConfigError: an option does not fit.
    """
    if given is None or given == DEFAULT:
        return optim.adamw
    if isinstance(given, str):
        return optim.optimizer(given)
    if isinstance(given, Mapping):
        _check_record("optimizer", given)
        return as_optimizer(given["name"]) if not given["options"] else _with_options(given)
    return given


def optimizer_record(given: Optimizer | OptimizerFactory) -> dict[str, Any]:
    """Name and options of what makes an optimizer, as plain JSON.

    One that has no name among `optim.OPTIMIZERS` is told by its class or function alone: only its owner
    can give it again.
    """
    function = given.func if isinstance(given, functools.partial) else given
    options = dict(given.keywords) if isinstance(given, functools.partial) else {}
    if function is optim.adamw:
        return {"name": DEFAULT, "options": options}
    for name, one in optim.OPTIMIZERS.items():
        if one is function:
            return {"name": name, "options": options}
    return {"name": getattr(function, "__name__", type(function).__name__)}


def as_callbacks(given: Sequence[Callback | str | Mapping[str, Any]]) -> list[Callback]:
    """Callbacks from themselves, from names and from records.

    Raises: UnknownNameError: no such callback. ConfigError: an option does not fit, or one of them is
        no callback at all.
    """
    found = []
    for one in given:
        if isinstance(one, str):
            found.append(callbacks.callback(one))
        elif isinstance(one, Mapping):
            found.append(callbacks.from_record(one))
        elif isinstance(one, Callback):
            found.append(one)
        else:
            what = one.__name__ if isinstance(one, type) else type(one).__name__
            give = f" Give an object of it: `{what}()`." if isinstance(one, type) else ""
            raise ConfigError(f"`{what}` is not a callback.{give}")
    return found


def callback_records(given: Sequence[Callback]) -> list[dict[str, Any]]:
    """What a run records of its callbacks; of one that has no name, the class alone.

    >>> callback_records(as_callbacks(["clip_gradients"]))[0]["name"]
    'clip_gradients'
    """
    records = []
    for one in given:
        try:
            records.append(callbacks.record_of(one))
        except ConfigError:
            records.append({"class": type(one).__qualname__})
    return records


def _with_options(record: Mapping[str, Any]) -> OptimizerFactory:
    if record["name"] == DEFAULT:
        return functools.partial(optim.adamw, **record["options"])
    return optim.optimizer(record["name"], **record["options"])


def _check_record(what: str, record: Mapping[str, Any]) -> None:
    if "options" not in record:
        raise ConfigError(
            f"The {what} '{record.get('name')}' is not one of Drivetrain's, so a record cannot make it "
            "again. Give it in code."
        )
