"""The statements of a callback in the place of its events.

An object with methods becomes plain statements: what it was made with becomes constants, what it
remembers becomes local names, `state.loss` becomes `loss`. So a loop shows what a callback does where it
does it, and the callback's own source is the only version there is.

What cannot be opened so is refused by name: a callback that hands itself to others, or that asks the
state for what a script does not have.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import replace_name
from drivetrain.eject.filling import stored_names
from drivetrain.eject.form import Form
from drivetrain.eject.in_loop import put_in_loop
from drivetrain.eject.known import Known, literal
from drivetrain.eject.lift import Lifter
from drivetrain.eject.methods import (
    bound,
    described,
    is_plain_pass,
    own_nodes,
    with_our_names,
    without_early_returns,
)
from drivetrain.eject.names import rename
from drivetrain.eject.settings import Setting, add_setting
from drivetrain.eject.tree import dotted
from drivetrain.errors import EjectError
from drivetrain.train.callback import Callback
from drivetrain.train.ending import Ending
from drivetrain.train.monitoring import Watch

LOCALS = frozenset(
    "model optimizer loss preds targets inputs row step epoch in_eval evaluation progress".split()
)
"""Names that the loop has of its own; fields of the state of the same names are they."""


class Opened:
    """A callback, taken apart.

    Args:
        callback: the object.
        lifter: for what its statements call.
        name: a short name of it, for constants.
        state: what fields of the state are, by path such as `state.seed`.
        form: of the batches.
        taken: names that its own must not be; those that it takes are added.
        metrics: of the run, which a callback may follow.
        known: what its attributes are, by path such as `self.mode`; the others are found out.
    """

    def __init__(
        self,
        callback: Any,
        lifter: Lifter,
        *,
        name: str,
        state: Mapping[str, Known],
        form: Form,
        taken: set[str],
        metrics: Sequence[Any] = (),
        known: Mapping[str, Known] | None = None,
    ) -> None:
        self.callback = callback
        self.lifter = lifter
        self.name = name
        self.state = dict(state)
        self.form = form
        self.taken = taken
        self.metrics = metrics
        self.settings: list[Setting] = []
        self.inner: dict[str, Opened] = {}
        self._known: dict[str, Known] = dict(known or {})
        self._locals: dict[str, str] = {}
        self._find_attributes()

    def statements(self, event: str) -> list[ast.stmt]:
        """What it does at an event."""
        if getattr(type(self.callback), event) is getattr(Callback, event):
            return []
        body, _ = self._method(event, {})
        return body

    def beginning(self) -> list[ast.stmt]:
        """What it remembers at the start, before the fit's first event."""
        body, _ = self._method("reset" if isinstance(self.callback, Watch) else "__init__", {})
        given = set(inspect.signature(type(self.callback)).parameters)
        for node in (node for one in body for node in ast.walk(one)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in given:
                kind = type(self.callback).__name__
                raise EjectError(
                    f"The callback `{kind}` changes `{node.id}` that it was made with, or keeps it "
                    f"in another form, so nobody can tell any more what it was. Keep it "
                    f"(`self.{node.id} = {node.id}`), and count with another attribute."
                )
        for inner in self.inner.values():
            body += inner.beginning()
        return [one for one in body if not is_plain_pass(one)]

    def refuse_what_goes_on(self) -> None:
        """For a callback of several fits: it must start anew in each, as it does in a script.

        Raises: EjectError: it remembers something from one fit to the next.
        """
        anew = {
            n.id
            for one in self.statements("before_fit")
            if isinstance(one, ast.Assign)
            for n in ast.walk(one.targets[0])
            if isinstance(n, ast.Name)
        }
        for attribute, name in self._locals.items():
            if name not in anew and self._is_changed(attribute):
                kind = type(self.callback).__name__
                raise EjectError(
                    f"The callback `{kind}` takes `self.{attribute}` from one fit to the next, and "
                    "in a script it starts anew in each. Set it in `before_fit`, or give each fit "
                    "a callback of its own."
                )

    # --- attributes -------------------------------------------------------------------------------

    def _find_attributes(self) -> None:
        parameters = inspect.signature(type(self.callback)).parameters
        words = described(type(self.callback))
        for attribute, value in vars(self.callback).items():
            path = f"self.{attribute}"
            if path in self._known or isinstance(value, Ending):
                continue
            if isinstance(value, Watch):
                self.inner[attribute] = self._watch(value)
                continue
            if literal(value) is None or self._is_changed(attribute):
                self._locals[attribute] = self._local(attribute.lstrip("_"))
            elif attribute in parameters:
                self._known[path] = self._setting(attribute, value, words.get(attribute, ""))
            else:
                self._known[path] = Known(value)

    def _watch(self, value: Watch) -> Opened:
        known = {
            f"self.{name}": Known(getattr(value, name))
            for name in ("owner", "monitor", "mode", "min_delta", "has_looked")
        }
        return Opened(
            value,
            self.lifter,
            name=self.name,
            state=self.state,
            form=self.form,
            taken=self.taken,
            known=known,
        )

    def _setting(self, attribute: str, value: Any, reason: str) -> Known:
        if isinstance(value, bool | str) or value is None:
            return Known(value)
        wanted = f"{self.name}_{attribute}".upper()
        return Known(
            value, add_setting(self.settings, self.lifter.constants, wanted, value, reason)
        )

    def _local(self, wanted: str) -> str:
        name = wanted if wanted not in self.taken else f"{self.name}_{wanted}"
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _is_changed(self, attribute: str) -> bool:
        """Whether any method but `__init__` writes it."""
        for function in self._functions():
            if function.name in ("__init__", "load_state_dict"):
                continue
            for node in ast.walk(function):
                path = f"self.{attribute}"
                if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                    if dotted(node) == path:
                        return True
                if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                    if dotted(node.value) == path:
                        return True
                if isinstance(node, ast.Call) and (dotted(node.func) or "").startswith(f"{path}."):
                    if isinstance(getattr(self.callback, attribute, None), list | dict | set):
                        return True
        return False

    def _functions(self) -> list[ast.FunctionDef]:
        found = []
        for cls in type(self.callback).__mro__:
            if cls in (Callback, object):
                continue
            node = self.lifter.module(cls.__module__).defined.get(cls.__name__)
            if isinstance(node, ast.ClassDef):
                found += [one for one in node.body if isinstance(one, ast.FunctionDef)]
        return found

    # --- methods ----------------------------------------------------------------------------------

    def _source(
        self, name: str, *, after: type | None = None
    ) -> tuple[ast.FunctionDef, type] | None:
        """The definition of a method, and the class that it stands in."""
        mro = type(self.callback).__mro__
        if after is not None:
            mro = mro[mro.index(after) + 1 :]
        for cls in mro:
            if cls in (Callback, object) or name not in vars(cls):
                continue
            node = self.lifter.module(cls.__module__).defined.get(cls.__name__)
            if not isinstance(node, ast.ClassDef):
                raise EjectError(
                    f"The callback `{cls.__name__}` is not defined at the top of a module, so a script "
                    "cannot take its statements along. Define it there."
                )
            for one in node.body:
                if isinstance(one, ast.FunctionDef) and one.name == name:
                    return with_our_names(copy.deepcopy(one)), cls
        return None

    def _method(
        self, name: str, given: Mapping[str, ast.expr], *, after: type | None = None
    ) -> tuple[list[ast.stmt], ast.expr | None]:
        """The statements of a method, and what it answers."""
        found = self._source(name, after=after)
        if found is None:
            return [], None
        function, cls = found
        if function.body and tree.is_text(function.body[0]):
            del function.body[0]
        for parameter, value in given.items():
            replace_name(function, parameter, value)
        without_early_returns(function)
        self._set_temporaries_apart(function)
        function.body = self._expanded(function.body, cls)
        self._rewrite(function)
        module = cls.__module__
        folder = self.lifter.folder(module, {**self.state, **self._known})
        plain = ast.FunctionDef(
            "opened",
            ast.arguments([], [], None, [], [], None, []),
            function.body,
            [],
            None,
            None,
            lineno=0,
        )
        tree.mark(plain)
        holder: list[ast.stmt] = [plain]
        folder._block(holder)
        self._refuse_what_is_left(plain)
        self._rename_temporaries(plain)
        self.lifter.resolve(plain, module)
        body = plain.body
        answer = None
        if body and isinstance(body[-1], ast.Return):
            answer = body.pop().value  # pyright: ignore[reportAttributeAccessIssue]
        if any(isinstance(n, ast.Return) for one in body for n in own_nodes(one)):
            raise EjectError(
                f"`{cls.__name__}.{name}` returns in its middle, so its statements cannot stand in the "
                "place of an event. Give it one `return`, or make a function of it at the top of "
                "its module."
            )
        body = [one for one in body if not is_plain_pass(one)]
        for one in body:
            one.gap = False  # pyright: ignore[reportAttributeAccessIssue]
        return body, answer

    def _expanded(self, body: list[ast.stmt], cls: type) -> list[ast.stmt]:
        """Calls of own methods as what those do."""
        result: list[ast.stmt] = []
        for one in body:
            if isinstance(one, ast.FunctionDef):
                result.append(one)
                continue
            for name, block in list(tree.body_fields(one)):
                setattr(one, name, self._expanded(block, cls))
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Call):
                opened = self._opened_call(one.value, cls)
                if opened is not None:
                    if opened[0]:
                        opened[0][0].before = [*one.before, *opened[0][0].before]  # pyright: ignore[reportAttributeAccessIssue]
                    result += opened[0]
                    continue
            before: list[ast.stmt] = []
            head = one
            parts = (
                ["test"] if isinstance(one, ast.If) else ["value"] if hasattr(one, "value") else []
            )
            if isinstance(one, ast.For):
                parts = ["iter"]
            for part in parts:
                value = getattr(head, part)
                if isinstance(value, ast.AST):
                    setattr(head, part, self._answers(value, cls, before))
            result += [*before, one]
        return result

    def _answers(self, node: Any, cls: type, before: list[ast.stmt]) -> Any:
        """An expression with calls of own methods as what they answer."""
        opened = self

        class Visit(ast.NodeTransformer):
            def visit_Call(self, node: ast.Call) -> Any:
                self.generic_visit(node)
                found = opened._opened_call(node, cls)
                if found is None:
                    return node
                body, answer = found
                before.extend(body)
                return answer if answer is not None else ast.Constant(None)

            def visit_Lambda(self, node: ast.Lambda) -> Any:
                return node

        return Visit().visit(node)

    def _opened_call(
        self, call: ast.Call, cls: type
    ) -> tuple[list[ast.stmt], ast.expr | None] | None:
        path = dotted(call.func) or ""
        if path.startswith("self._tell"):  # for people
            return [], None
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Call):
            if dotted(call.func.value.func) == "super":
                found = self._source(call.func.attr, after=cls)
                if found is None:
                    return [], None
                return self._method(call.func.attr, bound(found[0], call), after=cls)
        if not path.startswith("self."):
            return None
        parts = path.split(".")[1:]
        if len(parts) == 1:
            found = self._source(parts[0])
            if found is None:
                return None
            if any(dotted(d) in ("property", "staticmethod") for d in found[0].decorator_list):
                return None
            return self._method(parts[0], bound(found[0], call))
        value = getattr(self.callback, parts[0], None)
        if isinstance(value, Ending):
            return [], ast.Constant(True) if parts[1] == "is_good" else None
        if isinstance(value, Watch) and len(parts) == 2:
            inner = self.inner[parts[0]]
            if parts[1] == "check":
                return [], None
            if parts[1] == "look":
                rises = value._rises(self.metrics)
                return inner._method(
                    "note",
                    {
                        "value": tree.expression(f"row[{value.monitor!r}]"),
                        "epoch": ast.Name("epoch", ast.Load()),
                        "rises": ast.Constant(rises),
                    },
                )
            found = inner._source(parts[1])
            if found is not None:
                return inner._method(parts[1], bound(found[0], call))
        return None

    # --- names ------------------------------------------------------------------------------------

    def _rewrite(self, function: ast.FunctionDef) -> None:
        """`self.x` and `state.x` as the names that they have in the loop."""
        put_in_loop(
            function,
            name_of=self._name_of,
            is_gone=self._is_gone,
            form=self.form,
            loss=self.state.get("state.loss_fn"),
        )

    def _is_gone(self, path: str) -> bool:
        """Whether what is stored under a path is known, or stands in the loop in its own way."""
        kept = getattr(self.callback, path.rpartition(".")[2], None)
        return path in self._known or path in self.state or isinstance(kept, Watch | Ending)

    def _name_of(self, path: str) -> str | None:
        head, _, attribute = path.partition(".")
        if head == "self" and attribute in self._locals:
            return self._locals[attribute]
        outer, _, inner = attribute.partition(".")
        if head == "self" and inner and outer in self.inner:
            known = self.inner[outer]._known.get(f"self.{inner}")
            if known is not None:
                return known.text or repr(known.value)
            return self.inner[outer]._name_of(f"self.{inner}")
        if head == "state" and path not in self.state and attribute in LOCALS:
            return attribute
        return None

    def _own_names(self) -> set[str]:
        """Names that its attributes get, and those of the watches in it."""
        return {name for one in (self, *self.inner.values()) for name in one._locals.values()}

    def _set_temporaries_apart(self, function: ast.FunctionDef) -> None:
        """Names of a method's own must not be those that attributes get: `first` beside `self._first`."""
        own = self._own_names()
        names = {name: f"{name}_here" for name in stored_names(function) & own}
        if names:
            rename(function, names)

    def _rename_temporaries(self, function: ast.FunctionDef) -> None:
        """Names of a method's own that another callback or the loop has too."""
        inner = {
            node.id
            for one in ast.walk(function)
            if isinstance(one, ast.comprehension)
            for node in ast.walk(one.target)
            if isinstance(node, ast.Name)
        }
        names = {
            name: f"{self.name}_{name}"
            for name in stored_names(function) - self._own_names() - LOCALS - inner
            if name in self.taken
        }
        if names:
            rename(function, names)

    def _refuse_what_is_left(self, function: ast.FunctionDef) -> None:
        for node in ast.walk(function):
            path = dotted(node) if isinstance(node, ast.Attribute | ast.Name) else None
            if path and (path == "state" or path == "self" or path.startswith(("state.", "self."))):
                raise EjectError(
                    f"The callback `{type(self.callback).__name__}` uses `{path}`, which a script "
                    "does not have. Eject without it, or write it with what the loop has: "
                    f"{', '.join(sorted(f'state.{name}' for name in LOCALS - {'inputs', 'progress'}))}."
                )
