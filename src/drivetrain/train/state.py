"""The state of one fit: everything the loop holds, handed to callbacks at each event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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

    folder: Path | None = None
    """The run's folder, where there is one."""
    save: Callable[[FitState], None] | None = None
    """Writes a checkpoint of this moment; to be called at `after_batch`, `after_epoch` or
    `after_cancel`, last of all callbacks."""

    # Where it stands. A cut run starts with what its checkpoint held.
    epochs_done: int = 0
    """Whole epochs done in this fit."""
    batches_done: int = 0
    """Batches of the epoch in work that are done."""
    step: int = 0
    """Batches drawn in this fit so far."""
    pending: bool = False
    """Gradients of batches without a step of their own lie in the parameters."""
    saved: Mapping[str, dict[str, Any]] | None = None
    """By name, what callbacks remembered where a cut run goes on."""

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
    interrupted: int | None = None
    """The signal that somebody ended the fit with."""

    @property
    def epoch(self) -> int:
        """The epoch in work, counted over the Learner's whole life from 0."""
        return self.first_epoch + self.epochs_done

    @property
    def progress(self) -> float:
        """Share of this fit that is done, in [0, 1]: the argument of schedules.

        Counted in steps; where the loader has no length, in whole epochs.
        """
        return self.progress_at(self.step)

    def progress_at(self, step: int) -> float:
        """`progress` when so many batches of this fit have been drawn."""
        if self.num_batches:
            return min(step / (self.num_batches * self.epochs), 1.0)
        return self.epochs_done / self.epochs

    def item_ids(self) -> list[str]:
        """The ids of the items in the batch, as the loader names them; empty where it cannot.

        For `before_batch` to `after_step`: afterwards the batch counts as done.
        """
        ids_of = getattr(self.loaders.train, "item_ids", None)
        return [] if ids_of is None else ids_of(self.epoch, self.batches_done)
