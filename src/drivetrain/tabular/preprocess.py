"""What is learnt of a table's columns on the training rows, and applied the same ever after.

    categories   a code for each level that training has; code 0 is for missing and unseen ones
    numbers      missing ones get a fill value, and where training had some a flag column says which
    for nets     codes and standardised numbers; for trees codes and numbers side by side; for linear
                 models a column of zeros and ones for each level, and scaled numbers

Nothing is dropped and nothing is changed in silence: what a row brought that training never saw is
counted in `Notes`. A `Preprocess` is plain JSON, and holds no data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError

FILLS = ("median", "mode", "constant")
SCALES = ("standard", "max")
UNSEEN = ("missing", "mode", "error")
MANY_LEVELS, FEWEST_ROWS = 20, 3
"""In columns of more levels than the first, a level of fewer rows than the second is taken as unknown."""
LONG_TAIL = 2.0
"""Skew above which log(1 + x) is suggested."""


@dataclass(frozen=True)
class NumberColumn:
    """What is known of a column of numbers."""

    name: str
    fill: float
    """Stands for what is missing."""
    has_flag: bool
    """Whether training had missing ones, so that a column says which they are."""
    mean: float
    """Of the training rows, filled (and log(1 + x) where `is_log`)."""
    std: float
    """As `mean`; 1 where all are equal."""
    largest: float
    """Largest magnitude, as `mean`; 1 where all are 0."""
    is_log: bool = False
    """log(1 + x) is taken."""
    low: float = 0.0
    """Smallest of the training rows, as it stands in the table."""
    high: float = 0.0
    """Largest of them."""


@dataclass(frozen=True)
class CategoryColumn:
    """What is known of a column of words."""

    name: str
    levels: tuple[str, ...]
    """Those that training has: code i + 1 is `levels[i]`; code 0 is missing or unseen."""
    mode: str | None = None
    """The commonest, of equals the first; stands for what is unseen where the policy is `mode`."""
    rare: tuple[str, ...] = ()
    """Those of too few training rows to learn from: they are taken as unknown."""


@dataclass
class Notes:
    """What rows brought that training never saw, by column."""

    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    """Level -> rows."""
    newly_missing: dict[str, int] = field(default_factory=dict)
    """Rows in which a column is missing that was never missing in training."""
    outside: dict[str, int] = field(default_factory=dict)
    """Rows whose number lies outside the range of training."""

    def __bool__(self) -> bool:
        return bool(self.unseen or self.newly_missing)

    def sentences(self) -> list[str]:
        """One for each column that has something to say."""
        found = []
        for name, levels in self.unseen.items():
            shown = ", ".join(f"{level!r}" for level in list(levels)[:3])
            more = f" and {len(levels) - 3} more" if len(levels) > 3 else ""
            found.append(
                f"'{name}' has {shown}{more} in {sum(levels.values()):,} rows, which training never saw: "
                "taken as unknown."
            )
        for name, count in self.newly_missing.items():
            found.append(
                f"'{name}' is missing in {count:,} rows, and never was in training: filled as usual."
            )
        for name, count in self.outside.items():
            found.append(f"'{name}' lies outside the range of training in {count:,} rows.")
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Preprocess:
    """What was learnt of the columns; see the module."""

    categories: tuple[CategoryColumn, ...]
    numbers: tuple[NumberColumn, ...]
    scale: str = "standard"
    """Of linear models: `standard` is (x - mean) / std, `max` is x / largest."""
    unseen: str = "missing"
    """What stands for a level that training never saw: `missing`, its `mode`, or an `error`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns that are used, categories first."""
        return tuple(c.name for c in (*self.categories, *self.numbers))

    @cached_property
    def design_names(self) -> tuple[str, ...]:
        """Columns of the design that trees see: categories, numbers, then flags of missing ones."""
        flags = tuple(f"{c.name} is missing" for c in self.numbers if c.has_flag)
        return (*self.columns, *flags)

    @cached_property
    def linear_names(self) -> tuple[str, ...]:
        """Columns of the design that linear models see."""
        dummies = tuple(f"{c.name} = {level}" for c in self.categories for level in c.levels)
        numbers = tuple(f"log(1 + {c.name})" if c.is_log else c.name for c in self.numbers)
        flags = tuple(f"{c.name} is missing" for c in self.numbers if c.has_flag)
        return (*numbers, *flags, *dummies)

    @property
    def level_counts(self) -> list[int]:
        """Codes of each category column, code 0 included."""
        return [len(c.levels) + 1 for c in self.categories]

    @property
    def num_net_numbers(self) -> int:
        """Columns of numbers that a net sees, flags included."""
        return len(self.numbers) + sum(c.has_flag for c in self.numbers)

    def codes(self, frame: Frame, notes: Notes | None = None) -> np.ndarray:
        """(N, C) int64 codes of the categories; 0 is missing or unseen.

        Raises: DataError: a column is missing; or a level is unseen and the policy is `error`.
        """
        found = np.empty((len(frame), len(self.categories)), dtype=np.int64)
        for place, column in enumerate(self.categories):
            factor = frame.factor(column.name)
            codes = factor.recoded(column.levels).codes.astype(np.int64)
            is_unseen = (codes < 0) & (factor.codes >= 0)
            if column.rare and is_unseen.any():
                is_unseen &= factor.recoded(column.rare).codes < 0
            if is_unseen.any():
                codes = self._unseen(column, factor, codes, is_unseen, notes)
            found[:, place] = codes + 1
        return found

    def filled(self, frame: Frame, notes: Notes | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers without gaps (N, D) float64, and flags (N, F) float64 of what was missing."""
        numbers = np.empty((len(frame), len(self.numbers)), dtype=np.float64)
        flags = np.empty((len(frame), sum(c.has_flag for c in self.numbers)), dtype=np.float64)
        at = 0
        for place, column in enumerate(self.numbers):
            values = frame.numbers(column.name)
            is_missing = np.isnan(values)
            if column.has_flag:
                flags[:, at] = is_missing
                at += 1
            elif notes is not None and is_missing.any():
                notes.newly_missing[column.name] = int(is_missing.sum())
            if notes is not None:
                outside = int(((values < column.low) | (values > column.high)).sum())
                if outside:
                    notes.outside[column.name] = outside
            numbers[:, place] = np.where(is_missing, column.fill, values)
        return numbers, flags

    def design(self, frame: Frame, notes: Notes | None = None) -> np.ndarray:
        """What trees see, (N, K) float64: codes, filled numbers, flags; see `design_names`."""
        numbers, flags = self.filled(frame, notes)
        return np.concatenate([self.codes(frame, notes), numbers, flags], axis=1)

    def net_inputs(self, frame: Frame, notes: Notes | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What nets see: codes (N, C) int64, and standardised numbers with flags (N, D) float32."""
        numbers, flags = self.filled(frame, notes)
        scaled = (self._logged(numbers) - self._means) / self._stds
        return self.codes(frame, notes), np.concatenate([scaled, flags], axis=1).astype(np.float32)

    def linear(self, frame: Frame, notes: Notes | None = None) -> np.ndarray:
        """What linear models see, (N, K) float64: scaled numbers, flags, a column a level.

        A level that training never saw is zero in all columns of its category.
        """
        numbers, flags = self.filled(frame, notes)
        numbers = self._logged(numbers)
        if self.scale == "max":
            scaled = numbers / self._largest
        else:
            scaled = (numbers - self._means) / self._stds
        codes = self.codes(frame, notes)
        dummies = [
            codes[:, place, None] == np.arange(1, len(column.levels) + 1)
            for place, column in enumerate(self.categories)
        ]
        return np.concatenate([scaled, flags, *dummies], axis=1, dtype=np.float64)

    @cached_property
    def _means(self) -> np.ndarray:
        return np.array([c.mean for c in self.numbers])

    @cached_property
    def _stds(self) -> np.ndarray:
        return np.array([c.std for c in self.numbers])

    @cached_property
    def _largest(self) -> np.ndarray:
        return np.array([c.largest for c in self.numbers])

    @cached_property
    def _logs(self) -> np.ndarray:
        return np.array([c.is_log for c in self.numbers], dtype=bool)

    def _logged(self, numbers: np.ndarray) -> np.ndarray:
        """log(1 + x) of the columns that want it; a number below 0 counts as 0 there."""
        if not self._logs.any():
            return numbers
        found = numbers.copy()
        found[:, self._logs] = np.log1p(np.maximum(found[:, self._logs], 0.0))
        return found

    def _unseen(
        self,
        column: CategoryColumn,
        factor: Factor,
        codes: np.ndarray,
        is_unseen: np.ndarray,
        notes: Notes | None,
    ) -> np.ndarray:
        counts = np.bincount(factor.codes[is_unseen], minlength=len(factor.levels))
        levels = {factor.levels[i]: int(counts[i]) for i in np.flatnonzero(counts)}
        if self.unseen == "error":
            raise DataError(
                f"The column '{column.name}' has {next(iter(levels))!r}, which training never saw. Train "
                "with it, or choose `unseen='missing'`."
            )
        if notes is not None:
            notes.unseen[column.name] = levels
        if self.unseen == "mode" and column.mode is not None:
            return np.where(is_unseen, column.levels.index(column.mode), codes)
        return codes

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "categories": [
                asdict(c) | {"levels": list(c.levels), "rare": list(c.rare)}
                for c in self.categories
            ],
            "numbers": [asdict(c) for c in self.numbers],
            "scale": self.scale,
            "unseen": self.unseen,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Preprocess:
        """What `to_json` wrote.

        Raises: DataError: it is not that.
        """
        try:
            categories = tuple(
                CategoryColumn(
                    str(c["name"]),
                    tuple(map(str, c["levels"])),
                    _word(c["mode"]),
                    tuple(map(str, c["rare"])),
                )
                for c in record["categories"]
            )
            numbers = tuple(
                NumberColumn(
                    str(c["name"]),
                    *(float(c["fill"]), bool(c["has_flag"]), float(c["mean"]), float(c["std"])),
                    *(float(c["largest"]), bool(c["is_log"]), float(c["low"]), float(c["high"])),
                )
                for c in record["numbers"]
            )
            scale, unseen = record["scale"], record["unseen"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"This is not the preprocessing of a table: {error}.") from None
        if scale not in SCALES or unseen not in UNSEEN:
            raise DataError("This is not the preprocessing of a table: its policy is unknown.")
        if any(len(set(c.levels)) != len(c.levels) for c in categories):
            raise DataError("This is not the preprocessing of a table: a level stands twice.")
        if any(not c.std > 0 or not c.largest > 0 for c in numbers):
            raise DataError("This is not the preprocessing of a table: a scale is not above 0.")
        return cls(categories, numbers, scale, unseen)


def learn(
    frame: Frame,
    *,
    fill: str = "median",
    constant: float = 0.0,
    scale: str = "standard",
    unseen: str = "missing",
    log: Sequence[str] = (),
    levels: Mapping[str, Sequence[str]] | None = None,
    rare: int | None = None,
) -> Preprocess:
    """Learn what is to be known of the columns; give it the training rows alone.

    Args:
        frame: number columns and categories; dates were expanded before.
        fill: what stands for missing numbers: `median`, `mode` (the commonest, of equals the
            smallest) or `constant`.
        constant: for `fill="constant"`.
        scale: of linear models; see `Preprocess.scale`.
        unseen: see `Preprocess.unseen`.
        log: columns of which log(1 + x) is taken, for nets and linear models; trees see no difference.
        levels: the order of a category's levels, where it has one; what is not named follows, sorted.
        rare: levels of fewer training rows than this are taken as unknown. By default 3 in columns of
            more than 20 levels, 1 in others.

    Raises: ConfigError: a setting is unknown, or names no such column. DataError: `log` of numbers
        below 0.
    """
    for what, value, known in (
        ("fill", fill, FILLS),
        ("scale", scale, SCALES),
        ("unseen", unseen, UNSEEN),
    ):
        if value not in known:
            raise ConfigError(f"`{what}` must be one of {', '.join(known)}. Got {value!r}.")
    for name in (*log, *(levels or ())):
        if name not in frame:
            raise ConfigError(f"There is no column '{name}'.{did_you_mean(name, frame.names)}")
    if rare is not None and rare < 1:
        raise ConfigError(f"`rare` must be at least 1. Got {rare}.")
    categories, numbers = [], []
    for name in frame.names:
        values = frame[name]
        if isinstance(values, Factor):
            categories.append(_category(name, values, (levels or {}).get(name, ()), rare))
        elif values.dtype.kind == "f":
            numbers.append(_number(name, values, fill, constant, name in log))
        else:
            raise DataError(f"The column '{name}' holds dates. Expand them first.")
    return Preprocess(tuple(categories), tuple(numbers), scale, unseen)


def suggest_logs(frame: Frame) -> dict[str, tuple[float, float]]:
    """Columns whose long tail a logarithm tames: name -> (skew now, skew of log(1 + x)).

    Only of numbers from 0 on; never applied by itself.
    """
    found = {}
    for name in frame.names:
        values = frame[name]
        if isinstance(values, Factor) or values.dtype.kind != "f":
            continue
        present = values[~np.isnan(values)]
        if len(present) < 10 or present.min() < 0 or len(np.unique(present)) < 10:
            continue
        before, after = skew(present), skew(np.log1p(present))
        if before > LONG_TAIL and abs(after) < before / 2:
            found[name] = (before, after)
    return found


def skew(values: np.ndarray) -> float:
    """The third standardised moment, with the usual correction for few values (as pandas has it)."""
    count = len(values)
    centred = values - values.mean()
    spread = float((centred**2).mean())
    if count < 3 or spread <= 0:
        return 0.0
    plain = float((centred**3).mean()) / spread**1.5
    return plain * (count * (count - 1)) ** 0.5 / (count - 2)


def _category(name: str, factor: Factor, order: Sequence[str], rare: int | None) -> CategoryColumn:
    counts = np.bincount(factor.codes[factor.codes >= 0], minlength=len(factor.levels))
    by_level = {factor.levels[i]: int(counts[i]) for i in np.flatnonzero(counts)}
    least = rare if rare is not None else FEWEST_ROWS if len(by_level) > MANY_LEVELS else 1
    present = {level for level, count in by_level.items() if count >= least}
    first = [level for level in order if level in present]
    levels = tuple(first + sorted(present - set(first), key=_natural))
    mode = max(levels, key=lambda level: by_level[level]) if levels else None
    return CategoryColumn(name, levels, mode, tuple(sorted(set(by_level) - present)))


def _natural(level: str) -> tuple[int, float, str]:
    """Numbers among the words by their size, and before other words."""
    try:
        return (0, float(level), level)
    except ValueError:
        return (1, 0.0, level)


def _number(
    name: str, values: np.ndarray, fill: str, constant: float, is_log: bool
) -> NumberColumn:
    is_missing = np.isnan(values)
    present = values[~is_missing]
    if fill == "constant" or not len(present):
        stand_in = constant
    elif fill == "mode":
        distinct, counts = np.unique(present, return_counts=True)
        stand_in = float(distinct[counts.argmax()])  # of equals the first: np.unique sorts
    else:
        stand_in = float(np.median(present))
    if is_log and len(present) and present.min() < 0:
        raise DataError(f"The column '{name}' holds numbers below 0, which have no log(1 + x).")
    full = np.where(is_missing, stand_in, values)
    if is_log:
        full = np.log1p(full)
    std, largest = float(full.std()), float(np.abs(full).max(initial=0.0))
    return NumberColumn(
        name=name,
        fill=stand_in,
        has_flag=bool(is_missing.any()),
        mean=float(full.mean()) if len(full) else 0.0,
        std=std if std > 0 else 1.0,
        largest=largest if largest > 0 else 1.0,
        is_log=is_log,
        low=float(present.min(initial=stand_in)),
        high=float(present.max(initial=stand_in)),
    )


def _word(value: Any) -> str | None:
    return None if value is None else str(value)
