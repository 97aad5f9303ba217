"""The training loop and the evaluation, as two plain functions. Twin: `drivetrain.reference.learner`.

`fit` is meant to be read from top to bottom: the order of its lines is the order in which things
happen. Callbacks own all that is optional; nothing here knows of any of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain.data.loaders import BatchLoader
from drivetrain.randomness import preserved, set_all_generators, set_generators
from drivetrain.train.batches import (
    call_of,
    length,
    num_items,
    num_terms,
    to_device,
    weighted_mean,
)
from drivetrain.train.callback import (
    CancelBatch,
    CancelEpoch,
    CancelFit,
    CancelStep,
    Handlers,
    named,
)
from drivetrain.train.conflicts import report_conflicts
from drivetrain.train.state import FitState, LossFn
from drivetrain.train.stepping import clear_gradients, take_step


def fit(state: FitState) -> None:
    """Train `state.model` for `state.epochs` epochs, validating after each.

    Goes on from where `state` stands, also within an epoch. Draws of the model (dropout) come from
    torch's global generator, set at each step from (seed, step); it is left as it was found. Raises
    whatever the model, the data or a callback raises.
    """
    on = Handlers(state.callbacks)
    if not state.pending:
        state.optimizer.zero_grad()  # an error may have left some between backward and step
    report_conflicts(on, state)
    state.num_batches = length(state.loaders.train)
    with preserved():
        try:
            for handle in on.before_fit:
                handle(state)
            give_back(state)
            while state.epochs_done < state.epochs:
                state.row = {"epoch": state.epoch}
                try:
                    for handle in on.before_epoch:
                        handle(state)
                    if state.batches_done:  # the epoch began before the cut
                        give_back(state)
                    train_epoch(state, on)
                    for handle in on.before_validate:
                        handle(state)
                    validate(state, on)
                    for handle in on.after_validate:
                        handle(state)
                except CancelEpoch as cancel:
                    _cancelled(state, on, cancel.level)
                state.epochs_done += 1
                state.batches_done = 0
                for handle in on.after_epoch:
                    handle(state)
        except CancelFit as cancel:
            _cancelled(state, on, cancel.level)
        finally:
            for handle in on.after_fit:
                handle(state)


def train_epoch(state: FitState, on: Handlers) -> None:
    """One pass over the training batches: predict, measure the loss, backward, step."""
    model, loss_fn, train = state.model, state.loss_fn, state.loaders.train
    set_training_mode(model, state.in_eval)
    for batch in epoch_of(train, state.seed, state.epoch, start=state.batches_done):
        set_generators(state.seed, "step", state.first_step + state.step)
        if state.schedule is not None:
            state.schedule(state.progress)
        state.batch = to_device(batch, state.device)
        try:
            for handle in on.before_batch:
                handle(state)
            state.args, state.kwargs, state.targets = call_of(state.batch)
            state.preds = model(*state.args, **state.kwargs)
            for handle in on.after_forward:
                handle(state)
            state.loss = loss_fn(state.preds, state.targets)
            for handle in on.after_loss:
                handle(state)
            state.loss.backward()
            for handle in on.after_backward:
                handle(state)
            make_step(state, on)
        except CancelStep:
            state.pending = True
        except CancelBatch as cancel:
            _cancelled(state, on, cancel.level)
        state.step += 1
        state.batches_done += 1
        for handle in on.after_batch:
            handle(state)
    if state.pending:  # the epoch's end came before the step that these gradients wait for
        if state.schedule is not None:  # its rates are those of the last batch, also after a cut
            state.schedule(state.progress_at(state.step - 1))
        try:
            make_step(state, on)
        except CancelBatch as cancel:
            _cancelled(state, on, cancel.level)


def make_step(state: FitState, on: Handlers) -> None:
    """Move the weights by the gradients that are in the parameters, and clear those."""
    for handle in on.before_step:
        handle(state)
    take_step(state.optimizer)
    for handle in on.after_step:
        handle(state)
    clear_gradients(state.optimizer)
    state.pending = False


def validate(state: FitState, on: Handlers) -> None:
    """Evaluate on the validation batches, if there are any, into `state.evaluation`."""
    valid = state.loaders.valid
    if valid is None:
        return

    def tell() -> None:
        for handle in on.after_valid_batch:
            handle(state)

    state.evaluation = evaluate(
        state.model,
        epoch_of(valid, state.seed, state.epoch),
        state.loss_fn,
        metrics=state.metrics,
        device=state.device,
        after_batch=tell if on.after_valid_batch else None,
    )


@dataclass
class Evaluation:
    """What one pass over labelled data gave."""

    loss: float
    """Mean loss over items (a smaller last batch weighs less)."""
    count: int
    """Number of items."""
    metrics: dict[str, float] = field(default_factory=dict)
    preds: Tensor | None = None
    """(N, …) all outputs, where they were asked for."""
    targets: Tensor | None = None
    """(N, …) all targets, where outputs were asked for."""


def evaluate(
    model: nn.Module,
    loader: Iterable[Any],
    loss_fn: LossFn,
    *,
    metrics: Sequence[Any] = (),
    device: torch.device | None = None,
    keep: bool = False,
    after_batch: Callable[[], None] | None = None,
) -> Evaluation:
    """Loss and metrics of `model` over `loader`, without gradients, in evaluation mode.

    Args:
        model: is left in evaluation mode.
        loader: batches `(inputs, targets)`.
        metrics: objects with `name`, `reset`, `update(preds, targets)`, `compute`.
        device: where the batches go; by default where they are.
        keep: also return all outputs and targets.
        after_batch: called when a batch is done.
    """
    model.eval()
    for metric in metrics:
        metric.reset()
    losses: list[Tensor] = []
    terms: list[int] = []
    count = 0
    kept: list[tuple[Tensor, Tensor]] = []
    with torch.inference_mode():
        for batch in loader:
            args, kwargs, targets = call_of(batch if device is None else to_device(batch, device))
            preds = model(*args, **kwargs)
            losses.append(loss_fn(preds, targets))
            terms.append(num_terms(loss_fn, targets))
            count += num_items(targets)
            for metric in metrics:
                metric.update(preds, targets)
            if keep:
                kept.append((preds.detach().cpu(), targets.cpu()))
            if after_batch is not None:
                after_batch()
    return Evaluation(
        loss=weighted_mean(losses, terms),
        count=count,
        metrics={metric.name: float(metric.compute()) for metric in metrics} if terms else {},
        preds=torch.cat([preds for preds, _ in kept]).clone() if kept else None,
        targets=torch.cat([targets for _, targets in kept]).clone() if kept else None,
    )


def set_training_mode(model: nn.Module, in_eval: Sequence[nn.Module] = ()) -> None:
    """Training mode, except for `in_eval` and for modules all of whose parameters are frozen.

    A frozen module neither drops nor updates running statistics, so what it computes for a picture is
    the same in training and at predict time. `in_eval` modules may train their weights all the same.
    """
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
    for module in in_eval:
        module.eval()


def epoch_of(loader: Iterable[Any], seed: int, epoch: int, *, start: int = 0) -> Iterator[Any]:
    """The batches of one pass from the `start`-th on, the pass being a function of (seed, epoch).

    Our loaders begin where they are asked to. Any other loader is told the epoch where it or its sampler
    wants to know; the generators it may draw from (torch's, numpy's, Python's) are set before the pass
    and before each batch, and the batches before `start` are drawn and dropped. So the passes of a
    `DataLoader` repeat too, as long as it has the same number of workers.
    """
    if isinstance(loader, BatchLoader) and type(loader).__iter__ is BatchLoader.__iter__:
        loader.set_epoch(epoch)
        return loader.batches(epoch, start=start)
    for part in (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
        if hasattr(part, "set_epoch"):
            part.set_epoch(epoch)  # pyright: ignore[reportOptionalMemberAccess,reportAttributeAccessIssue]
    return itertools.islice(drawn(loader, seed, epoch), start, None)


def drawn(loader: Iterable[Any], seed: int, epoch: int) -> Iterator[Any]:
    """The batches of a loader that draws from the global generators: set before each of them."""
    set_all_generators(seed, "loader", epoch)
    batches = iter(loader)
    for number in itertools.count():
        set_all_generators(seed, "loader", epoch, number)
        try:
            yield next(batches)
        except StopIteration:
            return


def give_back(state: FitState) -> None:
    """Hand each callback what it remembered where the run was cut."""
    if state.saved is not None:
        for name, callback in named(state.callbacks).items():
            if name in state.saved:
                callback.load_state_dict(state.saved[name])


def _cancelled(state: FitState, on: Handlers, level: str) -> None:
    """Forget the gradients of what was cancelled and tell whoever listens."""
    state.optimizer.zero_grad()
    state.pending = False
    state.cancelled = level
    for handle in on.after_cancel:
        handle(state)
    state.cancelled = ""
