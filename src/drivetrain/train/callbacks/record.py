"""Recording: losses and metrics of each epoch into the history."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from drivetrain.train.batches import num_terms, weighted_mean
from drivetrain.train.callback import FIRST, Callback
from drivetrain.train.history import History
from drivetrain.train.state import FitState

APART = 64
"""Losses that are a piece of memory each. More of them, between the tensors of their steps, keep the C
library from giving back what those took: 0.1 MB a step at 8,192 rows of a table."""


class Record(Callback):
    """Adds a row an epoch: train loss (the true mean over items), valid loss, metrics, seconds.

    Losses are kept as tensors until the epoch ends, so that no step waits for a number.
    """

    order = FIRST
    in_script = False

    def __init__(self, history: History) -> None:
        self.history = history
        self.losses: list[Tensor] = []
        self.counts: list[int] = []
        self.started = 0.0

    def before_epoch(self, state: FitState) -> None:
        self.losses, self.counts = [], []
        self.started = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        return {
            "losses": torch.stack(self.losses) if self.losses else torch.empty(0),
            "counts": list(self.counts),
            "seconds": time.perf_counter() - self.started,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = list(state["losses"].unbind())
        self.counts = list(state["counts"])
        self.started = time.perf_counter() - state["seconds"]

    def after_loss(self, state: FitState) -> None:
        self.losses.append(state.loss.detach())
        self.counts.append(num_terms(state.loss_fn, state.targets))
        if len(self.losses) % APART == 0:
            self.losses[-APART:] = torch.stack(self.losses[-APART:]).unbind()

    def before_validate(self, state: FitState) -> None:
        state.row["train_loss"] = weighted_mean(self.losses, self.counts)

    def after_validate(self, state: FitState) -> None:
        if state.evaluation is not None:
            state.row["valid_loss"] = state.evaluation.loss
            state.row.update(state.evaluation.metrics)

    def after_epoch(self, state: FitState) -> None:
        state.row["seconds"] = time.perf_counter() - self.started
        self.history.append(state.row)
