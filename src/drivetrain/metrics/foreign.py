"""Metrics of other libraries, unchanged: what torchmetrics makes, and objects like it.

    metric(torchmetrics.AUROC(task="multiclass", num_classes=3))

The object is updated with (preds, targets), as here, moved to where the predictions are, and its value
made a plain number. It needs no `name`: its class's is written with underscores (`multiclass_auroc`).
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.metrics.base import NAN, Interval


class ForeignMetric:
    """An object with reset, update and compute as a metric of this library.

    torchmetrics asks that targets of classification and segmentation be whole numbers; yes-or-no targets
    that are floats, as the loss wants them, are rounded for it. Beware: its yes-or-no metrics take a
    batch of outputs for logits only if one of them lies outside [0, 1], and else for probabilities.
    The metrics here always take logits.

    Args:
        wrapped: is used as it is, not copied.
        name: of the column in the history; by default its class's.
        higher_is_better: by default what the object says of itself.

    Raises: ConfigError: it does not say which way is good, and nor does `higher_is_better`.
    """

    def __init__(
        self, wrapped: Any, *, name: str | None = None, higher_is_better: bool | None = None
    ) -> None:
        self.wrapped: Any = wrapped
        self.name = name or _name_of(wrapped)
        if higher_is_better is None:
            higher_is_better = getattr(wrapped, "higher_is_better", None)
        if not isinstance(higher_is_better, bool):
            raise ConfigError(
                f"The metric `{type(wrapped).__name__}` does not say which way is good. "
                "Say it: `metric(yours, higher_is_better=True)`."
            )
        self.higher_is_better = higher_is_better
        self._is_empty = True
        self._can_move = isinstance(wrapped, torch.nn.Module)
        self._wants_whole_targets = type(wrapped).__module__.startswith(
            ("torchmetrics.classification", "torchmetrics.segmentation")
        )

    def reset(self) -> None:
        """Forget all items."""
        self.wrapped.reset()
        self._is_empty = True

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Hand a batch on, without its graph.

        Args:
            preds: the model's outputs.
            targets: as the loss gets them.
        """
        preds, targets = preds.detach(), targets.detach()
        if self._can_move and getattr(self.wrapped, "device", preds.device) != preds.device:
            self.wrapped.to(preds.device)
        if self._wants_whole_targets and targets.is_floating_point():
            targets = targets.round().long()
        self.wrapped.update(preds, targets)
        self._is_empty = self._is_empty and len(targets) == 0

    def compute(self) -> float:
        """The value as a number; NaN before any item.

        Raises: ConfigError: the object gives several numbers.
        """
        if self._is_empty:
            return NAN
        value = self.wrapped.compute()
        if isinstance(value, Tensor) and value.numel() == 1:
            return float(value)
        if isinstance(value, Tensor | dict | list | tuple):
            many = value.numel() if isinstance(value, Tensor) else len(value)
            raise ConfigError(
                f"The metric `{self.name}` gave {many} numbers, and a column of the history holds one. "
                "Make it average them (`average='macro'`), or give one metric for each number."
            )
        return float(value)

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """None: another library's numbers do not say how sure they are.

        Args:
            confidence: changes nothing.
        """
        return None

    def record(self) -> dict[str, Any]:
        """Its name and class, as something to read: it cannot be made again from this."""
        kind = type(self.wrapped)
        return {"name": self.name, "class": f"{kind.__module__}.{kind.__qualname__}"}

    def __repr__(self) -> str:
        return f"ForeignMetric({self.wrapped!r}, name={self.name!r})"


def _name_of(wrapped: Any) -> str:
    name = getattr(wrapped, "name", None)
    return name if isinstance(name, str) else snake_case(type(wrapped).__name__)


def snake_case(name: str) -> str:
    """A class's name as a column's.

    >>> snake_case("MulticlassF1Score"), snake_case("BinaryAUROC"), snake_case("R2Score")
    ('multiclass_f1_score', 'binary_auroc', 'r2_score')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
