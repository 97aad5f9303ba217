"""How a script reads its table: the shortest way that gives the very columns of the run.

The library's reader is made for any file; a script reads one. So short ways are tried on the file
itself, column by column, and each is taken only where what it gives was compared with what the library
read, to the last bit:

    numbers and dates    converted by `pyarrow` while it reads; else from words, as the library does
    words                as they stand; else without the blanks around them, or made the same

The functions at the end are those that such a script calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import EjectError
from drivetrain.tabular.columns.date_text import EPOCHS, from_epoch, parse_dates
from drivetrain.tabular.columns.kinds import parse_frame
from drivetrain.tabular.columns.number_text import BOOLEAN, parse_numbers
from drivetrain.tabular.columns.parsing import same_words
from drivetrain.tabular.columns.schema import Column

if TYPE_CHECKING:
    import pyarrow as pa

    from drivetrain.tabular.data import TabularData

MOST_WORDS = 40
"""Words that a script lists as missing."""
PLAIN = "{}.to_numpy()"
"""How numbers and dates become arrays, where nothing stands in the way."""


@dataclass(frozen=True)
class Way:
    """One way from a column of a file to its values."""

    type: str
    """A function of `pyarrow` that gives what a CSV file's column is read as, such as `float64`."""
    text: str
    """An expression, `{}` in the place of the column."""
    values: Callable[[Any], Values]
    """What it gives."""
    uses: tuple[Callable[..., Any], ...] = ()
    """What the text calls."""
    form: str | None = None
    """How the column's dates are written, for `pyarrow`."""
    written: str = ""
    """How the column's dates are written, where they are read as words."""
    setting: str = ""
    """Name of a constant that lists the columns, where it is not the usual way of their kind."""
    reason: str = ""
    """What is special about them."""


@dataclass
class Reading:
    """The way of each column, and how the file is opened."""

    is_parquet: bool
    ways: dict[str, Way]
    """By column, in the order of the table."""
    missing: tuple[str, ...] = ()
    """Words that mean a value is missing."""
    read: dict[str, Any] = field(default_factory=dict)
    """Options of `pyarrow.csv.ReadOptions`."""
    parse: dict[str, Any] = field(default_factory=dict)
    """Options of `pyarrow.csv.ParseOptions`."""
    frame: Frame = field(default_factory=lambda: Frame({}))
    """The columns, as the library read them."""

    def columns(self, path: Path, names: Sequence[str]) -> dict[str, Values]:
        """These columns of a file, as the script reads them.

        Raises: pyarrow.ArrowException: it cannot.
        """
        table = self.table(path, names)
        return {name: self.ways[name].values(table[name]) for name in names}

    def table(self, path: Path, names: Sequence[str]) -> pa.Table:
        """The same before the cells become values. Raises: as `columns`."""
        pa = require("pyarrow", extra="tabular")
        if self.is_parquet:
            parquet = require("pyarrow.parquet", extra="tabular")
            return parquet.read_table(path, columns=list(names))
        types = {name: _type(pa, self.ways[name].type) for name in names}
        return self.csv(path, types, self.missing)

    def csv(self, path: Path, types: dict[str, Any], missing: Sequence[str]) -> pa.Table:
        """These columns of a CSV file, of these types."""
        csv = require("pyarrow.csv", extra="tabular")
        forms = {} if not self.forms else {"timestamp_parsers": self.forms}
        parse = dict(self.parse)
        if "invalid_row_handler" in parse:
            parse["invalid_row_handler"] = lambda row: "skip"
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(**self.read),
            parse_options=csv.ParseOptions(**parse),
            convert_options=csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=list(missing),
                strings_can_be_null=bool(missing),
                **forms,
            ),
        )

    @property
    def forms(self) -> list[str]:
        """How the dates are written that `pyarrow` reads by itself."""
        return list(dict.fromkeys(w.form for w in self.ways.values() if w.form is not None))


def find_reading(data: TabularData, names: Sequence[str]) -> Reading:
    """The shortest way to read columns of a table's file.

    Args:
        data: read from a file.
        names: the columns, in the order of the table.

    Raises: EjectError: none gives the columns of the run.
    """
    path, recipe = Path(data.source), data.recipe
    opened = open_table(
        path,
        delimiter=recipe["delimiter"],
        encoding=recipe["encoding"],
        missing=recipe["missing"],
    )
    frame, _ = parse_frame(opened.read(), data.schema, names=names)
    is_parquet = data.report.format == "parquet"
    missing = tuple(sorted({"", *(word.strip() for word in recipe["missing"])}))
    tries = {
        name: list(_parquet_ways(column, missing) if is_parquet else _csv_ways(column))
        for name, column in ((name, data.schema[name]) for name in names)
    }
    found = Reading(is_parquet, {name: ways[0] for name, ways in tries.items()}, frame=frame)
    if is_parquet:
        found.missing = missing
    else:
        words = _opened(found, path, data, frame)
        found.missing = _missing(words, frame, missing)
    while wrong := _wrong(found, path, frame):
        for name in wrong:
            del tries[name][0]
            if not tries[name]:
                raise unreadable(path, f"its column '{name}'")
            found.ways[name] = tries[name][0]
    if any(way is TRIMMED for way in found.ways.values()):  # one way for all words
        found.ways = {n: TRIMMED if w is WORDS else w for n, w in found.ways.items()}
        assert not _wrong(found, path, frame), "words without blanks around them stay as they are"
    return found


def unreadable(path: Path, what: str) -> EjectError:
    """The error for something of a table that no short way reads as the run did."""
    return EjectError(
        f"A script cannot read {path.name} ({what}) as simply as it has to, and get what the run got. "
        "Save the table anew, such as by `pandas.read_csv(…).to_csv(…, index=False)`, and train on that."
    )


# --- what is tried --------------------------------------------------------------------------------


def _plainly(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy()


def _as_numbers(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(require("pyarrow", extra="tabular").float64()).to_numpy()


def _csv_ways(column: Column) -> Iterable[Way]:
    """Ways to read a column of a CSV file, the shortest first."""
    form = column.number_format
    if column.kind == "number":
        if form == BOOLEAN:
            yield replace(
                _CASTED, type="bool_", setting="FLAGS", reason="true and false, as 1 and 0"
            )
        elif form is None:
            yield Way("float64", PLAIN, _plainly)
        else:
            yield _SIGNED
            yield _WITH_COMMA
        yield _written_numbers(form)
    elif column.kind == "date":
        dates = column.date_format or "%Y-%m-%d"
        if dates in EPOCHS:
            yield Way(
                "float64",
                f"from_epoch({PLAIN}, {dates!r})",
                lambda numbers: from_epoch(numbers.to_numpy(), dates),
                (from_epoch,),
                setting="COUNTED",
                reason=f"dates that are written as a number, {dates}",
            )
        else:
            yield Way("timestamp", PLAIN, _plainly)
            yield Way("timestamp", PLAIN, _plainly, form=dates)
            yield Way("timestamp", PLAIN, _plainly, form=f"{dates.replace('%H', '%I')} %p")
        yield _written_dates(dates)
    else:
        yield WORDS
        yield TRIMMED
        yield _same_words(form)


def _parquet_ways(column: Column, missing: Sequence[str]) -> Iterable[Way]:
    """Ways to read a column of a Parquet file, the shortest first."""
    if column.kind == "number":
        yield Way("", PLAIN, _plainly)
        yield replace(_CASTED, setting="COUNTS", reason="numbers of other types")
        yield _written_numbers(column.number_format)
    elif column.kind == "date":
        yield Way("", "{}.cast(pa.timestamp('us')).to_numpy()", _moments)
        yield _written_dates(column.date_format or "%Y-%m-%d")
    else:
        yield WORDS
        yield Way(
            "",
            "as_words({}.cast(pa.string()))",
            lambda c: as_words(c.cast(require("pyarrow", extra="tabular").string())),
            (as_words,),
            setting="CODES",
            reason="categories that are no words in the file",
        )
        yield Way(
            "",
            "as_words(present(trimmed({}), MISSING))",
            lambda words: as_words(present(trimmed(words), missing)),
            (as_words, present, trimmed),
            setting="MARKED",
            reason="columns of words in which some of MISSING stand, or blanks around words",
        )


_CASTED = Way("", "{}.cast(pa.float64()).to_numpy()", _as_numbers)


def _signed(column: pa.ChunkedArray) -> np.ndarray:
    pc = require("pyarrow.compute", extra="tabular")
    return _as_numbers(pc.replace_substring_regex(column, _ALL_SIGNS, ""))


def _with_comma(column: pa.ChunkedArray) -> np.ndarray:
    pc = require("pyarrow.compute", extra="tabular")
    words = pc.replace_substring_regex(column, _ALL_SIGNS.replace(".", ","), "")
    return _as_numbers(pc.replace_substring(words, ",", "."))


_ALL_SIGNS = r"[^\d.eE+-]"
_SIGNED = Way(
    "string",
    f"compute.replace_substring_regex({{}}, r'{_ALL_SIGNS}', '').cast(pa.float64()).to_numpy()",
    _signed,
    setting="SIGNED",
    reason="numbers among other signs, such as 1,200 or 12% or $5",
)
_WITH_COMMA = Way(
    "string",
    "compute.replace_substring(compute.replace_substring_regex({}, "
    f"r'{_ALL_SIGNS.replace('.', ',')}', ''), ',', '.').cast(pa.float64()).to_numpy()",
    _with_comma,
    setting="WITH_COMMA",
    reason="numbers with a decimal comma",
)


def _moments(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(require("pyarrow", extra="tabular").timestamp("us")).to_numpy()


def _written_numbers(form: str | None) -> Way:
    return Way(
        "string",
        f"written_numbers({{}}, {form!r})",
        lambda words: written_numbers(words, form),
        (written_numbers,),
        setting="WRITTEN",
        reason=f"numbers written with {form}" if form else "numbers among which other words stand",
    )


def _written_dates(form: str) -> Way:
    return Way(
        "string",
        f"written_dates({{}}, {form!r})",
        lambda words: written_dates(words, form),
        (written_dates,),
        written=form,
        setting="WRITTEN_DATES",
        reason=f"dates written as {form}",
    )


def _same_words(form: str | None) -> Way:
    return Way(
        "string",
        f"as_words(same_words(trimmed({{}}), {form!r}))",
        lambda words: as_words(same_words(trimmed(words), form)),
        (as_words, same_words, trimmed),
        setting="CODES",
        reason="categories of which a level is written in several ways",
    )


def _type(pa: Any, name: str) -> pa.DataType:
    return pa.timestamp("us") if name == "timestamp" else getattr(pa, name)()


# --- trying ---------------------------------------------------------------------------------------


def _opened(found: Reading, path: Path, data: TabularData, frame: Frame) -> pa.Table:
    """Settle how the text is cut into cells; gives the columns as the words that stand there.

    Raises: EjectError: `pyarrow` finds other rows than the run did.
    """
    pa = require("pyarrow", extra="tabular")
    report = data.report
    if report.encoding not in (None, "utf-8"):
        plain = report.encoding.removesuffix("-le").removesuffix("-be")
        found.read["encoding"] = plain if report.has_bom else report.encoding
    if report.delimiter not in (None, ","):
        found.parse["delimiter"] = report.delimiter
    if any(row.reason in ("too-few-fields", "too-many-fields") for row in report.quarantined):
        found.parse["invalid_row_handler"] = "skip"
    types = dict.fromkeys(frame.names, pa.string())
    read, parse = found.read, found.parse
    all_names = list(data.schema.names)
    for lines in (0, 1, 2):  # of the header that are passed over, names being given
        for within in ({}, {"newlines_in_values": True}):
            found.read = read | ({"column_names": all_names, "skip_rows": lines} if lines else {})
            found.parse = parse | within
            try:
                table = replace(found, ways={}).csv(path, types, ())
            except (pa.ArrowException, KeyError, UnicodeError, LookupError):
                continue
            if table.num_rows == len(frame):
                return table
    raise unreadable(path, "its rows")


def _missing(words: pa.Table, frame: Frame, known: Sequence[str]) -> tuple[str, ...]:
    """Words that stand where the run has nothing, and never where it has something."""
    pa, pc = require("pyarrow", extra="tabular"), require("pyarrow.compute", extra="tabular")
    gone: dict[str, int] = {}
    kept: set[str] = set()
    for name in frame.names:
        is_missing = _missing_rows(frame[name])
        coded = words[name].combine_chunks().dictionary_encode()
        texts, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy()
        counts = np.bincount(codes[is_missing], minlength=len(texts))
        for place in np.flatnonzero(counts).tolist():
            gone[texts[place]] = gone.get(texts[place], 0) + int(counts[place])
        kept |= set(pc.unique(words[name].filter(pa.array(~is_missing))).to_pylist())
    found = [word for word in gone if word not in kept]
    found.sort(key=lambda word: (-gone[word], word))
    usual = [word for word in found if word.strip() in known]
    return tuple(found if len(found) <= MOST_WORDS else usual) or ("",)


def _missing_rows(values: Values) -> np.ndarray:
    if isinstance(values, Factor):
        return values.codes < 0
    return np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)


def _wrong(found: Reading, path: Path, frame: Frame) -> list[str]:
    """Columns that cannot be read so, or come out otherwise than in the run."""
    errors = (require("pyarrow", extra="tabular").ArrowException, ValueError, KeyError, TypeError)
    try:
        columns = found.columns(path, frame.names)
    except errors:
        wrong = []
        for name in frame.names:
            try:
                found.columns(path, [name])
            except errors:
                wrong.append(name)
        return wrong
    return [name for name in frame.names if not are_equal(columns[name], frame[name])]


def are_equal(one: Values, other: Values) -> bool:
    """To the last bit; levels of words may stand in another order."""
    if isinstance(one, Factor) or isinstance(other, Factor):
        if not (isinstance(one, Factor) and isinstance(other, Factor)):
            return False
        return np.array_equal(one.recoded(other.levels).codes, other.codes)
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind:
        return False
    if one.dtype.kind == "M":
        return np.array_equal(one.astype("datetime64[us]"), other, equal_nan=True)
    if one.dtype != np.float64:
        return False
    is_number = ~np.isnan(other)
    same_gaps = np.array_equal(np.isnan(one), ~is_number)
    return same_gaps and np.array_equal(
        one[is_number].view(np.int64), other[is_number].view(np.int64)
    )


# --- what a script calls --------------------------------------------------------------------------


def as_words(column: pa.ChunkedArray) -> Factor:
    """A column of words as codes into its levels."""
    words = column.combine_chunks().dictionary_encode()
    return Factor(words.indices.fill_null(-1).to_numpy(), tuple(words.dictionary.to_pylist()))


def trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Words without the blanks around them."""
    pc = require("pyarrow.compute", extra="tabular")
    return pc.utf8_trim_whitespace(column)


def present(column: pa.ChunkedArray, missing: Sequence[str]) -> pa.ChunkedArray:
    """Words, but for those that mean a value is missing."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    return pc.if_else(pc.is_in(column, pa.array(missing)), None, column)


def written_numbers(column: pa.ChunkedArray, number_format: str | None) -> np.ndarray:
    """(N,) float64 of numbers that are written as words, NaN where there is none."""
    words = column.combine_chunks().dictionary_encode()
    numbers, _ = parse_numbers(words.dictionary, number_format)
    return np.append(numbers, np.nan)[words.indices.fill_null(-1).to_numpy()]


def written_dates(column: pa.ChunkedArray, date_format: str) -> np.ndarray:
    """(N,) datetime64 of dates that are written as words, NaT where there is none."""
    words = column.combine_chunks().dictionary_encode()
    dates = parse_dates(words.dictionary, date_format).values
    return np.append(dates, np.datetime64("NaT"))[words.indices.fill_null(-1).to_numpy()]


WORDS = Way("string", "as_words({})", as_words, (as_words,))
TRIMMED = Way(
    "string",
    "as_words(trimmed({}))",
    lambda words: as_words(trimmed(words)),
    (as_words, trimmed),
)
