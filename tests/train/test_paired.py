"""train/paired.py: differences item by item, and what choosing the best flatters."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.errors import InputError
from drivetrain.metrics.bootstrap import bootstrap_interval
from drivetrain.train.paired import (
    RMSE,
    SHARE,
    Errors,
    difference,
    difference_over_seeds,
    errors_of,
    flattery,
)


def made(kind: str, values: np.ndarray, groups: np.ndarray | None = None) -> Errors:
    ids = [f"item {place:05d}" for place in range(len(values))]
    return errors_of(kind, ids, values, groups)


def two(kind: str, count: int = 400, seed: int = 0) -> tuple[Errors, Errors]:
    """Two models that mostly err on the same items."""
    generator = np.random.default_rng(seed)
    if kind == SHARE:
        first = (generator.random(count) < 0.25).astype(float)
        moved = generator.random(count) < 0.08
        return made(kind, np.where(moved, 1 - first, first)), made(kind, first)
    first = generator.standard_normal(count)
    second = first + 0.3 * generator.standard_normal(count) + 0.1
    return made(kind, second**2), made(kind, first**2)


@pytest.mark.row(106)
@pytest.mark.parametrize("kind", [SHARE, RMSE])
def test_the_interval_of_a_difference_is_that_of_items_drawn_again(kind: str) -> None:
    one, other = two(kind)
    found = difference(one, other)
    assert found is not None
    assert found.value == pytest.approx(one.error - other.error, abs=1e-12)

    def of_weights(weights: np.ndarray) -> np.ndarray:
        sums = weights.sum(axis=1)
        means = [(weights @ e.values) / sums for e in (one, other)]
        first, second = [np.sqrt(m) if kind == RMSE else m for m in means]
        return first - second

    drawn = bootstrap_interval(found.value, of_weights, len(one), confidence=0.95, name="t")
    assert drawn is not None
    # two ways to the same ends: a tenth of the interval's width apart at most
    width = drawn[1] - drawn[0]
    assert found.low == pytest.approx(drawn[0], abs=0.1 * width)
    assert found.high == pytest.approx(drawn[1], abs=0.1 * width)


def test_a_difference_is_surer_than_two_intervals_are() -> None:
    one, other = two(SHARE, count=2000)
    found, first, second = difference(one, other), one.interval(), other.interval()
    assert found is not None and first is not None and second is not None
    assert first[0] < second[1]  # they overlap
    assert found.low > 0 and not found.may_be_none


def test_ratings_of_one_person_count_as_one() -> None:
    generator = np.random.default_rng(1)
    people = np.repeat(np.arange(40), 25)
    each = generator.standard_normal(40)[people] ** 2
    alone, together = made(RMSE, each), made(RMSE, each, people)
    one, other = alone.interval(), together.interval()
    assert one is not None and other is not None
    assert other[1] - other[0] > 3 * (one[1] - one[0])  # the root of 25 is 5
    nothing = made(RMSE, np.zeros(1000), people)
    wide, narrow = (
        difference(together, nothing),
        difference(alone, made(RMSE, np.zeros(1000))),
    )
    assert wide is not None and narrow is not None
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_the_order_of_the_items_is_nothing() -> None:
    values = np.array([1.0, 0.0, 0.0, 1.0])
    first = errors_of(SHARE, ["d", "b", "a", "c"], values)
    second = errors_of(SHARE, ["a", "b", "c", "d"], np.array([0.0, 0.0, 1.0, 1.0]))
    assert first.items == second.items and np.array_equal(first.values, second.values)


def test_other_items_are_not_compared() -> None:
    one = errors_of(SHARE, ["a", "b"], np.array([0.0, 1.0]))
    other = errors_of(SHARE, ["a", "c"], np.array([0.0, 1.0]))
    sentence = (
        r"^Only errors on the same items, measured in the same way, are compared item by item\.$"
    )
    with pytest.raises(InputError, match=sentence):
        difference(one, other)
    with pytest.raises(InputError, match=r"^`difference_over_seeds` needs a pair of errors\."):
        difference_over_seeds([])
    with pytest.raises(InputError, match=r"at least one\. Got 1 values for 2 ids\.$"):
        errors_of(SHARE, ["a", "b"], np.array([1.0]))


def test_one_item_says_nothing_of_chance() -> None:
    one = errors_of(RMSE, ["a"], np.array([4.0]))
    assert one.error == 2 and one.interval() is None and difference(one, one) is None


@pytest.mark.parametrize("count", [2, 3, 5])
def test_few_items_that_one_model_has_all_wrong_may_be_chance(count: int) -> None:
    wrong, right = made(SHARE, np.ones(count)), made(SHARE, np.zeros(count))
    found = difference(wrong, right)
    assert found is not None and found.value == 1.0 and found.high == 1.0
    assert found.may_be_none  # five coins fall alike once in 16 times
    groups = np.repeat(np.arange(count), 100)
    together = difference(
        made(SHARE, np.ones(len(groups)), groups), made(SHARE, np.zeros(len(groups)), groups)
    )
    assert together is not None
    assert (together.low, together.high) == pytest.approx((found.low, found.high), abs=1e-12)


def test_numbers_that_are_all_alike_say_nothing_of_the_next_one() -> None:
    near, far = made(RMSE, np.full(4, 1.0)), made(RMSE, np.full(4, 4.0))
    assert near.interval() is None and difference(far, near) is None
    people = np.array([0, 0, 1, 1])
    assert made(SHARE, np.zeros(4), people).interval() is None


def test_models_that_are_alike_are_told_apart_five_times_in_a_hundred_at_most() -> None:
    """All that two models of one error can do on few items, with its probability."""
    for items, differ in ((3, 0.9), (8, 0.5), (12, 0.9), (30, 0.2)):
        wrongly = 0.0
        for more in range(items + 1):
            for less in range(items - more + 1):
                first = np.zeros(items)
                second = np.zeros(items)
                first[:more] = second[more : more + less] = 1
                found = difference(made(SHARE, first), made(SHARE, second))
                assert found is not None
                ways = comb(items, more) * comb(items - more, less)
                chance = (differ / 2) ** (more + less) * (1 - differ) ** (items - more - less)
                wrongly += ways * chance * (not found.may_be_none)
        assert wrongly <= 0.05


@pytest.mark.row(162)
def test_seeds_that_disagree_widen_the_interval() -> None:
    same = [two(SHARE, seed=0)] * 3
    calm = difference_over_seeds(same)
    alone = difference(*same[0])
    assert calm is not None and alone is not None
    # the same pair three times: all that is left is the chance in the items
    assert (calm.low, calm.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    start = same[0][1]
    apart = [(made(SHARE, np.roll(start.values, 3) * (seed != 1)), start) for seed in range(3)]
    wild = difference_over_seeds(apart)
    assert wild is not None
    assert wild.high - wild.low > 4 * (calm.high - calm.low)


@pytest.mark.row(162)
def test_the_interval_over_seeds_holds_what_it_promises() -> None:
    """Trainings that differ by 0.03 on average, by seed with a deviation of 0.02, on 300 items."""
    generator = np.random.default_rng(7)
    held, rounds = 0, 300
    for _ in range(rounds):
        hard = generator.random(300)  # how hard each item is
        pairs = []
        for _ in range(3):
            shift = 0.03 + 0.02 * generator.standard_normal()
            before = (hard + 0.1 * generator.standard_normal(300) < 0.2).astype(float)
            after = np.where(generator.random(300) < abs(shift), float(shift > 0), before)
            pairs.append((made(SHARE, after), made(SHARE, before)))
        found = difference_over_seeds(pairs)
        assert found is not None
        # an item turns wrong with probability `shift` where it was right
        truth = 0.03 * (1 - 0.2)
        held += found.low <= truth <= found.high
    assert held / rounds >= 0.93


@pytest.mark.row(106)
def test_the_best_of_equal_models_flatters_itself_and_a_clear_best_does_not() -> None:
    generator = np.random.default_rng(3)
    alike = [made(SHARE, (generator.random(500) < 0.2).astype(float)) for _ in range(10)]
    # each is 0.2 give or take 0.018, and the best of ten is 1.54 deviations below on average
    assert 0.01 < flattery(alike) < 0.03
    best = made(SHARE, (generator.random(500) < 0.02).astype(float))
    assert flattery([*alike, best]) < 0.002
    assert flattery(alike[:1]) == 0.0


ERROR = st.just(0.0) | st.floats(1e-100, 100)
"""Of an item. The square of a smaller one is 0 in float64, and all such errors are equal."""


@settings(max_examples=30, deadline=None)
@given(
    st.lists(ERROR, min_size=2, max_size=30),
    st.sampled_from([SHARE, RMSE]),
)
def test_a_model_is_as_good_as_itself_and_an_interval_holds_its_error(
    values: list[float], kind: str
) -> None:
    scaled = np.array(values) / (100 if kind == SHARE else 1)
    one = made(kind, scaled)
    found, interval = difference(one, one), one.interval()
    assert found is not None
    assert found.value == 0 and found.low <= 0 <= found.high and found.may_be_none
    if interval is None:  # all are equal, and no counts
        assert np.ptp(scaled) <= 1e-9 * scaled.max()
        return
    assert interval[0] < interval[1]
    assert interval[0] - 1e-12 <= one.error <= interval[1] + 1e-12
