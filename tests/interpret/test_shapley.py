"""What each column adds, for any model: an exact sum, and the known answer where there is one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret.shapley import contributions


def rows(count: int = 200) -> Frame:
    draw = np.random.default_rng(0)
    words = draw.choice(["a", "b", "c"], count).tolist()
    return Frame(
        {"x": draw.normal(size=count), "w": Factor.of(words), "z": draw.normal(size=count)}
    )


def linear(frame: Frame) -> np.ndarray:
    return (
        3 * frame.numbers("x")
        - frame.numbers("z")
        + 2.0 * frame.factor("w").recoded(["a", "b", "c"]).codes
    )


def tangled(frame: Frame) -> np.ndarray:
    return np.sin(2 * frame.numbers("x") * frame.numbers("z")) * (
        1 + frame.factor("w").recoded(["a", "b", "c"]).codes
    )


@pytest.mark.row(95)
@pytest.mark.parametrize("walks", [2, 7, 50])
@pytest.mark.parametrize("predict", [linear, tangled])
def test_start_and_columns_add_up_to_the_prediction(predict: object, walks: int) -> None:
    frame = rows()
    found = contributions(predict, frame, 3, frame, walks=walks)
    assert found.base + found.values.sum() == pytest.approx(found.prediction, abs=1e-12)
    assert found.prediction == pytest.approx(float(predict(frame)[3]), abs=1e-12)


def test_a_linear_model_gives_weight_times_distance_from_the_mean() -> None:
    frame = rows()
    found = contributions(linear, frame, 5, frame, walks=4000)
    expected = 3 * (frame.numbers("x")[5] - frame.numbers("x").mean())
    assert abs(found.values[0] - expected) < 4 * found.stderr[0]
    assert found.stderr[0] < 0.1


def test_the_mean_over_all_orders_is_met() -> None:
    """Shapley's own formula over every order, against one background row."""
    frame = rows(40)
    start = frame.take([7])
    columns = frame.names
    exact = np.zeros(3)
    for order in itertools.permutations(range(3)):
        now = start
        before = float(tangled(now)[0])
        for place in order:
            now = now.with_column(columns[place], frame[columns[place]][[0]])
            after = float(tangled(now)[0])
            exact[place] += (after - before) / math.factorial(3)
            before = after
    found = contributions(tangled, frame, 0, start, walks=3000)
    assert (np.abs(found.values - exact) <= 4 * found.stderr + 1e-9).all()


def test_a_column_that_the_model_does_not_look_at_adds_nothing() -> None:
    frame = rows()
    found = contributions(lambda f: f.numbers("x") ** 2, frame, 1, frame, walks=20)
    assert found.values[1] == found.values[2] == 0


def test_the_same_seed_gives_the_same_and_another_background_another_start() -> None:
    frame = rows()
    first, second = (contributions(tangled, frame, 1, frame, walks=30) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    other = contributions(tangled, frame, 1, frame.take([0, 1]), walks=30)
    assert other.base != first.base


def test_one_class_of_a_model_of_classes_is_taken_apart() -> None:
    def probabilities(frame: Frame) -> np.ndarray:
        yes = 1 / (1 + np.exp(-linear(frame)))
        return np.stack([1 - yes, yes], axis=1)

    frame = rows()
    no, yes = (contributions(probabilities, frame, 2, frame, output=o, walks=40) for o in (0, 1))
    np.testing.assert_allclose(no.values, -yes.values, atol=1e-12)
    with pytest.raises(
        ConfigError,
        match=r"^`contributions` takes one probability apart: give `output`, the class's place\.$",
    ):
        contributions(probabilities, frame, 2, frame)


def test_too_few_walks_and_no_background_are_refused() -> None:
    frame = rows()
    with pytest.raises(ConfigError, match=r"^`contributions` needs 2 walks or more\. Got 1\.$"):
        contributions(linear, frame, 0, frame, walks=1)
    with pytest.raises(
        DataError, match=r"^`contributions` got a background without rows\. Give it some\.$"
    ):
        contributions(linear, frame, 0, frame.take([]))
