"""Questions in a script: turned round, and answered where what was said before decides them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from drivetrain.eject.effects import count_stores
from drivetrain.eject.tree import dotted

# `a < b` and `a >= b` are no opposites: of NaN both are false.
_OPPOSITE: dict[type, type] = {
    ast.Eq: ast.NotEq,
    ast.Is: ast.IsNot,
    ast.In: ast.NotIn,
}
_OPPOSITE |= {b: a for a, b in _OPPOSITE.items()}


def negated(test: Any) -> ast.expr:
    """The opposite of a question."""
    is_plain = isinstance(test, ast.Compare) and len(test.ops) == 1
    if is_plain and type(test.ops[0]) in _OPPOSITE:
        return ast.Compare(test.left, [_OPPOSITE[type(test.ops[0])]()], test.comparators)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.BoolOp):
        other = ast.And() if isinstance(test.op, ast.Or) else ast.Or()
        return ast.BoolOp(other, [negated(part) for part in test.values])
    return ast.UnaryOp(ast.Not(), test)


def as_question(node: ast.expr) -> ast.expr:
    """A test of which only the truth counts: `a or False` as `a`."""
    if not isinstance(node, ast.BoolOp):
        return node
    passes = isinstance(node.op, ast.And)
    parts = [as_question(part) for part in node.values]
    kept = [p for p in parts if not (isinstance(p, ast.Constant) and bool(p.value) is passes)]
    if len(kept) == 1:
        return kept[0]
    node.values = kept or [ast.Constant(passes)]
    return node


def is_bool(node: ast.expr) -> bool:
    """Whether an expression is True or False, whatever it is made of."""
    if isinstance(node, ast.BoolOp):
        return all(is_bool(part) for part in node.values)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.Call):
        return dotted(node.func) in ("isinstance", "callable", "hasattr", "all", "any", "bool")
    return isinstance(node, ast.Compare)


NOTHING, SOMETHING = "nothing", "something"


def decide_none(body: list[ast.stmt], known: dict[str, str]) -> None:
    """`if x is not None` where the statements before say what x is, in place."""
    for one in list(body):
        if isinstance(one, ast.If):
            kind, name = _asks_none(one.test)
            if name in known:
                is_taken = (known[name] == NOTHING) == (kind == "is")
                kept = one.body if is_taken else one.orelse
                index = body.index(one)
                body[index : index + 1] = kept
                decide_none(kept, known)
                continue
            for block in (one.body, one.orelse):
                decide_none(block, dict(known))
        elif isinstance(one, ast.For | ast.While):
            inside = {n: k for n, k in known.items() if n not in count_stores(one)}
            decide_none(one.body, inside)
            after = dict(known)
            leaves = any(
                isinstance(n, ast.Break | ast.Return | ast.Continue) for n in _of_loop(one)
            )
            for name in count_stores(one):
                last = _last_said(one.body, name)
                if leaves or last is None or after.get(name) != last:
                    after.pop(name, None)
            known.clear()
            known.update(after)
            continue
        elif isinstance(one, ast.With):
            decide_none(one.body, known)
            continue
        for name in count_stores(one):
            known.pop(name, None)
        if (
            isinstance(one, ast.Assign)
            and len(one.targets) == 1
            and isinstance(one.targets[0], ast.Name)
        ):
            said = _says_none(one.value)
            if said is not None:
                known[one.targets[0].id] = said


def _of_loop(loop: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a loop, without those of loops inside it."""
    for child in ast.iter_child_nodes(loop):
        yield child
        if not isinstance(child, ast.For | ast.While | ast.FunctionDef):
            yield from _of_loop(child)


def _last_said(body: list[ast.stmt], name: str) -> str | None:
    """What the last statement of a block that touches a name makes of it."""
    for one in reversed(body):
        if name in count_stores(one):
            is_plain = isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
            return _says_none(one.value) if is_plain else None  # pyright: ignore[reportAttributeAccessIssue]
    return None


def _says_none(value: ast.expr) -> str | None:
    if isinstance(value, ast.Constant) and value.value is None:
        return NOTHING
    if isinstance(
        value, ast.DictComp | ast.ListComp | ast.Dict | ast.List | ast.Tuple | ast.JoinedStr
    ):
        return SOMETHING
    return None


def _asks_none(test: ast.expr) -> tuple[str, str]:
    """("is" or "is not", name) of `name is None`."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.left, ast.Name):
        other = test.comparators[0]
        if isinstance(other, ast.Constant) and other.value is None:
            if isinstance(test.ops[0], ast.Is):
                return "is", test.left.id
            if isinstance(test.ops[0], ast.IsNot):
                return "is not", test.left.id
    return "", ""
