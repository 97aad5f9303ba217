"""One step of an optimizer for one weight, line by line: what it remembers, and what it makes of it.

The lines follow the chain of steppers that the optimizer is made of (`drivetrain.optim.steppers`);
torch's SGD, Adam, AdamW, RMSprop and RAdam are the chains of the same names. Steppers that look at a
whole tensor (the norm of `lars` and `lamb`, the matrices of `muon`) are written for the whole tensor, and
the weight's place is taken out at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from drivetrain.errors import ConfigError
from drivetrain.optim import optimizers
from drivetrain.optim.composed import Composed
from drivetrain.optim.steppers.base import Chain
from drivetrain.show.working import Working

WHOLE = frozenset({"trust_ratio", "orthogonalize"})
"""Steppers that look at all of a tensor."""


class Lines:
    """The lines of an update as they are written: which names the weight and the move have by now."""

    def __init__(
        self,
        work: Working,
        *,
        weight: Tensor,
        gradient: Tensor,
        state: Mapping[str, Tensor],
        group: Mapping[str, Any],
        at: tuple[int, ...] | None,
    ) -> None:
        self.work, self.group, self.at = work, group, at
        self.remembered = state
        self.whole = weight
        self.weight, self.gradient, self.direction = "w", "g", "g"
        self.root: str | None = None
        self.direction_kept: str | None = None
        self.root_kept: str | None = None
        self.known: set[str] = set()
        self.count = float(state["step"]) if "step" in state else 0.0
        """Steps made before this one."""
        work.put("w", self.pick(weight), "the weight before the step", "weight")
        work.put("g", self.pick(gradient), "its gradient", "step")

    def pick(self, value: Tensor) -> Tensor:
        """The weight's number of a tensor; the whole tensor where the chain needs it."""
        return value if self.at is None else value[self.at]

    def setting(self, name: str, value: float, meaning: str) -> str:
        """Put a hyperparameter in, once."""
        if name not in self.known:
            self.known.add(name)
            self.work.put(name, float(value), meaning, "setting")
        return name

    def state(self, entry: str, name: str, meaning: str) -> str:
        """Put what is remembered in; before the first step it is 0."""
        value = self.remembered.get(entry)
        if value is None:
            value = torch.zeros_like(self.whole)
        self.work.put(name, self.pick(value), meaning, "state")
        return name

    def line(self, name: str, expression: str, meaning: str) -> str:
        """Write a line."""
        self.work.line(name, expression, meaning)
        return name

    def number(self) -> str:
        """t, the number of this step, from 1."""
        return self.setting("t", self.count + 1, "the number of this step")

    def move(self) -> str:
        """The move so far as one name, divided by its root."""
        if self.root is not None:
            self.direction = self.line(
                "direction",
                f"{self.direction} / {self.root}",
                "the move, divided by its usual size",
            )
            self.root = None
        self.direction_kept = self.root_kept = None
        return self.direction


# --- penalties ------------------------------------------------------------------------------------


def _l2_decay(lines: Lines) -> None:
    decay = float(lines.group["weight_decay"])
    if decay == 0:
        return
    wd = lines.setting("wd", decay, "weight decay")
    if lines.direction == lines.gradient and lines.root is None:
        lines.gradient = lines.direction = lines.line(
            "g_wd", f"g + {wd} * {lines.weight}", "the gradient with that of the penalty, wd/2 · w²"
        )
        return
    lines.direction = lines.line(
        "d_wd", f"{lines.move()} + {wd} * {lines.weight}", "the move with the penalty beside it"
    )


def _weight_decay(lines: Lines) -> None:
    decay = float(lines.group["weight_decay"])
    if decay == 0:
        return
    wd = lines.setting("wd", decay, "weight decay")
    lr = _rate(lines)
    lines.weight = lines.line(
        "w_wd", f"(1 - {lr} * {wd}) * {lines.weight}", "the weight, a little nearer to 0"
    )


def _rate(lines: Lines) -> str:
    return lines.setting("lr", float(lines.group["lr"]), "the learning rate at this step")


# --- momentum -------------------------------------------------------------------------------------


def _mu(lines: Lines) -> str:
    return lines.setting("mu", float(lines.group["momentum"]), "momentum: the share that is kept")


def _buffer(lines: Lines) -> str:
    return lines.state("momentum_buffer", "b", "the momentum so far")


def _momentum(lines: Lines) -> None:
    move, mu, b = lines.move(), _mu(lines), _buffer(lines)
    lines.direction = lines.line("b_new", f"{mu} * {b} + {move}", "the momentum now")


def _averaged_momentum(lines: Lines) -> None:
    move, mu, b = lines.move(), _mu(lines), _buffer(lines)
    lines.direction = lines.line(
        "b_new", f"{mu} * {b} + (1 - {mu}) * {move}", "the momentum, a mean"
    )
    lines.direction_kept = mu


def _dampened_momentum(lines: Lines) -> None:
    move = lines.move()
    if "momentum_buffer" not in lines.remembered or (
        "step" in lines.remembered and not lines.count
    ):
        lines.direction = lines.line("b_new", f"1 * {move}", "the first gradient enters whole")
        return
    mu, b = _mu(lines), _buffer(lines)
    damp = lines.setting("damp", float(lines.group["dampening"]), "dampening")
    lines.direction = lines.line("b_new", f"{mu} * {b} + (1 - {damp}) * {move}", "the momentum now")


def _nesterov(lines: Lines) -> None:
    move, mu, b = lines.move(), _mu(lines), _buffer(lines)
    new = lines.line("b_new", f"{mu} * {b} + {move}", "the momentum now")
    lines.direction = lines.line(
        "ahead", f"{move} + {mu} * {new}", "the move as it will be a step on"
    )


def _averaged_nesterov(lines: Lines) -> None:
    move, mu, b = lines.move(), _mu(lines), _buffer(lines)
    new = lines.line("b_new", f"{mu} * {b} + (1 - {mu}) * {move}", "the momentum, a mean")
    lines.direction = lines.line("ahead", f"(1 - {mu}) * {move} + {mu} * {new}", "a step ahead")


def _average(lines: Lines) -> None:
    beta = lines.setting("beta1", lines.group["betas"][0], "the share of the mean that is kept")
    m = lines.state("exp_avg", "m", "the mean of the gradients so far")
    lines.direction = lines.line(
        "m_new", f"{beta} * {m} + (1 - {beta}) * {lines.move()}", "the mean of the gradients now"
    )
    lines.direction_kept = beta


# --- division by the size of the gradients --------------------------------------------------------


def _squares(lines: Lines, entry: str, beta: str) -> None:
    v = lines.state(entry, "v", "the mean of their squares so far")
    if lines.root is not None:
        lines.move()
    new = lines.line(
        "v_new",
        f"{beta} * {v} + (1 - {beta}) * {lines.gradient} ** 2",
        "the mean of the squares now",
    )
    lines.root = lines.line("root", f"sqrt({new})", "its root: the usual size of a gradient")
    lines.root_kept = beta


def _average_square(lines: Lines) -> None:
    value = lines.group["betas"][1]
    _squares(
        lines, "exp_avg_sq", lines.setting("beta2", value, "the same for the mean of the squares")
    )


def _rms(lines: Lines) -> None:
    _squares(
        lines, "square_avg", lines.setting("alpha", lines.group["alpha"], "the share that is kept")
    )


def _centered_rms(lines: Lines) -> None:
    alpha = lines.setting("alpha", lines.group["alpha"], "the share of the means that is kept")
    v = lines.state("square_avg", "v", "the mean of the squares so far")
    m = lines.state("grad_avg", "m", "the mean of the gradients so far")
    g = lines.gradient
    lines.line("v_new", f"{alpha} * {v} + (1 - {alpha}) * {g} ** 2", "the mean of the squares now")
    lines.line("m_new", f"{alpha} * {m} + (1 - {alpha}) * {g}", "the mean of the gradients now")
    lines.root = lines.line(
        "root", "sqrt(relu(v_new - m_new ** 2))", "the standard deviation of the gradients"
    )


def _add_eps(lines: Lines) -> None:
    if lines.root is not None:
        eps = lines.setting(
            "eps", float(lines.group["eps"]), "keeps the division from tiny numbers"
        )
        lines.root = lines.line("below", f"{lines.root} + {eps}", "what the move is divided by")


def _debias(lines: Lines) -> None:
    if lines.direction_kept is not None:
        lines.direction = lines.line(
            "m_hat",
            f"{lines.direction} / (1 - {lines.direction_kept} ** {lines.number()})",
            "the mean, without that it began at 0",
        )
    if lines.root is not None and lines.root_kept is not None:
        lines.root = lines.line(
            "root_hat",
            f"{lines.root} / sqrt(1 - {lines.root_kept} ** {lines.number()})",
            "the root, without that its mean began at 0",
        )
    lines.direction_kept = lines.root_kept = None


def _rectify(lines: Lines) -> None:
    beta, t = lines.setting("beta2", lines.group["betas"][1], "of the squares"), lines.number()
    lines.line("longest", f"2 / (1 - {beta}) - 1", "the length of the average, at last")
    lines.line(
        "length", f"longest - 2 * {t} * {beta} ** {t} / (1 - {beta} ** {t})", "its length now"
    )
    value, count = lines.group["betas"][1], lines.count + 1
    longest = 2 / (1 - value) - 1
    if longest - 2 * count * value**count / (1 - value**count) <= 5:
        lines.root = None  # too short to be trusted: nothing is divided
        return
    lines.direction = lines.line(
        "rectified",
        f"{lines.direction} * sqrt((length - 4) * (length - 2) * longest "
        "/ ((longest - 4) * (longest - 2) * length))",
        "the move, smaller as long as the average is young",
    )


# --- whole tensors --------------------------------------------------------------------------------


def _trust_ratio(lines: Lines) -> None:
    move = lines.move()
    trust = lines.setting("trust", float(lines.group["trust_coefficient"]), "trust coefficient")
    lines.line("size", f"sqrt(sum({lines.weight} ** 2))", "the norm of the whole tensor")
    lines.line("way", f"sqrt(sum({move} ** 2))", "the norm of the whole move")
    lines.line(
        "ratio",
        f"where(size * way > 0, {trust} * size / max(way, 1e-300), 1)",
        "the share of its own size that the tensor moves by",
    )
    lines.direction = lines.line("scaled", f"ratio * {move}", "the move at that size")


def _orthogonalize(lines: Lines) -> None:
    group = lines.group
    if group["ns_dtype"] == "bfloat16":
        raise ConfigError(
            "The step `orthogonalize` of `muon` is worked out in bfloat16, whose rounding cannot be "
            'written as a formula. Follow it with `ns_dtype="float32"`.'
        )
    rows, cols = lines.whole.shape[0], lines.whole[0].numel()
    a, b, c = group["ns_coefficients"]
    x = lines.line("x_0", f"reshape({lines.move()}, {rows}, {cols})", "the move as a matrix")
    if rows > cols:
        x = lines.line("x_t", f"transpose({x})", "turned, so that the products are small")
    eps = float(group["ns_eps"])
    x = lines.line("x_n", f"{x} / max(sqrt(sum({x} ** 2)), {eps!r})", "all singular values below 1")
    for number in range(1, int(group["ns_steps"]) + 1):
        gram = lines.line(f"gram_{number}", f"matmul({x}, transpose({x}))", "x · xᵀ")
        x = lines.line(
            f"x_{number}",
            f"{a!r} * {x} + matmul({b!r} * {gram} + {c!r} * matmul({gram}, {gram}), {x})",
            "the singular values nearer to 1",
        )
    if rows > cols:
        x = lines.line("x_back", f"transpose({x})", "turned back")
    factor = (
        math.sqrt(max(1, rows / cols))
        if group["adjust_lr_fn"] == "original"
        else 0.2 * math.sqrt(max(rows, cols))
    )
    scale = lines.setting("scale", factor, "for the shape of the matrix")
    shape = ", ".join(map(str, lines.whole.shape))
    lines.direction = lines.line(
        "orthogonal", f"{scale} * reshape({x}, {shape})", "the move, made orthogonal"
    )


# --- moves ----------------------------------------------------------------------------------------


def _step(lines: Lines) -> None:
    move = lines.move()
    lines.weight = lines.line(
        "w_new", f"{lines.weight} - {_rate(lines)} * {move}", "the new weight"
    )


def _lookahead(lines: Lines) -> None:
    if (lines.count + 1) % lines.group["sync_period"]:
        return
    share = lines.setting("share", float(lines.group["slow_step_size"]), "of the way")
    if "slow" not in lines.remembered:
        slow = lines.line("slow", "1 * w", "the slow weight: where it began")
    else:
        slow = lines.state("slow", "slow", "the slow weight")
    lines.weight = lines.line(
        "w_slow",
        f"{slow} + {share} * ({lines.weight} - {slow})",
        "every few steps the slow weight goes a part of the way, and the weight goes back to it",
    )


def _schedule_free(lines: Lines, beta: str) -> None:
    move, lr = lines.move(), _rate(lines)
    warmup = float(lines.group["warmup_steps"])
    if warmup:
        lr = lines.line(
            "rate",
            f"{lr} * min(1, {lines.number()} / {lines.setting('warmup', warmup, 'steps of warm-up')})",
            "the rate, warmed up",
        )
    begun = "z" in lines.remembered
    z = lines.state("z", "z", "where the steps stand") if begun else "w"
    x = lines.state("x", "x", "their average so far") if begun else "w"
    past = float(lines.remembered["weight_sum"]) if begun else 0.0
    lines.work.put("total", past, "squares of the rates so far", "state")
    lines.line("z_new", f"{z} - {lr} * {move}", "the step")
    lines.line("total_new", f"total + {lr} ** 2", "squares of the rates now")
    lines.line(
        "c", f"where(total_new > 0, {lr} ** 2 / max(total_new, 1e-300), 0)", "the step's share"
    )
    lines.line("x_new", f"(1 - c) * {x} + c * z_new", "the average of the steps")
    lines.weight = lines.line(
        "w_new", f"(1 - {beta}) * z_new + {beta} * x_new", "where the next gradient is taken"
    )


def _schedule_free_momentum(lines: Lines) -> None:
    _schedule_free(lines, lines.setting("beta", float(lines.group["momentum"]), "between the two"))


def _schedule_free_betas(lines: Lines) -> None:
    _schedule_free(lines, lines.setting("beta1", lines.group["betas"][0], "between the two"))


WRITTEN: Mapping[str, Callable[[Lines], None]] = MappingProxyType(
    {
        "add_eps": _add_eps,
        "average": _average,
        "average_square": _average_square,
        "averaged_momentum": _averaged_momentum,
        "averaged_nesterov": _averaged_nesterov,
        "centered_rms": _centered_rms,
        "dampened_momentum": _dampened_momentum,
        "debias": _debias,
        "l2_decay": _l2_decay,
        "lookahead": _lookahead,
        "momentum": _momentum,
        "nesterov": _nesterov,
        "orthogonalize": _orthogonalize,
        "rectify": _rectify,
        "rms": _rms,
        "schedule_free": _schedule_free_momentum,
        "schedule_free_betas": _schedule_free_betas,
        "step": _step,
        "trust_ratio": _trust_ratio,
        "weight_decay": _weight_decay,
    }
)
"""Stepper -> what writes its lines."""


FORMULAS: Mapping[str, str] = MappingProxyType(
    {
        "sgd": "w ← w - lr · g",
        "momentum": "b ← μ · b + g;  w ← w - lr · b",
        "averaged_momentum": "b ← μ · b + (1 - μ) · g;  w ← w - lr · b",
        "nesterov": "b ← μ · b + g;  w ← w - lr · (g + μ · b)",
        "rmsprop": "v ← α · v + (1 - α) · g²;  w ← w - lr · g / (√v + eps)",
        "centered_rmsprop": "w ← w - lr · g / (√(v - m²) + eps), v and m the means of g² and g",
        "adam": "w ← w - lr · m̂ / (√v̂ + eps), m and v the means of g and g², without their bias",
        "adamw": "w ← (1 - lr · wd) · w - lr · m̂ / (√v̂ + eps), m and v the means of g and g²",
        "radam": "w ← w - lr · r · m̂ / (√v̂ + eps), divided only once v̂ can be trusted",
        "lars": "b ← μ · b + trust · |w| / |g| · g;  w ← w - lr · b, |·| norms of the whole tensor",
        "lamb": "w ← w - lr · |w| / |d| · d, d Adam's direction with the decay, |·| norms of the tensor",
        "schedule_free_sgd": "z ← z - lr · g;  x ← (1 - c) · x + c · z;  w ← (1 - β) · z + β · x",
        "schedule_free_adamw": "z ← z - lr · g / √v̂;  x ← (1 - c) · x + c · z;  w ← (1 - β) · z + β · x",
        "matrices": "w ← (1 - lr · wd) · w - lr · the momentum made orthogonal",
    }
)
"""Name of a chain -> its formula for people; of others the steps are named."""


def formula_of(chain: Chain) -> str:
    """What a chain does, for people."""
    return FORMULAS.get(chain.name, f"w ← {chain.name}: {chain}")


def chain_of(optimizer: Optimizer, param: Tensor, group: Mapping[str, Any]) -> Chain:
    """The chain of steppers that moves a parameter.

    Raises: ConfigError: the optimizer, an option of it or a stepper is not written out here; by name.
    """
    found = (
        optimizer.chain.of(param, group)
        if isinstance(optimizer, Composed)
        else _torch_chain(optimizer, group)
    )
    for one in found:
        if one.name not in WRITTEN:
            raise ConfigError(
                f"The step `{one.name}` of the optimizer `{found.name}` is not written as a formula. "
                f"Written: {', '.join(sorted(WRITTEN))}."
            )
    return found


def _torch_chain(optimizer: Optimizer, group: Mapping[str, Any]) -> Chain:
    name = type(optimizer).__name__
    for option in ("amsgrad", "maximize"):
        if group.get(option):
            raise ConfigError(f"The option `{option}` of `{name}` is not written as a formula.")
    kind = type(optimizer)
    if kind is torch.optim.SGD:
        if not group["momentum"]:
            return optimizers.SGD
        if group["nesterov"]:
            return optimizers.NESTEROV
        return optimizers.DAMPENED_MOMENTUM if group["dampening"] else optimizers.MOMENTUM
    if kind is torch.optim.AdamW or (
        kind is torch.optim.Adam and group.get("decoupled_weight_decay")
    ):
        return optimizers.ADAMW
    if kind is torch.optim.Adam:
        return optimizers.ADAM
    if kind is torch.optim.RAdam and not group.get("decoupled_weight_decay"):
        return optimizers.RADAM
    if kind is torch.optim.RMSprop:
        if group["centered"] and not group["momentum"]:
            return optimizers.CENTERED_RMSPROP
        if not group["centered"]:
            return optimizers.RMSPROP_MOMENTUM if group["momentum"] else optimizers.RMSPROP
    raise ConfigError(
        f"The optimizer `{name}` is not written as formulas here, or not with these options. Written: "
        f"SGD, Adam, AdamW, RMSprop and RAdam of torch, and {', '.join(optimizers.OPTIMIZERS)}."
    )


def write_update(
    work: Working,
    optimizer: Optimizer,
    *,
    weight: Tensor,
    gradient: Tensor,
    state: Mapping[str, Tensor],
    group: Mapping[str, Any],
    at: tuple[int, ...],
) -> Chain:
    """Write the lines of one step for the weight at a place of a tensor.

    Args:
        work: gets the terms and lines; the last line is the new weight.
        optimizer: whose step it is.
        weight: the whole tensor before the step.
        gradient: the gradient that the step sees.
        state: what the optimizer remembered of the tensor before the step; empty at the first.
        group: the hyperparameters as they are at the step.
        at: the place.

    Returns: the chain.
    Raises: ConfigError: as `chain_of`.
    """
    chain = chain_of(optimizer, weight, group)
    is_whole = any(one.name in WHOLE for one in chain)
    lines = Lines(
        work,
        weight=weight,
        gradient=gradient,
        state=state,
        group=group,
        at=None if is_whole else at,
    )
    for one in chain:
        WRITTEN[one.name](lines)
    if is_whole and at:
        place = ", ".join(map(str, at))
        lines.line("w_at", f"{lines.weight}[{place}]", "the one weight that is followed")
    elif work.lines[-1][0] != lines.weight:
        lines.line("w_now", f"1 * {lines.weight}", "the new weight")
    return chain
