"""What a bundle answers for texts: labels or a number, and what the guard says beside a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drivetrain.bundle.shift import ShiftReport

LEAST_FOR_SHIFT = 20
"""Of fewer texts the test for a shift could say little."""


@dataclass(frozen=True)
class TextDomain:
    """Whether a text is of the kind that the model was trained on."""

    score: float
    """How far it is from that; the larger, the stranger."""
    in_domain: bool
    """Whether the score is one that such texts have."""
    false_alarm: float
    """Share of such texts that are taken for strange ones."""
    tokens: int
    """Tokens that the model reads of it."""
    unknown: float
    """Share of them that the vocabulary does not hold."""
    new: tuple[str, ...]
    """What no training text, or hardly any, had: `shorter`, `longer`, `many unknown words`."""

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {
            "score": self.score,
            "in_domain": self.in_domain,
            "false_alarm": self.false_alarm,
            "tokens": self.tokens,
            "unknown": self.unknown,
            "new": list(self.new),
        }


@dataclass(frozen=True)
class Guarded:
    """What the guard of a bundle says beside the label."""

    labels: tuple[str, ...]
    """The labels that hold the true one in a share of `coverage` of texts."""
    coverage: float
    """Share of texts, such as those of the validation, whose true label is among `labels`."""
    domain: TextDomain
    """Whether the text is of the kind that the model knows."""


@dataclass(frozen=True)
class GuardedText:
    """The answer for one text."""

    input: str
    """Where the text came from, or its beginning."""
    label: str = ""
    """The class with the highest score; empty for several labels and for numbers."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Probability of each class; they sum to 1. Those of a bundle with a guard are calibrated. Of several
    labels each stands for itself."""
    guarded: Guarded | None = None
    """What the guard says; None of a bundle without one."""
    labels: tuple[str, ...] | None = None
    """Those of several labels whose probability is above 0.5; None where a text has one class."""
    value: float | None = None
    """The number, where one is predicted."""

    @property
    def probability(self) -> float:
        """That of the label."""
        return self.probabilities[self.label]

    def to_json(self) -> dict[str, Any]:
        """`{input, label, probabilities}`; with a guard also `probability, set, coverage, domain`.

        Of several labels `{input, labels, probabilities}`, of a number `{input, value}`.
        """
        if self.value is not None:
            return {"input": self.input, "value": self.value}
        if self.labels is not None:
            told = {"input": self.input, "labels": list(self.labels)}
            return told | {"probabilities": dict(self.probabilities)}
        plain = {"input": self.input, "label": self.label}
        if self.guarded is None:
            return plain | {"probabilities": dict(self.probabilities)}
        return plain | {
            "probability": self.probability,
            "probabilities": dict(self.probabilities),
            "set": list(self.guarded.labels),
            "coverage": self.guarded.coverage,
            "domain": self.guarded.domain.to_json(),
        }

    def __str__(self) -> str:
        if self.value is not None:
            return f"{self.value:,.6g}"
        if self.labels is not None:
            named = [f"{name} ({self.probabilities[name]:.1%})" for name in self.labels]
            return ", ".join(named) or "none of the labels"
        return f"{self.label} ({self.probability:.1%})"


@dataclass(frozen=True)
class TextAnswers:
    """The answers for many texts."""

    predictions: list[GuardedText]
    """One for each, in order."""
    shift: ShiftReport | None
    """Whether they, taken together, are of another kind than the validation texts were; None without a
    guard, and for fewer than `LEAST_FOR_SHIFT` texts."""
