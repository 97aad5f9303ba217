"""interpret/mistakes.py against scikit-learn, and by what is known of it."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.interpret import confusion
from drivetrain.metrics import wilson_interval
from tests.interpret.records import of_classes, of_scores


def drawn(items: int, classes: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, classes, items)
    preds = np.where(generator.random(items) < 0.7, targets, generator.integers(0, classes, items))
    return targets, preds


def test_counts_recall_precision_and_f1_are_scikit_learns() -> None:
    targets, preds = drawn(500, 6)
    found = confusion(of_classes(targets, preds, 6))
    np.testing.assert_array_equal(found.matrix, confusion_matrix(targets, preds))
    expected = precision_recall_fscore_support(targets, preds)
    results = found.per_class()
    for index, name in enumerate(("precision", "recall", "f1", "num_items")):
        mine = [getattr(result, name) for result in results]
        np.testing.assert_allclose(mine, expected[index], atol=1e-12)
    assert found.num_wrong == (targets != preds).sum()


def test_pairs_are_those_with_the_most_mistakes_with_their_interval() -> None:
    targets, preds = drawn(800, 5)
    found = confusion(of_classes(targets, preds, 5, classes=tuple("abcde")))
    pairs = found.most_confused(20)
    wrong = targets != preds
    assert sum(pair.num_items for pair in pairs) == wrong.sum()
    assert [pair.num_items for pair in pairs] == sorted(
        (pair.num_items for pair in pairs), reverse=True
    )
    first = pairs[0]
    row, column = "abcde".index(first.true), "abcde".index(first.taken_for)
    assert first.num_items == ((targets == row) & (preds == column)).sum()
    assert (first.low, first.high) == wilson_interval(first.num_items, first.of)
    assert json.loads(json.dumps(found.to_json()))["most_confused"][0]["true"] == first.true


def test_a_class_without_items_has_no_recall_and_one_never_predicted_no_precision() -> None:
    found = confusion(of_classes(np.array([0, 0, 1]), np.array([0, 2, 2]), 3))
    recalls = [result.recall for result in found.per_class()]
    assert recalls == [0.5, 0.0, None]
    assert [result.precision for result in found.per_class()] == [1.0, None, 0.0]


def test_it_is_read_as_a_stranger_would() -> None:
    found = confusion(
        of_classes(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1]), 2, classes=("cat", "dog"))
    )
    assert str(found) == (
        "2 of 4 items are wrong (50.0%), of 2 classes.\n\n"
        "is   taken for   items  share   95% interval\n"
        "cat  dog        2 of 3  66.7%  20.8 to 93.9%"
    )
    assert str(confusion(of_classes(np.array([1]), np.array([1]), 2))) == (
        "0 of 1 items are wrong (0%), of 2 classes."
    )


def test_yes_or_no_of_one_score_is_two_classes() -> None:
    outputs, targets = torch.tensor([2.0, -1.0, 0.5, 0.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    for scores in (outputs, outputs[:, None]):
        found = confusion(of_scores(scores, targets, classes=("no", "yes")))
        assert found.matrix.tolist() == [[1, 1], [1, 1]]


@pytest.mark.slow
def test_a_thousand_classes_and_fifty_thousand_items_take_less_than_two_seconds() -> None:
    targets, preds = drawn(50_000, 1000)
    record = of_classes(targets, preds, 1000)
    started = time.process_time()
    found = confusion(record)
    text = str(found)
    assert time.process_time() - started < 2.0
    assert found.matrix.sum() == 50_000 and text.startswith(f"{found.num_wrong:,} of 50,000 items")


def test_pictures_of_few_and_of_many_classes_are_drawn() -> None:
    few = confusion(of_classes(*drawn(60, 4), 4, classes=("a", "b", "$c$", "d"))).plot()
    many = confusion(of_classes(*drawn(200, 60), 60)).plot()
    assert len(few.axes[0].texts) > 4 and len(many.axes[0].texts) == 0
    for figure in (few, many):
        figure.canvas.draw()


def test_what_is_no_record_of_one_class_an_item_is_refused() -> None:
    numbers = of_scores(torch.zeros(3), torch.zeros(3))
    with pytest.raises(
        ShapeError,
        match=r"^`confusion` is for one class an item: \(N, C\) scores and \(N,\) classes\. Got "
        r"outputs of shape \(3,\) and targets of shape \(3,\) and type float32\.$",
    ):
        confusion(numbers)
    with pytest.raises(DataError, match=r"^`confusion` got a record without items\.$"):
        confusion(of_scores(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)))
    with pytest.raises(
        DataError, match=r"^`confusion` got 2 as the class of 'item 1', expected 0 to 1\.$"
    ):
        confusion(of_scores(torch.zeros(2, 2), torch.tensor([0, 2])))
    with pytest.raises(ConfigError, match=r"^`confidence` is a probability between 0 and 1"):
        confusion(of_classes(np.array([0]), np.array([0]), 2), confidence=95)
