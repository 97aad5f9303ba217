"""The loss and the optimizer of a run, as texts, and what they ask of its layers."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch

from drivetrain import optim
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.text import value_text
from drivetrain.errors import EjectError
from drivetrain.losses.table import unwrapped
from drivetrain.optim.defaults import _can_fuse as can_fuse
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.train.learner import Learner
from drivetrain.train.parts import optimizer_record


def loss_text(loss_fn: Any, lifter: Lifter) -> Known:
    """A loss function as text: its name, or a `functools.partial` of it with its options."""
    bare, options = unwrapped(loss_fn)
    if not hasattr(bare, "__name__"):
        kind = type(bare)
        if not isinstance(bare, torch.nn.Module) or _plain_module(bare) is None:
            raise EjectError(
                f"The loss is an object of `{kind.__name__}` whose arguments a script cannot tell. "
                "Give a function, or a name of `losses.LOSSES`."
            )
        lifter.constants["LOSS_FN"] = bare
        lifter.made["LOSS_FN"] = f"{lifter.need(kind)}()"
        return Known(loss_fn, "LOSS_FN")
    called = lifter.need(bare)
    if not options:
        return Known(loss_fn, called)
    lifter.add_import(Import("functools"))
    listed = ", ".join(f"{key}={value_text(value)}" for key, value in options.items())
    return Known(loss_fn, f"functools.partial({called}, {listed})")


def _plain_module(value: Any) -> Any:
    """A torch loss made without arguments."""
    try:
        fresh = type(value)()
    except TypeError:
        return None
    own, usual = vars(value), vars(fresh)
    if own.keys() != usual.keys():
        return None
    same = [_are_equal(own[k], usual[k]) for k in own if not k.startswith("_") or k == "_buffers"]
    return value if all(same) else None


def _are_equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_are_equal(a[k], b[k]) for k in a)
    return a == b


def asks_groups(made_by: Any) -> bool:
    """Whether an optimizer may ask its groups which layers they are of."""
    function = made_by.func if isinstance(made_by, functools.partial) else made_by
    name = optimizer_record(made_by)["name"]
    ours = function is optim.adamw or optim.OPTIMIZERS.get(name) is function
    is_torchs = (getattr(function, "__module__", "") or "").startswith("torch.optim")
    return name == "muon" or not (ours or is_torchs)


def groups_do_not_matter(learner: Learner) -> bool:
    """All layers have one rate, nothing is frozen, and nobody looks at the groups' order."""
    stages = learner.journal
    callbacks = [*learner.callbacks, *(c for _, cs in getattr(learner, "given", ()) for c in cs)]
    return (
        not asks_groups(learner.optimizer)
        and all(s.kind == "fit" and len(set(s.lrs)) == 1 and not s.keep_statistics for s in stages)
        and all(s.schedule["name"] != "per_group" for s in stages)
        and not any(
            isinstance(c, ClipGradients) or not type(c).__module__.startswith("drivetrain.")
            for c in callbacks
        )
    )


def made_optimizer(learner: Learner) -> Any:
    """An optimizer as the run's are, for what it is."""
    if isinstance(learner.optimizer, torch.optim.Optimizer):
        return learner.optimizer
    return (
        learner.optimizer([torch.nn.Parameter(torch.zeros(1))], lr=learner.lr)
        if _takes_lr(learner.optimizer)
        else learner.optimizer([torch.nn.Parameter(torch.zeros(1))])
    )


def _takes_lr(factory: Any) -> bool:
    try:
        return "lr" in inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return False


def optimizer_defaults(learner: Learner) -> dict[str, Any]:
    """What the run's optimizer has for every group, by name."""
    return dict(made_optimizer(learner).defaults)


def optimizer_text(learner: Learner, lifter: Lifter) -> str:
    """What makes the optimizer, `{}` in the place of its groups.

    Raises: EjectError: it was given as an object, or with options that cannot be written down.
    """
    made_by = learner.optimizer
    if isinstance(made_by, torch.optim.Optimizer):
        raise EjectError(
            "The optimizer was given as an object, which a script cannot make again. Give what "
            f"makes one: `functools.partial({type(made_by).__module__}.{type(made_by).__name__}, …)`."
        )
    function = made_by.func if isinstance(made_by, functools.partial) else made_by
    options = dict(made_by.keywords) if isinstance(made_by, functools.partial) else {}
    if function is optim.adamw and can_fuse([{"params": list(learner.model.parameters())}]):
        lifter.instead.setdefault(
            "drivetrain.optim.defaults:_can_fuse", "def _can_fuse(groups):\n    return True\n"
        )
    called = lifter.need(function)
    listed = "".join(f", {key}={value_text(value)}" for key, value in options.items())
    return f"{called}({{}}{listed})"
