"""How unequal users and items are, what a cap keeps, and what it changes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.collab.factors import Factors
from drivetrain.collab.shown import blocks, open_scores, shown_lists, top_items
from drivetrain.collab.truth.concentration import (
    cap_ratings,
    concentration,
    effect_of_capping,
    gini,
    lorenz,
    overlap,
    rmse_change,
    squared_errors,
    top_share,
)
from drivetrain.collab.truth.show_feedback import plot_concentration
from drivetrain.data.ratings import Lists, RatingTable
from drivetrain.errors import ConfigError, DataError, NonFiniteError, ShapeError
from tests.collab.simple_fits import fit_als, fit_biases, movielens, parted, planted

numbers = st.lists(st.integers(0, 50), min_size=1, max_size=40).map(np.array)


def ratings_of(users: list[int], items: list[int] | None = None, num_users: int = 0) -> RatingTable:
    who = np.array(users, np.int32)
    what = np.ones(len(who), np.int32) if items is None else np.array(items, np.int32)
    return RatingTable(
        who, what, np.arange(len(who), dtype=np.float32), np.arange(len(who))[::-1].copy(),
        num_users or int(who.max(initial=0)) + 1, int(what.max(initial=0)) + 1,
    )  # fmt: skip


# --- numbers of inequality ------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(counts=numbers.filter(lambda x: x.sum() > 0), factor=st.integers(1, 9))
def test_gini_is_half_the_mean_difference_over_the_mean(counts: np.ndarray, factor: int) -> None:
    differences = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(counts) == pytest.approx(differences / (2 * counts.mean()), abs=1e-12)
    assert gini(counts * factor) == pytest.approx(gini(counts), abs=1e-12)
    # and twice the area between the Lorenz curve and the diagonal
    shares, held = lorenz(counts, len(counts) + 1)
    assert gini(counts) == pytest.approx(1 - 2 * np.trapezoid(held, shares), abs=1e-9)
    assert held[0] == 0
    assert held[-1] == 1
    assert (np.diff(held) >= -1e-12).all()
    assert (np.diff(held, 2) >= -1e-9).all()  # those who come later have more


@settings(max_examples=60, deadline=None)
@given(counts=numbers.filter(lambda x: x.sum() > 0), share=st.floats(0.001, 1))
def test_the_top_share_is_that_of_the_largest(counts: np.ndarray, share: float) -> None:
    owners, held = top_share(counts, share)
    assert share * len(counts) - 1e-6 <= owners < share * len(counts) + 1
    assert held == pytest.approx(np.sort(counts)[::-1][:owners].sum() / counts.sum())


def test_nothing_has_no_share_and_no_curve() -> None:
    none = np.zeros(3)
    assert np.isnan(gini(none))
    assert np.isnan(top_share(none, 0.5)[1])
    with pytest.raises(DataError) as caught:
        lorenz(none)
    assert str(caught.value) == "A Lorenz curve needs a rating or more. Got none."
    with pytest.raises(ConfigError) as bad:
        top_share(none, 0.0)
    assert str(bad.value) == "`share` must be above 0 and at most 1. Got 0.0."


@pytest.mark.row(130)
def test_the_report_says_what_the_top_one_percent_has() -> None:
    """200 users with one rating each, and two with 100 each: the top 1% (of 202, rounded up: 3)."""
    users = [*range(1, 201), *([201] * 100), *([202] * 100)]
    items = [1 + i % 50 for i in range(400)]
    report = concentration(ratings_of(users, items))
    assert report.users.top[1] == (0.01, 3, pytest.approx(201 / 400))
    assert report.users.half == 2
    assert (report.users.owners, report.users.ratings, report.users.largest) == (202, 400, 100)
    assert report.items.gini == pytest.approx(0)
    lines = [" ".join(line.split()) for line in str(report).splitlines()]
    assert "top 1% of users 3 of 202 50.2%" in lines
    assert json.loads(json.dumps(report.to_json()))["users"]["top"][1]["owners"] == 3
    figure = plot_concentration(report)
    assert len(figure.axes[0].lines) == 3


def test_known_owners_without_ratings_count_and_the_unknown_one_does_not() -> None:
    report = concentration(ratings_of([0, 0, 0, 1, 2], num_users=5))
    assert (report.users.owners, report.users.without, report.users.ratings) == (4, 2, 2)
    with pytest.raises(DataError) as caught:
        concentration(ratings_of([0, 0]))
    assert str(caught.value) == "There are no ratings of known users to look at."


# --- caps -----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    users=st.lists(st.integers(0, 6), max_size=80),
    most=st.integers(1, 9),
    seed=st.integers(0, 5),
    keep=st.sampled_from(["random", "newest"]),
)
def test_a_cap_keeps_at_most_so_many_of_each_user(
    users: list[int], most: int, seed: int, keep: str
) -> None:
    table = ratings_of(users, num_users=7)
    found = cap_ratings(table, most, seed=seed, keep=keep)  # pyright: ignore[reportArgumentType]
    before, after = (np.bincount(t.users, minlength=7) for t in (table, found))
    assert after[0] == before[0]
    assert after[1:].tolist() == np.minimum(before[1:], most).tolist()
    assert (np.diff(found.ratings) > 0).all()  # a rating is its row's number: the order is kept
    more = cap_ratings(table, most + 1, seed=seed, keep=keep)  # pyright: ignore[reportArgumentType]
    assert set(found.ratings) <= set(more.ratings)
    if keep == "newest":  # times fall with the row's number
        for user in range(1, 7):
            assert found.ratings[found.users == user].tolist() == (
                table.ratings[table.users == user][:most].tolist()
            )


def test_what_stays_under_a_cap_is_drawn_by_seed() -> None:
    table = ratings_of([1] * 50)
    first = cap_ratings(table, 10, seed=1).ratings
    assert first.tolist() == cap_ratings(table, 10, seed=1).ratings.tolist()
    assert first.tolist() != cap_ratings(table, 10, seed=2).ratings.tolist()
    drawn = np.concatenate([cap_ratings(table, 10, seed=s).ratings for s in range(300)])
    counts = np.bincount(drawn.astype(int), minlength=50)
    assert abs(counts - 60).max() < 5 * np.sqrt(300 * 0.2 * 0.8)


def test_caps_that_cannot_be_are_refused() -> None:
    table = ratings_of([1, 1])
    with pytest.raises(ConfigError) as caught:
        cap_ratings(table, 0)
    assert str(caught.value) == "`most` must be 1 or more. Got 0."
    with pytest.raises(ConfigError) as caught:
        cap_ratings(table, 1, keep="oldest")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == "`keep` must be 'random' or 'newest'. Got 'oldest'."
    bare = RatingTable(table.users, table.items, table.ratings, None, 2, 2)
    with pytest.raises(ConfigError) as caught:
        cap_ratings(bare, 1, keep="newest")
    assert str(caught.value) == (
        'To keep the newest ratings, the table needs times; without them use keep="random".'
    )
    with pytest.raises(DataError) as empty:
        effect_of_capping(fit_biases, table, table.take(np.zeros(0, np.int64)))
    assert str(empty.value) == (
        "Capping needs ratings to fit to and ratings to measure on. Got 2 and 0."
    )


def super_users(seed: int = 0) -> tuple[RatingTable, RatingTable]:
    """200 users like the first half of 60 items and six, who rated them all, the second half."""
    draw = np.random.default_rng(seed)
    light = np.repeat(np.arange(1, 201), 5)
    items = (np.argsort(draw.random((200, 60)), axis=1)[:, :5] + 1).reshape(-1)
    users = np.concatenate([light, np.repeat(np.arange(201, 207), 60)])
    items = np.concatenate([items, np.tile(np.arange(1, 61), 6)])
    likes = (items <= 30) == (users <= 200)
    ratings = np.where(likes, 4.5, 1.5) + draw.normal(0, 0.3, len(users))
    table = RatingTable(
        users.astype(np.int32), items.astype(np.int32), ratings.astype(np.float32), None, 207, 61
    )
    return parted(table)


def fit_item_means(table: RatingTable) -> Factors:
    fitted = fit_biases(table)
    return Factors(fitted.users, fitted.items, np.zeros_like(fitted.user_bias), fitted.item_bias)


@pytest.mark.row(130)
def test_capping_super_users_helps_those_whom_they_drown() -> None:
    train, valid = super_users()
    report = effect_of_capping(fit_item_means, train, valid, most=5, k=10)
    full, capped, control = report.fits
    assert (full.name, capped.name, control.name) == (
        "all ratings", "at most 5 a user", "as many by chance",
    )  # fmt: skip
    assert capped.ratings == control.ratings < full.ratings
    assert full.heaviest > 0.1 > capped.heaviest
    # what users of few ratings get becomes better, and by chance it does not
    assert capped.rmse["light"] < full.rmse["light"] - 0.2
    assert capped.changes["light"].interval[1] < 0
    assert control.changes["light"].interval[1] > 0
    assert capped.changes["heavy"].interval[0] > 0
    assert full.overlap == 1
    assert 0 < capped.overlap < 1
    text = str(report)
    assert "at most 5 a user" in text
    assert f"Light users have {report.light} ratings in training or fewer" in text
    record = json.loads(json.dumps(report.to_json()))
    assert [one["name"] for one in record["fits"]] == ["all ratings", capped.name, control.name]


def test_a_cap_that_cuts_nothing_changes_nothing() -> None:
    made = planted(40, 20, each=6)
    train, valid = parted(made.table)
    _, capped, control = effect_of_capping(fit_biases, train, valid, most=6, k=3).fits
    for one in (capped, control):
        assert one.overlap == 1
        assert one.changes["all"].difference == 0
        assert one.changes["all"].interval == (0, 0)
    some = effect_of_capping(fit_biases, train, valid, most=[2, 3], most_users=10)
    assert some.users == 10
    assert len(some.fits) == 5


def test_where_there_is_nothing_to_list_or_nobody_to_measure_the_report_says_so() -> None:
    full = ratings_of([1, 1, 2, 2], [1, 2, 1, 2])  # both have rated everything
    report = effect_of_capping(fit_biases, full, full.take(np.arange(2)), most=1, k=2)
    record = json.loads(json.dumps(report.to_json()))["fits"][1]
    assert (record["overlap"], record["popularity"], record["coverage"]) == (None, None, 0)
    assert record["rmse"]["heavy"] is None
    assert str(report).splitlines()[2].split()[-4:] == ["-", "-", "-", "0%"]


def test_the_interval_of_a_change_is_that_of_leaving_users_out() -> None:
    draw = np.random.default_rng(0)
    users = np.repeat(np.arange(1, 81), draw.integers(1, 30, 80))
    own = draw.normal(0, 0.3, 81)[users]
    base, errors = draw.normal(own, 1) ** 2, draw.normal(1.2 * own, 1.1) ** 2

    def change(rows: np.ndarray) -> float:
        return np.sqrt(errors[rows].mean()) - np.sqrt(base[rows].mean())

    found = rmse_change(errors, base, users)
    assert found is not None
    assert found.difference == pytest.approx(change(users > 0))
    left_out = np.array([change(users != user) for user in range(1, 81)])
    spread = np.sqrt(79 / 80 * ((left_out - left_out.mean()) ** 2).sum())
    half = (found.interval[1] - found.interval[0]) / 2
    assert half / 1.9905 == pytest.approx(spread, rel=0.03)  # t of 79 degrees of freedom
    assert rmse_change(errors[:1], base[:1], users[:1]) is None


# --- lists ----------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    scores=st.lists(
        st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 2.0, 3.5]), min_size=7, max_size=7),
        min_size=1,
        max_size=6,
    ).map(lambda x: np.array(x, np.float32)),
    k=st.integers(1, 9),
)
def test_lists_are_those_of_a_stable_sort(scores: np.ndarray, k: int) -> None:
    scores[:, 0] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    wanted = np.where(np.take_along_axis(scores, order, axis=1) > -np.inf, order, 0)
    wanted = np.pad(wanted, ((0, 0), (0, k - wanted.shape[1])))
    assert top_items(scores, k).tolist() == wanted.tolist()


def test_lists_hold_nothing_seen_and_do_not_depend_on_blocks() -> None:
    made = planted()
    seen, users = made.table.by_user(), np.arange(61)
    lists = shown_lists(made.taste, users, seen, k=5, num_items=41)
    assert lists.shape == (61, 5)
    assert not any(set(lists[u]) & set(seen[u]) for u in users)
    parts = [
        top_items(open_scores(made.taste, some, seen, 41), 5)
        for some in blocks(users, 41, cells=300)
    ]
    assert len(parts) == 9
    np.testing.assert_array_equal(np.concatenate(parts), lists)
    assert overlap(lists, lists) == 1
    assert overlap(lists[:, :2], lists[:, 2:4]) == 0
    assert shown_lists(made.taste, users[:0], seen, k=5, num_items=41).shape == (0, 5)


def test_scores_that_cannot_be_ranked_are_refused() -> None:
    made = planted()
    users, seen = np.array([1, 2]), Lists.from_codes(np.array([1]), np.array([3]), 61)
    scores = open_scores(made.taste, users, seen, 41)
    assert np.isinf(scores[:, 0]).all()
    assert np.isinf(scores[0, 3])
    assert np.isfinite(scores[1, 3])

    class Wrong:
        def __init__(self, answer: np.ndarray) -> None:
            self.answer = answer

        def scores(self, users: np.ndarray) -> np.ndarray:
            return self.answer

        def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
            return np.zeros(len(users), np.float32)

    with pytest.raises(ShapeError) as caught:
        open_scores(Wrong(np.zeros(41)), users, seen, 41)
    assert str(caught.value) == "`scores` of 2 users must be (2, 41), all items. Got (41,)."
    with pytest.raises(NonFiniteError) as nan:
        open_scores(Wrong(np.full((2, 41), np.nan)), users, seen, 41)
    assert str(nan.value) == "The model's scores hold NaN, so that no list can be made of them."
    with pytest.raises(ConfigError) as empty:
        top_items(scores, 0)
    assert str(empty.value) == "A list needs an item or more. Got k=0."


@pytest.mark.slow
@pytest.mark.row(130)
def test_movielens_few_users_and_films_have_much() -> None:
    table = movielens()
    report = concentration(table)
    assert report.users.top[1] == (0.01, 10, pytest.approx(0.0551, abs=1e-4))
    assert report.items.top[1] == (0.01, 17, pytest.approx(0.0763, abs=1e-4))
    assert report.users.half == 181
    assert 0.47 < report.users.gini < 0.48
    train, valid = parted(table)
    capping = effect_of_capping(fit_als, train, valid, most=50)
    full, capped, control = capping.fits
    assert full.rmse["all"] == pytest.approx(np.sqrt(squared_errors(fit_als(train), valid).mean()))
    # half of the ratings are gone, and all users lose by it
    assert capped.ratings < 40_000
    assert capped.changes["all"].interval[0] > 0
    # but those with few lose less than where the ratings were taken from anybody
    assert capped.rmse["light"] < control.rmse["light"]
    assert 0.2 < capped.overlap < 0.8
