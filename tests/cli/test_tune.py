"""`drivetrain tune`, as a person and as a program use it."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from drivetrain import tabular
from drivetrain.train.run import Run
from tests.tabular.tables import passengers, sales, write


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return write(tmp_path / "people.csv", passengers())


def test_the_json_document_holds_the_search_and_the_run_the_model(run, people: Path) -> None:
    words = ["tune", people, "--target", "lives", "--model", "tree", "--trials", 3, "--seed", 7]
    done = run(*words, "--out", "runs/one", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == Run.open("runs/one").read()["results"]
    assert document["task"] == "tabular" and document["model"] == "tree"
    tuning = document["tuning"]
    assert len(tuning["trials"]) == 4 and tuning["metric"] == "accuracy"
    assert tuning["folds"] == {"how": "the same share of every class", "count": 3}
    assert document["metrics"]["valid"]["accuracy"] == tuning[tuning["recommended"]]["value"]
    assert len(tabular.load("runs/one").predict(people)) == 240
    assert "trial 3 of 3: accuracy " in done.stderr
    again = run(*words, "--out", "runs/two", "--json")
    second = json.loads(again.stdout)["tuning"]
    assert [t["settings"] for t in second["trials"]] == [t["settings"] for t in tuning["trials"]]


def test_what_a_person_reads(run, people: Path) -> None:
    words = ["--model", "linear", "--trials", 2, "--folds", 2, "--metric", "log_loss"]
    done = run("tune", people, "--target", "lives", *words, "--out", "my run", "--set", "fill=mode")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "linear, 2 trials in 2 folds of the training rows (the same share of every class)"
    )
    assert lines[1].split()[:2] == ["trial", "log_loss"]
    assert any(line.startswith("Tuning ") for line in lines)
    assert lines[-3:] == [
        "Next",
        "  drivetrain predict 'my run' TABLE",
        "  drivetrain evaluate 'my run' --on TABLE",
    ]
    assert "Target  lives: classes no, yes" in done.stderr
    assert Run.open("my run").read()["data"]["fill"] == "mode"


def test_the_options_of_a_table_are_taken(run, tmp_path: Path) -> None:
    path = write(tmp_path / "sales.csv", sales())
    words = ["--model", "tree", "--trials", 1, "--drop", "heat", "--kind", "rain=category"]
    words += ["--valid", "2021-09-01", "--out", "r", "--json"]
    done = run("tune", path, "--target", "takings", *words)
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["items"]["train"] == 243, "the days before September"
    assert document["tuning"]["folds"]["how"] == "rolling origin in time"
    assert tabular.load("r").reader.features == ("day", "rain")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Missing option '--target'. See: drivetrain tune --help"),
        (
            ["--target", "lives", "--model", "net"],
            "The settings of a net are not searched by default: ",
        ),
        (
            ["--target", "lives", "--model", "forest", "--set", "penalty=3"],
            "'forest' has no setting 'penalty'. ",
        ),
        (["--target", "lives", "--metric", "mae"], "Unknown metric 'mae'. "),
        (["--target", "lives", "--set", "size=3"], "'size': not for tuning. See: drivetrain tune"),
        (["--target", "live"], "`target`: there is no column 'live'. Did you mean 'lives'? "),
    ],
)
@pytest.mark.row(110)
def test_a_slip_is_answered_in_a_line_and_leaves_no_folder(
    run, people: Path, words: list[str], sentence: str
) -> None:
    done = run("tune", people, *words, "--out", "never")
    assert done.exit_code == 2 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"drivetrain: {sentence}")
    assert not Path("never").exists()


def test_a_search_that_is_stopped_says_that_it_kept_nothing(
    run, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("drivetrain.tabular.tune"), "tune", stopped)
    done = run("tune", people, "--target", "lives", "--model", "tree", "--out", "r", "--json")
    assert (done.exit_code, done.stdout) == (130, "")
    assert done.stderr.endswith(
        "drivetrain: Stopped. A search keeps nothing before its end: the same line begins it anew.\n"
    )
