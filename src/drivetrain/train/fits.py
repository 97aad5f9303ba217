"""What a fit of a Learner's journal is made of, and what its end says.

The Learner plans stages and carries them out one after the other; here a stage becomes the state that
`train.loop.fit` works on: optimizer, schedule, callbacks, and where it was cut, what was kept.
"""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch.optim import Optimizer

from drivetrain.errors import Interrupted
from drivetrain.optim.groups import Rate, param_groups, rates_table, spread_lrs
from drivetrain.train import keeping, optimizing, saving
from drivetrain.train.callback import Callback, named
from drivetrain.train.callbacks.batch_log import BatchLog
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.callbacks.first_batch import CheckFirstBatch
from drivetrain.train.callbacks.interrupt import Interrupt
from drivetrain.train.callbacks.nonfinite_guard import NonFiniteGuard
from drivetrain.train.callbacks.optimizer_mode import OptimizerMode
from drivetrain.train.callbacks.progress import Progress
from drivetrain.train.callbacks.record import Record
from drivetrain.train.callbacks.run_log import RunLog
from drivetrain.train.journal import Stage
from drivetrain.train.modules import batchnorms
from drivetrain.train.state import FitState

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

REPLACED = {Checkpoint, NonFiniteGuard, OptimizerMode, Progress}
"""Callbacks of every fit that a person's own of the same class take the place of."""


def state_of(learner: Learner, stage: Stage, callbacks: Sequence[Callback]) -> FitState:
    """The state of a fit at its start, or where it was stopped.

    Args:
        learner: whose journal has the stage; what it kept of a fit that was stopped is taken.
        stage: to be carried out.
        callbacks: of this call, beside the Learner's own.
    """
    kept, learner.kept = learner.kept, None
    if not stage.steps_done:
        stage.first_epoch = sum(s.epochs_done for s in learner.journal)
        stage.first_step = sum(s.steps_done for s in learner.journal)
    optimizer = optimizer_of(learner, stage)
    all_callbacks = [*_own_callbacks(learner, callbacks), *learner.callbacks, *callbacks]
    saved = None
    if kept is not None:
        saving.unpack_model(kept.tensors, learner.model, what="the checkpoint")
        saving.unpack_optimizer(kept.tensors, learner.model, optimizer)
        saving.unpack_gradients(kept.tensors, learner.model)
        saved = saving.unpack_callbacks(kept.tensors, kept.position.get("callbacks", {}))
        if not stage.steps_done:  # they had not begun: the fit begins them
            for name, callback in named(all_callbacks).items():
                if name in saved:
                    callback.load_state_dict(saved[name])
            saved = None
    _show_rates(learner, stage)
    return FitState(
        model=learner.model,
        loaders=learner.loaders,
        loss_fn=learner.loss_fn,
        optimizer=optimizer,
        epochs=stage.epochs,
        schedule=optimizing.schedule_of(stage, optimizer),
        metrics=learner.metrics,
        callbacks=all_callbacks,
        seed=learner.seed,
        device=learner.device,
        in_eval=batchnorms(learner.layer_groups[:-1]) if stage.keep_statistics else (),
        first_epoch=stage.first_epoch,
        first_step=stage.first_step,
        folder=learner.run.folder if learner.run is not None else None,
        save=functools.partial(keeping.checkpoint, learner, stage),
        epochs_done=stage.epochs_done,
        batches_done=stage.batches_done,
        step=stage.steps_done,
        pending=stage.pending,
        saved=saved,
    )


def optimizer_of(learner: Learner, stage: Stage) -> Optimizer:
    """The Learner's optimizer at a stage's rates."""
    return optimizing.optimizer_of(stage, learner.optimizer, learner.model, learner.layer_groups)


def rates_of(learner: Learner, lr: Rate | None) -> list[float]:
    """A rate for each layer group; of an optimizer instance for each of its own groups.

    Args:
        lr: None for the Learner's, or the instance's own.
    """
    if not isinstance(learner.optimizer, Optimizer):
        return spread_lrs(learner.lr if lr is None else lr, len(learner.layer_groups))
    own = optimizing.own_rates(learner.optimizer)
    return own if lr is None else spread_lrs(lr, len(own))


def stopped(learner: Learner, stage: Stage, number: int) -> Interrupted:
    """What is raised where a signal ended a fit: says where, and how to go on.

    Args:
        number: of the signal.
    """
    epochs = stage.first_epoch + stage.epochs_done
    where = f"after epoch {epochs}"
    if stage.batches_done:
        where = f"in epoch {epochs + 1}, after batch {stage.batches_done}"
    how = "`learner.resume()` goes on."
    if learner.run is not None:
        how = f"Continue with: drivetrain resume {shlex.quote(str(learner.run.folder))}"
    return Interrupted(f"Stopped {where}. {how}", number)


def _own_callbacks(learner: Learner, callbacks: Sequence[Callback]) -> list[Callback]:
    """Those that every fit has, unless the person brings one of the kind."""
    record = Record(learner.history)
    own: list[Callback] = [
        record,
        CheckFirstBatch(),
        NonFiniteGuard(),
        OptimizerMode(),
        Interrupt(),
    ]
    if learner.progress:
        own.append(Progress())
    if learner.run is not None:
        own += [RunLog(learner.run.log), BatchLog(record, learner.run.log), Checkpoint()]
    given = {type(one) for one in [*learner.callbacks, *callbacks]} & REPLACED
    return [one for one in own if type(one) not in given]


def _show_rates(learner: Learner, stage: Stage) -> None:
    """A table on stderr where the layer groups have several rates."""
    if isinstance(learner.optimizer, Optimizer) or not learner.progress:
        return
    groups = param_groups(learner.layer_groups, lrs=stage.lrs, weight_decay=0.0)
    if len({group["lr"] for group in groups}) > 1:
        sys.stderr.write(rates_table(learner.layer_groups, lrs=stage.lrs) + "\n")
