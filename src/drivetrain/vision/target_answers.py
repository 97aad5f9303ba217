"""The Predictor of a model with several targets: a class and its probability for each of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain.bundle.manifest import TargetOf
from drivetrain.models import Summary, summarize
from drivetrain.vision.answers import Domain, Guarded, Prediction
from drivetrain.vision.predictor import Predictor, domains_of, labels_in


@dataclass(frozen=True)
class TargetAnswers:
    """The answer for one picture: a `Prediction` of each target."""

    input: str
    """The path as given; empty for bytes."""
    targets: Mapping[str, Prediction]
    """By the target's name."""

    def __getitem__(self, target: str) -> Prediction:
        return self.targets[target]

    def to_json(self) -> dict[str, Any]:
        """`{input, targets: {name: {label, probability, probabilities}}}`; of a bundle with a guard also
        `set, coverage` of each, and `domain`, which is of the picture."""
        told: dict[str, Any] = {"input": self.input, "targets": {}}
        for name, found in self.targets.items():
            one: dict[str, Any] = {
                "label": found.label,
                "probability": found.probability,
                "probabilities": dict(found.probabilities),
            }
            if found.guarded is not None:
                one |= {"set": list(found.guarded.labels), "coverage": found.guarded.coverage}
            told["targets"][name] = one
        return told if self.domain is None else told | {"domain": self.domain.to_json()}

    @property
    def domain(self) -> Domain | None:
        """Whether the picture is of the kind that the model knows; None without a guard."""
        guarded = next(iter(self.targets.values())).guarded
        return None if guarded is None else guarded.domain

    def __str__(self) -> str:
        return ", ".join(f"{name} {found}" for name, found in self.targets.items())


class TargetsPredictor(Predictor):
    """Answers for pictures: decode, resize, normalise, model, a softmax for each target.

    Args:
        model: (B, 3, H, W) float32 -> (B, C_1 + … + C_T) scores.
        targets: in the order of the scores.
        options: of `Predictor`.
    """

    def __init__(self, model: nn.Module, targets: Sequence[TargetOf], **options: Any) -> None:
        super().__init__(model, (), **options)
        self.told = tuple(targets)
        """The targets as they were given."""
        self.targets = {one.name: one.classes for one in targets}
        """The labels of each target by its name, in the order of the scores."""
        self.weights = tuple([one.weight for one in targets])
        """How much each counts in the loss."""
        self.sizes = [len(one.classes) for one in targets]

    def evaluate(
        self, source: str | os.PathLike[str], *, known: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Metrics of each target on labelled pictures from a CSV with the same columns of labels.

        Of a source with parts its `valid` part is measured, else `train`, else `test`. A picture with a
        class that the model does not know is set aside and counted.

        Args:
            source: a CSV.
            known: SHA-256 of files that trained the model, to be counted among the pictures.
        Returns: `{source, metrics, targets: {name: {accuracy, interval, baselines …}}, items, …}`; the
            loss is the weighted sum, as in training.
        Raises: DataError: nothing there can be measured. ConfigError: it lacks a column.
        """
        from drivetrain.vision.target_results import measured  # brings losses, metrics and the loop

        return measured(self, source, known=known)

    def summary(self) -> Summary:
        """The model layer by layer, for one picture: what is learnt and what is calculated."""
        example = torch.zeros(1, 3, *self.size, device=self.device)
        return summarize(self.model, [example], loss="summed_cross_entropy")

    def _probs(self, scores: Tensor) -> Tensor:
        return torch.cat([part.softmax(dim=1) for part in scores.split(self.sizes, dim=1)], dim=1)

    def _guarded(self, guard: Any, judged: Any) -> list[Any]:
        """What the guard says beside each answer, a `Guarded` of each target."""
        parts = [part.tolist() for part in judged.sets.split(self.sizes, dim=1)]
        classes = list(self.targets.values())
        return [
            [
                Guarded(labels_in(labels, part[number]), guard.coverage, domain)
                for labels, part in zip(classes, parts, strict=True)
            ]
            for number, domain in enumerate(domains_of(guard, judged))
        ]

    def _predictions(
        self, names: Sequence[str], probs: Tensor, guarded: Sequence[Any] | None
    ) -> list[Any]:
        parts = [part.tolist() for part in probs.split(self.sizes, dim=1)]
        found = []
        for number, name in enumerate(names):
            answers = {}
            pairs = zip(self.targets.items(), parts, strict=True)
            for place, ((target, classes), rows) in enumerate(pairs):
                row = rows[number]
                label = classes[row.index(max(row))]
                said = None if guarded is None else guarded[number][place]
                chances = dict(zip(classes, row, strict=True))
                answers[target] = Prediction(name, label, chances, said)
            found.append(TargetAnswers(name, answers))
        return found

    def __repr__(self) -> str:
        listed = ", ".join(f"{name}: {len(classes)}" for name, classes in self.targets.items())
        return f"TargetsPredictor({listed}, {self.size[0]} x {self.size[1]} pixels)"


def predictor_of(
    model: nn.Module,
    classes: Sequence[str],
    targets: Sequence[TargetOf],
    **options: Any,
) -> Predictor:
    """The Predictor of a model: of one target with these classes, or of several."""
    if targets:
        return TargetsPredictor(model, targets, **options)
    return Predictor(model, classes, **options)
