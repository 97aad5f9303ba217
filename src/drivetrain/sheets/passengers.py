"""The rows of the workbook `titanic`: a person's own CSV or made ones, and what the models see of them.

The Titanic's passenger list is not part of this package. What is made here has the same columns, and
chances of survival that depend on sex, class and age in a like manner; no row of it is a person.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from drivetrain.errors import DataError
from drivetrain.store import StrPath

COLUMNS = ("Survived", "Pclass", "Sex", "Age", "SibSp", "Parch", "Fare", "Embarked")
FEATURES = (
    *("Female", "Class 3", "Port S", "Age", "SibSp", "Parch", "log Fare"),
    *("Male", "Class 1", "Class 2", "Port C", "Port Q"),
)
"""The inputs of the models. The three in front follow from the others and a constant: least squares
leaves them out."""
PORTS = ("C", "Q", "S")
MOST, LEAST = 1500, 40
"""Rows that a workbook takes, and needs."""

Value = float | str | None


@dataclass(frozen=True)
class Passengers:
    """Rows in the order of the sheet: those to learn from, then those held out."""

    values: tuple[tuple[Value, ...], ...]  # a row: COLUMNS
    numbers: tuple[int, ...]  # of the row in the source, from 1
    train: int  # how many are to learn from
    source: str

    def column(self, name: str) -> list[Value]:
        """One column."""
        return [row[COLUMNS.index(name)] for row in self.values]


def made(count: int = 240, *, seed: int) -> Passengers:
    """Rows drawn by a seed."""
    generator = torch.Generator().manual_seed(seed)

    def chance() -> Tensor:
        return torch.rand(count, generator=generator, dtype=torch.float64)

    female = chance() < 0.36
    level = 1 + (chance() > 0.24).long() + (chance() > 0.27).long() * (chance() > 0.1).long()
    level = level.clamp(1, 3)
    age = (2 + 62 * (chance() + chance()) / 2).round()
    age_gone = chance() < 0.15
    siblings = (chance() < 0.3).long() + (chance() < 0.08).long() * 2
    parents = (chance() < 0.22).long() + (chance() < 0.06).long()
    fare = ((60.0 / level**1.6) * (0.4 + 1.2 * chance()) * (1 + siblings + parents) ** 0.5).round(
        decimals=2
    )
    port = chance()
    score = 2.6 * female - 0.9 * level - 0.03 * age + 0.9 * (age < 12) + 1.4
    lives = chance() < torch.sigmoid(score)
    rows: list[tuple[Value, ...]] = []
    for i in range(count):
        where = "S" if port[i] < 0.7 else "C" if port[i] < 0.9 else "Q" if port[i] < 0.985 else None
        rows.append((
            *(float(lives[i]), float(level[i]), "female" if female[i] else "male"),
            None if age_gone[i] else float(age[i]),
            *(float(siblings[i]), float(parents[i]), float(fare[i]), where),
        ))  # fmt: skip
    return _split(rows, f"{count} rows made by seed {seed}; none of them is a person")


def read(path: StrPath) -> Passengers:
    """Rows of a CSV file with the columns of Kaggle's `train.csv`; others are left out.

    Raises: DataError: the file cannot be read, a column is missing, a cell is no number where one is
        needed, or there are too few or too many rows.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            found = list(lines)
            names = lines.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV file: {error}.") from error
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}. The workbook needs {', '.join(COLUMNS)}."
        )
    if not LEAST <= len(found) <= MOST:
        raise DataError(f"{path} has {len(found)} rows; the workbook takes {LEAST} to {MOST}.")
    rows = [_row(line, number, path) for number, line in enumerate(found, start=2)]
    return _split(rows, path.name)


def _row(line: dict[str, str | None], number: int, path: Path) -> tuple[Value, ...]:
    values: list[Value] = []
    for name in COLUMNS:
        text = (line[name] or "").strip()
        if name in ("Sex", "Embarked"):
            values.append(text or None)
            continue
        if not text and name == "Age":
            values.append(None)
            continue
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        is_target = name == "Survived"
        if (
            not abs(value) < 1e9
            or (name == "Fare" and value < 0)
            or (is_target and value not in (0, 1))
        ):
            needed = (
                "0 or 1" if is_target else "a number" if name != "Fare" else "a number, 0 or more"
            )
            raise DataError(f"{path}, line {number}: `{name}` must be {needed}. Got '{text}'.")
        values.append(value)
    return tuple(values)


def _split(rows: Sequence[tuple[Value, ...]], source: str) -> Passengers:
    """A fifth is held out, as fastai's `RandomSplitter(seed=42)` draws it: one order of all rows."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(42)).tolist()
    held = int(0.2 * len(rows))
    chosen = [*sorted(order[held:]), *sorted(order[:held])]
    ages = {row[3] for row in (rows[i] for i in chosen[: len(rows) - held])} - {None}
    if not ages:
        raise DataError("No row to learn from has an `Age`: there is nothing to fill it with.")
    values = tuple(rows[i] for i in chosen)
    return Passengers(values, tuple(i + 1 for i in chosen), len(rows) - held, source)


@dataclass(frozen=True)
class Table:
    """What the models see, float64: each column divided by its largest value."""

    x: Tensor  # (rows, 12)
    y: Tensor  # (rows,)
    raw: Tensor  # (rows, 12) before the division
    largest: Tensor  # (12,)
    age: float  # fills the missing ones
    port: str
    train: int


def table(given: Passengers, *, all_rows: bool = False) -> Table:
    """Missing ages and ports filled by the most frequent of the rows learnt from; dummies; log.

    Args:
        all_rows: divide by the largest of all rows, not of those learnt from.
    """
    n = given.train
    known = [float(v) for v in given.column("Age")[:n] if isinstance(v, float)]
    age = min(set(known), key=lambda one: (-known.count(one), one))
    ports = given.column("Embarked")
    port = max(PORTS, key=ports[:n].count)
    columns = [_feature(given, name, age, port) for name in FEATURES]
    raw = torch.tensor(columns, dtype=torch.float64).T
    largest = (raw if all_rows else raw[:n]).amax(0).clamp(min=0)
    largest = torch.where(largest == 0, 1.0, largest)
    y = torch.tensor([float(v or 0) for v in given.column("Survived")], dtype=torch.float64)
    return Table(raw / largest, y, raw, largest, age, port, n)


def _feature(given: Passengers, name: str, age: float, port: str) -> list[float]:
    if name in ("Female", "Male"):
        return [float(v == name.lower()) for v in given.column("Sex")]
    kind, _, which = name.rpartition(" ")
    if kind == "Class":
        return [float(v == int(which)) for v in given.column("Pclass")]
    if kind == "Port":
        return [float((v or port) == which) for v in given.column("Embarked")]
    if kind == "log":
        return torch.tensor([float(v or 0) for v in given.column("Fare")]).double().log1p().tolist()
    values = given.column(name)
    return [age if v is None else float(v) for v in values]
