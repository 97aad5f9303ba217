"""Schedules as one formula each. Twin of `drivetrain.optim.schedules`.

t is the share of training done, in [0, 1]. Papers: Smith & Topin 2017, arXiv:1708.07120 (the cycle);
Loshchilov & Hutter 2016, arXiv:1608.03983, eq. 5 (warm restarts).

Where pieces meet, the later one begins. Ends of pieces are sums, and sums are rounded: t within 1e-9
below an end is at it.
"""

from __future__ import annotations

from itertools import accumulate
from math import cos, exp, log, pi
from typing import Any

NEAR = 1e-9


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


def polynomial(t: float, start: float = 1.0, end: float = 0.0, power: float = 1.0) -> float:
    """What is left of training, to a power, goes from 1 to 0."""
    return end + (start - end) * (1 - t) ** power


def flat_cosine(t: float, pct_start: float = 0.75, div_final: float = 1e5) -> float:
    """1 until `pct_start`, then half a cosine to 1/div_final."""
    return 1.0 if t < pct_start else cosine((t - pct_start) / (1 - pct_start), 1.0, 1 / div_final)


def sgdr(
    t: float, num_cycles: int = 3, mult: float = 2.0, start: float = 1.0, end: float = 0.0
) -> float:
    """Eq. 5: T_i is the length of the cycle that t is in, T_cur how far into it t is."""
    lengths = [mult**i for i in range(num_cycles)]
    shares = [length / sum(lengths) for length in lengths]
    i, T_cur = _part(t, shares)
    return end + (start - end) / 2 * (1 + cos(pi * T_cur / shares[i]))


def step_decay(t: float, num_drops: int = 2, gamma: float = 0.1) -> float:
    """`num_drops` + 1 stairs of equal length, each `gamma` times the one before."""
    stair, _ = _part(t, [1 / (num_drops + 1)] * (num_drops + 1))
    return gamma**stair


def multi_step(t: float, milestones: tuple[float, ...] = (0.5, 0.75), gamma: float = 0.1) -> float:
    """Times `gamma` for each milestone that is reached."""
    return gamma ** len([m for m in milestones if m <= t])


def warmup(
    t: float, pct_start: float = 0.1, start: float = 0.0, then: str | dict[str, Any] = "cosine"
) -> float:
    """A line to the first value of `then` until `pct_start`, then `then`."""
    if t >= pct_start:
        return _by_name(then, (t - pct_start) / (1 - pct_start))
    first = _by_name(then, 0.0)
    return first * start + (first - first * start) * t / pct_start


def piecewise(t: float, pieces: list[dict[str, Any]]) -> float:
    """The piece that t is in, at the share of it that is done."""
    shares = [piece["share"] for piece in pieces]
    i, inside = _part(t, shares)
    piece = {key: value for key, value in pieces[i].items() if key != "share"}
    return _by_name(piece, inside / shares[i])


def _part(t: float, shares: list[float]) -> tuple[int, float]:
    """In which of the parts t is, and how far into it, in shares of the whole."""
    begins = [0.0, *accumulate(shares)][: len(shares)]
    i = max(i for i, begin in enumerate(begins) if begin <= t + NEAR)
    return i, min(max(t - begins[i], 0.0), shares[i])


def _by_name(record: str | dict[str, Any], t: float) -> float:
    """The schedule of this file that a record names."""
    options = {} if isinstance(record, str) else dict(record)
    name = record if isinstance(record, str) else options.pop("name")
    return globals()[name](t, **options)
