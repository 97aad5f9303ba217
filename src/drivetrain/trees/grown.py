"""What growing gives: the trees, how they were grown, and what growing alone can tell."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.trees.ensemble import TreeEnsemble

LARGEST_TARGET = 1e15
"""LightGBM holds the sum of squares over rows as float32."""


@dataclass(frozen=True)
class Curve:
    """The loss after each stage of boosting, also of stages that were dropped."""

    loss: str
    """`squared_error`, `poisson` or `log_loss`, a mean over rows."""
    train: np.ndarray
    """(S,)."""
    valid: np.ndarray | None
    """(S,), where there are rows to validate on."""
    kept: int
    """Stages in the ensemble, the best on `valid`."""


@dataclass(frozen=True)
class Grown:
    """Trees that were grown, and how."""

    ensemble: TreeEnsemble
    settings: dict[str, Any]
    """All that growing depends on but the rows, as JSON can hold it."""
    library: str
    """What grew them: `drivetrain`, `scikit-learn`, `lightgbm`."""
    version: str
    """Of the library."""
    oob: np.ndarray | None = None
    """(N, V) outputs of the trees that did not see a row; NaN where all did. None without bootstrap."""
    curve: Curve | None = None
    """Of boosting."""


@dataclass(frozen=True)
class Rows:
    """What trees are grown on, checked."""

    X: np.ndarray
    """(N, K) float64, row after row in memory; NaN where missing."""
    y: np.ndarray
    """(N,) float64, or (N,) int64 in 0..num_classes-1."""
    num_classes: int
    weight: np.ndarray | None

    @property
    def shares(self) -> np.ndarray:
        """(N, C) indicators of classes, or the numbers (N, 1)."""
        if not self.num_classes:
            return self.y[:, None]
        return np.eye(self.num_classes)[self.y]


def checked_rows(
    X: np.ndarray,  # noqa: N803
    y: np.ndarray,
    *,
    num_classes: int = 0,
    sample_weight: np.ndarray | None = None,
    most: float = float("inf"),
    asks: bool = True,
) -> Rows:
    """Rows that trees can be grown on.

    Args:
        X: (N, K) numbers, NaN where missing.
        y: (N,) numbers, or classes.
        num_classes: C, or 0 for numbers.
        sample_weight: (N,) what each row counts, none negative.
        most: the largest number that a column may hold.
        asks: whether columns are needed.
    Raises: ShapeError, ConfigError, DataError: they cannot; the message says where.
    """
    X, y = np.asarray(X), np.asarray(y)  # noqa: N806
    if X.ndim != 2 or X.dtype.kind not in "fiub":
        raise ShapeError(
            f"Trees grow on numbers of shape (N, K). Got shape {X.shape} and {X.dtype}."
        )
    X = np.ascontiguousarray(X, dtype=np.float64)  # noqa: N806
    if not len(X):
        raise DataError("There are no rows to grow trees on. Give at least one.")
    if asks and not X.shape[1]:
        raise DataError("There are no columns that trees could ask about. Take `majority`.")
    if y.shape != (len(X),):
        raise ShapeError(f"The target has the shape {y.shape}, expected ({len(X)},): one a row.")
    wrong = np.argwhere(np.abs(X) > most) if most < np.inf else np.argwhere(np.isinf(X))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise DataError(
            f"Column {column} holds {X[row, column]} in row {row}, which trees cannot compare. Make it "
            "missing (NaN), or a number that float32 can hold."
        )
    if num_classes < 0 or num_classes == 1:
        raise ConfigError(
            f"`num_classes` is 2 or more, or 0 where the target is a number. Got {num_classes}."
        )
    if num_classes:
        if y.dtype.kind not in "iub" or y.min() < 0 or y.max() >= num_classes:
            raise DataError(
                f"The target of {num_classes} classes holds whole numbers from 0 to "
                f"{num_classes - 1}. Got {y.dtype} from {y.min()} to {y.max()}."
            )
        y = y.astype(np.int64)
    else:
        y = y.astype(np.float64)
        wrong = np.flatnonzero(~(np.abs(y) <= LARGEST_TARGET))
        if len(wrong):
            raise DataError(
                f"The target is {y[wrong[0]]:g} in row {wrong[0]}. Drop the rows that have none, and "
                f"scale numbers beyond {LARGEST_TARGET:g}."
            )
    return Rows(X, y, num_classes, _checked_weight(sample_weight, len(X)))


def check_counts(**counts: tuple[Any, int]) -> None:
    """Check whole numbers that are settings: name -> (value, the lowest allowed). None is allowed.

    Raises: ConfigError: one is no whole number, or too low.
    """
    for name, (value, low) in counts.items():
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low
        ):
            raise ConfigError(f"`{name}` is a whole number from {low} up. Got {value!r}.")


def fit(model: Any, X: np.ndarray, rows: Rows) -> None:  # noqa: N803
    """Fit a model of scikit-learn's to columns and the rows' targets."""
    with warnings.catch_warnings():
        # Classes come as codes here: many of them beside few rows is no slip of the caller's.
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than")
        model.fit(X, rows.y, sample_weight=rows.weight)


def _checked_weight(weight: np.ndarray | None, count: int) -> np.ndarray | None:
    if weight is None:
        return None
    weight = np.asarray(weight, dtype=np.float64)
    if weight.shape != (count,):
        raise ShapeError(f"`sample_weight` has the shape {weight.shape}, expected ({count},).")
    if not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise DataError(
            "`sample_weight` holds a number that is negative or not finite, or only zeros. Give each "
            "row what it counts: 1 for one."
        )
    return weight
