"""What an expression does beside giving a value, and what putting another in its place would change."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable
from typing import Any

from drivetrain.eject.tree import dotted, walk


def appends_to(before: Any, call: ast.Call) -> bool:
    """Whether a call is `x.append(y)` right after `x = […]`, where y does not read x."""
    is_list = isinstance(before, ast.Assign) and isinstance(before.value, ast.List)
    name = dotted(before.targets[0]) if is_list and len(before.targets) == 1 else None
    if name is None or dotted(call.func) != f"{name}.append" or len(call.args) != 1:
        return False
    return not any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(call.args[0]))


def call_of(node: Any) -> ast.Call | None:
    """What a statement calls, where its value is a call."""
    return node.value if isinstance(node.value, ast.Call) else None


def adds_to(node: ast.AST, name: str) -> bool:
    """Whether something in a statement is `name += value`, which reads it too."""
    return any(isinstance(n, ast.AugAssign) and dotted(n.target) == name for n in ast.walk(node))


_WITHOUT_EFFECT = frozenset(
    "len min max float int bool abs isinstance callable hasattr getattr list dict tuple set zip "
    "torch.empty torch.zeros torch.ones".split()
)


def is_pure(node: ast.expr) -> bool:
    """Whether nobody notices that an expression is not worked out."""
    return not any(
        isinstance(part, ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr)
        and not (isinstance(part, ast.Call) and dotted(part.func) in _WITHOUT_EFFECT)
        for part in ast.walk(node)
    )


_ASKED = frozenset("any all min max sum mean std argmax".split())
"""Methods of arrays and tensors that change nothing."""


def is_idle(node: ast.expr) -> bool:
    """Whether an expression may be left out where nobody reads it; it may be moved only if `is_pure`."""
    return not any(
        isinstance(part, ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr)
        and not (isinstance(part, ast.Call) and _is_idle_call(part))
        for part in ast.walk(node)
    )


def _is_idle_call(node: ast.Call) -> bool:
    name = dotted(node.func) or ""
    if name in ("nn.ModuleList", "nn.Identity"):
        return not node.args
    is_asked = isinstance(node.func, ast.Attribute) and node.func.attr in _ASKED
    return is_asked or name in _WITHOUT_EFFECT or name in ("sorted", "np.abs", "np.isnan")


def replace_name(node: ast.AST, name: str, value: ast.expr) -> None:
    """Write an expression wherever a name is read; not where an inner function has a name of its own."""

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            if node is not whole and name in _bound_by(node):
                return node
            return super().visit(node)

        def visit_Name(self, node: ast.Name) -> Any:
            is_read = isinstance(node.ctx, ast.Load) and node.id == name
            return copy.deepcopy(value) if is_read else node

    whole = node
    Replace().visit(node)


def is_captured(node: ast.AST, name: str, value: ast.expr) -> bool:
    """Whether a name of `value` would mean another thing somewhere where `name` is read."""
    own = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
    return bool(own) and any(
        own & _bound_by(inner)
        and any(isinstance(n, ast.Name) and n.id == name for n in walk(inner))
        for inner in walk(node)
        if inner is not node
    )


def _bound_by(node: ast.AST) -> set[str]:
    """Names that an inner function, lambda or comprehension has of its own."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        names = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
        return names | set(count_stores(node)) if isinstance(node, ast.FunctionDef) else names
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        return {
            n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)
        }
    return set()


def same_text(target: ast.AST, value: ast.AST) -> bool:
    """Whether an assignment gives a thing to itself."""
    return dotted(target) is not None and dotted(target) == dotted(value)


def reads(body: list[ast.stmt], one: ast.stmt, name: str) -> bool:
    """Whether the simple statement after one reads a name."""
    index = body.index(one) + 1
    following = body[index] if index < len(body) else None
    return (
        isinstance(following, ast.Assign | ast.Return | ast.Expr)
        and not any(isinstance(n, ast.Lambda) for n in ast.walk(following))
        and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(following))
    )


def arguments_of(function: ast.FunctionDef) -> Iterable[ast.arg]:
    """All parameters, however they may be given."""
    a = function.args
    extra = [one for one in (a.vararg, a.kwarg) if one is not None]
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *extra]


def count_stores(function: ast.AST) -> dict[str, int]:
    """How often each name is given a value."""
    counts: dict[str, int] = {}
    for node in walk(function):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            counts[node.id] = counts.get(node.id, 0) + 1
        elif isinstance(node, ast.FunctionDef) and node is not function:
            counts[node.name] = counts.get(node.name, 0) + 1
    return counts


def count_loads(function: ast.AST) -> dict[str, int]:
    """How often each name is read."""
    counts: dict[str, int] = {}
    for node in walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            counts[node.id] = counts.get(node.id, 0) + 1
    return counts
