"""Expressions with what is known put in, and what that makes shorter."""

from __future__ import annotations

import ast
from types import FunctionType, ModuleType
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.known import UNKNOWN, Writer, literal
from drivetrain.eject.questions import as_question, is_bool, negated
from drivetrain.eject.shorter import (
    flattened,
    number_in,
    only_hands_on,
    unstarred,
    with_texts_put_in,
    without_defaults,
    without_moves,
)
from drivetrain.eject.tree import dotted, same
from drivetrain.eject.values import CALLED, Values


def with_known(node: ast.expr, values: Values, write: Writer, *, on_cpu: bool) -> ast.expr:
    """An expression with what is known put in.

    Args:
        node: is changed.
        values: what is known.
        write: how other values are written than plain ones.
        on_cpu: all tensors lie there, so nothing need be moved.
    """
    return _Expressions(values, write, on_cpu=on_cpu).visit(node)


class _Expressions(ast.NodeTransformer):
    def __init__(self, values: Values, write: Writer, *, on_cpu: bool) -> None:
        self.values = values
        self.write = write
        self.on_cpu = on_cpu

    def visit(self, node: ast.AST) -> Any:
        path = dotted(node)
        if path is not None and isinstance(getattr(node, "ctx", None), ast.Load):
            if path in self.values.known:
                one = self.values.known[path]
                if one.text is not None:
                    return node if one.text == path else tree.expression(one.text)
                written = literal(one.value) if one.value is not UNKNOWN else None
                return written or self.write(one.value) or node
            if isinstance(node, ast.Attribute):
                return self._settled(self.generic_visit(node))
            return node
        return super().visit(node)

    def _settled(self, node: Any) -> Any:
        """A value written out where it is known and plain."""
        value = self.values.value(node)
        if value is UNKNOWN or isinstance(value, ModuleType):
            return node
        if isinstance(node, ast.Attribute) and isinstance(
            self.values.value(node.value), ModuleType
        ):
            return node
        return literal(value) or self.write(value) or node

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        hidden = {
            a.arg: self.values.known.pop(a.arg)
            for a in node.args.args
            if a.arg in self.values.known
        }
        node.body = self.visit(node.body)
        self.values.known |= hidden
        return node.body.func if only_hands_on(node) else node  # pyright: ignore[reportAttributeAccessIssue]

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        self.generic_visit(node)
        return with_texts_put_in(node)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        answer = self.values.truth(node.test)
        node.test = as_question(self.visit(node.test))
        if answer is UNKNOWN:
            answer = self.values.truth(node.test)
        if answer is not UNKNOWN:
            return self.visit(node.body if answer else node.orelse)
        node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
        return node.body if same(node.body, node.orelse) else node

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        passes = isinstance(node.op, ast.And)
        kept: list[ast.expr] = []
        for part in node.values:
            answer = self.values.truth(part)
            is_last = part is node.values[-1]
            part = self.visit(part)
            if answer is UNKNOWN:
                answer = self.values.truth(part)
            if answer is not UNKNOWN and bool(answer) is passes and not is_last:
                continue
            kept.append(part)
            if answer is not UNKNOWN and bool(answer) is not passes:
                break
        if len(kept) > 1:
            last = self.values.value(kept[-1])
            if last is passes and is_bool(kept[-2]):
                kept.pop()
        if len(kept) == 1:
            return kept[0]
        node.values = kept or [ast.Constant(passes)]
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        if all(isinstance(part, ast.Constant) for part in (node.left, *node.comparators)):
            return self._settled(node)
        if isinstance(node.left, ast.Constant) and isinstance(node.ops[0], ast.In | ast.NotIn):
            return self._settled(node)  # `"lowercase" in rules`
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        node.operand = self.visit(node.operand)
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            value: Any = node.operand.value
            if type(value) in (int, float) and not hasattr(node.operand, "spelling"):
                return ast.Constant(-value)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Compare | ast.BoolOp):
            return negated(node.operand)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        sides = (node.left, node.right)
        if all(isinstance(s, ast.Constant) and type(s.value) in (int, float) for s in sides):
            if not any(hasattr(side, "spelling") for side in sides) and not isinstance(
                node.op, ast.Pow
            ):
                return literal(self.values.value(node)) or node
        left, right = (number_in(side) for side in sides)
        if isinstance(node.op, ast.Add) and left == 0:
            return node.right
        if isinstance(node.op, ast.Mult) and 1 in (left, right):
            return node.right if left == 1 else node.left
        if (
            isinstance(node.op, ast.BitOr)
            and isinstance(node.right, ast.Dict)
            and not node.right.keys
        ):
            return node.left
        return node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        self.generic_visit(node)
        return self._settled(node) if isinstance(node.ctx, ast.Load) else node

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        node.args = flattened(node.args)
        node.keywords = [one for k in node.keywords for one in unstarred(k)]
        name = dotted(node.func)
        if name == "cast":
            return node.args[1]
        if name == "list" and len(node.args) == 1 and isinstance(node.args[0], ast.List):
            return node.args[0]
        if name == "range" and len(node.args) == 2 and number_in(node.args[0]) == 0:
            del node.args[0]
        if self.on_cpu:
            moved = without_moves(node)
            if moved is not node:
                return moved
        if name == "lookup":
            value = self.values.value(node)
            found = None if value is UNKNOWN else literal(value) or self.write(value)
            return found or ast.Subscript(node.args[0], node.args[1], ast.Load())
        if name in CALLED and not node.keywords:
            return self._settled(node)
        if name == "partial" or name == "functools.partial":
            if len(node.args) == 1 and not node.keywords:
                return node.args[0]
        function = self.values.value(node.func)
        module = getattr(function, "__module__", "") or ""
        if isinstance(function, FunctionType) and module.startswith("torch.nn"):
            without_defaults(node, function)
        return node

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            node.elts = flattened(node.elts)
        return node

    def visit_List(self, node: ast.List) -> Any:
        return self.visit_Tuple(node)  # pyright: ignore[reportArgumentType]

    def visit_Dict(self, node: ast.Dict) -> Any:
        self.generic_visit(node)
        keys, values = [], []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None and isinstance(value, ast.Dict):
                keys += value.keys
                values += value.values
            else:
                keys.append(key)
                values.append(value)
        node.keys, node.values = keys, values
        return node
