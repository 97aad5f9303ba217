"""Callbacks as people write them, each with something of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from drivetrain import Callback, CancelBatch, CancelEpoch, CancelFit
from drivetrain.train.callback import CancelStep
from drivetrain.train.state import FitState


def shrunk(tensor: Tensor, share: float) -> Tensor:
    """A helper at the top of the module."""
    return tensor * share


class Base(Callback):
    """What two callbacks share."""

    def __init__(self, share: float = 0.5) -> None:
        self.share = share
        self.calls = 0

    def before_fit(self, state: FitState) -> None:
        self.calls = 0

    def _count(self, by: int = 1) -> int:
        self.calls += by
        return self.calls


class Shrinks(Base):
    """Shrinks gradients, less as steps go by.

    Args:
        share: what is left of them.
        every: steps between.
    """

    def __init__(self, share: float = 0.5, every: int = 2) -> None:
        super().__init__(share)
        self.every = every

    def after_backward(self, state: FitState) -> None:
        count = self._count()
        if count % self.every:
            return
        for parameter in state.model.parameters():
            if parameter.grad is None:
                continue
            parameter.grad = shrunk(parameter.grad, self.share)


class Remembers(Callback):
    """Remembers a tensor for each parameter, and a first loss; its names are those of the loop."""

    def __init__(self, decay: float = 0.9, kinds: tuple[str, ...] = ("weight",)) -> None:
        self.decay = decay
        self.kinds = kinds
        self.loss = 0.0
        self.step = 0
        self._means: dict[str, Tensor] = {}
        self._first: float | None = None

    def before_fit(self, state: FitState) -> None:
        self._means = {}
        self._first = None

    def after_loss(self, state: FitState) -> None:
        first = float(state.loss.detach())
        self.loss += first
        self.step += 1
        if self._first is None or first > 10 * self._first:
            self._first = first

    def before_step(self, state: FitState) -> None:
        for name, parameter in state.model.named_parameters():
            if parameter.grad is None or not any(kind in name for kind in self.kinds):
                continue
            mean = self._means.get(name)
            if mean is None:
                mean = torch.zeros_like(parameter)
            mean = self.decay * mean + (1 - self.decay) * parameter.grad
            self._means[name] = mean
            parameter.grad = mean / (1 + self.loss / self.step)

    def before_validate(self, state: FitState) -> None:
        state.row["first_loss"] = self._first or 0.0


class SkipsBatches(Callback):
    """Leaves out every third batch."""

    def before_batch(self, state: FitState) -> None:
        if state.step % 3 == 2:
            raise CancelBatch


class SkipsLosses(Callback):
    """Leaves out a batch after its loss, where that is large."""

    def __init__(self, most: float = 1.0) -> None:
        self.most = most

    def after_loss(self, state: FitState) -> None:
        if float(state.loss.detach()) > self.most:
            raise CancelBatch("too large")


class SkipsSteps(Callback):
    """Adds gradients up over two batches."""

    def after_backward(self, state: FitState) -> None:
        if state.step % 2 == 0:
            raise CancelStep


class StopsEarly(Callback):
    """Ends the fit after so many steps."""

    def __init__(self, after: int = 4) -> None:
        self.after = after

    def after_batch(self, state: FitState) -> None:
        if state.step >= self.after:
            raise CancelFit


class StopsBeforeABatch(Callback):
    """Ends the fit before a batch."""

    def before_batch(self, state: FitState) -> None:
        if state.step == 4:
            raise CancelFit


class StopsAfterAnEpoch(Callback):
    """Ends the fit after its second epoch."""

    def after_epoch(self, state: FitState) -> None:
        if state.row["train_loss"] < 100 and state.epoch == 1:
            raise CancelFit


class ShortEpochs(Callback):
    """Ends each epoch after two batches."""

    def __init__(self) -> None:
        self.count = 0

    def before_epoch(self, state: FitState) -> None:
        self.count = 0

    def after_batch(self, state: FitState) -> None:
        self.count += 1
        if self.count == 2:
            raise CancelEpoch


class ScalesInputs(Callback):
    """Changes what the model gets."""

    def before_batch(self, state: FitState) -> None:
        inputs, targets = state.batch
        state.batch = (inputs * 1.5, targets)


class ScalesLoss(Callback):
    """Changes the loss and the predictions."""

    def after_forward(self, state: FitState) -> None:
        state.preds = state.preds * 2

    def after_loss(self, state: FitState) -> None:
        state.loss = state.loss + 0.01 * sum(p.square().sum() for p in state.model.parameters())


class NamesItsOwnWay(Callback):
    """Calls the state of the fit as it likes: `state` is only what the library's own call it."""

    def _shrink(self, fit: FitState) -> None:
        for parameter in fit.model.parameters():
            parameter.grad.mul_(0.5)

    def before_step(self, run: FitState) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        state = 2  # a name of its own
        if run.step % state == 0:
            self._shrink(run)


class AnswersInTheMiddle(Callback):
    """Has a helper with two answers."""

    def __init__(self) -> None:
        self.high = 0.5

    def _limit(self, step: int) -> float:
        if step > 3:
            return self.high / 2
        return self.high

    def before_step(self, state: FitState) -> None:
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), self._limit(state.step))


class HandsStateOn(Callback):
    """Hands the whole state to a function."""

    def after_backward(self, state: FitState) -> None:
        report(state)


def report(state: FitState) -> None:
    """Something with the state."""
    state.model.zero_grad()


class TellsWhereItStands(Callback):
    """Puts a number into a weight that says at which event, step and epoch it was asked."""

    def __init__(self, event: str) -> None:
        self.event = event

    def _note(self, state: FitState) -> None:
        with torch.no_grad():
            parameter = next(iter(state.model.parameters()))
            parameter.mul_(1 + 0.001 * state.step + 0.01 * state.epoch + 0.1 * state.epochs_done)

    def before_fit(self, state: FitState) -> None:
        if self.event == "before_fit":
            self._note(state)

    def before_epoch(self, state: FitState) -> None:
        if self.event == "before_epoch":
            self._note(state)

    def before_batch(self, state: FitState) -> None:
        if self.event == "before_batch":
            self._note(state)

    def after_step(self, state: FitState) -> None:
        if self.event == "after_step":
            self._note(state)

    def after_batch(self, state: FitState) -> None:
        if self.event == "after_batch":
            self._note(state)

    def before_validate(self, state: FitState) -> None:
        if self.event == "before_validate":
            self._note(state)

    def after_validate(self, state: FitState) -> None:
        if self.event == "after_validate":
            self._note(state)

    def after_epoch(self, state: FitState) -> None:
        if self.event == "after_epoch":
            self._note(state)

    def after_fit(self, state: FitState) -> None:
        if self.event == "after_fit":
            self._note(state)


class Ramps(Callback):
    """Asks how far training has come."""

    def before_step(self, state: FitState) -> None:
        for group in state.optimizer.param_groups:
            group["weight_decay"] = 0.1 * state.progress

    def after_batch(self, state: FitState) -> None:
        with torch.no_grad():
            next(iter(state.model.parameters())).mul_(1 + 0.01 * state.progress)


class Frees(Callback):
    """Has what it was given in a list, and changes the number that it was given."""

    def __init__(self, rate: float = 0.5, ends: tuple[float, ...] = (0.1, 0.2)) -> None:
        self.rate = rate
        self.ends = list(ends)

    def before_fit(self, state: FitState) -> None:
        self.ends.append(0.3)

    def before_step(self, state: FitState) -> None:
        self.rate *= 0.9
        for parameter in state.model.parameters():
            if parameter.grad is not None:
                parameter.grad *= self.rate + sum(self.ends)


class LooksAtValidBatches(Callback):
    """Changes a weight while validating."""

    def after_valid_batch(self, state: FitState) -> None:
        with torch.no_grad():
            next(iter(state.model.parameters())).mul_(1.01)
