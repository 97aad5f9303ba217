"""docs/levers.md is true: its files are read, its keys are all there are, its example comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from drivetrain.cli import program
from drivetrain.levers import Problem, problem as problems, read_experiment, read_problem

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "levers.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_file_of_the_page_is_read(tmp_path: Path) -> None:
    price, letters, trial = blocks("toml")
    for name, text in (("price", price), ("letters", letters), ("trial", trial)):
        assert text.startswith(f"# {name}.toml")
        (tmp_path / f"{name}.toml").write_text(text)
    assert read_problem(tmp_path / "price.toml").levers[0].name == "price"
    found = read_problem(tmp_path / "letters.toml")
    assert found.over == "sum" and len(found.levers) == 2 and found.caution == 1
    assert Problem.from_dict(found.to_json()).to_json() == found.to_json()
    assert read_experiment(tmp_path / "trial.toml").features == ("age", "city", "visits")


def test_every_section_and_key_is_on_the_page() -> None:
    table = PAGE.partition("## The file")[2].partition("An expression holds")[0]
    for section in problems._SECTIONS:
        assert f"[{section}" in table
    keys = "low high step whole choices rows over at_least at_most stay_within caution"
    for key in [*keys.split(), "run", "source", "target", "name"]:
        assert re.search(rf"`[^`]*\b{key}\b[^`]*`", table), key


@pytest.mark.slow
@pytest.mark.row(13)
def test_the_worked_problem_comes_out_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "price.toml").write_text(blocks("toml")[0])
    said = ""
    for command in blocks("console")[0].splitlines():
        done = CliRunner().invoke(program, command.split()[2:])
        assert done.exit_code == 0, done.output
        said = done.stdout
    assert said.startswith(blocks("text")[0].partition("  …")[0])
    assert "Outside the data the model promises 103.8 with price 4." in said
    assert (tmp_path / "price.svg").exists()
