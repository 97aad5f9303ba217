"""Too simple, right, or too wild: models in the order of how much they can bend, by their two losses.

A model that can bend further fits the training items at least as well. The loss on items it has not
seen falls at first and then rises: on the left of the lowest point a model underfits, on the right it
overfits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivetrain.errors import ConfigError

UNDERFITS, RIGHT, OVERFITS = "underfits", "right", "overfits"


@dataclass(frozen=True)
class Diagnosis:
    """One model, and what its losses say."""

    name: str
    train_loss: float
    valid_loss: float
    verdict: str
    """`underfits`, `right` or `overfits`."""

    def __str__(self) -> str:
        return (
            f"{self.name}: train {self.train_loss:.4g}, valid {self.valid_loss:.4g}: {self.verdict}"
        )


def fit_diagnosis(
    names: Sequence[str], train_losses: Sequence[float], valid_losses: Sequence[float]
) -> list[Diagnosis]:
    """Which models underfit, which is right, and which overfit.

    Args:
        names: of the models, the one that can bend least first.
        train_losses: on the items each was fitted to.
        valid_losses: on others; the lowest one is `right`.

    Raises: ConfigError: not as many losses as names, or none.
    """
    if not len(names) == len(train_losses) == len(valid_losses) or not names:
        raise ConfigError(
            f"`fit_diagnosis` needs two losses a model. Got {len(names)} names, {len(train_losses)} and "
            f"{len(valid_losses)} losses."
        )
    best = min(range(len(names)), key=lambda place: valid_losses[place])
    verdicts = [UNDERFITS] * best + [RIGHT] + [OVERFITS] * (len(names) - best - 1)
    columns = zip(names, train_losses, valid_losses, verdicts, strict=True)
    return [Diagnosis(name, float(a), float(b), verdict) for name, a, b, verdict in columns]
