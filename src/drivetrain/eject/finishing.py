"""The last touches: annotations that the script can say, names without underscores, no needless gaps."""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Mapping
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.members import is_record
from drivetrain.eject.modules import Import
from drivetrain.eject.names import rename
from drivetrain.eject.pieces import Pieces

SAYABLE = frozenset({"torch", "numpy", "collections", "typing", "pathlib"})
"""Packages whose names an annotation may take."""


_BUILTINS = frozenset(dir(builtins))


def close_up(pieces: Pieces) -> None:
    """No blank line right below a docstring or at the start of a body."""
    for piece in pieces.all:
        for node in tree.walk(piece.node):
            if isinstance(node, ast.FunctionDef):
                rest = node.body[1:] if tree.is_text(node.body[0]) else node.body
                for one in rest[:1]:
                    one.gap = False  # pyright: ignore[reportAttributeAccessIssue]


def drop_annotations(pieces: Pieces) -> None:
    """Leave out annotations that name what the script does not have."""
    for piece in pieces.all:
        if not piece.is_ours:
            continue
        imported = pieces.lifter.imported_by(piece.module)
        for node in ast.walk(piece.node):
            for name in ("annotation", "returns"):
                part = getattr(node, name, None)
                if isinstance(part, ast.AST) and not _can_say(pieces, part, imported):
                    is_field = isinstance(node, ast.AnnAssign)
                    setattr(node, name, ast.Name("Any", ast.Load()) if is_field else None)
        piece.node = _PlainAssignments().visit(piece.node)
        if isinstance(piece.node, ast.FunctionDef):
            _shorten(piece.node)
        if any(isinstance(n, ast.Name) and n.id == "Any" for n in ast.walk(piece.node)):
            pieces.lifter.add_import(Import("typing", "Any"))


def make_public(pieces: Pieces) -> None:
    """Names without their underscore, where nothing else is called so."""
    taken: set[str] = set(pieces.lifter.imports) | set(pieces.lifter.constants)
    for piece in pieces.all:
        for node in ast.walk(piece.node):
            if isinstance(node, ast.Name):
                taken.add(node.id)
            elif isinstance(node, ast.arg):
                taken.add(node.arg)
    names = {}
    for piece in list(pieces.all):
        plain = piece.name.lstrip("_")
        if plain != piece.name and piece.is_ours and plain not in taken and not hasattr(ast, plain):
            if plain not in names.values() and plain not in _BUILTINS:
                names[piece.name] = plain
    for piece in pieces.all:
        rename(piece.node, names)
    for old, new in names.items():
        if old in pieces.lifter.pieces:
            piece = pieces.lifter.pieces[old]
            piece.name = new
    pieces.lifter.pieces = {piece.name: piece for piece in pieces.lifter.pieces.values()}


def _shorten(function: ast.FunctionDef) -> None:
    """Without the type of the answer, where the first line would not fit because of it."""
    bare = copy.copy(function)
    bare.body, bare.decorator_list = [ast.Pass()], []
    line = tree.unparse(ast.fix_missing_locations(bare)).splitlines()[0].replace("=", " = ")
    answer = len(tree.unparse(function.returns)) + 4 if function.returns else 0
    if answer and len(line) > tree.WIDTH >= len(line) - answer:
        function.returns = None


def _can_say(pieces: Pieces, annotation: ast.AST, imported: Mapping[str, Import]) -> bool:
    wanted = []
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name) and node.id not in _BUILTINS:
            if node.id in pieces.lifter.pieces or node.id in pieces.lifter.imports:
                continue
            if any(node.id == piece.name for piece in pieces.written):
                continue
            if node.id in imported and imported[node.id].module.partition(".")[0] in SAYABLE:
                wanted.append(imported[node.id])
                continue
            return False
    for one in wanted:
        pieces.lifter.add_import(one)
    return True


class _PlainAssignments(ast.NodeTransformer):
    """`x: int = 1` inside functions as `x = 1`."""

    def __init__(self) -> None:
        self.depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        if not is_record(node):
            self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: Any) -> Any:
        has_words = isinstance(node.annotation, ast.Name) and node.annotation.id == "Any"
        if node.value is None or (not self.depth and not has_words):
            return node
        plain: Any = ast.Assign([node.target], node.value, lineno=0)
        plain.before, plain.after, plain.gap = node.before, node.after, node.gap
        return plain
