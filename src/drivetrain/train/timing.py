"""What training costs, in seconds, found by doing a little of it and taking it back.

A few steps and a part of the validation are run as the fit would run them, data loading included; then
weights, statistics, optimizer and loaders are put back, and no later draw is another one.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError
from drivetrain.models.device import threads
from drivetrain.optim.groups import spread_lrs
from drivetrain.randomness import preserved
from drivetrain.train import loop, optimizing
from drivetrain.train.callback import LAST, Callback, CancelFit
from drivetrain.train.checkpoints import Checkpoints
from drivetrain.train.journal import Stage
from drivetrain.train.lr_find import unchanged, undone, unmoved
from drivetrain.train.modules import freeze_groups
from drivetrain.train.state import FitState

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

Clock = Callable[[], float]

WARM_UP = 2
"""First batches, which choose kernels and fill caches, that are not counted …"""

LEAST, MOST = 3, 200
"""… and how many are, at least and at most."""

RATE = 1e-6
"""Learning rate of the steps that are taken back: a step of any size costs the same."""


class _Timer(Callback):
    """Notes the seconds of each batch, from the one before to its end, and ends the fit when they do."""

    order = LAST + 20

    def __init__(self, enough: float, clock: Clock, change: Callable[[Any], Any] | None) -> None:
        self.enough = enough
        self.clock = clock
        self.change = change
        self.seconds: list[float] = []
        self._last = self._began = clock()

    def before_batch(self, state: FitState) -> None:
        if self.change is not None:
            state.batch = self.change(state.batch)

    def after_batch(self, state: FitState) -> None:
        if state.device.type == "cuda":
            torch.cuda.synchronize(state.device)
        now = self.clock()
        self.seconds.append(now - self._last)
        self._last = now
        counted, spent = len(self.seconds) - WARM_UP, now - self._began
        slow = counted >= 1 and spent > 2 * self.enough  # one must do
        if counted >= MOST or slow or (counted >= LEAST and spent > self.enough):
            raise CancelFit


def seconds_a_step(
    learner: Learner,
    *,
    frozen_groups: int = 0,
    enough: float = 1.0,
    change: Callable[[Any], Any] | None = None,
    clock: Clock = time.perf_counter,
) -> float:
    """The time of a typical training step, in seconds: the median.

    Where the loader says how much work each batch is (`work(epoch)`, as of texts of many lengths), it is
    the median time of a piece of work, times the mean work of a batch.

    Args:
        learner: is left as it was found.
        frozen_groups: layer groups, from the input on, that are not trained.
        enough: stop measuring after so many seconds.
        change: what is done to each batch first, such as making its pictures smaller.
        clock: answers seconds.
    Raises: ConfigError: the training loader is empty.
    """
    groups = learner.layer_groups
    made_by = learner.optimizer
    own = isinstance(made_by, torch.optim.Optimizer)
    lrs = optimizing.own_rates(made_by) if own else spread_lrs(RATE, len(groups))
    train = learner.loaders.train
    with ExitStack() as stack:
        stack.enter_context(undone(learner.model, made_by))
        stack.enter_context(unmoved(train))
        stack.enter_context(threads(learner.num_threads))
        if isinstance(learner.loss_fn, nn.Module):
            stack.enter_context(unchanged(learner.loss_fn))
        if frozen_groups:
            freeze_groups(groups, frozen_groups)
        stage = Stage("fit", "budget", lrs=list(lrs), weight_decay=learner.weight_decay)
        optimizer = optimizing.optimizer_of(stage, made_by, learner.model, groups)
        timer = _Timer(enough, clock, change)
        batches = max(loop.length(train) or 1, 1)
        loop.fit(
            FitState(
                model=learner.model,
                loaders=Loaders(train),
                loss_fn=learner.loss_fn,
                optimizer=optimizer,
                epochs=-(-(WARM_UP + MOST) // batches),
                callbacks=[timer],
                seed=learner.seed,
                device=learner.device,
            )
        )
    if not timer.seconds:
        raise ConfigError("The training loader is empty: there is nothing to learn from.")
    return _typical(timer.seconds, train, WARM_UP)


def _typical(seconds: list[float], loader: Any, skipped: int) -> float:
    """Seconds of a batch in the mean over an epoch; the first `skipped` that were timed do not count."""
    if not hasattr(loader, "work"):
        return statistics.median(seconds[skipped:] or seconds)
    work: list[float] = []
    for epoch in range(len(seconds)):
        work += loader.work(epoch)
        if len(work) >= len(seconds):
            break
    each = [spent / done for spent, done in zip(seconds, work, strict=False)]
    return statistics.median(each[skipped:] or each) * statistics.mean(loader.work(0))


def seconds_a_validation(
    learner: Learner,
    *,
    enough: float = 1.0,
    change: Callable[[Any], Any] | None = None,
    clock: Clock = time.perf_counter,
) -> float:
    """The time of one pass over the validation items, in seconds; 0 where there are none.

    A part of it is timed, batch by batch; the typical batch stands for the others.
    """
    valid = learner.loaders.valid
    if valid is None:
        return 0.0
    spent: list[float] = []
    began = last = clock()

    class Enough(Exception):  # noqa: N818 - control flow
        pass

    def note() -> None:
        nonlocal last
        now = clock()
        spent.append(now - last)
        last = now
        if len(spent) > LEAST and now - began > enough:
            raise Enough

    batches = loop.epoch_of(valid, learner.seed, 0)
    if change is not None:
        batches = map(change, batches)
    with preserved(), unmoved(valid), threads(learner.num_threads):
        modes = [(part, part.training) for part in learner.model.modules()]
        try:
            loop.evaluate(
                learner.model,
                batches,
                learner.loss_fn,
                metrics=learner.metrics,
                device=learner.device,
                after_batch=note,
            )
        except Enough:
            pass
        finally:
            for part, training in modes:
                part.training = training
    if not spent:
        return 0.0
    total = loop.length(valid) or len(spent)
    return _typical(spent, valid, 1) * total  # the first is slow, and not slow again


def seconds_a_checkpoint(
    learner: Learner, folder: Path, *, clock: Clock = time.perf_counter
) -> float:
    """The time to write a checkpoint under `folder`: weights, and twice as much for an optimizer.

    Three are written into a folder of their own, which is removed again; the median counts.
    """
    weights = learner.model.state_dict()
    tensors = {f"{n}.{name}": tensor for n in range(3) for name, tensor in weights.items()}
    spent = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=".timing-") as trial:
        checkpoints = Checkpoints(Path(trial))
        for number in range(3):
            began = clock()
            checkpoints.save(number, 0, tensors, {})
            spent.append(clock() - began)
    return statistics.median(spent)
