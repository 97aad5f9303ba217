"""From scores to probabilities to a loss, as chains of small steps whose gradients work themselves out.

`losses` has the same losses as one formula each, with the gradient by hand; here each is said in the
words of `autograd`, and a test finds both the same. Twin of `torch.softmax`, `F.cross_entropy`,
`F.mse_loss`, `F.l1_loss` and `losses.mnist_loss`.

Letters: B items, C classes; scores (B, C) any numbers, also called logits; logarithms are natural.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain.reference.autograd import Value, where
from drivetrain.reference.factorization import one_hot

# --- softmax ------------------------------------------------------------------------------------------


def softmax(scores: Value) -> Value:
    """(B, C) -> (B, C): e^score, divided by the sum over the classes; all positive, of sum 1.

    e^1000 is too large for a float, so the highest score of each row is taken off first; it cancels in
    the fraction. As a plain number, for nothing is lost: its gradient would cancel as well.
    """
    powers = (scores - scores.data.max(axis=1, keepdims=True)).exp()
    return powers / powers.sum(axis=1, keepdims=True)


def log_softmax(scores: Value) -> Value:
    """Its logarithm, without ever making a probability so small that it would be 0."""
    shifted = scores - scores.data.max(axis=1, keepdims=True)
    return shifted - shifted.exp().sum(axis=1, keepdims=True).log()


def softmax_slopes(probs: np.ndarray) -> np.ndarray:
    """(C, C): how each probability of one item moves with each score, p_i (1 if i = j else 0) - p_i p_j.

    Every row sums to 0: adding the same to all scores changes nothing.
    """
    return np.diag(probs) - np.outer(probs, probs)


# --- losses -------------------------------------------------------------------------------------------


def cross_entropy(scores: Value, classes: np.ndarray) -> Value:
    """Mean over the items of -log p[true class]. `classes` are (B,) indices."""
    return -log_softmax(scores)[np.arange(len(classes)), classes].mean()


def one_hot_cross_entropy(scores: Value, classes: np.ndarray) -> Value:
    """The same as the textbook sum -Σ target · log p: of a one-hot target only one term is not 0."""
    targets = one_hot(classes.tolist(), scores.shape[1])
    return -(log_softmax(scores) * targets).sum(axis=1).mean()


def mean_squared(preds: Value, targets: np.ndarray) -> Value:
    """Mean of (prediction - target)²."""
    return ((preds - targets) ** 2).mean()


def mean_absolute(preds: Value, targets: np.ndarray) -> Value:
    """Mean of |prediction - target|."""
    return (preds - targets).abs().mean()


def distance_to_answer(probs: Value, targets: np.ndarray) -> Value:
    """Mean of 1 - p where the answer is 1, of p where it is 0: `mnist_loss` before it had a sigmoid.

    >>> round(float(distance_to_answer(Value([0.9, 0.4, 0.2]), np.array([1, 0, 1])).data), 4)
    0.4333
    """
    return where(targets == 1, 1 - probs, probs).mean()


def mnist_loss(scores: Value, targets: np.ndarray) -> Value:
    """That of sigmoid(score): whatever the net puts out, it is compared as a probability."""
    return distance_to_answer(scores.sigmoid(), targets)


# --- one item, line by line -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A class in the worked calculation of one item."""

    score: float
    power: float
    """e^score."""
    probability: float
    """Its share of all powers."""
    target: float
    """1 for the true class, else 0."""
    loss: float
    """-target · ln(probability): the item's cross-entropy is the sum."""


def worked(scores: Sequence[float], true_class: int) -> list[Line]:
    """Softmax and cross-entropy of one item as the table of a spreadsheet: a line for each class.

    >>> for line in worked([1.0, 2.0, 3.0], 2):
    ...     print(f"{line.power:8.4f} {line.probability:.4f} {line.loss:.5f}")
      2.7183 0.0900 0.00000
      7.3891 0.2447 0.00000
     20.0855 0.6652 0.40761
    """
    powers = [float(np.exp(score)) for score in scores]
    lines: list[Line] = []
    for number, (score, power) in enumerate(zip(scores, powers, strict=True)):
        probability, target = power / sum(powers), float(number == true_class)
        loss = -target * float(np.log(probability)) if target else 0.0
        lines.append(Line(score, power, probability, target, loss))
    return lines
