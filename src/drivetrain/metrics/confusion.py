"""Confusion matrix: how often each class was taken for each other.

Counts are exact integers, so the matrix of many batches equals that of one.
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

import torch
from torch import Tensor

from drivetrain.errors import ShapeError


def check_scores(name: str, preds: Tensor, targets: Tensor) -> None:
    """Refuse what is not (B, C, ...) scores with (B, ...) class indices; looks at shapes only.

    Raises: ShapeError: with both shapes and what to do.
    """
    shape = tuple(preds.shape)
    if preds.ndim < 2 or shape[1] < 2:
        raise ShapeError(
            f"`{name}` got predictions of shape {shape}, expected (B, C): a score for each of two "
            "or more classes. For one score per item use `binary_accuracy`."
        )
    expected = (shape[0], *shape[2:])
    if tuple(targets.shape) != expected:
        raise ShapeError(
            f"`{name}` got targets of shape {tuple(targets.shape)}, expected {expected}: "
            f"class indices in 0..{shape[1] - 1}, for scores of shape {shape}."
        )


class ConfusionMatrix:
    """Counts of (true class, predicted class), batch by batch.

    >>> confusion = ConfusionMatrix()
    >>> confusion.update(
    ...     torch.tensor([[9.0, 1.0], [8.0, 2.0], [3.0, 7.0]]), torch.tensor([0, 1, 1])
    ... )
    >>> confusion.matrix.tolist()
    [[1, 0], [1, 1]]
    """

    def __init__(self) -> None:
        self._counts: Tensor | None = None  # (C * C,) int64, once the number of classes is known
        self._num_classes = 0

    def reset(self) -> None:
        """Forget all items, and how many classes there were."""
        self._counts, self._num_classes = None, 0

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Args:
            preds: (B, C, ...) scores; the highest is the prediction, the first of equal ones.
            targets: (B, ...) int64 class indices.
        Raises: ShapeError: shapes that do not fit, or another number of classes than before.
        """
        check_scores("confusion_matrix", preds, targets)
        classes = preds.shape[1]
        counts = self._counts
        if counts is None:
            self._num_classes = classes
            counts = torch.zeros(classes * classes, dtype=torch.int64, device=preds.device)
        elif classes != self._num_classes:
            raise ShapeError(
                f"`confusion_matrix` got scores for {classes} classes after scores for "
                f"{self._num_classes}. Call `reset()` before another model."
            )
        cells = (targets * classes + preds.argmax(dim=1)).flatten()  # (N,) row * C + column
        # Not in place: a tensor made in inference mode may not be changed outside it.
        self._counts = counts.index_add(0, cells, torch.ones_like(cells))

    @property
    def matrix(self) -> Tensor:
        """(C, C) int64: rows are true classes, columns predicted ones; (0, 0) before any item."""
        if self._counts is None:
            return torch.zeros(0, 0, dtype=torch.int64)
        return self._counts.reshape(self._num_classes, self._num_classes)

    def per_class(self) -> tuple[Tensor, Tensor, Tensor]:
        """(true positives, predicted, actual) of each class, (C,) int64 each."""
        matrix = self.matrix
        return matrix.diagonal(), matrix.sum(dim=0), matrix.sum(dim=1)
