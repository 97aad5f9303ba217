"""clean/labels.py beside cleanlab, and on labels that were made wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_normalized_margin_for_each_label
from hypothesis import given, settings, strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from drivetrain.clean import label_issues
from drivetrain.errors import DataError, ShapeError


def made(items: int, classes: int, share: float, *, seed: int) -> tuple[np.ndarray, ...]:
    """Probabilities of a decent model, labels of which a share was changed, and which they are."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, items)
    logits = generator.normal(size=(items, classes)) + 3.0 * np.eye(classes)[truth]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    changed = generator.random(items) < share
    labels = np.where(changed, (truth + generator.integers(1, classes, items)) % classes, truth)
    return labels, probs, changed


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, ...]:
    pictures, truth = load_digits(return_X_y=True)
    generator = np.random.default_rng(0)
    changed = generator.random(len(truth)) < 0.05
    labels = np.where(changed, (truth + generator.integers(1, 10, len(truth))) % 10, truth)
    model = LogisticRegression(max_iter=300)
    probs = np.asarray(
        cross_val_predict(model, pictures / 16, labels, cv=3, method="predict_proba")
    )
    return labels, probs, changed


@pytest.mark.row(16)
def test_changed_labels_of_digits_are_at_the_head_of_the_queue(digits) -> None:
    labels, probs, changed = digits
    found = label_issues(labels, probs)
    head = found.order[: len(labels) // 10]
    assert changed[head].sum() / changed.sum() > 0.9
    assert (found.flagged & changed).sum() / changed.sum() > 0.75
    assert (found.flagged & changed).sum() / found.num_flagged > 0.7
    assert found.noise == pytest.approx(changed.mean(), abs=0.03)


def test_flags_joint_and_margins_are_those_of_cleanlab(digits) -> None:
    labels, probs, _ = digits
    found = label_issues(labels, probs)
    theirs = find_label_issues(labels, probs, filter_by="prune_by_noise_rate")
    assert (found.flagged == theirs).mean() > 0.99
    # theirs is rounded to whole items
    assert np.abs(compute_confident_joint(labels, probs) - found.joint).max() < 1
    margin = get_normalized_margin_for_each_label(labels, probs)  # (margin + 1) / 2
    np.testing.assert_allclose((found.margin + 1) / 2, margin, atol=1e-12)


@given(st.integers(2, 6), st.integers(30, 200), st.floats(0, 0.3), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_rows_of_the_joint_are_the_labels_and_flags_are_off_the_models_answer(
    classes: int, items: int, share: float, seed: int
) -> None:
    labels, probs, _ = made(items, classes, share, seed=seed)
    found = label_issues(labels, probs)
    counts = np.bincount(labels, minlength=classes)
    np.testing.assert_allclose(found.joint.sum(axis=1), counts, atol=1e-9)
    assert not (found.flagged & (probs.argmax(axis=1) == labels)).any()
    assert (found.suggested != labels).all()
    assert 0 <= found.noise <= 1
    shuffled = np.random.default_rng(seed).permutation(items)
    again = label_issues(labels[shuffled], probs[shuffled])
    np.testing.assert_array_equal(again.margin, found.margin[shuffled])
    json.dumps(found.to_json(), allow_nan=False)


def test_labels_that_are_right_are_hardly_flagged() -> None:
    labels, probs, _ = made(2000, 4, 0.0, seed=3)
    assert label_issues(labels, probs).num_flagged < 0.06 * 2000


def test_a_class_without_items_and_a_single_class() -> None:
    labels, probs, _ = made(60, 3, 0.0, seed=1)
    kept = labels != 2
    found = label_issues(labels[kept], probs[kept])
    assert found.joint[2].sum() == 0
    alone = label_issues(np.zeros(3, dtype=int), np.ones((3, 1)))
    assert (alone.num_flagged, alone.noise) == (0, 0.0)


def test_what_does_not_fit_is_refused() -> None:
    for labels, probs, error, sentence in (
        (
            [0, 1], [[0.5, 0.5]], ShapeError,
            r"^`label_issues` got labels of shape \(2,\) and probabilities of shape \(1, 2\), expected "
            r"\(N,\) and \(N, C\)\.$",
        ),
        ([], np.zeros((0, 2)), DataError, r"^`label_issues` got no items\.$"),
        (
            [0, 2], [[0.5, 0.5]] * 2, DataError,
            r"^`label_issues` got labels that are no classes: expected whole numbers from 0 to 1\.$",
        ),
        (
            [0, 1], [[0.5, 0.5], [2.0, -1.0]], DataError,
            r"^`label_issues` got \[2\.0, -1\.0\] as the probabilities of item 1, expected numbers "
            r"from 0 to 1 that add up to 1\. Are they logits\? Take their softmax\.$",
        ),
    ):  # fmt: skip
        with pytest.raises(error, match=sentence):
            label_issues(np.array(labels, dtype=int), np.array(probs))
