"""The run folder: who may make one, what is read back, and what a damaged one answers."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from drivetrain import store
from drivetrain.errors import RunError, StorageError
from drivetrain.train.run import Run, read_model, versions


def today() -> str:
    """At the call, and not at the import: a test run may go over midnight."""
    return datetime.date.today().isoformat()


def tensors(value: float) -> dict[str, Tensor]:
    return {"weight": torch.full((2, 3), value)}


def message(error: type[Exception], call) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


# --- making ---------------------------------------------------------------------------------------


def test_a_new_folder_is_made_with_those_above_it(tmp_path: Path):
    run = Run.create(tmp_path / "runs" / "first")
    assert run.folder == tmp_path / "runs" / "first"
    assert run.folder.is_dir()
    assert repr(run) == f"Run({str(run.folder)!r})"


def test_an_empty_folder_is_taken(tmp_path: Path):
    assert Run.create(tmp_path).folder == tmp_path


@pytest.mark.parametrize("name", ["run.json", "thesis.txt", ".hidden"])
def test_what_is_there_is_not_written_over(tmp_path: Path, name: str):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / name).write_text("years of work")
    assert message(RunError, lambda: Run.create(tmp_path / "a b")) == (
        f"{tmp_path / 'a b'} already holds files. Choose another folder with --out"
        + (
            f", or continue it with: drivetrain resume '{tmp_path / 'a b'}'"
            if name == "run.json"
            else "."
        )
    )
    assert (tmp_path / "a b" / name).read_text() == "years of work"


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path):
    (tmp_path / "run").write_text("")
    assert message(StorageError, lambda: Run.create(tmp_path / "run")) == (
        f"Could not make the run folder {tmp_path / 'run'}: File exists."
    )
    assert message(StorageError, lambda: Run.create(tmp_path / "run" / "deeper")) == (
        f"Could not make the run folder {tmp_path / 'run' / 'deeper'}: File exists."
    )


def test_dated_folders_of_one_name_are_numbered(tmp_path: Path):
    names = [Run.create_dated(tmp_path / "runs", "photos").folder.name for _ in range(3)]
    assert names == [f"{today()}-photos", f"{today()}-photos-2", f"{today()}-photos-3"]


def test_two_programs_never_share_a_dated_folder(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: Run.create_dated(tmp_path, "photos"), range(24)))
    assert len({run.folder for run in runs}) == 24
    assert all(run.folder.is_dir() for run in runs)


def test_a_file_under_the_dated_name_is_stepped_over(tmp_path: Path):
    (tmp_path / f"{today()}-photos").write_text("")
    assert Run.create_dated(tmp_path, "photos").folder.name == f"{today()}-photos-2"


def test_a_file_in_place_of_the_parent_is_named(tmp_path: Path):
    (tmp_path / "runs").write_text("")
    folder = tmp_path / "runs" / f"{today()}-photos"
    assert message(StorageError, lambda: Run.create_dated(tmp_path / "runs", "photos")) == (
        f"Could not make the run folder {folder}: a file is in its way."
    )


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("my photos", "my-photos"),
        ("../../etc", "etc"),
        ("a/b\\c", "a-b-c"),
        ("été", "été"),
        ("…", "run"),
        ("", "run"),
        ("x" * 300, "x" * 80),
        ("-rf", "rf"),
    ],
)
def test_any_name_becomes_one_folder_below_the_parent(tmp_path: Path, name: str, becomes: str):
    run = Run.create_dated(tmp_path, name)
    assert run.folder == tmp_path / f"{today()}-{becomes}"


# --- opening --------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path):
    run = Run.create(tmp_path)
    run.write({"seed": 7, "loss": float("nan")})
    run.write_split({"train": ["a"], "valid": ["b"]})
    run.write_quarantine([{"id": "c", "reason": "empty", "detail": "It is empty."}])
    again = Run.open(tmp_path)
    assert again.read() == {"format": 1, "seed": 7, "loss": "nan"}
    assert again.read_split() == {"train": ["a"], "valid": ["b"]}
    assert store.read_lines(tmp_path / "quarantine.jsonl") == [
        {"id": "c", "reason": "empty", "detail": "It is empty."}
    ]


def test_a_folder_that_is_not_there(tmp_path: Path):
    assert message(RunError, lambda: Run.open(tmp_path / "no")) == (
        f"{tmp_path / 'no'} is not a run folder: there is no such folder."
    )


def test_a_folder_without_a_run(tmp_path: Path):
    assert message(RunError, lambda: Run.open(tmp_path)) == (
        f"{tmp_path} is not a run folder: it has no run.json."
    )


def test_a_run_of_a_later_form_is_not_guessed_at(tmp_path: Path):
    record = {"format": 2, "versions": {"drivetrain": "9.0"}}
    store.write_json(tmp_path / "run.json", record)
    assert message(RunError, lambda: Run.open(tmp_path)) == (
        f"{tmp_path} has the form 2, this version of Drivetrain reads 1. "
        "Open it with the version that made it: Drivetrain 9.0."
    )


def test_a_run_json_of_something_else(tmp_path: Path):
    store.write_json(tmp_path / "run.json", {"scripts": {}})
    assert message(RunError, lambda: Run.open(tmp_path)) == (
        f"{tmp_path} is not a run folder: its run.json was not written by Drivetrain."
    )


def test_a_run_json_that_is_no_object(tmp_path: Path):
    store.write_json(tmp_path / "run.json", [1])
    assert message(RunError, lambda: Run.open(tmp_path)) == (
        f"{tmp_path / 'run.json'} does not hold a JSON object."
    )


def test_a_run_json_that_was_cut(tmp_path: Path):
    (tmp_path / "run.json").write_text('{"format": 1, "se')
    text = message(RunError, lambda: Run.open(tmp_path))
    assert text.startswith(f"{tmp_path / 'run.json'} is not JSON (")
    assert text.endswith("). Restore it from a copy.")


def test_versions_are_those_a_result_depends_on():
    assert set(versions()) == {"drivetrain", "torch", "numpy", "python"}
    assert versions()["torch"] == torch.__version__


# --- the log --------------------------------------------------------------------------------------


def test_the_log_keeps_the_last_row_of_an_epoch(tmp_path: Path):
    run = Run.create(tmp_path)
    for epoch, loss in ((0, 0.9), (1, 0.8), (2, 0.7), (1, 0.6)):
        run.log({"epoch": epoch, "train_loss": loss})
    assert [(row["epoch"], row["train_loss"]) for row in run.read_log()] == [
        (0, 0.9),
        (1, 0.6),
        (2, 0.7),
    ]


def test_a_row_cut_by_a_kill_is_forgotten(tmp_path: Path):
    run = Run.create(tmp_path)
    run.log({"epoch": 0})
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"epoch": 1, "tra')
    assert run.read_log() == [{"epoch": 0}]
    run.log({"epoch": 1})
    assert run.read_log() == [{"epoch": 0}, {"epoch": 1}]


def test_a_line_that_is_no_row_is_forgotten(tmp_path: Path):
    (tmp_path / "log.jsonl").write_text('12\n{"epoch": 7}\n')  # without the sum of its bits
    store.append_line(tmp_path / "log.jsonl", {"note": "no epoch"})
    store.append_line(tmp_path / "log.jsonl", {"epoch": 0})
    assert Run(tmp_path).read_log() == [{"epoch": 0}]


def test_a_run_without_a_log_has_no_rows(tmp_path: Path):
    assert Run(tmp_path).read_log() == []


# --- the model that predicts ----------------------------------------------------------------------


def with_model(folder: Path) -> Path:
    run = Run.create(folder)
    run.write({})
    run.save_model(tensors(1.0), {"classes": ["a", "b"]})
    return folder


def test_the_model_is_read_from_the_run_and_from_its_own_folder(tmp_path: Path):
    folder = with_model(tmp_path)
    for place in (folder, folder / "model"):
        found, description = read_model(place)
        assert torch.equal(found["weight"], tensors(1.0)["weight"])
        assert description["classes"] == ["a", "b"]


def test_a_model_that_is_not_finished_says_how_to_finish_it(tmp_path: Path):
    Run.create(tmp_path).write({})
    assert message(RunError, lambda: read_model(tmp_path)) == (
        f"{tmp_path} has no model yet: its training did not finish. "
        f"Finish it with: drivetrain resume {tmp_path}"
    )


def test_a_folder_that_holds_no_model(tmp_path: Path):
    assert message(RunError, lambda: read_model(tmp_path)) == (
        f"{tmp_path} is neither a run folder nor a model folder: it has no model.json."
    )


def test_a_model_folder_that_is_not_there(tmp_path: Path):
    assert message(RunError, lambda: read_model(tmp_path / "no")) == (
        f"{tmp_path / 'no'} does not exist. Give the folder of a run, or of a model."
    )


def test_a_damaged_model_is_refused(tmp_path: Path):
    weights = with_model(tmp_path) / "model" / "model.safetensors"
    flip_a_byte(weights)
    assert message(RunError, lambda: read_model(tmp_path)) == (
        f"{weights} is damaged: its SHA-256 is not the one recorded. Restore it from a copy."
    )


def test_a_model_without_its_weights_is_refused(tmp_path: Path):
    weights = with_model(tmp_path) / "model" / "model.safetensors"
    weights.unlink()
    assert message(RunError, lambda: read_model(tmp_path)) == f"{weights} does not exist."


@pytest.mark.parametrize("content", [[], {"format": 2}, {}])
def test_a_model_of_another_form_is_refused(tmp_path: Path, content):
    store.write_json(tmp_path / "model.json", content)
    assert message(RunError, lambda: read_model(tmp_path)) == (
        f"{tmp_path / 'model.json'} is not of a form that this version of Drivetrain reads."
    )
