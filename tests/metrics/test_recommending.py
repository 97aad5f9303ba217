"""Metrics of recommended lists: by hand, beside scikit-learn, and intervals over users."""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from drivetrain.data.ratings import Lists
from drivetrain.errors import ConfigError, InputError, ShapeError
from drivetrain.metrics.clusters import Estimate, cluster_means
from drivetrain.metrics.recommending import (
    PER_USER,
    average_precision_at_k,
    coverage,
    exposure,
    find_hits,
    gini,
    hit_at_k,
    mean_of_codes,
    mean_of_lists,
    mean_over_users,
    ndcg_at_k,
    novelty,
    popularity_ratio,
    precision_at_k,
    recall_at_k,
    reciprocal_rank_at_k,
)

# Four users, k = 4: hits at 1 and 3 of five relevant; none; no relevant item; a short list with a hit.
SHOWN = np.array([[7, 1, 9, 2], [1, 2, 3, 4], [1, 2, 3, 4], [6, 5, 0, -1]], dtype=np.int32)
LIKED = Lists(
    np.array([9, 7, 11, 12, 13, 8, 5], dtype=np.int32), np.array([0, 5, 6, 6, 7], dtype=np.int64)
)


def test_metrics_of_each_user_by_hand() -> None:
    hits = find_hits(SHOWN, LIKED)
    assert hits.num_relevant.tolist() == [5, 1, 0, 1]
    assert hits.found.astype(int).tolist() == [[1, 0, 1, 0], [0] * 4, [0] * 4, [0, 1, 0, 0]]
    ideal = 1 + 1 / log2(3) + 1 / log2(4) + 1 / log2(5)
    wanted = {
        recall_at_k: [2 / 5, 0, np.nan, 1],
        precision_at_k: [2 / 4, 0, np.nan, 1 / 4],
        hit_at_k: [1, 0, np.nan, 1],
        ndcg_at_k: [(1 + 1 / 2) / ideal, 0, np.nan, 1 / log2(3)],
        average_precision_at_k: [(1 + 2 / 3) / 4, 0, np.nan, 1 / 2],
        reciprocal_rank_at_k: [1, 0, np.nan, 1 / 2],
    }
    for metric, values in wanted.items():
        np.testing.assert_allclose(metric(hits), values, rtol=1e-12)
    assert set(wanted) == set(PER_USER.values())


def test_shorter_lists_are_the_first_places_of_longer_ones() -> None:
    hits, short = find_hits(SHOWN, LIKED).first(2), find_hits(SHOWN[:, :2], LIKED)
    for metric in PER_USER.values():
        np.testing.assert_array_equal(metric(hits), metric(short))
    assert hits.k == 2


def test_users_without_a_relevant_item_are_left_out_and_counted() -> None:
    hits = find_hits(SHOWN, LIKED)
    found = mean_over_users({name: metric(hits) for name, metric in PER_USER.items()})
    assert found["recall"].value == pytest.approx((0.4 + 0 + 1) / 3)
    assert {one.num_owners for one in found.values()} == {3}
    assert all(one.low <= one.value <= one.high for one in found.values())
    assert mean_over_users({}) == {}


def test_an_item_that_is_liked_twice_counts_once_and_an_unknown_one_not() -> None:
    liked = Lists(np.array([2, 2, 0, 0, 5], dtype=np.int32), np.array([0, 5], dtype=np.int64))
    hits = find_hits(np.array([[2, 0, -1]]), liked)
    assert hits.num_relevant.tolist() == [2]
    assert recall_at_k(hits).tolist() == [0.5]


def test_whole_rankings_equal_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    scores, truth = draw.random((40, 12)), draw.random((40, 12)) < 0.3
    truth[:, 0] = True
    order = np.argsort(-scores, axis=1)
    owners, items = np.nonzero(truth)
    hits = find_hits(order + 1, Lists.from_codes(owners, items + 1, 40))
    for k in (3, 12):
        single = [
            ndcg_score(truth[m : m + 1].astype(float), scores[m : m + 1], k=k) for m in range(40)
        ]
        np.testing.assert_allclose(ndcg_at_k(hits.first(k)), single, rtol=1e-12)
    single = [average_precision_score(truth[m], scores[m]) for m in range(40)]
    np.testing.assert_allclose(average_precision_at_k(hits), single, rtol=1e-12)


def test_exposure_coverage_and_gini_by_hand() -> None:
    assert exposure(SHOWN, 12).tolist() == [0, 3, 3, 2, 2, 1, 1, 1, 0, 1, 0, 0]
    assert coverage(SHOWN, 12) == 8 / 11
    assert coverage(SHOWN, 12, np.array([1, 8, 10])) == 1 / 3
    assert gini(np.array([1, 3])) == pytest.approx(0.25)
    assert gini(np.array([4, 4, 4])) == 0.0
    assert gini(np.array([0, 0, 0, 9, 0])) == pytest.approx(4 / 5)
    assert np.isnan(gini(np.zeros(3)))


def test_novelty_is_the_surprise_that_somebody_knows_an_item() -> None:
    popularity = np.array([0, 8, 4, 1, 0])
    shown = np.array([[1, 2], [3, 0], [4, 1], [0, -1]])
    np.testing.assert_allclose(novelty(shown, popularity, 8), [0.5, 3.0, 1.5, np.nan])


def test_popularity_ratio_sets_what_is_shown_beside_what_was_rated() -> None:
    popularity = np.array([0, 10, 30, 50])
    listed = mean_of_lists(np.array([[3, 2], [3, 0], [0, 0]]), popularity)
    np.testing.assert_allclose(listed, [40, 50, np.nan])
    own = Lists(np.array([1, 2, 2, 0, 1], dtype=np.int32), np.array([0, 2, 4, 5], dtype=np.int64))
    rated = mean_of_codes(own, popularity)
    np.testing.assert_allclose(rated, [20, 30, 10])
    found = popularity_ratio(listed, rated)
    assert found.value == pytest.approx((40 + 50) / (20 + 30))
    assert found.num_owners == 2


def test_means_of_clusters_are_ratios_of_sums_and_draws_go_together() -> None:
    draw = np.random.default_rng(1)
    counts = draw.integers(1, 20, 80).astype(float)
    sums = counts * draw.normal(3, 1, 80)
    columns, weights = np.stack([sums, 2 * sums], 1), np.stack([counts, counts], 1)
    one, two = cluster_means(columns, weights, name="users")
    assert one.value == pytest.approx(sums.sum() / counts.sum())
    for end in ("value", "low", "high"):  # the same owners were drawn for both
        assert getattr(two, end) == pytest.approx(2 * getattr(one, end))
    assert cluster_means(columns, weights, name="users") == [one, two]
    assert cluster_means(columns, weights, name="others")[0] != one
    wider = cluster_means(columns, weights, confidence=0.99, name="users")[0]
    assert wider.low < one.low < one.high < wider.high


def test_interval_over_people_is_wider_than_one_over_their_answers() -> None:
    """Ten ratings of each of 60 people who differ much: single ratings would tell ten times too much."""
    draw = np.random.default_rng(2)
    taste = draw.normal(0, 1, 60)
    answers = taste[:, None] + draw.normal(0, 0.1, (60, 10))
    people = cluster_means(answers.sum(1)[:, None], np.full((60, 1), 10), name="users")[0]
    flat = answers.reshape(-1, 1)
    single = cluster_means(flat, np.ones_like(flat), name="users")[0]
    assert people.value == pytest.approx(single.value)
    widths = [one.high - one.low for one in (people, single)]
    assert widths[0] == pytest.approx(widths[1] * 10**0.5, rel=0.15)
    assert widths[0] == pytest.approx(2 * 1.96 * answers.mean(1).std() / 60**0.5, rel=0.1)


def test_what_is_not_known_is_said_to_be_so() -> None:
    alone = cluster_means(np.array([[3.0, 0]]), np.array([[2, 0]]), name="users")
    assert (str(alone[0]), str(alone[1])) == ("1.5000", "-")
    assert alone[0].to_json() == {"value": 1.5, "low": None, "high": None, "num_owners": 1}
    assert alone[1].num_owners == 0
    none = cluster_means(np.zeros((0, 1)), np.zeros((0, 1)), name="users")[0]
    assert (str(none), none.num_owners) == ("-", 0)
    assert str(Estimate(0.25, 0.2, 0.3, 9)) == "0.2500 [0.2000, 0.3000]"


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draw = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        counts = draw.integers(1, 30, 60)
        means = draw.normal(1, 1, 60)
        held_in = cluster_means((counts * means)[:, None], counts[:, None], name="users")[0]
        held += held_in.low <= 1 <= held_in.high
    assert 0.88 <= held / 200 <= 0.99


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: find_hits(np.array([[1, 2]]), LIKED),
        ShapeError,
        "`relevant` has 4 lists for 1 users of `recommended`.",
    ),
    (
        lambda: find_hits(np.array([[1, 2, 3], [4, 9, 4]]), Lists(LIKED.values, np.arange(3))),
        InputError,
        "The list of user 1 has the item 4 twice: a hit would count twice. List each item once.",
    ),
    (
        lambda: find_hits(np.array([1, 2]), LIKED),
        ShapeError,
        "`recommended` is int64 of shape (2,), expected (M, k) codes of items, one list a user, k of 1 "
        "or more.",
    ),
    (
        lambda: exposure(SHOWN, 9),
        ShapeError,
        "`recommended` has the item 9, expected codes below 9.",
    ),
    (
        lambda: find_hits(SHOWN, LIKED).first(5),
        InputError,
        "`k` must be 1 to 4, the places of these lists. Got 5.",
    ),
    (
        lambda: cluster_means(np.zeros((3, 2)), np.zeros(3), name="users"),
        ShapeError,
        "`cluster_means` got sums (3, 2) and counts (3,), expected (M, S) both.",
    ),
    (
        lambda: mean_over_users({"a": np.ones(3)}, confidence=95),
        ConfigError,
        "`confidence` is a probability between 0 and 1, such as 0.95. Got 95.",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS)
def test_errors_say_what_was_given_and_what_was_expected(
    call: Any, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
