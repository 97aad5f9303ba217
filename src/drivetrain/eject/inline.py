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
import dataclasses
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import replace_name
from drivetrain.eject.known import UNKNOWN, Known, literal
from drivetrain.eject.lift import Lifter, rename
from drivetrain.eject.questions import negated
from drivetrain.eject.tree import dotted
from drivetrain.errors import EjectError
from drivetrain.train.callback import Callback
from drivetrain.train.ending import Ending
from drivetrain.train.monitoring import Watch

LOCALS = frozenset(
    "model optimizer loss preds targets inputs row step epoch in_eval evaluation progress".split()
)
"""Names that the loop has of its own; fields of the state of the same names are they."""


@dataclass
class Setting:
    """A number that a callback was made with, as a constant of the script."""

    name: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Form:
    """How the loop of a run puts a batch into the model, as texts."""

    head: str
    """What a batch is taken apart into by the `for`."""
    unpack: str
    """Statements that take it apart further."""
    call: str
    """What the model is called with."""
    part: str
    """What one input is called in `each`."""
    each: str
    """A change of every input, with `{}` in the place of what it makes of `part`."""
    listed: str
    """All inputs as a list."""
    count: str
    """How many items there are."""

    def with_targets(self, name: str) -> Form:
        """The same with another name of the targets in a dict."""
        return dataclasses.replace(self, unpack=self.unpack.replace('"targets"', repr(name)))


PAIR = Form("inputs, targets", "", "inputs", "inputs", "inputs = {}", "[inputs]", "len(targets)")
"""A batch `(inputs, targets)`."""

TUPLE = Form(
    "(*inputs, targets)",
    "",
    "*inputs",
    "part",
    "inputs = [{} for part in inputs]",
    "inputs",
    "num_items(targets)",
)
"""A batch `(a, b, targets)`, or one whose targets are no tensor."""

DICT = Form(
    "batch",
    'inputs = dict(batch)\ntargets = inputs.pop("targets")',
    "**inputs",
    "part",
    "inputs = {{name: {} for name, part in inputs.items()}}",
    "list(inputs.values())",
    "num_items(targets)",
)
"""A batch as a dict."""


class Opened:
    """A callback, taken apart.

    Args:
        callback: the object.
        lifter: for what its statements call.
        name: a short name of it, for constants.
        state: what fields of the state are, by path such as `state.seed`.
        form: of the batches.
        taken: names that its own must not be; those that it takes are added.
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
        known: Mapping[str, Known] | None = None,
        path: str = "self",
    ) -> None:
        self.callback = callback
        self.lifter = lifter
        self.name = name
        self.state = dict(state)
        self.form = form
        self.taken = taken
        self.path = path
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
        return [one for one in body if not _is_plain_pass(one)]

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
        described = _described(type(self.callback))
        for attribute, value in vars(self.callback).items():
            path = f"{self.path}.{attribute}"
            if path in self._known:
                continue
            if isinstance(value, Ending):
                continue
            if isinstance(value, Watch):
                self.inner[attribute] = self._watch(value)
                continue
            if (
                attribute in parameters
                and literal(value) is not None
                and not self._is_changed(attribute)
            ):
                self._known[path] = self._setting(attribute, value, described.get(attribute, ""))
            elif (
                attribute not in parameters
                and literal(value) is not None
                and not self._is_changed(attribute)
            ):
                self._known[path] = Known(value)
            else:
                self._locals[attribute] = self._local(attribute.lstrip("_"))

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
        for number in itertools.count(1):
            name = wanted if number == 1 else f"{wanted}_{number}"
            if name not in self.lifter.constants:
                self.settings.append(Setting(name, value, reason))
                self.lifter.constants[name] = value
            elif not same_value(self.lifter.constants[name], value):
                continue
            return Known(value, name)
        raise AssertionError("the numbers came to an end")

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
            node = self.lifter._module(cls.__module__).defined.get(cls.__name__)
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
            node = self.lifter._module(cls.__module__).defined.get(cls.__name__)
            if not isinstance(node, ast.ClassDef):
                raise EjectError(
                    f"The callback `{cls.__name__}` is not defined at the top of a module, so a script "
                    "cannot take its statements along. Define it there."
                )
            for one in node.body:
                if isinstance(one, ast.FunctionDef) and one.name == name:
                    return copy.deepcopy(one), cls
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
        _without_early_returns(function)
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
        if any(isinstance(n, ast.Return) for one in body for n in _own_nodes(one)):
            raise EjectError(
                f"`{cls.__name__}.{name}` returns in its middle, so its statements cannot stand in the "
                "place of an event. Give it one `return`, or make a function of it at the top of "
                "its module."
            )
        body = [one for one in body if not _is_plain_pass(one)]
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
                return self._method(call.func.attr, _bound(found[0], call), after=cls)
        if not path.startswith("self."):
            return None
        parts = path.split(".")[1:]
        if len(parts) == 1:
            found = self._source(parts[0])
            if found is None:
                return None
            if any(dotted(d) in ("property", "staticmethod") for d in found[0].decorator_list):
                return None
            return self._method(parts[0], _bound(found[0], call))
        value = getattr(self.callback, parts[0], None)
        if isinstance(value, Ending):
            return [], ast.Constant(True) if parts[1] == "is_good" else None
        if isinstance(value, Watch) and len(parts) == 2:
            inner = self.inner[parts[0]]
            if parts[1] == "check":
                return [], None
            if parts[1] == "look":
                rises = value._rises(getattr(self.callback, "_ejecting_metrics", ()))
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
                return inner._method(parts[1], _bound(found[0], call))
        return None

    # --- names ------------------------------------------------------------------------------------

    def _rewrite(self, function: ast.FunctionDef) -> None:
        """`self.x` and `state.x` as the names that they have in the loop."""
        opened = self

        class Visit(ast.NodeTransformer):
            def visit_Attribute(self, node: ast.Attribute) -> Any:
                path = dotted(node) or ""
                name = opened._name_of(path)
                if name is not None:
                    made = tree.expression(name)
                    if isinstance(made, ast.Name):
                        made.ctx = node.ctx
                    return made
                self.generic_visit(node)
                return node

            def visit_Assign(self, node: Any) -> Any:
                target = node.targets[0]
                if (dotted(target) or "") in opened._known or (
                    dotted(target) or ""
                ) in opened.state:
                    return None
                if isinstance(node.value, ast.Call) and dotted(node.value.func) == "map_inputs":
                    change = node.value.args[1]
                    if dotted(node.value.args[0]) == "state.batch":
                        return self.visit(opened._mapped(node, change))
                if isinstance(
                    getattr(opened.callback, (dotted(target) or "").rpartition(".")[2], None),
                    Watch | Ending,
                ):
                    return None
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
                    return tree.expression(opened.form.listed)
                if name == "num_items" and opened.form is PAIR:
                    return ast.Call(
                        ast.Name("len", ast.Load()), [self.visit(a) for a in node.args], []
                    )
                if name == "state.loss_fn":
                    self.generic_visit(node)
                    return opened._loss_call(node)
                self.generic_visit(node)
                return node

            def visit_Subscript(self, node: ast.Subscript) -> Any:
                if isinstance(node.value, ast.Call) and dotted(node.value.func) == "inputs_of":
                    if opened.form is PAIR:
                        return ast.Name("inputs", ast.Load())
                self.generic_visit(node)
                return node

        Visit().visit(function)

    def _mapped(self, node: Any, change: Any) -> Any:
        part = change.args.args[0].arg
        body = copy.deepcopy(change.body)
        holder = ast.Expr(body)
        replace_name(holder, part, ast.Name(self.form.part, ast.Load()))
        made: Any = tree.statement(self.form.each.format(tree.unparse(holder.value)))
        made.before, made.after = node.before, node.after
        return made

    def _loss_call(self, node: ast.Call) -> ast.Call:
        call = self.state["state.loss_fn"]
        made = (
            tree.expression(f"{call.text}()")
            if call.text and call.text.isidentifier()
            else tree.expression(call.text or "")
        )
        assert isinstance(made, ast.Call)
        if call.text and not call.text.isidentifier():  # functools.partial(f, a=1)
            return ast.Call(made.args[0], node.args, [*made.keywords, *node.keywords])
        return ast.Call(made.func, node.args, node.keywords)

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

    def _set_temporaries_apart(self, function: ast.FunctionDef) -> None:
        """Names of a method's own must not be those that attributes get: `first` beside `self._first`."""
        own = set(self._locals.values()) | {
            n for i in self.inner.values() for n in i._locals.values()
        }
        stored = {
            n.id
            for n in ast.walk(function)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        names = {name: f"{name}_here" for name in stored & own}
        if names:
            rename(function, names)

    def _rename_temporaries(self, function: ast.FunctionDef) -> None:
        """Names of a method's own that another callback or the loop has too."""
        own = set(self._locals.values()) | {
            n for i in self.inner.values() for n in i._locals.values()
        }
        stored = {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        inner = {
            node.id
            for one in ast.walk(function)
            if isinstance(one, ast.comprehension)
            for node in ast.walk(one.target)
            if isinstance(node, ast.Name)
        }
        names = {
            name: f"{self.name}_{name}"
            for name in stored - own - LOCALS - inner
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


def same_value(one: Any, other: Any) -> bool:
    """Whether two plain values are written alike: 1 is not 1.0."""
    return repr(one) == repr(other)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below one, functions inside left out."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _own_nodes(child)


def _bound(function: ast.FunctionDef, call: ast.Call) -> dict[str, ast.expr]:
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


def _without_early_returns(function: ast.FunctionDef) -> None:
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


def _is_plain_pass(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _described(cls: type) -> dict[str, str]:
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


__all__ = ["PAIR", "UNKNOWN", "Form", "Opened", "Setting", "field"]
