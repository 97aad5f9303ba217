"""Runs of a net for tables, opened again: as they were left, or to go on with.

What `tabular.fit` fitted has no steps to go on with; it is loaded by `tabular.load`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.models.tabular import tabular_shapes
from drivetrain.tabular.gathering import gather_again
from drivetrain.tabular.learner import learner
from drivetrain.tabular.streaming.first import Report
from drivetrain.train.callback import Callback
from drivetrain.train.learner import Learner
from drivetrain.train.reopening import NUMBER, Recorded, form_of_run, train_anew, went_on
from drivetrain.train.run import said_as_damage
from drivetrain.train.within import take_share

METHODS = ("fit_one_cycle",)
"""What the plan of a training may call."""

RECORD: Mapping[str, Any] = form_of_run(
    model={"name": str, "layers": list, "dropout": NUMBER, "embedding_dropout": NUMBER},
    data={"target": list, "valid": (float, str, list), "seed": int},
)
"""What `run.json` has to say for a run of a net to be opened again; see `train.run.check_form`."""


def resume(
    folder: store.StrPath,
    *,
    callbacks: Sequence[Callback | str | Mapping[str, Any]] | None = None,
    progress: bool = True,
    report: Report | None = None,
) -> Learner:
    """Go on with a run of a net that was cut, to the same weights as if it had not been.

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
) -> Learner:
    """The Learner of a run as its last checkpoint left it, or as it was before training.

    Args:
        folder: of the run.
        callbacks: to be used in place of those that the run names; needed where one was of your own.
        progress: show a bar on stderr.
        report: is told how far reading is.

    Raises: RunError: no run of a net there, or its table is not the one it began with.
    """
    again = Recorded.of(folder, "tabular", "a run of a net for tables", has=("plan",))
    again.check(RECORD, METHODS)
    data = again.gathered(
        partial(gather_again, report=report),
        lambda data: (
            f"The table {data.source} is not the one that {folder} began with. Put it back, or "
            "train anew."
        ),
    )
    model = again.record["model"]
    with said_as_damage(again.path):
        if not again.could_hold(tabular_shapes({k: v for k, v in model.items() if k != "name"})):
            raise RunError(
                f"{again.run.folder} holds the weights of another net than its run.json describes. "
                "Restore it from a copy."
            )
        found = learner(
            data,
            layers=model["layers"],
            loss_fn=again.settings["loss_fn"],
            y_range=model["y_range"] if model["y_range"] is not None else False,
            dropout=model["dropout"],
            embedding_dropout=model["embedding_dropout"],
            **again.told(callbacks, progress=progress),
        )
    lost = f"the net it began with cannot be made again here. {train_anew(data.source)}"
    return again.standing(found, lost=lost, take=take_share)
