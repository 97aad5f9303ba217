"""The walk of walk.py in torch, for rows that are tensors already, on the device where they are.

Outputs are those of `TreeEnsemble.outputs` to the last bit: values are compared in the same precision,
and trees added in the same order, in float64. A device without float64 (MPS) cannot hold them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drivetrain.errors import ShapeError
from drivetrain.trees.ensemble import TreeEnsemble
from drivetrain.trees.walk import PLACES, ROWS


class TorchTrees(nn.Module):
    """An ensemble as a module without parameters: rows (N, K) in, outputs (N, V) out.

    Args:
        trees: the ensemble.

    >>> import numpy as np
    >>> from drivetrain.trees.grow import tree
    >>> grown = tree(np.array([[1.0], [2.0]]), np.array([5.0, 6.0])).ensemble
    >>> TorchTrees(grown)(torch.tensor([[0.0], [3.0]])).tolist()
    [[5.0], [6.0]]
    """

    child: Tensor
    threshold: Tensor
    feature: Tensor
    feature_of_two: Tensor
    value: Tensor
    base: Tensor
    default_left: Tensor
    category: Tensor
    category_starts: Tensor
    category_bits: Tensor

    def __init__(self, trees: TreeEnsemble) -> None:
        super().__init__()
        walker = trees.walker
        self.trees = trees
        self.dtype = torch.float32 if trees.precision == "float32" else torch.float64
        arrays = {
            name: getattr(walker, name)
            for name in ("child", "threshold", "feature", "feature_of_two")
        } | {
            name: getattr(trees, name)
            for name in (
                "value", "base", "default_left", "category", "category_starts", "category_bits",
            )
        }  # fmt: skip
        for name, values in arrays.items():
            self.register_buffer(name, torch.from_numpy(values.copy()), persistent=False)
        self.roots: list[int] = trees.starts[:-1].tolist()
        self.depths: list[int] = walker.depth.tolist()
        self.output: list[int] = trees.output.tolist()

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        """What the trees add up to.

        Args:
            inputs: (N, K) floats, NaN where missing.

        Returns: (N, V) float64.
        Raises: ShapeError: other inputs.
        """
        if inputs.ndim != 2 or inputs.shape[1] != self.trees.num_features:
            raise ShapeError(
                f"`TorchTrees` got inputs of shape {tuple(inputs.shape)}, expected "
                f"(N, {self.trees.num_features})."
            )
        total = self.base.repeat(len(inputs), 1)
        for first in range(0, len(inputs), ROWS):
            self._add(total[first : first + ROWS], inputs[first : first + ROWS])
        if self.trees.combine == "mean":
            total /= self.trees.num_trees
        return total

    def predict(self, inputs: Tensor) -> Tensor:
        """Numbers (N,), or probabilities (N, C), on the CPU and bit-equal to `TreeEnsemble.predict`."""
        outputs = self(inputs).cpu().numpy()
        return torch.from_numpy(self.trees.predictions(outputs.copy(order="F")))

    def _add(self, total: Tensor, inputs: Tensor) -> None:
        """Add the outputs of all trees for the rows of a block, in place."""
        values = inputs.to(self.dtype).clamp(max=torch.finfo(self.dtype).max)
        feature, missing = self.feature, inputs.isnan()
        if missing.any():
            low, high = (values.masked_fill(missing, end) for end in (-torch.inf, torch.inf))
            values, feature = torch.cat([low, high], dim=1), self.feature_of_two
        flat = values.reshape(-1)
        rows = torch.arange(len(inputs), device=inputs.device) * values.shape[1]
        at_once = max(1, PLACES // len(inputs))
        for tree in range(0, len(self.roots), at_once):
            roots = torch.tensor(self.roots[tree : tree + at_once], device=inputs.device)
            node = roots.repeat_interleave(len(inputs))
            place = rows.repeat(len(roots))
            depth = max(self.depths[tree : tree + at_once])
            node = self._descend(node, place, flat, feature, depth)
            leaves = node.reshape(len(roots), -1)
            for output, leaf in zip(self.output[tree : tree + at_once], leaves, strict=True):
                values = self.value.index_select(0, leaf)
                if output < 0:
                    total += values
                else:
                    total[:, output] += values[:, 0]

    def _descend(
        self, node: Tensor, place: Tensor, flat: Tensor, feature: Tensor, depth: int
    ) -> Tensor:
        """Follow all to their leaves; those that have arrived are set aside every few steps."""
        arrived, on_the_way = node, None
        for step in range(depth):
            if step >= 6 and step % 3 == 0:
                left = (self.child.index_select(0, node) != node).nonzero().squeeze(1)
                if len(left) < 0.7 * len(node):
                    if on_the_way is None:
                        arrived, on_the_way = node, left
                    else:
                        arrived[on_the_way] = node
                        on_the_way = on_the_way.index_select(0, left)
                    node, place = node.index_select(0, left), place.index_select(0, left)
            # `index_select` is five times as fast as brackets.
            where = feature.index_select(0, node).add_(place)
            asked = flat.index_select(0, where)
            goes_right = asked > self.threshold.index_select(0, node)
            if self.trees.walker.has_sets:
                self._by_set(node, asked, goes_right)
            node = self.child.index_select(0, node).add_(goes_right)
        if on_the_way is None:
            return node
        arrived[on_the_way] = node
        return arrived

    def _by_set(self, node: Tensor, values: Tensor, goes_right: Tensor) -> None:
        """Decide again, in place, for nodes that hold a set of codes."""
        category = self.category.index_select(0, node)
        asked = (category >= 0).nonzero().squeeze(1)
        category, values = category[asked].long(), values[asked]
        first = self.category_starts[category]
        bits = 8 * (self.category_starts[category + 1] - first)
        known = (values > -1) & (values < bits)  # fractions are cut off towards zero
        code = torch.where(known, values, 0).long()
        byte = self.category_bits[torch.where(known, first + (code >> 3), 0)].long()
        in_set = (byte >> (code & 7)) & 1 == 1
        goes_right[asked] = ~torch.where(known, in_set, self.default_left[node[asked]])
