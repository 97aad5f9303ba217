"""Small tables and models that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drivetrain.data.frame import Factor, Frame

Predict = Callable[[Frame], np.ndarray]


def numbers(seed: int, rows: int, columns: int) -> Frame:
    matrix = np.random.default_rng(seed).normal(size=(rows, columns))
    return Frame.from_matrix(matrix, [f"c{i}" for i in range(columns)])


def of_matrix(predict: Callable[[np.ndarray], np.ndarray], names: Sequence[str]) -> Predict:
    """A model that takes a matrix, as one that takes a frame."""
    return lambda frame: predict(frame.matrix(names))


def mixed(seed: int = 0, rows: int = 200) -> Frame:
    """Every kind of column, each with missing values, and a copy in another guise."""
    r = np.random.default_rng(seed)
    age = r.integers(1, 80, size=rows).astype(np.float64)
    age[r.random(rows) < 0.1] = np.nan
    day = np.datetime64("2020-01-01", "us") + r.integers(0, 365, size=rows) * np.timedelta64(1, "D")
    day[r.random(rows) < 0.1] = np.datetime64("NaT")
    words = [None if x == 3 else "abc"[x] for x in r.integers(0, 4, size=rows)]
    return Frame({"age": age, "day": day, "kind": Factor.of(words), "noise": r.normal(size=rows)})


def of_mixed(frame: Frame) -> np.ndarray:
    """Leans on age, on the month and on the kind; a missing one is answered like a 0."""
    age = np.nan_to_num(frame.numbers("age"))
    day = frame["day"]
    month = np.where(np.isnat(day), 0, day.astype("datetime64[M]").astype(np.int64) % 12)
    return 0.1 * age + 0.5 * month + np.array([1.0, -1.0, 3.0, 0.0])[frame.factor("kind").codes]


def r2(targets: np.ndarray, preds: np.ndarray) -> float:
    return float(1 - ((targets - preds) ** 2).mean() / targets.var())


def mse(targets: np.ndarray, preds: np.ndarray) -> float:
    return float(((targets - preds) ** 2).mean())
