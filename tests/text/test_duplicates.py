"""Repeats: planted ones are found, different texts are not called alike, time grows with the texts."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.text.duplicates import _filled, find_duplicates, normalised

WORDS = np.array([f"w{i:03d}" for i in range(900)])
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def random_texts(count, words, seed):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, words)) for _ in range(count)]


def shingles(text, letters=8):
    plain = normalised(text)
    return {plain[i : i + letters] for i in range(max(len(plain) - letters + 1, 1))}


def jaccard(one, two):
    a, b = shingles(one), shingles(two)
    return len(a & b) / len(a | b)


def test_equal_texts_but_for_case_and_blanks_are_found_within_and_across():
    splits = {
        "train": ["A film.", "other", "a  FILM.\n", ""],
        "valid": ["a film. ", "new", "", "A\tfilm."],
    }
    found = find_duplicates(splits, at_least=None)
    assert found.count("train", "train") == 1 and found.count("train", "valid") == 2
    assert found.count("valid", "valid") == 1
    assert [(p.first_split, p.first, p.second_split, p.second) for p in found.pairs] == [
        ("train", "0", "valid", "0"),
        ("train", "0", "valid", "3"),
        ("train", "0", "train", "2"),
        ("valid", "0", "valid", "3"),
    ]
    assert all(pair.share == 1 and pair.is_exact for pair in found.pairs)
    assert json.loads(json.dumps(found.to_json()))["pairs"][0]["second"] == "0"
    assert "valid in train      2     0   4  50.0%" in str(found)
    named = find_duplicates(splits, at_least=None, ids={"valid": ["a", "b", "c", "d"]})
    assert [pair.second for pair in named.pairs[:2]] == ["a", "d"]


@given(
    st.lists(st.sampled_from(["a", "A ", "b", " b", "c", "", "  "]), max_size=12),
    st.integers(0, 12),
)
def test_counts_of_equal_texts_are_those_of_a_loop(texts, cut):
    splits = {"train": texts[:cut], "valid": texts[cut:]}
    found = find_duplicates(splits, at_least=None)
    plain = {name: [normalised(one) for one in some] for name, some in splits.items()}
    for name in splits:
        kept = [one for one in plain[name] if one]
        assert found.count(name, name) == len(kept) - len(set(kept))
    across = [one for one in plain["valid"] if one and one in plain["train"]]
    assert found.count("train", "valid") == len(across)


@pytest.mark.parametrize("words", [8, 40, 200])
def test_planted_near_texts_are_found_and_shares_are_exact(words):
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
    pairs = {
        int(p.second): p
        for p in found.pairs
        if (p.first_split, p.second_split) == ("train", "valid")
    }
    shares = {v: jaccard(train[t], valid[v]) for v, t in planted.items()}
    due = [v for v, share in shares.items() if share >= 0.5]
    recall = sum(v in pairs and int(pairs[v].first) == planted[v] for v in due) / len(due)
    assert len(due) >= 30 and recall >= 0.95
    assert set(pairs) <= set(planted)  # and none that was not planted
    for pair in pairs.values():
        assert pair.share == pytest.approx(
            jaccard(train[int(pair.first)], valid[int(pair.second)]), abs=1e-9
        )
        assert pair.share >= 0.5
    assert found.count("train", "valid", near=True) == len(pairs)
    assert found.count("train", "train", near=True) == 0


def test_recall_at_the_bound_is_as_the_formula_says():
    # Two texts of 300 words, of which a run of 200 is shared: 200 / 400 of the shingles.
    halves = [random_texts(300, 100, seed) for seed in (5, 6)]
    common = random_texts(300, 200, 7)
    splits = {
        name: [f"{own} {shared}" for own, shared in zip(half, common, strict=True)]
        for name, half in zip(("train", "valid"), halves, strict=True)
    }
    shares = [jaccard(a, b) for a, b in zip(*splits.values(), strict=True)]
    found = find_duplicates(splits, at_least=0.4)
    expected = 1 - (1 - np.mean(shares) ** 4) ** 64
    assert found.count("train", "valid", near=True) / 300 == pytest.approx(expected, abs=0.04)


def test_texts_near_to_repeated_ones_are_all_counted():
    base = random_texts(1, 60, 0)[0]
    near = base.replace(base.split()[30], "zzz")
    found = find_duplicates({"train": [base, base], "valid": [near, near.upper(), "x"]})
    assert found.count("train", "train") == found.count("valid", "valid") == 1
    assert found.count("train", "valid", near=True) == 2 and found.count("train", "valid") == 0
    again = find_duplicates({"train": [base, base], "valid": [near, near.upper(), "x"]}, seed=1)
    assert again == found


def test_many_texts_alike_take_time_that_grows_with_them():
    def seconds(count):
        form = random_texts(1, 30, 0)[0]
        texts = [f"{form} number {i} {i * 7919}" for i in range(count)]
        start = time.perf_counter()
        found = find_duplicates({"train": texts})
        assert found.count("train", "train", near=True) == count - 1
        return time.perf_counter() - start

    seconds(50)
    assert seconds(800) < 12 * max(seconds(200), 0.05)  # four times the texts


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_text_is_taken(texts):
    found = find_duplicates({"train": texts, "valid": texts})
    filled = sum(bool(normalised(one)) for one in texts)
    assert found.count("train", "valid") == filled
    assert all(pair.share >= 0.5 for pair in found.pairs)


def test_empty_bins_take_what_others_have_and_none_stays_empty():
    sketch = np.full((3, 256), 0xFFFFFFFF, np.uint32)
    sketch[0, 7] = 5
    sketch[1, ::2] = np.arange(128)
    sketch[2] = np.arange(256)
    filled = _filled(sketch)
    assert (filled[0] == 5).all()
    assert (filled[1, ::2] == np.arange(128)).all() and filled[1].max() < 128
    assert (filled[2] == np.arange(256)).all()


def test_wrong_settings():
    with pytest.raises(ConfigError, match=r"`at_least` must be a share above 0, up to 1\. Got 0\."):
        find_duplicates({"train": []}, at_least=0)
    with pytest.raises(ConfigError, match=r"`letters` must be at least 1\. Got 0\."):
        find_duplicates({"train": []}, letters=0)
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
    found = find_duplicates(splits)
    assert [found.count(name, name) for name in splits] == [20, 9, 11]
    for name, texts in splits.items():  # here case and blanks change nothing
        assert found.count(name, name) == len(texts) - len(set(texts))
    across = sum(one in set(splits["train"]) for one in splits["test"])
    assert found.count("train", "test") == across
