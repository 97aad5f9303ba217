"""The readable tokenizers and the fast ones give the same, and Hugging Face's do too."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tokenizers
from hypothesis import example, given, settings, strategies as st

from drivetrain.reference import tokenizers as by_hand
from drivetrain.text import subwords, unigram
from drivetrain.text.rules import DEFAULT_RULES, RULE_NAMES, words
from drivetrain.text.subwords import (
    BYTE_LETTERS,
    PIECE,
    UNKNOWN_COSTS,
    as_letters,
    learn_merges,
    merged,
    most_likely,
)  # fmt: skip
from drivetrain.text.tokenizer import count, train_tokenizer
from drivetrain.text.vocab import SPECIAL_PIECES, build_vocab
from tests.text.test_tokenizer import ENGLISH, HOSTILE
from tests.text.texts import HTML, PLAIN, STRANGE, reviews, texts


@pytest.mark.row(50)
@pytest.mark.row(53)
@given(texts(PLAIN, STRANGE, HTML), st.sets(st.sampled_from(RULE_NAMES)))
@settings(max_examples=200, deadline=None)
@example("it’sOOO aAaa www.OOO", set(RULE_NAMES))
@example("😀 " * 30 + "x'" * 70 + "a." * 70 + "1." * 70 + "http://" + "a/" * 70, set(RULE_NAMES))
def test_words_are_those_of_the_twin(text, rules):
    assert words(text, rules) == by_hand.word_tokens(text, rules)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_have_the_words_of_the_twin(name):
    text = HOSTILE[name] * 90
    assert words(text) == by_hand.word_tokens(text, DEFAULT_RULES)


@pytest.mark.slow
def test_real_reviews_have_the_words_of_the_twin():
    for text in reviews(150):
        assert words(text) == by_hand.word_tokens(text, DEFAULT_RULES)


@pytest.mark.row(54)
@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 5)),
    st.integers(1, 4), st.integers(9, 20),
)  # fmt: skip
def test_vocabulary_is_that_of_the_twin(counts, min_freq, max_vocab):
    found = build_vocab(counts, min_freq=min_freq, max_vocab=max_vocab)
    assert list(found.words) == by_hand.vocabulary(counts, min_freq, max_vocab)


@given(texts(PLAIN, STRANGE))
@settings(max_examples=150, deadline=None)
@example(" " * 15 + "a" + " " * 16 + "b" + " " * 17 + "c" + " " * 40)
@example("x" * 99 + "1" * 10 + "!" * 50)
def test_pieces_are_those_of_the_twin(text):
    assert PIECE.findall(text) == by_hand.cut_pieces(text)


@pytest.mark.row(51)
@given(st.text("ab好\u3099😀c", max_size=20))
@settings(max_examples=60, deadline=None)
def test_characters_have_the_ids_of_the_twin(text):
    tokenizer = train_tokenizer(["aab好好\u3099😀"], "char", rules=[])
    expected = by_hand.char_ids(text, tokenizer.vocab.words)
    assert tokenizer.encode([text]).ids.tolist() == expected


# --- byte pairs -------------------------------------------------------------------------------------

PIECES = st.dictionaries(
    st.text("abcé ", min_size=1, max_size=6), st.integers(1, 30), min_size=1, max_size=12
)


@pytest.mark.row(52)
@given(PIECES, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_merges_are_those_of_the_twin(counts, min_freq):
    found, merges = learn_merges(counts, 600, min_freq)
    assert found[: len(SPECIAL_PIECES)] == SPECIAL_PIECES
    letters = {letter: byte for byte, letter in enumerate(BYTE_LETTERS)}
    made = [bytes([letters[letter] for letter in first + second]) for first, second in merges]
    by_bytes: dict[bytes, int] = {piece.encode(): n for piece, n in counts.items()}
    assert made == by_hand.bpe_train(by_bytes, 600 - len(SPECIAL_PIECES), min_freq)


@pytest.mark.row(52)
@given(PIECES, st.text("abcé ", max_size=12))
@settings(max_examples=60, deadline=None)
def test_pieces_are_merged_as_by_the_twin_and_by_hugging_face(counts, piece):
    found, merges = learn_merges(counts, 600, 1)
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    parts = merged(as_letters(piece), ranks)
    assert parts == by_hand.bpe_encode(as_letters(piece), merges)
    index = {word: number for number, word in enumerate(found)}
    rust = tokenizers.Tokenizer(tokenizers.models.BPE(index, merges))
    assert parts == rust.encode(as_letters(piece)).tokens


# --- unigram ----------------------------------------------------------------------------------------

SCORES = st.dictionaries(
    st.text("ab", min_size=1, max_size=4), st.integers(-40, -1).map(lambda n: n / 4), min_size=1
)


@pytest.mark.row(52)
@given(SCORES, st.text("abc", max_size=9))
@settings(max_examples=100, deadline=None)
def test_the_likeliest_cut_is_that_of_the_twin_and_of_hugging_face(scores, piece):
    names = list(scores)
    parts = {name: (scores[name], number + 1) for number, name in enumerate(names)}
    unknown = min(scores.values()) - UNKNOWN_COSTS
    ids = most_likely(piece, parts, max(map(len, names)), unknown)
    found = ["xxunk" if i == 0 else names[i - 1] for i in ids]
    assert found == by_hand.unigram_encode(piece, scores, unknown)
    model = [("xxunk", 0.0), *scores.items()]
    rust = tokenizers.Tokenizer(tokenizers.models.Unigram(model, 0, False))
    one = [i for i, before in zip(ids, (None, *ids), strict=False) if i or before != 0]
    assert one == rust.encode(piece).ids  # it writes unknown letters in a row as one


@pytest.mark.row(52)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=7), st.integers(1, 9), min_size=3))
@settings(max_examples=25, deadline=None)
def test_expected_counts_are_those_of_the_twin(pieces):
    parts, weights = unigram.seeds(pieces, 30)
    probs = weights / weights.sum()
    graph = unigram.Graph(list(pieces), {part: i for i, part in enumerate(parts)})
    found = graph.expected(probs, np.array(list(pieces.values()), float))
    expected = by_hand.unigram_expected(pieces, dict(zip(parts, probs.tolist(), strict=True)))
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-9, atol=1e-12)
    # However a piece is cut, its letters are all there.
    letters = sum(len(part) * n for part, n in zip(parts, found, strict=True))
    assert math.isclose(letters, sum(len(piece) * n for piece, n in pieces.items()))


@pytest.mark.row(52)
@pytest.mark.parametrize("seed", range(6))
def test_parts_that_are_learnt_are_those_of_the_twin(seed):
    """On texts where no two parts are worth the same: rounding would decide between those."""
    draw = np.random.default_rng(seed)
    counts = {
        "".join(draw.choice(list("abcd"), draw.integers(2, 7))): int(draw.integers(1, 1000))
        for _ in range(14)
    }
    size = 8
    found, scores = unigram.learn_scores(counts, size + len(SPECIAL_PIECES), 1)
    pieces = unigram.known_pieces(counts, size + len(SPECIAL_PIECES), 1)
    parts, weights = unigram.seeds(pieces, unigram.SEEDS * size)
    expected = by_hand.unigram_train(
        pieces, dict(zip(parts, weights.tolist(), strict=True)), size,
        kept=unigram.KEPT, least=unigram.LEAST,
    )  # fmt: skip
    learnt = dict(zip(found[len(SPECIAL_PIECES) :], scores[len(SPECIAL_PIECES) :], strict=True))
    assert set(learnt) == set(expected)
    for part, prob in expected.items():
        assert math.isclose(learnt[part], math.log(prob), rel_tol=1e-6)


@pytest.mark.row(52)
def test_words_that_are_made_of_parts_are_found_again():
    """Texts put together of four parts: the model learns those, and not their letters alone."""
    draw = np.random.default_rng(0)
    parts = ["ing", "walk", "talk", "er"]
    text = " ".join("".join(draw.choice(parts, draw.integers(2, 8))) for _ in range(400))
    tokenizer = train_tokenizer([text], "unigram", vocab_size=20)
    assert set(parts) <= set(tokenizer.vocab.words)
    assert tokenizer.tokens("walking")[1:] == ["walk", "ing"]


@pytest.mark.slow
@pytest.mark.row(52)
def test_learnt_parts_write_english_as_shortly_as_hugging_faces():
    many = reviews(200)
    counts = count(many, "unigram", frozenset())
    ours = train_tokenizer(many, "unigram", vocab_size=2000, rules=[])
    rust = tokenizers.Tokenizer(tokenizers.models.Unigram())
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=2000, unk_token="xxunk", special_tokens=["xxunk"], show_progress=False
    )
    rust.train_from_iterator(([piece] * n for piece, n in counts.items()), trainer)
    theirs = sum(len(rust.encode(piece).ids) * n for piece, n in counts.items())
    assert len(ours.encode(many).ids) <= 1.02 * theirs


def test_english_is_the_same_to_both():
    for text in ENGLISH:
        assert words(text) == by_hand.word_tokens(text, DEFAULT_RULES)


def test_of_very_many_pieces_an_even_share_is_learnt_from(monkeypatch):
    counts = count(ENGLISH, "bpe", frozenset())
    expected = learn_merges(counts, 600, 2)
    monkeypatch.setattr(subwords, "MOST_LEARNT", sum(counts.values()))
    many = {piece: 10 * n for piece, n in counts.items()}
    assert learn_merges(many, 600, 20) == expected
