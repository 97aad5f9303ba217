"""Baselines: by hand, beside a ridge regression, on planted biases and on real ratings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.collab.baselines import (
    RANKING_BASELINES,
    RATING_BASELINES,
    ItemMean,
    Popularity,
    TrainMean,
    UserItemMean,
)
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, DataError


def ratings(users: Any, items: Any, values: Any, num_users: int, num_items: int) -> RatingTable:
    return RatingTable(
        np.asarray(users, np.int32),
        np.asarray(items, np.int32),
        np.asarray(values, np.float32),
        None,
        num_users,
        num_items,
    )


SMALL = ratings([1, 1, 2, 3, 3], [1, 2, 1, 1, 3], [5, 3, 4, 3, 5], 5, 5)  # user 4, item 4: none


def biased(count: int = 6000, seed: int = 0) -> tuple[RatingTable, np.ndarray, np.ndarray]:
    """Ratings that are a mean, what a user adds, what an item adds, and noise of 0.5."""
    draw = np.random.default_rng(seed)
    of_user, of_item = draw.normal(0, 0.6, 81), draw.normal(0, 0.8, 61)
    of_user[0] = of_item[0] = 0
    users, items = draw.integers(1, 81, count), draw.integers(1, 61, count)
    values = 3.4 + of_user[users] + of_item[items] + draw.normal(0, 0.5, count)
    return ratings(users, items, values, 81, 61), of_user, of_item


def test_train_mean_says_the_same_of_all() -> None:
    model = TrainMean.fit(SMALL)
    assert model.predict(np.array([0, 1]), np.array([2, 0])).tolist() == [4, 4]
    assert model.scores(np.array([1])).tolist() == [[4] * 5]


def test_item_mean_draws_items_with_few_ratings_towards_the_mean() -> None:
    model = ItemMean.fit(SMALL, strength=2)
    wanted = [4, (12 + 2 * 4) / 5, (3 + 2 * 4) / 3, (5 + 2 * 4) / 3, 4]
    np.testing.assert_allclose(model.means, wanted, rtol=1e-6)
    plain = ItemMean.fit(SMALL, strength=0)
    np.testing.assert_allclose(plain.means, [4, 4, 3, 5, 4], rtol=1e-6)


def test_popularity_counts_ratings_or_high_ones_only() -> None:
    assert Popularity.fit(SMALL).counts.tolist() == [0, 3, 1, 1, 0]
    assert Popularity.fit(SMALL, rated_from=4).counts.tolist() == [0, 2, 0, 1, 0]
    unknown = ratings([1, 0], [0, 2], [1, 1], 2, 3)
    assert Popularity.fit(unknown).counts.tolist() == [0, 0, 1]


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=40
    ),
    strength=st.sampled_from([0.1, 1.0, 5.0]),
)
@settings(deadline=None)
def test_user_item_mean_is_the_ridge_regression_on_who_and_what(rows, strength):
    users, items, values = (np.array([row[i] for row in rows]) for i in range(3))
    model = UserItemMean.fit(ratings(users, items, values, 5, 6), strength=strength)
    # One column a known user and a known item; of the unknown ones none.
    columns = np.concatenate([np.eye(5)[users][:, 1:], np.eye(6)[items][:, 1:]], axis=1)
    left = columns.T @ columns + strength * np.eye(9)
    wanted = np.linalg.solve(left, columns.T @ (values - values.mean()))
    np.testing.assert_allclose(model.user_bias, [0, *wanted[:4]], atol=2e-4)
    np.testing.assert_allclose(model.item_bias, [0, *wanted[4:]], atol=2e-4)
    assert model.num_rounds < 100


@pytest.mark.row(124)
def test_user_item_mean_finds_planted_biases() -> None:
    table, of_user, of_item = biased()
    model = UserItemMean.fit(table)
    assert np.corrcoef(model.user_bias[1:], of_user[1:])[0, 1] > 0.98
    assert np.corrcoef(model.item_bias[1:], of_item[1:])[0, 1] > 0.99
    left = table.ratings - model.predict(table.users, table.items)
    assert np.sqrt(np.square(left).mean()) == pytest.approx(0.5, rel=0.03)  # the noise
    assert 1 <= model.num_rounds <= 15


def test_each_baseline_is_better_than_the_one_before_on_new_ratings() -> None:
    table, _, _ = biased(8000)
    train, test = table.take(np.arange(6000)), table.take(np.arange(6000, 8000))
    errors = [
        np.square(fit(train).predict(test.users, test.items) - test.ratings).mean()
        for fit in RATING_BASELINES.values()
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.28 < 0.5 < errors[1]


@pytest.mark.parametrize("name", sorted({**RATING_BASELINES, **RANKING_BASELINES}))
def test_scores_of_all_items_are_predictions_of_all_pairs(name: str) -> None:
    model = {**RATING_BASELINES, **RANKING_BASELINES}[name](SMALL)
    users = np.array([2, 0, 4, 2])
    scores = model.scores(users)
    assert (scores.shape, scores.dtype) == ((4, 5), np.float32)
    items = np.arange(5)
    for row, user in zip(scores, users, strict=True):
        single = model.predict(np.full(5, user), items)
        assert single.dtype == np.float32
        np.testing.assert_array_equal(row, single)
    scores[:] = 0  # what is handed out is a copy
    np.testing.assert_array_equal(model.scores(users[:1])[0], model.predict(np.full(5, 2), items))


def test_of_an_unknown_user_the_item_speaks_and_of_an_unknown_item_the_user() -> None:
    table, _, _ = biased()
    model = UserItemMean.fit(table)
    both, user, item, none = model.predict(np.array([7, 7, 0, 0]), np.array([9, 0, 9, 0]))
    assert none == np.float32(model.mean)
    assert both == pytest.approx(user + item - none, rel=1e-6)
    assert ItemMean.fit(table).predict(np.array([3]), np.array([0]))[0] == np.float32(model.mean)


def test_blocks_of_ratings_do_not_change_what_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _, _ = biased()
    whole = UserItemMean.fit(table)
    monkeypatch.setattr("drivetrain.collab.baselines._BLOCK", 777)
    pieces = UserItemMean.fit(table)
    np.testing.assert_allclose(pieces.user_bias, whole.user_bias, atol=1e-6)
    np.testing.assert_allclose(pieces.item_bias, whole.item_bias, atol=1e-6)


@pytest.mark.parametrize("strength", [0.0, 5.0])
def test_equal_ratings_and_a_single_one_have_no_bias(strength: float) -> None:
    for table in (ratings([1, 2], [1, 1], [3, 3], 3, 2), ratings([1], [1], [3], 2, 2)):
        model = UserItemMean.fit(table)
        assert not model.user_bias.any()
        assert not model.item_bias.any()
        assert ItemMean.fit(table, strength=strength).means.tolist() == [3, 3]


EMPTY = ratings([], [], [], 1, 1)
ERRORS: list[tuple[Any, type[Exception], str]] = [
    *(
        (
            lambda fit=fit: fit(EMPTY),
            DataError,
            "A baseline is learnt from ratings, and the table has none.",
        )
        for fit in {**RATING_BASELINES, **RANKING_BASELINES}.values()
    ),
    (
        lambda: ItemMean.fit(SMALL, strength=-1),
        ConfigError,
        "`strength` must be at least 0. Got -1.",
    ),
    (
        lambda: UserItemMean.fit(SMALL, strength=0),
        ConfigError,
        "`strength` and `most_rounds` must be above 0. Got 0 and 100.",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS)
def test_errors_say_what_was_given(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text


def test_on_a_hundred_thousand_real_ratings_both_biases_tell_a_third_of_the_variance() -> None:
    place = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("DRIVETRAIN_DATA", place)) / "ml-100k" / "u.data"
    if not path.exists():
        pytest.skip("ml-100k is not on this machine: set DRIVETRAIN_DATA to where the sets lie")
    columns = np.loadtxt(path, dtype=np.int64)
    table = ratings(*columns[:, :3].T, num_users=944, num_items=1683)
    is_valid = np.random.default_rng(42).random(len(table)) < 0.2
    train, valid = table.take(~is_valid), table.take(is_valid)
    model = UserItemMean.fit(train)
    error = np.square(model.predict(valid.users, valid.items) - valid.ratings).mean()
    assert 0.86 < error < 0.92
    assert error < 0.72 * np.square(valid.ratings - train.ratings.mean()).mean()
    assert model.num_rounds < 12
