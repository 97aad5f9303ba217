"""Optimizers, what moves their settings, and which parameters get which.

- `schedules`: pure functions of progress, by name through `schedule`.
- `groups`: layer groups into optimizer groups, with a rate each.
- `defaults`: the optimizer used when none is given.
"""

from drivetrain.optim.defaults import adamw
from drivetrain.optim.groups import param_groups, rates_table, spread_lrs
from drivetrain.optim.schedules import (
    SCHEDULES,
    constant,
    cosine,
    exponential,
    linear,
    one_cycle,
    one_cycle_momentum,
    schedule,
)

__all__ = [
    "SCHEDULES",
    "adamw",
    "constant",
    "cosine",
    "exponential",
    "linear",
    "one_cycle",
    "one_cycle_momentum",
    "param_groups",
    "rates_table",
    "schedule",
    "spread_lrs",
]
