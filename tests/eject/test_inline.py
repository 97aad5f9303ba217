"""Callbacks in the loop: settings as constants, memory as names, statements in place."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain.eject import source
from drivetrain.errors import EjectError
from tests.eject import callbacks as own, project, replay

OWN = functools.partial(dt.Learner, progress=False, num_threads=1)


def learner_with(*callbacks: Any, epochs: int = 3, **options: Any) -> dt.Learner:
    learner = OWN(
        project.Net, project.loaders, "cross_entropy", callbacks=list(callbacks), **options
    )
    learner.fit(epochs, 1e-2)
    return learner


def loop_of(text: str) -> str:
    """The function that trains."""
    module = ast.parse(text)
    return next(
        ast.get_source_segment(text, node) or ""
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("fit")
    )


def test_settings_become_constants_with_what_the_docstring_says_of_them(tmp_path: Path) -> None:
    text = replay.check(learner_with(own.Shrinks(0.25, every=3)), tmp_path)
    assert "SHRINKS_SHARE = 0.25  # what is left of them\n" in text
    assert "SHRINKS_EVERY = 3  # steps between\n" in text


def test_helpers_bases_and_early_returns_become_plain_statements(tmp_path: Path) -> None:
    text = replay.check(learner_with(own.Shrinks()), tmp_path)
    loop = loop_of(text)
    assert "class Shrinks" not in text and "self" not in loop and "state" not in loop
    assert "return\n" not in loop
    assert "def shrunk(tensor: Tensor, share: float)" in text  # a person's helper stays


def test_the_state_may_have_any_name_in_a_callback_of_ones_own(tmp_path: Path) -> None:
    loop = loop_of(replay.check(learner_with(own.NamesItsOwnWay()), tmp_path))
    assert "parameter.grad.mul_(0.5)" in loop
    assert "run" not in loop and "fit." not in loop


def test_what_a_callback_remembers_becomes_names_of_the_loop(tmp_path: Path) -> None:
    learner = learner_with(own.Remembers())
    text = replay.check(learner, tmp_path)
    loop = loop_of(text)
    assert "REMEMBERS_DECAY = 0.9" in text
    assert re.search(r"^    means = \{\}$", loop, re.MULTILINE)
    assert "remembers_loss" in loop and "remembers_step" in loop  # `loss` and `step` are the loop's


def test_two_callbacks_of_one_kind_keep_apart(tmp_path: Path) -> None:
    text = replay.check(learner_with(own.Shrinks(0.5, 2), own.Shrinks(0.9, 3)), tmp_path)
    assert "0.9" in text and "0.5" in text


def test_two_callbacks_with_one_name_for_different_things_keep_apart(tmp_path: Path) -> None:
    replay.check(
        learner_with(own.Shrinks(), own.Remembers(), project.GradientNoise(), "ema"), tmp_path
    )


CANCELS = [
    own.SkipsBatches,
    own.SkipsLosses,
    own.SkipsSteps,
    own.StopsEarly,
    own.StopsBeforeABatch,
    own.StopsAfterAnEpoch,
]


@pytest.mark.parametrize("kind", CANCELS, ids=lambda kind: kind.__name__)
def test_cancelling_becomes_plain_flow(kind: type[dt.Callback], tmp_path: Path) -> None:
    text = replay.check(learner_with(kind()), tmp_path)
    assert "Cancel" not in text and "raise" not in loop_of(text)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CANCELS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "other", ["ema", "mixup", {"name": "accumulate", "steps": 2}, "save_best"], ids=str
)
def test_cancelling_beside_another_callback(
    kind: type[dt.Callback], other: Any, tmp_path: Path
) -> None:
    learner = learner_with(kind(), other, metrics=["accuracy"])
    try:
        replay.check(learner, tmp_path)
    except EjectError as error:
        assert kind is own.SkipsSteps and "plain form" in str(error)  # noqa: PT017 - one of two is right


def test_predictions_and_losses_may_be_changed(tmp_path: Path) -> None:
    replay.check(learner_with(own.ScalesLoss()), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [own.Shrinks, own.Remembers, own.SkipsLosses, own.ScalesLoss],
    ids=lambda kind: kind.__name__,
)
@pytest.mark.parametrize("form", ["pair", "dict"])
def test_callbacks_with_batches_of_other_forms(
    kind: type[dt.Callback], form: str, tmp_path: Path
) -> None:
    loaders = {"pair": project.pair_loaders, "dict": project.dict_loaders}[form]
    learner = OWN(project.TwoInputs, loaders, "cross_entropy", callbacks=[kind()])
    learner.fit(2, 1e-2)
    replay.check(learner, tmp_path)


def refused(learner: dt.Learner, sentence: str) -> None:
    with pytest.raises(EjectError) as error:
        source(learner)
    assert str(error.value) == sentence


def test_a_helper_with_two_answers_is_right_or_refused(tmp_path: Path) -> None:
    learner = learner_with(own.AnswersInTheMiddle())
    try:
        replay.check(learner, tmp_path)
    except EjectError as error:
        assert str(error) == (  # noqa: PT017 - either way is right
            "`AnswersInTheMiddle._limit` returns in its middle, so its statements cannot stand in the "
            "place of an event. Give it one `return`, or make a function of it at the top of its module."
        )


def test_a_batch_that_is_put_together_anew_is_refused() -> None:
    refused(
        learner_with(own.ScalesInputs()),
        "The callback `ScalesInputs` uses `state.batch`, which a script does not have. Eject without it, "
        "or write it with what the loop has: state.epoch, state.evaluation, state.in_eval, state.loss, "
        "state.model, state.optimizer, state.preds, state.row, state.step, state.targets.",
    )


def test_the_whole_state_is_not_handed_on() -> None:
    refused(
        learner_with(own.HandsStateOn()),
        "The callback `HandsStateOn` uses `state`, which a script does not have. Eject without it, or "
        "write it with what the loop has: state.epoch, state.evaluation, state.in_eval, state.loss, "
        "state.model, state.optimizer, state.preds, state.row, state.step, state.targets.",
    )


def test_ending_an_epoch_is_plain_flow_or_refused(tmp_path: Path) -> None:
    learner = learner_with(own.ShortEpochs())
    try:
        replay.check(learner, tmp_path)
    except EjectError as error:
        assert str(error) == (  # noqa: PT017 - either way is right
            "A callback raises `CancelEpoch` at an event where a script has no plain form for it. Cancel "
            "a step at `after_backward`, a batch before its step, a fit after a batch or an epoch."
        )


def test_callbacks_of_one_fit_are_in_that_fits_function_alone(tmp_path: Path) -> None:
    learner = OWN(project.Net, project.loaders, "cross_entropy")
    learner.fit(1, 1e-2, callbacks=[own.Shrinks()])
    learner.fit(1, 1e-2)
    text = replay.check(learner, tmp_path)
    functions = [
        n
        for n in ast.parse(text).body
        if isinstance(n, ast.FunctionDef) and n.name.startswith("fit")
    ]
    uses = ["shrunk(" in ast.unparse(function) for function in functions]
    assert sorted(uses) == [False, True]


def test_a_callback_that_goes_on_from_fit_to_fit_is_refused() -> None:
    learner = OWN(project.Net, project.loaders, "cross_entropy", callbacks=[own.Remembers()])
    learner.fit(1, 1e-2)
    learner.fit(1, 1e-2)  # `loss` and `step` of the callback go on, `_means` start anew
    refused(
        learner,
        "The callback `Remembers` takes `self.loss` from one fit to the next, and in a script it starts "
        "anew in each. Set it in `before_fit`, or give each fit a callback of its own.",
    )


def test_a_callback_that_starts_anew_in_each_fit(tmp_path: Path) -> None:
    learner = OWN(project.Net, project.loaders, "cross_entropy", callbacks=[own.Shrinks()])
    learner.fit(1, 1e-2)
    learner.fit(2, 1e-2)
    replay.check(learner, tmp_path)


EVENTS = [
    "before_fit",
    "before_epoch",
    "before_batch",
    "after_step",
    "after_batch",
    "before_validate",
    "after_validate",
    "after_epoch",
    "after_fit",
]


@pytest.mark.slow
@pytest.mark.parametrize("event", EVENTS)
def test_where_it_stands_is_the_same_at_every_event(event: str, tmp_path: Path) -> None:
    learner = OWN(project.Net, project.loaders, "cross_entropy")
    learner.fit(2, 1e-2)
    learner.fit(2, 1e-2, callbacks=[own.TellsWhereItStands(event)])
    replay.check(learner, tmp_path)


def test_how_far_training_has_come_is_the_same(tmp_path: Path) -> None:
    replay.check(learner_with(own.Ramps()), tmp_path)


@pytest.mark.slow
def test_how_far_training_has_come_is_the_same_under_a_schedule(tmp_path: Path) -> None:
    learner = OWN(project.Net, project.loaders, "cross_entropy", callbacks=[own.Ramps()])
    learner.fit_one_cycle(3, 1e-2)
    replay.check(learner, tmp_path)


def test_what_a_callback_has_changed_is_refused() -> None:
    refused(
        learner_with(own.Frees(0.7)),
        "The callback `Frees` changes `ends` that it was made with, or keeps it in another form, so "
        "nobody can tell any more what it was. Keep it (`self.ends = ends`), and count with another "
        "attribute.",
    )


def test_what_happens_within_a_validation_is_refused() -> None:
    refused(
        learner_with(own.LooksAtValidBatches()),
        "The callback `LooksAtValidBatches` does something at `after_valid_batch`, and a script "
        "validates in a function of its own. Move it to `after_validate`.",
    )
