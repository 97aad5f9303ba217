"""clean/duplicates.py: pairs become groups, and parts tell what is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.clean.duplicates import Duplicates, NearPairs, joined, same_content
from drivetrain.errors import ShapeError


def pairs(*rows: tuple[int, int], exact: bool = False, score: float = 0.99) -> NearPairs:
    first, second = (np.array([row[side] for row in rows], np.int64) for side in (0, 1))
    return NearPairs(
        first, second, np.full(len(rows), score), np.full(len(rows), exact), compared=9
    )


def test_what_hangs_together_is_a_group() -> None:
    found = Duplicates.of(pairs((0, 4), (4, 2), (1, 3)), list("abcdef"))
    assert found.groups == [[0, 2, 4], [1, 3]]
    assert found.extra.tolist() == [2, 3, 4]
    assert found.group_of.tolist() == [0, 1, 0, 1, 0, 5]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12))
def test_groups_are_the_connected_ones(rows: list[tuple[int, int]]) -> None:
    rows = [(min(row), max(row)) for row in rows if row[0] != row[1]]
    found = Duplicates.of(pairs(*rows), [str(n) for n in range(8)]).group_of
    reach = np.eye(8, dtype=int)
    for one, other in rows:
        reach[one, other] = reach[other, one] = 1
    reach = np.linalg.matrix_power(reach, 8) > 0
    assert (reach == (found[:, None] == found)).all()


def test_across_and_within() -> None:
    parts = ["train", "train", "valid", "valid", "test", "train", "valid"]
    found = Duplicates.of(pairs((0, 2), (2, 4), (0, 5), (3, 6)), list("abcdefg"), parts=parts)
    assert found.across("train", "valid").tolist() == [2]
    assert found.across("train", "test").tolist() == [4], "by way of a validation item too"
    assert found.across("valid", "test").tolist() == [4]
    assert found.within("train").tolist() == [5]
    assert found.within("valid").tolist() == [6]
    assert found.pairs[0].parts != (found.pairs[0].parts[0],) * 2, "across the split first"
    assert Duplicates.of(pairs((0, 1)), ["a", "b"]).across("train", "valid").tolist() == []


def test_joined_answers_have_each_pair_once() -> None:
    found = joined([pairs((0, 1), (1, 2), score=0.98), pairs((0, 1), exact=True, score=1.0)])
    assert (found.first.tolist(), found.second.tolist()) == ([0, 1], [1, 2])
    assert found.exact.tolist() == [True, False] and found.score.tolist() == [1.0, 0.98]
    assert len(joined([]).first) == 0


def test_equal_hashes_are_one_item_and_no_hash_is_none() -> None:
    found = same_content(["x", "", "y", "x", "", "x"])
    assert (found.first.tolist(), found.second.tolist()) == ([0, 0], [3, 5])
    assert found.exact.all()


def test_it_prints_and_is_plain_json() -> None:
    found = Duplicates.of(
        joined([pairs((0, 1), exact=True, score=1.0), pairs((1, 2), score=0.987)]),
        ["a.jpg", "b.jpg", "c.jpg"],
        parts=["train", "train", "valid"],
    )
    assert str(found).splitlines() == [
        "3 items: 1 pairs that are the same, 1 nearly; 1 groups, 2 items more than once.",
        "  0.987  b.jpg  c.jpg  (train, valid)",
        "   same  a.jpg  b.jpg",
    ]
    told = found.to_json()
    assert told["groups"] == [["a.jpg", "b.jpg", "c.jpg"]]
    assert told["pairs"][0] == {
        "first": "b.jpg", "second": "c.jpg", "score": 0.987, "exact": False, "parts": ["train", "valid"],
    }  # fmt: skip
    empty = Duplicates.of(same_content(["x", "y"]), ["a", "b"])
    assert str(empty) == "2 items, no two of them the same or nearly."


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError) as told:
        Duplicates.of(pairs((0, 3)), ["a", "b"])
    assert str(told.value) == "`Duplicates` got 2 ids, and a pair that names item 3."
    with pytest.raises(ShapeError) as told:
        Duplicates.of(pairs((0, 1)), ["a", "b"], parts=["train"])
    assert str(told.value) == "`Duplicates` got 1 parts for 2 ids."
