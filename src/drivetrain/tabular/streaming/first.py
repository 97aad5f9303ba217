"""The first pass over a table: a sample of its rows, and counts of the values of all of them.

    first = look(open_table("big.csv"), ["price"], Rule("random"))
    first.table            # a uniform sample of the rows, as a pyarrow Table
    first.tallies["city"]  # how often each value occurs: in all rows, and in those that train
    first.counts           # rows that train, rows that validate

Nothing here depends on how the rows are cut into batches: whether a row is of the sample, and whether it
validates, is drawn from its own position (`Rule`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.data.tables.reading import MOST_RECORDS, ROWS, TableSource
from drivetrain.errors import DataError
from drivetrain.tabular.columns.cells import Cells
from drivetrain.tabular.columns.kinds import Schema
from drivetrain.tabular.streaming.rule import Rule, draws
from drivetrain.tabular.streaming.tally import TALLY_BYTES, Tally, is_missing

if TYPE_CHECKING:
    import pyarrow as pa

Report = Callable[[str, int, int | None], None]
"""Is told (what is done, how many are done, how many there are)."""

SAMPLE_ROWS = 200_000
FEWEST_BYTES = 1 << 16
"""What those of one column may take, however many there are."""


@dataclass
class First:
    """What a pass over all rows found."""

    rule: Rule
    table: Any
    """The sample, a pyarrow Table; None where none was taken."""
    ids: np.ndarray
    """(N,) int64 positions of its rows in the source."""
    rows: int
    """Of the source, those without a target and not those that could not be read."""
    tallies: dict[str, Tally]
    counts: dict[str, int]
    """Rows with a target that `train` and `valid`; and `no_target`."""
    stamp: tuple[int, int] | None
    """Size and time of change of the file, as the pass began; None where there is no file."""
    no_target: list[int]
    """Positions of rows without a target, the first `MOST_RECORDS`."""

    def cells(self) -> dict[str, Cells]:
        """Of each column what its kind is decided by: all rows where they could be counted."""
        found = {}
        for name in self.table.column_names:
            cells = self.tallies[name].cells()
            if cells is None:
                cells = Cells.of(self.table[name])
                cells.stands_for = self.rows / max(len(self.table), 1)
            found[name] = cells
        return found


def look(
    opened: TableSource,
    target: Sequence[str],
    rule: Rule,
    *,
    schema: Schema | None = None,
    sample_rows: int | None = SAMPLE_ROWS,
    batch: int = ROWS,
    report: Report | None = None,
) -> First:
    """Pass once over all rows.

    Args:
        opened: the table.
        target: columns that a row must have to train or validate.
        rule: which rows validate.
        schema: what a split by time needs.
        sample_rows: rows of the sample; None takes none.
        batch: rows that are looked at together, which changes nothing in what is found.
        report: is told how far the pass is.

    Raises: DataError: the table cannot be read.
    """
    pa = require("pyarrow", extra="tabular")
    most = max(TALLY_BYTES // len(opened.names), FEWEST_BYTES)
    tallies = {name: Tally(most) for name in opened.names}
    sample = None if sample_rows is None else Sample(sample_rows, rule.seed)
    stamp = None if opened.format == "frame" else stamp_of(opened)
    rows, valid, train, missing = 0, 0, 0, 0
    no_target: list[int] = []
    for ids, piece in opened.numbered_batches(batch):
        table = pa.Table.from_batches([piece])
        gone = np.zeros(len(ids), dtype=bool)
        for name in target:
            gone |= is_missing(piece.column(name))
        validates = rule.validates(ids, table, schema)
        trains = ~validates & ~gone
        for name, tally in tallies.items():
            tally.add(piece.column(name), trains)
        if sample is not None:
            sample.add(ids, table)
        rows += len(ids)
        train, valid = train + int(trains.sum()), valid + int((validates & ~gone).sum())
        missing += int(gone.sum())
        no_target += ids[gone][: MOST_RECORDS - len(no_target)].tolist()
        if report is not None:
            report("rows read", rows, None)
    release()
    taken, places = (None, np.zeros(0, dtype=np.int64)) if sample is None else sample.result()
    counts = {"train": train, "valid": valid, "no_target": missing}
    return First(rule, taken, places, rows, tallies, counts, stamp, no_target)


CHANGED = "{source} changed while it was read. Begin again, when it is as it is to be."


def release() -> None:
    """Give back to the system what Arrow keeps of the batches that are done."""
    require("pyarrow", extra="tabular").default_memory_pool().release_unused()


def stamp_of(opened: TableSource) -> tuple[int, int]:
    """Size and time of change (ns) of a source's file.

    Raises: DataError: it is gone.
    """
    try:
        status = os.stat(opened.source)
    except OSError as error:
        raise DataError(f"{opened.source} cannot be read: {error.strerror}.") from None
    return status.st_size, status.st_mtime_ns


class Sample:
    """A uniform sample of the rows that stream by: those whose draws are the smallest.

    Args:
        rows: to keep.
        seed: of the draws.
    """

    def __init__(self, rows: int, seed: int) -> None:
        self.rows = rows
        self.seed = seed
        self._bound = 1.0
        self._tables: list[Any] = []
        self._ids: list[np.ndarray] = []
        self._draws: list[np.ndarray] = []

    def add(self, ids: np.ndarray, table: pa.Table) -> None:
        """Take what is of the sample, as far as is known, from a batch."""
        drawn = draws(ids, seed=self.seed, purpose="sample rows")
        near = np.flatnonzero(drawn < self._bound)
        if len(near):
            self._tables.append(table.take(near))
            self._ids.append(ids[near])
            self._draws.append(drawn[near])
        if sum(map(len, self._ids)) > 2 * self.rows:
            self._cut()

    def _cut(self) -> None:
        """Keep the rows with the smallest draws, in the order of the source."""
        pa = require("pyarrow", extra="tabular")
        table, ids = pa.concat_tables(self._tables), np.concatenate(self._ids)
        drawn = np.concatenate(self._draws)
        kept = np.sort(np.lexsort((ids, drawn))[: self.rows])
        if len(ids) > self.rows:
            self._bound = float(drawn[kept].max())
        self._tables = [table.take(kept).combine_chunks()]
        self._ids, self._draws = [ids[kept]], [drawn[kept]]

    def result(self) -> tuple[pa.Table, np.ndarray]:
        """The rows, in the order of the source, and (N,) int64 their positions there."""
        self._cut()
        return self._tables[0], self._ids[0]
