"""train/rehearsal.py: the copy makes the steps that the Learner would make, and leaves it as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.train.callbacks.save_best import SaveBest
from drivetrain.train.rehearsal import Rehearsal, again, onward
from drivetrain.train.run import Run
from tests.train.blobs import Grouped, learner, weights


class Cut(dt.Callback):
    """Ends a fit after so many steps, as a kill would."""

    order = 1000

    def __init__(self, after: int) -> None:
        self.left = after

    def after_step(self, state: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def rehearsed(steps: Rehearsal) -> str:
    steps.fit(steps.learner.loaders.train, [])
    return store.weights_sha256(steps.model.state_dict())


def test_a_learner_that_never_trained_would_make_these_steps_and_stays_as_it_was() -> None:
    made = learner(Grouped(), optimizer="adamw")
    before, generator = weights(made), torch.get_rng_state()
    expected = rehearsed(again(made))
    assert weights(made) == before and len(made.history) == 0
    assert torch.equal(torch.get_rng_state(), generator)
    made.fit(1)
    assert weights(made) == expected != before


def test_the_last_fit_is_made_once_more_with_what_it_was_given() -> None:
    one, two = learner(Grouped()), learner(Grouped())
    for made in (one, two):
        made.fit_one_cycle(1, 1e-2, callbacks=[ClipGradients(0.1), SaveBest()])
    steps = again(one)
    assert steps.stage.call == "fit_one_cycle"
    assert [type(each).__name__ for each in steps.callbacks] == ["ClipGradients", "OptimizerMode"]
    expected = rehearsed(steps)
    two.fit_one_cycle(1, 1e-2, callbacks=[ClipGradients(0.1)])
    assert weights(two) == expected


def test_a_fit_that_was_stopped_goes_on_from_its_checkpoint(tmp_path: Any) -> None:
    whole = learner(Grouped(), optimizer="adamw")
    whole.fit(2)
    cut = learner(Grouped(), optimizer="adamw", callbacks=[Cut(9)], out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        cut.fit(2, callbacks=[Checkpoint(minutes=None, steps=1)])
    opened = learner(Grouped(), optimizer="adamw")
    opened.open_run(Run.open(tmp_path / "run"))
    before = weights(opened)
    steps = onward(opened)
    assert steps.stage.steps_done >= 6, "it goes on within the fit"
    assert rehearsed(steps) == weights(whole)
    assert weights(opened) == before


def test_without_a_checkpoint_going_on_is_to_begin_again() -> None:
    made = learner(Grouped())
    made.fit(1)
    assert rehearsed(onward(made)) == rehearsed(again(made))
