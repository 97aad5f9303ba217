"""What a Predictor answers: a label with probabilities, and what the guard of a bundle says beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivetrain.bundle.shift import ShiftReport
from drivetrain.data.items import Quarantined


@dataclass(frozen=True)
class Domain:
    """Whether a picture is of the kind that the model was trained on."""

    score: float
    """How far it is from that; the larger, the stranger."""
    in_domain: bool
    """Whether the score is one that such pictures have."""
    false_alarm: float
    """Share of such pictures that are taken for strange ones."""

    def to_json(self) -> dict[str, Any]:
        """`{score, in_domain, false_alarm}`."""
        return {
            "score": self.score,
            "in_domain": self.in_domain,
            "false_alarm": self.false_alarm,
        }


@dataclass(frozen=True)
class Guarded:
    """What the guard of a bundle says beside the label."""

    labels: tuple[str, ...]
    """The labels that hold the true one in a share of `coverage` of pictures; none is possible too."""
    coverage: float
    """Share of pictures, such as those of the validation, whose true label is among `labels`."""
    domain: Domain
    """Whether the picture is of the kind that the model knows."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture."""

    input: str
    """The path as given; empty for bytes."""
    label: str
    """The class with the highest probability."""
    probabilities: Mapping[str, float]
    """Probability of each class; they sum to 1. Those of a bundle with a guard are calibrated."""
    guarded: Guarded | None = None
    """What the guard says; None of a run, and of a bundle without one."""

    @property
    def probability(self) -> float:
        """That of the label."""
        return self.probabilities[self.label]

    def to_json(self) -> dict[str, Any]:
        """`{input, label, probabilities}`; of a bundle also `probability, set, coverage, domain`."""
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
        return f"{self.label} ({self.probability:.1%})"


@dataclass(frozen=True)
class Answers:
    """The answers for many pictures."""

    predictions: list[Prediction | Quarantined]
    """One for each, in order; a `Quarantined` with the reason where there is no answer."""
    shift: ShiftReport | None
    """Whether they, taken together, are of another kind than the validation pictures were; None without
    a guard, and for fewer than `LEAST_FOR_SHIFT` pictures."""


LEAST_FOR_SHIFT = 20
"""Of fewer pictures the test for a shift could say little."""
