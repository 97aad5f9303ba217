"""How far two columns go together: scipy's and the definitions' values, and none where none is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from drivetrain.data.frame import Factor, Frame
from drivetrain.interpret import association
from drivetrain.interpret.association import (
    centred_ranks,
    correlation_ratio,
    cramers_v,
    linked_pairs,
    links_of,
    rank_correlations,
)


def correlations(*columns: np.ndarray) -> np.ndarray:
    return rank_correlations(np.stack([centred_ranks(c) for c in columns], axis=1))


def test_rank_correlation_is_spearmans():
    r = np.random.default_rng(0)
    matrix = r.integers(0, 9, size=(80, 4)).astype(np.float64)  # many ties
    matrix[:, 1] += matrix[:, 0]
    np.testing.assert_allclose(
        correlations(*matrix.T), stats.spearmanr(matrix).statistic, rtol=0, atol=1e-12
    )


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=60))
def test_same_or_opposite_order_is_exactly_one(values):
    x = np.array(values, dtype=np.float64)
    found = correlations(x, np.exp(x / 10), -(x**3))
    if len(set(values)) == 1:
        assert np.isnan(found).all()
    else:
        np.testing.assert_array_equal(found, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])


def test_missing_values_are_left_out_pair_by_pair():
    r = np.random.default_rng(1)
    x, y = r.normal(size=300), r.normal(size=300)
    y += x
    x[:40], y[30:60] = np.nan, np.nan
    there = ~np.isnan(x) & ~np.isnan(y)
    exact = stats.spearmanr(x[there], y[there]).statistic
    assert correlations(x, y)[0, 1] == pytest.approx(exact, abs=0.01)
    assert correlations(x, x**3)[0, 1] == 1.0
    assert np.isnan(correlations(np.array([1, np.nan, np.nan]), np.array([np.nan, 1, 2.0]))[0, 1])


def test_cramers_v_is_one_for_a_renaming_and_about_zero_by_chance():
    r = np.random.default_rng(0)
    first = r.integers(0, 5, size=2_000)
    assert cramers_v(first, 5, np.array([3, 0, 4, 1, 2])[first], 5) == pytest.approx(1.0)
    many, others = r.integers(0, 40, size=500), r.integers(0, 40, size=500)
    table = np.zeros((40, 40), dtype=int)
    np.add.at(table, (many, others), 1)
    assert stats.contingency.association(table, method="cramer") > 0.25  # without the correction
    assert cramers_v(many, 40, others, 40) < 0.1
    assert np.isnan(cramers_v(np.zeros(9, dtype=int), 1, r.integers(0, 2, size=9), 2))


def test_cramers_v_corrects_scipys_as_the_paper_says():
    r = np.random.default_rng(3)
    first = r.integers(0, 3, size=400)
    second = np.where(r.random(400) < 0.6, first, r.integers(0, 4, size=400))
    table = np.zeros((3, 4), dtype=int)
    np.add.at(table, (first, second), 1)
    squared = stats.chi2_contingency(table, correction=False).statistic / 400
    corrected = squared - 2 * 3 / 399
    expected = np.sqrt(corrected / min(3 - 4 / 399 - 1, 4 - 9 / 399 - 1))
    assert cramers_v(first, 3, second, 4) == pytest.approx(expected)


def test_correlation_ratio_is_one_where_kinds_tell_the_rank_and_about_zero_by_chance():
    r = np.random.default_rng(0)
    codes = r.integers(0, 4, size=1_000)
    ranks = centred_ranks(codes.astype(np.float64))
    assert correlation_ratio(codes, 4, ranks) == pytest.approx(1.0)
    many = r.integers(0, 300, size=1_000)
    assert correlation_ratio(many, 300, centred_ranks(r.normal(size=1_000))) < 0.25
    noisy = centred_ranks(r.normal(size=1_000) + 0.5 * codes)
    f = stats.f_oneway(*(noisy[codes == k] for k in range(4))).statistic
    in_terms_of_f = 3 * (f - 1) / (3 * f + 996)  # epsilon squared of Kelley
    assert correlation_ratio(codes, 4, noisy) == pytest.approx(np.sqrt(in_terms_of_f))
    assert np.isnan(correlation_ratio(np.arange(5), 5, np.arange(5.0)))
    assert np.isnan(correlation_ratio(np.array([0, 0, 1]), 2, np.zeros(3)))


def test_links_of_every_kind_are_found_in_order_of_strength():
    r = np.random.default_rng(0)
    x = r.normal(size=500)
    frame = Frame({
        "x": x,
        "copy": np.exp(x),
        "fall": -x + r.normal(size=500) / 3,
        "sign": Factor.of(np.where(x > 0, "up", "down").tolist()),
        "day": np.datetime64("2020-01-01", "us") + (x * 1e6).astype(np.int64) * np.timedelta64(1, "s"),
        "free": Factor.of([None if i == 2 else "ab"[i] for i in r.integers(0, 3, size=500)]),
    })  # fmt: skip
    found = links_of(frame, "x", at_least=0.5)
    assert [link.second for link in found] == ["copy", "day", "fall", "sign"]
    assert found[0].strength == 1.0 and found[2].strength < -0.9 and found[3].strength > 0.8
    of_words = links_of(frame, "sign", at_least=0.5)
    assert {link.second for link in of_words} == {"x", "copy", "fall", "day"}
    pairs = linked_pairs(frame, at_least=0.5)
    assert len(pairs) == 10 and pairs[0].strength == 1.0
    assert linked_pairs(frame, at_least=0.5, names=["x", "free"]) == ()


def test_missing_category_is_a_kind_of_its_own():
    x = np.repeat([0.0, 1.0, 2.0], 50)
    words = Factor.of(["a"] * 50 + ["b"] * 50 + [None] * 50)
    assert links_of(Frame({"x": x, "w": words}), "x", at_least=0)[0].strength == pytest.approx(1.0)


def test_many_rows_are_drawn_down_by_the_seed(monkeypatch):
    monkeypatch.setattr(association, "MOST_ROWS", 100)
    r = np.random.default_rng(0)
    frame = Frame({"x": r.normal(size=5_000), "y": r.normal(size=5_000)})
    one = links_of(frame, "x", at_least=0, seed=1)
    assert (
        links_of(frame, "x", at_least=0, seed=1) == one != links_of(frame, "x", at_least=0, seed=2)
    )
