"""Averages of weights over training, as one sum. Twin of `drivetrain.train.callbacks.ema`.

Papers: Polyak & Juditsky 1992, doi:10.1137/0330046: the mean of all iterates. Tarvainen & Valpola 2017,
arXiv:1703.01780, sec. 2: θ'_t = α θ'_{t-1} + (1 - α) θ_t, and at the beginning a smaller α, so that the
average forgets the first, random weights.

Written out, θ'_T is a weighted sum of all θ. Each step multiplies what is there by its α, so θ_t weighs
(1 - α_t) times all the α after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def alphas(steps: int, decay: float, warmup: bool) -> list[float]:
    """α of each step. With `warmup` step t is at most (t-1)/t, which makes the average a plain mean."""
    return [min(decay, (t - 1) / t) if warmup else decay for t in range(1, steps + 1)]


def shares(steps: int, decay: float, warmup: bool) -> list[float]:
    """How much θ_0 (before the first step), θ_1, ..., θ_T weigh in the average; 1 together."""
    each = alphas(steps, decay, warmup)
    result = []
    for t in range(steps + 1):
        share = 1.0 if t == 0 else 1.0 - each[t - 1]
        for alpha in each[t:]:
            share *= alpha
        result.append(share)
    return result


def averaged(weights: Sequence[Tensor], decay: float, warmup: bool) -> Tensor:
    """The average after the last of `weights`: θ_0, θ_1, ..., θ_T, all of one shape; float64."""
    total = weights[0].double() * 0
    for weight, share in zip(weights, shares(len(weights) - 1, decay, warmup), strict=True):
        total = total + share * weight.double()
    return total
