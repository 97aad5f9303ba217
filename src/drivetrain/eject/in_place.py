"""A function written where it is called, wherever nothing then happens in another order."""

from __future__ import annotations

import ast
import copy
import itertools
import textwrap
from collections.abc import Iterator
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import is_captured, is_pure, replace_name
from drivetrain.eject.lift import Piece
from drivetrain.eject.names import names_in
from drivetrain.eject.signatures import (
    argument_of,
    default_of,
    is_stored,
    local_names,
    named_parameters,
)
from drivetrain.eject.tree import same

SMALL = 12
"""Nodes of an expression that is written where it is called, however often that is."""


LONGEST = 64
"""Statements of a function that others are written into."""


def put_statements(
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
    used = {n.id for n in ast.walk(holder) if isinstance(n, ast.Name)} | set(
        named_parameters(holder)
    )
    if (names_in(function) - own - set(named_parameters(function))) & local_names(holder):
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
        if (is_plain or is_read_once) and not is_stored(function, name):
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


def are_statements(name: str, calls: list[tuple[ast.Call, Piece]]) -> bool:
    """Whether nobody asks for what the calls answer."""
    found = {
        id(node.value)
        for _, caller in calls
        for node in ast.walk(caller.node)
        if isinstance(node, ast.Expr)
    }
    return all(id(call) in found for call, _ in calls)


def only_passes(expression: ast.expr) -> bool:
    """A call that hands names and constants on."""
    if not isinstance(expression, ast.Call):
        return False
    parts = [*expression.args, *(k.value for k in expression.keywords)]
    return all(isinstance(p, ast.Name | ast.Constant | ast.Attribute) for p in parts)


def is_worth_a_name(function: ast.FunctionDef) -> bool:
    """A documented function of the library's face keeps its name: it says what is done."""
    return tree.is_text(function.body[0]) and not function.name.startswith("_")


def fits(function: ast.FunctionDef, expression: ast.expr, call: ast.Call, caller: ast.AST) -> bool:
    """Whether an expression may stand in the place of the call.

    Nothing is worked out twice or in another order, and no name means another thing there.
    """
    if any(isinstance(a, ast.Starred) for a in call.args) or any(
        k.arg is None for k in call.keywords
    ):
        return False
    made: list[str] = []
    for name in named_parameters(function):
        given = argument_of(function, name, call, is_method=False)
        given = given if given is not None else default_of(function, name)
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
    free = names_in(expression) - set(named_parameters(function))
    if free & local_names(caller):
        return False
    return _in_order(expression, [name for name in named_parameters(function) if name in made])


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
    places = {name: argument_of(function, name, call, is_method=False) for name in names}
    at = {
        name: next((i for i, part in enumerate(parts) if part is value), -1)
        for name, value in places.items()
    }
    return sorted(names, key=at.__getitem__)
