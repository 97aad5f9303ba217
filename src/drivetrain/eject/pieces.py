"""The pieces of a script: those that were lifted, those that were written, and who calls them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from drivetrain.eject.lift import Lifter, Piece
from drivetrain.eject.names import annotation_names, names_in
from drivetrain.eject.signatures import in_annotations
from drivetrain.eject.tree import dotted, told, walk


class Pieces:
    """All of them.

    Args:
        lifter: holds the lifted pieces.
        written: functions and classes that the script is written around; they are not changed but for
            the names of what they call, and what is known of the run.
        pinned: names of pieces that keep their parameters.
    """

    def __init__(
        self, lifter: Lifter, written: Iterable[Piece], *, pinned: Iterable[str] = ()
    ) -> None:
        self.lifter = lifter
        self.written = list(written)
        self.pinned = frozenset(pinned)
        lifter.written = [piece.node for piece in self.written]

    @property
    def all(self) -> list[Piece]:
        """Lifted ones, then written ones."""
        return [*self.lifter.pieces.values(), *self.written]

    @property
    def changeable(self) -> list[Piece]:
        """The library's; a person's own stay as they are."""
        return [piece for piece in self.all if piece.is_ours]

    def text(self) -> str:
        """What all of them say, as one text: for names that are counted in it."""
        return "\n".join(ast.dump(piece.node) for piece in self.all)

    def told(self) -> list[list[Any]]:
        """What all of them say, to see whether anything changed."""
        return [told(piece.node) for piece in self.all]

    def names(self) -> set[str]:
        """Names that anything reads, annotations among them."""
        found: set[str] = set()
        for piece in self.all:
            found |= names_in(piece.node) | annotation_names(piece.node)
        return found

    def calls(self) -> dict[str, list[tuple[ast.Call, Piece]]]:
        """By the name of each piece that is only called: its calls, and where they stand."""
        found: dict[str, list[tuple[ast.Call, Piece]]] = {}
        elsewhere: set[str] = set()
        names = {piece.name for piece in self.all}
        for piece in self.all:
            called: set[int] = set()
            nodes = walk(piece.node)
            for node in nodes:
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    if node.func.id in names:
                        found.setdefault(node.func.id, []).append((node, piece))
                        called.add(id(node.func))
                if isinstance(node, ast.Call) and (dotted(node.func) or "") == "isinstance":
                    called.update(map(id, walk(node)))
            skipped = called | in_annotations(piece.node)
            for node in nodes:
                if isinstance(node, ast.Name) and id(node) not in skipped and node.id in names:
                    elsewhere.add(node.id)
        return {name: calls for name, calls in found.items() if name not in elsewhere}
