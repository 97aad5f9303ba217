"""`drivetrain sweep`: what is tried, what is kept, and what a crash does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.cli.candidates import candidates
from drivetrain.cli.sweep import text
from drivetrain.cli.sweeping import run_folder, share_of, sweep_into
from drivetrain.cli.trial import (
    DATA_CODE,
    Ended,
    peak_bytes,
    read_measured,
    run_trial,
    write_failed,
)
from drivetrain.errors import DataError, RunError
from drivetrain.locks import FolderLock
from drivetrain.train.paired import SHARE, errors_of
from drivetrain.train.sweeping import Candidate

ASKED: dict[str, Any] = {
    "application": "vision", "source": "photos", "given": {}, "beside": {}, "implicit": False,
    "accepted": {}, "seed": 42, "minutes": 1.0,
}  # fmt: skip
A, B, C = (Candidate(name, name, f"why {name}", {"size": 8}) for name in "abc")


class Runner:
    """Trains nothing: writes what a process would, and counts; `ends` says how each one ends."""

    def __init__(self, ends: Mapping[str, Ended] | None = None, minutes: float = 0.0) -> None:
        self.ends = ends or {}
        self.minutes = minutes
        self.takes: Callable[[Mapping[str, Any]], float] | None = None
        self.specs: list[dict[str, Any]] = []
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def __call__(self, spec: Mapping[str, Any], limit: float) -> Ended:
        self.specs.append(dict(spec))
        self.now += 60 * (self.minutes if self.takes is None else self.takes(spec))
        name = spec["name"]
        if name in self.ends:
            return self.ends[name]
        wrong = {"a": 20, "b": 22, "c": 60}[name]
        values = np.zeros(500)
        values[:wrong] = 1
        errors = errors_of(SHARE, [f"{place:03d}" for place in range(500)], values)
        path = Path(spec["folder"]) / "measured" / f"{name}.json"
        store.make_folders(path.parent)
        tensors = {"values": torch.from_numpy(errors.values)}
        digest = store.write_tensors(path.with_suffix(".safetensors"), tensors)
        told = {"sha256": digest, "kind": errors.kind, "items": errors.items}
        value = {
            "name": name, "state": "done", "run": spec["run"], "metric": "error_rate",
            "error": errors.error, "low": 0.01, "high": 0.2, "seconds": 10.0 + wrong,
            "predict_ms": 0.5, "peak_bytes": 900_000_000, "parameters": 150_000,
            "weights": "random", "sealed": 30, "rules": {"majority_class": {"error": 0.9}},
            "errors": told,
        }  # fmt: skip
        store.write_json(path, value)
        return Ended(0, "")

    @property
    def names(self) -> list[str]:
        return [spec["name"] for spec in self.specs]


@pytest.mark.row(106)
def test_a_sweep_that_is_run_again_trains_nothing_that_is_finished(tmp_path: Path) -> None:
    runner = Runner()
    first = sweep_into(tmp_path / "s", ASKED, [A, B, C], minutes=9, runner=runner)
    assert runner.names == ["a", "b", "c"]
    assert [row.name for row in first.done] == ["a", "b", "c"]
    assert [row.name for row in first.as_good] == ["b"]
    again = sweep_into(tmp_path / "s", ASKED, [A, B, C], minutes=9, runner=runner)
    assert again == first and runner.names == ["a", "b", "c"]


@pytest.mark.row(106)
def test_a_crash_is_a_line_of_the_board_and_is_tried_again_in_a_folder_of_its_own(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "s"
    (folder / "b").mkdir(parents=True)
    store.write_json(folder / "sweep.json", {"asked": ASKED, "candidates": []})
    store.write_json(folder / "b" / "run.json", {})
    board = sweep_into(folder, ASKED, [A, B], minutes=9, runner=Runner({"b": Ended(-9, "half")}))
    assert [row.state for row in board.rows] == ["done", "failed"]
    assert board.rows[1].note == ("The system ended it (SIGKILL): most likely the memory was full.")
    runner = Runner()
    board = sweep_into(folder, ASKED, [A, B], minutes=9, runner=runner)
    assert runner.names == ["b"] and runner.specs[0]["run"].endswith("b-again-2")
    assert [row.state for row in board.rows] == ["done", "done"]


@pytest.mark.row(106)
def test_a_stop_keeps_what_is_finished_and_goes_on_with_the_rest(tmp_path: Path) -> None:
    stopped = Runner({"b": Ended(143, "")})
    with pytest.raises(KeyboardInterrupt):
        sweep_into(tmp_path / "s", ASKED, [A, B, C], minutes=9, runner=stopped)
    assert stopped.names == ["a", "b"]
    runner = Runner()
    board = sweep_into(tmp_path / "s", ASKED, [A, B, C], minutes=9, runner=runner)
    assert runner.names == ["b", "c"] and len(board.done) == 3


def test_where_a_cut_training_goes_on(tmp_path: Path) -> None:
    assert run_folder(tmp_path, "a", is_again=False) == tmp_path / "a"
    (tmp_path / "a").mkdir()
    FolderLock(tmp_path / "a").release()
    assert run_folder(tmp_path, "a", is_again=True) == tmp_path / "a"  # nothing but a lock in it
    store.write_json(tmp_path / "a" / "split.json", {})
    assert run_folder(tmp_path, "a", is_again=False) == tmp_path / "a-again-2"
    store.write_json(tmp_path / "a" / "run.json", {})
    assert run_folder(tmp_path, "a", is_again=False) == tmp_path / "a"
    assert run_folder(tmp_path, "a", is_again=True) == tmp_path / "a-again-2"


def test_what_does_not_fit_into_the_time_waits(tmp_path: Path) -> None:
    runner = Runner(minutes=1.0)
    board = sweep_into(
        tmp_path / "s", ASKED, [A, B, C], minutes=2, runner=runner, clock=runner.clock
    )
    assert runner.names == ["a", "b"]
    assert (board.rows[-1].name, board.rows[-1].state) == ("c", "waiting")
    runner = Runner(minutes=9.0)  # at least one is tried, however short the time is
    sweep_into(tmp_path / "s", ASKED, [A, B, C], minutes=0.1, runner=runner, clock=runner.clock)
    assert runner.names == ["c"]
    assert runner.specs[0]["minutes"] == pytest.approx(0.1)


@pytest.mark.row(106)
def test_what_is_left_is_shared_out_so_that_all_of_it_takes_as_long_as_was_said(
    tmp_path: Path,
) -> None:
    runner = Runner()
    runner.takes = lambda spec: spec["minutes"]  # each takes what it has
    board = sweep_into(
        tmp_path / "s", ASKED, [A, B, C], minutes=1.5, runner=runner, clock=runner.clock
    )
    assert [spec["minutes"] for spec in runner.specs] == [0.75, 0.75]
    assert [row.state for row in board.rows] == ["done", "done", "waiting"]
    runner = Runner()
    runner.takes = lambda spec: 0.3  # quick ones leave the others more
    board = sweep_into(
        tmp_path / "t", ASKED, [A, B, C], minutes=1.5, runner=runner, clock=runner.clock
    )
    assert [spec["minutes"] for spec in runner.specs] == pytest.approx([0.75, 0.6, 0.9])
    assert len(board.done) == 3


@pytest.mark.row(106)
def test_no_candidate_begins_that_could_not_even_open_its_data(tmp_path: Path) -> None:
    runner = Runner()
    runner.takes = lambda spec: 0.8  # of which 0.5 minutes are training, see `Runner`
    board = sweep_into(
        tmp_path / "s", ASKED, [A, B], minutes=1.2, began=0.0, runner=runner, clock=runner.clock
    )
    assert runner.names == ["a"]
    assert board.rows[-1].note == "the time was up: the same line goes on with it"


@pytest.mark.parametrize(
    ("left", "each", "share"),
    [(9.0, 1.0, 1.0), (1.2, 1.0, 0.6), (0.4, 1.0, 0.4), (-1.0, 1.0, 0.01)],
)
def test_the_share_of_a_candidate(left: float, each: float, share: float) -> None:
    assert share_of(left, each) == pytest.approx(share)


def test_data_that_cannot_be_used_end_the_sweep_at_once(tmp_path: Path) -> None:
    def refuse(spec: Mapping[str, Any], limit: float) -> Ended:
        value = {"name": spec["name"], "state": "failed", "note": "There are no pictures."}
        path = Path(spec["folder"]) / "measured" / f"{spec['name']}.json"
        store.make_folders(path.parent)
        store.write_json(path, value)
        return Ended(DATA_CODE, "")

    with pytest.raises(DataError, match=r"^There are no pictures\.$"):
        sweep_into(tmp_path / "s", ASKED, [A, B], minutes=9, runner=refuse)


@pytest.mark.row(106)
def test_what_cannot_be_trained_in_its_time_waits_for_a_longer_one(tmp_path: Path) -> None:
    runner = Runner()

    def ends(spec: Mapping[str, Any], limit: float) -> Ended:
        if spec["minutes"] >= 2 or not spec["may_wait"]:
            return runner(spec, limit)
        runner.specs.append(dict(spec))
        write_failed(tmp_path / "s", spec["name"], spec["run"], "too short", state="waiting")
        return Ended(0, "")

    board = sweep_into(tmp_path / "s", ASKED, [A, B, C], minutes=9, runner=ends)
    # the first is trained however short the time is, so that there is a board
    assert [row.state for row in board.rows] == ["done", "waiting", "waiting"]
    assert [spec["may_wait"] for spec in runner.specs] == [False, True, True]
    told = text(board, tmp_path, tmp_path / "sweep.html")
    assert "b: too short" in told and "c: too short" in told
    longer = ASKED | {"minutes": 2.0}  # the same sweep, with more time for each
    board = sweep_into(tmp_path / "s", longer, [A, B, C], minutes=9, runner=ends)
    assert runner.names[3:] == ["b", "c"] and len(board.done) == 3
    assert all(spec["run"].endswith(spec["name"]) for spec in runner.specs)


def test_a_folder_is_of_one_question(tmp_path: Path) -> None:
    sweep_into(tmp_path / "s", ASKED, [A], minutes=9, runner=Runner())
    with pytest.raises(RunError, match=r"s holds a sweep of other data, another seed, or other"):
        sweep_into(tmp_path / "s", ASKED | {"seed": 1}, [A], minutes=9, runner=Runner())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"mine holds files, and no sweep\. Choose another folder"):
        sweep_into(tmp_path / "mine", ASKED, [A], minutes=9, runner=Runner())


def test_the_printed_board_fits_80_columns_and_says_what_may_be_said(tmp_path: Path) -> None:
    runner = Runner({"c": Ended(3, "drivetrain: The memory is full.")})
    long = Candidate("a", "a", "why")
    board = sweep_into(tmp_path / "s", ASKED, [long, B, C], minutes=9, runner=runner)
    said = text(board, Path("runs/sweep-photos"), Path("runs/sweep-photos/sweep.html"))
    lines = said.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("  drivetrain"))
    assert lines[0].split() == [
        "error",
        "95%",
        "interval",
        "train",
        "an",
        "item",
        "memory",
        "params",
    ]
    assert lines[1].startswith("*  a ") and lines[2].startswith(" = b ")
    joined = " ".join(lines)
    assert "a has the lowest error, 0.0400." in joined
    assert "As good within noise is b: item by item, the difference may be chance." in joined
    assert "Chosen as the best of 2 on these very items, its error looks lower than it is" in joined
    assert "The sealed test is for that" in joined
    assert "c: It ended with code 3. drivetrain: The memory is full." in joined


def test_a_damaged_measure_is_none(tmp_path: Path) -> None:
    runner = Runner()
    sweep_into(tmp_path, ASKED, [A], minutes=9, runner=runner)
    assert read_measured(tmp_path, "a") is not None and read_measured(tmp_path, "b") is None
    path = tmp_path / "measured" / "a.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert read_measured(tmp_path, "a") is None
    path.with_suffix(".json").write_text("[1]")
    assert read_measured(tmp_path, "a") is None


# --- what is tried --------------------------------------------------------------------------------


def names(*args: Any, **options: Any) -> list[str]:
    return [one.name for one in candidates(*args, **options)]


def test_candidates_suit_the_application_and_each_has_a_reason(
    photos: Path, tmp_path: Path
) -> None:
    small = candidates("vision", photos, {})
    assert small[0].name == "resnet_tiny-24"  # the pictures are 24 pixels wide
    every = [
        *small,
        *candidates("tabular", tmp_path, {}),
        *candidates("text", tmp_path, {}),
        *candidates("collab", tmp_path, {}),
        *candidates("collab", tmp_path, {}, implicit=True),
    ]
    assert all(one.reason.endswith(tuple("abcdefghijklmnopqrstuvwxyz0123456789?")) for one in every)
    for application in ("tabular", "text", "collab"):
        found = names(application, tmp_path, {})
        assert len(set(found)) == len(found) >= 4
    assert names("collab", tmp_path, {}, implicit=True)[:2] == ["als", "bpr"]


@pytest.mark.parametrize(
    ("application", "models", "sizes", "found"),
    [
        ("vision", ["resnet18", "resnet34"], [8, 16], 4),
        ("tabular", ["net", "forest"], [50, 20], 3),
        ("text", ["gru"], [10, 20], 2),
        ("collab", ["dot"], [5], 1),
    ],
)
def test_models_and_sizes_that_are_asked_for_are_all_that_is_tried(
    photos: Path, application: str, models: list[str], sizes: list[int], found: int
) -> None:
    assert len(names(application, photos, {}, models=models, sizes=sizes)) == found


TWO = ("--target", "casual", "--target", "registered")


@pytest.mark.row(118)
def test_of_several_numbers_those_are_tried_that_can_predict_them(tmp_path: Path) -> None:
    given = {"targets": ["casual", "registered"]}
    assert names("tabular", tmp_path, given) == ["linear", "net-200", "net-50", "net-500"]
    assert names("tabular", tmp_path, {"label_column": "casual, registered"})[0] == "linear"
    assert "boosting" in names("tabular", tmp_path, {"label_column": "casual"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["films", "--models", "als"], "--models: there is no model 'als' of ratings. Known: "),
        (["films", "--set", "lr=0.1"], "'lr': a sweep sets what is of a model itself, and "),
        (["rentals"], "is to be predicted? Say so with --target COLUMN."),
        (["rentals", "--target", "rentals", "--models", "forrest"], "Did you mean 'forest'?"),
        (
            ["rentals", "--target", "rentals", "--models", "tree", "--sizes", "4"],
            "only the net has",
        ),
        (["photos-that-are-not"], "There is no folder, file or sample 'photos-that-are-not'."),
        (["digits", "--sizes", "x"], "'x' is not a list of sizes such as 64,128."),
        (["digits", "--models", "a,,b"], "'a,,b' is not a list such as resnet18,resnet34."),
        (["digits", "--drop", "x"], "--drop: not for pictures, and "),
        (["digits", "--task", "language"], "a sweep compares classifiers and scorers."),
        (
            ["digits", *TWO],
            "--target is given 2 times: several are told of pictures that a CSV lists, or",
        ),
        (
            ["rentals", *TWO, "--models", "forest"],
            "'forest' predicts one column, and several --target",
        ),
    ],
)
def test_wrong_input_is_said_before_anything_is_trained(
    run: Any, words: list[str], said: str
) -> None:
    found = run("sweep", *words)
    assert found.exit_code == 2 and said in found.stderr, found.output
    assert not Path("runs").exists()


# --- processes ------------------------------------------------------------------------------------


@pytest.mark.row(106)
def test_memory_is_that_of_the_process_alone() -> None:
    code = (
        "from drivetrain.cli.trial import peak_bytes\n"
        "before = peak_bytes()\nblock = bytearray(80_000_000)\nprint(before, peak_bytes())"
    )
    held = bytearray(200_000_000)  # of the parent's, which the child must not be charged for
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    before, after = map(int, found.stdout.split())
    assert held and before < 100_000_000
    assert 70_000_000 < after - before < 120_000_000
    own = peak_bytes()
    assert own is not None and own > 200_000_000


def test_a_line_that_nobody_hears_is_no_error() -> None:
    code = (
        "import os, sys\n"
        "from drivetrain.cli.trial import _Heard\n"
        "sys.stderr = _Heard(sys.stderr)\n"
        "sys.stdin.read()\n"  # until the reader is gone
        "for _ in range(3):\n"
        "    sys.stderr.write('half of it\\n')\n"
        "    sys.stderr.flush()\n"
        "os._exit(0 if not sys.stderr.isatty() else 1)"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stderr=pipe) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stderr.close()
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.row(106)
def test_two_candidates_are_trained_measured_and_put_side_by_side(run: Any, tmp_path: Path) -> None:
    words = ["sweep", "digits", "--models", "resnet_tiny", "--sizes", "8,16", "--each", "0.2"]
    words += ["--minutes", "3", "--out", tmp_path / "s"]
    found = run(*words, "--json")
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert {row["name"] for row in document["rows"]} == {"resnet_tiny-8", "resnet_tiny-16"}
    for row in document["rows"]:
        assert row["state"] == "done" and row["parameters"] > 100_000
        assert row["peak_bytes"] > 200_000_000 and row["seconds"] > 0 and row["predict_ms"] > 0
        assert row["weights"] == "random" and row["sealed"] > 0
        check_error(row["error"], Path(row["run"]))
    one, other = document["rows"]
    splits = [json.loads((Path(row["run"]) / "split.json").read_text()) for row in (one, other)]
    assert splits[0]["valid"] == splits[1]["valid"]
    page = (tmp_path / "s" / "sweep.html").read_text()
    assert one["name"] in page and "http" not in page.split("</head>")[1]
    assert run("why", one["run"], "model").exit_code == 0  # each is a run like any other
    stamp = (Path(one["run"]) / "run.json").stat().st_mtime_ns
    assert json.loads(run(*words, "--json").stdout)["rows"] == document["rows"]
    assert (Path(one["run"]) / "run.json").stat().st_mtime_ns == stamp


@pytest.mark.slow
@pytest.mark.row(118)
def test_several_targets_are_swept_as_one_model_each(
    run: Any, photos: Path, tmp_path: Path
) -> None:
    lines = ["image,shape,corners"]
    for picture in sorted(photos.rglob("*.png")):
        shape = picture.parent.name
        lines.append(f"{picture},{shape},{'round' if shape == 'circle' else 'pointed'}")
    Path("leaves.csv").write_text("\n".join(lines))
    words = ["--target", "shape", "--target", "corners", "--models", "resnet_tiny", "--sizes", "16"]
    found = run("sweep", "leaves.csv", *words, "--minutes", "0.3", "--out", "s", "--json")
    assert found.exit_code == 0, found.output
    (row,) = json.loads(found.stdout)["rows"]
    record = json.loads(Path("s/resnet_tiny-16/run.json").read_text())
    valid = record["results"]["metrics"]["valid"]
    wrong = [1 - valid[f"{name} accuracy"] for name in ("shape", "corners")]
    assert row["error"] == pytest.approx(sum(wrong) / 2)
    rows = [f"{k % 9},{k % 5},{k % 9 + k % 5},{3 * (k % 5) - k % 9}" for k in range(200)]
    Path("t.csv").write_text("\n".join(["a,b,sum,other", *rows]))
    words = ["--target", "sum", "--target", "other", "--models", "linear,net", "--sizes", "8"]
    found = run("sweep", "t.csv", *words, "--minutes", "0.5", "--out", "t", "--json")
    assert found.exit_code == 0, found.output
    assert [row["name"] for row in json.loads(found.stdout)["rows"]] == ["linear", "net-8"]


@pytest.mark.slow
@pytest.mark.row(106)
def test_a_parent_that_dies_takes_the_training_with_it_and_it_goes_on(tmp_path: Path) -> None:
    """The parent is killed in the middle of the training; its child ends in order and is continued."""
    from drivetrain.samples import sample_folder

    folder = tmp_path / "s"
    spec = {
        **ASKED, **Candidate("a", "resnet_tiny", "why", {"size": 8}).to_json(), "kind": "candidate",
        "source": str(sample_folder("digits")), "folder": str(folder), "run": str(folder / "a"),
        "minutes": 0.4,
    }  # fmt: skip
    parent = (
        "import json, os, sys, threading, time\n"
        "from pathlib import Path\n"
        "from drivetrain.cli.trial import run_trial\n"
        "spec = json.loads(sys.argv[1])\n"
        "def watch():\n"
        "    while not Path(spec['run'], 'checkpoints').is_dir():\n"
        "        time.sleep(0.05)\n"
        "    os._exit(9)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "run_trial(spec, limit=300)\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", parent, json.dumps(spec)], check=False, timeout=200
    )
    assert died.returncode == 9 and read_measured(folder, "a") is None
    run = folder / "a"
    lock = _when_free(run)
    assert "results" not in json.loads((run / "run.json").read_text())
    lock.release()
    assert run_trial(spec, limit=300).code == 0
    found = read_measured(folder, "a")
    assert found is not None
    check_error(found[0].error, run)


def check_error(error: float | None, run: Path) -> None:
    """An error is that of the weights a training came to, in its record and where they are opened anew.

    How small it is depends on how many steps a busy machine makes in the time. That a training of
    pictures learns is tested where the steps are given, in `tests/vision/test_learner.py`.
    """
    record = json.loads((run / "run.json").read_text())
    assert sum(stage["steps_done"] for stage in record["journal"]) > 0
    assert error == pytest.approx(1 - record["results"]["metrics"]["valid"]["accuracy"])
    learner = dt.vision.reopen(run, progress=False)
    assert store.weights_sha256(learner.model.state_dict()) == record["results"]["weights_sha256"]
    assert error == pytest.approx(1 - learner.evaluate().metrics["accuracy"])


def _when_free(folder: Path) -> FolderLock:
    """The folder's lock, as soon as the process that trains in it has ended."""
    import time

    for _ in range(600):
        try:
            return FolderLock(folder)
        except RunError:
            time.sleep(0.1)
    raise AssertionError("the training goes on without its parent")
