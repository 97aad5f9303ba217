"""Trees from scratch: one split, one rule, one tree, many trees, and trees on what trees left over.

To be read from top to bottom. A *column* is an array of N numbers; `y` holds the targets: classes 0, 1, …
or numbers. Nothing here is fast: every threshold of every column is tried, one after the other.

Papers: Breiman et al. 1984 (CART); Holte 1993, doi:10.1023/A:1022631118932 (one rule); Breiman 1996,
doi:10.1007/BF00058655 (bagging); Breiman 2001, doi:10.1023/A:1010933404324 (forests); Friedman 2001,
doi:10.1214/aos/1013203451 (boosting).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# --- how mixed a group is -----------------------------------------------------------------------------


def gini(y: np.ndarray) -> float:
    """The chance that two draws from the group are of different classes: 0 when all are alike.

    1 - p² - q² - …: a draw and a second one agree on a class with the square of its share.

    >>> gini(np.array([1, 1, 0, 0])), gini(np.array([1, 1]))
    (0.5, 0.0)
    """
    shares = [float((y == one).mean()) for one in set(y.tolist())]
    return 1.0 - sum(share**2 for share in shares)


def variance(y: np.ndarray) -> float:
    """The mean squared distance from the group's own mean."""
    return float(((y - y.mean()) ** 2).mean())


def impurity(y: np.ndarray, num_classes: int) -> float:
    """Gini of classes, variance of numbers."""
    return gini(y) if num_classes else variance(y)


# --- one split ------------------------------------------------------------------------------------------


def split_score(column: np.ndarray, y: np.ndarray, threshold: float) -> float:
    """How far the targets spread within the two sides of `column <= threshold`; lower is better.

    Each side counts with its standard deviation (of a sample: divided by n - 1) times its rows; a side of
    one row does not spread. The sum is divided by all rows.
    """
    left = column <= threshold
    sides = [y[side] for side in (left, ~left)]
    return sum(float(side.std(ddof=1)) * len(side) for side in sides if len(side) > 1) / len(y)


def best_split(column: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The value of the column at which the score is lowest, and the score; of equals the first."""
    scores = [(split_score(column, y, value), value) for value in np.unique(column)]
    score, value = min(scores, key=lambda pair: pair[0])
    return float(value), score


def one_rule(columns: np.ndarray, y: np.ndarray) -> tuple[int, float]:
    """The column and the threshold whose split scores best: a model with one question."""
    found = [best_split(columns[:, place], y) for place in range(columns.shape[1])]
    place = min(range(len(found)), key=lambda k: found[k][1])
    return place, found[place][0]


# --- one tree -------------------------------------------------------------------------------------------


@dataclass
class Node:
    """A group of rows: its answer, and the question that parts it in two, unless it is a leaf."""

    value: np.ndarray
    """Shares of the classes (C,), or the mean (1,)."""
    rows: int
    column: int = -1
    threshold: float = 0.0
    left: Node | None = None
    right: Node | None = None


def grow(
    columns: np.ndarray,
    y: np.ndarray,
    *,
    num_classes: int = 0,
    min_leaf: int = 1,
    max_depth: int | None = None,
    choose: Callable[[int], Sequence[int]] | None = None,
) -> Node:
    """Ask the question that leaves the least impurity, then do the same on either side.

    Of equally good questions this takes the first; scikit-learn takes one by chance.

    Args:
        columns: (N, K).
        y: (N,) classes or numbers.
        num_classes: 0 for numbers.
        min_leaf: no side of a split may have fewer rows.
        max_depth: questions in a row, at most.
        choose: gives the columns a split may ask about, of so many; by default all.
    """
    node = Node(_answer(y, num_classes), len(y))
    if len(y) < 2 * min_leaf or max_depth == 0 or impurity(y, num_classes) <= 1e-15:
        return node
    allowed = range(columns.shape[1]) if choose is None else choose(columns.shape[1])
    best = np.inf
    for place in allowed:
        values = np.unique(columns[:, place])
        for low, high in pairwise(values):
            threshold = float(low) / 2 + float(high) / 2  # in the middle between two values
            left = columns[:, place] <= threshold
            sides = (y[left], y[~left])
            if min(len(side) for side in sides) < min_leaf:
                continue
            weighted = sum(len(side) * impurity(side, num_classes) for side in sides)
            if weighted < best - 1e-12:
                best, node.column, node.threshold = weighted, place, threshold
    if node.column < 0:
        return node
    left = columns[:, node.column] <= node.threshold
    deeper = None if max_depth is None else max_depth - 1
    options = {"num_classes": num_classes, "min_leaf": min_leaf, "choose": choose}
    node.left = grow(columns[left], y[left], max_depth=deeper, **options)
    node.right = grow(columns[~left], y[~left], max_depth=deeper, **options)
    return node


def _answer(y: np.ndarray, num_classes: int) -> np.ndarray:
    if num_classes:
        return np.bincount(y, minlength=num_classes) / len(y)
    return np.array([y.mean()])


def path(node: Node, row: np.ndarray) -> list[Node]:
    """The nodes that a row passes, from the root to its leaf."""
    found = [node]
    while node.left is not None and node.right is not None:
        node = node.left if row[node.column] <= node.threshold else node.right
        found.append(node)
    return found


def predict(node: Node, columns: np.ndarray) -> np.ndarray:
    """The answers of the rows' leaves, (N, C) or (N, 1)."""
    return np.stack([path(node, row)[-1].value for row in columns])


def contributions(node: Node, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The root's answer, and for each column by how much its questions moved it on the way down.

    Together they are the leaf's answer: each step of the path is credited to the column it asked about.
    """
    moves = np.zeros((len(row), len(node.value)))
    passed = path(node, row)
    for above, below in pairwise(passed):
        moves[above.column] += below.value - above.value
    return passed[0].value, moves


# --- many trees -----------------------------------------------------------------------------------------


@dataclass
class Bag:
    """Trees, each grown on rows of its own."""

    trees: list[Node]
    drawn: list[np.ndarray]
    """The rows of each tree, with repeats."""

    def predict(self, columns: np.ndarray) -> np.ndarray:
        """The mean of the trees' answers: errors that are not alike cancel."""
        return np.mean([predict(tree, columns) for tree in self.trees], axis=0)

    def out_of_bag(self, columns: np.ndarray) -> np.ndarray:
        """For each training row the mean answer of the trees that did not see it; NaN where all did."""
        total = np.zeros((len(columns), len(self.trees[0].value)))
        count = np.zeros((len(columns), 1))
        for tree, rows in zip(self.trees, self.drawn, strict=True):
            unseen = np.setdiff1d(np.arange(len(columns)), rows)
            total[unseen] += predict(tree, columns[unseen])
            count[unseen] += 1
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def forest(
    columns: np.ndarray,
    y: np.ndarray,
    *,
    num_classes: int = 0,
    num_trees: int = 10,
    min_leaf: int = 1,
    max_features: int | None = None,
    seed: int = 42,
) -> Bag:
    """Bagging: each tree gets as many rows as there are, drawn with replacement.

    With `max_features` each split may only ask about so many columns, drawn anew: a random forest. The
    trees are then less alike, and their mean is better.
    """
    draw = np.random.default_rng(seed)
    bag = Bag([], [])

    def choose(count: int) -> Sequence[int]:
        return draw.choice(count, max_features, replace=False).tolist()

    for _ in range(num_trees):
        rows = draw.integers(0, len(y), len(y))
        bag.drawn.append(rows)
        bag.trees.append(
            grow(
                columns[rows],
                y[rows],
                num_classes=num_classes,
                min_leaf=min_leaf,
                choose=None if max_features is None else choose,
            )
        )
    return bag


# --- trees on what trees left over --------------------------------------------------------------------


@dataclass
class Boosted:
    """A start, and small trees whose answers are added to it."""

    base: float
    rate: float
    trees: list[Node]

    def staged(self, columns: np.ndarray) -> list[np.ndarray]:
        """The prediction after no tree, after one, after two, …; each (N,)."""
        now = np.full(len(columns), self.base)
        found = [now]
        for tree in self.trees:
            now = now + self.rate * predict(tree, columns)[:, 0]
            found.append(now)
        return found

    def predict(self, columns: np.ndarray) -> np.ndarray:
        """base + Σ rate · tree."""
        return self.staged(columns)[-1]


def boost(
    columns: np.ndarray,
    y: np.ndarray,
    *,
    num_trees: int = 10,
    rate: float = 0.1,
    max_depth: int = 3,
) -> Boosted:
    """Start at the mean; each tree is grown on the residuals of the sum so far, for squared error."""
    found = Boosted(float(y.mean()), rate, [])
    now = np.full(len(y), found.base)
    for _ in range(num_trees):
        tree = grow(columns, y - now, max_depth=max_depth)
        found.trees.append(tree)
        now = now + rate * predict(tree, columns)[:, 0]
    return found


# --- what a column is worth -----------------------------------------------------------------------------


def permutation_importance(
    model: Callable[[np.ndarray], np.ndarray],
    columns: np.ndarray,
    y: np.ndarray,
    score: Callable[[np.ndarray, np.ndarray], float],
    orders: Sequence[np.ndarray],
) -> np.ndarray:
    """By how much the score falls when a column is shuffled: (K,), the mean over the orders.

    Args:
        score: of (targets, predictions), higher is better.
        orders: shuffles of the rows, the same for each column.
    """
    whole = score(y, model(columns))
    found = np.zeros(columns.shape[1])
    for place in range(columns.shape[1]):
        for order in orders:
            shuffled = columns.copy()
            shuffled[:, place] = columns[order, place]
            found[place] += (whole - score(y, model(shuffled))) / len(orders)
    return found
