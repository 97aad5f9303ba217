"""Kolmogorov-Smirnov and chi-squared beside scipy, and at their level under chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from drivetrain.bundle.two_sample import chi_squared, ks_distance, ks_p_value


@pytest.mark.parametrize("sizes", [(1000, 30), (200, 200), (500, 5)])
@pytest.mark.parametrize("decimals", [1, 8])
def test_ks_beside_scipy(sizes, decimals):
    r = np.random.default_rng(0)
    for shift in (0.0, 0.3, 1.0):
        old, new = r.normal(size=sizes[0]), r.normal(size=sizes[1]) + shift
        old, new = old.round(decimals), new.round(decimals)
        found = ks_distance(torch.tensor(old)[:, None], torch.tensor(new)[:, None])
        exact = stats.ks_2samp(old, new, method="exact")
        assert float(found) == pytest.approx(exact.statistic, abs=1e-12)
        p_value = float(ks_p_value(found, *sizes))
        # The limit promises no more than the exact test does.
        assert p_value >= 0.95 * exact.pvalue
        assert p_value <= 3 * exact.pvalue + 0.1 or p_value < 1e-6


def test_chi_squared_beside_scipy():
    old, new = np.array([200, 300, 100, 50]), np.array([60, 40, 30, 20])
    p_value, distance = chi_squared(torch.tensor(old), torch.tensor(new))
    expected = stats.chi2_contingency([old, new], correction=False)
    assert p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert distance == pytest.approx(np.abs(old / old.sum() - new / new.sum()).sum() / 2)


def test_rare_kinds_are_taken_together():
    old, new = torch.tensor([500, 400, 3, 2, 1]), torch.tensor([50, 45, 0, 0, 2])
    p_value, _ = chi_squared(old, new)
    # All rare ones are expected 0.8 times in the new sample: they join the rarer of the two others.
    expected = stats.chi2_contingency([[500, 406], [50, 47]], correction=False)
    assert p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert chi_squared(torch.tensor([9, 0]), torch.tensor([9, 0])) == (1.0, 0.0)


@pytest.mark.parametrize("kinds", [2, 40])
def test_chi_squared_keeps_its_level(kinds):
    r = np.random.default_rng(kinds)
    weights = r.dirichlet(np.full(kinds, 0.5))
    counts = [[torch.tensor(r.multinomial(n, weights)) for n in (1000, 60)] for _ in range(1_000)]
    alarms = sum(chi_squared(*pair)[0] <= 0.05 for pair in counts)
    assert alarms <= 75
