"""From a fitted model to a decision: objective, levers, data, model; and whom to treat, by uplift.

    problem = dt.levers.read_problem("price.toml")
    decision = dt.levers.optimise(problem, model.predict_frame, data, spread=model.spread)
    uplift = dt.levers.fit_uplift(experiment, "shown", "bought")

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.levers.decide import optimise
    from drivetrain.levers.decision import Decision
    from drivetrain.levers.experiment import ExperimentSize, sample_size
    from drivetrain.levers.expression import Expression, parse
    from drivetrain.levers.problem import (
        Experiment,
        Lever,
        Limit,
        Problem,
        read_experiment,
        read_problem,
    )
    from drivetrain.levers.rows import read_rows
    from drivetrain.levers.uplift import Ranking, Uplift, fit_uplift

__all__ = [
    "Decision",
    "Experiment",
    "ExperimentSize",
    "Expression",
    "Lever",
    "Limit",
    "Problem",
    "Ranking",
    "Uplift",
    "fit_uplift",
    "optimise",
    "parse",
    "read_experiment",
    "read_problem",
    "read_rows",
    "sample_size",
]

_HOMES = {
    "decide": ("optimise",),
    "decision": ("Decision",),
    "experiment": ("ExperimentSize", "sample_size"),
    "expression": ("Expression", "parse"),
    "problem": ("Experiment", "Lever", "Limit", "Problem", "read_experiment", "read_problem"),
    "rows": ("read_rows",),
    "uplift": ("Ranking", "Uplift", "fit_uplift"),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
