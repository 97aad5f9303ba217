"""The tests have teeth: each planted bug is caught by the question that is meant for it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import drivetrain as dt
from drivetrain import randomness, store
from drivetrain.train import checkpoints, keeping, loop, saving
from drivetrain.train.callback import named
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.callbacks.record import Record
from drivetrain.train.run import Run
from tests.reliability.disks import Done, FailingDisk, RecordingDisk
from tests.reliability.oracles import broken_by_failure, broken_states, operations
from tests.train.blobs import Grouped, blob_loaders, learner, weights

# --- bugs of the store, seen in the states that a cut leaves ------------------------------------------


class InPlace(RecordingDisk):
    """Writes over the file itself instead of beside it."""

    def create(self, target: Path) -> tuple[int, Path]:
        descriptor = os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666)
        self._open[descriptor] = target
        self.done += [Done("unlink", target)] if target.exists() and self._knows(target) else []
        self.done.append(Done("create", target))
        return descriptor, target

    def _knows(self, target: Path) -> bool:
        return any(one.name == "create" and one.path == target for one in self.done)

    def rename(self, source: Path, target: Path) -> None:
        assert source == target


class NoSync(RecordingDisk):
    """Does not wait for the content."""

    def sync(self, descriptor: int) -> None:
        pass


class NoFolderSync(RecordingDisk):
    """Does not wait for the names."""

    def sync_folder(self, folder: Path) -> None:
        pass


@pytest.mark.parametrize("bug", [InPlace, NoSync, NoFolderSync])
def test_a_store_that_is_careless_is_caught(
    quick_folder: Path, bug: Callable[[], RecordingDisk]
) -> None:
    _, broken = broken_states(quick_folder, bug, step=64)
    assert broken


def test_an_unchecked_hash_is_caught(quick_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = store.read_tensors
    monkeypatch.setattr(store, "read_tensors", lambda path, sha256=None: read(path))
    _, broken = broken_states(quick_folder, NoSync, step=64)
    assert any("has other numbers" in problem for problem in broken)


def test_json_before_its_tensors_is_made_good_by_the_checkpoint_before(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: Any, name: str, tensors: Any, record: Any) -> None:
        store.write_json(self.folder / f"{name}.json", {"sha256": "?", **record})
        digest = store.write_tensors(self.folder / f"{name}.safetensors", tensors)
        store.write_json(self.folder / f"{name}.json", {"sha256": digest, **record})

    monkeypatch.setattr(checkpoints.Checkpoints, "_write", write)
    _, broken = broken_states(quick_folder, step=64)
    assert broken == []


def test_removing_before_writing_is_caught(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = checkpoints.Checkpoints.save

    def careless(self: Any, *args: Any) -> None:
        for old in self._found():
            self._remove(old)
        save(self, *args)

    monkeypatch.setattr(checkpoints.Checkpoints, "save", careless)
    _, broken = broken_states(quick_folder, step=64)
    assert broken


def test_an_error_that_is_swallowed_is_caught(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = operations("mini", quick_folder / "reference")
    sync = FailingDisk.sync

    def silent(self: Any, descriptor: int) -> None:
        with contextlib.suppress(OSError):
            sync(self, descriptor)

    monkeypatch.setattr(FailingDisk, "sync", silent)
    at = names.index("sync") + 1
    reference = quick_folder / "reference"
    problem = broken_by_failure("mini", quick_folder / "run", reference, at, 5)
    assert problem == f"error 5 in operation {at} was swallowed"


# --- bugs of the resume, seen in the bits -------------------------------------------------------------


def cut_differs(folder: Path, *, make: Callable[..., dt.Learner] | None = None) -> bool:
    """Whether a training that is cut in the middle of its second epoch ends with other bits or rows."""

    class Cut(dt.Callback):
        order = 1000

        def after_batch(self, state: Any) -> None:
            if state.step == 9:
                raise KeyboardInterrupt

    def default(**options: Any) -> dt.Learner:
        return learner(Grouped(), metrics=["accuracy"], **options)

    make = make or default
    straight, cut, resumed = make(), make(out=folder / "run"), make()
    straight.fit_one_cycle(3, 1e-2, callbacks=[Checkpoint(steps=1)])
    with pytest.raises(KeyboardInterrupt):
        cut.fit_one_cycle(3, 1e-2, callbacks=[Checkpoint(steps=1), Cut()])
    torch.rand(7)  # whoever draws from the global generator is somewhere else now
    resumed.open_run(Run.open(folder / "run"))
    resumed.resume(callbacks=[Checkpoint(steps=1)])
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in one.history]
        for one in (straight, resumed)
    ]
    return weights(straight) != weights(resumed) or rows[0] != rows[1]


@contextlib.contextmanager
def planted(bug: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One bug, put into the code for the block."""
    pack, state_json = saving.pack, saving.pack_callbacks

    def without(prefix: str) -> Callable[..., Any]:
        return lambda *a, **k: {n: t for n, t in pack(*a, **k).items() if not n.startswith(prefix)}

    def by_position(model: Any, optimizer: Any, **options: Any) -> dict[str, Any]:
        tensors = pack(model, optimizer, **options)
        names = [n for n, _ in model.named_parameters()]
        swapped = dict(zip(names, reversed(names), strict=True))
        shapes = {n: p.shape for n, p in model.named_parameters()}
        for name in names:
            for key in [k for k in tensors if k.startswith(f"optimizer.{name}|exp_avg")]:
                other = key.replace(f".{name}|", f".{swapped[name]}|")
                if (
                    shapes[name] == shapes[swapped[name]]
                    and other in tensors
                    and name < swapped[name]
                ):
                    tensors[key], tensors[other] = tensors[other], tensors[key]
        return tensors

    with monkeypatch.context() as patch:
        if bug == "no optimizer state":
            patch.setattr(saving, "pack", without("optimizer."))
        elif bug == "optimizer state by position":
            patch.setattr(saving, "pack", by_position)
        elif bug == "no running statistics":
            restore = saving.unpack_model

            def weights_only(tensors: Any, model: Any, **options: Any) -> None:
                kept = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
                restore(tensors, model, **options)
                model.load_state_dict(kept, strict=False)

            patch.setattr(saving, "unpack_model", weights_only)
        elif bug == "dropout from the global generator":
            patch.setattr(loop, "set_generators", lambda *a: None)
        elif bug == "no callback state":
            patch.setattr(saving, "pack_callbacks", lambda callbacks: ({}, {}))
        elif bug == "order from the global generator":
            patch.setattr(
                dt.BatchLoader,
                "_chunks",
                lambda self, epoch: list(torch.randperm(len(self.data)).split(self.batch_size)),
            )
        elif bug == "order from the batches so far":
            chunks = dt.BatchLoader.batches
            patch.setattr(
                dt.BatchLoader, "batches", lambda self, epoch, *, start=0: chunks(self, epoch)
            )
        elif bug == "the schedule starts anew":
            checkpoint = keeping.checkpoint

            def forget(one: Any, stage: Any, state: Any) -> None:
                step, state.step = state.step, 0
                checkpoint(one, stage, state)
                state.step = step

            patch.setattr(keeping, "checkpoint", forget)
        elif bug == "the step's number is not kept":
            setting = randomness.set_generators
            counter = iter(range(10_000))
            patch.setattr(
                loop, "set_generators", lambda seed, what, step: setting(seed, what, next(counter))
            )
        elif bug == "losses of the epoch so far are lost":
            patch.setattr(Record, "state_dict", dt.Callback.state_dict)
        else:
            raise AssertionError(bug)
        assert named([]) == {} and state_json is not None
        yield


BUGS = (
    "no optimizer state",
    "optimizer state by position",
    "no running statistics",
    "dropout from the global generator",
    "no callback state",
    "order from the global generator",
    "order from the batches so far",
    "the schedule starts anew",
    "the step's number is not kept",
    "losses of the epoch so far are lost",
)


def test_without_a_bug_nothing_differs(tmp_path: Path) -> None:
    assert not cut_differs(tmp_path)


@pytest.mark.parametrize("bug", BUGS)
def test_a_resume_that_forgets_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: str
) -> None:
    with planted(bug, monkeypatch):
        assert cut_differs(tmp_path)


def test_the_blobs_are_shuffled() -> None:
    train = blob_loaders().train
    assert isinstance(train, dt.BatchLoader)
    assert train.shuffle
