"""What nobody reads goes: functions, attributes, fields of records, layers that do nothing."""

from __future__ import annotations

import ast
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import is_idle
from drivetrain.eject.lift import RUN_BY_PYTHON, Piece
from drivetrain.eject.members import (
    attributes_read,
    holds_plain,
    identities,
    is_dots,
    is_record,
    makes_identity,
    stores_unread,
)
from drivetrain.eject.names import attributes_in, names_in
from drivetrain.eject.pieces import Pieces
from drivetrain.eject.tree import dotted


def drop_unread(pieces: Pieces) -> None:
    """Lifted pieces that no other piece names, until there are none."""
    while True:
        read: set[str] = set()
        for piece in pieces.all:
            read |= names_in(piece.node) - {piece.name}
        gone = [name for name in pieces.lifter.pieces if name not in read]
        for name in gone:
            del pieces.lifter.pieces[name]
        if not gone:
            return


def drop_attributes(pieces: Pieces) -> None:
    """`self.config = config` where nobody asks for it."""
    read: set[str] = set()
    for piece in pieces.all:
        read |= attributes_read(piece.node)
    of_records = _read_of_records(pieces)
    used: set[str] = set()
    for piece in pieces.all:
        used |= attributes_in(piece.node)
    for piece in pieces.lifter.pieces.values():  # of methods that may still be called
        for name, method in piece.methods.items():
            read |= attributes_read(method) if name in used else set()
    for piece in pieces.lifter.pieces.values():
        if not (piece.is_ours and isinstance(piece.node, ast.ClassDef)):
            continue
        for function in piece.node.body:
            if isinstance(function, ast.FunctionDef):
                function.body = [one for one in function.body if not stores_unread(one, read)] or [
                    tree.mark(ast.Pass())
                ]
        piece.node.body = [
            one
            for one in piece.node.body
            if not (
                isinstance(one, ast.FunctionDef)
                and one.name not in read
                and (
                    one.name not in RUN_BY_PYTHON
                    or f"{piece.node.name}.{one.name}" in pieces.lifter.unasked
                )
            )
        ]
        if is_record(piece.node):
            piece.node.body = [
                one
                for one in piece.node.body
                if not (
                    isinstance(one, ast.FunctionDef)
                    and all(tree.is_text(b) or is_dots(b) for b in one.body)
                )
                and not (
                    isinstance(one, ast.AnnAssign)
                    and isinstance(one.target, ast.Name)
                    and one.target.id not in of_records[holds_plain(one)]
                    and "NamedTuple" not in {dotted(base) for base in piece.node.bases}
                    and _forget_field(pieces, piece, one.target.id)
                )
            ]


def drop_identities(pieces: Pieces) -> None:
    """Layers that do nothing in this run: places that a callback of another run would use."""
    text = ""
    for piece in pieces.lifter.pieces.values():
        if not (piece.is_ours and isinstance(piece.node, ast.ClassDef)):
            continue
        for name in identities(piece.node):
            text = text or pieces.text()  # as it was before the first of them went
            if text.count(f"'{name}'") == 2:  # made once, called once
                _WithoutCall(f"self.{name}").visit(piece.node)
                for function in piece.node.body:
                    if isinstance(function, ast.FunctionDef):
                        function.body = [s for s in function.body if not makes_identity(s, name)]


def records_as_tuples(pieces: Pieces) -> None:
    """Named tuples of which nobody reads a field by its name are plain ones."""
    read: set[str] = set()
    for piece in pieces.all:
        read |= attributes_in(piece.node)
    calls = pieces.calls()
    for piece in list(pieces.lifter.pieces.values()):
        node = piece.node
        if not (piece.is_ours and isinstance(node, ast.ClassDef)) or piece.name not in calls:
            continue
        fields = [
            o.target.id
            for o in node.body
            if isinstance(o, ast.AnnAssign) and isinstance(o.target, ast.Name)
        ]
        if [dotted(b) for b in node.bases] != ["NamedTuple"] or any(f in read for f in fields):
            continue
        if any(call.keywords or len(call.args) != len(fields) for call, _ in calls[piece.name]):
            continue
        ids = {id(call) for call, _ in calls[piece.name]}
        for other in pieces.all:
            other.node = _AsTuples(ids).visit(other.node)
        del pieces.lifter.pieces[piece.name]


class _WithoutCall(ast.NodeTransformer):
    """Calls of a function are what they are given."""

    def __init__(self, called: str) -> None:
        self.called = called

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        return node.args[0] if dotted(node.func) == self.called else node


class _AsTuples(ast.NodeTransformer):
    """These calls, by their `id`, are tuples of what they are given."""

    def __init__(self, calls: set[int]) -> None:
        self.calls = calls

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        return ast.Tuple(node.args, ast.Load()) if id(node) in self.calls else node


def _read_of_records(pieces: Pieces) -> tuple[set[str], set[str]]:
    """Attributes that are read of anything but a layer's or metric's own `self`.

    Returns: all; and without those that are only called, as numbers and words cannot be.
    """
    classes = {p.name: p for p in pieces.all if isinstance(p.node, ast.ClassDef)}
    bases = {dotted(base) for p in classes.values() for base in p.node.bases}
    found, plain = set[str](), set[str]()
    for piece in pieces.all:
        is_alone = piece.name in classes and not is_record(piece.node)
        is_alone = is_alone and not bases & {p for p in classes if is_record(classes[p].node)}
        found |= attributes_read(piece.node, without_self=is_alone)
        called = {
            id(n.func)
            for n in tree.walk(piece.node)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
        }
        plain |= {
            n.attr
            for n in tree.walk(piece.node)
            if isinstance(n, ast.Attribute)
            and isinstance(n.ctx, ast.Load)
            and id(n) not in called
            and not (is_alone and dotted(n.value) == "self")
        }
    return found, found & plain


def _forget_field(pieces: Pieces, record: Piece, name: str) -> bool:
    """Take a field that nobody reads out of the calls that make a record."""
    calls = [
        node
        for piece in pieces.all
        for node in tree.walk(piece.node)
        if isinstance(node, ast.Call) and tree.dotted(node.func) == record.name
    ]
    if any(call.args for call in calls):
        return False
    for call in calls:
        for keyword in call.keywords:
            if keyword.arg == name and not is_idle(keyword.value):
                return False
    for call in calls:
        call.keywords = [k for k in call.keywords if k.arg != name]
    return True
