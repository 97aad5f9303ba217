"""The form of trees in arrays, and the words that a record of them may hold.

A tree stands level by level, so its inner nodes say all: the k-th of them, in order, has the nodes
2k+1 and 2k+2 as its children.

    >>> left_children(np.array([3, -1, 0, -1, -1]), np.array([0, 5])).tolist()
    [1, -1, 3, -1, -1]
"""

from __future__ import annotations

import numpy as np

KINDS = ("majority", "one_r", "tree", "forest", "extra_trees", "boosting")
COMBINES = ("mean", "sum")
LINKS = ("identity", "sigmoid", "softmax", "exp")
PRECISIONS = ("float32", "float64")
EXPONENTIALS = ("c", "numpy")

DEEPEST = 512
"""Levels below a root."""


def left_children(feature: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(M,) int32, the left child of each inner node, by the rule of the module; -1 at a leaf."""
    inner = feature >= 0
    before = np.cumsum(inner) - inner  # inner nodes before each node
    roots = np.repeat(starts[:-1], np.diff(starts))
    rank = before - before[roots]
    return np.where(inner, roots + 2 * rank + 1, -1).astype(np.int32)


def depths(left: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(M,) int32, steps from the root of each node; stops below `DEEPEST`, and leaves -1 there."""
    found = np.full(len(left), -1, dtype=np.int32)
    level = starts[:-1]
    for depth in range(DEEPEST + 1):
        found[level] = depth
        inner = left[level]
        inner = inner[inner >= 0]
        if not len(inner):
            break
        level = np.concatenate([inner, inner + 1])
    return found
