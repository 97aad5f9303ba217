"""train/comparing.py: what two records have differently, and what may be said of their results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivetrain.errors import RunError
from drivetrain.train.comparing import Difference, Result, diff_runs
from drivetrain.train.run import Run


def run(folder: Path, *, split: str = "s", **changed: Any) -> Path:
    """A run of which only the record is there."""
    record: dict[str, Any] = {
        "format": 1,
        "task": {"application": "vision"},
        "settings": {"batch_size": 64, "optimizer": {"name": "adamw"}},
        "optimizer": {"name": "adamw"},
        "seed": 42,
        "fingerprint": "data",
        "journal": [{"kind": "fit", "call": "fit_one_cycle", "epochs": 3, "lrs": [0.001, 0.01]}],
        "results": {
            "metrics": {"valid": {"loss": 0.5, "accuracy": 0.9}},
            "interval": [0.85, 0.94],
            "weights_sha256": "w",
        },
        **changed,
    }
    made = Run.create(folder)
    made.write(record)
    made.write_split({"method": "random", "train": ["a"], "valid": [split], "test": []})
    return folder


def results(accuracy: float, low: float, high: float, weights: str = "v") -> dict[str, Any]:
    return {
        "metrics": {"valid": {"loss": 0.4, "accuracy": accuracy, "own": 1.0}},
        "interval": [low, high],
        "weights_sha256": weights,
    }


@pytest.mark.row(109)
def test_settings_that_differ_are_named_and_the_better_result_is(tmp_path: Path) -> None:
    first = run(tmp_path / "a")
    second = run(
        tmp_path / "b",
        settings={"batch_size": 32, "optimizer": {"name": "adam"}, "augment": {"flip": 0.5}},
        optimizer={"name": "adam"},
        journal=[
            {"kind": "freeze", "call": "freeze"},
            {"kind": "fit", "call": "fit", "epochs": 5, "lrs": [0.1]},
        ],
        results=results(0.8, 0.75, 0.84),
    )
    found = diff_runs(first, second)
    assert found.settings == (
        Difference("settings.batch_size", 64, 32),
        Difference("settings.augment", None, {"flip": 0.5}),
        Difference("optimizer.name", "adamw", "adam"),
        Difference("stages", ["fit_one_cycle(3, 0.01)"], ["freeze()", "fit(5, 0.1)"]),
    )
    assert found.results == (
        Result("loss", 0.5, 0.4, "second"),
        Result("accuracy", 0.9, 0.8, "first"),
        Result("own", None, 1.0, ""),
    )
    assert found.verdict == "The intervals do not overlap: the difference is more than chance."
    assert (found.same_data, found.same_split, found.same_weights) == (True, True, False)
    assert json.loads(json.dumps(found.to_json()))["verdict"] == found.verdict


def test_what_may_be_said_depends_on_data_split_and_intervals(tmp_path: Path) -> None:
    first = run(tmp_path / "a")
    for number, (changed, verdict) in enumerate(
        (
            ({}, "Both ended with the same weights."),
            (
                {"results": results(0.92, 0.88, 0.95)},
                "The intervals overlap: the difference may be chance.",
            ),
            (
                {"fingerprint": "others"},
                "The data differ: the results are of other items, and are not to be compared.",
            ),
            (
                {"split": "t"},
                "The split differs: the results are of other items, and are not to be compared.",
            ),
            (
                {"results": {"metrics": {}, "interval": None}},
                "There is no interval to say whether the difference is more than chance.",
            ),
        )
    ):
        assert diff_runs(first, run(tmp_path / f"b{number}", **changed)).verdict == verdict


def test_a_leaderboard_which_has_no_journal_stands_beside_a_net(tmp_path: Path) -> None:
    board = run(tmp_path / "board", board={"models": ["forest"]}, results=results(0.8, 0.7, 0.9))
    record = json.loads((board / "run.json").read_text())
    del record["journal"]
    (board / "run.json").write_text(json.dumps(record))
    found = diff_runs(board, run(tmp_path / "net"))
    assert [one for one in found.settings if one.name == "stages"] == [
        Difference("stages", [], ["fit_one_cycle(3, 0.01)"])
    ]
    assert found.verdict == "The intervals overlap: the difference may be chance."


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    first = run(tmp_path / "a")
    with pytest.raises(RunError, match=r"nothing is not a run folder: there is no such folder\.$"):
        diff_runs(first, tmp_path / "nothing")
    broken = run(tmp_path / "b", journal={})
    with pytest.raises(RunError, match=r"its 'journal' is missing, or not what it has to be\."):
        diff_runs(first, broken)


def test_which_is_better_is_said_of_the_same_items_and_the_same_loss_alone(tmp_path: Path) -> None:
    first = run(tmp_path / "a")
    other = run(tmp_path / "b", results=results(0.8, 0.75, 0.84), fingerprint="other")
    assert [one.better for one in diff_runs(first, other).results] == ["", "", ""]
    focal = run(
        tmp_path / "c",
        results=results(0.8, 0.75, 0.84),
        loss={"name": "focal", "options": {}},
    )
    assert [one.better for one in diff_runs(first, focal).results] == ["", "first", ""]
