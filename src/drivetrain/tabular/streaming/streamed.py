"""A table that is not in memory: what the pass over it decides for all of its rows.

Kinds, fill values, means and spreads come from the sample; levels, classes and which columns have gaps
from counts of all training rows. `tabular.encoding` has the pass that writes all rows for the net.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from drivetrain._optional import require
from drivetrain.data.frame import Frame
from drivetrain.data.items import Quarantined
from drivetrain.data.split import Split, split_by_mask
from drivetrain.data.tables.reading import ReadReport, TableSource
from drivetrain.errors import DataError
from drivetrain.tabular.columns.dates import date_parts
from drivetrain.tabular.columns.kinds import Schema, parse_frame
from drivetrain.tabular.columns.parsing import Unread
from drivetrain.tabular.preprocess import CategoryColumn, Preprocess, in_order, not_rare
from drivetrain.tabular.setting_aside import no_target
from drivetrain.tabular.streaming.first import CHANGED, First, Report, look, release
from drivetrain.tabular.streaming.rule import Rule, rule_of
from drivetrain.tabular.target import Target, find_target, words_of


@dataclass
class Streamed:
    """How the rows of a table that is not in memory are read, split and counted."""

    opened: TableSource
    rule: Rule
    first: First
    """Of all rows, its tallies by the final rule."""
    names: tuple[str, ...]
    """Columns of the source that are read for a net: features, targets, and what splits."""
    counts: dict[str, int]
    """Rows that train, validate, and were set aside."""
    report: Report | None = None
    """Is told how far a pass is."""
    notes: list[str] = field(default_factory=list)
    """On cells of the sample that could not be read."""
    encoded: dict[str, Any] = field(default_factory=dict)
    """Rows as a net sees them, by how they were made; see `encoding.encoded`."""

    def split(self, frame: Frame, schema: Schema) -> Split:
        """The split of the sample by the rule.

        Raises: DataError: a part has no row.
        """
        first = self.first
        validates = self.rule.validates(first.ids, first.table, schema)
        mask = validates[np.searchsorted(first.ids, frame.ids)]
        if mask.all() or not mask.any():
            part = "training" if mask.all() else "validation"
            raise DataError(
                f"No row of the sample of {len(mask):,} is for {part}. Choose another `valid`, another "
                "`seed`, or another split."
            )
        return split_by_mask(mask, self.rule.method)

    def target(
        self, frame: Frame, names: Sequence[str], rows: np.ndarray, schema: Schema, **options: Any
    ) -> Target:
        """The target by all training rows where their values were counted, else by those of the sample.

        Args:
            frame: the sample.
            names: columns of the target.
            rows: of the sample that train.
            options: of `find_target`.
        """
        found = self.first.tallies[names[0]].counts() if len(names) == 1 else None
        if found is None:
            return find_target(frame, names, rows=rows, **options)
        values, counts = found
        pa = require("pyarrow", extra="tabular")
        distinct, _ = parse_frame(pa.table({names[0]: values}), schema, names=names)
        trained = np.flatnonzero(counts[:, 1])
        return find_target(distinct, names, rows=trained, **options)

    def learnt(
        self,
        preprocess: Preprocess,
        schema: Schema,
        dates: Mapping[str, bool],
        recipe: Mapping[str, Any],
    ) -> Preprocess:
        """What was learnt of the sample, with the levels and gaps that all training rows have.

        Args:
            preprocess: of the sample's training rows.
            schema: of the table.
            dates: date columns, and whether they tell the time of day.
            recipe: the options of `gather`.
        """
        categories = []
        for column in preprocess.categories:
            counts = self.level_counts(column.name, schema)
            if counts is not None:
                order = recipe["levels"].get(column.name, ())
                levels = in_order(not_rare(counts, recipe["rare"]), order)
                mode = max(levels, key=counts.__getitem__) if levels else None
                rare = tuple(sorted(set(counts) - set(levels)))
                column = CategoryColumn(column.name, levels, mode, rare)
            categories.append(column)
        home = {part: name for name, has in dates.items() for part in date_parts(name, has)}
        numbers = [
            replace(column, has_flag=True)
            if self.has_gaps(home.get(column.name, column.name), schema)
            else column
            for column in preprocess.numbers
        ]
        return replace(preprocess, categories=tuple(categories), numbers=tuple(numbers))

    def level_counts(self, name: str, schema: Schema) -> dict[str, int] | None:
        """Training rows of each level of a category; None where there are too many to count."""
        found = self.first.tallies[name].counts()
        if found is None:
            return None
        pa = require("pyarrow", extra="tabular")
        values, counts = found
        frame, _ = parse_frame(pa.table({name: values}), schema, names=[name])
        words = words_of(frame, name)
        is_known = words.codes >= 0
        rows = np.bincount(
            words.codes[is_known], weights=counts[is_known, 1], minlength=len(words.levels)
        )
        return {words.levels[n]: int(rows[n]) for n in np.flatnonzero(rows).tolist()}

    def has_gaps(self, name: str, schema: Schema) -> bool:
        """Whether a training row lacks a number or a date: it has no cell, or one that cannot be read.

        Of a column of too many values to count, only cells that are not there are known.
        """
        tally = self.first.tallies[name]
        found = tally.counts()
        if tally.missing[1] or found is None:
            return bool(tally.missing[1])
        pa = require("pyarrow", extra="tabular")
        values, counts = found
        frame, _ = parse_frame(pa.table({name: values}), schema, names=[name], unread=Unread())
        read: Any = frame[name]
        gone = np.isnat(read) if read.dtype.kind == "M" else np.isnan(read)
        return bool(counts[gone, 1].any())

    def forget(self) -> None:
        """Give back the memory of what all is learnt from: the sample as read, and the counts."""
        self.first = replace(self.first, table=None, tallies={})
        release()

    def set_aside(self, report: ReadReport, target: Sequence[str]) -> list[Quarantined]:
        """Ragged rows, and those without a target, as far as they are listed."""
        listed = [no_target(position, target) for position in self.first.no_target]
        return [*report.quarantined, *listed]


def follow(
    opened: TableSource,
    first: First,
    split: Split,
    *,
    frame: Frame,
    schema: Schema,
    names: Sequence[str],
    target: Sequence[str],
    by: str | None,
    options: Mapping[str, Any],
    report: Report | None,
) -> Streamed:
    """What the sample and its split decide for all rows; those of a split by time are counted again.

    Args:
        opened: the table.
        first: what the pass over it found.
        split: of the sample, as it would be of a whole table.
        frame: the sample.
        schema: of the table.
        names: columns of the source that are used.
        target: those that a row must have.
        by: the column of the time.
        options: of `gather`.
        report: is told how far a pass is.
    """
    rule = rule_of(split, frame, by, options)
    if rule.method == "time":
        again = look(
            opened.only(names), target, rule, schema=schema, sample_rows=None, report=report
        )
        if again.rows != first.rows:
            raise DataError(CHANGED.format(source=opened.source))
        first = replace(again, table=first.table, ids=first.ids, stamp=first.stamp)
    counts = {
        "train": first.counts["train"],
        "valid": first.counts["valid"],
        "test": 0,
        "quarantined": opened.num_set_aside + first.counts["no_target"],
    }
    return Streamed(opened, rule, first, tuple(names), counts, report)
