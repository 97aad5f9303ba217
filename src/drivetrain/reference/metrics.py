"""Metrics in plain Python, over all items at once. Twin of `drivetrain.metrics`.

Scores are a list of rows, one number a class; targets a list of class indices or of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erf, sqrt

Row = Sequence[float]


def predicted_class(row: Row) -> int:
    """The class with the highest score, the first of equal ones."""
    return max(range(len(row)), key=lambda c: row[c])


def accuracy(scores: Sequence[Row], targets: Sequence[int]) -> float:
    """Share of items whose predicted class is the true one."""
    right = [predicted_class(row) == y for row, y in zip(scores, targets, strict=True)]
    return sum(right) / len(right)


def error_rate(scores: Sequence[Row], targets: Sequence[int]) -> float:
    """Share of items whose predicted class is a wrong one."""
    wrong = [predicted_class(row) != y for row, y in zip(scores, targets, strict=True)]
    return sum(wrong) / len(wrong)


def binary_accuracy(scores: Row, targets: Sequence[int], threshold: float = 0.0) -> float:
    """Share of scores that are on the right side of the threshold."""
    right = [(score > threshold) == bool(y) for score, y in zip(scores, targets, strict=True)]
    return sum(right) / len(right)


def top_k_accuracy(scores: Sequence[Row], targets: Sequence[int], k: int) -> float:
    """Share of items whose true class is among the k highest scores."""
    hits = 0
    for row, y in zip(scores, targets, strict=True):
        ranking = sorted(range(len(row)), key=lambda c: (-row[c], c))
        hits += y in ranking[:k]
    return hits / len(targets)


def confusion_matrix(scores: Sequence[Row], targets: Sequence[int]) -> list[list[int]]:
    """counts[true][predicted]."""
    num_classes = len(scores[0])
    counts = [[0] * num_classes for _ in range(num_classes)]
    for row, y in zip(scores, targets, strict=True):
        counts[y][predicted_class(row)] += 1
    return counts


def macro_f1(scores: Sequence[Row], targets: Sequence[int]) -> float:
    """Mean over the classes that occur or are predicted of 2 / (1 / precision + 1 / recall)."""
    predicted = [predicted_class(row) for row in scores]
    values = []
    for c in sorted({*predicted, *targets}):
        both = sum(p == c and y == c for p, y in zip(predicted, targets, strict=True))
        if both == 0:
            values.append(0.0)
            continue
        precision = both / predicted.count(c)
        recall = both / list(targets).count(c)
        values.append(2 / (1 / precision + 1 / recall))
    return sum(values) / len(values)


def mae(preds: Row, targets: Row) -> float:
    """Mean distance."""
    return sum(abs(p - y) for p, y in zip(preds, targets, strict=True)) / len(preds)


def mse(preds: Row, targets: Row) -> float:
    """Mean squared distance."""
    return sum((p - y) ** 2 for p, y in zip(preds, targets, strict=True)) / len(preds)


def rmse(preds: Row, targets: Row) -> float:
    """Root of the mean squared distance."""
    return sqrt(mse(preds, targets))


def r2(preds: Row, targets: Row) -> float:
    """1 - mse / mse of always saying the mean."""
    mean = sum(targets) / len(targets)
    return 1 - mse(preds, targets) / mse([mean] * len(targets), targets)


def normal_quantile(probability: float) -> float:
    """The z below which a standard normal number falls with this probability, by halving."""
    return _halve(lambda z: (1 + erf(z / sqrt(2))) / 2 < probability, -40.0, 40.0)


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """All true shares q from which the seen share lies at most z standard errors away.

    That is the definition; the two ends are found by halving, not by the closed formula.
    """
    z = normal_quantile((1 + confidence) / 2)
    share = correct / total

    def is_far(q: float) -> bool:
        return abs(share - q) > z * sqrt(q * (1 - q) / total)

    low = _halve(is_far, 0.0, share)
    high = _halve(lambda q: not is_far(q), share, 1.0)
    return low, high


def _halve(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """The point in [low, high] where `is_below` turns from true to false."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
