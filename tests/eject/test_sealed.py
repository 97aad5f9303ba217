"""Scripts of runs with a sealed test part: the same weights to the last bit, or a refusal in words."""

from __future__ import annotations

import csv
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import EjectError
from drivetrain.samples.shapes import pictures

Make = Callable[..., dt.Learner]


def written(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def table(folder: Path, **options: Any) -> dt.Learner:
    draw = random.Random(5)
    rows = [
        [f"{draw.random():.3f}", draw.choice("xy"), draw.choice(["up", "down"])] for _ in range(80)
    ]
    path = written(folder / "t.csv", ["a", "b", "c"], rows)
    return fitted(dt.tabular.learner(path, "c", layers=[4], progress=False, **options))


def texts(folder: Path, **options: Any) -> dt.Learner:
    draw = random.Random(6)
    rows = [
        [" ".join(draw.choices(["good", "bad", "new", "old"], k=6)) + f" {at}", "ud"[at % 2]]
        for at in range(60)
    ]
    path = written(folder / "x.csv", ["text", "label"], rows)
    sizes = {"embedding_dim": 8, "hidden_dim": 8, "num_layers": 1}
    return fitted(dt.text.learner(path, "label", progress=False, sizes=sizes, **options))


def photos(folder: Path, *, parts: bool = False, **options: Any) -> dt.Learner:
    from PIL import Image

    for picture in pictures():
        _, shape, file = picture.path.split("/")
        number = int(file[-7:-4])
        if number >= 8:
            continue
        below = ("test" if number < 2 else "train") if parts else ""
        path = folder / "photos" / below / shape / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (picture.width, picture.height)
        Image.frombytes(picture.mode, size, picture.pixels).save(path)
    made = dt.vision.learner(folder / "photos", augment=False, progress=False, **options)
    return fitted(made)


def fitted(learner: dt.Learner) -> dt.Learner:
    learner.fit_one_cycle(1, 1e-2)
    return learner


def replay(learner: dt.Learner, folder: Path, level: str, *, without: Path | None = None) -> None:
    """Run the script, without something that it should not need, and compare the weights."""
    script = learner.eject(folder / "script.py", level=level)
    if without is not None:
        shutil.rmtree(without) if without.is_dir() else without.unlink()
    application: Any = learner.application
    words = ["--data", str(application.data.source), "--out", str(folder / "out")]
    subprocess.run(
        [sys.executable, str(script), *words],
        check=True,
        timeout=120,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    tensors = store.read_tensors(folder / "out" / "model.safetensors")
    assert store.weights_sha256(tensors) == store.weights_sha256(learner.model.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("make", [table, texts, photos])
def test_a_script_that_leaves_reading_to_drivetrain_seals_as_the_run_did(
    make: Make, tmp_path: Path
) -> None:
    learner = make(tmp_path, test=0.25)
    application: Any = learner.application
    assert application.seal().count > 0
    replay(learner, tmp_path, "loop")


@pytest.mark.slow
def test_a_folder_test_is_left_alone_by_a_script_of_its_own(tmp_path: Path) -> None:
    learner = photos(tmp_path, parts=True)
    replay(learner, tmp_path, "all", without=tmp_path / "photos" / "test")


@pytest.mark.slow
def test_a_test_file_is_left_alone_by_a_script_of_its_own(tmp_path: Path) -> None:
    apart = written(tmp_path / "apart.csv", ["a", "b", "c"], [["0.5", "x", "up"]])
    learner = table(tmp_path, test=apart)
    replay(learner, tmp_path, "all", without=apart)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            table,
            "Rows of the table are sealed for a test, and a script would read them with the others. Give "
            "them as a file of their own (--test FILE); or eject with `--level loop`, whose script "
            "leaves the reading to Drivetrain.",
        ),
        (
            texts,
            "Texts are sealed for a test by `test`, and a script would read them with the others. Give "
            "them a folder test/ beside train/, or a column that says test, and train from that; or "
            "eject with `--level loop`, whose script leaves the reading to Drivetrain.",
        ),
        (
            photos,
            "Pictures are sealed for a test by `test`, and a script would find them with the others. "
            "Move them into a folder test/ beside train/, and train there; or eject with `--level "
            "loop`, whose script leaves the finding to Drivetrain.",
        ),
    ],
)
def test_a_share_is_refused_where_the_script_reads(
    make: Make, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(EjectError) as error:
        make(tmp_path, test=0.25).eject(tmp_path / "script.py")
    assert str(error.value) == sentence
