"""Repeats within splits and across: planted ones are found, and different texts are not called alike."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.clean.near_texts import words_of
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.text.duplicates import find_duplicates

WORDS = np.array([f"w{i:03d}" for i in range(900)])
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def random_texts(count, words, seed):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, words)) for _ in range(count)]


def shingles(text, length=4):
    words = words_of(text)
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def jaccard(one, two):
    a, b = shingles(one), shingles(two)
    return len(a & b) / len(a | b)


def test_equal_texts_but_for_case_blanks_and_signs_are_found_within_and_across():
    splits = {
        "train": ["A film.", "other", "a  FILM.\n", ""],
        "valid": ["a film! ", "new", "", "A\tfilm."],
    }
    found = find_duplicates(splits, at_least=None)
    assert found.within("train").tolist() == [2]
    assert found.within("valid").tolist() == [7]
    assert found.across("train", "valid").tolist() == [4, 7]
    assert [(*one.parts, one.first, one.second) for one in found.pairs] == [
        ("train", "valid", "0", "0"),
        ("train", "valid", "0", "3"),
        ("train", "train", "0", "2"),
    ]
    assert all(pair.score == 1 and pair.exact for pair in found.pairs)
    assert json.loads(json.dumps(found.to_json()))["pairs"][0]["second"] == "0"
    assert str(found).startswith("8 items: 3 pairs that are the same, 0 nearly; 1 groups, 3 items")
    named = find_duplicates(splits, at_least=None, ids={"valid": ["a", "b", "c", "d"]})
    assert [pair.second for pair in named.pairs[:2]] == ["a", "d"]


@given(
    st.lists(st.sampled_from(["a", "A ", "b", " b", "c", "", "  "]), max_size=12),
    st.integers(0, 12),
)
def test_counts_of_equal_texts_are_those_of_a_loop(texts, cut):
    splits = {"train": texts[:cut], "valid": texts[cut:]}
    found = find_duplicates(splits, at_least=None)
    plain = {name: [" ".join(words_of(one)) for one in some] for name, some in splits.items()}
    for name in splits:
        kept = [one for one in plain[name] if one]
        assert len(found.within(name)) == len(kept) - len(set(kept))
    across = [one for one in plain["valid"] if one and one in plain["train"]]
    assert len(found.across("train", "valid")) == len(across)


@pytest.mark.parametrize("words", [40, 200])
def test_planted_near_texts_are_all_found_and_shares_are_exact(words):
    train = random_texts(400, words, seed=1)
    draw = np.random.default_rng(2)
    valid, planted = random_texts(100, words, seed=3), {}
    for number in range(60):
        source = int(draw.integers(400))
        changed = train[source].split()
        for place in draw.choice(words, max(1, words // 12), replace=False):
            changed[place] = str(draw.choice(WORDS))
        valid[number] = " ".join(changed)
        planted[number] = source
    found = find_duplicates({"train": train, "valid": valid})
    pairs = {(int(p.second), int(p.first)): p for p in found.pairs if p.parts == ("train", "valid")}
    shares = {(v, t): jaccard(train[t], valid[v]) for v, t in planted.items()}
    due = {pair for pair, share in shares.items() if share >= 0.5}
    assert len(due) >= 30 and set(pairs) == due  # and none that was not planted
    for pair, one in pairs.items():
        assert one.score == pytest.approx(shares[pair], abs=1e-9)
    assert len(found.within("train")) == 0


def test_texts_near_to_repeated_ones_are_all_counted():
    base = random_texts(1, 60, 0)[0]
    near = base.replace(base.split()[30], "zzz")
    found = find_duplicates({"train": [base, base], "valid": [near, near.upper(), "x"]})
    assert len(found.within("train")) == len(found.within("valid")) == 1
    assert found.across("train", "valid").tolist() == [2, 3]
    assert found.found.exact.tolist() == [True, False, True]


def test_many_texts_alike_are_found_in_a_time_that_grows_with_them():
    form = random_texts(1, 30, 0)[0]

    def seconds(count):
        texts = [f"{form} number {i} {i * 7919}" for i in range(count)]
        start = time.process_time()
        found = find_duplicates({"train": texts})
        assert len(found.within("train")) == count - 1
        assert len(found) < 8 * count  # each with a few of the others, not with all
        return time.process_time() - start

    seconds(50)
    assert seconds(800) < 12 * max(seconds(200), 0.05)  # four times the texts


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_text_is_taken(texts):
    found = find_duplicates({"train": texts, "valid": texts})
    filled = sum(bool(words_of(one)) for one in texts)
    assert len(found.across("train", "valid")) == filled
    assert all(pair.score >= 0.5 for pair in found.pairs)


def test_wrong_settings():
    with pytest.raises(ConfigError, match=r"`at_least` must be a share above 0, up to 1\. Got 0\."):
        find_duplicates({"train": []}, at_least=0)
    with pytest.raises(ShapeError, match=r"`ids` has 1 entries for 2 texts of 'train'\."):
        find_duplicates({"train": ["a", "b"]}, ids={"train": ["x"]})
    with pytest.raises(DataError, match=r"Text 1 is no string but int\."):
        find_duplicates({"train": ["a", 3]})  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_repeats_of_the_film_reviews_are_those_that_its_readme_states():
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = Path(os.environ.get("DRIVETRAIN_DATA", SHARED)) / "imdb"
    if not folder.exists():
        pytest.skip("imdb is not on this machine: set DRIVETRAIN_DATA to where the data sets lie")
    splits = {
        name: parquet.read_table(folder / f"{name}.parquet")["text"].to_pylist()
        for name in ("train", "test", "unsup")
    }
    found = find_duplicates(splits, at_least=None)
    assert [len(texts) - len(set(texts)) for texts in splits.values()] == [20, 9, 11]
    for name, texts in splits.items():  # signs change next to nothing
        same = len(texts) - len(set(texts))
        alike = len(texts) - len({" ".join(words_of(text)) for text in texts})
        assert same <= len(found.within(name)) == alike <= same + 5
    across = sum(one in set(splits["train"]) for one in splits["test"])
    assert across <= len(found.across("train", "test")) <= across + 5
