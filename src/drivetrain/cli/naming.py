"""The public names, read from the source text: nothing is imported to say what a name is.

A package says its names in `__all__`; where each is defined is followed through the imports, those for
type checkers included. Defaults and types are shown as they are written. What is chosen by its name (an
optimizer, a loss, a metric) is read from the table that lists it.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from pathlib import Path

import drivetrain

ROOT = Path(drivetrain.__file__).resolve().parent

REGISTERED = {
    "optimizer": ("optim.optimizers", "OPTIMIZERS"),
    "schedule": ("optim.schedules", "SCHEDULES"),
    "loss": ("losses.table", "LOSSES"),
    "metric": ("metrics", "METRICS"),
    "callback": ("train.callbacks", "CALLBACKS"),
    "model": ("models.table", "_ENTRIES"),
    "page": ("pages", "PAGES"),
    "workbook": ("sheets", "SHEETS"),
    "sample": ("samples.table", "SAMPLES"),
}
"""Kind of thing that has a name of its own -> the module and the table that lists them."""

_HIDDEN = {"cli", "reference"}
"""Packages that are no part of the library as it is called."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
LONGEST = 96
"""Letters of a line of text."""
LINES = 20
"""Of a constant that are shown."""


@dataclass(frozen=True)
class Source:
    """A module as text: its names, and where each was written."""

    module: str
    """Below `drivetrain`; empty for the package itself."""
    path: Path
    text: str
    tree: ast.Module
    names: dict[str, ast.AST] = field(default_factory=dict)
    """Name at the top of the module -> its definition, or the import that brings it."""
    docs: dict[str, str] = field(default_factory=dict)
    """Constant -> the string under it."""

    def line(self, number: int) -> str:
        """A line of the text, without its indentation; counted from 1."""
        return self.text.splitlines()[number - 1].strip()


@dataclass(frozen=True)
class Parameter:
    """One argument, or a field of a record."""

    name: str
    type: str
    default: str | None
    """As it is written; None where it has to be given."""


@dataclass(frozen=True)
class Entry:
    """What there is to say of a name."""

    name: str
    """As it is asked for: `vision.learner`, `clean.Queue.of`, `adam`."""
    kind: str
    """function, class, method, property, constant, field, package, module, command, or a key of
    `REGISTERED`."""
    signature: str
    doc: str
    path: Path
    line: int
    source: str
    """The line at which it is defined."""
    parameters: tuple[Parameter, ...] = ()
    returns: str | None = None
    members: tuple[tuple[str, str], ...] = ()
    """Of a class or a package: (name, first sentence)."""
    sees: tuple[tuple[str, str], ...] = ()
    """Of a function with `**options`: what takes them, by "see `name`" or "of `name`" in its doc: (name,
    its arguments)."""

    @property
    def summary(self) -> str:
        """The first sentence, or what stands first, on one line."""
        return summary(self.doc)


def summary(doc: str) -> str:
    """The first paragraph of a docstring on one line, up to the end of its first sentence.

    >>> summary("Add two numbers. Slowly.\\n\\nArgs: none.")
    'Add two numbers.'
    """
    first = " ".join(doc.strip().split("\n\n")[0].split())
    end = first.find(". ")
    return first if end < 0 else first[: end + 1]


@cache
def read(module: str) -> Source | None:
    """A module below `drivetrain` by its dotted name; None where there is no such file."""
    base = ROOT.joinpath(*module.split(".")) if module else ROOT
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    if not path.is_file():
        return None
    text = path.read_text("utf-8")
    source = Source(module, path, text, ast.parse(text))
    _collect(source, source.tree.body)
    return source


def _collect(source: Source, body: list[ast.stmt]) -> None:
    for place, node in enumerate(body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            source.names[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                source.names.setdefault(alias.asname or alias.name, node)
        elif isinstance(node, ast.If):  # `if TYPE_CHECKING:`
            _collect(source, node.body)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    source.names[target.id] = node
                    source.docs[target.id] = _string_at(body, place + 1)


def _string_at(body: list[ast.stmt], place: int) -> str:
    """The string that stands as a statement of its own; empty where there is none."""
    node = body[place] if place < len(body) else None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        value = node.value.value
        return " ".join(value.split()) if isinstance(value, str) else ""
    return ""


def public_names(module: str) -> list[str]:
    """What a module says is public, in its order; without `__all__` its own classes and functions."""
    source = read(module)
    if source is None:
        return []
    listed = source.names.get("__all__")
    if isinstance(listed, ast.Assign):
        return [name for name in ast.literal_eval(listed.value) if name != "__version__"]
    if source.path.name == "__init__.py":
        return []
    return [
        name
        for name, node in source.names.items()
        if isinstance(node, Function | ast.ClassDef) and not name.startswith("_")
    ]


@cache
def exports() -> dict[str, str]:
    """Name of `drivetrain` -> "module:name" where it is defined, or the module that it is."""
    source = read("")
    table = source.names["_EXPORTS"] if source is not None else None
    return ast.literal_eval(table.value) if isinstance(table, ast.Assign) else {}


@cache
def packages() -> list[str]:
    """Modules of `drivetrain` with public names, by the alphabet."""
    here = {path.parent.name for path in ROOT.glob("*/__init__.py")} | set(public_names(""))
    return sorted(name for name in here - _HIDDEN if read(name) is not None and public_names(name))


def about(package: str) -> str:
    """The first sentence of a package."""
    source = read(package)
    return "" if source is None else summary(ast.get_docstring(source.tree) or "")


def public() -> Iterator[tuple[str, str]]:
    """(package, name) of every public name; the package is empty for those of `drivetrain` itself."""
    every = packages()
    for name in public_names(""):
        if name not in every:
            yield "", name
    for package in every:
        for name in public_names(package):
            yield package, name


def walk(name: str) -> Entry | None:
    """The entry of a dotted name below `drivetrain`, empty for itself; None where it leads nowhere."""
    parts = name.split(".") if name else []
    return _walk("", parts, "") if all(parts) else None


def _walk(module: str, parts: list[str], shown: str) -> Entry | None:
    """Down from a module. A name wins over the module that is called the same."""
    source = read(module)
    if source is None:
        return None
    if not parts:
        return _of_module(source, shown)
    first, rest = parts[0], parts[1:]
    name = f"{shown}.{first}".lstrip(".")
    below = f"{module}.{first}".lstrip(".")
    found = _home(source, first)
    if found is not None:
        entry = _of_node(*found, first, name) if not rest else _of_member(*found, rest, name)
        if entry is not None:
            return entry
    return _walk(below, rest, name)


def _home(source: Source, name: str) -> tuple[Source, ast.AST] | None:
    """Where a name of a module is defined, through as many imports as it takes."""
    for _ in range(8):
        node = source.names.get(name)
        if source.module == "" and name in exports():
            module, _, attribute = exports()[name].partition(":")
            if not attribute:
                return None
            following, name = module.removeprefix("drivetrain").lstrip("."), attribute
        elif isinstance(node, ast.ImportFrom):
            if not (node.module or "").startswith("drivetrain"):
                return None
            given = {alias.asname or alias.name: alias.name for alias in node.names}
            following = (node.module or "").removeprefix("drivetrain").lstrip(".")
            name = given[name]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            following, name = source.module, node.value.id  # another name for the same
        else:
            return (source, node) if node is not None else None
        home = read(following)
        if home is None:
            return None
        source = home
    return None


def _of_member(source: Source, node: ast.AST, rest: list[str], shown: str) -> Entry | None:
    if not isinstance(node, ast.ClassDef) or len(rest) != 1:
        return None
    for home, cls in _lineage(source, node):
        for place, item in enumerate(cls.body):
            name = f"{shown}.{rest[0]}"
            if isinstance(item, Function) and item.name == rest[0]:
                return _of_function(home, item, name, in_class=True)
            if (
                isinstance(item, ast.AnnAssign)
                and isinstance(item.target, ast.Name)
                and item.target.id == rest[0]
            ):
                doc = _string_at(cls.body, place + 1)
                return _entry(home, item, name, "field", ast.unparse(item), doc)
    return None


def _lineage(source: Source, node: ast.ClassDef) -> Iterator[tuple[Source, ast.ClassDef]]:
    """A class and those of ours that it is made from, the nearest first."""
    yield source, node
    for base in node.bases:
        bare = base.value if isinstance(base, ast.Subscript) else base
        found = _home(source, bare.id) if isinstance(bare, ast.Name) else None
        if found is not None and isinstance(found[1], ast.ClassDef):
            yield from _lineage(found[0], found[1])


def _entry(
    source: Source, node: ast.AST, name: str, kind: str, signature: str, doc: str, **more: object
) -> Entry:
    line: int = getattr(node, "lineno", 1)
    text = source.line(line) if source.text else ""
    return Entry(name, kind, signature, doc, source.path, line, text, **more)  # pyright: ignore[reportArgumentType]


def _of_node(source: Source, node: ast.AST, own: str, name: str) -> Entry | None:
    if isinstance(node, Function):
        return _of_function(source, node, name)
    if isinstance(node, ast.ClassDef):
        return _of_class(source, node, name)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        told = next((n for n in _targets(node) if n in source.docs), own)
        lines = (ast.get_source_segment(source.text, node) or "").splitlines()
        left = len(lines) - LINES
        shown = "\n".join([*lines[:LINES], *([f"… {left} more lines"] if left > 0 else [])])
        return _entry(source, node, name, "constant", shown, source.docs.get(told, ""))
    return None


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    every = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in every if isinstance(target, ast.Name)]


def _of_module(source: Source, name: str) -> Entry:
    members = []
    for each in public_names(source.module):
        found = _walk(source.module, [each], name)
        members.append((each, found.summary if found else ""))
    doc = ast.get_docstring(source.tree) or ""
    shown = f"import drivetrain.{source.module}" if source.module else "import drivetrain as dt"
    more = {"members": tuple(members)}
    kind = "package" if source.path.name == "__init__.py" else "module"
    return _entry(source, source.tree, name or "drivetrain", kind, shown, doc, **more)


def _of_function(source: Source, node: Function, name: str, *, in_class: bool = False) -> Entry:
    marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
    given = _parameters(node.args)
    if in_class and "staticmethod" not in marks:
        given = given[1:]
    returns = None if node.returns is None else ast.unparse(node.returns)
    is_property = bool(marks & {"property", "cached_property"})
    own = name.rpartition(".")[2]
    shown = f"{own}: {returns}" if is_property else _signature(own, given, returns)
    kind = "property" if is_property else "method" if in_class else "function"
    doc = ast.get_docstring(node) or ""
    sees = _sees(source, doc) if node.args.kwarg is not None else ()
    told = {"parameters": tuple(_plain(given)), "returns": returns, "sees": sees}
    return _entry(source, node, name, kind, shown, doc, **told)


def _sees(source: Source, doc: str) -> tuple[tuple[str, str], ...]:
    """The functions that an explanation leads to: (dotted name, what it says of their arguments)."""
    found: dict[str, str] = {}
    for said in re.findall(r"(?:see|of) `([a-z_]+(?:\.[a-z_]+)*)`", doc):
        inside, _, name = said.rpartition(".")
        package = source.module.rpartition(".")[0]
        places = [f"{package}.{inside}".strip("."), inside] if inside else [source.module]
        for home in (_home(place, name) for place in map(read, places) if place is not None):
            if home is not None and isinstance(home[1], Function):
                told = ast.get_docstring(home[1]) or ""
                found[f"{home[0].module}.{name}"] = _section(told, "Args")
                break
    return tuple(found.items())


def _section(doc: str, heading: str) -> str:
    """The lines below a heading of a docstring, without their indent.

    >>> _section("Add.\\n\\nArgs:\\n    a: one.\\n    b: two.\\nReturns: a + b.", "Args")
    'a: one.\\nb: two.'
    """
    lines = iter(doc.splitlines())
    if not any(line == f"{heading}:" for line in lines):
        return ""
    below = takewhile(lambda line: not line or line.startswith(" "), lines)
    return textwrap.dedent("\n".join(below)).strip()


def _of_class(source: Source, node: ast.ClassDef, name: str) -> Entry:
    """A class: what it is made with, what its fields are, and what it does."""
    doc = ast.get_docstring(node) or ""
    marks = " ".join(ast.unparse(mark) for mark in node.decorator_list)
    line = list(_lineage(source, node))
    given: list[_Given] = []
    bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
    signature = f"class {node.name}{bases}"
    making = next(
        (item for _, cls in line for item in cls.body if _is_function(item, "__init__")), None
    )
    if "dataclass" in marks and making not in node.body:
        given, told = _fields(line)
        doc = "\n\n".join(part for part in (doc, told) if part)
        signature = _signature(node.name, given, None)
    elif isinstance(making, Function):
        given = _parameters(making.args)[1:]
        doc = "\n\n".join(part for part in (doc, ast.get_docstring(making)) if part)
        signature = _signature(node.name, given, None)
    members: dict[str, str] = {}
    for _, cls in line:
        for item in cls.body:
            if isinstance(item, Function) and not item.name.startswith("_"):
                told = summary(ast.get_docstring(item) or "")
                members[item.name] = members.get(item.name) or told
    told = {"parameters": tuple(_plain(given)), "members": tuple(members.items())}
    return _entry(source, node, name, "class", signature, doc, **told)


def _is_function(node: ast.AST, name: str) -> bool:
    return isinstance(node, Function) and node.name == name


_Given = tuple[str, Parameter | None]
"""An argument as it is written in a call (`*`, `**options`), and what it is."""


def _fields(line: list[tuple[Source, ast.ClassDef]]) -> tuple[list[_Given], str]:
    """The fields of a record, those of what it is made from first, and the sentence under each."""
    found: dict[str, tuple[Parameter, str]] = {}
    for _, cls in reversed(line):
        for place, item in enumerate(cls.body):
            if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
                continue
            annotation = ast.unparse(item.annotation)
            name = item.target.id
            if name.startswith("_") or annotation.startswith("ClassVar"):
                continue
            default = None if item.value is None else ast.unparse(item.value)
            if default is not None and default.startswith("field("):
                default = _of_field(item.value)
                if default == "":  # made by the class itself
                    continue
            doc = _string_at(cls.body, place + 1)
            found[name] = (Parameter(name, annotation, default), doc)
    told = [f"    {name}: {doc}" for name, (_, doc) in found.items() if doc]
    given: list[_Given] = [(name, parameter) for name, (parameter, _) in found.items()]
    return given, "\n".join(["Fields:", *told]) if told else ""


def _of_field(value: ast.AST | None) -> str | None:
    """The default of `dataclasses.field(…)`: None where it has none, empty where it is no argument."""
    said = (
        {w.arg: ast.unparse(w.value) for w in value.keywords} if isinstance(value, ast.Call) else {}
    )
    if said.get("init") == "False":
        return ""
    if "default_factory" in said:
        return f"{said['default_factory']}()"
    return said.get("default")


def _parameters(args: ast.arguments) -> list[_Given]:
    def one(arg: ast.arg, default: ast.expr | None, stars: str = "") -> _Given:
        annotation = "" if arg.annotation is None else ast.unparse(arg.annotation)
        value = None if default is None else ast.unparse(default)
        return f"{stars}{arg.arg}", Parameter(f"{stars}{arg.arg}", annotation, value)

    first = [*args.posonlyargs, *args.args]
    gaps: list[ast.expr | None] = [None] * (len(first) - len(args.defaults))
    found = [one(arg, value) for arg, value in zip(first, gaps + args.defaults, strict=True)]
    if args.posonlyargs:
        found.insert(len(args.posonlyargs), ("/", None))
    if args.vararg:
        found.append(one(args.vararg, None, "*"))
    elif args.kwonlyargs:
        found.append(("*", None))
    pairs = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    found += [one(arg, value) for arg, value in pairs]
    return found + ([one(args.kwarg, None, "**")] if args.kwarg else [])


def _plain(given: list[_Given]) -> list[Parameter]:
    return [parameter for _, parameter in given if parameter is not None]


def _signature(name: str, given: list[_Given], returns: str | None) -> str:
    """On one line where it fits, else an argument a line."""
    words = []
    for word, parameter in given:
        if parameter is not None:
            word += f": {parameter.type}" if parameter.type else ""
            if parameter.default is not None:
                word += f" = {parameter.default}" if parameter.type else f"={parameter.default}"
        words.append(word)
    end = "" if returns is None else f" -> {returns}"
    whole = f"{name}({', '.join(words)}){end}"
    if len(whole) <= LONGEST:
        return whole
    return "\n".join([f"{name}(", *(f"    {word}," for word in words), f"){end}"])


@cache
def registered(kind: str) -> dict[str, Entry]:
    """Name -> entry of what a table lists; see `REGISTERED`."""
    module, table = REGISTERED[kind]
    source = read(module)
    node = None if source is None else source.names.get(table)
    if source is None or not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return {}
    found: dict[str, Entry] = {}
    for each in ast.walk(node.value):
        if isinstance(each, ast.Dict):
            for key, value in zip(each.keys, each.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    found[key.value] = _listed(source, kind, key, key.value, value)
            return found
    for each in ast.walk(node.value):  # records that say their own name
        name = _name_of(each)
        if name is not None:
            shown = textwrap.dedent(ast.get_source_segment(source.text, each, padded=True) or name)
            doc = _said(each, "note") or _said(each, "what") or _second(each)
            found.setdefault(name, _entry(source, each, name, kind, shown, doc))
    return found


def _listed(source: Source, kind: str, key: ast.AST, name: str, value: ast.expr) -> Entry:
    """An entry of a table: what its value leads to, under the name that the table gives it."""
    told = ast.literal_eval(value) if not isinstance(value, ast.Name) else ""
    words = [told] if isinstance(told, str) else list(told)
    target = next((word for word in words if word.startswith("drivetrain.") and ":" in word), "")
    if isinstance(value, ast.Name):
        home = _home(source, value.id)
    else:
        module, _, own = (target or f"drivetrain.{source.module}.{name}:build").partition(":")
        there = read(module.removeprefix("drivetrain."))
        home = None if there is None else _home(there, own)
    entry = None if home is None else _of_node(*home, name, name)
    if entry is None:
        return _entry(source, key, name, kind, name, words[0])
    doc = "\n\n".join([*(word for word in words if word and word != target), entry.doc])
    return Entry(**{**vars(entry), "kind": kind, "doc": doc})


def _name_of(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    said = _said(node, "name")
    first = node.args[0] if node.args else None
    if not said and isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    return said or None


def _second(node: ast.AST) -> str:
    """The text that a call is given in the second place; empty where there is none."""
    second = node.args[1] if isinstance(node, ast.Call) and len(node.args) > 1 else None
    return str(second.value) if isinstance(second, ast.Constant) else ""


def _said(node: ast.AST, key: str) -> str:
    """The text that a call is given under a keyword; empty where there is none."""
    for word in node.keywords if isinstance(node, ast.Call) else ():
        if word.arg == key and isinstance(word.value, ast.Constant):
            return str(word.value.value)
    return ""
