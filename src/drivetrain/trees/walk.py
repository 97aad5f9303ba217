"""Many rows through many trees at once, in numpy: a step moves every row of a block one level down.

A row at a leaf stays there: its threshold is infinite, and its left child is itself. So a step is the
same few operations on whole arrays for all, and takes no branch. Missing values take none either:
where a matrix holds any, each column stands in it twice, with them below all thresholds and above, and
a node reads the one that sends them where it wants them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from drivetrain.trees.ensemble import TreeEnsemble

ROWS = 4096
"""Rows of a block, which stay in the processor's cache."""
PLACES = 16384
"""Pairs of a row and a tree in a block: with few rows, it takes many trees."""


class Walker:
    """An ensemble in the form that rows walk through.

    Args:
        trees: the ensemble. Its values are shared, the rest is brought into order for the processor.
    """

    def __init__(self, trees: TreeEnsemble) -> None:
        self.trees = trees
        self.dtype = np.dtype(trees.precision)
        self.most = np.finfo(self.dtype).max
        inner = trees.feature >= 0
        self.child = np.where(inner, trees.left, np.arange(trees.num_nodes)).astype(np.intp)
        self.threshold = np.where(inner, _below(trees.threshold, self.dtype), np.inf).astype(
            self.dtype
        )
        self.feature = np.where(inner, trees.feature, 0).astype(np.intp)
        goes_right = inner & ~trees.default_left
        self.feature_of_two = self.feature + trees.num_features * goes_right
        self.has_sets = bool((trees.category >= 0).any())
        self.depth = np.maximum.reduceat(trees.depth, trees.starts[:-1])  # (T,)

    def blocks(self, X: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:  # noqa: N803
        """The leaves that rows (N, K) come to, block by block: rows, trees, nodes (trees, rows)."""
        for rows, trees, node, place, block in self._starts(X):
            found = self._descend(node, place, block, int(self.depth[trees].max()))
            yield rows, trees, found.reshape(trees.stop - trees.start, -1)

    def moves(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """What the columns moved the sum over trees by, along the paths of rows (N, K): (N, K, V)."""
        trees = self.trees
        num_columns, num_outputs = trees.num_features, trees.num_outputs
        found = np.zeros((num_outputs, len(X) * num_columns))
        for rows, these, node, place, block in self._starts(X):
            count = rows.stop - rows.start
            row = np.tile(np.arange(rows.start, rows.stop), these.stop - these.start)
            output = np.repeat(trees.output[these], count)
            while len(going := np.flatnonzero(trees.feature[node] >= 0)):
                node, row, output, place = node[going], row[going], output[going], place[going]
                following = self._step(node, place, block)
                step = trees.value[following] - trees.value[node]  # (steps, W)
                cell = row * num_columns + self.feature[node]
                for column in range(num_outputs):
                    if step.shape[1] == num_outputs > 1:
                        np.add.at(found[column], cell, step[:, column])
                    else:
                        ours = (output < 0) | (output == column)
                        np.add.at(found[column], cell[ours], step[ours, 0])
                node = following
        return np.moveaxis(found.reshape(num_outputs, len(X), num_columns), 0, 2)

    def _starts(
        self,
        X: np.ndarray,  # noqa: N803
    ) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray, Block]]:
        """For each block of rows and trees: the roots, and where each row begins in the block."""
        num_trees = self.trees.num_trees
        roots = self.trees.starts[:-1].astype(np.intp)
        for first in range(0, len(X), ROWS):
            block = Block(X[first : first + ROWS], self)
            count = len(block.place)
            at_once = max(1, PLACES // count)
            for tree in range(0, num_trees, at_once):
                trees = slice(tree, min(tree + at_once, num_trees))
                node = np.repeat(roots[trees], count)
                place = np.tile(block.place, trees.stop - trees.start)
                yield slice(first, first + count), trees, node, place, block

    def _descend(self, node: np.ndarray, place: np.ndarray, block: Block, depth: int) -> np.ndarray:
        """Follow all to their leaves; those that have arrived are set aside every few steps."""
        arrived = node
        on_the_way: np.ndarray | None = None  # positions in `arrived`; at first, all
        for step in range(depth):
            if step >= 6 and step % 3 == 0:
                left = np.flatnonzero(self.child.take(node) != node)
                if len(left) < 0.7 * len(node):
                    if on_the_way is None:
                        arrived, on_the_way = node, left
                    else:
                        arrived[on_the_way] = node
                        on_the_way = on_the_way[left]
                    node, place = node.take(left), place.take(left)
            node = self._step(node, place, block)
        if on_the_way is None:
            return node
        arrived[on_the_way] = node
        return arrived

    def _step(self, node: np.ndarray, place: np.ndarray, block: Block) -> np.ndarray:
        """The node after each: its left child, or the one after that."""
        where = block.feature.take(node)  # faster than by brackets
        where += place
        values = block.flat.take(where)
        goes_right = values > self.threshold.take(node)
        if self.has_sets:
            self._by_set(node, values, goes_right)
        following = self.child.take(node)
        following += goes_right
        return following

    def _by_set(self, node: np.ndarray, values: np.ndarray, goes_right: np.ndarray) -> None:
        """Decide again for nodes that hold a set of codes."""
        trees = self.trees
        asked = np.flatnonzero(trees.category[node] >= 0)
        node, values = node[asked], values[asked]
        chosen = trees.category[node]
        first = trees.category_starts[chosen]
        bits = 8 * (trees.category_starts[chosen + 1] - first)
        known = (values > -1) & (values < bits)  # fractions are cut off towards zero
        code = np.where(known, values, 0).astype(np.int64)
        byte = trees.category_bits[np.where(known, first + (code >> 3), 0)]
        goes_left = np.where(known, (byte >> (code & 7)) & 1, trees.default_left[node])
        goes_right[asked] = goes_left == 0


class Block:
    """Some rows of a matrix, as their walk reads them.

    Args:
        rows: (n, K) float64.
        walker: through which they go.
    """

    def __init__(self, rows: np.ndarray, walker: Walker) -> None:
        with np.errstate(over="ignore"):  # beyond float32 is as infinite
            values = rows.astype(walker.dtype)
        missing = np.isnan(values)
        # A threshold of the largest number stands for an infinite one, which infinity does not exceed.
        np.minimum(values, walker.most, out=values)
        self.feature = walker.feature
        if missing.any():
            values = np.concatenate(
                [np.where(missing, -np.inf, values), np.where(missing, np.inf, values)], axis=1
            ).astype(walker.dtype, copy=False)
            self.feature = walker.feature_of_two
        self.flat = values.ravel()
        self.place = np.arange(len(values), dtype=np.intp) * values.shape[1]  # (n,)


def _below(threshold: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The largest numbers of a type that do not exceed thresholds: a value of the type compares alike."""
    with np.errstate(over="ignore"):
        near = threshold.astype(dtype)
    near = np.where(near > threshold, np.nextafter(near, dtype.type(-np.inf)), near)
    return np.minimum(near, np.finfo(dtype).max)
