"""The classifier of documents that are read whole, for scripts whose texts are short.

The model in `models.document` reads documents of any length, piece by piece. Where none of a run is
longer than a piece, this gives the same to the last bit, and stands in the script instead of it.

Letters: B batch, T time, E features, C outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class WholeClassifier(nn.Module):
    """Documents to scores: the encoder reads them whole, and the head sees a summary."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Scores (B, C) of tokens (B, T), padded at the end, and how many of each are real (B,)."""
        return self.head(self.features(tokens, lengths))

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What the head sees: features at the last token, largest, mean. (B, 3E)"""
        lengths = lengths.clamp(min=1)
        encoder: Any = self.encoder
        outputs, _ = encoder.read_on(tokens, [])  # (B, T, E)
        places = torch.arange(outputs.shape[1], device=outputs.device)
        is_padding = (places >= lengths.unsqueeze(1)).unsqueeze(2)  # (B, T, 1)
        last = outputs[torch.arange(len(outputs), device=outputs.device), lengths - 1]
        largest = outputs.masked_fill(is_padding, -torch.inf).amax(dim=1)
        mean = outputs.masked_fill(is_padding, 0).sum(dim=1) / lengths.unsqueeze(1)
        return torch.cat([last, largest, mean], dim=1)

    def layer_groups(self) -> list[list[nn.Module]]:
        """Those of the encoder; then the head."""
        encoder: Any = self.encoder
        return [*encoder.layer_groups(), [self.head]]


def is_whole(model: Any, loader: Any, longest: int) -> bool:
    """Whether `WholeClassifier` answers as a model does, for all batches of a loader, to the last bit.

    Args:
        model: a `DocumentClassifier`.
        longest: tokens of the longest document that it reads.
    """
    if longest > min(model.seq_len, model.max_len):
        return False
    short, was_training = WholeClassifier(model.encoder, model.head), model.training
    model.eval()
    try:
        with torch.inference_mode():
            return all(
                torch.equal(short.features(tokens, lengths), model.features(tokens, lengths))
                for tokens, lengths, _ in loader
            )
    finally:
        model.train(was_training)
