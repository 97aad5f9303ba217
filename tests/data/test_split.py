"""Splits: every item in one part, every class in its share, the same seed the same split."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.split import Split, random_split, split_by_part, stratified_split
from drivetrain.errors import ConfigError, DataError

LABELS = ["cat"] * 50 + ["dog"] * 30 + ["owl"] * 10


@given(
    labels=st.lists(st.sampled_from("abcd"), min_size=2, max_size=80),
    valid=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
@settings(deadline=None)
def test_every_item_stands_in_exactly_one_part_in_ascending_order(labels, valid, seed):
    if max(Counter(labels).values()) < 2:
        return
    for split in (
        stratified_split(labels, valid=valid, seed=seed),
        random_split(len(labels), valid=valid, seed=seed),
    ):
        assert sorted(split.train + split.valid) == list(range(len(labels)))
        assert list(split.train) == sorted(split.train)
        assert list(split.valid) == sorted(split.valid)
        assert split.train
        assert split.valid
        assert split.test == ()


def test_each_class_gives_its_share():
    split = stratified_split(LABELS, valid=0.2)
    assert Counter(LABELS[i] for i in split.valid) == {"cat": 10, "dog": 6, "owl": 2}
    assert split.method == "stratified"


@given(
    labels=st.lists(st.sampled_from("abcd"), min_size=2, max_size=80), valid=st.floats(0.01, 0.99)
)
@settings(deadline=None)
def test_each_class_of_two_or_more_is_in_both_parts(labels, valid):
    counts = Counter(labels)
    if max(counts.values()) < 2:
        return
    split = stratified_split(labels, valid=valid)
    taken = Counter(labels[i] for i in split.valid)
    for label, count in counts.items():
        if count == 1:
            assert taken[label] == 0
        else:
            assert taken[label] == min(max(round(valid * count), 1), count - 1)


def test_class_with_a_single_item_keeps_it_for_training():
    split = stratified_split(["a", "b", "b", "b"], valid=0.9)
    assert 0 in split.train
    assert len(split.valid) == 2


def test_same_seed_same_split_and_another_seed_another():
    assert stratified_split(LABELS) == stratified_split(LABELS, valid=0.2, seed=42)
    assert stratified_split(LABELS, seed=1).valid != stratified_split(LABELS, seed=2).valid
    assert random_split(90) == random_split(90, valid=0.2, seed=42)
    assert random_split(90, seed=1).valid != random_split(90, seed=2).valid


def test_split_is_pinned():
    """A run of last year is replayed with the split it had."""
    assert stratified_split(["a", "b"] * 8, valid=0.25, seed=42).valid == (1, 2, 10, 11)
    assert random_split(12, valid=0.25, seed=42).valid == (1, 2, 7)


def test_new_items_of_one_class_move_no_item_of_another():
    before = stratified_split(["a"] * 20 + ["b"] * 20)
    after = stratified_split(["a"] * 20 + ["b"] * 33)
    assert [i for i in before.valid if i < 20] == [i for i in after.valid if i < 20]


def test_order_of_labels_only_renumbers():
    labels = ["a", "b"] * 10
    turned = ["b", "a"] * 10
    one, other = stratified_split(labels), stratified_split(turned)
    assert {i // 2 for i in one.valid if labels[i] == "a"} == {
        i // 2 for i in other.valid if turned[i] == "a"
    }


def test_random_split_takes_at_least_one_and_leaves_one():
    assert len(random_split(10, valid=0.001).valid) == 1
    assert len(random_split(10, valid=0.999).train) == 1
    assert random_split(10).method == "random"


@pytest.mark.parametrize("valid", [0, 1, -0.2, 1.5, 20, float("nan")])
def test_share_outside_zero_and_one_is_refused(valid):
    message = f"`valid` is the share for validation, between 0 and 1. Got {valid}."
    for split in (
        lambda: stratified_split(LABELS, valid=valid),
        lambda: random_split(9, valid=valid),
    ):
        with pytest.raises(ConfigError) as caught:
            split()
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "0 items are too few to split into training and validation. Add more items."),
        (["a"], "1 item is too few to split into training and validation. Add more items."),
        (
            ["a", "b", "c"],
            "Each of the 3 classes has a single item, so none can be set aside for validation. "
            "Add items, or choose the validation items yourself.",
        ),
    ],
)
def test_too_few_items_are_refused(labels, message):
    with pytest.raises(DataError) as caught:
        stratified_split(labels)
    assert str(caught.value) == message


def test_many_classes_are_split_quickly():
    labels = [
        f"class {i % 5000}" for i in range(50_000)
    ]  # a pass over all for each class takes a minute
    split = stratified_split(labels)
    assert len(split.valid) == 10_000


@pytest.mark.parametrize("count", [0, 1])
def test_random_split_refuses_too_few_items(count):
    with pytest.raises(DataError, match=r"too few to split into training and validation\."):
        random_split(count)


def test_parts_given_by_folders_are_followed():
    split = split_by_part(["train", "valid", "test", "train", "valid"])
    assert split == Split(train=(0, 3), valid=(1, 4), test=(2,), method="folders")


def test_split_is_written_by_id():
    split = Split(train=(0, 2), valid=(1,), test=(3,), method="given")
    assert split.to_json(["a", "b", "c", "d"]) == {
        "method": "given", "train": ["a", "c"], "valid": ["b"], "test": ["d"],
    }  # fmt: skip
