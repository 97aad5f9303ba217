"""How long texts are, what padding costs, and which words have no id."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.text.lengths import (
    QUANTILES,
    length_statistics,
    padded_share,
    vocabulary_coverage,
)
from drivetrain.text.tokenizer import train_tokenizer


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=80),
    st.integers(1, 500),
    st.integers(1, 16),
)
def test_all_that_is_counted_is_what_a_loop_counts(lengths, max_len, batch_size):
    targets = [n % 3 for n in lengths]
    found = length_statistics(
        np.array(lengths), targets=targets, classes=("a", "b", "c"), max_len=max_len,
        batch_size=batch_size,
    )  # fmt: skip
    assert found.everything.tokens == sum(lengths) and found.everything.count == len(lengths)
    assert found.everything.quantiles == tuple(np.quantile(lengths, QUANTILES))
    assert found.everything.empty == lengths.count(0)
    assert sum(found.counts) == len(lengths)
    assert found.cut_texts == sum(n > max_len for n in lengths)
    assert found.cut_tokens == sum(max(n - max_len, 0) for n in lengths)
    assert sum(group.tokens for group in found.groups) == sum(lengths)
    assert {group.name for group in found.groups} == {"abc"[n] for n in targets}
    padding = dict(found.padding)
    seen = sorted((min(n, max_len) for n in lengths), reverse=True)
    batches = [seen[i : i + batch_size] for i in range(0, len(seen), batch_size)]
    total = sum(max(batch) * len(batch) for batch in batches)
    expected = 1 - sum(seen) / total if total else 0.0
    assert padding["sorted by length"] == pytest.approx(expected)
    assert padding["sorted by length"] <= padding["shuffled"] + 1e-12
    json.dumps(found.to_json())


def test_what_is_printed_and_drawn():
    lengths = np.random.default_rng(0).lognormal(5, 1, 500).astype(int) + 1
    found = length_statistics(lengths, max_len=400, batch_size=32)
    cut, share = int((lengths > 400).sum()), found.cut_share
    assert f"{cut:,} texts ({100 * cut / 500:.1f}%) are longer than 400 tokens: {share:.1%}" in str(
        found
    )
    assert f"Padding in batches of 32: shuffled {dict(found.padding)['shuffled']:.1%}" in str(found)
    axes = found.plot().axes[0]
    assert axes.get_xscale() == "log" and axes.lines[0].get_xdata()[0] == 400
    assert length_statistics([5, 6, 7]).plot().axes[0].get_xscale() == "linear"
    assert "1 text has no token." in str(length_statistics([0, 4]))


def test_wrong_lengths():
    with pytest.raises(ShapeError, match=r"`lengths` must be \(D,\) with D above 0\. Got \(0,\)\."):
        length_statistics([])
    with pytest.raises(ConfigError, match=r"`max_len` must be at least 1\. Got 0\."):
        length_statistics([3], max_len=0)
    with pytest.raises(ShapeError, match=r"There are \(2,\) targets for \(1,\) lengths\."):
        length_statistics([3], targets=[0, 1])
    assert padded_share(np.zeros(0, int), 4) == 0


def test_unknown_words_are_counted_and_named_for_each_split():
    train = ["the film is good"] * 3
    tokenizer = train_tokenizer(train, rules=["lowercase"], min_freq=3)
    found = vocabulary_coverage(
        tokenizer,
        {"train": train, "valid": ["the plot is bad bad", "the film", "a bad film"], "none": []},
    )
    assert [(s.unknown, s.tokens, s.texts_with_unknown) for s in found.splits] == [
        (0, 12, 0), (5, 10, 2), (0, 0, 0)
    ]  # fmt: skip
    valid = found.splits[1]
    assert valid.words == (("bad", 3), ("a", 1), ("plot", 1)) and valid.distinct_unknown == 3
    assert valid.share == 0.5
    assert "valid: bad 3, a 1, plot 1" in str(found)
    assert json.loads(json.dumps(found.to_json()))["splits"][1]["share"] == 0.5
    assert vocabulary_coverage(tokenizer, {"v": ["x y z"]}, most=1).splits[0].words == (("x", 1),)


def test_unknown_characters_are_named_and_bytes_know_everything():
    texts = ["abab ab"] * 4
    characters = vocabulary_coverage(train_tokenizer(texts, "char"), {"v": ["abc zz"]}).splits[0]
    assert characters.words == (("z", 2), ("c", 1))
    bpe = train_tokenizer(texts, "bpe", vocab_size=512)
    assert vocabulary_coverage(bpe, {"v": ["東 zz"]}).splits[0].unknown == 0
    unigram = vocabulary_coverage(train_tokenizer(texts, "unigram"), {"v": ["abc"]}).splits[0]
    assert unigram.unknown == 1 and unigram.distinct_unknown is None and unigram.words == ()
