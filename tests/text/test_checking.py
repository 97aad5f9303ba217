"""text/checking.py: texts with planted faults, through the whole gate."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.text.checking import check, vectors_of
from tests.clean.planted import edited, reworded, sentences


@pytest.fixture(scope="module")
def told() -> tuple[list[str], list[str]]:
    """300 different texts, of which the last 60 repeat the first, a third of them edited."""
    draw = np.random.default_rng(8)
    texts = sentences(draw, 240)
    texts += [reworded(one, draw) for one in texts[:40]] + [edited(t, draw) for t in texts[40:60]]
    labels = ["good" if draw.random() < 0.5 else "bad" for _ in range(240)]
    return texts, labels + labels[:60]


def test_copies_on_both_sides_are_critical_and_worth_something(told) -> None:
    texts, labels = told
    found = check(texts, labels=labels)
    by_key = {one.key: one for one in found.found}
    across, within = by_key["duplicates-across"], by_key["duplicates-within:train"]
    assert across.level == "critical" and set(by_key) <= {
        "duplicates-across", "duplicates-within:train", "duplicates-within:valid",
    }  # fmt: skip
    assert across.count + within.count + by_key.get("duplicates-within:valid", within).count >= 60
    assert across.worth is not None and across.worth.is_clear
    assert across.worth.without < 0.75 < across.worth.with_it + 0.25, "coins, but for the copies"


def test_contradictions_and_empty_texts(told) -> None:
    texts, labels = told
    other = {"good": "bad", "bad": "good"}
    found = check([*texts[:240], texts[0], ""], labels=[*labels[:240], other[labels[0]], "good"])
    keys = [one.name for one in found.found]
    assert "label-conflict" in keys and "unreadable" in keys


def test_texts_without_faults_pass(told) -> None:
    texts, labels = told
    found = check(texts[:240], labels=labels[:240])
    assert found.is_clear and found.found == ()
    assert found.looked[0].startswith("240 texts for equal ones")


def test_numbers_and_texts_without_targets_are_checked_too(told) -> None:
    texts, _ = told
    found = check(texts, labels=[float(at % 60) for at in range(300)])
    across = next(one for one in found.found if one.name == "duplicates-across")
    assert across.worth is not None and across.worth.metric == "mean absolute error"
    assert across.worth.is_clear, "copies have the same number"
    found = check(texts, labelled=False)
    across = next(one for one in found.found if one.name == "duplicates-across")
    assert across.worth is None


def test_vectors_count_words_whatever_their_order() -> None:
    one, other, twice = vectors_of(["a red bike", "bike, RED a", "a red bike red"])
    np.testing.assert_array_equal(one, other)
    assert 0 < np.abs(twice - one).max() < 1, "twice is worth less than two"
