"""Optimizers, what moves their settings, and which parameters get which.

- `schedules`: pure functions of progress, by name through `schedule`.
- `plot`: schedules as a picture.
- `groups`: layer groups into optimizer groups, with a rate each.
- `defaults`: the optimizer used when none is given.
- `optimizers`: the others by name through `optimizer`, each a chain of `steppers` run by `composed`.
"""

from drivetrain.optim.composed import Composed
from drivetrain.optim.defaults import adamw
from drivetrain.optim.descent import descend, plot_descent
from drivetrain.optim.groups import param_groups, rates_table, spread_lrs
from drivetrain.optim.optimizers import OPTIMIZERS, optimizer
from drivetrain.optim.plot import plot_schedule
from drivetrain.optim.schedules import (
    SCHEDULES,
    as_schedule_record,
    constant,
    cosine,
    exponential,
    flat_cosine,
    linear,
    multi_step,
    one_cycle,
    one_cycle_momentum,
    piecewise,
    polynomial,
    schedule,
    sgdr,
    step_decay,
    warmup,
)

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Composed",
    "adamw",
    "as_schedule_record",
    "constant",
    "cosine",
    "descend",
    "exponential",
    "flat_cosine",
    "linear",
    "multi_step",
    "one_cycle",
    "one_cycle_momentum",
    "optimizer",
    "param_groups",
    "piecewise",
    "plot_descent",
    "plot_schedule",
    "polynomial",
    "rates_table",
    "schedule",
    "sgdr",
    "spread_lrs",
    "step_decay",
    "warmup",
]
