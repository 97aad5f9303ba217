"""The predictor of a bundle of texts: tokenizer, model, guard. It needs no training stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from drivetrain.bundle.shift import ShiftReport
from drivetrain.data.padded import shortened
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, NonFiniteError
from drivetrain.models.device import threads
from drivetrain.text.base import Tokenizer, check_texts
from drivetrain.text.bundling.answers import (
    LEAST_FOR_SHIFT,
    Guarded,
    GuardedText,
    TextAnswers,
    TextDomain,
)  # fmt: skip
from drivetrain.text.bundling.guard import TextGuard, unknown_share
from drivetrain.text.bundling.network import scores_and_features
from drivetrain.text.goal import Goal
from drivetrain.text.reading import Repairs, tidied

SHOWN = 60
"""Letters of a text by which an answer names it."""


class TextPredictor:
    """Answers for texts.

    Args:
        tokenizer: makes ids of texts.
        model: `features(tokens, lengths)` and `head`.
        classes: C labels in the order of the scores.
        max_len: ids that are read of a text, see `data.padded.shortened`; None for all.
        num_threads: torch threads; None leaves them.
        guard: judges scores and features of texts that have one class.
        goal: what is predicted; None: one of the classes.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        model: Any,
        classes: Sequence[str],
        *,
        max_len: int | None = None,
        num_threads: int | None = None,
        guard: TextGuard | None = None,
        goal: Goal | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.model = model
        self.classes = tuple(classes)
        self.max_len = max_len
        self.num_threads = num_threads
        self.guard = guard
        self.goal = Goal("", "class", self.classes) if goal is None else goal

    def predict(self, text: str) -> GuardedText:
        """The answer for one text.

        Raises: ConfigError: it is no text. NonFiniteError: the scores are NaN or infinite.
        """
        if not isinstance(text, str):
            raise ConfigError(f"`predict` takes a text. Got {type(text).__name__}.")
        return self.answers([text]).predictions[0]

    def predict_many(self, texts: Sequence[str]) -> list[GuardedText]:
        """The answer for each text, in order."""
        return self.answers(texts).predictions

    def answers(self, texts: Sequence[str], *, names: Sequence[str] = ()) -> TextAnswers:
        """As `predict_many`, and what the guard says of all of them together.

        Args:
            texts: may be none.
            names: of the texts, in the answers; by default how each begins.
        """
        if not len(texts):
            return TextAnswers([], None)
        ids = self.ids(texts)
        scores, features = self.calculated(ids)
        self._check(scores)
        named = names or [shown(text) for text in texts]
        if self.goal.kind == "number":
            values = (scores.double() * self.goal.scale + self.goal.mean).tolist()
            return TextAnswers(
                [GuardedText(name, value=v) for name, v in zip(named, values, strict=True)], None
            )
        if self.goal.kind == "labels":
            return TextAnswers(self._several(named, scores.double().sigmoid()), None)
        if self.guard is None:
            return TextAnswers(self._predictions(named, scores.softmax(dim=1), scores, None), None)
        with threads(self.num_threads):
            judged = self.guard.judge(scores, features)
            is_many = len(texts) >= LEAST_FOR_SHIFT
            shift = self.guard.shift(features) if is_many else None
        guarded = [
            Guarded(
                tuple(label for label, is_in in zip(self.classes, members, strict=True) if is_in),
                self.guard.coverage,
                self._domain(one, score, in_domain),
            )
            for one, members, score, in_domain in zip(
                ids,
                judged.sets.tolist(),
                judged.domain_score.tolist(),
                judged.in_domain.tolist(),
                strict=True,
            )
        ]
        return TextAnswers(self._predictions(named, judged.probs, scores, guarded), shift)

    def shift(self, texts: Sequence[str]) -> ShiftReport | None:
        """Whether texts come from where the validation texts came from; None without a guard."""
        if self.guard is None:
            return None
        return self.guard.shift(self.calculated(self.ids(texts))[1])

    def ids(self, texts: Sequence[str]) -> TokenArray:
        """The ids that the model reads of each text, tidied as those of the training were."""
        check_texts(texts)
        repairs = Repairs()
        tokens = self.tokenizer.encode([tidied(text, "", repairs) for text in texts])
        return tokens if self.max_len is None else shortened(tokens, self.max_len)

    def calculated(self, ids: TokenArray) -> tuple[Tensor, Tensor]:
        """Scores (N, C), of numbers (N,), and features (N, F) of texts as ids."""
        with threads(self.num_threads):
            return scores_and_features(self.model, ids, self.tokenizer.pad_id)

    def _domain(self, ids: np.ndarray, score: float, in_domain: bool) -> TextDomain:
        assert self.guard is not None, "asked for by who has one"
        unknown = unknown_share(ids, self.tokenizer.unk_id)
        new = tuple(self.guard.new(len(ids), unknown))
        return TextDomain(score, in_domain, self.guard.false_alarm, len(ids), unknown, new)

    def _check(self, scores: Tensor) -> None:
        """A damaged or foreign model is told by what it answers, and not passed on as a probability."""
        if not scores.isfinite().all():
            raise NonFiniteError(
                "The model's scores are NaN or infinite: its weights are damaged. Restore it from a "
                "copy, or train anew."
            )

    def _predictions(
        self,
        names: Sequence[str],
        probs: Tensor,
        scores: Tensor,
        guarded: Sequence[Guarded] | None,
    ) -> list[GuardedText]:
        said = scores.argmax(dim=1).tolist()  # calibrated, two probabilities may be equal
        return [
            GuardedText(
                name,
                self.classes[best],
                dict(zip(self.classes, row, strict=True)),
                None if guarded is None else guarded[number],
            )
            for number, (name, best, row) in enumerate(
                zip(names, said, probs.tolist(), strict=True)
            )
        ]

    def _several(self, names: Sequence[str], probs: Tensor) -> list[GuardedText]:
        found = []
        for name, row in zip(names, probs.tolist(), strict=True):
            probabilities = dict(zip(self.classes, row, strict=True))
            labels = tuple(label for label, p in probabilities.items() if p > 0.5)
            found.append(GuardedText(name, probabilities=probabilities, labels=labels))
        return found

    def __repr__(self) -> str:
        what = f"{len(self.classes)} {'labels' if self.goal.kind == 'labels' else 'classes'}"
        what = what if self.classes else "numbers"
        return f"TextPredictor({what}, {self.tokenizer!r})"


def shown(text: str) -> str:
    """The beginning of a text, on one line.

    >>> shown("A film\\nabout a film.")
    'A film about a film.'
    """
    line = " ".join(text[: 4 * SHOWN].split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
