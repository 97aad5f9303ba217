"""The part of a script for models and loaders that people bring.

A script must make them again, so the Learner must have been given what makes them: a class, or a
function at the top of a module, with its arguments by `functools.partial`:

    learner = Learner(Net, functools.partial(make_loaders, "data/"), "cross_entropy")

Their source is taken along whole, with what it stands on in its own module.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import torch

from drivetrain.data.loaders import BatchLoader, Loaders
from drivetrain.eject.form import DICT, PAIR, TUPLE, Form
from drivetrain.eject.lift import Lifter
from drivetrain.eject.measure import validation
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Part, Written
from drivetrain.eject.text import value_text
from drivetrain.errors import EjectError
from drivetrain.randomness import derive
from drivetrain.train.modules import CallableModel


def part(learner: Any, lifter: Lifter, level: str) -> Part:
    """The part of a script that is about a person's own model and loaders.

    Raises: EjectError: the Learner was given a model or loaders that were made already, or a source of
        them cannot be taken along.
    """
    del level
    make_model, make_loaders = learner.makes_model, learner.makes_loaders
    for what, made, how in (
        ("a model", make_model, "Learner(Net, …)"),
        ("loaders", make_loaders, "Learner(Net, make_loaders, …)"),
    ):
        if made is None:
            raise EjectError(
                f"This Learner was given {what} already made, and a script has to make {what} "
                f"again. Give what makes it, a class or a function at the top of a module: `{how}`."
            )
    uses: dict[str, Any] = {"derive": derive}
    model, _ = _call(make_model, lifter)
    loaders, takes_data = _call(make_loaders, lifter, data="arguments.data")
    lines = [
        'torch.default_generator.manual_seed(derive(SEED, "init", "model"))',
        f"model = {model}",
    ]
    if isinstance(learner.model, CallableModel):
        lines[-1] = f"model = {lifter.need(CallableModel)}({model})"
    lines.append('torch.default_generator.manual_seed(derive(SEED, "init", "loaders"))')
    has_valid = learner.loaders.valid is not None
    lines.append(_taken_apart(loaders, make_loaders(), has_valid=has_valid))
    form = _form_of(learner)
    written: list[Written] = []
    valid = _batches("valid", learner.loaders.valid, lifter, uses) if has_valid else ""
    found = None
    if has_valid:
        found = validation(learner, lifter, valid, source="valid", epoch="epoch", form=form)
        written += found.written
    groups = "model.layer_groups()" if hasattr(learner.model, "layer_groups") else "[[model]]"
    train = _batches("train", learner.loaders.train, lifter, uses)
    names = ["model", "train", "valid"] if has_valid else ["model", "train"]
    for thing in uses.values():
        lifter.need(thing)
    lifter.add_import(Import("torch"))
    count = len(learner.loaders.train) if hasattr(learner.loaders.train, "__len__") else None
    call = "evaluate(model, valid, epoch)" if has_valid else ""
    is_function = isinstance(learner.model, CallableModel)
    return Part(
        title="Train a model of your own"
        if is_function
        else f"Train {type(learner.model).__name__}",
        settings=[],
        written=written,
        load="\n".join(lines),
        fit_arguments=", ".join(names),
        batches=train,
        num_batches=count,
        validate=call,
        layer_groups=groups,
        measure="",
        result="{name: row[name] for name in " + repr(_columns(learner)) + "}",
        form=form,
        data_help="what the loaders are made from"
        if takes_data
        else "not used: the loaders make their own",
        needs_data=takes_data,
        parameters=[(name, "Iterable") for name in names[1:]],
    )


def _columns(learner: Any) -> tuple[str, ...]:
    """What of the last row is the result."""
    if learner.loaders.valid is None:
        return ()
    return ("valid_loss", *(metric.name for metric in learner.metrics))


def _call(made_by: Any, lifter: Lifter, *, data: str = "") -> tuple[str, bool]:
    """The call that makes a thing again, and whether the data's place goes into it."""
    function, arguments, options = made_by, (), {}
    if isinstance(made_by, functools.partial):
        function, arguments, options = made_by.func, made_by.args, made_by.keywords
    called = lifter.need(function)
    takes_data = bool(data) and len(arguments) == 1 and isinstance(arguments[0], str | os.PathLike)
    listed = [data] if takes_data else [value_text(value) for value in arguments]
    listed += [f"{key}={value_text(value)}" for key, value in options.items()]
    return f"{called}({', '.join(listed)})", takes_data


def _taken_apart(call: str, made: Any, *, has_valid: bool) -> str:
    if isinstance(made, Loaders):
        lines = [f"loaders = {call}", "train = loaders.train"]
        return "\n".join([*lines, "valid = loaders.valid"] if has_valid else lines)
    if isinstance(made, tuple):
        more = "" if len(made) == 2 else ", *_"
        return f"train, valid{more} = {call}" if has_valid else f"train, *_ = {call}"
    return f"train = {call}"


def _batches(name: str, loader: Any, lifter: Lifter, uses: dict[str, Any]) -> str:
    """The batches of an epoch, as the loop of the library draws them."""
    if isinstance(loader, BatchLoader) and type(loader).__iter__ is BatchLoader.__iter__:
        return f"{name}.batches(epoch)"
    for one in (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
        if hasattr(one, "set_epoch"):
            raise EjectError(
                f"The loader `{type(loader).__name__}` wants to be told the epoch (`set_epoch`), which a "
                "script does not do yet. Derive its order from a generator instead."
            )
    uses["drawn"] = "drivetrain.train.loop:drawn"
    lifter.need(uses["drawn"])
    return f"drawn({name}, SEED, epoch)"


def _form_of(learner: Any) -> Form:
    """How batches are put into the model, by the first of them."""
    batch = next(iter(learner.loaders.train))
    if isinstance(batch, dict):
        name = "targets" if "targets" in batch else "labels"
        return DICT if name == "targets" else DICT.with_targets(name)
    if len(batch) == 2 and isinstance(batch[1], torch.Tensor):
        return PAIR
    return TUPLE
