"""What a guard says of an answer, from the definitions. Twin of `drivetrain.bundle.guard`.

Plain lists and loops. Where the quick form compares with a threshold, this one asks the question the
threshold stands for: how many of the known items are at least as strange as the new one?
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, log, pi, sqrt

Row = Sequence[float]


# --- calibration -----------------------------------------------------------------------------------


def probabilities(scores: Row, temperature: float) -> list[float]:
    """Softmax of scores / T."""
    highest = max(scores)
    weights = [exp((score - highest) / temperature) for score in scores]
    return [weight / fsum(weights) for weight in weights]


def loss_with_one_more(scores: Sequence[Row], targets: Sequence[int], temperature: float) -> float:
    """Summed log loss of the items, and of one more: a bit of each item's scores, and of every class."""
    known, more = [], []
    for row, y in zip(scores, targets, strict=True):
        highest = max(row)
        total = log(fsum(exp((score - highest) / temperature) for score in row))
        losses = [total - (score - highest) / temperature for score in row]
        known.append(losses[y])
        more.append(fsum(losses) / len(losses))
    return fsum(known) + fsum(more) / len(more)


def temperature(scores: Sequence[Row], targets: Sequence[int]) -> float:
    """T in 0.01 to 100 with the smallest loss, by golden sections of log T."""

    def loss(t: float) -> float:
        return loss_with_one_more(scores, targets, exp(t))

    low, high = log(0.01), log(100.0)
    golden = (sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return exp((low + high) / 2)


# --- sets and intervals ------------------------------------------------------------------------------


def strangeness(probs: Row, c: int) -> float:
    """Of class c for an item: what is lacking to certainty; nothing if c is the predicted class."""
    predicted = max(range(len(probs)), key=lambda k: probs[k])
    return 0.0 if c == predicted else 1 - probs[c]


def rank_share(known: Sequence[float], new: float) -> float:
    """The conformal p-value: the share of items, the new one among them, at least as strange as it."""
    return (1 + sum(value >= new for value in known)) / (len(known) + 1)


def prediction_set(
    known_probs: Sequence[Row], targets: Sequence[int], probs: Row, coverage: float
) -> list[bool]:
    """A class is possible unless, as the truth, it would be among the strangest 1 - coverage."""
    known = [strangeness(row, y) for row, y in zip(known_probs, targets, strict=True)]
    shares = [rank_share(known, strangeness(probs, c)) for c in range(len(probs))]
    return [share > 1 - coverage + 1e-12 for share in shares]


def half_width(preds: Row, targets: Row, coverage: float) -> float:
    """The largest miss that is not among the strangest 1 - coverage; infinity if there are too few."""
    misses = [abs(y - p) for p, y in zip(preds, targets, strict=True)]
    if 1 / (len(misses) + 1) > 1 - coverage + 1e-12:
        return float("inf")
    return max(m for m in misses if rank_share(misses, m) > 1 - coverage + 1e-12)


# --- domain ----------------------------------------------------------------------------------------


def distance_in_direction(x: Row, others: Sequence[Row]) -> float:
    """To the nearest of the others, all brought to length 1."""

    def unit(row: Row) -> list[float]:
        length = sqrt(fsum(value * value for value in row))
        return [value / length for value in row]

    return min(
        sqrt(fsum((a - b) ** 2 for a, b in zip(unit(x), unit(other), strict=True)))
        for other in others
    )


def shrunk_covariance(rows: Sequence[Row], targets: Sequence[int]) -> list[list[float]]:
    """Covariance round the class means, drawn towards equal variances as far as it is uncertain.

    Ledoit & Wolf 2004: share = how far single items' covariances scatter round their mean, in units of
    how far that mean is from equal variances.
    """
    m, d = len(rows), len(rows[0])
    means = {}
    for c in set(targets):
        members = [row for row, y in zip(rows, targets, strict=True) if y == c]
        means[c] = [fsum(row[j] for row in members) / len(members) for j in range(d)]
    centred = [
        [row[j] - means[y][j] for j in range(d)] for row, y in zip(rows, targets, strict=True)
    ]
    s = [[fsum(row[i] * row[j] for row in centred) / m for j in range(d)] for i in range(d)]
    mu = fsum(s[i][i] for i in range(d)) / d
    target = [[mu if i == j else 0.0 for j in range(d)] for i in range(d)]
    square = [(i, j) for i in range(d) for j in range(d)]
    from_target = fsum((s[i][j] - target[i][j]) ** 2 for i, j in square)
    scatter = fsum((row[i] * row[j] - s[i][j]) ** 2 for row in centred for i, j in square) / m**2
    share = min(max(scatter / from_target, 1e-6), 1.0)
    return [[(1 - share) * s[i][j] + share * target[i][j] for j in range(d)] for i in range(d)]


def mahalanobis_to_nearest(x: Row, others: Sequence[Row], covariance: Sequence[Row]) -> float:
    """sqrt((x - o)' S⁻¹ (x - o)), the smallest over the others o."""
    found = []
    for other in others:
        gap = [a - b for a, b in zip(x, other, strict=True)]
        found.append(fsum(a * b for a, b in zip(gap, _solve(covariance, gap), strict=True)))
    return sqrt(min(found))


def farthest_first(rows: Sequence[Row], most: int) -> list[int]:
    """The first row, then each time the one farthest from those chosen; their numbers in order."""

    def distance(i: int, j: int) -> float:
        return fsum((a - b) ** 2 for a, b in zip(rows[i], rows[j], strict=True))

    chosen = [0]
    while len(chosen) < min(most, len(rows)):
        rest = [i for i in range(len(rows)) if i not in chosen]
        chosen.append(max(rest, key=lambda i: min(distance(i, j) for j in chosen)))
    return sorted(chosen)


def _solve(a: Sequence[Row], b: Row) -> list[float]:
    """x with a · x = b, by Gaussian elimination."""
    n = len(b)
    table = [[*row, value] for row, value in zip(a, b, strict=True)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(table[r][i]))
        table[i], table[pivot] = table[pivot], table[i]
        for r in range(i + 1, n):
            factor = table[r][i] / table[i][i]
            table[r] = [p - factor * q for p, q in zip(table[r], table[i], strict=True)]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (table[i][n] - fsum(table[i][j] * x[j] for j in range(i + 1, n))) / table[i][i]
    return x


# --- shift -----------------------------------------------------------------------------------------


def largest_gap(reference: Row, new: Row) -> float:
    """Over all x, the difference between the shares of values that are x or less."""

    def share(values: Row, x: float) -> float:
        return sum(value <= x for value in values) / len(values)

    return max(abs(share(reference, x) - share(new, x)) for x in (*reference, *new))


def chance_of_gap(gap: float, num_reference: int, num_new: int) -> float:
    """Kolmogorov's distribution in its other form, by Jacobi's theta function:
    1 - sqrt(2π) / λ · Σ exp(-(2k - 1)² π² / (8 λ²)), λ = gap · sqrt(r·b / (r + b))."""
    λ = gap * sqrt(num_reference * num_new / (num_reference + num_new))
    if λ == 0:
        return 1.0
    terms = [exp(-((2 * k - 1) ** 2) * pi**2 / (8 * λ * λ)) for k in range(1, 200)]
    return min(1.0, max(0.0, 1 - sqrt(2 * pi) / λ * fsum(terms)))


def drift(reference: Sequence[Row], new: Sequence[Row]) -> tuple[float, int]:
    """The batch's p-value (the smallest times the number of features), and the feature it comes from."""
    width = len(reference[0])
    columns = [([row[j] for row in reference], [row[j] for row in new]) for j in range(width)]
    gaps = [largest_gap(old, now) for old, now in columns]
    first = max(range(width), key=lambda j: gaps[j])
    return min(1.0, width * chance_of_gap(gaps[first], len(reference), len(new))), first
