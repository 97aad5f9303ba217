"""Pooling a feature map to numbers that do not depend on its height and width."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConcatPool2d(nn.Module):
    """The average and the maximum of each channel, side by side.

    The average says how much of a feature the picture holds, the maximum whether it is there at
    all; a head that sees both does not have to choose. Any height and width is accepted, so a
    model works at other picture sizes than it was trained at.

    Shapes: (B, C, H, W) -> (B, 2C); the C averages come first.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The C averages, then the C maxima.

        Args:
            x: (B, C, H, W).
        """
        return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)  # (B, 2C)
