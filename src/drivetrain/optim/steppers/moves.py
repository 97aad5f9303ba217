# pyright: reportPrivateImportUsage=false
# (torch's multi-tensor functions begin with an underscore)
"""Steppers that move the parameters themselves.

Letters: p a parameter, d the direction, γ `lr`, λ `weight_decay`, t the number of the step (from 1).
Twin: drivetrain.reference.optimizers.
"""

from __future__ import annotations

import torch

from drivetrain.optim.steppers.base import Update, copy, count, stepper, total


@stepper(settings={"lr": 1e-3, "weight_decay": 0.0})
def weight_decay(update: Update) -> None:
    """p = (1 - γλ)p: decay beside the step, which no running mean and no division sees.

    Paper: Loshchilov & Hutter 2017, arXiv:1711.05101.
    """
    decay = update.group["weight_decay"]
    if decay != 0:
        torch._foreach_mul_(update.params, 1 - update.group["lr"] * decay)


@stepper(settings={"lr": 1e-3})
def step(update: Update) -> None:
    """p = p - γd."""
    update.add_to(update.params, -update.group["lr"])


@stepper(state={"slow": copy, "step": count}, settings={"sync_period": 5, "slow_step_size": 0.5})
def lookahead(update: Update) -> None:
    """Every `sync_period` steps, slow weights go a part of the way to p, and p goes back to them.

    Runs after the step. Paper: Zhang et al. 2019, arXiv:1907.08610, algorithm 1.
    """
    period = update.group["sync_period"]
    due = [i for i, number in enumerate(update.steps) if number % period == 0]
    if due:
        params = [update.params[i] for i in due]
        slow = [update.state["slow"][i] for i in due]
        torch._foreach_lerp_(slow, params, update.group["slow_step_size"])
        torch._foreach_copy_(params, slow)


@stepper(
    state={"z": copy, "x": copy, "weight_sum": total, "step": count},
    settings={"lr": 1e-3, "momentum": 0.9, "warmup_steps": 0},
    averages="x",
)
def schedule_free(update: Update) -> None:
    """Step one sequence, average it into a second, and train at a point between the two.

        z = z - γ_t · d          the steps; γ_t = γ · min(1, t / warmup_steps)
        x = (1 - c)x + c·z       their average; c = γ_t² / (γ_1² + ... + γ_t²)
        p = (1 - β)z + β·x       where gradients are taken; β is `momentum`

    x is what to evaluate and to keep: `Composed.eval` puts it into the parameters. No schedule is needed.
    Paper: Defazio et al. 2024, arXiv:2405.15682, algorithm 1.
    """
    _step_and_average(update, update.group["momentum"])


@stepper(
    state={"z": copy, "x": copy, "weight_sum": total, "step": count},
    settings={"lr": 1e-3, "betas": (0.9, 0.999), "warmup_steps": 0},
    averages="x",
)
def schedule_free_betas(update: Update) -> None:
    """`schedule_free` where β is β1 of `betas`: for directions divided as Adam does."""
    _step_and_average(update, update.group["betas"][0])


def _step_and_average(update: Update, beta: float) -> None:
    z, x, sums = (update.state[name] for name in ("z", "x", "weight_sum"))
    warmup = update.group["warmup_steps"]
    rates, shares = [], []
    for number, weights in zip(update.steps, sums, strict=True):
        rate = update.group["lr"] * (min(1.0, number / warmup) if warmup else 1.0)
        weights += rate**2
        rates.append(rate)
        # As long as all rates were 0, z has not moved and there is nothing to average.
        shares.append(rate**2 / whole if (whole := weights.item()) > 0 else 0.0)
    update.add_to(z, [-rate for rate in rates])
    torch._foreach_lerp_(x, z, shares)
    torch._foreach_copy_(update.params, z)
    torch._foreach_lerp_(update.params, x, beta)
