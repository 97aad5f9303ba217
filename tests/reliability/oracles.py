"""The questions that the reliability tests ask, as functions that list what is broken.

A test asserts that the list is empty; a planted bug must make it not empty.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from drivetrain import _disk, store
from drivetrain.errors import RunError, StorageError
from drivetrain.train.checkpoints import Checkpoints
from tests.reliability import jobs
from tests.reliability.disks import (
    CountingDisk,
    Done,
    FailingDisk,
    RecordingDisk,
    crash_states,
    write_state,
)


@contextlib.contextmanager
def on_disk(disk: _disk.Disk) -> Iterator[None]:
    """Let the store write on another disk."""
    before = _disk.disk
    _disk.disk = disk
    try:
        yield
    finally:
        _disk.disk = before


# --- every state that a cut can leave of three saves --------------------------------------------------

NUM_SAVES = 3


def tensors_of(number: int) -> dict[str, torch.Tensor]:
    """What the `number`-th checkpoint holds."""
    return {"weight": torch.full((8, 8), float(number)), "bias": torch.arange(8.0) + number}


def three_saves(
    folder: Path, disk_type: Callable[[], RecordingDisk] = RecordingDisk
) -> tuple[list[Done], list[int]]:
    """Save three checkpoints with their log rows; what was done, and how much of it after each save."""
    disk = disk_type()
    ends = []
    with on_disk(disk):
        for number in range(1, NUM_SAVES + 1):
            store.append_line(folder / "log.jsonl", {"epoch": number - 1, "loss": 1 / number})
            Checkpoints(folder / "checkpoints").save(number, 0, tensors_of(number), {"n": number})
            store.write_json(folder / "run.json", {"saved": number})
            ends.append(len(disk.done))
    return disk.done, ends


def broken_states(
    folder: Path, disk_type: Callable[[], RecordingDisk] = RecordingDisk, *, step: int = 4
) -> tuple[int, list[str]]:
    """How many states there are, and what of a finished save is lost or false in which of them.

    Args:
        step: a kill tears a write after each so many bytes.
    """
    done, ends = three_saves(folder / "recorded", disk_type)
    place = folder / "state"
    seen: set[int] = set()
    broken = []
    for state in crash_states(done, folder / "recorded", step=step):
        finished = sum(end <= state.kept_until for end in ends)
        key = hash((finished, tuple(sorted(state.files.items()))))
        if key in seen:
            continue
        seen.add(key)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        write_state(state, place)
        problem = _problem(place, finished)
        if problem:
            broken.append(f"{state.how}: {problem}")
    return len(seen), broken


def _problem(place: Path, finished: int) -> str:
    """What is wrong with a state in which the first `finished` saves had returned; empty if nothing."""
    try:
        found = Checkpoints(place / "checkpoints").load()
    except RunError as error:
        return f"no checkpoint is whole: {error}" if finished else ""
    number = 0 if found is None else found[1]["n"]
    if number < finished:
        return f"save {finished} had returned, and save {number} was found"
    if found is not None:
        for name, tensor in tensors_of(number).items():
            if not torch.equal(found[0][name], tensor):
                return f"checkpoint {number} has other numbers in {name}"
    rows = store.read_lines(place / "log.jsonl")
    expected = [{"epoch": n, "loss": 1 / (n + 1)} for n in range(NUM_SAVES)]
    if rows != expected[: len(rows)] or len(rows) < finished:
        return f"the log has {rows}"
    record = place / "run.json"
    if record.exists() or finished:
        try:
            value = json.loads(record.read_text())
        except (OSError, ValueError) as error:
            return f"run.json: {error}"
        if value["saved"] not in range(max(finished, 1), NUM_SAVES + 1):
            return f"run.json says {value}"
    return ""


# --- each operation fails once ------------------------------------------------------------------------


def operations(kind: str, folder: Path) -> list[str]:
    """The operations on the disk of one whole training; the finished run is left in `folder`."""
    disk = CountingDisk()
    with on_disk(disk):
        jobs.train(kind, folder)
    return disk.names


def broken_by_failure(kind: str, folder: Path, reference: Path, at: int, error: int | str) -> str:
    """What is wrong after operation `at` of a training failed with `error`; empty if nothing is."""
    disk = FailingDisk(at, error)
    raised = ""  # only its text: the exception would keep the Learner, and with it the lock
    with on_disk(disk):
        try:
            jobs.train(kind, folder)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is looked at
            raised = f"{type(problem).__name__}: {problem}"
    assert disk.failed, f"operation {at} of this training cannot fail this way"
    if not raised and isinstance(error, int):
        return f"error {error} in operation {at} was swallowed"
    if raised and not raised.startswith(f"{StorageError.__name__}: Could not "):
        return f"answered with {raised}"
    if left := [path.name for path in folder.rglob("*.tmp")]:
        return f"left {left}"
    if raised:
        with contextlib.redirect_stderr(io.StringIO()):
            jobs.resume(kind, folder)
    return jobs.difference(folder, reference)
