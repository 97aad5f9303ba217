"""The guard: what a bundle says about each of its answers, beside the answer.

    guard = fit_guard(logits, targets, features, train_features=..., train_targets=...)
    judged = guard.judge(logits, features)   # probabilities, prediction sets, domain scores and flags
    guard.shift(features)                    # has the source of the batch changed?

It is fitted once, on validation items, and everything it promises is about new items from where those
came from. Four parts: calibration.py, conformal.py, domain.py, shift.py; plain JSON and tensors on disk,
which are not trusted when they are read. Twin: drivetrain.reference.guard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from drivetrain.bundle.calibration import Temperature, fit_temperature
from drivetrain.bundle.checks import check_logits, check_rows, check_targets
from drivetrain.bundle.conformal import Intervals, Sets, fit_interval, fit_sets
from drivetrain.bundle.domain import Domain, fit_domain
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.shift import Reference, ShiftReport, column_shift, fit_shift
from drivetrain.errors import ShapeError

__all__ = [
    "Guard",
    "Intervals",
    "Judged",
    "ShiftReport",
    "column_shift",
    "fit_guard",
    "fit_interval",
]

FORMAT = 1
"""Of `to_json` and `tensors`; another one is refused."""


@dataclass(frozen=True)
class Judged:
    """What the guard says about B answers."""

    probs: Tensor
    """(B, C) float64, calibrated. The predicted class is best taken from the logits: equal here."""
    sets: Tensor
    """(B, C) bool: the classes that are possible; the predicted one always is."""
    domain_score: Tensor
    """(B,) float64: about 1 or less where the item is like those known."""
    in_domain: Tensor
    """(B,) bool: False flags an item as foreign."""


@dataclass(frozen=True)
class Guard:
    """A fitted guard; see the module."""

    temperature: Temperature
    """Makes probabilities honest."""
    prediction_sets: Sets
    """Which classes are possible."""
    domain: Domain
    """What is like the training items."""
    reference: Reference
    """What batches are compared with."""

    @property
    def coverage(self) -> float:
        """How often a prediction set holds the truth, at least."""
        return self.prediction_sets.coverage

    @property
    def false_alarm(self) -> float:
        """The share of items of the same source that is flagged as foreign, at most."""
        return self.domain.false_alarm

    @property
    def num_items(self) -> int:
        """Validation items that it was fitted on."""
        return self.temperature.num_items

    @property
    def num_features(self) -> int:
        """F."""
        return self.domain.num_features

    @property
    def text(self) -> str:
        """What it promises, and what it cannot, in a few sentences."""
        before, after = self.temperature.loss_before, self.temperature.loss_after
        return " ".join(
            (
                f"Probabilities are calibrated on {self.num_items} validation items (temperature "
                f"{self.temperature.value:.2f}, log loss {before:.3f} before and {after:.3f} after).",
                str(self.prediction_sets),
                str(self.domain),
            )
        )

    def judge(self, logits: Tensor, features: Tensor) -> Judged:
        """Judge the answers of a batch; each item by itself.

        Args:
            logits: (B, C) float scores of the model.
            features: (B, F) float, from where the fitted ones came from.

        Raises: ShapeError: another shape. InputError: NaN or infinity.
        """
        logits = check_logits("judge", logits, least=0)
        features = check_rows("judge", "features", features, width=self.num_features)
        if len(features) != len(logits):
            raise ShapeError(
                f"`judge` got logits of {len(logits)} and features of {len(features)} items."
            )
        probs = self.temperature.probs(logits)
        score = self.domain.score(features)
        return Judged(probs, self.prediction_sets.sets(probs), score, self.domain.is_inside(score))

    def shift(self, features: Tensor) -> ShiftReport:
        """Whether a batch (B, F) comes from where the validation items came from.

        Raises: ShapeError: another width, or no items. InputError: NaN or infinity.
        """
        return self.reference.test(features)

    def to_json(self) -> dict[str, Any]:
        """Everything but the tensors, as plain JSON."""
        return {
            "format": FORMAT,
            "temperature": self.temperature.to_json(),
            "sets": self.prediction_sets.to_json(),
            "domain": self.domain.to_json(),
            "shift": self.reference.to_json(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by name; float32."""
        return {**self.domain.tensors(), **self.reference.tensors()}

    @classmethod
    def from_parts(cls, json: Any, tensors: Mapping[str, Any]) -> Guard:
        """The guard that `to_json` and `tensors` are of, to the last bit.

        Both may come from a stranger: types, sizes, ranges and finiteness are checked, and nothing is
        looked up by a name that stands in them.

        Raises: BundleError: anything else than what those two give.
        """
        fields = Fields(json, "guard.json")
        fields.whole("format", FORMAT, FORMAT)
        domain = Domain.from_parts(fields.inner("domain"), tensors)
        guard = cls(
            temperature=Temperature.from_json(fields.inner("temperature")),
            prediction_sets=Sets.from_json(fields.inner("sets")),
            domain=domain,
            reference=Reference.from_parts(fields.inner("shift"), tensors, domain.num_features),
        )
        fields.end()
        extra = sorted(map(str, set(tensors) - set(guard.tensors())))
        if extra:
            fields.refuse(f"stands beside the unknown tensor '{extra[0][:60]}'")
        return guard


def fit_guard(
    logits: Tensor,
    targets: Tensor,
    features: Tensor,
    *,
    train_features: Tensor | None = None,
    train_targets: Tensor | None = None,
    coverage: float = 0.9,
    false_alarm: float = 0.05,
    level: float = 0.01,
    seed: int = 42,
) -> Guard:
    """Fit a guard on validation items: none that the model was trained on, prepared as new ones will be.

    Args:
        logits: (N, C) float, scores of the model for validation items.
        targets: (N,) int64 class indices.
        features: (N, F) float: what goes into the model's head; see `fit_domain`.
        train_features: (M, F) float, the same of training items; None takes half of `features`.
        train_targets: (M,) int64 their classes; None does without.
        coverage: how often prediction sets hold the truth, in (0, 1).
        false_alarm: how often an item of the same source is flagged as foreign, in (0, 1).
        level: how often a batch of the same source is called drifted, in (0, 1).
        seed: what draws are derived from.

    Raises: ShapeError, InputError: they are not that. ConfigError: a share outside (0, 1).
    """
    logits = check_logits("fit_guard", logits)
    targets = check_targets("fit_guard", targets, logits)
    if features.ndim != 2 or len(features) != len(logits):
        raise ShapeError(
            f"`fit_guard` got features of shape {tuple(features.shape)}, expected ({len(logits)}, any): "
            "a row for each row of the logits."
        )
    if train_features is None:
        train_targets = None
    temperature = fit_temperature(logits, targets)
    return Guard(
        temperature=temperature,
        prediction_sets=fit_sets(temperature.probs(logits), targets, coverage=coverage),
        domain=fit_domain(
            features,
            train_features=train_features,
            train_targets=train_targets,
            false_alarm=false_alarm,
            seed=seed,
        ),
        reference=fit_shift(features, level=level, seed=seed),
    )
