"""clean/targets.py, and the one queue of the labels of several targets: its order, folds, and what is
counted once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.clean import folds
from drivetrain.clean.duplicates import same_content
from drivetrain.clean.folds import FoldModel, Pool, assign_folds, out_of_fold, queue_of
from drivetrain.clean.outliers import Points, Space
from drivetrain.clean.queue import Item, Material, Queue
from drivetrain.clean.targets import ANSWERS, Targets, joined_chances, yes_and_no
from drivetrain.errors import ConfigError, DataError, UnknownNameError
from drivetrain.train.predictions import Predictions
from tests.clean.desks import (
    CLASSES,
    KEEPERS,
    TARGETS,
    item_hash,
    make_items,
    make_several,
    predictions_of,
)

pytestmark = pytest.mark.row(118)


def pool_of(labels: np.ndarray, values: np.ndarray, *, sizes: tuple[int, ...]) -> Pool:
    """Items with a number of each target, whose nearest mean is what a fold's model says."""
    names = tuple(f"t{place}" for place in range(labels.shape[1]))
    classes = tuple(tuple(f"c{code}" for code in range(size)) for size in sizes)
    said = tuple(tuple(classes[t][code] for t, code in enumerate(row)) for row in labels.tolist())
    items = tuple(Item(item_hash(at), f"item {at}", row[0]) for at, row in enumerate(said))

    def answer(fitted: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        parts = []
        for t, size in enumerate(sizes):
            means = [values[fitted[labels[fitted, t] == code], t].mean() for code in range(size)]
            scores = -3 * np.abs(values[asked, t][:, None] - np.array(means))
            parts.append(torch.from_numpy(scores))
        return joined_chances(parts)

    def ask() -> Predictions:
        raise AssertionError("every label is known outside its fold")

    material = Material(
        items,
        torch.from_numpy(labels),
        (),
        ask,
        None,  # pyright: ignore[reportArgumentType] - nobody opens it
        several=Targets(names, classes, said),
    )
    return Pool(
        material,
        {"quick": lambda: FoldModel("nearest means", {}, answer)},
        lambda: same_content([]),
    )


def planted(
    count: int, sizes: tuple[int, ...], wrong_of: int, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, set[str]]:
    """Labels with 5% of one target's flipped, the values that tell the true ones, and which are wrong."""
    draw = np.random.default_rng(seed)
    truth = np.stack([draw.integers(0, size, count) for size in sizes], axis=1)
    values = 2.0 * truth + draw.normal(0, 0.3, truth.shape)
    labels = truth.copy()
    wrong = draw.choice(count, count // 20, replace=False)
    size = sizes[wrong_of]
    labels[wrong, wrong_of] = (truth[wrong, wrong_of] + draw.integers(1, size, len(wrong))) % size
    return labels, values, {item_hash(at) for at in wrong.tolist()}


@pytest.mark.parametrize("wrong_of", [0, 1])
def test_flips_planted_in_one_of_two_targets_are_in_the_first_tenth(wrong_of: int) -> None:
    labels, values, wrong = planted(200, (3, 2), wrong_of)
    queue = queue_of(pool_of(labels, values, sizes=(3, 2)))
    assert len(queue) == 400 and queue.total == 200
    assert queue.basis == "out of 5 folds, by nearest means"
    head = queue.rows[: len(queue) // 10]
    found = {row.item.hash for row in head if row.item.target == f"t{wrong_of}"} & wrong
    assert len(found) >= 0.9 * len(wrong)
    flagged = queue.chosen(flagged=True)
    assert {row.item.target for row in flagged if row.item.hash in wrong} == {f"t{wrong_of}"}
    assert sum(row.item.hash in wrong for row in flagged) >= 0.8 * len(flagged)
    alone = queue.of_target(f"t{wrong_of}")
    assert len(alone) == 200 and len({row.item.hash for row in alone.rows[:10]} & wrong) >= 9
    assert [row for row in queue.rows if row.item.target == f"t{wrong_of}"] == list(alone.rows)


def test_a_queue_of_several_is_that_of_each_woven_together() -> None:
    queue = make_several(24)
    assert dict(queue.targets) == TARGETS and queue.classes == ()
    assert len(queue) == 48 and queue.total == 24
    items = make_items(24)
    alone = Queue.of(items, predictions_of(items))
    own = queue.of_target("breed")
    assert [row.item.hash for row in own.rows] == [row.item.hash for row in alone.rows]
    assert [replace(row, item=replace(row.item, target="")) for row in own.rows] == list(alone.rows)

    def odds(row) -> float:  # of an error to none, where errors fall on the other labels alike
        return (1 - row.probability) / row.probability / (len(queue.labels_of(row)) - 1)

    doubts = [odds(row) for row in queue.rows]
    assert doubts == sorted(doubts, reverse=True)
    assert {row.item.target for row in queue.rows[:8]} == {"breed", "keeper"}
    told = queue.to_json()
    assert told["targets"] == {"breed": list(CLASSES), "keeper": list(KEEPERS)}
    first = queue.rows[0].item
    assert told["items"][0]["entry"] == first.entry == f"{first.hash} {first.target}"
    assert queue.by_entry[first.entry] is queue.by_hash[first.hash] is queue.rows[0]


def test_what_is_of_the_item_whatever_its_labels_are_is_counted_once() -> None:
    queue = make_several(60, odd=(50, 7, 31))
    assert queue.unlike == "3 items are unlike the others in pixels."
    assert len(queue.outliers) == len(queue.chosen(outlier=True)) == 3
    assert len(queue.head(1).outliers) <= 1
    head = queue.head(2, with_outliers=True)
    assert len({row.item.hash for row in head.rows if row.is_outlier}) == 3
    assert len(head) <= 5


def test_labels_of_any_target_may_be_filtered_and_no_others() -> None:
    queue = make_several(12)
    assert {row.item.target for row in queue.chosen(label="home")} == {"keeper"}
    with pytest.raises(
        ConfigError, match=r"^Unknown label 'cat'\. Known: beagle, pug, tabby, home, shelter\.$"
    ):
        queue.chosen(label="cat")
    with pytest.raises(
        UnknownNameError,
        match=r"^There is no target 'bred'\. Did you mean 'breed'\? Targets: breed, keeper\.$",
    ):
        queue.of_target("bred")
    items = make_items(6)
    one = Queue.of(items, predictions_of(items))
    with pytest.raises(
        ConfigError,
        match=r"^The target 'breed' was asked for, and this run is of one: leave it out\.$",
    ):
        one.of_target("breed")
    with pytest.raises(
        ConfigError,
        match=r"^A queue of several targets is of labels or of numbers\. Got no target\.$",
    ):
        Queue.joined({})


def test_numbers_are_woven_by_how_many_spreads_they_are_off() -> None:
    draw = np.random.default_rng(0)
    goals = draw.normal(0, [1, 1000], (60, 2))
    said = goals + draw.normal(0, [0.1, 100], (60, 2))
    goals[7, 0] += 5  # fifty spreads, though far less than what is usual of the other
    goals[11, 1] -= 3000  # thirty
    labels = tuple(tuple(f"{value:.4f}" for value in row) for row in goals.tolist())
    items = tuple(
        Item(item_hash(at), f"row {at}", row[0], "valid") for at, row in enumerate(labels)
    )
    targets = Targets(("small", "large"), ((), ()), labels)
    assert targets.sizes == (1, 1) and not targets.are_classes
    own = Predictions([""] * 60, torch.from_numpy(goals), torch.from_numpy(said), torch.zeros(60))
    material = Material(items, own.targets, (), lambda: own, None, several=targets)  # pyright: ignore[reportArgumentType]
    model = FoldModel("chance", {}, lambda fitted, asked, fold: said[asked])
    pool = Pool(material, {"quick": lambda: model}, lambda: same_content([]))
    for queue in (queue_of(pool), queue_of(pool, folds=0)):
        assert [row.item.entry for row in queue.rows[:2]] == [
            f"{item_hash(7)} small", f"{item_hash(11)} large",
        ]  # fmt: skip
        assert queue.rows[0].predicted == pytest.approx(said[7, 0])
        assert queue.labels_of(queue.rows[0]) == ()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=30, max_size=80),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_every_item_is_in_a_fold_and_the_classes_of_all_targets_are_even(
    rows: list[tuple[int, int]], num_folds: int, seed: int
) -> None:
    strata = np.array(rows, dtype=np.int64)
    fold_of = assign_folds(num_folds, strata=strata, seed=seed)
    assert set(fold_of.tolist()) == set(range(num_folds))
    assert (fold_of == assign_folds(num_folds, strata=strata, seed=seed)).all()
    for column in strata.T:
        for code in np.unique(column):
            counts = np.bincount(fold_of[column == code], minlength=num_folds)
            assert counts.max() - counts.min() <= max(3, len(rows) // 10)


def test_one_column_is_dealt_as_a_plain_list_is() -> None:
    strata = np.random.default_rng(0).integers(0, 3, 50)
    together = np.arange(50) // 2
    for groups in (None, together):
        plain = assign_folds(4, strata=strata, together=groups, seed=3)
        assert (plain == assign_folds(4, strata=strata[:, None], together=groups, seed=3)).all()


def test_a_label_of_one_target_that_only_one_fold_has_is_the_runs_own_there_alone() -> None:
    labels = np.array([[at % 2, int(at == 5)] for at in range(20)])
    fold_of = assign_folds(5, strata=labels)
    model = FoldModel("halves", {}, lambda fitted, asked, fold: np.full((len(asked), 4), 0.5))
    found = out_of_fold(model, labels, fold_of, num_classes=(2, 2))
    assert found.known[:, 0].all() and np.flatnonzero(~found.known[:, 1]).tolist() == [5]
    assert found.part(1, (2, 4), is_class=True).outputs.shape == (20, 2)


def test_probabilities_are_of_each_target_by_itself() -> None:
    labels = np.array([[0, 0], [1, 1], [0, 1], [1, 0]])
    wrong = np.array([0.5, 0.5, 0.9, 0.9])
    model = FoldModel("wrong", {}, lambda fitted, asked, fold: np.tile(wrong, (len(asked), 1)))
    with pytest.raises(
        DataError,
        match=r"^The model of fold 1 answered with what are no probabilities: they are 0\.9 and up, and "
        r"of an item they add up to 1\.8 and up\.$",
    ):
        out_of_fold(model, labels, np.array([0, 0, 1, 1]), num_classes=(2, 2))


def test_a_label_that_an_item_has_or_not_is_a_target_of_two_classes() -> None:
    chances = np.array([[0.9, 0.2], [0.0, 1.0]])
    assert yes_and_no(chances).tolist() == [
        pytest.approx([0.1, 0.9, 0.8, 0.2]), [1.0, 0.0, 0.0, 1.0],
    ]  # fmt: skip
    targets = Targets(("ill", "ripe"), (ANSWERS, ANSWERS), ((ANSWERS[1], ANSWERS[0]),) * 2)
    assert targets.spans == [(0, 2), (2, 4)]
    scores = torch.tensor([[0.0, 2.0, 0.0, -1.0]]).repeat(2, 1)
    record = Predictions(["a", "b"], torch.tensor([[1, 0], [0, 0]]), scores, torch.zeros(2))
    first, second = targets.split(record)
    assert first.classes == ("no", "yes") and first.targets.tolist() == [1, 0]
    torch.testing.assert_close(first.probs[:, 1], torch.tensor([2.0, 2.0]).sigmoid())
    torch.testing.assert_close(second.losses, -torch.tensor([1.0, 1.0]).sigmoid().log())
    bare = targets.split(Predictions(["a", "b"], record.targets, torch.zeros(2, 0), torch.zeros(2)))
    assert [one.outputs.shape[1] for one in bare] == [0, 0]


def test_of_very_many_labels_the_worst_of_each_target_are_kept_and_what_is_unlike_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, values, _ = planted(60, (3, 2), 0)
    pool = pool_of(labels, values, sizes=(3, 2))
    points = values.copy()
    points[17] = 400.0
    pool = replace(pool, space=Space("values", {}, lambda: Points.of(points)))
    whole = queue_of(pool)
    monkeypatch.setattr(folds, "MOST_ENTRIES", 20)
    head = queue_of(pool)
    assert head.total == 60 and [row.item.hash for row in head.outliers] == [item_hash(17)]
    for name in head.targets:
        own = [row for row in head.of_target(name).rows if row.item.hash != item_hash(17)]
        wanted = [r for r in whole.of_target(name).rows if r.item.hash != item_hash(17)]
        assert own == wanted[: len(own)] and len(own) in (9, 10)
