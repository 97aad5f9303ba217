"""The names that a tree reads, and other names for them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from drivetrain.eject import tree


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
                n.id
                for g in node.generators
                for n in tree.walk(g.target)
                if isinstance(n, ast.Name)
            }
            for part in tree.children(node):
                visit(part, local)
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                visit(node.value, hidden)
            return
        for part in tree.children(node):
            visit(part, hidden)

    visit(node, frozenset())
    return found


def _local_names(node: Any) -> frozenset[str]:
    names = {a.arg for a in tree.walk(node.args) if isinstance(a, ast.arg)}
    if isinstance(node, ast.Lambda):
        return frozenset(names)

    def visit(node: ast.AST) -> None:
        for part in tree.children(node):
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
    for one in tree.walk(node):
        for part in (getattr(one, "annotation", None), getattr(one, "returns", None)):
            if isinstance(part, ast.AST):
                found |= {n.id for n in tree.walk(part) if isinstance(n, ast.Name)}
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
