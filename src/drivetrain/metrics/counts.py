"""Metrics of a class's counts: precision, recall, F1, F-beta, Dice, Jaccard.

For each class there are the items that are of it (actual), those taken for it (predicted), and those
that are both (tp). Yes-or-no questions have one class that is asked for: yes. With several classes or
labels, `average` says how they make one number:

- macro: the plain mean over classes; a small class counts as much as a large one. Classes that neither
  occur nor are predicted are left out, as in scikit-learn for classes (for labels, it counts them as 0).
- micro: all classes counted together.
- weighted: the mean over classes, each by how often it occurs.

A class that occurs and is never predicted has a precision of 0, one that is predicted and never occurs
a recall of 0. What has several targets an item (pixels, labels) keeps 12 bytes an item and class,
for the interval, which draws whole items.
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.metrics.base import NAN, BaseMetric, Interval, Kind, Outputs, check_average
from drivetrain.metrics.bootstrap import Array, metric_interval
from drivetrain.metrics.confusion import ConfusionMatrix
from drivetrain.metrics.interval import check_confidence, wilson_interval

_YES = slice(1, 2)


class ClassCounts(BaseMetric):
    """Base: a quotient of a class's counts, averaged over classes. A subclass says which quotient."""

    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "classes", "labels")

    def __init__(self, average: str = "macro", ignore_index: int | None = None) -> None:
        self.average, self.ignore_index = average, ignore_index
        self.name = type(self).name + check_average(average)
        super().__init__()

    def reset(self) -> None:
        """Forget all items."""
        super().reset()
        self._kind: tuple[Kind, bool] | None = None
        self._confusion = ConfusionMatrix(self.ignore_index)
        self._confusion.name = self.name
        self._rows: list[Tensor] = []  # (B, 3, C) int32: tp, predicted, actual of each item
        self._nans: Tensor | int = 0

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Raises: ShapeError: outputs and targets that do not fit, or of another kind than before.
        """
        read = self._read(preds, targets)
        kind = (read.kind, read.kind != "labels" and read.targets.ndim == 1)
        if self._kind not in (None, kind):
            raise ShapeError(
                f"`{self.name}` got predictions of shape {tuple(preds.shape)}, which are of another "
                "kind than those before. Call `reset()` before another model."
            )
        self._kind = kind
        if kind[1]:
            self._confusion.add(read)
        else:
            self._add_rows(read)

    def compute(self) -> float:
        """The value, in [0, 1]; NaN before any item, and where an output was NaN.

        Raises: InputError: targets that cannot be.
        """
        self._refuse_wrong_targets()
        if self._kind is None or int(self._nans) or self._confusion.has_nan:
            return NAN
        if self._kind[1]:
            matrix = self._confusion.to_numpy().astype(np.float64)
            tp, predicted, actual = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
        else:
            tp, predicted, actual = self._item_rows().sum(0)
        return float(self._averaged(tp, predicted, actual))

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Percentiles of the value on resampled items (bootstrap.py); None before any item, and where all
        items say the same, such as that all is right.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        value = self.compute()
        if self._kind is None or np.isnan(value):
            return None
        if not self._kind[1]:
            rows = self._item_rows()
            flat = rows.reshape(len(rows), -1)

            def of_items(weights: Array) -> Array:
                sums = (weights @ flat).reshape(len(weights), *rows.shape[1:])
                return self._averaged(sums[:, 0], sums[:, 1], sums[:, 2])

            counts: int | np.ndarray = len(rows)
            return metric_interval(value, of_items, counts, confidence=confidence, name=self.name)
        matrix = self._confusion.to_numpy()
        true, decided = np.nonzero(matrix)

        def of_cells(weights: Array) -> Array:
            hits = np.where(true == decided, weights, 0.0)
            sums = [
                _counted(at, values, len(matrix))
                for at, values in ((true, hits), (decided, weights), (true, weights))
            ]
            return self._averaged(*sums)

        cells = matrix[true, decided]
        return metric_interval(value, of_cells, cells, confidence=confidence, name=self.name)

    def _add_rows(self, read: Outputs) -> None:
        kind, preds, targets, counted = read
        if kind == "classes":
            classes = preds.shape[1]
            highest, decided = preds.max(dim=1)
            possible = targets.clamp(0, classes - 1)
        else:
            classes = preds.shape[1] if kind == "labels" else 2
            highest, decided = preds, (preds > 0).long()
            possible = (targets > 0.5).long()
        if counted is None:
            counted = torch.ones_like(possible, dtype=torch.bool)
        self._nans = self._nans + (highest.isnan() & counted).sum()
        if kind == "labels":
            yes, said = possible.bool() & counted, decided.bool() & counted  # (B, L, ...)
            parts = (
                [part.flatten(2).sum(2) for part in (yes & said, said, yes)]
                if yes.ndim > 2
                else [part.long() for part in (yes & said, said, yes)]
            )
        else:
            flat = counted.flatten(1).long()  # (B, M)
            true, guess = possible.flatten(1), decided.flatten(1)
            zeros = torch.zeros(len(preds), classes, dtype=torch.int64, device=preds.device)
            parts = [
                zeros.scatter_add(1, at, weight)
                for at, weight in ((true, flat * (true == guess)), (guess, flat), (true, flat))
            ]
        self._rows.append(torch.stack(parts, dim=1).to(torch.int32))

    def _item_rows(self) -> Array:
        """(N, 3, C) float64."""
        return torch.cat(self._rows).cpu().numpy().astype(np.float64)

    def _averaged(self, tp: Array, predicted: Array, actual: Array) -> Array:
        """(..., C) counts -> (...) values."""
        average = self.average
        if self._kind is not None and self._kind[0] == "binary":
            tp, predicted, actual = tp[..., _YES], predicted[..., _YES], actual[..., _YES]
            average = "macro"
        else:
            chosen = self._chosen(tp.shape[-1])
            tp, predicted, actual = tp[..., chosen], predicted[..., chosen], actual[..., chosen]
        above, below = self._quotient(tp, predicted, actual)
        with np.errstate(invalid="ignore", divide="ignore"):
            if average == "micro":
                return above.sum(-1) / below.sum(-1)
            each = np.where(below > 0, above / below, 0.0)
            weights = actual if average == "weighted" else (predicted + actual > 0) * 1.0
            return (each * weights).sum(-1) / weights.sum(-1)

    def _chosen(self, classes: int) -> slice:
        """Which classes are averaged."""
        return slice(0, classes)

    def _quotient(self, tp: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        raise NotImplementedError

    def _wilson(self, confidence: float) -> Interval | None:
        """Of a quotient that is a share of items: of yes or no, or of all classes together."""
        if np.isnan(self.compute()):
            return None
        counts = [count.cpu() for count in self._confusion.per_class()]
        if self._kind is not None and self._kind[0] == "binary":
            counts = [count[_YES] for count in counts]
        above, below = self._quotient(*(count.double().numpy() for count in counts))
        total = int(below.sum())
        return wilson_interval(int(above.sum()), total, confidence) if total else None


def _counted(classes: npt.NDArray[np.intp], weights: Array, count: int) -> Array:
    """(R, K) weights of cells, each of a class -> (R, C) sums by class."""
    return np.stack([np.bincount(classes, row, count).astype(np.float64) for row in weights])


class Precision(ClassCounts):
    """Of what was taken for a class, the share that is of it: tp / predicted.

    Interval: Wilson for yes or no and for micro; else bootstrap.

    Args:
        average: macro, micro or weighted.
        ignore_index: a target that does not count.

    Raises: UnknownNameError: no such average.
    """

    name = "precision"

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Wilson's, or percentiles of resampled items; None where nothing is known.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        if self._kind is not None and self._kind[1]:
            if self._kind[0] == "binary" or self.average == "micro":
                return self._wilson(confidence)
        return super().interval(confidence)

    def _quotient(self, tp: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return tp, predicted


class Recall(Precision):
    """Of what is of a class, the share that was taken for it: tp / actual.

    Interval: Wilson for yes or no and for micro; else bootstrap. The arguments are those of
    `Precision`.
    """

    name = "recall"

    def _quotient(self, tp: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return tp, actual


class FBeta(ClassCounts):
    """Harmonic mean of precision and recall, in which recall weighs beta² times as much.

    (1 + beta²)·tp / (beta²·actual + predicted). Interval: bootstrap.

    Args:
        beta: above 0; 2 for where a miss is worse than a false alarm, 0.5 for the reverse.
        average: macro, micro or weighted.
        ignore_index: a target that does not count.

    Raises: ConfigError: `beta` is not above 0. UnknownNameError: no such average.
    """

    name = "f_beta"

    def __init__(
        self, beta: float = 2.0, average: str = "macro", ignore_index: int | None = None
    ) -> None:
        if not 0 < beta < float("inf"):
            raise ConfigError(f"`f_beta` needs a beta above 0. Got {beta}.")
        self.beta = beta
        super().__init__(average, ignore_index)
        if beta != 2:
            self.name = f"f_beta_{beta:g}{check_average(average)}"

    def _quotient(self, tp: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        square = self.beta**2
        return (1 + square) * tp, square * actual + predicted


class F1(ClassCounts):
    """Harmonic mean of precision and recall: 2·tp / (actual + predicted). Interval: bootstrap.

    Args:
        average: macro, micro or weighted.
        ignore_index: a target that does not count.

    Raises: UnknownNameError: no such average.
    """

    name = "f1"

    def _quotient(self, tp: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return 2 * tp, actual + predicted


class Dice(ClassCounts):
    """Overlap of two areas over their mean size: 2·tp / (actual + predicted), over all pixels.

    For segmentations: outputs (B, C, H, W) with targets (B, H, W), or one logit a pixel, (B, 1, H, W).
    Counts of all pictures are put together; the mean of the pictures' own values is another number. It is
    F1 by another name. Interval: bootstrap over pictures.

    Args:
        average: macro, micro or weighted.
        background: whether class 0 counts; it does not matter for yes or no.
        ignore_index: a target that does not count, such as 255.

    Raises: UnknownNameError: no such average.
    """

    name = "dice"

    def __init__(
        self, average: str = "macro", background: bool = True, ignore_index: int | None = None
    ) -> None:
        self.background = background
        super().__init__(average, ignore_index)

    def _chosen(self, classes: int) -> slice:
        return slice(0 if self.background else 1, classes)

    def _quotient(self, tp: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return 2 * tp, actual + predicted


class Jaccard(Dice):
    """Overlap of two areas over what both cover, IoU: tp / (actual + predicted - tp), over all pixels.

    Inputs and arguments are those of `Dice`. Interval: bootstrap over pictures.
    """

    name = "jaccard"

    def _quotient(self, tp: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return tp, actual + predicted - tp
