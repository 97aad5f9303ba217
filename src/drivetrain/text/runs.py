"""Runs of texts, opened again: as they were left, to go on with, to export, or for their sealed test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from drivetrain import store
from drivetrain.models.language import RANGE
from drivetrain.text.application import TextLearner
from drivetrain.text.data import Report, gather_again
from drivetrain.text.language import language_learner
from drivetrain.text.learner import learner
from drivetrain.text.model import load
from drivetrain.text.sealing import opened
from drivetrain.text.unfreezing import gradual_unfreeze, stages_done
from drivetrain.train import sealed
from drivetrain.train.callback import Callback
from drivetrain.train.reopening import Recorded, form_of_run, train_anew, went_on
from drivetrain.train.run import Run, said_as_damage
from drivetrain.train.sealed import TestResult
from drivetrain.train.within import take_share

METHODS = ("fit_one_cycle", "gradual_unfreeze", "fine_tune")
"""What the plan of a training may call."""

RECORD: Mapping[str, Any] = form_of_run(model={"name": str}, data={"from": str, "seed": int})
"""What `run.json` has to say for a run of texts to be opened again; see `train.run.check_form`."""


def test(folder: store.StrPath, *, report: Report | None = None) -> TestResult:
    """Open the sealed texts of a run, and count the look; see `train.sealed`.

    Args:
        folder: of a finished run.
        report: is told how far reading is.

    Returns: metrics on the sealed items, the interval at this look, and how many looks there were.
    Raises: RunError: no run, or nothing was sealed. DataError: the texts are gone or have changed.
        StorageError: the look cannot be written down; then nothing is said either.
    """
    return sealed.test_run(
        folder,
        load=load,
        gather=partial(gather_again, report=report),
        measure=opened,
        weights=lambda model: model.model.state_dict(),
    )


def export(
    run: store.StrPath, folder: store.StrPath, *, report: Report | None = None, **options: Any
) -> Any:
    """Write a run as a bundle: a folder that predicts, and proves itself.

    Args:
        run: of a classifier of texts.
        folder: where to.
        report: is told how far reading the texts is.
        options: `golden`, `guard`, `script` …, see `text.bundling.exporting.write_bundle`.

    Returns: what verifying it found.
    Raises: RunError, DataError: as `reopen`, or the run is not finished. ConfigError, BundleError,
        StorageError: as `write_bundle`.
    """
    Run.open(run).read_finished()
    return reopen(run, callbacks=(), progress=False, report=report).export(folder, **options)


def resume(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> TextLearner:
    """Go on with a run of texts that was cut, to the same weights as if it had not been.

    Arguments and errors as `vision.resume`. Of a language model too.

    Args:
        folder: of the run.
        callbacks: to be used in place of those that the run names; needed where one was of your own.
        progress: show a bar on stderr.
        report: is told how far reading is.

    Returns: the Learner, trained to the end.
    """
    found = went_on(reopen(folder, callbacks=callbacks, progress=progress, report=report))
    application: Any = found.application
    plan = application.plan
    if plan["method"] == "gradual_unfreeze":
        done = stages_done(found, plan["epochs"], plan["lr"])
        if done is not None:  # cut in an early step: the later ones were not planned yet
            gradual_unfreeze(found, plan["epochs"], plan["lr"], done=done)
    return found


def reopen(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> TextLearner:
    """The Learner of a run as its last checkpoint left it, or as it was before training.

    Args:
        folder: of the run.
        callbacks: to be used in place of those that the run names; needed where one was of your own.
        progress: show a bar on stderr.
        report: is told how far reading is.

    Raises: RunError: no run of texts there, or its texts are not those it began with.
    """
    again = Recorded.of(folder, "text", "a run of texts", has=("plan",))
    again.check(RECORD, METHODS)
    data = again.gathered(
        partial(gather_again, report=report),
        lambda data: (
            f"The texts of {data.source} are not those that {folder} began with. Put them back, "
            "or train anew."
        ),
    )
    settings = again.settings
    with said_as_damage(again.path):
        told = again.told(callbacks, progress=progress)
        if data.goal is None:
            # that of the run: of a time without such an entry all began in ±0.1
            given = again.record["model"].get("encoder", {})
            found = language_learner(
                data,
                model=settings["model"],
                seq_len=settings["seq_len"],
                encoder=settings["encoder"],
                drop_mult=settings["drop_mult"],
                sizes={**settings["sizes"], RANGE: given.get(RANGE, 0.1)},
                **told,
            )
        else:
            found = learner(
                data,
                model=None if settings["model"] == "saved" else settings["model"],
                encoder=settings["encoder"],
                loss_fn=settings["loss_fn"],
                max_len=settings["asked_max_len"],
                drop_mult=settings["drop_mult"],
                sizes=settings["sizes"],
                **told,
            )
    command = f"{train_anew(data.source)} --task text"
    lost = f"the model it began with cannot be made again here. {command}"
    return again.standing(found, lost=lost, take=take_share)
