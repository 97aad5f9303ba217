"""What a Learner writes into a run folder, and how one stands again where a run stopped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from drivetrain.train import journal, saving
from drivetrain.train.journal import Stage
from drivetrain.train.modules import freeze_groups
from drivetrain.train.run import Run, versions
from drivetrain.train.state import FitState

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner


def record_of(learner: Learner) -> dict[str, Any]:
    """What `run.json` says of a Learner, results apart; plain JSON."""
    described = learner.application.record() if learner.application is not None else {}
    return {
        **described,
        "seed": learner.seed,
        "num_threads": learner.num_threads or torch.get_num_threads(),
        "device": str(learner.device),
        "loss": getattr(learner.loss_fn, "__name__", type(learner.loss_fn).__name__),
        "metrics": [metric.name for metric in learner.metrics],
        "journal": [stage.to_json() for stage in learner.journal],
        "seconds": round(learner.seconds, 3),
        "versions": versions(),
    }


def save_into(learner: Learner, run: Run) -> None:
    """Write the model that predicts, and the record with its results."""
    described = learner.application.model_record() if learner.application is not None else {}
    run.save_model(learner.model.state_dict(), described)
    run.write(record_of(learner) | {"results": learner.result() | {"run": str(run.folder)}})


def checkpoint(learner: Learner, stage: Stage, state: FitState) -> None:
    """Count an epoch in the journal; with a run, write all that going on from here needs."""
    stage.epochs_done, stage.steps_done = state.epochs_done, state.step
    if learner.run is None:
        return
    learner.run.log(state.row)
    this_stage = [row for row in learner.history if row["epoch"] >= stage.first_epoch]
    learner.run.save_checkpoint(
        state.epoch,
        saving.pack(learner.model, state.optimizer),
        {
            "journal": [one.to_json() for one in learner.journal],
            "seconds": learner.seconds + sum(row.get("seconds", 0.0) for row in this_stage),
        },
    )


def restore(learner: Learner, run: Run) -> dict[str, Tensor] | None:
    """Give a Learner the journal, history and weights of a run's newest whole checkpoint.

    Returns: the checkpoint's tensors, for the optimizer of the stage that goes on; None where the run was
        cut before its first checkpoint.
    Raises: RunError: no checkpoint is whole, or they are of another model.
    """
    record = run.read()
    learner.run = run
    learner.seconds = float(record.get("seconds", 0.0))
    stages, tensors = record["journal"], None
    found = run.load_checkpoint()
    if found is not None:
        tensors, position, notes = found
        for note in notes:
            sys.stderr.write(note + "\n")
        stages = position["journal"]
        learner.seconds = max(learner.seconds, float(position["seconds"]))
        saving.unpack_model(tensors, learner.model, what=str(run.folder))
    learner.journal = [Stage.from_json(stage) for stage in stages]
    done = sum(stage.epochs_done for stage in learner.journal)
    learner.history[:] = [row for row in run.read_log() if row["epoch"] < done]
    frozen = [s for s in learner.journal if s.kind == "freeze" and s.status == journal.DONE]
    if frozen:
        freeze_groups(learner.layer_groups, frozen[-1].frozen_groups)
    return tensors
