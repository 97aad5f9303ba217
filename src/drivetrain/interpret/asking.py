"""Asking a model: in few large calls, within a bound of memory, and with a look at what came back.

A model here is `predict`: it takes a `Frame` of N rows and gives (N,) numbers, or (N, C) probabilities.
Many questions differ from each other in a column or two, so their rows are put below each other, and
asked at once: a call costs a model about as much for a thousand rows as for ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import DataError, NonFiniteError, ShapeError
from drivetrain.randomness import derive

Predict: TypeAlias = Callable[[Frame], np.ndarray]
"""(N,) numbers or (N, C) probabilities of the rows of a frame."""

MOST_CELLS = 8_000_000
"""Rows times columns of one call, at most: 64 MB of numbers. One copy of the frame is always asked
whole."""


def ask(who: str, predict: Predict, frame: Frame) -> np.ndarray:
    """The model's answers, (N,) or (N, C) float64.

    Args:
        who: the function that asks, for the errors.

    Raises: ShapeError: another number of answers than of rows. NonFiniteError: an answer is not finite.
    """
    preds = np.asarray(predict(frame), dtype=np.float64)
    if preds.ndim not in (1, 2) or len(preds) != len(frame):
        raise ShapeError(
            f"`{who}` got predictions of shape {preds.shape} for {len(frame)} rows, expected "
            f"({len(frame)},) numbers or ({len(frame)}, C) probabilities from `predict`."
        )
    if not np.isfinite(preds).all():
        wrong = np.flatnonzero(~np.isfinite(preds.reshape(len(preds), -1)).all(axis=1))
        raise NonFiniteError(
            f"`{who}` got NaN or infinity from `predict` for {len(wrong)} of {len(frame)} rows, the "
            f"first of them row {frame.ids[wrong[0]]} of the source. Look at that row's columns."
        )
    return preds


class Copies:
    """A frame below itself, so many times that a call stays within `MOST_CELLS`; built once.

    Args:
        who: the function that asks, for the errors.
        predict: the model.
        frame: N rows, 1 or more.
        most: copies that will be asked for in one go, at most.

    Raises: DataError: the frame has no rows.
    """

    def __init__(self, who: str, predict: Predict, frame: Frame, most: int) -> None:
        if len(frame) == 0:
            raise DataError(f"`{who}` got a frame without rows. Give it at least one.")
        self._who, self._predict = who, predict
        self._rows = len(frame)
        fitting = max(1, MOST_CELLS // max(1, self._rows * len(frame.names)))
        self.at_once = max(1, min(most, fitting))
        self._stack = frame if self.at_once == 1 else frame.repeat(self.at_once)

    def ask(
        self, count: int, replaced: Callable[[slice], Mapping[str, Values]]
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Answers to `count` copies, in each of which some columns are replaced.

        Args:
            count: copies.
            replaced: which copies -> name -> the column of all of them, one copy below the other.

        Yields: which copies, and their answers, (copies, N) or (copies, N, C).
        """
        for start in range(0, count, self.at_once):
            copies = slice(start, min(start + self.at_once, count))
            num_copies = copies.stop - copies.start
            asked = self._first(num_copies)
            for name, values in replaced(copies).items():
                asked = asked.with_column(name, values)
            preds = ask(self._who, self._predict, asked)
            yield copies, preds.reshape(num_copies, self._rows, *preds.shape[1:])

    def _first(self, num_copies: int) -> Frame:
        """Views of the first copies, so that a last, shorter call costs no memory."""
        if num_copies == self.at_once:
            return self._stack
        rows = num_copies * self._rows
        columns = {name: self._stack[name][:rows] for name in self._stack.names}
        return Frame(columns, self._stack.ids[:rows])


def is_constant(values: Values) -> bool:
    """Whether all rows hold the same, a missing value being one of its own."""
    if isinstance(values, Factor):
        return len(values) == 0 or bool((values.codes == values.codes[0]).all())
    if len(values) == 0:
        return True
    missing = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
    return bool(missing.all()) if missing[0] else bool((values == values[0]).all())


def sampled(count: int, most: int, *, seed: int, purpose: str) -> np.ndarray:
    """(min(count, most),) int64 positions in ascending order: all, or as many as may be, drawn."""
    if count <= most:
        return np.arange(count)
    return np.sort(generator(seed, purpose).choice(count, size=most, replace=False))


def generator(seed: int, purpose: str, *ids: int | str) -> np.random.Generator:
    """A generator that depends on these and on nothing else."""
    return np.random.Generator(np.random.PCG64(derive(seed, purpose, *ids)))
