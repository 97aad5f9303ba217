"""Write docs/map.md: each idea of the course, where it lives, which tests prove it, what is missing.

The ideas are in docs/map_rows.toml. A test proves one by carrying `@pytest.mark.row(number)`, on the
function, on a `pytest.param` of it, on its class, or for a whole file in `pytestmark`. The marks are
read from the source, so nothing is imported and this takes a fraction of a second.

    python tools/map.py            write docs/map.md
    python tools/map.py --check    say whether it is current; exit code 1 where it is not
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# The map

Every idea of the course that Drivetrain makes work, where it is in the API, and the tests that prove
it. Written by `make map` from [map_rows.toml](map_rows.toml) and the tests; not edited by hand.

"""


@dataclass(frozen=True)
class Row:
    """One idea."""

    id: int
    idea: str
    where: str = ""
    """Its place in the API, empty until it is built."""
    missing: str = ""
    """What is still missing although it is built."""


def read_rows(path: Path) -> list[Row]:
    """The rows in order of their numbers, which must be 1, 2, 3 … without a gap."""
    rows = [Row(**entry) for entry in tomllib.loads(path.read_text("utf-8"))["row"]]
    if [row.id for row in rows] != list(range(1, len(rows) + 1)):
        raise SystemExit(f"{path}: the ids must count from 1 upwards without a gap.")
    return rows


def proofs(tests: Path) -> dict[int, list[str]]:
    """Row number -> tests that carry it, as `folder/test_file.py::test_name`."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted(tests.rglob("test_*.py")):
        for name, number in _marked(ast.parse(path.read_text("utf-8")), path):
            test = f"{path.relative_to(tests).as_posix()}::{name}"
            if test not in found[number]:
                found[number].append(test)
    return dict(found)


def _marked(module: ast.Module, path: Path) -> Iterator[tuple[str, int]]:
    """(test name, row) for each mark in a file."""
    whole_file = [
        number
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
        for number in _numbers(node.value, path)
    ]
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            of_class = [n for mark in node.decorator_list for n in _numbers(mark, path)]
            for method in node.body:
                yield from _of_test(method, f"{node.name}::", [*whole_file, *of_class], path)
        else:
            yield from _of_test(node, "", whole_file, path)


def _of_test(
    node: ast.stmt, prefix: str, inherited: list[int], path: Path
) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
        own = [number for mark in node.decorator_list for number in _numbers(mark, path)]
        for number in [*inherited, *own]:
            yield prefix + node.name, number


def _numbers(tree: ast.AST, path: Path) -> Iterator[int]:
    """The rows of every `pytest.mark.row(...)` within `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.row":
            for argument in node.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, int)):
                    raise SystemExit(f"{path}:{node.lineno}: write the row as a plain number.")
                yield argument.value


def render(rows: list[Row], tests: dict[int, list[str]]) -> str:
    """The whole page."""
    unknown = sorted(set(tests) - {row.id for row in rows})
    if unknown:
        raise SystemExit(f"Tests carry row {unknown[0]}, which docs/map_rows.toml does not have.")
    proved = sum(1 for row in rows if row.id in tests)
    lines = [
        f"{proved} of {len(rows)} ideas carry a test.\n",
        "| row | idea | where | tests | missing |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        marked = "<br>".join(f"`{test}`" for test in tests.get(row.id, []))
        missing = row.missing or _missing(row, proved=row.id in tests)
        cells = (str(row.id), row.idea, row.where, marked, missing)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD + "\n".join(lines) + "\n"


def _missing(row: Row, *, proved: bool) -> str:
    if not row.where:
        return "the API" if proved else "all of it"
    return "" if proved else "a test"


def main(arguments: list[str]) -> int:
    """Write the page, or check it; the answer is the exit code."""
    target = ROOT / "docs" / "map.md"
    page = render(read_rows(ROOT / "docs" / "map_rows.toml"), proofs(ROOT / "tests"))
    if arguments == ["--check"]:
        current = target.exists() and target.read_text("utf-8") == page
        print("docs/map.md is current." if current else "docs/map.md is old; write it: make map")
        return 0 if current else 1
    target.write_text(page, "utf-8")
    print(f"Wrote {target.relative_to(ROOT)}: {page.splitlines()[5]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
