"""Schedules: how a hyperparameter moves while training moves from its start (0) to its end (1).

A schedule is a pure function of progress in [0, 1], both ends included. It knows neither the
optimizer nor the number of steps, so it can be plotted, tested and called by any loop:

    for step, batch in enumerate(batches):
        factor = one_cycle(step / num_steps)
        for group in optimizer.param_groups:
            group["lr"] = factor * group["max_lr"]

The loop calls one per step, so they are plain Python on floats (a microsecond or two).
Paper: Smith & Topin 2017, arXiv:1708.07120 (1cycle); its triangle became two half cosines, as in
fastai. Twin: drivetrain.reference.schedules.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from drivetrain._registry import did_you_mean, lookup
from drivetrain.errors import ConfigError, InputError


def constant(progress: float, *, value: float = 1.0) -> float:
    """The same `value` from start to end."""
    _check_progress("constant", progress)
    return value


def linear(progress: float, *, start: float = 1.0, end: float = 0.0) -> float:
    """A straight line from `start` to `end`."""
    _check_progress("linear", progress)
    return start * (1 - progress) + end * progress


def cosine(progress: float, *, start: float = 1.0, end: float = 0.0) -> float:
    """Half a cosine from `start` to `end`: flat at both ends, steepest in the middle.

    Paper: Loshchilov & Hutter 2016, arXiv:1608.03983, without the restarts.

    >>> cosine(0.0), cosine(0.5), cosine(1.0)
    (1.0, 0.5, 0.0)
    """
    _check_progress("cosine", progress)
    return _half_cosine(progress, start, end)


def exponential(progress: float, *, start: float, end: float) -> float:
    """Equal ratios in equal time, from `start` to `end`: what a learning rate finder sweeps with.

    Raises: ConfigError: `start` or `end` is not above zero, so no ratio joins them.
    """
    _check_progress("exponential", progress)
    if start <= 0 or end <= 0:
        raise ConfigError(
            f"`exponential` needs `start` and `end` above 0, got start={start} and end={end}. "
            "Use `linear` or `cosine` to reach zero."
        )
    return start ** (1 - progress) * end**progress


def one_cycle(
    progress: float, *, pct_start: float = 0.25, div: float = 25.0, div_final: float = 1e5
) -> float:
    """The 1cycle policy for the learning rate, as a factor on the highest rate.

    Up by half a cosine from 1/`div` to 1 in the first `pct_start` of training, which lets the
    weights leave their start gently; then down to 1/`div_final`. Both divide the highest rate
    (torch's OneCycleLR divides the first rate by its `final_div_factor` instead).

    Args:
        progress: share of training done, in [0, 1].
        pct_start: share of training spent going up, above 0 and below 1.
        div: the first rate is the highest divided by this, above 0.
        div_final: the last rate is the highest divided by this, above 0.

    Returns: the factor, in [1/`div_final`, 1] for the defaults.
    Raises: InputError: `progress` is outside [0, 1]. ConfigError: another argument is.

    >>> one_cycle(0.0), one_cycle(0.25), one_cycle(1.0)
    (0.04, 1.0, 1e-05)
    """
    _check_progress("one_cycle", progress)
    if div <= 0 or div_final <= 0:
        raise ConfigError(
            f"`one_cycle` divides the highest rate by `div` and `div_final`, so both must be "
            f"above 0, got div={div} and div_final={div_final}."
        )
    return _two_cosines("one_cycle", progress, pct_start, 1 / div, 1.0, 1 / div_final)


def one_cycle_momentum(
    progress: float,
    *,
    pct_start: float = 0.25,
    moms: tuple[float, float, float] = (0.95, 0.85, 0.95),
) -> float:
    """The 1cycle policy for momentum: low while the rate is high, and the other way round.

    Args:
        progress: share of training done, in [0, 1].
        pct_start: the same as for `one_cycle`, so that the two turn together.
        moms: momentum at the start, at `pct_start` and at the end.

    Returns: the momentum itself (beta1 of Adam), not a factor.
    """
    _check_progress("one_cycle_momentum", progress)
    start, middle, end = moms
    return _two_cosines("one_cycle_momentum", progress, pct_start, start, middle, end)


SCHEDULES: Mapping[str, Callable[..., float]] = MappingProxyType(
    {
        "constant": constant,
        "cosine": cosine,
        "exponential": exponential,
        "linear": linear,
        "one_cycle": one_cycle,
        "one_cycle_momentum": one_cycle_momentum,
    }
)


def schedule(name: str, **options: Any) -> partial[float]:
    """The schedule `name` with its options filled in; name and options are all a journal stores.

    Every option is checked here, before training: by name, and by asking for both ends.

    Raises: UnknownNameError: no such schedule. ConfigError: an option is unknown, missing or
        out of range.

    >>> schedule("linear", start=1.0, end=0.5)(0.5)
    0.75
    """
    function = lookup(SCHEDULES, name, what="schedule")
    accepted = {
        key: parameter
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for key in options:
        if key not in accepted:
            raise ConfigError(
                f"Schedule '{name}' has no option '{key}'.{did_you_mean(key, accepted)} "
                f"Options: {', '.join(accepted)}."
            )
    required = [key for key, p in accepted.items() if p.default is inspect.Parameter.empty]
    missing = [key for key in required if key not in options]
    if missing:
        raise ConfigError(
            f"Schedule '{name}' needs the option{'s' if len(missing) > 1 else ''} "
            f"{' and '.join(missing)}: schedule('{name}', "
            f"{', '.join(f'{key}=...' for key in required)})."
        )
    filled = partial(function, **options)
    for end in (0.0, 1.0):
        filled(end)
    return filled


def _two_cosines(
    name: str, progress: float, pct_start: float, start: float, middle: float, end: float
) -> float:
    if not 0 < pct_start < 1:
        raise ConfigError(
            f"`{name}` needs `pct_start`, the share of training before the turn, "
            f"above 0 and below 1, got {pct_start}."
        )
    if progress < pct_start:
        return _half_cosine(progress / pct_start, start, middle)
    return _half_cosine((progress - pct_start) / (1 - pct_start), middle, end)


def _half_cosine(progress: float, start: float, end: float) -> float:
    # Two weights that sum to 1, because this form gives `start` and `end` themselves at the ends;
    # start + weight * (end - start) would miss them by a rounding.
    weight = (1 - math.cos(math.pi * progress)) / 2
    return start * (1 - weight) + end * weight


def _check_progress(name: str, progress: float) -> None:
    if not 0 <= progress <= 1:  # written so that NaN fails too
        raise InputError(
            f"`{name}` got progress {progress}, expected the share of training done, "
            "from 0 (start) to 1 (end). Divide the step by the number of steps."
        )
