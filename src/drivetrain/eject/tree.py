"""Source text to a syntax tree and back, with the comments and blank lines that Python's own tree drops.

    module = parse("x = 1  # one\n")
    render(module.body)      # "x = 1  # one\n"

Each statement carries `before` (comments on lines of their own above it), `after` (the comment at its
end) and `gap` (whether a blank line stands above). Numbers keep their spelling, such as `0x9E37`.
"""

from __future__ import annotations

import ast
import copy
import inspect
import io
import re
import textwrap
import tokenize
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from math import inf
from typing import Any

WIDTH = 100
"""Columns."""

BODIES = ("body", "orelse", "finalbody")
COMPOUND = (
    ast.If,
    ast.For,
    ast.While,
    ast.With,
    ast.Try,
    ast.FunctionDef,
    ast.ClassDef,
    ast.Match,
)


def parse(text: str) -> ast.Module:
    """The tree of whole statements, each with its comments."""
    module = ast.parse(text)
    lines = text.splitlines()
    statements = sorted(_statements(module), key=lambda s: (first_line(s), -s.end_lineno))  # pyright: ignore[reportOptionalOperand]
    for one in statements:
        mark(one)
    _spell(module, text)
    for line, is_own, comment in _comments(text):
        _attach(statements, line, is_own, comment)
    for one in statements:
        above = first_line(one) - len(one.before) - 2  # pyright: ignore[reportAttributeAccessIssue]
        one.gap = above >= 0 and not lines[above].strip()  # pyright: ignore[reportAttributeAccessIssue]
    return module


def mark(statement: ast.stmt) -> ast.stmt:
    """A statement without comments."""
    node: Any = statement
    node.before, node.after, node.gap = [], "", False
    return statement


def statement(text: str, *, comment: str = "") -> ast.stmt:
    """One statement from its text."""
    (one,) = statements(text)
    if comment:
        one.before = [f"# {comment}"]  # pyright: ignore[reportAttributeAccessIssue]
    return one


def statements(text: str) -> list[ast.stmt]:
    """Statements from their text."""
    return parse(text).body


def expression(text: str) -> ast.expr:
    """An expression from its text."""
    return ast.parse(text, mode="eval").body


def walk(node: ast.AST) -> list[Any]:
    """The nodes of `ast.walk`, in its order and at once; without the marks of reading and storing.

    It takes a fifth of the time; a tree that is changed on the way is walked by `ast.walk`.
    """
    found: list[Any] = [node]
    for one in found:  # it grows as it goes
        for name in _holding(type(one)):
            value = getattr(one, name, None)
            if isinstance(value, list):
                found += [part for part in value if isinstance(part, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)
    return found


def children(node: ast.AST) -> list[Any]:
    """The nodes of `ast.iter_child_nodes`, without the marks of reading and storing."""
    found: list[Any] = []
    for name in _holding(type(node)):
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [part for part in value if isinstance(part, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def walk_statements(node: ast.AST) -> Iterator[Any]:
    """The nodes of `ast.walk`, in its order, without expressions; the tree may be changed on the way."""
    todo = deque([node])
    while todo:
        one = todo.popleft()
        for name in _holding(type(one)):
            value = getattr(one, name, None)
            parts = value if isinstance(value, list) else [value]
            todo += [p for p in parts if isinstance(p, ast.AST) and not isinstance(p, ast.expr)]
        yield one


_PLAIN = {"ctx", "id", "attr", "arg", "module", "asname", "kind", "type_comment", "conversion"}
"""Fields that hold no node in any kind of node, and the marks of reading and storing."""


@cache
def _holding(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a kind of node that may hold nodes."""
    if kind is ast.Constant:
        return ()
    return tuple(name for name in kind._fields if name not in _PLAIN)


def told(node: ast.AST) -> list[Any]:
    """What a tree says: equal for trees of which `ast.dump` gives the same text, in half of the time."""
    found: list[Any] = []
    _tell(node, found)
    return found


def _tell(node: Any, found: list[Any]) -> None:
    kind = type(node)
    found.append(kind)
    for name in kind._fields:
        value = getattr(node, name, None)
        if value is None or isinstance(value, str):
            found.append(value)
        elif isinstance(value, ast.AST):
            _tell(value, found)
        elif isinstance(value, list):
            found.append(len(value))
            for part in value:
                if isinstance(part, ast.AST):
                    _tell(part, found)
                else:
                    found.append(part)
        else:
            found.append((type(value), repr(value)))  # 1, True and 1.0 are equal, and not the same


def dotted(node: ast.AST) -> str | None:
    """`a.b.c` of a name or of attributes of one; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return None if inner is None else f"{inner}.{node.attr}"
    return None


def same(a: ast.AST, b: ast.AST) -> bool:
    """Whether two trees say the same."""
    return told(a) == told(b)


def first_line(node: ast.stmt) -> int:
    """The line where a statement begins, decorators included."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


def body_fields(node: ast.AST) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The lists of statements inside a node, with their names."""
    for name, value in ast.iter_fields(node):
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            yield name, value


def _statements(module: ast.Module) -> list[Any]:
    return [node for node in walk(module) if isinstance(node, ast.stmt)]


def _comments(text: str) -> Iterator[tuple[int, bool, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            is_own = not token.line[: token.start[1]].strip()
            if not token.string.startswith(("# pyright", "# type:", "# noqa", "# fmt")):
                yield token.start[0], is_own, token.string.split("  # pyright")[0]


def _attach(statements: Sequence[Any], line: int, is_own: bool, comment: str) -> None:
    around = [s for s in statements if first_line(s) <= line <= s.end_lineno]
    inner: Any = min(around, key=lambda s: s.end_lineno - first_line(s), default=None)
    is_block = inner is None or issubclass(type(inner), COMPOUND)
    if is_own and is_block:
        limit: float = inf if inner is None else inner.end_lineno
        following = [s for s in statements if line < first_line(s) <= limit]
        if following:
            following[0].before.append(comment)
    elif inner is not None and (is_block or inner.end_lineno == line) and not is_own:
        inner.after = comment
    elif inner is not None:
        inner.before.append(comment)


def _spell(module: ast.Module, text: str) -> None:
    lines = text.split("\n")  # `ast.get_source_segment` cuts the text anew for each number
    for node in walk(module):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            line = lines[node.lineno - 1].encode()  # offsets are bytes
            spelling = line[node.col_offset : node.end_col_offset].decode()
            if spelling != repr(node.value):
                node.spelling = spelling  # pyright: ignore[reportAttributeAccessIssue]


# --- back to text ---------------------------------------------------------------------------------


def render(body: Sequence[ast.stmt], indent: str = "") -> str:
    """The text of statements."""
    lines: list[str] = []
    for index, one in enumerate(body):
        if index and getattr(one, "gap", False):
            lines.append("")
        lines += _rendered(one, indent)
    return "\n".join(lines) + "\n"


def unparse(node: ast.AST) -> str:
    """The text of an expression or of a statement without a body, numbers as they were written."""
    return ast.unparse(_Spelled().visit(copy.deepcopy(node)))


def _simple(node: Any) -> str:
    """A simple statement; tuples that are returned or assigned need no parentheses."""
    value = getattr(node, "value", None)
    if (
        isinstance(value, ast.Tuple)
        and len(value.elts) > 1
        and isinstance(node, ast.Return | ast.Assign)
    ):
        bare = copy.copy(node)
        bare.value = ast.Name("·", ast.Load())
        return unparse(bare).replace("·", ", ".join(map(unparse, value.elts)))
    return unparse(node)


def _wrapped(comment: str, indent: str) -> list[str]:
    words = textwrap.wrap(comment.removeprefix("# "), WIDTH - len(indent) - 2)
    return [f"{indent}# {line}" for line in words]


_BITS = (ast.BitXor, ast.BitAnd, ast.BitOr, ast.LShift, ast.RShift)


def _in_words(parts: list[ast.expr]) -> Iterator[ast.expr]:
    """The parts of an f-string, its plain text word by word."""
    for part in parts:
        if isinstance(part, ast.Constant) and "\n" not in str(part.value):
            for word in re.findall(r"\s*\S+\s*|\s+", str(part.value)):
                yield ast.Constant(word)
        else:
            yield part


class _Spelled(ast.NodeTransformer):
    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                part.value = self.visit(part.value)
        parts = [[]]
        for one in _in_words(node.values):
            if len(ast.unparse(ast.JoinedStr([*parts[-1], one]))) > WIDTH - 20:
                parts.append([])
            parts[-1].append(one)
        if len(parts) == 1:
            return node
        lines = [ast.unparse(ast.JoinedStr(part)) for part in parts]
        return ast.Name(f"({' '.join(lines)})", ast.Load())

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, _BITS):  # nobody knows by heart which of these goes first
            for side in ("left", "right"):
                inner = getattr(node, side)
                if isinstance(inner, ast.BinOp) and type(inner.op) is not type(node.op):
                    setattr(node, side, ast.Name(f"({ast.unparse(inner)})", ast.Load()))
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if len(node.args) == 1 and not node.keywords and isinstance(node.args[0], ast.GeneratorExp):
            return ast.Name(f"{ast.unparse(node.func)}{ast.unparse(node.args[0])}", ast.Load())
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        spelling = getattr(node, "spelling", None)
        if isinstance(node.value, str) and not node.value.isascii() and _is_unseen(node.value):
            return ast.Name(_escaped(node.value), ast.Load())
        if isinstance(node.value, str) and len(node.value) > WIDTH - 20 and "\n" not in node.value:
            parts = textwrap.wrap(node.value, WIDTH - 20, drop_whitespace=False)
            return ast.Name(f"({' '.join(map(repr, parts))})", ast.Load())
        if isinstance(node.value, str) and "\\" in node.value and node.value.isprintable():
            if '"' not in node.value and not node.value.endswith("\\"):
                return ast.Name(f'r"{node.value}"', ast.Load())
        return node if spelling is None else ast.Name(spelling, ast.Load())


def _is_unseen(text: str) -> bool:
    """Whether a text holds what nobody sees, or only above the letter before it."""
    return any(not one.isprintable() or unicodedata.category(one)[0] == "M" for one in text)


def _escaped(text: str) -> str:
    """A text in ASCII, on as many lines as it takes."""
    lines = [""]
    for one in text:
        letter = ascii(one)[1:-1] if one != "'" else one
        if len(lines[-1]) + len(letter) > WIDTH - 20:
            lines.append("")
        lines[-1] += '\\"' if letter == '"' else letter
    quoted = [f'"{line}"' for line in lines]
    return quoted[0] if len(quoted) == 1 else f"({' '.join(quoted)})"


def _rendered(node: Any, indent: str, *, word: str = "") -> list[str]:
    lines = [indent + comment for comment in getattr(node, "before", ())]
    after = f"  {node.after}" if getattr(node, "after", "") else ""
    if not isinstance(node, COMPOUND):
        if is_text(node):
            return [*lines, *_quoted(node.value.value, indent)]
        text = indent + _simple(node)
        if after and len(text) + len(after) > WIDTH:
            return [*lines, *_wrapped(node.after, indent), text]
        return [*lines, text + after]
    if isinstance(node, ast.Match):
        lines.append(f"{indent}match {unparse(node.subject)}:{after}")
        for case in node.cases:
            guard = f" if {unparse(case.guard)}" if case.guard is not None else ""
            lines.append(f"{indent}    case {unparse(case.pattern)}{guard}:")
            lines += render(case.body, indent + "        ").splitlines()
        return lines
    bare = copy.copy(node)
    bare.body = [ast.Pass()]
    for name in ("orelse", "finalbody", "handlers"):
        if hasattr(bare, name):
            setattr(bare, name, [])
    if isinstance(node, ast.Try):
        header = ["try:"]
    else:
        header = unparse(ast.fix_missing_locations(bare)).splitlines()[:-1]
        header = [line for line in header if line.strip()]
    header[-1] += after
    header[0] = word + header[0]
    lines += [indent + line for line in header]
    inner = indent + "    "
    lines += render(node.body, inner).splitlines()
    for handler in getattr(node, "handlers", ()):
        kind = f" {unparse(handler.type)}" if handler.type is not None else ""
        name = f" as {handler.name}" if handler.name else ""
        lines += [f"{indent}except{kind}{name}:", *render(handler.body, inner).splitlines()]
    orelse = getattr(node, "orelse", [])
    if orelse:
        only = orelse[0]
        if isinstance(node, ast.If) and len(orelse) == 1 and isinstance(only, ast.If):
            lines += _rendered(only, indent, word="el")
        else:
            lines += [f"{indent}else:", *render(orelse, inner).splitlines()]
    if getattr(node, "finalbody", []):
        lines += [f"{indent}finally:", *render(node.finalbody, inner).splitlines()]  # pyright: ignore[reportAttributeAccessIssue]
    return lines


def is_text(node: ast.AST) -> bool:
    """Whether a statement is a text by itself: a docstring."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _quoted(text: str, indent: str) -> list[str]:
    text = inspect.cleandoc(text).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if text.endswith('"') and not text.endswith('\\"'):
        text = text[:-1] + '\\"'
    lines = text.splitlines() or [""]
    if len(lines) == 1 and len(indent) + len(lines[0]) + 6 > WIDTH:
        lines = textwrap.wrap(lines[0], WIDTH - len(indent) - 3)
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}"""']
    inner = [indent + line if line else "" for line in lines[1:]]
    return [f'{indent}"""{lines[0]}', *inner, f'{indent}"""']
