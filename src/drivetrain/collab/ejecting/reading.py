"""How a script reads its ratings: the shortest way that gives the very rows of the run.

The library's reader takes any file; a script reads one. So short ways are tried on the file itself,
column by column, and each is taken only where what it gives was compared with what the library read:

    users and items   whole numbers as they are, names by their place among all of them in order
    ratings           as `pyarrow` reads numbers
    times             where the split or a repeated rating asks for them: numbers, or dates

What a name is called does not matter to a script, only how names are ordered: codes follow the order.
The functions at the end are those that such a script calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.collab.data import CollabData, open_ratings
from drivetrain.collab.table.rows import Rows, every_row
from drivetrain.data.tables.reading import TableSource
from drivetrain.errors import EjectError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_WORDS = 40
"""Words that a script lists as missing."""


@dataclass(frozen=True)
class Way:
    """One way from a column of a file to its values."""

    type: str
    """An expression: what a CSV file's column is read as, such as `pa.int64()`."""
    text: str
    """An expression, `{}` in the place of the column."""
    values: Callable[[Any], np.ndarray]
    """What it gives."""
    uses: tuple[Callable[..., Any], ...] = ()
    """What the text calls."""


@dataclass
class Reading:
    """How the file is opened, the way of each column, and what comes out."""

    is_parquet: bool
    roles: dict[str, str]
    """`user`, `item`, of ratings `rating`, and perhaps `time` -> the column."""
    ways: dict[str, Way] = field(default_factory=dict)
    """By role."""
    missing: tuple[str, ...] = ()
    """Words that mean a value is missing, where some of them stand in these columns."""
    drops: bool = False
    """Whether rows that lack a value are left out."""
    drops_infinite: bool = False
    """Whether ratings that are no numbers are left out."""
    read: dict[str, Any] = field(default_factory=dict)
    """Options of `pyarrow.csv.ReadOptions`."""
    parse: dict[str, Any] = field(default_factory=dict)
    """Options of `pyarrow.csv.ParseOptions`."""
    counts_rows: bool = False
    """Whether it also says where in the file each row stands."""
    rows: Any = None
    """The ratings as the library reads them, before slips and repeated ones are taken out."""

    def table(self, path: Path, types: dict[str, str], missing: Sequence[str]) -> pa.Table:
        """These columns of the file.

        Raises: pyarrow.ArrowException, KeyError: it has no such columns, or they are of other types.
        """
        pa = require("pyarrow", extra="tabular")
        if self.is_parquet:
            parquet = require("pyarrow.parquet", extra="tabular")
            return parquet.read_table(path, columns=list(types))
        csv = require("pyarrow.csv", extra="tabular")
        parse = dict(self.parse)
        if "invalid_row_handler" in parse:
            parse["invalid_row_handler"] = lambda row: "skip"
        words = {"null_values": list(missing), "strings_can_be_null": True} if missing else {}
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(**self.read),
            parse_options=csv.ParseOptions(**parse),
            convert_options=csv.ConvertOptions(
                column_types={name: _TYPES[kind](pa) for name, kind in types.items()},
                include_columns=list(types),
                **words,
            ),
        )


def find_reading(data: CollabData, *, with_times: bool, counts_rows: bool) -> Reading:
    """The shortest way to read the ratings of a run.

    Args:
        with_times: the script asks for times.
        counts_rows: the script asks where in the file each row stands.

    Raises: EjectError: they came from memory, the file is another one now, or no short way reads it.
    """
    recipe = data.recipe
    if not isinstance(recipe["source"], str):
        raise EjectError(
            "The run was trained on a data frame, and a script needs a file to read. Write the frame "
            "to a file (`frame.to_parquet('ratings.parquet')`), and train on that."
        )
    path = Path(recipe["source"])
    opened, _ = open_ratings(
        recipe["source"],
        recipe["names"],
        recipe["delimiter"],
        recipe["encoding"],
        recipe["missing"],
    )
    rows = every_row(opened, data.columns)
    report = opened.report
    if report.sha256 != data.sha256:
        raise EjectError(
            f"{path} is not the file any more that the run was trained on. Put that back, and eject "
            "again."
        )
    reasons = {entry.reason for entry in rows.quarantined}
    asks = with_times or "no-time" in reasons or rows.num_set_aside > len(rows.quarantined)
    roles = {"user": data.columns.user, "item": data.columns.item}
    if data.columns.rating is not None:
        roles["rating"] = data.columns.rating
    if asks and data.columns.time is not None:
        roles["time"] = data.columns.time
    is_parquet = report.format == "parquet"
    found = Reading(is_parquet, roles, counts_rows=counts_rows, rows=rows)
    if is_parquet:
        found.drops = bool(rows.num_set_aside)
        table = found.table(path, dict.fromkeys(roles.values(), ""), ())
    else:
        table = _cut(found, path, opened, rows)
    if rows.num_set_aside:
        _drops(found, path, table, recipe["missing"])
        if counts_rows and reasons & {"too-few-fields", "too-many-fields"}:
            raise EjectError(
                "The validation rows were given by their positions, and rows that cannot be read are "
                "among those that are counted. Take these out of the file, and train anew."
            )
    for role in roles:
        found.ways[role] = _way(found, path, role, rows)
    return found


def _unreadable(path: Path, what: str) -> EjectError:
    return EjectError(
        f"A script cannot read {path.name} ({what}) as simply as it has to, and get what the run got. "
        "Save the ratings anew, such as by `pandas.read_csv(…).to_csv(…, index=False)`, and train on "
        "that."
    )


# --- what is tried --------------------------------------------------------------------------------


def _cut(found: Reading, path: Path, opened: TableSource, rows: Rows) -> pa.Table:
    """Settle how the text is cut into cells; gives the columns as the words that stand there.

    Raises: EjectError: `pyarrow` finds other rows than the run did.
    """
    pa = require("pyarrow", extra="tabular")
    report = opened.report
    if report.encoding not in (None, "utf-8"):
        plain = report.encoding.removesuffix("-le").removesuffix("-be")
        found.read["encoding"] = plain if report.has_bom else report.encoding
    if report.delimiter not in (None, ","):
        found.parse["delimiter"] = report.delimiter
    if any(row.reason in ("too-few-fields", "too-many-fields") for row in report.quarantined):
        found.parse["invalid_row_handler"] = "skip"
    types = dict.fromkeys(found.roles.values(), "pa.string()")
    read, parse = found.read, found.parse
    for lines in (None, 0, 1, 2):  # of a header that are passed over, names being given
        for within in ({}, {"newlines_in_values": True}):
            named = {"column_names": list(opened.names)} | ({"skip_rows": lines} if lines else {})
            found.read = read | (named if lines is not None else {})
            found.parse = parse | within
            try:
                table = found.table(path, types, ())
            except (pa.ArrowException, KeyError, UnicodeError, LookupError):
                continue
            if table.num_rows == report.rows:
                return table
    raise _unreadable(path, "its rows")


def _drops(found: Reading, path: Path, table: pa.Table, missing: Sequence[str]) -> None:
    """Settle which words mean that a row is left out."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    if found.is_parquet:
        ratings = table.column(found.roles["rating"]) if "rating" in found.roles else None
        if ratings is not None and pa.types.is_floating(ratings.type):
            found.drops_infinite = not pc.all(pc.is_finite(ratings.drop_null())).as_py()
        return
    known = {"", *(word.strip() for word in missing)}
    gone: dict[str, int] = {}
    for role, name in found.roles.items():
        counts = pc.value_counts(table.column(name)).to_pylist()
        for one in counts:
            word = one["values"]
            plain = (word or "").strip()
            if plain in known or (role == "rating" and not _is_number(plain)):
                gone[word or ""] = gone.get(word or "", 0) + one["counts"]
    if len(gone) > MOST_WORDS:
        raise _unreadable(path, f"{len(gone)} different words stand where a value is missing")
    found.missing = tuple(sorted(gone, key=lambda word: (-gone[word], word)))
    found.drops = bool(gone)


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def _way(found: Reading, path: Path, role: str, rows: Rows) -> Way:
    """The first way that gives a column of the run.

    Raises: EjectError: none does.
    """
    pa = require("pyarrow", extra="tabular")
    name = found.roles[role]
    wanted = {"user": rows.users, "item": rows.items, "rating": rows.ratings, "time": rows.times}
    tries = _TIMES if role == "time" else _RATINGS if role == "rating" else _NAMES
    for way in tries:
        usual = {"rating": "pa.float64()", "time": "pa.string()"}
        types = {one: usual.get(other, "pa.string()") for other, one in found.roles.items()}
        types[name] = way.type
        try:
            table = found.table(path, types, found.missing)
            values = way.values(kept(table, found)[name])
        except (pa.ArrowException, ValueError, KeyError, TypeError, AttributeError):
            continue
        if _same(role, finite(values, table, found, role), wanted[role]):
            return way
    raise _unreadable(path, f"its column '{name}'")


def kept(table: pa.Table, found: Reading) -> pa.Table:
    """The rows that lack nothing, as a script takes them."""
    return table.drop_null() if found.drops else table


def finite(values: np.ndarray, table: pa.Table, found: Reading, role: str) -> np.ndarray:
    """Without the rows whose rating is no number, as a script leaves them out."""
    if not found.drops_infinite:
        return values
    if role == "rating":
        return values[np.isfinite(values)]
    ratings = kept(table, found)[found.roles["rating"]].to_numpy()
    return values[np.isfinite(ratings)]


def _same(role: str, values: np.ndarray, wanted: Any) -> bool:
    """Ratings to the last bit; of the others only the order counts."""
    if wanted is None or values.shape != wanted.shape:
        return False
    if role == "rating":
        return values.dtype == np.float32 and np.array_equal(values, wanted)
    ranks = [np.unique(one, return_inverse=True)[1] for one in (values, wanted)]
    return np.array_equal(ranks[0], ranks[1])


# --- what a script calls --------------------------------------------------------------------------


def places(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) for each name its place among all of them, in order."""
    coded = column.combine_chunks().dictionary_encode()
    order = np.argsort(coded.dictionary.to_pylist())
    return np.argsort(order)[coded.indices.to_numpy()]


def places_of_numbers(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) for each number its place among all of them, in order; they are of any length."""
    coded = column.combine_chunks().dictionary_encode()
    numbers = np.array([int(digits) for digits in coded.dictionary.to_pylist()], dtype=object)
    return np.argsort(np.argsort(numbers))[coded.indices.to_numpy()]


# --- the ways -------------------------------------------------------------------------------------


def _plainly(column: pa.ChunkedArray) -> np.ndarray:
    values = column.to_numpy()
    if values.dtype.kind not in "iuf":
        raise TypeError("no numbers")
    return values


def _trimmed(column: pa.ChunkedArray) -> np.ndarray:
    pc = require("pyarrow.compute", extra="tabular")
    return places(pc.utf8_trim_whitespace(column))


def _as_text(column: pa.ChunkedArray) -> np.ndarray:
    return places(column.cast(require("pyarrow", extra="tabular").string()))


def _as_float32(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy().astype(np.float32)


def _cast_float32(column: pa.ChunkedArray) -> np.ndarray:
    return _as_float32(column.cast(require("pyarrow", extra="tabular").float64()))


def _moments(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy().astype(np.int64)


_TYPES: dict[str, Callable[[Any], Any]] = {
    "pa.int64()": lambda pa: pa.int64(),
    "pa.uint64()": lambda pa: pa.uint64(),
    "pa.float64()": lambda pa: pa.float64(),
    "pa.string()": lambda pa: pa.string(),
    'pa.timestamp("us")': lambda pa: pa.timestamp("us"),
    'pa.timestamp("us", "UTC")': lambda pa: pa.timestamp("us", "UTC"),
}
"""By the text that stands in the script."""

_NAMES: Iterable[Way] = (
    Way("pa.int64()", "{}.to_numpy()", _plainly),
    Way("pa.uint64()", "{}.to_numpy()", _plainly),
    Way("pa.string()", "places({})", places, (places,)),
    Way("pa.string()", "places(compute.utf8_trim_whitespace({}))", _trimmed, (places,)),
    Way("pa.string()", "places_of_numbers({})", places_of_numbers, (places_of_numbers,)),
    Way("pa.string()", "places({}.cast(pa.string()))", _as_text, (places,)),
)
_RATINGS: Iterable[Way] = (
    Way("pa.float64()", "{}.to_numpy().astype(np.float32)", _as_float32),
    Way("pa.float64()", "{}.cast(pa.float64()).to_numpy().astype(np.float32)", _cast_float32),
)
_TIMES: Iterable[Way] = (
    Way("pa.int64()", "{}.to_numpy()", _plainly),
    Way("pa.float64()", "{}.to_numpy()", _plainly),
    Way('pa.timestamp("us")', "{}.to_numpy().astype(np.int64)", _moments),
    Way('pa.timestamp("us", "UTC")', "{}.to_numpy().astype(np.int64)", _moments),
)
