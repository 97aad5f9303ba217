"""Metrics of probabilities: log loss, perplexity, Brier score, calibration error.

Outputs are logits, as the loss gets them; probabilities are made of them here in float64, by softmax over
classes, or by a sigmoid for yes or no. How outputs and targets are read: base.py.
Twin: drivetrain.reference.metrics.
"""

from __future__ import annotations

from math import exp, inf
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from drivetrain.metrics.base import NAN, BaseMetric, Interval, Kind, check_whole
from drivetrain.metrics.bootstrap import RESAMPLES, Array, metric_interval
from drivetrain.metrics.interval import check_confidence
from drivetrain.metrics.means import MeanOfItems, Values
from drivetrain.randomness import derive


class LogLoss(MeanOfItems):
    """Mean of -log(probability given to the truth), in nats: cross-entropy. Interval: t, of a mean.

    Several labels an item: the mean over labels too.

    Args:
        ignore_index: a target that does not count, such as -100.
    """

    name = "log_loss"
    higher_is_better = False
    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "classes", "labels")

    def __init__(self, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index
        super().__init__()

    def _values(self, preds: Tensor, targets: Tensor) -> Values:
        kind, preds, targets, counted = self._read(preds, targets)
        logits = preds.double()
        if kind != "classes":
            truth = targets.double()
            values = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
            return Values(values, counted=counted)
        true = targets.clamp(0, preds.shape[1] - 1).unsqueeze(1)
        return Values(-logits.log_softmax(dim=1).gather(1, true).squeeze(1), counted=counted)


class Perplexity(LogLoss):
    """exp(log loss): among how many equally likely words the model hesitates, in 1 to infinity.

    Takes (B, C, ...) logits, the classes in dimension 1 as for the loss, with (B, ...) class indices.
    Interval: that of the log loss, by exp.

    Args:
        ignore_index: a target that does not count, such as that of padding.
    """

    name = "perplexity"
    kinds: ClassVar[tuple[Kind, ...]] = ("classes",)

    def compute(self) -> float:
        """exp of the mean; NaN before any item, and where an output was NaN.

        Raises: InputError: targets that are no class.
        """
        return _exp(super().compute())

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """The ends of the log loss's interval, by exp.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        ends = super().interval(confidence)
        return None if ends is None else (_exp(ends[0]), _exp(ends[1]))


class Brier(MeanOfItems):
    """Mean squared distance of probabilities from what happened. Interval: t, of a mean.

    Yes or no: (p - y)², in [0, 1]; two classes give the same number. More classes: the sum over classes,
    in [0, 2]. Several labels: the mean over labels. As in scikit-learn. Paper: Brier 1950.

    Args:
        ignore_index: a target that does not count.
    """

    name = "brier"
    higher_is_better = False
    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "classes", "labels")
    bounds: ClassVar[tuple[float, float]] = (0.0, 2.0)

    def __init__(self, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index
        super().__init__()

    def _values(self, preds: Tensor, targets: Tensor) -> Values:
        kind, preds, targets, counted = self._read(preds, targets)
        if kind != "classes":
            values = (preds.double().sigmoid() - targets.double()).square()
            return Values(values, counted=counted)
        classes = preds.shape[1]
        probs = preds.double().softmax(dim=1)
        true = targets.clamp(0, classes - 1).unsqueeze(1)
        distance = probs.scatter_add(1, true, -torch.ones_like(true, dtype=torch.float64))
        values = distance.square().sum(dim=1)
        return Values(values / 2 if classes == 2 else values, counted=counted)


class CalibrationError(BaseMetric):
    """Expected calibration error: how far probabilities are from the shares they promise, in [0, 1].

    Items are put into bins by the probability of the predicted class (for yes or no: of yes); the error
    is the mean over items of |mean probability - share of right answers| in their bin. Bins have equal
    width and hold their upper end. Paper: Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599.

    It is above 0 even for a perfectly calibrated model, the more so with few items and many bins.
    Interval: bootstrap; because of that bias its ends and their reflections about the value are both
    taken in, and it goes from 0 where a calibrated model with these probabilities would often give as
    high a value (Bröcker & Smith 2007, doi:10.1175/WAF993.1). Keeps 16 bytes an item.

    Args:
        bins: how many.
        ignore_index: a target that does not count.

    Raises: ConfigError: `bins` below 1.
    """

    name = "calibration_error"
    higher_is_better = False
    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "classes")

    def __init__(self, bins: int = 15, ignore_index: int | None = None) -> None:
        check_whole("calibration_error", "bins", bins, least=1)
        self.bins, self.ignore_index = bins, ignore_index
        super().__init__()

    def reset(self) -> None:
        """Forget all items."""
        super().reset()
        self._kept: list[Tensor] = []  # (2, B) probability, right answer; NaN where none counts
        self._is_one_each = True

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Count a batch in.

        Args:
            preds: the model's outputs.
            targets: as the loss gets them.

        Raises: ShapeError: outputs and targets that do not fit.
        """
        kind, preds, targets, counted = self._read(preds, targets)
        self._is_one_each = self._is_one_each and targets.ndim == 1
        if kind == "binary":
            sure = preds.double().sigmoid()
            right = targets > 0.5
        else:
            sure = preds.double().softmax(dim=1).amax(dim=1)
            right = preds.argmax(dim=1) == targets  # where a score is NaN, so is the probability
        if counted is not None:
            # -1 stands for "does not count": taking it out would wait for the device.
            sure, right = torch.where(counted, sure, -1.0), right & counted
        self._kept.append(torch.stack([sure.flatten(), right.flatten()]))

    def compute(self) -> float:
        """The error; NaN before any item, and where an output was NaN.

        Raises: InputError: targets that cannot be.
        """
        sure, right = self._items()
        if len(sure) == 0 or np.isnan(sure).any():
            return NAN
        return float(self._error(sure, (sure - right)[None], np.array(float(len(sure))))[0])

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """The further of the bootstrap's ends and of their reflections, from 0 where a calibrated model
        could give this value. None where the value is NaN, and for several targets an item (pixels),
        which are not independent.

        Raises: ConfigError: a confidence outside (0, 1).
        """
        check_confidence(confidence)
        value, (sure, right) = self.compute(), self._items()
        if not self._is_one_each:
            return None
        ends = metric_interval(
            value,
            lambda weights: self._error(sure, weights * (sure - right), weights.sum(1)),
            len(sure),
            confidence=confidence,
            name=self.name,
        )
        if ends is None:
            return None
        low = max(0.0, min(ends[0], 2 * value - ends[1]))
        high = min(1.0, max(ends[1], 2 * value - ends[0]))
        is_unusual = self._share_as_high(value, sure) < (1 - confidence) / 2
        return (low if is_unusual else 0.0), high

    def _items(self) -> tuple[Array, Array]:
        """(N,) probabilities and (N,) right answers, of what counts."""
        self._refuse_wrong_targets()
        if not self._kept:
            return np.zeros(0), np.zeros(0)
        sure, right = torch.cat(self._kept, dim=1).cpu().numpy()
        return sure[sure != -1], right[sure != -1]

    def _error(self, sure: Array, gaps: Array, counts: Array) -> Array:
        """(R, N) probability less outcome, weighted, and (R,) sums of weights -> (R,)."""
        # (k / bins, (k + 1) / bins] is bin k; 0 goes into the first.
        edges = np.arange(1, self.bins) / self.bins
        bin_of = np.searchsorted(edges, sure, side="left")
        sums = np.stack([np.bincount(bin_of, row, self.bins) for row in gaps])
        return np.abs(sums).sum(1) / counts

    def _share_as_high(self, value: float, sure: Array) -> float:
        """How often answers that keep the promised probabilities give an error this high."""
        generator = np.random.Generator(np.random.PCG64(derive(0, "calibrated", self.name)))
        count = np.array(float(len(sure)))
        errors = [
            float(self._error(sure, (sure - (generator.random(len(sure)) < sure))[None], count)[0])
            for _ in range(RESAMPLES)
        ]
        return float(np.mean(np.array(errors) >= value))


def _exp(value: float) -> float:
    return inf if value > 709 else exp(value)  # beyond, `exp` would raise
