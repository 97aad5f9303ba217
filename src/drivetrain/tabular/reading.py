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

import hashlib
import os
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain._registry import did_you_mean
from drivetrain.data.items import Quarantined
from drivetrain.errors import DataError
from drivetrain.store import file_sha256
from drivetrain.tabular.csv_bytes import Survey, Utf8Stream, check_file, first_bytes, survey
from drivetrain.tabular.csv_dialect import Dialect, find_dialect, unique_names

if TYPE_CHECKING:
    import pyarrow as pa

# fmt: skip
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
_SPARSE_MARKS = frozenset({"", "?", "NaN", "nan", "-nan", "NaT", "<NA>", "\\N"})
"""Words that never mean anything but a missing value."""


@dataclass(frozen=True)
class ReadReport:
    """What reading a table found and repaired."""

    source: str
    """The path as given, or `a data frame`."""
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

    def __init__(self, source: str, names: Sequence[str], missing: Iterable[str]) -> None:
        self.source = source
        self.names: tuple[str, ...] = tuple(names)
        """Of the columns, each once."""
        self._missing = {"", *(word.strip() for word in missing)}
        self._notes: list[str] = []
        self._found: _Found | None = None

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
        pieces = list(self._pieces(ROWS, found))
        whole = pa.Table.from_batches(pieces).combine_chunks()
        del pieces
        cleaned = self._clean(whole.to_batches()[0] if len(whole) else None, found)
        self._finish(found)
        if cleaned is None:
            raise AssertionError("a source without rows is refused above")
        return pa.Table.from_batches([cleaned])

    def batches(self, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """The table in pieces of at most `rows` rows, for tables larger than memory.

        Raises: DataError: as `read`, once it is met.
        """
        found = _Found()
        for piece in self._pieces(rows, found):
            for start in range(0, piece.num_rows, rows):
                cleaned = self._clean(piece.slice(start, rows), found)
                if cleaned is not None:
                    yield cleaned
        self._finish(found)

    @property
    def row_ids(self) -> np.ndarray:
        """(N,) int64, where each row that was kept stands in the source; 0 is the first."""
        found = self._whole()
        count = found.rows + len(found.set_aside)
        kept = np.ones(count, dtype=bool)
        kept[np.array(found.set_aside, dtype=np.int64)] = False
        return np.flatnonzero(kept).astype(np.int64)

    @property
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

    def _clean(self, piece: pa.RecordBatch | None, found: _Found) -> pa.RecordBatch | None:
        """Words stripped, missing ones null."""
        if piece is None or not piece.num_rows:
            return None
        pa = require("pyarrow", extra="tabular")
        found.rows += piece.num_rows
        columns = []
        for name, column in zip(piece.schema.names, piece.columns, strict=True):
            is_text = pa.types.is_string(column.type)
            columns.append(_cleaned(name, column, self._missing, found) if is_text else column)
        return pa.RecordBatch.from_arrays(columns, names=list(piece.schema.names))

    def _finish(self, found: _Found) -> None:
        aside = len(found.set_aside)
        if aside > found.rows:
            raise DataError(
                f"{aside:,} of the {aside + found.rows:,} rows of {self.source} do not have the header's "
                f"{len(self.names)} fields: {found.records[0].detail} {self._advice()}"
            )
        if not found.rows:
            columns = "1 column" if len(self.names) == 1 else f"{len(self.names)} columns"
            raise DataError(f"{self.source} names {columns} and has no rows.")
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

    Raises: DataError: the source cannot be read as a table, or lacks a column of `columns`.
    """
    if isinstance(missing, str):
        missing = (missing,)
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source)).expanduser()
        check_file(path)
        if first_bytes(path, 4) == b"PAR1":
            return _ParquetSource(path, missing, columns)
        if path.suffix.lower() in (".parquet", ".pq"):
            raise DataError(
                f"{path} is not a Parquet file, or a damaged one: it does not begin as one."
            )
        return _CsvSource(path, missing, columns, delimiter, encoding)
    return _FrameSource(source, missing, columns)


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
    ) -> None:
        self._survey: Survey = survey(path, encoding)
        self._dialect: Dialect = find_dialect(
            self._survey.sample,
            is_whole=self._survey.is_whole,
            source=str(path),
            delimiter=delimiter,
        )
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
            found.set_aside, found.records = array("q"), []
            try:
                for piece in self._parsed(block, found):
                    fresh = piece.slice(min(max(done - passed, 0), piece.num_rows))
                    passed += piece.num_rows
                    if fresh.num_rows:
                        done, last = passed, fresh
                        yield fresh
            except pa.ArrowInvalid as error:
                if "straddl" not in str(error):
                    raise DataError(f"{self.source} cannot be read: {_first_line(error)}") from None
                if block < LONGEST_ROW:  # begin again with longer blocks, and skip what is done
                    block *= 8
                    continue
                raise DataError(
                    f"A row of {self.source}, after the first {done:,}, is longer than "
                    f"{LONGEST_ROW >> 20} MB. Perhaps a quote that opens in it is never closed."
                ) from None
            break
        if self._survey.quotes % 2 and last is not None and not found.set_aside:
            lines = _lines_within(last)
            if lines:
                found.repairs[
                    f"A quote that opens in the last row is never closed: {lines + 1} lines were read as "
                    "one cell. Correct the file."
                ] = None

    def _parsed(self, block: int, found: _Found) -> Iterator[pa.RecordBatch]:
        pa = require("pyarrow", extra="tabular")
        csv = require("pyarrow.csv", extra="tabular")
        names = self._dialect.names
        skip = len(self._survey.sample[: self._dialect.start].encode())

        def set_aside(row: Any) -> str:
            found.set_aside.append(row.number - 1)
            if len(found.records) < MOST_RECORDS:
                found.records.append(_ragged(row))
            return "skip"

        with Utf8Stream(self._survey, skip) as stream:
            body = stream.read_up_to(2)
            if not body:
                return
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

    def __init__(
        self, path: Path, missing: Iterable[str], columns: Sequence[str] | None
    ) -> None:
        self._path = path
        with self._told_as_damage():
            with self._open() as file:
                schema = file.schema_arrow
                dropped = [name for name in schema.names if name.startswith("__index_level_")]
                raw = [name for name in schema.names if name not in dropped]
        notes: list[str] = []
        if len(set(raw)) != len(raw):
            raise DataError(f"{path} has two columns of one name, which cannot be told apart.")
        names = unique_names(raw, notes)
        self._raw = dict(zip(names, raw, strict=True))
        super().__init__(str(path), _chosen(names, columns, str(path)), missing)
        self._notes += notes
        self.names, gone = _plain_names(schema, self.names, self._raw)
        self._notes += gone
        if not self.names:
            raise DataError(f"{path} has no column that can be used.")

    def _open(self) -> Any:
        parquet = require("pyarrow.parquet", extra="tabular")
        return parquet.ParquetFile(str(self._path), page_checksum_verification=True)

    def _told_as_damage(self) -> Any:
        return _DamageToDataError(self._path)

    def _sha256(self) -> str:
        try:
            return file_sha256(self._path)
        except OSError as error:
            raise DataError(f"{self._path} cannot be read: {error.strerror}.") from None

    def _pieces(self, rows: int, found: _Found) -> Iterator[pa.RecordBatch]:
        wanted = [self._raw[name] for name in self.names]
        with self._told_as_damage(), self._open() as file:
            for piece in file.iter_batches(batch_size=rows, columns=wanted, use_threads=False):
                piece.validate(full=True)
                yield _plain_batch(piece.select(wanted), self.names, found)


class _FrameSource(TableSource):
    """A table that is in memory already."""

    def __init__(
        self, frame: Any, missing: Iterable[str], columns: Sequence[str] | None
    ) -> None:
        notes: list[str] = []
        table = _as_arrow(frame, notes)
        names = unique_names([str(name) for name in table.schema.names], notes)
        table = table.rename_columns(list(names))
        super().__init__("The data frame", _chosen(names, columns, "The data frame"), missing)
        self._notes += notes
        self.names, gone = _plain_names(
            table.schema, self.names, {name: name for name in self.names}
        )
        self._notes += gone
        if not self.names:
            raise DataError("The data frame has no column that can be used.")
        self._table = table.select(list(self.names))

    def _pieces(self, rows: int, found: _Found) -> Iterator[pa.RecordBatch]:
        pa = require("pyarrow", extra="tabular")
        for piece in self._table.to_batches(max_chunksize=rows):
            try:
                piece.validate(full=True)
                yield _plain_batch(piece, self.names, found)
            except pa.ArrowException as error:
                raise DataError(f"The data frame is damaged: {_first_line(error)}") from None

    def _sha256(self) -> str:
        digest = hashlib.sha256()
        for name, column in zip(self.names, self.read().columns, strict=True):
            _hash_column(digest, name, column)
        return digest.hexdigest()


class _DamageToDataError:
    """Whatever a decoder says to foreign bytes means one thing: the file is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, DataError | GeneratorExit):
            return
        if isinstance(error, OSError | ValueError | OverflowError | LookupError | MemoryError | NotImplementedError):
            raise DataError(
                f"{self._path} is not a Parquet file that can be read: {_first_line(error)}"
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
        notes.append(f"{_count(found.nuls, 'NUL character')} were taken out.".replace("1 NUL character were", "1 NUL character was"))
    return notes


def _ragged(row: Any) -> Quarantined:
    text = row.text
    start = " ".join(text[:200].split())
    start = start if len(start) <= 60 else f"{start[:59]}…"
    code = "too-few-fields" if row.actual_columns < row.expected_columns else "too-many-fields"
    fields = _count(row.actual_columns, "field")
    lines = text.count("\n") + 1
    over = f" over {lines:,} lines, perhaps by a quote that is not closed" if lines > 1 else ""
    return Quarantined(
        f"row {row.number}",
        code,
        f"Row {row.number} has {fields}{over}, and the header {row.expected_columns}: {start!r}.",
    )


def _lines_within(last: pa.RecordBatch) -> int:
    """Line ends in the last row's cells."""
    cells = [column[-1].as_py() for column in last.columns]
    return max(cell.count("\n") if cell else 0 for cell in cells)


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
    for name, words in found.missing.items():
        for word, count in words.items():
            if not word:
                continue
            totals[word] += count
    for word, count in totals.most_common(SHOWN):
        where = [name for name, words in found.missing.items() if word in words]
        notes.append(f"{word!r} was read as missing: {_count(count, 'cell')}, in {_listed(where)}.")
    for name, words in found.missing.items():
        rows = found.words[name] + sum(words.values())
        for word, count in words.items():
            if word not in _SPARSE_MARKS and count > NOTICED * rows and found.words[name]:
                notes.append(
                    f"{word!r} stands in {count:,} of the {rows:,} rows of {name!r} and was read as "
                    "missing. If it is a value like others, leave it out of `missing`."
                )
    return notes


def _plain_names(
    schema: pa.Schema, names: Sequence[str], raw: Mapping[str, str]
) -> tuple[tuple[str, ...], list[str]]:
    """The columns that can be used, and notes on the others."""
    kept, notes = [], []
    for name in names:
        kind = schema.field(raw[name]).type
        if _target_type(kind) is None:
            notes.append(f"The column {name!r} holds {kind} and was left out.")
        else:
            kept.append(name)
    return tuple(kept), notes


def _target_type(kind: pa.DataType) -> pa.DataType | None:
    """The type that a column is brought to; None where it is left out."""
    pa = require("pyarrow", extra="tabular")
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if types.is_null(kind) or types.is_string(kind) or types.is_large_string(kind):
        return pa.string()
    if kind == pa.string_view():
        return pa.string()
    if types.is_boolean(kind) or types.is_integer(kind):
        return kind
    if types.is_floating(kind) or types.is_decimal(kind):
        return pa.float64()
    if types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    if types.is_date(kind):
        return pa.timestamp("us")
    if types.is_duration(kind) or types.is_time(kind):
        return pa.float64()
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return pa.string()
    return None


def _plain_batch(
    piece: pa.RecordBatch, names: Sequence[str], found: _Found
) -> pa.RecordBatch:
    pa = require("pyarrow", extra="tabular")
    columns = [
        _plain(name, column, found) for name, column in zip(names, piece.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _plain(name: str, column: pa.Array, found: _Found) -> pa.Array:
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    types = pa.types
    wanted = _target_type(column.type)
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if kind == wanted:
        return column
    if types.is_duration(kind) or types.is_time(kind):
        what = "a length of time" if types.is_duration(kind) else "a time of day"
        found.repairs[f"The column {name!r} holds {what}, read as a number of seconds."] = None
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        whole = pc.cast(column.view(width), pa.float64(), safe=False)
        return pc.divide(whole, float(per_second))
    if types.is_date(kind):
        column = pc.cast(column, pa.timestamp("s"), safe=False)
        kind = column.type
    if types.is_timestamp(kind):
        return _microseconds(name, column, wanted, found)
    if wanted == pa.string() and not types.is_string(kind):
        try:
            return pc.cast(column, wanted)
        except pa.ArrowInvalid:
            found.repairs[
                f"The column {name!r} holds bytes that are no text; they are shown as hexadecimal digits."
            ] = None
            cells = [None if cell is None else cell.hex() for cell in column.to_pylist()]
            return pa.array(cells, pa.string())
    return pc.cast(column, wanted, safe=False)


_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""Seconds from 1970 to the years 1 and 9999: what a date of Python can be."""


def _microseconds(name: str, column: pa.Array, wanted: pa.DataType, found: _Found) -> pa.Array:
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    whole = column.view(pa.int64())
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    low, high = max(_FIRST * per_second, -(2**63)), min(_LAST * per_second, 2**63 - 1)
    inside = pc.and_(pc.greater_equal(whole, low), pc.less_equal(whole, high))
    outside = int(pc.sum(pc.invert(inside)).as_py() or 0)
    if outside:
        found.repairs[f"Dates of {name!r} outside the years 1 to 9999 were read as missing."] = None
        column = pc.if_else(inside, column, pa.scalar(None, column.type))
    return pc.cast(column, wanted, safe=False)


def _as_arrow(frame: Any, notes: list[str]) -> pa.Table:
    """Any frame as an Arrow table; columns that Arrow cannot type become text."""
    pa = require("pyarrow", extra="tabular")
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    home = type(frame).__module__.partition(".")[0]
    if home == "pandas" and hasattr(frame, "columns"):
        return _from_pandas(frame, notes)
    if home == "polars" and hasattr(frame, "collect"):
        frame = frame.collect()
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__arrow_c_array__"):
        try:
            return pa.table(frame)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(
                f"The {type(frame).__name__} is not a table with columns: {_first_line(error)}"
            ) from None
    if isinstance(frame, Mapping):
        return _from_columns({str(name): values for name, values in frame.items()}, notes)
    if isinstance(frame, Sequence) and frame and all(isinstance(row, Mapping) for row in frame):
        names = list(dict.fromkeys(name for row in frame for name in row))
        return _from_columns(
            {str(name): [row.get(name) for row in frame] for name in names}, notes
        )
    raise DataError(
        f"A table is a path, a frame of pandas, polars or Arrow, or a dict of columns. Got "
        f"{type(frame).__name__}."
    )


def _from_pandas(frame: Any, notes: list[str]) -> pa.Table:
    pa = require("pyarrow", extra="tabular")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index(allow_duplicates=True)
    names = [
        " ".join(str(part) for part in name) if isinstance(name, tuple) else str(name)
        for name in frame.columns
    ]
    columns = []
    for place, name in enumerate(names):
        series = frame.iloc[:, place]
        try:
            columns.append(pa.Array.from_pandas(series))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            columns.append(_as_words(series.tolist(), name, notes))
    flat = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    return pa.Table.from_arrays(flat, names=names)


def _from_columns(columns: Mapping[str, Any], notes: list[str]) -> pa.Table:
    pa = require("pyarrow", extra="tabular")
    made: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise DataError(
                f"The column {name!r} is a list or an array of values. Got {type(values).__name__}."
            )
        if isinstance(values, np.ndarray) and values.ndim != 1:
            raise DataError(f"The column {name!r} is one value a row. Got shape {values.shape}.")
        try:
            made[name] = pa.array(values, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            made[name] = _as_words(list(values), name, notes)
    lengths = {name: len(values) for name, values in made.items()}
    if len(set(lengths.values())) > 1:
        first, *others = lengths
        other = next(name for name in others if lengths[name] != lengths[first])
        raise DataError(
            f"The column {other!r} has {lengths[other]} rows, and {first!r} has {lengths[first]}."
        )
    flat = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in made.values()]
    return pa.Table.from_arrays(flat, names=list(made))


def _as_words(values: Sequence[Any], name: str, notes: list[str]) -> pa.Array:
    pa = require("pyarrow", extra="tabular")
    notes.append(f"The column {name!r} mixes values of several types; all were read as text.")
    words = [None if value is None or value != value else str(value) for value in values]
    return pa.array(words, pa.string())


def _hash_column(digest: Any, name: str, column: pa.ChunkedArray) -> None:
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    values = pa.concat_arrays(column.chunks)
    digest.update(repr((name, str(values.type), len(values))).encode())
    digest.update(np.packbits(values.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_string(values.type):
        values = pc.fill_null(values, "")
        digest.update(pc.binary_length(values).to_numpy().tobytes())
        offsets, data = values.buffers()[1:]
        places = np.frombuffer(offsets, dtype=np.int32)[values.offset :][: len(values) + 1]
        digest.update(memoryview(data or b"")[places[0] : places[-1]])
        return
    if pa.types.is_timestamp(values.type):
        values = values.view(pa.int64())
    values = pc.fill_null(values, False if pa.types.is_boolean(values.type) else 0)
    digest.update(values.to_numpy(zero_copy_only=False).tobytes())


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {_count(more, 'more column')}" if more > 0 else shown


def _count(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0][:200]
    return line if line.endswith(".") else f"{line}."
