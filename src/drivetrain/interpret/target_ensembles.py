"""Ensembles of models that answer several questions of an item: an ensemble for each target.

    found = dt.interpret.target_ensemble({"small": learner.predictions(), "large": other.predictions()})
    print(found)                                     # of each target members, their mean, the ensemble
    found["variety"].weights

A target is averaged as it would be alone (`interpret.ensembles`), with weights of its own where they are
fitted: the model that knows diseases best need not know varieties best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivetrain.errors import DataError
from drivetrain.interpret.ensembles import FOLDS, Ensemble, Weights, ensemble
from drivetrain.train.predictions import Predictions


@dataclass(frozen=True)
class TargetEnsemble:
    """Several models of several targets as one. Printable."""

    targets: Mapping[str, Ensemble]
    """By the target's name."""

    def __getitem__(self, target: str) -> Ensemble:
        return self.targets[target]

    def __len__(self) -> int:
        """Items it was measured on."""
        return len(next(iter(self.targets.values())).predictions)

    @property
    def weights(self) -> dict[str, dict[str, float]]:
        """Of each target the weight of each member, for new items."""
        return {name: found.weights for name, found in self.targets.items()}

    def to_json(self) -> dict[str, Any]:
        """`{targets: {name: …}}`, each as `Ensemble.to_json`."""
        return {"targets": {name: found.to_json() for name, found in self.targets.items()}}

    def __str__(self) -> str:
        return "\n\n".join(f"{name}\n{found}" for name, found in self.targets.items())


def target_ensemble(
    records: Mapping[str, Predictions] | Sequence[Predictions],
    weights: Weights = None,
    *,
    folds: int = FOLDS,
    seed: int = 42,
) -> TargetEnsemble:
    """Put records of several targets together, target by target.

    Args:
        records: of two members or more, each with the same targets; as of `ensemble`.
        weights: as of `ensemble`; the same for all targets, or `fitted` for each of them.
        folds: in which fitted weights are measured, 2 or more.
        seed: of the folds.

    Returns: an ensemble of each target.
    Raises: as `ensemble`. DataError: a record is of one target, or of others.
    """
    named = dict(records) if isinstance(records, Mapping) else dict(_numbered(records))
    first, start = next(iter(named.items()), ("", None))
    if start is None or not start.parts:
        raise DataError(
            "`target_ensemble` needs records of several targets each. Of one target it is `ensemble`."
        )
    for name, record in named.items():
        if set(record.parts) != set(start.parts):
            raise DataError(
                f"{first} and {name} predict other things: {_told(start)}, and {_told(record)}."
            )
    return TargetEnsemble(
        {
            target: ensemble(
                {name: record.of(target) for name, record in named.items()},
                weights,
                folds=folds,
                seed=seed,
            )
            for target in start.parts
        }
    )


def _numbered(records: Sequence[Predictions]) -> list[tuple[str, Predictions]]:
    return [(str(place), one) for place, one in enumerate(records, 1)]


def _told(record: Predictions) -> str:
    return f"the targets {', '.join(record.parts)}" if record.parts else "one target"
