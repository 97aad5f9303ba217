"""A table in memory: three kinds of columns, never changed, rows that keep their place in the source."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import DataError, ShapeError

WORDS = st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=30)


def small() -> Frame:
    return Frame(
        {
            "age": np.array([22.0, np.nan, 35.0]),
            "sex": Factor.of(["male", None, "female"]),
            "born": np.array(["1990-01-02", "NaT", "1985-07-01"], dtype="datetime64[us]"),
        }
    )


@given(WORDS)
def test_words_come_back_as_they_were(words: list[str | None]) -> None:
    factor = Factor.of(words)
    assert factor.values() == words
    assert list(factor.levels) == sorted(factor.levels)


@given(WORDS, st.lists(st.text(max_size=5), unique=True, max_size=10))
def test_recoding_keeps_the_words_that_are_levels(
    words: list[str | None], levels: list[str]
) -> None:
    recoded = Factor.of(words).recoded(levels)
    assert recoded.levels == tuple(levels)
    assert recoded.values() == [word if word in levels else None for word in words]


@given(WORDS, st.data())
def test_rows_keep_their_ids_whatever_is_taken(
    words: list[str | None], data: st.DataObject
) -> None:
    frame = Frame({"word": Factor.of(words)})
    rows = data.draw(
        st.lists(st.integers(0, len(words) - 1), max_size=20) if words else st.just([])
    )
    taken = frame.take(rows)
    assert taken.ids.tolist() == rows
    assert taken.factor("word").values() == [words[row] for row in rows]


def test_a_mask_takes_the_rows_where_it_is_true() -> None:
    assert small().take(np.array([True, False, True])).ids.tolist() == [0, 2]


def test_each_method_gives_a_new_frame() -> None:
    frame = small()
    changed = frame.with_column("age", np.zeros(3))
    assert frame.numbers("age")[0] == 22 and changed.numbers("age")[0] == 0
    assert changed.names == frame.names
    assert frame.drop(["sex"]).names == ("age", "born")
    assert frame.select(["born", "age"]).names == ("born", "age")
    assert frame.repeat(2).ids.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_matrix_becomes_a_frame_and_comes_back() -> None:
    matrix = np.array([[1.0, np.nan], [3.0, 4.0]])
    frame = Frame.from_matrix(matrix, ["a", "b"])
    np.testing.assert_array_equal(frame.matrix(), matrix)
    np.testing.assert_array_equal(frame.matrix(["b"]), matrix[:, 1:])


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"^The column 'b' has 1 rows, expected 2\.$"):
        Frame({"a": np.zeros(2), "b": np.zeros(1)})


def test_a_column_of_whole_numbers_is_refused() -> None:
    with pytest.raises(
        ShapeError,
        match=r"^The column 'a' is of int64\. A column is float64, datetime64\[us\] or a Factor\.$",
    ):
        Frame({"a": np.zeros(2, dtype=np.int64)})


def test_a_slip_in_a_name_is_answered() -> None:
    with pytest.raises(
        DataError,
        match=r"^There is no column 'agee'\. Did you mean 'age'\? There are: age, sex, born\.$",
    ):
        small()["agee"]


@pytest.mark.parametrize("name", ["sex", "born"])
def test_numbers_are_asked_of_columns_of_numbers_only(name: str) -> None:
    with pytest.raises(DataError, match=rf"^The column '{name}' does not hold numbers\.$"):
        small().numbers(name)


def test_words_are_asked_of_categories_only() -> None:
    with pytest.raises(DataError, match=r"^The column 'age' does not hold categories\.$"):
        small().factor("age")


def test_a_word_that_is_no_level_is_refused() -> None:
    with pytest.raises(DataError, match=r"^'c' is none of the levels \['a', 'b'\]\.$"):
        Factor.of(["c"], ["a", "b"])
