"""collab.implicit.bpr: draws of what was not seen, batches, the twin's loss, planted tastes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

import drivetrain as dt
from drivetrain import losses
from drivetrain.collab.factors import Factors
from drivetrain.collab.implicit import bpr, unseen
from drivetrain.data.loaders import Loaders
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.models.factorization import DotProduct
from drivetrain.reference import factorization as twin
from drivetrain.store import weights_sha256
from drivetrain.train.callbacks.checkpoint import Checkpoint
from drivetrain.train.run import Run
from tests.collab.implicit.tastes import ITEMS, USERS, make_loaders, planted
from tests.eject.replay import replayed_here


def events(pairs: Any, num_users: int, num_items: int) -> RatingTable:
    codes = np.array(pairs, np.int32).reshape(-1, 2)
    ones = np.ones(len(codes), np.float32)
    return RatingTable(codes[:, 0], codes[:, 1], ones, None, num_users, num_items)


def learner(train: RatingTable, valid: RatingTable | None = None, **options: Any) -> dt.Learner:
    parts = bpr.bpr_parts(train, valid, num_factors=8, batch_size=128)
    return dt.Learner(
        parts.model, parts.loaders, parts.loss_fn, metrics=["accuracy"], progress=False, **options
    )


# --- unseen -----------------------------------------------------------------------------------------


@given(
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=60),
    num_items=st.integers(7, 9),
)
def test_numbers_of_unseen_items_are_all_of_them_in_order(
    pairs: list[tuple[int, int]], num_items: int
) -> None:
    seen = np.array(pairs, np.int32).reshape(-1, 2)
    found = unseen.Unseen(seen[:, 0], seen[:, 1], 5, num_items)
    for user in range(5):
        wanted = sorted(set(range(1, num_items)) - {item for u, item in pairs if u == user})
        numbers = np.arange(found.counts[user])
        assert found.numbered(np.full(len(numbers), user), numbers).tolist() == wanted


def test_every_unseen_item_is_drawn_equally_often() -> None:
    one = unseen.Unseen(np.array([1, 1, 1]), np.array([1, 4, 7]), 2, 9)
    drawn = one.draw(np.ones(50_000, np.int32), seed=3)
    counts = np.bincount(drawn, minlength=9)
    assert np.flatnonzero(counts).tolist() == [2, 3, 5, 6, 8]
    spread = counts[counts > 0] - 10_000
    assert np.abs(spread).max() < 5 * (50_000 * 0.2 * 0.8) ** 0.5  # five standard deviations


def test_draws_are_the_same_from_the_same_seed_and_do_not_touch_the_global_generator() -> None:
    one = unseen.Unseen(np.array([1]), np.array([2]), 2, 900)
    users = np.ones(40, np.int32)
    before = torch.random.get_rng_state()
    assert np.array_equal(one.draw(users, seed=5), one.draw(users, seed=5))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not np.array_equal(one.draw(users, seed=5), one.draw(users, seed=6))


def test_draws_of_more_than_a_block_are_of_each_its_own_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unseen, "BLOCK", 7)
    one = unseen.Unseen(np.array([1, 1, 2, 2]), np.array([1, 2, 3, 4]), 3, 5)
    users = np.tile(np.array([1, 2], np.int32), 20)
    drawn = one.draw(users, seed=0)
    assert set(drawn[users == 1].tolist()) == {3, 4}
    assert set(drawn[users == 2].tolist()) == {1, 2}


# --- the loader -------------------------------------------------------------------------------------


def batches_equal(one: Any, other: Any) -> bool:
    return all(
        torch.equal(a, b)
        for first, second in zip(one, other, strict=True)
        for a, b in zip(first, second, strict=True)
    )


def test_each_event_comes_once_an_epoch_beside_an_item_never_seen() -> None:
    train, _ = planted()
    loader = bpr.PairwiseLoader(train, batch_size=100, shuffle=True)
    seen = set(zip(train.users.tolist(), train.items.tolist(), strict=True))
    negatives: list[Tensor] = []
    for epoch in (0, 1):
        triples = torch.cat([triples for triples, _ in loader.batches(epoch)])
        assert triples.dtype == torch.int32
        users, items, others = triples.T.tolist()
        assert sorted(zip(users, items, strict=True)) == sorted(seen)
        assert not seen & set(zip(users, others, strict=True))
        assert min(others) >= 1
        negatives.append(loader.negatives(epoch))
    assert not torch.equal(*negatives)
    assert all(torch.equal(ones, torch.ones(len(triples))) for triples, ones in loader)


@pytest.mark.parametrize("start", [0, 1, 5])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_begins_at_any_batch(start: int, num_workers: int) -> None:
    train, _ = planted()
    whole = list(bpr.PairwiseLoader(train, batch_size=300, shuffle=True).batches(3))
    later = bpr.PairwiseLoader(train, batch_size=300, shuffle=True)
    later.num_workers = num_workers
    assert batches_equal(whole[start:], later.batches(3, start=start))
    other = bpr.PairwiseLoader(train, batch_size=300, shuffle=True, seed=1)
    assert not batches_equal(whole, other.batches(3))


def test_validation_compares_with_the_same_items_each_epoch_and_with_none_of_training() -> None:
    train, valid = planted()
    loader = bpr.PairwiseLoader(valid, batch_size=64, also_seen=train)
    assert batches_equal(loader.batches(0), loader.batches(7))
    seen = {*zip(train.users.tolist(), train.items.tolist(), strict=True)}
    seen |= {*zip(valid.users.tolist(), valid.items.tolist(), strict=True)}
    for triples, _ in loader:
        users, _, others = triples.T.tolist()
        assert not seen & set(zip(users, others, strict=True))


def test_the_order_of_the_table_does_not_matter() -> None:
    train, _ = planted()
    order = np.random.default_rng(0).permutation(len(train))
    first, second = (
        bpr.PairwiseLoader(table, shuffle=True) for table in (train, train.take(order))
    )
    assert batches_equal(first, second)


def test_events_that_cannot_be_compared_are_left_out() -> None:
    table = events([(0, 1), (1, 0), (1, 1), (2, 1), (2, 2), (1, 1)], 3, 3)
    loader = bpr.PairwiseLoader(table)  # user 2 has seen both items there are
    ((triples, _),) = list(loader)
    assert triples.tolist() == [[1, 1, 2], [1, 1, 2]]


@pytest.mark.parametrize("pairs", [[], [(0, 1), (1, 0)], [(1, 1), (1, 2)]])
def test_a_table_without_an_event_to_compare_is_answered(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(DataError) as caught:
        bpr.PairwiseLoader(events(pairs, 2, 3))
    assert str(caught.value) == (
        "There is no event to learn an order from: each needs a known user, a known item, and an item "
        "that the user had nothing to do with."
    )


def test_tables_of_other_items_are_answered() -> None:
    with pytest.raises(ShapeError) as caught:
        bpr.PairwiseLoader(events([(1, 1)], 2, 3), also_seen=events([(1, 1)], 2, 4))
    assert str(caught.value) == (
        "`PairwiseLoader` needs tables of the same users and items. Got 2 and 2 users, 3 and 4 items."
    )


def test_a_batch_of_none_is_answered() -> None:
    with pytest.raises(ConfigError) as caught:
        bpr.PairwiseLoader(events([(1, 1)], 2, 3), batch_size=0)
    assert str(caught.value) == "`batch_size` must be at least 1. Got 0."


# --- the model and the loss -------------------------------------------------------------------------


def test_loss_and_gradient_are_the_twins() -> None:
    draw = np.random.default_rng(5)
    tables = twin.Tables(
        draw.normal(size=(5, 3)), draw.normal(size=(6, 3)), np.zeros(5), draw.normal(size=6)
    )
    model = bpr.PairwiseScore(5, 6, 3).double()
    scores = model.scores
    named = (scores.user_factors, scores.item_factors, scores.user_bias, scores.item_bias)
    with torch.no_grad():
        for table, part in zip(named, tables.parts(), strict=True):
            table.weight.copy_(torch.from_numpy(part).view_as(table.weight))
    triples = [(1, 2, 3), (1, 5, 2), (4, 1, 2), (1, 2, 3)]
    by_hand, gradient = twin.triples_gradient(tables, triples)
    differences = model(torch.tensor(triples))
    loss = losses.loss(bpr.LOSS)(differences, torch.ones(4, dtype=torch.float64))
    loss.backward()
    assert loss.item() == pytest.approx(by_hand, abs=1e-12)
    for table, part in zip(named, gradient.parts(), strict=True):
        found = torch.zeros_like(table.weight) if table.weight.grad is None else table.weight.grad
        wanted = torch.from_numpy(part).view_as(found)
        torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


def test_the_difference_is_that_of_two_scores() -> None:
    model = bpr.bpr_parts(planted()[0], num_factors=4).model
    triples = torch.tensor([[3, 5, 6], [7, 1, 99], [150, 2, 100]], dtype=torch.int32)
    first, second = (model.scores(triples[:, [0, k]]) for k in (1, 2))
    torch.testing.assert_close(model(triples), first - second, atol=1e-6, rtol=0)


def test_planted_tastes_are_learnt_through_a_learner() -> None:
    train, valid = planted()
    one = learner(train, valid)
    before = one.evaluate().metrics["accuracy"]
    one.fit_one_cycle(12, 3e-2)
    after = one.history[-1]["accuracy"]
    assert before < 0.6  # of two items one: chance is a half
    assert after > 0.8
    popularity = np.bincount(train.items, minlength=101)
    triples = torch.cat([batch[0] for batch in bpr.PairwiseLoader(valid, also_seen=train)]).numpy()
    assert after > np.mean(popularity[triples[:, 1]] > popularity[triples[:, 2]]) + 0.1
    assert one.evaluate().metrics["accuracy"] == after


def test_the_bias_of_a_user_is_zero_and_stays_so() -> None:
    one = learner(planted()[0])
    one.fit(1)
    scores = one.model.scores
    assert isinstance(scores, DotProduct)
    found = Factors.of(scores)
    assert found is not None
    assert not found.user_bias.any()
    assert found.item_bias[1:].any()


def test_the_unknown_user_is_the_mean_of_all_events() -> None:
    train, _ = planted()
    model = bpr.bpr_parts(train, num_factors=4).model
    model.count(train.tensors()[0])
    model.fill_unknown()
    vectors = model.scores.user_factors.weight.detach()
    wanted = vectors[torch.from_numpy(train.users).long()].mean(0)
    torch.testing.assert_close(vectors[0], wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("batch", [4, 20])
def test_a_run_cut_within_an_epoch_resumes_to_the_same_bits(tmp_path: Path, batch: int) -> None:
    class Kill(dt.Callback):
        order = 1000

        def after_batch(self, state: Any) -> None:
            if state.step == batch:
                raise KeyboardInterrupt

    train, valid = planted()
    whole = learner(train, valid)
    whole.fit_one_cycle(2, 1e-2)
    assert (
        len(list(whole.loaders.train)) == 15
    )  # so one cut is in the first epoch, one in the second
    cut = learner(train, valid, out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        cut.fit_one_cycle(2, 1e-2, callbacks=[Checkpoint(steps=2), Kill()])
    resumed = learner(train, valid)
    resumed.open_run(Run.open(tmp_path / "run"))
    resumed.resume(callbacks=[])
    assert weights_sha256(resumed.model.state_dict()) == weights_sha256(whole.model.state_dict())
    assert resumed.history[-1]["valid_loss"] == whole.history[-1]["valid_loss"]


def test_the_ejected_script_trains_to_the_same_bits(tmp_path: Path) -> None:
    one = dt.Learner(
        functools.partial(bpr.PairwiseScore, USERS, ITEMS, 8),
        make_loaders,
        bpr.LOSS,
        metrics=["accuracy"],
        num_threads=1,
        progress=False,
    )
    one.fit_one_cycle(2, 2e-2)
    script = replayed_here(one.eject(tmp_path / "script.py"), tmp_path / "out")
    assert script["weights_sha256"] == weights_sha256(one.model.state_dict())
    assert script["metrics"]["accuracy"] == one.history[-1]["accuracy"]


def test_the_parts_are_those_that_a_learner_needs() -> None:
    train, valid = planted()
    parts = bpr.bpr_parts(train, valid, batch_size=100)
    of_train = bpr.PairwiseLoader(train, batch_size=100, shuffle=True)
    of_valid = bpr.PairwiseLoader(valid, batch_size=100, also_seen=train)
    assert batches_equal(parts.loaders.train, of_train)
    assert batches_equal(parts.loaders.valid, of_valid)
    frozen = [name for name, p in parts.model.named_parameters() if not p.requires_grad]
    assert frozen == ["scores.user_bias.weight"]


def test_parts_without_validation_and_from_another_seed() -> None:
    train, _ = planted()
    first, other = (bpr.bpr_parts(train, seed=seed) for seed in (42, 43))
    assert isinstance(first.loaders, Loaders)
    assert first.loaders.valid is None
    assert isinstance(first.loaders.train, bpr.PairwiseLoader)
    assert 24 < len(first.loaders.train) < 96
    ours, theirs = (parts.model.scores.item_factors.weight for parts in (first, other))
    assert not torch.equal(ours, theirs)
