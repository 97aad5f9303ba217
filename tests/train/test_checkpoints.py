"""Checkpoints: which are kept, which one is used, and what a damaged one answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from drivetrain.errors import RunError
from drivetrain.train.run import Run


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


def with_checkpoints(folder: Path, *epochs: int) -> Run:
    run = Run.create(folder)
    for epoch in epochs:
        run.checkpoints.save(epoch, 0, tensors(epoch), {"seconds": 1.5})
    return run


def test_a_run_without_checkpoints_has_none(tmp_path: Path):
    assert Run.create(tmp_path).checkpoints.load() is None


def test_the_newest_two_checkpoints_are_kept(tmp_path: Path):
    run = with_checkpoints(tmp_path, 1, 2, 3, 4)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "epoch-0003-batch-000000.json",
        "epoch-0003-batch-000000.safetensors",
        "epoch-0004-batch-000000.json",
        "epoch-0004-batch-000000.safetensors",
    ]
    found = run.checkpoints.load()
    assert found is not None
    loaded, position, notes = found
    assert torch.equal(loaded["weight"], tensors(4)["weight"])
    assert (position["epoch"], position["seconds"], notes) == (4, 1.5, [])


def test_the_newest_is_told_by_number_also_beyond_four_digits(tmp_path: Path):
    run = with_checkpoints(tmp_path, 9_998, 9_999, 10_000, 10_001)
    found = run.checkpoints.load()
    assert found is not None
    assert found[1]["epoch"] == 10_001
    assert len(list((tmp_path / "checkpoints").iterdir())) == 4


@pytest.mark.parametrize("how", ["a byte changed", "tensors gone", "position cut", "no hash"])
def test_a_damaged_checkpoint_is_passed_over_with_a_note(tmp_path: Path, how: str):
    run = with_checkpoints(tmp_path, 1, 2)
    newest = tmp_path / "checkpoints" / "epoch-0002-batch-000000.safetensors"
    if how == "a byte changed":
        flip_a_byte(newest)
    elif how == "tensors gone":
        newest.unlink()
    elif how == "position cut":
        newest.with_suffix(".json").write_text('{"epo')
    else:
        newest.with_suffix(".json").write_text('{"epoch": 2, "sha256": null}')
    found = run.checkpoints.load()
    assert found is not None
    loaded, position, notes = found
    assert position["epoch"] == 1
    assert torch.equal(loaded["weight"], tensors(1)["weight"])
    assert len(notes) == 1
    assert notes[0].startswith("Checkpoint epoch-0002-batch-000000 is damaged (")
    assert notes[0].endswith("): it is passed over.")


def test_the_note_says_what_is_wrong_with_a_checkpoint(tmp_path: Path):
    run = with_checkpoints(tmp_path, 1, 2)
    newest = tmp_path / "checkpoints" / "epoch-0002-batch-000000.safetensors"
    flip_a_byte(newest)
    found = run.checkpoints.load()
    assert found is not None
    assert found[2] == [
        f"Checkpoint epoch-0002-batch-000000 is damaged ({newest} is damaged: its SHA-256 is not the one "
        "recorded. Restore it from a copy): it is passed over."
    ]


def test_tensors_whose_position_was_never_written_are_no_checkpoint(tmp_path: Path):
    run = with_checkpoints(tmp_path, 1, 2)
    (tmp_path / "checkpoints" / "epoch-0002-batch-000000.json").unlink()
    found = run.checkpoints.load()
    assert found is not None
    assert (found[1]["epoch"], found[2]) == (1, [])


def test_when_no_checkpoint_is_whole_the_run_is_refused(tmp_path: Path):
    run = with_checkpoints(tmp_path, 1, 2)
    folder = tmp_path / "checkpoints"
    for path in folder.glob("*.safetensors"):
        path.unlink()
    assert message(RunError, run.checkpoints.load) == (
        f"No checkpoint of {tmp_path} is whole, so it cannot be continued. Train anew. "
        f"Checkpoint epoch-0002-batch-000000 is damaged "
        f"({folder / 'epoch-0002-batch-000000.safetensors'} does not exist): "
        "it is passed over. "
        f"Checkpoint epoch-0001-batch-000000 is damaged "
        f"({folder / 'epoch-0001-batch-000000.safetensors'} does not exist): "
        "it is passed over."
    )
