"""Pieces as one text: sections in the order in which a reader meets them, laid out by ruff."""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from drivetrain._optional import require
from drivetrain.eject import tree
from drivetrain.eject.lift import Lifter, Piece
from drivetrain.eject.names import rename
from drivetrain.eject.parts import Written
from drivetrain.eject.pieces import Pieces
from drivetrain.eject.program import settle
from drivetrain.eject.settings import Setting
from drivetrain.errors import EjectError

SECTIONS = (
    ("settings", "Settings"),
    ("randomness", "Randomness: every draw is a function of the seed and of what it is for"),
    ("tokens", "Tokens: what of a text has an id"),
    ("data", "Data"),
    ("augment", "Augmentation"),
    ("model", "Model"),
    ("loss", "Loss and metrics"),
    ("optim", "Optimizer and schedule"),
    ("train", "Training"),
    ("lists", "Lists: what they are worth"),
    ("main", "The run"),
)

_SECTION_OF = {
    "drivetrain.randomness": "randomness",
    "drivetrain.data": "data",
    "drivetrain.eject.corrections": "data",
    "drivetrain.vision.augment": "augment",
    "drivetrain.vision.geometry": "augment",
    "drivetrain.vision.normalise": "data",
    "drivetrain.vision": "data",
    "drivetrain.tabular": "data",
    "drivetrain.collab": "data",
    "drivetrain.collab.implicit.bpr": "model",
    "drivetrain.collab.ejecting.lists": "lists",
    "drivetrain.collab.shown": "lists",
    "drivetrain.text": "tokens",
    "drivetrain.text.ejecting.whole": "model",
    "drivetrain.models": "model",
    "drivetrain.nn": "model",
    "drivetrain.losses": "loss",
    "drivetrain.metrics": "loss",
    "drivetrain.optim": "optim",
    "drivetrain.train": "train",
    "drivetrain.store": "main",
}

WIDTH = 100


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
    settled = settle(
        lifter,
        [piece for _, piece in written],
        pinned=[*pinned, *(piece.name for _, piece in written)],
    )
    texts: dict[str, list[str]] = {key: [] for key, _ in sections}
    texts["settings"] = [_setting(one) for one in _used(settings, settled)]
    for piece in settled.lifter.pieces.values():
        texts[(section_of or _section_of)(piece.module)].append(_lifted(piece.node))
    for section, piece in written:
        texts[section].append(tree.render([piece.node]))
    body = _ordered(texts, sections)
    return "\n\n".join(
        [docstring, _imports(settled, body), body, f'if __name__ == "__main__":\n    {ending}\n']
    )


def _rename_uses(node: Any, uses: Any, lifter: Lifter) -> None:
    names = {name: lifter.need(thing) for name, thing in uses.items()}
    rename(node, {old: new for old, new in names.items() if old != new})


def _used(settings: Iterable[Setting], settled: Pieces) -> list[Setting]:
    names = settled.names()
    found: dict[str, Setting] = {}
    for one in settings:
        if one.name in names:
            found.setdefault(one.name, one)
    return list(found.values())


def _setting(one: Setting) -> str:
    said = " ".join(
        one.reason.split()
    )  # words of a file may be in it, and none may end the comment
    reason = f"  # {said}" if said else ""
    value = _shown(one.value)
    line = f"{one.name} = {value}{reason}"
    if len(line) <= WIDTH or not reason:
        return _wrapped(one.name, one.value) or line + "\n"
    comment = "".join(f"# {part}\n" for part in textwrap.wrap(said, WIDTH - 2))
    return comment + (_wrapped(one.name, one.value) or f"{one.name} = {value}\n")


def _wrapped(name: str, value: Any) -> str:
    """A constant that lists more words or numbers than one line holds, as many a line as fit."""
    is_plain = type(value) is tuple and all(isinstance(part, str | int | float) for part in value)
    if not is_plain or len(f"{name} = {value!r}") <= WIDTH:
        return ""
    # words hold together while the lines are made
    parts = [f"{_quoted(part)},".replace(" ", "\0") for part in value]
    lines = textwrap.wrap(
        " ".join(parts), WIDTH - 4, break_long_words=False, break_on_hyphens=False
    )
    body = "".join(f"    {line}\n" for line in lines).replace("\0", " ")
    return f"{name} = (\n{body})  # fmt: skip\n"


def _quoted(value: Any) -> str:
    """As ruff would write it."""
    text = repr(value)
    if isinstance(value, str) and text.startswith("'") and '"' not in value:
        return f'"{text[1:-1]}"'
    return text


def _lifted(node: Any) -> str:
    """The text of a piece; of a long constant, in few lines."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            return tree.render([node])
        text = _wrapped(ast.unparse(node.targets[0]), value)
        if text:
            return "".join(f"{line}\n" for line in getattr(node, "before", ())) + text
    return tree.render([node])


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


def _imports(settled: Pieces, body: str) -> str:
    used = {n.id for n in ast.walk(ast.parse(body)) if isinstance(n, ast.Name)}
    heads = used | {part.partition(".")[0] for part in used}
    lines = ["from __future__ import annotations", ""]
    found = {
        one.statement
        for called, one in settled.lifter.imports.items()
        if called.partition(".")[0] in heads
    }
    return "\n".join([*lines, *sorted(found)])


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
