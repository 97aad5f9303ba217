"""Stochastic depth: in training, blocks of a residual net are skipped at random.

Paper: Huang et al. 2016, arXiv:1603.09382. The paper skips a block for a whole batch and scales its
outputs down at test time; here each item skips by itself and outputs are scaled up in training, which
is the same in the mean and leaves the model that predicts as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks._checking import check_number
from drivetrain.train.state import FitState

PLACES = ("drop_path", "drop_path1", "drop_path2")
"""What blocks call the layer at the end of their residual branch, ours and timm's."""


class StochasticDepth(Callback):
    """Drops residual branches during the fit, the deeper the more often; then the model is as before.

    For models whose blocks have a place for it: a layer `drop_path` at the end of the residual branch.

    Args:
        rate: how often the last block is skipped, in [0, 1); block l of L is skipped at l / L of that.
    Raises: ConfigError: `rate` is outside; in the fit: the model has no such blocks.
    """

    def __init__(self, rate: float = 0.1) -> None:
        check_number("StochasticDepth", "rate", rate, least=0, below=1)
        self.rate = rate
        self._before: list[tuple[nn.Module, str, nn.Module | None]] = []

    def before_fit(self, state: FitState) -> None:
        blocks = [
            (module, [name for name in PLACES if _has_place(module, name)])
            for module in state.model.modules()
        ]
        blocks = [(block, names) for block, names in blocks if names]
        if not blocks:
            raise ConfigError(
                f"`StochasticDepth` found no blocks with a `drop_path` in "
                f"`{type(state.model).__name__}`. Drivetrain's residual nets have them, as have timm's "
                "resnet, convnext, efficientnet, vit and swin among others. Leave it out, or give your "
                "blocks a layer `drop_path = nn.Identity()` at the end of their residual branch."
            )
        self._before = []
        for depth, (block, names) in enumerate(blocks, start=1):
            for name in names:
                self._before.append((block, name, getattr(block, name)))
                layer = DropPath(self.rate * depth / len(blocks))
                setattr(block, name, layer.train(block.training))

    def after_fit(self, state: FitState) -> None:
        for block, name, layer in self._before:
            setattr(block, name, layer)
        self._before = []


class DropPath(nn.Module):
    """Zero for an item at `rate`, otherwise its values divided by 1 - `rate`. In evaluation the identity.

    Shapes: (B, ...) -> (B, ...). Draws from torch's generator, as dropout does.
    """

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Each item is kept or dropped as a whole."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        kept = torch.empty(x.shape[0], *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device)
        return x * kept.bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.rate:g}"


def _has_place(module: nn.Module, name: str) -> bool:
    """A layer, or None where timm's blocks would have one."""
    layer = getattr(module, name, "no")
    return layer is None or isinstance(layer, nn.Module)
