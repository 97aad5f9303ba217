"""Recurrent encoders: state that is carried, dropouts that can be switched, layers as torch's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.models.recurrent import KINDS, RecurrentEncoder
from drivetrain.randomness import seeded
from drivetrain.reference import recurrent as twin

DROPOUTS = ("embedding_dropout", "input_dropout", "weight_dropout", "hidden_dropout")
WORDS = 20


def encoder(kind: str = "lstm", layers: int = 2, **dropouts: float) -> RecurrentEncoder:
    with seeded(0, "test"):
        return RecurrentEncoder(WORDS, 6, 8, layers, kind=kind, **dropouts)


def text(rows: int = 3, time: int = 12, seed: int = 0) -> Tensor:
    return torch.randint(WORDS, (rows, time), generator=torch.Generator().manual_seed(seed))


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@pytest.mark.parametrize("layers", [1, 3])
def test_it_equals_its_twin(kind: str, layers: int) -> None:
    model = encoder(kind, layers).eval()
    tokens = text()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights: Any = [tuple(getattr(layer.module, n) for n in names) for layer in model.layers]
    by_hand, _ = twin.unrolled(kind, model.embedding.weight[tokens], weights)
    torch.testing.assert_close(model(tokens), by_hand, atol=1e-6, rtol=1e-5)


def test_its_vectors_begin_uniform_within_a_tenth_and_its_layers_as_torchs() -> None:
    with seeded(0, "test"):
        model = RecurrentEncoder(5000, 40, 64, 2)
    vectors = model.embedding.weight.detach()
    assert 0.0995 < vectors.abs().max() <= 0.1
    assert vectors.std().item() == pytest.approx(0.2 / 12**0.5, rel=0.02)
    assert [tuple(layer.module.weight_hh_l0.shape) for layer in model.layers] == [
        (4 * 64, 64),
        (4 * 40, 40),
    ]


@pytest.mark.row(55)
@every_kind
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_batches_that_go_on_equal_one_long_pass(kind: str, cuts: list[int]) -> None:
    model = encoder(kind).eval()
    tokens = text(time=sum(cuts))
    whole = model(tokens)
    model.reset()
    pieces = torch.cat([model(piece) for piece in tokens.split(cuts, dim=1)], dim=1)
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=0)


@pytest.mark.row(144)
@every_kind
def test_what_is_carried_is_detached(kind: str) -> None:
    model = encoder(kind).train()
    first, second = text(seed=1), text(seed=2)
    model(first)
    assert model.state
    assert all(not part.requires_grad and part.grad_fn is None for part in model.state)
    used = set(second.flatten().tolist())
    model(second).sum().backward()
    gradient = model.embedding.weight.grad
    assert gradient is not None
    moved = {word for word in range(WORDS) if bool(gradient[word].any())}
    assert moved <= used  # the words of the first batch get nothing from the second


@every_kind
def test_a_text_begins_at_reset_and_at_each_change_of_mode(kind: str) -> None:
    model = encoder(kind).eval()
    tokens = text()
    first = model(tokens)
    assert not torch.equal(model(tokens), first)
    for begin in (model.reset, model.eval, model.train):
        begin()
        assert model.state == []
        assert torch.equal(model(tokens), first)


def test_a_mode_entered_from_above_begins_a_text_too() -> None:
    whole = nn.Sequential(encoder())
    whole(text())
    whole.eval()
    assert whole[0].state == []


def test_a_batch_with_other_rows_begins_a_text() -> None:
    model = encoder().eval()
    model(text(rows=3))
    tokens = text(rows=2)
    found = model(tokens)
    model.reset()
    assert torch.equal(found, model(tokens))


@every_kind
def test_documents_begin_at_zero_and_carry_nothing(kind: str) -> None:
    model = encoder(kind).eval()
    tokens, lengths = text(), torch.tensor([12, 4, 1])
    fresh = model(tokens)
    carried = [part.clone() for part in model.state]
    found = model(tokens, lengths)
    assert torch.equal(found, fresh)
    assert all(torch.equal(a, b) for a, b in zip(model.state, carried, strict=True))
    other = tokens.clone()
    other[1, 4:] = 0
    assert torch.equal(model(other, lengths)[1, :4], found[1, :4])


@pytest.mark.row(56)
@every_kind
def test_with_all_dropouts_at_zero_training_is_evaluation(kind: str) -> None:
    model = encoder(kind)
    tokens = text()
    trained = model.train()(tokens)
    assert torch.equal(model.eval()(tokens), trained)


@pytest.mark.row(56)
@pytest.mark.parametrize("name", DROPOUTS)
@every_kind
def test_each_dropout_alone_changes_training_and_not_evaluation(kind: str, name: str) -> None:
    model, plain = encoder(kind, **{name: 0.5}), encoder(kind)
    tokens = text()
    assert torch.equal(model.eval()(tokens), plain.eval()(tokens))
    with seeded(1, "test"):
        first = model.train()(tokens)
    with seeded(2, "test"):
        second = model.train()(tokens)
    with seeded(1, "test"):
        again = model.train()(tokens)
    assert not torch.equal(first, second)
    assert torch.equal(first, again)


def test_a_state_from_inference_can_be_trained_on() -> None:
    model = encoder().eval()
    with torch.inference_mode():
        model(text())
    model(text()).sum().backward()
    assert model.embedding.weight.grad is not None


def test_the_state_is_no_part_of_the_state_dict_and_copies() -> None:
    model = encoder()
    model(text())
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    assert list(model.state_dict()) == [
        "embedding.weight",
        *(f"layers.{layer}.module.{name}" for layer in range(2) for name in names),
    ]
    copied = copy.deepcopy(model)
    assert torch.equal(copied(text()), model(text()))


def test_its_groups_are_the_vectors_and_each_layer() -> None:
    model = encoder(layers=3)
    groups = model.layer_groups()
    assert [group[0] for group in groups] == [model.embedding, *model.layers]
    covered = {id(p) for group in groups for layer in group for p in layer.parameters()}
    assert covered == {id(p) for p in model.parameters()}


@pytest.mark.parametrize("name", ["vocab_size", "embedding_dim", "hidden_dim", "num_layers"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_a_wrong_size_is_answered(name: str, value: Any) -> None:
    sizes = {"vocab_size": 5, "embedding_dim": 4, "hidden_dim": 4, "num_layers": 1} | {name: value}
    with pytest.raises(ConfigError) as caught:
        RecurrentEncoder(**sizes)
    assert str(caught.value) == (
        f"`RecurrentEncoder` got {name} {value!r}, expected a whole number, 1 or more."
    )


def test_an_unknown_kind_is_answered() -> None:
    with pytest.raises(UnknownNameError) as caught:
        RecurrentEncoder(5, 4, 4, 1, kind="ltsm")
    assert str(caught.value) == (
        "Unknown kind of recurrent layer 'ltsm'. Did you mean 'lstm'? Known: gru, lstm, rnn, rnn_relu."
    )
