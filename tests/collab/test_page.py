"""The page on ratings is true: its commands run, and its Python runs after them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
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
    kept = [b for b in blocks("python") if "item_index" not in b or find_spec("voyager")]
    assert len(kept) >= 6
    script = tmp_path / "page.py"
    script.write_text("\n".join(kept), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "liked by all" in done.stdout and "starting at what facts say" in done.stdout
    rows = Path("two.csv").read_text().splitlines()
    assert len(rows) == 41 and rows[1].startswith('"u007",1,')
