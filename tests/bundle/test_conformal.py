"""Prediction sets and intervals: coverage, never empty, said where items are too few."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
import torch

from drivetrain.bundle.conformal import (
    fit_interval,
    fit_sets,
    items_needed,
    strangeness,
    upper_quantile,
)
from drivetrain.errors import ConfigError, InputError, ShapeError


def drawn(n, seed, classes=6, spread=2.0):
    r = np.random.default_rng(seed)
    targets = r.integers(classes, size=n)
    logits = spread * np.eye(classes)[targets] + r.normal(size=(n, classes))
    return torch.tensor(logits).softmax(dim=1), torch.tensor(targets)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [40, 400])
def test_coverage_over_many_fits_is_the_one_asked_for(coverage, n):
    """Exact for any n: k / (n + 1), k = ceil((n + 1) · coverage), where scores have no ties."""
    found = []
    for seed in range(150):
        probs, targets = drawn(n + 300, seed, spread=1.0)
        sets = fit_sets(probs[:n], targets[:n], coverage=coverage)
        inside = sets.sets(probs[n:])
        found.append(float(inside.gather(1, targets[n:, None]).double().mean()))
    exact = np.ceil((n + 1) * coverage) / (n + 1)
    assert np.mean(found) == pytest.approx(exact, abs=0.01)


def test_a_model_that_is_right_more_often_gets_sets_of_one_and_says_so():
    probs, targets = drawn(1_000, 0, spread=6.0)
    sets = fit_sets(probs, targets, coverage=0.9)
    accuracy = float((probs.argmax(dim=1) == targets).double().mean())
    assert sets.threshold == 0 and sets.mean_size == 1
    assert sets.expected == pytest.approx(accuracy, abs=0.002) and accuracy > 0.95
    assert "(the model alone is right that often); 90% was asked for" in str(sets)


def test_a_set_holds_the_predicted_class_and_is_never_empty():
    probs, targets = drawn(300, 1)
    sets = fit_sets(probs, targets, coverage=0.5).sets(probs)
    assert bool(sets.gather(1, probs.argmax(dim=1, keepdim=True)).all())
    even = torch.full((1, 6), 1 / 6)
    assert fit_sets(probs, targets, coverage=0.5).sets(even).sum() == 1


def test_too_few_items_give_all_classes_and_say_how_many_it_takes():
    probs, targets = drawn(8, 2)
    sets = fit_sets(probs, targets, coverage=0.9)
    assert sets.threshold == inf and not sets.is_enough
    assert bool(sets.sets(probs).all())
    assert str(sets) == (
        "Prediction sets hold all classes: 8 validation items are too few to promise 90%; it takes 9."
    )
    assert fit_sets(*drawn(9, 2), coverage=0.9).is_enough


@pytest.mark.parametrize(("share", "needed"), [(0.5, 1), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_items_needed(share, needed):
    assert items_needed(share) == needed
    assert upper_quantile(torch.zeros(needed), share) == 0
    assert upper_quantile(torch.zeros(needed - 1), share) == inf


def test_sets_grow_with_coverage():
    probs, targets = drawn(500, 3, spread=1.0)
    sizes = [fit_sets(probs, targets, coverage=c).mean_size for c in (0.5, 0.7, 0.9, 0.99)]
    assert sizes == sorted(sizes) and sizes[-1] > sizes[0]


def test_equal_probabilities_have_one_predicted_class():
    assert strangeness(torch.tensor([[0.5, 0.5]])).tolist() == [[0.0, 0.5]]


@pytest.mark.parametrize("is_scaled", [False, True])
def test_intervals_hold_the_truth_as_often_as_asked(is_scaled):
    found = []
    for seed in range(100):
        r = np.random.default_rng(seed)
        scale = torch.tensor(np.exp(r.normal(size=500)))
        targets = torch.tensor(r.normal(size=500)) * scale
        given = scale if is_scaled else None
        part = None if given is None else given[:200]
        fitted = fit_interval(torch.zeros(200), targets[:200], 0.9, scale=part)
        low, high = fitted.interval(torch.zeros(300), None if given is None else given[200:])
        found.append(float(((low <= targets[200:]) & (targets[200:] <= high)).double().mean()))
    assert np.mean(found) == pytest.approx(0.9, abs=0.01)


def test_interval_says_what_it_promises():
    fitted = fit_interval(torch.zeros(99), torch.arange(99.0), 0.9)
    assert fitted.half_width == 89 and str(fitted).startswith(
        "Intervals of ± 89 hold the truth in 90%"
    )
    few = fit_interval(torch.zeros(3), torch.ones(3), 0.9)
    assert few.half_width == inf and "3 validation items are too few" in str(few)


def test_refusals():
    probs, targets = drawn(20, 0)
    with pytest.raises(ConfigError, match=r"got coverage 1\.0, expected a share between 0 and 1"):
        fit_sets(probs, targets, coverage=1.0)
    with pytest.raises(ShapeError, match=r"got targets of shape \(4,\), expected \(N,\) like the"):
        fit_interval(torch.zeros(3), torch.zeros(4), 0.9)
    with pytest.raises(InputError, match="got a scale of 0 or less"):
        fit_interval(torch.zeros(2), torch.zeros(2), 0.9, scale=torch.tensor([1.0, 0.0]))
