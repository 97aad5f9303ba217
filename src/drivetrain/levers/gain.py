"""What the best settings bring over today's, and how sure that is.

Two intervals, of two questions:

- of the gain that is expected: the model's doubt, from its members (models of other draws of the data:
  the spread of their gains) or from a standard deviation a row (as if the model erred alike in all
  rows and independently for the two settings, which is more than where they are near each other).
- of the gain that would be seen in so many new rows of each: the chance in single outcomes is added. For
  probabilities outcomes are drawn from them; for numbers, what the model was off by in validation is
  drawn again (Efron 1979, doi:10.1214/aos/1176344552).

Neither holds that the model may be wrong in one direction everywhere, that the best of many
predictions is the best partly by luck, or that what goes together need not be a cause.

R rows, L levers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain.data.frame import Frame
from drivetrain.errors import DataError
from drivetrain.levers.experiment import ExperimentSize, sample_size
from drivetrain.levers.simulate import Simulation
from drivetrain.metrics.interval import two_sided, two_sided_student
from drivetrain.randomness import derive

CONFIDENCE = 0.95
DRAWS = 400
NOISE_ROWS = 256
"""Rows for which outcomes are drawn; with more, the result is scaled."""


@dataclass(frozen=True)
class Gain:
    """What changes from today's settings to the best; `gain` is positive where that is for the better."""

    best: float
    """The objective with the best settings."""
    today: float
    gain: float
    num_rows: int
    """Rows over which the objective is taken."""
    interval: tuple[float, float] | None = None
    """Of the expected gain, 95%; None where the model does not say how sure it is."""
    source: str = ""
    """What the interval comes from: `members`, `spread`, `no model` where none is asked, or nothing."""
    seen_interval: tuple[float, float] | None = None
    """Of the gain that `num_rows` new rows of each would show, 95%; None where no outcome is known."""
    experiment: ExperimentSize | None = None
    """None where nothing is known of outcomes, or there is no gain."""


def gain_of(
    simulation: Simulation,
    best: np.ndarray,
    rows: Frame,
    *,
    residuals: Sequence[float] | np.ndarray | None = None,
) -> Gain:
    """The gain of a setting (L,) over today's, in these rows.

    Args:
        residuals: (V,) outcome - prediction on rows that the model was not trained on.
    """
    sign, count = simulation.problem.sign, len(rows)
    both = np.stack([best, simulation.today_setting])
    (value, today), doubts, _ = simulation.values(both, rows, doubt=True)
    gain = float(sign * (value - today))
    is_same = bool(np.array_equal(*both))
    half, source = 0.0, "" if simulation.needs_model else "no model"
    if simulation.needs_model and simulation.model.members is not None:
        source = "members"
        members = simulation.member_values(both, rows)  # (T, 2)
        half = float(np.std(members[:, 0] - members[:, 1], ddof=1))
        half *= two_sided_student(CONFIDENCE, len(members) - 1)
    elif simulation.needs_model and doubts is not None:
        source = "spread"
        half = 0.0 if is_same else float(np.hypot(*doubts)) * two_sided(CONFIDENCE)
    outcomes = _outcomes(simulation, both, rows, residuals)
    seen, experiment = None, None
    if outcomes is not None:
        seen = _seen(outcomes, gain, half, count, simulation)
        a_row = gain if simulation.problem.over == "mean" else gain / count
        if a_row > 0:
            spreads = [float(np.std(each)) for each in outcomes]
            size = sample_size(a_row, *spreads)
            pooled = float(np.sqrt(np.mean(np.square(spreads))))
            experiment = ExperimentSize(size, a_row, pooled)
    return Gain(
        best=float(value),
        today=float(today),
        gain=gain,
        num_rows=count,
        interval=(gain - half, gain + half) if source else None,
        source=source,
        seen_interval=seen,
        experiment=experiment,
    )


def _outcomes(
    simulation: Simulation,
    both: np.ndarray,
    rows: Frame,
    residuals: Sequence[float] | np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """(DRAWS, R) values of the objective for drawn outcomes, with the best and with today's settings.

    None where nothing is known of outcomes, or the objective has no value for some.
    """
    model = simulation.model
    off = None if residuals is None else np.asarray(residuals, dtype=np.float64).ravel()
    if off is not None and (not len(off) or not np.isfinite(off).all()):
        raise DataError("`residuals` are finite numbers, outcome - prediction, one or more.")
    if not simulation.needs_model or (off is None and not model.classes):
        return None
    rows = _first(rows, NOISE_ROWS)
    draw = np.random.default_rng(derive(simulation.seed, "levers outcomes"))
    found = []
    for setting in both:
        once = simulation.crossed(setting[None, :], rows)
        predicted = model.ask(simulation.features(once))  # (R,) or (R, C)
        many = once.repeat(DRAWS)
        if model.classes:
            sums = np.cumsum(predicted, axis=1)
            sums /= sums[:, -1:]
            uniform = draw.random((DRAWS, len(rows), 1))
            chosen = np.minimum((uniform > sums).sum(axis=2), len(model.classes) - 1)
            outcome = np.eye(len(model.classes))[chosen.ravel()]
        else:
            assert off is not None
            outcome = (predicted + draw.choice(off, (DRAWS, len(rows)))).ravel()
        values = simulation.worked_out(simulation.problem.objective, many, outcome)
        found.append(values.reshape(DRAWS, len(rows)))
    if not all(np.isfinite(each).all() for each in found):
        return None
    return found[0], found[1]


def _seen(
    outcomes: tuple[np.ndarray, np.ndarray],
    gain: float,
    half: float,
    count: int,
    simulation: Simulation,
) -> tuple[float, float]:
    """Percentiles of the gain in `count` new rows of each."""
    draw = np.random.default_rng(derive(simulation.seed, "levers seen"))
    best, today = (each - each.mean(axis=0) for each in outcomes)
    drawn = (best - today).mean(axis=1) * np.sqrt(best.shape[1] / count)  # (DRAWS,)
    if simulation.problem.over == "sum":
        drawn = drawn * count
    drawn = drawn + half / two_sided(CONFIDENCE) * draw.standard_normal(len(drawn))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(simulation.problem.sign * drawn, [tail, 1 - tail])
    return gain + min(float(low), 0.0), gain + max(float(high), 0.0)


def _first(rows: Frame, most: int) -> Frame:
    """At most so many rows, evenly from all."""
    if len(rows) <= most:
        return rows
    return rows.take(np.linspace(0, len(rows) - 1, most).astype(np.int64))
