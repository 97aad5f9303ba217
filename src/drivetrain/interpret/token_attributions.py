"""What each token of some texts adds to a score: the record that the ways of `interpret.tokens` give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.interpret import text


@dataclass(frozen=True, eq=False)
class TokenAttributions:
    """What each token of B texts adds to a score."""

    method: str
    """"integrated_gradients", "gradient_times_input", "occlusion" or "leave_one_out"."""
    values: np.ndarray
    """(B, T) float64: above 0 where the token raises the score; 0 at padding and at what is kept."""
    lengths: np.ndarray
    """(B,) int64, tokens that are real."""
    targets: tuple[int | None, ...]
    """(B,) the class that the score is of; None of a model with one output."""
    score: str
    """What was taken apart, one of `token_question.SCORES`."""
    scores: tuple[float, ...]
    """(B,) of the texts."""
    baseline_scores: tuple[float, ...]
    """(B,) of the texts whose vectors are the baseline."""
    baseline: str
    """What the baseline is."""
    steps: tuple[int, ...]
    """(B,) points of the integral; 1 where there is none."""
    tolerance: float
    """The gap that is small enough, a share."""

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def gaps(self) -> np.ndarray:
        """(B,) the sum of all parts, less the difference of the scores: 0 where nothing is missing."""
        return self.values.sum(axis=1) - self._differences

    @property
    def shares(self) -> np.ndarray:
        """(B,) |gap| as a share of what was attributed, signs aside, or of the difference if larger."""
        scale = np.maximum(np.abs(self.values).sum(axis=1), np.abs(self._differences))
        return np.abs(self.gaps) / np.maximum(scale, 1e-12)

    @property
    def are_complete(self) -> np.ndarray:
        """(B,) bool, whether the parts add up as well as was asked for."""
        return self.shares <= self.tolerance

    def of(self, text_number: int) -> np.ndarray:
        """(length,) the parts of one text, padding left out."""
        return self.values[text_number, : self.lengths[text_number]]

    @property
    def _differences(self) -> np.ndarray:
        return np.asarray(self.scores) - np.asarray(self.baseline_scores)

    def to_json(self) -> dict[str, Any]:
        """All fields, plain; a list of parts for each text."""
        return {
            "method": self.method,
            "score": self.score,
            "baseline": self.baseline,
            "tolerance": self.tolerance,
            "texts": [
                {
                    "values": self.of(b).tolist(),
                    "target": self.targets[b],
                    "score": self.scores[b],
                    "baseline_score": self.baseline_scores[b],
                    "gap": float(self.gaps[b]),
                    "gap_share": float(self.shares[b]),
                    "steps": self.steps[b],
                }
                for b in range(len(self))
            ],
        }

    def __str__(self) -> str:
        rows = [
            [
                str(b),
                "-" if self.targets[b] is None else str(self.targets[b]),
                *map(text.number, (self.scores[b], self.baseline_scores[b])),
                text.number(float(self.values[b].sum())),
                f"{self.shares[b]:.1%}",
                str(self.steps[b]),
            ]
            for b in range(len(self))
        ]
        headings = ["text", "class", "score", "baseline", "parts add up to", "gap", "steps"]
        return f"{self.method} of {self.score}, baseline {self.baseline}\n" + text.table(
            headings, rows
        )
