"""collab.implicit.als: each half-step is the exact one, the sum falls, and what was planted is found."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.collab.implicit import als
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, DataError
from drivetrain.reference import factorization as twin


def table_of(counts: np.ndarray) -> RatingTable:
    """Events from a matrix whose first row and column stand for the unknown ones."""
    users, items = np.nonzero(counts)
    return RatingTable(
        users.astype(np.int32),
        items.astype(np.int32),
        counts[users, items].astype(np.float32),
        None,
        *counts.shape,
    )


def drawn(seed: int, num_users: int = 9, num_items: int = 12, share: float = 0.3) -> np.ndarray:
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, 5, (num_users, num_items)) * 1.0
    counts *= draw.random(counts.shape) < share
    counts[0], counts[:, 0] = 0, 0
    counts[1, 1] = 1
    return counts


def planted(seed: int = 0) -> tuple[RatingTable, np.ndarray, np.ndarray]:
    """Users and items of four blocks, who have to do with a third of their own block's items and with
    few others: events, and the block of each user and of each item.
    """
    draw = np.random.default_rng(seed)
    user_block, item_block = draw.integers(0, 4, 201), draw.integers(0, 4, 121)
    chance = np.where(user_block[:, None] == item_block, 0.35, 0.02)
    counts = (draw.random(chance.shape) < chance).astype(np.float64)
    counts[0], counts[:, 0] = 0, 0
    return table_of(counts), user_block, item_block


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    alpha=st.floats(0, 40),
    regularization=st.floats(0.003, 2),
    share=st.floats(0, 0.9),
)
def test_a_half_step_is_the_twins(
    seed: int, alpha: float, regularization: float, share: float
) -> None:
    counts = drawn(seed, share=share)
    fixed = np.random.default_rng(seed).normal(size=(12, 4)).astype(np.float32)
    fixed[0] = 0  # the unknown one stands in no pair
    by_user, by_item = als.sides(table_of(counts), alpha)
    counts = counts[1:, 1:]
    for side, others, matrix in ((by_user, fixed, counts), (by_item, fixed[:9], counts.T)):
        found = als.half_step(side, torch.from_numpy(others), regularization)
        wanted = twin.half_step(others[1:], matrix, alpha=alpha, regularization=regularization)
        np.testing.assert_allclose(found[1:], wanted, atol=2e-4, rtol=2e-4)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    alpha=st.floats(0, 40),
    regularization=st.floats(0.003, 2),
    num_factors=st.integers(1, 8),
)
def test_no_half_step_raises_the_sum(
    seed: int, alpha: float, regularization: float, num_factors: int
) -> None:
    counts = drawn(seed)
    by_user, by_item = als.sides(table_of(counts), alpha)
    draw = np.random.default_rng(seed)
    users = torch.from_numpy(draw.normal(size=(9, num_factors)).astype(np.float32))
    items = torch.from_numpy(draw.normal(size=(12, num_factors)).astype(np.float32))
    users[0], items[0] = 0, 0
    known = users[1:].numpy(), items[1:].numpy(), counts[1:, 1:]
    by_hand = twin.weighted_loss(*known, alpha=alpha, regularization=regularization)
    sums = [als.objective(by_user, by_item, users, items, regularization)]
    assert sums[0] == pytest.approx(by_hand, rel=1e-5)
    for _ in range(4):
        items = als.half_step(by_item, users, regularization)
        sums.append(als.objective(by_user, by_item, users, items, regularization))
        users = als.half_step(by_user, items, regularization)
        sums.append(als.objective(by_user, by_item, users, items, regularization))
    assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(sums))
    assert sums[-1] < sums[0]


def test_a_fit_is_the_twins_rounds_from_the_same_start() -> None:
    counts = drawn(1)
    first, third = (als.fit_als(table_of(counts), num_factors=3, rounds=r) for r in (1, 3))
    chosen = {"alpha": als.ALPHA, "regularization": als.REGULARIZATION}
    users, items, counts = first.factors.users[1:], first.factors.items[1:], counts[1:, 1:]
    for _ in range(2):
        items = twin.half_step(users, counts.T, **chosen)
        users = twin.half_step(items, counts, **chosen)
    np.testing.assert_allclose(third.factors.users[1:], users, atol=1e-4)
    np.testing.assert_allclose(third.factors.items[1:], items, atol=1e-4)
    loss = twin.weighted_loss(users, items, counts, **chosen)
    assert third.history[-1]["loss"] == pytest.approx(loss, rel=1e-5)


def test_a_fit_begins_with_nothing_for_those_without_events() -> None:
    counts = drawn(1)
    counts[5] = 0
    first = als.first_vectors(als.sides(table_of(counts), 1.0)[0], 400, seed=3).numpy()
    np.testing.assert_allclose(
        np.linalg.norm(first, axis=1), counts.any(1).astype(float), atol=0.15
    )
    assert not np.array_equal(first[1], first[2])


def test_planted_blocks_are_found() -> None:
    table, user_block, item_block = planted()
    reports: list[dict[str, Any]] = []
    fit = als.fit_als(table, num_factors=4, rounds=8, report=reports.append)
    scores = fit.factors.raw(np.arange(201))[1:, 1:]
    scores[table.users - 1, table.items - 1] = -np.inf  # what is known needs no finding
    best = np.argsort(-scores, axis=1)[:, :10]
    is_right = item_block[1:][best] == user_block[1:, None]
    assert is_right.mean() > 0.95  # a quarter by chance
    assert reports == fit.history
    assert [row["round"] for row in fit.history] == list(range(1, 9))
    assert "loss" in str(fit.history)


def test_the_answer_is_the_same_to_the_last_bit_and_depends_on_the_seed() -> None:
    table, _, _ = planted()
    first, again, other = (als.fit_als(table, rounds=2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.factors.users, again.factors.users)
    assert np.array_equal(first.factors.items, again.factors.items)
    assert not np.array_equal(first.factors.items, other.factors.items)


def test_the_order_of_events_and_how_they_are_cut_up_do_not_matter() -> None:
    counts = drawn(5)
    table = table_of(counts)
    order = np.random.default_rng(0).permutation(len(table))
    twice = np.concatenate([order, order])
    halves = dataclasses.replace(table.take(twice), ratings=table.ratings[twice] / 2)
    wanted = als.fit_als(table, num_factors=3).factors
    for same in (table.take(order), halves):
        assert np.array_equal(als.fit_als(same, num_factors=3).factors.users, wanted.users)


def test_events_of_unknown_ones_and_those_that_count_nothing_are_left_out() -> None:
    counts = drawn(6)
    table = table_of(counts)
    more = dataclasses.replace(
        table,
        users=np.append(table.users, np.array([0, 3, 4], np.int32)),
        items=np.append(table.items, np.array([2, 0, 5], np.int32)),
        ratings=np.append(table.ratings, np.array([9, 9, 0], np.float32)),
    )
    wanted, found = (als.fit_als(t, num_factors=3).factors for t in (table, more))
    assert np.array_equal(found.users, wanted.users)


def test_the_unknown_ones_are_the_mean_of_all_events() -> None:
    counts = drawn(6)
    found = als.fit_als(table_of(counts), num_factors=3).factors
    happened = (counts > 0).astype(float)
    for vectors, shares in ((found.users, happened.sum(1)), (found.items, happened.sum(0))):
        wanted = shares[1:] @ vectors[1:] / shares.sum()
        np.testing.assert_allclose(vectors[0], wanted, atol=1e-6)


def test_a_list_longer_than_a_block_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _, _ = planted()
    whole = als.fit_als(table, num_factors=4, rounds=2).factors
    monkeypatch.setattr(als, "CELLS", 40)  # ten numbers of each of four factors
    monkeypatch.setattr(als, "CHUNK", 7)
    pieces = als.fit_als(table, num_factors=4, rounds=2).factors
    np.testing.assert_allclose(pieces.users, whole.users, atol=1e-5)


@given(
    lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=60),
    num_factors=st.integers(1, 200),
    cells=st.sampled_from([1, 5000, als.CELLS]),
)
def test_blocks_hold_each_owner_with_a_list_once_and_stay_small(
    lengths: list[int], num_factors: int, cells: int
) -> None:
    of = np.array(lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(als, "CELLS", cells)
        found = list(als.blocks(of, num_factors))
    owners = [owner for block in found for owner in block.tolist()]
    assert sorted(owners) == np.flatnonzero(of).tolist()
    for block in found:
        longest = of[block].max()
        assert longest <= of[block].min() * als.SPARE + 1
        assert len(block) == 1 or len(block) * num_factors * max(longest, num_factors) <= cells


def test_folding_in_gives_a_fitted_user_the_very_same_vector() -> None:
    table, _, _ = planted()
    fit = als.fit_als(table, num_factors=8, rounds=3)
    found = fit.fold_in(table)
    np.testing.assert_allclose(found[1:], fit.factors.users[1:], atol=1e-6)
    assert not found[0].any()  # without events there is nothing to go by
    one = table.take(table.users == 7)
    as_new = dataclasses.replace(one, users=np.zeros(len(one), np.int32), num_users=1)
    found = fit.fold_in(as_new)
    assert found.shape == (1, 8)
    np.testing.assert_allclose(found[0], fit.factors.users[7], atol=1e-6)


def test_equations_that_float32_cannot_tell_apart_are_solved_in_float64(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[torch.dtype] = []
    solve = als._solve

    def watched(*arguments: Any) -> Any:
        tried.append(arguments[-1].dtype)
        return solve(*arguments)

    monkeypatch.setattr(als, "_solve", watched)
    counts = np.zeros((3, 4))
    counts[1:, 1:] = 1e6  # of six directions at most three weigh 1e7, the others 0.03
    fit = als.fit_als(table_of(counts), num_factors=6, regularization=1e-9, alpha=10.0, rounds=3)
    assert set(tried) == {torch.float32, torch.float64}
    np.testing.assert_allclose(fit.factors.raw(np.array([1, 2]))[:, 1:], 1.0, atol=1e-4)


def test_equations_without_a_single_answer_are_answered() -> None:
    counts = np.zeros((3, 4))
    counts[1:, 1:] = 1e6
    with pytest.raises(ConfigError) as caught:
        als.fit_als(table_of(counts), num_factors=6, regularization=1e-30)
    assert str(caught.value) == (
        "With a regularization of 1e-30 the equations of some vectors have no single answer. Give a "
        "larger one."
    )


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"num_factors": 0}, "`fit_als` needs `num_factors` of at least 1. Got 0."),
        ({"rounds": 1.5}, "`fit_als` needs `rounds` of at least 1. Got 1.5."),
        ({"regularization": 0.0}, "`fit_als` needs `regularization` above 0. Got 0.0."),
        ({"alpha": float("inf")}, "`fit_als` needs `alpha` from 0 up. Got inf."),
    ],
)
def test_a_setting_out_of_range_is_answered(setting: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        als.fit_als(table_of(drawn(0)), **setting)
    assert str(caught.value) == sentence


def test_events_that_count_less_than_nothing_are_answered() -> None:
    table = table_of(drawn(0))
    table.ratings[3] = -1
    with pytest.raises(DataError) as caught:
        als.fit_als(table)
    assert str(caught.value) == (
        "Events count from 0 up: how often something happened. Got -1 in row 3. For ratings that can be "
        "below 0 fit a model of ratings, or keep those that mean liking."
    )


def test_no_event_at_all_is_answered() -> None:
    with pytest.raises(DataError) as caught:
        als.fit_als(table_of(np.zeros((4, 5))))
    assert str(caught.value) == (
        "There is no event of a known user with a known item to learn from."
    )


def test_folding_in_events_of_other_items_is_answered() -> None:
    fit = als.fit_als(table_of(drawn(0)), num_factors=2, rounds=1)
    with pytest.raises(DataError) as caught:
        fit.fold_in(table_of(drawn(0, num_items=8)))
    assert str(caught.value) == "The model knows 11 items. Got a table of 7."
