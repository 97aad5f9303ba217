"""What was tried on a run by `drivetrain advise RUN --run`, and what came of it: a line an experiment.

The lines stand in `RUN/advice/tried.jsonl`, beside the runs; `train.advice` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.errors import RunError

FOLDER, NOTES = "advice", "tried.jsonl"
"""Below a run: where experiments are, and what is noted of them."""
_SAID = {"rmse": "RMSE", "mae": "MAE", "mse": "MSE"}
HELPED, HARMED, UNCLEAR = "helped", "harmed", "unclear"


@dataclass(frozen=True)
class Tried:
    """An experiment that was done, and what came of it."""

    rung: str
    experiment: str
    option: str
    changes: Mapping[str, Any]
    """Keyword of the application's `learner` -> value."""
    seeds: tuple[int, ...]
    """Of each pair of trainings."""
    metric: str
    """What the errors are; less is better."""
    unchanged: tuple[float, ...]
    """Error of the run as it was, by seed."""
    changed: tuple[float, ...]
    """Error with the change."""
    difference: float
    """Mean of changed minus unchanged: below 0 it helped."""
    low: float | None
    high: float | None
    """95% interval of the difference, over items and seeds."""
    items: int
    """Validation items."""
    folder: str
    """Where its runs are, below the run's `advice/`."""

    @property
    def verdict(self) -> str:
        """`helped` or `harmed` where the interval excludes 0, else `unclear`."""
        if self.high is not None and self.high < 0:
            return HELPED
        if self.low is not None and self.low > 0:
            return HARMED
        return UNCLEAR

    @property
    def error_name(self) -> str:
        """What the errors are, as a sentence calls them: "error rate", "RMSE"."""
        return _SAID.get(self.metric, self.metric.replace("_", " "))

    @property
    def sentence(self) -> str:
        """Whether it helped, in one sentence with the numbers."""
        size = abs(self.difference)
        ends = "no interval"
        if self.low is not None and self.high is not None:
            low, high = sorted((abs(self.low), abs(self.high)))
            ends = f"95% interval {low:.4g} to {high:.4g}"
            if self.verdict == UNCLEAR:
                ends = f"95% interval of the change {self.low:.4g} to {self.high:.4g}"
        pairs = "1 pair" if len(self.seeds) == 1 else f"{len(self.seeds)} pairs"
        of = f"{ends}; {pairs} of trainings, {self.items:,} items"
        name = self.error_name
        if self.verdict == HELPED:
            return f"It helped: the {name} fell by {size:.4g} ({of})."
        if self.verdict == HARMED:
            return f"It did harm: the {name} rose by {size:.4g} ({of})."
        way = "fell" if self.difference < 0 else "rose"
        return f"Whether it helped cannot be told: the {name} {way} by {size:.4g} ({of})."

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return asdict(self) | {"verdict": self.verdict}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tried:
        """What `to_json` wrote.

        Raises: RunError: it is not that.
        """
        known = {one.name for one in fields(cls)}
        given = {name: entry for name, entry in value.items() if name in known}
        for name in ("seeds", "unchanged", "changed"):
            if not isinstance(given.get(name), list):
                raise RunError(f"This is no note of an experiment: its '{name}' is no list.")
            given[name] = tuple(given[name])
        ends = (given.get("difference"), given.get("low"), given.get("high"))
        if set(given) != known or not all(one is None or _is_number(one) for one in ends):
            raise RunError(
                "This is no note of an experiment: it is not of the form that is written."
            )
        return cls(**given)


def read_tried(folder: store.StrPath) -> tuple[Tried, ...]:
    """What was tried on a run, the first experiment first; lines that are no notes are left out."""
    path = Path(folder) / FOLDER / NOTES
    found = []
    for line in store.read_lines(path):
        try:
            found.append(Tried.from_json(line))
        except RunError:
            continue  # a line of a stranger's: it is asked again
    return tuple(found)


def note_tried(folder: store.StrPath, tried: Tried) -> None:
    """Note an experiment, for the next advice.

    Raises: StorageError: the disk refused.
    """
    store.append_line(Path(folder) / FOLDER / NOTES, tried.to_json())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
