"""What is predicted of a text: one class, several labels at once, or a number; learnt, stored as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from drivetrain import _strict
from drivetrain.errors import ConfigError, DataError, RunError

KINDS = ("class", "labels", "number")
FEW = 20
"""Whole numbers with at most so many different values are taken for classes."""
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Goal:
    """The target of a text."""

    name: str
    kind: str
    """`class`, `labels` (none, one or several at once) or `number`."""
    classes: tuple[str, ...] = ()
    """In the order of the scores; empty for numbers."""
    separator: str | None = None
    """What stands between labels in one cell."""
    mean: float = 0.0
    scale: float = 1.0
    """Models learn (number - mean) / scale."""
    reason: str = ""

    @property
    def num_outputs(self) -> int:
        """Scores a text gets."""
        return len(self.classes) or 1

    @property
    def loss_kind(self) -> str:
        """For `losses.choose_loss`."""
        return {"class": "class", "labels": "binary", "number": "number"}[self.kind]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that it is told by, the one that counts first."""
        return {
            "class": ("accuracy", "error_rate"),
            "labels": ("binary_accuracy",),
            "number": ("pearson", "rmse"),
        }[self.kind]

    def encode(self, labels: Sequence[Any]) -> np.ndarray:
        """(N,) int64 classes, -1 where training had none of that name; (N, C) float32 of 0 and 1; or (N,)
        float32 numbers as models learn them.

        Raises: DataError: a label is no number.
        """
        index = {name: place for place, name in enumerate(self.classes)}
        if self.kind == "class":
            return np.array([index.get(str(label), -1) for label in labels], dtype=np.int64)
        if self.kind == "labels":
            found = np.zeros((len(labels), len(self.classes)), dtype=np.float32)
            for row, label in enumerate(labels):
                for name in several(label, self.separator):
                    if name in index:
                        found[row, index[name]] = 1
            return found
        numbers = [number_of(label) for label in labels]
        wrong = next((k for k, n in enumerate(numbers) if n is None), None)
        if wrong is not None:
            raise DataError(f"'{self.name}' is a number, and {str(labels[wrong])[:40]!r} is none.")
        values = np.array(numbers, dtype=np.float64)
        return ((values - self.mean) / self.scale).astype(np.float32)

    def answers(self, scores: Tensor) -> Tensor:
        """What a model's scores say, float64: probabilities (N, C), or numbers (N,) in their own unit."""
        if self.kind == "class":
            return scores.double().softmax(dim=1)
        if self.kind == "labels":
            return scores.double().sigmoid()
        return scores.double() * self.scale + self.mean

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        """Predicted numbers in their own unit, float64."""
        return outputs.astype(np.float64) * self.scale + self.mean

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"classes": list(self.classes)}

    @classmethod
    def from_json(cls, record: Any) -> Goal:
        """The goal that `to_json` wrote.

        Raises: RunError: it is none.
        """
        try:
            goal = cls(**{**record, "classes": tuple(record["classes"])})
            sound = goal.kind in KINDS and all(isinstance(c, str) for c in goal.classes)
            sound = sound and bool(goal.classes) == (goal.kind != "number")
            sound = sound and math.isfinite(goal.mean) and goal.scale > 0
        except (TypeError, KeyError) as error:
            raise RunError(
                f"The target is not one that Drivetrain wrote: {_strict.short(error)}."
            ) from error
        if not sound:
            raise RunError("The target is not one that Drivetrain wrote.")
        return goal


def find_goal(
    labels: Sequence[Any],
    name: str,
    *,
    kind: str | None = None,
    separator: str | None = None,
) -> Goal:
    """What kind of target the labels of the training texts are.

    Args:
        labels: (N,) strings, numbers, or lists of strings.
        name: of the target.
        kind: one of `KINDS`, where it is not to be found out.
        separator: what stands between several labels in one string.

    Raises: ConfigError: there is no such kind, or it does not fit. DataError: there is one class only, or
        too many of them.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"`target_kind` is one of {', '.join(KINDS)}. Got {kind!r}.")
    is_list = any(isinstance(label, list | tuple | set | frozenset) for label in labels)
    if kind is None and (is_list or separator is not None):
        kind = "labels"
    numbers = [number_of(label) for label in labels]
    are_numbers = all(number is not None for number in numbers)
    if kind == "labels":
        counts = Counter(one for label in labels for one in several(label, separator))
        if not counts:
            raise DataError(f"No text has a label in '{name}'.")
        reason = "each text has a list of labels" if is_list else "several labels a text"
        return Goal(name, "labels", _checked(counts, name), separator, reason=reason)
    if kind == "number" or (kind is None and are_numbers and _is_quantity(numbers)):
        if not are_numbers:
            wrong = labels[numbers.index(None)]
            raise ConfigError(f"'{name}' holds {str(wrong)[:40]!r}, which is no number.")
        values = np.array(numbers, dtype=np.float64)
        spread = float(values.std())
        if spread == 0:
            raise DataError(f"'{name}' is {values[0]:g} in each training text: nothing to learn.")
        near = abs(float(values.mean())) <= 3 and 0.05 <= spread <= 3
        mean, scale = (0.0, 1.0) if near else (float(values.mean()), spread)
        return Goal(name, "number", (), None, mean, scale, "its numbers are a quantity")
    counts = Counter(str(label) for label in labels)
    if len(counts) < 2:
        raise DataError(f"All training texts are of one class: {next(iter(counts))}.")
    reason = f"{len(counts)} different labels"
    return Goal(name, "class", _checked(counts, name), reason=reason)


def several(label: Any, separator: str | None) -> list[str]:
    """The labels of a text, each once."""
    if label is None:
        return []
    if isinstance(label, str):
        parts = label.split(separator) if separator else [label]
    else:
        parts = [str(one) for one in label]
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def number_of(label: Any) -> float | None:
    """The number that a label is; None where it is none, or not finite."""
    if isinstance(label, bool) or not isinstance(label, str | int | float | np.number):
        return None
    try:
        found = float(label)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _is_quantity(numbers: Sequence[float | None]) -> bool:
    values = {number for number in numbers if number is not None}
    return len(values) > FEW or any(value != int(value) for value in values)


def _checked(counts: Mapping[str, int], name: str) -> tuple[str, ...]:
    if len(counts) > MOST_CLASSES:
        raise DataError(
            f"'{name}' has {len(counts):,} different labels, more than {MOST_CLASSES:,} classes. Is it "
            "the target?"
        )
    return tuple(sorted(counts))
