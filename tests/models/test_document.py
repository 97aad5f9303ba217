"""Documents in pieces: padding, batch mates and pieces change nothing; gradients reach so far."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.models.document import (
    DocumentClassifier,
    create_document_classifier,
    document_classifier_shapes,
    document_description,
)
from drivetrain.models.language import PRESETS
from drivetrain.reference.recurrent import concat_pool

WORDS = 20
every_preset = pytest.mark.parametrize("preset", PRESETS)


def classifier(
    preset: str, seq_len: int = 4, max_len: int = 8, **options: Any
) -> DocumentClassifier:
    sizes = {"embedding_dim": 16, "hidden_dim": 12}
    if preset == "decoder":
        sizes = {"embedding_dim": 16, "num_heads": 2, "num_layers": 2, "context": seq_len}
    description = document_description(
        preset, WORDS, 3, seq_len=seq_len, max_len=max_len, **{**sizes, **options}
    )
    return create_document_classifier(description, seed=0)


def documents(*lengths: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, WORDS, (len(lengths), max(lengths)), generator=generator)
    real = torch.tensor(lengths)
    return tokens.masked_fill(torch.arange(max(lengths)) >= real.unsqueeze(1), 0), real


lengths_of = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@pytest.mark.row(58)
@every_preset
@settings(max_examples=10, deadline=None)
@given(lengths=lengths_of, more=st.integers(1, 20))
def test_more_padding_changes_nothing(preset: str, lengths: list[int], more: int) -> None:
    model = classifier(preset).eval()
    tokens, real = documents(*lengths)
    padded = torch.cat([tokens, torch.randint(WORDS, (len(lengths), more))], dim=1)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            torch.testing.assert_close(model(padded, real), model(tokens, real), atol=1e-6, rtol=0)


@pytest.mark.row(58)
@every_preset
@settings(max_examples=10, deadline=None)
@given(lengths=lengths_of)
def test_a_document_scores_the_same_alone_and_in_any_batch(preset: str, lengths: list[int]) -> None:
    model = classifier(preset).eval()
    tokens, real = documents(*lengths)
    together = model(tokens, real)
    for row, length in enumerate(lengths):
        alone = model(tokens[row : row + 1, :length], real[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-6, rtol=0)


@pytest.mark.row(58)
@every_preset
@pytest.mark.parametrize(("seq_len", "max_len"), [(4, 8), (4, 4), (4, 400), (1, 3)])
def test_pieces_and_the_reach_of_gradients_never_change_scores(
    preset: str, seq_len: int, max_len: int
) -> None:
    tokens, real = documents(30, 17, 1, 12, 8, 4)
    model = classifier(preset, seq_len, max_len).eval()
    with torch.no_grad():
        pieces = model.features(tokens, real)
    torch.testing.assert_close(model.features(tokens, real), pieces, atol=1e-6, rtol=0)
    whole = model.encoder(tokens, real)
    torch.testing.assert_close(pieces, concat_pool(whole, real.tolist()), atol=1e-6, rtol=0)


def test_features_are_last_largest_and_mean_of_the_real_positions() -> None:
    model = classifier("lstm").eval()
    tokens, real = documents(6, 2)
    with torch.no_grad():
        outputs = model.encoder(tokens, real)
        features = model.features(tokens, real)
    row = outputs[1, :2]
    expected = torch.cat([row[1], torch.maximum(row[0], row[1]), (row[0] + row[1]) / 2])
    torch.testing.assert_close(features[1], expected)


@pytest.mark.row(144)
@every_preset
@pytest.mark.parametrize("length", [5, 8, 9, 12, 13, 30])
def test_gradients_reach_the_last_tokens_and_no_further(preset: str, length: int) -> None:
    """Each document has a vocabulary of its own, so that its words' gradients are its positions'."""
    model = classifier(preset, max_len=8).eval()
    model.encoder.embedding = torch.nn.Embedding(60, 16)
    lengths = torch.tensor([length, 3])
    tokens = torch.stack([torch.arange(30), 30 + torch.arange(30)])
    model(tokens, lengths).sum().backward()
    gradient = model.encoder.embedding.weight.grad
    assert gradient is not None
    moved = gradient.any(dim=1)
    begin = 0 if length <= 8 else -(-(length - 8) // 4) * 4
    assert length - 8 <= begin < length
    assert moved.nonzero().flatten().tolist() == [*range(begin, length), 30, 31, 32]


def test_a_document_of_no_tokens_is_read_as_one_of_padding() -> None:
    model = classifier("lstm").eval()
    tokens = torch.tensor([[3, 4], [0, 0]])
    with torch.no_grad():
        found = model(tokens, torch.tensor([2, 0]))
        assert torch.equal(found, model(tokens, torch.tensor([2, 1])))
    assert bool(found.isfinite().all())


def test_the_head_is_fastais() -> None:
    head: Any = classifier("awd_lstm", hidden=[50]).head
    batchnorm, dropout, hidden, relu, *last = head.layers
    assert (batchnorm.num_features, dropout.p) == (48, 0.4)
    assert (hidden.weight.shape, hidden.bias) == ((50, 48), None)
    assert isinstance(relu, torch.nn.ReLU)
    assert (last[0].num_features, last[1].p) == (50, 0.1)
    assert (last[2].weight.shape, last[2].bias) == ((3, 50), None)


def test_the_dropouts_of_awd_lstm_are_fastais_for_classifiers() -> None:
    found = document_description("awd_lstm", 100, 2, drop_mult=0.5)
    dropouts = {name: value for name, value in found["encoder"].items() if "dropout" in name}
    assert dropouts == {
        "embedding_dropout": 0.025,
        "input_dropout": 0.2,
        "weight_dropout": 0.25,
        "hidden_dropout": 0.15,
    }
    assert (found["dropout"], found["hidden_dropout"]) == (0.2, 0.1)
    assert (found["seq_len"], found["max_len"]) == (72, 1440)


@every_preset
def test_a_description_goes_through_json_to_the_same_model(preset: str) -> None:
    small = {"embedding_dim": 16} | ({} if preset == "decoder" else {"hidden_dim": 12})
    description = document_description(preset, WORDS, 3, **small)
    again = json.loads(json.dumps(description))
    assert again == description
    states = [create_document_classifier(d, seed=1).state_dict() for d in (description, again)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert document_classifier_shapes(description) == {
        name: (t.dtype, tuple(t.shape)) for name, t in states[0].items()
    }


def test_the_encoder_of_a_language_model_fits() -> None:
    from drivetrain.models.language import create_language_model, language_description

    sizes: dict[str, Any] = {"embedding_dim": 16, "hidden_dim": 12}
    language = create_language_model(language_description("awd_lstm", WORDS, **sizes), seed=3)
    model = classifier("awd_lstm")
    model.encoder.load_state_dict(language.encoder.state_dict())
    tokens = documents(9, 9)[0]
    expected = language.encoder.eval()(tokens)
    assert torch.equal(model.encoder.eval()(tokens), expected)


def test_one_number_a_document_is_squeezed() -> None:
    description = document_description("gru", WORDS, 1, squeeze=True, embedding_dim=16)
    model = create_document_classifier(description, seed=0).eval()
    assert model(*documents(4, 7)).shape == (2,)


@every_preset
def test_it_learns_which_documents_have_a_word(preset: str) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(2, WORDS, (96, 20), generator=generator)
    lengths = torch.randint(8, 21, (96,), generator=generator)
    targets = torch.arange(96) % 2
    tokens[targets == 1, 3] = 1
    tokens.masked_fill_(torch.arange(20) >= lengths.unsqueeze(1), 0)
    data = dt.TensorData(tokens, lengths, targets)
    learner = dt.Learner(
        classifier(preset, max_len=20, drop_mult=0.1),
        dt.Loaders(
            dt.BatchLoader(data, batch_size=16, shuffle=True), dt.BatchLoader(data, batch_size=32)
        ),
        "cross_entropy",
        metrics=["accuracy"],
        progress=False,
        num_threads=1,
    )
    learner.fit_one_cycle(8, 2e-2)
    assert learner.history[-1]["accuracy"] > 0.95


def test_layer_groups_cover_all_parameters() -> None:
    model = classifier("awd_lstm")
    groups = model.layer_groups()
    assert len(groups) == 5
    assert groups[-1] == [model.head]
    covered = [id(p) for group in groups for layer in group for p in layer.parameters()]
    assert sorted(covered) == sorted(id(p) for p in model.parameters())


# --- what is refused ------------------------------------------------------------------------------


GOOD = document_description("lstm", 10, 2)
NAMES = "encoder, num_outputs, hidden, dropout, hidden_dropout, seq_len, max_len, squeeze"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, f"A document classifier's description needs the entries {NAMES}."),
        (
            {"num_outputs": 0},
            "A document classifier got num_outputs 0, expected a whole number from 1 to 65536.",
        ),
        (
            {"max_len": 100},
            "`DocumentClassifier` got seq_len 72 and max_len 100, expected a `max_len` of one or more "
            "whole pieces of `seq_len` tokens.",
        ),
        ({"dropout": 1}, "A document classifier got dropout 1, expected 0 to below 1."),
        (
            {"hidden": [0]},
            "A document classifier got hidden [0], expected whole numbers, 1 or more.",
        ),
        (
            {"squeeze": True},
            "A document classifier's `squeeze` is for one output. Got another number of them.",
        ),
    ],
)
def test_a_wrong_description_is_answered(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_document_classifier(GOOD | change)
    assert str(caught.value) == message


def test_pieces_of_a_decoder_are_its_context() -> None:
    with pytest.raises(ConfigError) as caught:
        document_description("decoder", 10, 2, seq_len=64, max_len=128)
    assert str(caught.value) == (
        "`DocumentClassifier` got seq_len 64 for a `DecoderEncoder` that looks at 256 tokens together, "
        "expected pieces of as many."
    )
