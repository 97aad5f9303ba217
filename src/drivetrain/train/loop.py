"""The training loop and the evaluation, as two plain functions. Twin: `drivetrain.reference.learner`.

`fit` is meant to be read from top to bottom: the order of its lines is the order in which things
happen. Callbacks own all that is optional; nothing here knows of any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain.randomness import preserved, set_generators
from drivetrain.train.callback import CancelBatch, CancelEpoch, CancelFit, Handlers
from drivetrain.train.state import FitState, LossFn


def fit(state: FitState) -> None:
    """Train `state.model` for `state.epochs` epochs, validating after each.

    Draws of the model (dropout) come from torch's global generator, set at each step from (seed, step);
    it is left as it was found. Raises whatever the model, the data or a callback raises.
    """
    on = Handlers(state.callbacks)
    state.num_batches = length(state.loaders.train)
    with preserved():
        try:
            for handle in on.before_fit:
                handle(state)
            while state.epochs_done < state.epochs:
                state.row = {"epoch": state.epoch}
                try:
                    for handle in on.before_epoch:
                        handle(state)
                    train_epoch(state, on)
                    for handle in on.before_validate:
                        handle(state)
                    validate(state)
                    for handle in on.after_validate:
                        handle(state)
                except CancelEpoch as cancel:
                    _cancelled(state, on, cancel.level)
                state.epochs_done += 1
                for handle in on.after_epoch:
                    handle(state)
        except CancelFit as cancel:
            _cancelled(state, on, cancel.level)
        finally:
            for handle in on.after_fit:
                handle(state)


def train_epoch(state: FitState, on: Handlers) -> None:
    """One pass over the training batches: predict, measure the loss, backward, step."""
    model, optimizer, loss_fn, train = (
        state.model,
        state.optimizer,
        state.loss_fn,
        state.loaders.train,
    )
    set_training_mode(model, state.in_eval)
    start_epoch(train, state.seed, state.epoch)
    for batch in train:
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
            optimizer.step()
            for handle in on.after_step:
                handle(state)
        except CancelBatch as cancel:
            _cancelled(state, on, cancel.level)
        optimizer.zero_grad()
        state.step += 1
        for handle in on.after_batch:
            handle(state)


def validate(state: FitState) -> None:
    """Evaluate on the validation batches, if there are any, into `state.evaluation`."""
    valid = state.loaders.valid
    if valid is not None:
        start_epoch(valid, state.seed, state.epoch)
        state.evaluation = evaluate(
            state.model, valid, state.loss_fn, metrics=state.metrics, device=state.device
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
) -> Evaluation:
    """Loss and metrics of `model` over `loader`, without gradients, in evaluation mode.

    Args:
        model: is left in evaluation mode.
        loader: batches `(inputs, targets)`.
        metrics: objects with `name`, `reset`, `update(preds, targets)`, `compute`.
        device: where the batches go; by default where they are.
        keep: also return all outputs and targets.
    """
    model.eval()
    for metric in metrics:
        metric.reset()
    losses: list[Tensor] = []
    counts: list[int] = []
    kept: list[tuple[Tensor, Tensor]] = []
    with torch.inference_mode():
        for batch in loader:
            args, kwargs, targets = call_of(batch if device is None else to_device(batch, device))
            preds = model(*args, **kwargs)
            losses.append(loss_fn(preds, targets))
            counts.append(num_items(targets))
            for metric in metrics:
                metric.update(preds, targets)
            if keep:
                kept.append((preds.cpu(), targets.cpu()))
    return Evaluation(
        loss=weighted_mean(losses, counts),
        count=sum(counts),
        metrics={metric.name: float(metric.compute()) for metric in metrics} if counts else {},
        preds=torch.cat([preds for preds, _ in kept]).clone() if kept else None,
        targets=torch.cat([targets for _, targets in kept]).clone() if kept else None,
    )


def call_of(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """How a batch is put into the model: positional arguments, named arguments, targets.

    `(inputs, targets)` is `model(inputs)`; `(a, b, targets)` is `model(a, b)`; a dict with `targets` (or
    `labels`) is `model(**rest)`.
    """
    if isinstance(batch, dict):
        name = "targets" if "targets" in batch else "labels"
        return (), {key: value for key, value in batch.items() if key != name}, batch[name]
    return tuple(batch[:-1]), {}, batch[-1]


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


def start_epoch(loader: Iterable[Any], seed: int, epoch: int) -> None:
    """Make the loader's next pass a function of (seed, epoch).

    Our loaders and torch's samplers are told the epoch; a plain `DataLoader` draws its shuffling and its
    workers' seeds from torch's global generator, which is set here.
    """
    set_generators(seed, "loader", epoch)
    for part in (loader, getattr(loader, "sampler", None)):
        if hasattr(part, "set_epoch"):
            part.set_epoch(epoch)  # pyright: ignore[reportOptionalMemberAccess,reportAttributeAccessIssue]


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch with its tensors on `device`; tuples, lists and dicts keep their form."""
    if isinstance(batch, Tensor):
        return batch if batch.device == device else batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple([to_device(part, device) for part in batch])
    return batch


def num_items(targets: Any) -> int:
    """Items in a batch, read from its targets."""
    return targets.shape[0] if isinstance(targets, Tensor) and targets.ndim else 1


def length(loader: Iterable[Any]) -> int | None:
    """Number of batches where the loader knows it."""
    return len(loader) if hasattr(loader, "__len__") else None  # pyright: ignore[reportArgumentType]


def weighted_mean(values: Sequence[Tensor], counts: Sequence[int]) -> float:
    """Mean over items of per-batch means, in float64: each batch weighs as many items as it has."""
    if not values:
        return float("nan")
    stacked = torch.stack([value.detach() for value in values]).to("cpu", torch.float64)
    weights = torch.tensor(counts, dtype=torch.float64)
    return float((stacked * weights).sum() / weights.sum())


def _cancelled(state: FitState, on: Handlers, level: str) -> None:
    """Forget the gradients of what was cancelled and tell whoever listens."""
    state.optimizer.zero_grad()
    state.cancelled = level
    for handle in on.after_cancel:
        handle(state)
    state.cancelled = ""
