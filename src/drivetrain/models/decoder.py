"""A small causal transformer, with the interface of the recurrent encoders.

Papers: Vaswani et al. 2017, arXiv:1706.03762 (attention); Radford et al. 2019 (decoder alone, norms
before each part); Su et al. 2021, arXiv:2104.09864 (positions as rotations). Each position looks at
itself and at those before it. Positions turn queries and keys by an angle that grows with the
position, so that a product of two depends on how far apart they are and there is nothing to learn.
As in GPT-2, weights begin normal with a spread of 0.02, and those that end a residual branch with less
the more layers there are; word vectors begin uniform in ±`initial_range` as the recurrent encoders' do.

Letters: B batch, T time, E features, A heads, D = E / A features of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.models.recurrent import check_sizes
from drivetrain.nn.dropouts import check_share


class DecoderEncoder(nn.Module):
    """Tokens to one vector at each position, made of the tokens up to there.

    It has no state: each batch is read on its own. A row that is longer than `context` is read in
    pieces of `context` tokens, each on its own.

    Args:
        vocab_size: tokens are in [0, vocab_size).
        embedding_dim: E, a multiple of twice the heads.
        num_heads: A.
        num_layers: blocks of attention and dense layers.
        context: tokens that are looked at together, itself included.
        dropout: of the vectors, and at the end of each residual branch.
        initial_range: the words' vectors begin uniform in ± this.

    Raises: ConfigError: a number is out of range.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_dim: int,
        num_heads: int,
        num_layers: int,
        *,
        context: int = 256,
        dropout: float = 0.0,
        initial_range: float = 0.1,
    ) -> None:
        super().__init__()
        check_sizes(
            "DecoderEncoder",
            vocab_size=vocab_size,
            embedding_dim=embedding_dim,
            num_heads=num_heads,
            num_layers=num_layers,
            context=context,
        )
        check_share("DecoderEncoder", dropout)
        check_heads(embedding_dim, num_heads)
        self.num_features = embedding_dim
        self.context: int | None = context
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        nn.init.uniform_(self.embedding.weight, -initial_range, initial_range)
        self.dropout = nn.Dropout(dropout)
        blocks = [DecoderBlock(embedding_dim, num_heads, dropout) for _ in range(num_layers)]
        for block in blocks:
            for end in (block.mixed, block.narrow):  # the branches add up: keep the sum's spread
                nn.init.normal_(end.weight, std=0.02 / (2 * num_layers) ** 0.5)
        self.layers = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(embedding_dim)
        self.head_dim = embedding_dim // num_heads

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features at each position: (B, T) int64 -> (B, T, E).

        `lengths` is taken as the recurrent encoders take it; here it changes nothing, since what
        stands after the real tokens is not looked at from before.
        """
        rows, time = tokens.shape
        size = self.context
        if size is not None and time > size:
            pad = -time % size
            pieces = F.pad(tokens, (0, pad)).reshape(-1, size)  # (B · pieces, context)
            return self._read(pieces).reshape(rows, time + pad, -1)[:, :time]
        return self._read(tokens)

    def read_on(self, tokens: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """As the recurrent encoders; what came before is not known here, so the state stays empty."""
        return self(tokens), state

    def reset(self) -> None:
        """There is nothing to forget."""

    def layer_groups(self) -> list[list[nn.Module]]:
        """The words' vectors; then each block, the last with the norm after it."""
        groups: list[list[nn.Module]] = [[self.embedding], *([layer] for layer in self.layers)]
        groups[-1].append(self.norm)
        return groups

    def _read(self, tokens: Tensor) -> Tensor:
        x = self.dropout(self.embedding(tokens))  # (B, T, E)
        turns = rotations(tokens.shape[1], self.head_dim, x)
        for layer in self.layers:
            x = layer(x, turns)
        return self.norm(x)


class DecoderBlock(nn.Module):
    """Attention to what came before, then a dense layer four times as wide; each is added to its input.

    Shapes: (B, T, E), (2, T, D) -> (B, T, E).
    """

    def __init__(self, num_features: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = num_features // num_heads
        self.attention_norm = nn.LayerNorm(num_features)
        self.attend = nn.Linear(num_features, 3 * num_features)  # queries, keys, values
        self.mixed = nn.Linear(num_features, num_features)
        self.dense_norm = nn.LayerNorm(num_features)
        self.wide = nn.Linear(num_features, 4 * num_features)
        self.narrow = nn.Linear(4 * num_features, num_features)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.attend, self.mixed, self.wide, self.narrow):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """The two residual branches."""
        rows, time, width = x.shape
        parts = self.attend(self.attention_norm(x))  # (B, T, 3E)
        parts = parts.view(rows, time, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind()  # (B, A, T, D)
        found = F.scaled_dot_product_attention(
            rotated(queries, turns), rotated(keys, turns), values, is_causal=True
        )
        found = found.transpose(1, 2).reshape(rows, time, width)
        x = x + self.dropout(self.mixed(found))
        return x + self.dropout(self.narrow(F.gelu(self.wide(self.dense_norm(x)))))


def rotations(time: int, head_dim: int, like: Tensor) -> Tensor:
    """Cosines and sines of each position's angles: (2, T, D), made like a tensor.

    Pair d of the D / 2 pairs turns by position / 10000^(2d / D): the first by one radian a token, the
    last hardly at all.
    """
    pairs = torch.arange(0, head_dim, 2, device=like.device, dtype=torch.float32)
    speeds = 10_000.0 ** (-pairs / head_dim)  # (D / 2,)
    angles = torch.arange(time, device=like.device).unsqueeze(1) * speeds  # (T, D / 2)
    angles = torch.cat([angles, angles], dim=1)
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)


def rotated(x: Tensor, turns: Tensor) -> Tensor:
    """Each pair (d, d + D / 2) of features turned by its position's angle: (B, A, T, D) -> the same."""
    first, second = x.chunk(2, dim=-1)
    return x * turns[0] + torch.cat([-second, first], dim=-1) * turns[1]


def check_heads(num_features: int, num_heads: int) -> None:
    """Raises: ConfigError: the features do not part into heads of an even width."""
    if num_features % (2 * num_heads):
        raise ConfigError(
            f"`DecoderEncoder` got embedding_dim {num_features} and {num_heads} heads, expected a "
            "multiple of twice the heads: each head turns pairs of features."
        )
