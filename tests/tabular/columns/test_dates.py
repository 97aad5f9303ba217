"""Dates as numbers: equal to pandas' accessors, NaN where there is none, the same columns ever after."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import DataError
from drivetrain.tabular.columns.dates import (
    DAY_PARTS,
    TIME_PARTS,
    date_parts,
    expand_dates,
    tells_time,
)

# What a nanosecond timestamp of pandas can be.
FIRST = np.datetime64("1677-09-22T00:00:00", "us").astype(np.int64)
LAST = np.datetime64("2262-04-11T00:00:00", "us").astype(np.int64)


def by_pandas(values: np.ndarray, part: str) -> np.ndarray:
    series = pd.Series(values)
    if part == "week":
        found = series.dt.isocalendar().week
    elif part == "elapsed":
        found = (series - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    else:
        found = getattr(series.dt, part)
    return found.astype("float64").to_numpy()


def assert_equals_pandas(values: np.ndarray) -> None:
    parts = expand_dates(Frame({"d": values}), has_time=True)
    for part in (*DAY_PARTS, *TIME_PARTS):
        # pandas rounds seconds twice
        close = 1e-15 if part == "elapsed" else 0.0
        expected = by_pandas(values, part)
        np.testing.assert_allclose(parts.numbers(f"d.{part}"), expected, rtol=close, err_msg=part)


def test_each_part_is_what_pandas_says_for_random_moments_of_six_centuries():
    moments = np.random.default_rng(0).integers(FIRST, LAST, 20_000).view("datetime64[us]")
    assert_equals_pandas(moments)


def test_each_part_is_what_pandas_says_on_every_day_around_leap_years_and_quarter_ends():
    for start in ("1699-12-01", "1899-12-15", "1967-06-01", "1999-11-01", "2095-01-01"):
        days = np.arange(start, np.datetime64(start) + 2000, dtype="datetime64[D]")
        assert_equals_pandas(days.astype("datetime64[us]"))


@given(st.integers(int(FIRST), int(LAST)))
@settings(max_examples=50, deadline=None)
def test_each_part_is_what_pandas_says_for_any_moment(moment):
    assert_equals_pandas(np.array([moment]).view("datetime64[us]"))


def test_elapsed_seconds_are_those_of_the_microseconds():
    moments = np.array(["1969-12-31T23:59:59.5", "2024-02-29T00:00:00.000001"], "datetime64[us]")
    elapsed = expand_dates(Frame({"d": moments})).numbers("d.elapsed")
    assert elapsed.tolist() == [-0.5, 1_709_164_800.000001]


def test_years_that_pandas_cannot_hold_in_nanoseconds_are_right_too():
    frame = Frame({"d": np.array(["0001-01-01", "9999-12-31T23:59:59"], "datetime64[us]")})
    parts = expand_dates(frame)
    assert parts.numbers("d.year").tolist() == [1, 9999]
    assert parts.numbers("d.day_of_year").tolist() == [1, 365]
    assert parts.numbers("d.day_of_week").tolist() == [0, 4]
    assert parts.numbers("d.is_year_end").tolist() == [0, 1]
    assert parts.numbers("d.hour").tolist() == [0, 23]


def test_a_missing_date_is_nan_in_every_part():
    frame = Frame({"d": np.array(["NaT", "2024-02-29T10:30"], "datetime64[us]")})
    parts = expand_dates(frame)
    assert parts.names == date_parts("d", True)
    for name in parts.names:
        assert np.isnan(parts.numbers(name)[0]) and np.isfinite(parts.numbers(name)[1])


def test_parts_stand_in_the_place_of_their_column_and_others_stay():
    day = np.array(["2024-02-29"], "datetime64[us]")
    frame = Frame({"a": np.zeros(1), "d": day, "b": Factor.of(["x"]), "e": day}, np.array([7]))
    made = expand_dates(frame, ["d"])
    assert made.names == ("a", *date_parts("d", False), "b", "e")
    assert made.ids.tolist() == [7]
    assert expand_dates(frame).names == (
        "a", *date_parts("d", False), "b", *date_parts("e", False)
    )  # fmt: skip


def test_hour_and_minute_are_made_where_a_date_has_them_or_where_they_are_asked_for():
    day = np.array(["2024-02-29"], "datetime64[us]")
    moment = np.array(["2024-02-29T00:01"], "datetime64[us]")
    assert (tells_time(day), tells_time(moment)) == (False, True)
    assert not tells_time(np.array(["NaT"], "datetime64[us]"))
    assert expand_dates(Frame({"d": day})).names == date_parts("d", False)
    assert expand_dates(Frame({"d": moment})).names == date_parts("d", True)
    assert expand_dates(Frame({"d": day}), has_time={"d": True}).names == date_parts("d", True)
    assert expand_dates(Frame({"d": moment}), has_time=False).names == date_parts("d", False)


def test_a_column_that_holds_no_dates_cannot_be_expanded():
    with pytest.raises(DataError, match=r"^The column 'a' does not hold dates\.$"):
        expand_dates(Frame({"a": np.zeros(2)}), ["a"])


def test_a_part_never_takes_the_place_of_another_column():
    day = np.array(["2024-02-29"], "datetime64[us]")
    for columns in ({"d": day, "d.year": np.zeros(1)}, {"d.year": np.zeros(1), "d": day}):
        with pytest.raises(
            DataError,
            match=r"^The date column 'd' becomes 'd\.year', and a column of that name is there already\. "
            r"Rename one\.$",
        ):
            expand_dates(Frame(columns))
