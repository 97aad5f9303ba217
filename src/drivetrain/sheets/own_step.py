"""One real training step of a Learner, on a few rows of its next batch, recorded for a workbook.

The step is made by the training loop itself, on a copy: its callbacks, its schedule, its optimizer. The
Learner is left as it was.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.train import rehearsal
from drivetrain.train.callback import LAST, Callback, CancelFit
from drivetrain.train.learner import Learner
from drivetrain.train.state import FitState


@dataclass
class Recorded:
    """The step as it was, float32 of the run."""

    model: nn.Module
    """A copy as it was before the batch, each module in the mode that it trains in."""
    args: tuple[Tensor, ...]
    targets: Tensor
    loss_fn: Any
    preds: Tensor
    loss: float
    masks: dict[str, Tensor]
    """Dropout's path -> what it multiplied with, 0 or 1 / (1 - p)."""
    grads: dict[str, Tensor] = field(default_factory=dict)
    """Name of a parameter -> its gradient as the optimizer saw it."""
    after: dict[str, Tensor] = field(default_factory=dict)
    """Name of a parameter -> its values after the step."""
    optimizer: Any = None
    """A copy as it was before the step, over the parameters of `model`."""
    call: str = ""
    """The fit whose step it is."""


def record(learner: Learner, rows: int) -> Recorded:
    """Make the first step of the Learner's last fit once more, on the first rows of its batch.

    Args:
        rows: how many rows of the batch are used.

    Raises: ConfigError: the batch or the loss is of another form than the workbook can hold.
    """
    steps = rehearsal.again(learner)
    watcher = _Watcher()
    steps.fit(_Few(learner.loaders.train, rows), [watcher])
    if watcher.found is None:
        raise ConfigError("The training loader gave no batch: there is no step to write down.")
    watcher.found.call = steps.stage.call
    return watcher.found


class _Few:
    """A loader whose batches have the first rows alone."""

    def __init__(self, loader: Any, rows: int) -> None:
        self.loader, self.rows = loader, rows

    def __len__(self) -> int:
        return max(1, len(self.loader))

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            yield _map(batch, lambda one: one[: self.rows])


def _map(batch: Any, change: Any) -> Any:
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: _map(one, change) for key, one in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)(_map(one, change) for one in batch)
    return batch


class _Watcher(Callback):
    """Keeps the step, after all other callbacks, and ends the fit."""

    order = LAST + 1000
    only_looks = True

    def __init__(self) -> None:
        self.found: Recorded | None = None
        self._before: Any = None
        self._masks: dict[str, Tensor] = {}

    def before_batch(self, state: FitState) -> None:
        self._before = copy.deepcopy((state.model, state.optimizer))
        for path, module in state.model.named_modules():
            if isinstance(module, nn.Dropout) and module.training and module.p:
                module.register_forward_pre_hook(_mask_keeper(self._masks, path, module.p))

    def after_loss(self, state: FitState) -> None:
        model, optimizer = self._before
        given = inspect.signature(state.model.forward).bind(*state.args, **state.kwargs)
        parts = list(given.arguments.values())  # in the order of the forward pass
        if not all(isinstance(one, Tensor) for one in [*parts, state.targets, state.preds]):
            raise ConfigError(
                "The batch or the model's output is not made of tensors alone, as a workbook needs it. "
                "What would do: a model of numbers or categories that gives one tensor."
            )
        self.found = Recorded(
            model,
            tuple(one.detach().clone() for one in parts),
            state.targets.detach().clone(),
            state.loss_fn,
            state.preds.detach().clone(),
            float(state.loss.detach()),
            self._masks,
            optimizer=optimizer,
        )

    def before_step(self, state: FitState) -> None:
        assert self.found is not None
        for name, param in state.model.named_parameters():
            if param.grad is not None:
                self.found.grads[name] = param.grad.detach().clone()
        # a schedule moved rates after the copy was made: those are the step's
        for ours, theirs in zip(
            self.found.optimizer.param_groups, state.optimizer.param_groups, strict=True
        ):
            ours.update({key: value for key, value in theirs.items() if key != "params"})

    def after_step(self, state: FitState) -> None:
        assert self.found is not None
        for name, param in state.model.named_parameters():
            self.found.after[name] = param.detach().clone()
        raise CancelFit


def _mask_keeper(kept: dict[str, Tensor], path: str, p: float) -> Any:
    def keep(_: nn.Module, args: tuple[Any, ...]) -> None:
        state = torch.get_rng_state()
        kept[path] = nn.functional.dropout(torch.ones_like(args[0]), p, training=True)
        torch.set_rng_state(state)  # the layer itself draws the same

    return keep
