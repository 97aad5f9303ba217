"""Runs and models from strangers: what each check says, one by one."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from drivetrain import vision
from drivetrain.cli.exits import visible
from drivetrain.errors import (
    ConfigError,
    DrivetrainError,
    NonFiniteError,
    RunError,
    StorageError,
    UnknownNameError,
)
from drivetrain.locks import FolderLock
from drivetrain.models.build import build_from, shapes_of
from drivetrain.models.device import threads
from drivetrain.models.table import model_info
from drivetrain.store import file_sha256
from drivetrain.train.journal import Stage
from drivetrain.train.run import Run, check_form, said_as_damage
from drivetrain.vision.described import read_description
from tests.security.sound import SoundFolders

TINY = {"name": "resnet_tiny", "num_classes": 2, "in_channels": 3, "dropout": 0.5}


@pytest.fixture
def run(sound_folders: SoundFolders, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound_folders.run, tmp_path / "run"))


def edited(path: Path, edit: Callable[[dict], None]) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


# --- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["run.json", "log.jsonl", "model", "model/model.safetensors", ".lock"]
)
def test_a_link_in_a_run_is_refused(run: Path, name: str):
    path = run / name
    if path.exists():
        shutil.move(path, run.parent / "away")
    path.symlink_to(run.parent / "away")
    for opened in (Run.open, vision.load):
        with pytest.raises(RunError) as caught:
            opened(run)
        assert str(caught.value) == (
            f"{path} is a link. Put the file or folder itself in its place."
        )


def test_a_log_that_is_another_file_too_is_refused(run: Path):
    os.link(run / "log.jsonl", run.parent / "other")
    with pytest.raises(
        RunError, match=r"log\.jsonl is a file of another folder too \(a hard link\)"
    ):
        Run.open(run)


def test_the_lock_writes_through_no_link(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").symlink_to(victim)
    with pytest.raises(StorageError, match=r"^Could not lock "):
        FolderLock(folder)
    (folder / ".lock").unlink()
    os.link(victim, folder / ".lock")
    FolderLock(folder).release()
    assert victim.read_text() == "mine"


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["hf_hub:timm/resnet18", "hf-hub:x", "local-dir:/tmp", "../resnet18", "resnet18./etc/passwd",
     "os:system", "resnet18.evil", "resnet18\n", "", "x" * 10_000, None, ["resnet18"],
     {"name": "resnet18"}, 18],
)  # fmt: skip
def test_only_names_of_tables_are_names_of_models(name: object):
    with pytest.raises(UnknownNameError) as caught:
        model_info(name)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_classes", 0), ("num_classes", True), ("num_classes", "2"), ("num_classes", 10**12),
     ("in_channels", 10**12), ("in_channels", 1.5), ("dropout", "0.5"),
     ("dropout", True), ("dropout", 7)],
)  # fmt: skip
def test_numbers_of_a_description_are_in_their_bounds(key: str, value: object):
    with pytest.raises(ConfigError):
        build_from(TINY | {key: value})


def test_shapes_are_those_of_the_model_and_take_no_memory():
    model = build_from(TINY)
    expected = {name: (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}
    assert shapes_of(TINY) == expected
    giant = shapes_of(TINY | {"name": "vit_giant_patch14_224"})
    assert sum(torch.Size(shape).numel() for _, shape in giant.values()) > 10**9


def test_a_giant_with_small_weights_is_refused(run: Path):
    edited(run / "model" / "model.json", lambda v: v["model"].update(name="vit_giant_patch14_224"))
    with pytest.raises(RunError, match=r"holds the weights of another model \(missing: "):
        vision.load(run)
    edited(run / "run.json", lambda v: v["model"].update(name="vit_giant_patch14_224"))
    with pytest.raises(
        RunError, match=r"holds the weights of another model than vit_giant_patch14_224"
    ):
        vision.resume(run, progress=False)


# --- what a folder says ---------------------------------------------------------------------------

SOUND = {
    "model": TINY,
    "classes": ["dark", "light"],
    "preprocessing": {"size": [8, 8], "resize": "crop", "mean": [0.5] * 3, "std": [0.5] * 3},
    "num_threads": 1,
}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": None}, "its model.json has no 'model'"),
        ({"classes": []}, "its model.json has no 'classes'"),
        ({"classes": ["a", 1]}, "its 'classes' are not texts of at most 1000 letters"),
        ({"classes": ["a", "x" * 1001]}, "its 'classes' are not texts of at most 1000 letters"),
        ({"classes": ["a", "a"]}, "two of its 'classes' have the same name"),
        ({"classes": ["a", "b", "c"]}, "it gives 2 scores for 3 classes"),
        ({"size": [8]}, "its 'size' is not a height and a width"),
        ({"size": [8, 10**9]}, "its 'size' is not a height and a width in pixels"),
        ({"resize": "os.system"}, "its 'resize' is none of crop, squish, pad"),
        ({"mean": [0.5]}, "its 'mean' is not three numbers, one a channel"),
        ({"mean": [1e308] * 3}, "its 'mean' is not three numbers, one a channel"),
        ({"std": [0.0] * 3}, "its 'std' is not above 0"),
        ({"std": [5e-324] * 3}, "its 'std' is not above 0"),
        ({"num_threads": 10**9}, "its 'num_threads' is not a number from 1 to 1024"),
    ],
)
def test_a_description_is_checked_in_words(changes: dict, why: str):
    prepared = {
        **SOUND["preprocessing"],
        **{k: v for k, v in changes.items() if k in SOUND["preprocessing"]},
    }
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        read_description(
            SOUND | {k: v for k, v in changes.items() if k in SOUND} | {"preprocessing": prepared}
        )


def test_a_sound_description_passes():
    assert read_description(SOUND).size == (8, 8)


def test_a_model_that_answers_nan_is_said(run: Path, sound_folders: SoundFolders):
    from safetensors.torch import load_file, save_file

    weights = run / "model" / "model.safetensors"
    tensors = load_file(weights)
    tensors["head.scores.weight"][:] = torch.nan
    save_file(tensors, weights)
    edited(run / "model" / "model.json", lambda v: v.update(sha256=file_sha256(weights)))
    predictor = vision.load(run)
    for answered in (
        lambda: predictor.predict(sound_folders.picture),
        lambda: predictor.evaluate(sound_folders.pictures),
    ):
        with pytest.raises(
            NonFiniteError, match=r"are NaN or infinite: its weights or its preproc"
        ):
            answered()


def test_a_model_without_its_hash_is_refused(run: Path):
    edited(run / "model" / "model.json", lambda v: v.pop("sha256"))
    with pytest.raises(RunError, match=r"model\.json does not say what its tensors' SHA-256 is\.$"):
        vision.load(run)


def test_threads_are_a_number_that_a_machine_has():
    for count in (0, -1, 10**9, True, "2"):
        with (
            pytest.raises(ConfigError, match=r"^`num_threads` must be from 1 to 1024\. Got "),
            threads(count),
        ):
            pass


# --- a run's record -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["save", "__init__", "eject", "load", "resume"])
def test_a_plan_calls_nothing_but_a_training(run: Path, method: str):
    """It is a name that comes from the folder, and a method that is called by it."""
    edited(run / "run.json", lambda v: v["plan"].update(method=method))
    with pytest.raises(
        RunError, match=r"its 'plan\.method' is none of fit, fit_one_cycle, fine_tune\. "
    ):
        vision.resume(run, progress=False)


@pytest.mark.parametrize(
    ("name", "value"), [("seed", "42"), ("seed", True), ("settings", [1]), ("callbacks", None)]
)
def test_a_record_of_another_form_is_refused(run: Path, name: str, value: object):
    edited(run / "run.json", lambda v: v.update({name: value}))
    with pytest.raises(
        RunError, match=rf"run\.json cannot be used: its '{name}.*' is missing, or not what"
    ):
        vision.resume(run, progress=False)


def test_what_a_record_makes_fail_is_its_damage(tmp_path: Path):
    with pytest.raises(RunError) as caught, said_as_damage(tmp_path / "run.json"):
        {}["\x1b[2J"]
    assert str(caught.value) == (
        f"{tmp_path / 'run.json'} cannot be used: it holds what Drivetrain does not write "
        "(KeyError: \"'\\\\x1b[2J'\"). Restore it from a copy."
    )
    with pytest.raises(ConfigError, match=r"^As it is\.$"), said_as_damage(tmp_path):
        raise ConfigError("As it is.")


def test_a_form_names_the_entry_that_is_wrong(tmp_path: Path):
    check_form({"a": {"b": 1}, "more": 2}, {"a": {"b": int}}, tmp_path)
    for record in ({"a": {"b": True}}, {"a": []}, []):
        with pytest.raises(RunError, match=r"its 'a\.b' is missing, or not what it has to be\."):
            check_form(record, {"a": {"b": int}}, tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("kind", "os.system"), ("status", 1), ("epochs", -1), ("epochs", True), ("epochs_done", None),
     ("lrs", [[1]]), ("weight_decay", "0"), ("schedule", []), ("callbacks", [1]), ("pending", 0)],
)  # fmt: skip
def test_a_stage_of_a_journal_is_checked(field: str, value: object):
    whole = Stage("fit", "fit", lrs=[0.1]).to_json()
    assert Stage.from_json(whole) == Stage("fit", "fit", lrs=[0.1])
    with pytest.raises(
        RunError, match=rf"^The journal is not one of .*: a stage has no such {field}\.$"
    ):
        Stage.from_json(whole | {field: value})


# --- what is printed ------------------------------------------------------------------------------


def test_labels_do_not_move_the_terminal(run: Path, sound_folders: SoundFolders, capsys):
    from drivetrain.cli import program

    edited(
        run / "model" / "model.json", lambda v: v.update(classes=["\x1b[2Jdark\r", "\u202elight"])
    )
    with pytest.raises(SystemExit) as ended:
        program.main(["predict", str(run), str(sound_folders.picture)])
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "\\x1b[2Jdark\\r" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_letters_of_every_language_stay():
    text = "日本 é ß 👩‍👩‍👧 ±½\n"
    assert visible(text) == text


def test_every_refusal_is_one_of_ours():
    assert issubclass(RunError, DrivetrainError)


LONG = "x" * 5000


def _preprocess() -> object:
    from drivetrain.tabular.preprocess import Preprocess

    number = {"name": "a", "fill": 0.0, "has_flag": False, "mean": 0.0, "std": LONG}
    return Preprocess.from_json({"numbers": [number], "categories": [], "scale": "", "unseen": ""})


def _goal() -> object:
    from drivetrain.text.goal import Goal

    return Goal.from_json({"name": "a", "kind": "class", "classes": ["a", "b"], LONG: 1})


def _task() -> object:
    from drivetrain.data.task import Task

    return Task.from_json({"classes": ["a", "b"], LONG: 1})


@pytest.mark.parametrize("read", [_preprocess, _goal, _task, lambda: Stage.from_json({LONG: 1})])
def test_what_a_file_holds_does_not_fill_the_message(read: Callable[[], object]) -> None:
    with pytest.raises(DrivetrainError) as caught:
        read()
    said = str(caught.value)
    assert len(said) < 400 and "xxx" in said
