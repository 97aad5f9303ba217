"""The causal transformer: nothing looks ahead, positions count, long rows are read in pieces."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.models.decoder import DecoderEncoder, rotated, rotations
from drivetrain.randomness import seeded

WORDS = 20


def decoder(context: int = 16, dropout: float = 0.0, layers: int = 2) -> DecoderEncoder:
    with seeded(0, "test"):
        return DecoderEncoder(WORDS, 16, 2, layers, context=context, dropout=dropout)


def text(rows: int = 3, time: int = 12, seed: int = 0) -> Tensor:
    return torch.randint(WORDS, (rows, time), generator=torch.Generator().manual_seed(seed))


def turned(y: Tensor) -> Tensor:
    """Each pair of (B, T, D) as a complex number, turned by its position's angle."""
    half = y.shape[2] // 2
    speeds = 10_000.0 ** (-torch.arange(half) / half)
    angles = torch.arange(y.shape[1])[:, None] * speeds
    pairs = torch.complex(y[..., :half], y[..., half:])
    pairs = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([pairs.real, pairs.imag], dim=-1)


def by_hand(model: DecoderEncoder, tokens: Tensor) -> Tensor:
    """One head and one position at a time."""
    x = model.embedding.weight[tokens]
    blocks: Any = model.layers
    for block in blocks:
        q, k, v = block.attend(block.attention_norm(x)).chunk(3, dim=2)
        width = block.head_dim
        heads = []
        for head in range(block.num_heads):
            part = slice(head * width, (head + 1) * width)
            queries, keys = turned(q[:, :, part]), turned(k[:, :, part])
            rows = []
            for t in range(x.shape[1]):
                weights = (queries[:, t : t + 1] * keys[:, : t + 1]).sum(2) / width**0.5
                shares = weights.softmax(dim=1).unsqueeze(2)
                rows.append((shares * v[:, : t + 1, part]).sum(1))
            heads.append(torch.stack(rows, dim=1))
        x = x + block.mixed(torch.cat(heads, dim=2))
        x = x + block.narrow(torch.nn.functional.gelu(block.wide(block.dense_norm(x))))
    return model.norm(x)


def test_it_equals_attention_written_out() -> None:
    model = decoder().eval()
    torch.testing.assert_close(model(text()), by_hand(model, text()), atol=1e-5, rtol=1e-5)


def test_no_position_sees_a_later_one() -> None:
    model, tokens = decoder().eval(), text()
    whole = model(tokens)
    for time in (1, 5, 11):
        torch.testing.assert_close(model(tokens[:, :time]), whole[:, :time], atol=1e-5, rtol=0)


def test_products_of_rotations_depend_on_the_distance_alone() -> None:
    turns = rotations(30, 8, torch.zeros(1, dtype=torch.float64))
    x, y = (torch.randn(8, dtype=torch.float64).expand(1, 1, 30, 8) for _ in range(2))
    products = (rotated(x, turns) @ rotated(y, turns).transpose(2, 3))[0, 0]
    for distance in (0, 3, -7):
        values = products.diagonal(distance)
        torch.testing.assert_close(values, values[:1].expand_as(values), atol=1e-5, rtol=0)


def test_a_row_longer_than_the_context_is_read_in_pieces() -> None:
    model, tokens = decoder(context=5).eval(), text(time=12)
    pieces = torch.cat([model(piece) for piece in tokens.split(5, dim=1)], dim=1)
    torch.testing.assert_close(model(tokens), pieces, atol=1e-6, rtol=0)


def test_it_carries_nothing_and_without_dropout_training_is_evaluation() -> None:
    model, tokens = decoder(), text()
    first = model.train()(tokens)
    assert torch.equal(model(tokens), first)
    assert torch.equal(model.eval()(tokens), first)
    dropping = decoder(dropout=0.5)
    assert torch.equal(dropping.eval()(tokens), first)
    assert not torch.equal(dropping.train()(tokens), first)


def test_its_groups_cover_all_parameters() -> None:
    model = decoder(layers=3)
    groups = model.layer_groups()
    assert len(groups) == 4
    covered = [id(p) for group in groups for layer in group for p in layer.parameters()]
    assert sorted(covered) == sorted(id(p) for p in model.parameters())


def test_features_that_do_not_part_into_heads_are_answered() -> None:
    with pytest.raises(ConfigError) as caught:
        DecoderEncoder(WORDS, 18, 6, 1)
    assert str(caught.value) == (
        "`DecoderEncoder` got embedding_dim 18 and 6 heads, expected a multiple of twice the heads: "
        "each head turns pairs of features."
    )
    with pytest.raises(ConfigError) as caught:
        DecoderEncoder(WORDS, 16, 2, 1, context=0)
    assert str(caught.value) == (
        "`DecoderEncoder` got context 0, expected a whole number, 1 or more."
    )
