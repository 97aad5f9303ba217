"""Items that are unlike the others: far from the neighbour that one item in fifty is nearer than.

    found = find_outliers(Points.of(features), keys=hashes)
    found.scores, np.flatnonzero(found.flagged), found.nearest

One measure for pictures, texts and rows: the distance to the k-th nearest of up to 1,000 items
(Ramaswamy, Rastogi & Shim 2000, doi:10.1145/342009.335437; that a sample of them does: Sugiyama &
Borgwardt 2013, "Rapid distance-based outlier detection via sampling", NeurIPS 26). k is 2% of those, and
10 at least: odd items often come in kinds, such as a hundred blank scans, and are each other's nearest
neighbours. A kind of which there are more than that is no outlier.

Which are flagged follows from how the logarithm s of the distance is spread over all items, so that
nothing has to be where nothing is odd:

    tail      P(s > median + t) = exp(-(t / b)^c) / 2, with b and c from the upper quartile and the
              95% quantile, c at most 2; what is odd lies beyond both, and hardly moves them
    flagged   by the step-up rule of Benjamini & Hochberg (1995), at `RATE`, and `MOST` at most

Of clean data something is flagged in one set of ten, where their distances fall off as the tail says; of
data with odd items one in ten of those flagged is expected to be none. Tails that fall off more slowly
from 95% on than up to there give more: heavy-tailed numbers have true extremes.

Nothing here knows labels. Letters: N items, R of them that are compared with, D features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.errors import ShapeError

COMPARED = 1000
"""Items that each is compared with, at most: those whose keys have the smallest SHA-256."""
SHARE, FEWEST_NEAR = 0.02, 10
"""k as a share of those, and at least."""
RATE = 0.1
"""Of those flagged, the share that is expected to be no outlier; in clean data the chance of any."""
MOST = 0.02
"""Share of the items that is flagged at most, the farthest."""
FEWEST = 50
"""Items below which nothing is flagged: an upper tail of so few says nothing."""
UPPER, TAIL = 0.75, 0.95
"""Quantiles that the tail is drawn through, beyond the median."""
STEEPEST = 2.0
"""Largest c: a tail like that of a normal distribution's square, which distances have near a bound."""
BLOCK = 512
"""Items that are compared at a time."""

Report = Callable[[str, int, int | None], None]


@dataclass(frozen=True, eq=False)
class Points:
    """Items as points of a space with a distance, a block of them at a time."""

    squares: np.ndarray
    """(N,) float64 squared length of each; what no other item can share may be in it alone."""
    rows: Callable[[np.ndarray], Any]
    """(B,) int64 positions -> (B, D) array, or a sparse matrix of scipy."""

    def __len__(self) -> int:
        return len(self.squares)

    @classmethod
    def of(cls, features: Any, *, by_angle: bool = False) -> Points:
        """Rows of a matrix.

        Args:
            features: (N, D) floats, an array or a sparse matrix.
            by_angle: only the direction counts. What has no direction, all 0, is as far from all as what
                has nothing in common with them.

        Raises: ShapeError: no matrix.
        """
        if getattr(features, "ndim", 0) != 2:
            shape = getattr(features, "shape", None)
            raise ShapeError(f"`Points.of` got features of shape {shape}, expected (N, D).")
        squares = _squares(features)
        if not by_angle:
            return cls(squares, lambda at: _doubles(features[at]))
        lengths = np.sqrt(np.where(squares > 0, squares, 1.0))
        return cls(np.ones(len(squares)), lambda at: _divided(features[at], lengths[at]))

    def squared_distances(self, some: np.ndarray, others: np.ndarray, vectors: Any) -> np.ndarray:
        """(B, R) squared distances of some items to others; of an item to itself it is infinite.

        Args:
            some: (B,) int64 positions.
            others: (R,) int64 positions.
            vectors: `rows` of the others, (R, D).
        """
        shared = self.rows(some) @ vectors.T
        shared = shared.toarray() if hasattr(shared, "toarray") else np.asarray(shared)
        found = self.squares[some][:, None] + self.squares[others][None] - 2.0 * shared
        np.maximum(found, 0.0, out=found)
        found[some[:, None] == others[None]] = np.inf
        return found


@dataclass(frozen=True)
class Space:
    """What an application measures distances in; see `vision.folding` and its like."""

    what: str
    """Ends the sentence "unlike the others in …"."""
    settings: Mapping[str, Any]
    """Plain JSON: all that the points depend on, apart from the items' content."""
    points: Callable[[], Points]
    """Makes them, when they are asked for."""


@dataclass(frozen=True, eq=False)
class Outliers:
    """How far each item is from the others, and which are too far to be of their kind."""

    scores: np.ndarray
    """(N,) float64: logarithm of the distance above its median, in spreads (upper quartile: 0.67)."""
    flagged: np.ndarray
    """(N,) bool."""
    nearest: np.ndarray
    """(N,) int64, the nearest of all other items, for those flagged; -1 for the rest."""
    threshold: float | None
    """Score from which on items are flagged; None where none is."""
    what: str = ""
    """In what they were measured, in words."""
    left_out: str = ""
    """Why nothing could be flagged, as a sentence; else empty."""

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def order(self) -> np.ndarray:
        """(N,) positions, the farthest first."""
        return np.argsort(-self.scores, kind="stable")


def find_outliers(
    points: Points,
    *,
    keys: Sequence[str] | None = None,
    what: str = "",
    report: Report | None = None,
) -> Outliers:
    """Measure items, and flag those that are unlike the others.

    The memory is that of `BLOCK` times R distances, the time that of N times R.

    Args:
        points: N items.
        keys: (N,) what the items are known by, such as a hash of their content: it says which are
            compared with where there are more than `COMPARED`, so that the answer does not depend on
            their order. By default their features.
        what: in what they are measured, in words.
        report: is told how far it is.

    Raises: ShapeError: not as many keys as items.
    """
    count = len(points)
    if keys is not None and len(keys) != count:
        raise ShapeError(f"`find_outliers` got {len(keys)} keys for {count} items.")
    nowhere = np.full(count, -1, dtype=np.int64)
    if count < 2:
        none = np.zeros(count, dtype=bool)
        return Outliers(np.zeros(count), none, nowhere, None, what, _too_few(count))
    far = distances(points, keys=keys, report=report)
    scores, surprise = tail_of(far)
    left_out = _too_few(count)
    if not left_out and not scores.any():
        left_out = f"All {count:,} items are about equally far from each other."
    flagged = np.zeros(count, dtype=bool) if left_out else step_up(surprise)
    some = np.flatnonzero(flagged)
    if len(some):
        nowhere[some] = _nearest(points, some)
    threshold = float(scores[some].min()) if len(some) else None
    return Outliers(scores, flagged, nowhere, threshold, what, left_out)


def distances(
    points: Points, *, keys: Sequence[str] | None = None, report: Report | None = None
) -> np.ndarray:
    """(N,) float64 distance of each item to the k-th nearest of those that are compared with."""
    count = len(points)
    others = _compared(points, keys)
    vectors = points.rows(others)
    near = min(max(FEWEST_NEAR, round(SHARE * len(others))), len(others) - 1)
    found = np.empty(count)
    for at in range(0, count, BLOCK):
        some = np.arange(at, min(at + BLOCK, count))
        apart = points.squared_distances(some, others, vectors)
        found[some] = np.sqrt(np.partition(apart, near - 1, axis=1)[:, near - 1])
        if report is not None:
            report("items compared", int(some[-1]) + 1, count)
    return found


def tail_of(far: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of distances, and how surprising each were of an item of the others' kind.

    Args:
        far: (N,) distances, 0 and up.

    Returns: (N,) scores, all 0 where the distances are all about one; (N,) surprise in nats, the negative
        logarithm of the chance to be so far, 0 up to the median.
    """
    least = 1e-3 * float(np.quantile(far, TAIL))  # of items that are equal the logarithm has no end
    if least == 0.0:
        return np.zeros(len(far)), np.zeros(len(far))
    logs = np.log(np.maximum(far, least))
    middle, upper, tail = np.quantile(logs, (0.5, UPPER, TAIL))
    one, two = upper - middle, tail - middle
    if one <= 1e-9 or two <= one:
        return np.zeros(len(far)), np.zeros(len(far))
    rise = np.log(0.5 / (1 - np.array([UPPER, TAIL])))  # of (t / b)^c there
    power = min(float(np.log(rise[1] / rise[0]) / np.log(two / one)), STEEPEST)
    width = two / rise[1] ** (1 / power)
    above = np.maximum(logs - middle, 0.0)
    surprise = np.where(above > 0, np.log(2) + (above / width) ** power, 0.0)
    return (logs - middle) / (one / 0.6744897501960817), surprise


def step_up(surprise: np.ndarray, *, rate: float = RATE, most: float = MOST) -> np.ndarray:
    """(N,) bool: the most surprising, as many as Benjamini & Hochberg's rule and `most` let pass.

    Args:
        surprise: (N,) negative logarithm of the chance to be as it is, were it of the others' kind.
        rate: expected share of those flagged that are.
        most: share of all that is flagged at most; where more are alike at that place, none of these is.
    """
    count = len(surprise)
    ordered = -np.sort(-surprise)
    passes = np.flatnonzero(ordered >= np.log(count / (rate * np.arange(1, count + 1))))
    number = min(int(passes[-1]) + 1 if len(passes) else 0, int(most * count))
    if number == 0:
        return np.zeros(count, dtype=bool)
    bound = ordered[number - 1]
    is_torn = number < count and ordered[number] == bound
    return surprise > bound if is_torn else surprise >= bound


def _compared(points: Points, keys: Sequence[str] | None) -> np.ndarray:
    """(R,) sorted positions of the items that all are compared with."""
    count = len(points)
    if count <= COMPARED:
        return np.arange(count)
    content = (
        (_content(points.rows(np.array([at]))) for at in range(count))
        if keys is None
        else (key.encode("utf-8", "surrogatepass") for key in keys)
    )
    # keys that sort by content, such as names, would make the others a kind of their own
    order = np.argsort([hashlib.sha256(one).hexdigest() for one in content], kind="stable")
    return np.sort(order[:COMPARED])


def _content(row: Any) -> bytes:
    dense = row.toarray() if hasattr(row, "toarray") else np.asarray(row)
    return np.ascontiguousarray(dense).tobytes()


def _nearest(points: Points, some: np.ndarray) -> np.ndarray:
    """(B,) the nearest of all other items to each of some; of several the first."""
    best, found = np.full(len(some), np.inf), np.full(len(some), -1, dtype=np.int64)
    for at in range(0, len(points), BLOCK):
        others = np.arange(at, min(at + BLOCK, len(points)))
        apart = points.squared_distances(some, others, points.rows(others))
        place = apart.argmin(axis=1)
        least = apart[np.arange(len(some)), place]
        found = np.where(least < best, others[place], found)
        best = np.minimum(best, least)
    return found


def _squares(features: Any) -> np.ndarray:
    """(N,) float64 squared lengths of rows."""
    if hasattr(features, "multiply"):  # sparse
        return np.asarray(features.multiply(features).sum(axis=1), dtype=np.float64).ravel()
    return np.einsum("nd,nd->n", features, features, dtype=np.float64)


def _doubles(rows: Any) -> Any:
    """In float64: distances are differences of much larger squares."""
    return rows.astype(np.float64)


def _divided(rows: Any, lengths: np.ndarray) -> Any:
    if hasattr(rows, "multiply"):
        return _doubles(rows).multiply(1.0 / lengths[:, None]).tocsr()
    return _doubles(rows) / lengths[:, None]


def _too_few(count: int) -> str:
    if count >= FEWEST:
        return ""
    return f"Of {count:,} items nothing can be said to be unlike the others: it takes {FEWEST}."
