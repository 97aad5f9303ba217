"""Steps of a fit on a copy of a Learner, for whoever wants to look: the loop itself runs.

    steps = again(learner)
    steps.fit(learner.loaders.train, [watcher])       # ends where a callback raises CancelFit

The model, the optimizer and the callbacks are copies and the global generators are put back, so the
Learner is left as it was.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from drivetrain.data.loaders import Loaders
from drivetrain.models.device import threads
from drivetrain.randomness import preserved
from drivetrain.train import keeping, loop, optimizing, saving
from drivetrain.train.callback import Callback, named
from drivetrain.train.callbacks.early_stopping import EarlyStopping
from drivetrain.train.callbacks.optimizer_mode import OptimizerMode
from drivetrain.train.callbacks.reduce_on_plateau import ReduceOnPlateau
from drivetrain.train.callbacks.save_best import SaveBest
from drivetrain.train.fits import rates_of
from drivetrain.train.journal import Stage
from drivetrain.train.learner import Learner
from drivetrain.train.modules import batchnorms, layer_groups_of
from drivetrain.train.state import FitState

OF_EPOCHS = (EarlyStopping, ReduceOnPlateau, SaveBest)
"""Callbacks that look at whole epochs: they change nothing within a step."""


@dataclass
class Rehearsal:
    """A fit that is ready to run, on copies."""

    learner: Learner
    """Whose loss, seed, device and threads are taken."""
    stage: Stage
    """The fit whose steps are made."""
    model: nn.Module
    optimizer: Optimizer
    """Over the parameters of `model`."""
    callbacks: list[Callback]
    """Copies of those that a step depends on; what keeps, shows or refuses is left out."""
    saved: dict[str, Any] | None = None
    """What a checkpoint holds of the callbacks, by name."""

    def fit(self, train: Any, watchers: Sequence[Callback]) -> None:
        """Make the steps, until one of the watchers raises CancelFit or the fit is done.

        Args:
            train: batches.
            watchers: callbacks beside the Learner's own.
        """
        stage, learner = self.stage, self.learner
        groups = layer_groups_of(self.model)
        state = FitState(
            model=self.model,
            loaders=Loaders(train),
            loss_fn=learner.loss_fn,
            optimizer=self.optimizer,
            epochs=stage.epochs,
            schedule=optimizing.schedule_of(stage, self.optimizer),
            callbacks=[*self.callbacks, *watchers],
            seed=learner.seed,
            device=learner.device,
            in_eval=batchnorms(groups[:-1]) if stage.keep_statistics else (),
            first_epoch=stage.first_epoch,
            first_step=stage.first_step,
            epochs_done=stage.epochs_done,
            batches_done=stage.batches_done,
            step=stage.steps_done,
            pending=stage.pending,
            saved=self.saved,
        )
        with threads(learner.num_threads), preserved():
            loop.fit(state)


def again(learner: Learner) -> Rehearsal:
    """The last fit once more, from its first step on; of a Learner that never trained `fit(1)`."""
    fits = [stage for stage in learner.journal if stage.kind == "fit"]
    if fits:
        stage = next((one for one in fits if one.is_open), fits[-1])
        stage = dataclasses.replace(
            copy.deepcopy(stage), epochs_done=0, batches_done=0, steps_done=0, pending=False
        )
    else:
        stage = Stage("fit", "fit(1)", epochs=1, lrs=rates_of(learner, None))
        stage.weight_decay = learner.weight_decay
    stage.first_epoch = sum(one.epochs_done for one in learner.journal)
    stage.first_step = sum(one.steps_done for one in learner.journal)
    return _copied(learner, stage)


def onward(learner: Learner) -> Rehearsal:
    """The fit that was stopped, from its checkpoint on; where there is none as `again`."""
    fits = [stage for stage in learner.journal if stage.kind == "fit"]
    begun = [stage for stage in fits if stage.is_open and stage.steps_done]
    kept = learner.kept
    if not begun or kept is None:
        return again(learner)
    found = _copied(learner, copy.deepcopy(begun[0]))
    saving.unpack_model(kept.tensors, found.model, what="the checkpoint")
    saving.unpack_optimizer(kept.tensors, found.model, found.optimizer)
    saving.unpack_gradients(kept.tensors, found.model)
    saved = saving.unpack_callbacks(kept.tensors, kept.position.get("callbacks", {}))
    known = named(found.callbacks)
    found.saved = {name: state for name, state in saved.items() if name in known}
    return found


def _copied(learner: Learner, stage: Stage) -> Rehearsal:
    made_by = learner.optimizer
    if isinstance(made_by, Optimizer):
        model, made_by = copy.deepcopy((learner.model, made_by))  # over the same parameters
    else:
        model = copy.deepcopy(learner.model)
    optimizer = optimizing.optimizer_of(stage, made_by, model, layer_groups_of(model))
    given = next((ours for one, ours in learner.given if one.call == stage.call), None)
    if given is None:
        given = keeping.callbacks_from(stage.callbacks)
    chosen = [
        one
        for one in [*learner.callbacks, *given]
        if one.in_script and not isinstance(one, OF_EPOCHS)
    ]
    return Rehearsal(learner, stage, model, optimizer, [*copy.deepcopy(chosen), OptimizerMode()])
