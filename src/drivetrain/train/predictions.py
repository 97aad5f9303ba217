"""Predictions: the frozen record of one evaluation, from which every table and picture is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Predictions:
    """Inputs' ids, targets, outputs and losses of N items, in the loader's order."""

    ids: Sequence[str]
    """(N,) names of the items; their positions where they have no names."""
    targets: Tensor
    """(N, …) what is true."""
    outputs: Tensor
    """(N, …) what the model gave: scores, not probabilities."""
    losses: Tensor
    """(N,) float, the loss of each item."""
    classes: tuple[str, ...] = ()
    """Labels in the order of the outputs; empty for numbers."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def probs(self) -> Tensor:
        """(N, C) softmax of the outputs."""
        return self.outputs.softmax(dim=1)

    @property
    def preds(self) -> Tensor:
        """(N,) int64, the class with the highest score; for numbers the outputs themselves."""
        if self.targets.is_floating_point():
            return self.outputs
        return self.outputs.argmax(dim=1)

    def worst(self, count: int = 9) -> list[dict[str, Any]]:
        """The `count` items with the highest loss: `{id, target, pred, loss}`, worst first."""
        order = torch.argsort(self.losses, descending=True, stable=True)[:count].tolist()
        return [{"id": self.ids[index], **dict(self._row(index))} for index in order]

    def _row(self, index: int) -> Iterator[tuple[str, Any]]:
        for name, values in (("target", self.targets), ("pred", self.preds)):
            value: Any = values[index].tolist()
            yield name, self.classes[value] if self.classes else value
        yield "loss", float(self.losses[index])
