"""Trees as plain arrays: what they predict, by which paths, and which columns count.

All nodes of all trees stand in one set of arrays, tree after tree, each tree level by level from its
root. So the two children of the k-th inner node of a tree are its nodes 2k+1 and 2k+2: where a row goes
next is not stored but follows from which nodes are leaves, and no array can hold a loop, a node that
two parents share, or one that none reaches.

A row goes left where its value is at most the node's threshold, and where a missing one goes each node
says. The numbers are those of the library that grew the trees, to the last bit: it is known for each in
which precision values are compared, in which order trees are added, and with which exponential scores
become probabilities.

    predict          numbers (N,), or probabilities (N, C)
    outputs          what the trees add up to, (N, V): margins of boosting, shares of a forest
    contributions    the same, column by column

Nothing here needs the library that grew them. How they are stored and checked: stored.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.trees import stored
from drivetrain.trees.form import depths, left_children
from drivetrain.trees.links import linked
from drivetrain.trees.walk import Walker


@dataclass(frozen=True, eq=False, repr=False)
class TreeEnsemble:
    """One tree or many, and how their outputs are combined. Letters: see the fields.

    M nodes, T trees, K columns, V outputs, C classes, W is V or 1.
    """

    kind: str
    """One of `form.KINDS`."""
    num_features: int
    """K."""
    num_classes: int
    """C, or 0 where a number is predicted."""
    combine: str
    """`mean`: trees are added and divided by their number. `sum`: added to `base`."""
    link: str
    """From outputs to predictions: `identity`, `sigmoid`, `softmax`, `exp`."""
    precision: str
    """Values are rounded to this before they are compared: `float32` or `float64`."""
    exponential: str
    """Of the C library (`c`) or `numpy`: they differ in the last bit."""
    base: np.ndarray
    """(V,) float64, where the sum over trees starts."""
    starts: np.ndarray
    """(T+1,) int64, the root of each tree, and M."""
    output: np.ndarray
    """(T,) int32, the output that a tree adds to; -1 where it adds to all."""
    feature: np.ndarray
    """(M,) int32, the column that a node asks about; -1 at a leaf."""
    threshold: np.ndarray
    """(M,) float64, finite; 0 at a leaf."""
    default_left: np.ndarray
    """(M,) bool, whether a missing value goes left."""
    value: np.ndarray
    """(M, W) float64: a leaf's output, and the mean over its training rows at an inner node."""
    cover: np.ndarray
    """(M,) float64, the training rows that came to a node, by weight; in boosting, their number."""
    impurity: np.ndarray
    """(M,) float64, Gini impurity or variance of these rows; 0 in boosting."""
    gain: np.ndarray
    """(M,) float64, what a split took from the tree's impurity, or from the loss; 0 at a leaf."""
    category: np.ndarray
    """(M,) int32, the set of codes of a node that splits by set; -1 at all others."""
    category_starts: np.ndarray
    """(S+1,) int64, the first byte of each set, and their number."""
    category_bits: np.ndarray
    """uint8, bit c % 8 of byte c // 8 of a set says whether code c goes left."""
    feature_names: tuple[str, ...] | None = None
    """(K,)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            values = getattr(self, field.name)
            if isinstance(values, np.ndarray):
                values.setflags(write=False)

    def __repr__(self) -> str:
        return (
            f"TreeEnsemble({self.kind}: {self.num_trees} trees, {self.num_nodes} nodes, "
            f"{self.num_features} columns, {self.num_classes or 'no'} classes)"
        )

    @property
    def num_trees(self) -> int:
        """T."""
        return len(self.starts) - 1

    @property
    def num_nodes(self) -> int:
        """M."""
        return len(self.feature)

    @property
    def num_outputs(self) -> int:
        """V."""
        return len(self.base)

    @cached_property
    def left(self) -> np.ndarray:
        """(M,) int32, the left child, counted over all trees; -1 at a leaf. The right one follows it."""
        return left_children(self.feature, self.starts)

    @cached_property
    def right(self) -> np.ndarray:
        """(M,) int32, the right child; -1 at a leaf."""
        return np.where(self.left < 0, self.left, self.left + 1).astype(np.int32)

    @cached_property
    def tree_of_node(self) -> np.ndarray:
        """(M,) int64, the tree that a node is of."""
        return np.repeat(np.arange(self.num_trees), np.diff(self.starts))

    @cached_property
    def depth(self) -> np.ndarray:
        """(M,) int32, steps from the root of a node's tree."""
        return depths(self.left, self.starts)

    @cached_property
    def walker(self) -> Walker:
        """The form that rows walk through, made at the first prediction."""
        return Walker(self)

    def outputs(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """What the trees add up to, before the link.

        Args:
            X: (N, K) numbers, NaN where missing. Infinities go right or left as numbers do.

        Returns: (N, V) float64, column after column in memory.
        Raises: ShapeError: X is no matrix of K columns.
        """
        X = self._checked(X)  # noqa: N806
        # Column-major, as scikit-learn holds them: the order in which softmax adds depends on it.
        total = np.zeros((len(X), self.num_outputs), order="F")
        total += self.base
        for rows, trees, nodes in self.walker.blocks(X):
            self._add(total[rows], trees, nodes)
        if self.combine == "mean":
            total /= self.num_trees
        return total

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Numbers (N,), or the probability of each class (N, C); see `outputs`."""
        return self.predictions(self.outputs(X))

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs (N, V) as numbers (N,), or as the probability of each class (N, C)."""
        found = linked(outputs, self.link, self.exponential)
        return found if self.num_classes else found[:, 0]

    def staged(self, X: np.ndarray) -> Iterator[np.ndarray]:  # noqa: N803
        """Predictions of the first tree, the first two, …; in boosting of classes, of whole stages.

        Yields: as `predict`; the last one equals it.
        """
        X = self._checked(X)  # noqa: N806
        total = np.zeros((len(X), self.num_outputs), order="F")
        total += self.base
        stage = 1 if self.output[0] < 0 else self.num_outputs
        for tree, nodes in enumerate(self.leaves(X).T):
            self._add(total, slice(tree, tree + 1), nodes[None])
            if (tree + 1) % stage == 0:
                mean = total / (tree + 1) if self.combine == "mean" else total.copy("F")
                yield self.predictions(mean)

    def leaves(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """The leaf each row comes to in each tree: (N, T) int32, counted over all nodes."""
        X = self._checked(X)  # noqa: N806
        found = np.empty((self.num_trees, len(X)), dtype=np.int32)
        for rows, trees, nodes in self.walker.blocks(X):
            found[trees, rows] = nodes
        return found.T

    def tree_outputs(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Each tree alone: (T, N, V) float64, 0 for outputs that a tree does not add to."""
        leaves = self.leaves(X).T  # (T, N)
        if self.value.shape[1] == self.num_outputs and (self.output < 0).all():
            return self.value[leaves]
        found = np.zeros((*leaves.shape, self.num_outputs))
        found[np.arange(self.num_trees), :, self.output] = self.value[leaves, 0]
        return found

    def spread(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """How far the trees differ on each row: their standard deviation, (N, V) float64.

        Raises: ConfigError: trees that add up have no say each alone.
        """
        if self.combine != "mean":
            raise ConfigError(
                f"`spread` compares trees that each predict alone. Those of {self.kind} add up, so "
                "that they differ says nothing. Grow a forest."
            )
        leaves = self.leaves(X).T
        mean, squares = np.zeros((2, leaves.shape[1], self.num_outputs))
        for count, nodes in enumerate(leaves, start=1):  # Welford's: no (T, N, V) is held
            step = self.value[nodes] - mean
            mean += step / count
            squares += step * (self.value[nodes] - mean)
        return np.sqrt(squares / self.num_trees)

    def contributions(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
        """What each column moved the outputs by, along the paths of a row.

        Every step of a path goes from a node's mean to that of its child, and is credited to the column
        that the node asked about (Saabas 2014). The sum is exact whatever the columns' dependence; with
        columns that act together, the credit depends on which of them the tree asked first.

        Returns: base (V,), the mean over the training rows; moves (N, K, V). `base + moves.sum(1)`
            equals `outputs(X)` but for rounding.
        """
        X = self._checked(X)  # noqa: N806
        roots = self.value[self.starts[:-1]]  # (T, W)
        base, moves = self.base.copy(), self.walker.moves(X)
        if (self.output < 0).all():
            base += roots.sum(0)
        else:
            np.add.at(base, self.output, roots[:, 0])
        if self.combine == "mean":
            base /= self.num_trees
            moves /= self.num_trees
        return base, moves

    def importance(self) -> np.ndarray:
        """The share of each column in what all splits gained: (K,) float64, adds up to 1.

        Of a forest, as scikit-learn: shares of each tree, and their mean over trees that split. Of
        boosting, of the sum of gains. All 0 where no tree splits.
        """
        inner = self.feature >= 0
        trees, columns = self.tree_of_node[inner], self.feature[inner]
        gain = self.gain[inner]
        if self.combine == "mean":
            per_tree = np.bincount(trees, gain, self.num_trees)
            gain = np.divide(gain, per_tree[trees], np.zeros_like(gain), where=per_tree[trees] > 0)
        total = np.bincount(columns, gain, self.num_features)[: self.num_features]
        return total / total.sum() if total.sum() > 0 else np.zeros(self.num_features)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Copies of the arrays, and the JSON record, that `from_arrays` takes."""
        return stored.to_arrays(self)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], record: Any) -> TreeEnsemble:
        """What `to_arrays` gave, perhaps from a stranger: everything is checked first.

        Args:
            arrays: by name, of numpy or of torch on the CPU.
            record: a JSON value.
        Raises: BundleError: these are no trees that can be walked; the message says why.
        """
        trees = cls(**stored.from_arrays(arrays, record))
        stored.check(trees)
        return trees

    def _add(self, total: np.ndarray, trees: slice, nodes: np.ndarray) -> None:
        """Add trees one after the other to the outputs (n, V) of some rows; `nodes` are (t, n)."""
        outputs = self.output[trees]
        if total.size <= _FEW:  # one sum in order by numpy instead of a loop over trees
            for column in range(total.shape[1]):
                ours = nodes[(outputs < 0) | (outputs == column)]
                place = column if self.value.shape[1] > 1 else 0
                terms = np.concatenate([total[None, :, column], self.value[ours, place]])
                total[:, column] = np.add.accumulate(terms, axis=0)[-1]
            return
        for output, leaf in zip(outputs.tolist(), nodes, strict=True):
            if output < 0:
                total += self.value[leaf]
            else:
                total[:, output] += self.value[leaf, 0]

    def _checked(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        X = np.asarray(X)  # noqa: N806
        if X.ndim != 2 or X.shape[1] != self.num_features or X.dtype.kind not in "fiub":
            raise ShapeError(
                f"The {self.kind} got an array of shape {X.shape} and {X.dtype}, expected numbers of "
                f"shape (N, {self.num_features}): a row each, with the columns it was grown on."
            )
        return X.astype(np.float64, copy=False)


_FEW = 64
"""Numbers of a block of outputs, up to which adding tree by tree costs more than it adds."""
