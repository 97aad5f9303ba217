"""Loggers: what they write can be read back, each step is in it once, and they never end a training."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain import _disk, store
from drivetrain.errors import ConfigError, MissingPackageError
from drivetrain.train.callback import Callback, CancelFit
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.callbacks.log_to import LogTo
from drivetrain.train.loggers.base import RunStart, is_undone
from drivetrain.train.loggers.csv_file import CSVLogger
from drivetrain.train.loggers.jsonl_file import JSONLLogger
from drivetrain.train.run import Run
from tests.train.blobs import Grouped, learner, weights

BATCHES = 6
"""Of the blobs, 16 points each."""


class Memory:
    """A logger that keeps all it is told."""

    def __init__(self) -> None:
        self.starts: list[RunStart] = []
        self.rows: list[tuple[str, int, dict[str, float]]] = []
        self.ends: list[str] = []

    def start(self, run: RunStart) -> None:
        self.starts.append(run)

    def log(self, step: int, values: Mapping[str, float], kind: str) -> None:
        self.rows.append((kind, step, dict(values)))

    def flush(self) -> None:
        pass

    def finish(self, status: str) -> None:
        self.ends.append(status)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass

    def of(self, kind: str) -> list[tuple[int, dict[str, float]]]:
        return [(step, values) for k, step, values in self.rows if k == kind]


class Losses(Callback):
    """The loss of each batch as a number."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def after_loss(self, state: Any) -> None:
        self.seen.append(state.loss.item())


class KillAt(Callback):
    """Raises after so many batches of the fit, as a kill between two of them."""

    order = 1000

    def __init__(self, step: int) -> None:
        self.step = step

    def after_batch(self, state: Any) -> None:
        if state.step == self.step:
            raise KeyboardInterrupt


class EndAt(KillAt):
    """Ends the fit as a callback may."""

    def after_batch(self, state: Any) -> None:
        if state.step == self.step:
            raise CancelFit


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# --- what a logger is told --------------------------------------------------------------------------


def test_the_loss_of_every_third_step_and_each_epochs_row_are_logged() -> None:
    memory, losses = Memory(), Losses()
    one = learner(metrics=["accuracy"])
    one.fit(2, 0.01, callbacks=[LogTo(memory, every=3), losses])
    assert [step for step, _ in memory.of("step")] == [3, 6, 9, 12]
    for step, values in memory.of("step"):
        assert values == {"loss": losses.seen[step - 1], "lr": 0.01}
    assert [step for step, _ in memory.of("epoch")] == [BATCHES, 2 * BATCHES]
    for (_, values), row in zip(memory.of("epoch"), one.history, strict=True):
        assert {k: v for k, v in row.items() if k != "seconds"}.items() <= values.items()
    assert memory.ends == ["done"]
    start = memory.starts[0]
    assert (start.step, start.epoch, start.continues, start.folder) == (0, 0, False, None)
    assert start.settings["optimizer"] == "AdamW" and start.settings["seed"] == 42
    assert start.settings["batches_an_epoch"] == BATCHES


def test_a_second_fit_goes_on_in_the_count_of_steps_and_epochs() -> None:
    memory = Memory()
    one = learner(Grouped(), callbacks=[LogTo(memory, every=6)])
    one.fine_tune(2, 1e-2)
    assert [step for step, _ in memory.of("step")] == [6, 12, 18]
    assert [values["epoch"] for _, values in memory.of("epoch")] == [0, 1, 2]
    assert [(s.step, s.epoch, s.continues) for s in memory.starts] == [(0, 0, False), (6, 1, True)]
    first, second = memory.of("step")[0][1], memory.of("step")[1][1]
    assert set(first) == {"loss", "lr"}  # the head alone
    assert set(second) == {"loss", "lr_0", "lr_1", "lr_2"}
    assert second["lr_2"] == pytest.approx(100 * second["lr_0"])


def test_logging_leaves_the_training_as_it_is(tmp_path: Path) -> None:
    plain, logged = learner(), learner(callbacks=[LogTo(CSVLogger(tmp_path / "a.csv"), every=1)])
    plain.fit_one_cycle(2, 0.01)
    logged.fit_one_cycle(2, 0.01)
    assert weights(logged) == weights(plain)


def test_the_loss_is_the_one_before_other_callbacks_scaled_it() -> None:
    class Halve(Callback):
        adjusts = ("loss",)

        def after_loss(self, state: Any) -> None:
            state.loss = state.loss / 2

    memory, halved, plain = Memory(), learner(), Memory()
    halved.fit(1, 1e-9, callbacks=[LogTo(memory, every=1), Halve()])
    learner().fit(1, 1e-9, callbacks=[LogTo(plain, every=1)])
    for (_, ours), (_, theirs) in zip(memory.of("step"), plain.of("step"), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)


def test_no_step_waits_for_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()
    read = torch.Tensor.tolist
    memory = Memory()
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "tolist", lambda self: (next(calls), read(self))[1])
        learner().fit(4, callbacks=[LogTo(memory, every=1)])
    assert len(memory.of("step")) == 4 * BATCHES
    # once an epoch for 6 losses; what else reads a tensor as a list in an epoch is the metrics' work
    assert next(calls) <= 4


def test_a_cancelled_batch_has_no_row() -> None:
    class Skip(Callback):
        def before_batch(self, state: Any) -> None:
            if state.step == 2:
                from drivetrain.train.callback import CancelBatch

                raise CancelBatch

    memory = Memory()
    learner().fit(1, callbacks=[LogTo(memory, every=1), Skip()])
    assert [step for step, _ in memory.of("step")] == [1, 2, 4, 5, 6]


@pytest.mark.parametrize(
    ("end", "status"), [(EndAt(3), "cancelled"), (KillAt(3), "failed")], ids=["cancel", "error"]
)
def test_how_a_fit_ended_is_told(end: Callback, status: str) -> None:
    memory = Memory()
    one = learner()
    if status == "failed":
        with pytest.raises(KeyboardInterrupt):
            one.fit(1, callbacks=[LogTo(memory, every=1), end])
    else:
        one.fit(1, callbacks=[LogTo(memory, every=1), end])
    assert memory.ends == [status]
    assert [step for step, _ in memory.of("step")][:2] == [1, 2]


def test_epochs_only() -> None:
    memory = Memory()
    learner().fit(2, callbacks=[LogTo(memory, every=None)])
    assert [kind for kind, _, _ in memory.rows] == ["epoch", "epoch"]


def test_wrong_arguments_are_answered() -> None:
    with pytest.raises(
        ConfigError, match=r"^`LogTo` needs a logger, such as `LogTo\(CSVLogger\('log.csv'\)\)`\.$"
    ):
        LogTo()
    with pytest.raises(
        ConfigError, match=r"^`LogTo` needs `every` of at least 1, or None\. Got 0\.$"
    ):
        LogTo(Memory(), every=0)


# --- a logger that fails ----------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["start", "log", "flush", "finish"])
def test_a_failing_logger_is_named_once_and_is_off(event: str, capsys: Any) -> None:
    class Broken(Memory):
        pass

    def fail(self: Any, *args: Any) -> None:
        raise OSError(28, "No space left on device\nat all")

    setattr(Broken, event, fail)
    broken, memory = Broken(), Memory()
    one, plain = learner(), learner()
    one.fit(2, callbacks=[LogTo(broken, memory, every=1)])
    plain.fit(2)
    assert weights(one) == weights(plain)
    assert len(memory.of("step")) == 2 * BATCHES and memory.ends == ["done"]
    assert capsys.readouterr().err == (
        "Broken failed and is off for the rest of this training, which goes on: "
        "[Errno 28] No space left on device at all\n"
    )


def test_a_full_disk_ends_the_log_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    class Full(_disk.Disk):
        def write(self, descriptor: int, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(_disk, "disk", Full())
    one = learner()
    one.fit(2, callbacks=[LogTo(CSVLogger(tmp_path / "a.csv"), every=2)])
    assert len(one.history) == 2
    assert capsys.readouterr().err == (
        "CSVLogger failed and is off for the rest of this training, which goes on: Could not write "
        f"{tmp_path / 'a.csv'}: No space left on device. Free space or choose another folder.\n"
    )


# --- CSV and JSON lines -----------------------------------------------------------------------------


def test_a_csv_reads_back_to_the_same_numbers(tmp_path: Path) -> None:
    memory = Memory()
    path = tmp_path / "logs" / "a.csv"
    learner(metrics=["accuracy"]).fit(2, callbacks=[LogTo(memory, CSVLogger(path), every=4)])
    rows = read_csv(path)
    assert b"\r" not in path.read_bytes()
    assert list(rows[0])[:4] == ["kind", "step", "loss", "lr"]
    assert [(row["kind"], int(row["step"])) for row in rows] == [
        ("step", 4),
        ("epoch", 6),
        ("step", 8),
        ("step", 12),
        ("epoch", 12),
    ]
    for row, (kind, step, values) in zip(rows, memory.rows, strict=True):
        numbers = {k: float(v) for k, v in row.items() if k not in ("kind", "step") and v}
        assert (row["kind"], int(row["step"]), numbers) == (kind, step, values)


def test_a_csv_takes_new_columns_later_and_names_with_commas_and_quotes(tmp_path: Path) -> None:
    log = CSVLogger(tmp_path / "a.csv")
    log.start(RunStart("x", None, 0, 0, continues=False))
    log.log(1, {"loss": 0.1}, "step")
    log.flush()
    log.log(2, {"loss": math.nan, 'a "b", c': 1e-300}, "step")
    log.log(3, {"late": math.inf}, "step")
    log.finish("done")
    text = (tmp_path / "a.csv").read_text()
    assert text.splitlines()[0] == 'kind,step,loss,"a ""b"", c",late'
    rows = read_csv(tmp_path / "a.csv")
    assert rows[0] == {"kind": "step", "step": "1", "loss": "0.1", 'a "b", c': "", "late": ""}
    assert rows[1]['a "b", c'] == "1e-300" and rows[1]["loss"] == "nan"
    assert rows[2]["late"] == "inf" and rows[2]["loss"] == ""


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_any_float_reads_back_to_the_same_bits_from_csv_and_json_lines(
    tmp_path_factory: Any, values: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    for log in (CSVLogger(folder / "a.csv"), JSONLLogger(folder / "a.jsonl")):
        log.start(RunStart("x", None, 0, 0, continues=False))
        for step, value in enumerate(values, 1):
            log.log(step, {"loss": value}, "step")
        log.finish("done")
    from_csv = [float(row["loss"]) for row in read_csv(folder / "a.csv")]
    from_json = [float(row["loss"]) for row in store.read_lines(folder / "a.jsonl")]
    assert list(map(repr, from_csv)) == list(map(repr, values)) == list(map(repr, from_json))


def test_json_lines_are_json_and_carry_a_checksum(tmp_path: Path) -> None:
    memory, path = Memory(), tmp_path / "a.jsonl"
    learner().fit(2, callbacks=[LogTo(memory, JSONLLogger(path), every=4)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(len(line.pop("crc32")) == 8 for line in lines)
    assert lines == [{"kind": k, "step": s, **v} for k, s, v in memory.rows]
    assert store.read_lines(path) == lines


@pytest.mark.parametrize("kind", [CSVLogger, JSONLLogger])
def test_a_log_of_another_training_is_moved_aside(tmp_path: Path, kind: Any) -> None:
    suffix = "csv" if kind is CSVLogger else "jsonl"
    path = tmp_path / f"a.{suffix}"
    for _ in range(3):
        learner().fit(1, callbacks=[LogTo(kind(path), every=2)])
    files = sorted(file.name for file in tmp_path.iterdir())
    assert files == [f"a.1.{suffix}", f"a.2.{suffix}", f"a.{suffix}"]
    sizes = {len(file.read_text().splitlines()) for file in tmp_path.iterdir()}
    assert len(sizes) == 1  # all three are whole


def test_a_new_logger_appends_where_the_training_goes_on(tmp_path: Path) -> None:
    one = learner()
    for _ in range(2):
        one.fit(1, callbacks=[LogTo(CSVLogger(tmp_path / "a.csv"), every=2)])
    assert [int(row["step"]) for row in read_csv(tmp_path / "a.csv")] == [2, 4, 6, 6, 8, 10, 12, 12]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_foreign_file_is_left_alone(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,price\nbolt,3\n")
    learner().fit(1, callbacks=[LogTo(CSVLogger(path), every=2)])
    assert path.read_text() == "name,price\nbolt,3\n"
    assert "is no log of Drivetrain" in capsys.readouterr().err


# --- after a kill -----------------------------------------------------------------------------------


def logged_in_two(make: Any, folder: Path, *, kill: int, checkpoint: int) -> None:
    """A training with a run that is killed at a step, and goes on in what could be a new process."""
    cut = learner(Grouped(), out=folder / "run", metrics=["accuracy"])
    with pytest.raises(KeyboardInterrupt):
        cut.fit(3, callbacks=[LogTo(make(), every=1), KillAt(kill), Checkpoint(steps=checkpoint)])
    again = learner(Grouped(), metrics=["accuracy"])
    again.open_run(Run.open(folder / "run"))
    again.resume(callbacks=[LogTo(make(), every=1), KillAt(10**9), Checkpoint(steps=checkpoint)])
    again.run.release()


def logged_at_once() -> Memory:
    memory = Memory()
    learner(Grouped(), metrics=["accuracy"]).fit(3, callbacks=[LogTo(memory, every=1)])
    return memory


def without_seconds(rows: Any) -> list[Any]:
    return [(k, s, {n: v for n, v in values.items() if n != "seconds"}) for k, s, values in rows]


@pytest.mark.parametrize(("kill", "checkpoint"), [(3, 100), (9, 4), (11, 7), (14, 2), (17, 6)])
def test_after_a_kill_each_step_is_in_the_csv_once(
    tmp_path: Path, kill: int, checkpoint: int
) -> None:
    path = tmp_path / "a.csv"
    logged_in_two(lambda: CSVLogger(path), tmp_path, kill=kill, checkpoint=checkpoint)
    found = [
        (
            row["kind"],
            int(row["step"]),
            {n: float(v) for n, v in row.items() if n not in ("kind", "step") and v},
        )
        for row in read_csv(path)
    ]
    assert without_seconds(found) == without_seconds(logged_at_once().rows)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "run"]


@pytest.mark.parametrize(("kill", "checkpoint"), [(9, 4), (14, 2)])
def test_after_a_kill_each_step_is_in_the_json_lines_once(
    tmp_path: Path, kill: int, checkpoint: int
) -> None:
    path = tmp_path / "a.jsonl"
    logged_in_two(lambda: JSONLLogger(path), tmp_path, kill=kill, checkpoint=checkpoint)
    found = [(r.pop("kind"), r.pop("step"), r) for r in store.read_lines(path)]
    assert without_seconds(found) == without_seconds(logged_at_once().rows)


def test_a_row_that_a_kill_tore_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("kind,step,loss\nstep,1,0.5\nstep,2,0.2")
    log = CSVLogger(path)
    log.start(RunStart("x", None, 1, 0, continues=True))
    log.log(2, {"loss": 0.25}, "step")
    log.finish("done")
    assert path.read_text() == "kind,step,loss\nstep,1,0.5\nstep,2,0.25\n"


def test_the_row_of_an_epoch_whose_validation_is_done_again_is_undone() -> None:
    """A checkpoint after the epoch's last batch, a kill after the epoch's row: same step, not done."""
    start = RunStart("x", None, step=6, epoch=0, continues=True)
    assert is_undone(6, 0, start)
    assert not is_undone(6, None, start)
    assert is_undone(7, None, start)
    assert not is_undone(6, 0, RunStart("x", None, step=6, epoch=1, continues=True))


# --- TensorBoard ------------------------------------------------------------------------------------


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


@pytest.fixture
def tensorboard() -> Any:
    pytest.importorskip("tensorboard")
    from drivetrain.train.loggers.tensorboard import TensorBoardLogger

    return TensorBoardLogger


def test_tensorboard_reads_the_losses_and_the_epochs(tmp_path: Path, tensorboard: Any) -> None:
    memory = Memory()
    learner(metrics=["accuracy"]).fit(2, callbacks=[LogTo(memory, tensorboard(tmp_path), every=4)])
    steps, epochs = scalars(tmp_path / "steps"), scalars(tmp_path / "epochs")
    assert set(steps) == {"loss", "lr"}
    assert set(epochs) == {"train_loss", "valid_loss", "accuracy", "seconds"}
    expected = [(step, values["loss"]) for step, values in memory.of("step")]
    assert [step for step, _ in steps["loss"]] == [step for step, _ in expected]
    for (_, found), (_, value) in zip(steps["loss"], expected, strict=True):
        assert found == pytest.approx(value, rel=1e-6)  # events are float32
    assert [step for step, _ in epochs["valid_loss"]] == [1, 2]
    assert [v for _, v in epochs["accuracy"]] == pytest.approx(
        [values["accuracy"] for _, values in memory.of("epoch")]
    )


@pytest.mark.parametrize(("kill", "checkpoint"), [(9, 4), (14, 2)])
def test_after_a_kill_tensorboard_has_each_step_once(
    tmp_path: Path, tensorboard: Any, kill: int, checkpoint: int
) -> None:
    logged_in_two(lambda: tensorboard(tmp_path / "tb"), tmp_path, kill=kill, checkpoint=checkpoint)
    steps, epochs = scalars(tmp_path / "tb" / "steps"), scalars(tmp_path / "tb" / "epochs")
    assert [step for step, _ in steps["loss"]] == list(range(1, 3 * BATCHES + 1))
    assert [step for step, _ in epochs["valid_loss"]] == [1, 2, 3]
    whole = logged_at_once()
    assert [v for _, v in steps["loss"]] == pytest.approx(
        [values["loss"] for _, values in whole.of("step")], rel=1e-6
    )


def test_a_missing_tensorboard_is_said_at_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from drivetrain.train.loggers.tensorboard import TensorBoardLogger

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(
        MissingPackageError,
        match=r"^`tensorboard` is not installed\. "
        r"Install it with: pip install 'drivetrain\[log\]'\.$",
    ):
        TensorBoardLogger(tmp_path)


# --- MLflow -----------------------------------------------------------------------------------------


@pytest.fixture
def mlflow_logger(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # put back afterwards, as is the next
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from drivetrain.train.loggers.mlflow import MLflowLogger

    return MLflowLogger


@pytest.mark.slow
@pytest.mark.parametrize(("kill", "checkpoint"), [(9, 4), (14, 2)])
def test_after_a_kill_mlflow_has_one_run_with_each_step_once(
    tmp_path: Path, mlflow_logger: Any, kill: int, checkpoint: int
) -> None:
    from mlflow import MlflowClient

    logged_in_two(
        lambda: mlflow_logger("blobs", tmp_path / "ml"),
        tmp_path,
        kill=kill,
        checkpoint=checkpoint,
    )
    client = MlflowClient(tracking_uri=(tmp_path / "ml").as_uri())
    experiment = client.get_experiment_by_name("blobs")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "run"
    assert run.data.params["optimizer"] == "AdamW" and run.data.params["epochs"] == "3"
    whole = logged_at_once()
    losses = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((m.step, m.value) for m in losses) == [
        (step, values["loss"]) for step, values in whole.of("step")
    ]
    accuracy = client.get_metric_history(run.info.run_id, "accuracy")
    assert sorted((m.step, m.value) for m in accuracy) == [
        (step, values["accuracy"]) for step, values in whole.of("epoch")
    ]


@pytest.mark.slow
def test_a_server_that_is_gone_does_not_end_the_training(
    mlflow_logger: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    one = learner()
    one.fit(1, callbacks=[LogTo(mlflow_logger("blobs", "http://127.0.0.1:1"), every=2)])
    assert len(one.history) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        "MLflowLogger failed and is off for the rest of this training, which goes on: "
    )
    assert err.count("\n") == 1
