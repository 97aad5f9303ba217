"""Which kind each column of a table is, with the reason.

    number      numbers: also 1,234.5 or 1.234,5, 12%, $5, true and false
    category    words, or codes, that come again and again
    date        dates, with or without a time of day
    text        several words a cell, hardly any cell twice: left out of models
    id          tells rows apart, and nothing else: left out
    constant    the same in all rows: left out

    schema = infer_schema(table, kinds={"zip": "category"}, target="salary")
    print(schema)
    frame, notes = parse_frame(table, schema)

What is decided here is decided on one table, and kept: `parse_frame` reads any other by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError, DataError
from drivetrain.tabular.columns import date_text, number_text
from drivetrain.tabular.columns.cells import Cells
from drivetrain.tabular.columns.date_text import (
    DateFormat,
    find_date_format,
    is_date_format,
    parse_dates,
)
from drivetrain.tabular.columns.number_text import find_number_format, parse_numbers
from drivetrain.tabular.columns.parsing import parse_frame
from drivetrain.tabular.columns.schema import KINDS, LEFT_OUT, Column, Schema, shorten

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KINDS", "LEFT_OUT", "Column", "Schema", "infer_schema", "parse_frame"]

BAD = 0.02
"""Share of a column's cells that may be unreadable in a column of numbers or of dates."""
FEW = 31
"""Different whole numbers up to which the reason says how to take them as codes: days and hours fit."""
ENOUGH = 20
"""Rows from which on columns are found by their values to be ids or texts."""
HARDLY_TWICE = 0.95
"""Share of different words among a column's cells above which nothing can be learnt from them."""
MOSTLY_ONCE = 0.5
"""The same for a column that is named as an id."""

_ID_NAMES = {"id", "ids", "uid", "uuid", "guid", "key", "identifier", "index", "idx", "rowid"}
_CODE_NAMES = {"id", "code", "codes", "zip", "zipcode", "postcode", "postal", "plz"}
_TIME_NAMES = {
    "year", "yr", "quarter", "month", "week", "day", "hour", "minute", "second", "time", "timestamp",
    "date", "period", "epoch", "step", "t", "x",
}  # fmt: skip
"""Columns that may count up with the rows and still mean something."""
_DATE_NAMES = {"date", "day", "dt", "dob", "datum", "ymd"}
_ZEROS_IN_FRONT = r"^0\d+$"
_WHOLE = r"^[+-]?(?:0|[1-9]\d*)(?:\.0*)?$"
_LEFT = "they tell rows apart, and nothing else"


def infer_schema(
    table: pa.Table,
    *,
    kinds: Mapping[str, str] | None = None,
    target: str | Sequence[str] | None = None,
    cells: Mapping[str, Cells] | None = None,
) -> Schema:
    """Look at each column and say which kind it is, and why.

    Args:
        table: as `reading.open_table(…).read()` gives it, or a sample of it.
        kinds: column -> kind, where the inferred one is not right. `date:FORMAT` gives the dates' form
            too, such as `date:%d/%m/%Y` or `date:epoch ms`.
        target: what is to be predicted; it is never taken for an id, a text or a constant.
        cells: column -> what it holds, where more is known of it than the table tells.

    Raises: ConfigError: a kind is unknown, is given for an unknown column, or fits no cell of it.
        DataError: a target is not in the table.
    """
    asked = dict(kinds or {})
    targets = (target,) if isinstance(target, str) else tuple(target or ())
    known = table.column_names
    for name in targets:
        if name not in known:
            raise DataError(
                f"There is no column {name!r} to predict.{did_you_mean(str(name), known)} There are: "
                f"{', '.join(known[:40])}."
            )
    for name, kind in asked.items():
        _check_asked(name, kind, known)
    columns = []
    for name in known:
        held = cells[name] if cells is not None and name in cells else Cells.of(table[name])
        if name in asked:
            column = _asked(name, held, asked[name])
        else:
            column = _inferred(name, held)
            if name in targets:
                column = _as_target(column, held)
        if held.missing and held.filled:
            column = replace(column, reason=f"{column.reason}; {held.missing:,} missing")
        if held.stands_for > 1:
            column = replace(column, reason=f"{column.reason}; in a sample of {held.rows:,} rows")
        columns.append(column)
    return Schema(tuple(columns))


def _inferred(name: str, cells: Cells) -> Column:
    if not cells.filled:
        return _column(name, cells, "constant", f"all {_n(cells.rows, 'cell')} missing")
    if cells.distinct == 1 and not cells.missing:
        same = f"the same value, {cells.shown(0)}, in all {_n(cells.rows, 'row')}"
        return _column(name, cells, "constant", same)
    if cells.is_date:
        zone = cells.values.type.tz
        told = f"; times of {zone} were converted to UTC" if zone not in (None, "UTC") else ""
        return _column(name, cells, "date", f"{_n(cells.distinct, 'different date')}{told}")
    if cells.is_bool:
        return _boolean(name, cells)
    if not cells.is_text:
        every = np.ones(cells.distinct, dtype=bool)
        return _from_numbers(name, cells, cells.numbers, every, None, "")
    number_format, number_share = find_number_format(cells.texts, cells.counts)
    if number_format == number_text.BOOLEAN:
        return _boolean(name, cells)
    if number_share >= 1 - BAD:
        return _from_number_text(name, cells, number_format)
    date = find_date_format(cells.texts, cells.counts)
    if date is not None and date.share >= 1 - BAD:
        return _from_date_text(name, cells, date, "")
    nearly = ""
    if number_share > 0.5:
        nearly = _nearly(name, cells, ~parse_numbers(cells.texts, number_format)[1], "number")
    elif date is not None and date.share > 0.5:
        nearly = _nearly(name, cells, np.isnat(parse_dates(cells.texts, date.text).values), "date")
    return _from_words(name, cells, nearly)


def _boolean(name: str, cells: Cells) -> Column:
    said = "true and false, read as 1 and 0"
    return _column(name, cells, "number", said, number_format=number_text.BOOLEAN)


def _from_number_text(name: str, cells: Cells, number_format: str | None) -> Column:
    numbers, is_number = parse_numbers(cells.texts, number_format)
    if number_format is None:
        zeros = cells.matches(_ZEROS_IN_FRONT)
        if zeros.any():
            pc = require("pyarrow.compute", extra="tabular")
            widths = cells.measured(pc.utf8_length)
            if widths[0] >= 4 and (widths == widths[0]).all():
                return _column(
                    name,
                    cells,
                    "category",
                    f"{_n(cells.distinct, 'different code')} of {widths[0]} digits, some with zeros in "
                    f"front, such as {cells.shown(zeros)}",
                )
    told = ""
    if number_format is not None:
        odd = is_number & ~parse_numbers(cells.texts, None)[1]
        told = f", written with {number_format}, such as {cells.shown(odd if odd.any() else is_number)}"
    if not is_number.all():
        bad = cells.count(~is_number)
        are = "cell is no number" if bad == 1 else "cells are no numbers"
        told += f"; {bad:,} {are}, such as {cells.shown(~is_number)}, and read as missing"
    return _from_numbers(
        name, cells, numbers, is_number & np.isfinite(numbers), number_format, told
    )


def _from_numbers(
    name: str,
    cells: Cells,
    numbers: np.ndarray,
    is_good: np.ndarray,
    number_format: str | None,
    told: str,
) -> Column:
    """The kind of a column of numbers: a number, unless they are ids, codes, or dates.

    Args:
        numbers: (D,) of the different cells; two of these may be the same number.
        is_good: (D,) bool, where they are finite numbers.
        told: what to say of how they are written.
    """
    good = numbers[is_good]
    missing = cells.rows - cells.count(is_good)
    if not len(good):
        return _column(name, cells, "constant", f"no cell holds a finite number{told}")
    distinct = len(np.unique(good))
    is_whole = bool((good == np.floor(good)).all())
    sizes = {"missing": missing, "distinct": distinct}
    if is_whole and distinct > 1 and not told:
        special = _from_whole(name, cells, good, distinct)
        if special is not None:
            return special
    low, high = (_figure(float(end)) for end in (good.min(), good.max()))
    span = f"from {low} to {high}" if distinct > 1 else f"{low} or missing"
    what = f"{_n(distinct, 'different number')}{', all whole' if is_whole else ''}, {span}{told}"
    if is_whole and 2 < distinct <= FEW:
        what += f"; if they are codes, say kinds={{{name!r}: 'category'}}"
    return _column(name, cells, "number", what, number_format=number_format, **sizes)


def _from_whole(name: str, cells: Cells, numbers: np.ndarray, distinct: int) -> Column | None:
    """Whole numbers that count, name or code something, or are dates; None for others."""
    parts = _name_parts(name)
    if parts & _DATE_NAMES and _are_compact_dates(numbers):
        said = f"numbers of eight digits that are dates, such as {numbers[0]:.0f}, read as %Y%m%d"
        return _column(name, cells, "date", said, date_format="%Y%m%d")
    if distinct == cells.rows:
        if parts & _ID_NAMES and distinct >= ENOUGH // 2:
            said = f"{distinct:,} whole numbers, all different, in a column named as an id"
            return _column(name, cells, "id", said)
        most = 2 * distinct * cells.stands_for
        is_counted = (np.diff(numbers) > 0).all() and numbers[-1] - numbers[0] < most
        if is_counted and distinct >= ENOUGH and not parts & _TIME_NAMES:
            span = f"from {numbers[0]:.0f} to {numbers[-1]:.0f}"
            return _column(name, cells, "id", f"whole numbers that count the rows, {span}: {_LEFT}")
    if parts & _CODE_NAMES and cells.filled >= ENOUGH:
        if distinct > MOSTLY_ONCE * cells.filled:
            said = (
                f"{distinct:,} different whole numbers in {cells.filled:,} rows, in a column named as "
                "an id: most come once, so there is little to learn from them"
            )
            return _column(name, cells, "id", said)
        said = f"{distinct:,} different whole numbers in a column named as an id or a code"
        return _column(name, cells, "category", said, number_format=number_text.CODES)
    return None


def _from_date_text(name: str, cells: Cells, date: DateFormat, why: str) -> Column:
    read = parse_dates(cells.texts, date.text).values
    is_date = ~np.isnat(read)
    what = f"dates such as {cells.shown(is_date)}, read as {date.text}"
    if date.order is not None and date.decided_by is None:
        other = (
            date_text.DAY_FIRST if date.order == date_text.MONTH_FIRST else date_text.MONTH_FIRST
        )
        form = "%d/%m/%Y" if other == date_text.DAY_FIRST else "%m/%d/%Y"
        what += (
            f"; nothing tells whether the day or the month comes first, and {date.order} was assumed: if "
            f"it is {other}, say kinds={{{name!r}: 'date:{form.replace('%Y', date.text[6:8])}'}}"
        )
    elif date.order is not None:
        by = date.decided_by
        told = by if by in (date_text.ROWS, date_text.NO_DIFFERENCE) else repr(shorten(str(by)))
        what += f"; {date.order}, as told by {told}"
    if not is_date.all():
        bad = cells.count(~is_date)
        are = "cell is no date" if bad == 1 else "cells are no dates"
        what += f"; {bad:,} {are} so, such as {cells.shown(~is_date)}, and read as missing"
    if date.has_offset:
        what += "; times were converted to UTC"
    sizes = {
        "missing": cells.rows - cells.count(is_date),
        "distinct": len(np.unique(read[is_date])),
    }
    return _column(name, cells, "date", why + what, date_format=date.text, **sizes)


def _from_words(name: str, cells: Cells, nearly: str) -> Column:
    """A column of words.

    Args:
        nearly: what to add, where most of them are numbers or dates.
    """
    pc = require("pyarrow.compute", extra="tabular")
    parts = _name_parts(name)
    distinct, filled = cells.distinct, cells.filled
    letters = float(cells.measured(pc.utf8_length) @ cells.counts / filled)
    tokens = float(
        cells.measured(lambda texts: pc.count_substring_regex(texts, r"\S+"))
        @ cells.counts
        / filled
    )
    share = distinct / filled
    is_named = bool(parts & _ID_NAMES)
    if filled >= ENOUGH and (
        (tokens >= 2 and share > 0.7) or (tokens >= 3 and letters >= 30 and share > 0.5)
    ):
        kind = "text"
        what = (
            f"{tokens:.1f} words a cell, {distinct:,} of {filled:,} cells different: free text, which "
            "models of tables do not read"
        )
    elif distinct == filled and (filled >= ENOUGH or (filled > 2 and is_named)):
        kind, what = "id", f"{distinct:,} words, all different: {_LEFT}"
    elif filled >= ENOUGH and share > (MOSTLY_ONCE if is_named else HARDLY_TWICE):
        kind = "id"
        what = (
            f"{distinct:,} different words in {filled:,} rows: most come once, so there is little to "
            "learn from them"
        )
    elif distinct == 1:
        kind, what = "category", f"{cells.shown(0)} or missing"
    else:
        kind = "category"
        most = int(np.argmax(cells.counts))
        what = (
            f"{distinct:,} different words in {_n(filled, 'row')}, most often {cells.shown(most)} "
            f"({cells.counts[most]:,})"
        )
        if share > MOSTLY_ONCE and filled >= ENOUGH:
            what += "; most come in one or two rows, so there is little to learn from each"
    return _column(name, cells, kind, what + nearly)


def _nearly(name: str, cells: Cells, is_bad: np.ndarray, kind: str) -> str:
    """What to say of a column of words most of which could be read as another kind."""
    bad = cells.count(is_bad)
    are = f"cell is no {kind}" if bad == 1 else f"cells are no {kind}s"
    how = f"kinds={{{name!r}: {kind!r}}}"
    return f"; {bad:,} {are}, such as {cells.shown(is_bad)}: if the others are, say {how}"


def _as_target(found: Column, cells: Cells) -> Column:
    """A target is learnt whatever it looks like: as a number where it holds numbers, else as a word."""
    if found.kind not in LEFT_OUT:
        return found
    reason = f"to be predicted; {found.reason}"
    if not cells.is_text:
        return replace(found, kind="number", reason=reason)
    number_format, share = find_number_format(cells.texts, cells.counts)
    if cells.filled and share >= 1 - BAD:
        return replace(found, kind="number", reason=reason, number_format=number_format)
    return replace(found, kind="category", reason=reason)


# ---- kinds that were given


def _asked(name: str, cells: Cells, asked: str) -> Column:
    kind, _, form = asked.partition(":")
    why = f"as given; {_n(cells.distinct, 'different value')}"
    number_format = None
    if not cells.filled:
        return _column(name, cells, kind, f"as given; all {_n(cells.rows, 'cell')} missing")
    if kind == "date" and not cells.is_date:
        return _asked_date(name, cells, form)
    if kind == "number":
        return _asked_number(name, cells)
    if kind == "category" and not cells.is_date:
        if cells.is_text:
            number_format, _ = find_number_format(cells.texts, cells.counts)
            if number_format != number_text.BOOLEAN:
                is_code = cells.matches(_WHOLE).all()
                number_format = number_text.CODES if is_code else None
        else:
            number_format = number_text.BOOLEAN if cells.is_bool else number_text.CODES
    return _column(name, cells, kind, why, number_format=number_format)


def _asked_number(name: str, cells: Cells) -> Column:
    if cells.is_date:
        raise _fits_nothing(name, "number", cells)
    if not cells.is_text:
        number_format = number_text.BOOLEAN if cells.is_bool else None
        why = f"as given; {_n(cells.distinct, 'different number')}"
        return _column(name, cells, "number", why, number_format=number_format)
    number_format, _ = find_number_format(cells.texts, cells.counts)
    numbers, is_number = parse_numbers(cells.texts, number_format)
    is_good = is_number & np.isfinite(numbers)
    if not is_good.any():
        raise _fits_nothing(name, "number", cells)
    sizes = {
        "missing": cells.rows - cells.count(is_good),
        "distinct": len(np.unique(numbers[is_good])),
    }
    why = f"as given; {_n(sizes['distinct'], 'different number')}"
    if not is_good.all():
        bad = cells.count(~is_good)
        are = "cell is none" if bad == 1 else "cells are none"
        why += f"; {bad:,} {are}, such as {cells.shown(~is_good)}, and read as missing"
    return _column(name, cells, "number", why, number_format=number_format, **sizes)


def _asked_date(name: str, cells: Cells, form: str) -> Column:
    if form:
        found = DateFormat(form, 0.0)
    else:
        found = find_date_format(cells.texts, cells.counts, least=0.0)
        if found is None or found.share < 1 - BAD:
            numbers, is_number = (
                parse_numbers(cells.texts, None) if cells.is_text else (cells.numbers, np.True_)
            )
            if np.all(is_number):
                found = DateFormat(date_text.epoch_format(numbers), 0.0)
    if found is None or np.isnat(parse_dates(cells.texts, found.text).values).all():
        raise _fits_nothing(name, "date", cells)
    return _from_date_text(name, cells, found, "as given; ")


def _fits_nothing(name: str, kind: str, cells: Cells) -> ConfigError:
    return ConfigError(
        f"`kinds` says that {name!r} is a {kind}, and none of its cells can be read as one; the first is "
        f"{cells.shown(0)}."
    )


def _check_asked(name: Any, kind: Any, known: Sequence[str]) -> None:
    if name not in known:
        raise ConfigError(
            f"`kinds` names the column {str(name)[:100]!r}, which the table does not have."
            f"{did_you_mean(str(name), known)}"
        )
    plain, mark, form = str(kind).partition(":")
    if plain not in KINDS or (mark and plain != "date"):
        raise ConfigError(
            f"`kinds` says that {name!r} is {str(kind)[:100]!r}.{did_you_mean(plain, KINDS)} Kinds are: "
            f"{', '.join(KINDS)}."
        )
    if mark and not is_date_format(form):
        raise ConfigError(
            f"`kinds` gives {name!r} the date format {form[:100]!r}. Write it as 'date:%d/%m/%Y', with "
            "%Y or %y, %m or %b, and %d; or as 'date:epoch s'."
        )


# ---- small things


def _column(name: str, cells: Cells, kind: str, reason: str, **known: Any) -> Column:
    known = {"missing": cells.missing, "distinct": cells.distinct, "rows": cells.rows} | known
    return Column(name=name, kind=kind, reason=reason, **known)


def _are_compact_dates(numbers: np.ndarray) -> bool:
    if numbers.min() < 19_000_101 or numbers.max() > 21_001_231:
        return False
    pa = require("pyarrow", extra="tabular")
    words = pa.array([f"{number:.0f}" for number in numbers.tolist()])
    return not np.isnat(parse_dates(words, "%Y%m%d").values).any()


def _name_parts(name: str) -> set[str]:
    """The words of a column's name: `SalesID` and `sales_id` have `sales` and `id`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return set(re.findall(r"[^\W_]+", spaced.lower()))


def _n(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:.6g}"
