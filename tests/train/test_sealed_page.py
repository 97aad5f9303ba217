"""docs/sealed_test.md is true: its commands and its Python run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from drivetrain.cli import program

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sealed_test.md").read_text("utf-8")


def test_the_commands_and_the_python_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    commands = re.findall(r"^\$ drivetrain (.+)$", PAGE, flags=re.MULTILINE)
    assert len(commands) == 4
    answers = []
    for words in commands:
        result = CliRunner().invoke(program, shlex.split(words))
        assert result.exit_code == 0, result.output
        answers.append(result.stdout)
    assert "look 1 at these items" in answers[2]
    assert "warning" not in answers[2]
    assert "warning: This was look 2 at the same sealed items" in answers[3]
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(code, "sealed_test.md", "exec"), {})  # noqa: S102 - the page's own lines
    assert "look 3 at these items" in capsys.readouterr().out
