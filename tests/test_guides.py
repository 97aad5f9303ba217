"""The pages that lead a newcomer: what they show in Python and on the command line runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import drivetrain as dt
from drivetrain.cli import program
from tests.photos import write_photos

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `photos/` of two classes, and `photo.jpg`."""
    write_photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)


def run_python(page: str) -> dict[str, object]:
    """What the page's blocks leave behind, run in its order."""
    names: dict[str, object] = {"dt": dt, "torch": torch}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)  # noqa: S102 - our own page
    return names


@pytest.mark.row(1)
def test_pictures_step_by_step_runs_in_the_order_of_the_page(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = run_python("pictures.md")["learner"]
    assert isinstance(learner, dt.Learner)
    said = capsys.readouterr().out.splitlines()[-1]
    found = learner.predict("photos/bird/0.png")
    assert said == found.label  # by the run that was saved and opened
    lines = [line for block in blocks("pictures.md", "console") for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        done = CliRunner().invoke(program, shlex.split(line.removeprefix("$ "))[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}"
    assert (here / "look.html").exists()
    assert (here / "runs" / "photos" / "report.html").exists()


def test_the_own_callback_of_the_page_for_fastais_users_sees_each_batch(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = run_python("from_fastai.md")["learner"]
    assert isinstance(learner, dt.Learner)
    scores = learner.callbacks[-1]
    assert type(scores).__name__ == "Scores"
    assert len(scores.losses) == len(learner.loaders.train)  # pyright: ignore[reportAttributeAccessIssue] - of the page
    assert all(loss > 0 for loss in scores.losses)  # pyright: ignore[reportAttributeAccessIssue]
