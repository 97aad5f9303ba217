"""Language models: scores of the next word, tied weights, descriptions, learning."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import drivetrain as dt
from drivetrain.data.stream import StreamLoader
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.losses import cross_entropy, token_cross_entropy
from drivetrain.metrics import metric
from drivetrain.models.language import (
    PRESETS,
    LanguageModel,
    create_language_model,
    language_description,
    language_model_shapes,
)
from drivetrain.optim import param_groups

WORDS = 20
SMALL: dict[str, dict[str, int]] = {
    preset: {"embedding_dim": 16, "num_heads": 2, "context": 32, "num_layers": 2}
    if preset == "decoder"
    else {"embedding_dim": 16, "hidden_dim": 24}
    for preset in PRESETS
}
every_preset = pytest.mark.parametrize("preset", PRESETS)


def small(preset: str, words: int = WORDS, seed: int = 0, **options: Any) -> LanguageModel:
    description = language_description(preset, words, **{**SMALL[preset], **options})
    return create_language_model(description, seed=seed)


def text(rows: int = 3, time: int = 12, seed: int = 0) -> Tensor:
    return torch.randint(WORDS, (rows, time), generator=torch.Generator().manual_seed(seed))


@every_preset
def test_scores_have_the_words_second_as_losses_and_metrics_want_them(preset: str) -> None:
    model = small(preset).eval()
    tokens = text()
    scores = model.scores(tokens)
    model.reset()
    assert scores.shape == (3, 12, WORDS)
    assert torch.equal(model(tokens), scores.transpose(1, 2))
    loss = token_cross_entropy(scores.transpose(1, 2), tokens)
    torch.testing.assert_close(loss, cross_entropy(scores.flatten(0, 1), tokens.flatten()))


@pytest.mark.row(143)
@every_preset
def test_tied_weights_are_one_parameter(preset: str) -> None:
    tied, apart = small(preset), small(preset, tie_weights=False)
    shared = [p for p in tied.parameters() if p.shape == (WORDS, 16)]
    assert [id(p) for p in shared] == [id(tied.encoder.embedding.weight)]
    assert len([p for p in apart.parameters() if p.shape == (WORDS, 16)]) == 2
    assert apart.head.weight.abs().max() <= 0.1
    assert len(tied.state_dict()) == len({t.data_ptr() for t in tied.state_dict().values()})
    # Both uses of the matrix give it gradient: words that are only scored move too.
    tokens = torch.zeros(1, 2, dtype=torch.int64)
    token_cross_entropy(tied(tokens), tokens).backward()
    gradient = tied.encoder.embedding.weight.grad
    assert gradient is not None
    assert bool(gradient.any(dim=1).all())


@pytest.mark.row(56)
@every_preset
def test_all_five_dropouts_at_zero_make_training_evaluation(preset: str) -> None:
    model = small(preset, drop_mult=0.0)
    trained = model.train()(text())
    assert torch.equal(model.eval()(text()), trained)
    dropping = small(preset)
    assert torch.equal(dropping.eval()(text()), trained)
    if PRESETS[preset]["output_dropout"]:
        assert not torch.equal(dropping.train()(text()), trained)


@pytest.mark.row(56)
def test_the_dropouts_of_awd_lstm_are_fastais_times_drop_mult() -> None:
    found = language_description("awd_lstm", 100, drop_mult=0.5, hidden_dropout=0.3)
    assert found == {
        "encoder": {
            "kind": "lstm",
            "vocab_size": 100,
            "embedding_dim": 400,
            "hidden_dim": 1152,
            "num_layers": 3,
            "embedding_dropout": 0.01,
            "input_dropout": 0.125,
            "weight_dropout": 0.1,
            "hidden_dropout": 0.3,
            "initial_range": PRESETS["awd_lstm"]["initial_range"],
        },
        "tie_weights": True,
        "output_dropout": 0.05,
    }


@every_preset
def test_a_description_goes_through_json_to_the_same_model(preset: str) -> None:
    description = language_description(preset, WORDS, **SMALL[preset])
    again = json.loads(json.dumps(description))
    assert again == description
    models = [create_language_model(d, seed=seed) for d, seed in ((description, 5), (again, 5))]
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    other = create_language_model(description, seed=6).state_dict()
    assert not torch.equal(other["encoder.embedding.weight"], states[0]["encoder.embedding.weight"])
    shapes = language_model_shapes(description)
    assert shapes == {name: (t.dtype, tuple(t.shape)) for name, t in states[0].items()}


@every_preset
def test_the_words_vectors_begin_in_the_range_of_the_description(preset: str) -> None:
    widest = PRESETS[preset]["initial_range"]
    usual = small(preset, words=200).state_dict()
    wide = small(preset, words=200, initial_range=4.0).state_dict()
    name = "encoder.embedding.weight"
    for state, largest in ((usual, widest), (wide, 4.0)):
        assert 0.99 * largest < state[name].abs().max() <= largest
        assert abs(state[name].mean()) < 0.05 * largest
    assert all(torch.equal(usual[other], wide[other]) for other in usual if other != name)


@every_preset
def test_a_description_without_a_range_has_what_there_was_before_there_was_one(preset: str) -> None:
    description = language_description(preset, WORDS, **SMALL[preset])
    older = {key: v for key, v in description["encoder"].items() if key != "initial_range"}
    found = create_language_model({**description, "encoder": older}, seed=3).state_dict()
    same = create_language_model(
        {**description, "encoder": {**older, "initial_range": 0.1}}, seed=3
    ).state_dict()
    assert all(torch.equal(found[name], same[name]) for name in found)
    assert found["encoder.embedding.weight"].abs().max() <= 0.1
    assert language_model_shapes({**description, "encoder": older}) == language_model_shapes(
        description
    )


def test_making_a_model_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    small("lstm")
    assert torch.equal(torch.get_rng_state(), before)


@every_preset
def test_layer_groups_cover_all_parameters_once(preset: str) -> None:
    for model in (small(preset), small(preset, tie_weights=False)):
        found = [
            id(parameter)
            for group in model.layer_groups()
            for layer in group
            for parameter in layer.parameters()
        ]
        assert sorted(found) == sorted(id(p) for p in model.parameters())


def test_tied_vectors_are_in_the_group_of_the_head() -> None:
    model = small("lstm")
    assert model.layer_groups()[-1] == [model.encoder.embedding, model.head]
    apart = small("lstm", tie_weights=False)
    assert apart.layer_groups()[0] == [apart.encoder.embedding]
    assert apart.layer_groups()[-1] == [apart.head]


def test_biases_are_not_decayed() -> None:
    model = small("awd_lstm", tie_weights=False)
    groups = param_groups(model.layer_groups(), lrs=[1e-3] * 5, weight_decay=0.1)
    kept = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    assert kept == {id(p) for name, p in model.named_parameters() if "bias" in name}


def test_outputs_are_kept_only_when_asked_for() -> None:
    model = small("awd_lstm").train()
    model(text())
    assert model.raw_output is None
    model.keeps_outputs = True
    model(text())
    assert model.raw_output is not None
    assert model.dropped_output is not None
    assert model.raw_output.shape == model.dropped_output.shape == (3, 12, 16)
    assert not torch.equal(model.raw_output, model.dropped_output)
    model.keeps_outputs, model.raw_output, model.dropped_output = False, None, None
    copy.deepcopy(model)


def counting(count: int = 3000) -> TokenArray:
    """0 1 2 … 9 0 1 …, with a 10 after each nine: the next token is certain."""
    return TokenArray.from_lists([np.arange(count) % 11])


@every_preset
def test_it_learns_to_count(preset: str) -> None:
    loaders = dt.Loaders(
        StreamLoader(counting(), batch_size=8, seq_len=16),
        StreamLoader(counting(500), batch_size=4, seq_len=16),
    )
    learner = dt.Learner(
        small(preset, words=11, drop_mult=0.1),
        loaders,
        "token_cross_entropy",
        metrics=["accuracy", "perplexity"],
        progress=False,
        num_threads=1,
    )
    learner.fit_one_cycle(6, 2e-2)
    row = learner.history[-1]
    assert row["accuracy"] > 0.95
    assert row["perplexity"] == pytest.approx(math.exp(row["valid_loss"]), rel=0.01)


def test_perplexity_and_accuracy_count_tokens() -> None:
    logits, targets = torch.randn(4, 7, 30).transpose(1, 2), torch.randint(30, (4, 7))
    perplexity, accuracy = metric("perplexity"), metric("accuracy")
    for found in (perplexity, accuracy):
        found.update(logits[:3], targets[:3])
        found.update(logits[3:], targets[3:])
    loss = token_cross_entropy(logits, targets)
    assert perplexity.compute() == pytest.approx(loss.exp().item(), rel=1e-5)
    assert accuracy.compute() == pytest.approx((logits.argmax(1) == targets).double().mean().item())


# --- descriptions that are wrong ------------------------------------------------------------------


def test_an_unknown_preset_or_setting_is_answered() -> None:
    with pytest.raises(UnknownNameError) as caught:
        language_description("awd_ltsm", 10)
    assert str(caught.value) == (
        "Unknown preset of a language model 'awd_ltsm'. Did you mean 'awd_lstm'? "
        "Known: awd_lstm, decoder, gru, lstm, rnn."
    )
    with pytest.raises(
        UnknownNameError, match=r"^Unknown setting of 'lstm' 'hidden'\. Did you mean"
    ):
        language_description("lstm", 10, hidden=5)


GOOD = language_description("lstm", 10)
ENCODER = GOOD["encoder"]
RECURRENT = (
    "kind, vocab_size, embedding_dim, hidden_dim, num_layers, embedding_dropout, input_dropout, "
    "weight_dropout, hidden_dropout"
)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (
            [],
            "A language model's description needs the entries encoder, tie_weights, output_dropout.",
        ),
        (
            GOOD | {"more": 1},
            "A language model's description needs the entries encoder, tie_weights, output_dropout.",
        ),
        (GOOD | {"tie_weights": 1}, "A language model's `tie_weights` is true or false."),
        (
            GOOD | {"output_dropout": 1.0},
            "A language model got output_dropout 1.0, expected 0 to below 1.",
        ),
        (
            GOOD | {"encoder": {**ENCODER, "kind": "os.system"}},
            "A text encoder's description needs a `kind` of lstm, gru, rnn, rnn_relu, decoder. "
            "Got os.system.",
        ),
        (
            GOOD | {"encoder": {"kind": "gru"}},
            f"The description of a text encoder of kind gru needs the entries {RECURRENT}.",
        ),
        (
            GOOD | {"encoder": {**ENCODER, "num_layers": 10**9}},
            "A text encoder got num_layers 1000000000, expected a whole number from 1 to 128.",
        ),
        (
            GOOD | {"encoder": {**ENCODER, "vocab_size": True}},
            "A text encoder got vocab_size True, expected a whole number from 1 to 10000000.",
        ),
        (
            GOOD | {"encoder": {**ENCODER, "input_dropout": "much"}},
            "A text encoder got input_dropout much, expected 0 to below 1.",
        ),
        *[
            (
                GOOD | {"encoder": {**ENCODER, "initial_range": wrong}},
                f"A text encoder got initial_range {wrong}, expected a number above 0, 100 at most.",
            )
            for wrong in (0, -0.1, True, "0.1", 101, math.nan, math.inf)
        ],
    ],
)
def test_a_wrong_description_is_answered(description: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_language_model(description)
    assert str(caught.value) == message
