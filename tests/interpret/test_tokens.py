"""Attributions of tokens: exact where there is a closed form, complete, and the model stays as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from drivetrain.errors import ConfigError, ShapeError, UnknownNameError
from drivetrain.interpret.token_question import find_embedding
from drivetrain.interpret.tokens import (
    gradient_times_input,
    integrated_gradients,
    leave_one_out,
    occlusion,
)
from drivetrain.models.document import (
    DocumentClassifier,
    create_document_classifier,
    document_description,
)
from drivetrain.models.language import LanguageModel
from drivetrain.models.recurrent import RecurrentEncoder
from drivetrain.randomness import seeded

WAYS = (integrated_gradients, gradient_times_input, occlusion, leave_one_out)


class Bag(nn.Module):
    """The sum of the real words' vectors, and what is made of it."""

    def __init__(self, words=20, features=4, outputs=1, after=None):
        super().__init__()
        self.embedding = nn.Embedding(words, features, dtype=torch.float64)
        self.linear = nn.Linear(features, outputs, dtype=torch.float64)
        self.after = after or (lambda x: x)

    def forward(self, tokens, lengths):
        real = torch.arange(tokens.shape[1]) < lengths.unsqueeze(1)
        total = (self.embedding(tokens) * real.unsqueeze(2)).sum(dim=1)
        return self.after(self.linear(total))


def bag(seed=0, **options):
    with seeded(seed, "bag"):
        return Bag(**options)


def classifier(kind="lstm", *, encoder=None, seq_len=4, max_len=400):
    with seeded(0, "classifier"):
        encoder = encoder or RecurrentEncoder(30, 8, 8, 1, kind=kind)
        return DocumentClassifier(encoder, nn.Linear(24, 3), seq_len=seq_len, max_len=max_len)


TOKENS = torch.tensor([[3, 5, 7, 5, 2], [4, 8, 1, 1, 1]])
LENGTHS = torch.tensor([5, 2])


@pytest.mark.parametrize("way", WAYS)
@given(texts=st.lists(st.lists(st.integers(0, 19), min_size=1, max_size=7), min_size=1, max_size=4))
@settings(max_examples=10, deadline=None)
def test_of_a_linear_model_each_word_adds_its_weight_whichever_way_is_taken(way, texts):
    model = bag()
    lengths = torch.tensor([len(one) for one in texts])
    if way is leave_one_out and int(lengths.min()) == 1:
        return  # it keeps the only token of a text
    tokens = torch.zeros(len(texts), int(lengths.max()), dtype=torch.int64)
    for row, one in zip(tokens, texts, strict=True):
        row[: len(one)] = torch.tensor(one)
    found = way(model, tokens, lengths)
    weights = (model.embedding.weight @ model.linear.weight[0]).detach().numpy()  # of each word
    for b, one in enumerate(texts):
        np.testing.assert_allclose(found.of(b), weights[one], atol=1e-9)
        assert (found.values[b, len(one) :] == 0).all()
    np.testing.assert_allclose(found.baseline_scores, model.linear.bias[0].item(), atol=1e-12)
    assert found.are_complete.all() and np.abs(found.gaps).max() < 1e-8


def test_of_a_square_the_integral_is_the_closed_form_and_the_gradient_is_not():
    # f = s², s the sum of a_i: the path s(t) = t s, so the part of i is 2 a_i s ∫ t dt = a_i s.
    model = bag(after=lambda x: x**2)
    with torch.no_grad():
        model.linear.bias.zero_()
    parts = (model.embedding.weight @ model.linear.weight[0])[TOKENS[0]].detach().numpy()
    found = integrated_gradients(model, TOKENS[:1], LENGTHS[:1], steps=2)
    np.testing.assert_allclose(found.of(0), parts * parts.sum(), rtol=1e-9)
    simple = gradient_times_input(model, TOKENS[:1], LENGTHS[:1])
    np.testing.assert_allclose(simple.of(0), 2 * parts * parts.sum(), rtol=1e-9)
    assert found.shares[0] < 1e-9 and simple.shares[0] == pytest.approx(0.5, abs=0.25)


def test_of_a_product_of_two_words_each_has_half():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding.from_pretrained(torch.tensor([[2.0], [3.0]]).double())

        def forward(self, tokens, lengths):
            return self.embedding(tokens)[..., 0].prod(dim=1)

    tokens, lengths = torch.tensor([[0, 1]]), torch.tensor([2])
    found = integrated_gradients(Product(), tokens, lengths)
    np.testing.assert_allclose(found.of(0), [3, 3])
    np.testing.assert_allclose(occlusion(Product(), tokens, lengths).of(0), [6, 6])


def test_saturated_score_is_shared_out_where_its_gradient_is_nothing():
    model = bag(after=lambda x: torch.tanh(60 * x))
    found = integrated_gradients(model, TOKENS, LENGTHS, max_steps=512)
    assert found.are_complete.all()
    np.testing.assert_allclose(
        found.values.sum(1), np.subtract(found.scores, found.baseline_scores), atol=0.05
    )
    assert np.abs(gradient_times_input(model, TOKENS, LENGTHS).values).max() < 1e-6


def test_steps_are_raised_only_for_texts_that_need_it_and_the_gap_is_said():
    model = bag(after=lambda x: torch.tanh(40 * x))
    flat = torch.zeros(1, 5, dtype=torch.int64)  # a text of one word of no weight
    with torch.no_grad():
        model.embedding.weight[0] = 0
    tokens = torch.cat([TOKENS[:1], flat])
    found = integrated_gradients(model, tokens, torch.tensor([5, 5]), steps=2, tolerance=0.001)
    assert found.steps[0] > 2 and found.steps[1] == 2
    short = integrated_gradients(
        model, tokens, torch.tensor([5, 5]), steps=2, max_steps=2, tolerance=0.001
    )
    assert short.steps == (2, 2) and not short.are_complete[0]
    assert short.shares[0] > found.shares[0]
    assert json.loads(json.dumps(short.to_json()))["texts"][0]["gap_share"] == short.shares[0]
    assert f"{short.shares[0]:.1%}" in str(short)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_recurrent_classifiers_in_pieces_are_complete_and_padding_changes_nothing(kind):
    model = classifier(kind)
    both = integrated_gradients(model, TOKENS, LENGTHS, target=[0, 2])
    alone = integrated_gradients(model, TOKENS[1:, :2], LENGTHS[1:], target=2)
    assert both.are_complete.all()
    np.testing.assert_allclose(both.of(1), alone.of(0), rtol=1e-4, atol=1e-6)
    assert (both.values[1, 2:] == 0).all()
    logits = model.eval()(TOKENS, LENGTHS).double()
    odds = torch.logit(logits.softmax(1))[[0, 1], [0, 2]].detach().numpy()
    np.testing.assert_allclose(both.scores, odds, rtol=1e-5)


def test_presets_are_asked_as_they_are_made():
    small = {"awd_lstm": {"hidden_dim": 24}, "decoder": {"num_heads": 2, "context": 8}}
    for preset, sizes in small.items():
        description = document_description(
            preset, 50, 2, hidden=(8,), embedding_dim=16, num_layers=2, **sizes
        )
        model = create_document_classifier(description, seed=0)
        tokens = torch.arange(10, 34).view(2, 12)
        found = integrated_gradients(model, tokens, torch.tensor([12, 7]))
        assert found.are_complete.all(), preset
        assert (found.values[0] != 0).all() and (found.values[1, 7:] == 0).all()


def test_batches_of_any_size_give_the_same():
    model = classifier()
    whole = integrated_gradients(model, TOKENS, LENGTHS)
    single = integrated_gradients(model, TOKENS, LENGTHS, batch_tokens=1)
    np.testing.assert_allclose(whole.values, single.values, rtol=1e-4, atol=1e-7)


def test_occlusion_and_leaving_out_are_the_model_asked_again():
    model = classifier().eval()
    found = leave_one_out(model, TOKENS, LENGTHS, target=1, score="output")
    with torch.no_grad():
        plain = model(TOKENS, LENGTHS)[0, 1]
        for place in range(5):
            rest = torch.cat([TOKENS[:1, :place], TOKENS[:1, place + 1 :]], dim=1)
            left = model(rest, torch.tensor([4]))[0, 1]
            assert found.values[0, place] == pytest.approx(float(plain - left), abs=1e-6)
        padded = occlusion(model, TOKENS, LENGTHS, target=1, score="output", baseline=9)
        for place in range(5):
            other = TOKENS[:1].clone()
            other[0, place] = 9
            left = model(other, LENGTHS[:1])[0, 1]
            assert padded.values[0, place] == pytest.approx(float(plain - left), abs=1e-6)


def test_baselines_and_what_is_kept():
    model = bag()
    weight = model.embedding.weight.detach()
    line = model.linear.weight[0].detach()
    keep = torch.tensor([[True, False, False, False, False]])
    for baseline, vector in (
        ("mean", weight.mean(0)),
        (6, weight[6]),
        (torch.ones(4).double(), torch.ones(4).double()),
    ):
        found = integrated_gradients(model, TOKENS[:1], LENGTHS[:1], baseline=baseline, keep=keep)
        expected = ((weight[TOKENS[0]] - vector) @ line).numpy()
        assert found.values[0, 0] == 0
        np.testing.assert_allclose(found.values[0, 1:], expected[1:], atol=1e-9)


def test_nothing_of_the_model_is_changed():
    model = classifier()
    model.train()
    model.head.eval()
    model.encoder.embedding.weight.requires_grad_(False)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    model.encoder.state = [torch.ones(1, 2, 8), torch.ones(1, 2, 8)]
    carried = model.encoder.state
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    draws = torch.get_rng_state()
    for way in WAYS:
        way(model, TOKENS, LENGTHS)
    with pytest.raises(ConfigError):
        integrated_gradients(model, TOKENS, LENGTHS, baseline=99)
    assert [module.training for module in model.modules()] == modes
    assert not model.encoder.embedding.weight.requires_grad and model.head.weight.requires_grad
    assert torch.equal(model.head.weight.grad, torch.ones_like(model.head.weight))
    assert all(p.grad is None for n, p in model.named_parameters() if n != "head.weight")
    assert model.encoder.state is carried
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), draws)


def test_it_works_in_inference_mode_and_where_gradients_are_off():
    model = classifier()
    expected = integrated_gradients(model, TOKENS, LENGTHS).values
    with torch.no_grad():
        np.testing.assert_array_equal(integrated_gradients(model, TOKENS, LENGTHS).values, expected)
    with torch.inference_mode():
        tokens = TOKENS.clone()
        found = integrated_gradients(model, tokens, LENGTHS.clone())
    np.testing.assert_array_equal(found.values, expected)


def test_next_word_of_a_language_model_with_tied_weights_whatever_it_read_before():
    with seeded(0, "language"):
        model = LanguageModel(RecurrentEncoder(30, 8, 8, 1), 30)
    first = integrated_gradients(model, TOKENS[:1], target=4)
    model.eval()
    model(TOKENS)  # goes on from here
    again = integrated_gradients(model, TOKENS[:1], target=4)
    np.testing.assert_array_equal(first.values, again.values)
    assert first.are_complete.all()
    model.reset()
    logits = model(TOKENS[:1])[0, -1]
    assert first.scores[0] == pytest.approx(torch.logit(logits.softmax(0))[4].item(), abs=1e-4)


class Encoder(nn.Module):
    """As transformers write them: three embeddings are added, a mask is made of ids."""

    def __init__(self, pad=0):
        super().__init__()
        self.positions = nn.Embedding(40, 8)
        self.kinds = nn.Embedding(2, 8)
        self.words = nn.Embedding(40, 8)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.5)
        self.head = nn.Linear(8, 2)
        self.pad = pad

    def forward(self, tokens):
        mask = tokens == self.pad
        places = torch.arange(tokens.shape[1]).expand_as(tokens)
        x = self.words(tokens) + self.positions(places) + self.kinds(torch.zeros_like(tokens))
        return self.head(self.attention(x, src_key_padding_mask=mask)[:, 0])


def test_of_several_embeddings_the_one_that_tokens_enter_is_found_and_masks_by_id_hold():
    with seeded(0, "encoder"):
        model = Encoder()
    tokens = torch.tensor([[2, 9, 5, 6], [2, 7, 0, 0]])
    assert find_embedding(model, tokens, lambda: model(tokens)) is model.words
    found = integrated_gradients(
        model, tokens, torch.tensor([4, 2]), call=lambda tokens, lengths: model(tokens)
    )
    assert found.are_complete.all() and (found.values[1, 2:] == 0).all()
    named = integrated_gradients(model, tokens[:1], embedding="words")
    np.testing.assert_allclose(named.values[0], found.values[0], atol=1e-6)
    with pytest.raises(UnknownNameError, match=r"Unknown embedding of the model 'word'\."):
        integrated_gradients(model, tokens, embedding="word")


def test_ids_of_kept_tokens_stay_so_that_a_model_may_tell_two_texts_apart_by_them():
    class Pairs(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.kinds = nn.Embedding(20, 4), nn.Embedding(2, 4)

        def forward(self, tokens, lengths):
            ends = (tokens == 3).cumsum(1).clamp(max=1)
            return (self.words(tokens) + self.kinds(ends)).prod(dim=1).sum(dim=1)

    with seeded(0, "pairs"):
        model = Pairs()
    tokens, lengths = torch.tensor([[5, 6, 3, 7, 3]]), torch.tensor([5])
    found = integrated_gradients(
        model, tokens, lengths, keep=tokens == 3, embedding="words", max_steps=64
    )
    assert found.are_complete.all() and (found.values[0, [2, 4]] == 0).all()
    with pytest.raises(ConfigError, match="looks at ids elsewhere"):
        integrated_gradients(model, tokens, lengths, embedding="words")


@pytest.mark.slow  # imports transformers
def test_transformers_classifiers_are_asked_by_their_own_embedding():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=16, num_labels=3,
    )  # fmt: skip
    with seeded(0, "bert"):
        model = transformers.BertForSequenceClassification(config)
    assert find_embedding(model) is model.bert.embeddings.word_embeddings

    def call(tokens, lengths):
        mask = torch.arange(tokens.shape[1]) < lengths.unsqueeze(1)
        return model(input_ids=tokens, attention_mask=mask.long())

    tokens = torch.tensor([[2, 9, 5, 3], [2, 7, 3, 0]])
    keep = (tokens == 2) | (tokens == 3)
    found = integrated_gradients(model, tokens, torch.tensor([4, 3]), keep=keep, call=call)
    assert found.are_complete.all()
    assert (found.values[keep.numpy()] == 0).all() and (found.values[0, 1:3] != 0).all()


def test_wrong_questions_are_answered_with_what_to_do():
    model = classifier()
    with pytest.raises(ShapeError, match=r"`tokens` must be \(B, T\) int64 with B and T above 0\."):
        integrated_gradients(model, TOKENS[0], LENGTHS)
    with pytest.raises(ShapeError, match=r"`lengths` must be \(2,\), each from 0 to 5\."):
        integrated_gradients(model, TOKENS, torch.tensor([5, 6]))
    with pytest.raises(ShapeError, match=r"`keep` must be \(2, 5\) bool\."):
        integrated_gradients(model, TOKENS, LENGTHS, keep=TOKENS)
    with pytest.raises(
        ConfigError, match=r"`target` must be a class from 0 to 2, one or 2 of them\."
    ):
        integrated_gradients(model, TOKENS, LENGTHS, target=3)
    with pytest.raises(ConfigError, match=r"The model has one output: leave `target` out"):
        integrated_gradients(bag(), TOKENS, LENGTHS, target=0)
    with pytest.raises(UnknownNameError, match="Unknown score 'odds'"):
        integrated_gradients(model, TOKENS, LENGTHS, score="odds")
    with pytest.raises(ConfigError, match="`integrated_gradients` needs `steps` from 1"):
        integrated_gradients(model, TOKENS, LENGTHS, steps=0)
    with pytest.raises(
        ConfigError, match=r"in float32\. Got torch\.bfloat16: call `model\.float\(\)`"
    ):
        integrated_gradients(classifier().bfloat16(), TOKENS, LENGTHS)
    with pytest.raises(
        ConfigError, match=r"`Linear` has no `nn\.Embedding` that tokens could enter\."
    ):
        find_embedding(nn.Linear(2, 2))
    with pytest.raises(
        ConfigError, match="several layers that tokens may enter: positions, kinds, words"
    ):
        find_embedding(Encoder())


def test_model_that_looks_at_ids_elsewhere_is_refused_and_not_answered_wrongly():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(30, 4)
            self.biases = nn.Parameter(torch.arange(30.0))

        def forward(self, tokens, lengths):
            return self.words(tokens).sum((1, 2)) + self.biases[tokens % 30].sum(1)

    class Counts(Twice):
        def forward(self, tokens, lengths):
            return self.words(tokens).sum((1, 2)) + self.biases[tokens].sum(1)

    for model in (Twice(), Counts()):
        with pytest.raises(ConfigError, match="looks at ids elsewhere than in that embedding"):
            integrated_gradients(model, TOKENS + 3, LENGTHS)
