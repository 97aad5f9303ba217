"""The guard of a table's bundle: what it says beside each answer, for every kind of model.

    classes    calibrated probabilities, and the set of classes that holds the truth as often as stated
    numbers    an interval that does; where the model has several voices, wider where they differ
    each row   whether it lies among those known (a score, a flag at a stated false-alarm rate), and in
               which columns it has what no training row had
    many rows  which columns have changed, with p-values

The methods are those of `drivetrain.bundle` (decision 15). No row travels in it: the domain keeps means
of groups of rows, the test for a change keeps counts. It is fitted on validation rows, and what it
promises is about new rows from where those came from. Dates are left out of the test for a change: they
move on by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.bundle.calibration import Temperature, calibrated, fit_temperature
from drivetrain.bundle.columns import ColumnReference, fit_columns
from drivetrain.bundle.conformal import Intervals, Sets, fit_interval, fit_sets
from drivetrain.bundle.domain import Domain, fit_domain
from drivetrain.bundle.fields import Fields
from drivetrain.bundle.shift import ShiftReport
from drivetrain.data.frame import Frame
from drivetrain.randomness import permutation
from drivetrain.tabular.bundling.guard_rows import (
    MOST_DUMMIES,
    Strange,
    kind_codes,
    places_of,
    strange_columns,
)
from drivetrain.tabular.columns.dates import date_parts
from drivetrain.tabular.estimators import Estimator, Prepared
from drivetrain.tabular.preprocess import NumberColumn, Preprocess
from drivetrain.tabular.target import Target

FORMAT = 1
"""Of `to_json` and `tensors`; another one is refused."""
GROUP = 5
"""Training rows at least, whose mean is kept in the place of each."""
FLOOR = 0.3
"""Of the training rows' median spread, added to each row's: intervals on hourly bicycle rentals are 126
wide with .9 of the truth in each quarter of the answers within .08, without it 117, with 0 scaling 131
and between .76 and 1."""
SPREAD_ROWS = 3_000
"""Training rows whose spread is looked at."""
TINY = 1e-15
"""Stands for a probability of 0 where its logarithm is taken."""
ROWS = 8_192
"""Rows that are placed at a time."""


@dataclass(frozen=True)
class Seen:
    """The columns of rows, as the guard looks at them."""

    preprocess: Preprocess
    """What was learnt of them."""
    dates: Mapping[str, bool]
    """Columns of the table that are dates, and whether they tell the time of day."""

    @cached_property
    def plain(self) -> list[NumberColumn]:
        """Columns of numbers that are not parts of a date."""
        parts = {part for name, has in self.dates.items() for part in date_parts(name, has)}
        return [column for column in self.preprocess.numbers if column.name not in parts]

    @property
    def called(self) -> dict[str, str]:
        """What the table calls each column of numbers; for the parts of a date `elapsed` stands alone."""
        plain = {column.name: column.name for column in self.plain}
        return plain | {f"{name}.elapsed": name for name in self.dates}

    @property
    def num_places(self) -> int:
        """F of `places`."""
        flags = sum(column.has_flag for column in self.preprocess.numbers)
        levels = (len(column.levels) for column in self.preprocess.categories)
        dummies = sum(count if 0 < count <= MOST_DUMMIES else 1 for count in levels)
        return len(self.preprocess.numbers) + flags + dummies

    @property
    def kinds(self) -> dict[str, int]:
        """Categories, and how many codes `compared` gives each."""
        return {column.name: len(column.levels) + 2 for column in self.preprocess.categories}

    def places(self, frame: Frame) -> Tensor:
        """Where rows lie, (N, F) float64; see `places_of`."""
        known = self.preprocess
        columns = {name: frame[name] for name in known.columns}
        return torch.from_numpy(places_of(columns, known.categories, known.numbers))

    def strange(self, frame: Frame) -> list[Strange]:
        """Columns in which a row has what no training row had."""
        known = self.preprocess
        columns = {name: frame[name] for name in known.columns}
        return strange_columns(columns, known.categories, known.numbers, self.called)

    def compared(self, frame: Frame) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The columns that tell whether the source has changed: numbers, and codes of kinds."""
        numbers = {column.name: _tensor(frame.numbers(column.name)) for column in self.plain}
        kinds = {
            column.name: torch.from_numpy(kind_codes(frame.factor(column.name), column.levels))
            for column in self.preprocess.categories
        }
        return numbers, kinds


@dataclass(frozen=True)
class JudgedRows:
    """What the guard says about N answers."""

    probs: np.ndarray | None
    """(N, C) float64, calibrated; None for numbers."""
    sets: np.ndarray | None
    """(N, C) bool: the classes that are possible; None for numbers."""
    low: np.ndarray | None
    """(N,) or (N, T) float64, where the interval begins, in what the model learnt; None for classes."""
    high: np.ndarray | None
    """Where it ends."""
    domain_score: np.ndarray
    """(N,) float64: about 1 or less where the row is like those known."""
    in_domain: np.ndarray
    """(N,) bool: False flags a row as foreign."""


@dataclass(frozen=True)
class TableGuard:
    """A fitted guard; see the module."""

    temperature: Temperature | None
    """Makes probabilities honest; None for numbers."""
    prediction_sets: Sets | None
    """Which classes are possible; None for numbers."""
    intervals: tuple[Intervals, ...]
    """How far the truth may be, one for each number that is predicted; empty for classes."""
    spread_floor: float | None
    """Added to a row's spread, where intervals are as many times as wide; None where all are as wide."""
    domain: Domain
    """What is like the training rows."""
    reference: ColumnReference | None
    """What new tables are compared with; None where all columns are dates."""

    @property
    def coverage(self) -> float:
        """How often a set or an interval holds the truth, at least."""
        if self.prediction_sets is not None:
            return self.prediction_sets.coverage
        return self.intervals[0].coverage

    @property
    def false_alarm(self) -> float:
        """The share of rows of the same source that is flagged as foreign, at most."""
        return self.domain.false_alarm

    @property
    def num_items(self) -> int:
        """Validation rows that it was fitted on."""
        return self.domain.num_items

    def told(self, target: Target) -> str:
        """What it promises, and what it cannot, in a few sentences."""
        said = []
        if self.temperature is not None:
            before, after = self.temperature.loss_before, self.temperature.loss_after
            said.append(
                f"Probabilities are calibrated on {self.num_items:,} validation rows (temperature "
                f"{self.temperature.value:.2f}, log loss {before:.3f} before and {after:.3f} after)."
            )
            said.append(str(self.prediction_sets))
        elif endless := [str(one) for one in self.intervals if one.half_width == np.inf]:
            said.append(endless[0])
        elif self.spread_floor is not None:
            said.append(
                f"Intervals hold the truth in {self.coverage:.0%} of rows, and are wider where the "
                "parts of the model differ."
            )
        elif target.is_log or len(self.intervals) > 1:
            said.append(
                f"Intervals hold the truth in {self.coverage:.0%} of rows, for each number."
            )
        else:
            said += map(str, self.intervals)
        return " ".join((*said, str(self.domain)))

    def judge(
        self,
        outputs: np.ndarray,
        spread: np.ndarray | None,
        frame: Frame,
        seen: Seen,
    ) -> JudgedRows:
        """Judge the answers for N rows; each by itself.

        Args:
            outputs: (N,) or (N, T) numbers as they were learnt, or (N, C) probabilities.
            spread: (N,) the model's, where intervals depend on it.
            frame: the rows.
            seen: how they are looked at.
        """
        score = self.domain_score(frame, seen)
        in_domain = self.domain.is_inside(score).numpy()
        if self.temperature is not None and self.prediction_sets is not None:
            probs = self.temperature.probs(logits_of(outputs))
            sets = self.prediction_sets.sets(probs).numpy()
            return JudgedRows(probs.numpy(), sets, None, None, score.numpy(), in_domain)
        reach = interval_reach([one.half_width for one in self.intervals], outputs.shape)
        if self.spread_floor is not None:
            assert spread is not None, "checked when the guard was made, or read"
            reach = reach * (spread + self.spread_floor)
        return JudgedRows(None, None, outputs - reach, outputs + reach, score.numpy(), in_domain)

    def domain_score(self, frame: Frame, seen: Seen) -> Tensor:
        """(N,) float64: about 1 or less where a row lies among those known."""
        starts = range(0, len(frame), ROWS)
        blocks = (frame.take(np.arange(s, min(s + ROWS, len(frame)))) for s in starts)
        parts = [self.domain.score(seen.places(block)) for block in blocks]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def shift(self, frame: Frame, seen: Seen) -> ShiftReport | None:
        """Whether rows come from where the validation rows came from, and which columns say so.

        None where there is nothing to compare: no rows, or no columns but dates.
        """
        if self.reference is None or not len(frame):
            return None
        numbers, kinds = seen.compared(frame)
        return self.reference.test(numbers | kinds)

    def to_json(self) -> dict[str, Any]:
        """Everything but the tensors, as plain JSON."""
        return {
            "format": FORMAT,
            "temperature": None if self.temperature is None else self.temperature.to_json(),
            "sets": None if self.prediction_sets is None else self.prediction_sets.to_json(),
            "intervals": [one.to_json() for one in self.intervals],
            "spread_floor": self.spread_floor,
            "domain": self.domain.to_json(),
            "shift": None if self.reference is None else self.reference.to_json(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by name; float32."""
        return self.domain.tensors()

    @classmethod
    def from_parts(
        cls, json: Any, tensors: Mapping[str, Any], *, target: Target, seen: Seen
    ) -> TableGuard:
        """The guard that `to_json` and `tensors` are of, to the last bit.

        Both may come from a stranger: everything is checked, against the model that it stands beside.

        Raises: BundleError: it is something else.
        """
        fields = Fields(json, "guard.json")
        fields.whole("format", FORMAT, FORMAT)
        is_class = target.kind == "class"
        temperature, sets = _inner(fields, "temperature"), _inner(fields, "sets")
        intervals = fields.inners("intervals", most=max(1, len(target.names)))
        expected = 0 if is_class else len(target.names)
        if len(intervals) != expected:
            fields.refuse(f"has {len(intervals)} `intervals`, expected {expected}")
        if (temperature is None) == is_class or (sets is None) == is_class:
            fields.refuse("judges another kind of answer than the model gives")
        domain = Domain.from_parts(fields.inner("domain"), tensors)
        guard = cls(
            temperature=None if temperature is None else Temperature.from_json(temperature),
            prediction_sets=None if sets is None else Sets.from_json(sets),
            intervals=tuple(Intervals.from_json(one) for one in intervals),
            spread_floor=_floor(fields, can_be=expected == 1),
            domain=domain,
            reference=_reference(fields, seen),
        )
        fields.end()
        extra = sorted(map(str, set(tensors) - set(guard.tensors())))
        if extra:
            fields.refuse(f"stands beside the unknown tensor '{extra[0][:60]}'")
        if domain.num_features != seen.num_places:
            fields.refuse(
                f"is of rows in {domain.num_features} dimensions, these have {seen.num_places}"
            )
        return guard


def fit_table_guard(
    estimator: Estimator,
    seen: Seen,
    target: Target,
    *,
    train: Frame,
    valid: Frame,
    targets: np.ndarray,
    coverage: float = 0.9,
    false_alarm: float = 0.05,
    level: float = 0.01,
    seed: int = 42,
) -> TableGuard:
    """Fit a guard.

    Args:
        estimator, target: the model's.
        seen: how its rows are looked at.
        train: rows that it was fitted on.
        valid: rows that it was not fitted on, 1 or more.
        targets: (N,) or (N, T) of `valid`, as `Target.values` gives them.
        coverage: how often a set or an interval is to hold the truth, in (0, 1).
        false_alarm: how often a row of the same source may be flagged as foreign, in (0, 1).
        level: how often a batch of the same source may be called drifted, in (0, 1).
        seed: what draws are derived from.

    Raises: ConfigError: a share outside (0, 1). ShapeError: too few rows. InputError: the model's answers
        are NaN or infinite.
    """
    outputs = estimator.predict(Prepared(seen.preprocess, valid))
    temperature = sets = floor = None
    intervals: tuple[Intervals, ...] = ()
    if target.kind == "class":
        logits, truth = logits_of(outputs), torch.from_numpy(targets)
        temperature = fit_temperature(logits, truth)
        sets = fit_sets(calibrated(logits, temperature.value), truth, coverage=coverage)
    elif outputs.ndim == 2:
        pairs = zip(outputs.T, targets.T, strict=True)
        intervals = tuple(fit_interval(_tensor(a), _tensor(b), coverage) for a, b in pairs)
    else:
        scale, floor = _scale(estimator, seen.preprocess, train, valid)
        intervals = (fit_interval(_tensor(outputs), _tensor(targets), coverage, scale=scale),)
    some = train if len(train) <= 2 * ROWS else train.take(_drawn(len(train), 2 * ROWS, seed))
    numbers, kinds = seen.compared(valid)
    counted = {name: (codes, seen.kinds[name]) for name, codes in kinds.items()}
    return TableGuard(
        temperature,
        sets,
        intervals,
        floor,
        domain=fit_domain(
            seen.places(valid),
            train_features=seen.places(some),
            false_alarm=false_alarm,
            group=GROUP,
            seed=seed,
        ),
        reference=fit_columns(numbers, counted, level=level) if numbers or kinds else None,
    )


def logits_of(probs: np.ndarray) -> Tensor:
    """(N, C) probabilities -> (N, C) float64 scores, whose softmax they are."""
    return torch.from_numpy(np.log(np.maximum(probs, TINY)))


def interval_reach(half_widths: list[float], shape: tuple[int, ...]) -> np.ndarray:
    """How far intervals reach to each side, of the shape of the answers: (N,) or (N, T)."""
    return np.broadcast_to(np.array(half_widths), shape)


def _scale(
    estimator: Estimator, preprocess: Preprocess, train: Frame, valid: Frame
) -> tuple[Tensor | None, float | None]:
    """(N,) how hard each validation row is, and what was added to its spread; None without a spread."""
    spread = estimator.spread(Prepared(preprocess, valid))
    if spread is None:
        return None, None
    some = train.take(np.arange(min(len(train), SPREAD_ROWS)))
    known = estimator.spread(Prepared(preprocess, some))
    assert known is not None, "a model has a spread or has none"
    # of training rows, so that validation rows and new ones stay alike
    floor = FLOOR * float(np.median(known))
    if not floor > 0:
        return None, None
    return _tensor(spread + floor), floor


def _drawn(count: int, most: int, seed: int) -> np.ndarray:
    return permutation(count, seed=seed, epoch=0, purpose="guard rows")[:most].numpy()


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))


def _inner(fields: Fields, name: str) -> Fields | None:
    value = fields.take(name)
    return None if value is None else Fields(value, f"{fields.where}, `{name}`,")


def _floor(fields: Fields, *, can_be: bool) -> float | None:
    value = fields.take("spread_floor")
    if value is None:
        return None
    if not can_be:
        fields.refuse("has a `spread_floor`, which is for one number")
    return Fields({"spread_floor": value}, fields.where).number("spread_floor", 1e-300, 1e300)


def _reference(fields: Fields, seen: Seen) -> ColumnReference | None:
    numbers, kinds = [column.name for column in seen.plain], seen.kinds
    found = _inner(fields, "shift")
    if (found is None) != (not numbers and not kinds):
        fields.refuse("does not say which columns `shift` compares")
    if found is None:
        return None
    return ColumnReference.from_json(found, numbers=numbers, kinds=kinds)
