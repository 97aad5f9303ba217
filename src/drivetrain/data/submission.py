"""Submission files: predictions written in the form of a competition's sample submission.

    sample = Sample.read("sample_submission.csv")
    sample.filled(ids, probabilities, classes=("no", "yes")).write("submission.csv")

The sample gives the header, the ids and their order. What stands in its other columns says what is asked
for, found in this order:

    one column      the words of the model's classes, or nothing       the class
                    0 and 1, and the model has two classes             1 for the second, or the one that
                                                                       the column is named after
                    other numbers in [0, 1], and two classes           the probability of that class
                    anything, and the model predicts a number          the number
    many columns    named after the model's classes                    the probability of each
                    named after the model's targets                    the number of each

An id without an answer, an answer without an id and an id that stands twice are refused: a competition
refuses the file too, and later.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from drivetrain import store
from drivetrain.errors import ConfigError, DataError, InputError

DELIMITERS = ",;\t"
SHOWN = 3
"""Names or values that a message lists."""


@dataclass(frozen=True)
class Submission:
    """A filled-in submission."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    form: str
    """What was written, in words."""
    delimiter: str = ","

    def __len__(self) -> int:
        return len(self.rows)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file. Raises StorageError: the disk refused."""
        write_csv(path, self.header, self.rows, delimiter=self.delimiter)


@dataclass(frozen=True)
class Sample:
    """A sample submission, as it was read; all cells are text."""

    path: str
    id_column: str
    ids: tuple[str, ...]
    """In the order of the rows."""
    columns: Mapping[str, tuple[str, ...]]
    """The cells of the other columns, by name."""
    delimiter: str = ","

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Sample:
        """Read a sample; its first column holds the ids.

        Raises: DataError: there is no such file, or it is no table with ids and a column to fill; or
            an id is empty or stands twice.
        """
        shown = os.fspath(path)
        delimiter, rows = _read(Path(path).expanduser(), shown)
        header, *body = rows
        if len(set(header)) != len(header) or len(header) < 2 or not body:
            raise DataError(
                f"{shown} is no sample submission: it needs a header of different names, ids in its "
                f"first column, and at least one column to fill. Its header: {', '.join(header)[:200]}."
            )
        for number, row in enumerate(body, 1):
            if len(row) != len(header):
                raise DataError(
                    f"{shown}, row {number} has {len(row)} fields, and the header {len(header)}. "
                    "Repair it."
                )
        first, *others = zip(*body, strict=True)
        ids = tuple(cell.strip() for cell in first)
        _check_once(ids, f"{shown} has the id", "Ids stand once each.")
        columns = {
            name: tuple(cell.strip() for cell in cells)
            for name, cells in zip(header[1:], others, strict=True)
        }
        return cls(shown, header[0], ids, columns, delimiter)

    def choose(self, alternatives: Sequence[Sequence[str]]) -> Sequence[str]:
        """Of several ways to name the same items, the one that most ids agree with."""
        wanted = set(self.ids)
        return max(alternatives, key=lambda names: sum(name in wanted for name in set(names)))

    def filled(
        self,
        ids: Sequence[str],
        outputs: np.ndarray,
        *,
        classes: Sequence[str] = (),
        targets: Sequence[str] = (),
        left_out: Mapping[str, str] | None = None,
    ) -> Submission:
        """The sample with predictions in its place.

        Args:
            ids: (N,) names of the items that were predicted, in any order.
            outputs: (N, C) probabilities, or (N,) or (N, T) numbers.
            classes: C names in the order of the outputs; empty for numbers.
            targets: T names, of several numbers.
            left_out: id -> why there is no answer for it.

        Raises: DataError: an id is missing, unknown or there twice, or the sample asks for something that
            the model does not predict.
        """
        place_of = self._places(ids, left_out or {})
        rows = np.array([place_of[id_] for id_ in self.ids], dtype=np.int64)
        values = np.asarray(outputs, dtype=np.float64)[rows]
        form, cells = self._cells(values, tuple(classes), tuple(targets))
        body = [(id_, *row) for id_, *row in zip(self.ids, *cells, strict=True)]
        return Submission((self.id_column, *self.columns), body, form, self.delimiter)

    def _places(self, ids: Sequence[str], left_out: Mapping[str, str]) -> dict[str, int]:
        _check_once(ids, "There is an answer for the id", "Ids stand once each.")
        found = {id_: place for place, id_ in enumerate(ids)}
        missing = [id_ for id_ in self.ids if id_ not in found]
        if missing:
            have = "1 has" if len(missing) == 1 else f"{len(missing):,} have"
            why = left_out.get(missing[0], "Predict all of them.")
            known = f" Answers are for ids such as {ids[0]!r}." if len(ids) else ""
            raise DataError(
                f"{self.path} asks for {len(self.ids):,} items, and {have} no answer, such as "
                f"{missing[0]!r}. {why}{known}"
            )
        if len(found) > len(self.ids):
            wanted = set(self.ids)
            unknown = [id_ for id_ in found if id_ not in wanted]
            raise DataError(
                f"{self.path} does not ask for {len(unknown):,} of the {len(found):,} items that were "
                f"predicted, such as {unknown[0]!r}. Predict those of the sample only."
            )
        return found

    def _cells(
        self, values: np.ndarray, classes: tuple[str, ...], targets: tuple[str, ...]
    ) -> tuple[str, list[list[str]]]:
        """What is written in words, and the cells of each column."""
        names = tuple(self.columns)
        if len(names) == 1:
            if classes:
                return self._one(values, classes)
            if values.ndim == 1 or values.shape[1] == 1:
                return "the number", [_numbers(values.reshape(len(values)))]
        known = classes or targets
        if len(names) > 1 and set(names) == set(known):
            columns = [_numbers(values[:, known.index(name)]) for name in names]
            return ("the probability of each class" if classes else "the numbers"), columns
        what = (
            f"the classes {_listed(classes)}" if classes else f"numbers {_listed(targets)}".strip()
        )
        raise DataError(
            f"{self.path} has the columns {_listed(names)}, and the model predicts {what}. The sample "
            "needs one column, or one named after each of them."
        )

    def _one(self, values: np.ndarray, classes: tuple[str, ...]) -> tuple[str, list[list[str]]]:
        (name, cells), *_ = self.columns.items()
        said = {cell for cell in cells if cell}
        best = values.argmax(axis=1).tolist()
        spelled = next((spell for spell in _SPELLINGS if said <= {*map(spell, classes)}), None)
        if spelled is not None:
            return "the class", [[spelled(classes[code]) for code in best]]
        numbers = [_number(cell) for cell in said]
        if len(classes) == 2 and all(n is not None and 0 <= n <= 1 for n in numbers):
            one = classes.index(name) if name in classes else 1
            if said <= {"0", "1"}:
                return f"1 for {classes[one]!r}, else 0", [[str(int(code == one)) for code in best]]
            return f"the probability of {classes[one]!r}", [_numbers(values[:, one])]
        odd = sorted(cell for cell in said if cell not in classes)
        raise DataError(
            f"{self.path} has {_listed([repr(cell) for cell in odd])} in its column '{name}', and the "
            f"model predicts the classes {_listed(classes)}. The column needs their names, or nothing; "
            "of two classes also 0 and 1, or probabilities."
        )


def file_names(
    paths: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str] | None = None
) -> list[list[str]]:
    """The ways in which samples name files: relative to the folder, by name, each with and without
    suffix.

    Args:
        paths: N files.
        folder: where they lie; None for the paths as they are.
    """
    relative = []
    for path in paths:
        plain = PurePath(path)
        is_inside = folder is not None and plain.is_relative_to(folder)
        relative.append(plain.relative_to(folder) if is_inside and folder is not None else plain)
    ways = (
        lambda path: path.as_posix(),
        lambda path: path.name,
        lambda path: path.stem,
        lambda path: path.with_suffix("").as_posix(),
    )
    return [[way(path) for path in relative] for way in ways]


def table_of(
    documents: Sequence[Mapping[str, Any]],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of answers as `--json` has them: the input, what is predicted, the probabilities.

    Args:
        documents: `{input, label, probabilities}`, `{input, labels, probabilities}`, `{input, value}` or
            `{input, targets: {name: {label, probability}}}`, all alike.

    Raises: ConfigError: something else.
    """
    if not documents:
        return ("input",), []
    first, rows = documents[0], []
    if "targets" in first:
        names = list(first["targets"])
        for one in documents:
            found = [one["targets"][name] for name in names]
            cells = [(told["label"], repr(float(told["probability"]))) for told in found]
            rows.append((str(one["input"]), *(cell for pair in cells for cell in pair)))
        pairs = [(name, f"probability of {name}") for name in names]
        return ("input", *(name for pair in pairs for name in pair)), rows
    if "probabilities" in first:
        kind = "label" if "label" in first else "labels"
        names = list(first["probabilities"])
        for one in documents:
            said = one["label"] if kind == "label" else ", ".join(one["labels"])
            probs = [repr(float(one["probabilities"][name])) for name in names]
            rows.append((str(one["input"]), said, *probs))
        return ("input", kind, *(f"probability of {name}" for name in names)), rows
    if "value" in first and not isinstance(first["value"], list):
        return ("input", "value"), [
            (str(one["input"]), repr(float(one["value"]))) for one in documents
        ]
    raise ConfigError("Answers of this kind are not written as a table. Take --json.")


def outputs_of(
    documents: Sequence[Mapping[str, Any]],
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Answers as `--json` has them, as arrays: (N, C) probabilities with C classes, or numbers without.

    Raises: DataError: they are of several labels or targets an item, or there are none.
    """
    if not documents:
        raise DataError("There is no answer that could be written.")
    first = documents[0]
    if "label" in first:
        classes = tuple(first["probabilities"])
        rows = [[one["probabilities"][name] for name in classes] for one in documents]
        return np.array(rows, dtype=np.float64), classes
    if "value" in first:
        return np.array([one["value"] for one in documents], dtype=np.float64), ()
    raise DataError(
        "A submission needs one class or number an item, and the model predicts several."
    )


def write_csv(
    path: str | os.PathLike[str],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    delimiter: str = ",",
) -> None:
    """Write a CSV file, whole or not at all. Raises StorageError: the disk refused."""
    held = io.StringIO()
    writer = csv.writer(held, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    store.write_text(path, held.getvalue())


_SPELLINGS = (str, str.capitalize, str.upper)
"""How a sample may write a class: `true`, `True` or `TRUE`."""


def _read(path: Path, shown: str) -> tuple[str, list[list[str]]]:
    """The delimiter and all rows, the header first; empty lines are none."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"There is no file {shown}. Give a sample submission.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{shown} cannot be read as a table: {error}.") from error
    first = text.split("\n", 1)[0]
    found: dict[str, list[list[str]]] = {}
    problem: csv.Error | None = None
    for delimiter in sorted(DELIMITERS, key=first.count, reverse=True):
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            found[delimiter] = [row for row in reader if row]
        except csv.Error as error:
            problem = problem or error
            continue
        if len({len(row) for row in found[delimiter]}) == 1 < len(found[delimiter][0]):
            return delimiter, found[delimiter]
    if not found:
        raise DataError(f"{shown} cannot be read as a table: {problem}.") from problem
    delimiter = next(iter(found))
    return delimiter, found[delimiter] or [[]]


def _check_once(ids: Sequence[str], begins: str, ends: str) -> None:
    twice = [id_ for id_, count in Counter(ids).items() if count > 1]
    if twice:
        more = f", and {len(twice) - 1:,} others" if len(twice) > 1 else ""
        raise DataError(f"{begins} {twice[0]!r} more than once{more}. {ends}")


def _numbers(values: np.ndarray) -> list[str]:
    if not np.isfinite(values).all():
        raise InputError(
            "A submission holds finite numbers, and the model predicted NaN or infinity."
        )
    return [repr(value) for value in values.tolist()]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more
