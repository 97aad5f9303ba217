"""Columns that a lever tells: numbers, words, both, and chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.frame import Factor, Frame
from drivetrain.levers import optimise
from drivetrain.levers.ties import tied_columns, told_by
from tests.levers.made import problem

DEGREES = ["school", "bachelor", "master", "doctor"]


def people(count: int = 600) -> Frame:
    draw = np.random.default_rng(0)
    degree = draw.integers(0, 4, count)
    return Frame(
        {
            "degree": Factor.of([DEGREES[d] for d in degree]),
            "years": 12.0 + 3 * degree,
            "short": Factor.of([DEGREES[d][:2] for d in degree]),
            "income": degree + draw.normal(0, 2, count),
            "town": Factor.of(draw.choice(["a", "b", "c"], count).tolist()),
        }
    )


def test_what_goes_with_a_lever_is_found_in_each_pair_of_kinds() -> None:
    data = people()
    for lever, tied in (
        ("degree", ["years", "short"]),
        ("years", ["degree", "short"]),
        ("short", ["degree", "years"]),
        ("income", []),
        ("town", []),
    ):
        found = tied_columns(data, lever, data.names)
        assert sorted(name for name, _ in found) == sorted(tied)
        assert all(share == pytest.approx(1) for _, share in found)


def test_spearman_s_correlation_squared_is_the_share_of_numbers() -> None:
    from scipy.stats import spearmanr

    draw = np.random.default_rng(1)
    a = draw.integers(0, 9, 200).astype(float)
    b = a**3 + draw.normal(0, 100, 200)
    b[:5] = np.nan
    expected = float(spearmanr(a[5:], b[5:]).statistic) ** 2
    assert told_by(a, b) == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_told_by_chance_is_not_counted(seed: int) -> None:
    draw = np.random.default_rng(seed)
    words = Factor.of([f"w{i}" for i in draw.integers(0, 150, 300)])
    other = Factor.of([f"v{i}" for i in draw.integers(0, 5, 300)])
    assert told_by(words, other) < 0.3
    assert told_by(words, draw.normal(size=300)) < 0.5
    assert told_by(draw.normal(size=300), other) < 0.3


def test_what_does_not_vary_is_told_by_nothing() -> None:
    assert told_by(np.arange(50.0), np.ones(50)) == 0
    assert told_by(np.arange(50.0), Factor.of(["a"] * 50)) == 0
    assert told_by(Factor.of(["a", "b"] * 25), np.full(50, np.nan)) == 0


def test_a_decision_says_what_does_not_move_with_a_lever() -> None:
    data = people()
    asked = problem("prediction", {"degree": {"choices": DEGREES}}, context={"short": "ma"})
    found = optimise(asked, lambda frame: frame.numbers("years"), data)
    assert found.notes == (
        "'years' goes with the lever 'degree' in the data, and stays as it is while that is moved, so "
        "that rows arise that cannot be. Train without it, or make it a lever or part of the context.",
    )
