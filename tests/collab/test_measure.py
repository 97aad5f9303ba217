"""Measuring ratings and rankings: by hand, on planted tastes, with intervals over users."""

from __future__ import annotations

import json
from functools import partial
from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import mean_absolute_error, mean_squared_error

from drivetrain.collab.baselines import ItemMean, Popularity, TrainMean
from drivetrain.collab.measure import (
    compare_ratings,
    liked_from,
    measure_ranking,
    measure_ratings,
)
from drivetrain.collab.shown import blocks
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, DataError, NonFiniteError, ShapeError
from drivetrain.reference import recommending as twin


def ratings(rows: Any, num_users: int, num_items: int) -> RatingTable:
    """From (user, item, rating) rows."""
    users, items, values = np.asarray(rows, dtype=np.float32).reshape(-1, 3).T
    return RatingTable(
        users.astype(np.int32), items.astype(np.int32), values, None, num_users, num_items
    )


def fixed(table: list[list[float]]) -> Any:
    """A model that answers with the rows of a matrix (U, I)."""
    matrix = np.array(table, dtype=np.float32)
    return lambda users: matrix[users]


TRAIN = ratings([(1, 1, 5), (1, 2, 1), (2, 2, 4), (3, 1, 3), (3, 3, 5)], 4, 6)
VALID = ratings(
    [(1, 3, 4), (1, 4, 5), (1, 5, 2), (2, 1, 5), (2, 5, 4), (3, 2, 2), (3, 0, 5), (0, 1, 5)], 4, 6
)
SCORES = fixed([[9] * 6, [9, 9, 1, 3, 2, 4], [9, 5, 9, 4, 3, 5], [9] * 6])
"""User 1 is shown 5, 3; user 2 is shown 1, 5 (equal scores: the lower code first)."""


# --- ratings ------------------------------------------------------------------------------------------


def test_errors_of_ratings_equal_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    users = draw.integers(1, 40, 500)
    targets, predicted = draw.integers(1, 6, 500), draw.normal(3, 1, 500)
    found = measure_ratings(predicted, targets, users)
    assert found.mse.value == pytest.approx(mean_squared_error(targets, predicted))
    assert found.rmse.value == pytest.approx(sqrt(mean_squared_error(targets, predicted)))
    assert found.mae.value == pytest.approx(mean_absolute_error(targets, predicted))
    assert found.rmse.low == pytest.approx(sqrt(found.mse.low))
    assert found.mse.low < found.mse.value < found.mse.high
    assert (found.num_ratings, found.num_users, found.share_unknown) == (500, 39, 0)


def test_interval_is_over_users_whose_ratings_belong_together() -> None:
    """Of twenty users with 50 ratings each half are predicted exactly and half are off by 1."""
    users = np.repeat(np.arange(1, 21), 50)
    targets = np.zeros(1000)
    predicted = (users % 2).astype(float)
    found = measure_ratings(predicted, targets, users)
    assert found.mse.value == 0.5
    width = found.mse.high - found.mse.low
    assert width == pytest.approx(2 * 1.96 * sqrt(0.25 / 20), rel=0.15)  # and not sqrt(0.25 / 1000)


def test_unknown_users_are_each_their_own_and_counted() -> None:
    users = np.array([0, 0, 5, 5])
    found = measure_ratings(np.array([1.0, 2, 3, 4]), np.array([1.0, 1, 3, 2]), users)
    assert (found.num_users, found.share_unknown) == (3, 0.5)
    assert found.mse.value == (1 + 4) / 4
    said = measure_ratings(np.ones(2), np.ones(2), np.array([8, 9]), is_unknown=np.array([1, 0]))
    assert said.share_unknown == 0.5


def test_result_of_ratings_is_a_table_and_plain_json() -> None:
    found = measure_ratings(np.array([1.0, 2]), np.array([1.0, 1]), np.array([0, 5]))
    assert str(found) == (
        "       value      95% interval\n"
        "RMSE  0.7071  0.0000 to 1.0000\n"
        "MSE   0.5000  0.0000 to 1.0000\n"
        "MAE   0.5000  0.0000 to 1.0000\n"
        "2 ratings of 2 users, 50.0% unknown to training; the interval is over users"
    )
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()
    single = measure_ratings(np.array([1.0]), np.array([3.0]), np.array([5]))
    assert single.rmse.to_json() == {"value": 2.0, "low": None, "high": None, "num_owners": 1}
    assert json.dumps(single.to_json(), allow_nan=False)


def test_two_models_are_compared_on_the_same_users() -> None:
    """People differ much, the models little: each one's interval is wide, that of the difference not."""
    draw = np.random.default_rng(1)
    users = np.repeat(np.arange(1, 101), 20)
    spread = draw.uniform(0.2, 2, 101)[users]
    targets = draw.normal(0, 1, 2000) * spread
    good, bad = np.zeros(2000), np.full(2000, 0.2)
    difference = compare_ratings(good, bad, targets, users)["mse"]
    single = measure_ratings(good, targets, users).mse
    assert difference.value == pytest.approx(
        mean_squared_error(targets, good) - mean_squared_error(targets, bad)
    )
    assert difference.high < 0
    assert difference.high - difference.low < 0.5 * (single.high - single.low)


# --- rankings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "wanted"), [(1, 5, 4), (0.5, 5, 3.875), (1, 10, 7.75), (1, 1, 1)]
)
def test_liked_is_three_quarters_up_the_range(low: float, high: float, wanted: float) -> None:
    assert liked_from(ratings([(1, 1, low), (1, 2, high)], 2, 3)) == wanted


def test_ranking_by_hand() -> None:
    """User 1 likes 3 and 4, user 2 likes 1 and 5, user 3 nothing that training knows."""
    found = measure_ranking(SCORES, TRAIN, VALID, k=2)
    assert found.users.tolist() == [1, 2]
    assert found.recommended.tolist() == [[5, 3], [1, 5]]
    assert found.per_user["recall"].tolist() == [0.5, 1]
    assert found.per_user["mrr"].tolist() == [0.5, 1]
    assert found.per_list["recall"].value == 0.75
    assert found.per_list["hit_rate"].value == 1
    assert (found.num_users, found.num_without, found.num_unknown) == (2, 1, 1)
    assert found.num_unreachable == 0  # of the users looked at
    assert found.relevant_from == 4
    assert found.coverage == 3 / 5
    # shown: 5 and 3 of 0 and 1 ratings; 1 and 5 of 2 and 0. Rated: 1 and 2 of 2 each; 2 of 2.
    assert found.popularity_ratio.value == pytest.approx((0.5 + 1) / (2 + 2))


def test_what_is_equal_stands_in_the_order_of_codes_and_the_unknown_item_nowhere() -> None:
    found = measure_ranking(TrainMean.fit(TRAIN).scores, TRAIN, VALID, k=3)
    assert found.recommended.tolist() == [[3, 4, 5], [1, 3, 4]]


def test_candidates_may_be_fewer_and_lists_shorter() -> None:
    valid_only = measure_ranking(SCORES, TRAIN, VALID, k=4, candidates="valid")
    assert valid_only.candidates == "valid"
    given = measure_ranking(SCORES, TRAIN, VALID, k=4, candidates=np.array([1, 3]))
    assert given.recommended.tolist() == [[3, 0, 0, 0], [1, 3, 0, 0]]
    assert given.per_list["recall"].value == 1
    assert (given.coverage, given.candidates) == (1, "given")
    assert given.num_unreachable == 2  # item 4 of user 1, item 5 of user 2


def test_item_rated_in_training_is_neither_shown_nor_waited_for() -> None:
    again = ratings([(1, 1, 5), (1, 3, 5), (3, 1, 5)], 4, 6)
    found = measure_ranking(SCORES, TRAIN, again, k=5)
    assert found.users.tolist() == [1]
    assert found.recommended.tolist() == [[5, 3, 4, 0, 0]]
    assert found.per_user["recall"].tolist() == [1]
    assert (found.num_without, found.num_unreachable) == (1, 1)


@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 6),
    threshold=st.sampled_from([None, 2.0]),
    cells=st.sampled_from([1, 50, 4_000_000]),
)
@settings(deadline=None, max_examples=30)
def test_ranking_equals_that_of_one_user_at_a_time(seed, k, threshold, cells):
    draw = np.random.default_rng(seed)
    pairs = draw.permutation(12 * 9)[:70]
    rows = np.stack([pairs // 9, pairs % 9, draw.integers(1, 6, 70)], axis=1)
    train, valid = ratings(rows[:40], 12, 9), ratings(rows[40:], 12, 9)
    scores = draw.integers(0, 5, (12, 9))  # many are equal
    least = liked_from(train) if threshold is None else threshold
    lists, likes, users = [], [], []
    for user in range(1, 12):
        seen = {item for who, item, _ in rows[:40].tolist() if who == user}
        liked = {
            item
            for who, item, rating in rows[40:].tolist()
            if who == user and rating >= least and item > 0
        }
        if liked:
            left = [item for item in range(1, 9) if item not in seen]
            best = sorted(left, key=lambda item, user=user: (-scores[user, item], item))[:k]
            lists.append([*best, *[None] * (k - len(best))])
            likes.append(liked)
            users.append(user)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivetrain.collab.measure.blocks", partial(blocks, cells=cells))
        found = measure_ranking(
            lambda some: scores[some], train, valid, k=k, relevant_from=threshold
        )
    assert found.users.tolist() == users
    shown = [[None if item == 0 else item for item in row] for row in found.recommended.tolist()]
    assert shown == lists
    for name, metric in twin.PER_USER.items():
        single = [metric(one, liked) for one, liked in zip(lists, likes, strict=True)]
        np.testing.assert_allclose(found.per_user[name], np.array(single, float), rtol=1e-12)
        assert found.per_list[name].value == pytest.approx(twin.mean(single))
    catalogue = set(range(1, 9))
    assert found.coverage == twin.coverage(lists, catalogue)


def planted(num_users: int = 60, seed: int = 0) -> tuple[RatingTable, RatingTable, np.ndarray]:
    """Users of even code love even items, the others odd ones; the truth is (U, I)."""
    draw = np.random.default_rng(seed)
    truth = np.where((np.arange(num_users)[:, None] + np.arange(41)) % 2 == 0, 5.0, 1.0)
    parts: list[list[tuple[int, int, float]]] = [[], []]
    for user in range(1, num_users):
        for place, item in enumerate(draw.permutation(np.arange(1, 41))[:20].tolist()):
            parts[place >= 12].append((user, item, float(truth[user, item])))
    return ratings(parts[0], num_users, 41), ratings(parts[1], num_users, 41), truth


def test_who_knows_the_taste_is_right_and_popularity_is_right_half_the_time() -> None:
    train, valid, truth = planted()
    draw = np.random.default_rng(1)
    knows = measure_ranking(
        lambda users: truth[users] + draw.random((len(users), 41)), train, valid
    )
    popular = measure_ranking(Popularity.fit(train).scores, train, valid)
    # Of some 14 loved and unseen items about 4 were rated in validation, so chance bounds precision.
    gained = knows.against(popular)
    assert gained["ndcg"].low > 0.05
    assert gained["recall"].value == pytest.approx(
        knows.per_list["recall"].value - popular.per_list["recall"].value
    )
    assert knows.per_list["recall"].value == pytest.approx(10 / 14, abs=0.06)
    assert popular.per_list["recall"].value == pytest.approx(10 / 28, abs=0.08)
    assert popular.popularity_ratio.value > 1.1 > knows.popularity_ratio.high
    assert popular.gini > 2 * knows.gini
    assert knows.coverage == 1
    assert popular.per_list["novelty"].value < knows.per_list["novelty"].value


def test_some_users_are_drawn_by_the_seed() -> None:
    train, valid, _ = planted()
    scores = Popularity.fit(train).scores
    some = [measure_ranking(scores, train, valid, max_users=20, seed=seed) for seed in (1, 1, 2)]
    assert some[0].users.tolist() == some[1].users.tolist() != some[2].users.tolist()
    assert [one.num_users for one in some] == [20, 20, 20]
    every = measure_ranking(scores, train, valid)
    rows = np.searchsorted(every.users, some[0].users)
    np.testing.assert_array_equal(every.recommended[rows], some[0].recommended)
    assert measure_ranking(scores, train, valid, max_users=1000).num_users == every.num_users


def test_result_of_rankings_is_a_table_and_plain_json() -> None:
    found = measure_ranking(SCORES, TRAIN, VALID, k=2)
    lines = str(found).splitlines()
    assert lines[0].split() == ["value", "95%", "interval"]
    assert lines[1].split()[:4] == ["recall", "at", "2", "0.7500"]
    assert [line.split("  ")[0] for line in lines[2:-1]] == [
        "precision at 2",
        "NDCG at 2",
        "MAP at 2",
        "MRR at 2",
        "hit rate at 2",
        "novelty",
        "popularity ratio",
        "coverage",
        "Gini of exposure",
    ]
    assert lines[-1] == (
        "2 users; liked is 4 and above; 1 without a liked item left out; 1 ratings of unknown users left "
        "out"
    )
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record == found.to_json()
    assert record["recall"]["value"] == 0.75
    assert (record["k"], record["candidates"], record["num_users"]) == (2, "all", 2)


def test_infinitely_bad_items_are_never_shown() -> None:
    low = fixed([[0] * 6, [0, 0, 0, -np.inf, 1, -np.inf], [0, 2, 0, 1, 3, 0], [0] * 6])
    found = measure_ranking(low, TRAIN, VALID, k=3)
    assert found.recommended.tolist() == [[4, 0, 0], [4, 1, 3]]


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: measure_ratings(np.ones(3), np.ones(2), np.ones(2)),
        ShapeError,
        "`predicted`, `targets` and `users` must be (N,), one value a rating. Got (3,), (2,) and (2,).",
    ),
    (
        lambda: measure_ratings(np.ones(0), np.ones(0), np.ones(0)),
        DataError,
        "There is no rating to measure on.",
    ),
    (
        lambda: measure_ratings(np.array([1, np.nan]), np.ones(2), np.ones(2)),
        NonFiniteError,
        "1 of the 2 predicted ratings are NaN or infinite.",
    ),
    (
        lambda: measure_ratings(np.ones(2), np.ones(2), np.ones(2), is_unknown=np.ones(1)),
        ShapeError,
        "`is_unknown` has 1 values for 2 ratings.",
    ),
    (
        lambda: measure_ratings(np.ones(2), np.ones(2), np.ones(2), confidence=1),
        ConfigError,
        "`confidence` is a probability between 0 and 1, such as 0.95. Got 1.",
    ),
    (
        lambda: measure_ranking(SCORES, TRAIN, VALID, k=0),
        ConfigError,
        "`k` and `max_users` must be at least 1. Got 0 and None.",
    ),
    (
        lambda: measure_ranking(SCORES, TRAIN, ratings([(1, 1, 5)], 4, 5)),
        DataError,
        "`train` has codes of 4 users and 6 items, `valid` of 4 and 5. Take both from the same data.",
    ),
    (
        lambda: measure_ranking(SCORES, TRAIN, VALID, relevant_from=6),
        DataError,
        "None of the 3 known users with validation ratings has one of 6 or above, of an item that could "
        "be recommended. Give a lower `relevant_from`, or another split.",
    ),
    (
        lambda: measure_ranking(SCORES, TRAIN, VALID, candidates="some"),
        ConfigError,
        "`candidates` is 'all', 'valid' or an array of item codes. Got 'some'.",
    ),
    (
        lambda: measure_ranking(SCORES, TRAIN, VALID, candidates=np.array([0, 2])),
        ConfigError,
        "`candidates` has the item 0, expected codes 1 to 5.",
    ),
    (
        lambda: measure_ranking(SCORES, TRAIN, VALID, candidates=np.zeros((2, 2))),
        ConfigError,
        "`candidates` is float64 of shape (2, 2), expected (C,) item codes, at least one.",
    ),
    (
        lambda: measure_ranking(lambda users: np.zeros((len(users), 5)), TRAIN, VALID),
        ShapeError,
        "`scores` of 2 users must be (2, 6): one for every item, the unknown one counted. Got (2, 5).",
    ),
    (
        lambda: measure_ranking(lambda users: np.full((len(users), 6), np.nan), TRAIN, VALID),
        NonFiniteError,
        "The model's scores hold NaN, so that no list can be made of them.",
    ),
    (
        lambda: liked_from(ratings([], 1, 1)),
        DataError,
        "There is no training rating, so it is not known which ones are high.",
    ),
    (
        lambda: measure_ranking(SCORES, TRAIN, VALID).against(
            measure_ranking(SCORES, TRAIN, VALID, k=2)
        ),
        ConfigError,
        "Two rankings are compared on the same users, with the same `k`, `relevant_from` and "
        "`candidates`. Measure both with the same arguments.",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS)
def test_errors_say_what_was_given_and_what_to_do(
    call: Any, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text


def test_measuring_needs_no_matrix_of_all_users_and_items() -> None:
    """Scores are asked for in blocks, and the widest block is what `shown.CELLS` allows."""
    draw = np.random.default_rng(3)
    users = np.repeat(np.arange(1, 3001), 4)
    rows = np.stack([users, draw.integers(1, 4001, 12000), draw.integers(1, 6, 12000)], axis=1)
    train, valid = ratings(rows[::2], 3001, 4001), ratings(rows[1::2], 3001, 4001)
    model = ItemMean.fit(train)
    asked: list[int] = []

    def scores(some: np.ndarray) -> np.ndarray:
        asked.append(len(some))
        return model.scores(some)

    found = measure_ranking(scores, train, valid)
    assert sum(asked) == found.num_users > 1000
    assert max(asked) * 4001 <= 4_000_000
