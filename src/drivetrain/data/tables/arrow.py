"""Arrow, for what a table needs of it: any frame as an Arrow table, any column as one of a few types.

Afterwards a column is strings, booleans, whole numbers, float64, or timestamps in microseconds.
Dates become timestamps; decimals, lengths of time and times of day become float64, the latter two in
seconds; what has no such form (lists, structs, maps) has no `plain_type` and is left out by the reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
FIRST, LAST = -62_135_596_800, 253_402_300_799
"""Seconds from 1970 to the start of the year 1 and the end of 9999: what a date of Python can be."""


def first_line(error: BaseException) -> str:
    """What a library says, as one sentence of bounded length."""
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0][:200]
    return line if line.endswith(".") else f"{line}."


def plain_type(kind: pa.DataType) -> pa.DataType | None:
    """The type that a column of type `kind` is brought to; None where there is none."""
    pa = require("pyarrow", extra="tabular")
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_boolean(kind) or types.is_integer(kind):
        return kind
    if types.is_floating(kind) or types.is_decimal(kind):
        return pa.float64()
    if types.is_duration(kind) or types.is_time(kind):
        return pa.float64()
    if types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    if types.is_date(kind):
        return pa.timestamp("us")
    texts = (
        types.is_null, types.is_string, types.is_large_string, types.is_string_view,
        types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary,
    )  # fmt: skip
    return pa.string() if any(is_kind(kind) for is_kind in texts) else None


def plain_column(name: str, column: pa.Array, told: dict[str, None]) -> pa.Array:
    """The column in its plain type; sentences on what that changes are put into `told`."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    types = pa.types
    wanted = plain_type(column.type)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_duration(kind) or types.is_time(kind):
        what = "lengths of time" if types.is_duration(kind) else "times of day"
        told[f"The column {name!r} holds {what}; they were read as seconds."] = None
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        whole = pc.cast(column.view(width), pa.float64(), safe=False)
        return pc.divide(whole, float(PER_SECOND[kind.unit]))
    if types.is_date(kind):
        return _microseconds(name, pc.cast(column, pa.timestamp("s"), safe=False), wanted, told)
    if types.is_timestamp(kind):
        return _microseconds(name, column, wanted, told)
    if kind == wanted:
        return column
    if wanted == pa.string():
        return _text(name, column, told)
    return pc.cast(column, wanted, safe=False)


def as_arrow(frame: Any, notes: list[str]) -> pa.Table:
    """Any frame as an Arrow table; a column that Arrow has no type for becomes text, with a note.

    Raises: DataError: it is no table.
    """
    pa = require("pyarrow", extra="tabular")
    if isinstance(frame, pa.Table):
        return frame
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
                f"The {type(frame).__name__} is not a table with columns: {first_line(error)}"
            ) from None
    if isinstance(frame, Mapping):
        return _from_columns({str(name): values for name, values in frame.items()}, notes)
    is_rows = isinstance(frame, Sequence) and all(isinstance(row, Mapping) for row in frame)
    if is_rows and len(frame):
        names = list(dict.fromkeys(name for row in frame for name in row))
        return _from_columns({str(name): [row.get(name) for row in frame] for name in names}, notes)
    raise DataError(
        "A table is a path, a frame of pandas, polars or Arrow, or a dict of columns. Got "
        f"{type(frame).__name__}."
    )


def hash_column(digest: Any, name: str, column: pa.ChunkedArray) -> None:
    """Feed a hash with a column of a plain type: its name, type, and values, however it is chunked."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    values = pa.concat_arrays(column.chunks)
    digest.update(repr((name, str(values.type), len(values))).encode())
    digest.update(np.packbits(values.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_string(values.type):
        values = pc.fill_null(values, "")
        digest.update(pc.binary_length(values).to_numpy(zero_copy_only=False).tobytes())
        _, offsets, data = values.buffers()
        places = np.frombuffer(offsets, dtype=np.int32)[values.offset :][: len(values) + 1]
        digest.update(memoryview(data or b"")[places[0] : places[-1]])
        return
    if pa.types.is_timestamp(values.type):
        values = values.view(pa.int64())
    values = pc.fill_null(values, False if pa.types.is_boolean(values.type) else 0)
    digest.update(values.to_numpy(zero_copy_only=False).tobytes())


def _microseconds(
    name: str, column: pa.Array, wanted: pa.DataType | None, told: dict[str, None]
) -> pa.Array:
    """Timestamps of any unit in microseconds, rounded down."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    whole = pc.fill_null(column.view(pa.int64()), 0).to_numpy(zero_copy_only=False)
    per_second = PER_SECOND[column.type.unit]
    seconds = whole // per_second
    is_outside = (seconds < FIRST) | (seconds > LAST)
    if is_outside.any():
        told[f"Dates of {name!r} outside the years 1 to 9999 were read as missing."] = None
    seconds = np.where(is_outside, 0, seconds)
    rest = np.where(is_outside, 0, whole % per_second)
    micro = seconds * 10**6 + rest * 10**6 // per_second
    gone = ~column.is_valid().to_numpy(zero_copy_only=False) | is_outside
    return pa.array(micro, pa.int64(), mask=gone).view(wanted)


def _text(name: str, column: pa.Array, told: dict[str, None]) -> pa.Array:
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    try:
        return pc.cast(column, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        told[f"The column {name!r} holds bytes that are no text, shown in hexadecimal digits."] = (
            None
        )
        cells = [None if cell is None else bytes(cell).hex() for cell in column.to_pylist()]
        return pa.array(cells, pa.string())


def _from_pandas(frame: Any, notes: list[str]) -> pa.Table:
    """Column by column, so that names may come twice and one bad column does not spoil the others."""
    pa = require("pyarrow", extra="tabular")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index(allow_duplicates=True)
    names, columns = [], []
    for place, name in enumerate(frame.columns):
        names.append(" ".join(map(str, name)) if isinstance(name, tuple) else str(name))
        series = frame.iloc[:, place]
        try:
            columns.append(_flat(pa.Array.from_pandas(series)))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            columns.append(_as_words(series.tolist(), names[-1], notes))
    if not columns:
        return pa.table({})
    return pa.Table.from_arrays(columns, names=names)


def _from_columns(columns: Mapping[str, Any], notes: list[str]) -> pa.Table:
    pa = require("pyarrow", extra="tabular")
    made: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise DataError(
                f"The column {name!r} has to be a list or an array of values. Got "
                f"{type(values).__name__}."
            )
        shape = np.shape(values) if isinstance(values, np.ndarray) else (len(values),)
        if len(shape) != 1:
            raise DataError(f"The column {name!r} has to hold one value a row. Got shape {shape}.")
        try:
            made[name] = _flat(pa.array(values, from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            made[name] = _as_words(list(values), name, notes)
    lengths = {name: len(values) for name, values in made.items()}
    for name, length in lengths.items():
        first = next(iter(lengths))
        if length != lengths[first]:
            raise DataError(
                f"The column {name!r} has {length} rows, and {first!r} has {lengths[first]}."
            )
    return pa.Table.from_arrays(list(made.values()), names=list(made))


def _flat(values: Any) -> pa.Array:
    pa = require("pyarrow", extra="tabular")
    if isinstance(values, pa.ChunkedArray):
        return pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    return values


def _as_words(values: Sequence[Any], name: str, notes: list[str]) -> pa.Array:
    pa = require("pyarrow", extra="tabular")
    notes.append(f"The column {name!r} mixes values of several types; all were read as text.")
    words = [None if value is None or value != value else str(value) for value in values]
    return pa.array(words, pa.string())
