"""Reading ratings row by row into codes, in pieces, so that a file may be larger than memory.

What is kept of a rating is 20 bytes: two codes, the number, the time. A row that cannot be used is set
aside by name: no user or no item, a rating that is no number or out of range, a time that cannot be
read, the same user and item a second time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivetrain._optional import require
from drivetrain.collab.table.columns import Columns
from drivetrain.collab.table.ids import in_order
from drivetrain.data.items import Quarantined
from drivetrain.data.tables.reading import TableSource
from drivetrain.errors import DataError

Report = Callable[[str, int, int | None], None]
"""Is told (what is done, how many are done, how many there are)."""

MOST_RECORDS = 10_000
"""Rows set aside that are recorded one by one."""
GRID = 101
"""Different ratings up to which a few that lie far from all others are taken for slips."""
SELDOM = 0.001
"""Share of the ratings that slips are at most."""
_NO_TIME = np.iinfo(np.int64).min
DUPLICATES = ("last", "first", "mean", "all")
"""What is kept where a user rated an item several times."""


@dataclass
class Rows:
    """Ratings as they were found: codes in the order of `users` and `items`, counted from 0."""

    users: np.ndarray
    """(N,) int32."""
    items: np.ndarray
    """(N,) int32."""
    ratings: np.ndarray
    """(N,) float32."""
    times: np.ndarray | None
    """(N,) int64."""
    positions: np.ndarray
    """(N,) int64, where each row stands in the source, counted from 0."""
    user_names: list[str]
    item_names: list[str]
    quarantined: list[Quarantined] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    num_set_aside: int = 0

    def __len__(self) -> int:
        return len(self.users)


def read_rows(
    source: TableSource,
    columns: Columns,
    *,
    rating_range: tuple[float, float] | None = None,
    duplicates: str = "last",
    report: Report | None = None,
) -> Rows:
    """All ratings of a table.

    Args:
        rating_range: (lowest, highest) that a rating may be; others are set aside.
        duplicates: which rating is kept of several by one user for one item: the `last` in time (or in
            the file), the `first`, their `mean`, or `all`. Events are counted instead.

    Raises: DataError: nothing is left.
    """
    rows = every_row(source, columns, report=report)
    if columns.rating is not None:
        _without_slips(rows, rating_range)
    _without_duplicates(rows, duplicates, is_implicit=columns.rating is None)
    if not len(rows):
        raise DataError(
            f"No rating of {source.source} can be used: {rows.num_set_aside:,} rows are set aside. "
            + (rows.quarantined[0].detail if rows.quarantined else "")
        )
    rows.notes += _told(rows)
    return rows


def every_row(source: TableSource, columns: Columns, *, report: Report | None = None) -> Rows:
    """The rows of a table that name a user, an item and a rating: slips and repeated ones are in it."""
    reader = _Reader(source, columns)
    for positions, piece in source.only(columns.used).numbered_batches():
        reader.add(positions, piece)
        if report is not None:
            report("ratings read", reader.count, None)
    return reader.rows()


class _Coder:
    """Names to codes, in the order of their first appearance."""

    def __init__(self) -> None:
        pa = require("pyarrow", extra="tabular")
        self._known: Any = pa.array([], pa.string())

    def codes(self, column: Any) -> np.ndarray:
        """(N,) int32 codes of a column of strings, -1 for null."""
        pa = require("pyarrow", extra="tabular")
        compute = require("pyarrow.compute", extra="tabular")
        coded = column.dictionary_encode()
        names = coded.dictionary
        places = compute.index_in(names, value_set=self._known)
        new = names.filter(places.is_null())
        first = len(self._known)
        if len(new):
            self._known = pa.concat_arrays([self._known, new])
        places = places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        is_new = places < 0
        places[is_new] = np.arange(first, first + is_new.sum(), dtype=np.int32)
        local = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.where(local < 0, np.int32(-1), places[local] if len(places) else np.int32(-1))

    @property
    def names(self) -> list[str]:
        return self._known.to_pylist()


class _Reader:
    def __init__(self, source: TableSource, columns: Columns) -> None:
        self.source, self.columns = source, columns
        self.users, self.items = _Coder(), _Coder()
        self.parts: dict[str, list[np.ndarray]] = {}
        self.aside: list[Quarantined] = []
        self.num_aside = 0
        self.count = 0

    def add(self, positions: np.ndarray, piece: Any) -> None:
        """Take in some rows."""
        names, count = self.columns, piece.num_rows
        users = self.users.codes(as_text(piece.column(names.user)))
        items = self.items.codes(as_text(piece.column(names.item)))
        ratings = np.ones(count, np.float32)
        times = None
        fine = (users >= 0) & (items >= 0)
        self._set_aside(positions, users < 0, "no-user", lambda row: "The row names no user.")
        lacking = (items < 0) & (users >= 0)
        self._set_aside(positions, lacking, "no-item", lambda row: "The row names no item.")
        if names.rating is not None:
            column = piece.column(names.rating)
            values = _numbers(column)
            wrong = ~np.isfinite(values) & fine
            self._set_aside(
                positions, wrong, "no-rating", lambda row: _said(column[row], "is no rating")
            )
            fine &= ~wrong
            ratings = np.where(np.isfinite(values), values, 0).astype(np.float32)
        if names.time is not None:
            stamps = piece.column(names.time)
            times = _times(stamps)
            wrong = (times == _NO_TIME) & fine
            self._set_aside(
                positions, wrong, "no-time", lambda row: _said(stamps[row], "is no time")
            )
            fine &= ~wrong
        found = {"users": users, "items": items, "ratings": ratings, "positions": positions}
        if times is not None:
            found["times"] = times
        for name, values in found.items():
            self.parts.setdefault(name, []).append(values[fine])
        self.count += int(fine.sum())

    def _set_aside(
        self, positions: np.ndarray, which: np.ndarray, reason: str, detail: Callable[[int], str]
    ) -> None:
        rows = np.flatnonzero(which)
        self.num_aside += len(rows)
        for row in rows[: MOST_RECORDS - len(self.aside)].tolist():
            self.aside.append(Quarantined(f"row {positions[row] + 1}", reason, detail(row)))

    def rows(self) -> Rows:
        """What was read, the names sorted."""
        # One column after the other, each freed when it is joined: all at once would take twice as much.
        user_names, user_codes = _sorted(self.users.names, self._joined("users"))
        item_names, item_codes = _sorted(self.items.names, self._joined("items"))
        return Rows(
            user_codes,
            item_codes,
            self._joined("ratings"),
            None if self.columns.time is None else self._joined("times"),
            self._joined("positions"),
            user_names,
            item_names,
            [*self.source.report.quarantined, *self.aside],
            num_set_aside=self.num_aside + self.source.num_set_aside,
        )

    def _joined(self, name: str) -> np.ndarray:
        return np.concatenate(self.parts.pop(name))


def as_text(column: Any) -> Any:
    """A column of names as strings: of a whole number its digits, of nothing null."""
    pa = require("pyarrow", extra="tabular")
    compute = require("pyarrow.compute", extra="tabular")
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_floating(kind):  # whole numbers that pandas made room for missing ones among
        values = column.to_numpy(zero_copy_only=False)
        missing = np.isnan(values)
        if np.all(missing | ((values == np.trunc(values)) & (np.abs(values) < 2**53))):
            whole = np.where(missing, 0, values).astype(np.int64)
            return compute.cast(pa.array(whole, mask=missing), pa.string())
    return compute.cast(column, pa.string())


def _sorted(names: list[str], codes: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names in their order, and the codes that go with it; names of no row are left out."""
    used = np.flatnonzero(np.bincount(codes, minlength=len(names))).tolist()
    kept = [names[code] for code in used]
    order = in_order(kept)
    place = np.zeros(len(names), dtype=np.int32)
    place[np.array(used, dtype=np.int64)[order]] = np.arange(len(kept), dtype=np.int32)
    return [kept[k] for k in order.tolist()], place[codes]


def _numbers(column: Any) -> np.ndarray:
    """(N,) float64, NaN where there is none."""
    pa = require("pyarrow", extra="tabular")
    compute = require("pyarrow.compute", extra="tabular")
    if pa.types.is_string(column.type):
        try:
            column = compute.cast(column, pa.float64())
        except pa.ArrowInvalid:  # one of them is no number: look at each
            return np.array([_number(text) for text in column.to_pylist()], dtype=np.float64)
    column = compute.cast(column, pa.float64())
    return column.to_numpy(zero_copy_only=False).astype(np.float64)


_COMMA = re.compile(r"\s*[+-]?\d+,\d\d?\s*")
"""A number with a decimal comma; with three digits after it, it might be a thousand."""


def _number(text: str | None) -> float:
    if text is not None and _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        return np.nan if text is None else float(text)
    except ValueError:
        return np.nan


def _times(column: Any) -> np.ndarray:
    """(N,) int64: whole numbers as they are, dates in nanoseconds; `_NO_TIME` where there is none."""
    pa = require("pyarrow", extra="tabular")
    compute = require("pyarrow.compute", extra="tabular")
    kind = column.type
    if pa.types.is_string(kind):
        numbers = _numbers(column)
        if 2 * np.isfinite(numbers).sum() > len(numbers) - column.null_count:
            return _whole(numbers)  # words among numbers are no times
        return np.array([_instant(text) for text in column.to_pylist()], dtype=np.int64)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = compute.cast(column, pa.timestamp("ns"), safe=False)
        whole = compute.cast(stamps, pa.int64()).fill_null(_NO_TIME)
        return whole.to_numpy(zero_copy_only=False)
    return _whole(_numbers(column))


def _whole(numbers: np.ndarray) -> np.ndarray:
    usable = np.isfinite(numbers) & (np.abs(numbers) < 2.0**62)
    return np.where(usable, np.where(usable, numbers, 0).astype(np.int64), _NO_TIME)


def _instant(text: str | None) -> int:
    """A date or a time as ISO 8601 writes it, in nanoseconds since 1970, UTC where no zone is said."""
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return _NO_TIME
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    return round(found.timestamp() * 1e6) * 1000


def _without_slips(rows: Rows, rating_range: tuple[float, float] | None) -> None:
    """Set ratings aside that are out of range, or far from the few values that all others are."""
    if rating_range is not None:
        low, high = rating_range
        wrong = (rows.ratings < low) | (rows.ratings > high)
        said = f"is outside the ratings' range, {low:g} to {high:g}."
    else:
        bounds = slip_bounds(rows.ratings)
        if bounds is None:
            return
        low, high = bounds
        wrong = (rows.ratings < low) | (rows.ratings > high)
        said = "lies far from all other ratings. If it is meant, give `rating_range`."
    if wrong.any():
        details = [f"The rating {value:g} {said}" for value in rows.ratings[wrong][:MOST_RECORDS]]
        _drop(rows, wrong, "out-of-range", details)


def slip_bounds(ratings: np.ndarray) -> tuple[float, float] | None:
    """Between which ratings are no slips; None where that cannot be told.

    Where all but a thousandth are of at most 101 values, what lies further off than those span is.
    """
    values, counts = np.unique(ratings, return_counts=True)
    if len(values) > 2 * GRID or len(values) < 2:
        return None
    order = np.argsort(-counts, kind="stable")
    enough = int(np.searchsorted(np.cumsum(counts[order]), (1 - SELDOM) * counts.sum())) + 1
    usual = values[order[:enough]]
    if len(usual) > GRID or len(usual) < 2:
        return None
    low, high = float(usual.min()), float(usual.max())
    return low - (high - low), high + (high - low)


def _without_duplicates(rows: Rows, keep: str, *, is_implicit: bool) -> None:
    """Leave one row of each user and item; events of a pair are counted."""
    if keep == "all" and not is_implicit:
        return
    keys = rows.users.astype(np.int64) * max(1, len(rows.item_names)) + rows.items
    if not _has_equal(keys):  # as usual: it takes a third of the memory and of the time to see that
        return
    # stable: equal times stay in the order of the file
    order = (
        np.argsort(keys, kind="stable") if rows.times is None else np.lexsort((rows.times, keys))
    )
    ordered = keys[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True)
    is_first = np.insert(is_last[:-1], 0, True)
    group = np.cumsum(is_first) - 1
    kept = order[is_first if keep == "first" and not is_implicit else is_last]
    if is_implicit or keep == "mean":
        sums = np.bincount(group, weights=rows.ratings[order].astype(np.float64))
        counts = np.bincount(group)
        rows.ratings[kept] = sums if is_implicit else sums / counts
    wrong = np.ones(len(rows), dtype=bool)
    wrong[kept] = False
    if is_implicit:
        many = int(wrong.sum())
        rows.notes.append(
            f"{_rows(many)} a user and an item of another row: counted as a further time that it "
            "happened."
        )
        _take(rows, ~wrong)
        return
    word = {"last": "the last rating counts", "first": "the first rating counts"}
    said = word.get(keep, "their mean counts")
    users, items = rows.users[wrong][:MOST_RECORDS], rows.items[wrong][:MOST_RECORDS]
    details = [
        f"User {rows.user_names[user]} rated item {rows.item_names[item]} more than once: {said}."
        for user, item in zip(users.tolist(), items.tolist(), strict=True)
    ]
    _drop(rows, wrong, "duplicate", details)


def _has_equal(keys: np.ndarray) -> bool:
    """Whether a number stands there twice."""
    ordered = np.sort(keys)
    return bool((ordered[1:] == ordered[:-1]).any())


def _drop(rows: Rows, which: np.ndarray, reason: str, details: list[str]) -> None:
    """Set rows aside; the first of them by name."""
    positions = rows.positions[which][: len(details)].tolist()
    room = max(0, MOST_RECORDS - len(rows.quarantined))
    for position, detail in list(zip(positions, details, strict=True))[:room]:
        rows.quarantined.append(Quarantined(f"row {position + 1}", reason, detail))
    rows.num_set_aside += int(which.sum())
    _take(rows, ~which)


def _take(rows: Rows, which: np.ndarray) -> None:
    rows.users, rows.items = rows.users[which], rows.items[which]
    rows.ratings, rows.positions = rows.ratings[which], rows.positions[which]
    rows.times = None if rows.times is None else rows.times[which]


def _rows(count: int) -> str:
    return "1 row names" if count == 1 else f"{count:,} rows name"


def _told(rows: Rows) -> list[str]:
    if rows.num_set_aside > len(rows.quarantined):
        more = rows.num_set_aside - len(rows.quarantined)
        return [f"{more:,} more rows were set aside than are listed."]
    return []


def _said(cell: Any, what: str) -> str:
    value = cell.as_py()
    if value is None:
        return f"The cell is empty: it {what}."
    return f"'{str(value)[:40]}' {what}."
