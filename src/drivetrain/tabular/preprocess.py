"""What is learnt of a table's columns on the training rows, and applied the same ever after.

    categories   a code for each level that training has; code 0 is for missing and unseen ones
    numbers      missing ones get a fill value, and where training had some a flag column says which
    for nets     codes and standardised numbers; for trees codes and numbers side by side; for linear
                 models a column of zeros and ones for each level, and scaled numbers

Nothing is dropped and nothing is changed in silence: what a row brought that training never saw is
counted in `Notes`. A `Preprocess` is plain JSON, and holds no data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from drivetrain import _strict
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
    """Of the training rows, filled; of log(1 + x) where that is taken."""
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


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


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
                f"'{name}' has {shown}{more} in {_rows(sum(levels.values()))}, which training never saw: "
                "taken as unknown."
            )
        for name, count in self.newly_missing.items():
            found.append(
                f"'{name}' is missing in {_rows(count)}, and never was in training: filled as usual."
            )
        for name, count in self.outside.items():
            found.append(f"'{name}' lies outside the range of training in {_rows(count)}.")
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Preprocess:
    """What was learnt of the columns; see the module."""

    categories: tuple[CategoryColumn, ...]
    """What was learnt of each column of categories."""
    numbers: tuple[NumberColumn, ...]
    """What was learnt of each column of numbers."""
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

        Args:
            frame: N rows of the model's columns, dates expanded.
            notes: is told of what training never saw.

        Raises: DataError: a column is missing; or a level is unseen and the policy is `error`.
        """
        found = np.empty((len(frame), len(self.categories)), dtype=np.int64)
        for place, column in enumerate(self.categories):
            factor = frame.factor(column.name)
            codes = level_codes(factor, column.levels)
            if ((codes == 0) & (factor.codes >= 0)).any():
                self._note_unseen(column, factor, unseen_rows(factor, column), notes)
                if self.unseen == "mode" and column.mode is not None:
                    codes = mode_codes(factor, column)
            found[:, place] = codes
        return found

    def filled(self, frame: Frame, notes: Notes | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers without gaps (N, D) float64, and flags (N, F) float64 of what was missing.

        Args:
            frame: N rows of the model's columns, dates expanded.
            notes: is told of what training never saw.
        """
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
            numbers[:, place] = filled(values, column.fill)
        return numbers, flags

    def design(self, frame: Frame, notes: Notes | None = None) -> np.ndarray:
        """What trees see, (N, K) float64: codes, filled numbers, flags; see `design_names`.

        Args:
            frame: N rows of the model's columns, dates expanded.
            notes: is told of what training never saw.
        """
        numbers, flags = self.filled(frame, notes)
        return np.concatenate([self.codes(frame, notes), numbers, flags], axis=1)

    def net_inputs(self, frame: Frame, notes: Notes | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What nets see: codes (N, C) int64, and standardised numbers with flags (N, D) float32.

        Args:
            frame: N rows of the model's columns, dates expanded.
            notes: is told of what training never saw.
        """
        _, flags = self.filled(frame, notes)
        scaled = [standardised(frame.numbers(column.name), column) for column in self.numbers]
        numbers = np.empty((len(frame), self.num_net_numbers), dtype=np.float32)
        for place, values in enumerate((*scaled, *flags.T)):
            numbers[:, place] = values
        return self.codes(frame, notes), numbers

    def linear(self, frame: Frame, notes: Notes | None = None) -> np.ndarray:
        """What linear models see, (N, K) float64: scaled numbers, flags, a column a level.

        A level that training never saw is zero in all columns of its category.

        Args:
            frame: N rows of the model's columns, dates expanded.
            notes: is told of what training never saw.
        """
        _, flags = self.filled(frame, notes)
        scale = standardised if self.scale == "standard" else by_largest
        scaled = [scale(frame.numbers(column.name), column) for column in self.numbers]
        codes = self.codes(frame, notes)
        dummies = [
            level_dummies(codes[:, place], len(column.levels))
            for place, column in enumerate(self.categories)
        ]
        parts = [*(values[:, None] for values in scaled), flags, *dummies]
        return np.concatenate(parts, axis=1, dtype=np.float64)

    def _note_unseen(
        self, column: CategoryColumn, factor: Factor, is_unseen: np.ndarray, notes: Notes | None
    ) -> None:
        levels = rows_of_levels(factor[is_unseen])
        if levels and self.unseen == "error":
            raise DataError(
                f"The column '{column.name}' has {next(iter(levels))!r}, which training never saw. Train "
                "with it, or choose `unseen='missing'`."
            )
        if levels and notes is not None:
            notes.unseen[column.name] = levels

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

        Args:
            record: plain JSON.

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
            raise DataError(
                f"This is not the preprocessing of a table: {_strict.short(error)}."
            ) from None
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
            order = (levels or {}).get(name, ())
            categories.append(learn_category(name, values, order=order, rare=rare))
        elif values.dtype.kind == "f":
            numbers.append(
                learn_number(name, values, fill=fill, constant=constant, is_log=name in log)
            )
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
    std = float(values.std())
    if count < 3 or not std > 0:
        return 0.0
    scaled = (values - values.mean()) / std
    plain = float((scaled * scaled * scaled).mean())
    return plain * (count * (count - 1)) ** 0.5 / (count - 2)


# --- one column: plain functions, so that an ejected script has the same ones


def learn_category(
    name: str, words: Factor, *, order: Sequence[str] = (), rare: int | None = None
) -> CategoryColumn:
    """What is to be known of a column of words, from its training rows."""
    levels = learn_levels(words, order=order, rare=rare)
    counts = rows_of_levels(words)
    return CategoryColumn(
        name,
        levels,
        mode=max(levels, key=counts.__getitem__) if levels else None,
        rare=tuple(sorted(set(counts) - set(levels))),
    )


def learn_levels(
    words: Factor, *, order: Sequence[str] = (), rare: int | None = None
) -> tuple[str, ...]:
    """The levels that training rows have, in order: the i-th has the code i + 1."""
    return in_order(not_rare(rows_of_levels(words), rare), order)


def rows_of_levels(words: Factor) -> dict[str, int]:
    """Rows of each level that occurs."""
    counts = np.bincount(words.codes[words.codes >= 0], minlength=len(words.levels))
    return {words.levels[i]: int(counts[i]) for i in np.flatnonzero(counts)}


def not_rare(counts: dict[str, int], rare: int | None) -> dict[str, int]:
    """Without levels of so few rows that nothing can be learnt of them."""
    least = rare if rare is not None else FEWEST_ROWS if len(counts) > MANY_LEVELS else 1
    return {level: count for level, count in counts.items() if count >= least}


def in_order(levels: Collection[str], order: Sequence[str]) -> tuple[str, ...]:
    """As `order` has them; then numbers by their size, then other words by their letters."""
    first = [level for level in order if level in levels]
    return (*first, *sorted((level for level in levels if level not in first), key=_natural))


def level_codes(words: Factor, levels: Sequence[str]) -> np.ndarray:
    """(N,) int64: i + 1 for the i-th level, 0 where a row has none of them."""
    return words.recoded(levels).codes.astype(np.int64) + 1


def mode_codes(words: Factor, column: CategoryColumn) -> np.ndarray:
    """As `level_codes`; a level that no training row had counts as the commonest."""
    codes = level_codes(words, column.levels)
    return np.where(unseen_rows(words, column), column.levels.index(column.mode or "") + 1, codes)


def unseen_rows(words: Factor, column: CategoryColumn) -> np.ndarray:
    """(N,) bool: where a row has a level that no training row had."""
    known = words.recoded((*column.levels, *column.rare))
    return (known.codes < 0) & (words.codes >= 0)


def level_dummies(codes: np.ndarray, count: int) -> np.ndarray:
    """(N, L) bool: which of its levels each row has."""
    return codes[:, None] == np.arange(1, count + 1)


def learn_number(
    name: str,
    values: np.ndarray,
    *,
    fill: str = "median",
    constant: float = 0.0,
    is_log: bool = False,
) -> NumberColumn:
    """What is to be known of a column of numbers, from its training rows."""
    present = values[~np.isnan(values)]
    if is_log and len(present) and present.min() < 0:
        raise DataError(f"The column '{name}' holds numbers below 0, which have no log(1 + x).")
    stand_in = learn_fill(values, fill=fill, constant=constant)
    full = filled(values, stand_in)
    if is_log:
        full = np.log1p(full)
    std = float(full.std())
    largest = float(np.abs(full).max(initial=0.0))
    return NumberColumn(
        name=name,
        fill=stand_in,
        has_flag=bool(np.isnan(values).any()),
        mean=float(full.mean()) if len(full) else 0.0,
        std=std if std > 0 else 1.0,
        largest=largest if largest > 0 else 1.0,
        is_log=is_log,
        low=float(present.min(initial=stand_in)),
        high=float(present.max(initial=stand_in)),
    )


def learn_fill(values: np.ndarray, *, fill: str, constant: float) -> float:
    """What stands for missing numbers, learnt of the training rows."""
    present = values[~np.isnan(values)]
    if fill == "constant" or not len(present):
        return constant
    if fill == "mode":
        distinct, counts = np.unique(present, return_counts=True)
        return float(distinct[counts.argmax()])  # of equals the first: np.unique sorts
    return float(np.median(present))


def filled(values: np.ndarray, stand_in: float) -> np.ndarray:
    """(N,) with a number in the place of each missing one."""
    return np.where(np.isnan(values), stand_in, values)


def standardised(values: np.ndarray, column: NumberColumn) -> np.ndarray:
    """(N,) filled, of mean 0 and standard deviation 1 over the training rows."""
    return (_logged(filled(values, column.fill), column) - column.mean) / column.std


def by_largest(values: np.ndarray, column: NumberColumn) -> np.ndarray:
    """(N,) filled, of magnitude 1 at most over the training rows."""
    return _logged(filled(values, column.fill), column) / column.largest


def _logged(values: np.ndarray, column: NumberColumn) -> np.ndarray:
    """log(1 + x) where that is wanted; a number below 0, which training had none of, counts as 0."""
    return np.log1p(np.maximum(values, 0.0)) if column.is_log else values


def _natural(level: str) -> tuple[int, float, str]:
    """Numbers among the words by their size, and before other words."""
    try:
        return (0, float(level), level)
    except ValueError:
        return (1, 0.0, level)


def _word(value: Any) -> str | None:
    return None if value is None else str(value)
