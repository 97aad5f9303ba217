"""The README is true: its commands run, its Python runs, its links lead somewhere."""

from __future__ import annotations

import csv
import datetime
import importlib
import random
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import drivetrain as dt
from drivetrain import store
from drivetrain.cli import program
from drivetrain.samples import reviews, write_sample
from tests.eject import replay
from tests.photos import write_photos

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DATE = "2026-01-31"
"""Stands in the README for the day on which a person runs it."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder as the README has it: `photos/` with two classes, and `photo.jpg`."""
    write_photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands() -> list[str]:
    """Every line after a `$` in the README that calls the program."""
    blocks = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line for line in lines if line.startswith("drivetrain ")]


def make_smaller(folder: Path) -> None:
    """Leave of a sample that was just written 8 pictures of each class, or 100 reviews.

    To train on all of it takes most of the time of these commands, and tests no further one.
    """
    for place in [*folder.glob("train/*"), *folder.glob("test/*")]:
        for path in sorted(place.glob("*.png"))[8:]:
            path.unlink()
    if folder.name == "reviews":
        for path in folder.glob("*.csv"):
            with path.open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([header, *rows[:100]])


@pytest.mark.parametrize("samples", ["small", pytest.param("whole", marks=pytest.mark.slow)])
def test_every_command_runs_in_the_order_of_the_page(samples: str, here: Path) -> None:
    assert len(commands()) >= 6
    today = datetime.date.today().isoformat()
    for command in commands():
        words = shlex.split(command.replace(DATE, today))[1:]
        done = CliRunner().invoke(program, words)
        assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception!r}"
        assert done.stdout.strip()
        if words[0] == "samples" and samples == "small":
            make_smaller(here / words[-1])


@pytest.mark.slow
def test_the_python_runs_from_top_to_bottom(here: Path) -> None:
    data = dt.TensorData(torch.randn(16, 2), torch.arange(16) % 2)
    loader = dt.BatchLoader(data, batch_size=4)
    names: dict[str, object] = {
        "model": torch.nn.Linear(2, 2),
        "loaders": (loader, loader),
        "loss_fn": torch.nn.functional.cross_entropy,
        "optimizer": None,
    }
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 8
    draw = random.Random(0)
    lines = ["age,education,occupation,salary"]
    for _ in range(300):
        age, school = draw.randint(17, 80), draw.choice(["Bachelors", "HS-grad", "Masters"])
        earns = age / 80 + (school != "HS-grad") / 2 + draw.random() / 2 > 1
        lines.append(
            f"{age},{school},{draw.choice(['Sales', 'Tech', ''])},{'>50K' if earns else '<=50K'}"
        )
    (here / "census.csv").write_text("\n".join(lines) + "\n", "utf-8")
    rows = [f"{text},{label}" for text, label in list(reviews.reviews())[:120]]
    (here / "reviews.csv").write_text("\n".join(["review,label", *rows]) + "\n", "utf-8")
    write_sample("films", here / "made")
    for name in ("ratings.csv", "films.csv"):
        (here / name).write_bytes((here / "made" / name).read_bytes())
    for block in blocks:
        if not block.startswith("# mine.py"):  # that one is a file of its own: see below
            exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our own page
    assert (here / "runs" / "photos" / "model" / "model.safetensors").exists()
    script = (here / "train_photos.py").read_text("utf-8")
    assert not re.search(r"^\s*(import|from) drivetrain", script, flags=re.MULTILINE)


def test_a_script_can_be_written_of_your_own_model(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```python\n(# mine\.py\n.*?)```", README, flags=re.DOTALL)
    (here / "mine.py").write_text(block, "utf-8")
    monkeypatch.syspath_prepend(here)
    mine = importlib.import_module("mine")
    monkeypatch.delitem(sys.modules, "mine")
    answer = replay.replayed_here(here / "train.py", here / "again")
    assert answer["weights_sha256"] == store.weights_sha256(mine.learner.model.state_dict())


def test_every_make_target_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"(?:\$ |`)make ([a-z-]+)", README))
    assert {"demo", "test", "bench"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
