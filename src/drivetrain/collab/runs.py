"""Runs of ratings, opened again: as they were left, to go on with, or for their sealed test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from drivetrain import store
from drivetrain.collab.application import CollabLearner
from drivetrain.collab.data import Report, gather_again
from drivetrain.collab.events import FITTED
from drivetrain.collab.learner import EVENTS, learner
from drivetrain.collab.model import load
from drivetrain.collab.sealing import opened
from drivetrain.errors import RunError
from drivetrain.models.factorization import factorization_shapes
from drivetrain.train import sealed
from drivetrain.train.callback import Callback
from drivetrain.train.reopening import Recorded, form_of_run, train_anew, went_on
from drivetrain.train.run import said_as_damage
from drivetrain.train.sealed import TestResult
from drivetrain.train.within import take_share

METHODS = ("fit_one_cycle",)
"""What the plan of a training may call."""

RECORD: Mapping[str, Any] = form_of_run(
    model={"name": str, "kind": str}, data={"split": (str, type(None)), "seed": int}
)
"""What `run.json` has to say for a run of ratings to be opened again; see `train.run.check_form`."""


def test(folder: store.StrPath, *, report: Report | None = None) -> TestResult:
    """Open the sealed ratings of a run, and count the look; see `train.sealed`.

    Args:
        folder: of a finished run.
        report: is told how far reading is.

    Returns: metrics on the sealed items, the interval at this look, and how many looks there were.
    Raises: RunError: no run, or nothing was sealed. DataError: the ratings are gone or have changed.
        StorageError: the look cannot be written down; then nothing is said either.
    """
    return sealed.test_run(
        folder,
        load=load,
        gather=partial(gather_again, report=report),
        measure=opened,
        weights=lambda model: model.net.state_dict(),
    )


def resume(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> CollabLearner:
    """Go on with a run of ratings that was cut, to the same weights as if it had not been.

    Arguments and errors as `vision.resume`.

    Args:
        folder: of the run.
        callbacks: to be used in place of those that the run names; needed where one was of your own.
        progress: show a bar on stderr.
        report: is told how far reading is.

    Returns: the Learner, trained to the end.
    """
    return went_on(reopen(folder, callbacks=callbacks, progress=progress, report=report))


def reopen(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> CollabLearner:
    """The Learner of a run as its last checkpoint left it, or as it was before training.

    Args:
        folder: of the run.
        callbacks: to be used in place of those that the run names; needed where one was of your own.
        progress: show a bar on stderr.
        report: is told how far reading is.

    Raises: RunError: no run of ratings there, or its ratings are not those it began with.
    """
    again = Recorded.of(folder, "collab", "a run of ratings", has=("plan",))
    again.check({"plan": {"method": str}})
    if again.plan["method"] in FITTED:
        raise RunError(f"{folder} was fitted without steps: there is nothing to go on with.")
    again.check(RECORD, METHODS)
    data = again.gathered(
        partial(gather_again, report=report),
        lambda data: (
            f"The ratings of {data.source} are not those that {folder} began with. Put them "
            "back, or train anew."
        ),
    )
    model = dict(again.record["model"])
    with said_as_damage(again.path):
        name = model.pop("name")
        fits = again.could_hold(factorization_shapes(model))
        known = len(data.users), len(data.items)
        if not fits or (model["num_users"], model["num_items"]) != known:
            raise RunError(
                f"{again.run.folder} holds the weights of another model than its run.json describes. "
                "Restore it from a copy."
            )
        found = learner(
            data,
            model=name,
            **_told(name, model, again.settings),
            **again.told(callbacks, progress=progress),
        )
    lost = f"the model it began with cannot be made again here. {train_anew(data.source)}"
    return again.standing(found, lost=lost, take=take_share)


def _told(name: str, model: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `learner` was told of the model that a run describes."""
    if name == EVENTS:
        return {"num_factors": model["num_factors"]}
    y_range = model["y_range"] if model["y_range"] is not None else False
    told = {"y_range": y_range, "loss_fn": settings["loss_fn"]}
    if name != "net":
        return {**told, "num_factors": model["num_factors"]}
    dims = model["user_dim"], model["item_dim"]
    return {
        **told,
        "num_factors": dims[0] if dims[0] == dims[1] else None,
        "layers": model["layers"],
        "batch_norm": model["batch_norm"],
        "dropout": model["dropout"],
    }
