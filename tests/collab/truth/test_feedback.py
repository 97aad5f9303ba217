"""A model that learns from what it showed: what is known by construction, and what it does to taste."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from drivetrain.collab.factors import Factors
from drivetrain.collab.shown import Scorer
from drivetrain.collab.truth import feedback as module
from drivetrain.collab.truth.feedback import (
    MEASURES,
    Behaviour,
    Mitigation,
    balanced,
    drawn_by_weight,
    mixed_lists,
    rank_correlation,
    simulate_feedback,
)
from drivetrain.collab.truth.show_feedback import plot_feedback
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, DataError, ShapeError, UnknownNameError
from tests.collab.simple_fits import fit_als, fit_biases, movielens, planted


class Spy:
    """A fit that keeps what it is given."""

    def __init__(self, fit: Callable[..., Scorer]) -> None:
        self.fit = fit
        self.tables: list[RatingTable] = []
        self.weights: list[np.ndarray | None] = []

    def __call__(self, table: RatingTable, weights: np.ndarray | None = None) -> Scorer:
        self.tables.append(table)
        self.weights.append(weights)
        return self.fit(table) if weights is None else self.fit(table, weights=weights)


def by_item(values: np.ndarray, num_users: int) -> Factors:
    """A score an item, the same for everybody."""
    none = np.zeros((num_users, 1), np.float32), np.zeros((len(values), 1), np.float32)
    return Factors(*none, np.zeros(num_users, np.float32), values.astype(np.float32))


def fit_counts(table: RatingTable, weights: np.ndarray | None = None) -> Factors:
    """What was taken most is what is shown: popularity."""
    counts = np.bincount(table.items, weights=weights, minlength=table.num_items)
    return by_item(counts / len(table), table.num_users)


def songs(num_users: int = 300, num_items: int = 30, seed: int = 0) -> tuple[Factors, RatingTable]:
    """Songs that are taken with a probability of their own, and two that each user took before."""
    draw = np.random.default_rng(seed)
    chance = draw.uniform(0.1, 0.6, num_items + 1)
    users = np.repeat(np.arange(1, num_users + 1), 2)
    items = 1 + draw.integers(0, num_items, len(users))
    table = RatingTable(
        users.astype(np.int32), items.astype(np.int32), np.ones(len(users), np.float32), None,
        num_users + 1, num_items + 1,
    )  # fmt: skip
    return by_item(chance, num_users + 1), table


# --- known by construction ------------------------------------------------------------------------


def test_a_perfect_model_does_not_drift() -> None:
    made = planted()
    found = simulate_feedback(lambda table: made.taste, made.table, made.taste, rounds=3, k=4)
    one = found["as it is"]
    assert one.mean("drift").tolist() == [0, 0, 0, 0]
    assert one.mean("rmse").tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(one.mean("order"), 1)
    for name in MEASURES:
        np.testing.assert_array_equal(one.measures[name], found.reference.measures[name])
    assert one.drifted(1)[0][1] == one.drifted(1)[0][2]


def test_what_is_shown_is_what_is_rated_and_once() -> None:
    made = planted()
    spy = Spy(fit_biases)
    found = simulate_feedback(spy, made.table, made.taste, rounds=3, k=4, noise=0.0)
    assert [len(table) for table in spy.tables] == [480, 720, 960, 1200]
    last = spy.tables[-1]
    assert len(np.unique(np.stack([last.users, last.items]), axis=1).T) == 1200
    np.testing.assert_array_equal(last.items[:480], made.table.items)
    # without noise, ratings are the taste, kept in the range of those at first
    low, high = made.table.ratings.min(), made.table.ratings.max()
    wanted = made.taste.predict(last.users[480:], last.items[480:]).clip(low, high)
    np.testing.assert_allclose(last.ratings[480:], wanted, atol=1e-6)
    assert last.times is not None
    assert made.table.times is not None
    assert last.times[480:].min() > made.table.times.max()
    assert (np.diff(last.times[480:]) >= 0).all()
    assert (found.users, found.ratings, found.noise) == (60, 480, 0.0)
    assert found["as it is"].effective.tolist() == [[480, 720, 960, 1200]]


def test_users_who_have_rated_all_are_shown_nothing() -> None:
    made = planted(10, 12, each=8)
    spy = Spy(fit_biases)
    found = simulate_feedback(spy, made.table, made.taste, rounds=3, k=3)
    assert [len(table) for table in spy.tables] == [80, 110, 120, 120]
    assert found["as it is"].mean("coverage")[-1] == 0
    assert np.isnan(found["as it is"].mean("shown_top")[-1])
    assert (
        json.loads(json.dumps(found.to_json()))["curves"][0]["measures"]["shown_top"]["mean"][3]
        is None
    )
    assert "-" in str(found)


def test_a_simulation_comes_from_its_seed_and_not_from_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = planted()

    def run(seed: int) -> dict[str, np.ndarray]:
        return simulate_feedback(
            fit_biases, made.table, made.taste, rounds=3, k=4, seeds=(seed,), answers=0.7,
            users_per_round=30, takes_weights=True,
            variants={"v": Mitigation(exploration=0.3, weighting="shown")},
        )["v"].measures  # fmt: skip

    first, other = run(1), run(2)
    assert any((first[name] != other[name]).any() for name in MEASURES)
    monkeypatch.setattr(
        module, "blocks", lambda users, num_items: np.array_split(users, len(users) // 7)
    )
    again = run(1)
    for name in MEASURES:
        np.testing.assert_allclose(first[name], again[name], rtol=1e-12)


def test_a_user_gives_an_item_the_same_rating_in_every_variant() -> None:
    made = planted()
    spies = Spy(fit_biases), Spy(fit_biases)
    for spy, exploration in zip(spies, (0.0, 1.0), strict=True):
        simulate_feedback(
            spy, made.table, made.taste, rounds=4, k=5, noise=0.5,
            variants={"v": Mitigation(exploration=exploration)},
        )  # fmt: skip
    given = [
        {
            (u, i): r
            for u, i, r in zip(t.users.tolist(), t.items.tolist(), t.ratings.tolist(), strict=True)
        }
        for t in (spy.tables[-1] for spy in spies)
    ]
    both = set(given[0]) & set(given[1])
    assert len(both) > 500
    assert all(given[0][pair] == given[1][pair] for pair in both)


def test_answers_follow_what_is_said_of_them() -> None:
    users, items = np.repeat(np.arange(1, 201), 50), np.tile(np.arange(1, 51), 200)
    liking = np.full(10_000, 3.2)
    taste = by_item(np.zeros(51), 201)
    bare = Behaviour(taste, noise=0.7)
    ratings = bare.rate(liking, users, items, 0)
    assert ratings.mean() == pytest.approx(3.2, abs=0.03)
    assert ratings.std() == pytest.approx(0.7, abs=0.03)
    assert stats.kstest((ratings - 3.2) / 0.7, stats.norm.cdf).pvalue > 0.001
    stars = Behaviour(taste, noise=2.0, low=1, high=5, step=1).rate(liking, users, items, 0)
    assert np.unique(stars).tolist() == [1, 2, 3, 4, 5]
    half = Behaviour(taste, noise=2.0, low=0.5, high=5, step=0.5).rate(liking, users, items, 0)
    assert np.unique(half * 2).tolist() == list(range(1, 11))
    some = Behaviour(taste, answers=0.25).answer(users, items, liking, seed=0, round_number=0)[0]
    assert some.mean() == pytest.approx(0.25, abs=0.02)
    events = Behaviour(taste, is_events=True, answers=0.5)
    taken, ones = events.answer(users, items, np.full(10_000, 0.6), seed=0, round_number=0)
    assert taken.mean() == pytest.approx(0.3, abs=0.02)
    assert set(ones) == {1}
    later = events.answer(users, items, np.full(10_000, 0.6), seed=0, round_number=1)[0]
    assert (taken & later).mean() == pytest.approx(0.09, abs=0.02)  # a new chance each round


# --- lists with items by chance -------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    k=st.integers(1, 6),
    exploration=st.floats(0, 1),
    hidden=st.sets(st.integers(1, 9), max_size=9),
    seed=st.integers(0, 9),
)
def test_mixed_lists_hold_each_item_once_and_nothing_hidden(
    k: int, exploration: float, hidden: set[int], seed: int
) -> None:
    scores = np.tile(np.arange(10, dtype=np.float32), (20, 1))
    scores[:, [0, *hidden]] = -np.inf
    users = np.arange(1, 21)
    lists, weights = mixed_lists(scores, users, k=k, exploration=exploration, seed=seed)
    left = 9 - len(hidden)
    for row in lists.tolist():
        filled = [item for item in row if item]
        assert len(filled) == len(set(filled)) == min(k, left)
        assert not set(filled) & hidden
    assert (weights > 0).all()
    part, _ = mixed_lists(scores[5:9], users[5:9], k=k, exploration=exploration, seed=seed)
    np.testing.assert_array_equal(part, lists[5:9])


@pytest.mark.parametrize("exploration", [0.05, 0.3, 1.0])
def test_weights_make_lists_count_like_lists_by_chance(exploration: float) -> None:
    """Summed over many users, each item's weights are k / left: the probability of a list by chance."""
    scores = np.tile(np.linspace(5, 1, 13, dtype=np.float32), (40_000, 1))
    scores[:, [0, 4]] = -np.inf
    lists, weights = mixed_lists(scores, np.arange(1, 40_001), k=3, exploration=exploration, seed=1)
    sums = np.bincount(lists.reshape(-1), weights=weights.reshape(-1), minlength=13) / 40_000
    squares = np.bincount(lists.reshape(-1), weights=weights.reshape(-1) ** 2, minlength=13)
    errors = np.sqrt(squares / 40_000) / 200
    left = np.array([*range(1, 4), *range(5, 13)])
    assert (np.abs(sums - 3 / 11)[left] < 5 * errors[left] + 1e-12).all()
    assert sums[[0, 4]].tolist() == [0, 0]
    if exploration == 1:
        np.testing.assert_allclose(weights, 1)


def test_balanced_weights_have_mean_one_and_are_cut() -> None:
    weights = balanced(np.array([1.0, 1, 1, 1, 96]), 2.0)
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] / weights[0] == pytest.approx(2 / 0.05)
    np.testing.assert_allclose(balanced(np.array([1.0, 3]), 10), [0.5, 1.5])


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    found = rank_correlation(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)


# --- what the loop does ---------------------------------------------------------------------------


@pytest.mark.row(130)
def test_the_loop_concentrates_and_drifts_and_exploration_lessens_it() -> None:
    made = planted(120, 150, each=8, noise=0.5, seed=1)
    found = simulate_feedback(
        fit_als, made.table, made.taste, rounds=5, k=4, noise=0.5, seeds=(1, 2),
        variants={
            "as it is": Mitigation(),
            "exploring": Mitigation(exploration=0.3),
            "by chance": Mitigation(exploration=1.0),
        },
    )  # fmt: skip
    plain, some, chance = found.curves
    gini = plain.mean("gini")
    assert (np.diff(gini) > 0).all()  # more unequal in each round
    assert gini[-1] > found.reference.mean("gini")[-1] + 0.05  # and more than taste makes it
    assert plain.mean("sameness")[-1] > 2 * found.reference.mean("sameness")[-1]
    assert plain.mean("drift")[-1] > 0.2
    for name in ("gini", "rmse", "sameness"):
        assert (some.measures[name] < plain.measures[name])[:, -1].all(), name  # with each seed
    for name in ("coverage", "order"):
        assert (some.measures[name] > plain.measures[name])[:, -1].all(), name
    # what is learnt from lists by chance is right more often, and costs what is liked
    assert chance.mean("rmse")[-1] < some.mean("rmse")[-1]
    assert chance.mean("liking")[-1] < some.mean("liking")[-1]


@pytest.mark.row(130)
def test_weights_dethrone_what_chance_put_first() -> None:
    """Popularity: what is ahead is shown, and what is shown gets ahead. Weights count takes a showing."""
    taste, table = songs()
    found = simulate_feedback(
        fit_counts, table, taste, rounds=30, k=2, kind="events", once=False, seeds=(1, 2, 3),
        takes_weights=True,
        variants={
            "as it is": Mitigation(),
            "exploring": Mitigation(exploration=0.2),
            "weighted": Mitigation(exploration=0.2, weighting="shown"),
        },
    )  # fmt: skip
    plain, explored, weighted = found.curves
    assert plain.mean("coverage")[-1] == pytest.approx(2 / 30)
    assert plain.mean("liking")[-1] == pytest.approx(
        plain.mean("liking")[0]
    )  # chance chose for good
    best = np.sort(taste.item_bias[1:])[-2:].mean()
    assert found.reference.mean("liking")[-1] == pytest.approx(best)
    low = weighted.interval("liking")
    assert low is not None
    assert low[0][-1] > explored.mean("liking")[-1]
    assert weighted.mean("order")[-1] > explored.mean("order")[-1]
    assert weighted.mean("drift")[-1] < explored.mean("drift")[-1] - 0.1
    assert weighted.effective[:, -1].mean() < 0.5 * explored.effective[:, -1].mean()
    assert np.isnan(plain.mean("rmse")).all()


def test_a_fit_without_weights_is_given_ratings_drawn_by_them() -> None:
    made = planted()
    variants = {"v": Mitigation(exploration=0.5, weighting="shown", clip=3.0)}
    weighing, drawing = Spy(fit_biases), Spy(fit_biases)
    for spy, takes in ((weighing, True), (drawing, False)):
        simulate_feedback(
            spy, made.table, made.taste, rounds=2, k=4, variants=variants, takes_weights=takes
        )
    weights = weighing.weights[1]
    assert weights is not None
    assert weights.mean() == pytest.approx(1)
    assert weights.max() / weights[0] == pytest.approx(3.0, rel=0.5)  # those at first count 1
    assert all(w is None for w in drawing.weights)
    assert [len(t) for t in drawing.tables] == [len(t) for t in weighing.tables]
    # the first fit has equal weights, and is given the table itself
    np.testing.assert_array_equal(drawing.tables[0].items, made.table.items)


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.floats(0.01, 5), min_size=1, max_size=30).map(np.array),
    first=st.floats(0.001, 0.999),
)
def test_rows_are_drawn_as_often_as_they_weigh(weights: np.ndarray, first: float) -> None:
    weights = weights / weights.mean()
    counts = np.bincount(drawn_by_weight(weights, first), minlength=len(weights))
    assert counts.sum() == len(weights)
    assert (counts >= np.floor(weights - 1e-9)).all()
    assert (counts <= np.ceil(weights + 1e-9)).all()
    even = drawn_by_weight(np.ones(len(weights)), first)
    assert even.tolist() == list(range(len(weights)))


def test_rows_are_drawn_by_weight_on_average() -> None:
    weights = np.array([0.2, 0.7, 2.6, 0.5])
    draws = [
        np.bincount(drawn_by_weight(weights, first), minlength=4)
        for first in np.linspace(0, 1, 1001)[:-1]
    ]
    np.testing.assert_allclose(np.mean(draws, axis=0), weights, atol=2e-3)


def test_weights_by_item_give_items_equal_say() -> None:
    made = planted()
    spy = Spy(fit_biases)
    simulate_feedback(
        spy, made.table, made.taste, rounds=3, k=4, takes_weights=True,
        variants={"v": Mitigation(weighting="item", clip=100.0)},
    )  # fmt: skip
    weights = spy.weights[-1]
    assert weights is not None
    sums = np.bincount(spy.tables[-1].items, weights=weights, minlength=41)[1:]
    np.testing.assert_allclose(sums[sums > 0], sums[sums > 0][0])


# --- records, pictures, refusals ------------------------------------------------------------------


def test_the_record_the_table_and_the_picture() -> None:
    made = planted()
    found = simulate_feedback(
        fit_biases, made.table, made.taste, rounds=2, k=3, seeds=(1, 2),
        variants={"plain": Mitigation(), "half": Mitigation(exploration=0.5)},
    )  # fmt: skip
    record = json.loads(json.dumps(found.to_json()))
    assert [one["name"] for one in record["curves"]] == ["plain", "half"]
    drift = record["curves"][1]["measures"]["drift"]
    assert len(drift["mean"]) == len(drift["interval"][0]) == 3
    assert record["reference"]["measures"]["drift"]["mean"] == [0, 0, 0]
    assert record["noise"] == pytest.approx(found.noise)
    item, shown, wanted = found["plain"].drifted(1)[0]
    gap = np.abs(found["plain"].shown - found["plain"].wanted)
    assert gap[item] == gap.max() == pytest.approx(abs(shown - wanted))
    lines = str(found).splitlines()
    assert lines[0] == (
        "2 rounds; 60 users a round are shown 3 items each; 480 ratings at first; 2 seeds."
    )
    assert lines[2].split() == ["at", "first", "plain", "half", "true", "taste"]
    assert {line.split()[0] for line in lines[3 : 3 + len(MEASURES)]} == set(MEASURES)
    figure = plot_feedback(found, ["drift", "gini"])
    assert [axes.get_title() for axes in figure.axes] == [
        "drift from the true taste, %", "Gini of ratings per item",
    ]  # fmt: skip
    figure.savefig(io.BytesIO(), format="png")
    with pytest.raises(ConfigError) as caught:
        found["none"]
    assert str(caught.value) == "There is no variant 'none'. There are: plain, half."
    with pytest.raises(UnknownNameError):
        plot_feedback(found, ["drfit"])
    with pytest.raises(ConfigError):
        plot_feedback(found, [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exploration": 1.5}, "`exploration` must be 0 to 1. Got 1.5."),
        ({"weighting": "all"}, "`weighting` must be 'none', 'shown' or 'item'. Got 'all'."),
        ({"clip": 0.5}, "`clip` must be 1 or more. Got 0.5."),
        (
            {"weighting": "shown"},
            "Weighting by the chance of being shown needs `exploration` above 0: items that are never "
            "shown have no ratings to weigh. Or weigh by 'item'.",
        ),
    ],
)
def test_mitigations_that_cannot_be_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Mitigation(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rounds": 0}, "`rounds` must be 1 or more. Got 0."),
        ({"k": 0}, "`k` must be 1 or more. Got 0."),
        ({"seeds": ()}, "`seeds` must be 1 or more. Got 0."),
        ({"variants": {}}, "`variants` must be 1 or more. Got 0."),
        ({"answers": 0.0}, "`answers` must be above 0 and at most 1. Got 0.0."),
        ({"kind": "clicks"}, "`kind` must be 'ratings' or 'events'. Got 'clicks'."),
        (
            {"users_per_round": 61},
            "`users_per_round` must be at most the 60 users with ratings. Got 61.",
        ),
        (
            {"kind": "events", "variants": {"v": Mitigation(weighting="item")}},
            "Weighting by 'item' makes the counts of all items alike, which for events are all that is "
            "known. Use 'shown'.",
        ),
    ],
)
def test_simulations_that_cannot_be_are_refused(arguments: dict, message: str) -> None:
    made = planted()
    with pytest.raises(ConfigError) as caught:
        simulate_feedback(fit_biases, made.table, made.taste, **arguments)
    assert str(caught.value) == message


def test_tables_and_models_that_do_not_fit_are_refused() -> None:
    made = planted()
    with pytest.raises(DataError) as caught:
        simulate_feedback(fit_biases, made.table.take(np.zeros(0, np.int64)), made.taste)
    assert str(caught.value) == (
        "A simulation needs ratings of known users and items to begin with."
    )
    with pytest.raises(ShapeError) as wrong:
        simulate_feedback(lambda table: by_item(np.zeros(99), 61), made.table, made.taste)
    assert str(wrong.value) == "`scores` of 60 users must be (60, 41), all items. Got (60, 99)."


@pytest.mark.slow
@pytest.mark.row(130)
def test_movielens_drifts_from_the_taste_it_was_given() -> None:
    table = movielens()
    found = simulate_feedback(
        fit_als, table, fit_als(table, factors=16), rounds=3, k=10,
        variants={"as it is": Mitigation(), "exploring": Mitigation(exploration=0.2)},
    )  # fmt: skip
    plain, explored = found.curves
    drift, gini = plain.mean("drift"), plain.mean("gini")
    assert drift.min() > 0.1
    assert (np.diff(gini) > 0).all()
    assert plain.mean("sameness")[-1] > found.reference.mean("sameness")[-1]
    # exploring shows more of the catalogue and concentrates less, and costs some liking; the error is no
    # smaller here, for the taste was fitted to the very ratings that the loop begins with
    assert explored.mean("coverage")[-1] > plain.mean("coverage")[-1]
    assert explored.mean("gini")[-1] < gini[-1]
    assert explored.mean("liking")[-1] < plain.mean("liking")[-1]
