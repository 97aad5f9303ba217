"""A tree with what is known put in, and what that leaves without use taken out.

A script is for one run, so most of what a library must ask is answered: this setting has that value,
this branch is never taken, these arguments have been checked.

    >>> text = '''
    ... def area(shape):
    ...     if unit not in UNITS:
    ...         raise ConfigError(f"No such unit: {unit}.")
    ...     factor = 1.0
    ...     if unit == "cm":  # as drawn
    ...         return shape.area * factor
    ...     return shape.area / 6.4516
    ... '''
    >>> body = tree.statements(text)
    >>> Folder({"unit": Known("cm")}).fold(body)
    >>> print(tree.render(body), end="")
    def area(shape):
        return shape.area * 1.0

Taken out are: branches that are not taken; an `if` that only raises one of the library's errors, and
`assert`; calls of functions whose name begins with `check` or `refuse`; names that nothing reads; what
stands after a `return`.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Mapping
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import count_stores, same_text
from drivetrain.eject.expressions import with_known
from drivetrain.eject.known import UNKNOWN, Known, Writer, literal
from drivetrain.eject.local_values import put_in_locals
from drivetrain.eject.questions import as_question, negated
from drivetrain.eject.rounds import is_read_after, only_round, plain_iteration
from drivetrain.eject.tidying import (
    assign,
    can_split,
    filled_at_once,
    return_at_once,
    without_index,
    without_last_continue,
)
from drivetrain.eject.tree import dotted
from drivetrain.eject.values import EVALUATED, Values
from drivetrain.errors import DrivetrainError

CHECKS = re.compile(r"_?(check|refuse|same_shape)(_|$)")
"""Names of functions that only look whether something is as it must be."""


class Folder:
    """Folds trees in place.

    Args:
        known: by name or dotted path.
        glob: values of the module's names, for questions such as `x in FUSED_DEVICES`.
        write: how other values are written than plain ones.
        keep_guards: leave raises and asserts in, as in a person's own code.
        on_cpu: all tensors lie there, so nothing need be moved.
        raises: errors of the library that the script raises too, by name.
    """

    def __init__(
        self,
        known: Mapping[str, Known],
        glob: Mapping[str, Any] | None = None,
        write: Writer | None = None,
        *,
        keep_guards: bool = False,
        on_cpu: bool = False,
        raises: frozenset[str] = frozenset(),
    ) -> None:
        self.values = Values(known, glob or {})
        self.raises = raises
        self.write = write or (lambda value: None)
        self.keep_guards = keep_guards
        self.on_cpu = on_cpu
        self._function_in_work: ast.AST | None = None

    def fold(self, body: list[ast.stmt]) -> None:
        """Fold a list of statements until nothing changes."""
        for _ in range(20):
            before = [tree.told(one) for one in body]
            self._function_in_work = ast.Module(body, [])
            self._block(body)
            for one in body:
                for node in tree.walk_statements(one):
                    if isinstance(node, ast.FunctionDef):
                        put_in_locals(node, self.values)
            if before == [tree.told(one) for one in body]:
                return

    # --- statements -------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt]) -> None:
        result: list[ast.stmt] = []
        for one in body:
            kept = self._statement(one)
            result += kept
            if kept and isinstance(kept[-1], ast.Return | ast.Raise | ast.Continue | ast.Break):
                break
        body[:] = result

    def _statement(self, node: Any) -> list[ast.stmt]:
        if isinstance(node, ast.FunctionDef):
            return [self._function(node)]
        if isinstance(node, ast.ClassDef):
            self._block(node.body)
            if not node.body:
                node.body = [tree.mark(ast.Pass())]
            return [node]
        if not self.keep_guards and self._is_check(node):
            return []
        if isinstance(node, ast.If):
            return self._if(node)
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                node.value = self._expression(node.value)
            return [node]
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(node, name, self._expression(value))
            elif isinstance(value, list) and value and isinstance(value[0], ast.expr):
                setattr(node, name, [self._expression(part) for part in value])
        if isinstance(node, ast.With):
            for item in node.items:
                item.context_expr = self._expression(item.context_expr)
        if isinstance(node, ast.Try) and not self.keep_guards:
            if node.handlers and all(self._only_raises(handler.body) for handler in node.handlers):
                if not node.finalbody and not node.orelse:
                    self._block(node.body)
                    return node.body
        if isinstance(node, ast.For) and not self._is_read_after(node):
            without_index(node)
            plain_iteration(node)
            once = only_round(node)
            if once is not None:
                self._block(once)
                return once
            without_last_continue(node.body)
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple | ast.List):
            if not node.iter.elts:
                return []
        for _, block in tree.body_fields(node):
            self._block(block)
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                self._block(handler.body)
                handler.body = handler.body or [tree.mark(ast.Pass())]
        if isinstance(node, ast.For | ast.While | ast.With) and not node.body:
            if isinstance(node, ast.For) and self._is_read_after(node):
                node.body.append(tree.mark(ast.Pass()))
                return [node]
            return []
        if hasattr(node, "body"):
            filled_at_once(node.body)
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return self._assignment(node, node.targets[0])
        return [node]

    def _assignment(self, node: Any, target: ast.expr) -> list[ast.stmt]:
        """`x = x` goes, and `a, b = 1, 2` is two statements."""
        self._answer_now(node)
        if same_text(target, node.value):
            return []
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            if can_split(target, node.value):
                pairs = zip(target.elts, node.value.elts, strict=True)
                split: list[Any] = [tree.mark(assign(one, value)) for one, value in pairs]
                split[0].before = node.before
                return [s for one in split for s in self._statement(one)]
        return [node]

    def _expression(self, node: ast.expr) -> ast.expr:
        return with_known(node, self.values, self.write, on_cpu=self.on_cpu)

    def _answer_now(self, node: ast.Assign) -> None:
        """`function, options = _opened(record)` of a known record as what it answers."""
        call = node.value
        if not (isinstance(call, ast.Call) and dotted(call.func) in EVALUATED):
            return
        answer = self.values.value(call)
        if isinstance(answer, tuple):
            parts = [literal(part) or self.write(part) for part in answer]
            if all(part is not None for part in parts):
                node.value = ast.Tuple(parts, ast.Load())  # pyright: ignore[reportArgumentType]

    def _is_read_after(self, loop: ast.For) -> bool:
        return self._function_in_work is None or is_read_after(loop, self._function_in_work)

    def _function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        arguments, known = node.args, self.values.known
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        hidden = {name: known.pop(name) for name in names if name in known}
        outer = self.values.hidden
        self.values.hidden = outer | set(names) | set(count_stores(node))
        above, self._function_in_work = self._function_in_work, node
        arguments.defaults = [self._expression(d) for d in arguments.defaults]
        arguments.kw_defaults = [
            None if d is None else self._expression(d) for d in arguments.kw_defaults
        ]
        self._block(node.body)
        filled_at_once(node.body)
        return_at_once(node.body)
        known |= hidden
        self.values.hidden = outer
        self._function_in_work = above
        if not node.body or all(tree.is_text(one) for one in node.body):
            node.body.append(tree.mark(ast.Expr(ast.Constant(...))))
        return node

    def _if(self, node: ast.If) -> list[ast.stmt]:
        answer = self.values.truth(node.test)
        node.test = as_question(self._expression(node.test))
        if answer is UNKNOWN:
            answer = self.values.truth(node.test)
        if answer is not UNKNOWN:
            kept = node.body if answer else node.orelse
            self._block(kept)
            return kept
        self._block(node.body)
        self._block(node.orelse)
        if not node.body and not node.orelse:
            return []
        if not node.body:
            node.test, node.body, node.orelse = negated(node.test), node.orelse, []
        if not self.keep_guards and not node.orelse and self._only_raises(node.body):
            return []
        return [node]

    def _is_check(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = (dotted(node.value.func) or "").rpartition(".")[2]
            return CHECKS.match(name) is not None
        return False

    def _only_raises(self, body: list[ast.stmt]) -> bool:
        """Whether a block does nothing but raise an error that the script has no need of."""
        last = body[-1]
        if not (isinstance(last, ast.Raise) and isinstance(last.exc, ast.Call)):
            return False
        name = (dotted(last.exc.func) or "").rpartition(".")[2]
        return name in _our_errors() and name not in self.raises


@functools.cache
def _our_errors() -> frozenset[str]:
    found, waiting = set(), [DrivetrainError]
    while waiting:
        one = waiting.pop()
        found.add(one.__name__)
        waiting += one.__subclasses__()
    return frozenset(found | {"PictureError", "MissingPackageError"})
