"""clean/near_rows.py: rows that are one, and rows that contradict one another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.clean.near_rows import kinds_of, label_conflicts, near_rows
from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import DataError
from tests.clean.planted import as_pairs


def frame(**columns: list) -> Frame:
    return Frame(
        {
            name: Factor.of(values)
            if any(isinstance(value, str) for value in values)
            else np.array([np.nan if value is None else value for value in values], np.float64)
            for name, values in columns.items()
        }
    )


def test_spelling_is_no_difference_but_is_told_of() -> None:
    rows = frame(
        town=["New York", " new  york", "Boston", "New York"],
        code=["1.0", "1", "1", "1.0"],
        age=[30, 30, 30, 30],
    )
    found = near_rows(rows)
    assert as_pairs(found.first.tolist(), found.second.tolist()) == {(0, 1), (0, 3)}
    assert found.exact.tolist() == [False, True]


def test_missing_equals_missing_and_nothing_else() -> None:
    found = near_rows(frame(a=["x", None, None], b=[1, None, None]))
    assert as_pairs(found.first.tolist(), found.second.tolist()) == {(1, 2)}
    dates = np.array(["2020-01-01", "NaT", "NaT", "2020-01-01"], "datetime64[us]")
    found = near_rows(Frame({"day": dates}))
    assert as_pairs(found.first.tolist(), found.second.tolist()) == {(0, 3), (1, 2)}


def test_columns_may_be_left_out_and_must_be_there() -> None:
    rows = frame(number=[1, 2], age=[30, 30])
    assert len(near_rows(rows).first) == 0
    assert len(near_rows(rows, ignore=["number"]).first) == 1
    assert len(near_rows(rows, ignore=["number", "age"]).first) == 0, "nothing is left to compare"
    with pytest.raises(DataError) as told:
        near_rows(rows, ignore=["nr"])
    assert str(told.value) == "`ignore`: there is no column 'nr'. There are: ['number', 'age']."


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([0.0, 1.0, None])), max_size=20
    )
)
def test_kinds_are_those_of_plain_tuples(rows: list[tuple]) -> None:
    table = Frame(
        {
            "word": Factor.of([row[0] for row in rows]),
            "number": np.array([np.nan if r[1] is None else r[1] for r in rows], np.float64),
        }
    )
    kinds = kinds_of(table, table.names).tolist()
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            assert (kinds[i] == kinds[j]) == (one == other)


def test_rows_of_different_targets_contradict_one_another() -> None:
    rows = frame(a=["x", "x", "y", "y", "z", "x"])
    groups = label_conflicts(rows, np.array([0, 1, 1, 1, 0, 0]))
    assert [one.tolist() for one in groups] == [[0, 1, 5]]
    assert label_conflicts(rows, np.array([0, -1, 1, 1, 0, 0])) == [], "without a class: not asked"
    groups = label_conflicts(rows, np.array([0.5, 0.5, 1, 2, np.nan, 0.5]))
    assert [one.tolist() for one in groups] == [[2, 3]]
