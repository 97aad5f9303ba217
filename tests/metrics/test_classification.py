"""Metrics of classification: known answers, ties, refusals."""

from __future__ import annotations

import math

import pytest
import torch

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.metrics import F1, Accuracy, BinaryAccuracy, ConfusionMatrix, ErrorRate, TopK


def decisions(*classes: int, num_classes: int = 3) -> torch.Tensor:
    """Scores whose highest is at the given class of each item."""
    return torch.nn.functional.one_hot(torch.tensor(classes), num_classes).float()


def test_accuracy_and_error_rate_of_three_in_four():
    preds, targets = decisions(0, 1, 2, 0), torch.tensor([0, 1, 2, 1])
    for metric, expected in ((Accuracy(), 0.75), (ErrorRate(), 0.25)):
        metric.update(preds, targets)
        assert metric.compute() == expected


def test_first_of_equal_scores_is_the_prediction():
    metric = Accuracy()
    metric.update(torch.zeros(3, 3), torch.tensor([0, 1, 2]))
    assert metric.compute() == pytest.approx(1 / 3)


def test_top_k_counts_a_constant_model_as_chance():
    """All scores equal: k of C classes are named, so k/C are right and not all of them."""
    metric = TopK(2)
    metric.update(torch.zeros(5, 5), torch.arange(5))
    assert metric.compute() == pytest.approx(2 / 5)


def test_top_1_is_accuracy():
    generator = torch.Generator().manual_seed(1)
    preds = torch.randint(0, 3, (200, 4), generator=generator).float()  # many ties
    targets = torch.randint(4, (200,), generator=generator)
    top, accuracy = TopK(1), Accuracy()
    top.update(preds, targets)
    accuracy.update(preds, targets)
    assert top.compute() == accuracy.compute()
    assert top.name == "top_1_accuracy"


def test_accuracy_of_a_class_per_pixel():
    preds = torch.zeros(2, 3, 4, 4)
    preds[:, 1] = 1
    targets = torch.ones(2, 4, 4, dtype=torch.int64)
    targets[0] = 2
    metric = Accuracy()
    metric.update(preds, targets)
    assert metric.compute() == 0.5


def test_binary_accuracy_at_both_thresholds():
    targets = torch.tensor([[1], [0], [1], [0]])
    logits = torch.tensor([[2.0], [-1.0], [-0.1], [0.3]])
    of_logits, of_probs = BinaryAccuracy(), BinaryAccuracy(threshold=0.5)
    of_logits.update(logits, targets)
    of_probs.update(logits.sigmoid(), targets)
    assert of_logits.compute() == of_probs.compute() == 0.5


def test_f1_known_answer():
    """Two classes: precision 1 and recall 1/2 give 2/3; precision 1/2 and recall 1 give 2/3."""
    metric = F1()
    metric.update(decisions(0, 1, 1, num_classes=2), torch.tensor([0, 0, 1]))
    assert metric.compute() == pytest.approx(2 / 3)


def test_f1_leaves_out_classes_that_never_appear_and_counts_missed_ones_as_zero():
    metric = F1()
    metric.update(decisions(0, 0, num_classes=10), torch.tensor([0, 1]))
    assert metric.compute() == pytest.approx((2 / 3 + 0) / 2)


def test_f1_weighs_a_small_class_as_much_as_a_large_one():
    metric, accuracy = F1(), Accuracy()
    preds, targets = decisions(*[0] * 100, num_classes=2), torch.tensor([0] * 98 + [1] * 2)
    for each in (metric, accuracy):
        each.update(preds, targets)
    assert accuracy.compute() == 0.98
    assert metric.compute() < 0.5


def test_confusion_matrix_rows_are_true_classes():
    confusion = ConfusionMatrix()
    assert confusion.matrix.shape == (0, 0)
    confusion.update(decisions(1, 1, 2), torch.tensor([0, 1, 1]))
    confusion.update(decisions(1), torch.tensor([0]))
    assert confusion.matrix.tolist() == [[0, 2, 0], [0, 1, 1], [0, 0, 0]]
    hits, predicted, actual = confusion.per_class()
    assert (hits.tolist(), predicted.tolist(), actual.tolist()) == ([0, 1, 0], [0, 3, 1], [2, 2, 0])


def test_confusion_matrix_starts_anew_after_reset_with_another_number_of_classes():
    confusion = ConfusionMatrix()
    confusion.update(decisions(0), torch.tensor([0]))
    confusion.reset()
    confusion.update(decisions(1, num_classes=2), torch.tensor([0]))
    assert confusion.matrix.tolist() == [[0, 1], [0, 0]]


def test_another_number_of_classes_in_mid_pass_is_refused():
    confusion = ConfusionMatrix()
    confusion.update(decisions(0), torch.tensor([0]))
    with pytest.raises(ShapeError) as caught:
        confusion.update(decisions(0, num_classes=4), torch.tensor([0]))
    assert str(caught.value) == (
        "`confusion_matrix` got scores for 4 classes after scores for 3. "
        "Call `reset()` before another model."
    )


def test_one_score_per_item_is_refused_where_k_are_named():
    metric = TopK(2)
    for preds in (torch.zeros(4, 1), torch.zeros(4)):
        with pytest.raises(ShapeError) as caught:
            metric.update(preds, torch.zeros(4, dtype=torch.int64))
        assert str(caught.value) == (
            f"`{metric.name}` got predictions of shape {tuple(preds.shape)}, expected (B, C): a score "
            "for each of two or more classes. For one score per item use `binary_accuracy`."
        )
    assert math.isnan(metric.compute())


@pytest.mark.parametrize("make", [Accuracy, ErrorRate, F1, lambda: TopK(2)])
def test_targets_that_would_broadcast_are_refused(make):
    metric = make()
    with pytest.raises(ShapeError) as caught:
        metric.update(torch.zeros(4, 3), torch.zeros(4, 1, dtype=torch.int64))
    assert str(caught.value) == (
        f"`{metric.name}` got targets of shape (4, 1), expected (4,): class indices in 0..2, for "
        "scores of shape (4, 3)."
    )


def test_binary_accuracy_refuses_classes():
    with pytest.raises(ShapeError) as caught:
        BinaryAccuracy().update(torch.zeros(4, 3), torch.zeros(4))
    assert str(caught.value) == (
        "`binary_accuracy` got predictions of shape (4, 3) and targets of shape (4,), expected one "
        "score for each target. For one of several classes use `accuracy`."
    )


def test_top_k_refuses_what_is_always_right():
    with pytest.raises(ShapeError) as caught:
        TopK(5).update(torch.zeros(2, 5), torch.zeros(2, dtype=torch.int64))
    assert str(caught.value) == (
        "`top_5_accuracy` got scores for 5 classes, of which the highest 5 always hold the true one. "
        "Choose `TopK(k)` with k below 5, or `accuracy`."
    )


def test_top_k_refuses_no_place_at_all():
    with pytest.raises(ConfigError, match=r"^`TopK` needs k of 1 or more\. Got 0\.$"):
        TopK(0)
