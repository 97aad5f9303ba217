"""Confusion matrix: how often each class was taken for each other.

Counts are exact integers, so the matrix of many batches equals that of one.
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.metrics.base import BaseMetric, Kind, Outputs, Pending


class ConfusionMatrix(BaseMetric):
    """Counts of (true class, predicted class), batch by batch; of two classes for yes or no.

    It is counted like a metric, but is not one number: read `matrix`.

    Args:
        ignore_index: a target that does not count.

    >>> confusion = ConfusionMatrix()
    >>> confusion.update(
    ...     torch.tensor([[9.0, 1.0], [8.0, 2.0], [3.0, 7.0]]), torch.tensor([0, 1, 1])
    ... )
    >>> confusion.matrix.tolist()
    [[1, 0], [1, 1]]
    """

    name = "confusion_matrix"
    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "classes")

    def __init__(self, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index
        super().__init__()

    def reset(self) -> None:
        """Forget all items, and how many classes there were."""
        super().reset()
        self._counts: Tensor | None = None  # (C * C + 1,) int64; the last is of what does not count
        self._num_classes = 0
        self._nans: Tensor | int = 0
        self._pending = Pending()
        self.is_one_each = True
        """Whether each item had one target, so that items are cells."""

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Args:
            preds: (B, C, ...) scores; the highest is the prediction, the first of equal ones.
                (B,) or (B, 1, ...) logits: above 0 is class 1.
            targets: (B, ...) class indices; 0 or 1.
        Raises: ShapeError: shapes that do not fit, or another number of classes than before.
        """
        self.add(self._read(preds, targets))

    def add(self, read: Outputs) -> None:
        """Count in a batch that was read; targets that cannot be are left out."""
        kind, preds, targets, counted = read
        if kind == "binary":
            highest, decided, targets = preds.clone(), preds > 0, (targets > 0.5).long()
            classes = 2
        else:
            highest, decided = preds.max(dim=1)
            classes = preds.shape[1]
        if self._num_classes == 0:
            self._num_classes = classes
        elif classes != self._num_classes:
            raise ShapeError(
                f"`{self.name}` got scores for {classes} classes after scores for "
                f"{self._num_classes}. Call `reset()` before another model."
            )
        self.is_one_each = self.is_one_each and targets.ndim == 1
        cells = (targets * classes + decided).flatten()  # row * C + column
        if self._pending.add(
            cells, highest.flatten(), None if counted is None else counted.flatten()
        ):
            self._count()

    def _count(self) -> None:
        cells, highest, counted = self._pending.take()
        if cells is None or highest is None:
            return
        missing = self._num_classes**2
        counts = self._counts
        if counts is None:
            counts = torch.zeros(missing + 1, dtype=torch.int64, device=cells.device)
        counts_here = (cells >= 0) & (cells < missing)
        if counted is not None:
            counts_here = counts_here & counted
        cells = torch.where(counts_here, cells, missing)
        # Not in place: a tensor made in inference mode may not be changed outside it.
        self._counts = counts.index_add(0, cells, torch.ones_like(cells))
        self._nans = self._nans + (highest.isnan() & counts_here).sum()

    def compute(self) -> float:
        """Not one number.

        Raises: ShapeError: in every case.
        """
        raise ShapeError("A confusion matrix is not one number: read its `matrix`.")

    @property
    def matrix(self) -> Tensor:
        """(C, C) int64: rows are true classes, columns predicted ones; (0, 0) before any item.

        Raises: InputError: targets that are no class.
        """
        self._refuse_wrong_targets()
        if len(self._pending):
            self._count()
        if self._counts is None:
            return torch.zeros(0, 0, dtype=torch.int64)
        return self._counts[:-1].reshape(self._num_classes, self._num_classes)

    @property
    def has_nan(self) -> bool:
        """Whether a score that decided was NaN: then nothing that is made of the counts is true."""
        if len(self._pending):
            self._count()
        return bool(int(self._nans))

    def per_class(self) -> tuple[Tensor, Tensor, Tensor]:
        """(true positives, predicted, actual) of each class, (C,) int64 each."""
        matrix = self.matrix
        return matrix.diagonal(), matrix.sum(dim=0), matrix.sum(dim=1)

    def to_numpy(self) -> npt.NDArray[np.int64]:
        """`matrix` on the CPU."""
        return self.matrix.cpu().numpy()
