"""A method of a callback, before its statements stand elsewhere: arguments bound, one way through it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

from drivetrain.eject.names import rename
from drivetrain.eject.questions import negated
from drivetrain.eject.tree import dotted
from drivetrain.train.callback import EVENTS


def bound(function: ast.FunctionDef, call: ast.Call) -> dict[str, ast.expr]:
    """Arguments of a call by the names of the parameters; `state` stays what it is."""
    names = [a.arg for a in function.args.args][1:]
    given = dict(zip(names, call.args, strict=False)) | {
        k.arg: k.value for k in call.keywords if k.arg
    }
    for name, default in zip(
        reversed([a.arg for a in function.args.args]),
        reversed(function.args.defaults),
        strict=False,
    ):
        given.setdefault(name, default)
    for one, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if default is not None:
            given.setdefault(one.arg, default)
    return {name: value for name, value in given.items() if dotted(value) != name}


def with_our_names(function: ast.FunctionDef) -> ast.FunctionDef:
    """An event's method that calls its state `state`, whatever the person called it."""
    names = [one.arg for one in function.args.args]
    if function.name in EVENTS and len(names) == 2 and names[1] != "state":
        rename(function, {"state": "state_here", names[1]: "state"})
    return function


def without_early_returns(function: ast.FunctionDef) -> None:
    """`if done: return` and what follows as `if not done:` and what follows."""

    def visit(body: list[ast.stmt]) -> list[ast.stmt]:
        for index, one in enumerate(body):
            if isinstance(one, ast.If):
                one.body, one.orelse = visit(one.body), visit(one.orelse)
                last = one.body[-1] if one.body else None
                if isinstance(last, ast.Return) and last.value is None and not one.orelse:
                    rest = visit(body[index + 1 :])
                    if len(one.body) == 1:
                        one.test, one.body = negated(one.test), rest
                        return [*body[:index], *([one] if rest else [])]
                    one.body.pop()
                    one.orelse = rest
                    return [*body[: index + 1]]
        return body

    function.body = visit(function.body)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below one, functions inside left out."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from own_nodes(child)


def is_plain_pass(node: ast.stmt) -> bool:
    """`pass`, `...`, or a text that nobody reads."""
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def described(cls: type) -> dict[str, str]:
    """What a class's docstring says of its arguments, by name."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        text = inspect.getdoc(one) or ""
        match = re.search(r"Args:\n(.*?)(?=\n\S|\Z)", text, re.DOTALL)
        if match:
            for part in re.split(r"\n(?=    \w+:)", match[1]):
                name, _, words = part.strip().partition(":")
                found[name] = " ".join(words.split()).rstrip(".")
    return found
