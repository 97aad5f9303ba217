"""The resume benchmark's comparing and its kills; the trainers are run by `make bench`."""

from __future__ import annotations

import importlib
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def resume(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("resume")


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("resume_sides")


def whole_training(resume: ModuleType, sides: ModuleType) -> Any:
    """Six epochs that have each item once, in order."""
    batches = [tuple(range(start, start + sides.BATCH)) for start in range(0, 2048, sides.BATCH)]
    steps = [resume.Step(n, 0.1, batches[n % len(batches)]) for n in range(sides.STEPS)]
    tensors = {"model.w": torch.tensor([1.0, 2.0]), "optimizer.w.exp_avg": torch.tensor([0.5])}
    return resume.Outcome(steps, tensors, 1.5, [(epoch, 2.0) for epoch in range(sides.EPOCHS)])


def test_a_training_that_went_on_as_if_nothing_was_lost_nothing(
    resume: ModuleType, sides: ModuleType
) -> None:
    whole = whole_training(resume, sides)
    killed, resumed = whole.steps[:84], whole.steps[64:]
    found = replace(whole, steps=resume.kept(killed, resumed))
    assert len(found.steps) == sides.STEPS
    loss = resume.compare(whole, found, made=len(killed) + len(resumed))
    assert (loss.redone, loss.total(), loss.weights, loss.optimizer_is_equal) == (20, 0, 0.0, True)
    assert resume.cells(loss) == [
        *("**equal**", "0", "equal", "20", "0 / 0", "0", "0", "0 / 0", "no"),
    ]


def test_an_epoch_that_begins_anew_in_its_middle_reads_items_twice_and_others_never(
    resume: ModuleType, sides: ModuleType
) -> None:
    whole = whole_training(resume, sides)
    # Cut after 80 steps, 16 into the third epoch; the 16 left of it begin at the epoch's first items.
    late = [
        replace(one, items=whole.steps[one.step - 16].items) if one.step < 96 else one
        for one in whole.steps[80:]
    ]
    found = replace(whole, steps=resume.kept(whole.steps[:84], late))
    loss = resume.compare(whole, found, made=84 + len(late))
    assert (loss.redone, loss.twice, loss.never, loss.batches) == (4, 1024, 1024, 16)
    assert resume.cells(loss)[3:6] == ["4", "1,024 / 1,024", "16"]


def test_lost_steps_other_rates_and_rows_of_the_log_are_counted(
    resume: ModuleType, sides: ModuleType
) -> None:
    whole = whole_training(resume, sides)
    steps = [replace(one, lr=0.2) if one.step == 7 else one for one in whole.steps[:-2]]
    log = [(0, 2.0), (0, None), (1, 2.0), (2, None), (3, 2.0), (4, 2.0), (4, 2.0), (5, 2.0)]
    found = replace(whole, steps=steps, log=log, valid_loss=1.25, pickle="restricted")
    loss = resume.compare(whole, found, made=len(steps), by_hand=["model_2.pth"])
    assert (loss.missing, loss.never, loss.rates) == (2, 128, 1)
    assert (loss.rows_lost, loss.rows_double) == (1, 2)
    assert loss.total() == 2 + 128 + 1 + 1 + 2 + 1
    assert resume.cells(loss) == [
        *("**equal** †", "-0.2500", "equal", "0, 2 missing", "0 / 128", "0", "1", "1 / 2"),
        "restricted",
    ]


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({"model.w": torch.tensor([1.0, 2.0])}, 0.0),
        ({"model.w": torch.tensor([1.0, 2.25])}, 0.25),
        ({"model.w": torch.tensor([1.0, float("nan")])}, float("inf")),
        ({"model.w": torch.tensor([1.0, 2.0, 3.0])}, float("inf")),
        ({"model.w": torch.tensor([1.0, 2.0]), "model.b": torch.zeros(1)}, float("inf")),
        ({"model.w": torch.tensor([1.0, 2.0]), "optimizer.w.step": torch.zeros(1)}, 0.0),
        ({}, float("inf")),
    ],
)
def test_difference_is_the_largest_of_the_tensors_under_a_prefix(
    resume: ModuleType, tensors: dict[str, torch.Tensor], expected: float
) -> None:
    reference = {"model.w": torch.tensor([1.0, 2.0])}
    assert resume.difference(reference, tensors, "model.") == expected


def test_counters_that_alone_differ_are_no_equal_weights(resume: ModuleType) -> None:
    reference = {"model.n": torch.tensor(192), "model.w": torch.tensor([1.0])}
    other = {"model.n": torch.tensor(160), "model.w": torch.tensor([1.0])}
    assert resume.difference(reference, other, "model.") == float("inf")
    assert resume.difference(reference, other | {"model.w": torch.tensor([1.5])}, "model.") == 0.5


def test_a_training_that_does_not_resume_says_why_in_its_row(
    resume: ModuleType,
) -> None:
    trace = "Traceback (most recent call last):\n  File x\n"
    output = (
        f"Restoring\n{trace}a.b.SomeError: no | state\n\nDuring handling\n\n{trace}OSError: 1\n"
    )
    failure = resume.Failure(resume.reason_in(output))
    assert failure.reason == "SomeError: no | state"
    assert resume.cells(failure) == ["**not resumed**: SomeError", *["-"] * 8]


def test_a_single_bit_of_a_weight_is_no_longer_equal(resume: ModuleType) -> None:
    one = torch.tensor([1.0])
    next_float = torch.nextafter(one, torch.tensor([2.0]))
    assert resume.difference({"model.w": one}, {"model.w": next_float}, "model.") == 2.0**-23


def test_every_trainer_of_the_table_has_a_side_and_the_same_trials(
    resume: ModuleType, sides: ModuleType
) -> None:
    assert set(resume.TRAINERS) == set(sides.SIDES) == set(sides.NEWEST)
    assert all(
        trial.get("kill", {}).get("step", 0) < sides.STEPS for trial in resume.TRIALS.values()
    )
    assert resume.IN_EPOCH["step"] % sides.SAVE_EVERY == 4  # between two checkpoints
    assert resume.EPOCH_END % sides.STEPS_AN_EPOCH == 0 == resume.EPOCH_END % sides.SAVE_EVERY


def test_the_job_is_the_same_in_each_process(sides: ModuleType) -> None:
    first, again = sides.make_net().state_dict(), sides.make_net().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    x, y = sides.make_tensors()["train"]
    assert (x.shape, y.shape) == ((2048, 32), (2048,))
    assert torch.equal(x, sides.make_tensors()["train"][0])
    assert set(y.tolist()) == set(range(10))
    assert sum(p.numel() for p in sides.make_net().parameters()) * 4 > 2 * sides.MOST_BYTES


def killed(action: Any) -> int:
    """The signal that ends a child which does `action`; 0 where it ends by itself."""
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def test_the_witness_kills_after_the_step_and_keeps_its_line(
    sides: ModuleType, tmp_path: Path
) -> None:
    def train() -> None:
        witness = sides.Witness(tmp_path / "steps.jsonl", {"at": "step", "step": 3})
        for step in range(5):
            witness.step(step, 0.1, [step, step + 1])

    assert killed(train) == signal.SIGKILL
    lines = (tmp_path / "steps.jsonl").read_text().splitlines()
    assert [json.loads(line)["items"] for line in lines] == [[0, 1], [1, 2], [2, 3]]


def test_the_witness_kills_half_way_through_the_validation_after_the_step(
    sides: ModuleType, tmp_path: Path
) -> None:
    def train() -> None:
        witness = sides.Witness(tmp_path / "steps.jsonl", {"at": "valid", "step": 2})
        witness.step(0, 0.1, [])
        witness.read_valid(512)
        witness.step(1, 0.1, [])
        for item in range(512):
            witness.read_valid(1)
            os.write(witness.file, f"{item}\n".encode())

    assert killed(train) == signal.SIGKILL
    assert (tmp_path / "steps.jsonl").read_text().splitlines()[-1] == "255"


def test_the_witness_has_the_kernel_kill_in_the_midst_of_a_file(
    sides: ModuleType, tmp_path: Path
) -> None:
    def train() -> None:
        witness = sides.Witness(tmp_path / "steps.jsonl", {"at": "write", "step": 1})
        (tmp_path / "before").write_bytes(b"x" * 200_000)
        witness.step(0, 0.1, [])
        (tmp_path / "small").write_bytes(b"x" * 1000)
        (tmp_path / "checkpoint").write_bytes(b"x" * 200_000)

    assert killed(train) == signal.SIGXFSZ
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["before"] == 200_000 and sizes["small"] == 1000
    assert sizes["checkpoint"] == sides.MOST_BYTES


def test_the_newest_checkpoint_is_the_one_deleted_by_hand(
    sides: ModuleType, tmp_path: Path
) -> None:
    for number, name in enumerate(("checkpoint-8", "checkpoint-16")):
        folder = tmp_path / "run" / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"")
        os.utime(folder, (number, number))
    assert sides.drop_newest("hf", tmp_path) == "checkpoint-16"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint-8"]
