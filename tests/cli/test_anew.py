"""The line that trains a run anew, with one change."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, strategies as st

from drivetrain.cli import anew, program
from drivetrain.train.advice import advise
from tests.train.test_advice import FITTED, LEARNING, made


def kept(folder: Path, words: list[str], where: Path | str) -> Path:
    told = {"words": ["train", *words], "folder": str(where)}
    (folder / anew.FILE).write_text(json.dumps(told))
    return folder


def line(folder: Path, losses: Any, words: list[str], **changed: Any) -> str:
    kept(made(folder, losses, **changed), words, Path.cwd())
    found = advise(folder)
    return anew.line_of(folder, found.option, found.changes)


@pytest.mark.row(162)
def test_the_change_takes_the_place_of_what_it_changes(tmp_path: Path) -> None:
    words = [
        "my photos/",
        "--epochs=3",
        "--set",
        "lr=0.1",
        "--out",
        "runs/a",
        "--json",
        "--seed",
        "7",
    ]
    expected = "drivetrain train 'my photos/' --set lr=0.1 --seed 7 --epochs 6"
    assert line(tmp_path / "a", LEARNING, words) == expected
    words = ["t.csv", "--target", "a b", "--set", "epochs=3", "--callback", "mixup:alpha=0.2"]
    expected = "drivetrain train t.csv --target 'a b' --callback mixup:alpha=0.2 --epochs 6"
    assert line(tmp_path / "b", LEARNING, words) == expected
    words = ["photos", "--model", "resnet18", "--set", "lr=0.1", "--set", "batch_size=8", "--debug"]
    words += ["--epochs", "3"]
    expected = "drivetrain train photos --epochs 3 --model resnet_tiny"
    assert line(tmp_path / "c", FITTED, words) == expected


@pytest.mark.row(162)
def test_a_time_is_left_out_with_what_it_cut_and_the_rest_of_its_plan_is_said(
    tmp_path: Path,
) -> None:
    settings = {"augment": {"flip": 0.5}, "weight_decay": 0.5, "fraction": 0.2}
    more: dict[str, Any] = {"settings": settings, "plan": {"epochs": 4}, "data": {"size": [96, 96]}}
    found = line(tmp_path / "a", FITTED, ["photos", "--budget", "60s"], **more)
    assert found == "drivetrain train photos --epochs 4 --size 96 --set fraction=1.0"
    more["data"] = {"source": "t.csv"}
    found = line(tmp_path / "b", LEARNING, ["t.csv", "--minutes=1"], **more)
    assert found == "drivetrain train t.csv --epochs 6"


@pytest.mark.row(162)
def test_from_another_folder_the_line_goes_there_first(tmp_path: Path) -> None:
    kept(made(tmp_path / "a", LEARNING), ["photos"], "/some where")
    found = anew.line_of(tmp_path / "a", "--epochs 6", {"epochs": 6})
    assert found == "cd '/some where' && drivetrain train photos --epochs 6"


@given(
    st.lists(
        st.sampled_from(
            [
                "photos",
                "--epochs=3",
                "--set lr=0.1",
                "--drop 'a b'",
                "--json",
                "--valid 0.1",
                "--text t",
            ]
        )
    )
)
def test_words_are_told_apart_and_none_is_lost(parts: list[str]) -> None:
    words = [word for part in parts for word in shlex.split(part)]
    found = anew.entries_of(words)
    assert len(found) == len(parts)
    assert [word for _, said in found for word in said] == words


def test_of_a_run_that_python_made_the_line_is_put_together(trained: Path, tmp_path: Path) -> None:
    record = json.loads((trained / "run.json").read_text())
    shutil.copy(trained / "run.json", tmp_path)  # without what was typed
    found = anew.line_of(tmp_path, "--epochs 6", {"epochs": 6})
    words = shlex.split(found)
    assert words[:2] == ["drivetrain", "train"] and words[-2:] == ["--epochs", "6"]
    done = CliRunner().invoke(program, [*words[1:], "--dry-run"])
    assert done.exit_code == 0, done.output
    settings = record["settings"]
    assert f"batch_size={settings['batch_size']}" in words
    assert words[words.index("--size") + 1] == str(record["data"]["size"][0])


def test_a_run_of_another_seed_keeps_the_split(tmp_path: Path) -> None:
    of = kept(
        made(tmp_path / "a", LEARNING, seed=7, data={}), ["photos", "--seed", "7"], Path.cwd()
    )
    spec = {"option": "--epochs 6", "changes": {"epochs": 6}, "seed": 7}
    for seed, words in ((7, ["--seed", "7", "--epochs", "6"]),
                        (8, ["--epochs", "6", "--seed", "8", "--split-seed", "7"])):  # fmt: skip
        (folder := tmp_path / str(seed)).mkdir()
        anew.note_again(of, folder, spec | {"seed": seed})
        assert json.loads((folder / anew.FILE).read_text())["words"] == ["train", "photos", *words]
