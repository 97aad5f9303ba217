"""A few ratings folded in: the least of what is minimised, found by others too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize

from drivetrain.collab.factors import Factors
from drivetrain.collab.newcomers.fold_in import best_weight_decay, fold_in, fold_in_many
from drivetrain.data.ratings import Lists, RatingTable
from drivetrain.errors import ConfigError, DataError, ShapeError
from tests.collab.newcomers.made import Made, error, fit_dot, made
from tests.collab.simple_fits import movielens


def some_ratings(people: Made, each: int, seed: int = 0) -> tuple[Lists, np.ndarray]:
    """So many ratings of each new user, without noise."""
    draw = np.random.default_rng(seed)
    count = len(people.new_codes)
    codes = np.argsort(draw.random((count, 60)), axis=1)[:, :each].reshape(-1) + 1
    ratings = people.truth.predict(np.repeat(people.new_codes, each), codes)
    return Lists(codes.astype(np.int32), np.arange(count + 1) * each), ratings


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), count=st.integers(1, 12), decay=st.floats(0.5, 30))
def test_without_a_range_it_is_ridge_regression(seed: int, count: int, decay: float) -> None:
    draw = np.random.default_rng(seed)
    factors = Factors(
        draw.normal(size=(5, 4)).astype("f"), draw.normal(size=(9, 4)).astype("f"),
        draw.normal(size=5).astype("f"), draw.normal(size=9).astype("f"),
    )  # fmt: skip
    items, ratings = draw.integers(1, 9, count), draw.normal(3, 1, count)
    prior = draw.normal(size=4), 0.3
    vector, bias = fold_in(factors, items, ratings, weight_decay=decay, prior=prior)
    # by augmented least squares: each prior is a row of its own
    inputs = np.column_stack([factors.items[items], np.ones(count)]).astype(np.float64)
    start = np.append(prior[0], prior[1])
    rows = np.vstack([inputs, np.sqrt(decay) * np.eye(5)])
    wanted = np.concatenate([ratings - factors.item_bias[items], np.sqrt(decay) * start])
    expected = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    np.testing.assert_allclose(np.append(vector, bias), expected, atol=2e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999), count=st.integers(1, 12))
def test_with_a_range_it_is_the_least_there_is(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    factors = Factors(
        draw.normal(0, 0.5, (5, 4)).astype("f"), draw.normal(0, 0.7, (9, 4)).astype("f"),
        draw.normal(0, 0.2, 5).astype("f"), draw.normal(0, 0.2, 9).astype("f"), (0.0, 5.5),
    )  # fmt: skip
    items, ratings = draw.integers(1, 9, count), draw.integers(1, 6, count).astype(float)
    inputs = np.column_stack([factors.items[items], np.ones(count)]).astype(np.float64)
    start = np.append(factors.users[1:].mean(0), factors.user_bias[1:].mean()).astype(np.float64)

    def loss(v: np.ndarray) -> float:
        preds = 5.5 / (1 + np.exp(-(inputs @ v + factors.item_bias[items])))
        return float(((ratings - preds) ** 2).sum() + 6 * ((v - start) ** 2).sum())

    found = np.append(*fold_in(factors, items, ratings, weight_decay=6.0))
    least = minimize(loss, start, method="BFGS", tol=1e-10)
    assert loss(found) <= least.fun * 1.002
    assert loss(found) < loss(start)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), scale=st.floats(1, 20))
def test_where_the_range_is_steep_it_is_never_worse_than_the_prior(seed: int, scale: float) -> None:
    """Gauss-Newton alone jumps far past the least where predictions are near the range's ends."""
    draw = np.random.default_rng(seed)
    factors = Factors(
        draw.normal(0, scale, (5, 3)).astype("f"), draw.normal(0, scale, (9, 3)).astype("f"),
        draw.normal(0, 1, 5).astype("f"), draw.normal(0, 1, 9).astype("f"), (0.0, 5.5),
    )  # fmt: skip
    items, ratings = np.arange(1, 9), draw.integers(1, 6, 8).astype(float)
    start = np.append(factors.users[1:].mean(0), factors.user_bias[1:].mean()).astype(np.float64)
    inputs = np.column_stack([factors.items[items], np.ones(8)]).astype(np.float64)

    def loss(v: np.ndarray) -> float:
        preds = 2.75 * (1 + np.tanh((inputs @ v + factors.item_bias[items]) / 2))
        return float(((ratings - preds) ** 2).sum() + 0.01 * ((v - start) ** 2).sum())

    found = np.append(*fold_in(factors, items, ratings, weight_decay=0.01))
    assert loss(found) <= loss(start) * (1 + 1e-6)


@pytest.mark.parametrize("y_range", [None, (0.0, 5.5)])
def test_many_at_once_are_what_each_is_alone(y_range: tuple[float, float] | None) -> None:
    people = made(users=40, new=30, y_range=y_range)
    draw = np.random.default_rng(0)
    lengths = draw.integers(0, 40, 30)
    lengths[3] = 0
    codes = draw.integers(0, 61, lengths.sum())
    lists = Lists(codes.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))
    ratings = draw.integers(1, 6, len(codes)).astype(float)
    prior = draw.normal(size=(30, 4)), draw.normal(size=30)
    vectors, biases = fold_in_many(people.factors, lists, ratings, prior=prior)
    for one in range(30):
        own = slice(lists.offsets[one], lists.offsets[one + 1])
        vector, bias = fold_in(
            people.factors, lists[one], ratings[own], prior=(prior[0][one], prior[1][one])
        )
        np.testing.assert_allclose(vector, vectors[one], atol=1e-5)
        assert bias == pytest.approx(float(biases[one]), abs=1e-5)
    np.testing.assert_allclose(vectors[3], prior[0][3], rtol=1e-6)  # no ratings: as before
    # those of items that training did not see say nothing
    known = codes > 0
    fewer = Lists.from_codes(lists.owners()[known], codes[known], 30)
    np.testing.assert_allclose(
        fold_in_many(people.factors, fewer, ratings[known], prior=prior)[0], vectors, atol=1e-5
    )


@pytest.mark.row(129)
def test_more_ratings_say_more() -> None:
    people = made(y_range=(0.0, 5.5))
    errors = [error(people, *fold_in_many(people.factors, *some_ratings(people, each),
                                          weight_decay=0.3)) for each in (1, 3, 8, 20)]  # fmt: skip
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.35 * errors[0]


def test_a_strong_weight_keeps_the_prior_and_a_weak_one_the_ratings() -> None:
    people = made(y_range=None)
    lists, ratings = some_ratings(people, 20)
    strong = fold_in_many(people.factors, lists, ratings, weight_decay=1e9)
    np.testing.assert_allclose(strong[0][0], people.factors.users[1:].mean(0), atol=1e-5)
    weak = fold_in_many(people.factors, lists, ratings, weight_decay=1e-6)
    np.testing.assert_allclose(weak[0], people.truth.users[people.new_codes], atol=1e-3)


def test_ratings_at_the_ends_of_the_range_do_not_throw_it_off() -> None:
    people = made(y_range=(1.0, 5.0))
    for value in (1.0, 5.0, 40.0):
        vector, bias = fold_in(
            people.factors, np.arange(1, 31), np.full(30, value), weight_decay=0.5
        )
        assert np.isfinite(vector).all()
        raw = people.factors.items[1:31] @ vector + people.factors.item_bias[1:31] + bias
        mean = people.factors.ranged(raw.astype("f")).mean()
        assert mean < 1.6 if value == 1.0 else mean > 4.4


def test_items_are_folded_in_by_their_raters() -> None:
    people = made()
    factors = people.factors
    turned = Factors(
        factors.items, factors.users, factors.item_bias, factors.user_bias, factors.y_range
    )
    one = fold_in(factors, [1, 4, 9], [5, 3, 1])
    other = fold_in(turned, [1, 4, 9], [5, 3, 1], side="item")
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    assert one[1] == pytest.approx(other[1], abs=1e-6)


def test_a_model_without_biases_gets_none() -> None:
    people = made()
    factors = Factors(
        people.factors.users,
        people.factors.items,
        np.zeros(301, "f"),
        np.zeros(61, "f"),
        (0.0, 5.5),
    )
    assert fold_in(factors, [1, 2, 3], [5, 5, 5])[1] == 0.0
    assert fold_in(people.factors, [1, 2, 3], [5, 5, 5])[1] != 0.0


def test_the_weight_is_found_by_trying() -> None:
    people = made(each=30)
    best, errors = best_weight_decay(
        people.factors, people.table, given=5, choices=(1e-3, 0.3, 1.0, 1e3)
    )
    assert list(errors) == [1e-3, 0.3, 1.0, 1e3]
    assert best in (0.3, 1.0)
    assert errors[best] <= min(errors.values()) * 1.005
    with pytest.raises(DataError) as caught:
        best_weight_decay(people.factors, people.table, given=16)
    assert str(caught.value) == "No user has 32 ratings, of which 16 could be folded in."


def test_what_cannot_be_folded_in_is_refused() -> None:
    factors = made(users=20, new=1).factors
    with pytest.raises(ShapeError) as caught:
        fold_in(factors, [1, 2], [3.0])
    assert str(caught.value) == (
        "`fold_in` needs a rating for each code. Got shapes (2,) and (1,)."
    )
    with pytest.raises(DataError) as caught:
        fold_in(factors, [61], [3.0])
    assert str(caught.value) == "There is no code 61: codes go from 0 to 60."
    with pytest.raises(DataError) as caught:
        fold_in(factors, [1], [float("nan")])
    assert str(caught.value) == "A rating is not a finite number. Leave such ratings out."
    with pytest.raises(ConfigError) as caught:
        fold_in(factors, [1], [3.0], weight_decay=0)
    assert str(caught.value) == "`weight_decay` is a number above 0. Got 0."
    with pytest.raises(ShapeError) as caught:
        fold_in(factors, [1], [3.0], prior=(np.zeros(3), 0.0))
    assert str(caught.value) == (
        "`prior` is a vector (4,) and a bias, or one for each of 1. Got shapes (3,) and ()."
    )


@pytest.mark.slow
@pytest.mark.row(129)
def test_real_users_are_known_better_with_every_rating() -> None:
    table = movielens()
    new = np.random.default_rng(0).permutation(943)[:189] + 1
    is_new = np.isin(table.users, new)
    factors = fit_dot(table.take(~is_new))
    cold: RatingTable = table.take(np.random.default_rng(1).permutation(np.flatnonzero(is_new)))
    rows = Lists.from_codes(cold.users, np.arange(len(cold)), 944).take(np.sort(new))
    whose, place = rows.owners(), np.arange(len(rows.values)) - rows.offsets[rows.owners()]
    asked = rows.values[place >= 10]
    errors = []
    for each in (0, 1, 3, 5, 10):
        shown = rows.values[place < each]
        lists = Lists(cold.items[shown], np.arange(len(new) + 1) * each)
        vectors, biases = fold_in_many(factors, lists, cold.ratings[shown], weight_decay=6.0)
        own = whose[place >= 10]
        raw = np.einsum("nk,nk->n", vectors[own], factors.items[cold.items[asked]])
        raw += biases[own] + factors.item_bias[cold.items[asked]]
        preds = factors.ranged(raw)
        errors.append(float(np.sqrt(np.square(preds - cold.ratings[asked]).mean())))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] - 0.05
