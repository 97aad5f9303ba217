"""Vectors from facts: somebody of whom nothing else is known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from drivetrain.collab.factors import Factors
from drivetrain.collab.newcomers.cold import ColdStart, fit_cold_start
from drivetrain.collab.newcomers.cold_errors import ByRating, shrunk_means
from drivetrain.collab.newcomers.facts import Facts, read_facts
from drivetrain.collab.newcomers.sides import side_tables
from drivetrain.collab.table.ids import Ids
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import BundleError, ConfigError, DataError, ShapeError
from tests.collab.newcomers.made import RANGE, Made, error, fit_dot, made
from tests.collab.simple_fits import movielens
from tests.tabular.tables import real


@pytest.fixture(scope="module")
def people() -> Made:
    return made()


@pytest.fixture(scope="module")
def cold(people: Made) -> ColdStart:
    return fit_cold_start(people.factors, people.facts, "user", ratings=people.table)


def mean_error(people: Made) -> float:
    count = len(people.new_codes)
    mean = people.factors.users[1:].mean(0), people.factors.user_bias[1:].mean()
    return error(people, np.tile(mean[0], (count, 1)), np.full(count, mean[1]))


@pytest.mark.row(129)
def test_facts_beat_the_mean_vector_for_users_who_were_not_seen(
    people: Made, cold: ColdStart
) -> None:
    facts = error(people, *cold.vectors(people.new_facts))
    mean = mean_error(people)
    perfect = error(people, people.truth.users[people.new_codes],
                    people.truth.user_bias[people.new_codes])  # fmt: skip
    assert perfect < 1e-6
    assert facts < 0.6 * mean
    assert cold.uses_facts
    assert cold.report.interval[0] > 0
    # what was said of those held out in training is true of the new ones, but for the ratings' noise
    assert cold.report.error**2 == pytest.approx(facts**2 + 0.3**2, rel=0.15)
    assert cold.report.mean_error**2 == pytest.approx(mean**2 + 0.3**2, rel=0.15)
    assert cold.report.error < cold.report.center_error <= 1.001 * cold.report.mean_error


@pytest.mark.row(129)
@pytest.mark.parametrize("y_range", [None, (0.0, 5.5)])
def test_without_ratings_vectors_are_compared_by_their_scores(
    y_range: tuple[float, float] | None,
) -> None:
    people = made(y_range=y_range, seed=3)
    cold = fit_cold_start(people.factors, people.facts, "user")
    assert (cold.report.unit, cold.report.other_error) == ("score", None)
    assert error(people, *cold.vectors(people.new_facts)) < 0.6 * mean_error(people)
    # the error of held-out scores is that over all items
    raw = people.factors.raw(np.arange(1, 301))
    shape = people.factors.users[1:].mean(0) @ people.factors.items.T
    flat = shape + people.factors.user_bias[1:].mean() + people.factors.item_bias
    expected = np.sqrt(np.square(raw - flat)[:, 1:].mean())
    assert cold.report.mean_error == pytest.approx(expected, rel=0.02)


def test_facts_that_tell_nothing_are_worth_nothing() -> None:
    people = made(link=0.0, seed=1)
    cold = fit_cold_start(people.factors, people.facts, "user", ratings=people.table)
    assert cold.report.gain < 0.01 * cold.report.mean_error**2
    assert cold.report.interval[0] < 0
    vectors = cold.vectors(people.new_facts)[0]  # all are about the mean
    assert vectors.std(0).max() < 0.3 * people.factors.users[1:].std(0).min()


def test_the_regression_is_weighted_ridge() -> None:
    people = made(seed=5)
    flags = Facts(("b", "c", "d"), people.facts.values[:, 1:4])  # nothing bends
    weights = np.arange(301, dtype=np.float64)
    cold = fit_cold_start(people.factors, flags, "user", weights=weights, strengths=[0.05])
    # by augmented least squares: the penalty is three rows, the constant has none
    inputs = np.column_stack([flags.values[1:], np.ones(300)]).astype(np.float64)
    targets = np.column_stack([people.factors.users, people.factors.user_bias])[1:]
    root = np.sqrt(weights[1:] / weights[1:].sum())[:, None]
    penalty = np.sqrt(0.05) * np.eye(4)[:3]
    solution = np.linalg.lstsq(
        np.vstack([inputs * root, penalty]),
        np.vstack([targets * root, np.zeros((3, 5))]),
        rcond=None,
    )[0]
    vectors, biases = cold.vectors(people.new_facts[:, 1:4])
    wanted = np.column_stack([people.new_facts[:, 1:4], np.ones(80)]) @ solution
    np.testing.assert_allclose(vectors, wanted[:, :-1], atol=1e-5)
    np.testing.assert_allclose(biases, wanted[:, -1], atol=1e-5)


def test_items_are_the_other_side_of_the_same(people: Made) -> None:
    factors = people.factors
    turned = Factors(
        factors.items, factors.users, factors.item_bias, factors.user_bias, factors.y_range
    )
    table = people.table
    flipped = RatingTable(
        table.items, table.users, table.ratings, None, table.num_items, table.num_users
    )
    one = fit_cold_start(factors, people.facts, "user", ratings=table)
    other = fit_cold_start(turned, people.facts, "item", ratings=flipped)
    np.testing.assert_allclose(
        one.vectors(people.new_facts)[0], other.vectors(people.new_facts)[0], atol=1e-5
    )
    assert (one.side, other.side) == ("user", "item")
    assert one.report.other_error == pytest.approx(other.report.other_error)


def test_what_is_missing_counts_as_the_mean(cold: ColdStart, people: Made) -> None:
    nothing = np.full(5, np.nan, np.float32)
    vector, bias = cold.vector(nothing)
    np.testing.assert_allclose(vector, cold.middle[:-1], atol=1e-6)
    assert bias == pytest.approx(cold.middle[-1], abs=1e-6)
    row = people.new_facts[0].copy()
    row[2] = np.nan
    filled = row.copy()
    filled[2] = cold.fill[2]
    np.testing.assert_allclose(cold.vector(row)[0], cold.vector(filled)[0], atol=1e-6)
    some = people.facts.values.copy()
    some[1:60] = np.nan  # of whom nothing is known: not fitted on
    fewer = fit_cold_start(people.factors, Facts(people.facts.names, some), "user")
    assert fewer.report.num_owners == 300 - 59


def test_a_number_may_bend(people: Made, cold: ColdStart) -> None:
    """The fifth fact acts by its size: a straight line would see nothing of it."""
    assert set(cold.bend_columns.tolist()) == {0, 4}
    assert len(cold.bend_columns) == 10
    rows = np.tile(cold.fill.astype(np.float32), (3, 1))
    rows[:, 4] = -1.5, 0.0, 1.5
    scores = cold.vectors(rows)[0]
    step = np.linalg.norm(scores[0] - scores[1])
    assert np.linalg.norm(scores[0] - scores[2]) < 0.5 * step


def test_it_comes_back_from_its_parts(cold: ColdStart, people: Made) -> None:
    record = json.loads(json.dumps(cold.to_json()))
    back = ColdStart.from_parts(record, {name: a.copy() for name, a in cold.tensors().items()})
    assert back.report == cold.report
    for one, other in zip(
        back.vectors(people.new_facts), cold.vectors(people.new_facts), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"fact_names": [1]},
        {"fact_names": ["a"]},
        {"report": {}},
        {"more": 0},
    ],
)
def test_a_record_that_was_changed_is_refused(cold: ColdStart, change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="A cold-start model"):
        ColdStart.from_parts(cold.to_json() | change, cold.tensors())


def test_arrays_that_were_changed_are_refused(cold: ColdStart) -> None:
    for name, array in cold.tensors().items():
        for wrong in (array[:-1], array.astype(np.float32), np.full_like(array, 10**6)):
            if (
                name not in ("bend_columns",)
                and wrong.size == array.size
                and wrong.dtype == array.dtype
            ):
                continue  # another number is no damage that can be seen
            with pytest.raises(BundleError) as caught:
                ColdStart.from_parts(cold.to_json(), cold.tensors() | {name: wrong})
            assert str(caught.value).startswith("A cold-start model has a")
    without = {name: a for name, a in cold.tensors().items() if name != "fill"}
    with pytest.raises(BundleError) as caught:
        ColdStart.from_parts(cold.to_json(), without)
    assert str(caught.value) == (
        "A cold-start model has no array `fill`. Take it anew from where it came from."
    )


def test_what_it_is_worth_is_said(cold: ColdStart) -> None:
    lines = str(cold.report).splitlines()
    assert lines[0] == (
        "A new user's vector from facts: root mean squared error of a rating, on 300 users held out in "
        "turn"
    )
    assert [line.split("  ")[-1] for line in lines[1:5]] == [
        "from facts", "one vector for all", "the mean vector",
        "the mean rating of each item, no vector",
    ]  # fmt: skip
    assert lines[5].endswith("They are used.")
    assert json.loads(json.dumps(cold.report.to_json()))["kind"] == "ridge"
    assert repr(cold) == "<ColdStart of users, 5 facts: ridge>"


def test_vectors_are_moved_to_where_they_fit_everybody(people: Made) -> None:
    own, other, base = side_tables(people.factors, "user")
    codes = np.arange(1, 301)
    measure = ByRating.of(people.factors, "user", other, base, codes, people.table, 0)
    flat = np.tile(own[1:].mean(0), (300, 1))
    everybody = np.arange(300)
    shift = measure.shift(flat, everybody)
    before, after = (measure.squares(v, everybody).sum() for v in (flat, flat + shift))
    assert after < before
    for step in np.eye(5) * 0.02:  # the least there is, nearly: the steps are two
        for sign in (-1, 1):
            assert measure.squares(flat + shift + sign * step, everybody).sum() > after * 0.9999
    raw = (flat[people.table.users - 1] * other[people.table.items]).sum(1) + base[
        people.table.items
    ]
    off = people.factors.ranged(raw.astype(np.float32)) - people.table.ratings
    assert before == pytest.approx(float(np.square(off, dtype=np.float64).sum()), rel=1e-5)


def test_mean_ratings_start_at_the_overall_mean() -> None:
    found = shrunk_means(np.array([1, 1, 2]), np.array([5.0, 4.0, 3.0]), 4)
    np.testing.assert_allclose(found, [4, (9 + 20) / 7, (3 + 20) / 6, 4])


def test_what_cannot_be_fitted_is_refused(people: Made) -> None:
    factors, facts = people.factors, people.facts
    with pytest.raises(ConfigError) as caught:
        fit_cold_start(factors, facts, "users")
    assert str(caught.value) == "`side` is 'user' or 'item'. Got 'users'."
    with pytest.raises(ShapeError) as caught:
        fit_cold_start(factors, facts, "item")
    assert str(caught.value) == "`facts` of items must have 61 rows, one a code. Got 301."
    with pytest.raises(ConfigError) as caught:
        fit_cold_start(factors, facts, "user", strengths=[0.0])
    assert str(caught.value) == "`strengths` are numbers above 0. Got (0.0,)."
    with pytest.raises(ShapeError) as caught:
        fit_cold_start(factors, facts, "user", weights=np.ones(3))
    assert str(caught.value) == "`weights` must hold one a code, (301,). Got (3,)."
    with pytest.raises(DataError) as caught:
        fit_cold_start(factors, facts, "user", weights=np.full(301, np.nan))
    assert str(caught.value) == "`weights` holds a number that is negative or not finite."
    few = facts.values.copy()
    few[5:] = np.nan
    with pytest.raises(DataError) as caught:
        fit_cold_start(factors, Facts(facts.names, few), "user")
    assert str(caught.value) == (
        "A model of vectors by facts needs 10 users that have both. Got 4."
    )
    with pytest.raises(ShapeError) as caught:
        fit_cold_start(factors, facts, "user", ratings=made(users=90).table)
    assert str(caught.value) == (
        "`ratings` are of 91 users and 61 items, and the factors of 301 and 61."
    )
    cold = fit_cold_start(factors, facts, "user")
    with pytest.raises(ShapeError) as caught:
        cold.vectors(np.zeros((2, 3)))
    assert str(caught.value) == "A row holds 5 facts. Got an array of shape (2, 3)."


@pytest.mark.slow
@pytest.mark.row(129)
@pytest.mark.parametrize("side", ["user", "item"])
def test_facts_beat_the_mean_vector_on_real_users_and_films(side: str) -> None:
    table = movielens()
    owners, total = (table.users, 944) if side == "user" else (table.items, 1683)
    is_new = np.zeros(total, bool)
    is_new[np.random.default_rng(0).permutation(total - 1)[: total // 5] + 1] = True
    train, cold_part = table.take(~is_new[owners]), table.take(is_new[owners])
    factors = fit_dot(train)
    file, names = "u.user", ["user", "age", "sex", "occupation", "zip"]
    if side == "item":
        genres = [line.split("|")[0] for line in real("ml-100k/u.genre").read_text().split("\n")]
        file, names = "u.item", ["film", "title", "released", "video", "url", *filter(None, genres)]
    ids = Ids([f"new {i}" if is_new[i] else str(i) for i in range(1, total)])
    facts = read_facts(real(f"ml-100k/{file}"), ids, names=names)
    cold = fit_cold_start(factors, facts, side, ratings=train)
    assert facts.encoder is not None
    everybody = facts.encoder.encode(real(f"ml-100k/{file}"), names=names)
    place = np.array([int(name) for name in everybody.ids])
    counts = np.bincount(owners[~is_new[owners]], minlength=total)

    def rmse(vectors: np.ndarray, biases: np.ndarray) -> float:
        own, own_bias = np.zeros((total, 50), np.float32), np.zeros(total, np.float32)
        own[place], own_bias[place] = vectors, biases
        made = (
            Factors(own, factors.items, own_bias, factors.item_bias, RANGE)
            if side == "user"
            else Factors(factors.users, own, factors.user_bias, own_bias, RANGE)
        )
        off = made.predict(cold_part.users, cold_part.items) - cold_part.ratings
        return float(np.sqrt(np.square(off).mean()))

    own, own_bias = (
        (factors.users, factors.user_bias) if side == "user" else (factors.items, factors.item_bias)
    )
    mean = np.average(own, axis=0, weights=counts), np.average(own_bias, weights=counts)
    from_facts = rmse(*cold.vectors(everybody.values))
    mean_vector = rmse(np.tile(mean[0], (len(place), 1)), np.full(len(place), mean[1]))
    assert from_facts < mean_vector - (0.006 if side == "user" else 0.03)
    assert cold.report.interval[0] > 0
    # and the mean rating on the other side, which needs no vector
    others, asked = (
        (train.items, cold_part.items) if side == "user" else (train.users, cold_part.users)
    )
    means = shrunk_means(others, train.ratings, int(max(others.max(), asked.max())) + 1)
    off = means[asked] - cold_part.ratings
    assert from_facts < np.sqrt(np.square(off).mean())
