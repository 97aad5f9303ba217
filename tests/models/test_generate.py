"""Writing: argmax at temperature 0, the distribution at 1, cut by top-k and top-p, seeded."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.errors import ConfigError
from drivetrain.models.generate import generate, pick
from drivetrain.models.language import PRESETS, LanguageModel
from tests.models.test_language import SMALL, WORDS, small

every_preset = pytest.mark.parametrize("preset", PRESETS)
PROMPT = [3, 1, 4, 1, 5]


def lively(preset: str) -> LanguageModel:
    """With weights so large that its scores differ."""
    model = small(preset)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3)
    return model


@pytest.mark.row(61)
@every_preset
def test_temperature_zero_is_argmax_and_repeatable(preset: str) -> None:
    model = lively(preset).train()
    found = generate(model, PROMPT, 10, temperature=0)
    assert found == generate(model, PROMPT, 10, temperature=0, seed=7)
    text = list(PROMPT)
    model.eval()
    for token in found:  # each from the beginning anew, without a state
        model.reset()
        scores = model.scores(torch.tensor([text]))[0, -1]
        assert scores[token] >= scores.max() - 1e-5
        text.append(token)


@pytest.mark.row(61)
@every_preset
def test_it_is_seeded_and_leaves_everything_as_it_was(preset: str) -> None:
    model = lively(preset).train()
    before = torch.get_rng_state()
    found = [generate(model, PROMPT, 12, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert all(0 <= token < WORDS for tokens in found for token in tokens)
    assert [len(tokens) for tokens in found] == [12] * 3
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert generate(model, PROMPT, 0) == []


def test_a_decoder_looks_back_over_its_context_only() -> None:
    model = lively("decoder")
    context = SMALL["decoder"]["context"]
    long = [token % WORDS for token in range(100)]
    options: dict[str, Any] = {"temperature": 0}
    assert generate(model, long, 5, **options) == generate(model, long[-context:], 5, **options)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_words_are_drawn_as_often_as_the_softmax_says(temperature: float) -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0])
    generator = torch.Generator().manual_seed(0)
    draws = Counter(pick(scores, temperature, None, None, generator) for _ in range(4000))
    expected = (scores / temperature).softmax(0)
    for word in range(4):
        assert draws[word] / 4000 == pytest.approx(expected[word].item(), abs=0.03)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0.05, 1.0), st.floats(0.1, 5.0))
def test_top_k_and_top_p_leave_the_likeliest_words(
    seed: int, top_k: int, top_p: float, temperature: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(9, generator=generator)
    allowed = scores.argsort(descending=True)[:top_k]
    probs = (scores[allowed].double() / temperature).softmax(0)
    before = probs.cumsum(0) - probs
    likeliest = set(allowed[before < top_p].tolist())
    drawn = {pick(scores, temperature, top_k, top_p, generator) for _ in range(50)}
    assert drawn <= likeliest
    assert pick(scores, temperature, 1, None, generator) == int(scores.argmax())
    assert pick(scores, temperature, None, 1e-9, generator) == int(scores.argmax())


def test_a_temperature_near_zero_takes_the_highest_and_does_not_overflow() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.tensor([500.0, 500.5, -500.0])
    assert pick(scores, 1e-300, None, None, generator) == 1


@pytest.mark.row(61)
@every_preset
def test_banned_tokens_are_never_written(preset: str) -> None:
    model = lively(preset)
    banned = list(range(1, WORDS, 2))
    for options in ({"temperature": 0}, {"temperature": 5.0}, {"top_k": 3}, {"top_p": 0.3}):
        found = generate(model, PROMPT, 20, banned=banned, **options)
        assert not set(found) & set(banned)
    assert generate(model, PROMPT, 3, banned=[w for w in range(WORDS) if w != 6]) == [6, 6, 6]


def test_it_stops_after_a_token() -> None:
    model = lively("lstm")
    whole = generate(model, PROMPT, 30, seed=3)
    stop = whole[4]
    assert generate(model, PROMPT, 30, seed=3, stop=stop) == whole[: whole.index(stop) + 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt_ids": []}, "`generate` needs a prompt of at least one token. Got none."),
        (
            {"prompt_ids": [20]},
            "`generate` got the token 20, expected tokens in 0..19, the model's words.",
        ),
        (
            {"banned": [-1]},
            "`generate` got the token -1, expected tokens in 0..19, the model's words.",
        ),
        ({"num_tokens": -1}, "`generate` got num_tokens -1, expected 0 or more."),
        ({"temperature": -0.1}, "`generate` got temperature -0.1, expected 0 or more."),
        ({"temperature": float("nan")}, "`generate` got temperature nan, expected 0 or more."),
        ({"top_k": 0}, "`generate` got top_k 0, expected 1 or more."),
        ({"top_p": 0.0}, "`generate` got top_p 0.0, expected above 0, at most 1."),
        (
            {"banned": list(range(20))},
            "`generate` got every word of the model as banned. Leave it one to write.",
        ),
    ],
)
def test_a_wrong_argument_is_answered(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        generate(small("rnn"), **{"prompt_ids": PROMPT, "num_tokens": 3, **arguments})
    assert str(caught.value) == message
