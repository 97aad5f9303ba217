"""Random starting weights that keep activations at the same size from layer to layer.

Paper: He et al. 2015, "Delving Deep into Rectifiers", arXiv:1502.01852, sec. 2.2: each weight is
drawn from a normal distribution with variance 2 / fan, because ReLU throws half of the signal away.
"""

from __future__ import annotations

from torch import nn

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def kaiming_init_(module: nn.Module) -> nn.Module:
    """Draw all weights in `module` anew, in place, from torch's generator.

    - Linear: variance 2 / inputs, so that the forward signal keeps its size.
    - Conv1d, 2d, 3d: variance 2 / (outputs x window), which keeps the gradient's size.
    - Norms: scale 1, shift 0. Every bias: 0.

    Other layers (embeddings, ...) are left as they are. Draw under `randomness.seeded` to get the
    same weights from the same seed.

    Returns: `module`.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, _NORMS):
            if layer.weight is not None:
                nn.init.ones_(layer.weight)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return module
