"""interpret/by_chance.py against scipy."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.interpret.by_chance import (
    dealt_or_more,
    drawn_or_more,
    mean_or_more,
    student_or_more,
    welch_or_more,
)

stats = pytest.importorskip("scipy.stats")


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_the_tail_of_the_hypergeometric_is_scipys(data) -> None:
    everything = data.draw(st.integers(1, 3000))
    marked, drawn = (data.draw(st.integers(0, everything)) for _ in range(2))
    hits = data.draw(st.integers(0, drawn))
    expected = stats.hypergeom.sf(hits - 1, everything, marked, drawn)
    assert drawn_or_more(hits, drawn, marked, everything) == pytest.approx(
        expected, rel=1e-8, abs=1e-280
    )


@given(st.floats(-100, 100), st.floats(0.5, 1e5))
@settings(max_examples=100, deadline=None)
def test_the_tail_of_students_distribution_is_scipys(t, freedom) -> None:
    expected = stats.t.sf(t, freedom)
    assert student_or_more(t, freedom) == pytest.approx(expected, rel=1e-7, abs=1e-250)


def test_a_tail_to_either_side_is_not_taken_for_a_worse_group() -> None:
    """Of twenty of 500 errors that are drawn at random: too seldom, not too often."""
    for tail in (1.0, -1.0):
        found = []
        for seed in range(400):
            draw = np.random.default_rng(seed)
            errors = np.where(draw.random(500) < 0.05, 5 + 5 * tail, 5 - 5 * tail)
            found.append(mean_or_more(errors[:20], errors[20:]))
        assert np.mean(np.array(found) <= 0.01) <= 0.025, "one in a hundred, twice"
    draw = np.random.default_rng(0)
    assert mean_or_more(draw.normal(1, 1, 40), draw.normal(0, 1, 400)) < 1e-6


def test_numbers_that_are_dealt_out_are_compared_as_by_the_pooled_test() -> None:
    """Of all ways to deal out nine numbers, the share with a mean inside as high: about the same."""
    numbers = np.array([0.3, 1.1, 2.0, 2.2, 3.1, 3.9, 4.4, 5.8, 7.0])
    inside = [2, 5, 7, 8]
    sums = [numbers[list(some)].sum() for some in combinations(range(9), 4)]
    exact = np.mean(np.array(sums) >= numbers[inside].sum() - 1e-9)
    outside = np.delete(numbers, inside)
    assert dealt_or_more(numbers[inside], outside) == pytest.approx(exact, abs=0.03)
    assert dealt_or_more(np.ones(3), np.ones(3)) == 1.0


def test_welchs_test_is_scipys_and_of_equal_numbers_says_what_is_larger() -> None:
    generator = np.random.default_rng(0)
    for size in (2, 3, 20):
        one, other = generator.normal(size=size), 3 * generator.normal(size=2 * size)
        expected = stats.ttest_ind(one, other, equal_var=False, alternative="greater").pvalue
        assert welch_or_more(one, other) == pytest.approx(expected, rel=1e-9)
    assert welch_or_more(np.ones(3), np.zeros(3)) == 0.0
    assert welch_or_more(np.ones(3), np.ones(3)) == 1.0
