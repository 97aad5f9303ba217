"""Reading a table: a CSV or Parquet file, a frame of pandas, polars or Arrow, a dict of columns.

    source = open_table("adult.csv")
    table = source.read()            # a pyarrow Table; columns of a CSV are strings
    source.report.notes              # what was found and repaired, in sentences
    source.row_ids                   # (N,) where each row stands in the source, counted from 0

Everything is read by `pyarrow`, into Arrow: CSV in pieces, so that `batches` needs the memory of one
piece whatever the file's size. What all sources have in common afterwards:

- Blanks around words are gone, and words such as `NA` or `?` (`DEFAULT_MISSING`) are null.
- Columns are strings, booleans, numbers, dates or timestamps; lists and structs are left out.
- A row with too many or too few fields is set aside (`report.quarantined`), and the rest is read.
- A pandas index is left out unless it has a name; then it is a column.

Nothing is repaired in silence: each repair is a sentence of `report.notes`.
"""

from __future__ import annotations

import copy
import hashlib
import os
import re
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain._registry import did_you_mean
from drivetrain.data.items import Quarantined
from drivetrain.data.tables.arrow import as_arrow, first_line, hash_column, plain_column, plain_type
from drivetrain.data.tables.csv_bytes import Survey, Utf8Stream, check_file, first_bytes, survey
from drivetrain.data.tables.csv_dialect import Dialect, find_dialect, unique_names
from drivetrain.errors import DataError
from drivetrain.store import file_sha256

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_MISSING = (
    "", "?", "-", "--", ".", "NA", "N/A", "n/a", "na", "NaN", "nan", "-nan", "NULL", "null", "Null",
    "None", "NaT", "<NA>", "\\N", "#N/A", "#NA", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!",
    "#NULL!",
)  # fmt: skip
"""Words that mean a value is missing, blanks around them aside."""

ROWS = 65_536
"""Rows of a batch."""
BLOCK = 1 << 20
"""Bytes of text that are cut into rows at a time."""
LONGEST_ROW = 1 << 26
"""Bytes of the longest row that is read."""
MOST_RECORDS = 10_000
"""Rows set aside that are recorded one by one."""
SHOWN = 3
"""Names or words that a note lists."""
NOTICED = 0.1
"""Share of a column's rows above which a word that was read as missing may be one that is meant."""
SELDOM = 5
"""Cells up to which it is not worth a note."""
_SPARSE_MARKS = frozenset({"", "?", "NaN", "nan", "-nan", "NaT", "<NA>", "\\N"})
"""Words that never mean anything but a missing value."""


@dataclass(frozen=True)
class ReadReport:
    """What reading a table found and repaired."""

    source: str
    """The path, or `The data frame`."""
    format: str
    """`csv`, `parquet` or `frame`."""
    rows: int
    """Rows that were read, those set aside not counted."""
    delimiter: str | None
    encoding: str | None
    """A Python codec's name."""
    has_bom: bool
    """Whether the file starts with a byte order mark."""
    line_ends: str | None
    """`LF`, `CRLF`, `CR` or `mixed`."""
    quarantined: tuple[Quarantined, ...]
    """Rows set aside; `row 1` is the first after the header."""
    notes: tuple[str, ...]
    """Sentences on what was repaired."""
    sha256: str
    """Of the file's bytes; of the content for a frame."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "source": self.source,
            "format": self.format,
            "rows": self.rows,
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "has_bom": self.has_bom,
            "line_ends": self.line_ends,
            "quarantined": [row.to_json() for row in self.quarantined],
            "notes": list(self.notes),
            "sha256": self.sha256,
        }


@dataclass
class _Found:
    """What one pass over a source met."""

    rows: int = 0
    """Kept."""
    set_aside: array[int] = field(default_factory=lambda: array("q"))
    """Positions of the rows that were not, ascending."""
    records: list[Quarantined] = field(default_factory=list)
    swallowed: int = 0
    """Lines that stand in a row before them, since a quote was not closed."""
    open_quote: str = ""
    """What is wrong with the last row, where a quote is open at the end of the file."""
    stripped: Counter[str] = field(default_factory=Counter)
    """Column -> cells that had blanks around them."""
    missing: dict[str, Counter[str]] = field(default_factory=dict)
    """Column -> word -> cells that it stood in, and that are missing now."""
    words: Counter[str] = field(default_factory=Counter)
    """Column -> cells that hold a word."""
    repairs: dict[str, None] = field(default_factory=dict)
    """Sentences, in the order in which they came up."""


class TableSource(ABC):
    """A table that was opened; `open_table` makes it.

    Args:
        source: what to call it in messages.
        names: of its columns.
        missing: words that mean a value is missing.
    """

    format = "frame"
    is_bare = False
    """Whether its header is a row of numbers: perhaps the file has none, and wants `names`."""

    def __init__(self, source: str, names: Sequence[str], missing: Iterable[str]) -> None:
        self.source = source
        self.names: tuple[str, ...] = tuple(names)
        """Of the columns, each once."""
        self._missing = {"", *(word.strip() for word in missing)}
        self._notes: list[str] = []
        self._found: _Found | None = None
        if not self.names:
            raise DataError(f"{source} has no column that can be used.")

    @abstractmethod
    def _pieces(self, rows: int, found: _Found) -> Iterator[pa.RecordBatch]:
        """Batches as they come; ragged rows are told to `found`."""

    @abstractmethod
    def _sha256(self) -> str: ...

    def _layout(self) -> dict[str, Any]:
        return {"delimiter": None, "encoding": None, "has_bom": False, "line_ends": None}

    def read(self) -> pa.Table:
        """The whole table. Columns of a CSV are strings, others are as they were.

        Raises: DataError: there are no rows, over half of them are ragged, or the file is damaged.
        """
        pa = require("pyarrow", extra="tabular")
        found = _Found()
        pieces = [piece for piece in self._pieces(ROWS, found) if piece.num_rows]
        if pieces:  # made one, so that words are cleaned once each, not once a batch
            whole = pa.Table.from_batches(pieces).combine_chunks()
            pieces = [self._clean(piece, found) for piece in whole.to_batches()]
        self._finish(found)
        return pa.Table.from_batches(pieces)

    def batches(self, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """The table in pieces of at most `rows` rows, for tables larger than memory.

        Raises: DataError: as `read`, once it is met.
        """
        for _, piece in self.numbered_batches(rows):
            yield piece

    def numbered_batches(self, rows: int = ROWS) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        """As `batches`, each with its part of `row_ids`: (N,) int64, where its rows stand in the source.

        Raises: DataError: as `read`, once it is met.
        """
        found = _Found()
        for piece in self._pieces(rows, found):
            for start in range(0, piece.num_rows, rows):
                first = found.rows
                clean = self._clean(piece.slice(start, rows), found)
                yield _positions(first, clean.num_rows, found.set_aside), clean
        self._finish(found)

    def only(self, columns: Sequence[str]) -> TableSource:
        """The same source, of which just these columns are read; its report is of them.

        Raises: DataError: it lacks one of them.
        """
        made = copy.copy(self)
        made.names = _chosen(self.names, columns, self.source)
        made._found = None
        vars(made).pop("report", None)
        return made

    @property
    def row_ids(self) -> np.ndarray:
        """(N,) int64, where each row that was kept stands in the source; 0 is the first."""
        found = self._whole()
        return _positions(0, found.rows, found.set_aside)

    @property
    def num_set_aside(self) -> int:
        """Rows that were not kept; `report` lists the first of them."""
        return len(self._whole().set_aside)

    @cached_property
    def report(self) -> ReadReport:
        """What was found and repaired; the table is read for it, if it has not been."""
        found = self._whole()
        return ReadReport(
            source=self.source,
            format=self.format,
            rows=found.rows,
            quarantined=tuple(found.records),
            notes=(*self._notes, *found.repairs, *_told(found)),
            sha256=self._sha256(),
            **self._layout(),
        )

    def _whole(self) -> _Found:
        if self._found is None:
            for _ in self.batches():
                pass
        if self._found is None:
            raise AssertionError("a pass to the end leaves what it found")
        return self._found

    def _clean(self, piece: pa.RecordBatch, found: _Found) -> pa.RecordBatch:
        """Words stripped, missing ones null."""
        pa = require("pyarrow", extra="tabular")
        found.rows += piece.num_rows
        columns = []
        for name, column in zip(piece.schema.names, piece.columns, strict=True):
            is_text = pa.types.is_string(column.type)
            columns.append(_cleaned(name, column, self._missing, found) if is_text else column)
        return pa.RecordBatch.from_arrays(columns, names=list(piece.schema.names))

    def _finish(self, found: _Found) -> None:
        aside = len(found.set_aside)
        if found.swallowed > found.rows:
            worst = found.open_quote or found.records[0].detail
            raise DataError(
                f"{self.source} cannot be cut into rows: {worst} "
                f"{_count(found.swallowed, 'line')} ran into others that way. Close the quote, or take "
                "it out."
            )
        if aside > found.rows:
            raise DataError(
                f"{aside:,} of the {aside + found.rows:,} rows of {self.source} have more or fewer "
                f"fields than the header. {found.records[0].detail} {self._advice()}"
            )
        if not found.rows:
            raise DataError(
                f"{self.source} names {_count(len(self.names), 'column')} and has no rows."
            )
        if found.open_quote:
            found.repairs[found.open_quote] = None
        if aside > len(found.records):
            more = aside - len(found.records)
            found.repairs[f"{more:,} more rows were set aside than are listed."] = None
        self._found = found

    def _advice(self) -> str:
        return ""


def open_table(
    source: Any,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    missing: Sequence[str] = DEFAULT_MISSING,
    columns: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> TableSource:
    """Open a table for reading; see the module for what is read, and how.

    Args:
        source: the path of a CSV file (also with another delimiter, or packed with gzip or zstd) or of
            a Parquet file, told apart by content; a frame of pandas, polars, Arrow or of anything else
            that has `__arrow_c_stream__`; a mapping of names to equally long columns; a list of
            mappings, one a row.
        delimiter: of a CSV file; by default found among comma, tab, semicolon and bar.
        encoding: of a CSV file; by default found, see `csv_bytes.survey`.
        missing: words that mean a value is missing; an empty one always does.
        columns: the columns to read, in that order; by default all.
        names: of the columns of a CSV file without a header.

    Raises: DataError: the source cannot be read as a table, or lacks a column of `columns`; `names` are
        given where they are known already, or are more or fewer than the columns.
    """
    if isinstance(missing, str):
        missing = (missing,)
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source)).expanduser()
        check_file(path)
        if first_bytes(path, 4) == b"PAR1":
            _check_unnamed(path, names)
            return _ParquetSource(path, missing, columns)
        if path.suffix.lower() in (".parquet", ".pq"):
            raise DataError(
                f"{path} is not a Parquet file, or a damaged one: it does not begin as one."
            )
        return _CsvSource(path, missing, columns, delimiter, encoding, names)
    _check_unnamed("The data frame", names)
    return _FrameSource(source, missing, columns)


def _check_unnamed(source: Path | str, names: Sequence[str] | None) -> None:
    if names is not None:
        raise DataError(
            f"{source} names its columns itself: `names` is for files without a header."
        )


class _CsvSource(TableSource):
    """A text table in a file."""

    format = "csv"

    def __init__(
        self,
        path: Path,
        missing: Iterable[str],
        columns: Sequence[str] | None,
        delimiter: str | None,
        encoding: str | None,
        given: Sequence[str] | None = None,
    ) -> None:
        self._survey: Survey = survey(path, encoding)
        self._dialect: Dialect = find_dialect(
            self._survey.sample,
            is_whole=self._survey.is_whole,
            source=str(path),
            delimiter=delimiter,
            given=given,
        )
        self.is_bare = self._dialect.is_bare
        names = _chosen(self._dialect.names, columns, str(path))
        super().__init__(str(path), names, missing)
        self._notes += [*_encoding_notes(self._survey, encoding), *self._dialect.notes]
        if self._dialect.line_ends == "mixed":
            self._notes.append("Line ends are mixed (LF, CRLF, CR); each of them ends a row.")

    def _layout(self) -> dict[str, Any]:
        return {
            "delimiter": self._dialect.delimiter,
            "encoding": self._survey.encoding,
            "has_bom": self._survey.has_bom,
            "line_ends": self._dialect.line_ends,
        }

    def _sha256(self) -> str:
        return self._survey.sha256

    def _advice(self) -> str:
        return (
            f"The file was cut at {self._dialect.delimiter!r}: if that is not its delimiter, give "
            "`delimiter`; if its first lines are no header, take them out."
        )

    def _pieces(self, rows: int, found: _Found) -> Iterator[pa.RecordBatch]:
        pa = require("pyarrow", extra="tabular")
        done, block, last = 0, BLOCK, None
        while True:
            passed = 0
            found.set_aside, found.records, found.swallowed = array("q"), [], 0
            try:
                for piece in self._parsed(block, found):
                    fresh = piece.slice(min(max(done - passed, 0), piece.num_rows))
                    passed += piece.num_rows
                    if fresh.num_rows:
                        done, last = passed, fresh
                        yield fresh
            except pa.ArrowInvalid as error:
                if "straddl" not in str(error):
                    raise DataError(f"{self.source} cannot be read: {first_line(error)}") from None
                if block < LONGEST_ROW:  # begin again with longer blocks, and skip what is done
                    block *= 8
                    continue
                raise DataError(
                    f"A row of {self.source}, after the first {done:,}, is longer than "
                    f"{LONGEST_ROW >> 20} MB. Perhaps a quote that opens in it is never closed."
                ) from None
            break
        if self._survey.quotes % 2 and last is not None:
            position = done + len(found.set_aside) - 1
            if not found.set_aside or found.set_aside[-1] < position:  # it is the last of all
                self._check_last(last, position, found)

    def _check_last(self, last: pa.RecordBatch, position: int, found: _Found) -> None:
        """A quote that opens in the last row and is never closed makes one cell of all that follows."""
        cells = [column[-1].as_py() or "" for column in last.columns]
        lines = max(map(_lines, cells))
        if lines > 1:
            found.swallowed += lines - 1
            row = f"Row {position + 1}"
            found.open_quote = (
                f"{row} has a quote that is never closed: {lines:,} lines are one cell."
            )

    def _parsed(self, block: int, found: _Found) -> Iterator[pa.RecordBatch]:
        pa = require("pyarrow", extra="tabular")
        csv = require("pyarrow.csv", extra="tabular")
        names = self._dialect.names
        skip = len(self._survey.sample[: self._dialect.start].encode())

        def set_aside(row: Any) -> str:
            found.set_aside.append(row.number - 1)
            found.swallowed += _lines(row.text) - 1
            if len(found.records) < MOST_RECORDS:
                found.records.append(_ragged(row))
            return "skip"

        with Utf8Stream(self._survey, skip) as stream:
            if not stream.read(1):
                return  # pyarrow refuses nothing at all
        with Utf8Stream(self._survey, skip) as stream:
            reader = csv.open_csv(
                stream,
                read_options=csv.ReadOptions(
                    use_threads=False, block_size=block, column_names=list(names)
                ),
                parse_options=csv.ParseOptions(
                    delimiter=self._dialect.delimiter,
                    newlines_in_values=True,
                    invalid_row_handler=set_aside,
                ),
                convert_options=csv.ConvertOptions(
                    column_types={name: pa.string() for name in names},
                    include_columns=list(self.names),
                    strings_can_be_null=False,
                    check_utf8=True,
                ),
            )
            yield from reader


class _ParquetSource(TableSource):
    """A Parquet file."""

    format = "parquet"

    def __init__(self, path: Path, missing: Iterable[str], columns: Sequence[str] | None) -> None:
        self._path = path
        with _damage(path), self._open() as file:
            schema = file.schema_arrow
        raw = [name for name in schema.names if not name.startswith("__index_level_")]
        if len(set(raw)) != len(raw):
            raise DataError(f"{path} has two columns of one name, which cannot be told apart.")
        notes: list[str] = []
        names = unique_names(raw, notes)
        self._raw = dict(zip(names, raw, strict=True))
        names = _usable(schema, _chosen(names, columns, str(path)), self._raw, notes)
        super().__init__(str(path), names, missing)
        self._notes += notes

    def _open(self) -> Any:
        parquet = require("pyarrow.parquet", extra="tabular")
        return parquet.ParquetFile(str(self._path), page_checksum_verification=True)

    def _sha256(self) -> str:
        try:
            return file_sha256(self._path)
        except OSError as error:
            raise DataError(f"{self._path} cannot be read: {error.strerror}.") from None

    def _pieces(self, rows: int, found: _Found) -> Iterator[pa.RecordBatch]:
        wanted = [self._raw[name] for name in self.names]
        with _damage(self._path), self._open() as file:
            for piece in file.iter_batches(batch_size=rows, columns=wanted, use_threads=False):
                piece.validate(full=True)
                yield _plain_batch(piece.select(wanted), self.names, found)


class _FrameSource(TableSource):
    """A table that is in memory already."""

    def __init__(self, frame: Any, missing: Iterable[str], columns: Sequence[str] | None) -> None:
        notes: list[str] = []
        table = as_arrow(frame, notes)
        names = unique_names([str(name) for name in table.schema.names], notes)
        table = table.rename_columns(list(names))
        same = {name: name for name in names}
        names = _usable(table.schema, _chosen(names, columns, "The data frame"), same, notes)
        super().__init__("The data frame", names, missing)
        self._notes += notes
        self._table = table.select(list(names))

    def _pieces(self, rows: int, found: _Found) -> Iterator[pa.RecordBatch]:
        pa = require("pyarrow", extra="tabular")
        for piece in self._table.select(list(self.names)).to_batches(max_chunksize=rows):
            try:
                piece.validate(full=True)
                plain = _plain_batch(piece, self.names, found)
            except pa.ArrowException as error:
                raise DataError(f"The data frame is damaged: {first_line(error)}") from None
            yield plain

    def _sha256(self) -> str:
        digest = hashlib.sha256()
        for name, column in zip(self.names, self.read().columns, strict=True):
            hash_column(digest, name, column)
        return digest.hexdigest()


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Whatever a decoder says to foreign bytes means one thing: the file is damaged."""
    pa = require("pyarrow", extra="tabular")
    try:
        yield
    except DataError:
        raise
    except (
        pa.ArrowException, OSError, ValueError, OverflowError, LookupError, TypeError, MemoryError,
        NotImplementedError,
    ) as error:  # fmt: skip
        raise DataError(
            f"{path} is not a Parquet file that can be read: {first_line(error)}"
        ) from None


def _chosen(names: Sequence[str], columns: Sequence[str] | None, source: str) -> tuple[str, ...]:
    if columns is None:
        return tuple(names)
    if isinstance(columns, str):
        columns = (columns,)
    for name in columns:
        if name not in names:
            known = ", ".join(map(str, names[:40]))
            raise DataError(
                f"{source} has no column {name!r}.{did_you_mean(str(name), names)} There are: {known}."
            )
    if not columns or len(set(columns)) != len(columns):
        raise DataError("`columns` names one or more different columns.")
    return tuple(columns)


def _encoding_notes(found: Survey, asked: str | None) -> list[str]:
    notes = []
    if asked is None and not found.has_bom and found.encoding != "utf-8":
        called = {"cp1252": "Windows-1252 (cp1252)", "latin-1": "Latin-1"}.get(
            found.encoding, found.encoding.upper()
        )
        notes.append(
            f"The file is not UTF-8 and was read as {called}. If letters look wrong, give `encoding`."
        )
    if found.undecodable:
        notes.append(
            f"{_count(found.undecodable, 'place')} could not be decoded as {found.encoding.upper()}; "
            "U+FFFD (\ufffd) stands there."
        )
    if found.nuls:
        were = "was" if found.nuls == 1 else "were"
        notes.append(f"{_count(found.nuls, 'NUL character')} {were} taken out.")
    return notes


def _positions(first: int, count: int, set_aside: array[int]) -> np.ndarray:
    """(count,) int64, where rows stand in the source that are the `first`-th kept one and those after.

    Args:
        set_aside: positions of rows that were not kept, ascending; all that stand before these rows.
    """
    kept = np.arange(first, first + count, dtype=np.int64)
    if not set_aside:
        return kept
    aside = np.array(set_aside[:], dtype=np.int64)  # a copy: more may come while it is looked at
    before = aside - np.arange(len(aside))  # rows kept before each
    return kept + np.searchsorted(before, kept, side="right")


def _ragged(row: Any) -> Quarantined:
    text = row.text
    start = " ".join(text[:200].split())
    start = start if len(start) <= 60 else f"{start[:59]}…"
    code = "too-few-fields" if row.actual_columns < row.expected_columns else "too-many-fields"
    fields = _count(row.actual_columns, "field")
    lines = _lines(text)
    over = f" over {lines:,} lines, perhaps by a quote that is not closed" if lines > 1 else ""
    return Quarantined(
        f"row {row.number}",
        code,
        f"Row {row.number} has {fields}{over}, and the header {row.expected_columns}: {start!r}.",
    )


def _lines(text: str) -> int:
    return len(re.split(r"\r\n|\r|\n", text.rstrip("\r\n")))


def _cleaned(name: str, column: pa.Array, missing: set[str], found: _Found) -> pa.Array:
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    coded = column.dictionary_encode()
    words = coded.dictionary
    trimmed = pc.utf8_trim_whitespace(words)
    is_stripped = pc.not_equal(trimmed, words).to_numpy(zero_copy_only=False)
    longest = max(map(len, missing))
    is_short = pc.less_equal(pc.utf8_length(trimmed), longest).to_numpy(zero_copy_only=False)
    short = np.flatnonzero(is_short)
    gone = np.zeros(len(words), dtype=bool)
    gone[short] = [word in missing for word in trimmed.take(pa.array(short)).to_pylist()]
    if gone.any() or is_stripped.any() or column.null_count:
        codes = pc.fill_null(coded.indices, len(words)).to_numpy(zero_copy_only=False)
        counts = np.bincount(codes, minlength=len(words) + 1)[:-1]
        stripped = int(counts[is_stripped & ~gone].sum())
        if stripped:
            found.stripped[name] += stripped
        for place in np.flatnonzero(gone).tolist():
            per_word = found.missing.setdefault(name, Counter())
            per_word[trimmed[place].as_py()] += int(counts[place])
        found.words[name] += int(counts[~gone].sum())
        kept = pc.if_else(pa.array(gone), pa.scalar(None, pa.string()), trimmed)
        return kept.take(coded.indices)
    found.words[name] += len(column)
    return column


def _told(found: _Found) -> list[str]:
    """Sentences on what was stripped, and which words are missing values."""
    notes = []
    if found.stripped:
        cells = sum(found.stripped.values())
        notes.append(
            f"Blanks around {_count(cells, 'word')} were taken off, in {_listed(found.stripped)}."
        )
    totals: Counter[str] = Counter()
    for words in found.missing.values():
        totals.update({word: count for word, count in words.items() if word})
    for word, count in totals.most_common(SHOWN):
        where = [name for name, words in found.missing.items() if word in words]
        notes.append(f"{word!r} was read as missing: {_count(count, 'cell')}, in {_listed(where)}.")
    for word in totals:
        if word in _SPARSE_MARKS:
            continue
        often = [
            name
            for name, words in found.missing.items()
            if found.words[name]
            and words[word] > max(NOTICED * (found.words[name] + words.total()), SELDOM)
        ]
        if often:
            notes.append(
                f"{word!r} stands in many rows of {_listed(often)} and was read as missing. If it is a "
                "value like others, leave it out of `missing`."
            )
    return notes


def _usable(
    schema: pa.Schema, names: Sequence[str], raw: Mapping[str, str], notes: list[str]
) -> tuple[str, ...]:
    """The columns that have a plain type; notes say what the others hold."""
    kept = []
    for name in names:
        kind = schema.field(raw[name]).type
        if plain_type(kind) is None:
            notes.append(f"The column {name!r} holds {str(kind)[:80]} and was left out.")
        else:
            kept.append(name)
    return tuple(kept)


def _plain_batch(piece: pa.RecordBatch, names: Sequence[str], found: _Found) -> pa.RecordBatch:
    pa = require("pyarrow", extra="tabular")
    columns = [
        plain_column(name, column, found.repairs)
        for name, column in zip(names, piece.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {_count(more, 'more column')}" if more > 0 else shown


def _count(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"
