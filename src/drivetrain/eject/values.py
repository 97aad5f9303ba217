"""What an expression is worth, where that follows from what is known."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

from drivetrain.eject.effects import is_pure
from drivetrain.eject.known import UNKNOWN, Known
from drivetrain.eject.tree import dotted

EVALUATED = frozenset({"_opened", "_takes_reduction"})
"""Functions of the library that are asked now, where all that they are given is known."""


class Values:
    """Answers what is asked of expressions.

    Args:
        known: by name, dotted path, or the text of a call or comparison.
        glob: values of the module's names.
    """

    def __init__(self, known: Mapping[str, Known], glob: Mapping[str, Any]) -> None:
        self.known = dict(known)
        self.glob = glob
        self.hidden: set[str] = set()
        """Names of the function in work, which are not the module's."""
        self._calls = {
            text: one.value
            for text, one in known.items()
            if not text.replace(".", "").isidentifier()
        }

    def value(self, node: ast.AST) -> Any:
        """The value of an expression of what is known; `UNKNOWN` for any other."""
        try:
            if self._calls and isinstance(node, ast.Call | ast.Compare):
                text = ast.unparse(node)
                if text in self._calls:
                    return self._calls[text]
            return self._value(node)
        except Exception:  # noqa: BLE001 - whatever it asks cannot be answered now
            return UNKNOWN

    def truth(self, node: ast.expr) -> Any:
        """True or False where a question is decided, even of an unknown value; else `UNKNOWN`."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.truth(node.operand)
            return inner if inner is UNKNOWN else not inner
        if isinstance(node, ast.BoolOp):
            is_and = isinstance(node.op, ast.And)
            answers = []
            for part in node.values:
                answers.append(self.truth(part))
                if answers[-1] is (not is_and):
                    return not is_and
                if answers[-1] is UNKNOWN and not is_pure(part):
                    return UNKNOWN
            return UNKNOWN if UNKNOWN in answers else is_and
        value = self.value(node)
        return value if value is UNKNOWN else bool(value)

    def _value(self, node: Any) -> Any:
        path = dotted(node)
        if path is not None and path in self.known:
            return self.known[path].value
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in self.hidden:
                return UNKNOWN
            if node.id in self.glob:
                return self.glob[node.id]
            return getattr(builtins, node.id, UNKNOWN)
        if isinstance(node, ast.Attribute):
            inner = self._value(node.value)
            return getattr(inner, node.attr) if _is_open(inner) else UNKNOWN
        if isinstance(node, ast.Tuple | ast.List):
            values = [self._value(part) for part in node.elts]
            if any(v is UNKNOWN for v in values):
                return UNKNOWN
            return tuple(values) if isinstance(node, ast.Tuple) else values
        if isinstance(node, ast.Dict):
            keys = [UNKNOWN if key is None else self._value(key) for key in node.keys]
            values = [self._value(part) for part in node.values]
            if any(v is UNKNOWN for v in [*keys, *values]):
                return UNKNOWN
            return dict(zip(keys, values, strict=True))
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand)
            if value is UNKNOWN:
                return value
            return _UNARY[type(node.op)](value)
        if isinstance(node, ast.BoolOp):
            is_and = isinstance(node.op, ast.And)
            value: Any = UNKNOWN
            for part in node.values:
                value = self._value(part)
                if value is UNKNOWN or bool(value) is not is_and:
                    return value
            return value
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = self._value(node.left), self._value(node.comparators[0])
            if left is UNKNOWN or right is UNKNOWN:
                return UNKNOWN
            return _COMPARE[type(node.ops[0])](left, right)
        if isinstance(node, ast.Compare):
            values = [self._value(part) for part in (node.left, *node.comparators)]
            if any(v is UNKNOWN for v in values):
                return UNKNOWN
            steps = zip(node.ops, values, values[1:], strict=False)
            return all(_COMPARE[type(op)](a, b) for op, a, b in steps)
        if isinstance(node, ast.BinOp):
            left, right = self._value(node.left), self._value(node.right)
            if left is UNKNOWN or right is UNKNOWN:
                return UNKNOWN
            return _BINARY[type(node.op)](left, right)
        if isinstance(node, ast.Subscript):
            inner, key = self._value(node.value), self._value(node.slice)
            return UNKNOWN if inner is UNKNOWN or key is UNKNOWN else inner[key]
        if isinstance(node, ast.Call):
            return self._called(node)
        return UNKNOWN

    def _called(self, node: ast.Call) -> Any:
        name = dotted(node.func)
        if name in EVALUATED and name in self.glob:
            values = [self._value(part) for part in node.args]
            if not any(v is UNKNOWN for v in values):
                return self.glob[name](*values)
        if name == "lookup":
            table, key = self._value(node.args[0]), self._value(node.args[1])
            return UNKNOWN if table is UNKNOWN or key is UNKNOWN else table[key]
        if name == "require":
            return UNKNOWN
        if name == "unwrapped" and name in self.glob:
            inner = self._value(node.args[0])
            return UNKNOWN if inner is UNKNOWN else self.glob[name](inner)
        if name in CALLED and not node.keywords:
            values = [self._value(part) for part in node.args]
            if not any(v is UNKNOWN for v in values):
                return CALLED[name](*values)
        return UNKNOWN


CALLED: dict[str, Callable[..., Any]] = {
    "len": len,
    "min": min,
    "max": max,
    "float": float,
    "int": int,
    "bool": bool,
    "abs": abs,
    "isinstance": isinstance,
    "callable": callable,
    "hasattr": hasattr,
}
"""Functions of Python that are called now, likewise."""

_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}

_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _is_open(value: Any) -> bool:
    """Whether an attribute of it may be read: records, modules, plain things."""
    if value is UNKNOWN:
        return False
    if isinstance(value, ModuleType | tuple | functools.partial) or dataclasses.is_dataclass(value):
        return True
    return hasattr(value, "__dict__") and not isinstance(value, type | FunctionType)
