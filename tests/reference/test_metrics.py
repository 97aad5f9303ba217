"""The streaming metrics against plain Python over all items, and against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain import metrics
from drivetrain.reference import metrics as twin

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def streamed(metric, preds, targets, sizes):
    """The metric's value over batches of the given sizes (the rest in a last one)."""
    metric.reset()
    sizes = [*sizes, len(preds) - sum(sizes)]
    for a, b in zip(preds.split(sizes), targets.split(sizes), strict=True):
        metric.update(a, b)
    return metric.compute()


CLASSIFICATION = {
    "accuracy": twin.accuracy,
    "error_rate": twin.error_rate,
    "f1": twin.macro_f1,
    "top_5_accuracy": lambda scores, targets: twin.top_k_accuracy(scores, targets, 5),
}
REGRESSION = {"mae": twin.mae, "mse": twin.mse, "rmse": twin.rmse, "r2": twin.r2}
BINARY = {"binary_accuracy": twin.binary_accuracy}


def test_every_metric_has_a_twin_here():
    assert {*CLASSIFICATION, *REGRESSION, *BINARY} == set(metrics.METRICS)


@st.composite
def batches_of_classes(draw):
    """Scores on a coarse grid, so that ties are common; targets; where the batches are cut."""
    count, num_classes = draw(st.integers(3, 20)), draw(st.integers(6, 8))
    cells = st.lists(st.integers(-2, 2), min_size=num_classes, max_size=num_classes)
    rows = draw(st.lists(cells, min_size=count, max_size=count))
    targets = draw(st.lists(st.integers(0, num_classes - 1), min_size=count, max_size=count))
    return rows, targets, [draw(st.integers(0, 2)), draw(st.integers(0, 1))]


@pytest.mark.parametrize("name", sorted(CLASSIFICATION))
@given(data=batches_of_classes())
@settings(max_examples=40, deadline=None)
def test_classification_equals_the_twin_however_it_is_batched(name, data):
    rows, targets, sizes = data
    value = streamed(metrics.metric(name), torch.tensor(rows).float(), torch.tensor(targets), sizes)
    assert value == pytest.approx(CLASSIFICATION[name](rows, targets), rel=1e-12)


@pytest.mark.parametrize("name", sorted(REGRESSION))
@given(
    pairs=st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=30),
    offset=st.sampled_from([0.0, 1e6]),
)
@settings(max_examples=40, deadline=None)
def test_regression_equals_the_twin_however_it_is_batched(name, pairs, offset):
    preds = [p / 4 + offset for p, _ in pairs]
    targets = [y / 4 + offset for _, y in pairs]
    if len(set(targets)) == 1:
        targets[0] += 1
    value = streamed(
        metrics.metric(name),
        torch.tensor(preds, dtype=torch.float64),
        torch.tensor(targets, dtype=torch.float64),
        [1, 0],
    )
    assert value == pytest.approx(REGRESSION[name](preds, targets), rel=1e-9, abs=1e-12)


@given(data=st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
@settings(max_examples=40, deadline=None)
def test_binary_accuracy_equals_the_twin(data):
    scores, targets = [s for s, _ in data], [int(y) for _, y in data]
    value = streamed(
        metrics.BinaryAccuracy(), torch.tensor(scores).float(), torch.tensor(targets), [1]
    )
    assert value == pytest.approx(twin.binary_accuracy(scores, targets), rel=1e-12)


@given(data=batches_of_classes())
@settings(max_examples=40, deadline=None)
def test_confusion_matrix_equals_the_twin(data):
    rows, targets, sizes = data
    confusion = metrics.ConfusionMatrix()
    for a, b in zip(
        torch.tensor(rows).split([*sizes, len(rows) - sum(sizes)]),
        torch.tensor(targets).split([*sizes, len(rows) - sum(sizes)]),
        strict=True,
    ):
        confusion.update(a, b)
    assert confusion.matrix.tolist() == twin.confusion_matrix(rows, targets)


@pytest.mark.parametrize("seed", range(5))
def test_both_equal_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(60, 7, generator=generator)
    targets = torch.randint(7, (60,), generator=generator)
    decided = scores.argmax(1)
    numbers, truth = scores[:, 0].double(), scores[:, 1].double()
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(targets, decided),
        "f1": sklearn_metrics.f1_score(targets, decided, average="macro"),
        "top_5_accuracy": sklearn_metrics.top_k_accuracy_score(targets, scores, k=5),
        "mae": sklearn_metrics.mean_absolute_error(truth, numbers),
        "rmse": sklearn_metrics.root_mean_squared_error(truth, numbers),
        "r2": sklearn_metrics.r2_score(truth, numbers),
    }
    for name, value in expected.items():
        pair = (scores, targets) if name in CLASSIFICATION else (numbers, truth)
        assert streamed(metrics.metric(name), *pair, [7, 32]) == pytest.approx(value, rel=1e-9), (
            name
        )
        by_hand = (CLASSIFICATION | REGRESSION)[name](*(part.tolist() for part in pair))
        assert by_hand == pytest.approx(value, rel=1e-9), name


@given(total=st.integers(1, 5000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
@settings(max_examples=60, deadline=None)
def test_wilson_interval_equals_its_definition(total, share, confidence):
    correct = round(share * total)
    fast = metrics.wilson_interval(correct, total, confidence)
    assert fast == pytest.approx(twin.wilson_interval(correct, total, confidence), abs=1e-9)


def test_defaults_of_the_interval_are_the_same():
    assert metrics.wilson_interval(30, 40) == pytest.approx(twin.wilson_interval(30, 40), abs=1e-9)
