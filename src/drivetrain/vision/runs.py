"""Runs of pictures: measured, exported, tested; opened as they were left, or to go on with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from drivetrain import store
from drivetrain.bundle.verify import Verified
from drivetrain.errors import DataError, RunError
from drivetrain.models.build import shapes_of
from drivetrain.train import sealed
from drivetrain.train.callback import Callback
from drivetrain.train.learner import Learner
from drivetrain.train.reopening import NUMBER, Recorded, form_of_run, went_on
from drivetrain.train.run import Run, read_model, said_as_damage
from drivetrain.train.sealed import TestResult
from drivetrain.vision import budget as budgets, exporting
from drivetrain.vision.application import VisionApplication
from drivetrain.vision.bundle import load
from drivetrain.vision.data import Report, VisionData, gather_again
from drivetrain.vision.learner import learner
from drivetrain.vision.measure import trained_hashes
from drivetrain.vision.sealing import opened

METHODS = ("fit", "fit_one_cycle", "fine_tune")
"""What the plan of a training may call."""

RECORD: Mapping[str, Any] = form_of_run(
    model={"name": str},
    data={"from": str, "source": str, "size": list},
    settings={"dropout": NUMBER},
)
"""What `run.json` has to say for a run of pictures to be opened again; see `train.run.check_form`."""


def export(
    run: store.StrPath, folder: store.StrPath, *, report: Report | None = None, **options: Any
) -> Verified:
    """Write a finished run as a bundle: a folder that predicts, and proves itself.

    Args:
        run: the run's folder.
        folder: where to; a bundle that is there is replaced, anything else is not.
        report: is told how far opening the pictures is.
        options: `golden`, `guard`, `coverage`, `false_alarm`, `onnx`, `script`; see
            `vision.exporting.export`.

    Returns: what verifying the bundle found.
    Raises: RunError: no run there, or it is not finished; or its pictures are needed, for golden examples
        or the guard, and are not those it began with. DataError: they are gone. ConfigError,
        BundleError, StorageError: as `vision.exporting.export`.
    """
    exporting.check_options(folder, options.get("golden", exporting.GOLDEN))
    record = Run.open(run).read_finished()
    weights, described = read_model(run)
    if described.get("application") != "vision":
        raise RunError(f"{run} is not a run of pictures.")
    data = None
    if options.get("golden", exporting.GOLDEN) or options.get("guard", True):
        try:
            application = reopen(run, callbacks=(), progress=False, report=report).application
        except (DataError, RunError) as error:
            error.add_note("Without its pictures it is exported by: --golden 0 --no-guard.")
            raise
        assert isinstance(application, VisionApplication), "reopened as one"
        data = application.data
    return exporting.export(exporting.Trained(record, described, weights, data), folder, **options)


def evaluate(folder: store.StrPath, source: str | os.PathLike[str]) -> dict[str, Any]:
    """Metrics of a run's model on labelled pictures; counts pictures that it was trained on.

    Args:
        folder: of the run.
        source: a folder or a CSV of labelled pictures.

    Raises: RunError: no model. DataError: nothing in `source` can be measured.
    """
    return load(folder).evaluate(source, known=trained_hashes(folder))


def test(folder: store.StrPath, *, report: Report | None = None) -> TestResult:
    """Open the sealed pictures of a run, and count the look; see `train.sealed`.

    Args:
        folder: of a finished run.
        report: is told how far opening the pictures is.

    Returns: metrics on the sealed items, the interval at this look, and how many looks there were.
    Raises: RunError: no run, or nothing was sealed. DataError: the pictures are gone or have changed.
        StorageError: the look cannot be written down; then nothing is said either.
    """
    return sealed.test_run(
        folder,
        load=load,
        gather=partial(gather_again, report=report),
        measure=opened,
        weights=lambda predictor: predictor.model.state_dict(),
    )


def resume(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> Learner:
    """Go on with a run that was cut, to the same weights as if it had not been.

    A run that is finished is opened and left as it is.

    Args:
        folder: of the run.
        callbacks: the Learner's own, where it was given some that have no name; all others are made again
            from the run's record.
        progress: show progress on stderr.
        report: is told how far opening the pictures is.
    Returns: the Learner, trained to the end.
    Raises: RunError: no run there, or its pictures are not those it began with; or another program trains
        in it; or it was given a callback that only its script has.
    """
    return went_on(reopen(folder, callbacks=callbacks, progress=progress, report=report))


def reopen(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> Learner:
    """The Learner of a run as its last checkpoint left it, or as it was before training.

    Arguments and errors as `resume`.

    Args:
        folder: of the run.
        callbacks: the Learner's own, where it was given some that have no name.
        progress: show progress on stderr.
        report: is told how far opening the pictures is.
    """
    again = Recorded.of(folder, "vision", "a run of pictures")
    again.check(RECORD)
    if again.plan["method"] not in METHODS:
        raise RunError(
            f"{again.path} cannot be used: its 'plan.method' is none of {', '.join(METHODS)}. "
            "Restore it from a copy."
        )
    settings = again.settings

    def gathered(recipe: Mapping[str, Any]) -> VisionData:
        data, fraction = gather_again(recipe, report=report), settings.get("fraction", 1.0)
        return budgets.share_of(data, fraction, seed=again.record["seed"])

    data = again.gathered(
        gathered,
        lambda data: (
            f"The pictures in {data.source} are not those that {folder} began with"
            f"{_difference(again.run, data)}. Put them back, or train anew."
        ),
    )
    with said_as_damage(again.path):
        _check_size(again)
        found = learner(
            data,
            again.record["model"]["name"],
            loss_fn=settings["loss_fn"],
            pretrained=settings["pretrained"],
            augment=settings["augment"],
            dropout=settings["dropout"],
            target_weights=settings.get("target_weights"),
            **again.told(callbacks, progress=progress),
        )
    assert isinstance(found.application, VisionApplication), "made above"
    note = found.application.built.note
    lost = f"the weights it began with are not here: {note} Bring them back, or train anew."
    return again.standing(found, lost=lost)


def _check_size(again: Recorded) -> None:
    """Whether the model could be that of the run's weights, before memory is taken for it.

    Raises: RunError: it is larger than all that the run holds.
    """
    model: Mapping[str, Any] = again.record["model"]
    names = ("name", "num_classes", "in_channels", "dropout")
    if not again.could_hold(shapes_of({name: model.get(name) for name in names})):
        raise RunError(
            f"{again.run.folder} holds the weights of another model than {model['name']}, which its "
            "run.json names. Restore it from a copy."
        )


def _difference(run: Run, data: VisionData) -> str:
    """In a few words, what changed in the pictures."""
    before = run.read_split()["sha256"]
    gone = [name for name in before if name not in data.hashes]
    new = [name for name in data.hashes if name not in before]
    changed = [n for n in before if n in data.hashes and data.hashes[n] != before[n]]
    for count, names in (("missing", gone), ("new", new), ("changed", changed)):
        if names:
            return f": {len(names)} {count}, such as {names[0]}"
    return ""
