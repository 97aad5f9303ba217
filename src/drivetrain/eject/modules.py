"""A module's source, read: what stands at its top, and what its names stand for."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import importlib.util
import inspect
import linecache
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.known import UNKNOWN
from drivetrain.eject.tree import dotted
from drivetrain.errors import EjectError

OURS = "drivetrain"


@dataclass(frozen=True, order=True)
class Import:
    """One name that comes from another package."""

    module: str
    """What is imported from; for `import x as y`, x."""
    name: str = ""
    """What is imported; empty for the module itself."""
    alias: str = ""
    """Under which name, where that is another."""

    @property
    def called(self) -> str:
        """The name that it has in the script."""
        return self.alias or self.name or self.module

    @property
    def statement(self) -> str:
        """The line of Python."""
        other = (
            f" as {self.alias}" if self.alias and self.alias != (self.name or self.module) else ""
        )
        if self.name:
            return f"from {self.module} import {self.name}{other}"
        return f"import {self.module}{other}"


@dataclass
class Module:
    """A module's source, read; and what its names stand for."""

    name: str
    tree: ast.Module
    defined: dict[str, ast.stmt] = field(default_factory=dict)
    imported: dict[str, Import] = field(default_factory=dict)
    scattered: set[str] = field(default_factory=set)
    """Names of a person's module that no single statement at the top makes."""

    @property
    def values(self) -> dict[str, Any]:
        """What its names are at run time."""
        return vars(sys.modules[self.name]) if self.name in sys.modules else {}


def origin_of(thing: Any) -> tuple[str, str]:
    """Module and name of a function or class that stands at the top of a module.

    Raises: EjectError: a lambda, something defined within a function, or an object.
    """
    if isinstance(thing, functools.partial):
        thing = thing.func
    if callable(thing):
        thing = inspect.unwrap(thing)  # from a cache around it
    name = getattr(thing, "__qualname__", None)
    module = getattr(thing, "__module__", None)
    if isinstance(thing, BuiltinFunctionType) and name is not None:
        return module or "builtins", name
    if name is None or not isinstance(thing, type | FunctionType):
        raise EjectError(
            f"A script cannot take along an object of `{type(thing).__name__}`. "
            "Give a function or class that is defined at the top of a module."
        )
    if name.endswith("<lambda>"):
        code = thing.__code__
        raise EjectError(
            f"A lambda (line {code.co_firstlineno} of {code.co_filename}) has no name that a "
            "script could use. Define it by `def` at the top of a module."
        )
    if "<locals>" in name:
        inner = name.rpartition(".")[2]
        raise EjectError(
            f"`{inner}` is defined within `{name.partition('.')[0]}`, where a script cannot reach it. "
            "Define it at the top of a module."
        )
    if module is None or "." in name:
        raise EjectError(
            f"`{name}` is not at the top of a module, so a script cannot take it along. "
            "Define it there by `def` or `class`."
        )
    return module, name


def is_ours(module: str) -> bool:
    """Whether a module is the library's."""
    return module == OURS or module.startswith(f"{OURS}.")


def is_own(module: str) -> bool:
    """Whether a module is a person's own: neither Python's, nor installed, nor the library's."""
    top = module.partition(".")[0]
    if top == "__main__":
        return True
    if top in sys.stdlib_module_names or top == OURS:
        return False
    found = sys.modules.get(module) or sys.modules.get(top)
    file = getattr(found, "__file__", None)
    if file is None:
        return False
    return not {"site-packages", "dist-packages"} & set(Path(file).parts)


def read(name: str) -> Module:
    """The source of a module, from its file; of a notebook, from its cells so far.

    Raises: EjectError: there is no source.
    """
    module = sys.modules.get(name)
    if module is None and is_ours(name):
        module = importlib.import_module(name)
    text = None if module is None else _source_of(module)
    if text is None:
        raise EjectError(
            f"The module {name} has no source that can be read. Put what the script shall take along "
            "into a file."
        )
    found = Module(name, tree.parse(text.replace("\r\n", "\n")))
    body = found.tree.body
    if is_own(name):
        found.scattered = _scattered(body)
    for index, node in enumerate(body):
        _note(node, found)
        if isinstance(node, ast.Assign | ast.AnnAssign) and index + 1 < len(body):
            if tree.is_text(body[index + 1]):
                _explain(node, body[index + 1])
    return found


def _scattered(body: list[ast.stmt]) -> set[str]:
    """Names that several statements make or change, or that stand within an `if`, `try` or loop."""
    made: set[str] = set()
    found: set[str] = set()
    for one in body:
        if isinstance(one, ast.Import | ast.ImportFrom):
            if any(alias.name == "*" for alias in one.names):
                module = (
                    importlib.import_module(one.module or "")
                    if isinstance(one, ast.ImportFrom)
                    else None
                )
                found |= set(vars(module)) - set(dir(builtins)) if module is not None else set()
            continue
        if isinstance(one, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found |= {name for n in ast.walk(one) if isinstance(n, ast.Global) for name in n.names}
            continue
        if isinstance(one, ast.If) and dotted(one.test) in (
            "TYPE_CHECKING",
            "typing.TYPE_CHECKING",
            "__name__",
        ):
            continue
        if isinstance(one, ast.If) and "__name__" in ast.dump(one.test):
            continue
        stored = stored_at_top(one)
        if not isinstance(one, ast.Assign | ast.AnnAssign):
            found |= stored
        found |= stored & made
        made |= stored
    return found


def stored_at_top(node: ast.AST) -> set[str]:
    """Names that a statement makes, or changes in place: `x = …`, `x[0] = …`, `x.append(…)`."""
    found: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            found.add(one.id)
        elif isinstance(one, ast.Subscript | ast.Attribute) and isinstance(one.ctx, ast.Store):
            found.add((dotted(one.value) or "").partition(".")[0])
        elif isinstance(one, ast.FunctionDef | ast.ClassDef):
            found.add(one.name)
        elif isinstance(one, ast.alias):
            found.add(one.asname or one.name.partition(".")[0])
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        found.add((dotted(node.value.func) or "").partition(".")[0])
    inner = {
        n.id
        for c in ast.walk(node)
        if isinstance(c, ast.comprehension)
        for n in ast.walk(c.target)
        if isinstance(n, ast.Name)
    }
    return found - inner - {""}


def _explain(node: Any, text: Any) -> None:
    """A constant's docstring, which stands below it, as a comment above it."""
    paragraph = re.split(r"\n\s*\n", inspect.cleandoc(text.value.value))[0]
    node.before = [*(f"# {line}" for line in paragraph.splitlines()), *node.before]


def _source_of(module: ModuleType) -> str | None:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        cells = [  # of a notebook, in the order in which they ran
            "".join(entry[2])
            for name, entry in linecache.cache.items()
            if len(entry) > 2 and re.match(r"<ipython-input-|.*ipykernel_", name)
        ]
        return "\n".join(cells) if cells and module.__name__ == "__main__" else None


def _note(node: ast.stmt, found: Module) -> None:
    """Remember the names that a statement at the top of a module defines."""
    if isinstance(node, ast.Import):
        for one in node.names:
            called = one.asname or one.name.partition(".")[0]
            found.imported[called] = Import(
                one.name if one.asname else called, "", one.asname or ""
            )
    elif isinstance(node, ast.ImportFrom):
        home = _absolute(node, found.name)
        for one in node.names:
            found.imported[one.asname or one.name] = Import(home, one.name, one.asname or "")
    elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        found.defined[node.name] = node
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            for part in ast.walk(target):
                if isinstance(part, ast.Name):
                    found.defined[part.id] = node
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        found.defined[node.target.id] = node
    elif isinstance(node, ast.If) and dotted(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    ):
        for inner in node.body:
            _note(inner, found)


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    is_package = hasattr(sys.modules.get(module), "__path__")
    parts = f"{module}.__init__".split(".") if is_package else module.split(".")
    parts = parts[: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


def delayed_imports(node: ast.AST, module: str) -> dict[str, Import]:
    """The imports inside functions, by name."""
    found = {}
    for one in ast.walk(node):
        if isinstance(one, ast.ImportFrom):
            home = _absolute(one, module)
            for name in one.names:
                found[name.asname or name.name] = Import(home, name.name, name.asname or "")
        elif isinstance(one, ast.Import):
            for name in one.names:
                called = name.asname or name.name
                found[called] = Import(name.name, "", name.asname or "")
    return found


def public_home(module: str, name: str) -> str:
    """The shortest package above a module that passes the name on: `torch.optim`, not `…adamw`."""
    parts = module.split(".")
    for count in range(1, len(parts)):
        package = sys.modules.get(".".join(parts[:count]))
        if package is not None and getattr(package, name, None) is getattr(
            sys.modules[module], name, UNKNOWN
        ):
            return ".".join(parts[:count])
    return module


@functools.cache
def is_module(name: str) -> bool:
    """Whether a dotted name is that of a module."""
    if name in sys.modules:
        return isinstance(sys.modules[name], ModuleType)
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
