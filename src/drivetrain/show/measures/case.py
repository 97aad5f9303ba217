"""What a metric is written for: the batch as the metric reads it, and where its lines go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from drivetrain.metrics.base import BaseMetric, Outputs
from drivetrain.show.calculation import Calculation
from drivetrain.show.working import Working


class Case:
    """What a metric is written for."""

    def __init__(
        self,
        work: Working,
        found: BaseMetric,
        preds: Tensor,
        targets: Tensor,
        classes: list[str],
    ) -> None:
        self.work, self.metric, self.preds, self.targets = work, found, preds, targets
        self.classes = classes
        self.parts: list[Calculation] = []
        """Of several classes, one each."""

    def option(self, name: str, usual: Any = None) -> Any:
        """An option of the metric."""
        return getattr(self.metric, name, usual)

    def read(self) -> Outputs:
        """The batch as the metric reads it."""
        return self.metric._read(self.preds, self.targets)

    def flat(self) -> tuple[str, Tensor, Tensor]:
        """Kind, scores (N,) or for classes (N, C) float64, and targets (N,), of what counts."""
        kind, preds, targets, counted = self.read()
        preds, targets = preds.double().cpu(), targets.cpu()
        if kind == "classes":
            preds = preds.movedim(1, -1).reshape(-1, preds.shape[1])  # (N, C)
            targets = targets.flatten()
        else:
            preds, targets = preds.flatten(), targets.flatten()
        if counted is not None:
            keep = counted.flatten().cpu()
            preds, targets = preds[keep], targets[keep]
        return kind, preds, targets


Write = Callable[[Case], str]
"""Puts terms and lines into the case's working, and gives the formula for people."""
