"""docs/ensembles.md is true: its commands and its Python run."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from drivetrain.cli import program

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ensembles.md").read_text("utf-8")


@pytest.mark.slow
def test_the_commands_and_the_python_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^\$ drivetrain (.+)$", PAGE, flags=re.MULTILINE)
    assert len(commands) == 12
    answers = []
    for words in commands:
        result = CliRunner().invoke(program, shlex.split(words))
        assert result.exit_code == 0, f"{words}\n{result.output}"
        answers.append(result.stdout)
    assert "mean of members" in answers[3] and "answers are in answers.csv" in answers[4]
    assert "mean of members" in answers[7]
    assert "With test-time augmentation: 4 varied copies of each picture" in answers[10]
    with open("circles.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[:2] == ["input", "label"] and len(rows) == 20
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(code, "ensembles.md", "exec"), {})  # noqa: S102 - the page's own lines
    assert "mean of members" in capsys.readouterr().out
