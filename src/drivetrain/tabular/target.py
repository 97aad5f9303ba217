"""What is predicted: one of several classes, or numbers; learnt from the column, stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, DataError

FEW = 10
"""Whole numbers with at most so many different values are taken for classes."""
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Target:
    """The column (or columns) that is predicted."""

    names: tuple[str, ...]
    """One column; several where numbers are predicted together."""
    kind: str
    """`class` or `number`."""
    classes: tuple[str, ...] = ()
    """Labels in the order of the scores; empty for numbers."""
    reason: str = ""
    """Why it is of that kind, in one sentence."""
    is_log: bool = False
    """Models learn log(1 + y), and what they predict is turned back."""

    @property
    def num_outputs(self) -> int:
        """Scores a row gets."""
        return len(self.classes) if self.kind == "class" else len(self.names)

    @property
    def name(self) -> str:
        """The column's name; several with commas."""
        return ", ".join(self.names)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"names": list(self.names), "classes": list(self.classes)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Target:
        """The target that `to_json` wrote."""
        return cls(
            names=tuple(record["names"]),
            kind=record["kind"],
            classes=tuple(record["classes"]),
            reason=record["reason"],
            is_log=bool(record["is_log"]),
        )

    def values(self, frame: Frame) -> np.ndarray:
        """The targets of a frame's rows: (N,) int64 classes, -1 where missing or unknown; or (N,)
        float64 numbers, (N, T) for several, NaN where missing, log(1 + y) where the target `is_log`.

        Raises: DataError: a column is missing, or numbers below 0 meet a logarithm.
        """
        if self.kind == "class":
            return words_of(frame, self.names[0]).recoded(self.classes).codes.astype(np.int64)
        found = frame.matrix(self.names)  # (N, T)
        if self.is_log:
            if np.nanmin(found, initial=0.0) < 0:
                raise DataError(
                    f"The target '{self.name}' holds numbers below 0, which have no log(1 + y). "
                    "Leave `log_target` out."
                )
            found = np.log1p(found)
        return found[:, 0] if len(self.names) == 1 else found

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        """Predicted numbers in the target's own unit: the logarithm is turned back."""
        return np.expm1(outputs) if self.is_log else outputs


def find_target(
    frame: Frame,
    names: Sequence[str],
    *,
    kind: str | None = None,
    is_log: bool = False,
    rows: np.ndarray | None = None,
) -> Target:
    """What kind of target these columns are.

    Args:
        frame: holds the columns.
        names: the columns.
        kind: `class` or `number`, where it is not to be found out.
        is_log: learn log(1 + y).
        rows: the training rows, from which the classes are learnt; by default all.

    Raises: DataError: a column is not there, all missing, constant, a date, or of too many classes.
        ConfigError: the kind does not fit.
    """
    if kind not in (None, "class", "number"):
        raise ConfigError(f"`target_kind` is 'class' or 'number'. Got {kind!r}.")
    for name in names:
        if name not in frame:
            near = did_you_mean(name, frame.names)
            raise DataError(f"There is no column '{name}' to predict.{near}")
    columns = [frame[name] if rows is None else frame.take(rows)[name] for name in names]
    for name, values in zip(names, columns, strict=True):
        _check_values(name, values)
    if len(names) > 1:
        if kind == "class" or any(isinstance(values, Factor) for values in columns):
            raise ConfigError(
                "Several targets are predicted together as numbers only. Give one target of classes."
            )
        return Target(tuple(names), "number", reason="several numbers at once", is_log=is_log)
    name, values = names[0], columns[0]
    if isinstance(values, Factor):
        if kind == "number":
            raise ConfigError(f"The target '{name}' holds words, which are no numbers.")
        return _classes(name, words_of(frame, name), rows, "it holds words", is_log)
    present = values[~np.isnan(values)]
    distinct = np.unique(present)
    is_whole = bool((distinct == np.round(distinct)).all())
    if kind == "class" or (kind is None and is_whole and len(distinct) <= FEW and not is_log):
        reason = f"{len(distinct)} different whole numbers" if kind is None else "as asked"
        return _classes(name, words_of(frame, name), rows, reason, is_log)
    reason = "as asked" if kind else f"a number with {len(distinct):,} different values"
    return Target((name,), "number", reason=reason, is_log=is_log)


def words_of(frame: Frame, name: str) -> Factor:
    """A column as words: numbers are written as people do, 3 and not 3.0."""
    values = frame[name]
    if isinstance(values, Factor):
        return values
    numbers = cast(np.ndarray, values)
    is_missing = np.isnan(numbers)
    distinct, codes = np.unique(np.where(is_missing, 0.0, numbers), return_inverse=True)
    return Factor(
        np.where(is_missing, -1, codes).astype(np.int32),
        tuple(_written(value) for value in distinct),
    )


def _classes(
    name: str, words: Factor, rows: np.ndarray | None, reason: str, is_log: bool
) -> Target:
    if is_log:
        raise ConfigError(f"The target '{name}' is a class, and `log_target` is for numbers.")
    codes = words.codes if rows is None else words.codes[rows]
    present = np.unique(codes[codes >= 0])
    if len(present) > MOST_CLASSES:
        raise DataError(
            f"The target '{name}' has {len(present):,} different classes, more than {MOST_CLASSES:,}. "
            "Give another column, or join its classes into fewer."
        )
    classes = tuple(words.levels[code] for code in present)
    return Target((name,), "class", classes, reason)


def _check_values(name: str, values: Any) -> None:
    if isinstance(values, Factor):
        distinct = len(np.unique(values.codes[values.codes >= 0]))
    elif values.dtype.kind == "M":
        raise DataError(f"The target '{name}' is a date. Give a column of numbers or of classes.")
    else:
        distinct = len(np.unique(values[~np.isnan(values)]))
    if distinct == 0:
        raise DataError(f"The target '{name}' is missing in every row. Give another column.")
    if distinct == 1:
        raise DataError(
            f"The target '{name}' has the same value in every row, so there is nothing to learn. "
            "Give another column."
        )


def _written(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
