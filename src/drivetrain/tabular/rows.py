"""Rows that are to be predicted, brought into the columns that a model was trained on.

A source is what training takes (a file or a frame), or rows by themselves: a dict of values by column
name, or a list of such dicts. One dict goes a short way that needs no Arrow: a row's prediction takes a
fraction of a millisecond to prepare.
"""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import DataError
from drivetrain.tabular.columns.dates import expand_dates
from drivetrain.tabular.columns.kinds import Schema, parse_frame

MOST_NAMED = 5
"""Columns that a message lists."""


@dataclass(frozen=True)
class Reader:
    """From a source to a frame of a model's columns; plain JSON."""

    schema: Schema
    """Kinds and formats of the source's columns."""
    features: tuple[str, ...]
    """Columns that are used, dates not yet expanded."""
    dates: Mapping[str, bool]
    """Date columns of `features`: whether they tell the time of day."""
    missing: tuple[str, ...]
    """Words that mean a value is missing."""

    def read(self, source: Any) -> tuple[Frame, list[str]]:
        """The frame of a source's rows, and notes on what was repaired.

        Raises: DataError: a column that the model needs is not there, or the source cannot be read.
        """
        if isinstance(source, Mapping) and not any(_is_column(v) for v in source.values()):
            return self.rows([source]), []
        if isinstance(source, Sequence) and not isinstance(source, str | bytes | os.PathLike):
            if not all(isinstance(row, Mapping) for row in source):
                raise DataError("Rows to predict are dicts: column name -> value.")
            return self.rows(list(source)), []
        opened = open_table(source, missing=self.missing)
        table = opened.read()
        self.check(table.column_names)
        frame, notes = parse_frame(table, self.schema, names=self.features, row_ids=opened.row_ids)
        return self.expand(frame), [*opened.report.notes, *notes]

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> Frame:
        """The frame of rows given as dicts; a column that a row leaves out is missing in it.

        Raises: DataError: no row has a column, a row has one that is unknown, or a value cannot be read.
        """
        known = {column.name for column in self.schema.columns}
        for row in rows:
            for name in row:
                if name not in known:
                    near = did_you_mean(str(name), known)
                    raise DataError(f"The model knows no column {str(name)[:100]!r}.{near}")
        self.check({name for row in rows for name in row})
        columns: dict[str, Values] = {}
        for name in self.features:
            cells = [self._cell(name, row.get(name)) for row in rows]
            kind = self.schema[name].kind
            if kind == "category":
                columns[name] = Factor.of(cells)
            elif kind == "date":
                columns[name] = np.array(cells, dtype="datetime64[us]")
            else:
                columns[name] = np.array(cells, dtype=np.float64)
        return self.expand(Frame(columns))

    def expand(self, frame: Frame) -> Frame:
        """Dates as columns of numbers, the same as in training."""
        return expand_dates(frame, has_time=self.dates) if self.dates else frame

    def check(self, names: Any) -> None:
        """Raises: DataError: a column that the model needs is not among `names`."""
        gone = [name for name in self.features if name not in names]
        if gone:
            shown = ", ".join(f"'{name}'" for name in gone[:MOST_NAMED])
            more = f" and {len(gone) - MOST_NAMED} more" if len(gone) > MOST_NAMED else ""
            raise DataError(
                f"The table lacks {shown}{more}, which the model needs. Add the column; a value that is "
                "not known is left empty."
            )

    def _cell(self, name: str, value: Any) -> Any:
        """A value as the column holds it: a float, a word or None, a datetime64."""
        column = self.schema[name]
        if isinstance(value, str):
            value = value.strip()
            if value in self.missing:
                value = None
        if column.kind == "category":
            if isinstance(value, str) and column.number_format is not None:
                return self._by_text(name, value)  # codes: 3.0 is 3
            return None if value is None or value != value else _word(value)
        if column.kind == "date":
            if isinstance(value, str):
                return self._by_text(name, value)
            if isinstance(value, datetime.datetime) and value.tzinfo is not None:
                value = value.astimezone(datetime.UTC).replace(tzinfo=None)
            return np.datetime64("NaT") if value is None else np.datetime64(value, "us")
        if value is None:
            return math.nan
        if isinstance(value, str):
            if column.number_format is None:
                try:
                    value = float(value)
                except ValueError:
                    return self._by_text(name, value)
            else:
                return self._by_text(name, value)
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise DataError(
                f"The column '{name}' holds numbers. Got {str(value)[:80]!r}."
            ) from None
        return number if math.isfinite(number) else math.nan

    def _by_text(self, name: str, text: str) -> Any:
        """A cell that is written as training's cells were, by the reader of whole columns."""
        opened = open_table({name: [text]}, missing=self.missing)
        frame, _ = parse_frame(opened.read(), self.schema, names=[name])
        values = frame[name]
        if isinstance(values, Factor):
            return values.values()[0]
        value = values[0]
        if value != value:  # neither NaN nor NaT is equal to itself
            what = _KINDS[self.schema[name].kind]
            raise DataError(f"The column '{name}' holds {what}. Got {text[:80]!r}.")
        return value

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "schema": self.schema.to_json(),
            "features": list(self.features),
            "dates": dict(self.dates),
            "missing": list(self.missing),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Reader:
        """What `to_json` wrote."""
        return cls(
            Schema.from_json(record["schema"]),
            tuple(map(str, record["features"])),
            {str(name): bool(has) for name, has in record["dates"].items()},
            tuple(map(str, record["missing"])),
        )


_KINDS = {"number": "numbers", "date": "dates", "category": "words"}


def _is_column(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _word(value: Any) -> str:
    """A value as the word that a file would hold for it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(value)
