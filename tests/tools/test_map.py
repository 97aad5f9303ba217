"""tools/map.py: the map is current, and what it reads from tests is what pytest sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def map_tool(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("map")


EXAMPLE = """
import pytest

pytestmark = [pytest.mark.row(1)]

@pytest.mark.row(2, 3)
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.row(4)), 2])
def test_a(x):
    pass

class TestB:
    @pytest.mark.row(5)
    def test_c(self):
        pass

def helper():
    pass
"""


def test_the_map_is_current(map_tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    code = map_tool.main(["--check"])
    assert (code, capsys.readouterr().out) == (0, "docs/map.md is current.\n")


def test_the_rows_are_the_165_ideas_each_with_a_text(map_tool: ModuleType) -> None:
    rows = map_tool.read_rows(ROOT / "docs" / "map_rows.toml")
    assert len(rows) == 165
    assert all(row.idea.endswith(".") for row in rows)
    assert len({row.idea for row in rows}) == 165


def test_a_gap_in_the_rows_is_refused(map_tool: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "rows.toml"
    path.write_text("[[row]]\nid = 1\nidea = 'a'\n[[row]]\nid = 3\nidea = 'b'\n")
    with pytest.raises(SystemExit, match="the ids must count from 1 upwards without a gap"):
        map_tool.read_rows(path)


def test_marks_are_read_from_functions_params_classes_and_whole_files(
    map_tool: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "test_x.py").write_text(EXAMPLE)
    assert map_tool.proofs(tmp_path) == {
        1: ["deep/test_x.py::test_a", "deep/test_x.py::TestB::test_c"],
        2: ["deep/test_x.py::test_a"],
        3: ["deep/test_x.py::test_a"],
        4: ["deep/test_x.py::test_a"],
        5: ["deep/test_x.py::TestB::test_c"],
    }


def test_a_row_that_is_computed_is_refused_since_it_cannot_be_read(
    map_tool: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "test_x.py"
    path.write_text("import pytest\n@pytest.mark.row(N)\ndef test_a(): pass\n")
    with pytest.raises(SystemExit, match=r"test_x\.py:2: write the row as a plain number\."):
        map_tool.proofs(tmp_path)


def test_what_is_missing_is_said_for_each_row(map_tool: ModuleType) -> None:
    rows = [
        map_tool.Row(1, "a.", where="x"),
        map_tool.Row(2, "b.", where="x|y", missing="a part"),
        map_tool.Row(3, "c."),
        map_tool.Row(4, "d.", where="z"),
    ]
    page = map_tool.render(rows, {1: ["test_x.py::test_a", "test_x.py::test_b"], 2: ["t"]})
    assert page.splitlines()[5:] == [
        "2 of 4 ideas carry a test.",
        "",
        "| row | idea | where | tests | missing |",
        "|---|---|---|---|---|",
        "| 1 | a. | x | `test_x.py::test_a`<br>`test_x.py::test_b` |  |",
        "| 2 | b. | x\\|y | `t` | a part |",
        "| 3 | c. |  |  | all of it |",
        "| 4 | d. | z |  | a test |",
    ]


def test_a_test_for_a_row_that_is_not_on_the_map_is_refused(map_tool: ModuleType) -> None:
    with pytest.raises(
        SystemExit, match=r"Tests carry row 9, which docs/map_rows\.toml does not have\."
    ):
        map_tool.render([map_tool.Row(1, "a.")], {9: ["t"]})
