"""Finding the best settings of a few levers, for a function that is known only by its values.

Four steps, each of which asks for many settings at once, as models like it:

1. settings spread evenly over the bounds (Halton 1960, doi:10.1007/BF01386213), settings that the data
   itself holds, and, where the levers have few values, all there are;
2. from the best of them, a compass search: steps along each lever and along random directions, doubled
   where they lead up and halved where they do not. It needs no slope, so the steps of a tree are no
   obstacle;
3. from where that ends, sequential quadratic programming (scipy's SLSQP; Kraft 1988) with slopes from
   differences, for smooth models and for limits that are met on a slant;
4. a compass search once more, with small steps.

A setting is judged by a score (higher is better) and by margins (below 0 it is not allowed). Settings are
rows of numbers; a word is its place among the choices.

M settings, L levers, Q smooth margins, P rough ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from drivetrain._optional import require
from drivetrain.randomness import derive

ALL = 2000
"""Where there are no more settings than this, each is looked at."""
SPREAD = 512
"""Settings that are spread over the bounds otherwise."""
STARTS = 4
SMALLEST_STEP = 1e-4
"""Of the bounds' width, where the compass search ends; slopes lead on from there."""
_MOST_MOVES = 120
_DIFFERENCE = 1e-4  # for slopes; below, the rounding of float32 nets would drown them
_MOST_SLOPES = 60
_ROOM = 1e-8  # left to a bound, which rounding would break otherwise
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)


@dataclass(frozen=True)
class Axis:
    """One lever as numbers."""

    low: float
    high: float
    grid: np.ndarray | None = None
    """(V,) ascending, the only values; None for all from `low` to `high`."""
    ordered: bool = True
    """Whether neighbours are alike; not so for words, whose grid is 0, 1, 2 …"""

    def at(self, shares: np.ndarray) -> np.ndarray:
        """Shares of the way from `low` to `high`, in [0, 1], as values that are possible."""
        if self.grid is None:
            return self.low + np.clip(shares, 0.0, 1.0) * (self.high - self.low)
        if not self.ordered:
            places = np.minimum(
                (np.clip(shares, 0.0, 1.0) * len(self.grid)).astype(int), len(self.grid) - 1
            )
            return self.grid[places]
        return self.nearest(self.low + np.clip(shares, 0.0, 1.0) * (self.high - self.low))

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """The possible values next to these."""
        if self.grid is None:
            return np.clip(values, self.low, self.high)
        above = np.clip(np.searchsorted(self.grid, values), 1, max(len(self.grid) - 1, 1))
        if len(self.grid) == 1:
            return np.full_like(values, self.grid[0])
        left, right = self.grid[above - 1], self.grid[above]
        return np.where(values - left <= right - values, left, right)

    @property
    def width(self) -> float:
        """Of the bounds; 1 where there is a single value."""
        return (self.high - self.low) or 1.0


@dataclass(frozen=True)
class Judged:
    """What is thought of M settings."""

    score: np.ndarray
    """(M,) higher is better; NaN or infinite where there is none."""
    margins: np.ndarray
    """(M, Q) 0 or more where a bound is kept; they follow the levers smoothly where the model does."""
    rough: np.ndarray
    """(M, P) the same of bounds that are not smooth, such as a distance to the nearest row."""

    @property
    def violation(self) -> np.ndarray:
        """(M,) 0 where all bounds are kept and the score is a number."""
        beyond = np.maximum(-self.margins, 0.0).sum(axis=1) + np.maximum(-self.rough, 0.0).sum(
            axis=1
        )
        return np.where(np.isfinite(self.score), beyond, np.inf)


Judge = Callable[[np.ndarray], Judged]


@dataclass
class Archive:
    """Every setting that was judged."""

    judge: Judge
    settings: list[np.ndarray] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)
    violations: list[np.ndarray] = field(default_factory=list)

    def __call__(self, settings: np.ndarray) -> Judged:
        """Judge (M, L) settings, and keep them."""
        judged = self.judge(settings)
        self.settings.append(settings)
        self.scores.append(judged.score)
        self.violations.append(judged.violation)
        return judged

    def all(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(M, L) settings, (M,) scores, (M,) violations."""
        return (
            np.concatenate(self.settings),
            np.concatenate(self.scores),
            np.concatenate(self.violations),
        )

    def best(self) -> tuple[np.ndarray, float, float]:
        """(L,) the allowed setting of the highest score, the first of equals; else the least bad one."""
        settings, scores, violations = self.all()
        place = best_of(scores, violations)
        return settings[place], float(scores[place]), float(violations[place])

    def __len__(self) -> int:
        return sum(len(each) for each in self.scores)


def best_of(scores: np.ndarray, violations: np.ndarray) -> int:
    """The place of the highest allowed score, or of the smallest violation where none is allowed."""
    allowed = violations <= 0
    if allowed.any():
        return int(np.argmax(np.where(allowed, scores, -np.inf)))
    return int(np.argmin(violations))


def _from_best(scores: np.ndarray, violations: np.ndarray) -> np.ndarray:
    """(M,) places, the best first."""
    return np.lexsort((-np.where(np.isfinite(scores), scores, -np.inf), violations))


def search(
    axes: Sequence[Axis], judge: Judge, *, starts: np.ndarray | None = None, seed: int = 42
) -> Archive:
    """Look for the highest score that is allowed; all that was looked at comes back.

    Args:
        axes: the levers.
        judge: (M, L) settings -> what is thought of them.
        starts: (S, L) settings to begin with.
        seed: of the spread and of the random directions.
    """
    archive = Archive(judge)
    given = np.empty((0, len(axes))) if starts is None else np.asarray(starts, dtype=np.float64)
    if (everything := all_settings(axes)) is not None:
        archive(everything)
        return archive
    archive(np.concatenate([given, spread(axes, SPREAD, seed)]))
    chosen = _apart(*archive.all(), axes)
    for end in _compass(axes, archive, chosen, step=0.1, seed=seed)[:2]:
        polish(axes, archive, end)
    refine(axes, archive, seed=seed)
    return archive


def refine(axes: Sequence[Axis], archive: Archive, *, step: float = 0.01, seed: int = 42) -> None:
    """Go on from the best of the archive, with small steps."""
    best, _, _ = archive.best()
    _compass(axes, archive, best[None, :], step=step, seed=seed)


def all_settings(axes: Sequence[Axis], most: int = ALL) -> np.ndarray | None:
    """(M, L) every setting there is; None where there are too many."""
    count = 1
    for axis in axes:
        if axis.grid is None:
            return None
        count *= len(axis.grid)
        if count > most:
            return None
    grids = [axis.grid for axis in axes if axis.grid is not None]
    return np.array(list(itertools.product(*grids)), dtype=np.float64)


def spread(axes: Sequence[Axis], count: int, seed: int) -> np.ndarray:
    """(count, L) settings spread evenly, shifted by the seed."""
    shift = np.random.default_rng(derive(seed, "levers spread")).random(len(axes))
    columns = [
        axis.at((_halton(count, _PRIMES[place]) + shift[place]) % 1.0)
        for place, axis in enumerate(axes)
    ]
    return np.stack(columns, axis=1)


def _halton(count: int, base: int) -> np.ndarray:
    """(count,) the digits of 1, 2 … in this base, mirrored at the point."""
    whole = np.arange(1, count + 1)
    found, place = np.zeros(count), 1.0 / base
    while whole.any():
        whole, digit = np.divmod(whole, base)
        found += digit * place
        place /= base
    return found


def _apart(
    settings: np.ndarray, scores: np.ndarray, violations: np.ndarray, axes: Sequence[Axis]
) -> np.ndarray:
    """(S, L) the best settings that are not beside a better one, the best of all first."""
    order = _from_best(scores, violations)[:256]
    widths = np.array([axis.width for axis in axes])
    chosen: list[np.ndarray] = []
    for place in order:
        if all(_gap(settings[place], other, axes, widths) > 0.15 for other in chosen):
            chosen.append(settings[place])
        if len(chosen) == STARTS:
            break
    return np.array(chosen)


def _gap(one: np.ndarray, other: np.ndarray, axes: Sequence[Axis], widths: np.ndarray) -> float:
    """The largest difference of a lever, in widths of its bounds; 1 for two words."""
    apart = np.abs(one - other) / widths
    return float(
        max(
            float(one[j] != other[j]) if not axis.ordered else apart[j]
            for j, axis in enumerate(axes)
        )
    )


def _compass(
    axes: Sequence[Axis], archive: Archive, starts: np.ndarray, *, step: float, seed: int
) -> np.ndarray:
    """Climb from each of (S, L) starts; all move at once, so that the model is asked seldom.

    Returns: (S, L) where they end, the best first.
    """
    draw = np.random.default_rng(derive(seed, "levers compass", len(archive)))
    here = starts.copy()
    first = archive(here)
    score, violation = first.score.copy(), first.violation.copy()
    steps = np.full(len(here), step)
    last = np.zeros_like(here)
    for _ in range(_MOST_MOVES):
        moving = np.flatnonzero(steps >= SMALLEST_STEP)
        if not len(moving):
            break
        tried = [_around(axes, here[s], steps[s], last[s], draw) for s in moving]
        judged = archive(np.concatenate(tried))
        begin = 0
        for s, candidates in zip(moving, tried, strict=True):
            part = slice(begin, begin + len(candidates))
            begin += len(candidates)
            scores, violations = judged.score[part], judged.violation[part]
            place = best_of(scores, violations)
            if _is_better(scores[place], violations[place], score[s], violation[s]):
                last[s] = candidates[place] - here[s]
                here[s], score[s], violation[s] = (
                    candidates[place],
                    scores[place],
                    violations[place],
                )
                steps[s] = min(2 * steps[s], 0.5)
            else:
                steps[s] /= 4
                last[s] = 0.0
    return here[_from_best(score, violation)]


def _is_better(score: float, violation: float, old: float, old_violation: float) -> bool:
    if violation <= 0 and old_violation <= 0:
        return score > old
    return violation < old_violation


def _around(
    axes: Sequence[Axis], here: np.ndarray, step: float, last: np.ndarray, draw: np.random.Generator
) -> np.ndarray:
    """(C, L) settings a step away: along each lever, along random directions, on along the last move."""
    count = len(axes)
    widths = np.array([axis.width for axis in axes])
    ordered = np.array([axis.ordered for axis in axes])
    moves = [np.eye(count)[ordered], -np.eye(count)[ordered]]
    if ordered.sum() > 1:
        random = draw.standard_normal((2 * count, count)) * ordered
        random /= np.linalg.norm(random, axis=1, keepdims=True)
        moves += [random, -random]
    offsets = np.concatenate(moves) * step * widths
    offsets = np.concatenate([offsets, offsets / 2, last[None, :], 2 * last[None, :]])
    candidates = here + offsets
    for j, axis in enumerate(axes):
        if axis.ordered:
            candidates[:, j] = _moved(axis, candidates[:, j], here[j])
    switches = []
    for j, axis in enumerate(axes):
        if axis.grid is not None and not axis.ordered:
            others = axis.grid[axis.grid != here[j]]
            if len(others) > 16:
                others = draw.permutation(others)[:16]
            rows = np.repeat(here[None, :], len(others), axis=0)
            rows[:, j] = others
            switches.append(rows)
            candidates[:, j] = here[j]
    return np.concatenate([candidates, *switches])


def _moved(axis: Axis, values: np.ndarray, here: float) -> np.ndarray:
    """The possible values next to these; a small step on a grid leads to the neighbour all the same."""
    if axis.grid is None:
        return axis.nearest(values)
    found = axis.nearest(values)
    place = int(np.searchsorted(axis.grid, here))
    stuck = found == here
    up, down = axis.grid[min(place + 1, len(axis.grid) - 1)], axis.grid[max(place - 1, 0)]
    found = np.where(stuck & (values > here), up, found)
    return np.where(stuck & (values < here), down, found)


def polish(axes: Sequence[Axis], archive: Archive, start: np.ndarray) -> None:
    """Follow the slopes of score and margins from `start` (L,), over the levers that are continuous.

    Slopes know nothing of rough bounds. Where they lead beyond one, each lever is moved by itself, so
    that the one that meets the bound does not hold back the others.
    """
    free = [j for j, axis in enumerate(axes) if axis.grid is None]
    if not free or _follow(axes, archive, start, free) or len(free) == 1:
        return
    for j in free:
        best, _, _ = archive.best()
        _follow(axes, archive, best, [j])


def _follow(axes: Sequence[Axis], archive: Archive, start: np.ndarray, free: Sequence[int]) -> bool:
    """Move the levers `free` along their slopes; whether the end is allowed, or there is none."""
    optimize = require("scipy.optimize", extra="tabular")
    low = np.array([axes[j].low for j in free])
    width = np.array([axes[j].width for j in free])

    def settings_at(points: np.ndarray) -> np.ndarray:
        settings = np.repeat(start[None, :], len(points), axis=0)
        settings[:, free] = low + np.clip(points, 0.0, 1.0) * width
        return settings

    def values_at(points: np.ndarray) -> np.ndarray:
        """(P, F) -> (P, 1 + Q): what is to be made small, then the margins."""
        judged = archive(settings_at(points))
        found = np.column_stack([-judged.score, judged.margins - _ROOM])
        return np.nan_to_num(found, nan=1e6, posinf=1e6, neginf=-1e6)

    begin = (start[free] - low) / width
    unit = _slope_if_smooth(values_at, begin)
    if unit is None:
        return True
    known: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def at(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(1 + Q,) the values and (1 + Q, F) the slopes: one question to the model for both."""
        key = point.tobytes()
        if key not in known:
            if len(known) >= _MOST_SLOPES:
                raise _Enough
            above = np.minimum(point + _DIFFERENCE * np.eye(len(free)), 1.0)
            below = np.maximum(point - _DIFFERENCE * np.eye(len(free)), 0.0)
            values = values_at(np.concatenate([point[None, :], above, below]))
            values[:, 0] /= unit
            rise = values[1 : 1 + len(free)] - values[1 + len(free) :]  # (F, 1 + Q)
            run = (above - below).sum(axis=1)  # of row f, only place f differs
            known[key] = values[0], (rise / run[:, None]).T
        return known[key]

    num_margins = len(at(begin)[0]) - 1
    # Copies, for SLSQP writes into what it is given.
    constraints = {
        "type": "ineq",
        "fun": lambda x: at(x)[0][1:].copy(),
        "jac": lambda x: at(x)[1][1:].copy(),
    }
    try:
        found = optimize.minimize(
            lambda x: at(x)[0][0],
            begin,
            jac=lambda x: at(x)[1][0].copy(),
            bounds=[(0.0, 1.0)] * len(free),
            constraints=[constraints] if num_margins else [],
            method="SLSQP",
            options={"maxiter": _MOST_SLOPES, "ftol": 1e-12},
        )
    except _Enough:  # what was tried on the way is in the archive
        return True
    if not np.isfinite(found.x).all():
        return True
    # Where the end breaks a rough bound, the last place before it is among these.
    back = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 15)])[:, None]
    judged = archive(settings_at((1 - back) * np.clip(found.x, 0.0, 1.0) + back * begin))
    return bool(judged.violation[0] <= 0)


class _Enough(Exception):  # noqa: N818 - no error: the search has asked often enough
    pass


def _slope_if_smooth(
    values_at: Callable[[np.ndarray], np.ndarray], point: np.ndarray
) -> float | None:
    """About how steep it is around a point, where bends shrink with the square of the step.

    Those of steps and edges do not, and slopes lead nowhere there: None.
    """
    inner = np.clip(point, 0.01, 0.99)
    moves = np.eye(len(point))
    tried = [inner[None, :]]
    for step in (1e-3, 1e-2):
        tried += [inner + step * moves, inner - step * moves]
    values = values_at(np.concatenate(tried))[:, 0]
    here, count = values[0], len(point)
    near_up, near_down, far_up, far_down = values[1:].reshape(4, count)
    near, far = np.abs(near_up + near_down - 2 * here), np.abs(far_up + far_down - 2 * here)
    change = float(np.abs(np.concatenate([far_up, far_down]) - here).max())
    rounding = 1e-7 * (change + abs(here))
    if change <= 0 or not (near <= 0.1 * far + rounding).all():
        return None
    return change / 1e-2
