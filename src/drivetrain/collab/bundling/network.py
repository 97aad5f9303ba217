"""The network of a bundle of ratings: what calculates predictions of pairs, by torch or by ONNX Runtime.

ONNX has no place for names, so `model.onnx` is of codes; names are looked up before it and beside it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from drivetrain.bundle.manifest import Port

MOST_ONNX_BYTES = 2_000_000_000
"""Of the weights in an ONNX file, which is one message of at most 2 GiB."""


def ports(num_users: int, num_items: int) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The inputs and outputs of a bundle of ratings."""
    pairs = Port(
        "pairs",
        "int64",
        ("batch", 2),
        (0.0, float(max(num_users, num_items) - 1)),
        "The codes of a user and an item; 0 is one that training did not see.",
    )
    told = Port("predictions", "float32", ("batch",), None, "The rating, or of events a score.")
    return (pairs,), (told,)


class PairsNetwork(nn.Module):
    """A model as an ONNX file has it: (B, 2) int64 to a tuple of (B,) float32."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pairs: Tensor) -> tuple[Tensor]:
        """(B, 2) int64 codes -> predictions (B,)."""
        return (self.net(pairs),)


class OnnxNet(nn.Module):
    """A model whose pairs are calculated by ONNX Runtime.

    The tables of vectors are torch's, for what looks at vectors alone: recommending by dot products, and
    reasons.

    Args:
        engine: pairs (B, 2) int64 to a tuple of predictions (B,).
        net: of torch, with the same weights.
    """

    def __init__(self, engine: Callable[[Tensor], tuple[Tensor, ...]], net: nn.Module) -> None:
        super().__init__()
        self._engine = engine
        self.torch_net = net

    @property
    def item_factors(self) -> nn.Module:
        """The table of items."""
        return self.torch_net.get_submodule("item_factors")

    def forward(self, pairs: Tensor) -> Tensor:
        """(B, 2) codes -> predictions (B,)."""
        if not len(pairs):
            return torch.zeros(0)
        return self._engine(pairs.long())[0]
