"""From trees as a library numbers their nodes to the arrays of an ensemble, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.trees.form import depths, left_children

_LARGEST = float(np.finfo(np.float64).max)


@dataclass
class Nodes:
    """One tree, in the numbering of the library that grew it; the root is node 0."""

    left: np.ndarray
    """(m,) whole numbers, the left child; negative at a leaf. So `right`."""
    right: np.ndarray
    feature: np.ndarray
    """(m,) the column asked about; anything at a leaf. So `threshold`, infinite where all go left."""
    threshold: np.ndarray
    default_left: np.ndarray
    """(m,) bool."""
    value: np.ndarray
    """(m, W) float64."""
    cover: np.ndarray
    """(m,)."""
    impurity: np.ndarray
    """(m,)."""
    gain: np.ndarray
    """(m,) anything at a leaf."""
    sets: dict[int, np.ndarray]
    """Node -> (codes,) bool, whether a code goes left, of nodes that split by categories."""


def ensemble_arrays(trees: Sequence[Nodes], output: np.ndarray | None = None) -> dict[str, Any]:
    """The arrays of an ensemble, without `base`.

    Args:
        trees: in the order in which they are added.
        output: (T,) the output each tree adds to; by default all add to all.
    """
    ordered = [_by_level(tree) for tree in trees]
    category = [np.full(len(tree.left), -1, dtype=np.int32) for tree in ordered]
    bits: list[np.ndarray] = []
    for of_tree, tree in zip(category, ordered, strict=True):
        for node, goes_left in sorted(tree.sets.items()):
            of_tree[node] = len(bits)
            # Up to the byte's end as beyond it: such codes are unknown.
            rest = np.full(-len(goes_left) % 8, tree.default_left[node])
            bits.append(np.packbits(np.concatenate([goes_left, rest]), bitorder="little"))
    is_leaf = np.concatenate([tree.left for tree in ordered]) < 0

    def joined(name: str, dtype: Any, at_leaf: float | None = None) -> np.ndarray:
        values = np.concatenate([getattr(tree, name) for tree in ordered]).astype(dtype)
        if at_leaf is not None:
            values[is_leaf] = at_leaf
        return values

    sizes = [len(tree.left) for tree in ordered]
    return {
        "starts": np.cumsum([0, *sizes], dtype=np.int64),
        "output": np.full(len(trees), -1, np.int32) if output is None else output.astype(np.int32),
        "feature": joined("feature", np.int32, -1),
        # An infinite threshold says that all go left whose value is known.
        "threshold": np.minimum(joined("threshold", np.float64, 0.0), _LARGEST),
        "default_left": joined("default_left", np.bool_, False),
        "value": joined("value", np.float64),
        "cover": joined("cover", np.float64),
        "impurity": np.maximum(joined("impurity", np.float64), 0.0),  # rounding may put it below
        "gain": np.maximum(joined("gain", np.float64, 0.0), 0.0),
        "category": np.concatenate(category),
        "category_starts": np.cumsum([0, *map(len, bits)], dtype=np.int64),
        "category_bits": np.concatenate([np.zeros(0, np.uint8), *bits]),
    }


def with_means(arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays with each inner node's cover and value made of its children's, from the leaves up.

    The value is then the mean of the leaves that the node's training rows came to.
    """
    left = left_children(arrays["feature"], arrays["starts"])
    depth = depths(left, arrays["starts"])
    value, cover = arrays["value"].copy(), arrays["cover"].copy()
    for level in range(int(depth.max()) - 1, -1, -1):
        node = np.flatnonzero((depth == level) & (left >= 0))
        a, b = left[node], left[node] + 1
        cover[node] = cover[a] + cover[b]
        share = np.full(len(node), 0.5)
        np.divide(cover[a], cover[node], out=share, where=cover[node] > 0)
        value[node] = share[:, None] * value[a] + (1 - share)[:, None] * value[b]
    return {**arrays, "value": value, "cover": cover}


def _by_level(tree: Nodes) -> Nodes:
    """The same tree with its nodes numbered level by level, siblings side by side."""
    level = np.zeros(1, dtype=np.int64)
    levels = [level]
    while True:
        inner = level[tree.left[level] >= 0]
        if not len(inner):
            break
        level = np.stack([tree.left[inner], tree.right[inner]], axis=1).ravel()
        levels.append(level)
    order = np.concatenate(levels)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    arrays = {
        name: getattr(tree, name)[order]
        for name in (
            "left", "right", "feature", "threshold", "default_left", "value", "cover", "impurity",
            "gain",
        )
    }  # fmt: skip
    return Nodes(**arrays, sets={int(place[node]): codes for node, codes in tree.sets.items()})
