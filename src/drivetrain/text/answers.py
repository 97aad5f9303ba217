"""What a model of texts answers: for one text, and for many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivetrain.text.goal import Goal

SHOWN = 60
"""Letters of a text that stand for it where it has no name."""


@dataclass(frozen=True)
class TextPrediction:
    """The answer for one text."""

    input: str
    """Name of the text, or its beginning."""
    label: str | None = None
    """The class with the highest probability; None for several labels and for numbers."""
    labels: tuple[str, ...] | None = None
    """Those of several labels whose probability is above 0.5."""
    value: float | None = None
    """The number."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Of each class they sum to 1; of several labels each stands for itself."""

    @property
    def probability(self) -> float:
        """That of the label."""
        return self.probabilities[self.label or ""]

    def to_json(self) -> dict[str, Any]:
        """`{input, label, probabilities}`, `{input, labels, probabilities}` or `{input, value}`."""
        if self.label is not None:
            answer: dict[str, Any] = {"label": self.label}
        elif self.labels is not None:
            answer = {"labels": list(self.labels)}
        else:
            return {"input": self.input, "value": self.value}
        return {"input": self.input, **answer, "probabilities": dict(self.probabilities)}

    def __str__(self) -> str:
        if self.label is not None:
            return f"{self.label} ({self.probability:.1%})"
        if self.labels is not None:
            named = [f"{name} ({self.probabilities[name]:.1%})" for name in self.labels]
            return ", ".join(named) or "none of the labels"
        return f"{self.value:,.6g}"


@dataclass(frozen=True)
class TextPredictions:
    """The answers for many texts, in the order of the source."""

    goal: Goal
    """What is predicted: classes, labels or a number."""
    outputs: np.ndarray
    """(N, C) probabilities, or (N,) numbers in the target's unit; float64."""
    ids: Sequence[str]
    """(N,) names of the texts."""
    notes: tuple[str, ...] = ()
    """What reading them found."""

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def values(self) -> np.ndarray:
        """(N,) the numbers; or (N, C) the probabilities."""
        return self.outputs

    @property
    def labels(self) -> list[Any]:
        """(N,) the classes with the highest probability; of several labels a tuple for each text."""
        return [one.label if one.label is not None else one.labels for one in self]

    def __getitem__(self, index: int) -> TextPrediction:
        name, row = self.ids[index], self.outputs[index]
        if self.goal.kind == "number":
            return TextPrediction(name, value=float(row))
        probabilities = dict(zip(self.goal.classes, row.tolist(), strict=True))
        if self.goal.kind == "labels":
            found = tuple(label for label, p in probabilities.items() if p > 0.5)
            return TextPrediction(name, labels=found, probabilities=probabilities)
        best = self.goal.classes[int(row.argmax())]
        return TextPrediction(name, label=best, probabilities=probabilities)

    def __iter__(self) -> Iterator[TextPrediction]:
        return (self[index] for index in range(len(self)))

    def to_json(self) -> list[dict[str, Any]]:
        """A record for each text."""
        return [one.to_json() for one in self]

    def __str__(self) -> str:
        return "\n".join(f"{one.input}  {one}" for one in self)


def shown(text: str) -> str:
    """The beginning of a text in one line."""
    line = " ".join(text[: 4 * SHOWN].split())
    return line if len(line) <= SHOWN else line[: SHOWN - 2] + " …"
