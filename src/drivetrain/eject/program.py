"""The pieces of a script together: what is only known once all of them are there.

`settle` looks at every call of every lifted function: what all of them give alike, or leave at its
default, becomes a constant inside, and the parameter goes. That decides further branches, which makes
further functions needless, and so on until nothing changes. A function that says one thing and is
called once is written where it is called. What nobody reads goes.
"""

from __future__ import annotations

import ast
import builtins
import copy
import dataclasses
import itertools
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.fold import (
    UNKNOWN,
    Known,
    is_captured,
    is_idle,
    is_pure,
    literal,
    replace_name,
)
from drivetrain.eject.lift import (
    OURS,
    RUN_BY_PYTHON,
    Import,
    Lifter,
    Piece,
    annotation_names,
    attributes_in,
    names_in,
    rename,
)
from drivetrain.eject.tree import dotted, same

SMALL = 12
"""Nodes of an expression that is written where it is called, however often that is."""

ROUNDS = 12

LONGEST = 64
"""Statements of a function that others are written into."""

PARAGRAPHS = (
    frozenset({"drivetrain.vision.augment", "drivetrain.vision.geometry"}),
    frozenset({"drivetrain.randomness"}),
    frozenset({"drivetrain.vision.normalise"}),
    frozenset({"drivetrain.optim.defaults", OURS}),
)
"""Modules whose functions read well as paragraphs of one, where each is called once."""


class Program:
    """The pieces of a lifter and the functions written for this run.

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
    def pieces(self) -> list[Piece]:
        """All of it."""
        return [*self.lifter.pieces.values(), *self.written]

    def settle(self) -> None:
        """Make of it what this run needs."""
        for _ in range(ROUNDS):
            before = self._text()
            self._fold()
            while self.lifter.add_called_methods():
                pass
            self._drop_unread()
            self._specialise()
            self._fold()
            self._without_usual_arguments()
            self._without_unread_answers()
            self._write_in_place()
            self._write_steps_in_place()
            self._drop_unread()
            self._drop_unread_attributes()
            self._drop_identities()
            self._records_as_tuples()
            self._close_up()
            self._modules_in_place()
            if self._text() == before:
                break
        self._drop_annotations()
        self._make_public()

    def names(self) -> set[str]:
        """Names that anything reads, annotations among them."""
        found: set[str] = set()
        for piece in self.pieces:
            found |= names_in(piece.node) | annotation_names(piece.node)
        return found

    # --- how it is done ---------------------------------------------------------------------------

    def _text(self) -> str:
        return "\n".join(ast.dump(piece.node) for piece in self.pieces)

    def _changeable(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.is_ours]

    def _fold(self) -> None:
        for piece in self._changeable():
            folder = self.lifter.script_folder(piece)
            function = _callable(piece)
            if function is not None and piece.known:
                self._put_in(function, piece)
            body = [piece.node]
            folder.fold(body)

    def _put_in(self, function: ast.FunctionDef, piece: Piece) -> None:
        """What is known of parameters, inside."""
        known = {name: one for name, one in piece.known.items() if not _is_stored(function, name)}
        folder = self.lifter.script_folder(piece, known)
        arguments, function.args = function.args, ast.arguments([], [], None, [], [], None, [])
        decorators, function.decorator_list = function.decorator_list, []
        holder: list[ast.stmt] = [function]
        folder.fold(holder)
        function.args, function.decorator_list = arguments, decorators

    def _calls(self) -> dict[str, list[tuple[ast.Call, Piece]]]:
        """The calls of each piece by name; None in the list's place where it is used otherwise."""
        found: dict[str, list[tuple[ast.Call, Piece]]] = {}
        elsewhere: set[str] = set()
        names = {piece.name for piece in self.pieces}
        for piece in self.pieces:
            called: set[int] = set()
            for node in ast.walk(piece.node):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    if node.func.id in names:
                        found.setdefault(node.func.id, []).append((node, piece))
                        called.add(id(node.func))
                if isinstance(node, ast.Call) and (dotted(node.func) or "") == "isinstance":
                    called.update(id(part) for part in ast.walk(node))
            skipped = called | _in_annotations(piece.node)
            for node in ast.walk(piece.node):
                if isinstance(node, ast.Name) and id(node) not in skipped and node.id in names:
                    elsewhere.add(node.id)
        return {name: calls for name, calls in found.items() if name not in elsewhere}

    def _specialise(self) -> None:
        """Parameters that every call gives alike become constants."""
        calls = self._calls()
        for piece in self.lifter.pieces.values():
            function = _callable(piece)
            if not piece.is_ours or function is None or piece.name in self.pinned:
                continue
            if piece.name not in calls or (function.args.vararg and not _named(function)):
                continue
            is_method = isinstance(piece.node, ast.ClassDef)
            for name in _named(function, skip_first=is_method):
                one = self._given(function, name, calls[piece.name], is_method=is_method)
                if one is not None:
                    piece.known[name] = one
            self._put_in(function, piece)
            for name in list(piece.known):
                if (
                    name in _named(function)
                    and not _reads(function, name)
                    and not _is_stored(function, name)
                ):
                    self._remove(function, name, calls[piece.name], is_method=is_method)
            for name in _named(function, skip_first=is_method):
                if not _reads(function, name) and not _is_stored(function, name):
                    if all(
                        self._may_go(function, name, call, is_method)
                        for call, _ in calls[piece.name]
                    ):
                        self._remove(function, name, calls[piece.name], is_method=is_method)

    def _may_go(
        self, function: ast.FunctionDef, name: str, call: ast.Call, is_method: bool
    ) -> bool:
        given = _argument(function, name, call, is_method=is_method)
        return given is None or is_pure(given)

    def _given(
        self,
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
            given = _argument(function, name, call, is_method=is_method)
            if given is None:
                given = _default(function, name)
                if given is None:
                    return None
            one = self._known(given, caller)
            if one is None or (found is not None and not _alike(one, found)):
                return None
            found = one
        return found

    def _known(self, given: ast.expr, caller: Piece) -> Known | None:
        constants = self.lifter.constants
        if isinstance(given, ast.Name) and given.id not in caller.known:
            if given.id in _local_names(caller.node):
                return None
        if isinstance(given, ast.Name) and given.id in constants:
            return Known(constants[given.id], given.id)
        if isinstance(given, ast.Name) and given.id in caller.known:
            return caller.known[given.id]
        if isinstance(given, ast.Name) and given.id in self.lifter.pieces:
            piece = self.lifter.pieces[given.id]
            if isinstance(piece.node, ast.FunctionDef | ast.ClassDef):
                return Known(_value_of(piece), given.id)
            return None
        if isinstance(given, ast.Lambda):
            return Known(given)  # something, and no None
        value = _made(given, self.lifter, caller)
        if value is UNKNOWN:
            return None
        if literal(value) is not None:
            return Known(value, tree.unparse(given) if literal(value) is not None else None)
        return Known(value) if dataclasses.is_dataclass(value) else None

    def _remove(
        self,
        function: ast.FunctionDef,
        name: str,
        calls: list[tuple[ast.Call, Piece]],
        *,
        is_method: bool,
    ) -> None:
        """Take a parameter out of a function and of its calls."""
        places = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        if name in places and function.args.vararg is not None:
            after = places.index(name)
            if any(len(call.args) > after for call, _ in calls) and name != places[0]:
                pass
        for call, _ in calls:
            call.keywords = [k for k in call.keywords if k.arg != name]
            if name in places:
                index = places.index(name) - is_method
                if index < len(call.args):
                    del call.args[index]
        _without_parameter(function, name)

    def _without_usual_arguments(self) -> None:
        """Arguments that say what a function does anyway."""
        for name, calls in self._calls().items():
            piece = self.lifter.pieces.get(name)
            function = None if piece is None else _callable(piece)
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
                        and (usual := _default(function, k.arg)) is not None
                        and same(usual, k.value)
                    )
                ]

    def _without_unread_answers(self) -> None:
        """`return module` at the end of a function of whose answer nobody makes anything."""
        for name, calls in self._calls().items():
            piece = self.lifter.pieces.get(name)
            if piece is None or not (piece.is_ours and isinstance(piece.node, ast.FunctionDef)):
                continue
            returns = [n for n in ast.walk(piece.node) if isinstance(n, ast.Return)]
            body = piece.node.body
            if (
                len(returns) == 1
                and returns[0] is body[-1]
                and isinstance(returns[0].value, ast.Name)
            ):
                if _are_statements(name, calls) and len(body) > 1:
                    body.pop()
                    piece.node.returns = ast.Constant(None)

    def _write_in_place(self) -> None:
        """Functions of one expression where they are called."""
        while self._write_one_in_place():
            pass

    def _write_one_in_place(self) -> bool:
        calls = self._calls()
        for piece in list(self.lifter.pieces.values()):
            node = piece.node
            if not (piece.is_ours and isinstance(node, ast.FunctionDef)) or piece.name not in calls:
                continue
            if (
                piece.name in self.pinned
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
            if isinstance(body[0], ast.Expr) and not _are_statements(piece.name, calls[piece.name]):
                continue
            expression = body[0].value
            if isinstance(expression, ast.Constant) and expression.value is ...:
                continue
            if any(
                isinstance(part, ast.Name) and part.id == piece.name
                for part in ast.walk(expression)
            ):
                continue
            is_small = sum(1 for _ in ast.walk(expression)) <= SMALL and _only_passes(expression)
            is_plain = isinstance(expression, ast.Constant | ast.Name)
            count = len(calls[piece.name])
            if not (is_plain or is_small or (count == 1 and not _is_worth_a_name(node))):
                continue
            if not all(
                _fits(node, expression, call, inside.node) for call, inside in calls[piece.name]
            ):
                continue
            for _, caller in calls[piece.name]:
                self._replace(caller, piece.name, node, expression)
            del self.lifter.pieces[piece.name]
            return True
        return False

    def _write_steps_in_place(self) -> None:
        """Private functions of several statements that are called once, as `x = f(…)` or `f(…)`."""
        while self._write_steps_of_one():
            pass

    def _write_steps_of_one(self) -> bool:
        calls = self._calls()
        for piece in list(self.lifter.pieces.values()):
            function = piece.node
            if not (piece.is_ours and isinstance(function, ast.FunctionDef)):
                continue
            if (
                len(calls.get(piece.name, ())) != 1
                or piece.name in self.pinned
                or function.args.vararg
            ):
                continue
            call, caller = calls[piece.name][0]
            is_private = piece.name.startswith("_") and len(function.body) <= 8
            if not (is_private or self._belongs(piece, caller)):
                continue
            returns = [n for n in ast.walk(function) if isinstance(n, ast.Return | ast.Yield)]
            if len(returns) > 1 or (returns and returns[0] is not function.body[-1]):
                continue
            if any(isinstance(n, ast.FunctionDef) for one in function.body for n in ast.walk(one)):
                continue
            given: dict[str, ast.expr] = {}
            for name in _named(function):
                one = _argument(function, name, call, is_method=False) or _default(function, name)
                if one is not None:
                    given[name] = one
            starred = any(isinstance(a, ast.Starred) for a in call.args)
            if starred or len(given) != len(_named(function)):
                continue
            if _put_statements(caller.node, call, function, given):
                del self.lifter.pieces[piece.name]
                return True
        return False

    def _belongs(self, piece: Piece, caller: Piece) -> bool:
        """Whether a function is a paragraph of the one that calls it: of a family, and not too long."""
        family = next((f for f in PARAGRAPHS if piece.module in f), None)
        if family is None or caller.module not in family:
            return False
        count = sum(
            isinstance(n, ast.stmt) for one in (piece.node, caller.node) for n in ast.walk(one)
        )
        return count <= LONGEST

    def _replace(
        self, caller: Piece, name: str, function: ast.FunctionDef, expression: ast.expr
    ) -> None:
        class Replace(ast.NodeTransformer):
            def visit_Call(self, node: ast.Call) -> Any:
                self.generic_visit(node)
                if not (isinstance(node.func, ast.Name) and node.func.id == name):
                    return node
                result = copy.deepcopy(expression)
                holder = ast.Expr(result)
                given = {p: _argument(function, p, node, is_method=False) for p in _named(function)}
                for parameter, value in given.items():
                    value = value if value is not None else _default(function, parameter)
                    assert value is not None
                    replace_name(holder, parameter, ast.Name(f"__{parameter}", ast.Load()))
                for parameter, value in given.items():
                    value = value if value is not None else _default(function, parameter)
                    assert value is not None
                    replace_name(holder, f"__{parameter}", value)
                return holder.value

        caller.node = Replace().visit(caller.node)

    def _drop_unread(self) -> None:
        while True:
            read: set[str] = set()
            for piece in self.pieces:
                read |= names_in(piece.node) - {piece.name}
            gone = [name for name in self.lifter.pieces if name not in read]
            for name in gone:
                del self.lifter.pieces[name]
            if not gone:
                return

    def _drop_unread_attributes(self) -> None:
        """`self.config = config` where nobody asks for it."""
        read: set[str] = set()
        for piece in self.pieces:
            read |= _attributes_read(piece.node)
        of_records = self._read_of_records()
        used: set[str] = set()
        for piece in self.pieces:
            used |= attributes_in(piece.node)
        for piece in self.lifter.pieces.values():  # of methods that may still be called
            for name, method in piece.methods.items():
                read |= _attributes_read(method) if name in used else set()
        for piece in self.lifter.pieces.values():
            if not (piece.is_ours and isinstance(piece.node, ast.ClassDef)):
                continue
            for function in piece.node.body:
                if isinstance(function, ast.FunctionDef):
                    function.body = [
                        one for one in function.body if not _stores_unread(one, read)
                    ] or [tree.mark(ast.Pass())]
            piece.node.body = [
                one
                for one in piece.node.body
                if not (
                    isinstance(one, ast.FunctionDef)
                    and one.name not in read
                    and one.name not in RUN_BY_PYTHON
                )
            ]
            if _is_record(piece.node):
                piece.node.body = [
                    one
                    for one in piece.node.body
                    if not (
                        isinstance(one, ast.FunctionDef)
                        and all(tree.is_text(b) or _is_dots(b) for b in one.body)
                    )
                    and not (
                        isinstance(one, ast.AnnAssign)
                        and isinstance(one.target, ast.Name)
                        and one.target.id not in of_records[_holds_plain(one)]
                        and "NamedTuple" not in {dotted(base) for base in piece.node.bases}
                        and self._forget_field(piece, one.target.id)
                    )
                ]

    def _read_of_records(self) -> tuple[set[str], set[str]]:
        """Attributes that are read of anything but a layer's or metric's own `self`.

        Returns: all; and without those that are only called, as numbers and words cannot be.
        """
        classes = {p.name: p for p in self.pieces if isinstance(p.node, ast.ClassDef)}
        bases = {dotted(base) for p in classes.values() for base in p.node.bases}
        found, plain = set[str](), set[str]()
        for piece in self.pieces:
            is_alone = piece.name in classes and not _is_record(piece.node)
            is_alone = is_alone and not bases & {p for p in classes if _is_record(classes[p].node)}
            found |= _attributes_read(piece.node, without_self=is_alone)
            called = {
                id(n.func)
                for n in ast.walk(piece.node)
                if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
            }
            plain |= {
                n.attr
                for n in ast.walk(piece.node)
                if isinstance(n, ast.Attribute)
                and isinstance(n.ctx, ast.Load)
                and id(n) not in called
                and not (is_alone and dotted(n.value) == "self")
            }
        return found, found & plain

    def _forget_field(self, record: Piece, name: str) -> bool:
        """Take a field that nobody reads out of the calls that make a record."""
        calls = [
            node
            for piece in self.pieces
            for node in ast.walk(piece.node)
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

    def _close_up(self) -> None:
        """No blank line right below a docstring or at the start of a body."""
        for piece in self.pieces:
            for node in ast.walk(piece.node):
                if isinstance(node, ast.FunctionDef):
                    rest = node.body[1:] if tree.is_text(node.body[0]) else node.body
                    for one in rest[:1]:
                        one.gap = False  # pyright: ignore[reportAttributeAccessIssue]

    def _records_as_tuples(self) -> None:
        """Named tuples of which nobody reads a field by its name are plain ones."""
        read: set[str] = set()
        for piece in self.pieces:
            read |= attributes_in(piece.node)
        calls = self._calls()
        for piece in list(self.lifter.pieces.values()):
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

            class Plain(ast.NodeTransformer):
                def visit_Call(self, node: ast.Call) -> Any:
                    self.generic_visit(node)
                    return ast.Tuple(node.args, ast.Load()) if id(node) in ids else node  # noqa: B023

            for other in self.pieces:
                other.node = Plain().visit(other.node)
            del self.lifter.pieces[piece.name]

    def _modules_in_place(self) -> None:
        """Layers without parameters that say one expression, where they are called."""
        for piece in list(self.lifter.pieces.values()):
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
            users = [p for p in self.pieces if piece.name in names_in(p.node)]
            if len(users) != 1 or not isinstance(users[0].node, ast.ClassDef):
                continue
            if _put_module(users[0].node, piece.name, forward):
                del self.lifter.pieces[piece.name]

    def _drop_identities(self) -> None:
        """Layers that do nothing in this run: places that a callback of another run would use."""
        text = self._text()
        for piece in self.lifter.pieces.values():
            if not (piece.is_ours and isinstance(piece.node, ast.ClassDef)):
                continue
            for name in _identities(piece.node):
                if text.count(f"'{name}'") == 2:  # made once, called once

                    class Without(ast.NodeTransformer):
                        def visit_Call(self, node: ast.Call) -> Any:
                            self.generic_visit(node)
                            is_it = dotted(node.func) == f"self.{name}"  # noqa: B023
                            return node.args[0] if is_it else node

                    Without().visit(piece.node)
                    for function in piece.node.body:
                        if isinstance(function, ast.FunctionDef):
                            function.body = [
                                s for s in function.body if not _makes_identity(s, name)
                            ]

    def _drop_annotations(self) -> None:
        """Leave out annotations that name what the script does not have."""
        for piece in self.pieces:
            if not piece.is_ours:
                continue
            source = (
                self.lifter._module(piece.module) if piece.module in self.lifter._modules else None
            )
            imported = source.imported if source is not None else {}
            for node in ast.walk(piece.node):
                for name in ("annotation", "returns"):
                    part = getattr(node, name, None)
                    if isinstance(part, ast.AST) and not self._can_say(part, imported):
                        is_field = isinstance(node, ast.AnnAssign)
                        setattr(node, name, ast.Name("Any", ast.Load()) if is_field else None)
            piece.node = _PlainAssignments().visit(piece.node)
            if isinstance(piece.node, ast.FunctionDef):
                self._shorten(piece.node)
            if any(isinstance(n, ast.Name) and n.id == "Any" for n in ast.walk(piece.node)):
                self.lifter.add_import(Import("typing", "Any"))

    def _shorten(self, function: ast.FunctionDef) -> None:
        """Without the type of the answer, where the first line would not fit because of it."""
        bare = copy.copy(function)
        bare.body, bare.decorator_list = [ast.Pass()], []
        line = tree.unparse(ast.fix_missing_locations(bare)).splitlines()[0].replace("=", " = ")
        answer = len(tree.unparse(function.returns)) + 4 if function.returns else 0
        if answer and len(line) > tree.WIDTH >= len(line) - answer:
            function.returns = None

    def _can_say(self, annotation: ast.AST, imported: Any) -> bool:
        wanted = []
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name) and node.id not in _BUILTINS:
                if node.id in self.lifter.pieces or node.id in self.lifter.imports:
                    continue
                if any(node.id == piece.name for piece in self.written):
                    continue
                if node.id in imported and imported[node.id].module.partition(".")[0] in SAYABLE:
                    wanted.append(imported[node.id])
                    continue
                return False
        for one in wanted:
            self.lifter.add_import(one)
        return True

    def _make_public(self) -> None:
        """Names without their underscore, where nothing else is called so."""
        taken: set[str] = set(self.lifter.imports) | set(self.lifter.constants)
        for piece in self.pieces:
            for node in ast.walk(piece.node):
                if isinstance(node, ast.Name):
                    taken.add(node.id)
                elif isinstance(node, ast.arg):
                    taken.add(node.arg)
        names = {}
        for piece in list(self.pieces):
            plain = piece.name.lstrip("_")
            if (
                plain != piece.name
                and piece.is_ours
                and plain not in taken
                and not hasattr(ast, plain)
            ):
                if plain not in names.values() and plain not in _BUILTINS:
                    names[piece.name] = plain
        for piece in self.pieces:
            rename(piece.node, names)
        for old, new in names.items():
            if old in self.lifter.pieces:
                piece = self.lifter.pieces[old]
                piece.name = new
        self.lifter.pieces = {piece.name: piece for piece in self.lifter.pieces.values()}


_BUILTINS = frozenset(dir(builtins))

SAYABLE = frozenset({"torch", "numpy", "collections", "typing", "pathlib"})
"""Packages whose names an annotation may take."""


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
        if not _is_record(node):
            self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: Any) -> Any:
        has_words = isinstance(node.annotation, ast.Name) and node.annotation.id == "Any"
        if node.value is None or (not self.depth and not has_words):
            return node
        plain: Any = ast.Assign([node.target], node.value, lineno=0)
        plain.before, plain.after, plain.gap = node.before, node.after, node.gap
        return plain


def _local_names(node: ast.AST) -> set[str]:
    """Names that the functions of a piece have of their own."""
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.arg):
            found.add(one.arg)
        elif isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load):
            found.add(one.id)
    return found


def _value_of(piece: Piece) -> Any:
    return getattr(sys.modules.get(piece.module), piece.node.name, UNKNOWN)


def _callable(piece: Piece) -> ast.FunctionDef | None:
    """The function, or the `__init__` of the class."""
    if isinstance(piece.node, ast.FunctionDef):
        return piece.node
    if isinstance(piece.node, ast.ClassDef):
        return next(
            (o for o in piece.node.body if isinstance(o, ast.FunctionDef) and o.name == "__init__"),
            None,
        )
    return None


def _named(function: ast.FunctionDef, *, skip_first: bool = False) -> list[str]:
    a = function.args
    places = [one.arg for one in (*a.posonlyargs, *a.args)]
    return [*places[skip_first:], *(one.arg for one in a.kwonlyargs)]


def _argument(
    function: ast.FunctionDef, name: str, call: ast.Call, *, is_method: bool
) -> ast.expr | None:
    for one in call.keywords:
        if one.arg == name:
            return one.value
    places = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    if name in places:
        index = places.index(name) - is_method
        if 0 <= index < len(call.args):
            return call.args[index]
    return None


def _default(function: ast.FunctionDef, name: str) -> ast.expr | None:
    a = function.args
    places = [*a.posonlyargs, *a.args]
    for one, value in zip(reversed(places), reversed(a.defaults), strict=False):
        if one.arg == name:
            return value
    for one, value in zip(a.kwonlyargs, a.kw_defaults, strict=True):
        if one.arg == name:
            return value
    return None


def _without_parameter(function: ast.FunctionDef, name: str) -> None:
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


def _reads(function: ast.FunctionDef, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for one in function.body
        for node in ast.walk(one)
    )


def _is_stored(function: ast.FunctionDef, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
        for one in function.body
        for node in ast.walk(one)
    )


def _in_annotations(node: ast.AST) -> set[int]:
    found: set[int] = set()
    for one in ast.walk(node):
        for part in (getattr(one, "annotation", None), getattr(one, "returns", None)):
            if isinstance(part, ast.AST):
                found.update(id(n) for n in ast.walk(part))
    return found


def _alike(a: Known, b: Known) -> bool:
    if (a.value is UNKNOWN) != (b.value is UNKNOWN):
        return False
    if a.value is UNKNOWN:
        return a.text == b.text
    return (
        type(a.value) is type(b.value)
        and a.value == b.value
        and (a.text == b.text or a.text is None)
    )


def _made(given: ast.expr, lifter: Lifter, caller: Piece) -> Any:
    """The value of an argument: a plain one, or a frozen record of the library made of such."""
    folder = lifter.script_folder(caller, caller.known)
    if isinstance(given, ast.Call) and isinstance(given.func, ast.Name) and not given.args:
        kind = folder.glob.get(given.func.id)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            values = {k.arg: folder.value(k.value) for k in given.keywords}
            if all(name is not None and v is not UNKNOWN for name, v in values.items()):
                return kind(**values)  # pyright: ignore[reportCallIssue]
        return UNKNOWN
    if isinstance(given, ast.Constant | ast.Tuple | ast.UnaryOp | ast.List | ast.Dict):
        return folder.value(given)
    return UNKNOWN


def _put_statements(
    node: Any, call: ast.Call, function: ast.FunctionDef, given: dict[str, ast.expr]
) -> bool:
    """Put a function's statements before the one that calls it, its answer in the call's place."""
    for holder in ast.walk(node):
        if not isinstance(holder, ast.FunctionDef):
            continue
        for parent in ast.walk(holder):
            for _, body in tree.body_fields(parent):
                for index, one in enumerate(body):
                    if isinstance(one, ast.Assign | ast.Expr | ast.Return) and _is_reached_first(
                        one, call
                    ):
                        steps = _steps(function, given, holder, one, call)
                        if steps is None:
                            return False
                        before, answer = steps
                        if answer is None:
                            body[index : index + 1] = before
                            return isinstance(one, ast.Expr) and one.value is call
                        _swap(one, call, answer)
                        if before and not before[0].before:  # pyright: ignore[reportAttributeAccessIssue]
                            before[0].before = list(one.before)  # pyright: ignore[reportAttributeAccessIssue]
                            one.before = []  # pyright: ignore[reportAttributeAccessIssue]
                        body[index:index] = before
                        return True
    return False


def _is_reached_first(statement: Any, call: ast.Call) -> bool:
    """Whether a call may be made before the rest of its statement: nothing before it has an effect."""
    if not any(part is call for part in ast.walk(statement.value)):
        return False
    around = [
        part for part in ast.walk(statement.value) if any(inner is call for inner in ast.walk(part))
    ]
    if any(isinstance(part, _NOT_AT_ONCE) for part in around):
        return False
    own = {id(part) for part in (*around, *ast.walk(call))}
    before = itertools.takewhile(lambda part: part is not call, _as_worked_out(statement.value))
    return not any(
        isinstance(part, ast.Call) and id(part) not in own and not is_pure(part) for part in before
    )


_NOT_AT_ONCE = (
    ast.Lambda
    | ast.ListComp
    | ast.SetComp
    | ast.GeneratorExp
    | ast.DictComp
    | ast.IfExp
    | ast.BoolOp
)


def _as_worked_out(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression in the order in which they are worked out."""
    for child in ast.iter_child_nodes(node):
        yield from _as_worked_out(child)
    yield node


def _steps(
    function: ast.FunctionDef,
    given: dict[str, ast.expr],
    holder: ast.FunctionDef,
    statement: ast.stmt,
    call: ast.Call,
) -> tuple[list[Any], ast.expr | None] | None:
    own = {
        n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    targets = {
        n.id
        for n in ast.walk(statement)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    passed = {
        name for name, value in given.items() if isinstance(value, ast.Name) and value.id == name
    }
    used = {n.id for n in ast.walk(holder) if isinstance(n, ast.Name)} | set(_named(holder))
    if (names_in(function) - own - set(_named(function))) & _local_names(holder):
        return None  # a name of its module is another thing there
    clash = (own & used) - passed
    answered = function.body[-1].value if isinstance(function.body[-1], ast.Return) else None
    if isinstance(answered, ast.Tuple):  # `a, b = f()` where f ends in `return a, b`
        clash -= targets & {n.id for n in ast.walk(answered) if isinstance(n, ast.Name)}
    elif isinstance(answered, ast.Name):
        clash -= targets & {answered.id}
    same_value = {name for name in clash if _says_the_same(name, function, holder)}
    if clash - same_value:
        return None
    steps: list[Any] = copy.deepcopy(function.body)
    if tree.is_text(steps[0]):
        words = textwrap.wrap(steps.pop(0).value.value, tree.WIDTH - 8)
        steps[0].before = [*(f"# {line}" for line in words), *steps[0].before]
        steps[0].gap = True
    holding = ast.Module(steps, [])
    first: list[Any] = []
    made = [name for name, value in given.items() if not is_pure(value)]
    if made and made != _order_given(function, call, made):
        return None
    one_value = getattr(steps[0], "value", None)
    at_once = made if one_value is not None and _in_order(one_value, made) else []
    for name, value in given.items():
        uses = sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(holding))
        is_plain = isinstance(value, ast.Name | ast.Constant)
        is_read_once = uses == 1 and (name in at_once or name not in made)
        if (is_plain or is_read_once) and not _is_stored(function, name):
            replace_name(holding, name, value)
        elif name in used and name not in passed:
            return None
        elif name not in passed:
            bound: Any = tree.mark(ast.Assign([ast.Name(name, ast.Store())], value, lineno=0))
            bound.before, steps[0].before = steps[0].before, []
            bound.gap, steps[0].gap = True, False
            first.append(bound)
    steps = [one for one in steps if not _is_made_already(one, same_value)]
    answer = None
    if isinstance(steps[-1], ast.Return):
        answer = steps.pop().value
    return [*first, *steps], answer


def _says_the_same(name: str, function: ast.FunctionDef, holder: ast.FunctionDef) -> bool:
    """Whether both give a name the same thing, in one statement each: `height, width = x.shape[-2:]`."""
    found = [
        [s for s in ast.walk(one) if isinstance(s, ast.Assign) and name in _stored_names(s)]
        for one in (function, holder)
    ]
    return all(len(one) == 1 for one in found) and same(found[0][0], found[1][0])


def _is_made_already(node: ast.stmt, names: set[str]) -> bool:
    return isinstance(node, ast.Assign) and bool(names & _stored_names(node))


def _stored_names(node: ast.AST) -> set[str]:
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def _swap(statement: Any, call: ast.Call, answer: ast.expr) -> None:
    class Swap(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> Any:
            if node is call:
                return answer
            return self.generic_visit(node)

    statement.value = Swap().visit(statement.value)


def _are_statements(name: str, calls: list[tuple[ast.Call, Piece]]) -> bool:
    """Whether nobody asks for what the calls answer."""
    found = {
        id(node.value)
        for _, caller in calls
        for node in ast.walk(caller.node)
        if isinstance(node, ast.Expr)
    }
    return all(id(call) in found for call, _ in calls)


def _only_passes(expression: ast.expr) -> bool:
    """A call that hands names and constants on."""
    if not isinstance(expression, ast.Call):
        return False
    parts = [*expression.args, *(k.value for k in expression.keywords)]
    return all(isinstance(p, ast.Name | ast.Constant | ast.Attribute) for p in parts)


def _is_worth_a_name(function: ast.FunctionDef) -> bool:
    """A documented function of the library's face keeps its name: it says what is done."""
    return tree.is_text(function.body[0]) and not function.name.startswith("_")


def _fits(function: ast.FunctionDef, expression: ast.expr, call: ast.Call, caller: ast.AST) -> bool:
    """Whether an expression may stand in the place of the call.

    Nothing is worked out twice or in another order, and no name means another thing there.
    """
    if any(isinstance(a, ast.Starred) for a in call.args) or any(
        k.arg is None for k in call.keywords
    ):
        return False
    made: list[str] = []
    for name in _named(function):
        given = _argument(function, name, call, is_method=False)
        given = given if given is not None else _default(function, name)
        if given is None:
            return False
        uses = sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(expression))
        if uses != 1 and not isinstance(given, ast.Name | ast.Constant):
            return False
        if is_captured(ast.Expr(expression), name, given):
            return False
        if not is_pure(given):
            made.append(name)
    if made != _order_given(function, call, made):
        return False
    free = names_in(expression) - set(_named(function))
    if free & _local_names(caller):
        return False
    return _in_order(expression, [name for name in _named(function) if name in made])


def _in_order(expression: ast.expr, made: list[str]) -> bool:
    """Whether arguments that are calls are still worked out in their order, before anything else is."""
    if not made:
        return True
    found: list[str] = []
    for part in _as_worked_out(expression):
        if isinstance(part, ast.Name) and part.id in made:
            found.append(part.id)
        elif isinstance(part, ast.Call) and not is_pure(part):
            found.append("")
    inside = {
        n.id
        for p in ast.walk(expression)
        if isinstance(p, _NOT_AT_ONCE)
        for n in ast.walk(p)
        if isinstance(n, ast.Name)
    }
    return found[: len(made)] == made and not inside & set(made)


def _order_given(function: ast.FunctionDef, call: ast.Call, names: list[str]) -> list[str]:
    """Parameters in the order in which a call works their arguments out."""
    parts = [*call.args, *(k.value for k in call.keywords)]
    places = {name: _argument(function, name, call, is_method=False) for name in names}
    at = {
        name: next((i for i, part in enumerate(parts) if part is value), -1)
        for name, value in places.items()
    }
    return sorted(names, key=at.__getitem__)


def _attributes_read(node: ast.AST, *, without_self: bool = False) -> set[str]:
    """Attributes that are read, but for those that are read only to be stored under the same name.

    Args:
        without_self: leave out what is read of `self`.
    """
    found: set[str] = set()
    for one in ast.iter_child_nodes(node):
        inner = _attributes_read(one, without_self=without_self)
        if isinstance(one, ast.Assign | ast.AnnAssign):
            target = one.targets[0] if isinstance(one, ast.Assign) else one.target
            if isinstance(target, ast.Attribute) and one.value is not None and is_pure(one.value):
                inner.discard(target.attr)
        if isinstance(one, ast.FunctionDef) and one.decorator_list:
            inner.discard(one.name)  # a property of the same name
        found |= inner
    for part in (node, getattr(node, "target", None) if isinstance(node, ast.AugAssign) else None):
        if not isinstance(part, ast.Attribute) or (without_self and dotted(part.value) == "self"):
            continue
        if part is not node or isinstance(part.ctx, ast.Load):
            found.add(part.attr)
    return found


def _stores_unread(node: ast.stmt, read: set[str]) -> bool:
    target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
    if isinstance(node, ast.AnnAssign):
        target = node.target
    value = getattr(node, "value", None)
    return (
        isinstance(target, ast.Attribute)
        and dotted(target.value) == "self"
        and target.attr not in read
        and value is not None
        and is_idle(value)
    )


def _put_module(user: ast.ClassDef, name: str, forward: ast.FunctionDef) -> bool:
    makes = [
        one
        for one in ast.walk(user)
        if isinstance(one, ast.Assign)
        and isinstance(one.value, ast.Call)
        and dotted(one.value.func) == name
        and not one.value.args
    ]
    if len(makes) != 1 or not isinstance(makes[0].targets[0], ast.Attribute):
        return False
    path = dotted(makes[0].targets[0])
    parameter = forward.args.args[1].arg
    done = []

    class Put(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> Any:
            self.generic_visit(node)
            if dotted(node.func) != path or not isinstance(node.args[0], ast.Name):
                return node
            done.append(node)
            holder = ast.Expr(copy.deepcopy(forward.body[0].value))  # pyright: ignore[reportAttributeAccessIssue]
            replace_name(holder, parameter, node.args[0])
            return holder.value

    Put().visit(user)
    if len(done) != 1:
        return False
    for function in user.body:
        if isinstance(function, ast.FunctionDef):
            function.body = [one for one in function.body if one is not makes[0]]
    return True


def _identities(node: ast.ClassDef) -> list[str]:
    return [
        one.targets[0].attr if isinstance(one, ast.Assign) else one.target.attr  # pyright: ignore[reportAttributeAccessIssue]
        for one in ast.walk(node)
        if isinstance(one, ast.Assign | ast.AnnAssign)
        and isinstance(one.value, ast.Call)
        and dotted(one.value.func) == "nn.Identity"
        and isinstance(one.targets[0] if isinstance(one, ast.Assign) else one.target, ast.Attribute)
    ]


def _makes_identity(node: ast.stmt, name: str) -> bool:
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return dotted(target) == f"self.{name}"


def _is_record(node: ast.ClassDef) -> bool:
    bases = {dotted(base) for base in node.bases}
    decorators = {dotted(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list}
    return "dataclass" in decorators or "NamedTuple" in bases


def _holds_plain(field: ast.AnnAssign) -> bool:
    """Whether a record's field holds a number or a word, which nobody calls."""
    return dotted(field.annotation) in ("float", "int", "str", "bool")


def _is_dots(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and node.value.value is ...
    )


Walk = Callable[[ast.AST], None]
__all__ = ["Program", "same"]
