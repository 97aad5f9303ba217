"""How good an order to treat in is: what treating its first so many rows brings, beside an order by
chance.

The curve over the share treated s is the mean over all rows of (treated if among the first s) x
effect, in units of the outcome a row (Radcliffe 2007, "Using control groups to target on predicted
lift"). Effects cannot be seen row by row; in their place stand doubly robust scores, whose mean over
any group of rows that was chosen without looking at them is that group's effect (Robins, Rotnitzky and
Zhao 1994,
doi:10.1080/01621459.1994.10476818; Yadlowsky et al. 2021, arXiv:2111.07966). The area between the
curve and the straight line of an order by chance is the Qini value; within rows of equal score the
line is straight.

Intervals: percentiles over rows drawn again; the scores stay as they are. N rows, S scores, B draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from drivetrain.randomness import derive

DRAWS = 500
CONFIDENCE = 0.95
SHARES = np.linspace(0, 1, 101)
_CELLS = 4_000_000


@dataclass(frozen=True)
class UpliftCurve:
    """What an order brings; all in units of the outcome, a row of all rows."""

    name: str
    gain: np.ndarray
    """(101,) from treating nobody to treating all, in steps of 1%."""
    low: np.ndarray
    """(101,) the lower end of the 95% interval of each; `high` is the upper one."""
    high: np.ndarray
    area: float
    """Between the curve and that of an order by chance."""
    interval: tuple[float, float]
    """Of the area, 95%."""

    def at(self, share: float) -> float:
        """The gain where this share of the rows is treated."""
        return float(np.interp(share, SHARES, self.gain))


@dataclass(frozen=True)
class Comparison:
    """The area of one order less that of another, on the same rows."""

    difference: float
    interval: tuple[float, float]


def uplift_curves(
    scores: Mapping[str, np.ndarray], effects: np.ndarray, *, seed: int = 42
) -> tuple[dict[str, UpliftCurve], Comparison | None]:
    """The curve of each order, and the area of the first less that of the second.

    Args:
        scores: name -> (N,), the highest is treated first.
        effects: (N,) doubly robust scores of the same rows.
        seed: of the rows drawn again.

    Returns: the curves by name; None beside them where there is one score alone.
    """
    orders = {name: _Order(score, effects) for name, score in scores.items()}
    count = len(effects)
    draw = np.random.default_rng(derive(seed, "uplift curves"))
    gains: dict[str, list[np.ndarray]] = {name: [] for name in scores}
    areas: dict[str, list[np.ndarray]] = {name: [] for name in scores}
    at_once = max(1, _CELLS // count)
    for start in range(0, DRAWS, at_once):
        weights = draw.multinomial(count, np.full(count, 1 / count), min(at_once, DRAWS - start))
        for name, order in orders.items():
            shares, sums = order.cumulated(weights.astype(np.float64))
            gains[name].append(_at_shares(shares, sums))
            areas[name].append(_area(shares, sums))
    found = {}
    tail = (1 - CONFIDENCE) / 2
    for name, order in orders.items():
        shares, sums = order.cumulated(np.ones((1, count)))
        gain, area = _at_shares(shares, sums)[0], float(_area(shares, sums)[0])
        low, high = np.quantile(np.concatenate(gains[name]), [tail, 1 - tail], axis=0)
        found[name] = UpliftCurve(
            name, gain, np.minimum(low, gain), np.maximum(high, gain), area,
            _interval(np.concatenate(areas[name]), area),
        )  # fmt: skip
    if len(scores) < 2:
        return found, None
    first, second = list(scores)[:2]
    difference = found[first].area - found[second].area
    drawn = np.concatenate(areas[first]) - np.concatenate(areas[second])
    return found, Comparison(difference, _interval(drawn, difference))


class _Order:
    """Rows from the highest score to the lowest, equal ones taken together."""

    def __init__(self, score: np.ndarray, effects: np.ndarray) -> None:
        self.order = np.argsort(-score, kind="stable")
        ordered = score[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self.effects = effects[self.order]

    def cumulated(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, N) how often each row counts -> (B, G + 1) shares of rows, and gains up to there."""
        weights = weights[:, self.order]
        count = weights.sum(axis=1, keepdims=True)
        rows = np.add.reduceat(weights, self.starts, axis=1)
        sums = np.add.reduceat(weights * self.effects, self.starts, axis=1)
        zero = np.zeros((len(weights), 1))
        return (
            np.concatenate([zero, np.cumsum(rows, axis=1) / count], axis=1),
            np.concatenate([zero, np.cumsum(sums, axis=1) / count], axis=1),
        )


def _at_shares(shares: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """(B, G + 1) curves -> (B, 101) at `SHARES`."""
    return np.stack([np.interp(SHARES, x, y) for x, y in zip(shares, sums, strict=True)])


def _area(shares: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """(B,) between the curves and the lines from their first to their last point."""
    inside = ((sums[:, 1:] + sums[:, :-1]) / 2 * np.diff(shares, axis=1)).sum(axis=1)
    return inside - sums[:, -1] / 2


def _interval(drawn: np.ndarray, value: float) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return min(float(low), value), max(float(high), value)
