"""Functions, their parameters, and what a call gives to them."""

from __future__ import annotations

import ast
import dataclasses
import sys
from typing import Any

from drivetrain.eject.known import UNKNOWN, Known
from drivetrain.eject.lift import Lifter, Piece
from drivetrain.eject.tree import walk


def local_names(node: ast.AST) -> set[str]:
    """Names that the functions of a piece have of their own."""
    found = set()
    for one in walk(node):
        if isinstance(one, ast.arg):
            found.add(one.arg)
        elif isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load):
            found.add(one.id)
    return found


def value_of(piece: Piece) -> Any:
    """What a piece is in this process; UNKNOWN where its module is not loaded."""
    return getattr(sys.modules.get(piece.module), piece.node.name, UNKNOWN)


def function_of(piece: Piece) -> ast.FunctionDef | None:
    """The function, or the `__init__` of the class."""
    if isinstance(piece.node, ast.FunctionDef):
        return piece.node
    if isinstance(piece.node, ast.ClassDef):
        return next(
            (o for o in piece.node.body if isinstance(o, ast.FunctionDef) and o.name == "__init__"),
            None,
        )
    return None


def named_parameters(function: ast.FunctionDef, *, skip_first: bool = False) -> list[str]:
    """Parameters but for `*args` and `**kwargs`, in their order."""
    a = function.args
    places = [one.arg for one in (*a.posonlyargs, *a.args)]
    return [*places[skip_first:], *(one.arg for one in a.kwonlyargs)]


def argument_of(
    function: ast.FunctionDef, name: str, call: ast.Call, *, is_method: bool
) -> ast.expr | None:
    """What a call gives for a parameter; None: it leaves it at its default."""
    for one in call.keywords:
        if one.arg == name:
            return one.value
    places = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    if name in places:
        index = places.index(name) - is_method
        if 0 <= index < len(call.args):
            return call.args[index]
    return None


def default_of(function: ast.FunctionDef, name: str) -> ast.expr | None:
    """What a parameter is where no call gives it."""
    a = function.args
    places = [*a.posonlyargs, *a.args]
    for one, value in zip(reversed(places), reversed(a.defaults), strict=False):
        if one.arg == name:
            return value
    for one, value in zip(a.kwonlyargs, a.kw_defaults, strict=True):
        if one.arg == name:
            return value
    return None


def without_parameter(function: ast.FunctionDef, name: str) -> None:
    """Take a parameter and its default out."""
    a = function.args
    for index, one in enumerate(a.kwonlyargs):
        if one.arg == name:
            del a.kwonlyargs[index], a.kw_defaults[index]
            return
    places = [*a.posonlyargs, *a.args]
    first = len(places) - len(a.defaults)
    for index, one in enumerate(places):
        if one.arg == name:
            if index >= first:
                del a.defaults[index - first]
            a.args = [p for p in a.args if p.arg != name]
            return


def reads_name(function: ast.FunctionDef, name: str) -> bool:
    """Whether the body reads a name."""
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for one in function.body
        for node in walk(one)
    )


def is_stored(function: ast.FunctionDef, name: str) -> bool:
    """Whether the body gives a name another value."""
    return any(
        isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
        for one in function.body
        for node in walk(one)
    )


def in_annotations(node: ast.AST) -> set[int]:
    """The ids of all nodes that stand in annotations."""
    found: set[int] = set()
    for one in walk(node):
        for part in (getattr(one, "annotation", None), getattr(one, "returns", None)):
            if isinstance(part, ast.AST):
                found.update(map(id, walk(part)))
    return found


def alike(a: Known, b: Known) -> bool:
    """Whether two calls give the same."""
    if (a.value is UNKNOWN) != (b.value is UNKNOWN):
        return False
    if a.value is UNKNOWN:
        return a.text == b.text
    return (
        type(a.value) is type(b.value)
        and a.value == b.value
        and (a.text == b.text or a.text is None)
    )


def made_from(given: ast.expr, lifter: Lifter, caller: Piece) -> Any:
    """The value of an argument: a plain one, or a frozen record of the library made of such."""
    folder = lifter.script_folder(caller, caller.known)
    if isinstance(given, ast.Call) and isinstance(given.func, ast.Name) and not given.args:
        kind = folder.values.glob.get(given.func.id)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            values = {k.arg: folder.values.value(k.value) for k in given.keywords}
            if all(name is not None and v is not UNKNOWN for name, v in values.items()):
                return kind(**values)  # pyright: ignore[reportCallIssue]
        return UNKNOWN
    if isinstance(given, ast.Constant | ast.Tuple | ast.UnaryOp | ast.List | ast.Dict):
        return folder.values.value(given)
    return UNKNOWN
