"""Metrics in plain Python, over all items at once. Twin of `drivetrain.metrics`.

Scores are a list of rows, one number a class; targets a list of class indices or of numbers. Of a
yes-or-no question scores are a list of logits, and above 0 means yes. Written from the definitions, not
from the formulas that are quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import atanh, erf, exp, fsum, lgamma, log, log1p, pi, sqrt, tanh

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


def rmsle(preds: Row, targets: Row) -> float:
    """rmse of log(1 + x), predictions below 0 counted as 0."""
    return rmse([log1p(max(p, 0.0)) for p in preds], [log1p(y) for y in targets])


def two_columns(scores: Row) -> list[Row]:
    """Yes-or-no logits as scores of two classes: 0 for no, the logit for yes; a tie is a no."""
    return [(0.0, score) for score in scores]


def class_scores(
    decided: Sequence[int],
    targets: Sequence[int],
    score: Callable[[int, int, int], float],
    *,
    average: str = "macro",
    classes: Sequence[int] | None = None,
) -> float:
    """`score(tp, predicted, actual)` of each class, averaged; classes nobody speaks of are left out."""
    chosen = sorted({*decided, *targets}) if classes is None else classes
    counts = []
    for c in chosen:
        tp = sum(p == c and y == c for p, y in zip(decided, targets, strict=True))
        counts.append((tp, sum(p == c for p in decided), sum(y == c for y in targets)))
    if average == "micro":
        tp, predicted, actual = (sum(column) for column in zip(*counts, strict=True))
        return score(tp, predicted, actual)
    values = [score(*count) for count in counts]
    weights = [count[2] if average == "weighted" else 1 for count in counts]
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def precision(tp: int, predicted: int, actual: int) -> float:
    """Share of what was taken for a class that is of it."""
    return tp / predicted if predicted else 0.0


def recall(tp: int, predicted: int, actual: int) -> float:
    """Share of what is of a class that was taken for it."""
    return tp / actual if actual else 0.0


def f_beta(tp: int, predicted: int, actual: int, beta: float = 2.0) -> float:
    """Weighted harmonic mean of precision and recall: recall counts beta² times."""
    if tp == 0:
        return 0.0
    square = beta**2
    return (1 + square) / (
        1 / precision(tp, predicted, actual) + square / recall(tp, predicted, actual)
    )


def dice(tp: int, predicted: int, actual: int) -> float:
    """Overlap over the mean size of both."""
    return tp / ((predicted + actual) / 2) if predicted + actual else 0.0


def jaccard(tp: int, predicted: int, actual: int) -> float:
    """Overlap over what both cover together."""
    missed, false_alarms = actual - tp, predicted - tp
    union = tp + missed + false_alarms
    return tp / union if union else 0.0


def kappa(decided: Sequence[int], targets: Sequence[int], power: int = 0) -> float:
    """1 - (mean cost of the pairs) / (mean cost of every prediction with every target).

    A pair costs |distance|**power, and for a power of 0 it costs 1 where the two differ.
    """

    def cost(a: int, b: int) -> float:
        return float(abs(a - b) ** power) if a != b else 0.0

    seen = [cost(p, y) for p, y in zip(decided, targets, strict=True)]
    chance = [cost(p, y) for p in decided for y in targets]
    return 1 - (sum(seen) / len(seen)) / (sum(chance) / len(chance))


def matthews(decided: Sequence[int], targets: Sequence[int]) -> float:
    """Correlation of two one-hot tables, all columns together; 0 where all is taken for one class."""
    n = len(targets)
    names = sorted({*decided, *targets})

    def covariance(a: Sequence[int], b: Sequence[int]) -> float:
        total = 0.0
        for c in names:
            mean_a, mean_b = sum(x == c for x in a) / n, sum(x == c for x in b) / n
            total += sum(
                ((x == c) - mean_a) * ((z == c) - mean_b) for x, z in zip(a, b, strict=True)
            )
        return total

    if len(set(decided)) == 1:
        return 0.0
    return covariance(decided, targets) / sqrt(
        covariance(decided, decided) * covariance(targets, targets)
    )


def softmax(row: Row) -> list[float]:
    """Probabilities of a row of scores."""
    highest = max(row)
    powers = [exp(z - highest) for z in row]
    total = fsum(powers)  # exact, so that the order of classes makes no difference to a tie
    return [power / total for power in powers]


def log_loss(scores: Sequence[Row], targets: Sequence[int]) -> float:
    """Mean of -log(probability of the truth)."""
    return sum(-log(softmax(row)[y]) for row, y in zip(scores, targets, strict=True)) / len(targets)


def perplexity(scores: Sequence[Row], targets: Sequence[int]) -> float:
    """One over the geometric mean of the probabilities of the truth."""
    product = 1.0
    for row, y in zip(scores, targets, strict=True):
        product *= softmax(row)[y] ** (1 / len(targets))
    return 1 / product


def brier(scores: Sequence[Row], targets: Sequence[int]) -> float:
    """Mean squared distance of probabilities from the truth, summed over classes; of two, over one."""
    total = 0.0
    for row, y in zip(scores, targets, strict=True):
        squares = [(p - (c == y)) ** 2 for c, p in enumerate(softmax(row))]
        total += squares[1] if len(row) == 2 else sum(squares)
    return total / len(targets)


def calibration_error(sure: Row, right: Sequence[bool], bins: int = 15) -> float:
    """Mean over items of |mean probability - share right| in their bin; bins hold their upper end."""
    total = 0.0
    for k in range(bins):
        low = k / bins if k else -1.0
        inside = [(p, r) for p, r in zip(sure, right, strict=True) if low < p <= (k + 1) / bins]
        if inside:
            mean = sum(p for p, _ in inside) / len(inside)
            share = sum(r for _, r in inside) / len(inside)
            total += len(inside) / len(sure) * abs(mean - share)
    return total


def roc_auc(scores: Row, targets: Sequence[int]) -> float:
    """Share of pairs (positive, negative) in which the positive is higher; a tie is half a pair."""
    positives = [s for s, y in zip(scores, targets, strict=True) if y]
    negatives = [s for s, y in zip(scores, targets, strict=True) if not y]
    won = sum((p > q) + (p == q) / 2 for p in positives for q in negatives)
    return won / (len(positives) * len(negatives))


def average_precision(scores: Row, targets: Sequence[int]) -> float:
    """Mean over the positives of the precision where each is just let in."""
    total = 0.0
    for score, y in zip(scores, targets, strict=True):
        if y:
            let_in = [t for s, t in zip(scores, targets, strict=True) if s >= score]
            total += sum(let_in) / len(let_in)
    return total / sum(targets)


def one_against_rest(
    of_scores: Callable[[Row, Sequence[int]], float], scores: Sequence[Row], targets: Sequence[int]
) -> float:
    """Mean over classes of a number of its probabilities and of whether an item is of it."""
    probs = [softmax(row) for row in scores]
    values = [
        of_scores([row[c] for row in probs], [int(y == c) for y in targets])
        for c in range(len(scores[0]))
        if 0 < sum(y == c for y in targets) < len(targets)
    ]
    return sum(values) / len(values)


def pearson(preds: Row, targets: Row) -> float:
    """Mean product of both in standard units."""

    def standard(values: Row) -> list[float]:
        mean = sum(values) / len(values)
        spread = sqrt(sum((v - mean) ** 2 for v in values) / len(values))
        return [(v - mean) / spread for v in values]

    pairs = zip(standard(preds), standard(targets), strict=True)
    return sum(a * b for a, b in pairs) / len(preds)


def ranks(values: Row) -> list[float]:
    """How many are below each, and half of the others that are equal, counted from 1."""
    return [1 + sum(w < v for w in values) + (sum(w == v for w in values) - 1) / 2 for v in values]


def spearman(preds: Row, targets: Row) -> float:
    """Pearson's r of the ranks."""
    return pearson(ranks(preds), ranks(targets))


def delong_interval(
    scores: Row, targets: Sequence[int], confidence: float = 0.95
) -> tuple[float, float]:
    """Of the area under the ROC curve, on the logit scale; variances of the shares each item has won."""
    positives = [s for s, y in zip(scores, targets, strict=True) if y]
    negatives = [s for s, y in zip(scores, targets, strict=True) if not y]

    def won(high: float, low: float) -> float:
        return 1.0 if high > low else 0.5 if high == low else 0.0

    of_positives = [sum(won(p, q) for q in negatives) / len(negatives) for p in positives]
    of_negatives = [sum(won(p, q) for p in positives) / len(positives) for q in negatives]
    area = sum(of_positives) / len(of_positives)
    error = sqrt(
        sum(
            sum((v - area) ** 2 for v in values) / (len(values) - 1) / len(values)
            for values in (of_positives, of_negatives)
        )
    )
    z = normal_quantile((1 + confidence) / 2)
    middle, half = log(area / (1 - area)), z * error / (area * (1 - area))
    return 1 / (1 + exp(-(middle - half))), 1 / (1 + exp(-(middle + half)))


def fisher_interval(
    correlation: float, count: int, confidence: float = 0.95, *, spread: float = 1.0
) -> tuple[float, float]:
    """Of a correlation, which atanh makes normal."""
    half = normal_quantile((1 + confidence) / 2) * sqrt(spread / (count - 3))
    return tanh(atanh(correlation) - half), tanh(atanh(correlation) + half)


def mean_interval(values: Row, confidence: float = 0.95) -> tuple[float, float]:
    """mean ± t·s/sqrt(n)."""
    n = len(values)
    mean = sum(values) / n
    error = sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)
    half = student_quantile((1 + confidence) / 2, n - 1) * error
    return mean - half, mean + half


def squares_interval(values: Row, confidence: float = 0.95) -> tuple[float, float]:
    """Of a mean of squares: log(mean) ± t·s/(sqrt(n)·mean), and back from the logarithm."""
    mean = sum(values) / len(values)
    low, high = mean_interval([v / mean for v in values], confidence)  # around 1
    return mean * exp(low - 1), mean * exp(high - 1)


def student_quantile(probability: float, freedom: int) -> float:
    """The t below which a number of Student's distribution falls, by Simpson's rule on its density."""
    scale = exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(freedom * pi)

    def below(t: float) -> float:
        steps = 2000
        h = t / steps
        heights = [
            scale * (1 + (k * h) ** 2 / freedom) ** (-(freedom + 1) / 2) for k in range(steps + 1)
        ]
        weights = [1, *[4, 2] * (steps // 2 - 1), 4, 1]
        return 0.5 + h / 3 * sum(w * y for w, y in zip(weights, heights, strict=True))

    low, high = 0.0, 200.0
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < probability else (low, middle)
    return (low + high) / 2


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
