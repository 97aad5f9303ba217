"""Progress: what is written where, and that nothing is left behind."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.randomness import seeded
from drivetrain.train import loop
from drivetrain.train.callback import Callback, CancelEpoch
from drivetrain.train.callbacks import progress as module
from drivetrain.train.callbacks.progress import Progress
from drivetrain.train.callbacks.record import Record
from drivetrain.train.history import History
from drivetrain.train.state import FitState


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Ticking:
    """A clock that goes on by `step` seconds at each look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def fit(progress: Progress, *callbacks: Callback, epochs: int = 2, sized: bool = True) -> FitState:
    x = torch.linspace(-1, 1, 16).unsqueeze(1)
    with seeded(0, "test"):
        model = nn.Linear(1, 1)
    batches = BatchLoader(TensorData(x, 2 * x), batch_size=4)
    state = FitState(
        model=model,
        loaders=Loaders(batches if sized else Unsized(batches), batches),
        loss_fn=nn.functional.mse_loss,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        epochs=epochs,
        callbacks=[Record(History()), progress, *callbacks],
    )
    loop.fit(state)
    return state


class Unsized:
    def __init__(self, batches: BatchLoader) -> None:
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_lines_alone_where_there_is_no_terminal():
    stream = io.StringIO()
    fit(Progress(stream=stream))
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == ["epoch", "train_loss", "valid_loss", "seconds"]
    assert [line.split()[0] for line in lines[1:]] == ["0", "1"]
    assert "\r" not in stream.getvalue()
    assert "%" not in stream.getvalue()


def test_the_heading_comes_again_when_the_columns_change():
    class Extra(Callback):
        def before_epoch(self, state: FitState) -> None:
            if state.epoch == 1:
                state.row["lr"] = 0.1

    stream = io.StringIO()
    fit(Progress(stream=stream), Extra(), epochs=3)
    firsts = [line.split()[0] for line in stream.getvalue().splitlines()]
    assert firsts == ["epoch", "0", "epoch", "1", "epoch", "2"]


def test_a_second_fit_has_its_own_heading():
    stream = io.StringIO()
    progress = Progress(stream=stream)
    for _ in range(2):
        fit(progress, epochs=1)
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["epoch", "0"] * 2


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    fit(Progress(stream=stream))
    assert "epoch 1/2" in stream.getvalue()
    assert "epoch 2/2" in stream.getvalue()


def test_a_bar_where_it_is_asked_for_and_none_where_it_is_not():
    asked, refused = io.StringIO(), Terminal()
    fit(Progress(stream=asked, bar=True))
    fit(Progress(stream=refused, bar=False))
    assert "epoch 1/2" in asked.getvalue()
    assert "4/4" in asked.getvalue() or "/4" in asked.getvalue()
    assert "epoch 1/2" not in refused.getvalue()


def test_the_bar_is_wiped_before_the_row_is_written():
    stream = Terminal()
    fit(Progress(stream=stream), epochs=1)
    before, _, after = stream.getvalue().partition("epoch  train_loss")
    assert before.endswith("\r")
    assert after.endswith("\n")


class Fails(Callback):
    def after_backward(self, state: FitState) -> None:
        raise ZeroDivisionError


class Leaves(Callback):
    def after_backward(self, state: FitState) -> None:
        raise CancelEpoch


def test_the_bar_is_closed_when_the_fit_fails():
    stream = Terminal()
    progress = Progress(stream=stream)
    with pytest.raises(ZeroDivisionError):
        fit(progress, Fails())
    assert progress._bar is None
    assert stream.getvalue().endswith("\r")  # wiped: a traceback starts on a clean line


def test_the_bar_is_closed_when_an_epoch_is_left():
    stream = Terminal()
    progress = Progress(stream=stream)
    fit(progress, Leaves())
    assert progress._bar is None


def test_an_error_before_the_fit_has_begun_is_not_hidden():
    class Early(Callback):
        order = -1

        def before_fit(self, state: FitState) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(Progress(stream=io.StringIO()), Early())


def test_nothing_is_written_to_stdout(capsys: pytest.CaptureFixture[str]):
    fit(Progress())
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[0].split()[0] == "epoch"


def test_a_long_epoch_says_sometimes_where_it_stands(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.time, "perf_counter", Ticking(20.0))
    stream = io.StringIO()
    fit(Progress(stream=stream), epochs=1)
    said = [line for line in stream.getvalue().splitlines() if "%" in line]
    assert said
    assert all(line.startswith("epoch 1/1: ") for line in said)
    shares = [int(line.removeprefix("epoch 1/1: ").removesuffix("%")) for line in said]
    assert shares == sorted(shares)
    assert shares[-1] in (75, 100)
    assert 0 not in shares


def test_the_share_is_of_this_epoch_also_after_one_that_was_left(monkeypatch):
    class LeavesFirst(Callback):
        def after_backward(self, state: FitState) -> None:
            if state.epoch == 0:
                raise CancelEpoch

    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", -1.0)
    stream = io.StringIO()
    fit(Progress(stream=stream), LeavesFirst())
    said = [line for line in stream.getvalue().splitlines() if line.startswith("epoch 2/2")]
    assert said == [f"epoch 2/2: {share}%" for share in (25, 50, 75, 100)]


def test_without_a_length_batches_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", -1.0)
    stream = io.StringIO()
    fit(Progress(stream=stream), sized=False)
    said = [line for line in stream.getvalue().splitlines() if line.startswith("epoch 2/2")]
    assert said == [f"epoch 2/2: batch {number}" for number in (1, 2, 3, 4)]


def test_silence_after_a_long_pause_is_not_made_up_for(monkeypatch: pytest.MonkeyPatch):
    """A pause of an hour owes one line, not 120 of them in a row."""
    clock = Ticking(0.0)
    monkeypatch.setattr(module.time, "perf_counter", clock)

    class Sleeps(Callback):
        def after_step(self, state: FitState) -> None:
            if state.step == 0:
                clock.now += 3600.0

    stream = io.StringIO()
    fit(Progress(stream=stream), Sleeps(), epochs=1)
    assert sum("%" in line for line in stream.getvalue().splitlines()) == 1
