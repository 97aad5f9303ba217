"""What is known of a table's columns: the kind of each, the reason, how its text is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from drivetrain._registry import did_you_mean
from drivetrain.bundle.fields import Fields
from drivetrain.errors import BundleError, DataError
from drivetrain.tabular.columns.date_text import is_date_format
from drivetrain.tabular.columns.number_text import is_number_format

KINDS = ("number", "category", "date", "text", "id", "constant")
LEFT_OUT = ("text", "id", "constant")
"""Kinds that models do not see."""
WIDEST = 30
"""Letters of a name in a printed table."""


@dataclass(frozen=True)
class Column:
    """What is known of a column."""

    name: str
    """As the table has it."""
    kind: str
    """One of `KINDS`."""
    reason: str
    """Why, in a sentence with the figures."""
    missing: int
    """Cells without a value, or with one that cannot be read."""
    distinct: int
    """Different values among the others."""
    rows: int
    """Cells of the column."""
    date_format: str | None = None
    """How the dates of a text column are written, see `date_text`; None where they are no text."""
    number_format: str | None = None
    """How the numbers of a text column are written, see `number_text`; None for plain ones."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Any, where: str = "The schema") -> Column:
        """What `to_json` wrote.

        Args:
            record: plain JSON.
            where: what it is read from, for a message.

        Raises: BundleError: it is something else.
        """
        fields = Fields(record, where)
        name = fields.take("name")
        if not isinstance(name, str):
            fields.wrong("name", "a text", name)
        rows = fields.whole("rows", 0, 1 << 53)
        made = cls(
            name=name,
            kind=fields.word("kind", KINDS),
            reason=fields.text("reason", most=10_000),
            missing=fields.whole("missing", 0, rows),
            distinct=fields.whole("distinct", 0, rows),
            rows=rows,
            date_format=_format(fields, "date_format", is_date_format),
            number_format=_format(fields, "number_format", is_number_format),
        )
        fields.end()
        return made


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order."""

    columns: tuple[Column, ...]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns, in order."""
        return tuple(self._by_name)

    def __getitem__(self, name: str) -> Column:
        if name not in self._by_name:
            raise DataError(
                f"There is no column {name!r}.{did_you_mean(str(name), self._by_name)} There are: "
                f"{', '.join(self.names[:40])}."
            )
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"columns": [column.to_json() for column in self.columns]}

    @classmethod
    def from_json(cls, record: Any) -> Schema:
        """What `to_json` wrote.

        Args:
            record: plain JSON.

        Raises: BundleError: it is something else.
        """
        fields = Fields(record, "The schema")
        columns = fields.take("columns")
        if not isinstance(columns, list):
            fields.wrong("columns", "a list", columns)
        fields.end()
        made = [Column.from_json(one, f"The schema, column {n},") for n, one in enumerate(columns)]
        if len({column.name for column in made}) != len(made):
            raise BundleError("The schema has two columns of one name. Take it anew.")
        return cls(tuple(made))

    def __str__(self) -> str:
        names = [shorten(column.name) for column in self.columns]
        wide = max(map(len, names), default=0)
        lines = [
            f"{name:<{wide}}  {column.kind:<8}  {column.reason}"
            for name, column in zip(names, self.columns, strict=True)
        ]
        return "\n".join(lines)


def shorten(text: str) -> str:
    """The text on one line, with at most `WIDEST` letters."""
    text = " ".join(text[: 4 * WIDEST].split())
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _format(fields: Fields, name: str, is_right: Callable[[str], bool]) -> str | None:
    value = fields.take(name)
    is_text = isinstance(value, str) and 1 <= len(value) <= 200
    if value is not None and not (is_text and is_right(value)):
        fields.wrong(name, "a format, or null", value)
    return value
