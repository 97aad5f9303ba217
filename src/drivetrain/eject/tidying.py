"""Statements that follow one another, said more shortly.

Lists are filled at once, values returned or stored at once; what is overwritten or without effect goes.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from drivetrain.eject.effects import adds_to, appends_to, call_of, count_loads, is_pure
from drivetrain.eject.tree import dotted


def filled_at_once(body: list[ast.stmt]) -> None:
    """`x = nn.Sequential()` and `x.append(y)` as `x = nn.Sequential(y)`; the same of lists."""
    index = 0
    while index + 1 < len(body):
        before: Any = body[index]
        one: Any = body[index + 1]
        made = call_of(before) if isinstance(before, ast.Assign) else None
        name = dotted(before.targets[0]) if made and dotted(made.func) == "nn.Sequential" else None
        call = call_of(one) if isinstance(one, ast.Expr) else None
        called = dotted(call.func) if call else None
        if made and call and name and called in (f"{name}.append", f"{name}.extend"):
            is_one = called == f"{name}.append"
            made.args += call.args if is_one else [ast.Starred(a, ast.Load()) for a in call.args]
            del body[index + 1]
        elif call and appends_to(before, call):
            before.value.elts += call.args  # pyright: ignore[reportAttributeAccessIssue]
            del body[index + 1]
        elif index + 2 < len(body) and _may_wait(before, one, body[index + 2]):
            body[index], body[index + 1] = one, before
            index += 1
        else:
            index += 1


def _may_wait(before: Any, one: Any, following: Any) -> bool:
    """Whether `x = []` may come after the next statement, so that an `x.append(y)` follows at once."""
    call = call_of(following) if isinstance(following, ast.Expr) else None
    is_empty = isinstance(before, ast.Assign) and isinstance(before.value, ast.List)
    if call is None or not is_empty or before.value.elts or not appends_to(before, call):  # pyright: ignore[reportAttributeAccessIssue]
        return False
    name = dotted(before.targets[0])
    is_plain = isinstance(one, ast.Assign | ast.Expr)
    return is_plain and not any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(one))


def return_at_once(body: list[ast.stmt]) -> None:
    """`x = f()` and `return x` as `return f()`."""
    if (
        len(body) < 2
        or not isinstance(body[-1], ast.Return)
        or not isinstance(body[-2], ast.Assign)
    ):
        return
    last, before = body[-1], body[-2]
    target = before.targets[0]
    if (
        isinstance(target, ast.Name)
        and isinstance(last.value, ast.Name)
        and target.id == last.value.id
    ):
        last.value = before.value
        last.before = [*before.before, *last.before]  # pyright: ignore[reportAttributeAccessIssue]
        last.after = last.after or before.after  # pyright: ignore[reportAttributeAccessIssue]
        body.remove(before)


def stored_at_once(body: list[ast.stmt], loads: Mapping[str, int]) -> None:
    """`x = f()` and `self.x = x`, where nobody else reads x, as `self.x = f()`."""
    for before, one in zip(list(body), list(body)[1:], strict=False):
        if not (isinstance(before, ast.Assign) and isinstance(one, ast.Assign)):
            continue
        target, stored = before.targets[0], one.targets[0]
        if isinstance(target, ast.Name) and isinstance(stored, ast.Attribute):
            if dotted(one.value) == target.id and loads.get(target.id) == 1:
                one.value = before.value
                one.before = [*before.before, *one.before]  # pyright: ignore[reportAttributeAccessIssue]
                body.remove(before)


def drop_overwritten(body: list[ast.stmt]) -> None:
    """`x = a` before `x = b`, where nobody reads x between."""
    for index, one in reversed(list(enumerate(body))):
        if not (isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)):
            continue
        name = one.targets[0].id
        for later in body[index + 1 :]:
            if name in count_loads(later) or adds_to(later, name):
                break
            is_same = isinstance(later, ast.Assign) and isinstance(later.targets[0], ast.Name)
            if is_same and later.targets[0].id == name:  # pyright: ignore[reportAttributeAccessIssue]
                if is_pure(one.value):
                    body.remove(one)
                break
            if any(isinstance(n, ast.FunctionDef | ast.Lambda) for n in ast.walk(later)):
                break


def without_last_continue(body: list[ast.stmt]) -> None:
    """At the end of a loop's body `else: continue` says nothing."""
    while body and isinstance(body[-1], ast.If):
        last = body[-1]
        while len(last.orelse) == 1 and isinstance(last.orelse[0], ast.If):
            last = last.orelse[0]
        if last.orelse and all(isinstance(one, ast.Continue) for one in last.orelse):
            last.orelse = []
        return


def without_index(node: ast.For) -> None:
    """`for i, x in enumerate(y)` as `for x in y` where nobody reads i."""
    call, target = node.iter, node.target
    if not (
        isinstance(call, ast.Call) and dotted(call.func) == "enumerate" and len(call.args) == 1
    ):
        return
    if call.keywords or not (
        isinstance(target, ast.Tuple) and isinstance(target.elts[0], ast.Name)
    ):
        return
    name = target.elts[0].id
    if not any(
        isinstance(n, ast.Name) and n.id == name for one in node.body for n in ast.walk(one)
    ):
        node.iter, node.target = call.args[0], target.elts[1]


def assign(target: ast.expr, value: ast.expr) -> ast.Assign:
    """The statement that gives a name a value."""
    return ast.Assign([target], value, lineno=0)


def can_split(target: ast.Tuple, value: ast.Tuple) -> bool:
    """Whether `a, b = x, y` may be two statements: no value reads what an earlier one has written."""
    if len(target.elts) != len(value.elts) or not all(isinstance(t, ast.Name) for t in target.elts):
        return False
    plain = [
        isinstance(v, ast.Name | ast.Constant | ast.Tuple | ast.Dict | ast.List) for v in value.elts
    ]
    if not any(plain) or all(isinstance(v, ast.List | ast.Dict) for v in value.elts):
        return False
    for index, one in enumerate(target.elts):
        later = ast.Tuple(value.elts[index + 1 :], ast.Load())
        names = {n.id for n in ast.walk(later) if isinstance(n, ast.Name)}
        if isinstance(one, ast.Name) and one.id in names:
            return False
    return True
