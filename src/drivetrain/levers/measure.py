"""What to measure next: settings that may be better than the best, where the model is least sure.

Where the model says how sure it is, settings are ranked by the improvement that is to be expected of them
(Mockus 1975; Jones, Schonlau and Welch 1998, doi:10.1023/A:1008306431147): the mean of what lies above
the best, if the truth is normal around the prediction. Else those count that are nearly as good as the
best, the ones with the fewest rows of the data beside them first. Settings a little outside the data
are among them: a measurement is how the data gets there. Far outside a model's doubt is worth as
little as its prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from drivetrain.data.frame import Frame
from drivetrain.levers.problem import Setting
from drivetrain.levers.simulate import Simulation

MOST = 3
CANDIDATES = 256
CELL = 0.02
"""In widths of the bounds: of settings in such a cell the best is looked at."""
APART = 0.1
"""In widths of the bounds: settings that are nearer to each other are one."""
REACH = 0.1
"""In ranges of the data: rows of which each lever is about so near count as beside a setting."""
EDGE = 0.25
"""In ranges of the data: how far outside of it a setting may be."""
NEARLY = 0.2
"""Where the model has no doubt: how far below the best, of best - median, may be worth a look."""


@dataclass(frozen=True)
class Measurement:
    """A setting to be tried, and why."""

    settings: Mapping[str, Setting]
    value: float
    """The objective as it is predicted."""
    doubt: float | None
    """Its standard deviation, as the model gives it."""
    rows_near: int
    """Rows of the data whose levers are near these."""
    num_rows: int
    """Rows of the data."""
    is_outside: bool
    """Whether it lies outside the part of the data that the search stayed in."""

    @property
    def reason(self) -> str:
        """Why it is worth measuring."""
        near = (
            "no row of the data is near"
            if self.rows_near == 0
            else f"{self.rows_near:,} of the data's {self.num_rows:,} rows "
            f"{'is' if self.rows_near == 1 else 'are'} near"
        )
        about = f"predicted {self.value:.4g}"
        if self.doubt is not None:
            about += f" give or take {self.doubt:.2g}, which may beat the best"
        outside = "; outside the data" if self.is_outside else ""
        return f"{about}; {near}{outside}"


def what_to_measure(
    simulation: Simulation,
    candidates: np.ndarray,
    values: np.ndarray,
    best: np.ndarray,
    rows: Frame,
) -> tuple[Measurement, ...]:
    """A few settings that are apart from each other and from the best one.

    Args:
        candidates: (M, L) settings within the bounds, the limits kept.
        values: (M,) the objective of each.
        best: (L,) the setting that was chosen.
        rows: of the context, on which doubt is worked out.
    """
    sign = simulation.problem.sign
    order = np.argsort(-sign * values, kind="stable")
    # One of those that lie together, where the search looked closely.
    widths = np.array([axis.width for axis in simulation.axes])
    _, first = np.unique(np.round(candidates[order] / widths / CELL), axis=0, return_index=True)
    order = order[np.sort(first)]
    order = order[:: max(1, len(order) // CANDIDATES)]
    settings = np.concatenate([best[None, :], candidates[order]])
    value, doubt, _ = simulation.values(settings, rows, doubt=True)
    frame = simulation.settings_frame(settings)
    is_near = simulation.domain.lever_distance(frame) <= EDGE
    near = simulation.domain.rows_near(frame, REACH)
    ahead = sign * (value - value[0])
    if doubt is not None and simulation.needs_model:
        rank = _expected_improvement(ahead, doubt)
        may_win = ahead + 1.96 * doubt > 0
    else:
        doubt = None
        reach = NEARLY * max(float(-np.median(ahead)), 0.0)
        rank = 1 - near
        may_win = ahead >= -reach
    inside = _inside(simulation, settings)
    chosen: list[int] = [0]
    for place in np.lexsort((near, -rank)):
        if len(chosen) > MOST:
            break
        if (
            may_win[place]
            and is_near[place]
            and all(_apart(simulation, settings[place], settings[c]) for c in chosen)
        ):
            chosen.append(int(place))
    return tuple(
        Measurement(
            settings={b.name: b.setting(settings[c, j]) for j, b in enumerate(simulation.bounds)},
            value=float(value[c]),
            doubt=None if doubt is None else float(doubt[c]),
            rows_near=round(float(near[c]) * len(simulation.data)),
            num_rows=len(simulation.data),
            is_outside=not bool(inside[c]),
        )
        for c in chosen[1:]
    )


def _expected_improvement(ahead: np.ndarray, doubt: np.ndarray) -> np.ndarray:
    """(M,) mean of max(0, x), x normal with these means and standard deviations."""
    safe = np.where(doubt > 0, doubt, 1.0)
    z = ahead / safe
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + np.array([math.erf(each / math.sqrt(2)) for each in z]))
    return np.where(doubt > 0, ahead * below + safe * density, np.maximum(ahead, 0.0))


def _inside(simulation: Simulation, settings: np.ndarray) -> np.ndarray:
    margins = simulation.domain_margins(settings)
    if not margins:
        return np.ones(len(settings), dtype=bool)
    return np.all(np.stack(margins, axis=1) >= 0, axis=1)


def _apart(simulation: Simulation, one: np.ndarray, other: np.ndarray) -> bool:
    for j, axis in enumerate(simulation.axes):
        gap = abs(one[j] - other[j])
        if gap > 0 and (not axis.ordered or gap >= APART * axis.width):
            return True
    return False
