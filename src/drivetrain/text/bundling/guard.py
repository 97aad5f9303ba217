"""The guard of a bundle of texts: that of every classifier, and what of a text can be counted.

How sure an answer is and which classes are possible comes from the model's scores, and whether a text
is of a known kind from what the model's head sees (`bundle.guard`). That sight goes no further than the
vocabulary: two texts of unknown words look alike to it. So two things are counted beside it, the share
of a text's tokens that have no id of their own, and how many tokens it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.bundle.checks import read_threshold, threshold_to_json
from drivetrain.bundle.conformal import upper_quantile
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.guard import Guard, Judged, ShiftReport, fit_guard

FORMAT = 1
MOST_TOKENS = 2**53


@dataclass(frozen=True)
class TextGuard:
    """A fitted guard of texts."""

    guard: Guard
    """Of scores and features."""
    shortest: int
    """Tokens of the shortest training text."""
    longest: int
    """Tokens of the longest one."""
    most_unknown: float
    """Share of unknown tokens that few validation texts exceed; infinity where those were too few."""

    @property
    def coverage(self) -> float:
        """How often a prediction set holds the truth, at least."""
        return self.guard.coverage

    @property
    def false_alarm(self) -> float:
        """The share of texts of the same source that is flagged as foreign, at most."""
        return self.guard.false_alarm

    @property
    def text(self) -> str:
        """What it promises, and what it cannot, in a few sentences."""
        unknown = (
            f"A text is said to hold many unknown words where more than {self.most_unknown:.1%} of its "
            f"tokens are, which {self.false_alarm:.0%} of texts from the same source exceed at most."
            if self.most_unknown < inf
            else "Validation texts are too few to say how many unknown words are usual."
        )
        return f"{self.guard.text} {unknown}"

    def judge(self, logits: Tensor, features: Tensor) -> Judged:
        """Judge the answers of a batch; see `Guard.judge`."""
        return self.guard.judge(logits, features)

    def new(self, num_tokens: int, unknown: float) -> list[str]:
        """What of a text no training text, or hardly any, had."""
        return new_in_text(num_tokens, unknown, self.shortest, self.longest, self.most_unknown)

    def shift(self, features: Tensor) -> ShiftReport:
        """Whether a batch comes from where the validation texts came from."""
        return self.guard.shift(features)

    def to_json(self) -> dict[str, Any]:
        """Everything but the tensors, as plain JSON."""
        return {
            "format": FORMAT,
            "answers": self.guard.to_json(),
            "shortest": self.shortest,
            "longest": self.longest,
            "most_unknown": threshold_to_json(self.most_unknown),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by name."""
        return self.guard.tensors()

    @classmethod
    def from_parts(cls, json: Any, tensors: Mapping[str, Any]) -> TextGuard:
        """The guard that `to_json` and `tensors` are of; both may come from a stranger.

        Raises: BundleError: anything else than what those two give.
        """
        fields = Fields(json, "guard.json")
        fields.whole("format", FORMAT, FORMAT)
        shortest = fields.whole("shortest", 0, MOST_TOKENS)
        found = cls(
            guard=Guard.from_parts(fields.take("answers"), tensors),
            shortest=shortest,
            longest=fields.whole("longest", shortest, MOST_TOKENS),
            most_unknown=read_threshold(fields, "most_unknown", 0, 1),
        )
        fields.end()
        return found


def new_in_text(
    num_tokens: int, unknown: float, shortest: int, longest: int, most_unknown: float
) -> list[str]:
    """What of a text no training text, or hardly any, had.

    >>> new_in_text(3, 0.5, 10, 200, 0.1)
    ['shorter', 'many unknown words']
    """
    found = ["shorter"] if num_tokens < shortest else []
    found += ["longer"] if num_tokens > longest else []
    return found + (["many unknown words"] if unknown > most_unknown else [])


def unknown_share(ids: np.ndarray, unk_id: int | None) -> float:
    """The share of a text's ids that stand for nothing the vocabulary holds."""
    if unk_id is None or not len(ids):
        return 0.0
    return float((ids == unk_id).mean())


def fit_text_guard(
    logits: Tensor,
    targets: Tensor,
    features: Tensor,
    *,
    train_features: Tensor,
    train_targets: Tensor,
    train_lengths: Sequence[int],
    unknown: Sequence[float],
    coverage: float,
    false_alarm: float,
    seed: int,
) -> TextGuard:
    """Fit a guard on validation texts, which the model did not learn from.

    Args:
        logits, targets, features, train_features, train_targets: as in `fit_guard`.
        train_lengths: (M,) tokens of the training texts.
        unknown: (N,) share of unknown tokens of the validation texts.
        coverage, false_alarm: shares in (0, 1).
        seed: what draws are derived from.
    """
    guard = fit_guard(
        logits,
        targets,
        features,
        train_features=train_features,
        train_targets=train_targets,
        coverage=coverage,
        false_alarm=false_alarm,
        seed=seed,
    )
    shares = torch.tensor(list(unknown), dtype=torch.float64)
    return TextGuard(
        guard,
        shortest=int(min(train_lengths)),
        longest=int(max(train_lengths)),
        most_unknown=upper_quantile(shares, 1 - false_alarm),
    )
