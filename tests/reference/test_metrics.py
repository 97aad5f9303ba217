"""The streaming metrics against plain Python over all items, and against scikit-learn and scipy."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain import metrics
from drivetrain.metrics.interval import fisher_interval, two_sided_student
from drivetrain.reference import metrics as twin

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def streamed(metric, preds, targets, sizes):
    """The metric's value over batches of the given sizes (the rest in a last one)."""
    metric.reset()
    sizes = [*sizes, len(preds) - sum(sizes)]
    for a, b in zip(preds.split(sizes), targets.split(sizes), strict=True):
        metric.update(a, b)
    return metric.compute()


def decided(scores):
    return [twin.predicted_class(row) for row in scores]


def of_counts(score, **options):
    return lambda scores, targets: twin.class_scores(decided(scores), targets, score, **options)


def calibration(scores, targets):
    probs = [twin.softmax(row) for row in scores]
    right = [d == y for d, y in zip(decided(scores), targets, strict=True)]
    return twin.calibration_error([max(row) for row in probs], right)


CLASSIFICATION = {
    "accuracy": twin.accuracy,
    "average_precision": functools.partial(twin.one_against_rest, twin.average_precision),
    "brier": twin.brier,
    "calibration_error": calibration,
    "dice": of_counts(twin.dice),
    "error_rate": twin.error_rate,
    "f1": twin.macro_f1,
    "f_beta": of_counts(twin.f_beta),
    "jaccard": of_counts(twin.jaccard),
    "kappa": lambda scores, targets: twin.kappa(decided(scores), targets),
    "log_loss": twin.log_loss,
    "matthews": lambda scores, targets: twin.matthews(decided(scores), targets),
    "perplexity": twin.perplexity,
    "precision": of_counts(twin.precision),
    "recall": of_counts(twin.recall),
    "roc_auc": functools.partial(twin.one_against_rest, twin.roc_auc),
    "top_5_accuracy": lambda scores, targets: twin.top_k_accuracy(scores, targets, 5),
}
REGRESSION = {
    "mae": twin.mae,
    "mse": twin.mse,
    "pearson": twin.pearson,
    "r2": twin.r2,
    "rmse": twin.rmse,
    "rmsle": twin.rmsle,
    "spearman": twin.spearman,
}
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
    if len(set(targets)) == 1:
        targets[0] = (targets[0] + 1) % num_classes  # with one class only, some are undefined
    return rows, targets, [draw(st.integers(0, 2)), draw(st.integers(0, 1))]


@pytest.mark.parametrize("name", sorted(CLASSIFICATION))
@given(data=batches_of_classes())
@settings(max_examples=12, deadline=None)
def test_classification_equals_the_twin_however_it_is_batched(name, data):
    rows, targets, sizes = data
    scores = torch.tensor(rows, dtype=torch.float64)
    value = streamed(metrics.metric(name), scores, torch.tensor(targets), sizes)
    expected = CLASSIFICATION[name](rows, targets)
    if name == "calibration_error" and value != pytest.approx(expected, rel=1e-9, abs=1e-12):
        # A probability may lie on the edge of two bins: of softmax's last bit depends which.
        sure = [max(twin.softmax(row)) * 15 for row in rows]
        assert any(abs(p - round(p)) < 1e-9 for p in sure)
        return
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", sorted(REGRESSION))
@given(
    pairs=st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=30),
    offset=st.sampled_from([0.0, 1e6]),
)
@settings(max_examples=20, deadline=None)
def test_regression_equals_the_twin_however_it_is_batched(name, pairs, offset):
    preds = [p / 4 + offset for p, _ in pairs]
    targets = [(y / 4 if name != "rmsle" else abs(y) / 4) + offset for _, y in pairs]
    for values in (preds, targets):
        if len(set(values)) == 1:
            values[0] += 1
    value = streamed(
        metrics.metric(name),
        torch.tensor(preds, dtype=torch.float64),
        torch.tensor(targets, dtype=torch.float64),
        [1, 0],
    )
    # A correlation of 0 far from zero is made of differences: 1e6 leaves 1e-10 of their digits.
    close = 1e-9 if name in ("pearson", "spearman") else 1e-12
    assert value == pytest.approx(REGRESSION[name](preds, targets), rel=1e-9, abs=close)


@given(data=st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
@settings(max_examples=20, deadline=None)
def test_binary_accuracy_equals_the_twin(data):
    scores, targets = [s for s, _ in data], [int(y) for _, y in data]
    value = streamed(
        metrics.BinaryAccuracy(), torch.tensor(scores).float(), torch.tensor(targets), [1]
    )
    assert value == pytest.approx(twin.binary_accuracy(scores, targets), rel=1e-12)


YES_OR_NO = {
    "accuracy": lambda s, y: twin.accuracy(twin.two_columns(s), y),
    "average_precision": twin.average_precision,
    "brier": lambda s, y: twin.brier(twin.two_columns(s), y),
    "calibration_error": lambda s, y: twin.calibration_error(
        [twin.softmax(row)[1] for row in twin.two_columns(s)], [bool(t) for t in y]
    ),
    "dice": lambda s, y: of_counts(twin.dice, classes=[1])(twin.two_columns(s), y),
    "f1": lambda s, y: of_counts(functools.partial(twin.f_beta, beta=1.0), classes=[1])(
        twin.two_columns(s), y
    ),
    "jaccard": lambda s, y: of_counts(twin.jaccard, classes=[1])(twin.two_columns(s), y),
    "kappa": lambda s, y: twin.kappa(decided(twin.two_columns(s)), y),
    "log_loss": lambda s, y: twin.log_loss(twin.two_columns(s), y),
    "matthews": lambda s, y: twin.matthews(decided(twin.two_columns(s)), y),
    "precision": lambda s, y: of_counts(twin.precision, classes=[1])(twin.two_columns(s), y),
    "recall": lambda s, y: of_counts(twin.recall, classes=[1])(twin.two_columns(s), y),
    "roc_auc": twin.roc_auc,
}


@pytest.mark.parametrize("name", sorted(YES_OR_NO))
@given(
    data=st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
        lambda pairs: len({y for _, y in pairs}) == 2
    ),
    column=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_yes_or_no_equals_the_twin_however_it_is_batched(name, data, column):
    scores, targets = [float(s) for s, _ in data], [int(y) for _, y in data]
    logits = torch.tensor(scores, dtype=torch.float64)
    value = streamed(
        metrics.metric(name),
        logits[:, None] if column else logits,
        torch.tensor(targets, dtype=torch.float32),
        [1, 0],
    )
    assert value == pytest.approx(YES_OR_NO[name](scores, targets), rel=1e-9, abs=1e-12)


@given(data=batches_of_classes(), power=st.sampled_from(["linear", "quadratic"]))
@settings(max_examples=12, deadline=None)
def test_weighted_kappa_equals_the_twin(data, power):
    rows, targets, sizes = data
    value = streamed(
        metrics.metric("kappa", weights=power), torch.tensor(rows), torch.tensor(targets), sizes
    )
    expected = twin.kappa(decided(rows), targets, {"linear": 1, "quadratic": 2}[power])
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("average", ["micro", "weighted"])
@pytest.mark.parametrize("name", ["precision", "recall", "f_beta", "dice", "jaccard"])
@given(data=batches_of_classes())
@settings(max_examples=8, deadline=None)
def test_averages_equal_the_twin(name, average, data):
    rows, targets, sizes = data
    found = metrics.metric(name, average=average)
    value = streamed(found, torch.tensor(rows), torch.tensor(targets), sizes)
    expected = of_counts(getattr(twin, name), average=average)(rows, targets)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(data=batches_of_classes())
@settings(max_examples=20, deadline=None)
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
@settings(max_examples=30, deadline=None)
def test_wilson_interval_equals_its_definition(total, share, confidence):
    correct = round(share * total)
    fast = metrics.wilson_interval(correct, total, confidence)
    assert fast == pytest.approx(twin.wilson_interval(correct, total, confidence), abs=1e-9)


def test_defaults_of_the_interval_are_the_same():
    assert metrics.wilson_interval(30, 40) == pytest.approx(twin.wilson_interval(30, 40), abs=1e-9)


@pytest.mark.parametrize("freedom", [3, 4, 9, 30, 250])
def test_student_quantile_equals_its_integral(freedom):
    expected = twin.student_quantile(0.975, freedom)
    assert two_sided_student(0.95, freedom) == pytest.approx(expected, rel=1e-6)


@given(
    data=st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=8, max_size=30).filter(
        lambda pairs: 2 <= sum(y for _, y in pairs) <= len(pairs) - 2
    )
)
@settings(max_examples=20, deadline=None)
def test_interval_of_an_area_equals_the_twin(data):
    scores, targets = [float(s) for s, _ in data], [int(y) for _, y in data]
    area = twin.roc_auc(scores, targets)
    if area in (0.0, 1.0) or len(set(scores)) == 1:
        return  # Newcombe's: tests/metrics/test_intervals.py
    found = metrics.RocAuc()
    found.update(torch.tensor(scores), torch.tensor(targets))
    assert found.interval() == pytest.approx(twin.delong_interval(scores, targets), rel=1e-9)


@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.3])
def test_interval_of_a_correlation_equals_the_twin(correlation):
    for count, spread in ((4, 1.0), (50, 1.3)):
        found = fisher_interval(correlation, count, 0.9, spread=spread)
        expected = twin.fisher_interval(correlation, count, 0.9, spread=spread)
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["mae", "mse", "log_loss", "brier"])
def test_interval_of_a_mean_equals_the_twin(name):
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(40, 4, generator=generator, dtype=torch.float64)
    targets = torch.randint(4, (40,), generator=generator)
    preds = scores[:, 0] if name in REGRESSION else scores
    truth = scores[:, 1] if name in REGRESSION else targets
    found = metrics.metric(name)
    found.update(preds[:11], truth[:11])
    found.update(preds[11:], truth[11:])
    each = [
        (REGRESSION | CLASSIFICATION)[name]([p], [y])
        for p, y in zip(preds.tolist(), truth.tolist(), strict=True)
    ]
    expected = (twin.squares_interval if name == "mse" else twin.mean_interval)(each)
    assert found.interval() == pytest.approx(expected, rel=1e-6)
    assert found.compute() == pytest.approx(math.fsum(each) / len(each), rel=1e-12)
