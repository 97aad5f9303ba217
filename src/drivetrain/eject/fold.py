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
import builtins
import dataclasses
import functools
import itertools
import operator
import re
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import (
    arguments_of,
    count_loads,
    count_stores,
    is_captured,
    is_idle,
    is_pure,
    reads,
    replace_name,
    same_text,
)
from drivetrain.eject.known import UNKNOWN, Known, Writer, literal
from drivetrain.eject.questions import as_question, decide_none, is_bool, negated
from drivetrain.eject.shorter import (
    flattened,
    is_only_starred,
    number_in,
    only_hands_on,
    unstarred,
    with_texts_put_in,
    without_copies,
    without_defaults,
    without_moves,
)
from drivetrain.eject.tidying import (
    assign,
    can_split,
    drop_overwritten,
    filled_at_once,
    return_at_once,
    stored_at_once,
    without_index,
    without_last_continue,
)
from drivetrain.eject.tree import dotted, same
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
        self.on_cpu = on_cpu
        self.raises = raises
        self.calls = {
            path: one.value
            for path, one in known.items()
            if not path.replace(".", "").isidentifier()
        }
        self.known = dict(known)
        self.glob = glob or {}
        self.write = write or (lambda value: None)
        self.keep_guards = keep_guards
        self._function_in_work: ast.AST | None = None
        self._hidden: set[str] = set()  # names of the function in work

    def fold(self, body: list[ast.stmt]) -> None:
        """Fold a list of statements until nothing changes."""
        for _ in range(20):
            before = [ast.dump(one) for one in body]
            self._function_in_work = ast.Module(body, [])
            self._block(body)
            for one in body:
                for node in ast.walk(one):
                    if isinstance(node, ast.FunctionDef):
                        self._locals(node)
            if before == [ast.dump(one) for one in body]:
                return

    # --- statements -------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt]) -> None:
        result: list[ast.stmt] = []
        waiting: list[str] = []  # comments of what is gone
        for one in body:
            kept = self._statement(one)
            if kept and waiting:
                kept[0].before = [*waiting, *kept[0].before]  # pyright: ignore[reportAttributeAccessIssue]
                waiting = []
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
            self._plain_iteration(node)
            once = self._only_round(node)
            if once is not None:
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
            target = node.targets[0]
            self._answer_now(node)
            if same_text(target, node.value):
                return []
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                if can_split(target, node.value):
                    pairs = zip(target.elts, node.value.elts, strict=True)
                    split = [tree.mark(assign(one, value)) for one, value in pairs]
                    split[0].before = node.before  # pyright: ignore[reportAttributeAccessIssue]
                    return [s for one in split for s in self._statement(one)]
        return [node]

    def _answer_now(self, node: ast.Assign) -> None:
        """`function, options = _opened(record)` of a known record as what it answers."""
        call = node.value
        if not (isinstance(call, ast.Call) and dotted(call.func) in EVALUATED):
            return
        answer = self.value(call)
        if isinstance(answer, tuple):
            parts = [literal(part) or self.write(part) for part in answer]
            if all(part is not None for part in parts):
                node.value = ast.Tuple(parts, ast.Load())  # pyright: ignore[reportArgumentType]

    def _is_read_after(self, loop: ast.For) -> bool:
        """Whether somebody reads a name of a loop outside of it."""
        if self._function_in_work is None:
            return True
        inside, everywhere = count_loads(loop), count_loads(self._function_in_work)
        names = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
        return any(everywhere.get(name, 0) > inside.get(name, 0) for name in names)

    def _plain_iteration(self, node: ast.For) -> None:
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
                isinstance(target, ast.Name)
                and target.id not in read
                and isinstance(value, ast.Tuple)
            )
        ]
        lengths = {len(value.elts) if isinstance(value, ast.Tuple) else -1 for value in call.args}
        if len(kept) == 1 and len(lengths) == 1 and -1 not in lengths:
            node.target, node.iter = kept[0]

    def _only_round(self, node: ast.For) -> list[ast.stmt] | None:
        """The body of a loop that has one round, with what it goes over put in."""
        values = self._rounds(node.iter)
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
            [values[0]]
            if isinstance(node.target, ast.Name)
            else list(getattr(values[0], "elts", []))
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
        self._block(holder.body)
        return holder.body

    def _rounds(self, node: ast.expr) -> list[ast.expr] | None:
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

    def _function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        arguments = node.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        hidden = {name: self.known.pop(name) for name in names if name in self.known}
        outer, self._hidden = self._hidden, self._hidden | set(names) | set(count_stores(node))
        above, self._function_in_work = self._function_in_work, node
        arguments.defaults = [self._expression(d) for d in arguments.defaults]
        arguments.kw_defaults = [
            None if d is None else self._expression(d) for d in arguments.kw_defaults
        ]
        self._block(node.body)
        filled_at_once(node.body)
        return_at_once(node.body)
        self.known |= hidden
        self._hidden = outer
        self._function_in_work = above
        if not node.body or all(tree.is_text(one) for one in node.body):
            node.body.append(tree.mark(ast.Expr(ast.Constant(...))))
        return node

    def _if(self, node: ast.If) -> list[ast.stmt]:
        answer = self.truth(node.test)
        node.test = as_question(self._expression(node.test))
        if answer is UNKNOWN:
            answer = self.truth(node.test)
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

    # --- names of a function ----------------------------------------------------------------------

    def _locals(self, function: ast.FunctionDef) -> None:
        """Put in what names of the function hold, where it is plain; leave out what nothing reads."""
        if any(isinstance(n, ast.Global | ast.Nonlocal) for n in tree.walk(function)):
            return  # what it stores is read elsewhere
        counts = count_stores(function)
        loads = count_loads(function)
        parameters = {a.arg for a in arguments_of(function)}

        def visit(body: list[ast.stmt], *, is_once: bool) -> None:
            for one in list(body):
                is_loop = isinstance(one, ast.For | ast.While)
                for _, block in tree.body_fields(one):
                    if not isinstance(one, ast.FunctionDef | ast.ClassDef):
                        visit(block, is_once=is_once and not is_loop)
                if isinstance(one, ast.Try):
                    for handler in one.handlers:
                        visit(handler.body, is_once=is_once)
                if not (isinstance(one, ast.Assign) and len(one.targets) == 1):
                    if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                        target, value = one.target, one.value
                    elif isinstance(one, ast.AugAssign) and isinstance(one.target, ast.Name):
                        if loads.get(one.target.id, 0) == 0:
                            place = body.index(one)
                            kept = [] if is_pure(one.value) else [tree.mark(ast.Expr(one.value))]
                            body[place : place + 1] = kept
                        continue
                    else:
                        continue
                else:
                    target, value = one.targets[0], one.value
                if not isinstance(target, ast.Name):
                    continue
                if value is not None and loads.get(target.id, 0) == 0:
                    if is_idle(value):
                        body.remove(one)
                    elif isinstance(value, ast.Call):
                        position = body.index(one)
                        body[position] = ast.copy_location(ast.Expr(value), one)
                        tree.mark(body[position])
                        body[position].before = one.before  # pyright: ignore[reportAttributeAccessIssue]
                    continue
                if value is None or counts.get(target.id, 0) != 1 or target.id in parameters:
                    continue
                is_options = isinstance(value, ast.Dict) and is_only_starred(function, target.id)
                is_row = isinstance(value, ast.Tuple) and loads.get(target.id) == 1
                is_row = is_row and all(isinstance(e, ast.Constant) for e in value.elts)  # pyright: ignore[reportAttributeAccessIssue]
                is_list = isinstance(value, ast.List) and bool(value.elts) and is_pure(value)
                if is_list:
                    without_copies(function, target.id)
                is_list = is_list and _is_short(value)
                is_row = is_row or (
                    is_list and loads.get(target.id) == 1 and reads(body, one, target.id)
                )
                is_plain = isinstance(value, ast.Constant) or is_options or is_row
                is_plain = is_plain or self._is_alias(value, counts, parameters)
                if is_plain and not is_captured(function, target.id, value):
                    found = self.value(value)
                    body.remove(one)
                    replace_name(function, target.id, value)
                    if found is not UNKNOWN and isinstance(value, ast.Name):
                        self.known.setdefault(value.id, Known(found, value.id))

        visit(function.body, is_once=True)
        drop_overwritten(function.body)
        stored_at_once(function.body, count_loads(function))
        decide_none(function.body, {})

    def _is_alias(self, value: ast.expr, counts: Mapping[str, int], parameters: set[str]) -> bool:
        """A name that always says the same; an attribute of a module."""
        if isinstance(value, ast.Name):
            return counts.get(value.id, 0) == 0 or (
                counts[value.id] == 1 and value.id not in parameters
            )
        path = dotted(value)
        if path is not None and path[0].isupper():  # Image.Resampling.BILINEAR
            head = path.partition(".")[0]
            return head not in counts and head not in parameters
        return False

    # --- expressions ------------------------------------------------------------------------------

    def _expression(self, node: Any) -> Any:
        if node is None:
            return None
        return _Expressions(self).visit(node)

    def value(self, node: ast.AST) -> Any:
        """The value of an expression of what is known; `UNKNOWN` for any other."""
        try:
            if self.calls and isinstance(node, ast.Call | ast.Compare):
                text = ast.unparse(node)
                if text in self.calls:
                    return self.calls[text]
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
            if node.id in self._hidden:
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
        if name in _CALLED and not node.keywords:
            values = [self._value(part) for part in node.args]
            if not any(v is UNKNOWN for v in values):
                return _CALLED[name](*values)
        return UNKNOWN


class _Expressions(ast.NodeTransformer):
    """Expressions with what is known put in."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def visit(self, node: ast.AST) -> Any:
        path = dotted(node)
        if path is not None and isinstance(getattr(node, "ctx", None), ast.Load):
            if path in self.folder.known:
                one = self.folder.known[path]
                if one.text is not None:
                    return node if one.text == path else tree.expression(one.text)
                written = literal(one.value) if one.value is not UNKNOWN else None
                return written or self.folder.write(one.value) or node
            if isinstance(node, ast.Attribute):
                return self._settled(self.generic_visit(node))
            return node
        return super().visit(node)

    def _settled(self, node: Any) -> Any:
        """A value written out where it is known and plain."""
        value = self.folder.value(node)
        if value is UNKNOWN or isinstance(value, ModuleType):
            return node
        if isinstance(node, ast.Attribute) and isinstance(
            self.folder.value(node.value), ModuleType
        ):
            return node
        return literal(value) or self.folder.write(value) or node

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        hidden = {
            a.arg: self.folder.known.pop(a.arg)
            for a in node.args.args
            if a.arg in self.folder.known
        }
        node.body = self.visit(node.body)
        self.folder.known |= hidden
        return node.body.func if only_hands_on(node) else node  # pyright: ignore[reportAttributeAccessIssue]

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        self.generic_visit(node)
        return with_texts_put_in(node)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        answer = self.folder.truth(node.test)
        node.test = as_question(self.visit(node.test))
        if answer is UNKNOWN:
            answer = self.folder.truth(node.test)
        if answer is not UNKNOWN:
            return self.visit(node.body if answer else node.orelse)
        node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
        return node.body if same(node.body, node.orelse) else node

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        passes = isinstance(node.op, ast.And)
        kept: list[ast.expr] = []
        for part in node.values:
            answer = self.folder.truth(part)
            is_last = part is node.values[-1]
            part = self.visit(part)
            if answer is UNKNOWN:
                answer = self.folder.truth(part)
            if answer is not UNKNOWN and bool(answer) is passes and not is_last:
                continue
            kept.append(part)
            if answer is not UNKNOWN and bool(answer) is not passes:
                break
        if len(kept) > 1:
            last = self.folder.value(kept[-1])
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
                return literal(self.folder.value(node)) or node
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
        if self.folder.on_cpu:
            moved = without_moves(node)
            if moved is not node:
                return moved
        if name == "lookup":
            value = self.folder.value(node)
            found = None if value is UNKNOWN else literal(value) or self.folder.write(value)
            return found or ast.Subscript(node.args[0], node.args[1], ast.Load())
        if name in _CALLED and not node.keywords:
            return self._settled(node)
        if name == "partial" or name == "functools.partial":
            if len(node.args) == 1 and not node.keywords:
                return node.args[0]
        function = self.folder.value(node.func)
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


EVALUATED = frozenset({"_opened", "_takes_reduction"})
"""Functions of the library that are asked now, where all that they are given is known."""


_CALLED: dict[str, Callable[..., Any]] = {
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


def _is_short(node: ast.expr) -> bool:
    """Whether an expression is short enough to be written where it is read."""
    try:
        return len(ast.unparse(node)) < 60
    except ValueError:  # a text that was just put into an f-string is not joined with it yet
        return False


def _is_open(value: Any) -> bool:
    """Whether an attribute of it may be read: records, modules, plain things."""
    if value is UNKNOWN:
        return False
    if isinstance(value, ModuleType | tuple | functools.partial) or dataclasses.is_dataclass(value):
        return True
    return hasattr(value, "__dict__") and not isinstance(value, type | FunctionType)


@functools.cache
def _our_errors() -> frozenset[str]:
    found, waiting = set(), [DrivetrainError]
    while waiting:
        one = waiting.pop()
        found.add(one.__name__)
        waiting += one.__subclasses__()
    return frozenset(found | {"PictureError", "MissingPackageError"})
