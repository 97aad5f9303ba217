"""Which labels are probably wrong, from the labels and from what a model says that has not seen them.

    found = dt.clean.label_issues(targets, probs)       # probs out of fold: (N, C)
    found.order[:20]                                    # the most doubtful first

Confident learning. Paper: Northcutt, Jiang & Chuang 2021, arXiv:1911.00068. For each class the mean
probability that its own items get is what "confident" means for it; an item counts as one of class j
where its probability of j is above that. Counting (label, confident class) estimates how many labels
of i belong to j, and so many items are flagged: those with the largest margin of j over i ("prune by
noise rate").

The probabilities must come from models that did not train on the item (cross-validation). A model
that has seen a wrong label has learnt it, and finds it right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drivetrain.errors import DataError, ShapeError

LEAST_KEPT = 5
"""Items that each class keeps, however noisy it looks."""


@dataclass(frozen=True, eq=False)
class LabelIssues:
    """How doubtful each label is."""

    confidence: np.ndarray
    """(N,) probability of the label, in [0, 1]; low is doubtful."""
    margin: np.ndarray
    """(N,) probability of the label less that of the likeliest other, in [-1, 1]."""
    suggested: np.ndarray
    """(N,) int64, the likeliest class that is not the label."""
    flagged: np.ndarray
    """(N,) bool: probably wrong."""
    joint: np.ndarray
    """(C, C) float64: estimated items labelled i (rows) of class j; rows add up to the labels."""

    @property
    def order(self) -> np.ndarray:
        """(N,) items, the most doubtful first: the cleaning queue; of equal ones the first.

        By the probability of the label, which puts planted errors of many classes further up than the
        margin does (docs/decisions/0024-out-of-fold.md).
        """
        return np.argsort(self.confidence, kind="stable")

    @property
    def num_flagged(self) -> int:
        """Labels that are probably wrong."""
        return int(self.flagged.sum())

    @property
    def noise(self) -> float:
        """Estimated share of wrong labels."""
        total = self.joint.sum()
        return float(1 - np.trace(self.joint) / total) if total else 0.0

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "confidence": self.confidence.tolist(),
            "margin": self.margin.tolist(),
            "suggested": self.suggested.tolist(),
            "flagged": self.flagged.tolist(),
            "joint": self.joint.tolist(),
            "noise": self.noise,
        }


def label_issues(targets: npt.ArrayLike, probs: npt.ArrayLike) -> LabelIssues:
    """Find labels that are probably wrong.

    Args:
        targets: (N,) class indices as they are labelled.
        probs: (N, C) probabilities of each item, from models that have not trained on it.

    Returns: the items by how probably their label is wrong, and how many are flagged.
    Raises: ShapeError: shapes that do not fit. DataError: no items, a target that is no class, or rows
        that are no probabilities.
    """
    labels, chances = _checked(targets, probs)
    count, classes = chances.shape
    own = chances[np.arange(count), labels]
    others = chances.copy()
    others[np.arange(count), labels] = -1.0
    suggested = others.argmax(axis=1)
    margin = own - others.max(axis=1) if classes > 1 else own
    joint = _calibrated(_confident_joint(labels, chances), labels, classes)
    flagged = _pruned(joint, labels, chances)
    flagged &= chances.argmax(axis=1) != labels  # the model's own answer is no error
    return LabelIssues(own, margin, suggested, flagged, joint)


def thresholds_of(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(C,) mean probability of each class among the items labelled so; above 1 where there are none."""
    classes = probs.shape[1]
    sums = np.bincount(labels, weights=probs[np.arange(len(labels)), labels], minlength=classes)
    counts = np.bincount(labels, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 2.0)


def _confident_joint(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(C, C) counts of (label, the likeliest of the classes that the item is confidently of)."""
    classes = probs.shape[1]
    confident = probs >= thresholds_of(labels, probs) - 1e-12
    likeliest = np.where(confident, probs, -1.0).argmax(axis=1)
    counted = confident.any(axis=1)
    cells = labels[counted] * classes + likeliest[counted]
    joint = np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
    joint = joint.astype(np.float64)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1.0))  # a class is never all of another
    return joint


def _calibrated(joint: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The counts with each row scaled to as many items as are labelled so."""
    labelled = np.bincount(labels, minlength=classes).astype(np.float64)
    return joint / joint.sum(axis=1, keepdims=True) * labelled[:, None]


def _pruned(joint: np.ndarray, labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(N,) bool: of each pair (i, j) as many items labelled i as the joint says, by their margin."""
    flagged = np.zeros(len(labels), dtype=bool)
    for label in range(len(joint)):
        members = np.flatnonzero(labels == label)
        room = len(members) - LEAST_KEPT
        wanted = np.rint(joint[label]).astype(int)
        wanted[label] = 0
        if room <= 0 or not wanted.any():
            continue
        if wanted.sum() > room:
            wanted = np.floor(wanted * (room / wanted.sum())).astype(int)
        for other in np.flatnonzero(wanted):
            margin = probs[members, other] - probs[members, label]
            flagged[members[np.argsort(-margin, kind="stable")[: wanted[other]]]] = True
    return flagged


def _checked(targets: npt.ArrayLike, probs: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    labels, chances = np.asarray(targets), np.asarray(probs, dtype=np.float64)
    if chances.ndim != 2 or labels.shape != chances.shape[:1]:
        raise ShapeError(
            f"`label_issues` got labels of shape {labels.shape} and probabilities of shape "
            f"{chances.shape}, expected (N,) and (N, C)."
        )
    if len(labels) == 0:
        raise DataError("`label_issues` got no items.")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= chances.shape[1]:
        raise DataError(
            f"`label_issues` got labels that are no classes: expected whole numbers from 0 to "
            f"{chances.shape[1] - 1}."
        )
    wrong = _first_wrong(chances)
    if wrong is not None:
        raise DataError(
            f"`label_issues` got {chances[wrong].tolist()[:6]} as the probabilities of item {wrong}, "
            "expected numbers from 0 to 1 that add up to 1. Are they logits? Take their softmax."
        )
    return labels.astype(np.int64), chances


def _first_wrong(chances: np.ndarray) -> int | None:
    fits = (chances >= 0).all(axis=1) & (np.abs(chances.sum(axis=1) - 1) < 1e-3)
    wrong: Sequence[int] = np.flatnonzero(~fits).tolist()
    return wrong[0] if wrong else None
