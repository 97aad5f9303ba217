"""Dates as people write them: the form of a whole column, day or month first, times, offsets."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.tabular.columns.date_text import (
    DateFormat,
    epoch_format,
    find_date_format,
    from_epoch,
    is_date_format,
    parse_dates,
)


def find(*words: str) -> DateFormat | None:
    return find_date_format(pa.array(words, pa.string()), np.ones(len(words), dtype=np.int64))


def read(form: str, *words: str) -> list[str]:
    return parse_dates(pa.array(words, pa.string()), form).values.astype(str).tolist()


@pytest.mark.parametrize(
    ("words", "form", "first"),
    [
        (["2012-01-31", "2012-02-01"], "%Y-%m-%d", "2012-01-31"),
        (["2012/01/31", "2012/2/1"], "%Y/%m/%d", "2012-01-31"),
        (["2012-01-31T10:11:12.25", "2012-02-01"], "%Y-%m-%d %H:%M:%S", "2012-01-31T10:11:12.25"),
        (["2012-01-31T10:11:12Z"], "%Y-%m-%d %H:%M:%S", "2012-01-31T10:11:12"),
        (["2012-01-31 10:11:12+02:00"], "%Y-%m-%d %H:%M:%S", "2012-01-31T08:11:12"),
        (["2012-01-01 00:30 +0130"], "%Y-%m-%d %H:%M", "2011-12-31T23:00"),
        (["1/31/2012 0:00", "2/1/2012 13:05"], "%m/%d/%Y %H:%M", "2012-01-31"),
        (["31/1/2012", "1/2/2012"], "%d/%m/%Y", "2012-01-31"),
        (["31.01.2012", "01.02.2012"], "%d.%m.%Y", "2012-01-31"),
        (["31-01-12", "01-02-70"], "%d-%m-%y", "2012-01-31"),
        (["1/31/69", "2/1/68"], "%m/%d/%y", "1969-01-31"),
        (["31 Jan 2012", "1 February 2012"], "%d %b %Y", "2012-01-31"),
        (["31-JAN-2012", "01-FEB-2012"], "%d-%b-%Y", "2012-01-31"),
        (["31-Jan-12", "01-Sept-99"], "%d-%b-%y", "2012-01-31"),
        (["January 31, 2012", "Feb 1 2012"], "%b %d, %Y", "2012-01-31"),
        (["Tue, 31 Jan 2012 08:00 PM"], "%a, %d %b %Y %H:%M", "2012-01-31T20:00"),
        (["Tue Jan 31 2012"], "%a %b %d %Y", "2012-01-31"),
        (["1/31/2012 12:05 AM", "1/31/2012 12:05 pm"], "%m/%d/%Y %H:%M", "2012-01-31T00:05"),
        (["2012-01", "2012-12"], "%Y-%m", "2012-01-01"),
        (["Jan 2012", "Feb 2012"], "%b %Y", "2012-01-01"),
        (["20120131", "20120201", "x"], "%Y%m%d", "2012-01-31"),
    ],
)
def test_the_form_of_a_column_is_found_and_read(words, form, first):
    found = find(*words)
    assert found is not None and found.text == form and is_date_format(form)
    assert parse_dates(pa.array(words), form).values[0] == np.datetime64(first, "us")


@pytest.mark.parametrize(
    "words",
    [["male", "female"], ["3", "4"], ["555-12-1234"], ["10.0.0.1"], ["12 Foo 2012"], ["a 2012-01-31"], [],
     ["2012-13-01", "2012-02-30"], ["10:30", "11:45"], ["Backhoe Loader - 14.0 to 15.0 Ft"]],
)  # fmt: skip
def test_what_holds_no_dates_has_no_form(words):
    assert find(*words) is None


def test_a_day_after_the_twelfth_tells_which_comes_first():
    found = find("1/2/2012", "3/4/2012", "13/4/2012")
    assert found == DateFormat("%d/%m/%Y", 1.0, "day first", "13/4/2012")
    found = find("1/2/2012", "3/4/2012", "4/13/2012")
    assert found == DateFormat("%m/%d/%Y", 1.0, "month first", "4/13/2012")


def test_where_cells_contradict_each_other_the_most_win_and_the_others_are_counted():
    found = find("1/13/2012", "1/14/2012", "1/15/2012", "16/1/2012")
    assert found == DateFormat("%m/%d/%Y", 0.75, "month first", "1/13/2012")


def test_where_no_day_tells_the_order_of_the_rows_may():
    found = find("1/2/2012", "2/2/2012", "3/2/2012", "1/3/2012", "2/3/2012")
    assert found == DateFormat("%d/%m/%Y", 1.0, "day first", "the rows' order")


def test_where_nothing_tells_points_mean_day_first_and_other_marks_month_first():
    assert find("1/2/2012", "5/4/2012", "3/3/2012") == DateFormat(
        "%m/%d/%Y", 1.0, "month first", None
    )
    assert find("1.2.2012", "5.4.2012", "3.3.2012") == DateFormat(
        "%d.%m.%Y", 1.0, "day first", None
    )
    assert find("1/1/2012", "3/3/2012") == DateFormat(
        "%m/%d/%Y", 1.0, "month first", "every cell, where both are the same"
    )


def test_impossible_days_and_times_are_no_dates():
    words = ["2011-02-29", "2012-04-31", "0000-01-01", "2012-01-01 24:00", "2012-01-01 10:60",
             "2012-01-01 10:00:60", "2012-01-01 13:00 PM", "2012-01-01 0:00 AM"]  # fmt: skip
    assert read("%Y-%m-%d", *words) == ["NaT"] * len(words)


@pytest.mark.parametrize("text", ["", "%Y", "%d/%m", "%Y-%Y-%m", "%Q", "epoch", "%Y %y %m", "abc"])
def test_a_text_that_tells_no_date_is_no_form(text):
    assert not is_date_format(text)
    if text:
        assert read(text, "2012-01-01") == ["NaT"]


def test_offsets_are_noticed_and_utc_alone_is_an_offset_too():
    assert parse_dates(pa.array(["2012-01-01 10:00Z"]), "%Y-%m-%d").has_offset
    assert not parse_dates(pa.array(["2012-01-01 10:00"]), "%Y-%m-%d").has_offset


def test_numbers_since_1970_are_read_by_their_unit():
    moment = np.datetime64("2012-01-31T10:00:00", "us")
    for unit, per_second in (("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
        numbers = np.array([moment.astype(np.int64) / 1e6 * per_second, np.nan])
        assert epoch_format(numbers) == f"epoch {unit}"
        assert from_epoch(numbers, f"epoch {unit}").tolist() == [moment.item(), None]
    assert np.isnat(from_epoch(np.array([1e300, -1e300]), "epoch s")).all()


FORMS = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d %b %Y", "%B %d, %Y", "%Y%m%d")


@given(st.dates(datetime.date(1000, 1, 1)), st.sampled_from(FORMS))
@settings(max_examples=100, deadline=None)
def test_what_python_writes_in_a_form_is_read_in_that_form(date, form):
    assert read(form, date.strftime(form)) == [f"{date.isoformat()}T00:00:00.000000"]


@given(
    st.datetimes(
        datetime.datetime(1, 1, 2),
        datetime.datetime(9999, 12, 30),
        timezones=st.timezones() | st.just(datetime.UTC),
    )
)
@settings(max_examples=100, deadline=None)
def test_iso_8601_with_an_offset_is_read_as_utc(moment):
    if moment.utcoffset() % datetime.timedelta(minutes=1):
        moment = moment.replace(tzinfo=datetime.UTC)  # offsets of old times have seconds
    expected = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    got = parse_dates(pa.array([moment.isoformat()]), "%Y-%m-%d").values[0]
    assert got == np.datetime64(expected, "us")
