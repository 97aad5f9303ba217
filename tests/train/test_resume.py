"""A run that was cut goes on to the same bits, wherever it was cut."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import drivetrain as dt
from drivetrain.errors import Interrupted, RunError
from drivetrain.train.callback import EVENTS
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.run import Run
from tests.train.blobs import Grouped, blob_loaders, blobs, learner, weights


class Kill(dt.Callback):
    """Stops as a kill between epochs would: nothing is written after it."""

    order = 1000

    def __init__(self, after: int) -> None:
        self.left = after

    def after_epoch(self, state: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_cut_run_resumes_to_the_same_bits(tmp_path: Any, after: int) -> None:
    whole = learner(Grouped(), metrics=["accuracy"])
    whole.fine_tune(3, 1e-2)
    cut = learner(Grouped(), metrics=["accuracy"], out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        cut.fine_tune(3, 1e-2, callbacks=[Kill(after)])
    resumed = learner(Grouped(), metrics=["accuracy"])
    resumed.open_run(Run.open(tmp_path / "run"))
    resumed.resume(callbacks=[])
    assert weights(resumed) == weights(whole)
    assert [row["epoch"] for row in resumed.history] == [0, 1, 2, 3]
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert ours["train_loss"] == theirs["train_loss"]
    record = Run.open(tmp_path / "run").read()
    assert record["results"]["weights_sha256"] == weights(whole)
    assert record["results"]["epochs"] == 4


def test_a_damaged_checkpoint_is_passed_over_in_one_line(tmp_path: Any, capsys: Any) -> None:
    whole = learner(Grouped())
    whole.fit_one_cycle(4, 1e-2)
    cut = learner(Grouped(), out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        cut.fit_one_cycle(4, 1e-2, callbacks=[Kill(3)])
    newest = tmp_path / "run" / "checkpoints" / "epoch-0003-batch-000000.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    resumed = learner(Grouped())
    resumed.open_run(Run.open(tmp_path / "run"))
    assert capsys.readouterr().err.startswith("Checkpoint epoch-0003-batch-000000 is damaged (")
    resumed.resume(callbacks=[])
    assert weights(resumed) == weights(whole)


def test_resuming_a_finished_run_trains_nothing_more(tmp_path: Any) -> None:
    done = learner(out=tmp_path / "run")
    done.fit(2)
    again = learner()
    again.open_run(Run.open(tmp_path / "run"))
    again.resume()
    assert weights(again) == weights(done)
    assert len(again.history) == 2


def test_resuming_a_finished_run_leaves_its_record_as_it_is(tmp_path: Any) -> None:
    learner(out=tmp_path / "run").fit(2)
    before = (tmp_path / "run" / "run.json").read_bytes()
    again = learner()
    again.open_run(Run.open(tmp_path / "run"))
    again.resume()
    assert (tmp_path / "run" / "run.json").read_bytes() == before


# --- at any step --------------------------------------------------------------------------------------


def at(event: str, count: int, do: Any, order: int = 1000) -> dt.Callback:
    """A callback that does something when `event` comes for the `count`-th time."""
    left = [count]

    def handle(self: Any, state: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            do(state)

    one = type("At", (dt.Callback,), {event: handle})()
    one.order = order
    return one


def die(state: Any) -> None:
    raise KeyboardInterrupt


def train(of: dt.Learner, **options: Any) -> None:
    of.fine_tune(2, 1e-2, **options)


def numbers(of: dt.Learner) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in of.history]


@pytest.fixture(scope="module")
def whole() -> dt.Learner:
    one = learner(Grouped(), metrics=["accuracy"])
    train(one)
    return one


STEP_EVENTS = [e for e in EVENTS if e not in {"after_cancel", "before_fit", "after_fit"}]


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("event", STEP_EVENTS)
def test_a_run_cut_at_any_event_resumes_to_the_same_bits(
    tmp_path: Path, whole: dt.Learner, event: str, count: int, steps: int
) -> None:
    cut = learner(Grouped(), metrics=["accuracy"], out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(
            cut,
            callbacks=[
                Checkpoint(steps=steps),
                at(
                    event,
                    5 * count - 4 if "epoch" not in event and "validate" not in event else count,
                    die,
                ),
            ],
        )
    resumed = learner(Grouped(), metrics=["accuracy"])
    resumed.open_run(Run.open(tmp_path / "run"))
    resumed.resume(callbacks=[])
    assert weights(resumed) == weights(whole)
    assert numbers(resumed) == numbers(whole)
    log = Run.open(tmp_path / "run").read_log()
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in log] == numbers(whole)


def test_five_cuts_in_one_epoch_and_other_numbers_of_workers(
    tmp_path: Path, whole: dt.Learner
) -> None:
    options = {"callbacks": [Checkpoint(steps=1), at("after_batch", 2, die)]}
    one = learner(Grouped(), metrics=["accuracy"], out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(one, **options)
    for workers in (2, 1, 0, 3):
        one = learner(Grouped(), metrics=["accuracy"])
        one.loaders = blob_loaders(num_workers=workers)
        one.open_run(Run.open(tmp_path / "run"))
        with pytest.raises(KeyboardInterrupt):
            one.resume(callbacks=[Checkpoint(steps=1), at("after_batch", 1, die)])
    one = learner(Grouped(), metrics=["accuracy"])
    one.open_run(Run.open(tmp_path / "run"))
    one.resume(callbacks=[])
    assert weights(one) == weights(whole)
    assert numbers(one) == numbers(whole)


class Noisy(TensorDataset):
    """Items that draw from torch's global generator, as the transforms of others do."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        inputs, targets = super().__getitem__(index)
        return inputs + torch.randn(2) * 0.1, targets


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_dataloader_of_torch_goes_on_with_the_same_draws(tmp_path: Path, workers: int) -> None:
    def make(**options: Any) -> dt.Learner:
        loader = DataLoader(Noisy(*blobs()), batch_size=16, shuffle=True, num_workers=workers)
        return dt.Learner(Grouped(), (loader, loader), progress=False, **options)

    straight, cut, resumed = make(), make(out=tmp_path / "run"), make()
    straight.fit_one_cycle(2, 1e-2)
    with pytest.raises(KeyboardInterrupt):
        cut.fit_one_cycle(2, 1e-2, callbacks=[Checkpoint(steps=1), at("after_batch", 9, die)])
    resumed.open_run(Run.open(tmp_path / "run"))
    resumed.resume(callbacks=[])
    assert weights(resumed) == weights(straight)
    assert numbers(resumed) == numbers(straight)


# --- signals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("event", "count"),
    [("before_batch", 3), ("after_step", 6), ("after_valid_batch", 2), ("after_epoch", 1)],
)
@pytest.mark.parametrize("in_run", [True, False])
def test_a_signal_ends_the_fit_after_the_batch_and_nothing_is_lost(
    tmp_path: Path, whole: dt.Learner, number: int, event: str, count: int, in_run: bool
) -> None:
    before = signal.getsignal(number)
    cut = learner(Grouped(), metrics=["accuracy"], **({"out": tmp_path / "run"} if in_run else {}))
    with pytest.raises(Interrupted) as stopped:
        train(
            cut, callbacks=[at(event, count, lambda state: os.kill(os.getpid(), number), order=0)]
        )
    assert stopped.value.exit_code == 128 + number
    assert signal.getsignal(number) == before
    if in_run:
        assert str(stopped.value).endswith(f"Continue with: drivetrain resume {tmp_path / 'run'}")
        resumed = learner(Grouped(), metrics=["accuracy"])
        resumed.open_run(Run.open(tmp_path / "run"))
    else:
        assert str(stopped.value).endswith("`learner.resume()` goes on.")
        resumed = cut
    resumed.resume(callbacks=[] if in_run else None)
    assert weights(resumed) == weights(whole)
    assert numbers(resumed) == numbers(whole)


def test_a_second_signal_stops_at_once() -> None:
    def twice(state: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped:
        learner().fit(1, callbacks=[at("after_loss", 2, twice)])
    assert not isinstance(stopped.value, Interrupted)


def test_after_an_error_a_fit_without_a_run_cannot_go_on() -> None:
    broken = learner()
    with pytest.raises(KeyboardInterrupt):
        broken.fit(1, callbacks=[at("after_loss", 2, die)])
    with pytest.raises(
        RunError,
        match=r"^An error ended the last fit in the middle of a step, and without a run folder there is "
        r"no checkpoint to go back to\. Train anew; `out=` keeps checkpoints\.$",
    ):
        broken.resume()


def test_after_an_error_a_run_goes_back_to_its_checkpoint(
    tmp_path: Path, whole: dt.Learner
) -> None:
    broken = learner(Grouped(), metrics=["accuracy"], out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(broken, callbacks=[at("after_loss", 9, die)])
    broken.resume()
    assert weights(broken) == weights(whole)
    assert numbers(broken) == numbers(whole)


def test_what_was_planned_after_the_last_checkpoint_is_still_done(tmp_path: Path) -> None:
    def story(of: dt.Learner, cut: bool) -> None:
        of.fit(1, 1e-2)
        of.freeze()
        of.fit(1, 1e-2)
        of.unfreeze()
        of.fit(1, 1e-3, callbacks=[at("before_batch", 1, die)] if cut else [])

    straight = learner(Grouped())
    story(straight, cut=False)
    with pytest.raises(KeyboardInterrupt):
        story(learner(Grouped(), out=tmp_path / "run"), cut=True)
    for path in (tmp_path / "run" / "checkpoints").glob("epoch-0002-*.json"):
        path.write_text("{")
    resumed = learner(Grouped())
    resumed.open_run(Run.open(tmp_path / "run"))
    resumed.resume(callbacks=[])
    assert weights(resumed) == weights(straight)
    assert numbers(resumed) == numbers(straight)


def test_callbacks_are_made_again_by_name_and_others_are_asked_for(tmp_path: Path) -> None:
    given = ["ema", {"name": "accumulate", "steps": 2}]

    def cut_at(batch: int, folder: Path, *more: dt.Callback) -> dt.Learner:
        one = learner(Grouped(), out=folder)
        with pytest.raises(Interrupted):
            one.fit(2, callbacks=[*given, *more, Checkpoint(steps=1)], schedule="cosine")
        return one

    straight = learner(Grouped())
    straight.fit(2, callbacks=given, schedule="cosine")

    with pytest.MonkeyPatch.context() as patch:
        before = dt.BatchLoader.batches

        def batches(self: Any, epoch: int, *, start: int = 0) -> Any:
            for number, batch in enumerate(before(self, epoch, start=start)):
                if epoch == 1 and number == 3 and self.shuffle:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

        patch.setattr(dt.BatchLoader, "batches", batches)
        cut_at(9, tmp_path / "run")
        cut_at(9, tmp_path / "own", at("after_fit", 1, lambda state: None))
    resumed = learner(Grouped())
    resumed.open_run(Run.open(tmp_path / "run"))
    resumed.resume()
    assert weights(resumed) == weights(straight)
    assert numbers(resumed) == numbers(straight)

    asked = learner(Grouped())
    asked.open_run(Run.open(tmp_path / "own"))
    with pytest.raises(
        RunError,
        match=r"^This training was given the callback `At`, which only its script has\. Go on there: "
        r"`learner\.open_run\(run\)`, then `learner\.resume\(callbacks=\[At\(\.\.\.\)\]\)`\.$",
    ):
        asked.resume()
