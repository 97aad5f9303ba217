"""One binary split of one column: how good it is, and the best one.

A split sends rows whose value is at most the threshold to the left, all others to the right, missing
ones among them. Its score says how much the target still varies within the two sides:

    score = (left.count * std(left) + right.count * std(right)) / N

with the standard deviation of a sample (n - 1), and 0 for a side of one row: lower is better. For
classes, std is that of their indicators together, sqrt(sum over classes of variance / 2), which for two
classes is the std of a column of 0 and 1.
"""

from __future__ import annotations

import numpy as np

from drivetrain.errors import DataError, ShapeError


def split_score(column: np.ndarray, y: np.ndarray, threshold: float) -> float:
    """The score of splitting at `column <= threshold`; see the module.

    Args:
        column: (N,) numbers, NaN where missing.
        y: (N,) float64 numbers, or (N,) whole numbers that name classes.
    Raises: ShapeError: lengths differ. DataError: there are no rows.

    >>> split_score(np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 5.0, 7.0, 9.0]), 2)
    0.7071067811865476
    """
    column, y = _checked(column, y)
    with np.errstate(invalid="ignore"):
        goes_left = column <= threshold
    return (_scatter(y[goes_left]) + _scatter(y[~goes_left])) / len(y)


def best_split(column: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The threshold with the lowest score, among the values that the column holds, and its score.

    All are scored in one pass: the rows are sorted, and running sums give both sides' variances. Of
    equal scores the lowest threshold is taken.

    Args:
        column: (N,) numbers, NaN where missing.
        y: (N,) float64 numbers, or (N,) whole numbers that name classes.

    Returns: (threshold, score); (NaN, score of no split) where the column is missing throughout.
    Raises: ShapeError: lengths differ. DataError: there are no rows.

    >>> best_split(np.array([4.0, 1.0, 3.0, 2.0]), np.array([9.0, 5.0, 9.0, 5.0]))
    (2.0, 0.0)
    """
    column, y = _checked(column, y)
    order = np.argsort(column, kind="stable")  # NaN last
    values = column[order]
    num_known = int(np.count_nonzero(~np.isnan(values)))
    if not num_known:
        return float("nan"), _scatter(y) / len(y)
    is_last = np.append(values[1:num_known] != values[: num_known - 1], True)
    ends = np.flatnonzero(is_last)  # the last row of each value
    scatter = _scatters(y[order], ends) + _scatters(y[order][::-1], len(y) - 2 - ends)
    scores = scatter / len(y)
    best = int(np.flatnonzero(scores <= scores.min() + 1e-12 * abs(scores.min()))[0])
    threshold = float(values[ends[best]])
    return threshold, split_score(column, y, threshold)


def gini(y: np.ndarray) -> float:
    """Gini impurity: how often two rows, drawn with replacement, are of different classes.

    Args:
        y: (N,) whole numbers that name classes.

    Returns: 1 - sum of squared shares, in [0, 1).
    Raises: DataError: there are no rows.

    >>> gini(np.array([0, 1, 1, 1]))
    0.375
    """
    if not len(y):
        raise DataError("`gini` got no rows. Give it at least one.")
    shares = np.unique(y, return_counts=True)[1] / len(y)
    return float(1 - (shares**2).sum())


def _scatter(y: np.ndarray) -> float:
    """count * std of one side."""
    if len(y) <= 1:
        return 0.0
    if y.dtype.kind == "f":
        return len(y) * float(y.std(ddof=1))
    counts = np.unique(y, return_counts=True)[1]
    return len(y) * float(np.sqrt(_variance_of_counts(counts, len(y))))


def _scatters(y: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """count * std of the first rows, up to and with each of `ends`; -1 stands for none."""
    count = ends + 1
    inside = np.maximum(ends, 0)
    if y.dtype.kind == "f":
        centred = y - y.mean()  # running sums of squares lose digits about a far mean
        total, squares = np.cumsum(centred)[inside], np.cumsum(centred**2)[inside]
        variance = (squares - total**2 / np.maximum(count, 1)) / np.maximum(count - 1, 1)
    else:
        variance = np.zeros(len(ends))
        for name in np.unique(y):
            of_class = np.cumsum(y == name)[inside]
            variance += of_class * (count - of_class) / 2
        variance /= np.maximum(count, 1) * np.maximum(count - 1, 1)
    return np.where(count <= 1, 0.0, count * np.sqrt(np.maximum(variance, 0.0)))


def _variance_of_counts(counts: np.ndarray, count: int) -> float:
    """Half the sum over classes of the variance of an indicator, with n - 1."""
    return float((counts * (count - counts)).sum()) / (2 * count * (count - 1))


def _checked(column: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    column, y = np.asarray(column, dtype=np.float64), np.asarray(y)
    if column.ndim != 1 or y.shape != column.shape:
        raise ShapeError(
            f"A split got a column of shape {column.shape} and a target of shape {y.shape}, expected "
            "both (N,)."
        )
    if not len(y):
        raise DataError("A split got no rows. Give it at least one.")
    return column, y.astype(np.int64) if y.dtype.kind == "b" else y
