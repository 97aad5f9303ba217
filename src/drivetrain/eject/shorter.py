"""Expressions said more shortly: without copies, moves, stars and defaults that change nothing."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from drivetrain.eject.effects import count_loads
from drivetrain.eject.tree import dotted


def number_in(node: ast.AST) -> Any:
    """A whole number that stands there; None for anything else."""
    is_plain = isinstance(node, ast.Constant) and type(node.value) is int
    return node.value if is_plain else None  # pyright: ignore[reportAttributeAccessIssue]


def without_moves(node: ast.Call) -> Any:
    """`x.to(y.device)` and `x.cpu()` as `x`, and no `device=y.device`."""
    node.keywords = [k for k in node.keywords if not (k.arg == "device" and _is_device(k.value))]
    if isinstance(node.func, ast.Attribute) and node.func.attr == "cpu" and not node.args:
        return node.func.value
    if isinstance(node.func, ast.Attribute) and node.func.attr == "to":
        node.args = [a for a in node.args if not _is_device(a)]
        if not node.args and not node.keywords:
            return node.func.value
    return node


def _is_device(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value == "cpu"
    if isinstance(node, ast.Name):
        return node.id == "device"
    return isinstance(node, ast.Attribute) and node.attr == "device"


def without_copies(function: ast.AST, name: str) -> None:
    """`list(x)` of what is a list already, and read once, as `x`."""

    class Visit(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> Any:
            self.generic_visit(node)
            is_copy = dotted(node.func) == "list" and len(node.args) == 1
            return node.args[0] if is_copy and dotted(node.args[0]) == name else node

    if count_loads(function).get(name) == 1:
        Visit().visit(function)


def is_only_starred(function: ast.AST, name: str) -> bool:
    """Whether a name is read as `**name` and in no other way."""
    starred = sum(
        isinstance(k.value, ast.Name) and k.value.id == name
        for n in ast.walk(function)
        if isinstance(n, ast.Call)
        for k in n.keywords
        if k.arg is None
    )
    return starred == count_loads(function).get(name, 0)


def unstarred(keyword: ast.keyword) -> list[ast.keyword]:
    """`**{"a": 1}` as `a=1`."""
    value = keyword.value
    if keyword.arg is not None or not isinstance(value, ast.Dict):
        return [keyword]
    if not all(isinstance(key, ast.Constant) for key in value.keys):
        return [keyword]
    pairs = zip(value.keys, value.values, strict=True)
    return [ast.keyword(key.value, one) for key, one in pairs]  # pyright: ignore[reportOptionalMemberAccess,reportAttributeAccessIssue]


def flattened(parts: list[ast.expr]) -> list[ast.expr]:
    """`*[a, b]` as `a, b`."""
    found: list[ast.expr] = []
    for part in parts:
        if isinstance(part, ast.Starred) and isinstance(part.value, ast.List | ast.Tuple):
            found += part.value.elts
        else:
            found.append(part)
    return found


def without_defaults(node: ast.Call, function: Any) -> None:
    """Leave out arguments that say what the function does anyway."""
    parameters = inspect.signature(function).parameters
    defaults = {name: one.default for name, one in parameters.items()}
    node.keywords = [
        one
        for one in node.keywords
        if not (
            one.arg in defaults
            and isinstance(one.value, ast.Constant)
            and type(defaults[one.arg]) is type(one.value.value)
            and defaults[one.arg] == one.value.value
        )
    ]


def only_hands_on(node: ast.Lambda) -> bool:
    """`lambda a, b: f(a, b)`, which is f."""
    call, names = node.body, [a.arg for a in node.args.args]
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.keywords):
        return False
    is_plain = not (
        node.args.kwonlyargs or node.args.vararg or node.args.kwarg or node.args.defaults
    )
    return is_plain and [dotted(a) for a in call.args] == names and call.func.id not in names


def with_texts_put_in(node: ast.JoinedStr) -> ast.expr:
    """An f-string whose texts are known with them in it; a plain one where nothing else is asked."""
    parts: list[ast.expr] = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue) and part.conversion == -1 and not part.format_spec:
            inner = part.value
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                part = inner
        last = parts[-1] if parts else None
        if isinstance(part, ast.Constant) and isinstance(last, ast.Constant):
            parts[-1] = ast.Constant(f"{last.value}{part.value}")
        elif not (isinstance(part, ast.Constant) and part.value == ""):
            parts.append(part)
    if all(isinstance(part, ast.Constant) for part in parts):
        return parts[0] if parts else ast.Constant("")
    return ast.JoinedStr(parts)
