"""What the functions over a `Predictions` record share: outputs read as classes, and their errors.

A record of classes has (N, C) scores and (N,) indices; one of yes or no has (N,) scores, above 0 for yes;
one of numbers has outputs of the targets' shape. Several labels an item are none of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.errors import DataError, ShapeError
from drivetrain.train.predictions import Predictions


@dataclass(frozen=True, eq=False)
class Classified:
    """A record of N items and C classes as arrays."""

    targets: np.ndarray
    """(N,) int64 true classes."""
    preds: np.ndarray
    """(N,) int64, the class of the highest score; the first of equal ones."""
    probs: np.ndarray
    """(N, C) float64."""
    classes: tuple[str, ...]
    """Their names; numbers where the record has none."""

    @property
    def wrong(self) -> np.ndarray:
        """(N,) bool."""
        return self.preds != self.targets


def is_numeric(predictions: Predictions) -> bool:
    """Whether the record is of numbers, and not of classes."""
    targets, outputs = predictions.targets, predictions.outputs
    if not targets.is_floating_point() or predictions.classes:
        return False
    return not (outputs.ndim == 2 and targets.ndim == 1 and outputs.shape[1] > 1)


def classified(who: str, predictions: Predictions) -> Classified:
    """The record's classes.

    Raises: DataError: there are no items, one of them is of no class, or its scores give no
        probabilities (NaN, or infinite): a broken model has no worst class, and none that is best.
        ShapeError: it is a record of numbers, or of several labels an item.
    """
    targets, outputs = predictions.targets, predictions.outputs
    if len(predictions) == 0:
        raise DataError(f"`{who}` got a record without items.")
    if outputs.ndim == 2 and outputs.shape[1] == 1:
        outputs = outputs[:, 0]
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    is_binary = outputs.ndim == 1 and targets.ndim == 1 and len(predictions.classes) == 2
    is_classes = outputs.ndim == 2 and targets.ndim == 1 and not targets.is_floating_point()
    if not (is_binary or is_classes):
        raise ShapeError(
            f"`{who}` is for one class an item: (N, C) scores and (N,) classes. Got outputs of shape "
            f"{tuple(outputs.shape)} and targets of shape {tuple(targets.shape)} and type "
            f"{str(targets.dtype).removeprefix('torch.')}."
        )
    scores = outputs.double().cpu()
    if is_binary:
        yes = scores.sigmoid().numpy()
        probs = np.column_stack([1 - yes, yes])
        preds = (scores > 0).long().numpy()
        truth = (targets.double().cpu() > 0.5).long().numpy()
    else:
        probs, preds = scores.softmax(dim=1).numpy(), scores.argmax(dim=1).numpy()
        truth = targets.cpu().long().numpy()
    broken = np.flatnonzero(np.isnan(probs).any(axis=1))
    if len(broken):
        raise DataError(
            f"`{who}` got scores of {predictions.ids[int(broken[0])]!r} that are NaN or infinite: the "
            "model is broken."
        )
    outside = np.flatnonzero((truth < 0) | (truth >= probs.shape[1]))
    if len(outside):
        item = int(outside[0])
        raise DataError(
            f"`{who}` got {truth[item]} as the class of {predictions.ids[item]!r}, expected 0 to "
            f"{probs.shape[1] - 1}."
        )
    names = predictions.classes or tuple(str(index) for index in range(probs.shape[1]))
    return Classified(truth, preds, probs, names)


def errors_of(predictions: Predictions) -> tuple[np.ndarray, str]:
    """(N,) float64 error of each item, and what it is: 1 for a wrong class, else the distance.

    Raises: DataError: an error is NaN or infinite; also as `classified`.
    """
    if is_numeric(predictions):
        outputs = predictions.outputs.double()
        if outputs.ndim == predictions.targets.ndim + 1 and outputs.shape[-1] == 1:
            outputs = outputs[..., 0]  # (N, 1) against (N,) would pair each with all
        apart = (outputs - predictions.targets.double()).abs().cpu()
        each = apart.flatten(start_dim=1).mean(1).numpy() if apart.ndim > 1 else apart.numpy()
        broken = np.flatnonzero(~np.isfinite(each))
        if len(broken):
            raise DataError(
                f"`slices` got an output for {predictions.ids[int(broken[0])]!r} that is NaN or "
                "infinite: the model is broken."
            )
        return each, "mean absolute error"
    return classified("slices", predictions).wrong.astype(np.float64), "error rate"


def plain(values: np.ndarray) -> list[Any]:
    """As a list for JSON: NaN, which JSON has not, as None."""
    return [None if isinstance(v, float) and np.isnan(v) else v for v in values.tolist()]
