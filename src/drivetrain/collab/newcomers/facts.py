"""Facts about users or items beside their ratings, as a matrix: age, occupation, genres, the year.

    facts = read_facts("u.user", users, names=["user", "age", "sex", "occupation", "zip"])
    facts.values                                      # (M, F), row m belongs to code m
    facts.facts_of({"age": 24, "occupation": "writer"})   # (F,) of somebody new
    facts.notes                                       # what became of each column, in sentences

What a column is, and its means and levels, is learnt from the rows of those that training saw; see
fact_columns.py. A row for somebody else is encoded by what was learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.bundle.fields import Fields
from drivetrain.collab.newcomers.fact_columns import (
    FactColumn,
    Words,
    as_word,
    fit_column,
    unknown_note,
)
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import ConfigError, DataError, ShapeError

FORMAT = 1
"""Of `FactEncoder.to_json`; another is refused."""
MOST_COLUMNS = 10_000
LEAST_COVERED = 0.01
"""Share of the known ids that a column has to hold to be taken for the key when none is named."""


class Codes(Protocol):
    """What is needed of `Ids`."""

    @property
    def names(self) -> tuple[str, ...]:
        """By code, the first is that of the unknown one."""
        ...

    def codes(self, names: Sequence[Any]) -> np.ndarray:
        """(N,) codes, 0 for unknown."""
        ...


@dataclass(frozen=True, eq=False)
class FactEncoder:
    """How rows of a table become facts; fitted by `read_facts`."""

    key: str
    """The column that holds the ids."""
    columns: tuple[FactColumn, ...]
    """All others of the table, in its order."""

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            twin = next(name for name in names if names.count(name) > 1)
            raise DataError(f"Two columns of facts would be called {twin!r}. Rename one.")

    @property
    def names(self) -> tuple[str, ...]:
        """(F,) of the facts."""
        return tuple(name for column in self.columns for name in column.outputs)

    def encode_words(self, table: Mapping[str, Words], count: int) -> Encoded:
        """Columns of words as facts; a column that is not there is missing in every row.

        Args:
            table: name -> (N,) words.
            count: N.
        """
        nothing = Words(np.full(count, -1, dtype=np.int64), ())
        found = [column.encode(table.get(column.name, nothing)) for column in self.columns]
        made = [np.zeros((count, 0), np.float32), *(values for values, _ in found)]
        unknown = {c.name: n for c, (_, n) in zip(self.columns, found, strict=True) if n}
        return Encoded((), np.hstack(made), unknown)

    def encode(self, source: Any, *, names: Sequence[str] | None = None) -> Encoded:
        """Facts of the rows of a table, also of ids that training did not see.

        Args:
            source: as `open_table`.
            names: of the columns of a file without a header.

        Raises: DataError: it cannot be read, or lacks the column of the ids.
        """
        table = _words_of(source, names)[0]
        if self.key not in table:
            raise DataError(
                f"The table has no column {self.key!r}, by which facts are found."
                f"{did_you_mean(self.key, table)}"
            )
        keys = table.pop(self.key)
        found = self.encode_words(table, len(keys.codes))
        words = (*keys.words, "")  # code -1 is the last
        return Encoded(
            tuple(words[code] for code in keys.codes.tolist()), found.values, found.unknown
        )

    def facts_of(self, row: Mapping[str, Any]) -> np.ndarray:
        """(F,) float32 of one new user or item; NaN throughout where nothing is known.

        Args:
            row: column -> value. What it leaves out is missing; columns that were left out of the facts
                may stand there, and are not looked at.

        Raises: DataError: it has a column that the table did not have.
        """
        return self.encode_row(row).values[0]

    def encode_row(self, row: Mapping[str, Any]) -> Encoded:
        """As `facts_of`, with what of it said nothing."""
        known = [column.name for column in self.columns]
        for name in row:
            if name not in known and name != self.key:
                raise DataError(
                    f"There is no fact {name!r}.{did_you_mean(str(name), known)} There are: "
                    f"{', '.join(c.name for c in self.columns if c.kind != 'none')}."
                )
        words = {name: Words.of_values([value]) for name, value in row.items() if name in known}
        found = self.encode_words(words, 1)
        used = {column.name for column in self.columns if column.kind != "none"}
        if not any(len(words[name].words) for name in used & words.keys()):
            found.values[:] = np.nan
        key = as_word(row.get(self.key))
        return Encoded((key or "",), found.values, found.unknown)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "format": FORMAT,
            "key": self.key,
            "columns": [column.to_json() for column in self.columns],
        }

    @classmethod
    def from_json(cls, record: Any, where: str = "A record of facts") -> FactEncoder:
        """What `to_json` wrote, every entry checked.

        Args:
            where: names the file in messages.

        Raises: BundleError: an entry is not what it has to be.
        """
        fields = Fields(record, where)
        fields.whole("format", FORMAT, FORMAT)
        key = fields.text("key")
        columns = tuple(map(FactColumn.from_json, fields.inners("columns", MOST_COLUMNS)))
        fields.end()
        names = [name for column in columns for name in column.outputs]
        if len(set(names)) != len(names) or len({c.name for c in columns}) != len(columns):
            fields.refuse("has two columns of one name")
        return cls(key, columns)


@dataclass(frozen=True, eq=False)
class Encoded:
    """Facts of some rows."""

    ids: tuple[str, ...]
    """(N,) whose they are, as text; empty where they were not asked for."""
    values: np.ndarray
    """(N, F) float32."""
    unknown: Mapping[str, int]
    """Column -> rows whose value said nothing of its own: a level that training did not have, or in few
    rows, or no number where one is needed."""

    @property
    def note(self) -> str:
        """A sentence on `unknown`; empty where there is nothing to say."""
        return unknown_note(self.unknown)


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of users or items beside their ratings."""

    names: tuple[str, ...]
    """(F,) of the columns, such as "age", "occupation=writer", "Comedy"."""
    values: np.ndarray
    """(M, F) float32, row m belongs to code m; NaN where nothing is known, as in row 0."""
    encoder: FactEncoder | None = None
    """What makes facts of new rows; None where the matrix was made by hand."""
    notes: tuple[str, ...] = field(default=())
    """What became of each column, in sentences."""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise ShapeError(
                f"`Facts` needs values (M, {len(self.names)}), a column for each name. Got "
                f"{self.values.shape}."
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_known(self) -> np.ndarray:
        """(M,) bool, whether anything is known of each."""
        return np.asarray((~np.isnan(self.values)).any(1))

    def facts_of(self, row: Mapping[str, Any]) -> np.ndarray:
        """(F,) float32 of one new user or item; see `FactEncoder.facts_of`.

        Raises: ConfigError: the matrix was made by hand.
        """
        if self.encoder is None:
            raise ConfigError(
                "These facts were given as numbers: give those of a new row as numbers too."
            )
        return self.encoder.facts_of(row)


def read_facts(
    source: Any,
    ids: Codes,
    *,
    key: str | None = None,
    names: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> Facts:
    """The facts of users or items in a table.

    Args:
        source: as `open_table`: a file or a frame, one row a user or an item.
        ids: those that training saw. What is learnt of the columns is learnt from their rows alone.
        key: the column of the ids; None: the one that holds most of them.
        names: of the columns of a file without a header.
        drop: columns that are not to be used.

    Raises: DataError: the table cannot be read, no column holds the ids, or no column says anything.
    """
    table, notes = _words_of(source, names)
    for name in (*drop, *([] if key is None else [key])):
        if name not in table:
            raise DataError(
                f"The table of facts has no column {name!r}.{did_you_mean(name, table)} There are: "
                f"{', '.join(table)}."
            )
    if key in drop:
        raise ConfigError(f"The column {key!r} holds the ids and cannot be in `drop`.")
    candidates = (
        {n: w for n, w in table.items() if n not in drop} if key is None else {key: table[key]}
    )
    key, rows, twins = _find_key(candidates, ids)
    if twins:
        rows_have = "1 row has" if twins == 1 else f"{twins:,} rows have"
        notes.append(f"{rows_have} an id that comes again below; the last row counts.")
    known = np.flatnonzero(rows >= 0)
    without = len(rows) - 1 - len(known)
    if without:
        notes.append(f"There are no facts of {without:,} of the {len(rows) - 1:,} ids.")
    chosen = {n: w.take(rows[known]) for n, w in table.items() if n != key and n not in drop}
    encoder = FactEncoder(key, tuple(fit_column(name, words) for name, words in chosen.items()))
    if not encoder.names:
        why = " ".join(column.note() for column in encoder.columns)
        raise DataError(f"No column of the table of facts says anything. {why}".rstrip())
    values = np.full((len(rows), len(encoder.names)), np.nan, dtype=np.float32)
    values[known] = encoder.encode_words(chosen, len(known)).values
    notes += [column.note() for column in encoder.columns]
    return Facts(encoder.names, values, encoder, tuple(notes))


def _words_of(source: Any, names: Sequence[str] | None) -> tuple[dict[str, Words], list[str]]:
    opened = open_table(source, names=names)
    table = opened.read()
    found = {name: Words.of_column(table.column(name)) for name in table.schema.names}
    return found, list(opened.report.notes)


def _find_key(table: Mapping[str, Words], ids: Codes) -> tuple[str, np.ndarray, int]:
    """The column with most of the ids; (M,) the row of each code, -1 for none; rows that are not used."""
    best: tuple[int, str, np.ndarray] | None = None
    for name, words in table.items():
        codes = np.append(np.asarray(ids.codes(words.words), dtype=np.int64), 0)[words.codes]
        covered = len(np.unique(codes[codes > 0]))
        if best is None or covered > best[0]:
            best = (covered, name, codes)
    num = len(ids.names)
    if best is None or best[0] < max(LEAST_COVERED * (num - 1), 1):
        where = f"The column {next(iter(table))!r}" if len(table) == 1 else "No column of the table"
        verb = "holds none or few" if len(table) == 1 else "holds more than few"
        example = f", such as {ids.names[1]!r}" if num > 1 else ""
        raise DataError(
            f"{where} of facts {verb} of the {num - 1:,} ids that training saw{example}. Name the "
            "column of the ids by `key`."
        )
    covered, name, codes = best
    rows = np.full(num, -1, dtype=np.int64)
    rows[codes] = np.arange(len(codes))  # of several, the last
    rows[0] = -1
    return name, rows, int((codes > 0).sum()) - covered
