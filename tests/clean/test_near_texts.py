"""clean/near_texts.py: equal texts, near ones beside plain sets of shingles, and none that are not."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.clean.near_texts import WORDS, near_texts, words_of
from drivetrain.errors import ConfigError
from tests.clean.planted import as_pairs, edited, reworded, sentences

module = import_module("drivetrain.clean.near_texts")  # the package has the function of that name


def test_case_blanks_and_signs_are_no_difference() -> None:
    texts = ["It's a film!", "  it S A\tfilm…", "It's a movie!", "", "!?", "  "]
    found = near_texts(texts)
    assert as_pairs(found.first.tolist(), found.second.tolist()) == {(0, 1)}
    assert found.exact.tolist() == [True] and found.score.tolist() == [1.0]


def test_each_equal_text_is_paired_with_the_first() -> None:
    found = near_texts(["a b", "c", "A B", "a, b", "c."])
    assert as_pairs(found.first.tolist(), found.second.tolist()) == {(0, 2), (0, 3), (1, 4)}


def test_reworded_and_edited_texts_are_found_and_no_others() -> None:
    draw = np.random.default_rng(0)
    texts = sentences(draw, 200)
    copies = [reworded(one, draw) for one in texts[:40]] + [edited(t, draw) for t in texts[40:80]]
    found = near_texts([*texts, *copies])
    assert as_pairs(found.first.tolist(), found.second.tolist()) == {
        (k, 200 + k) for k in range(80)
    }
    assert found.exact[:40].all()


def jaccard(one: str, other: str) -> float:
    sets = []
    for text in (one, other):
        words = words_of(text)
        sets.append({tuple(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("ab"), min_size=20, max_size=26), min_size=2, max_size=6),
    st.sampled_from([0.2, 0.5, 0.8]),
)
def test_near_texts_are_those_that_plain_sets_say(rows: list[list[str]], least: float) -> None:
    texts = [" ".join(row) for row in {tuple(row): row for row in rows}.values()]
    found = near_texts(texts, least=least)
    pairs = as_pairs(found.first.tolist(), found.second.tolist())
    shares = {(i, j): jaccard(texts[i], texts[j]) for j in range(len(texts)) for i in range(j)}
    assert pairs == {pair for pair, share in shares.items() if share >= least}
    told = zip(found.first.tolist(), found.second.tolist(), found.score, strict=True)
    for i, j, score in told:
        assert score == pytest.approx(shares[i, j])


def test_boilerplate_brings_nobody_together_and_counts_all_the_same() -> None:
    draw = np.random.default_rng(1)
    form = " ".join(f"form{number}" for number in range(30))
    texts = [f"{form} {one}" for one in sentences(draw, 40, words=60)]
    found = near_texts([*texts, texts[0] + " indeed"])
    assert as_pairs(found.first.tolist(), found.second.tolist()) == {(0, 40)}
    assert found.score[0] == pytest.approx(jaccard(texts[0], texts[0] + " indeed"))


def test_a_share_of_the_shingles_finds_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(2)
    texts = sentences(draw, 100)
    every = [*texts, *(edited(one, draw) for one in texts)]
    whole = near_texts(every)
    monkeypatch.setattr(module, "MOST_SORTED", 4000)  # a third of them
    part = near_texts(every)
    assert as_pairs(part.first.tolist(), part.second.tolist()) == as_pairs(
        whole.first.tolist(), whole.second.tolist()
    )


def test_in_a_short_text_one_word_is_a_difference() -> None:
    assert len(near_texts(["a red bike", "a blue bike", "red bike a"]).first) == 0
    words = [f"w{number}" for number in range(19)]
    assert len(near_texts([" ".join(words), " ".join([*words[:-1], "x"])]).first) == 0
    words += ["w19"]
    assert len(near_texts([" ".join(words), " ".join([*words[:-1], "x"])]).first) == 1


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError) as told:
        near_texts(["a"], least=0)
    assert str(told.value) == "`least` is a share above 0, up to 1. Got 0."
