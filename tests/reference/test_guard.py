"""The guard beside its twin: temperature, sets, intervals, distances, selection, drift."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.bundle.calibration import HIGHEST, LOWEST, fit_temperature
from drivetrain.bundle.conformal import fit_interval, fit_sets
from drivetrain.bundle.domain import farthest_first, fit_domain
from drivetrain.bundle.shift import fit_shift
from drivetrain.bundle.two_sample import ks_distance, ks_p_value
from drivetrain.reference import guard as twin


def draw(seed, n=40, classes=4, spread=2.0):
    r = np.random.default_rng(seed)
    targets = r.integers(classes, size=n)
    logits = spread * r.normal(size=(n, classes)) + 2 * np.eye(classes)[targets]
    return torch.tensor(logits), torch.tensor(targets)


@pytest.mark.parametrize("seed", range(6))
def test_temperature(seed):
    logits, targets = draw(seed, n=5 + 20 * seed, spread=0.3 + seed)
    expected = twin.temperature(logits.tolist(), targets.tolist())
    assert fit_temperature(logits, targets).value == pytest.approx(expected, rel=1e-5)


def test_temperature_of_a_model_that_is_always_right_and_of_one_that_is_always_wrong():
    logits = torch.tensor([[9.0, 0.0, -4.0], [-3.0, 6.0, 0.0], [-2.0, 0.0, 7.0]])
    for targets in ([0, 1, 2], [2, 0, 0]):
        expected = twin.temperature(logits.tolist(), targets)
        found = fit_temperature(logits, torch.tensor(targets)).value
        assert found == pytest.approx(expected, rel=1e-3)
        assert LOWEST <= found <= HIGHEST


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 30),
    coverage=st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]),
)
def test_sets(seed, n, coverage):
    logits, targets = draw(seed, n)
    probs = logits.softmax(dim=1)
    new = draw(seed + 1, 5)[0].softmax(dim=1)
    found = fit_sets(probs, targets, coverage=coverage).sets(new)
    for row, probabilities in zip(found.tolist(), new.tolist(), strict=True):
        known = probs.tolist(), targets.tolist()
        assert row == twin.prediction_set(*known, probabilities, coverage)


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 40), coverage=st.sampled_from([0.5, 0.9, 0.95]))
def test_interval(seed, n, coverage):
    r = np.random.default_rng(seed)
    preds, targets = r.normal(size=n), r.normal(size=n).round(1)
    found = fit_interval(torch.tensor(preds), torch.tensor(targets), coverage).half_width
    assert found == pytest.approx(twin.half_width(preds.tolist(), targets.tolist(), coverage))


@pytest.mark.parametrize("seed", range(3))
def test_domain_distances_and_score(seed):
    """A rotation changes no distance, so the twin needs no basis: its last coordinate is 0."""
    r = np.random.default_rng(seed)
    mixing = r.normal(size=(5, 5))
    targets = r.integers(3, size=60)
    train = (r.normal(size=(60, 5)) + 3 * r.normal(size=(3, 5))[targets]) @ mixing
    valid, new = (r.normal(size=(n, 5)) @ mixing for n in (40, 8))
    domain = fit_domain(
        torch.tensor(valid),
        train_features=torch.tensor(train),
        train_targets=torch.tensor(targets),
    )
    rows = [[*row, 0.0] for row in train.tolist()]
    covariance = twin.shrunk_covariance(rows, targets.tolist())
    found = domain.score(torch.tensor(new))
    for row, score in zip(new.tolist(), found.tolist(), strict=True):
        row = [*row, 0.0]
        expected = max(
            twin.distance_in_direction(row, rows) / domain.bounds[0],
            twin.mahalanobis_to_nearest(row, rows, covariance) / domain.bounds[1],
        )
        assert score == pytest.approx(expected, rel=2e-4)  # what is kept is float32


def test_domain_threshold_is_the_rank_of_the_definition():
    r = np.random.default_rng(0)
    train, valid, new = (torch.tensor(r.normal(size=(n, 4))) for n in (50, 57, 200))
    domain = fit_domain(valid, train_features=train, false_alarm=0.1)
    distances = domain._distances(valid).numpy()
    known = []
    for i in range(57):  # each as if it were new: with the bounds of the others
        bounds = np.quantile(np.delete(distances, i, axis=0), 0.9, axis=0)
        known.append((distances[i] / bounds).max())
    score = domain.score(new)
    expected = [twin.rank_share(known, value) > 0.1 for value in score.tolist()]
    assert domain.is_inside(score).tolist() == expected


@pytest.mark.parametrize(("n", "most"), [(1, 3), (10, 10), (30, 7), (60, 2)])
def test_farthest_first(n, most):
    rows = np.random.default_rng(n).normal(size=(n, 3))
    assert farthest_first(torch.tensor(rows), most).tolist() == twin.farthest_first(
        rows.tolist(), most
    )


@settings(deadline=None)
@given(
    old=st.lists(st.integers(-5, 5), min_size=1, max_size=30),
    new=st.lists(st.integers(-5, 5), min_size=1, max_size=30),
)
def test_largest_gap_with_equal_values(old, new):
    columns = [torch.tensor(values, dtype=torch.float64)[:, None] for values in (old, new)]
    assert float(ks_distance(*columns)) == pytest.approx(twin.largest_gap(old, new), abs=1e-12)


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("sizes", [(1000, 30), (50, 50), (7, 3)])
def test_chance_of_a_gap(gap, sizes):
    found = float(ks_p_value(torch.tensor([gap], dtype=torch.float64), *sizes))
    assert found == pytest.approx(twin.chance_of_gap(gap, *sizes), abs=1e-9)


def test_drift():
    r = np.random.default_rng(3)
    old = r.normal(size=(80, 3)).astype(np.float32)
    new = (r.normal(size=(30, 3)) + np.array([0, 0.8, 0])).astype(np.float32)
    report = fit_shift(torch.tensor(old)).test(torch.tensor(new))
    p_value, first = twin.drift(old.tolist(), new.tolist())
    assert report.p_value == pytest.approx(p_value, abs=1e-9)
    assert report.most_moved[0].feature == first == 1
