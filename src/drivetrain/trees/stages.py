"""What the stages of boosting are judged by, and which of them are kept."""

from __future__ import annotations

import numpy as np

from drivetrain.trees.grown import Curve, Rows


def stopped(train: list[float], valid: list[float] | None, loss: str, patience: int) -> Curve:
    """The curve as far as it is grown, and how many stages are kept.

    Args:
        train, valid: (S,) losses after each stage.
    """
    if valid is None:
        return Curve(loss, np.array(train), None, len(train))
    best, num = 0, len(valid)
    for stage in range(1, num):
        if valid[stage] < valid[best]:
            best = stage
        elif stage - best >= patience:
            num = stage + 1
            break
    return Curve(loss, np.array(train[:num]), np.array(valid[:num]), best + 1)


def link_of(loss: str, num_classes: int) -> str:
    """The link of an ensemble that was boosted with a loss."""
    links = {"squared_error": "identity", "poisson": "exp"}
    return links.get(loss, "softmax" if num_classes > 2 else "sigmoid")


def mean_loss(predictions: np.ndarray, rows: Rows, loss: str) -> float:
    """The loss of predictions, (N,) numbers or (N, C) probabilities, a mean over rows by weight."""
    if loss == "squared_error":
        losses = (predictions - rows.y) ** 2
    elif loss == "poisson":
        losses = predictions - rows.y * np.log(np.maximum(predictions, 1e-15))
    else:
        of_target = predictions[np.arange(len(rows.y)), rows.y]
        losses = -np.log(np.maximum(of_target, 1e-15))
    return float(np.average(losses, weights=rows.weight))
