"""Baselines of texts against scikit-learn by hand, and intervals."""

from __future__ import annotations

import numpy as np
import pytest

from drivetrain.metrics import wilson_interval
from drivetrain.text.baselines import baselines
from drivetrain.text.data import TextData, from_texts
from drivetrain.text.goal import Goal
from drivetrain.text.measure import measure
from tests.text.moods import moods

sklearn = pytest.importorskip("sklearn")


def parts(data: TextData) -> tuple[list[str], np.ndarray, list[str], np.ndarray]:
    _, train, targets = data.part("train")
    _, valid, true = data.part("valid")
    assert targets is not None and true is not None
    return train, targets, valid, true


def test_classes() -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    data = from_texts(*moods(100))
    train, targets, valid, true = parts(data)
    found = baselines(data)
    counter = CountVectorizer(token_pattern=r"(?u)\b\w+\b")
    model = MultinomialNB().fit(counter.fit_transform(train), targets)
    expected = float((model.predict(counter.transform(valid)) == true).mean())
    assert found["naive_bayes"].metrics["accuracy"] == pytest.approx(expected)
    guess = np.bincount(targets).argmax()
    correct = int((true == guess).sum())
    assert found["majority"].metrics["accuracy"] == pytest.approx(correct / len(true))
    assert found["majority"].interval == pytest.approx(wilson_interval(correct, len(true)))
    assert found["tfidf_logistic"].metrics["accuracy"] >= 0.9


def test_numbers() -> None:
    texts, labels = moods(100)
    pairs = zip(texts, labels, strict=True)
    numbers = [1000.0 + 100 * (label == "good") + len(text) / 9 for text, label in pairs]
    data = from_texts(texts, numbers)
    _, targets, _, true = parts(data)
    assert data.goal is not None
    found = baselines(data)
    mean = float(data.goal.shown(targets).mean())
    expected = float(np.sqrt(((data.goal.shown(true) - mean) ** 2).mean()))
    assert found["mean"].metrics["rmse"] == pytest.approx(expected, rel=1e-5)
    assert found["tfidf_ridge"].metrics["rmse"] < 0.7 * expected
    assert found["tfidf_ridge"].metrics["pearson"] > 0.8


def test_several_labels_of_which_one_is_constant() -> None:
    texts, labels = moods(80)
    several = [[label, "always"] for label in labels]
    data = from_texts(texts, several, target_kind="labels")
    found = baselines(data)
    assert found["majority"].metrics["binary_accuracy"] < 0.8
    assert found["tfidf_logistic"].metrics["binary_accuracy"] > 0.9


def test_texts_without_a_word_have_the_majority_alone() -> None:
    data = from_texts(["!?"] * 10 + ["..."] * 10, ["a", "b"] * 10)
    assert list(baselines(data)) == ["majority"]


def test_measures_take_probabilities_and_numbers_in_their_unit() -> None:
    goal = Goal("label", "class", ("a", "b"))
    found = measure(goal, np.array([[0.8, 0.2], [0.6, 0.4]]), np.array([0, 1]))
    assert found.metrics["accuracy"] == 0.5
    assert found.metrics["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    goal = Goal("price", "number", mean=100.0, scale=10.0)
    found = measure(goal, np.array([90.0, 110.0, 120.0]), np.array([-1, 1, 1.5], dtype=np.float32))
    assert found.metrics["rmse"] == pytest.approx(np.sqrt(25 / 3))
