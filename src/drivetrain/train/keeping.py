"""What a Learner writes into a run folder, and how one stands again where a run stopped."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from drivetrain import losses, metrics
from drivetrain.errors import RunError, StorageError
from drivetrain.train import journal, parts, saving
from drivetrain.train.callback import Callback
from drivetrain.train.journal import Stage
from drivetrain.train.modules import detached, freeze_groups
from drivetrain.train.run import Run, check_form, read_model, versions
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
        "loss": losses.loss_record(learner.loss_fn),
        "optimizer": parts.optimizer_record(learner.optimizer),
        "metrics": [metrics.record_of(metric) for metric in learner.metrics],
        "callbacks": parts.callback_records(learner.callbacks),
        "journal": [stage.to_json() for stage in learner.journal],
        "seconds": round(learner.seconds, 3),
        "versions": versions(),
    }


def callbacks_of(stages: Sequence[Stage]) -> list[Callback]:
    """The callbacks that the call in work was given, made again from its record.

    Raises: as `callbacks_from`.
    """
    return callbacks_from(next((stage.callbacks for stage in stages if stage.is_open), []))


def callbacks_from(records: Sequence[Mapping[str, Any]]) -> list[Callback]:
    """Callbacks made again from what a run recorded of them.

    Raises: RunError: one of them has no name, so only the script that gave it has it.
    """
    unknown = [record["class"] for record in records if "class" in record]
    if unknown:
        raise RunError(
            f"This training was given the callback `{unknown[0]}`, which only its script has. "
            f"Go on there: `learner.open_run(run)`, then `learner.resume(callbacks=[{unknown[0]}(...)])`."
        )
    return parts.as_callbacks(records)


def save_into(learner: Learner, run: Run) -> None:
    """Write the model that predicts, and the record with its results."""
    described = learner.application.model_record() if learner.application is not None else {}
    run.save_model(learner.model.state_dict(), described)
    run.write(record_of(learner) | {"results": learner.result() | {"run": str(run.folder)}})


@dataclass
class Kept:
    """All that a training needs to go on from one moment."""

    tensors: dict[str, Tensor]
    position: dict[str, Any]
    """Journal, seconds, what callbacks remember; JSON."""


def checkpoint(learner: Learner, stage: Stage, state: FitState) -> None:
    """Keep this moment: in the run's folder, or without one in memory, where a signal ends the fit."""
    stage.epochs_done, stage.batches_done = state.epochs_done, state.batches_done
    stage.steps_done, stage.pending = state.step, state.pending
    tensors = saving.pack(learner.model, state.optimizer, pending=state.pending)
    remembered, values = saving.pack_callbacks(state.callbacks)
    position = {
        "journal": [one.to_json() for one in learner.journal],
        "seconds": learner.seconds_so_far(),
        "callbacks": values,
    }
    if learner.run is not None:
        done = sum(one.epochs_done for one in learner.journal)
        learner.run.checkpoints.save(done, state.batches_done, tensors | remembered, position)
    elif state.interrupted is not None:
        learner.kept = Kept(detached(tensors | remembered), position)


def restore(learner: Learner, run: Run) -> None:
    """Give a Learner the journal, history and weights of a run's newest whole checkpoint.

    A run that is finished is opened as it is, with the weights of its model.
    Raises: RunError: no checkpoint is whole, or they are of another model.
    """
    record = run.read()
    learner.run = run
    learner.seconds = float(record.get("seconds", 0.0))
    recorded = [Stage.from_json(stage) for stage in record["journal"]]
    if recorded and "results" in record and not any(stage.is_open for stage in recorded):
        learner.journal = recorded
        weights, _ = read_model(run.folder)
        saving.load_weights(learner.model, weights, what=str(run.folder))
        learner.kept = None
    else:
        _go_back(learner, run, recorded)
    done = sum(stage.epochs_done for stage in learner.journal)
    learner.history[:] = [row for row in run.read_log() if row["epoch"] < done]
    frozen = [s for s in learner.journal if s.kind == "freeze" and s.status == journal.DONE]
    if frozen:
        freeze_groups(learner.layer_groups, frozen[-1].frozen_groups)


def _go_back(learner: Learner, run: Run, recorded: list[Stage]) -> None:
    """To the newest checkpoint that is whole; what was planned after it is planned still."""
    learner.journal, learner.kept = recorded, None
    found = run.checkpoints.load()
    if found is None:
        return
    tensors, position, notes = found
    for note in notes:
        sys.stderr.write(note + "\n")
    path = run.folder / "checkpoints"
    check_form(position, {"journal": list, "seconds": (int, float), "callbacks": dict}, path)
    stages = [Stage.from_json(stage) for stage in position["journal"]]
    learner.journal = stages + [_as_planned(stage) for stage in recorded[len(stages) :]]
    learner.seconds = max(learner.seconds, float(position["seconds"]))
    learner.kept = Kept(tensors, position)
    saving.unpack_model(tensors, learner.model, what=str(run.folder))


def _as_planned(stage: Stage) -> Stage:
    """A stage as it was before it began; one that an error ended stays on record only."""
    if stage.status in (journal.INTERRUPTED, journal.BROKEN):
        return stage
    return dataclasses.replace(
        stage, status=journal.PLANNED, epochs_done=0, batches_done=0, steps_done=0, pending=False
    )


def check_space(learner: Learner, optimizer: Optimizer) -> None:
    """Refuse to start where the disk has no room for two checkpoints.

    Raises: StorageError: with the bytes that are needed and free.
    """
    assert learner.run is not None, "only a run is written"
    weights = sum(t.numel() * t.element_size() for t in learner.model.state_dict().values())
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    needed = 2 * (weights + 3 * sum(p.numel() * p.element_size() for p in trained))
    free = shutil.disk_usage(learner.run.folder).free
    if free < needed:
        raise StorageError(
            f"The disk of {learner.run.folder} has {_mb(free)} free, and two checkpoints need "
            f"{_mb(needed)}. Free space, or choose another folder."
        )


def _mb(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"
