"""Shares of right answers: accuracy, error rate, top-k accuracy.

Of equal scores the first wins, as with `argmax`; what is exactly at the threshold is a no. A NaN among
an item's scores makes the value NaN. How outputs and targets are read: base.py.
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.metrics.base import Kind, check_whole
from drivetrain.metrics.means import Share, Values


class Accuracy(Share):
    """Share of items whose highest score is at the true class; of yes-or-no questions, answered right.

    Takes logits or probabilities for one of several classes, (B, C, ...) with class indices (B, ...),
    and one logit for yes or no, (B,) or (B, 1), where above 0 means yes. Several labels an item:
    `binary_accuracy`. Interval: Wilson.

    Args:
        ignore_index: a target that does not count, such as 255 for "no class" in a mask.
    """

    name = "accuracy"
    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "classes")

    def __init__(self, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index
        super().__init__()

    def _values(self, preds: Tensor, targets: Tensor) -> Values:
        kind, preds, targets, counted = self._read(preds, targets)
        if kind == "binary":
            return Values((preds > 0) == (targets > 0.5), preds.clone(), counted)
        highest, decided = preds.max(dim=1)  # a NaN is the highest of all
        return Values(decided == targets, highest, counted)


class ErrorRate(Accuracy):
    """Share of items that are answered wrong: 1 - accuracy. Interval: Wilson."""

    name = "error_rate"
    higher_is_better = False

    def _values(self, preds: Tensor, targets: Tensor) -> Values:
        right = super()._values(preds, targets)
        return right._replace(values=~right.values)


class BinaryAccuracy(Share):
    """Share of yes-or-no answers that are right; one score each, above `threshold` means yes.

    Takes scores and targets of any one shape; several labels an item count each. Interval: Wilson, over
    items.

    Args:
        threshold: 0 for logits (a probability of 0.5), 0.5 for probabilities.
    """

    name = "binary_accuracy"
    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "labels")

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold
        super().__init__()

    def _values(self, preds: Tensor, targets: Tensor) -> Values:
        _, preds, targets, counted = self._read(preds, targets)
        return Values((preds > self.threshold) == (targets > 0.5), preds.clone(), counted)


class TopK(Share):
    """Share of items whose true class is among the `k` highest scores; k=1 is accuracy.

    Takes (B, C, ...) scores with class indices (B, ...). Interval: Wilson.

    Args:
        k: how many classes are named.
        ignore_index: a target that does not count.

    Raises: ConfigError: `k` below 1.
    """

    name = "top_5_accuracy"
    kinds: ClassVar[tuple[Kind, ...]] = ("classes",)

    def __init__(self, k: int = 5, ignore_index: int | None = None) -> None:
        check_whole("TopK", "k", k, least=1)
        self.k, self.ignore_index = k, ignore_index
        self.name = f"top_{k}_accuracy"
        super().__init__()

    def _values(self, preds: Tensor, targets: Tensor) -> Values:
        _, preds, targets, counted = self._read(preds, targets)
        classes = preds.shape[1]
        if self.k >= classes:
            raise ShapeError(
                f"`{self.name}` got scores for {classes} classes, of which the highest {self.k} "
                f"always hold the true one. Choose `TopK(k)` with k below {classes}, or `accuracy`."
            )
        true = targets.clamp(0, classes - 1).unsqueeze(1)  # (B, 1, ...)
        score = preds.gather(1, true)
        index = torch.arange(classes, device=preds.device)
        index = index.reshape(1, classes, *[1] * (preds.ndim - 2))
        # Not `topk`, whose choice among equal scores is not defined.
        above = (preds > score) | ((preds == score) & (index < true))
        return Values(above.sum(dim=1) < self.k, preds.amax(dim=1), counted)
