"""Loops over what is written there: with one round they are no loops, and what nobody reads goes."""

from __future__ import annotations

import ast
import itertools

from drivetrain.eject.effects import count_loads, count_stores, replace_name
from drivetrain.eject.shorter import number_in
from drivetrain.eject.tree import dotted, same


def only_round(node: ast.For) -> list[ast.stmt] | None:
    """The body of a loop that has one round, with what it goes over put in."""
    values = _rounds(node.iter)
    if values is None or len(values) != 1 or node.orelse:
        return None
    if any(isinstance(n, ast.Break | ast.Continue) for one in node.body for n in ast.walk(one)):
        return None
    targets = (
        [node.target]
        if isinstance(node.target, ast.Name)
        else list(getattr(node.target, "elts", []))
    )
    parts = (
        [values[0]] if isinstance(node.target, ast.Name) else list(getattr(values[0], "elts", []))
    )
    if len(targets) != len(parts) or not all(isinstance(t, ast.Name) for t in targets):
        return None
    if not all(isinstance(part, ast.Constant) for part in parts):
        return None
    holder = ast.Module(node.body, [])
    stored = count_stores(holder)
    if any(t.id in stored for t in targets):  # pyright: ignore[reportAttributeAccessIssue]
        return None
    for target, part in zip(targets, parts, strict=True):
        replace_name(holder, target.id, part)  # pyright: ignore[reportAttributeAccessIssue]
    return holder.body


def plain_iteration(node: ast.For) -> None:
    """`for a, b in zip((1, 2), (3, 4))` without what nobody reads; plain pairs written out."""
    call = node.iter
    if not (
        isinstance(call, ast.Call)
        and dotted(call.func) == "zip"
        and isinstance(node.target, ast.Tuple)
    ):
        return
    if len(call.args) != len(node.target.elts):
        return
    holder = ast.Module(node.body, [])
    for target, value in zip(node.target.elts, call.args, strict=True):
        if isinstance(target, ast.Name) and isinstance(value, ast.Tuple) and value.elts:
            first = value.elts[0]
            if isinstance(first, ast.Constant) and all(same(first, e) for e in value.elts):
                if target.id not in count_stores(holder):
                    replace_name(holder, target.id, first)
    read = {n.id for one in node.body for n in ast.walk(one) if isinstance(n, ast.Name)}
    kept = [
        (target, value)
        for target, value in zip(node.target.elts, call.args, strict=True)
        if not (
            isinstance(target, ast.Name) and target.id not in read and isinstance(value, ast.Tuple)
        )
    ]
    lengths = {len(value.elts) if isinstance(value, ast.Tuple) else -1 for value in call.args}
    if len(kept) == 1 and len(lengths) == 1 and -1 not in lengths:
        node.target, node.iter = kept[0]


def is_read_after(loop: ast.For, function: ast.AST) -> bool:
    """Whether somebody reads a name of a loop outside of it, in its function."""
    inside, everywhere = count_loads(loop), count_loads(function)
    names = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
    return any(everywhere.get(name, 0) > inside.get(name, 0) for name in names)


def _rounds(node: ast.expr) -> list[ast.expr] | None:
    """What a loop goes over, where that is written there."""
    if isinstance(node, ast.Tuple | ast.List):
        return node.elts
    if not (isinstance(node, ast.Call) and not node.keywords):
        return None
    name = dotted(node.func)
    if name == "range" and all(number_in(a) is not None for a in node.args):
        return [ast.Constant(i) for i in range(*[number_in(a) for a in node.args])]
    if name == "pairwise" and isinstance(node.args[0], ast.Tuple):
        elements = node.args[0].elts
        return [ast.Tuple([a, b], ast.Load()) for a, b in itertools.pairwise(elements)]
    return None
