"""Metrics of an order: the area under the ROC curve, and average precision.

They ask only which scores are higher, not how high, so logits serve as well as probabilities. Scores and
targets of all items are kept until `reset`: their own bytes (a float32 score of a yes-or-no question and
a float32 target are 8 an item; C classes 4·C + 8). Equal scores are one threshold, so that the order of
items never matters.

Several classes: each against the rest, by its softmax probability. Several labels: each by its logit.
`average` puts them together (counts.py); a class of which there is no item, or no other, is left out.
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from drivetrain.errors import ShapeError
from drivetrain.metrics.base import NAN, BaseMetric, Interval, Kind, check_average
from drivetrain.metrics.bootstrap import Array, metric_interval
from drivetrain.metrics.interval import check_confidence, two_sided


class Ranked(BaseMetric):
    """Base: a number made of all scores and targets. A subclass says which, in `_of_curve`."""

    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "classes", "labels")

    def __init__(self, average: str = "macro", ignore_index: int | None = None) -> None:
        self.average, self.ignore_index = average, ignore_index
        self.name = type(self).name + check_average(average)
        super().__init__()

    def reset(self) -> None:
        """Forget all items."""
        super().reset()
        self._kind: Kind | None = None
        self._preds: list[Tensor] = []
        self._targets: list[Tensor] = []

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Keep a batch.

        Raises: ShapeError: outputs and targets that do not fit, or several targets an item other than
            labels: pixels are too many to keep.
        """
        kind, scores, truth, _ = self._read(preds, targets)
        if scores.ndim > 1 + (kind != "binary"):
            raise ShapeError(
                f"`{self.name}` got predictions of shape {tuple(preds.shape)}, expected (B,), (B, 1) or "
                "(B, C): it keeps every score. For pixels use `dice` or `jaccard`."
            )
        before = self._preds[0].shape[1:] if self._preds else scores.shape[1:]
        if self._kind not in (None, kind) or scores.shape[1:] != before:
            raise ShapeError(
                f"`{self.name}` got predictions of shape {tuple(preds.shape)}, which are of another "
                "kind than those before. Call `reset()` before another model."
            )
        self._kind = kind
        self._preds.append(scores.clone())  # the loop may go on to change its own
        self._targets.append(truth.clone())

    def compute(self) -> float:
        """The value, in [0, 1]; NaN before any item, where no class has both items and others, and
        where an output was NaN.

        Raises: InputError: targets that cannot be.
        """
        scores, truth, counted = self._items()
        if len(scores) == 0 or np.isnan(scores).any():
            return NAN
        return float(self._of_weights(scores, truth, counted, np.ones((1, len(scores))))[0])

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Percentiles of the value on resampled items (bootstrap.py); None where the value is NaN, and
        where the order is perfect.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        value = self.compute()
        if np.isnan(value):
            return None
        scores, truth, counted = self._items()
        prepared = self._prepared(scores, truth, counted)
        return metric_interval(
            value,
            lambda weights: self._combined(prepared, weights),
            len(scores),
            confidence=confidence,
            name=self.name,
        )

    def _items(self) -> tuple[Array, np.ndarray, np.ndarray]:
        """(N, C) scores, (N, C) bool targets and (N, C) bool what counts; C is 1 for yes or no."""
        self._refuse_wrong_targets()
        if not self._preds:
            return np.zeros((0, 1)), np.zeros((0, 1), bool), np.zeros((0, 1), bool)
        scores, targets = torch.cat(self._preds).double().cpu(), torch.cat(self._targets).cpu()
        counted = torch.ones_like(targets, dtype=torch.bool)
        if self.ignore_index is not None:
            counted = targets != self.ignore_index
        if self._kind == "classes":
            # Items whose target does not count are gone; so one question of N items for each class.
            scores, targets = scores[counted], targets[counted]
            if (
                scores.shape[1] == 2
            ):  # the order of the second's probability is that of the difference
                scores, truth = scores[:, 1:] - scores[:, :1], targets[:, None] == 1
            else:
                truth = targets[:, None] == torch.arange(scores.shape[1])
                scores = _softmax(scores)
            counted = torch.ones_like(truth)
        else:
            truth = targets > 0.5
        if scores.ndim == 1:
            scores, truth, counted = scores[:, None], truth[:, None], counted[:, None]
        if counted.shape[1] == 1:
            keep = counted[:, 0]
            scores, truth, counted = scores[keep], truth[keep], counted[keep]
        return scores.numpy(), truth.numpy(), counted.numpy()

    def _of_weights(
        self, scores: Array, truth: np.ndarray, counted: np.ndarray, weights: Array
    ) -> Array:
        return self._combined(self._prepared(scores, truth, counted), weights)

    def _prepared(self, scores: Array, truth: np.ndarray, counted: np.ndarray) -> list[_Question]:
        if self.average == "micro" and scores.shape[1] > 1:
            rows = np.broadcast_to(np.arange(len(scores))[:, None], scores.shape)
            return [_Question(scores[counted], truth[counted], rows[counted])]
        rows = np.arange(len(scores))
        return [
            _Question(scores[ok, c], truth[ok, c], rows[ok])
            for c in range(scores.shape[1])
            for ok in [counted[:, c]]
        ]

    def _combined(self, questions: list[_Question], weights: Array) -> Array:
        """(R, N) weights of items -> (R,)."""
        values = np.stack([self._of_curve(*q.curve(weights)) for q in questions], axis=1)
        sizes = np.stack([weights[:, q.items[q.truth]].sum(1) for q in questions], axis=1)
        if self.average != "weighted":
            sizes = np.ones_like(sizes)
        known = ~np.isnan(values)
        sizes = np.where(known, sizes, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(known, values * sizes, 0.0).sum(1) / sizes.sum(1)

    def _of_curve(self, positives: Array, negatives: Array) -> Array:
        """(R, T) weights of items at each threshold, from the highest -> (R,); NaN where undefined."""
        raise NotImplementedError


class _Question:
    """Which items are yes, in order of their scores, with the thresholds between them."""

    def __init__(self, scores: Array, truth: np.ndarray, items: np.ndarray) -> None:
        order = np.argsort(-scores, kind="stable")
        self.items, self.truth = items[order], truth[order]
        ordered = scores[order]
        # Neighbours and not their difference: that of two infinite scores is NaN.
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])

    def curve(self, weights: Array) -> tuple[Array, Array]:
        """(R, T) weight of positives and of negatives at each distinct score, from the highest."""
        if len(self.items) == 0:
            none = np.zeros((len(weights), 1))
            return none, none
        here = weights[:, self.items]
        positives = np.add.reduceat(np.where(self.truth, here, 0.0), self.starts, axis=1)
        return positives, np.add.reduceat(here, self.starts, axis=1) - positives


class RocAuc(Ranked):
    """Area under the ROC curve: how often a positive's score is above a negative's; a tie is half.

    1 is a perfect order and 0.5 that of chance. Undefined, NaN, with one class only.
    Interval: DeLong's variance on the logit scale for yes or no and for two classes (DeLong et al. 1988,
    doi:10.2307/2531595, by midranks as Sun & Xu 2014, doi:10.1109/LSP.2014.2337313); for an area
    of 0 or 1, where that variance is 0, all areas θ for which the seen one is within z standard errors
    of Hanley & McNeil (Newcombe 2006, doi:10.1002/sim.2324, method 5). Several classes or labels:
    bootstrap.

    Args:
        average: macro, micro or weighted, over classes against the rest.
        ignore_index: a target that does not count.

    Raises: UnknownNameError: no such average.
    """

    name = "roc_auc"

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """DeLong's, or percentiles of resampled items; None where the value is NaN.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        scores, truth, _ = self._items()
        if scores.shape[1] > 1:
            return super().interval(confidence)
        area = self.compute()
        if np.isnan(area):
            return None
        return _delong(scores[truth], scores[~truth], area, two_sided(confidence))

    def _of_curve(self, positives: Array, negatives: Array) -> Array:
        above = np.cumsum(positives, axis=1) - positives / 2  # of a tie, half is above
        pairs = positives.sum(1) * negatives.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(pairs > 0, (above * negatives).sum(1) / pairs, NAN)


class AveragePrecision(Ranked):
    """Area under the precision-recall curve as a sum of steps: Σ (recall gained)·(precision there).

    As in scikit-learn: no straight lines between points, which would be too hopeful. A model without
    knowledge has the share of positives. Undefined, NaN, without a positive. Interval: bootstrap.

    Args:
        average: macro, micro or weighted, over classes against the rest.
        ignore_index: a target that does not count.

    Raises: UnknownNameError: no such average.
    """

    name = "average_precision"

    def _of_curve(self, positives: Array, negatives: Array) -> Array:
        hits, seen = np.cumsum(positives, axis=1), np.cumsum(positives + negatives, axis=1)
        total = positives.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(seen > 0, hits / seen, 0.0)
            return np.where(total > 0, (positives * precision).sum(1) / total, NAN)


def _softmax(logits: Tensor) -> Tensor:
    """Softmax whose sum is taken in order of size: rows of the same logits in another order then give
    probabilities that are equal to the last bit, which is a tie and has to stay one.
    """
    powers = (logits - logits.amax(dim=1, keepdim=True)).exp()
    return powers / powers.sort(dim=1).values.sum(dim=1, keepdim=True)


def midranks(values: Array) -> Array:
    """(N,) ranks from 1; equal values share the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[group]


def _delong(positives: Array, negatives: Array, area: float, z: float) -> Interval | None:
    m, n = len(positives), len(negatives)
    if area in (0.0, 1.0):
        return _newcombe(area, m, n, z)
    if m < 2 or n < 2:
        return None
    both = midranks(np.concatenate([positives, negatives]))
    # For each positive the share of negatives below it, and for each negative that of positives above.
    below = (both[:m] - midranks(positives)) / n
    above = 1 - (both[m:] - midranks(negatives)) / m
    variance = below.var(ddof=1) / m + above.var(ddof=1) / n
    if variance == 0:  # all scores equal
        return _newcombe(area, m, n, z)
    half = z * sqrt(variance) / (area * (1 - area))
    middle = log(area / (1 - area))
    return 1 / (1 + exp(half - middle)), 1 / (1 + exp(-half - middle))


def _newcombe(area: float, m: int, n: int, z: float) -> Interval:
    def is_far(true: float) -> bool:
        pairs = (m + n) / 2 - 1
        spread = 1 + pairs * (1 - true) / (2 - true) + pairs * true / (1 + true)
        return abs(area - true) > z * sqrt(max(true * (1 - true) * spread, 0.0) / (m * n))

    def end(near: float, far: float) -> float:
        for _ in range(60):
            middle = (near + far) / 2
            near, far = (near, middle) if is_far(middle) else (middle, far)
        return near

    return end(area, 0.0), end(area, 1.0)
