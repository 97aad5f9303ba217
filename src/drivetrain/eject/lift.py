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
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import torch

from drivetrain.eject import tree
from drivetrain.eject.fold import Folder
from drivetrain.eject.known import UNKNOWN, Known
from drivetrain.eject.modules import (
    OURS,
    Import,
    Module,
    delayed_imports,
    is_module,
    is_ours,
    is_own,
    origin_of,
    public_home,
    read,
    stored_at_top,
)
from drivetrain.eject.names import annotation_names, attributes_in, names_in, rename
from drivetrain.eject.tree import dotted
from drivetrain.eject.trimming import trim
from drivetrain.errors import EjectError

RUN_BY_PYTHON = frozenset(
    "__init__ __call__ __len__ __getitem__ __getitems__ __iter__ __next__ __enter__ __exit__ "
    "__post_init__ __new__ __contains__ __missing__ forward backward".split()
)
"""Methods that are called without being named."""


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
        return is_ours(self.module)


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
        self._resolve(node, self.module(module))

    def module(self, name: str) -> Module:
        """The source of a module, read once.

        Raises: EjectError: there is none.
        """
        if name not in self._modules:
            self._modules[name] = read(name)
        return self._modules[name]

    def imported_by(self, module: str) -> dict[str, Import]:
        """What a module that was read imports, by name; nothing of any other."""
        return self._modules[module].imported if module in self._modules else {}

    def add_called_methods(self) -> bool:
        """Bring in methods of lifted classes that somebody calls by now; False where there were none."""
        used = set()
        for node in (*(piece.node for piece in self.pieces.values()), *self.written):
            used |= attributes_in(node)
        found = False
        for piece in list(self.pieces.values()):
            for name in [name for name in piece.methods if name in used]:
                method = piece.methods.pop(name)
                source = self.module(piece.module)
                self._prepare(method, source, piece.name, self._known_in(piece.module, piece.name))
                piece.node.body.append(method)
                self._resolve(method, source)
                found = True
        return found

    def folder(self, module: str, known: Mapping[str, Known] | None = None) -> Folder:
        """What folds trees that are written in the names of a module."""
        source = self.module(module) if self._is_liftable(module) else None
        constants = {name: Known(value, name) for name, value in self.constants.items()}
        return Folder(
            constants | dict(known or {}),
            source.values if source is not None else {},
            self.write,
            keep_guards=not is_ours(module),
            on_cpu=self.on_cpu and is_ours(module),
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
            called = self._called[key] = self.add_import(Import(public_home(module, name), name))
            return called
        source = self.module(module)
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
            for other in stored_at_top(node) - {name}:
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
        trim(node)
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
        inner = delayed_imports(node, source.name)
        _WithoutImports().visit(node)
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
            if self._is_liftable(one.module) and not is_module(full):
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
                if lifter._is_liftable(full) and is_module(full):
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
            source = self.module(module)
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
        return is_own(module) or is_ours(module)

    def _is_imported(self, module: str) -> bool:
        kept = any(module == one or module.startswith(f"{one}.") for one in self.keep)
        return kept or not self._is_liftable(module)


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

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        return None

    def visit_Import(self, node: ast.Import) -> Any:
        return None


def _set_methods_aside(piece: Piece) -> None:
    kept = []
    for one in piece.node.body:
        if isinstance(one, ast.FunctionDef) and one.name not in RUN_BY_PYTHON:
            piece.methods[one.name] = one
        else:
            kept.append(one)
    piece.node.body = kept
