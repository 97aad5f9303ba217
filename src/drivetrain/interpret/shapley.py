"""What each column adds to one prediction, for any model: Shapley values by drawn orders.

Paper: Štrumbelj & Kononenko 2014, doi:10.1007/s10115-013-0679-x. A row of the background is turned into
the row that is asked about, one column after another, in an order drawn anew; what the answer moves by at
a column's turn is that column's. Each walk begins at a background row's answer and ends at the row's own,
so the mean contributions add up to the prediction exactly, however few walks there are. Further walks
make the single contributions surer: the standard error says how sure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import ConfigError, DataError
from drivetrain.interpret.asking import MOST_CELLS, Predict, ask, generator


class Contributions(NamedTuple):
    """A prediction as a start and what each column adds."""

    base: float
    """Mean answer over the background rows that walks began at."""
    values: np.ndarray
    """(K,) what each column adds; with `base` they add up to the prediction."""
    stderr: np.ndarray
    """(K,) standard error of each, over the walks."""
    prediction: float
    """Of the row."""


def contributions(
    predict: Predict,
    frame: Frame,
    row: int,
    background: Frame,
    *,
    output: int | None = None,
    walks: int = 100,
    seed: int = 42,
) -> Contributions:
    """What each column adds to the answer for one row.

    Args:
        predict: the model.
        frame: holds the row.
        row: its place in `frame`.
        background: rows to start from, such as the training rows; as many are drawn as there are walks.
        output: of a model of classes, the class whose probability is taken apart.
        walks: how many orders are drawn, at least 2; each asks the model about K + 1 rows.
        seed: of the orders and the rows.

    Raises: ConfigError: too few walks, or no `output` for a model of classes. DataError: no background.
    """
    if walks < 2:
        raise ConfigError(f"`contributions` needs 2 walks or more. Got {walks}.")
    if len(background) == 0:
        raise DataError("`contributions` got a background without rows. Give it some.")
    names = frame.names
    draw = generator(seed, "contributions")
    starts = draw.integers(0, len(background), walks)
    ranks = draw.permuted(np.tile(np.arange(len(names)), (walks, 1)), axis=1)  # (W, K) turn of each
    asked = frame.take(np.full(walks, row))
    steps = np.arange(len(names) + 1)
    answers = np.empty((walks, len(names) + 1))
    at_once = max(1, MOST_CELLS // ((len(names) + 1) * max(1, len(names))))
    for first in range(0, walks, at_once):
        part = slice(first, first + at_once)
        taken = ranks[part, None, :] < steps[None, :, None]  # (w, K + 1, K) columns that are turned
        columns: dict[str, Values] = {
            name: _mixed(asked[name], background[name], starts[part], taken[:, :, place])
            for place, name in enumerate(names)
        }
        found = ask("contributions", predict, Frame(columns))
        if found.ndim == 2:
            if output is None:
                raise ConfigError(
                    "`contributions` takes one probability apart: give `output`, the class's place."
                )
            found = found[:, output]
        answers[part] = found.reshape(-1, len(names) + 1)
    moves = np.diff(answers, axis=1)  # (W, K) by turn
    by_column = np.take_along_axis(moves, ranks, axis=1)  # (W, K) by column
    stderr = by_column.std(axis=0, ddof=1) / np.sqrt(walks)
    base, prediction = float(answers[:, 0].mean()), float(answers[:, -1].mean())
    return Contributions(base, by_column.mean(axis=0), stderr, prediction)


def _mixed(asked: Values, background: Values, starts: np.ndarray, taken: np.ndarray) -> Values:
    """A column of all steps of some walks: the row's value where it is turned, else the start's."""
    count = taken.shape[1]
    if isinstance(asked, Factor):
        assert isinstance(background, Factor), "frames of one table"
        levels = tuple(dict.fromkeys((*background.levels, *asked.levels)))
        theirs = background.recoded(levels).codes[starts]
        own = asked.recoded(levels).codes[: len(starts)]
        return Factor(np.where(taken, own[:, None], theirs[:, None]).ravel(), levels)
    assert not isinstance(background, Factor), "frames of one table"
    theirs = np.repeat(background[starts], count).reshape(-1, count)
    return np.where(taken, asked[: len(starts), None], theirs).ravel()
