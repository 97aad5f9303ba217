"""The dropouts of language models: what is dropped together, what stays in the mean, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.nn.dropouts import (
    EmbeddingDropout,
    VariationalDropout,
    WeightDrop,
    dropping_mask,
)
from drivetrain.randomness import seeded
from drivetrain.reference import recurrent as twin


def layer(kind: str, p: float) -> WeightDrop:
    made: dict[str, nn.RNNBase] = {
        "lstm": nn.LSTM(5, 7, batch_first=True),
        "gru": nn.GRU(5, 7, batch_first=True),
        "rnn": nn.RNN(5, 7, batch_first=True),
        "rnn_relu": nn.RNN(5, 7, nonlinearity="relu", batch_first=True),
    }
    return WeightDrop(made[kind], p=p)


def call(dropout: nn.Module, x: Tensor, tokens: Tensor) -> Tensor:
    return dropout(x, tokens) if isinstance(dropout, EmbeddingDropout) else dropout(x)


@pytest.mark.row(56)
@pytest.mark.parametrize("make", [VariationalDropout, lambda p: EmbeddingDropout(9, p)])
def test_nothing_is_dropped_in_evaluation_or_at_zero(make: Any) -> None:
    x, tokens = torch.randn(3, 4, 5), torch.randint(9, (3, 4))
    assert torch.equal(call(make(0.9).eval(), x, tokens), x)
    assert torch.equal(call(make(0.0).train(), x, tokens), x)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.95), st.integers(0, 1000))
def test_a_feature_is_dropped_at_all_times_or_at_none(p: float, seed: int) -> None:
    x = torch.rand(4, 6, 32) + 0.5
    with seeded(seed, "test"):
        dropped = VariationalDropout(p).train()(x)
    share = dropped / x  # (B, T, E): 0, or what scales it up
    torch.testing.assert_close(share, share[:, :1].expand_as(share))
    kept = share[share > 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))


def test_variational_dropout_differs_between_sequences_and_keeps_the_mean() -> None:
    with seeded(0, "test"):
        dropped = VariationalDropout(0.3).train()(torch.ones(500, 2, 40))
    assert len({tuple(row) for row in dropped[:, 0].tolist()}) == 500
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.95), st.integers(0, 1000))
def test_a_word_is_dropped_wherever_it_stands_or_nowhere(p: float, seed: int) -> None:
    tokens = torch.randint(11, (5, 40), generator=torch.Generator().manual_seed(seed))
    vectors = torch.rand(11, 3) + 0.5
    with seeded(seed, "test"):
        dropped = EmbeddingDropout(11, p).train()(vectors[tokens], tokens)
    for word in tokens.unique().tolist():
        found = dropped[tokens == word].unique(dim=0)
        assert len(found) == 1
        if bool(found.any()):
            torch.testing.assert_close(found[0], vectors[word] / (1 - p))


def test_embedding_dropout_keeps_the_mean() -> None:
    tokens = torch.arange(20_000).view(100, 200)
    with seeded(0, "test"):
        dropped = EmbeddingDropout(20_000, 0.2).train()(torch.ones(100, 200, 1), tokens)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.row(56)
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn", "rnn_relu"])
def test_without_weight_drop_the_layer_is_torchs(kind: str) -> None:
    x = torch.randn(3, 4, 5)
    for dropping in (layer(kind, 0.0).train(), layer(kind, 0.9).eval()):
        found, expected = dropping(x), dropping.module(x)
        assert torch.equal(found[0], expected[0])


@pytest.mark.row(56)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn", "rnn_relu"])
def test_weight_drop_is_the_layer_with_one_mask_for_all_time(kind: str, with_state: bool) -> None:
    dropping = layer(kind, 0.4).train()
    x = torch.randn(3, 4, 5)
    parts = [torch.randn(3, 7) for _ in range(2 if kind == "lstm" else 1)]
    state = tuple(part.unsqueeze(0) for part in parts)
    given_state = (state if kind == "lstm" else state[0]) if with_state else None
    with seeded(3, "test"):
        outputs, after = dropping(x, given_state)
    module = dropping.module
    with seeded(3, "test"):
        masked = module.weight_hh_l0 * dropping_mask((module.weight_hh_l0.shape), 0.4, x)
    assert 0.2 < (masked == 0).float().mean() < 0.6
    weights = (module.weight_ih_l0, masked, module.bias_ih_l0, module.bias_hh_l0)
    by_hand, end = twin.unrolled(kind, x, [weights], [tuple(parts)] if with_state else None)
    torch.testing.assert_close(outputs, by_hand, atol=1e-6, rtol=1e-5)
    last = after[0] if isinstance(after, tuple) else after
    torch.testing.assert_close(last[0], end[0][0], atol=1e-6, rtol=1e-5)
    outputs.sum().backward()
    assert torch.count_nonzero(module.weight_hh_l0.grad[masked == 0]) == 0  # it learns nothing
    assert bool(module.weight_hh_l0.grad.any())


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.99), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_a_mask_drops_its_share_and_keeps_the_mean(p: float, dtype: torch.dtype) -> None:
    with seeded(0, "test"):
        mask = dropping_mask((400, 500), p, torch.zeros(1, dtype=dtype))
    assert mask.dtype == dtype
    assert (mask == 0).double().mean().item() == pytest.approx(p, abs=0.005)
    assert mask.max().item() == pytest.approx(1 / (1 - p), rel=0.01)


def test_the_parameters_of_weight_drop_are_the_layers_own() -> None:
    dropping = layer("lstm", 0.5)
    assert [name for name, _ in dropping.named_parameters()] == [
        f"module.{name}" for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    ]


@pytest.mark.parametrize("p", [-0.1, 1, 1.5, "0.1", True])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("VariationalDropout", VariationalDropout),
        ("EmbeddingDropout", lambda p: EmbeddingDropout(9, p)),
        ("WeightDrop", lambda p: layer("lstm", p)),
    ],
)
def test_a_wrong_share_is_answered(name: str, make: Any, p: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        make(p)
    assert str(caught.value) == f"`{name}` got p {p!r}, expected a share from 0 to below 1."


def test_what_weight_drop_cannot_call_is_answered() -> None:
    for module in (nn.LSTM(2, 3), nn.LSTM(2, 3, 2, batch_first=True), nn.Linear(2, 3)):
        with pytest.raises(ConfigError) as caught:
            WeightDrop(module)  # pyright: ignore[reportArgumentType]
        assert str(caught.value) == (
            f"`WeightDrop` got {module}, expected an `nn.LSTM`, `nn.GRU` or `nn.RNN` of one layer and "
            "one direction, with biases and `batch_first=True`."
        )
    with pytest.raises(ConfigError) as caught:
        WeightDrop(nn.GRU(2, 3, batch_first=True), ["weight_hh"])
    assert str(caught.value) == (
        "`WeightDrop` got the name 'weight_hh', expected some of weight_ih_l0, weight_hh_l0, "
        "bias_ih_l0, bias_hh_l0."
    )
