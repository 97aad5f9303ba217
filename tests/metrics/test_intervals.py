"""Intervals of metrics: against other ways to the same number, and how often they hold the truth."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch

from drivetrain.metrics import METRICS, interval_of, metric, wilson_interval
from drivetrain.metrics.bootstrap import bootstrap_interval
from drivetrain.metrics.interval import of_squares, two_sided_student

scipy_stats = pytest.importorskip("scipy.stats")


def ends(name, preds, targets, confidence=0.95, **options):
    found = metric(name, **options)
    found.update(preds, targets)
    return interval_of(found, confidence)


# --- closed forms -------------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 50, 199, 200, 201, 1000, 10**6])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_student_quantile_equals_scipy(freedom, confidence):
    expected = scipy_stats.t.ppf((1 + confidence) / 2, freedom)
    assert two_sided_student(confidence, freedom) == pytest.approx(expected, rel=1e-7)


def test_shares_have_the_interval_of_their_counts():
    scores = torch.eye(3)[torch.tensor([0, 0, 1, 2, 2, 2, 1, 0])]
    targets = torch.tensor([0, 1, 1, 2, 2, 0, 1, 0])
    assert ends("accuracy", scores, targets) == wilson_interval(6, 8)
    assert ends("error_rate", scores, targets) == pytest.approx(wilson_interval(2, 8), abs=1e-15)
    assert ends("top_2_accuracy", scores, targets, 0.8) == wilson_interval(8, 8, 0.8)
    for name in ("precision", "recall"):
        assert ends(name, scores, targets, average="micro") == wilson_interval(6, 8)
    logits, truth = torch.tensor([1.0, 2, 3, -1, -2, -3]), torch.tensor([1, 1, 0, 1, 1, 0])
    assert ends("precision", logits, truth) == wilson_interval(2, 3)
    assert ends("recall", logits, truth) == wilson_interval(2, 4)
    assert ends("binary_accuracy", logits, truth) == wilson_interval(3, 6)
    never = metric("precision")
    never.update(-torch.ones(4), torch.ones(4))
    assert (never.compute(), interval_of(never)) == (0.0, None)  # nothing was said yes to


def test_a_mean_is_scipys_and_squares_are_the_same_on_the_scale_of_logarithms():
    generator = torch.Generator().manual_seed(0)
    preds, targets = (torch.randn(30, generator=generator, dtype=torch.float64) for _ in range(2))
    apart = (preds - targets).abs().numpy()
    expected = scipy_stats.t.interval(0.9, 29, apart.mean(), scipy_stats.sem(apart))
    assert ends("mae", preds, targets, 0.9) == pytest.approx(expected, rel=1e-9)
    squares = apart**2
    scale = scipy_stats.sem(squares) / squares.mean()
    expected = np.exp(scipy_stats.t.interval(0.9, 29, np.log(squares.mean()), scale))
    assert ends("mse", preds, targets, 0.9) == pytest.approx(expected, rel=1e-9)
    assert ends("rmse", preds, targets, 0.9) == pytest.approx(np.sqrt(expected), rel=1e-9)
    assert ends("rmse", preds[:1], targets[:1]) is None
    wide = ends("rmse", torch.tensor([0.0, 3.0]), torch.zeros(2))
    assert wide is not None and 0 < wide[0] < 0.01 and wide[1] > 1000, "two say next to nothing"


@pytest.mark.parametrize("count", [5, 10, 20])
def test_the_root_of_few_squares_has_an_interval_that_nearly_holds_what_it_says(count):
    """By mean ± t·s/sqrt(n) it would be 82, 86 and 90 times in 100."""
    draw, inside = np.random.default_rng(count), 0
    for _ in range(1000):
        said = ends("rmse", torch.from_numpy(draw.normal(size=count)), torch.zeros(count).double())
        assert said is not None
        inside += said[0] <= 1.0 <= said[1]
    assert inside / 1000 >= 0.89


def test_squares_that_say_nothing_have_no_interval():
    assert of_squares(0.0, 0.0, 2.0) is None
    assert of_squares(1.0, 1.0, 6366.0) is None
    assert of_squares(4.0, 0.5, 2.0) == pytest.approx((4 * math.exp(-0.25), 4 * math.exp(0.25)))


def test_correlation_equals_scipy():
    generator = torch.Generator().manual_seed(0)
    preds = torch.randn(30, generator=generator, dtype=torch.float64)
    targets = preds + torch.randn(30, generator=generator, dtype=torch.float64)
    theirs = scipy_stats.pearsonr(preds, targets).confidence_interval(0.9)
    assert ends("pearson", preds, targets, 0.9) == pytest.approx((theirs.low, theirs.high))
    assert ends("pearson", preds[:3], targets[:3]) is None
    assert ends("spearman", preds, 2 * preds) is None


def test_perplexity_has_the_ends_of_the_log_loss():
    generator = torch.Generator().manual_seed(0)
    scores, targets = torch.randn(50, 7, generator=generator), torch.arange(50) % 7
    loss = ends("log_loss", scores, targets)
    assert loss is not None
    assert ends("perplexity", scores, targets) == pytest.approx([math.exp(end) for end in loss])


def test_a_perfect_order_of_few_items_is_not_certain():
    small = ends("roc_auc", torch.arange(10.0), (torch.arange(10) > 4).float())
    large = ends("roc_auc", torch.arange(400.0), (torch.arange(400) > 199).float())
    assert small is not None and large is not None
    assert 0.5 < small[0] < 0.8 and small[1] == 1.0
    assert 0.95 < large[0] < 1.0 and large[1] == 1.0
    mirrored = ends("roc_auc", -torch.arange(10.0), (torch.arange(10) > 4).float())
    assert mirrored == pytest.approx((0.0, 1 - small[0]), abs=1e-12)


def test_pixels_of_one_picture_are_not_independent():
    """Each picture is all right or all wrong: 20 pictures know as much as 20 items, not 2000 pixels."""
    right = torch.tensor([1.0, 1.0, 1.0, 0.0]).repeat(5)  # (20,) pictures
    logits = (right * 2 - 1).reshape(20, 1, 1, 1).expand(20, 1, 10, 10)
    targets = torch.ones(20, 10, 10)
    items = ends("accuracy", right * 2 - 1, torch.ones(20))
    found = ends("accuracy", logits, targets)
    assert items is not None and found is not None
    assert found == pytest.approx(items, abs=0.02)
    loss = ends("log_loss", logits, targets)
    assert loss == pytest.approx(ends("log_loss", right * 2 - 1, torch.ones(20)), rel=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_no_metric_is_certain_of_items_that_are_all_right(count):
    """Three right answers do not mean that every answer is right."""
    yes = torch.arange(count) % 2
    scores, numbers = 20 * torch.eye(2)[yes] - 10, torch.arange(float(count)) + 1
    labels = (20.0 * torch.eye(2)[yes] - 10, torch.eye(2)[yes])
    for name in METRICS:
        found = metric(name)
        kinds = getattr(found, "kinds", ())
        if name == "top_5_accuracy":
            continue  # it needs more classes
        for kind in kinds or ("numbers",):
            found.reset()
            given = {"classes": (scores, yes), "binary": (scores[:, 1], yes), "labels": labels,
                     "numbers": (numbers, numbers)}[kind]  # fmt: skip
            found.update(*given)
            said = interval_of(found)
            assert said is None or said[1] - said[0] > 1e-9 * said[1], (name, kind, said)


# --- bootstrap ----------------------------------------------------------------------------------------


def test_drawing_cells_is_drawing_items():
    """The same shares from items one by one and from the counts of their kinds."""
    values = np.repeat([0.0, 1.0], [60, 40])
    by_item = bootstrap_interval(
        0.4, lambda w: (w @ values) / w.sum(1), 100, confidence=0.95, name="a"
    )
    by_cell = bootstrap_interval(
        0.4, lambda w: w[:, 1] / w.sum(1), np.array([60, 40]), confidence=0.95, name="b"
    )
    assert by_item == pytest.approx(by_cell, abs=0.021)
    assert by_item == pytest.approx(wilson_interval(40, 100), abs=0.021)


def test_bootstrap_draws_the_same_each_time_and_leaves_global_generators_alone():
    generator = torch.Generator().manual_seed(0)
    scores, targets = torch.randn(60, 4, generator=generator), torch.arange(60) % 4
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = ends("f1", scores, targets)
    torch.rand(3)
    assert ends("f1", scores, targets) == first
    torch.set_rng_state(torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_a_value_that_is_mostly_undefined_has_no_interval():
    half = bootstrap_interval(
        0.5,
        lambda w: np.where(w[:, 0] > 0, 0.5, np.nan),
        np.array([1, 9]),
        confidence=0.95,
        name="x",
    )
    assert half == (0.5, 0.5)  # drawn in about two thirds
    rare = bootstrap_interval(
        0.5,
        lambda w: np.where(w[:, 0] > 2, 0.5, np.nan),
        np.array([1, 9]),
        confidence=0.95,
        name="x",
    )
    assert rare is None


# --- coverage: how often an interval holds the truth --------------------------------------------------

SIMULATIONS, ITEMS = 400, 120


def draw(seed, count=ITEMS):
    """Logits of yes or no and what happened; a number and its noisy prediction; three classes."""
    generator = torch.Generator().manual_seed(seed)
    truth = (torch.rand(count, generator=generator) < 0.4).double()
    logits = torch.randn(count, generator=generator, dtype=torch.float64) + 1.2 * truth - 0.5
    numbers = torch.randn(count, generator=generator, dtype=torch.float64)
    noisy = 0.6 * numbers + 0.8 * torch.randn(count, generator=generator, dtype=torch.float64)
    classes = torch.randint(3, (count,), generator=generator)
    scores = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    scores = scores + 1.5 * torch.eye(3, dtype=torch.float64)[classes]
    return {
        "yes or no": (logits, truth),
        "numbers": (noisy, numbers),
        "classes": (scores, classes),
    }


@functools.cache
def truths():
    """The value on so many items stands for the true one."""
    return draw(10**6, count=2_000_000)


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("accuracy", "classes", ITEMS),
        ("precision", "yes or no", ITEMS),
        pytest.param("roc_auc", "yes or no", ITEMS, marks=pytest.mark.slow),
        ("mae", "numbers", ITEMS),
        ("rmse", "numbers", ITEMS),
        ("log_loss", "classes", ITEMS),
        ("brier", "yes or no", ITEMS),
        ("pearson", "numbers", ITEMS),
        ("spearman", "numbers", ITEMS),
        pytest.param("f1", "classes", ITEMS, marks=pytest.mark.slow),
        ("matthews", "yes or no", ITEMS),
        pytest.param("kappa", "classes", ITEMS, marks=pytest.mark.slow),
        pytest.param("average_precision", "yes or no", 300, marks=pytest.mark.slow),
        pytest.param("r2", "numbers", ITEMS, marks=pytest.mark.slow),
    ],
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(name, kind, count):
    found = metric(name)
    found.update(*truths()[kind])
    truth = found.compute()
    inside = 0
    for seed in range(SIMULATIONS):
        said = ends(name, *draw(seed, count)[kind])
        assert said is not None
        inside += said[0] <= truth <= said[1]
    assert 0.92 <= inside / SIMULATIONS <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", [0.5, 1.5, 4.0])  # too unsure, calibrated, too sure
def test_interval_of_the_calibration_error_holds_the_truth(sharpness):
    """A calibrated model's error is always above 0: the plain bootstrap would never hold the truth."""
    found = metric("calibration_error")
    scores, targets = truths()["classes"]
    found.update(sharpness * scores, targets)
    truth, inside, from_zero = found.compute(), 0, 0
    for seed in range(200):
        scores, targets = draw(seed, 500)["classes"]
        said = ends("calibration_error", sharpness * scores, targets)
        assert said is not None
        inside += said[0] <= truth <= said[1]
        from_zero += said[0] == 0
    assert inside / 200 >= 0.92
    assert from_zero >= 190 if sharpness == 1.5 else from_zero <= 10
