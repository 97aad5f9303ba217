"""Dates as people write them, over a whole column.

A format is a text of `strptime`'s codes, such as `%d/%m/%Y %H:%M`; only the date's part of it binds:
one mark between the parts (`-`, `/`, `.` or a blank) may stand for another, and a time of day, its
fraction of a second, AM or PM, and an offset from UTC may follow or not. Offsets are applied, so that
all dates are UTC. `epoch s`, `epoch ms`, `epoch us` and `epoch ns` are numbers since 1970.

Which of day and month comes first is decided over all words at once: one day after the 12th tells.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drivetrain._optional import require

if TYPE_CHECKING:
    import pyarrow as pa

DAY_FIRST, MONTH_FIRST = "day first", "month first"
ROWS, NO_DIFFERENCE = "the rows' order", "every cell, where both are the same"
"""What may decide between them, beside a cell."""
EPOCHS = {"epoch s": 10**6, "epoch ms": 10**3, "epoch us": 1, "epoch ns": 10**-3}
"""Format -> microseconds of one unit."""
SAMPLE = 500
"""Words that the forms are tried on before all are read."""

_FORMS = (  # tried in this order: where two read as many words, the first is taken
    "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y",
    "%d %b %Y", "%b %d, %Y", "%d %b %y", "%Y %b %d",
    "%a, %d %b %Y", "%a %b %d %Y", "%Y%m%d", "%Y-%m", "%b %Y",
)  # fmt: skip
_BY_MONTH = {"%m/%d/%Y": "%d/%m/%Y", "%m/%d/%y": "%d/%m/%y"}
_BY_DAY = {by_day: by_month for by_month, by_day in _BY_MONTH.items()}
_MONTHS = {
    word: number
    for number, full in enumerate(
        (
            "january february march april may june july august september october november december"
        ).split(),
        start=1,
    )
    for word in (full, full[:3])
} | {"sept": 9}
_CODES = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d{2})", "m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})(?:st|nd|rd|th)?",
    "b": r"(?P<b>[A-Za-z]{3,9})\.?", "a": r"(?:[A-Za-z]{2,9}\.?)",
}  # fmt: skip
_CODES["B"], _CODES["A"] = _CODES["b"], _CODES["a"]
_TIME = (
    r"(?:[T ,]+(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s?(?P<p>[AaPp]\.?[Mm]\.?)?\s?(?P<z>[Zz]|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?)?"
)
_MARKS = r"[-/. ]"


@dataclass(frozen=True)
class DateReading:
    """Words read as dates."""

    values: np.ndarray
    """(D,) datetime64[us], UTC; NaT where a word is no date."""
    has_time: bool
    """Whether a word tells a time of day."""
    has_seconds: bool
    has_offset: bool
    """Whether a word tells how far it is from UTC."""


@dataclass(frozen=True)
class DateFormat:
    """How a column's dates are written."""

    text: str
    """In `strptime`'s codes."""
    share: float
    """Of the cells that are dates so, in [0, 1]."""
    order: str | None = None
    """`day first` or `month first`, where that had to be decided."""
    decided_by: str | None = None
    """What decided it: a word of the column, `ROWS`, `NO_DIFFERENCE`, or None where nothing did."""
    has_offset: bool = False


def is_date_format(text: str) -> bool:
    """Whether a text is a format that `parse_dates` reads."""
    return text in EPOCHS or _pattern(text) is not None


def find_date_format(
    words: pa.StringArray, counts: np.ndarray, *, least: float = 0.5
) -> DateFormat | None:
    """The form in which most cells are dates; None where few are in any.

    Args:
        words: (D,) different words, none null, in the order in which the rows first have them.
        counts: (D,) cells of each.
        least: share of the words that have to be dates, in [0, 1].
    """
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    if not len(words):
        return None
    some = words.take(pa.array(np.arange(0, len(words), max(len(words) // SAMPLE, 1))))
    # Most columns of words end here: every form has two digits in a row, and six letters at least.
    may_be = pc.match_substring_regex(some, r"\d\d").to_numpy(zero_copy_only=False)
    may_be &= pc.utf8_length(some).to_numpy(zero_copy_only=False) >= 6
    if not may_be.any() or may_be.sum() < least * len(some):
        return None
    hits = {form: np.count_nonzero(_is_date(some, form)) for form in _FORMS}
    best = max(_FORMS, key=lambda form: hits[form])
    if not hits[best] or hits[best] < least * len(some):
        return None
    mark = _mark(some)
    order = decided_by = None
    if best in _BY_DAY or best in _BY_MONTH:
        best, order, decided_by = _day_or_month(words, counts, best, mark)
    read = parse_dates(words, best)
    text = best if mark is None else re.sub(r"(?<=%[Ymdyb])[-/ ](?=%)", mark, best)
    if read.has_time:
        text += " %H:%M:%S" if read.has_seconds else " %H:%M"
    share = float(counts[~np.isnat(read.values)].sum() / counts.sum())
    return DateFormat(text, share, order, decided_by, read.has_offset)


def _day_or_month(
    words: pa.StringArray, counts: np.ndarray, form: str, mark: str | None
) -> tuple[str, str, str | None]:
    """Which comes first: the form, its name, and what decided it."""
    by_month = _BY_DAY.get(form, form)
    by_day = _BY_MONTH[by_month]
    forms = {MONTH_FIRST: by_month, DAY_FIRST: by_day}
    read = {order: parse_dates(words, form).values for order, form in forms.items()}
    cells = {order: int(counts[~np.isnat(values)].sum()) for order, values in read.items()}
    differ = np.flatnonzero(np.isnat(read[MONTH_FIRST]) != np.isnat(read[DAY_FIRST]))
    if len(differ):
        order = MONTH_FIRST if cells[MONTH_FIRST] >= cells[DAY_FIRST] else DAY_FIRST
        telling = differ[~np.isnat(read[order][differ])]
        return forms[order], order, words[int(telling[0])].as_py()
    known = ~np.isnat(read[DAY_FIRST])
    ascends = {order: _ascends(values[known]) for order, values in read.items()}
    if (read[MONTH_FIRST][known] == read[DAY_FIRST][known]).all():
        return by_month, MONTH_FIRST, NO_DIFFERENCE
    if ascends[MONTH_FIRST] != ascends[DAY_FIRST]:
        order = MONTH_FIRST if ascends[MONTH_FIRST] else DAY_FIRST
        return forms[order], order, ROWS
    order = DAY_FIRST if mark == "." else MONTH_FIRST  # points are the mark of day-first countries
    return forms[order], order, None


def parse_dates(words: pa.StringArray, date_format: str) -> DateReading:
    """The dates that words stand for, in UTC.

    Args:
        words: (D,) none null, blanks around them taken off.
        date_format: as `find_date_format` gives it, or in `strptime`'s codes.
    """
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    if date_format in EPOCHS:
        from drivetrain.tabular.columns.number_text import parse_numbers

        return DateReading(
            from_epoch(parse_numbers(words, None)[0], date_format), True, True, False
        )
    pattern = _pattern(date_format)
    values = np.full(len(words), np.datetime64("NaT"), dtype="datetime64[us]")
    nothing = DateReading(values, False, False, False)
    if pattern is None or not len(words):
        return nothing
    parts = pc.extract_regex(words, pattern=pattern)
    fits = parts.is_valid().to_numpy(zero_copy_only=False)
    if not fits.any():
        return nothing
    found = parts.filter(pa.array(fits))
    texts = {found.type.field(i).name: column for i, column in enumerate(found.flatten())}
    count = len(found)

    def whole(name: str, default: int) -> np.ndarray:
        if name not in texts:
            return np.full(count, default)
        text = pc.replace_substring_regex(texts[name], "^$", str(default))
        return pc.cast(text, pa.int64()).to_numpy(zero_copy_only=False)

    year = whole("Y", 0)
    if "y" in texts:
        short = whole("y", 0)
        year = short + np.where(short < 69, 2000, 1900)  # as POSIX has it
    month = whole("m", 1)
    if "b" in texts:
        month = _months(texts["b"])
    day = whole("d", 1)
    hour, minute, second = whole("H", 0), whole("M", 0), whole("S", 0)
    has_time = _is_set(texts["H"])
    half = pc.utf8_lower(pc.utf8_slice_codeunits(texts["p"], 0, 1))
    is_pm = pc.equal(half, "p").to_numpy(zero_copy_only=False)
    is_half = _is_set(texts["p"])
    is_right = np.where(is_half, (hour >= 1) & (hour <= 12), hour <= 23)
    hour = np.where(is_half, hour % 12 + 12 * is_pm, hour)
    is_right &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    is_right &= (minute <= 59) & (second <= 59)
    months = (np.where(is_right, (year - 1970) * 12 + month - 1, 0)).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    is_right &= days.astype("datetime64[M]") == months
    micro = pc.cast(pc.utf8_slice_codeunits(pc.utf8_rpad(texts["f"], 6, "0"), 0, 6), pa.int64())
    span = ((hour * 60 + minute - _offset(texts["z"])) * 60 + second) * 1_000_000
    span = span + micro.to_numpy(zero_copy_only=False)
    moments = days.astype("datetime64[us]") + span.astype("timedelta64[us]")
    moments[~is_right] = np.datetime64("NaT")
    values[fits] = moments
    return DateReading(
        values,
        bool((has_time & is_right).any()),
        bool((_is_set(texts["S"]) & is_right).any()),
        bool((_is_set(texts["z"]) & is_right).any()),
    )


def from_epoch(numbers: np.ndarray, date_format: str) -> np.ndarray:
    """Numbers since 1970 as (N,) datetime64[us]; NaT where they are NaN or no year 1 to 9999."""
    with np.errstate(over="ignore", invalid="ignore"):
        micro = numbers * EPOCHS[date_format]
        is_date = (micro >= -62_135_596_800e6) & (micro < 253_402_300_800e6)
    moments = np.where(is_date, micro, 0).round().astype(np.int64).astype("datetime64[us]")
    moments[~is_date] = np.datetime64("NaT")
    return moments


def epoch_format(numbers: np.ndarray) -> str:
    """The unit in which the largest of these numbers is a moment before the year 2286."""
    largest = float(np.nanmax(np.abs(numbers), initial=0.0))
    for name, most in (("epoch s", 1e10), ("epoch ms", 1e13), ("epoch us", 1e16)):
        if largest < most:
            return name
    return "epoch ns"


def _pattern(date_format: str) -> str | None:
    """A regular expression for the date's part, with any time after it; None where it is no format."""
    date = re.split(r"[T ,]*%[HIMSfpzT]", date_format, maxsplit=1)[0]
    codes = re.findall(r"%(.)", date)
    if len(codes) != len(set(codes)) or not set(codes) <= set(_CODES):
        return None
    if not {"Y", "y"} & set(codes) or not {"m", "b", "B"} & set(codes):
        return None
    if {"Y", "y"} <= set(codes) or len({"m", "b", "B"} & set(codes)) > 1:
        return None
    made, last_was_code = "", False
    for code, literal in re.findall(r"%(.)|([^%])", date):
        if code:
            piece = _CODES[code]
            if last_was_code:  # nothing between: each part has its full width
                made = made.replace(r"\d{1,2}", r"\d{2}")
                piece = piece.replace(r"\d{1,2}", r"\d{2}")
            made += piece
        elif literal in "-/.":
            made += _MARKS
        elif literal == " ":
            made += r"[-/. ]+"
        elif literal == ",":
            made += ",?"
        else:
            made += re.escape(literal)
        last_was_code = bool(code)
    return f"^{made}{_TIME}$"


def _months(words: pa.StringArray) -> np.ndarray:
    """The numbers of months by name; 0 where a word is none."""
    pc = require("pyarrow.compute", extra="tabular")
    coded = pc.utf8_lower(words).dictionary_encode()
    table = np.array(
        [_MONTHS.get(word, 0) for word in coded.dictionary.to_pylist()], dtype=np.int64
    )
    return table[coded.indices.to_numpy()]


def _offset(words: pa.StringArray) -> np.ndarray:
    """Minutes ahead of UTC."""
    coded = words.dictionary_encode()
    table = np.zeros(len(coded.dictionary), dtype=np.int64)
    for place, word in enumerate(coded.dictionary.to_pylist()):
        if word[:1] in ("+", "-"):
            digits = word[1:].replace(":", "").ljust(4, "0")
            table[place] = (1 if word[0] == "+" else -1) * (int(digits[:2]) * 60 + int(digits[2:]))
    return table[coded.indices.to_numpy()]


def _is_set(words: pa.StringArray) -> np.ndarray:
    pc = require("pyarrow.compute", extra="tabular")
    return pc.not_equal(words, "").to_numpy(zero_copy_only=False)


def _is_date(words: pa.StringArray, form: str) -> np.ndarray:
    return ~np.isnat(parse_dates(words, form).values)


def _ascends(values: np.ndarray) -> bool:
    return len(values) > 2 and bool((values[1:] >= values[:-1]).all())


def _mark(words: pa.StringArray) -> str | None:
    """What most words have after their first part."""
    found = (re.match(r"[0-9A-Za-z]+([-/. ])", word) for word in words.to_pylist())
    return next(iter(dict(Counter(m[1] for m in found if m).most_common(1))), None)
