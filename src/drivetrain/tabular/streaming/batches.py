"""Other tables batch by batch, such as those that are predicted: formats, notes, and how they are cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.data.tables.reading import TableSource
from drivetrain.tabular.columns.cells import Cells
from drivetrain.tabular.columns.date_text import find_date_format
from drivetrain.tabular.columns.kinds import Column, Schema
from drivetrain.tabular.columns.parsing import number_forms
from drivetrain.tabular.preprocess import Notes
from drivetrain.tabular.streaming.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

MOST_LEVELS = 1000
"""Unseen levels of a column that are told apart; the rows of others are counted together."""
OTHERS = "…"


def settled(opened: TableSource, schema: Schema, names: Sequence[str]) -> Schema:
    """The schema with the formats of another table, where only all of its rows can tell them.

    Numbers that training had with a format may be written plainly here, and dates that were none of text
    may be text: then these columns are read once more, before all others.
    """
    asked = [
        name
        for name in names
        if (schema[name].kind == "number" and schema[name].number_format is not None)
        or (schema[name].kind == "date" and schema[name].date_format is None)
    ]
    if not asked:
        return schema
    pa = require("pyarrow", extra="tabular")
    in_format, plainly = dict.fromkeys(asked, True), dict.fromkeys(asked, True)
    dates = {name: Tally() for name in asked if schema[name].kind == "date"}
    for piece in opened.only(asked).batches():
        for name in asked:
            column = piece.column(name)
            if not pa.types.is_string(column.type):
                continue
            if name in dates:
                dates[name].add(column, np.ones(len(column), dtype=bool))
            else:
                one, other = number_forms(schema[name], Cells.of(pa.chunked_array([column])))
                in_format[name] &= one
                plainly[name] &= other
    return Schema(
        tuple(
            _as_here(column, in_format[column.name], plainly[column.name], dates.get(column.name))
            if column.name in asked
            else column
            for column in schema.columns
        )
    )


def _as_here(column: Column, in_format: bool, plainly: bool, dates: Tally | None) -> Column:
    if dates is None:
        return replace(column, number_format=None) if plainly and not in_format else column
    found = dates.counts()
    if found is None:
        return column
    form = find_date_format(found[0], found[1][:, 0])
    return replace(column, date_format=form.text if form is not None else "%Y-%m-%d")


def add_notes(total: Notes, one: Notes) -> None:
    """Add to what all batches brought that training never saw what one of them did."""
    for name, levels in one.unseen.items():
        known = total.unseen.setdefault(name, {})
        for level, rows in levels.items():
            place = level if level in known or len(known) < MOST_LEVELS else OTHERS
            known[place] = known.get(place, 0) + rows
    for counts, more in (
        (total.newly_missing, one.newly_missing),
        (total.outside, one.outside),
    ):
        for name, rows in more.items():
            counts[name] = counts.get(name, 0) + rows


def rechunked(
    batches: Iterator[tuple[np.ndarray, pa.RecordBatch]], rows: int
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """The same rows in tables of exactly `rows` each, the last one smaller."""
    pa = require("pyarrow", extra="tabular")
    waiting: list[Any] = []
    ids: list[np.ndarray] = []
    for places, piece in batches:
        waiting.append(piece)
        ids.append(places)
        while sum(map(len, ids)) >= rows:
            table, all_ids = pa.Table.from_batches(waiting), np.concatenate(ids)
            yield all_ids[:rows], table.slice(0, rows)
            waiting = table.slice(rows).to_batches()
            ids = [all_ids[rows:]] if len(all_ids) > rows else []
    if ids:
        yield np.concatenate(ids), pa.Table.from_batches(waiting)
