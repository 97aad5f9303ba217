"""How good lists of recommended items are: what people get out of them, and what they do to a catalogue.

    hits = find_hits(recommended, relevant)
    ndcg_at_k(hits)                                  # (M,), NaN for a user without a relevant item
    mean_over_users({"ndcg": ndcg_at_k(hits)})       # {"ndcg": Estimate(value, low, high, num_owners)}

These judge whole lists of all users at once, so they are functions and no entries of `METRICS`, which
count in batches of a model's outputs. Letters: M users, k places of a list, I items.

A list is a row of `recommended`, (M, k) int32 codes, the best first; a code below 1 is a place with
nothing in it. What a user liked is a set of items, the `relevant` ones; codes below 1 are items that the
model does not know, and are no part of it. With h_i = 1 where the item at place i is relevant, H hits in
the list, and n relevant items of the user:

    recall       H / n, of all relevant items: with n > k it cannot reach 1
    precision    H / k, also where a list is shorter than k
    hit rate     1 where H > 0
    ndcg         Σ h_i / log2(i + 1), over the same sum with the first min(n, k) places full of hits
                 (Järvelin & Kekäläinen 2002, doi:10.1145/582415.582418, gains of 0 and 1)
    map          mean of Σ h_i · (hits up to i) / i, over min(n, k)
    mrr          mean of 1 / (place of the first hit), 0 where there is none

Twin: drivetrain.reference.recommending.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from drivetrain.errors import InputError, ShapeError
from drivetrain.metrics.clusters import Estimate, cluster_means

Array = npt.NDArray[np.float64]


class CodeLists(Protocol):
    """Lists of codes end to end, as `data.ratings.Lists`."""

    @property
    def values(self) -> np.ndarray:
        """(N,) whole numbers."""
        ...

    @property
    def offsets(self) -> np.ndarray:
        """(M + 1,) list m is `values[offsets[m]:offsets[m + 1]]`."""
        ...


@dataclass(frozen=True, eq=False)
class Hits:
    """Which places of the users' lists hold a relevant item."""

    found: np.ndarray
    """(M, k) bool."""
    num_relevant: np.ndarray
    """(M,) int64: different items that a user likes."""

    @property
    def k(self) -> int:
        """Places of a list."""
        return self.found.shape[1]

    @property
    def has_relevant(self) -> np.ndarray:
        """(M,) bool: users of whom anything can be said."""
        return self.num_relevant > 0

    def first(self, k: int) -> Hits:
        """The same with shorter lists.

        Raises: InputError: `k` is not in 1 to this one's k.
        """
        if not 1 <= k <= self.k:
            raise InputError(f"`k` must be 1 to {self.k}, the places of these lists. Got {k}.")
        return Hits(self.found[:, :k], self.num_relevant)


def find_hits(recommended: np.ndarray, relevant: CodeLists) -> Hits:
    """Look up each recommended item among those that its user likes.

    Args:
        recommended: (M, k) whole numbers, the best first; below 1 a place with nothing in it.
        relevant: M lists. An item that stands in a list twice counts once, a code below 1 not at all.

    Raises: ShapeError: `recommended` is something else, or there are not as many lists. InputError: an
        item is recommended twice to the same user.
    """
    recommended = _checked(recommended)
    num_users = len(recommended)
    if len(relevant.offsets) != num_users + 1:
        raise ShapeError(
            f"`relevant` has {len(relevant.offsets) - 1} lists for {num_users} users of `recommended`."
        )
    in_order = np.sort(recommended, axis=1)
    twice = (in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] > 0)
    if twice.any():
        user, place = (int(at) for at in np.argwhere(twice)[0])
        raise InputError(
            f"The list of user {user} has the item {in_order[user, place]} twice: a hit would count "
            "twice. List each item once."
        )
    owners = np.repeat(np.arange(num_users), np.diff(relevant.offsets))
    values = np.asarray(relevant.values, dtype=np.int64)[: len(owners)]
    stride = 1 + max(int(values.max(initial=0)), int(recommended.max(initial=0)))
    is_known = values > 0
    keys = np.unique(
        owners[is_known] * stride + values[is_known]
    )  # a user and an item in one number
    num_relevant = np.bincount(keys // stride, minlength=num_users)
    asked = np.arange(num_users)[:, None] * stride + recommended  # (M, k) int64
    places = np.searchsorted(keys, asked)
    found = np.zeros(asked.shape, dtype=bool)
    inside = places < len(keys)
    found[inside] = keys[places[inside]] == asked[inside]
    return Hits(found & (recommended > 0), num_relevant)


# --- what each user gets -----------------------------------------------------------------------------


def recall_at_k(hits: Hits) -> Array:
    """(M,) share of the relevant items that the list has."""
    return _of_users(hits, hits.found.sum(axis=1), hits.num_relevant)


def precision_at_k(hits: Hits) -> Array:
    """(M,) share of the k places that hold a relevant item."""
    return _of_users(hits, hits.found.sum(axis=1), hits.k)


def hit_at_k(hits: Hits) -> Array:
    """(M,) 1 where the list has a relevant item, else 0; the mean is the hit rate."""
    return _of_users(hits, hits.found.any(axis=1), 1)


def ndcg_at_k(hits: Hits) -> Array:
    """(M,) hits, worth less at each further place, over those of the best list there could be."""
    worth = 1 / np.log2(np.arange(2, hits.k + 2))  # (k,)
    best = np.concatenate([[0.0], np.cumsum(worth)])
    return _of_users(hits, hits.found @ worth, best[np.minimum(hits.num_relevant, hits.k)])


def average_precision_at_k(hits: Hits) -> Array:
    """(M,) precision at the place of each hit, over the hits there could be; the mean is MAP."""
    places = np.arange(1, hits.k + 1)
    precision = np.cumsum(hits.found, axis=1) / places
    total = (precision * hits.found).sum(axis=1)
    return _of_users(hits, total, np.minimum(hits.num_relevant, hits.k))


def reciprocal_rank_at_k(hits: Hits) -> Array:
    """(M,) 1 / place of the first hit, 0 without one; the mean is MRR."""
    first = hits.found.argmax(axis=1) + 1
    return _of_users(hits, np.where(hits.found.any(axis=1), 1 / first, 0.0), 1)


PER_USER: Mapping[str, Callable[[Hits], Array]] = MappingProxyType(
    {
        "recall": recall_at_k,
        "precision": precision_at_k,
        "ndcg": ndcg_at_k,
        "map": average_precision_at_k,
        "mrr": reciprocal_rank_at_k,
        "hit_rate": hit_at_k,
    }
)
"""By the names of their means over users."""


def mean_over_users(
    values: Mapping[str, np.ndarray], *, confidence: float = 0.95
) -> dict[str, Estimate]:
    """The mean of each quantity over users, with an interval: users are drawn with replacement.

    Args:
        values: (M,) of each; NaN for a user of whom it is not known, who is left out: `num_owners` of
            the answer says how many count.
        confidence: in (0, 1).
    """
    if not values:
        return {}
    columns = np.stack(list(values.values()), axis=1)
    found = cluster_means(columns, ~np.isnan(columns), confidence=confidence, name="users")
    return dict(zip(values, found, strict=True))


# --- what lists do to the catalogue --------------------------------------------------------------------


def exposure(recommended: np.ndarray, num_items: int) -> np.ndarray:
    """How many lists each item stands in.

    Args:
        recommended: (M, k) codes; below 1 a place with nothing in it.
        num_items: I, the unknown item 0 counted.

    Returns: (I,) int64; 0 for item 0.
    Raises: ShapeError: there is a code of `num_items` or above.
    """
    recommended = _checked(recommended)
    if recommended.max(initial=0) >= num_items:
        raise ShapeError(
            f"`recommended` has the item {recommended.max()}, expected codes below {num_items}."
        )
    return np.bincount(recommended[recommended > 0], minlength=num_items)


def coverage(recommended: np.ndarray, num_items: int, catalogue: np.ndarray | None = None) -> float:
    """Share of the items that stand in at least one list.

    It grows with the number of lists, so it compares models on the same users only, and has no interval:
    users drawn with replacement would always have fewer different items.

    Args:
        recommended: (M, k) codes.
        num_items: I.
        catalogue: codes of the items that could be listed; None: all but the unknown item 0.
    """
    counts = exposure(recommended, num_items)
    listed = counts[1:] if catalogue is None else counts[catalogue]
    return float((listed > 0).mean()) if len(listed) else nan


def gini(counts: np.ndarray) -> float:
    """How unequal numbers are: half of their mean difference over their mean.

    Args:
        counts: (N,) numbers of at least 0, such as the lists each item stands in.

    Returns: 0 where all are equal, (N - 1) / N where one has all; NaN where nobody has any.

    >>> gini(np.array([3, 3, 3])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    ordered = np.sort(np.asarray(counts, dtype=np.float64))
    count, total = len(ordered), ordered.sum()
    if total <= 0:
        return nan
    ranks = np.arange(1, count + 1)
    # Rounding leaves -1e-17 where all are equal.
    return max(float(((2 * ranks - count - 1) * ordered).sum() / (count * total)), 0.0)


def novelty(recommended: np.ndarray, popularity: np.ndarray, num_users: int) -> Array:
    """How surprising it is that somebody knows the listed items: mean of -log2(share of users).

    Zhou et al. 2010, doi:10.1073/pnas.1000488107. An item that nobody rated counts as if one user had.

    Args:
        recommended: (M, k) codes.
        popularity: (I,) how many users rated each item in training.
        num_users: how many there are.

    Returns: (M,) in bits; NaN for an empty list.
    """
    share = np.maximum(popularity, 1) / num_users
    return mean_of_lists(recommended, -np.log2(share))


def mean_of_lists(recommended: np.ndarray, values: np.ndarray) -> Array:
    """The mean of a number of each item over the items of each list.

    Args:
        recommended: (M, k) codes.
        values: (I,), such as how many ratings an item has.

    Returns: (M,); NaN for an empty list.
    """
    recommended = _checked(recommended)
    is_item = recommended > 0
    found = np.where(is_item, np.asarray(values, np.float64)[np.where(is_item, recommended, 0)], 0)
    return _means(found.sum(axis=1), is_item.sum(axis=1))


def mean_of_codes(lists: CodeLists, values: np.ndarray) -> Array:
    """`mean_of_lists` for lists end to end, such as what users rated."""
    lengths = np.diff(lists.offsets)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    codes = np.asarray(lists.values)[: len(owners)]
    is_item = codes > 0
    owners, weights = owners[is_item], np.asarray(values, np.float64)[codes[is_item]]
    totals = np.bincount(owners, weights=weights, minlength=len(lengths))
    return _means(totals, np.bincount(owners, minlength=len(lengths)))


def popularity_ratio(
    listed: np.ndarray, rated: np.ndarray, *, confidence: float = 0.95
) -> Estimate:
    """How many times as popular as what people rated is what they are shown.

    The mean over users of what is listed, over the mean over the same users of what they rated; 1 is no
    bias. Abdollahpouri et al. 2019, arXiv:1907.13286, who subtract 1.

    Args:
        listed: (M,) mean popularity of each user's list, from `mean_of_lists`; NaN leaves a user out.
        rated: (M,) mean popularity of what each user rated, from `mean_of_codes`.
    """
    both = ~(np.isnan(listed) | np.isnan(rated))
    columns = [np.where(both, some, 0)[:, None] for some in (listed, rated)]
    return cluster_means(*columns, present=both[:, None], confidence=confidence, name="users")[0]


def _of_users(hits: Hits, numerator: npt.ArrayLike, denominator: np.ndarray | int) -> Array:
    """The fraction where a user has a relevant item, else NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(hits.has_relevant, np.asarray(numerator) / denominator, nan)


def _means(totals: np.ndarray, counts: np.ndarray) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0, totals / counts, nan)


def _checked(recommended: np.ndarray) -> np.ndarray:
    recommended = np.asarray(recommended)
    if recommended.ndim != 2 or recommended.dtype.kind not in "iu" or not recommended.shape[1]:
        raise ShapeError(
            f"`recommended` is {recommended.dtype} of shape {recommended.shape}, expected (M, k) codes "
            "of items, one list a user, k of 1 or more."
        )
    return recommended.astype(np.int64)
