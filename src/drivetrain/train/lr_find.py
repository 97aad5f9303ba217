"""The learning rate finder: train a few steps with ever higher rates and watch the loss.

Paper: Smith 2015, arXiv:1506.01186, sec. 3.3. What differs: rates rise by equal ratios, the loss is
smoothed as a debiased moving average, and the suggestion is where it has fallen halfway.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from drivetrain.errors import ConfigError
from drivetrain.optim.schedules import exponential
from drivetrain.train.callback import FIRST, Callback, CancelFit
from drivetrain.train.modules import detached
from drivetrain.train.state import FitState

SMOOTHING = 0.98
"""Weight of the past in the moving average of the loss."""

BLOWN_UP = 4.0
"""The search ends where the smoothed loss exceeds this many times its lowest value."""


@dataclass(frozen=True)
class RateSearch:
    """What a search found."""

    lrs: tuple[float, ...]
    """(S,) the rates tried, rising."""
    losses: tuple[float, ...]
    """(S,) the smoothed loss at each rate."""
    suggestion: float
    """The rate at which the loss has fallen halfway from its start to its lowest value."""

    def __str__(self) -> str:
        best = min(range(len(self.losses)), key=self.losses.__getitem__)
        return (
            f"suggested lr: {self.suggestion:.2g} "
            f"(lowest loss {self.losses[best]:.4f} at {self.lrs[best]:.2g}, {len(self.lrs)} rates tried)"
        )


class RateFinder(Callback):
    """Raises the rate at each step and notes the loss; ends the fit when the loss has blown up.

    Args:
        start: first rate.
        end: last rate.
        num_steps: rates to try, at least 2.
    Raises: ConfigError: the rates do not rise from above 0, or there are fewer than 2 steps.
    """

    order = FIRST

    def __init__(self, *, start: float = 1e-7, end: float = 10.0, num_steps: int = 100) -> None:
        if not 0 < start < end or num_steps < 2:
            raise ConfigError(
                "`lr_find` needs 0 < start < end and at least 2 steps. "
                f"Got start={start}, end={end}, num_steps={num_steps}."
            )
        self.start, self.end, self.num_steps = start, end, num_steps
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self._average = 0.0

    def before_batch(self, state: FitState) -> None:
        """Set the next rate."""
        if len(self.lrs) >= self.num_steps:
            raise CancelFit
        lr = exponential(len(self.lrs) / (self.num_steps - 1), start=self.start, end=self.end)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        self.lrs.append(lr)

    def after_loss(self, state: FitState) -> None:
        """Note the loss; end where it has blown up."""
        loss = float(state.loss.detach())
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        smooth = self._average / (1 - SMOOTHING ** len(self.lrs))
        if not math.isfinite(smooth) or smooth > BLOWN_UP * min(self.losses, default=math.inf):
            self.lrs.pop()
            raise CancelFit
        self.losses.append(smooth)

    def found(self) -> RateSearch:
        """What the steps so far say.

        Raises: ConfigError: the loss was not finite from the first step on.
        """
        if len(self.losses) < 2:
            raise ConfigError(
                "`lr_find` saw no finite loss after the first step. Start lower: `lr_find(start=1e-9)`."
            )
        lrs = self.lrs[: len(self.losses)]
        return RateSearch(tuple(lrs), tuple(self.losses), lrs[halfway(self.losses)])


@contextmanager
def undone(model: nn.Module, optimizer: object) -> Iterator[None]:
    """Put weights, running statistics and modes back, whatever the block does.

    Also what `optimizer` remembers and its rates, where it is an instance and not a factory.
    """
    before = detached(model.state_dict())
    instance = optimizer if isinstance(optimizer, Optimizer) else None
    memory = None if instance is None else copy.deepcopy(instance.state_dict())
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        model.load_state_dict(before)
        if instance is not None and memory is not None:
            instance.load_state_dict(memory)
        for module, training in modes.items():
            module.training = training
        for parameter in model.parameters():
            parameter.grad = None


def halfway(losses: Sequence[float]) -> int:
    """The index at which the loss has first fallen halfway from its start to its lowest value.

    There it falls steadily: a rate that learns, and still well below those that blow up.

    >>> halfway([5.0, 5.0, 4.0, 2.9, 2.0, 1.0, 9.0])
    3
    """
    middle = (losses[0] + min(losses)) / 2
    return next(index for index, loss in enumerate(losses) if loss <= middle)
