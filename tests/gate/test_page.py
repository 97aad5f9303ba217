"""docs/checking.md is true: its commands run, its findings are all there are, its example comes out."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from drivetrain.cli import program
from drivetrain.gate.findings import NAMES
from drivetrain.tabular.checking import check
from drivetrain.tabular.learner import learner

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "checking.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL)


def run(line: str) -> Result:
    assert line.startswith("$ drivetrain ")
    return CliRunner().invoke(program, shlex.split(line)[2:])


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the table that the page makes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people.py").write_text(blocks("python")[0])
    subprocess.run([sys.executable, "people.py"], check=True, timeout=60)
    return tmp_path


def test_every_command_ends_as_the_page_says(people: Path) -> None:
    first, second, train, third = (block.strip() for block in blocks("console"))
    found = run(first)
    assert (found.exit_code, found.stdout) == (2, blocks("text")[0])
    dropped = run(second)
    assert dropped.exit_code == 0 and "Nothing was found." in dropped.stdout
    assert run(train.partition(" --accept")[0]).exit_code == 2
    trained = run(train)
    assert trained.exit_code == 0
    assert blocks("text")[1] in trained.stderr
    kept = json.loads((people / "runs" / "people" / "run.json").read_text())["choices"]
    assert "a test" in [one["reason"] for one in kept]
    passed = run(third)
    assert passed.exit_code == 0, passed.output
    assert "Accepted: boats were given out before" in passed.stdout


def test_a_learner_says_what_the_page_says(
    people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner("people.csv", "lives", layers=[4], progress=False, announce=True)
    told = capsys.readouterr().err.replace(str(people / "people.csv"), "people.csv")
    assert told.endswith(f"\n{blocks('text')[2]}\n")


def test_the_python_of_the_page_finds_the_same(people: Path) -> None:
    found = check("people.csv", "lives")
    assert [one.key for one in found.open] == ["target-proxy:boat"]
    scope: dict[str, object] = {}
    code = compile(blocks("python")[1], "checking.md", "exec")
    exec(code, scope)  # noqa: S102 - the page's own lines
    exec(compile(blocks("python")[2], "checking.md", "exec"), scope)  # noqa: S102 - it goes on
    assert str(scope["found"]) == str(found)


def test_every_finding_is_on_the_page() -> None:
    table = PAGE.partition("## What is looked for")[2].partition("**Near duplicates.**")[0]
    assert set(re.findall(r"`([a-z-]+)`", table)) == set(NAMES)
