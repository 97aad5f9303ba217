"""Splits: every item in one part, every class in its share, the same seed the same split.

In time nothing trains that is as late as what validates; of a group all rows are on one side.
"""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.split import (
    Split,
    group_split,
    random_split,
    split_by_mask,
    split_by_part,
    stratified_codes,
    stratified_split,
    time_split,
)
from drivetrain.errors import ConfigError, DataError, ShapeError

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
        lambda: stratified_codes(np.zeros(9, dtype=np.int64), valid=valid),
        lambda: time_split(np.arange(9.0), valid=valid),
        lambda: group_split("abcdefghi", valid=valid),
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


@given(
    codes=st.lists(st.integers(0, 3), min_size=2, max_size=80),
    valid=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
@settings(deadline=None)
def test_codes_are_split_like_the_words_they_stand_for(codes, valid, seed):
    if max(Counter(codes).values()) < 2:
        return
    names = ["owl", "dog", "ant", "cat"]  # out of order: the words decide, not their codes
    words = stratified_split([names[code] for code in codes], valid=valid, seed=seed)
    assert stratified_codes(np.array(codes), valid=valid, seed=seed, names=names) == words
    numbers = stratified_split([str(code) for code in codes], valid=valid, seed=seed)
    assert stratified_codes(np.array(codes), valid=valid, seed=seed) == numbers


@pytest.mark.parametrize("codes", [np.array([0.0, 1.0, 1.0]), np.zeros((4, 2), dtype=np.int64)])
def test_codes_that_are_no_row_of_integers_are_refused(codes):
    with pytest.raises(ShapeError) as caught:
        stratified_codes(codes)
    assert str(caught.value) == (
        f"`codes` is {codes.dtype} of shape {codes.shape}, expected (N,) integers, one class a row."
    )


@pytest.mark.parametrize(("codes", "odd"), [([0, 1, 2, 2], 2), ([-1, 0, 0], -1)])
def test_code_without_a_name_is_refused(codes, odd):
    with pytest.raises(ShapeError) as caught:
        stratified_codes(np.array(codes), names=["a", "b"])
    assert str(caught.value) == f"`codes` has a {odd}, expected 0 to 1: one of the names."


def test_codes_of_single_items_are_refused():
    message = (
        "Each of the 3 classes has a single item, so none can be set aside for validation. "
        "Add items, or choose the validation items yourself."
    )
    with pytest.raises(DataError) as caught:
        stratified_codes(np.array([4, 2, 9]))
    assert str(caught.value) == message


def test_several_hundred_thousand_rows_are_split_quickly():
    """Measured: 0.15 s for the three. A pass of Python over the rows costs that much for one."""
    codes = np.arange(400_000) % 7
    started = time.process_time()
    assert (
        len(stratified_codes(codes).valid) == 80_002
    )  # round(0.2 * 57143) of six classes, and of one with 57142
    assert len(random_split(400_000).valid) == 80_000
    assert len(time_split(np.arange(400_000.0)[::-1]).valid) == 80_000
    assert time.process_time() - started < 2


TIMES = st.one_of(
    st.lists(st.integers(0, 12).map(float) | st.just(float("nan")), min_size=1, max_size=60).map(
        np.array
    ),
    st.lists(st.integers(0, 12) | st.none(), min_size=1, max_size=60).map(
        lambda days: np.array(
            ["NaT" if day is None else f"2024-02-{day + 1:02}" for day in days], "datetime64[us]"
        )
    ),
)


def known(times: np.ndarray) -> np.ndarray:
    return ~(np.isnat(times) if times.dtype.kind == "M" else np.isnan(times))


@pytest.mark.row(67)
@given(times=TIMES, valid=st.floats(0.01, 0.99))
@settings(deadline=None)
def test_no_row_trains_that_is_as_late_as_one_that_validates(times, valid):
    if len(np.unique(times[known(times)])) < 2:
        with pytest.raises(DataError):
            time_split(times, valid=valid)
        return
    split = time_split(times, valid=valid)
    assert sorted(split.train + split.valid) == list(range(len(times)))
    train = np.array(split.train)
    assert times[train[known(times)[train]]].max() < times[list(split.valid)].min()
    assert known(times)[list(split.valid)].all()  # a row without a time trains
    assert split.method == "time"


@given(times=TIMES, valid=st.floats(0.01, 0.99))
@settings(deadline=None)
def test_no_other_cut_in_time_comes_nearer_to_the_share(times, valid):
    values = np.sort(times[known(times)])
    if len(np.unique(values)) < 2:
        return
    wanted = valid * len(values)
    cuts = [int((values > cut).sum()) for cut in np.unique(values)[:-1]]
    taken = len(time_split(times, valid=valid).valid)
    assert abs(taken - wanted) == min(abs(cut - wanted) for cut in cuts)


def test_split_in_time_does_not_mind_the_order_of_the_rows():
    times = np.array([3.0, 9.0, 1.0, 9.0, 2.0, 5.0, 4.0, 7.0, 6.0, 8.0])
    assert time_split(times, valid=0.2).valid == (1, 3)
    assert time_split(times[::-1], valid=0.2).valid == (6, 8)
    assert time_split(times.astype(np.int64), valid=0.3).valid == (1, 3, 9)


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (np.array([2.0, 2.0, np.nan]), "have the same time, 2.0"),
        (np.array(["NaT", "NaT"], "datetime64[us]"), "have no time"),
        (np.array([]), "have no time"),
    ],
)
def test_rows_that_time_cannot_tell_apart_are_refused(times, reason):
    with pytest.raises(DataError) as caught:
        time_split(times)
    assert str(caught.value) == (
        f"All of the {len(times)} rows {reason}, so none comes after another. Split by another column, "
        "or at random."
    )


def test_times_of_another_kind_are_refused():
    with pytest.raises(ShapeError) as caught:
        time_split(np.array(["2024", "2025"]))
    assert str(caught.value) == (
        "`times` is <U4 of shape (2,), expected (N,) dates (datetime64) or numbers."
    )


GROUPS = st.lists(st.integers(0, 9), min_size=2, max_size=80)


@given(groups=GROUPS, valid=st.floats(0.01, 0.99), seed=st.integers(0, 5), data=st.data())
@settings(deadline=None)
def test_rows_of_a_group_stay_together_whatever_their_order(groups, valid, seed, data):
    if len(set(groups)) < 2:
        return
    labels = data.draw(
        st.none() | st.lists(st.sampled_from("ab"), min_size=len(groups), max_size=len(groups))
    )
    split = group_split(groups, valid=valid, seed=seed, labels=labels)
    assert sorted(split.train + split.valid) == list(range(len(groups)))
    train, held = {groups[i] for i in split.train}, {groups[i] for i in split.valid}
    assert train and held and train.isdisjoint(held)
    assert split.method == "group"
    assert group_split(np.array(groups), valid=valid, seed=seed, labels=labels) == split
    turned = group_split(groups[::-1], valid=valid, seed=seed, labels=labels and labels[::-1])
    assert {groups[::-1][i] for i in turned.valid} == held


@given(groups=GROUPS, valid=st.floats(0.01, 0.99), seed=st.integers(0, 5))
@settings(deadline=None)
def test_share_of_groups_is_met_within_half_of_the_largest_group(groups, valid, seed):
    sizes = Counter(groups)
    if len(sizes) < 2:
        return
    taken = len(group_split(groups, valid=valid, seed=seed).valid)
    wanted = valid * len(groups)
    smallest, largest = min(sizes.values()), max(sizes.values())
    # Unless a single group is already too much, or all but one are still too few.
    assert abs(taken - wanted) <= largest / 2 or taken == smallest or taken >= len(groups) - largest


def test_classes_are_balanced_over_groups_as_far_as_groups_allow():
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 300, 6000)
    labels = (groups % 10 == 0).astype(np.int64)  # a rare class, which whole groups are of
    split = list(group_split(groups, valid=0.25, labels=labels).valid)
    shares = np.bincount(labels[split]) / np.bincount(labels)
    np.testing.assert_allclose(
        shares, 0.25, atol=0.02
    )  # groups have 20 rows: 1/30 of the rare class


def test_groups_are_drawn_by_their_seed_and_pinned():
    groups = np.repeat(np.arange(20), 3)
    drawn = [sorted(set(groups[list(group_split(groups, seed=s).valid)])) for s in (1, 2, 42)]
    assert drawn[0] != drawn[1]
    assert drawn[2] == [8, 11, 12, 19]
    assert group_split(groups) == group_split(groups, valid=0.2, seed=42)


def test_one_group_alone_is_refused():
    with pytest.raises(DataError) as caught:
        group_split(["a", "a", "a"])
    assert str(caught.value) == (
        "All of the 3 rows are of one group, so none can be set aside for validation. "
        "Split by another column, or at random."
    )


def test_labels_of_another_length_are_refused():
    with pytest.raises(ShapeError) as caught:
        group_split(["a", "b", "b"], labels=[0, 1])
    assert str(caught.value) == "There are 2 labels for 3 rows."


def test_groups_in_a_matrix_are_refused():
    with pytest.raises(ShapeError) as caught:
        group_split(np.zeros((3, 2)))
    assert str(caught.value) == "Expected one value a row, (N,). Got the shape (3, 2)."


def test_mask_says_which_rows_validate():
    assert split_by_mask(np.array([False, True, False])) == Split(train=(0, 2), valid=(1,))
    with pytest.raises(DataError, match=r"^2 items are too few to split into training and"):
        split_by_mask(np.array([True, True]))
