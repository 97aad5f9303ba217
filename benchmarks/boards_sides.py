"""The sides of `boards.py`: one program, one table, a minute; what came out as JSON.

python boards_sides.py ours '{"folder": "/tmp/table", "target": "salary", "metric": "accuracy", …}'

A folder holds train.csv, valid.csv, and all.csv, which is the one below the other.
"""

from __future__ import annotations

import csv
import importlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CORES = 2


def given(folder: str, target: str, metric: str, valid: str | None, minutes: float) -> Any:
    """Drivetrain, told which rows validate: the score that it prints of its first entry."""
    import drivetrain as dt

    count = {part: len(column(Path(folder) / f"{part}.csv", target)) for part in ("train", "valid")}
    positions = range(count["train"], count["train"] + count["valid"])
    began = time.perf_counter()
    board = dt.tabular.leaderboard(
        f"{folder}/all.csv", target, minutes=minutes, valid=valid or list(positions), progress=False
    )
    seconds = time.perf_counter() - began
    counts = board.data.counts()
    assert (counts["train"], counts["valid"]) == (count["train"], count["valid"]), counts
    assert next(iter(board)).measured.primary == metric
    return told(board, seconds) | {"score": board.main.measured.value}


def blind(folder: str, target: str, metric: str, valid: str | None, minutes: float) -> Any:
    """Drivetrain with the training rows alone: its first entry's score on rows it never had."""
    import drivetrain as dt

    began = time.perf_counter()
    board = dt.tabular.leaderboard(f"{folder}/train.csv", target, minutes=minutes, progress=False)
    seconds = time.perf_counter() - began
    found = board.best.evaluate(f"{folder}/valid.csv")
    assert not found["left_out"], found
    return told(board, seconds) | {"score": found["metrics"][metric]}


def told(board: Any, seconds: float) -> dict[str, Any]:
    """What Drivetrain says of all entries, on the rows that it chose by."""
    return {
        "seconds": seconds,
        "model": board.main.name,
        "entries": {e.name: [e.measured.value, round(e.seconds, 2)] for e in board},
        "left_out": board.left_out,
    }


def autogluon(folder: str, target: str, metric: str, valid: str | None, minutes: float) -> Any:
    """AutoGluon's medium preset with the training rows alone."""
    pandas: Any = importlib.import_module("pandas")
    tabular: Any = importlib.import_module("autogluon.tabular")
    with tempfile.TemporaryDirectory(prefix="drivetrain-bench-") as store:
        began = time.perf_counter()
        train = pandas.read_csv(f"{folder}/train.csv", low_memory=False)
        predictor = tabular.TabularPredictor(
            label=target, path=f"{store}/models", verbosity=0,
            eval_metric="accuracy" if metric == "accuracy" else "root_mean_squared_error",
        ).fit(
            train, time_limit=60 * minutes, presets="medium_quality", num_cpus=CORES, num_gpus=0
        )  # fmt: skip
        seconds = time.perf_counter() - began
        rows = pandas.read_csv(f"{folder}/valid.csv", low_memory=False)
        preds = predictor.predict(rows.drop(columns=[target])).tolist()
        board = predictor.leaderboard()
    found = dict(zip(board["model"], board["score_val"], strict=True))
    return {
        "seconds": seconds,
        "model": str(board["model"][0]),
        "entries": {str(name): float(value) for name, value in found.items()},
        "score": score(metric, preds, column(Path(folder) / "valid.csv", target)),
    }


def score(metric: str, preds: Sequence[Any], true: Sequence[str]) -> float:
    """Accuracy or the root mean squared error."""
    if metric == "accuracy":
        return sum(str(p) == t for p, t in zip(preds, true, strict=True)) / len(true)
    squares = [(float(p) - float(t)) ** 2 for p, t in zip(preds, true, strict=True)]
    return math.sqrt(sum(squares) / len(squares))


def column(path: Path, name: str) -> list[str]:
    """A column's texts."""
    with path.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


SIDES = {"given": given, "blind": blind, "autogluon": autogluon}


if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]](**json.loads(sys.argv[2]))))
