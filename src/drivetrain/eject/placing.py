"""Which functions are written where they are called: those that say one thing, and steps of another."""

from __future__ import annotations

import ast
import copy
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import replace_name
from drivetrain.eject.in_place import (
    LONGEST,
    SMALL,
    are_statements,
    fits,
    is_worth_a_name,
    only_passes,
    put_statements,
)
from drivetrain.eject.lift import Piece
from drivetrain.eject.members import put_module
from drivetrain.eject.modules import OURS
from drivetrain.eject.names import names_in
from drivetrain.eject.pieces import Pieces
from drivetrain.eject.signatures import argument_of, default_of, named_parameters
from drivetrain.eject.tree import dotted

PARAGRAPHS = (
    frozenset({"drivetrain.vision.augment", "drivetrain.vision.geometry"}),
    frozenset({"drivetrain.randomness"}),
    frozenset({"drivetrain.vision.normalise"}),
    frozenset({"drivetrain.optim.defaults", OURS}),
)
"""Modules whose functions read well as paragraphs of one, where each is called once."""


def write_expressions(pieces: Pieces) -> None:
    """Functions of one expression where they are called."""
    while _write_one_in_place(pieces):
        pass


def write_statements(pieces: Pieces) -> None:
    """Private functions of several statements that are called once, as `x = f(…)` or `f(…)`."""
    while _write_steps_of_one(pieces):
        pass


def write_layers(pieces: Pieces) -> None:
    """Layers without parameters that say one expression, where they are called."""
    for piece in list(pieces.lifter.pieces.values()):
        node = piece.node
        if not (piece.is_ours and isinstance(node, ast.ClassDef)) or [
            dotted(b) for b in node.bases
        ] != ["nn.Module"]:
            continue
        methods = [o for o in node.body if isinstance(o, ast.FunctionDef)]
        if len(methods) != 1 or methods[0].name != "forward" or len(methods[0].body) != 1:
            continue
        forward = methods[0]
        if not isinstance(forward.body[0], ast.Return):
            continue
        users = [p for p in pieces.all if piece.name in names_in(p.node)]
        if len(users) != 1 or not isinstance(users[0].node, ast.ClassDef):
            continue
        if put_module(users[0].node, piece.name, forward):
            del pieces.lifter.pieces[piece.name]


def _write_one_in_place(pieces: Pieces) -> bool:
    calls = pieces.calls()
    for piece in list(pieces.lifter.pieces.values()):
        node = piece.node
        if not (piece.is_ours and isinstance(node, ast.FunctionDef)) or piece.name not in calls:
            continue
        if (
            piece.name in pieces.pinned
            or node.decorator_list
            or node.args.vararg
            or node.args.kwarg
        ):
            continue
        body = [one for one in node.body if not tree.is_text(one)]
        if (
            len(body) != 1
            or not isinstance(body[0], ast.Return | ast.Expr)
            or body[0].value is None
        ):
            continue
        if isinstance(body[0], ast.Expr) and not are_statements(piece.name, calls[piece.name]):
            continue
        expression = body[0].value
        if isinstance(expression, ast.Constant) and expression.value is ...:
            continue
        if any(
            isinstance(part, ast.Name) and part.id == piece.name for part in ast.walk(expression)
        ):
            continue
        is_small = sum(1 for _ in ast.walk(expression)) <= SMALL and only_passes(expression)
        is_plain = isinstance(expression, ast.Constant | ast.Name)
        count = len(calls[piece.name])
        if not (is_plain or is_small or (count == 1 and not is_worth_a_name(node))):
            continue
        if not all(fits(node, expression, call, inside.node) for call, inside in calls[piece.name]):
            continue
        for _, caller in calls[piece.name]:
            _replace(caller, piece.name, node, expression)
        del pieces.lifter.pieces[piece.name]
        return True
    return False


def _write_steps_of_one(pieces: Pieces) -> bool:
    calls = pieces.calls()
    for piece in list(pieces.lifter.pieces.values()):
        function = piece.node
        if not (piece.is_ours and isinstance(function, ast.FunctionDef)):
            continue
        if (
            len(calls.get(piece.name, ())) != 1
            or piece.name in pieces.pinned
            or function.args.vararg
        ):
            continue
        call, caller = calls[piece.name][0]
        is_private = piece.name.startswith("_") and len(function.body) <= 8
        if not (is_private or _belongs(piece, caller)):
            continue
        returns = [n for n in ast.walk(function) if isinstance(n, ast.Return | ast.Yield)]
        if len(returns) > 1 or (returns and returns[0] is not function.body[-1]):
            continue
        if any(isinstance(n, ast.FunctionDef) for one in function.body for n in ast.walk(one)):
            continue
        given: dict[str, ast.expr] = {}
        for name in named_parameters(function):
            one = argument_of(function, name, call, is_method=False) or default_of(function, name)
            if one is not None:
                given[name] = one
        starred = any(isinstance(a, ast.Starred) for a in call.args)
        if starred or len(given) != len(named_parameters(function)):
            continue
        if put_statements(caller.node, call, function, given):
            del pieces.lifter.pieces[piece.name]
            return True
    return False


def _belongs(piece: Piece, caller: Piece) -> bool:
    """Whether a function is a paragraph of the one that calls it: of a family, and not too long."""
    family = next((f for f in PARAGRAPHS if piece.module in f), None)
    if family is None or caller.module not in family:
        return False
    count = sum(isinstance(n, ast.stmt) for one in (piece.node, caller.node) for n in ast.walk(one))
    return count <= LONGEST


def _replace(caller: Piece, name: str, function: ast.FunctionDef, expression: ast.expr) -> None:
    class Replace(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> Any:
            self.generic_visit(node)
            if not (isinstance(node.func, ast.Name) and node.func.id == name):
                return node
            result = copy.deepcopy(expression)
            holder = ast.Expr(result)
            given = {
                p: argument_of(function, p, node, is_method=False)
                for p in named_parameters(function)
            }
            for parameter, value in given.items():
                value = value if value is not None else default_of(function, parameter)
                assert value is not None
                replace_name(holder, parameter, ast.Name(f"__{parameter}", ast.Load()))
            for parameter, value in given.items():
                value = value if value is not None else default_of(function, parameter)
                assert value is not None
                replace_name(holder, f"__{parameter}", value)
            return holder.value

    caller.node = Replace().visit(caller.node)
