"""The vocabulary: which words have an id, and which."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from drivetrain.errors import BundleError, ConfigError
from drivetrain.text.vocab import SPECIAL_WORDS, Vocab, build_vocab, check_words


@pytest.mark.row(54)
def test_frequent_words_come_first_and_ties_in_the_order_of_meeting():
    counts = {"b": 3, "a": 3, "c": 9, "rare": 1}
    vocab = build_vocab(counts, min_freq=2, max_vocab=100)
    assert vocab.words == (*SPECIAL_WORDS, "c", "b", "a")
    assert vocab.index["c"] == 9 and len(vocab) == 12
    assert vocab.ids(["a", "never", "xxpad"]) == [11, 0, 1]


@pytest.mark.row(54)
@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 9)),
    st.integers(1, 9), st.integers(9, 30),
)  # fmt: skip
def test_min_freq_and_max_vocab_are_kept_to(counts, min_freq, max_vocab):
    vocab = build_vocab(counts, min_freq=min_freq, max_vocab=max_vocab)
    assert len(vocab) <= max_vocab
    chosen = vocab.words[len(SPECIAL_WORDS) :]
    assert all(counts[word] >= min_freq for word in chosen)
    left_out = [word for word in counts if word not in vocab]
    if len(vocab) < max_vocab:
        assert all(counts[word] < min_freq for word in left_out)
    elif chosen:
        assert max((counts[word] for word in left_out), default=0) <= counts[chosen[-1]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_freq": 0}, "`min_freq` must be at least 1. Got 0."),
        ({"max_vocab": 8}, "`max_vocab` must be at least 9, the special words. Got 8."),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        build_vocab({}, **settings)
    assert str(caught.value) == message


def test_a_word_twice_is_refused():
    with pytest.raises(ConfigError, match=r"^A vocabulary holds each word once\.$"):
        Vocab(("a", "a"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (None, "It: its words are not a list of 2 to 2000000."),
        (["xxunk"], "It: its words are not a list of 2 to 2000000."),
        (["a", "xxpad"], "It: its words do not start with xxunk, xxpad."),
        (["xxunk", "xxpad", ""], "It: '' is not a word."),
        (["xxunk", "xxpad", 3], "It: '3' is not a word."),
        (["xxunk", "xxpad", "\ud800"], "It: '\\ud800' is not Unicode text."),
        (["xxunk", "xxpad", "a", "a"], "It: a word stands twice in its vocabulary."),
    ],
)
def test_words_of_a_stranger_are_checked(words, message):
    with pytest.raises(BundleError) as caught:
        check_words(words, ("xxunk", "xxpad"), "It")
    assert str(caught.value) == message


@pytest.mark.row(54)
def test_ids_are_the_same_in_every_process():
    code = (
        "from drivetrain.text.tokenizer import train_tokenizer as t\n"
        "texts = ['b a c d', 'e d c, b!', 'zz Zz zZ ZZ']\n"
        "for kind in ('word', 'char', 'bpe', 'unigram'):\n"
        "    print(t(texts, kind, vocab_size=90, min_freq=1).to_json())\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True,
            env={"PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads, "PYTHONPATH": "src"},
        ).stdout
        for seed, threads in (("1", "1"), ("2", "4"))
    }  # fmt: skip
    assert len(seen) == 1 and "'zz'" in seen.pop()
