"""The script of a run: pieces in the order in which a reader meets them, laid out.

Settings first, each with the reason why it has its value; then randomness, data, model, optimizer,
training and `main`. Nothing in it is not read.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import os
import shlex
import subprocess
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from drivetrain import optim, store
from drivetrain._optional import require
from drivetrain._registry import lookup
from drivetrain.eject import own, tree
from drivetrain.eject.fold import Known
from drivetrain.eject.inline import Setting
from drivetrain.eject.lift import Import, Lifter, Piece
from drivetrain.eject.loop import Fit, Loops, Surroundings
from drivetrain.eject.parts import LEVELS, Part, Written
from drivetrain.eject.program import Program
from drivetrain.eject.text import docstring, value_text
from drivetrain.errors import EjectError
from drivetrain.losses.table import unwrapped
from drivetrain.optim.defaults import _can_fuse as can_fuse
from drivetrain.optim.groups import _is_norm, split_by_decay
from drivetrain.train import journal
from drivetrain.train.learner import Learner
from drivetrain.train.parts import as_callbacks, optimizer_record

SECTIONS = (
    ("settings", "Settings"),
    ("randomness", "Randomness: every draw is a function of the seed and of what it is for"),
    ("data", "Data"),
    ("augment", "Augmentation"),
    ("model", "Model"),
    ("loss", "Loss and metrics"),
    ("optim", "Optimizer and schedule"),
    ("train", "Training"),
    ("main", "The run"),
)

_SECTION_OF = {
    "drivetrain.randomness": "randomness",
    "drivetrain.data": "data",
    "drivetrain.vision.augment": "augment",
    "drivetrain.vision.geometry": "augment",
    "drivetrain.vision.normalise": "data",
    "drivetrain.vision": "data",
    "drivetrain.models": "model",
    "drivetrain.nn": "model",
    "drivetrain.losses": "loss",
    "drivetrain.metrics": "loss",
    "drivetrain.optim": "optim",
    "drivetrain.train": "train",
    "drivetrain.store": "main",
}

KEPT = {
    "loop": ("drivetrain",),
    "data": (
        "drivetrain.models",
        "drivetrain.nn",
        "drivetrain.losses",
        "drivetrain.optim",
        "drivetrain.metrics",
        "drivetrain.train",
    ),
    "all": (),
}
"""Modules that a script imports instead of taking their source along."""

WIDTH = 100


def eject(learner: Learner, *, level: str = "all", name: str = "train.py") -> str:
    """The script that does what a Learner has done.

    Args:
        learner: trained.
        level: `loop`, `data` or `all`; see `parts.LEVELS`.
        name: of the file, for its own text.
    Returns: Python source.
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
    return laid_out(_compose(learner, lifter, part, name), ruff)


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
    loops.defaults = _defaults(learner)  # pyright: ignore[reportAttributeAccessIssue]
    stages, fits = _replayed(learner)
    loops.add(fits)
    written = pieces_of(part.written, lifter)
    written += [("optim", Piece(node.name, "drivetrain", node)) for node in loops.written]
    for kind in loops.kinds:
        kind.node.args.args += [ast.arg(n, tree.expression(t)) for n, t in part.parameters]
        written.append(("train", Piece(kind.name, "drivetrain", kind.node)))
    _need_hash(lifter, written)
    for name, text in lifter.made.items():
        written.append(("loss", Piece(name, "drivetrain", tree.statement(f"{name} = {text}"))))
    main = _main(learner, lifter, part, stages, loops)
    written.append(("main", Piece("main", "drivetrain", main)))
    return put_together(
        lifter,
        written,
        [*settings, *loops.settings],
        docstring=_docstring(part, name),
        pinned=part.pinned,
    )


def pieces_of(parts: Iterable[Written], lifter: Lifter) -> list[tuple[str, Piece]]:
    """What was written for a script, each with its section; what it uses is lifted."""
    written = []
    for one in parts:
        for thing in one.uses.values():
            lifter.need(thing)
        for node in tree.statements(one.text.strip("\n") + "\n"):
            _rename_uses(node, one.uses, lifter)
            written.append((one.section, Piece(getattr(node, "name", ""), "drivetrain", node)))
    return written


def put_together(
    lifter: Lifter,
    written: Sequence[tuple[str, Piece]],
    settings: Iterable[Setting],
    *,
    docstring: str,
    pinned: Iterable[str] = (),
    sections: Sequence[tuple[str, str]] = SECTIONS,
    section_of: Callable[[str], str] | None = None,
    ending: str = "main()",
) -> str:
    """The text of a script: what was written for it and what was lifted, settled and in order.

    Args:
        sections: their keys and titles, in order; `settings` is one.
        section_of: the section of a lifted piece, by its module.
        ending: what running the file does.
    """
    program = Program(
        lifter,
        [piece for _, piece in written],
        pinned=[*pinned, *(piece.name for _, piece in written)],
    )
    program.settle()
    texts: dict[str, list[str]] = {key: [] for key, _ in sections}
    texts["settings"] = [_setting(one) for one in _used(settings, program)]
    for piece in program.lifter.pieces.values():
        texts[(section_of or _section_of)(piece.module)].append(tree.render([piece.node]))
    for section, piece in written:
        texts[section].append(tree.render([piece.node]))
    body = _ordered(texts, sections)
    return "\n\n".join(
        [docstring, _imports(program, body), body, f'if __name__ == "__main__":\n    {ending}\n']
    )


# --- what the loop is put into --------------------------------------------------------------------


def _surroundings(learner: Learner, lifter: Lifter, part: Part) -> Surroundings:
    metrics = list(learner.metrics)
    return Surroundings(
        layer_groups=part.layer_groups,
        is_one_group=part.layer_groups == "[[model]]" and _are_both(learner),
        num_groups=len(learner.layer_groups),
        optimizer=_optimizer(learner, lifter),
        has_modes=all(hasattr(_made(learner), name) for name in ("train", "eval")),
        loss=loss_text(learner.loss_fn, lifter),
        batches=part.batches,
        num_batches=part.num_batches,
        validate=part.validate,
        metrics=metrics,
        form=part.form,
        named=asks_groups(learner.optimizer),
        frozen=any(stage.kind == "freeze" and stage.frozen_groups for stage in learner.journal),
        device=learner.device,
    )


def _are_both(learner: Learner) -> bool:
    """Some parameters are decayed, and some are not; all of them have one rate."""
    fits = [stage for stage in learner.journal if stage.kind == "fit"]
    if any(len(set(stage.lrs)) > 1 for stage in fits) or any(
        s.kind == "freeze" for s in learner.journal
    ):
        return False
    return all(split_by_decay([learner.model])) and not asks_groups(learner.optimizer)


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


def _made(learner: Learner) -> Any:
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


def _defaults(learner: Learner) -> dict[str, Any]:
    return dict(_made(learner).defaults)


def _optimizer(learner: Learner, lifter: Lifter) -> str:
    made_by = learner.optimizer
    if isinstance(made_by, torch.optim.Optimizer):
        raise EjectError(
            "The optimizer was given as an object, which a script cannot make again. Give what "
            f"makes one: `functools.partial({type(made_by).__module__}.{type(made_by).__name__}, …)`."
        )
    record = optimizer_record(made_by)
    function = made_by.func if isinstance(made_by, functools.partial) else made_by
    options = dict(made_by.keywords) if isinstance(made_by, functools.partial) else {}
    if function is optim.adamw and can_fuse([{"params": list(learner.model.parameters())}]):
        lifter.instead.setdefault(
            "drivetrain.optim.defaults:_can_fuse", "def _can_fuse(groups):\n    return True\n"
        )
    called = lifter.need(function)
    del record
    listed = "".join(f", {key}={value_text(value)}" for key, value in options.items())
    return f"{called}({{}}{listed})"


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
    threads = learner.num_threads or _threads()
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


def _threads() -> int:
    return torch.get_num_threads()


def _need_hash(lifter: Lifter, written: list[tuple[str, Piece]]) -> None:
    lifter.need(store.weights_sha256)
    del written


# --- text -----------------------------------------------------------------------------------------


def _rename_uses(node: Any, uses: Any, lifter: Lifter) -> None:
    from drivetrain.eject.lift import rename

    names = {name: lifter.need(thing) for name, thing in uses.items()}
    rename(node, {old: new for old, new in names.items() if old != new})


def _used(settings: Iterable[Setting], program: Program) -> list[Setting]:
    names = program.names()
    found: dict[str, Setting] = {}
    for one in settings:
        if one.name in names:
            found.setdefault(one.name, one)
    return list(found.values())


def _setting(one: Setting) -> str:
    reason = f"  # {one.reason}" if one.reason else ""
    value = _shown(one.value)
    line = f"{one.name} = {value}{reason}"
    if len(line) <= WIDTH or not reason:
        return line + "\n"
    wrapped = textwrap.wrap(one.reason, WIDTH - 2)
    return "".join(f"# {part}\n" for part in wrapped) + f"{one.name} = {value}\n"


def _shown(value: Any) -> str:
    """A value as people write it: 1e5 and not 100000.0."""
    if isinstance(value, float) and abs(value) >= 1e4:
        short = f"{value:.15e}".partition("e")
        short = f"{short[0].rstrip('0').rstrip('.')}e{int(short[2])}"
        return short if float(short) == value and "e" in short else repr(value)
    return repr(value)


def _section_of(module: str) -> str:
    while module:
        if module in _SECTION_OF:
            return _SECTION_OF[module]
        module = module.rpartition(".")[0]
    return "model"


def _ordered(texts: dict[str, list[str]], sections: Sequence[tuple[str, str]]) -> str:
    parts = []
    for key, title in sections:
        if not texts[key]:
            continue
        glue = "" if key == "settings" else "\n\n"
        parts.append(
            f"# --- {title} {'-' * max(3, WIDTH - 7 - len(title))}\n\n"
            + _joined(_by_need(texts[key]), glue)
        )
    return "\n\n".join(parts)


def _joined(texts: list[str], glue: str) -> str:
    """Texts with two blank lines between, constants in a row with none."""
    result = texts[0]
    for before, text in itertools.pairwise(texts):
        both = all(
            not one.lstrip("# ").startswith(("def ", "class ", "@")) and "def " not in one
            for one in (before, text)
        )
        result += ("" if both else glue) + text
    return result


def _by_need(texts: list[str]) -> list[str]:
    """What others need when the module is read stands before them: classes' bases, constants' parts."""
    trees = [ast.parse(text) for text in texts]
    defined: dict[str, int] = {}
    for index, module in enumerate(trees):
        for node in module.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined[node.name] = index
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for target in ast.walk(node):
                    if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                        defined[target.id] = index
    at_once = [{defined[n] for n in _read_at_once(one) if n in defined} for one in trees]
    later = [{defined[n] for n in _needed_later(one) if n in defined} for one in trees]
    order: list[int] = []

    def closure(index: int) -> set[int]:
        found, waiting = set(), [index]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += at_once[one]
        return found

    def visit(index: int, above: frozenset[int]) -> None:
        if index in order or index in above:
            return
        for other in sorted(at_once[index]):
            visit(other, above | {index})
        for other in sorted(later[index]):
            if not closure(other) & (above | {index}):
                visit(other, above | {index})
        order.append(index)

    constants = [
        i for i, one in enumerate(trees) if all(isinstance(n, ast.Assign) for n in one.body)
    ]
    for index in constants:  # plain ones first: they stand together
        if not at_once[index]:
            visit(index, frozenset())
    for index in range(len(texts)):
        visit(index, frozenset())
    return [texts[index] for index in order]


def _needed_later(module: ast.Module) -> set[str]:
    """Names that are read when the functions run: a reader wants to have met them."""
    return {
        node.id
        for node in ast.walk(module)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _read_at_once(node: ast.AST) -> set[str]:
    """Names that are read when the module is read: they must stand before."""
    found: set[str] = set()
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return {node.id}
    if isinstance(node, ast.FunctionDef):
        parts = [
            *node.decorator_list,
            *node.args.defaults,
            *(d for d in node.args.kw_defaults if d),
        ]
        return set().union(*map(_read_at_once, parts)) if parts else found
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.AnnAssign) and child is node.annotation):
            found |= _read_at_once(child)
    return found


def _imports(program: Program, body: str) -> str:
    used = {n.id for n in ast.walk(ast.parse(body)) if isinstance(n, ast.Name)}
    heads = used | {part.partition(".")[0] for part in used}
    lines = ["from __future__ import annotations", ""]
    found = {
        one.statement
        for called, one in program.lifter.imports.items()
        if called.partition(".")[0] in heads
    }
    return "\n".join([*lines, *sorted(found)])


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


def ruff_path() -> str:
    """Where ruff is. Raises: MissingPackageError: it is not installed."""
    module = require("ruff.__main__", extra="eject")
    return os.fsdecode(module.find_ruff_bin())


def laid_out(text: str, ruff: str) -> str:
    """The text as ruff sorts and lays it out.

    Raises: EjectError: it is no Python, or names something that is not there; that is our bug.
    """
    options = ["--isolated", "--line-length", str(WIDTH), "--target-version", "py311"]
    rules = ["--select", "I,F401,UP,C4,SIM,RUF005,W,E7", "--ignore", "SIM905"]
    text = _asked(ruff, "check", *rules, "--fix", "--exit-zero", "--quiet", *options, text=text)
    unused = ["--select", "F841", "--unsafe-fixes"]
    text = _asked(ruff, "check", *unused, "--fix", "--exit-zero", "--quiet", *options, text=text)
    text = _asked(ruff, "format", *options, text=text)
    _asked(ruff, "check", "--select", "F,E9", "--quiet", *options, text=text)
    return text


def _asked(ruff: str, *arguments: str, text: str) -> str:
    done = subprocess.run(
        [ruff, *arguments, "-"], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise EjectError(
            f"The script came out wrong, which is a fault of Drivetrain: {said[0] if said else ''} "
            "Please report it with your run.json."
        )
    return done.stdout
