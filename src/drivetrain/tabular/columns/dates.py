"""Dates as numbers that a model can use: the year, the day of the week, the end of the month …

A date column becomes, in its place, the columns of `date_parts`. Each is what pandas' `Series.dt` says
under the same name; weeks are those of ISO 8601, and days of the week count from Monday, 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import DataError

DAY_PARTS = (
    "year", "month", "week", "day", "day_of_week", "day_of_year",
    "is_month_end", "is_month_start", "is_quarter_end", "is_quarter_start",
    "is_year_end", "is_year_start", "elapsed",
)  # fmt: skip
"""Made of every date; `elapsed` is in seconds since 1970-01-01 00:00."""
TIME_PARTS = ("hour", "minute")
"""Made too of dates with a time of day."""


def date_parts(name: str, has_time: bool) -> tuple[str, ...]:
    """The names of the columns that a date column becomes, in order.

    >>> date_parts("sold", False)[:2]
    ('sold.year', 'sold.month')
    """
    return tuple(f"{name}.{part}" for part in (*DAY_PARTS, *(TIME_PARTS if has_time else ())))


def tells_time(dates: np.ndarray) -> bool:
    """Whether any date (datetime64) has a time of day other than midnight."""
    known = dates[~np.isnat(dates)]
    return bool((known != known.astype("datetime64[D]")).any())


def expand_dates(
    frame: Frame,
    names: Sequence[str] | None = None,
    *,
    has_time: bool | Mapping[str, bool] | None = None,
) -> Frame:
    """Put the columns of `date_parts` in the place of each date column; a missing date is NaN in all.

    Args:
        frame: any; columns other than dates are kept as they are.
        names: the date columns to expand; by default all.
        has_time: whether the time of day is told of too, for all columns or by name. By default where
            a date has one. What is decided on training data has to be given for other data.
    Raises: DataError: a column of `names` holds no dates, or a column of that name is there already.
    """
    if names is not None:
        for name in names:
            if not _holds_dates(frame[name]):
                raise DataError(f"The column {name!r} does not hold dates.")
    columns: dict[str, Values] = {}
    for name in frame.names:
        values = frame[name]
        made: dict[str, Values] = {name: values}
        if not isinstance(values, Factor) and _holds_dates(values):
            if names is None or name in names:
                told = has_time.get(name) if isinstance(has_time, Mapping) else has_time
                made = dict(_parts(name, values, tells_time(values) if told is None else told))
        for new, column in made.items():
            if new in columns or (new != name and new in frame):
                raise DataError(
                    f"The date column {name!r} becomes {new!r}, and a column of that name is there "
                    "already. Rename one."
                )
            columns[new] = column
    return Frame(columns, frame.ids)


def _holds_dates(values: Values) -> bool:
    return not isinstance(values, Factor) and values.dtype.kind == "M"


def _parts(name: str, values: np.ndarray, has_time: bool) -> dict[str, np.ndarray]:
    """Column name -> (N,) float64."""
    moments = values.astype("datetime64[us]")
    is_missing = np.isnat(moments)
    # Any date will do where there is none: its numbers are written over with NaN.
    moments = np.where(is_missing, np.datetime64(0, "us"), moments)
    days = moments.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]")
    day = _count(days - months.astype("datetime64[D]"))
    day_of_year = _count(days - years.astype("datetime64[D]"))
    month = _count(months) % 12
    day_of_week = (_count(days) + 3) % 7  # 1970-01-01 was a Thursday
    # A week belongs to the year of its Thursday.
    thursday = days + (3 - day_of_week).astype("timedelta64[D]")
    week = _count(thursday - thursday.astype("datetime64[Y]").astype("datetime64[D]")) // 7
    ends_month = (days + np.timedelta64(1, "D")).astype("datetime64[M]") != months
    starts_month = day == 0
    seconds = moments.astype(np.int64)
    minute_of_day = _count(moments.astype("datetime64[m]") - days.astype("datetime64[m]"))
    parts = {
        "year": _count(years) + 1970,
        "month": month + 1,
        "week": week + 1,
        "day": day + 1,
        "day_of_week": day_of_week,
        "day_of_year": day_of_year + 1,
        "is_month_end": ends_month,
        "is_month_start": starts_month,
        "is_quarter_end": ends_month & (month % 3 == 2),
        "is_quarter_start": starts_month & (month % 3 == 0),
        "is_year_end": ends_month & (month == 11),
        "is_year_start": starts_month & (month == 0),
        "elapsed": seconds / 1e6,
        "hour": minute_of_day // 60,
        "minute": minute_of_day % 60,
    }
    return {
        full: np.where(is_missing, np.nan, parts[full.removeprefix(f"{name}.")])
        for full in date_parts(name, has_time)
    }


def _count(spans: np.ndarray) -> np.ndarray:
    return spans.astype(np.int64)
