"""What a callback reads and stores, as the names that the loop has for it."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import replace_name
from drivetrain.eject.form import PAIR, Form
from drivetrain.eject.known import Known
from drivetrain.eject.tree import dotted


def put_in_loop(
    function: ast.FunctionDef,
    *,
    name_of: Callable[[str], str | None],
    is_gone: Callable[[str], bool],
    form: Form,
    loss: Known | None,
) -> None:
    """Write `self.x` and `state.x` in a method as names; helpers of batches, and the loss, as they are.

    Args:
        function: the method; it is changed.
        name_of: the name that a path such as `state.loss` has in the loop; None where it has none.
        is_gone: whether a path is stored to no more: its value is known.
        form: of the batches.
        loss: of the run; None where no statement asks for it.
    """
    _InLoop(name_of, is_gone, form, loss).visit(function)


class _InLoop(ast.NodeTransformer):
    def __init__(
        self,
        name_of: Callable[[str], str | None],
        is_gone: Callable[[str], bool],
        form: Form,
        loss: Known | None,
    ) -> None:
        self.name_of = name_of
        self.is_gone = is_gone
        self.form = form
        self.loss = loss

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        name = self.name_of(dotted(node) or "")
        if name is not None:
            made = tree.expression(name)
            if isinstance(made, ast.Name):
                made.ctx = node.ctx
            return made
        self.generic_visit(node)
        return node

    def visit_Assign(self, node: Any) -> Any:
        if self.is_gone(dotted(node.targets[0]) or ""):
            return None
        if isinstance(node.value, ast.Call) and dotted(node.value.func) == "map_inputs":
            if dotted(node.value.args[0]) == "state.batch":
                return self.visit(_mapped(node, node.value.args[1], self.form))
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: Any) -> Any:
        if node.value is None:
            return None
        plain: Any = ast.Assign([node.target], node.value, lineno=0)
        plain.before, plain.after, plain.gap = node.before, node.after, node.gap
        return self.visit(plain)

    def visit_Call(self, node: ast.Call) -> Any:
        name = dotted(node.func)
        if name == "inputs_of":
            return tree.expression(self.form.listed)
        if name == "num_items" and self.form is PAIR:
            return ast.Call(ast.Name("len", ast.Load()), [self.visit(a) for a in node.args], [])
        self.generic_visit(node)
        if name == "state.loss_fn":
            assert self.loss is not None, "the state knows its loss"
            return _loss_call(node, self.loss)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Call) and dotted(node.value.func) == "inputs_of":
            if self.form is PAIR:
                return ast.Name("inputs", ast.Load())
        self.generic_visit(node)
        return node


def _mapped(node: Any, change: Any, form: Form) -> Any:
    """`map_inputs(state.batch, change)`, written on the inputs of this form of batch."""
    part = change.args.args[0].arg
    holder = ast.Expr(copy.deepcopy(change.body))
    replace_name(holder, part, ast.Name(form.part, ast.Load()))
    made: Any = tree.statement(form.each.format(tree.unparse(holder.value)))
    made.before, made.after = node.before, node.after
    return made


def _loss_call(node: ast.Call, loss: Known) -> ast.Call:
    """`state.loss_fn(…)` as a call of the run's own loss."""
    is_name = bool(loss.text) and (loss.text or "").isidentifier()
    made = tree.expression(f"{loss.text}()" if is_name else loss.text or "")
    assert isinstance(made, ast.Call)
    if loss.text and not is_name:  # functools.partial(f, a=1)
        return ast.Call(made.args[0], node.args, [*made.keywords, *node.keywords])
    return ast.Call(made.func, node.args, node.keywords)
