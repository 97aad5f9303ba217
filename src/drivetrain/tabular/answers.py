"""What a model of tables answers: for one row, and for many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from drivetrain import store
from drivetrain._optional import require
from drivetrain.errors import ConfigError
from drivetrain.tabular.target import Target


@dataclass(frozen=True)
class RowPrediction:
    """The answer for one row."""

    input: str
    """Name of the row."""
    label: str | None
    """The class with the highest probability; None for numbers."""
    value: float | tuple[float, ...] | None
    """The number, or one for each target; None for classes."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Probability of each class; they sum to 1."""
    spread: float | None = None
    """Standard deviation within the model, where it has more than one voice."""

    @property
    def probability(self) -> float:
        """That of the label."""
        return self.probabilities[self.label or ""]

    def to_json(self) -> dict[str, Any]:
        """`{input, label, probabilities}` or `{input, value}`, and `spread` where there is one."""
        spread = {} if self.spread is None else {"spread": self.spread}
        if self.label is not None:
            return {
                "input": self.input,
                "label": self.label,
                "probabilities": dict(self.probabilities),
                **spread,
            }
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"input": self.input, "value": value, **spread}

    def __str__(self) -> str:
        if self.label is not None:
            return f"{self.label} ({self.probability:.1%})"
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        return ", ".join(f"{value:,.6g}" for value in values)


@dataclass(frozen=True)
class RowPredictions:
    """The answers for many rows, in the order of the source."""

    target: Target
    outputs: np.ndarray
    """(N,) or (N, T) numbers in the target's unit, or (N, C) probabilities; float64."""
    ids: np.ndarray
    """(N,) int64 positions of the rows in their source."""
    spread: np.ndarray | None = None
    """(N,) standard deviation within the model."""
    notes: tuple[str, ...] = ()
    """What the rows brought that training never saw, a sentence a column."""

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def labels(self) -> list[str]:
        """(N,) the classes with the highest probability."""
        return [self.target.classes[code] for code in self.outputs.argmax(axis=1).tolist()]

    @property
    def values(self) -> np.ndarray:
        """(N,) or (N, T) the numbers."""
        return self.outputs

    def __getitem__(self, index: int) -> RowPrediction:
        name = f"row {int(self.ids[index]) + 1}"
        spread = None if self.spread is None else float(self.spread[index])
        row = self.outputs[index]
        if self.target.kind == "class":
            label = self.target.classes[int(row.argmax())]
            probs = dict(zip(self.target.classes, row.tolist(), strict=True))
            return RowPrediction(name, label, None, probs, spread)
        value = tuple(row.tolist()) if row.ndim else float(row)
        return RowPrediction(name, None, value, {}, spread)

    def __iter__(self) -> Iterator[RowPrediction]:
        return (self[index] for index in range(len(self)))

    def columns(self) -> dict[str, Any]:
        """The answers as columns: the row's number, then label and probabilities, or values."""
        found: dict[str, Any] = {"row": self.ids + 1}
        if self.target.kind == "class":
            found[self.target.name] = self.labels
            for place, name in enumerate(self.target.classes):
                found[f"probability of {name}"] = self.outputs[:, place]
        elif self.outputs.ndim == 2:
            found |= {n: self.outputs[:, place] for place, n in enumerate(self.target.names)}
        else:
            found[self.target.name] = self.outputs
        if self.spread is not None:
            found["spread"] = self.spread
        return found

    def write(
        self, path: str | os.PathLike[str], *, columns: Mapping[str, Any] | None = None
    ) -> None:
        """Write a CSV or Parquet file with a row for each, in the order of the source.

        Args:
            path: ends in `.csv` or `.parquet`.
            columns: name -> values, in the place of `columns()`: a submission for a competition is
                `{"PassengerId": ids, "Survived": answers.labels}`.

        Raises: ConfigError: another ending. StorageError: the disk refused.
        """
        with answer_file(path) as write:
            write(self.columns() if columns is None else columns)


class Written(NamedTuple):
    """What was written of the answers to a file."""

    path: str
    rows: int
    notes: tuple[str, ...]
    """What the rows brought that training never saw, a sentence a column."""


@contextmanager
def answer_file(
    path: str | os.PathLike[str],
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A CSV or Parquet file of answers, written piece by piece, that is there whole or not at all.

    Inside, `write(columns)` adds rows; all pieces have the same columns. The bytes do not depend on how
    the rows are cut, where each piece but the last has a multiple of `ROWS` of them.

    Raises: ConfigError: another ending. StorageError: the disk refused.
    """
    arrow = require("pyarrow", extra="tabular")
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending not in (".csv", ".parquet"):
        raise ConfigError(f"Answers are written as .csv or .parquet. Got {os.fspath(path)!r}.")
    made: list[Any] = []

    with store.streamed(path) as sink:

        def write(columns: Mapping[str, Any]) -> None:
            table = arrow.table(dict(columns))
            if not made:
                made.append(_writer(ending, sink, table.schema))
            if ending == ".csv":
                made[0].write_table(table)
            else:
                made[0].write_table(table, row_group_size=ROWS)

        try:
            yield write
        finally:  # also after an error: a writer that is left open writes when it is forgotten
            for writer in made:
                writer.close()


ROWS = 1 << 14
"""Rows of a piece, and of a row group of a Parquet file."""


def _writer(ending: str, sink: Any, schema: Any) -> Any:
    if ending == ".csv":
        csv = require("pyarrow.csv", extra="tabular")
        options = csv.WriteOptions(quoting_style="needed")
        return csv.CSVWriter(sink, schema, write_options=options)
    return require("pyarrow.parquet", extra="tabular").ParquetWriter(sink, schema)
