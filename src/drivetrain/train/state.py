"""The state of one fit: everything the loop holds, handed to callbacks at each event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from drivetrain.data.loaders import Loaders
from drivetrain.train.callback import Callback

LossFn = Callable[..., Tensor]
Schedule = Callable[[float], None]
"""Sets the optimizer's rates for a progress in [0, 1]."""


@dataclass
class FitState:
    """What a fit works with and where it stands. Callbacks may read and change all of it."""

    model: nn.Module
    loaders: Loaders
    loss_fn: LossFn
    optimizer: Optimizer
    epochs: int
    """Epochs of this fit."""
    schedule: Schedule | None = None
    metrics: Sequence[Any] = ()
    callbacks: Sequence[Callback] = ()
    in_eval: Sequence[nn.Module] = ()
    """Modules that stay in evaluation mode while training."""
    seed: int = 42
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    first_epoch: int = 0
    """Epochs that the Learner had trained before this fit: shuffling goes on from there."""
    first_step: int = 0
    """Steps that the Learner had made before this fit: dropout goes on from there."""

    epochs_done: int = 0
    """Whole epochs done in this fit; more than 0 at the start when a cut run continues."""
    step: int = 0
    """Steps (batches drawn) in this fit so far."""
    num_batches: int | None = None
    """Batches an epoch, where the loader has a length."""

    batch: Any = None
    targets: Any = None
    """Targets of the batch."""
    args: tuple[Any, ...] = ()
    """What the model is called with, by position …"""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """… and by name."""
    preds: Any = None
    """Outputs of the model for the batch."""
    loss: Any = None
    """Mean loss of the batch, a scalar tensor."""
    evaluation: Any = None
    """An `Evaluation` after each validation."""
    row: dict[str, Any] = field(default_factory=dict)
    """The history's row for the epoch in work: callbacks add columns."""
    cancelled: str = ""
    """`batch`, `epoch` or `fit` at `after_cancel`, else empty."""

    @property
    def epoch(self) -> int:
        """The epoch in work, counted over the Learner's whole life from 0."""
        return self.first_epoch + self.epochs_done

    @property
    def progress(self) -> float:
        """Share of this fit that is done, in [0, 1): the argument of schedules.

        Counted in steps; where the loader has no length, in whole epochs.
        """
        if self.num_batches:
            return min(self.step / (self.num_batches * self.epochs), 1.0)
        return self.epochs_done / self.epochs
