"""Steppers: the named steps that optimizers are made of.

- `base`: what a stepper is, what it works on, chains of them.
- `directions`: penalties, momentum, division by a size, norms, orthogonal matrices.
- `moves`: decay beside the step, the step, and averages of weights.

    >>> from drivetrain.optim.steppers import chain, l2_decay, momentum, step
    >>> print(chain("mine", l2_decay, momentum, step))
    l2_decay > momentum > step

One of your own is a function with a decorator:

    @stepper(settings={"max_size": 1.0})
    def clip(update: Update) -> None:
        torch._foreach_clamp_max_(update.owned(), update.group["max_size"])
"""

from collections.abc import Mapping
from types import MappingProxyType

from drivetrain.optim.steppers.base import Chain, Split, Stepper, Update, chain, stepper
from drivetrain.optim.steppers.directions import (
    adam_direction,
    add_eps,
    average,
    average_square,
    averaged_momentum,
    averaged_nesterov,
    centered_rms,
    dampened_momentum,
    debias,
    l2_decay,
    momentum,
    nesterov,
    newton_schulz,
    orthogonalize,
    rectify,
    rms,
    trust_ratio,
)
from drivetrain.optim.steppers.moves import (
    lookahead,
    schedule_free,
    schedule_free_betas,
    step,
    weight_decay,
)

STEPPERS: Mapping[str, Stepper] = MappingProxyType(
    {
        one.name: one
        for one in (
            *(add_eps, average, average_square, averaged_momentum, averaged_nesterov, centered_rms),
            *(dampened_momentum, debias, l2_decay, lookahead, momentum, nesterov, orthogonalize),
            *(rectify, rms, schedule_free, schedule_free_betas, step, trust_ratio, weight_decay),
        )
    }
)
"""All of them by name."""

__all__ = [
    "STEPPERS",
    "Chain",
    "Split",
    "Stepper",
    "Update",
    "adam_direction",
    "add_eps",
    "average",
    "average_square",
    "averaged_momentum",
    "averaged_nesterov",
    "centered_rms",
    "chain",
    "dampened_momentum",
    "debias",
    "l2_decay",
    "lookahead",
    "momentum",
    "nesterov",
    "newton_schulz",
    "orthogonalize",
    "rectify",
    "rms",
    "schedule_free",
    "schedule_free_betas",
    "step",
    "stepper",
    "trust_ratio",
    "weight_decay",
]
