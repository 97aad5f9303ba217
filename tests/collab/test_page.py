"""The page on ratings is true: its commands run, and its Python runs after them."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner

from drivetrain.cli import program

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ratings.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.slow  # it trains twice
def test_its_commands_and_its_python_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line[2:] for block in blocks("console") for line in block.splitlines()]
    assert len(lines) >= 6
    for line in lines:
        done = CliRunner().invoke(program, shlex.split(line)[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
        if " predict " in line:
            assert done.stdout.startswith("user u007, The Cold Witness: ")
    assert parquet.read_metadata("everybody.parquet").num_rows == 4000
    names: dict[str, object] = {}
    ran = 0
    said = io.StringIO()
    for block in blocks("python"):
        if "item_index" in block and find_spec("voyager") is None:
            continue
        with contextlib.redirect_stdout(said):
            exec(compile(block, "docs/ratings.md", "exec"), names)  # noqa: S102 - our own page
        ran += 1
    assert ran >= 5
    assert "liked by all" in said.getvalue() and "starting at what facts say" in said.getvalue()
    rows = Path("two.csv").read_text().splitlines()
    assert len(rows) == 41 and rows[1].startswith('"u007",1,')
