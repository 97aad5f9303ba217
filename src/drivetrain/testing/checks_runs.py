"""Checks of what is kept: a run that was cut goes on to the same bits, and files hold only data."""

from __future__ import annotations

import json
from typing import Any

from drivetrain import store
from drivetrain.testing.checks_events import REMEMBER
from drivetrain.testing.subject import (
    Subject,
    differing,
    equal,
    expect,
    expect_same_training,
    listed,
    outputs_of,
    skip,
    weights_of,
)
from drivetrain.train.journal import Stage
from drivetrain.train.run import Run, read_model

PICKLED = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
"""How pickles begin, and the archives that torch puts them into."""


def a_run_cut_after_an_epoch_goes_on(subject: Subject) -> None:
    """Killed after an epoch and resumed in a new Learner, training ends with the same bits."""
    _expect_goes_on(subject, "after_epoch", 1)


def a_run_cut_within_an_epoch_goes_on(subject: Subject) -> None:
    """Killed within an epoch and resumed in a new Learner, training ends with the same bits."""
    _expect_goes_on(subject, "after_loss", 2)


def a_run_cut_in_validation_goes_on(subject: Subject) -> None:
    """Killed in the middle of a validation and resumed, training ends with the same bits."""
    if subject.make().loaders.valid is None:
        skip("There is no validation loader.")
    _expect_goes_on(subject, "after_valid_batch", 1)


def a_run_cut_at_the_last_batch_goes_on(subject: Subject) -> None:
    """Killed at the last batch of all and resumed, training ends with the same bits."""
    learner = subject.make()
    steps = len(subject.batches_of(learner.loaders.train, learner))
    _expect_goes_on(subject, "before_batch", 2 * steps)


def a_damaged_checkpoint_is_passed_over(subject: Subject) -> None:
    """Where the newest checkpoint is damaged the one before it is used, and the bits are the same."""
    _, folder = subject.cut("before_batch", 3)
    found = sorted((folder / "checkpoints").glob("epoch-*.safetensors"))
    if len(found) < 2:
        skip("There is one checkpoint.")
    found[-1].write_bytes(found[-1].read_bytes()[:-1])
    learner = subject.resumed(folder)
    expect_same_training(learner, subject.straight(), REMEMBER)


def a_finished_run_stays_as_it_is(subject: Subject) -> None:
    """Resuming a run that is finished trains nothing more, and changes neither weights nor record."""
    done = subject.make_in_run()
    assert done.run is not None, "it was started"
    subject.train(done)
    record = (done.run.folder / "run.json").read_bytes()
    again = subject.make()
    again.open_run(Run.open(done.run.folder))
    again.resume(callbacks=[])
    changed = differing(weights_of(done), weights_of(again))
    expect(
        not changed,
        f"Resuming a finished run gave other weights in {listed(changed)}. `resume` carries out what the "
        "journal has open, and nothing else.",
    )
    expect(
        len(again.history) == len(done.history)
        and (done.run.folder / "run.json").read_bytes() == record,
        "Resuming a finished run changed its history or its `run.json`.",
    )


def a_run_says_which_weights_it_ended_with(subject: Subject) -> None:
    """`run.json` names the SHA-256 of the weights that the training ended with."""
    learner = subject.make_in_run()
    assert learner.run is not None, "it was started"
    subject.train(learner)
    told = learner.run.read()["results"]["weights_sha256"]
    kept, _ = read_model(learner.run.folder)
    for what, found in (
        ("the Learner", store.weights_sha256(weights_of(learner))),
        ("`model/`", store.weights_sha256(kept)),
    ):
        expect(
            told == found,
            f"`run.json` tells the SHA-256 {told[:12]}… of the weights, and those of {what} have "
            f"{found[:12]}…. Asking for the state dict must change nothing.",
        )


def a_run_folder_holds_data_alone(subject: Subject) -> None:
    """A run folder holds safetensors and JSON and no pickle: to open one runs no code from it."""
    learner = subject.make_in_run()
    assert learner.run is not None, "it was started"
    subject.train(learner)
    folder = learner.run.folder
    wrong = [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and (
            path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".bin")
            or path.read_bytes()[:4].startswith(PICKLED)
        )
    ]
    expect(
        not wrong,
        f"The run folder holds {listed(wrong)}, which run code when they are opened. Write tensors with "
        "`store.write_tensors`, all else with `store.write_json`.",
    )
    for path in folder.rglob("*.json"):
        store.read_json(path)


def the_journal_reads_back(subject: Subject) -> None:
    """The journal is plain JSON that reads back as it was: a run is continued and replayed from it."""
    learner = subject.make()
    learner.fit(1)
    subject.train(learner)
    for stage in learner.journal:
        try:
            text = store.to_json(stage.to_json())
        except (TypeError, ValueError) as error:
            raise AssertionError(
                f"The stage `{stage.call}` of the journal is no JSON: {error}. Give rates, decay and "
                "seed as plain numbers: `float(value)`."
            ) from error
        expect(
            Stage.from_json(json.loads(text)) == stage,
            f"The stage `{stage.call}` of the journal is another one when it is read back: {text}. "
            "Give rates, decay and seed as plain numbers, and options as lists and not tuples.",
        )


def saved_and_loaded_it_predicts_the_same(subject: Subject) -> None:
    """A model that was saved and loaded into an equal Learner gives the same predictions to the bit."""
    learner, other = subject.make(), subject.make()
    subject.train(learner)
    batch = subject.batch(subject.make())
    trained = outputs_of(learner, batch)
    folder = subject.folder()
    learner.save(folder)
    other.load(folder)
    expect(
        equal(trained, outputs_of(other, batch)),
        "Saved and loaded again, the model predicts otherwise. Something that training changes is in no "
        "state dict: make it a buffer with `register_buffer`.",
    )


def the_log_tells_the_history(subject: Subject) -> None:
    """`log.jsonl` has the rows of the history, so that it is there after a kill."""
    learner = subject.make_in_run()
    assert learner.run is not None, "it was started"
    subject.train(learner)
    told = [_plain(row) for row in learner.run.read_log()]
    have = [_plain(row) for row in learner.history]
    expect(
        told == have,
        f"`log.jsonl` has {len(told)} rows, the history {len(have)}, or others: {told[-1:]} and "
        f"{have[-1:]}. Let callbacks write their columns before `after_epoch` is over for the log, with "
        "an `order` below `LAST`.",
    )


def the_application_describes_itself(subject: Subject) -> None:
    """What the application tells a run is JSON, with a label for each score: it is how one predicts."""
    learner = subject.whole()
    application = learner.application
    if application is None:
        skip("It has no application.")
    learner.loaders = subject.shortened(learner.loaders)
    for name in ("record", "model_record"):
        try:
            store.to_json(getattr(application, name)())
        except (TypeError, ValueError) as error:
            raise AssertionError(
                f"`{name}()` of the application is no JSON: {error}. Answer with dicts, lists, words and "
                "plain numbers."
            ) from error
    classes = application.classes
    outputs = outputs_of(learner, subject.batch(learner))
    expect(
        not classes or outputs.shape[1] == len(classes),
        f"The application names {len(classes)} classes, and the model gives {outputs.shape[1]} "
        "scores. Make the head as wide as there are classes.",
    )


# --- how it is done ---------------------------------------------------------------------------------


def _expect_goes_on(subject: Subject, event: str, count: int) -> None:
    """A run that is killed when `event` comes for the `count`-th time ends as one that was not."""
    straight = subject.straight()
    _, folder = subject.cut(event, count)
    expect_same_training(subject.resumed(folder), straight, REMEMBER)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return json.loads(store.to_json(row))


CHECKS = (
    a_run_cut_after_an_epoch_goes_on,
    a_run_cut_within_an_epoch_goes_on,
    a_run_cut_in_validation_goes_on,
    a_run_cut_at_the_last_batch_goes_on,
    a_damaged_checkpoint_is_passed_over,
    a_finished_run_stays_as_it_is,
    a_run_says_which_weights_it_ended_with,
    a_run_folder_holds_data_alone,
    the_journal_reads_back,
    the_log_tells_the_history,
    saved_and_loaded_it_predicts_the_same,
    the_application_describes_itself,
)
