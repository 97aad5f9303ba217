"""A minute on a table: Drivetrain's leaderboard against AutoGluon's medium preset, on two cores.

Both have the same training rows and are scored on the same other rows, which AutoGluon never has.
Drivetrain is measured in two ways: told those rows, as `valid=`, it fits on all training rows and takes
the first of its list, whose score flatters by the choice; blind, it has the training rows alone, as
AutoGluon has, and validates on a part of them.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from boards_sides import CORES
from measure import ROOT, Goal, Result, data_folder, finish, skip

PYTHON = "DRIVETRAIN_BENCH_AUTOGLUON"
"""Names the Python that has AutoGluon; `run.py` sets it."""
GIVEN, BLIND, OTHER = "Drivetrain, given the rows", "Drivetrain, blind", "AutoGluon 1.6.3, medium"
SIDES = {GIVEN: "given", BLIND: "blind", OTHER: "autogluon"}

Row = dict[str, str]


@dataclass(frozen=True)
class Table:
    """A data set and how it is cut."""

    name: str
    files: tuple[str, ...]
    target: str
    metric: str
    is_valid: Callable[[Sequence[Row], int], list[bool]]
    """Rows and a seed -> which are scored."""
    seeds: tuple[int, ...] = (0,)
    valid: str | None = None
    """The same as a date, where it is one."""
    drop: tuple[str, ...] = ()
    prepare: Callable[[Row], None] | None = None


def a_fifth(target: str) -> Callable[[Sequence[Row], int], list[bool]]:
    """A fifth of each class, drawn."""

    def chosen(rows: Sequence[Row], seed: int) -> list[bool]:
        draw, found = random.Random(seed), [False] * len(rows)
        for label in sorted({row[target] for row in rows}):
            places = [place for place, row in enumerate(rows) if row[target] == label]
            for place in draw.sample(places, len(places) // 5):
                found[place] = True
        return found

    return chosen


def from_day(column: str, form: str, day: str) -> Callable[[Sequence[Row], int], list[bool]]:
    """All rows of that day or later."""
    first = datetime.fromisoformat(day)
    return lambda rows, seed: [datetime.strptime(row[column], form) >= first for row in rows]


def take_logarithm(row: Row) -> None:
    """The logarithm of the price is what Kaggle scores."""
    row["LogPrice"] = repr(math.log(float(row.pop("SalePrice"))))


TABLES = (
    Table("titanic", ("titanic/train.csv",), "Survived", "accuracy", a_fifth("Survived"), (0, 1, 2)),
    Table("adult", ("adult/adult.csv",), "salary", "accuracy", a_fifth("salary")),
    Table(
        "bike sharing", ("bike_sharing/hour.csv",), "cnt", "rmse",
        from_day("dteday", "%Y-%m-%d", "2012-09-01"), valid="2012-09-01",
        drop=("instant", "casual", "registered"),
    ),
    Table(
        "bulldozers", ("bulldozers/train.csv", "bulldozers/valid.csv"), "LogPrice", "rmse",
        from_day("saledate", "%m/%d/%Y %H:%M", "2012-04-01"), valid="2012-04-01",
        prepare=take_logarithm,
    ),
)  # fmt: skip


def measure(options: argparse.Namespace) -> Result:
    """Every table and seed on each side in turn."""
    data, other = data_folder(), os.environ.get(PYTHON)
    if data is None or other is None:
        skip("no data folder; set DRIVETRAIN_DATA" if data is None else f"run.py sets {PYTHON}")
        raise AssertionError("skip ends the process")
    minutes = 0.15 if options.quick else 1.0
    rows, goals, raw = [], [], {}
    turn = 0
    for table in TABLES[:1] if options.quick else TABLES:
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
        for seed in table.seeds[:1] if options.quick else table.seeds:
            with tempfile.TemporaryDirectory(prefix="drivetrain-bench-") as folder:
                write(table, data, Path(folder), seed)
                order = list(SIDES) if turn % 2 == 0 else list(reversed(SIDES))
                turn += 1
                for name in order:
                    python = other if name == OTHER else sys.executable
                    found[name].append(run(python, SIDES[name], table, folder, minutes))
        rows += [[f"{table.name}, {name}", *cells(table, runs)] for name, runs in found.items()]
        goals += goals_of(table, found)
        raw[table.name] = found
    return Result(
        case="boards",
        title="A minute on a table: leaderboard and AutoGluon's medium preset",
        columns=["table, program", "metric", "score", "seconds", "predicts with"],
        rows=rows,
        how=(
            f"{CORES} cores, a minute each, a process each, in turn; seconds from the file to the "
            "fitted models, imports not counted. The same training rows and the same rows to be scored "
            "on, which AutoGluon never has. Drivetrain given the rows takes the first of a list that is "
            "ranked on them, so that its score flatters a little; blind, it has the training rows alone "
            "and validates on a fifth of them. Titanic and Adult: a fifth of each class, drawn (Titanic: "
            "mean of 3 seeds); bike sharing from 2012-09-01 without `casual` and `registered`; "
            "bulldozers from 2012-04-01, logarithm of the price. AutoGluon has LightGBM, CatBoost, "
            "XGBoost (its build for CPUs), forests and their ensemble; its nets are left out, since "
            "their pins want another torch."
        ),
        goals=goals,
        raw=raw,
    )


def cells(table: Table, runs: Sequence[dict[str, Any]]) -> list[str]:
    """The figures of one row."""
    scores = [run["score"] for run in runs]
    models = sorted({run["model"] for run in runs})
    return [
        table.metric,
        f"{sum(scores) / len(scores):.4f}",
        " ".join(f"{run['seconds']:.0f}" for run in runs),
        ", ".join(models),
    ]


def goals_of(table: Table, found: dict[str, list[dict[str, Any]]]) -> list[Goal]:
    """No worse than AutoGluon, and within the minute."""
    is_accuracy = table.metric == "accuracy"
    mean = {name: sum(r["score"] for r in runs) / len(runs) for name, runs in found.items()}
    goals = []
    for name, short in ((GIVEN, "given the rows"), (BLIND, "blind")):
        if is_accuracy:
            text = f"{table.name}, accuracy, {short}: Drivetrain - AutoGluon"
            goals.append(Goal(text, mean[name] - mean[OTHER], 0.0, True))
        else:
            text = f"{table.name}, rmse, {short}: Drivetrain / AutoGluon"
            goals.append(Goal(text, mean[name] / mean[OTHER], 1.0))
    longest = max(run["seconds"] for name in (GIVEN, BLIND) for run in found[name])
    goals.append(Goal(f"{table.name}, Drivetrain's seconds", longest, 60.0))
    return goals


def write(table: Table, data: Path, folder: Path, seed: int) -> None:
    """The table's rows as train.csv, valid.csv, and all.csv."""
    rows: list[Row] = []
    for name in table.files:
        with (data / name).open(newline="", encoding="utf-8-sig") as file:
            rows += list(csv.DictReader(file))
    for row in rows:
        if table.prepare is not None:
            table.prepare(row)
        for name in table.drop:
            del row[name]
    is_valid = table.is_valid(rows, seed)
    parts = {
        "train": [row for row, held in zip(rows, is_valid, strict=True) if not held],
        "valid": [row for row, held in zip(rows, is_valid, strict=True) if held],
    }
    parts["all"] = [*parts["train"], *parts["valid"]]
    for part, chosen in parts.items():
        with (folder / f"{part}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(chosen)


def run(python: str, side: str, table: Table, folder: str, minutes: float) -> dict[str, Any]:
    """One side in a process of its own."""
    settings = {
        "folder": folder,
        "target": table.target,
        "metric": table.metric,
        "valid": table.valid,
        "minutes": minutes,
    }
    script = ROOT / "benchmarks" / "boards_sides.py"
    command = [python, str(script), side, json.dumps(settings)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{table.name}, {side}: {found['score']:.4f} in {found['seconds']:.0f} s", flush=True)
    return found


if __name__ == "__main__":
    finish(measure, __doc__)
