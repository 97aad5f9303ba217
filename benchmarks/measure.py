"""What the cases share: the machine, the data, interleaved timing, and the form of a result.

A case is a script here that measures one thing. It prints its table, and with `--json FILE` writes it
for `run.py`. Figures of two programs are compared only when they come from one run, in which the
programs took turns: a machine that is busy for a while is then busy for all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
"""Where the data sets lie unless `DRIVETRAIN_DATA` says otherwise."""


@dataclass
class Goal:
    """A ratio that the project holds itself to."""

    text: str
    ratio: float
    limit: float
    is_at_least: bool = False
    """The ratio must reach the limit, instead of staying under it."""

    def is_met(self) -> bool:
        """Whether the measured ratio keeps to the limit."""
        return self.ratio >= self.limit if self.is_at_least else self.ratio <= self.limit

    def __str__(self) -> str:
        sign = "at least" if self.is_at_least else "at most"
        verdict = "met" if self.is_met() else "MISSED"
        return f"{self.text}: {self.ratio:.2f} (goal: {sign} {self.limit:g}): {verdict}"


@dataclass
class Result:
    """What one case measured."""

    case: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    how: str
    """What was done, in a few sentences: threads, rounds, what is inside the time and what is not."""
    goals: list[Goal] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    """The single measurements, for whoever wants another statistic than the median."""

    def to_json(self) -> dict[str, Any]:
        """The record that `run.py` keeps."""
        goals = [asdict(goal) | {"is_met": goal.is_met()} for goal in self.goals]
        return asdict(self) | {"goals": goals}


def data_folder() -> Path | None:
    """`$DRIVETRAIN_DATA`, or `../shared/data` beside the checkout, where there is one."""
    named = os.environ.get("DRIVETRAIN_DATA")
    folder = Path(named) if named else SHARED_DATA
    return folder if folder.is_dir() else None


def take_turns(
    variants: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time each variant once a round, in turn; the rounds of `warm_up` come first and do not count.

    Every second round goes through the variants backwards, so that none always follows the same one.
    """
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(warm_up + rounds):
        order = list(variants) if number % 2 == 0 else list(reversed(list(variants)))
        for name in order:
            start = clock()
            variants[name]()
            seconds = clock() - start
            if number >= warm_up:
                taken[name].append(seconds)
    return taken


def ratio(times: Mapping[str, Sequence[float]], name: str, base: str) -> float:
    """Median over rounds of `name` / `base`, each pair from the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def finish(measure: Callable[[argparse.Namespace], Result], doc: str | None) -> None:
    """The command line of a case: measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=(doc or "").strip().splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: does it run at all?")
    options = parser.parse_args()
    result = measure(options)
    print(show(result), flush=True)
    if options.json:
        options.json.write_text(json.dumps(result.to_json(), indent=1))


def show(result: Result) -> str:
    """The result as text for a terminal."""
    table = [result.columns, *result.rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(result.columns))]
    lines = ["", result.title]
    for row in table:
        cells = [
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join([*lines, *(f"  {goal}" for goal in result.goals)])


def skip(reason: str) -> None:
    """End a case that cannot be measured here; `run.py` reports the reason."""
    print(f"skipped: {reason}", file=sys.stderr)
    sys.exit(77)
