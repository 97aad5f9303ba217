"""The loss of a language model: cross-entropy of the next token at each position.

Letters: B batch, V words, T time; `...` any dimensions, as T.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from drivetrain.losses.common import Reduction, check_options


def token_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """`cross_entropy` over the tokens of a batch, for scores whose words lie side by side in memory.

    The value is that of `cross_entropy`. A language model makes (B, T, V) and gives the view
    (B, V, T); torch's loss would copy that, word by word, and this one reads it as it lies.

    Args:
        logits: (B, V, ...) float, unnormalised scores; fastest where they are a view of (B, ..., V).
        targets: (B, ...) int64, the next tokens, in [0, V).
        label_smoothing: share of the target that is spread over all words, in [0, 1).
        ignore_index: tokens that count nothing, such as padding.
        reduction: "mean", or "none" for the values before it, (B, ...).

    Raises: ConfigError: an option is out of range.

    >>> import torch
    >>> scores = torch.tensor([[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]])  # (B, T, V)
    >>> token_cross_entropy(scores.transpose(1, 2), torch.tensor([[2, 0]]))
    tensor(0.4076)
    """
    check_options("token_cross_entropy", label_smoothing=label_smoothing)
    values = F.cross_entropy(
        logits.movedim(1, -1).flatten(0, -2),  # (B · T, V)
        targets.flatten(),
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    return values.view_as(targets) if reduction == "none" else values


def num_tokens(targets: Tensor, *, ignore_index: int = -100) -> int:
    """How many tokens count, of (B, ...): what the mean of `token_cross_entropy` is over."""
    return int((targets != ignore_index).sum())
