"""What a piece of the library need not say in a script: long docstrings, caches, abstract methods."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.tree import dotted


def trim(node: ast.AST) -> None:
    """Shorten all functions and classes of a piece, in place."""
    for one in ast.walk(node):
        if isinstance(one, ast.FunctionDef | ast.ClassDef):
            trim_docstring(one)
            one.decorator_list = [d for d in one.decorator_list if not _is_cache(d)]
            _fields_as_comments(one)
        if isinstance(one, ast.ClassDef):
            one.body = [part for part in one.body if not _is_abstract(part)]
        if hasattr(one, "before"):
            one.before = [c for c in one.before if not c.startswith("# ---")]  # pyright: ignore[reportAttributeAccessIssue]


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
