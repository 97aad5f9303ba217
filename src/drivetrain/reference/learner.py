"""Training a model in seven steps, and callbacks at each of them. Twin of `drivetrain.train.loop`.

    1 start     the weights as they are: random, or learnt elsewhere
    2 predict   put a batch through the model
    3 loss      one number: how wrong
    4 gradient  for each weight: how the loss would change if the weight grew
    5 step      move each weight a little against its gradient
    6 repeat    with the next batch, and with all of them again next epoch
    7 stop      when the epochs are over, or when it no longer helps

All else in a training framework hangs on one of these lines, so each is followed by an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Batches = Iterable[tuple[Tensor, Tensor]]
LossFn = Callable[[Tensor, Tensor], Tensor]
EVENTS = """before_fit before_epoch before_batch after_forward after_loss after_backward after_step
after_batch after_epoch after_cancel after_fit""".split()


class CancelBatch(Exception):  # noqa: N818 - control flow, as StopIteration is: nothing is wrong
    """Leave this batch; before the step, the weights stay as they were. Then comes `after_cancel`."""


class CancelEpoch(Exception):  # noqa: N818
    """Leave this epoch, its validation included. Then comes `after_cancel`."""


class CancelFit(Exception):  # noqa: N818
    """Leave the training. Then come `after_cancel` and, as always, `after_fit`."""


class Callback:
    """What is done at some of the events: methods of their names, each given the learner."""

    def __init_subclass__(cls) -> None:
        for name in vars(cls):
            if name.startswith(("before_", "after_")) and name not in EVENTS:
                raise TypeError(f"`{cls.__name__}.{name}` is no event. There are {EVENTS}.")


class Learner:
    """A model in training, and all that happens there, which callbacks may read and change.

    `batches_of_epoch` gives the batches (inputs, targets) of epoch 0, 1, …. `optimizer_step` moves the
    weights by their `.grad`, and is told how many batches there were, so that it can follow a schedule;
    `Sgd(...).step` is the simplest. `stop` is asked after each epoch whether to end early.
    """

    def __init__(
        self, model: nn.Module, batches_of_epoch: Callable[[int], Batches], loss_fn: LossFn,
        optimizer_step: Callable[[int], None], *, valid_batches: Batches | None = None,
        callbacks: Sequence[Callback] = (), stop: Callable[[Learner], bool] = lambda learner: False,
    ) -> None:  # fmt: skip
        self.model, self.loss_fn, self.optimizer_step = model, loss_fn, optimizer_step
        self.batches_of_epoch, self.valid_batches = batches_of_epoch, valid_batches
        self.callbacks, self.stop, self.epoch, self.step = callbacks, stop, 0, 0
        self.inputs = self.targets = self.preds = self.loss = torch.empty(0)  # of the batch
        self.losses: list[float] = []  # of every batch that was not cancelled
        self.valid_losses: list[float] = []  # mean over the validation items, after each epoch

    def fit(self, epochs: int) -> Learner:
        """Train for so many epochs, or fewer."""
        try:
            self.tell("before_fit")  # 1 start
            for self.epoch in range(epochs):
                try:
                    self.one_epoch()
                except CancelEpoch:
                    self.tell("after_cancel")
                self.tell("after_epoch")
                if self.stop(self):  # 7 stop
                    break
        except CancelFit:
            self.tell("after_cancel")
        finally:
            self.model.zero_grad()
            self.tell("after_fit")
        return self

    def one_epoch(self) -> None:
        """Every training item once, then the validation items."""
        self.tell("before_epoch")
        self.model.train()
        batches = self.batches_of_epoch(self.epoch)
        for self.inputs, self.targets in batches:
            try:
                self.one_batch()
            except CancelBatch:
                self.tell("after_cancel")
            self.step += 1  # batches over all epochs; 6 repeat
            self.tell("after_batch")
        if self.valid_batches is not None:
            self.valid_losses.append(mean_loss(self.model, self.valid_batches, self.loss_fn))

    def one_batch(self) -> None:
        """From the weights as they are to those that this batch makes of them."""
        self.model.zero_grad()  # backward adds to what it finds, so start from nothing
        self.tell("before_batch")
        self.preds = self.model(self.inputs)  # 2 predict
        self.tell("after_forward")
        self.loss = self.loss_fn(self.preds, self.targets)  # 3 loss
        self.tell("after_loss")
        self.loss.backward()  # 4 gradient: into each parameter's .grad
        self.tell("after_backward")
        self.optimizer_step(self.step)  # 5 step
        self.tell("after_step")
        self.losses.append(self.loss.item())

    def tell(self, event: str) -> None:
        """Call each callback that has something to do at this event."""
        for callback in self.callbacks:
            getattr(callback, event, lambda learner: None)(self)


def train(*args: Any, epochs: int, **options: Any) -> Learner:
    """`Learner(*args, **options).fit(epochs)`."""
    return Learner(*args, **options).fit(epochs)


@torch.no_grad()
def mean_loss(model: nn.Module, batches: Batches, loss_fn: LossFn) -> float:
    """Mean over all items of the loss, without learning from them: a short batch weighs less."""
    model.eval()  # dropout off, batch norm by its running statistics
    parts = [(loss_fn(model(inputs), targets).item(), len(targets)) for inputs, targets in batches]
    return sum(loss * count for loss, count in parts) / sum(count for _, count in parts)


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
