"""clean/row_points.py: how far rows of a table are apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.clean.outliers import Points, find_outliers
from drivetrain.clean.row_points import MOST_LEVELS, row_points
from drivetrain.data.frame import Factor, Frame


def apart(points: Points) -> np.ndarray:
    """(N, N) squared distances."""
    every = np.arange(len(points))
    return points.squared_distances(every, every, points.rows(every))


def test_two_levels_are_apart_by_how_rare_they_are() -> None:
    words = ["a"] * 6 + ["b"] * 3 + ["c"]
    found = apart(row_points(Frame({"word": Factor.of(words), "one": Factor.of(["x"] * 10)})))
    shares = {"a": 0.6, "b": 0.3, "c": 0.1}
    entropy = -sum(p * np.log(p) for p in shares.values())
    assert entropy < 1  # then a nat counts as one
    for i, one in enumerate(words):
        for j, other in enumerate(words):
            expected = 0.0 if one == other else -2 * (np.log(shares[one]) + np.log(shares[other]))
            if i != j:
                assert found[i, j] == pytest.approx(expected)
    wide = [str(at % 20) for at in range(100)]  # 20 levels alike: an entropy of ln 20
    found = apart(row_points(Frame({"word": Factor.of(wide)})))
    assert found[0, 1] == pytest.approx(2 * 2 * np.log(20) / np.log(20))


def test_numbers_are_apart_in_spreads_and_beyond_four_of_them_by_the_logarithm() -> None:
    numbers = np.arange(101.0)  # 5% to 95%: 90, so that a spread is 27.36
    found = apart(row_points(Frame({"n": numbers})))
    assert found[10, 40] == pytest.approx((30 / (90 / 3.29)) ** 2)
    numbers = np.append(np.arange(1001.0), 1e6)
    low, middle, high = np.quantile(numbers, (0.05, 0.5, 0.95))
    size = (1e6 - middle) / ((high - low) / 3.29)
    bent = 4 * (1 + np.log(size / 4))
    found = apart(row_points(Frame({"n": numbers})))
    assert found[500, 1001] == pytest.approx(bent**2, rel=1e-2)
    few = np.zeros(100)
    few[0] = 7.0  # a column that is nearly always one number is measured by its own deviation
    assert apart(row_points(Frame({"n": few})))[0, 1] > 16


def test_dates_missing_cells_and_columns_of_nothing() -> None:
    days = np.array(["2020-01-01", "2020-01-02", "NaT", "2020-01-11"] * 5, dtype="datetime64[us]")
    found = apart(row_points(Frame({"day": days})))
    assert np.isfinite(found[~np.eye(20, dtype=bool)]).all()
    assert found[0, 1] < found[0, 3] and found[2, 6] == 0 and found[2, 0] > 0
    nothing = Frame({"n": np.full(5, np.nan), "w": Factor.of([None] * 5)})
    assert apart(row_points(nothing))[~np.eye(5, dtype=bool)].max() == 0
    assert len(row_points(Frame({}, np.arange(4)))) == 4
    assert apart(row_points(Frame({"n": np.ones(3), "m": np.arange(3.0)}), ["n"]))[0, 1] == 0


def test_a_column_of_names_that_are_all_different_tells_no_row_from_another() -> None:
    draw = np.random.default_rng(0)
    numbers = draw.normal(size=400)
    numbers[7] = 60.0
    names = Factor.of([f"name {at}" for at in range(400)])
    points = row_points(Frame({"n": numbers, "name": names}))
    assert points.rows(np.arange(10)).shape == (10, 1 + MOST_LEVELS)  # bounded, whatever the table
    with_names, without = find_outliers(points), find_outliers(row_points(Frame({"n": numbers})))
    assert with_names.order[0] == without.order[0] == 7
    assert with_names.flagged[7]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_rows_in_another_order_are_as_far_apart(seed: int) -> None:
    draw = np.random.default_rng(seed)
    frame = Frame(
        {
            "n": np.where(draw.random(60) < 0.1, np.nan, draw.normal(size=60)),
            "w": Factor.of([str(one) for one in draw.integers(0, 4, 60)]),
        }
    )
    order = draw.permutation(60)
    before, after = apart(row_points(frame)), apart(row_points(frame.take(order)))
    np.testing.assert_allclose(after, before[order][:, order], rtol=1e-9, atol=1e-9)


def test_absurd_cells_and_cells_in_the_wrong_column_are_found() -> None:
    draw = np.random.default_rng(3)
    count = 600
    age = draw.integers(18, 80, count).astype(float)
    year = 2020 - age + draw.integers(-1, 2, count)
    job = draw.choice(["clerk", "nurse", "cook", "smith"], count)
    town = draw.choice(["north", "south", "west"], count)
    age[5], year[5] = year[5], age[5]
    age[17] = 4400.0
    job[40], town[40] = town[40], job[40]
    table = {"age": age, "year": year, "job": Factor.of(job), "town": Factor.of(town)}
    found = find_outliers(row_points(Frame(table)))
    assert set(found.order[:3].tolist()) == {5, 17, 40}
    assert found.flagged[[5, 17, 40]].all() and found.flagged.sum() <= 4
