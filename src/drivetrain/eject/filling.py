"""Marks in the text of a loop, replaced: names, whole statements, calls, and the form of its batches."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.form import Form


def fill(
    function: Any,
    names: Mapping[str, str],
    *,
    statements: Mapping[str, Sequence[ast.stmt]],
    calls: Mapping[str, str],
) -> None:
    """Replace the marks of a function, in place.

    Args:
        function: its tree.
        names: by a name, the text of an expression.
        statements: by a name that is a statement, what stands there.
        calls: by the name that is called, what is called with the same arguments: a name, an expression
            with `{}` in their place, or a `functools.partial`.
    """
    _Fill(names, statements, calls).visit(function)


class _Fill(ast.NodeTransformer):
    def __init__(
        self,
        names: Mapping[str, str],
        statements: Mapping[str, Sequence[ast.stmt]],
        calls: Mapping[str, str],
    ) -> None:
        self.names, self.statements, self.calls = names, statements, calls

    def visit_Expr(self, node: ast.Expr) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id in self.statements:
            return [self.visit(copy.deepcopy(one)) for one in self.statements[node.value.id]]
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        return tree.expression(self.names[node.id]) if node.id in self.names else node

    def visit_Call(self, node: ast.Call) -> Any:
        text = self.calls.get(tree.dotted(node.func) or "")
        if text is None:
            return self.generic_visit(node)
        arguments = [self.visit(argument) for argument in node.args]
        if "{}" in text:
            return tree.expression(text.format(*map(tree.unparse, arguments)))
        made = tree.expression(text)
        if isinstance(made, ast.Call):  # functools.partial(f, a=1)
            return ast.Call(made.args[0], arguments, made.keywords)
        return ast.Call(made, arguments, [])


def fill_batches(function: ast.AST, batches: str, form: Form) -> None:
    """Put in what the loop over batches goes over, and how the model is called."""
    for node in ast.walk(function):
        if isinstance(node, ast.For) and _calls(node.iter, "train_batches"):
            head: Any = tree.statement(f"for {form.head} in x: pass")
            node.iter, node.target = tree.expression(batches), head.target
        if isinstance(node, ast.Call) and _calls(node, "model"):
            if [tree.dotted(argument) for argument in node.args] == ["INPUTS"]:
                made: Any = tree.expression(f"model({form.call})")
                node.args, node.keywords = made.args, made.keywords


def replace_call(function: ast.AST, name: str, instead: Sequence[ast.stmt]) -> None:
    """Other statements in the place of one that calls a function."""

    class Visit(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> Any:
            return list(instead) if _calls(node.value, name) else node

    Visit().visit(function)


def join_row(function: ast.AST) -> None:
    """One statement for `row`, where nothing happens between training and validation."""
    for node in ast.walk(function):
        for _, body in tree.body_fields(node):
            texts = [tree.unparse(one) if isinstance(one, ast.AugAssign) else "" for one in body]
            if "row |= VALIDATE" in texts:
                index = texts.index("row |= VALIDATE")
                row: Any = body[index - 2]  # the event stands between them
                validated: Any = body.pop(index)
                row.value = ast.BinOp(row.value, ast.BitOr(), validated.value)
                return


def stored_names(node: ast.AST) -> set[str]:
    """Names that something is stored in."""
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and tree.dotted(node.func) == name
