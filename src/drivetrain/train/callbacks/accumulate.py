# pyright: reportPrivateImportUsage=false
# (torch's multi-tensor functions begin with an underscore)
"""Gradient accumulation: one step for several batches, as if they had been one.

The batches need less memory than the one would. What depends on the batch by itself stays so: batchnorm
still takes its statistics from each small batch.
"""

from __future__ import annotations

from typing import Any

import torch

from drivetrain.train.batches import num_items
from drivetrain.train.callback import LAST, Callback, CancelStep
from drivetrain.train.callbacks._checking import check_whole
from drivetrain.train.state import FitState


class Accumulate(Callback):
    """Makes a step every `steps` batches, along the gradient of the mean loss over all their items.

    Batches may differ in size: each counts by its items. Gradients are the mean over the group at any
    moment, so whoever looks at them, clips them or makes a step early needs to know nothing of it. A
    group that the epoch's end cuts short makes its step there.

    Args:
        steps: batches a step.
    Raises: ConfigError: `steps` below 1.
    """

    # Last, so that others see the loss as it is, and every `after_backward`; but before an interrupted
    # fit is saved.
    order = LAST + 8
    adjusts = ("loss",)

    def __init__(self, steps: int = 4) -> None:
        check_whole("Accumulate", "steps", steps, least=1)
        self.steps = steps
        self._forget()

    def before_fit(self, state: FitState) -> None:
        self._forget()

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self._batches, "items": self._items}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._batches, self._items = state["batches"], state["items"]

    def after_loss(self, state: FitState) -> None:
        """The mean over items goes on: of what is there and of what comes, each by its share."""
        new = num_items(state.targets)
        self._batches += 1
        self._items += new
        if self._batches > 1 and self._items:
            share = new / self._items
            gradients = [
                parameter.grad
                for group in state.optimizer.param_groups
                for parameter in group["params"]
                if parameter.grad is not None
            ]
            if gradients:
                torch._foreach_mul_(gradients, 1 - share)
            state.loss = state.loss * share

    def after_backward(self, state: FitState) -> None:
        if self._batches != self.steps:  # it never is more
            raise CancelStep

    def after_step(self, state: FitState) -> None:
        self._forget()

    def after_cancel(self, state: FitState) -> None:
        """Gradients of what was cancelled are gone, those of the group before it among them."""
        self._forget()

    def _forget(self) -> None:
        self._batches = self._items = 0
