"""What a bundle answers for rows of a table: the model's answer, and what the guard says beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivetrain.bundle.shift import ShiftReport
from drivetrain.tabular.answers import RowPrediction, RowPredictions
from drivetrain.tabular.bundling.guard_rows import Strange, strange_in_row


@dataclass(frozen=True)
class RowDomain:
    """Whether a row is like those that the model was trained on."""

    score: float
    """How far it is from them; the larger, the stranger."""
    in_domain: bool
    """Whether the score is one that such rows have."""
    false_alarm: float
    """Share of such rows that are taken for strange ones."""
    outside: tuple[str, ...]
    """Columns whose number, or date, lies outside the range of the training rows."""
    unseen: tuple[str, ...]
    """Columns with a level that no training row had."""
    missing: tuple[str, ...]
    """Columns that are missing and never were in training."""

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {
            "score": self.score,
            "in_domain": self.in_domain,
            "false_alarm": self.false_alarm,
            "outside": list(self.outside),
            "unseen": list(self.unseen),
            "missing": list(self.missing),
        }


@dataclass(frozen=True)
class GuardedRow(RowPrediction):
    """The answer for one row, and what the guard says of it."""

    labels: tuple[str, ...] = ()
    """The classes that hold the true one in a share of `coverage` of rows; empty for numbers."""
    interval: Any = None
    """(low, high) that holds the true number in a share of `coverage` of rows; a pair for each of
    several targets, None where there were too few rows to promise it, and for classes."""
    coverage: float = 0.0
    """Share of rows, such as those of the validation, for which that is so."""
    domain: RowDomain | None = None
    """Whether the row is like those that the model knows."""

    def to_json(self) -> dict[str, Any]:
        """`{input, label, probability, probabilities, set, coverage, domain}`, or
        `{input, value, interval, coverage, domain}`."""
        assert self.domain is not None, "a guarded row has one"
        ending = {"coverage": self.coverage, "domain": self.domain.to_json()}
        if self.label is not None:
            return {
                "input": self.input,
                "label": self.label,
                "probability": self.probability,
                "probabilities": dict(self.probabilities),
                "set": list(self.labels),
                **ending,
            }
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"input": self.input, "value": value, "interval": self.interval, **ending}


@dataclass(frozen=True)
class GuardedRows(RowPredictions):
    """The answers for many rows; probabilities are calibrated."""

    said: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(N,) int64, the class with the highest score; calibrated, two may be equal."""
    sets: np.ndarray | None = None
    """(N, C) bool: the classes that are possible."""
    low: np.ndarray | None = None
    """(N,) or (N, T), where intervals begin, in the target's unit; None where they have no end."""
    high: np.ndarray | None = None
    """Where they end."""
    coverage: float = 0.0
    """Share of rows whose truth lies within."""
    domain_score: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(N,) float64."""
    in_domain: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """(N,) bool."""
    false_alarm: float = 0.0
    """Share of rows of the same source that are not."""
    strange: Sequence[Strange] = ()
    """Columns in which a row has what no training row had."""
    shift: ShiftReport | None = None
    """Whether all rows together are of another kind than the validation rows; None for few rows."""

    @property
    def labels(self) -> list[str]:
        """(N,) the classes with the highest probability."""
        return [self.target.classes[code] for code in self.said.tolist()]

    def __getitem__(self, index: int) -> GuardedRow:
        index = range(len(self))[index]
        name, row = f"row {int(self.ids[index]) + 1}", self.outputs[index]
        new = {what: tuple(names) for what, names in strange_in_row(self.strange, index).items()}
        domain = RowDomain(
            float(self.domain_score[index]), bool(self.in_domain[index]), self.false_alarm, **new
        )
        if self.sets is not None:
            classes = self.target.classes
            probs = dict(zip(classes, row.tolist(), strict=True))
            label = classes[int(self.said[index])]
            members = zip(classes, self.sets[index].tolist(), strict=True)
            labels = tuple(one for one, is_in in members if is_in)
            return GuardedRow(name, label, None, probs, None, labels, None, self.coverage, domain)
        value = tuple(row.tolist()) if row.ndim else float(row)
        return GuardedRow(
            name, None, value, {}, None, (), self._interval(index), self.coverage, domain
        )

    def _interval(self, index: int) -> Any:
        if self.low is None or self.high is None:
            return None
        return np.stack([self.low[index], self.high[index]], axis=-1).tolist()

    def columns(self) -> dict[str, Any]:
        """As `RowPredictions.columns`, then what the guard says."""
        found = super().columns()
        if self.sets is not None:
            classes = np.array(self.target.classes, dtype=object)
            found["possible"] = [" | ".join(classes[row]) for row in self.sets]
        elif self.low is not None and self.high is not None:
            names = self.target.names
            for end, values in (("low", self.low), ("high", self.high)):
                parts = values.reshape(len(self), -1)
                single = len(names) == 1
                found |= {
                    end if single else f"{end} of {name}": parts[:, place]
                    for place, name in enumerate(names)
                }
        found["domain score"] = self.domain_score
        found["in domain"] = self.in_domain
        new: list[list[str]] = [[] for _ in range(len(self))]
        for one in self.strange:
            for row in np.flatnonzero(one.rows).tolist():
                new[row].append(f"{one.column} {one.what}")
        found["new"] = ["; ".join(words) for words in new]
        return found


LEAST_FOR_SHIFT = 20
"""Of fewer rows the test for a shift could say little."""
