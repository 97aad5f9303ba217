"""Tokens put together to words, and texts explained in them."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

from drivetrain.data.padded import shortened
from drivetrain.errors import ConfigError, ShapeError, UnknownNameError
from drivetrain.models.document import DocumentClassifier
from drivetrain.models.recurrent import RecurrentEncoder
from drivetrain.randomness import seeded
from drivetrain.text.looking import most_lost
from drivetrain.text.pretrained import starting_transformer
from drivetrain.text.show import (
    METHODS,
    explain_page,
    explain_texts,
    important_words,
    style_of,
    with_reach,
    words_of,
)
from drivetrain.text.subwords import as_letters
from drivetrain.text.tokenizer import train_tokenizer
from drivetrain.train.predictions import Predictions
from tests.text.tiny_encoders import save_tiny

TEXTS = [
    "A WONDERFUL film, it's soooo good!!! Very very very fine.",
    "Dull. I don't like it; not at all.",
    "今日は東京です。",
    "naïve café 👩‍🚀",
] * 3


def words(tokens, style, **more):
    found = words_of(tokens, np.arange(1.0, len(tokens) + 1), style=style, **more)
    assert sum(word.value for word in found) == pytest.approx(len(tokens) * (len(tokens) + 1) / 2)
    return [("_" if word.is_after_blank else "") + word.text for word in found]


def test_marks_of_the_course_go_into_the_words_they_belong_to():
    tokens = "xxmaj the xxup film is s xxrep 4 o xxwrep 3 very good xxrep 3 ! xxfld 1".split()
    assert words(tokens, "course") == [
        "The", "_FILM", "_is", "_s", "_oooo", "_very very very", "_good", "!!!", "_xxfld", "_1"
    ]  # fmt: skip
    assert words("a strip - tease ( or not ) , 3 / 4".split(), "course") == [
        "a", "_strip", "-", "tease", "_(", "or", "_not", ")", ",", "_3", "/", "4"
    ]  # fmt: skip
    assert words(["xxwrep", "3", "xxmaj", "no"], "course") == ["No No No"]
    assert words(["xxrep", "1000000", "a"], "course") == ["aaaaaaaa… ×1,000,000"]
    assert words(["xxmaj"], "course") == ["xxmaj"]
    assert words(["xxrep", "x", "a", "xxmaj"], "course") == ["xxrep", "_x", "_a", "_xxmaj"]


def test_pieces_of_words_become_words_and_signs_stand_apart():
    assert words(["a", "bor", "##ing", "film", "."], "wordpiece") == ["a", "_boring", "_film", "."]
    assert words("the film ' s plot isn ' t ' so '".split(), "wordpiece")[:7] == [
        "the", "_film", "'", "s", "_plot", "_isn", "'"
    ]  # fmt: skip
    assert words(["ĠA", "Ġbor", "ing", "Ġfilm", ".", "ĠI", "'m"], "bytes") == [
        "A", "_boring", "_film", ".", "_I'm"
    ]  # fmt: skip
    assert words(["▁A", "▁bor", "ing", "▁film", "!"], "blank") == ["A", "_boring", "_film", "!"]
    assert words(list("no, ok"), "blank") == ["no", ",", "_ok"]
    assert words(list("東京です"), "blank") == ["東", "京", "で", "す"]
    assert words(["e", "\u0301", "t"], "blank") == ["e\u0301t"]
    assert words(["a", " ", " "], "blank") == ["a"]
    assert words(["👩", "\u200d", "🚀"], "blank") == ["👩\u200d🚀"]
    assert words([" "], "blank") == [""]


def test_bytes_of_one_character_are_read_together():
    tokens = [*as_letters("a東"), "Ġ" + as_letters("é")[0], as_letters("é")[1]]
    assert words(tokens, "bytes") == ["a", "東", "_é"]
    assert words(list(as_letters("東"))[:2], "bytes") == ["\ufffd"]


def test_what_is_hidden_is_not_shown_and_its_part_is_not_lost():
    found = words_of(
        ["xxbos", "fine", "xxeos"],
        [1.0, 2.0, 4.0],
        style="course",
        hidden=np.array([True, False, True]),
        unknown=np.array([False, True, False]),
    )
    assert [(w.text, w.value, w.tokens, w.is_unknown) for w in found] == [
        ("fine", 7.0, ("fine",), True)
    ]
    assert words_of(["xxbos"], [0.0], style="course", hidden=np.array([True])) == ()
    with pytest.raises(ShapeError, match=r"`words_of` got 1 tokens, values \(2,\), unknown \(1,\)"):
        words_of(["a"], [1, 2], style="course")
    with pytest.raises(UnknownNameError, match=r"Unknown style of tokens 'curse'\. Did you mean"):
        words_of(["a"], [1], style="curse")


@given(
    st.lists(
        st.sampled_from(["xxmaj", "xxup", "xxrep", "xxwrep", "3", "a", ".", "xxbos"]), max_size=9
    ),
    st.sampled_from(["course", "wordpiece", "bytes", "blank"]),
)
def test_any_sequence_of_tokens_keeps_its_sum_and_every_token(tokens, style):
    found = words_of(tokens, np.arange(len(tokens)), style=style)
    assert sum(word.value for word in found) == pytest.approx(sum(range(len(tokens))))
    assert [token for word in found for token in word.tokens] == tokens


@pytest.mark.parametrize("kind", ["word", "char", "bpe", "unigram"])
def test_every_kind_of_tokenizer_reads_as_its_text(kind):
    tokenizer = train_tokenizer(TEXTS, kind, min_freq=1)
    ids = tokenizer.encode(TEXTS)
    style = style_of(tokenizer)
    for number, text in enumerate(TEXTS[:4]):
        tokens = [tokenizer.vocab.words[i] for i in ids.document(number).tolist()]
        hidden = np.array([token == "xxbos" for token in tokens])
        found = words_of(tokens, np.ones(len(tokens)), style=style, hidden=hidden)
        line = "".join((" " if w.is_after_blank else "") + w.text for w in found).strip()
        if kind == "word":
            assert line.lower() == tokenizer.decode(ids.document(number).tolist()).lower()
        else:
            assert line == text
        assert sum(word.value for word in found) == len(tokens)


def test_style_of_a_strangers_tokenizer_is_seen_in_its_vocabulary():
    def style(*found):
        return style_of(SimpleNamespace(kind="transformer", vocab=SimpleNamespace(words=found)))

    assert style("[CLS]", "film", "##s") == "wordpiece"
    assert style("<s>", "Ġfilm", "s", "##") == "bytes"
    assert style("<s>", "▁film", "s") == "blank"


# --- a model that has learnt which words are good -----------------------------------------------------


class Liking(nn.Module):
    """Scores by how many good and bad words there are; exact, so that every part is known."""

    def __init__(self, tokenizer, worth):
        super().__init__()
        self.embedding = nn.Embedding(len(tokenizer.vocab), 1)
        with torch.no_grad():
            self.embedding.weight.zero_()
            for word, value in worth.items():
                self.embedding.weight[tokenizer.vocab.index[word]] = value

    def forward(self, tokens, lengths):
        real = torch.arange(tokens.shape[1]) < lengths.unsqueeze(1)
        total = (self.embedding(tokens)[..., 0] * real).sum(1)
        return torch.stack([torch.zeros_like(total), total], 1)


@pytest.fixture(scope="module")
def liking():
    tokenizer = train_tokenizer(TEXTS, min_freq=1)
    return Liking(tokenizer, {"wonderful": 2.0, "dull": -3.0, "xxup": 0.5}), tokenizer


@pytest.mark.parametrize("method", sorted(METHODS))
def test_words_have_the_parts_that_the_model_gives_them(liking, method):
    model, tokenizer = liking
    found = explain_texts(
        model, tokenizer, TEXTS[:2], classes=("neg", "pos"), target="pos", method=method,
        truths=["pos", "neg"], names=["a", "b"],
    )  # fmt: skip
    parts = {word.text: word.value for word in found[0].words}
    assert parts["WONDERFUL"] == pytest.approx(2.5, abs=1e-5)
    assert found[0].words[1].tokens == ("xxup", "wonderful")
    assert {word.text for word in found[0].strongest()} == {"WONDERFUL"}
    assert [word.text for word in found[1].strongest()] == ["Dull"]
    assert found[0].probability == pytest.approx(1 / (1 + np.exp(-2.5)), abs=1e-5)
    assert (found[0].answer, found[0].truth, found[0].name) == ("pos", "pos", "a")
    assert found[1].score == pytest.approx(-3) and found[1].base == 0
    assert abs(found[0].gap) < 1e-4


def test_class_is_the_models_own_unless_one_is_named(liking):
    model, tokenizer = liking
    found = explain_texts(model, tokenizer, [TEXTS[1]], classes=("neg", "pos"))[0]
    assert found.answer == "neg" and found.strongest()[0].value == pytest.approx(3, abs=1e-4)
    assert found.in_marks().startswith("Dull[+++].")
    assert explain_texts(model, tokenizer, [TEXTS[1]])[0].answer == "0"
    with pytest.raises(UnknownNameError, match="Unknown class 'good'"):
        explain_texts(model, tokenizer, TEXTS, classes=("neg", "pos"), target="good")
    with pytest.raises(UnknownNameError, match="Unknown method 'gradients'"):
        explain_texts(model, tokenizer, TEXTS, method="gradients")
    with pytest.raises(
        ConfigError, match=r"`texts` must be a sequence of strings\. Got one string"
    ):
        explain_texts(model, tokenizer, "Dull.")
    with pytest.raises(ShapeError, match=r"`truths` has 1 entries for 12 texts\."):
        explain_texts(model, tokenizer, TEXTS, truths=["pos"])


def test_unknown_words_are_shown_as_the_text_has_them(liking):
    model, tokenizer = liking
    found = explain_texts(model, tokenizer, ["A zyxomma film"])[0]
    assert [(w.text, w.is_unknown) for w in found.words][1:] == [("zyxomma", True), ("film", False)]


def test_text_that_is_cut_or_empty(liking):
    model, tokenizer = liking
    cut, empty = explain_texts(model, tokenizer, ["Dull. " * 50, ""], max_len=11)
    assert cut.cut == 3 * 50 + 1 - 11 and len(cut.words) < 11
    assert "tokens were cut off" in str(cut)
    assert empty.words == () and empty.score == empty.base == 0
    without = train_tokenizer(TEXTS, rules=["lowercase"], min_freq=1)
    nothing = explain_texts(Liking(without, {"dull": 1.0}), without, [""])[0]
    assert nothing.words == () and nothing.probability == pytest.approx(0.5)


def test_of_a_long_text_the_words_are_those_that_the_model_reads(liking):
    model, tokenizer = liking
    text = f"dull {'film about ' * 20}wonderful"
    (found,) = explain_texts(model, tokenizer, [text], max_len=8)
    words = [word.text for word in found.words]
    assert (words[0], words[-1], len(words)) == ("dull", "wonderful", 7)
    kept = torch.from_numpy(shortened(tokenizer.encode([text]), 8).document(0).astype("int64"))
    scores = model(kept.unsqueeze(0), torch.tensor([8]))[0]
    assert found.score == pytest.approx((scores[1] - scores[0]).abs().item())


def test_gradients_reach_the_beginning_of_a_text_that_is_longer_than_max_len():
    tokenizer = train_tokenizer(TEXTS, min_freq=1)
    with seeded(0, "model"):
        encoder = RecurrentEncoder(len(tokenizer.vocab), 8, 8, 1)
        model = DocumentClassifier(encoder, nn.Linear(24, 2), seq_len=4, max_len=8)
    text = " ".join(TEXTS[:2] * 2)
    found = explain_texts(model, tokenizer, [text])[0]
    assert found.gap_share < 0.02 and found.note == ""
    assert all(word.value != 0 for word in found.words)
    assert model.max_len == 8 and with_reach(model, 8) is model
    assert with_reach(model, 9).max_len == 12 and with_reach(model, 9).encoder is model.encoder


def test_gap_that_stays_large_is_said(liking):
    _, tokenizer = liking
    with seeded(0, "model"):
        encoder = RecurrentEncoder(len(tokenizer.vocab), 8, 8, 2)
        model = DocumentClassifier(encoder, nn.Linear(24, 2), seq_len=4, max_len=8)
    found = explain_texts(model, tokenizer, TEXTS[:1], steps=1, max_steps=1, tolerance=1e-7)[0]
    assert re.fullmatch(
        r"The parts miss the score by [0-9.]+% of what was attributed, more than 0%, after 1 steps: "
        r"give `max_steps` a larger number\.",
        found.note,
    )
    assert found.note in str(found)


def test_most_lost_texts_are_shortened_around_what_the_model_leans_on(liking):
    model, tokenizer = liking
    text = " ".join(["film"] * 60 + ["quite DULL indeed"] + ["film"] * 60)
    outputs = model(*encoded(tokenizer, text))
    predictions = Predictions(["a"], torch.tensor([1]), outputs.detach(), torch.tensor([3.0]))
    matter = important_words(model, tokenizer)
    assert matter(text) == ["DULL"]
    shown = most_lost(predictions, [text], width=60, important=matter).items[0].text
    assert "film quite DULL indeed film" in shown and len(shown) <= 60
    assert "DULL" not in most_lost(predictions, [text], width=60).items[0].text


def encoded(tokenizer, text):
    ids = torch.from_numpy(tokenizer.encode([text]).ids.astype(np.int64))
    return ids[None], torch.tensor([len(ids)])


def test_page_of_several(liking):
    model, tokenizer = liking
    page = explain_page(explain_texts(model, tokenizer, TEXTS[:2]), title="Why")
    assert page.count("<article") == 2 and "<title>Why</title>" in page


@pytest.mark.slow  # builds an encoder of transformers
def test_transformers_and_pairs(tmp_path):
    pytest.importorskip("transformers")
    with seeded(0, "tiny"):
        save_tiny(tmp_path)
    started = starting_transformer(tmp_path, num_outputs=2, max_len=12)
    tokenizer, model = started.tokenizer, started.model
    known = [word for word in tokenizer.vocab.words if word.isalpha()][:4]
    first, second = " ".join(known[:2]), " ".join(known[2:])
    alone = explain_texts(model, tokenizer, [first + " zyxomma"])[0]
    assert [(w.text, w.is_unknown) for w in alone.words] == [
        (known[0], False), (known[1], False), ("[UNK]", True)
    ]  # fmt: skip
    assert alone.gap_share < 0.02 and model.training and alone.cut == 0
    pair = explain_texts(model, tokenizer, [first], seconds=[second])[0]
    assert [word.text for word in pair.words] == known and pair.gap_share < 0.02
    tokens = torch.from_numpy(tokenizer.encode_pairs([first], [second]).ids.astype(np.int64))
    odds = torch.logit(model.eval()(tokens[None], torch.tensor([len(tokens)])).softmax(1))
    assert pair.score == pytest.approx(odds.max().item(), abs=1e-4)
    long = explain_texts(model, tokenizer, [" ".join(known * 5)])[0]
    assert long.cut == 20 + 2 - 12 and "10 tokens were cut off" in str(long)


def test_pairs_need_a_transformer(liking):
    model, tokenizer = liking
    with pytest.raises(
        ConfigError, match=r"`seconds` needs the tokenizer of a transformer\. Got one"
    ):
        explain_texts(model, tokenizer, ["a"], seconds=["b"])
