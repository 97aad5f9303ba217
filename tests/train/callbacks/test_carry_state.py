"""CarryState: a language model that is cut in the middle of a text goes on in the middle of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import drivetrain as dt
from drivetrain.train import loop
from drivetrain.train.callbacks.carry_state import CarryState, carries
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.run import Run
from tests.train.callbacks.cutting import (
    FEW,
    cut_and_resumed,
    fit_state,
    loaders,
    reading_net,
    sha,
)


class Stop(dt.Callback):
    """Ends the process' fit as a kill would, after so many batches."""

    order = 1000

    def __init__(self, after: int) -> None:
        self.after = after

    def after_batch(self, state: Any) -> None:
        if state.step == self.after:
            raise KeyboardInterrupt


def fit_with(*callbacks: dt.Callback) -> Any:
    return fit_state(*callbacks, model=reading_net(), loaders=loaders(reading=True))


@pytest.mark.row(55)
def test_without_it_a_cut_within_an_epoch_changes_the_bits() -> None:
    whole = fit_with()
    loop.fit(whole)
    cut = [cut_and_resumed(fit_with, moment) for moment in FEW]
    same = [found is not None and sha(found) == sha(whole) for found in cut]
    assert same == [moment not in [("batch", 2), ("batch", 8)] for moment in FEW]


def test_an_uncut_run_trains_as_without_it() -> None:
    states = [fit_with(), fit_with(CarryState())]
    for state in states:
        loop.fit(state)
    assert sha(states[0]) == sha(states[1])


@pytest.mark.row(55)
@pytest.mark.parametrize("after", [2, 7, 10])
def test_a_run_that_is_stopped_and_resumed_has_the_same_bits(tmp_path: Path, after: int) -> None:
    def learner(**options: Any) -> dt.Learner:
        return dt.Learner(
            reading_net(),
            loaders(reading=True),
            "token_cross_entropy",
            callbacks=["carry_state", "rnn_regularization"],
            metrics=["perplexity"],
            progress=False,
            num_threads=1,
            **options,
        )

    whole = learner()
    whole.fit_one_cycle(3, 0.02)
    cut = learner(out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        cut.fit_one_cycle(3, 0.02, callbacks=[Stop(after), Checkpoint(steps=1)])
    again = learner()
    again.open_run(Run.open(tmp_path / "run"))
    again.resume(callbacks=[])
    assert sha_of(again) == sha_of(whole)
    assert [row["perplexity"] for row in again.history] == [
        row["perplexity"] for row in whole.history
    ]


def test_what_carries_has_a_list_and_a_reset() -> None:
    model = reading_net()
    assert [name for name, module in model.named_modules() if carries(module)] == ["encoder"]
    assert not carries(nn.LSTM(2, 2))


def sha_of(learner: dt.Learner) -> str:
    return learner.result()["weights_sha256"]


def test_its_record_holds_each_part_of_the_state() -> None:
    carry = CarryState()
    state = fit_with(carry)
    loop.fit(state)
    kept = carry.state_dict()
    assert list(kept) == [f"encoder:{number}" for number in range(4)]  # h and c of two layers
    assert all(isinstance(part, torch.Tensor) and not part.requires_grad for part in kept.values())
