"""Training a model, in seven steps. Twin of `drivetrain.train.loop`.

    1 start     the weights as they are: random, or learnt elsewhere
    2 predict   put a batch through the model
    3 loss      one number: how wrong
    4 gradient  for each weight: how the loss would change if the weight grew
    5 step      move each weight a little against its gradient
    6 repeat    with the next batch, and with all of them again next epoch
    7 stop      when the epochs are over, or when it no longer helps

All else in a training framework hangs on one of these lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]
LossFn = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Trace:
    """What happened, for whoever wants to look."""

    losses: list[float] = field(default_factory=list)
    """The loss of every batch, in order."""
    valid_losses: list[float] = field(default_factory=list)
    """The mean loss over the validation items after every epoch, where there are any."""


def train(
    model: nn.Module,
    batches_of_epoch: Callable[[int], Iterable[Batch]],
    loss_fn: LossFn,
    optimizer_step: Callable[[int], None],
    *,
    epochs: int,
    valid_batches: Iterable[Batch] | None = None,
    stop: Callable[[Trace], bool] = lambda trace: False,
) -> Trace:
    """Train `model` where it stands.

    Args:
        model: changed in place.
        batches_of_epoch: (epoch, from 0) -> the epoch's batches of (inputs, targets), in order.
        loss_fn: (predictions, targets) -> ().
        optimizer_step: (steps made so far) -> None: moves the weights by their `.grad`. It is told the
            step so that it can follow a schedule; `Sgd(...).step` below is the simplest.
        epochs: how often every item is seen.
        valid_batches: batches to measure the loss on after each epoch.
        stop: asked after each epoch whether to end early.
    """
    trace = Trace()
    parameters = list(model.parameters())  # 1 start
    for epoch in range(epochs):
        model.train()
        for inputs, targets in batches_of_epoch(epoch):
            preds = model(inputs)  # 2 predict
            loss = loss_fn(preds, targets)  # 3 loss
            loss.backward()  # 4 gradient: into each parameter's .grad
            optimizer_step(len(trace.losses))  # 5 step
            for parameter in parameters:  # backward adds to what it finds, so start from nothing
                parameter.grad = None
            trace.losses.append(loss.item())  # 6 repeat
        if valid_batches is not None:
            trace.valid_losses.append(mean_loss(model, valid_batches, loss_fn))
        if stop(trace):  # 7 stop
            break
    return trace


def mean_loss(model: nn.Module, batches: Iterable[Batch], loss_fn: LossFn) -> float:
    """Mean over all items of the loss, without learning from them.

    Each batch's mean is multiplied by its length again: a smaller last batch weighs less.
    """
    model.eval()  # dropout off, batch norm by its running statistics
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            total += loss_fn(model(inputs), targets).item() * len(targets)
            count += len(targets)
    return total / count


class Sgd:
    """Stochastic gradient descent: weight minus rate times gradient, nothing else."""

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        self.parameters, self.lr = list(parameters), lr

    @torch.no_grad()
    def step(self, _step: int = 0) -> None:
        """Move every weight once."""
        for weight in self.parameters:
            if weight.grad is not None:
                weight -= self.lr * weight.grad
