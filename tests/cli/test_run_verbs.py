"""`evaluate`, `resume`, `summary` on a run, and a run from data to prediction."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivetrain.train.callbacks.progress import Progress
from drivetrain.train.run import Run
from drivetrain.train.state import FitState


@pytest.mark.row(22)
def test_pictures_are_loaded_trained_inspected_and_predicted_by_the_command_line(
    run, photos: Path, others: Path
) -> None:
    trained = json.loads(run("train", photos, "--epochs", 1, "--out", "out", "--json").stdout)
    measured = json.loads(run("evaluate", "out", "--on", others, "--json").stdout)
    seen = json.loads(run("summary", "out", "--json").stdout)
    answers = json.loads(run("predict", "out", others, "--json").stdout)
    assert trained["task"] == "vision"
    right = sum(Path(a["input"]).parent.name == a["label"] for a in answers)
    assert measured["metrics"]["accuracy"] == pytest.approx(right / 12)
    assert seen["rows"][-1]["output_shape"] == [1, 3]


def test_evaluate_measures_labelled_pictures_with_an_interval(
    run, trained: Path, others: Path
) -> None:
    document = json.loads(run("evaluate", trained, "--on", others, "--json").stdout)
    assert document["items"] == 12
    assert document["trained_on"] == 0
    low, high = document["interval"]
    assert 0 <= low <= document["metrics"]["accuracy"] <= high <= 1
    text = run("evaluate", trained, "--on", others).stdout
    assert text.startswith(f"Result on 12 pictures of {others}\n  accuracy  0.")
    assert f"95% interval {low:.3f} to {high:.3f}\n" in text


def test_evaluate_says_when_pictures_trained_the_model(run, trained: Path, photos: Path) -> None:
    text = run("evaluate", trained, "--on", photos).stdout
    assert text.endswith("24 of them trained the model: on new pictures it will do worse.\n")


def test_evaluate_names_what_it_set_aside(run, trained: Path, others: Path) -> None:
    shutil.copytree(others, "others")
    Path("others/circle/bad.png").write_bytes(b"")
    text = run("evaluate", trained, "--on", "others").stdout
    assert text.endswith("1 set aside:\n  circle/bad.png  The file is empty.\n")


def test_evaluate_takes_a_sample_by_name(run, trained: Path) -> None:
    result = run("evaluate", trained, "--on", "shapes", "--json", "--out", "measured.json")
    document = json.loads(result.stdout)
    assert document["items"] == 240
    assert json.loads(Path("measured.json").read_text()) == document


@pytest.mark.row(46, 115)
def test_summary_shows_parameters_beside_activations_and_explains_both_ends(
    run, trained: Path
) -> None:
    result = run("summary", trained)
    assert result.exit_code == 0
    head, *rows = result.stdout.split("\n\n")[0].splitlines()
    assert "activations (calculated)" in head
    assert "parameters (learned)" in head
    document = json.loads(run("summary", trained, "--json").stdout)
    assert len(rows) == len(document["rows"])
    assert document["parameters"] == sum(row["parameters"] for row in document["rows"])
    for part in ("stem", "head", "loss"):
        assert document[part] in result.stdout
    assert "cross_entropy" in document["loss"]
    assert "3 numbers" in document["head"]


def test_summary_of_a_model_folder_that_left_its_run(run, trained: Path) -> None:
    shutil.copytree(trained / "model", "model")
    document = json.loads(run("summary", "model", "--json").stdout)
    assert document["loss"] == ""
    assert document["parameters"] > 0


@pytest.mark.parametrize("verb", [["resume"], ["summary"], ["evaluate", "--on", "x"]])
def test_a_folder_that_is_no_run_is_refused_in_one_line(run, verb: list[str]) -> None:
    Path("x").mkdir()
    result = run(verb[0], "nothing", *verb[1:])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("drivetrain: nothing ")


def test_resuming_a_finished_run_prints_its_result(run, trained: Path) -> None:
    shutil.copytree(trained, "done")
    before = Run.open("done").read()["results"]
    document = json.loads(run("resume", "done", "--json").stdout)
    for key in ("metrics", "interval", "baselines", "items", "epochs", "weights_sha256"):
        assert document[key] == before[key]


def test_ctrl_c_says_how_to_go_on_and_the_resumed_run_ends_as_if_never_stopped(
    run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", photos, "--epochs", 3, "--seed", 1]
    whole = json.loads(run(*words, "--out", "whole", "--json").stdout)

    def stop_in_the_second(_: Progress, state: FitState) -> None:
        if state.epochs_done == 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "before_epoch", stop_in_the_second)
        result = run(*words, "--out", "cut run", "--json")
    assert (result.exit_code, result.stdout) == (130, "")
    last = result.stderr.splitlines()[-1]
    assert last == (
        "drivetrain: Stopped in epoch 2, after batch 1. Continue with: drivetrain resume 'cut run'"
    )

    document = json.loads(run("resume", "cut run", "--json").stdout)
    assert document["run"] == "cut run"
    assert document["epochs"] == 3
    assert document["weights_sha256"] == whole["weights_sha256"]
    assert document["metrics"] == whole["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_the_process_within_five_seconds(
    photos: Path, number: signal.Signals
) -> None:
    words = ["train", photos, "--epochs", 50, "--out", "cut"]
    process = subprocess.Popen(
        [sys.executable, "-m", "drivetrain", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.split()[:1] == ["0"]:  # the first epoch's row
            break
    process.send_signal(number)
    began = time.monotonic()
    _, rest = process.communicate(timeout=60)
    assert time.monotonic() - began < 5
    assert process.returncode == 128 + number, rest
    assert re.fullmatch(
        r"drivetrain: Stopped (after epoch \d+|in epoch \d+, after batch \d+)\. "
        r"Continue with: drivetrain resume cut",
        rest.splitlines()[-1],
    )
    assert "Traceback" not in rest


def test_ctrl_c_while_resuming_says_the_same(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("drivetrain.vision.resume", stop)
    result = run("resume", "my run")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "drivetrain: Stopped. Continue with: drivetrain resume 'my run'\n"
