"""Taking functions and classes out of their modules, with all that they stand on.

    lifter = Lifter()
    lifter.need(one_cycle)      # "one_cycle": what to call it in the script
    lifter.pieces               # its tree, and those of what it calls
    lifter.imports              # what those take from other packages

What is lifted is the source as it stands in the module, folded (`eject.fold`), so there is no second
version that could drift from the first. Names are looked up in the module that a piece comes from: other
functions and constants are lifted along, other packages are imported.

A person's own functions and classes are lifted whole, with what they stand on in their own modules.
Whatever has no source that stands by itself (a lambda, something made within a function, an object) is
refused by its name.
"""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import importlib
import importlib.util
import inspect
import linecache
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import torch

from drivetrain.eject import tree
from drivetrain.eject.fold import Folder
from drivetrain.eject.known import UNKNOWN, Known
from drivetrain.eject.tree import dotted
from drivetrain.errors import EjectError

OURS = "drivetrain"

RUN_BY_PYTHON = frozenset(
    "__init__ __call__ __len__ __getitem__ __getitems__ __iter__ __next__ __enter__ __exit__ "
    "__post_init__ __new__ __contains__ __missing__ forward backward".split()
)
"""Methods that are called without being named."""


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
class Piece:
    """The tree of one thing at the top of a module."""

    name: str
    module: str
    node: Any
    methods: dict[str, ast.FunctionDef] = field(default_factory=dict)
    """Of a class, those that nobody has called so far."""
    known: dict[str, Known] = field(default_factory=dict)
    """What is known of its parameters."""

    @property
    def is_ours(self) -> bool:
        """Of the library, and so free to be changed."""
        return self.module == OURS or self.module.startswith(f"{OURS}.")


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


class Lifter:
    """Collects pieces, each once.

    Args:
        keep: modules of the library (and all below them) that are imported instead of lifted.
        known: by "module:name" of a piece, what is known in it.
        instead: by "module:name", statements that take the piece's place: a shorter form that is the
            same for this run.
    """

    def __init__(
        self,
        *,
        keep: Iterable[str] = (),
        known: Mapping[str, Mapping[str, Known]] | None = None,
        instead: Mapping[str, str] | None = None,
    ) -> None:
        self.keep = tuple(keep)
        self.known = dict(known or {})
        self.instead = dict(instead or {})
        self.pieces: dict[str, Piece] = {}
        """By their names in the script."""
        self.imports: dict[str, Import] = {}
        """By the names that they have in the script."""
        self.constants: dict[str, Any] = {}
        """Values of the script's own constants, by name."""
        self.written: list[Any] = []
        """Trees that the script is written around; what they call is needed too."""
        self.on_cpu = False
        """Whether all of the run's tensors lie on the CPU."""
        self.raises: frozenset[str] = frozenset()
        """Errors of the library that the script raises too, by name."""
        self.unasked: set[str] = set()
        """Methods that Python calls without their names, and that nothing of a script makes it call."""
        self.called_as: dict[str, str] = {}
        """By "module:name" of a piece, another name for it in the script."""
        self.made: dict[str, str] = {}
        """Objects of the script's own, such as a loss: by name, the text that makes them."""
        self._modules: dict[str, Module] = {}
        self._called: dict[tuple[str, str], str] = {}  # (module, name) -> name in the script

    def need(self, thing: Any) -> str:
        """Lift a function or class, or import it; returns what to call it in the script.

        Args:
            thing: the object, or "module:name" for a constant.
        Raises: EjectError: it has no source that stands by itself.
        """
        if isinstance(thing, str):
            module, _, name = thing.partition(":")
            if not name:
                return self.add_import(Import(module))
        else:
            module, name = origin_of(thing)
        return self._need(*self._home(module, name))

    def add_import(self, one: Import) -> str:
        """Import a name from another package; returns what to call it."""
        is_taken = one.called in self.pieces and one.called not in self.imports
        other = None if is_taken else self.imports.setdefault(one.called, one)
        if other != one:
            one = Import(one.module, one.name, f"{one.called}_{one.module.rpartition('.')[2]}")
            self.imports[one.called] = one
        return one.called

    def resolve(self, node: ast.AST, module: str) -> None:
        """Lift what a tree written in terms of a module's names uses."""
        self._resolve(node, self._module(module))

    def add_called_methods(self) -> bool:
        """Bring in methods of lifted classes that somebody calls by now; False where there were none."""
        used = set()
        for node in (*(piece.node for piece in self.pieces.values()), *self.written):
            used |= attributes_in(node)
        found = False
        for piece in list(self.pieces.values()):
            for name in [name for name in piece.methods if name in used]:
                method = piece.methods.pop(name)
                source = self._module(piece.module)
                self._prepare(method, source, piece.name, self._known_in(piece.module, piece.name))
                piece.node.body.append(method)
                self._resolve(method, source)
                found = True
        return found

    def folder(self, module: str, known: Mapping[str, Known] | None = None) -> Folder:
        """What folds trees that are written in the names of a module."""
        source = self._module(module) if self._is_liftable(module) else None
        constants = {name: Known(value, name) for name, value in self.constants.items()}
        return Folder(
            constants | dict(known or {}),
            source.values if source is not None else {},
            self.write,
            keep_guards=not (module == OURS or module.startswith(f"{OURS}.")),
            on_cpu=self.on_cpu and (module == OURS or module.startswith(f"{OURS}.")),
            raises=self.raises,
        )

    def script_folder(self, piece: Piece, known: Mapping[str, Known] | None = None) -> Folder:
        """What folds a piece whose names are those of the script."""
        constants = {name: Known(value, name) for name, value in self.constants.items()}
        values = {
            called: getattr(sys.modules[module], name)
            for (module, name), called in self._called.items()
            if module in sys.modules and hasattr(sys.modules[module], name)
        }
        for called, one in self.imports.items():
            module = sys.modules.get(one.module)
            if module is not None:
                values[called] = getattr(module, one.name, UNKNOWN) if one.name else module
        return Folder(
            constants | dict(known or {}),
            values,
            self.write,
            keep_guards=not piece.is_ours,
            on_cpu=self.on_cpu and piece.is_ours,
            raises=self.raises,
        )

    def write(self, value: Any) -> ast.expr | None:
        """Functions, classes and torch's own types by their names."""
        if isinstance(value, torch.dtype):
            self.add_import(Import("torch"))
            return tree.expression(str(value))
        if isinstance(value, torch.device):
            self.add_import(Import("torch"))
            return tree.expression(f"torch.device({str(value)!r})")
        if isinstance(value, FunctionType | type) and "<" not in value.__qualname__:
            if "." in value.__qualname__ or getattr(builtins, value.__name__, None) is value:
                return None
            found: Any = ast.Name(self.need(value), ast.Load())
            found.is_of_script = True
            return found
        return None

    # --- how it is done ---------------------------------------------------------------------------

    def _need(self, module: str, name: str) -> str:
        key = (module, name)
        if key in self._called:
            return self._called[key]
        if self._is_imported(module):
            called = self._called[key] = self.add_import(Import(_public_home(module, name), name))
            return called
        source = self._module(module)
        if name not in source.defined:
            if name in source.imported:
                return self._imported(source.imported[name], source)
            raise EjectError(
                f"`{name}` is not at the top of the module {module}, so a script cannot take it along. "
                "Define it there by `def`, `class` or an assignment."
            )
        if name in source.scattered:
            raise EjectError(
                f"`{name}` of the module {module} is made by several statements, or within an "
                "`if`, `try` or loop, and a script takes one statement along. Make it in one, or "
                "in a function."
            )
        called = self._claim(name, key)
        if f"{module}:{name}" in self.instead:
            node: Any = tree.statement(self.instead[f"{module}:{name}"])
        else:
            node = copy.deepcopy(source.defined[name])
        piece = self.pieces[called] = Piece(called, module, node)
        if isinstance(node, ast.Assign):  # `A, B = 1, 2` comes once
            for other in _stored_at_top(node) - {name}:
                self._called.setdefault((module, other), other)
        if hasattr(node, "name"):
            node.name = called  # pyright: ignore[reportAttributeAccessIssue]
        elif called != name and isinstance(node, ast.Assign):
            node.targets = [
                ast.Name(called, ast.Store()) if dotted(one) == name else one
                for one in node.targets
            ]
        if isinstance(node, ast.ClassDef) and piece.is_ours:
            _set_methods_aside(piece)
        piece.known |= {
            key: one for key, one in self._known_in(module, name).items() if key.isidentifier()
        }
        self._prepare(node, source, name, self._known_in(module, name))
        self._resolve(node, source)
        return called

    def _known_in(self, module: str, name: str) -> dict[str, Known]:
        return dict(self.known.get(f"{module}:{name}", {}))

    def _prepare(self, node: Any, source: Module, name: str, known: Mapping[str, Known]) -> None:
        """Fold a piece of the library; a person's own stays as it is."""
        if not source.name.startswith(OURS):
            return
        for one in ast.walk(node):
            if isinstance(one, ast.FunctionDef | ast.ClassDef):
                trim_docstring(one)
                one.decorator_list = [d for d in one.decorator_list if not _is_cache(d)]
            if isinstance(one, ast.FunctionDef | ast.ClassDef):
                _fields_as_comments(one)
            if isinstance(one, ast.ClassDef):
                one.body = [part for part in one.body if not _is_abstract(part)]
            if hasattr(one, "before"):
                one.before = [c for c in one.before if not c.startswith("# ---")]  # pyright: ignore[reportAttributeAccessIssue]
        _Requires(self, source).visit(node)
        body = [node]
        folder = self.folder(source.name, known)
        if isinstance(node, ast.FunctionDef) and any(key.isidentifier() for key in known):
            empty = ast.arguments([], [], None, [], [], None, [])
            arguments, node.args = node.args, empty  # so that what is known of them is put in
            folder.fold(body)
            node.args = arguments
        folder.fold(body)

    def _resolve(self, node: Any, source: Module) -> None:
        """Everything that a tree names is lifted or imported; names are those of the script."""
        inner = _delayed_imports(node, source.name)
        _WithoutImports(self._is_liftable).visit(node)
        self._resolve_modules(node, source, inner)
        names = names_in(node, of_module=True)
        if is_own(source.name):
            names |= annotation_names(node) & (source.defined.keys() | source.imported.keys())
        renamed: dict[str, str] = {}
        for name in sorted(names):
            if name in inner:
                called = self._imported(inner[name], source)
            elif name in source.scattered or name in source.defined:
                called = self._need(source.name, name)
            elif name in source.imported:
                called = self._imported(source.imported[name], source)
            else:
                continue
            if called != name:
                renamed[name] = called
        if renamed:
            rename(node, renamed, of_module=True)

    def _imported(self, one: Import, source: Module) -> str:
        """What a module imports: lifted where its home is the library or the person's, else imported."""
        if one.module == "__future__":
            return one.called
        if one.name:
            full = f"{one.module}.{one.name}"
            if self._is_liftable(one.module) and not _is_module(full):
                return self._need(*self._home(one.module, one.name))
            if self._is_liftable(one.module):
                raise EjectError(
                    f"{source.name} uses the module {full} as a whole. A script takes functions along: "
                    f"import what it uses, `from {full} import …`."
                )
        elif self._is_liftable(one.module):
            raise EjectError(
                f"{source.name} uses the module {one.module} as a whole. A script takes functions along: "
                f"import what it uses, `from {one.module} import …`."
            )
        return self.add_import(one)

    def _resolve_modules(self, node: Any, source: Module, inner: Mapping[str, Import]) -> None:
        """`losses.per_item` as `per_item`, lifted, where `losses` is a module that can be."""
        lifter = self

        class Visit(ast.NodeTransformer):
            def visit_Attribute(self, node: ast.Attribute) -> Any:
                self.generic_visit(node)
                if not isinstance(node.value, ast.Name):
                    return node
                one = inner.get(node.value.id) or source.imported.get(node.value.id)
                if one is None:
                    return node
                full = f"{one.module}.{one.name}" if one.name else one.module
                if lifter._is_liftable(full) and _is_module(full):
                    found: Any = ast.Name(lifter._need(*lifter._home(full, node.attr)), node.ctx)
                    found.is_of_script = True
                    return found
                return node

        Visit().visit(node)

    def _home(self, module: str, name: str) -> tuple[str, str]:
        """Where a name that a package passes on is defined."""
        while self._is_liftable(module) and not self._is_imported(module):
            if module == OURS:
                exported = getattr(sys.modules[OURS], name)
                return getattr(exported, "__module__", module), name
            source = self._module(module)
            if name in source.defined or name not in source.imported:
                return module, name
            one = source.imported[name]
            module, name = one.module, one.name
        return module, name

    def _claim(self, name: str, key: tuple[str, str]) -> str:
        called = self.called_as.get(":".join(key), name)
        while called in self.pieces or called in self.constants or called in self.imports:
            called = f"{called}_{key[0].rpartition('.')[2]}"
        self._called[key] = called
        return called

    def _is_liftable(self, module: str) -> bool:
        return is_own(module) or module == OURS or module.startswith(f"{OURS}.")

    def _is_imported(self, module: str) -> bool:
        kept = any(module == one or module.startswith(f"{one}.") for one in self.keep)
        return kept or not self._is_liftable(module)

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            self._modules[name] = _read(name)
        return self._modules[name]


class _Requires(ast.NodeTransformer):
    """`require("PIL.Image", extra="vision")` as `Image`, imported; or as the module calls it in types."""

    def __init__(self, lifter: Lifter, source: Module) -> None:
        self.lifter = lifter
        self.aliases = {
            one.module: one
            for one in source.imported.values()
            if one.alias and not one.name and not one.module.startswith(OURS)
        }

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if dotted(node.func) == "require" and isinstance(node.args[0], ast.Constant):
            package, _, name = str(node.args[0].value).rpartition(".")
            if not package and name in self.aliases:
                return ast.Name(self.lifter.add_import(self.aliases[name]), ast.Load())
            called = self.lifter.add_import(Import(package, name) if package else Import(name))
            return ast.Name(called, ast.Load())
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        target = node.targets[0]
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Name):
            if target.id == node.value.id:
                return None
        return node


class _WithoutImports(ast.NodeTransformer):
    """Without the imports inside functions of what is lifted or imported at the top."""

    def __init__(self, is_liftable: Any) -> None:
        self.is_liftable = is_liftable

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        return None

    def visit_Import(self, node: ast.Import) -> Any:
        return None


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


def names_in(node: ast.AST, *, of_module: bool = False) -> set[str]:
    """Names that a tree reads from the top of its module; annotations are left out.

    Args:
        of_module: without names that are the script's already.
    """
    found: set[str] = set()

    def visit(node: ast.AST, hidden: frozenset[str]) -> None:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load) and node.id not in hidden:
                if not (of_module and hasattr(node, "is_of_script")):
                    found.add(node.id)
            return
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            local = hidden | _local_names(node)
            for part in [*node.args.defaults, *[d for d in node.args.kw_defaults if d is not None]]:
                visit(part, hidden)
            if isinstance(node, ast.Lambda):
                visit(node.body, local)
                return
            for decorator in node.decorator_list:
                visit(decorator, hidden)
            for one in node.body:
                visit(one, local)
            return
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            local = hidden | {
                n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)
            }
            for part in ast.iter_child_nodes(node):
                visit(part, local)
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                visit(node.value, hidden)
            return
        for part in ast.iter_child_nodes(node):
            visit(part, hidden)

    visit(node, frozenset())
    return found


def _local_names(node: Any) -> frozenset[str]:
    names = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
    if isinstance(node, ast.Lambda):
        return frozenset(names)

    def visit(node: ast.AST) -> None:
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store | ast.Del):
                names.add(part.id)
            if isinstance(part, ast.FunctionDef | ast.ClassDef):
                names.add(part.name)
                continue
            if isinstance(
                part, ast.Lambda | ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
            ):
                continue
            if isinstance(part, ast.ExceptHandler) and part.name:
                names.add(part.name)
            visit(part)

    for one in node.body:
        visit(ast.Module([one], []))
    return frozenset(names)


def annotation_names(node: ast.AST) -> set[str]:
    """Names in the annotations of a tree."""
    found = set()
    for one in ast.walk(node):
        for part in (getattr(one, "annotation", None), getattr(one, "returns", None)):
            if isinstance(part, ast.AST):
                found |= {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
    return found


def attributes_in(node: ast.AST) -> set[str]:
    """Names of attributes that a tree reads: methods of other names are not called by it."""
    return {
        one.attr
        for one in tree.walk(node)
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Load)
    }


def rename(node: ast.AST, names: Mapping[str, str], *, of_module: bool = False) -> None:
    """Other names for what a tree reads and defines."""
    for one in ast.walk(node):
        if of_module and hasattr(one, "is_of_script"):
            continue
        if isinstance(one, ast.Name) and one.id in names:
            one.id = names[one.id]
        elif isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name in names:
            one.name = names[one.name]
        elif isinstance(one, ast.arg) and one.arg in names:
            one.arg = names[one.arg]


def trim_docstring(node: Any) -> None:
    """A docstring's first paragraph, and the shapes that follow it."""
    if not (node.body and tree.is_text(node.body[0])):
        return
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(node.body[0].value.value))
    first = re.sub(r"\n?(Raises|Returns|Args):.*", "", paragraphs[0], flags=re.DOTALL).strip()
    first = re.sub(r"\s*Twin: [\w.]+\.?(?=\s|$)", "", first)
    first = " ".join(first.split()) if len(first) < tree.WIDTH - 20 else first
    shapes = next((text for text in paragraphs[1:] if text.startswith("Shapes:")), "")
    shapes = re.split(r"[.;](?=\s|$)", shapes.removeprefix("Shapes:"))[0]
    shapes = f" {' '.join(shapes.split())}." if shapes else ""
    both = first.rstrip(".") + ":" + shapes if shapes else first
    node.body[0].value.value = both if len(both) <= tree.WIDTH - 14 else first
    if isinstance(node, ast.FunctionDef) and node.name == "forward":
        del node.body[0]  # the class has said it


def _is_abstract(node: ast.stmt) -> bool:
    """A method that only says what a subclass has."""
    if not isinstance(node, ast.FunctionDef):
        return False
    rest: list[Any] = [one for one in node.body if not tree.is_text(one)]
    if len(rest) != 1 or not isinstance(rest[0], ast.Raise) or rest[0].exc is None:
        return False
    return dotted(rest[0].exc) == "NotImplementedError"


def _is_cache(decorator: ast.expr) -> bool:
    """A cache makes nothing different, only quicker."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (dotted(called) or "").rpartition(".")[2] in ("cache", "lru_cache")


def _fields_as_comments(node: ast.ClassDef | ast.FunctionDef) -> None:
    """What a record says below its fields, and a class below its attributes, at their ends."""
    body: list[Any] = []
    for one in node.body:
        above: Any = body[-1] if body and isinstance(body[-1], ast.AnnAssign | ast.Assign) else None
        if tree.is_text(one) and above is not None and not above.after:
            words = " ".join(one.value.value.split())  # pyright: ignore[reportAttributeAccessIssue]
            above.after = f"# {words.rstrip('.')}"
            continue
        body.append(one)
    node.body = body


def _set_methods_aside(piece: Piece) -> None:
    kept = []
    for one in piece.node.body:
        if isinstance(one, ast.FunctionDef) and one.name not in RUN_BY_PYTHON:
            piece.methods[one.name] = one
        else:
            kept.append(one)
    piece.node.body = kept


def _read(name: str) -> Module:
    """The source of a module, from its file; of a notebook, from its cells so far.

    Raises: EjectError: there is no source.
    """
    module = sys.modules.get(name)
    if module is None and (name == OURS or name.startswith(f"{OURS}.")):
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
        stored = _stored_at_top(one)
        if not isinstance(one, ast.Assign | ast.AnnAssign):
            found |= stored
        found |= stored & made
        made |= stored
    return found


def _stored_at_top(node: ast.AST) -> set[str]:
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


def _delayed_imports(node: ast.AST, module: str) -> dict[str, Import]:
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


def _public_home(module: str, name: str) -> str:
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
def _is_module(name: str) -> bool:
    if name in sys.modules:
        return isinstance(sys.modules[name], ModuleType)
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
