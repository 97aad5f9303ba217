"""Predictions: the frozen record of one evaluation, from which every table and picture is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError


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
    parts: Mapping[str, Predictions] = field(default_factory=dict)
    """The record of each target by its name, where there are several; see `of`."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def probs(self) -> Tensor:
        """(N, C) softmax of the outputs.

        Raises: ConfigError: there are several targets, each with outputs of its own; also `preds`.
        """
        self._check_one()
        return self.outputs.softmax(dim=1)

    @property
    def preds(self) -> Tensor:
        """(N,) int64, the class with the highest score; for numbers the outputs themselves."""
        self._check_one()
        if self.targets.is_floating_point():
            return self.outputs
        return self.outputs.argmax(dim=1)

    def of(self, target: str) -> Predictions:
        """The record of one of several targets: its own scores, targets and unweighted losses.

        Raises: ConfigError: there is no such target.
        """
        if target not in self.parts:
            known = ", ".join(self.parts) or "none, it is of one target"
            raise ConfigError(
                f"There are no predictions of {target!r}.{did_you_mean(target, self.parts)} "
                f"Targets: {known}."
            )
        return self.parts[target]

    def worst(self, count: int = 9) -> list[dict[str, Any]]:
        """The `count` items with the highest loss: `{id, target, pred, loss}`, worst first.

        Of several targets, by their summed loss; target and pred are then `{name: label}`.
        """
        order = torch.argsort(self.losses, descending=True, stable=True)[:count].tolist()
        return [{"id": self.ids[index], **dict(self._row(index))} for index in order]

    def _check_one(self) -> None:
        if self.parts:
            raise ConfigError(
                f"These are predictions of {len(self.parts)} targets, each with scores of its own. Take "
                f"those of one: `predictions.of({next(iter(self.parts))!r})`."
            )

    def _row(self, index: int) -> Iterator[tuple[str, Any]]:
        if self.parts:
            rows = {name: dict(part._row(index)) for name, part in self.parts.items()}
            for what in ("target", "pred"):
                yield what, {name: row[what] for name, row in rows.items()}
            yield "loss", float(self.losses[index])
            return
        for name, values in (("target", self.targets), ("pred", self.preds)):
            value: Any = values[index].tolist()
            yield name, self.classes[value] if self.classes else value
        yield "loss", float(self.losses[index])
