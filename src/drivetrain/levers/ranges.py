"""How much a lever may move: settings that are equally good, and those that are nearly so.

A tree's prediction is flat between its splits, so that there is no one best setting but a range; and
where the objective jumps, the best may lie at an edge from which little is wrong. Each lever is looked
at by itself, the others at their best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain.levers.domain import Domain
from drivetrain.levers.search import Archive, Axis, Judge, spread
from drivetrain.levers.simulate import Simulation

POINTS = 101
"""Places of a continuous lever that are looked at, over its bounds."""
WIDE = 1e-3
"""A range of this share of the bounds is worth telling."""
_EQUAL = 1e-9  # of the spread of scores
_HALVINGS = 14


@dataclass(frozen=True)
class Range:
    """Settings of one lever that are as good as some bound asks, the others left at their best."""

    low: float
    high: float
    values: np.ndarray | None = None
    """(V,) where only these are possible, words as their places; None for all from `low` to `high`."""

    def is_wide(self, axis: Axis) -> bool:
        """Whether there is more than one."""
        if self.values is not None:
            return len(self.values) > 1
        return self.high - self.low > WIDE * axis.width


def scan(axis: Axis, best: float, points: int = POINTS) -> np.ndarray:
    """(V,) ascending settings of one lever over its bounds, its best among them."""
    if axis.grid is None:
        return np.unique(np.append(np.linspace(axis.low, axis.high, points), best))
    if len(axis.grid) <= 2 * points or not axis.ordered:
        return axis.grid
    return np.unique(np.append(axis.at(np.linspace(0, 1, points)), best))


def ranges(axes: Sequence[Axis], judge: Judge, best: np.ndarray, least: float) -> list[Range]:
    """For each lever the settings around the best (L,) with a score of at least `least`, bounds kept."""

    def is_good(settings: np.ndarray) -> np.ndarray:
        judged = judge(settings)
        return (judged.violation <= 0) & (judged.score >= least)

    def with_lever(j: int, values: np.ndarray) -> np.ndarray:
        settings = np.repeat(best[None, :], len(values), axis=0)
        settings[:, j] = values
        return settings

    scans = [scan(axis, best[j]) for j, axis in enumerate(axes)]
    good = is_good(np.concatenate([with_lever(j, values) for j, values in enumerate(scans)]))
    found: list[Range] = []
    edges: list[tuple[int, int, float, float]] = []  # lever, side, a good place, a bad one
    begin = 0
    for j, (axis, values) in enumerate(zip(axes, scans, strict=True)):
        here = good[begin : begin + len(values)]
        begin += len(values)
        here[np.searchsorted(values, best[j])] = True
        if not axis.ordered:
            kept = values[here]
            found.append(Range(float(kept[0]), float(kept[-1]), kept))
            continue
        first, last = _run_around(here, int(np.searchsorted(values, best[j])))
        kept = values[first : last + 1]
        found.append(
            Range(float(kept[0]), float(kept[-1]), kept if axis.grid is not None else None)
        )
        if axis.grid is None and first > 0:
            edges.append((j, 0, kept[0], values[first - 1]))
        if axis.grid is None and last < len(values) - 1:
            edges.append((j, 1, kept[-1], values[last + 1]))
    for _ in range(_HALVINGS if edges else 0):
        middles = np.array([(inside + outside) / 2 for _, _, inside, outside in edges])
        tried = np.repeat(best[None, :], len(edges), axis=0)
        tried[np.arange(len(edges)), [edge[0] for edge in edges]] = middles
        edges = [
            (j, side, middle, outside) if ok else (j, side, inside, middle)
            for (j, side, inside, outside), middle, ok in zip(
                edges, middles, is_good(tried), strict=True
            )
        ]
    for j, side, inside, _ in edges:
        low, high = found[j].low, found[j].high
        found[j] = Range(inside, high) if side == 0 else Range(low, inside)
    return found


def equal_score(archive: Archive) -> float:
    """A difference of scores that is none."""
    _, scores, violations = archive.all()
    allowed = scores[violations <= 0]
    return _EQUAL * float(np.ptp(allowed)) if len(allowed) else 0.0


def nearest_to_data(
    simulation: Simulation,
    archive: Archive,
    judge: Judge,
    best: np.ndarray,
    score: float,
    equal: float,
) -> tuple[np.ndarray, list[Range]]:
    """Of all settings that are as good as the best, the one with the data's rows nearest; and their
    ranges.

    Returns: (L,) the setting, and for each lever what is equally good around it.
    """
    axes = simulation.axes
    found = ranges(axes, judge, best, score - equal)
    if not any(each.is_wide(axis) for each, axis in zip(found, axes, strict=True)):
        return best, found
    settings, scores, violations = archive.all()
    known = settings[(violations <= 0) & (scores >= score - equal)][-512:]
    inside = [
        Axis(each.low, each.high, each.values, axis.ordered)
        for each, axis in zip(found, axes, strict=True)
    ]
    tried = np.concatenate([best[None, :], known, spread(inside, 512, simulation.seed)])
    tried = np.unique(tried, axis=0)
    judged = judge(tried)
    tried = tried[(judged.violation <= 0) & (judged.score >= score - equal)]
    if not len(tried):
        return best, found
    chosen = tried[_nearest(simulation, tried)]
    return chosen, ranges(axes, judge, chosen, score - equal)


def _nearest(simulation: Simulation, settings: np.ndarray) -> int:
    """The place of the setting nearest to the data's rows; of equals, of the one nearest to today's."""
    domain: Domain = simulation.domain
    to_data = domain.lever_distance(simulation.settings_frame(settings))
    widths = np.array([axis.width for axis in simulation.axes])
    ordered = np.array([axis.ordered for axis in simulation.axes])
    apart = np.abs(settings - simulation.today_setting) / widths
    to_today = np.where(ordered, apart, apart > 0).sum(axis=1)
    return int(np.lexsort((to_today, np.round(to_data, 6)))[0])


def _run_around(good: np.ndarray, place: int) -> tuple[int, int]:
    """First and last place of the unbroken run of true values around `place`."""
    bad = np.flatnonzero(~good)
    before, after = bad[bad < place], bad[bad > place]
    first = int(before[-1]) + 1 if len(before) else 0
    last = int(after[0]) - 1 if len(after) else len(good) - 1
    return first, last
