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
from collections.abc import Callable, Iterable
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import is_idle, is_pure, replace_name
from drivetrain.eject.in_place import (
    LONGEST,
    SMALL,
    are_statements,
    fits,
    is_worth_a_name,
    only_passes,
    put_statements,
)
from drivetrain.eject.known import UNKNOWN, Known, literal
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
from drivetrain.eject.members import (
    attributes_read,
    holds_plain,
    identities,
    is_dots,
    is_record,
    makes_identity,
    put_module,
    stores_unread,
)
from drivetrain.eject.signatures import (
    alike,
    argument_of,
    default_of,
    function_of,
    in_annotations,
    is_stored,
    local_names,
    made_from,
    named_parameters,
    reads_name,
    value_of,
    without_parameter,
)
from drivetrain.eject.tree import dotted, same, walk

ROUNDS = 12


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
            function = function_of(piece)
            if function is not None and piece.known:
                self._put_in(function, piece)
            body = [piece.node]
            folder.fold(body)

    def _put_in(self, function: ast.FunctionDef, piece: Piece) -> None:
        """What is known of parameters, inside."""
        known = {name: one for name, one in piece.known.items() if not is_stored(function, name)}
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

    def _specialise(self) -> None:
        """Parameters that every call gives alike become constants."""
        calls = self._calls()
        for piece in self.lifter.pieces.values():
            function = function_of(piece)
            if not piece.is_ours or function is None or piece.name in self.pinned:
                continue
            if piece.name not in calls or (function.args.vararg and not named_parameters(function)):
                continue
            is_method = isinstance(piece.node, ast.ClassDef)
            for name in named_parameters(function, skip_first=is_method):
                one = self._given(function, name, calls[piece.name], is_method=is_method)
                if one is not None:
                    piece.known[name] = one
            self._put_in(function, piece)
            for name in list(piece.known):
                if (
                    name in named_parameters(function)
                    and not reads_name(function, name)
                    and not is_stored(function, name)
                ):
                    self._remove(function, name, calls[piece.name], is_method=is_method)
            for name in named_parameters(function, skip_first=is_method):
                if not reads_name(function, name) and not is_stored(function, name):
                    if all(
                        self._may_go(function, name, call, is_method)
                        for call, _ in calls[piece.name]
                    ):
                        self._remove(function, name, calls[piece.name], is_method=is_method)

    def _may_go(
        self, function: ast.FunctionDef, name: str, call: ast.Call, is_method: bool
    ) -> bool:
        given = argument_of(function, name, call, is_method=is_method)
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
            given = argument_of(function, name, call, is_method=is_method)
            if given is None:
                given = default_of(function, name)
                if given is None:
                    return None
            one = self._known(given, caller)
            if one is None or (found is not None and not alike(one, found)):
                return None
            found = one
        return found

    def _known(self, given: ast.expr, caller: Piece) -> Known | None:
        constants = self.lifter.constants
        if isinstance(given, ast.Name) and given.id not in caller.known:
            if given.id in local_names(caller.node):
                return None
        if isinstance(given, ast.Name) and given.id in constants:
            return Known(constants[given.id], given.id)
        if isinstance(given, ast.Name) and given.id in caller.known:
            return caller.known[given.id]
        if isinstance(given, ast.Name) and given.id in self.lifter.pieces:
            piece = self.lifter.pieces[given.id]
            if isinstance(piece.node, ast.FunctionDef | ast.ClassDef):
                return Known(value_of(piece), given.id)
            return None
        if isinstance(given, ast.Lambda):
            return Known(given)  # something, and no None
        value = made_from(given, self.lifter, caller)
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
        without_parameter(function, name)

    def _without_usual_arguments(self) -> None:
        """Arguments that say what a function does anyway."""
        for name, calls in self._calls().items():
            piece = self.lifter.pieces.get(name)
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
                if are_statements(name, calls) and len(body) > 1:
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
            if isinstance(body[0], ast.Expr) and not are_statements(piece.name, calls[piece.name]):
                continue
            expression = body[0].value
            if isinstance(expression, ast.Constant) and expression.value is ...:
                continue
            if any(
                isinstance(part, ast.Name) and part.id == piece.name
                for part in ast.walk(expression)
            ):
                continue
            is_small = sum(1 for _ in ast.walk(expression)) <= SMALL and only_passes(expression)
            is_plain = isinstance(expression, ast.Constant | ast.Name)
            count = len(calls[piece.name])
            if not (is_plain or is_small or (count == 1 and not is_worth_a_name(node))):
                continue
            if not all(
                fits(node, expression, call, inside.node) for call, inside in calls[piece.name]
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
            for name in named_parameters(function):
                one = argument_of(function, name, call, is_method=False) or default_of(
                    function, name
                )
                if one is not None:
                    given[name] = one
            starred = any(isinstance(a, ast.Starred) for a in call.args)
            if starred or len(given) != len(named_parameters(function)):
                continue
            if put_statements(caller.node, call, function, given):
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
            read |= attributes_read(piece.node)
        of_records = self._read_of_records()
        used: set[str] = set()
        for piece in self.pieces:
            used |= attributes_in(piece.node)
        for piece in self.lifter.pieces.values():  # of methods that may still be called
            for name, method in piece.methods.items():
                read |= attributes_read(method) if name in used else set()
        for piece in self.lifter.pieces.values():
            if not (piece.is_ours and isinstance(piece.node, ast.ClassDef)):
                continue
            for function in piece.node.body:
                if isinstance(function, ast.FunctionDef):
                    function.body = [
                        one for one in function.body if not stores_unread(one, read)
                    ] or [tree.mark(ast.Pass())]
            piece.node.body = [
                one
                for one in piece.node.body
                if not (
                    isinstance(one, ast.FunctionDef)
                    and one.name not in read
                    and (
                        one.name not in RUN_BY_PYTHON
                        or f"{piece.node.name}.{one.name}" in self.lifter.unasked
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
            is_alone = piece.name in classes and not is_record(piece.node)
            is_alone = is_alone and not bases & {p for p in classes if is_record(classes[p].node)}
            found |= attributes_read(piece.node, without_self=is_alone)
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
            if put_module(users[0].node, piece.name, forward):
                del self.lifter.pieces[piece.name]

    def _drop_identities(self) -> None:
        """Layers that do nothing in this run: places that a callback of another run would use."""
        text = self._text()
        for piece in self.lifter.pieces.values():
            if not (piece.is_ours and isinstance(piece.node, ast.ClassDef)):
                continue
            for name in identities(piece.node):
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
                                s for s in function.body if not makes_identity(s, name)
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


Walk = Callable[[ast.AST], None]


__all__ = ["Program", "same"]
