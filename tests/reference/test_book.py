"""docs/reference.md and the package: the same modules, each with twins and a proof, and true numbers."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivetrain import reference

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference.md"
MODULES = sorted(module.name for module in pkgutil.iter_modules(reference.__path__))


@dataclass(frozen=True)
class Chapter:
    number: int
    module: str
    text: str

    def found(self, pattern: str) -> list[str]:
        return re.findall(pattern, self.text)


def chapters() -> list[Chapter]:
    parts = re.split(r"(?m)^### (\d+)\. `(\w+)`$", PAGE.read_text("utf-8"))[1:]
    triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return [
        Chapter(int(number), module, re.split(r"(?m)^## ", text)[0])
        for number, module, text in triples
    ]


CHAPTERS = {chapter.module: chapter for chapter in chapters()}


def test_every_module_has_one_chapter_and_they_are_numbered_in_order() -> None:
    found = chapters()
    assert [chapter.number for chapter in found] == list(range(1, len(MODULES) + 1))
    assert sorted(chapter.module for chapter in found) == MODULES


def test_the_package_lists_its_modules_in_the_order_of_the_page() -> None:
    assert reference.__doc__ is not None
    listed = re.findall(r"(?m)^- `(\w+)`: .+\.$", reference.__doc__)
    assert listed == [chapter.module for chapter in chapters()]


@pytest.mark.parametrize("module", CHAPTERS)
def test_a_chapter_asks_one_question_and_names_its_module_its_twins_and_its_proof(
    module: str,
) -> None:
    chapter = CHAPTERS[module]
    assert len(chapter.found(r"(?m)^\*[A-Z][^*]+\?\*$")) == 1
    flat = " ".join(chapter.text.split())
    (link,) = re.findall(r"Read \[(\w+\.py)\]\((\S+)\), the twin of", flat)
    assert link == (f"{module}.py", f"../src/drivetrain/reference/{module}.py")
    assert (PAGE.parent / link[1]).resolve().is_file()
    (twins,) = re.findall(r"the twin of (.+?)\. Proof: ", flat)
    for name in twins.split(", "):
        assert exists(name.strip("`")), f"{module}: {name} is not there"
    (proof,) = re.findall(r"Proof: \[(\S+)\]\(\.\./(tests/\S+)\)\.", flat)
    assert proof[1] == f"tests/{proof[0]}"
    assert module in twins_imported((ROOT / proof[1]).read_text("utf-8"))


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    place, *rest = name.split(".")
    found = importlib.import_module(place)
    for part in rest:
        place = f"{place}.{part}"
        if not hasattr(found, part):
            try:
                found = importlib.import_module(place)
            except ModuleNotFoundError:
                return False
        else:
            found = getattr(found, part)
    return True


def twins_imported(source: str) -> set[str]:
    """The modules of the package that a test takes something from."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == "drivetrain.reference":
                modules |= {alias.name for alias in node.names}
            elif node.module.startswith("drivetrain.reference."):
                modules.add(node.module.removeprefix("drivetrain.reference."))
    return modules


@pytest.mark.parametrize("module", CHAPTERS)
def test_its_example_uses_the_module_and_gives_what_the_page_says(module: str) -> None:
    chapter = CHAPTERS[module]
    (block,) = chapter.found(r"(?s)```pycon\n(.*?)```")
    assert f"drivetrain.reference.{module} import" in block or f"import {module}\n" in block
    example = doctest.DocTestParser().get_doctest(block, {}, module, str(PAGE), 0)
    assert any(one.want for one in example.examples)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
    outside = re.sub(r"(?s)```pycon\n.*?```", "", chapter.text)
    assert not re.search(r"\d[.,]\d|\d{3}", outside), "a number that nothing checks"


def test_a_twin_uses_torch_numpy_and_the_package_alone() -> None:
    for module in MODULES:
        path = Path(reference.__path__[0]) / f"{module}.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                own = name.startswith("drivetrain.reference.")
                assert own or not name.startswith("drivetrain"), f"{module} imports {name}"
                foreign = {"sklearn", "scipy", "pandas", "lightgbm", "torchvision", "timm"}
                assert name.split(".")[0] not in foreign, f"{module} imports {name}"
