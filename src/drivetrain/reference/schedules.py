"""Schedules as one formula each. Twin of `drivetrain.optim.schedules`.

t is the share of training done, in [0, 1]. Paper of the cycle: Smith & Topin 2017, arXiv:1708.07120.
"""

from __future__ import annotations

from math import cos, exp, log, pi


def constant(t: float, value: float = 1.0) -> float:
    """The same value always."""
    return value + 0 * t


def linear(t: float, start: float = 1.0, end: float = 0.0) -> float:
    """start + t (end - start)."""
    return start + t * (end - start)


def cosine(t: float, start: float = 1.0, end: float = 0.0) -> float:
    """The mean of both ends, plus half their difference times a cosine that goes from 1 to -1."""
    return (start + end) / 2 + (start - end) / 2 * cos(pi * t)


def exponential(t: float, start: float, end: float) -> float:
    """A straight line between the logarithms."""
    return exp(linear(t, log(start), log(end)))


def one_cycle(
    t: float, pct_start: float = 0.25, div: float = 25.0, div_final: float = 1e5
) -> float:
    """From 1/div up to 1 until `pct_start`, then down to 1/div_final."""
    if t < pct_start:
        return cosine(t / pct_start, 1 / div, 1.0)
    return cosine((t - pct_start) / (1 - pct_start), 1.0, 1 / div_final)


def one_cycle_momentum(
    t: float, pct_start: float = 0.25, moms: tuple[float, float, float] = (0.95, 0.85, 0.95)
) -> float:
    """From the first momentum to the second until `pct_start`, then to the third."""
    if t < pct_start:
        return cosine(t / pct_start, moms[0], moms[1])
    return cosine((t - pct_start) / (1 - pct_start), moms[1], moms[2])
