"""Splits of ratings: the last of each owner, and whole owners; each row in exactly one part."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.split_ratings import (
    TEST,
    TRAIN,
    VALID,
    cold_parts,
    cold_split,
    last_parts,
    last_split,
    split_of_parts,
)
from drivetrain.errors import ConfigError, DataError, ShapeError

OWNERS = np.array([3, 1, 3, 7, 1, 3, 3])
TIMES = np.array([40, 9, 10, 1, 2, 30, 20])


def last_by_hand(owners: list[int], times: list[int], count: int, test: int) -> list[int]:
    """The part of each row, one owner at a time."""
    parts = [TRAIN] * len(owners)
    for owner in set(owners):
        rows = [row for row, one in enumerate(owners) if one == owner]
        newest_first = sorted(rows, key=lambda row: (times[row], row), reverse=True)
        for_valid = min(count, len(rows) - 1)
        for_test = min(test, len(rows) - 1 - for_valid)
        for row in newest_first[:for_test]:
            parts[row] = TEST
        for row in newest_first[for_test : for_test + for_valid]:
            parts[row] = VALID
    return parts


def test_newest_rating_of_each_owner_validates_and_a_single_one_trains() -> None:
    split = last_split(OWNERS, TIMES)
    assert (split.valid, split.train, split.test) == ((0, 1), (2, 3, 4, 5, 6), ())
    assert split.method == "last"


def test_with_a_test_it_takes_the_newest_and_the_one_before_validates() -> None:
    split = last_split(OWNERS, TIMES, test=1)
    assert split.test == (0,)  # owner 1 has two ratings: too few for both, so validation has one
    assert split.valid == (1, 5)


def test_without_times_position_counts_and_between_equal_times_too() -> None:
    assert last_split(OWNERS).valid == (4, 6)
    assert last_split(OWNERS, np.zeros(7)).valid == (4, 6)
    assert last_split(OWNERS, TIMES, count=2).valid == (0, 1, 5)


def test_rating_without_a_time_is_the_oldest() -> None:
    days = np.array(["NaT", "2020-01-02", "2020-01-01"], dtype="datetime64[s]")
    assert last_split(np.array([1, 1, 1]), days).valid == (1,)
    assert last_split(np.array([1, 1, 1]), np.array([5.0, 2.0, np.nan]), count=2).train == (2,)


@given(
    rows=st.lists(st.tuples(st.integers(-3, 4), st.integers(0, 3)), min_size=1, max_size=40),
    count=st.integers(1, 3),
    test=st.integers(0, 2),
)
@settings(deadline=None)
def test_last_parts_are_those_found_one_owner_at_a_time(rows, count, test):
    owners, times = ([row[i] for row in rows] for i in (0, 1))
    wanted = last_by_hand(owners, times, count, test)
    if VALID not in wanted or (test and TEST not in wanted):
        with pytest.raises(DataError):
            last_parts(np.array(owners), np.array(times), count=count, test=test)
        return
    found = last_parts(np.array(owners), np.array(times), count=count, test=test)
    assert found.tolist() == wanted
    named = np.array([f"user {owner}" for owner in owners])
    assert last_parts(named, np.array(times), count=count, test=test).tolist() == wanted


@given(
    owners=st.lists(st.integers(0, 30), min_size=1, max_size=80),
    valid=st.floats(0.05, 0.6),
    test=st.sampled_from([0.0, 0.1, 0.3]),
    seed=st.integers(0, 3),
)
@settings(deadline=None)
def test_cold_owners_are_held_out_whole_and_in_their_share(owners, valid, test, seed):
    count = len(set(owners))
    wanted = max(round(valid * count), 1), max(round(test * count), 1) if test else 0
    if sum(wanted) >= count:
        with pytest.raises(DataError):
            cold_parts(np.array(owners), valid=valid, test=test, seed=seed)
        return
    parts = cold_parts(np.array(owners), valid=valid, test=test, seed=seed)
    of_owner = dict(zip(owners, parts.tolist(), strict=True))
    assert [of_owner[owner] for owner in owners] == parts.tolist()  # one part an owner
    numbers = list(of_owner.values())
    assert (numbers.count(VALID), numbers.count(TEST)) == wanted
    # the order of the rows plays no part
    mixed = np.random.default_rng(seed).permutation(len(owners))
    again = cold_parts(np.array(owners)[mixed], valid=valid, test=test, seed=seed)
    assert again.tolist() == parts[mixed].tolist()


def test_another_seed_holds_out_others_and_the_same_the_same() -> None:
    owners = np.repeat(np.arange(1, 41), 3)
    assert cold_split(owners, seed=1) == cold_split(owners, seed=1)
    assert cold_split(owners, seed=1) != cold_split(owners, seed=2)
    assert len(cold_split(owners, seed=1).valid) == 8 * 3
    assert cold_split(owners).method == "cold"


def test_codes_with_gaps_and_large_numbers_are_owners_alike() -> None:
    owners = np.array([5, 5, 900, 900, 17, 17])
    far = owners.astype(np.int64) * 10**15
    np.testing.assert_array_equal(cold_parts(owners, valid=0.4), cold_parts(far, valid=0.4))
    np.testing.assert_array_equal(last_parts(owners), last_parts(far))


def test_parts_become_a_split() -> None:
    split = split_of_parts(np.array([TEST, TRAIN, VALID, TRAIN], dtype=np.int8))
    assert (split.train, split.valid, split.test, split.method) == ((1, 3), (2,), (0,), "given")


def test_a_million_ratings_are_split_without_a_loop_over_them() -> None:
    draw = np.random.default_rng(0)
    owners = draw.integers(1, 50_000, 1_000_000).astype(np.int32)
    times = draw.integers(0, 10**9, 1_000_000)
    start = time.process_time()
    last, cold = last_parts(owners, times), cold_parts(owners)
    assert time.process_time() - start < 5
    assert (last == VALID).sum() == (np.bincount(owners) > 1).sum()
    assert len(np.unique(owners[cold == VALID])) == round(0.2 * len(np.unique(owners)))


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: last_parts(OWNERS, count=0),
        ConfigError,
        "`count` must be at least 1 and `test` at least 0: rows of each owner. Got 0 and 0.",
    ),
    (
        lambda: last_parts(np.arange(5)),
        DataError,
        "None of the 5 owners has two rows, so none can give its last one for validation. Split by "
        "time, or at random.",
    ),
    (
        lambda: last_parts(np.array([1, 1, 2]), test=1),
        DataError,
        "None of the 2 owners has rows enough for training, 1 for validation and one for the test. Ask "
        "for fewer, or split by time, or at random.",
    ),
    (
        lambda: last_parts(OWNERS, TIMES[:3]),
        ShapeError,
        "`times` is int64 of shape (3,), expected (7,) dates (datetime64) or numbers.",
    ),
    (
        lambda: cold_parts(np.ones(3)),
        ShapeError,
        "`owners` is float64 of shape (3,), expected (N,) integers or texts.",
    ),
    (
        lambda: cold_parts(OWNERS, valid=0.5, test=0.5),
        ConfigError,
        "`valid` must be above 0, `test` at least 0, and both together below 1: shares of the owners. "
        "Got 0.5 and 0.5.",
    ),
    (
        lambda: cold_parts(np.ones(4, dtype=int)),
        DataError,
        "There are 1 owners, too few to hold out 1 for validation and 0 for the test, and to train on "
        "others. Ask for fewer, or split at random.",
    ),
    (
        lambda: last_parts(np.zeros(0, dtype=int)),
        DataError,
        "None of the 0 owners has two rows, so none can give its last one for validation. Split by "
        "time, or at random.",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS)
def test_errors_say_what_was_given_and_what_to_do(
    call: Any, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
