"""The script of a run: pieces in the order in which a reader meets them, laid out.

Settings first, each with the reason why it has its value; then randomness, data, model, optimizer,
training and `main`. Nothing in it is not read.
"""

from __future__ import annotations

import ast
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from drivetrain import store
from drivetrain._registry import lookup
from drivetrain.eject import own, tree
from drivetrain.eject.choices import (
    asks_groups,
    loss_text,
    made_optimizer,
    optimizer_defaults,
    optimizer_text,
)
from drivetrain.eject.fits import Fit
from drivetrain.eject.known import Known
from drivetrain.eject.layout import WIDTH, laid_out, pieces_of, put_together, ruff_path
from drivetrain.eject.lift import Lifter, Piece
from drivetrain.eject.loop import Loops
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import LEVELS, Part
from drivetrain.eject.settings import Setting
from drivetrain.eject.surroundings import Surroundings
from drivetrain.eject.text import docstring
from drivetrain.errors import EjectError
from drivetrain.optim.groups import _is_norm, split_by_decay
from drivetrain.train import journal
from drivetrain.train.learner import Learner
from drivetrain.train.parts import as_callbacks

KEPT = {
    "loop": ("drivetrain",),
    "data": (
        "drivetrain.models",
        "drivetrain.nn",
        "drivetrain.losses",
        "drivetrain.optim",
        "drivetrain.metrics",
        "drivetrain.train",
        "drivetrain.collab.implicit.bpr",
    ),
    "all": (),
}
"""Modules that a script imports instead of taking their source along."""


@dataclass(frozen=True)
class Script:
    """A script, and what lies beside it."""

    text: str
    """Python source."""
    beside: Mapping[str, str]
    """Files that it reads from its own folder; see `parts.Part`."""


def eject(learner: Learner, *, level: str = "all", name: str = "train.py") -> Script:
    """The script that does what a Learner has done.

    Args:
        learner: trained.
        level: `loop`, `data` or `all`; see `parts.LEVELS`.
        name: of the file, for its own text.
    Raises: EjectError: something has no plain form; UnknownNameError: no such level.
    """
    lookup(LEVELS, level, what="level")
    ruff = ruff_path()
    lifter = Lifter(keep=KEPT[level])
    lifter.on_cpu = learner.device.type == "cpu"
    application = learner.application
    if application is not None and not hasattr(application, "eject_part"):
        raise EjectError("Runs of this application cannot be ejected yet.")
    _prepare(learner, lifter)
    if application is not None:
        part: Part = application.eject_part(learner, lifter, level)  # pyright: ignore[reportAttributeAccessIssue]
    else:
        part = own.part(learner, lifter, level)
    lifter.known |= dict(part.known)
    lifter.instead |= dict(part.instead)
    return Script(laid_out(_compose(learner, lifter, part, name), ruff), dict(part.beside))


def _prepare(learner: Learner, lifter: Lifter) -> None:
    """What is known of every piece in this run."""
    if lifter.on_cpu:
        lifter.known["drivetrain.randomness:seed_generators"] = {"_cuda_in_use()": Known(False)}
    lifter.known["drivetrain.train.batches:weighted_mean"] = {"values": Known(object())}
    lifter.known["drivetrain.nn.init:kaiming_init_"] = _initialised(learner.model)
    modules = list(learner.model.modules())
    norms = tuple({type(m): None for m in modules if _is_norm_type(m)})
    kinds = _common(norms)
    is_plain = all(
        _is_norm(module, param) == isinstance(module, kinds)
        for module in modules
        for param in module.parameters(recurse=False)
    )
    if is_plain and all(kind.__module__.startswith("torch.nn.") for kind in kinds):
        listed = ", ".join(f"nn.{kind.__name__}" for kind in kinds)
        answer = (
            f"isinstance(module, {listed if len(kinds) == 1 else f'({listed})'})"
            if kinds
            else "False"
        )
        lifter.instead["drivetrain.optim.groups:_is_norm"] = (
            f"def _is_norm(module, param):\n    return {answer}\n"
        )
        lifter.add_import(Import("torch", "nn"))
    parameters = [p for m in modules for p in m.parameters(recurse=False)]
    plain: dict[str, Known] = {}
    if all(isinstance(layer, torch.nn.Module) for group in learner.layer_groups for layer in group):
        plain["bare"] = Known(False)
    if len(parameters) == len({id(p) for p in parameters}):
        plain["shared"] = Known(False)
    if not any(stage.kind == "freeze" for stage in learner.journal):
        if all(p.requires_grad for p in parameters):
            plain["param.requires_grad"] = Known(True)
    lifter.known["drivetrain.optim.groups:split_by_decay"] = plain


def _initialised(model: torch.nn.Module) -> dict[str, Known]:
    """Which of the questions that `kaiming_init_` asks have one answer in this model."""
    convs = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    weighted = [m for m in model.modules() if isinstance(m, (torch.nn.Linear, *convs))]
    known = {"isinstance(layer, _NORMS)": Known(False)}  # new ones are as they would be drawn
    if all(module.bias is None for module in weighted):
        known["layer.bias is not None"] = Known(False)
    return known


def _is_norm_type(module: Any) -> bool:
    return any(_is_norm(module, param) for param in module.parameters(recurse=False))


def _common(kinds: tuple[type, ...]) -> tuple[type, ...]:
    """torch's own classes of norms, for those that others made of them."""
    found = {
        next((c for c in kind.__mro__ if c.__module__.startswith("torch.nn.modules")), kind): None
        for kind in kinds
    }
    return tuple(sorted(found, key=lambda kind: kind.__name__))


def _compose(learner: Learner, lifter: Lifter, part: Part, name: str) -> str:
    settings = [Setting("SEED", learner.seed, "the same seed gives the same bits"), *part.settings]
    if part.num_batches is not None:
        count = Setting("NUM_BATCHES", part.num_batches, "of training, an epoch")
        settings.append(count)
    lifter.constants |= {one.name: one.value for one in settings}
    loops = Loops(lifter, _surroundings(learner, lifter, part), seed=learner.seed)
    stages, fits = _replayed(learner)
    loops.add(fits)
    written = pieces_of(part.written, lifter)
    written += [("optim", Piece(node.name, "drivetrain", node)) for node in loops.rates.written]
    for kind in loops.kinds:
        kind.node.args.args += [ast.arg(n, tree.expression(t)) for n, t in part.parameters]
        written.append(("train", Piece(kind.name, "drivetrain", kind.node)))
    lifter.need(store.weights_sha256)
    for made, text in lifter.made.items():
        written.append(("loss", Piece(made, "drivetrain", tree.statement(f"{made} = {text}"))))
    main = _main(learner, lifter, part, stages, loops)
    written.append(("main", Piece("main", "drivetrain", main)))
    return put_together(
        lifter,
        written,
        [*settings, *loops.settings],
        docstring=_docstring(part, name),
        pinned=part.pinned,
    )


def _surroundings(learner: Learner, lifter: Lifter, part: Part) -> Surroundings:
    metrics = list(learner.metrics)
    return Surroundings(
        layer_groups=part.layer_groups,
        is_one_group=part.layer_groups == "[[model]]"
        and (_are_both(learner) or _all_decay(learner)),
        decays_all=_all_decay(learner),
        trains_all=all(p.requires_grad for p in learner.model.parameters()),
        num_groups=len(learner.layer_groups),
        optimizer=optimizer_text(learner, lifter),
        defaults=optimizer_defaults(learner),
        has_modes=all(hasattr(made_optimizer(learner), name) for name in ("train", "eval")),
        loss=loss_text(learner.loss_fn, lifter),
        batches=part.batches,
        num_batches=part.num_batches,
        validate=part.validate,
        metrics=metrics,
        draws=part.draws,
        form=part.form,
        named=asks_groups(learner.optimizer),
        frozen=any(stage.kind == "freeze" and stage.frozen_groups for stage in learner.journal),
        device=learner.device,
        fills_unknown=hasattr(learner.model, "fill_unknown"),
    )


def _are_both(learner: Learner) -> bool:
    """Some parameters are decayed, and some are not; all of them have one rate."""
    return _is_one_rate(learner) and all(split_by_decay([learner.model]))


def _all_decay(learner: Learner) -> bool:
    """All that is trained is decayed, each once; all of it has one rate."""
    if not isinstance(learner.model, torch.nn.Module) or not _is_one_rate(learner):
        return False
    decayed, _ = split_by_decay([learner.model])
    trained = [id(p) for p in learner.model.parameters() if p.requires_grad]
    return bool(trained) and [id(p) for p in decayed] == trained


def _is_one_rate(learner: Learner) -> bool:
    fits = [stage for stage in learner.journal if stage.kind == "fit"]
    if any(len(set(stage.lrs)) > 1 for stage in fits) or any(
        s.kind == "freeze" for s in learner.journal
    ):
        return False
    return not asks_groups(learner.optimizer)


# --- the journal ----------------------------------------------------------------------------------


def _replayed(learner: Learner) -> tuple[list[Any], list[Fit]]:
    """What of the journal changed anything: freezes, and fits with their callbacks.

    Raises: EjectError: nothing was trained, something is not finished, or an error ended a fit.
    """
    stages: list[Any] = []
    fits: list[Fit] = []
    given = {id(stage): callbacks for stage, callbacks in getattr(learner, "given", ())}
    for stage in learner.journal:
        if stage.is_open:
            raise EjectError(
                f"The training is not finished: `{stage.call}` is {stage.status}. "
                "Resume it first: drivetrain resume RUN, or `learner.resume()`."
            )
        if stage.status == journal.BROKEN:
            raise EjectError(
                f"An error ended `{stage.call}`, and how far it had come is not on record. Train "
                "anew, or go on from a checkpoint."
            )
        if stage.kind == "freeze":
            stages.append(stage)
            continue
        if not stage.steps_done:
            continue
        own_callbacks = given.get(id(stage))
        if own_callbacks is None:
            unknown = [record["class"] for record in stage.callbacks if "class" in record]
            if unknown:
                raise EjectError(
                    f"`{stage.call}` was given the callback `{unknown[0]}`, which only its own "
                    "script has. Eject there: `learner.eject(path)`."
                )
            own_callbacks = as_callbacks(stage.callbacks)
        fits.append(Fit(stage, [*learner.callbacks, *own_callbacks]))
        stages.append(fits[-1])
    if not fits:
        raise EjectError("Nothing was trained yet, so there is nothing to eject. Call `fit` first.")
    while stages and not isinstance(stages[0], Fit) and stages[0].frozen_groups == 0:
        stages.pop(0)
    while stages and not isinstance(stages[-1], Fit):
        stages.pop()
    return stages, fits


def _main(
    learner: Learner, lifter: Lifter, part: Part, stages: Sequence[Any], loops: Loops
) -> ast.stmt:
    lines = ["def main() -> None:", '    """Load, train, measure, save."""']
    lines += textwrap.indent(
        _ARGUMENTS.format(help=part.data_help, need=", required=True" if part.needs_data else ""),
        "    ",
    ).splitlines()
    threads = learner.num_threads or torch.get_num_threads()
    lifter.constants["NUM_THREADS"] = threads
    loops.settings.append(
        Setting("NUM_THREADS", threads, "torch threads; another number may round otherwise")
    )
    lines.append("    torch.set_num_threads(NUM_THREADS)")
    lines += textwrap.indent(part.load.strip("\n"), "    ").splitlines()
    last_call = None
    for stage in stages:
        if not isinstance(stage, Fit):
            call = stage.call
            if call not in ("freeze", "unfreeze"):
                last_call = call
            lifter.need("drivetrain.train.modules:freeze_groups")
            why = (
                "all layers train again"
                if not stage.frozen_groups
                else f"{stage.frozen_groups} of {loops.around.num_groups} layer groups are not trained"
            )
            lines.append(f"    # {call}: {why}.")
            lines.append(f"    freeze_groups({part.layer_groups}, {stage.frozen_groups})")
            continue
        if stage.stage.call != last_call and len(stages) > 1:
            lines.append(f"    # {stage.stage.call}")
            last_call = stage.stage.call
        arguments = "".join(f", {name}={text}" for name, text in stage.arguments.items())
        keeps = "" if part.measure else "row = "
        lines.append(f"    {keeps}{stage.function}({part.fit_arguments}{arguments})")
    if part.measure:
        lines.append(f"    row = {part.measure}")
    lines += textwrap.indent(
        _ENDING.format(result=part.result.replace("{{", "{").replace("}}", "}")), "    "
    ).splitlines()
    for kind in loops.kinds if not part.measure else ():
        kind.node.returns = tree.expression("dict[str, float]")
        kind.node.body.append(tree.statement("return row"))
    node = tree.statement("\n".join(lines) + "\n")
    for module in ("argparse", "json", "torch"):
        lifter.add_import(Import(module))
    lifter.add_import(Import("pathlib", "Path"))
    lifter.add_import(Import("collections.abc", "Sequence"))
    lifter.add_import(Import("safetensors.torch", "save_file"))
    return node


_ARGUMENTS = """parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path{need}, help="{help}")
parser.add_argument("--out", type=Path, required=True, help="folder for the trained weights")
arguments = parser.parse_args()"""

_ENDING = """metrics = {result}
weights = {{name: tensor.contiguous() for name, tensor in model.state_dict().items()}}
arguments.out.mkdir(parents=True, exist_ok=True)
save_file(weights, arguments.out / "model.safetensors")
print(json.dumps({{"weights_sha256": weights_sha256(weights), "metrics": metrics}}))"""


def _docstring(part: Part, name: str) -> str:
    text = [part.title if part.title.endswith("…") else f"{part.title}.", ""]
    words = (
        "Written by Drivetrain: the steps of the run, and its weights to the last bit (on the same "
    )
    text += textwrap.wrap(f"{words}kind of machine, with the same versions).", WIDTH)
    text += ["", f"    python {shlex.quote(name)} --data DATA --out OUT", ""]
    if part.note:
        text += [*textwrap.wrap(part.note, WIDTH), ""]
    return docstring(text)
