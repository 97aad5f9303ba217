"""What names of a function hold, put in where it is plain; and without the names that nothing reads."""

from __future__ import annotations

import ast
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import (
    arguments_of,
    count_loads,
    count_stores,
    is_captured,
    is_idle,
    is_pure,
    reads,
    replace_name,
)
from drivetrain.eject.known import UNKNOWN, Known
from drivetrain.eject.questions import decide_none
from drivetrain.eject.shorter import is_only_starred, without_copies
from drivetrain.eject.tidying import drop_overwritten, stored_at_once
from drivetrain.eject.tree import dotted
from drivetrain.eject.values import Values


def put_in_locals(function: ast.FunctionDef, values: Values) -> None:
    """Put in what names of a function hold; of a name that stands for another, that too is known then."""
    if any(isinstance(n, ast.Global | ast.Nonlocal) for n in tree.walk(function)):
        return  # what it stores is read elsewhere
    _PutIn(function, values).visit(function.body)
    drop_overwritten(function.body)
    stored_at_once(function.body, count_loads(function))
    decide_none(function.body, {})


class _PutIn:
    """One pass over the statements, with what is counted before it."""

    def __init__(self, function: ast.FunctionDef, values: Values) -> None:
        self.function = function
        self.values = values
        self.counts = count_stores(function)
        self.loads = count_loads(function)
        self.parameters = {a.arg for a in arguments_of(function)}

    def visit(self, body: list[ast.stmt]) -> None:
        """A block, from the inside out."""
        for one in list(body):
            if not isinstance(one, ast.FunctionDef | ast.ClassDef):
                for _, block in tree.body_fields(one):
                    self.visit(block)
            if isinstance(one, ast.Try):
                for handler in one.handlers:
                    self.visit(handler.body)
            if isinstance(one, ast.AugAssign) and isinstance(one.target, ast.Name):
                if self.loads.get(one.target.id, 0) == 0:
                    place = body.index(one)
                    kept = [] if is_pure(one.value) else [tree.mark(ast.Expr(one.value))]
                    body[place : place + 1] = kept
            elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                self._stored(body, one, one.target.id, one.value)
            elif isinstance(one, ast.Assign) and len(one.targets) == 1:
                if isinstance(one.targets[0], ast.Name):
                    self._stored(body, one, one.targets[0].id, one.value)

    def _stored(self, body: list[ast.stmt], one: Any, name: str, value: ast.expr | None) -> None:
        """A statement that stores something in a name."""
        if value is None:
            return
        if self.loads.get(name, 0) == 0:
            if is_idle(value):
                body.remove(one)
            elif isinstance(value, ast.Call):
                called: Any = tree.mark(ast.copy_location(ast.Expr(value), one))
                called.before = one.before
                body[body.index(one)] = called
            return
        if self.counts.get(name, 0) != 1 or name in self.parameters:
            return
        if self._is_plain(body, one, name, value) and not is_captured(self.function, name, value):
            found = self.values.value(value)
            body.remove(one)
            replace_name(self.function, name, value)
            if found is not UNKNOWN and isinstance(value, ast.Name):
                self.values.known.setdefault(value.id, Known(found, value.id))

    def _is_plain(self, body: list[ast.stmt], one: ast.stmt, name: str, value: ast.expr) -> bool:
        """Whether a value can stand where its name is read."""
        is_read_once = self.loads.get(name) == 1
        if isinstance(value, ast.Constant):
            return True
        if isinstance(value, ast.Dict):
            return is_only_starred(self.function, name)
        if isinstance(value, ast.Tuple):
            return is_read_once and all(isinstance(e, ast.Constant) for e in value.elts)
        if isinstance(value, ast.List):
            if not value.elts or not is_pure(value):
                return False
            without_copies(self.function, name)
            return _is_short(value) and is_read_once and reads(body, one, name)
        return self._is_alias(value)

    def _is_alias(self, value: ast.expr) -> bool:
        """A name that always says the same; an attribute of a module."""
        if isinstance(value, ast.Name):
            count = self.counts.get(value.id, 0)
            return count == 0 or (count == 1 and value.id not in self.parameters)
        path = dotted(value)
        if path is not None and path[0].isupper():  # Image.Resampling.BILINEAR
            head = path.partition(".")[0]
            return head not in self.counts and head not in self.parameters
        return False


def _is_short(node: ast.expr) -> bool:
    """Whether an expression is short enough to be written where it is read."""
    try:
        return len(ast.unparse(node)) < 60
    except ValueError:  # a text that was just put into an f-string is not joined with it yet
        return False
