"""The guard of a model with several targets: a temperature and prediction sets for each, and one domain.

Whether an input is of a kind that the model knows does not depend on what is asked of it, so there is one
domain score and one test for a shift, of the features that all heads are given. How honest a probability
is, and which classes are possible, is each target's own. The sets of one target hold its truth as often
as they say; that those of all T do at once is promised for 1 - T (1 - coverage) only (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from drivetrain.bundle.calibration import Temperature, fit_temperature
from drivetrain.bundle.checks import check_logits, check_rows, check_targets
from drivetrain.bundle.conformal import Sets, fit_sets
from drivetrain.bundle.domain import Domain, fit_domain
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.guard import Judged
from drivetrain.bundle.shift import Reference, ShiftReport, fit_shift
from drivetrain.errors import ShapeError

FORMAT = 1
MOST_TARGETS = 1_000


@dataclass(frozen=True)
class TargetsGuard:
    """A fitted guard of T targets; see the module."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    """C_1 … C_T, classes of each target."""
    temperatures: tuple[Temperature, ...]
    prediction_sets: tuple[Sets, ...]
    domain: Domain
    """What is like the training items."""
    reference: Reference
    """What batches are compared with."""

    @property
    def coverage(self) -> float:
        """How often a prediction set of one target holds its truth, at least."""
        return self.prediction_sets[0].coverage

    @property
    def false_alarm(self) -> float:
        """The share of items of the same source that is flagged as foreign, at most."""
        return self.domain.false_alarm

    @property
    def num_items(self) -> int:
        """Validation items that it was fitted on."""
        return self.temperatures[0].num_items

    @property
    def num_features(self) -> int:
        """F."""
        return self.domain.num_features

    @property
    def text(self) -> str:
        """What it promises of each target, and what it cannot, in a few sentences."""
        told = []
        parts = zip(self.names, self.temperatures, self.prediction_sets, strict=True)
        for name, temperature, sets in parts:
            before, after = temperature.loss_before, temperature.loss_after
            told.append(
                f"{name}: probabilities are calibrated on {temperature.num_items} validation items "
                f"(temperature {temperature.value:.2f}, log loss {before:.3f} before and {after:.3f} "
                f"after). {sets}"
            )
        together = max(0.0, 1 - len(self.names) * (1 - self.coverage))
        told.append(
            f"Each target's sets hold its truth that often; those of all {len(self.names)} at once in "
            f"{together:.0%} or more."
        )
        return " ".join([*told, str(self.domain)])

    def judge(self, logits: Tensor, features: Tensor) -> Judged:
        """Judge the answers of a batch; each item by itself.

        Args:
            logits: (B, C_1 + … + C_T) float scores of the model.
            features: (B, F) float, from where the fitted ones came from.

        Returns: probabilities and sets side by side as the logits are, (B, C_1 + … + C_T).
        Raises: ShapeError: another shape. InputError: NaN or infinity.
        """
        logits = check_logits("judge", logits, classes=sum(self.sizes), least=0)
        features = check_rows("judge", "features", features, width=self.num_features)
        if len(features) != len(logits):
            raise ShapeError(
                f"`judge` got logits of {len(logits)} and features of {len(features)} items."
            )
        probs = [
            temperature.probs(part)
            for temperature, part in zip(
                self.temperatures, logits.split(list(self.sizes), dim=1), strict=True
            )
        ]
        sets = [one.sets(part) for one, part in zip(self.prediction_sets, probs, strict=True)]
        score = self.domain.score(features)
        return Judged(
            torch.cat(probs, dim=1), torch.cat(sets, dim=1), score, self.domain.is_inside(score)
        )

    def shift(self, features: Tensor) -> ShiftReport:
        """Whether a batch (B, F) comes from where the validation items came from.

        Raises: ShapeError: another width, or no items. InputError: NaN or infinity.
        """
        return self.reference.test(features)

    def to_json(self) -> dict[str, Any]:
        """Everything but the tensors, as plain JSON."""
        parts = zip(self.names, self.temperatures, self.prediction_sets, strict=True)
        return {
            "format": FORMAT,
            "targets": [
                {"name": name, "temperature": temperature.to_json(), "sets": sets.to_json()}
                for name, temperature, sets in parts
            ],
            "domain": self.domain.to_json(),
            "shift": self.reference.to_json(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by name; float32."""
        return {**self.domain.tensors(), **self.reference.tensors()}

    @classmethod
    def from_parts(
        cls, json: Any, tensors: Mapping[str, Any], names: Sequence[str], sizes: Sequence[int]
    ) -> TargetsGuard:
        """The guard that `to_json` and `tensors` are of, to the last bit; nothing of either is trusted.

        Args:
            json: what `guard.json` holds.
            tensors: what `guard.safetensors` holds.
            names: of the model's targets; `sizes`: how many classes each has.

        Raises: BundleError: anything else than what those two give, or of other targets.
        """
        fields = Fields(json, "guard.json")
        fields.whole("format", FORMAT, FORMAT)
        domain = Domain.from_parts(fields.inner("domain"), tensors)
        temperatures, sets = [], []
        entries = fields.inners("targets", most=MOST_TARGETS)
        if len(entries) != len(names):
            fields.refuse(f"is of {len(entries)} targets, and the bundle is of {len(names)}")
        for entry, name in zip(entries, names, strict=True):
            entry.word("name", [name])
            temperatures.append(Temperature.from_json(entry.inner("temperature")))
            sets.append(Sets.from_json(entry.inner("sets")))
            entry.end()
        guard = cls(
            tuple(names),
            tuple(sizes),
            tuple(temperatures),
            tuple(sets),
            domain,
            Reference.from_parts(fields.inner("shift"), tensors, domain.num_features),
        )
        fields.end()
        extra = sorted(map(str, set(tensors) - set(guard.tensors())))
        if extra:
            fields.refuse(f"stands beside the unknown tensor '{extra[0][:60]}'")
        return guard


def fit_targets_guard(
    logits: Tensor,
    targets: Tensor,
    features: Tensor,
    *,
    names: Sequence[str],
    sizes: Sequence[int],
    train_features: Tensor,
    train_targets: Tensor,
    coverage: float = 0.9,
    false_alarm: float = 0.05,
    level: float = 0.01,
    seed: int = 42,
) -> TargetsGuard:
    """Fit a guard on validation items: none that the model was trained on, prepared as new ones will be.

    The spread of features within a class, which the domain score needs, is that within the classes of the
    first target.

    Args:
        logits: (N, C_1 + … + C_T) float, scores of the model for validation items.
        targets: (N, T) int64 class indices.
        features: (N, F) float: what goes into the model's heads.
        names: of the targets; `sizes`: C_1 … C_T.
        train_features: (M, F) float, the same of training items.
        train_targets: (M, T) int64, their classes.
        coverage: how often the prediction sets of a target hold its truth, in (0, 1).
        false_alarm: how often an item of the same source is flagged as foreign, in (0, 1).
        level: how often a batch of the same source is called drifted, in (0, 1).
        seed: what draws are derived from.

    Raises: ShapeError, InputError: they are not that. ConfigError: a share outside (0, 1).
    """
    logits = check_logits("fit_targets_guard", logits, classes=sum(sizes))
    if targets.shape != (len(logits), len(sizes)) or features.shape[:1] != logits.shape[:1]:
        raise ShapeError(
            f"`fit_targets_guard` got targets of shape {tuple(targets.shape)} and features of shape "
            f"{tuple(features.shape)}, expected ({len(logits)}, {len(sizes)}) and ({len(logits)}, any)."
        )
    temperatures, sets = [], []
    for part, column in zip(logits.split(list(sizes), dim=1), targets.unbind(dim=1), strict=True):
        codes = check_targets("fit_targets_guard", column, part)
        temperature = fit_temperature(part, codes)
        temperatures.append(temperature)
        sets.append(fit_sets(temperature.probs(part), codes, coverage=coverage))
    return TargetsGuard(
        tuple(names),
        tuple(sizes),
        tuple(temperatures),
        tuple(sets),
        fit_domain(
            features,
            train_features=train_features,
            train_targets=train_targets[:, 0],
            false_alarm=false_alarm,
            seed=seed,
        ),
        fit_shift(features, level=level, seed=seed),
    )
