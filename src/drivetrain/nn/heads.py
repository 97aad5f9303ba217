"""Several heads on one body: a model that answers several questions of a picture.

Each head is a whole `PictureHead`, with poolings, norms and a hidden layer of its own, and is drawn from
the seed as if it stood alone; only the body is shared. docs/decisions/0025-several-targets.md says why
it is not one wider last layer that is cut into slices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from drivetrain.nn.head import PictureHead


class PictureHeads(nn.Module):
    """Feature maps to the scores of each head, side by side.

    Shapes: (B, F, H, W) -> (B, C_1 + … + C_T), unnormalised scores, those of the first head first. In
    training B must be 2 or more, as for one head.

    Args:
        heads: T heads, each (B, F, H, W) -> (B, C_t).
    """

    def __init__(self, heads: Sequence[PictureHead]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, features: Tensor) -> Tensor:
        """Scores, not probabilities: the loss has a softmax for each head."""
        found = []
        for head in self.heads:
            scores = head(features)  # (B, C_t)
            if scores.requires_grad:
                # What comes back is a slice of a wider gradient. Laid out as a lone head's would be, it
                # goes through the same kernels, and a head learns the same to the last bit.
                scores.register_hook(torch.Tensor.contiguous)
            found.append(scores)
        return torch.cat(found, dim=1)
