"""Tables larger than memory: what has to be known of all rows, found in one pass over batches of them.

    first = look(open_table("big.csv"), ["price"], Rule("random"))
    first.table            # a uniform sample of the rows, as a pyarrow Table
    first.tallies["city"]  # how often each value occurs: in all rows, and in those that train
    first.counts           # rows that train, rows that validate

Kinds, fill values, means and spreads come from the sample; levels, classes and which columns have gaps
from counts of all training rows. Nothing here depends on how the rows are cut into batches: whether a
row is of the sample, and whether it validates, is drawn from its own position (`Rule`).

`data.gather` learns from this pass; `encoding` has the one that writes all rows for the net.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from drivetrain._optional import require
from drivetrain.data.frame import Frame
from drivetrain.data.items import Quarantined
from drivetrain.data.split import Split, split_by_mask
from drivetrain.data.tables.csv_bytes import first_bytes
from drivetrain.data.tables.reading import MOST_RECORDS, ROWS, ReadReport, TableSource
from drivetrain.errors import ConfigError, DataError
from drivetrain.randomness import item_keys, uniforms
from drivetrain.tabular.columns.cells import Cells
from drivetrain.tabular.columns.date_text import find_date_format
from drivetrain.tabular.columns.dates import date_parts
from drivetrain.tabular.columns.kinds import Column, Schema, parse_frame
from drivetrain.tabular.columns.number_text import parse_numbers
from drivetrain.tabular.columns.parsing import Unread, number_forms
from drivetrain.tabular.preprocess import (
    CategoryColumn,
    Notes,
    Preprocess,
    in_order,
    not_rare,
)
from drivetrain.tabular.target import Target, find_target, words_of
from drivetrain.train.memory import free_memory, size

if TYPE_CHECKING:
    import pyarrow as pa

Report = Callable[[str, int, int | None], None]

SAMPLE_ROWS = 200_000
SHARE = 0.25
"""Of the free memory that a table may take before it is streamed."""
GROWTH = 3
"""Bytes of memory for a byte of CSV, about: words, their codes, and the columns that are made of them."""
PACKED = 4
"""Bytes of CSV for a byte of it packed, about."""
MOST_VALUES = 200_000
"""Different values of a column that are counted."""
TALLY_BYTES = 1 << 27
"""What the counts of all columns may take."""
FEWEST_BYTES = 1 << 16
"""What those of one column may take, however many there are."""
MOST_LEVELS = 1000
"""Unseen levels of a column that are told apart; the rows of others are counted together."""
OTHERS = "…"


# --- whether -----------------------------------------------------------------------------------------


def bytes_in_memory(path: Path) -> int:
    """About how much memory a table takes when it is read whole.

    Of a Parquet file its pages unpacked, as its metadata tell; of a CSV file `GROWTH` times its size.
    """
    start = first_bytes(path, 4)
    if start == b"PAR1":
        parquet = require("pyarrow.parquet", extra="tabular")
        meta = parquet.read_metadata(str(path))
        return sum(meta.row_group(n).total_byte_size for n in range(meta.num_row_groups))
    packed = PACKED if start[:2] == b"\x1f\x8b" or start == b"\x28\xb5\x2f\xfd" else 1
    return GROWTH * packed * os.stat(path).st_size


def why_streamed(source: Any, asked: bool | None) -> str | None:
    """Why a table is read in batches, in a sentence; None where it is read whole.

    Args:
        source: as `reading.open_table` takes it.
        asked: whether it is to be; None where that is to be found out.

    Raises: ConfigError: a table that is in memory already is to be streamed.
    """
    is_file = isinstance(source, str | os.PathLike)
    if asked and not is_file:
        raise ConfigError(
            "`stream` reads a file batch by batch, and this table is in memory already. Leave it out."
        )
    if asked is not None or not is_file:
        return "as asked" if asked else None
    path = Path(os.fspath(source)).expanduser()
    try:
        needed = bytes_in_memory(path)
    except Exception:  # noqa: BLE001 - what is wrong with the file is said where it is opened
        return None
    free = free_memory(torch.device("cpu"))
    if free is None or needed <= SHARE * free:
        return None
    return (
        f"read whole it would take about {size(needed)} of memory, more than a quarter of the "
        f"{size(free)} that are free"
    )


# --- which rows --------------------------------------------------------------------------------------


def draws(positions: np.ndarray, *, seed: int, purpose: str) -> np.ndarray:
    """(N,) float64 in [0, 1), drawn from each row's position alone.

    Args:
        positions: (N,) int64 of the rows in their source.
    """
    high, low = uniforms(positions.astype(np.uint64), 2, seed=seed, purpose=purpose).numpy().T
    return high.astype(np.float64) + low.astype(np.float64) * 2.0**-24  # 48 bits


@dataclass(frozen=True)
class Rule:
    """Which rows validate, decided of each row by itself: no memory of other rows is needed.

    random, stratified    a draw from the row's position: of every class about the same share
    group                 a draw from the group's name; a row without one is a group by itself
    time                  rows after `bound` (or from it on: `from_bound`); those without a time train
    given                 the rows at `positions`
    """

    method: str
    valid: float = 0.2
    """Share for validation."""
    seed: int = 42
    column: str | None = None
    """That of the group, or the time."""
    bound: str | float | None = None
    """A date as ISO text, or a number."""
    from_bound: bool = False
    positions: tuple[int, ...] = ()

    def validates(self, ids: np.ndarray, table: pa.Table, schema: Schema | None) -> np.ndarray:
        """(N,) bool, which rows of a batch validate.

        Args:
            ids: (N,) int64 positions of the rows in their source.
            table: their columns, as read.
            schema: how a time is written; not needed for other methods.
        """
        if self.method == "given":
            return np.isin(ids, np.array(self.positions, dtype=np.int64))
        if self.method == "group":
            assert self.column is not None, "a split by group has its column"
            return _group_draws(table[self.column], ids, self.seed) < self.valid
        if self.method == "time":
            assert self.column is not None and schema is not None, "a split by time has its column"
            frame, _ = parse_frame(table, schema, names=[self.column], unread=Unread())
            times: Any = frame[self.column]
            bound = np.datetime64(self.bound, "us") if isinstance(self.bound, str) else self.bound
            return times >= bound if self.from_bound else times > bound
        return draws(ids, seed=self.seed, purpose="split rows") < self.valid

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"positions": list(self.positions)}


def early_rule(options: Mapping[str, Any]) -> Rule:
    """The rule as far as options tell before a row was read: a split by time is found out later."""
    valid, seed = options["valid"], options["seed"]
    if isinstance(valid, list):
        return Rule("given", seed=seed, positions=tuple(valid))
    share = (
        valid if isinstance(valid, float | int) else 0.5
    )  # a date: what is counted is counted anew
    by_group = options["split"] in (None, "group") and options["groups"] is not None
    return Rule(
        "group" if by_group else "random",
        valid=share,
        seed=seed,
        column=options["groups"] if by_group else None,
    )


def rule_of(split: Split, frame: Frame, by: str | None, options: Mapping[str, Any]) -> Rule:
    """The rule that does to all rows what a split did to a sample of them.

    Args:
        split: of the sample, as it would be of a whole table.
        frame: the sample.
        by: the column of the time.
        options: those of `data.gather`.
    """
    early = early_rule(options)
    if split.method != "time":
        return replace(early, method=split.method)
    assert by is not None, "a split by time has its column"
    times: Any = frame[by]
    if isinstance(options["valid"], str):
        bound, from_bound = np.datetime64(options["valid"], "us"), True
    else:
        trained = times[np.array(split.train, dtype=np.int64)]
        is_known = ~(np.isnat(trained) if trained.dtype.kind == "M" else np.isnan(trained))
        bound, from_bound = trained[is_known].max(), False
    told = str(bound) if times.dtype.kind == "M" else float(bound)
    return Rule("time", early.valid, early.seed, by, told, from_bound)


def _group_draws(column: pa.ChunkedArray, ids: np.ndarray, seed: int) -> np.ndarray:
    """(N,) a draw for each row, the same for all rows of a group."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    cells = Cells.of(column)
    values = cells.values
    if cells.is_date:  # as text a date looks otherwise in a batch without times of day
        values = values.view(pa.int64())
    words = cells.texts if values is cells.values else pc.cast(values, pa.string())
    numbers, is_number = parse_numbers(words, None)
    names = words.to_pylist()
    for place in np.flatnonzero(is_number & np.isfinite(numbers)).tolist():
        names[place] = repr(float(numbers[place]) + 0.0)  # 3, 3.0 and 03 are one group
    keys = np.append(item_keys(names), np.uint64(0))[cells.codes]
    own = cells.codes == cells.distinct
    found = uniforms(keys, 1, seed=seed, purpose="split groups")[:, 0].numpy().astype(np.float64)
    found[own] = draws(ids[own], seed=seed, purpose="split groups")
    return found


# --- one pass ----------------------------------------------------------------------------------------


class Tally:
    """How many rows have each value of a column, in all and of those that train, up to a bound.

    Args:
        most_bytes: that the values may take; beyond it, and beyond `MOST_VALUES` different ones, only the
            missing ones are counted on.
    """

    def __init__(self, most_bytes: int = TALLY_BYTES) -> None:
        self.most_bytes = most_bytes
        self.is_whole = True
        """Whether every value was counted."""
        self.rows = 0
        self.missing = np.zeros(2, dtype=np.int64)
        """Rows without a value: of all, and of those that train."""
        self._values: list[Any] = []
        self._counts: list[np.ndarray] = []
        self._merged = 0

    def add(self, column: pa.Array, trains: np.ndarray) -> None:
        """Count a batch; `trains` (N,) bool says which of its rows train."""
        self.rows += len(column)
        if not self.is_whole:
            gone = is_missing(column)
            self.missing += (int(gone.sum()), int((gone & trains).sum()))
            return
        pa = require("pyarrow", extra="tabular")
        cells = Cells.of(pa.chunked_array([column]))
        of_training = np.bincount(cells.codes[trains], minlength=cells.distinct + 1)
        self.missing += (cells.missing, int(of_training[cells.distinct]))
        self._values.append(cells.values)
        self._counts.append(np.stack([cells.counts, of_training[: cells.distinct]], axis=1))
        waiting = sum(len(values) for values in self._values) - self._merged
        if waiting > max(self._merged, ROWS):
            self._merge()

    def _merge(self) -> None:
        pa = require("pyarrow", extra="tabular")
        if len(self._values) > 1:
            coded = pa.concat_arrays(self._values).dictionary_encode()
            codes = coded.indices.to_numpy(zero_copy_only=False)
            counts = np.concatenate(self._counts)
            values = coded.dictionary
            sums = [np.bincount(codes, weights=counts[:, which]) for which in (0, 1)]
            self._values = [values]
            self._counts = [np.stack(sums, axis=1).round().astype(np.int64)]
        self._merged = sum(len(values) for values in self._values)
        taken = sum(values.nbytes for values in self._values) + 16 * self._merged
        if self._merged > MOST_VALUES or taken > self.most_bytes:
            self.is_whole, self._values, self._counts = False, [], []

    def counts(self) -> tuple[Any, np.ndarray] | None:
        """The values (D,), in the order in which rows first had them, and (D, 2) rows of each.

        None where there were too many.
        """
        if self.is_whole:
            self._merge()
        return (self._values[0], self._counts[0]) if self.is_whole and self._values else None

    def cells(self) -> Cells | None:
        """The values of all rows, for what is decided of a column."""
        found = self.counts()
        return (
            None if found is None else Cells.counted(found[0], found[1][:, 0], int(self.missing[0]))
        )


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
    """Pass once over all rows; see the module.

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


def release() -> None:
    """Give back to the system what Arrow keeps of the batches that are done."""
    require("pyarrow", extra="tabular").default_memory_pool().release_unused()


def is_missing(column: pa.Array) -> np.ndarray:
    """(N,) bool: null, or a number that is not finite."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    gone = pc.is_null(column)
    if pa.types.is_floating(column.type):
        gone = pc.or_(gone, pc.invert(pc.fill_null(pc.is_finite(column), False)))
    return gone.to_numpy(zero_copy_only=False)


# --- what follows from it ----------------------------------------------------------------------------


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
            recipe: the options of `data.gather`.
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
        options: of `data.gather`.
        report: is told how far a pass is.
    """
    rule = rule_of(split, frame, by, options)
    if rule.method == "time":
        again = look(
            opened.only(names), target, rule, schema=schema, sample_rows=None, report=report
        )
        _check_same(opened, first.rows, again.rows)
        first = replace(again, table=first.table, ids=first.ids, stamp=first.stamp)
    counts = {
        "train": first.counts["train"],
        "valid": first.counts["valid"],
        "test": 0,
        "quarantined": opened.num_set_aside + first.counts["no_target"],
    }
    return Streamed(opened, rule, first, tuple(names), counts, report)


def _check_same(opened: TableSource, before: int, now: int) -> None:
    if before != now:
        raise DataError(CHANGED.format(source=opened.source))


CHANGED = "{source} changed while it was read. Begin again, when it is as it is to be."


def no_target(position: int, target: Sequence[str]) -> Quarantined:
    """The record of a row that has no target."""
    what = " and ".join(f"'{name}'" for name in target)
    return Quarantined(f"row {position + 1}", "no-target", f"The target {what} is missing.")


def stamp_of(opened: TableSource) -> tuple[int, int]:
    """Size and time of change (ns) of a source's file.

    Raises: DataError: it is gone.
    """
    try:
        status = os.stat(opened.source)
    except OSError as error:
        raise DataError(f"{opened.source} cannot be read: {error.strerror}.") from None
    return status.st_size, status.st_mtime_ns


# --- other tables, batch by batch --------------------------------------------------------------------


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
