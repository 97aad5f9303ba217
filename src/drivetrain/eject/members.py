"""Classes in a script: modules and records, and which of their attributes are read."""

from __future__ import annotations

import ast
import copy
from typing import Any

from drivetrain.eject.effects import is_idle, is_pure, replace_name
from drivetrain.eject.tree import children, dotted


def attributes_read(node: ast.AST, *, without_self: bool = False) -> set[str]:
    """Attributes that are read, but for those that are read only to be stored under the same name.

    Args:
        without_self: leave out what is read of `self`.
    """
    found: set[str] = set()
    for one in children(node):
        inner = attributes_read(one, without_self=without_self)
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


def stores_unread(node: ast.stmt, read: set[str]) -> bool:
    """Whether a statement keeps in `self` what nobody reads."""
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


def put_module(user: ast.ClassDef, name: str, forward: ast.FunctionDef) -> bool:
    """Write what a module's `forward` says where its only user calls it; whether that could be done."""
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


def identities(node: ast.ClassDef) -> list[str]:
    """Attributes that hold an `nn.Identity`."""
    return [
        one.targets[0].attr if isinstance(one, ast.Assign) else one.target.attr  # pyright: ignore[reportAttributeAccessIssue]
        for one in ast.walk(node)
        if isinstance(one, ast.Assign | ast.AnnAssign)
        and isinstance(one.value, ast.Call)
        and dotted(one.value.func) == "nn.Identity"
        and isinstance(one.targets[0] if isinstance(one, ast.Assign) else one.target, ast.Attribute)
    ]


def makes_identity(node: ast.stmt, name: str) -> bool:
    """Whether this is the statement that gives `self` the attribute."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return dotted(target) == f"self.{name}"


def is_record(node: ast.ClassDef) -> bool:
    """Whether a class is a dataclass or a named tuple."""
    bases = {dotted(base) for base in node.bases}
    decorators = {dotted(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list}
    return "dataclass" in decorators or "NamedTuple" in bases


def holds_plain(field: ast.AnnAssign) -> bool:
    """Whether a record's field holds a number or a word, which nobody calls."""
    return dotted(field.annotation) in ("float", "int", "str", "bool")


def is_dots(node: ast.stmt) -> bool:
    """Whether a statement is `...`."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and node.value.value is ...
    )
