"""Every page of docs: its links lead somewhere, its commands and names are there.

What a page shows is run by the test of its own folder; here all are held to the surface as it is today.
"""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import unquote

import click
import pytest

import drivetrain as dt
from drivetrain.cli import program

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*(ROOT / "docs").glob("**/*.md"), *ROOT.glob("*.md")])
GUIDES = [page for page in PAGES if page.parent == ROOT / "docs" and page.name != "map.md"]
"""What a user reads; decisions and the changelog may speak of names that are gone."""
ROOTS = ("dt", "drivetrain", "learner", "writer")
"""What a page calls the library and a learner."""
ABSENT = object()


def by_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def heading_links(text: str) -> set[str]:
    """The anchors of a page's headings, as they are made on the web."""
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_each_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    missing = []
    pictures = re.findall(r'<(?:img|source) [^>]*?src(?:set)?="([^"]+)"', text)
    for link in [*re.findall(r"\]\(([^)\s]+)\)", text), *pictures]:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / unquote(path))
        if not target.exists() or (
            anchor and anchor not in heading_links(target.read_text("utf-8"))
        ):
            missing.append(link)
    assert missing == []


def commands(text: str) -> Iterator[list[str]]:
    """The words of each `drivetrain …` of the console blocks."""
    for block in re.findall(r"```(?:console|sh|bash)\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r" (?:&&|\|) ", line.removeprefix("$ ")):
                if line.startswith("$ ") and part.startswith("drivetrain "):
                    yield shlex.split(part, comments=True)[1:]


@pytest.mark.parametrize("page", [ROOT / "README.md", *GUIDES], ids=by_name)
def test_each_command_and_option_of_a_page_is_there(page: Path) -> None:
    unknown = []
    for words in commands(page.read_text("utf-8")):
        command: click.Command = program
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            found = command.get_command(click.Context(command), name)
            if found is None:
                unknown.append(name)
                break
            command = found
        else:
            options = {opt for one in command.params for opt in (*one.opts, *one.secondary_opts)}
            given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            unknown += [f"{command.name} {one}" for one in given - options - {"--help"}]
    assert unknown == []


def snippets(text: str) -> Iterator[ast.AST]:
    """Python blocks, and code in the text that is a name of `dt` or of a learner."""
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        plain = block
        if ">>>" in block:
            lines = [line[4:] for line in block.splitlines() if line[:4] in (">>> ", "... ")]
            plain = "\n".join(lines)
        yield ast.parse(plain.replace("…", "..."))
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", rest):
        if re.match(rf"(?:{'|'.join(ROOTS)})\.[A-Za-z_]", code):
            try:
                yield ast.parse(code.replace("…", "..."))
            except SyntaxError:  # a family of names such as `dt.vision.from_…`
                continue


def resolve(node: ast.AST) -> tuple[str, Any] | None:
    """A dotted name that starts at one of ROOTS, and what it is; None for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in ROOTS or not names:
        return None
    said = f"{node.id}.{'.'.join(names)}"
    if node.id in ("learner", "writer"):
        return said, of_learners(names[0]) if len(names) == 1 else None
    found: Any = dt
    for at, name in enumerate(names):
        if inspect.isclass(found):
            return said, None  # an attribute that its instances may have
        inside = f"drivetrain.{'.'.join(names[: at + 1])}"
        if not hasattr(found, name) and (not inspect.ismodule(found) or not find_spec(inside)):
            return said, ABSENT
        found = getattr(found, name) if hasattr(found, name) else import_module(inside)
    return said, found


def of_learners(name: str) -> Any:
    """A method of any learner; None for what their `__init__` sets."""
    makers = (dt.collab.learner, dt.text.learner, dt.text.language_learner)
    for kind in (dt.Learner, *(get_type_hints(make)["return"] for make in makers)):
        if hasattr(kind, name):
            return getattr(kind, name)
    return None if re.search(rf"self\.{name}\b.*=", inspect.getsource(dt.Learner)) else ABSENT


@pytest.mark.parametrize("page", [ROOT / "README.md", *GUIDES], ids=by_name)
def test_each_name_and_argument_of_a_page_is_there(page: Path) -> None:
    unknown = set()
    for tree in snippets(page.read_text("utf-8")):
        for node in ast.walk(tree):
            found = resolve(node)
            if found is not None and found[1] is ABSENT:
                unknown.add(found[0])
            if isinstance(node, ast.Call) and (called := resolve(node.func)) is not None:
                unknown |= {f"{called[0]}({one}=)" for one in unknown_arguments(called[1], node)}
    assert sorted(unknown) == []


def unknown_arguments(called: Any, call: ast.Call) -> set[str]:
    """Named arguments of a call that its signature does not have."""
    if called is ABSENT or not callable(called):
        return set()
    parameters = inspect.signature(called).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return set()
    return {one.arg for one in call.keywords if one.arg} - {one.name for one in parameters}
