"""Folds: each item validates once, classes and groups are kept, and nothing trains on its future."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.folds import group_folds, k_folds, rolling_origin, stratified_folds
from drivetrain.errors import ConfigError, DataError, ShapeError


def sizes(folds) -> list[int]:
    return [len(fold.valid) for fold in folds]


@given(count=st.integers(2, 60), k=st.integers(2, 8), seed=st.integers(0, 5), data=st.data())
@settings(deadline=None)
def test_each_item_validates_once_and_trains_in_all_other_folds(count, k, seed, data):
    k = min(k, count)
    labels = data.draw(st.lists(st.sampled_from("abc"), min_size=count, max_size=count))
    made = [k_folds(count, k, seed), stratified_folds(labels, k, seed)]
    if len(set(labels)) >= k:
        made.append(group_folds(labels, k, seed))
    for folds in made:
        assert len(folds) == k
        assert sorted(i for fold in folds for i in fold.valid) == list(range(count))
        for fold in folds:
            assert sorted(fold.train + fold.valid) == list(range(count))
            assert list(fold.valid) == sorted(fold.valid)
            assert list(fold.train) == sorted(fold.train)


@given(
    labels=st.lists(st.sampled_from("abcd"), min_size=8, max_size=80),
    k=st.integers(2, 8),
    seed=st.integers(0, 5),
)
@settings(deadline=None)
def test_classes_and_sizes_differ_by_one_at_most(labels, k, seed):
    folds = stratified_folds(labels, k, seed)
    assert max(sizes(folds)) - min(sizes(folds)) <= 1
    for label in set(labels):
        counts = [sum(labels[i] == label for i in fold.valid) for fold in folds]
        assert max(counts) - min(counts) <= 1
    random = sizes(k_folds(len(labels), k, seed))
    assert max(random) - min(random) <= 1


@given(
    groups=st.lists(st.integers(0, 12), min_size=2, max_size=80),
    k=st.integers(2, 5),
    seed=st.integers(0, 5),
)
@settings(deadline=None)
def test_group_is_in_one_fold_and_folds_are_as_even_as_groups_allow(groups, k, seed):
    if len(set(groups)) < k:
        return
    folds = group_folds(groups, k, seed)
    fold_of = {groups[i]: place for place, fold in enumerate(folds) for i in fold.valid}
    assert all(fold_of[groups[i]] == place for place, fold in enumerate(folds) for i in fold.valid)
    largest = max(Counter(groups).values())
    assert max(sizes(folds)) - min(sizes(folds)) <= largest
    turned = group_folds(groups[::-1], k, seed)
    assert [{groups[::-1][i] for i in fold.valid} for fold in turned] == [
        {groups[i] for i in fold.valid} for fold in folds
    ]


def test_seed_draws_the_folds():
    labels = ["a"] * 30 + ["b"] * 30
    groups = np.repeat(np.arange(20), 3)
    for make in (
        lambda **options: k_folds(60, **options),
        lambda **options: stratified_folds(labels, **options),
        lambda **options: group_folds(groups, **options),
    ):
        assert make() == make(k=5, seed=42)
        assert make(seed=1) != make(seed=2)
    assert [fold.method for fold in (k_folds(4, 2)[0], stratified_folds("aabb", 2)[1])] == [
        "k_folds",
        "stratified_folds",
    ]


def test_labels_of_any_kind_are_taken():
    words = ["b", "a", "b", "a", "b", "c"]
    as_array = stratified_folds(np.array(words), 2)
    assert stratified_folds(words, 2) == as_array
    assert stratified_folds([(word,) for word in words], 2)[0].method == "stratified_folds"


MOMENTS = st.one_of(
    st.lists(st.integers(0, 30).map(float) | st.just(float("nan")), min_size=1, max_size=80).map(
        np.array
    ),
    st.lists(st.integers(0, 29) | st.none(), min_size=1, max_size=80).map(
        lambda days: np.array(
            ["NaT" if day is None else f"2024-04-{day + 1:02}" for day in days], "datetime64[us]"
        )
    ),
)


@pytest.mark.row(67)
@given(times=MOMENTS, k=st.integers(1, 6), gap=st.integers(0, 3))
@settings(deadline=None)
def test_fold_never_trains_on_the_future_nor_on_the_gap(times, k, gap):
    is_date = times.dtype.kind == "M"
    is_known = ~(np.isnat(times) if is_date else np.isnan(times))
    wait = timedelta(days=gap) if is_date else gap
    if len(np.unique(times[is_known])) <= k:
        with pytest.raises(DataError, match="folds need at least"):
            rolling_origin(times, k, gap=wait)
        return
    try:
        folds = rolling_origin(times, k, gap=wait)
    except DataError as error:
        if gap and "leaves nothing to train on" in str(error):
            return
        raise
    assert len(folds) == k
    span = np.timedelta64(wait) if is_date else wait
    later = None
    seen: set[int] = set()
    for fold in folds:
        train, valid = times[list(fold.train)], times[list(fold.valid)]
        assert train.size and valid.size
        assert train.max() < valid.min()
        assert train.max() < valid.min() - span or gap == 0
        # All that lies far enough back trains: the gap takes no more than it says.
        back = is_known & (times < (valid.min() - span))
        assert fold.train == tuple(np.flatnonzero(back).tolist())
        assert later is None or later < valid.min()  # blocks follow one another
        later = valid.max()
        assert seen.isdisjoint(fold.valid)
        seen |= set(fold.valid)
    assert later == times[is_known].max()  # the last block reaches the end
    assert is_known[list(seen)].all()
    assert folds[0].method == "rolling_origin"


def test_blocks_have_about_as_many_rows():
    rng = np.random.default_rng(0)
    times = rng.permutation(1200).astype("datetime64[h]").astype("datetime64[us]")
    folds = rolling_origin(times, 5)
    assert sizes(folds) == [200] * 5
    assert [len(fold.train) for fold in folds] == [200, 400, 600, 800, 1000]


@pytest.mark.row(67)
def test_blocks_are_those_of_scikit_learn_where_no_time_occurs_twice():
    from sklearn.model_selection import TimeSeriesSplit

    times = np.arange(120.0)
    theirs = TimeSeriesSplit(n_splits=5).split(times[:, None])
    for fold, (train, valid) in zip(rolling_origin(times, 5), theirs, strict=True):
        assert fold.train == tuple(train.tolist())
        assert fold.valid == tuple(valid.tolist())


def test_block_that_one_time_fills_leaves_the_others_a_time_each():
    times = np.array([1.0] * 50 + [2.0, 3.0, 4.0])
    assert sizes(rolling_origin(times, 3)) == [1, 1, 1]
    times = np.array([1.0, 2.0, 3.0] + [4.0] * 50)
    assert sizes(rolling_origin(times, 3)) == [1, 1, 50]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: k_folds(9, 1), "`k` is a number of folds, 2 or more. Got 1."),
        (lambda: stratified_folds("aabb", 0), "`k` is a number of folds, 2 or more. Got 0."),
        (lambda: group_folds("aabb", -1), "`k` is a number of folds, 2 or more. Got -1."),
        (lambda: rolling_origin(np.arange(9.0), 0), "`k` is a number of folds, 1 or more. Got 0."),
        (lambda: rolling_origin(np.arange(9.0), 2, gap=-1), "`gap` must be 0 or more. Got -1."),
        (
            lambda: rolling_origin(np.arange(9.0), 2, gap=float("nan")),
            "`gap` must be 0 or more. Got nan.",
        ),
        (
            lambda: rolling_origin(np.arange(9.0), 2, gap=timedelta(days=1)),
            "The times are numbers, so `gap` is a number too. Got datetime.timedelta(days=1).",
        ),
        (
            lambda: rolling_origin(np.arange(9).astype("datetime64[D]"), 2, gap=3),
            "The times are dates, so `gap` is a `timedelta`, such as timedelta(days=7). Got 3.",
        ),
        (
            lambda: rolling_origin(
                np.arange(9).astype("datetime64[D]"), 2, gap=np.timedelta64(-1, "D")
            ),
            "`gap` must be 0 or more. Got -1 days.",
        ),
    ],
)
def test_settings_that_make_no_folds_are_refused(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: k_folds(4, 5), "5 folds need at least 5 items. There are 4."),
        (lambda: stratified_folds("ab", 3), "3 folds need at least 3 items. There are 2."),
        (lambda: group_folds("aabb", 3), "3 folds need at least 3 groups. There are 2."),
        (
            lambda: rolling_origin(np.array([1.0, 1.0, 2.0]), 2),
            "2 folds need at least 2 different times after the first. There are 1.",
        ),
        (
            lambda: rolling_origin(np.arange(9.0), 2, gap=5),
            "`gap` of 5 leaves nothing to train on before 3.0, where fold 1 of 2 starts to validate. "
            "Take a shorter gap, or fewer folds.",
        ),
    ],
)
def test_too_few_for_the_folds_are_refused(make, message):
    with pytest.raises(DataError) as caught:
        make()
    assert str(caught.value) == message


def test_times_of_another_kind_are_refused():
    with pytest.raises(ShapeError, match=r"^`times` is <U4 of shape \(1,\), expected \(N,\) dates"):
        rolling_origin(np.array(["2024"]), 1)
