"""What all calls of a function give alike becomes a constant inside, and the parameter goes."""

from __future__ import annotations

import ast
import dataclasses

from drivetrain.eject import tree
from drivetrain.eject.effects import is_pure
from drivetrain.eject.in_place import are_statements
from drivetrain.eject.known import UNKNOWN, Known, literal
from drivetrain.eject.lift import Piece
from drivetrain.eject.pieces import Pieces
from drivetrain.eject.signatures import (
    alike,
    argument_of,
    default_of,
    function_of,
    is_stored,
    local_names,
    made_from,
    named_parameters,
    reads_name,
    value_of,
    without_parameter,
)
from drivetrain.eject.tree import same


def specialise(pieces: Pieces) -> None:
    """Parameters that every call gives alike become constants."""
    calls = pieces.calls()
    for piece in pieces.lifter.pieces.values():
        function = function_of(piece)
        if not piece.is_ours or function is None or piece.name in pieces.pinned:
            continue
        if piece.name not in calls or (function.args.vararg and not named_parameters(function)):
            continue
        is_method = isinstance(piece.node, ast.ClassDef)
        for name in named_parameters(function, skip_first=is_method):
            one = _given(pieces, function, name, calls[piece.name], is_method=is_method)
            if one is not None:
                piece.known[name] = one
        put_in_known(pieces, function, piece)
        for name in list(piece.known):
            if (
                name in named_parameters(function)
                and not reads_name(function, name)
                and not is_stored(function, name)
            ):
                _remove(function, name, calls[piece.name], is_method=is_method)
        for name in named_parameters(function, skip_first=is_method):
            if not reads_name(function, name) and not is_stored(function, name):
                if all(_may_go(function, name, call, is_method) for call, _ in calls[piece.name]):
                    _remove(function, name, calls[piece.name], is_method=is_method)


def without_usual_arguments(pieces: Pieces) -> None:
    """Arguments that say what a function does anyway."""
    for name, calls in pieces.calls().items():
        piece = pieces.lifter.pieces.get(name)
        function = None if piece is None else function_of(piece)
        if function is None:
            continue
        for call, caller in calls:
            call.keywords = [
                k
                for k in call.keywords
                if not (
                    k.arg is not None
                    and caller.is_ours
                    and isinstance(k.value, ast.Constant)
                    and (usual := default_of(function, k.arg)) is not None
                    and same(usual, k.value)
                )
            ]


def without_unread_answers(pieces: Pieces) -> None:
    """`return module` at the end of a function of whose answer nobody makes anything."""
    for name, calls in pieces.calls().items():
        piece = pieces.lifter.pieces.get(name)
        if piece is None or not (piece.is_ours and isinstance(piece.node, ast.FunctionDef)):
            continue
        returns = [n for n in ast.walk(piece.node) if isinstance(n, ast.Return)]
        body = piece.node.body
        if len(returns) == 1 and returns[0] is body[-1] and isinstance(returns[0].value, ast.Name):
            if are_statements(name, calls) and len(body) > 1:
                body.pop()
                piece.node.returns = ast.Constant(None)


def put_in_known(pieces: Pieces, function: ast.FunctionDef, piece: Piece) -> None:
    """What is known of parameters, inside."""
    known = {name: one for name, one in piece.known.items() if not is_stored(function, name)}
    folder = pieces.lifter.script_folder(piece, known)
    arguments, function.args = function.args, ast.arguments([], [], None, [], [], None, [])
    decorators, function.decorator_list = function.decorator_list, []
    holder: list[ast.stmt] = [function]
    folder.fold(holder)
    function.args, function.decorator_list = arguments, decorators


def _given(
    pieces: Pieces,
    function: ast.FunctionDef,
    name: str,
    calls: list[tuple[ast.Call, Piece]],
    *,
    is_method: bool,
) -> Known | None:
    """What all calls give for a parameter, where that is one known thing."""
    found: Known | None = None
    for call, caller in calls:
        if any(isinstance(a, ast.Starred) for a in call.args) or any(
            k.arg is None for k in call.keywords
        ):
            return None
        given = argument_of(function, name, call, is_method=is_method)
        if given is None:
            given = default_of(function, name)
            if given is None:
                return None
        one = _known(pieces, given, caller)
        if one is None or (found is not None and not alike(one, found)):
            return None
        found = one
    return found


def _known(pieces: Pieces, given: ast.expr, caller: Piece) -> Known | None:
    constants = pieces.lifter.constants
    if isinstance(given, ast.Name) and given.id not in caller.known:
        if given.id in local_names(caller.node):
            return None
    if isinstance(given, ast.Name) and given.id in constants:
        return Known(constants[given.id], given.id)
    if isinstance(given, ast.Name) and given.id in caller.known:
        return caller.known[given.id]
    if isinstance(given, ast.Name) and given.id in pieces.lifter.pieces:
        piece = pieces.lifter.pieces[given.id]
        if isinstance(piece.node, ast.FunctionDef | ast.ClassDef):
            return Known(value_of(piece), given.id)
        return None
    if isinstance(given, ast.Lambda):
        return Known(given)  # something, and no None
    value = made_from(given, pieces.lifter, caller)
    if value is UNKNOWN:
        return None
    if literal(value) is not None:
        return Known(value, tree.unparse(given))
    return Known(value) if dataclasses.is_dataclass(value) else None


def _may_go(function: ast.FunctionDef, name: str, call: ast.Call, is_method: bool) -> bool:
    given = argument_of(function, name, call, is_method=is_method)
    return given is None or is_pure(given)


def _remove(
    function: ast.FunctionDef,
    name: str,
    calls: list[tuple[ast.Call, Piece]],
    *,
    is_method: bool,
) -> None:
    """Take a parameter out of a function and of its calls."""
    places = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    for call, _ in calls:
        call.keywords = [k for k in call.keywords if k.arg != name]
        if name in places:
            index = places.index(name) - is_method
            if index < len(call.args):
                del call.args[index]
    without_parameter(function, name)
