"""Metrics of classification: accuracy, error rate, top-k accuracy, macro F1.

All take the model's scores, (B, C, ...) logits or probabilities, and (B, ...) int64 class indices.
Of equal scores the first wins, as with `argmax`. Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

import torch
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.metrics.confusion import ConfusionMatrix, check_scores


class Share:
    """Base: the share of items for which something holds. A subclass says which, in `_hits`."""

    name = "share"
    higher_is_better = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all items."""
        self._hits_so_far: Tensor | int = (
            0  # a tensor from the first batch on: nothing waits for it
        )
        self._count = 0

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Raises: ShapeError: predictions and targets that do not fit.
        """
        self._hits_so_far = self._hits_so_far + self._hits(preds, targets).sum()
        self._count += targets.numel()

    def compute(self) -> float:
        """The share, in [0, 1]; NaN before any item."""
        return int(self._hits_so_far) / self._count if self._count else float("nan")

    def _hits(self, preds: Tensor, targets: Tensor) -> Tensor:
        """Bool, shaped like `targets`."""
        raise NotImplementedError


class Accuracy(Share):
    """Share of items whose highest score is at the true class."""

    name = "accuracy"

    def _hits(self, preds: Tensor, targets: Tensor) -> Tensor:
        check_scores(self.name, preds, targets)
        return preds.argmax(dim=1) == targets


class ErrorRate(Share):
    """Share of items whose highest score is at a wrong class: 1 - accuracy."""

    name = "error_rate"
    higher_is_better = False

    def _hits(self, preds: Tensor, targets: Tensor) -> Tensor:
        check_scores(self.name, preds, targets)
        return preds.argmax(dim=1) != targets


class BinaryAccuracy(Share):
    """Share of yes-or-no answers that are right; one score each, above `threshold` means yes.

    Args:
        threshold: 0 for logits (a probability of 0.5), 0.5 for probabilities.
    """

    name = "binary_accuracy"

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold

    def _hits(self, preds: Tensor, targets: Tensor) -> Tensor:
        if preds.shape != targets.shape:
            raise ShapeError(
                f"`{self.name}` got predictions of shape {tuple(preds.shape)} and targets of shape "
                f"{tuple(targets.shape)}, expected one score for each target. "
                "For one of several classes use `accuracy`."
            )
        return (preds > self.threshold) == (targets > 0.5)


class TopK(Share):
    """Share of items whose true class is among the `k` highest scores; k=1 is accuracy.

    Raises: ConfigError: `k` below 1.
    """

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise ConfigError(f"`TopK` needs k of 1 or more. Got {k}.")
        super().__init__()
        self.k = k
        self.name = f"top_{k}_accuracy"

    def _hits(self, preds: Tensor, targets: Tensor) -> Tensor:
        check_scores(self.name, preds, targets)
        if self.k >= preds.shape[1]:
            raise ShapeError(
                f"`{self.name}` got scores for {preds.shape[1]} classes, of which the highest "
                f"{self.k} always hold the true one. Choose `TopK(k)` with k below "
                f"{preds.shape[1]}, or `accuracy`."
            )
        # A stable sort and not `topk`, whose choice among equal scores is not defined.
        order = torch.sort(preds, dim=1, descending=True, stable=True).indices
        return (order[:, : self.k] == targets.unsqueeze(1)).any(dim=1)


class F1:
    """Macro F1: for each class the harmonic mean of precision and recall, then the plain mean.

    A small class counts as much as a large one. Classes that neither occur nor are predicted are
    left out, as in scikit-learn.
    """

    name = "f1"
    higher_is_better = True

    def __init__(self) -> None:
        self.confusion = ConfusionMatrix()

    def reset(self) -> None:
        """Forget all items."""
        self.confusion.reset()

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Raises: ShapeError: predictions and targets that do not fit.
        """
        check_scores(self.name, preds, targets)
        self.confusion.update(preds, targets)

    def compute(self) -> float:
        """The mean over classes, in [0, 1]; NaN before any item."""
        hits, predicted, actual = (count.double().cpu() for count in self.confusion.per_class())
        seen = predicted + actual > 0
        return float((2 * hits[seen] / (predicted[seen] + actual[seen])).mean())
