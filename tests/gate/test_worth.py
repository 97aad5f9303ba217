"""gate/worth.py: what a leak adds to a score is measured, and its sign is that of a better score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.frame import Factor, Frame
from drivetrain.data.split import Split
from drivetrain.gate.worth import (
    matrix_of,
    metric_of,
    nearest_is_right,
    trees_are_right,
    worth_of_column,
    worth_of_copies,
    worth_of_split,
)


def test_copies_that_are_known_by_heart_lift_the_score() -> None:
    right = np.array([1.0] * 20 + [1.0, 0.0] * 40)
    is_copy = np.arange(100) < 20
    found = worth_of_copies(right, is_copy, metric="accuracy", model="m")
    assert found is not None
    assert (found.with_it, found.without) == pytest.approx((0.6, 0.5))
    assert found.difference == pytest.approx(0.1) and found.low < 0.1 < found.high
    assert found.is_clear and found.num_items == 100
    errors = worth_of_copies(
        np.where(is_copy, 0.0, 2.0), is_copy, metric="mean absolute error", model="m"
    )
    assert errors is not None and errors.difference == pytest.approx(0.4) and errors.low > 0


def test_nothing_is_told_of_too_few_items() -> None:
    assert worth_of_copies(np.ones(12), np.arange(12) < 3, metric="accuracy", model="m") is None
    assert worth_of_copies(np.ones(50), np.zeros(50, bool), metric="accuracy", model="m") is None
    assert worth_of_column(np.ones(9), np.ones(9), metric="accuracy", model="m") is None
    assert worth_of_split(np.ones(9), np.ones(90), metric="accuracy", model="m") is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=10, max_size=60), st.integers(0, 2**32 - 1))
def test_a_difference_lies_in_its_interval_and_equal_models_have_none(
    rows: list[bool], seed: int
) -> None:
    one = np.array(rows, dtype=np.float64)
    other = np.random.default_rng(seed).permutation(one)
    same = worth_of_column(one, one, metric="accuracy", model="m")
    assert same is not None and (same.low, same.difference, same.high) == (0, 0, 0)
    assert not same.is_clear
    for found in (
        worth_of_column(one, other, metric="accuracy", model="m"),
        worth_of_split(one, other[:10], metric="accuracy", model="m"),
    ):
        assert found is not None
        assert found.low - 1e-9 <= found.difference <= found.high + 1e-9


def test_the_nearest_item_answers() -> None:
    seen = np.array([[1.0, 0.0], [0.0, 3.0]], np.float32)
    asked = np.array([[5.0, 1.0], [0.1, 0.2], [0.2, 0.1]], np.float32)
    right = nearest_is_right(seen, np.array([7, 8]), asked, np.array([7, 8, 8]))
    assert right.tolist() == [1, 1, 0]
    errors = nearest_is_right(seen, np.array([1.0, 2.0]), asked, np.array([1.5, 2.0, 4.0]))
    assert errors.tolist() == [0.5, 0.0, 3.0]


def test_small_trees_learn_words_numbers_and_dates() -> None:
    draw = np.random.default_rng(0)
    size, word = draw.random(400), draw.choice(["a", "b"], 400)
    day = np.datetime64("2020-01-01", "us") + draw.integers(0, 900, 400) * np.timedelta64(1, "D")
    targets = ((size > 0.5) ^ (word == "a")).astype(np.int64)
    size[::50] = np.nan
    frame = Frame({"size": size, "word": Factor.of(word.tolist()), "day": day})
    split = Split(tuple(range(300)), tuple(range(300, 400)))
    right = trees_are_right(frame, targets, split, num_classes=2)
    assert right is not None and right.shape == (100,) and right.mean() > 0.85
    blind = trees_are_right(frame.select(["day"]), targets, split, num_classes=2)
    assert blind is not None and blind.mean() < 0.7
    errors = trees_are_right(frame, targets * 10.0, split, num_classes=0)
    assert errors is not None and errors.mean() < 2.5
    columns, categorical = matrix_of(frame)
    assert categorical == [1] and np.isnan(columns[0, 0])
    assert trees_are_right(frame.select([]), targets, split, num_classes=2) is None
    assert trees_are_right(frame, targets + 1, split, num_classes=3) is None, "a class is missing"


@pytest.mark.parametrize("num_classes", [0, 2, 3])
def test_words_of_few_rows_are_known_to_the_trees_and_noise_is_not(num_classes: int) -> None:
    """LightGBM passes over categories of fewer than ten rows, scikit-learn over those beyond 255."""
    draw = np.random.default_rng(5)
    who = draw.integers(0, 300, 1500)
    own = draw.integers(0, max(num_classes, 2), 300)[who]
    lost = draw.integers(0, max(num_classes, 2), 1500)
    frame = Frame({"who": Factor.of([f"w{one}" for one in who])})
    split = Split(tuple(range(1000)), tuple(range(1000, 1500)))
    kind = np.int64 if num_classes else np.float64
    knows = trees_are_right(frame, own.astype(kind), split, num_classes=num_classes)
    guesses = trees_are_right(frame, lost.astype(kind), split, num_classes=num_classes)
    assert knows is not None and guesses is not None
    if num_classes:
        assert knows.mean() > 0.85
        assert abs(guesses.mean() - 1 / num_classes) < 0.09, "four deviations"
    else:
        assert knows.mean() < 0.2 and guesses.mean() > 0.45


def test_classes_are_measured_by_accuracy() -> None:
    assert metric_of(np.array([1])) == "accuracy"
    assert metric_of(np.array([1.0])) == "mean absolute error"
