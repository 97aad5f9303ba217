"""A table as a Frame, each column read by what its schema says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from drivetrain._optional import require
from drivetrain._registry import did_you_mean
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import DataError
from drivetrain.tabular.columns import date_text, number_text
from drivetrain.tabular.columns.cells import Cells
from drivetrain.tabular.columns.date_text import find_date_format, parse_dates
from drivetrain.tabular.columns.number_text import parse_numbers
from drivetrain.tabular.columns.schema import LEFT_OUT, Column, Schema

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Unread:
    """Cells that could not be read and are missing, by column; of one table, or of all its pieces."""

    cells: dict[str, int] = field(default_factory=dict)
    """Those that are no number, or no date; every column that was read has a count."""
    shown: dict[str, str] = field(default_factory=dict)
    """One of them, in quotes, and what it is not."""
    infinite: dict[str, int] = field(default_factory=dict)
    """Infinite numbers."""

    def sentences(self) -> list[str]:
        """On each column that has any."""
        notes: list[str] = []
        for name, count in self.cells.items():
            if count:
                what, example = self.shown[name].split(" ", 1)
                are = f"cell is no {what}" if count == 1 else f"cells are no {what}s"
                notes.append(f"{name!r}: {count:,} {are}, such as {example}; read as missing.")
            infinite = self.infinite.get(name, 0)
            if infinite:
                are = "infinite number was" if infinite == 1 else "infinite numbers were"
                notes.append(f"{name!r}: {infinite:,} {are} read as missing.")
        return notes


def parse_frame(
    table: pa.Table,
    schema: Schema,
    *,
    names: Sequence[str] | None = None,
    row_ids: np.ndarray | None = None,
    unread: Unread | None = None,
) -> tuple[Frame, list[str]]:
    """The table as a Frame, each column by its kind: numbers float64, dates UTC, others a Factor.

    The levels of a Factor are those of this table: numbers in ascending order where all are numbers,
    else words in the order of their letters.

    Args:
        table: as `reading.open_table(…).read()` gives it; columns beyond `names` are not looked at.
        schema: of this table, or of the one that a model was trained on.
        names: the columns to read; by default those of the kinds number, category and date.
        row_ids: (N,) int64 positions of the rows in their source.
        unread: given where the table is a piece of another, whose formats the schema has: nothing is
            decided on the piece alone, and what could not be read is added here.
    Returns: the frame, and sentences on cells that could not be read and are missing.
    Raises: DataError: a column is not in the table, or not in the schema.
    """
    if names is None:
        names = [column.name for column in schema.columns if column.kind not in LEFT_OUT]
    columns = [schema[name] for name in names]
    gone = [name for name in names if name not in table.column_names]
    if gone:
        shown = ", ".join(repr(name) for name in gone[:5]) + (" …" if len(gone) > 5 else "")
        near = did_you_mean(gone[0], table.column_names) if len(gone) == 1 else ""
        raise DataError(f"The table lacks the column {shown}.{near}")
    is_whole = unread is None
    unread = Unread() if unread is None else unread
    found: dict[str, Values] = {}
    for column in columns:
        cells = Cells.of(table[column.name])
        unread.cells.setdefault(column.name, 0)
        if column.kind == "number":
            found[column.name] = _numbers(column, cells, unread, is_whole)
        elif column.kind == "date":
            found[column.name] = _dates(column, cells, unread)
        else:
            found[column.name] = _words(column, cells)
    ids = np.arange(len(table), dtype=np.int64) if row_ids is None else row_ids
    return Frame(found, ids), unread.sentences() if is_whole else []


def same_words(texts: pa.StringArray, number_format: str | None) -> pa.StringArray:
    """Words that stand for one category made the same: 3.0 and 3 of codes, True and true."""
    pc = require("pyarrow.compute", extra="tabular")
    if number_format == number_text.BOOLEAN:
        return pc.utf8_lower(texts)
    if number_format == number_text.CODES:
        return pc.replace_substring_regex(texts, r"^([+-]?\d+)\.0*$", r"\1")
    return texts


def number_forms(column: Column, cells: Cells) -> tuple[bool, bool]:
    """Whether all cells are numbers in the column's own format, and whether all are written plainly.

    A table in which only the latter holds is read plainly; of its pieces, only all together can tell.
    """
    in_format = parse_numbers(cells.texts, column.number_format)[1].all()
    return bool(in_format), bool(parse_numbers(cells.texts, None)[1].all())


def _numbers(column: Column, cells: Cells, unread: Unread, is_whole: bool) -> np.ndarray:
    infinite = cells.infinite
    if cells.is_text:
        numbers, is_number = parse_numbers(cells.texts, column.number_format)
        if is_whole and column.number_format is not None and not is_number.all():
            # Another table may hold the same numbers written plainly.
            plain, is_plain = parse_numbers(cells.texts, None)
            if is_plain.all():
                numbers, is_number = plain, is_plain
        is_infinite = np.isinf(numbers)
        infinite += cells.count(is_infinite)
        numbers[is_infinite] = np.nan
    elif cells.is_date:
        numbers, is_number = np.full(cells.distinct, np.nan), np.zeros(cells.distinct, dtype=bool)
    else:
        numbers, is_number = cells.numbers, np.ones(cells.distinct, dtype=bool)
    _note_unread(column, cells, ~is_number, "number", unread)
    unread.infinite[column.name] = unread.infinite.get(column.name, 0) + infinite
    return cells.spread(numbers, np.nan)


def _dates(column: Column, cells: Cells, unread: Unread) -> np.ndarray:
    form = column.date_format
    if cells.is_date:
        values = cells.moments
    elif form in date_text.EPOCHS and not cells.is_text:
        values = date_text.from_epoch(cells.numbers, form)
    else:
        if form is None:  # the table that this was learnt from had dates that are no text
            found = find_date_format(cells.texts, cells.counts)
            form = found.text if found is not None else "%Y-%m-%d"
        values = parse_dates(cells.texts, form).values
        if np.isnat(values).any():  # this form is the same everywhere
            iso = parse_dates(cells.texts, "%Y-%m-%d").values
            values = np.where(np.isnat(values), iso, values)
    _note_unread(column, cells, np.isnat(values), "date", unread)
    return cells.spread(values, np.datetime64("NaT"))


def _words(column: Column, cells: Cells) -> Factor:
    pa = require("pyarrow", extra="tabular")
    coded = same_words(cells.texts, column.number_format).dictionary_encode()
    words = coded.dictionary
    order = _level_order(words)
    rank = np.full(len(words) + 1, -1, dtype=np.int32)
    rank[order] = np.arange(len(words), dtype=np.int32)
    place = coded.indices.to_numpy(zero_copy_only=False)
    levels = tuple(words.take(pa.array(order)).to_pylist())
    return Factor(cells.spread(rank[place], -1), levels)


def _level_order(words: pa.StringArray) -> np.ndarray:
    pc = require("pyarrow.compute", extra="tabular")
    order = pc.array_sort_indices(words).to_numpy(zero_copy_only=False).astype(np.int64)
    numbers, is_number = parse_numbers(words, None)
    return order[np.argsort(numbers[order], kind="stable")] if is_number.all() else order


def _note_unread(
    column: Column, cells: Cells, is_bad: np.ndarray, what: str, unread: Unread
) -> None:
    count = cells.count(is_bad)
    if count:
        unread.cells[column.name] += count
        unread.shown.setdefault(column.name, f"{what} {cells.shown(is_bad)}")
