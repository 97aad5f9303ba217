"""Scores of a split: the course's digits, and the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.errors import DataError, ShapeError
from drivetrain.trees.splits import best_split, gini, split_score
from tests.trees.titanic import read_titanic


def slowly(column: np.ndarray, y: np.ndarray, threshold: float) -> float:
    """Side by side, as the sentence in the module says it."""
    total = 0.0
    for side in (column <= threshold, ~(column <= threshold)):
        inside = y[side]
        if len(inside) > 1:
            total += inside.std(ddof=1) * len(inside)
    return total / len(y)


@pytest.mark.row(84)
def test_scores_of_the_course(shared_data):
    data = read_titanic(shared_data("titanic"))
    assert round(split_score(data.column("Sex"), data.y, 0.5), 5) == 0.40788
    assert round(split_score(data.column("LogFare"), data.y, 2.7), 5) == 0.47181
    assert split_score(data.column("Sex"), data.y, 0.5) == pytest.approx(0.40787531, abs=5e-9)
    assert split_score(data.column("LogFare"), data.y, 2.7) == pytest.approx(0.47180874, abs=5e-9)


@pytest.mark.row(85)
def test_best_splits_of_the_course(shared_data):
    data = read_titanic(shared_data("titanic"))
    males = data.column("Sex") == 1
    expected = {
        "Age": (6.0, 0.4783), "LogFare": (2.4391, 0.4621), "Pclass": (2.0, 0.4605),
        "Sex": (0.0, 0.4079), "Embarked": (0.0, 0.4788), "SibSp": (4.0, 0.4784),
        "Parch": (0.0, 0.4805),
    }  # fmt: skip
    for name, (threshold, score) in expected.items():
        found = best_split(data.column(name), data.y)
        assert (round(found[0], 4), round(found[1], 4)) == (threshold, score)
    threshold, score = best_split(data.column("Age")[males], data.y[males])
    assert (threshold, round(score, 4)) == (6.0, 0.3740)
    threshold, score = best_split(data.column("Pclass")[~males], data.y[~males])
    assert (threshold, round(score, 4)) == (2.0, 0.3335)


columns = st.lists(
    st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6), st.just(float("nan"))),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(columns, st.integers(0, 2**32 - 1), st.sampled_from(["numbers", "two", "far"]))
def test_best_split_is_the_best_of_all(values, seed, kind):
    column = np.array(values)
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 2, len(column)) if kind == "two" else draw.normal(size=len(column))
    y = y + 1e6 if kind == "far" else y
    threshold, score = best_split(column, y)
    known = np.unique(column[~np.isnan(column)])
    if not len(known):
        assert np.isnan(threshold)
        assert score == pytest.approx(slowly(column, y, 0.0), abs=1e-9)
        return
    scores = np.array([slowly(column, y, one) for one in known])
    assert threshold in known
    assert score == pytest.approx(slowly(column, y, threshold), abs=1e-7)
    assert score <= scores.min() + 1e-7
    assert split_score(column, y, threshold) == score


def test_equal_scores_take_the_lowest_threshold():
    assert best_split(np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 5.0, 5.0, 5.0])) == (1.0, 0.0)


def test_score_of_two_classes_is_that_of_zero_and_one():
    draw = np.random.default_rng(0)
    column, y = draw.normal(size=80), draw.integers(0, 2, 80)
    assert split_score(column, y, 0.1) == pytest.approx(
        split_score(column, y.astype(float), 0.1), abs=1e-12
    )


def test_score_of_classes_does_not_depend_on_their_names():
    draw = np.random.default_rng(0)
    column, y = draw.normal(size=80), draw.integers(0, 4, 80)
    renamed = np.array([7, 0, 30, 2])[y]
    assert best_split(column, y) == best_split(column, renamed)
    assert best_split(column, y)[1] == pytest.approx(
        split_score(column, y, best_split(column, y)[0])
    )


@pytest.mark.row(88)
def test_gini_of_the_course(shared_data):
    data = read_titanic(shared_data("titanic"))
    X, y = np.concatenate([data.X, data.X_valid]), np.concatenate([data.y, data.y_valid])
    assert round(gini(y[X[:, 0] == 0]), 5) == 0.38284
    assert round(gini(y[X[:, 0] == 1]), 5) == 0.30644


@pytest.mark.row(88)
def test_gini_is_how_often_two_draws_differ():
    y = np.array([0, 0, 1, 2, 2, 2])
    pairs = y[:, None] != y[None, :]
    assert gini(y) == pytest.approx(pairs.mean(), abs=1e-15)


def test_what_is_no_column_is_refused():
    with pytest.raises(
        ShapeError,
        match=r"^A split got a column of shape \(3,\) and a target of shape \(2,\), expected both "
        r"\(N,\)\.$",
    ):
        best_split(np.zeros(3), np.zeros(2))
    with pytest.raises(DataError, match=r"^A split got no rows\. Give it at least one\.$"):
        split_score(np.zeros(0), np.zeros(0), 1.0)
    with pytest.raises(DataError, match=r"^`gini` got no rows\. Give it at least one\.$"):
        gini(np.zeros(0, dtype=int))
