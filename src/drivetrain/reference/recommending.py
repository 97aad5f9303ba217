"""Metrics of recommended lists in plain Python, one user at a time. Twin of
`drivetrain.metrics.recommending`.

A list is the recommended items in order, None at a place with nothing in it; what a user likes is a set.
Each function of one user answers None where nothing can be said: the user likes nothing that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet
from math import log2

List = Sequence[int | None]


def recall(shown: List, liked: AbstractSet[int]) -> float | None:
    """Which share of all that the user likes is in the list?"""
    if not liked:
        return None
    return sum(item in shown for item in liked) / len(liked)


def precision(shown: List, liked: AbstractSet[int]) -> float | None:
    """Which share of the list's places holds something that the user likes?"""
    if not liked:
        return None
    return sum(item in liked for item in shown) / len(shown)


def hit_rate(shown: List, liked: AbstractSet[int]) -> float | None:
    """Is there anything in the list that the user likes?"""
    if not liked:
        return None
    return 1.0 if any(item in liked for item in shown) else 0.0


def discounted_gain(is_hit: Sequence[bool]) -> float:
    """What hits are worth: 1 at the first place, 1 / log2(i + 1) at place i."""
    return sum(1 / log2(place + 1) for place, hit in enumerate(is_hit, start=1) if hit)


def ndcg(shown: List, liked: AbstractSet[int]) -> float | None:
    """The gain of the list, over that of a list which begins with all that the user likes."""
    if not liked:
        return None
    best = [place < len(liked) for place in range(len(shown))]
    return discounted_gain([item in liked for item in shown]) / discounted_gain(best)


def average_precision(shown: List, liked: AbstractSet[int]) -> float | None:
    """The precision of the list up to each hit, summed, over the most hits it could have."""
    if not liked:
        return None
    total = 0.0
    for place, item in enumerate(shown, start=1):
        if item in liked:
            total += sum(earlier in liked for earlier in shown[:place]) / place
    return total / min(len(liked), len(shown))


def reciprocal_rank(shown: List, liked: AbstractSet[int]) -> float | None:
    """1 / the place of the first hit."""
    if not liked:
        return None
    for place, item in enumerate(shown, start=1):
        if item in liked:
            return 1 / place
    return 0.0


PER_USER: Mapping[str, Callable[[List, AbstractSet[int]], float | None]] = {
    "recall": recall,
    "precision": precision,
    "ndcg": ndcg,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def mean(values: Sequence[float | None]) -> float | None:
    """Over the users of whom something can be said."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def coverage(lists: Sequence[List], catalogue: AbstractSet[int]) -> float:
    """Which share of the catalogue is in some list?"""
    shown = {item for one in lists for item in one if item is not None}
    return len(shown & catalogue) / len(catalogue)


def gini(counts: Sequence[float]) -> float | None:
    """The difference of two numbers drawn from these, on average, over twice their mean."""
    if not sum(counts):
        return None
    pairs = len(counts) ** 2
    difference = sum(abs(a - b) for a in counts for b in counts) / pairs
    return difference / (2 * sum(counts) / len(counts))


def novelty(shown: List, popularity: Sequence[int], num_users: int) -> float | None:
    """Bits: how surprising it is that a user knows an item of the list, on average."""
    return mean([
        None if item is None else -log2(max(popularity[item], 1) / num_users) for item in shown
    ])  # fmt: skip


def mean_popularity(shown: List, popularity: Sequence[float]) -> float | None:
    """How popular the items of a list are, on average."""
    return mean([None if item is None else float(popularity[item]) for item in shown])


def popularity_ratio(
    shown: Sequence[List], rated: Sequence[List], popularity: Sequence[float]
) -> float | None:
    """How many times as popular is what users are shown as what they rated, of those with both."""
    pairs = [
        (mean_popularity(list_, popularity), mean_popularity(own, popularity))
        for list_, own in zip(shown, rated, strict=True)
    ]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    return sum(a for a, _ in both) / sum(b for _, b in both) if both else None
