"""The optimizer's step as formulas: which rule a torch or Drivetrain optimizer follows, and its lines."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from drivetrain.errors import ConfigError
from drivetrain.optim import optimizers
from drivetrain.optim.composed import Composed
from drivetrain.sheets.own_step import Recorded

_CHAINS = {
    "SGD": optimizers.SGD,
    "momentum": optimizers.MOMENTUM,
    "dampened": optimizers.DAMPENED_MOMENTUM,
    "averaged": optimizers.AVERAGED_MOMENTUM,
    "RMSProp": optimizers.RMSPROP,
    "Adam": optimizers.ADAM,
    "AdamW": optimizers.ADAMW,
}
WORDS = {
    "SGD": "g' = g + weight_decay · w;  w ← w - lr · g'",
    "momentum": "g' = g + weight_decay · w;  m ← momentum · m + g';  w ← w - lr · m",
    "dampened": "g' = g + weight_decay · w;  m ← momentum · m + (1 - dampening) · g', the "
    "first m is g';  w ← w - lr · m",
    "averaged": "g' = g + weight_decay · w;  m ← momentum · m + (1 - momentum) · g';  w ← w - lr · m",
    "RMSProp": "g' = g + weight_decay · w;  v ← alpha · v + (1 - alpha) · g'²;  w ← w - lr · "
    "g' / (√v + eps)",
    "Adam": "g' = g + weight_decay · w;  m, v averages of g' and g'², each divided by 1 - "
    "beta^t;  w ← w - lr · m̂ / (√v̂ + eps)",
    "AdamW": "w ← w · (1 - lr · weight_decay);  m, v averages of g and g², each divided by 1 - "
    "beta^t;  w ← w - lr · m̂ / (√v̂ + eps)",
}
_STATE = {
    **dict.fromkeys(("momentum", "dampened", "averaged"), ("momentum_buffer",)),
    "RMSProp": ("square_avg",),
    **dict.fromkeys(("Adam", "AdamW"), ("exp_avg", "exp_avg_sq")),
}
_SETTINGS = {
    "SGD": ("lr", "weight_decay"),
    "momentum": ("lr", "weight_decay", "momentum"),
    "dampened": ("lr", "weight_decay", "momentum", "dampening"),
    "averaged": ("lr", "weight_decay", "momentum"),
    "RMSProp": ("lr", "weight_decay", "alpha", "eps"),
    **dict.fromkeys(("Adam", "AdamW"), ("lr", "weight_decay", "beta1", "beta2", "eps")),
}


@dataclass(frozen=True)
class Rule:
    """What is done with one parameter."""

    kind: str
    settings: dict[str, float]
    state: dict[str, Tensor]
    """What was remembered before the step, by torch's names; float64."""
    step: float
    """The number of this step, from 1."""


def rules(recorded: Recorded) -> dict[str, Rule]:
    """The rule of each parameter that has a gradient.

    Raises: ConfigError: the optimizer is one that is not written into cells.
    """
    optimizer: Optimizer = recorded.optimizer
    names = {param: name for name, param in recorded.model.named_parameters()}
    found: dict[str, Rule] = {}
    for group in optimizer.param_groups:
        for param in group["params"]:
            name = names[param]
            if name not in recorded.grads:
                continue
            kind = _kind(optimizer, param, group)
            settings = {
                "beta1": 0.0,
                "beta2": 0.0,
                **{k: v for k, v in group.items() if k != "params"},
            }
            if "betas" in group:
                settings["beta1"], settings["beta2"] = group["betas"]
            state = optimizer.state.get(param, {})
            kept = {
                key: state[key].detach().double()
                for key in _STATE.get(kind, ())
                if state.get(key) is not None
            }
            chosen = {key: float(settings[key]) for key in _SETTINGS[kind]}
            found[name] = Rule(kind, chosen, kept, float(state.get("step", 0.0)) + 1)
    return found


def _kind(optimizer: Optimizer, param: Tensor, group: dict[str, Any]) -> str:
    if isinstance(optimizer, Composed):
        chain = str(optimizer.chain.of(param, group))
        for kind, known in _CHAINS.items():
            if chain == str(known):
                return kind
    plain = not group.get("maximize") and not group.get("amsgrad") and not group.get("nesterov")
    if type(optimizer) is torch.optim.SGD and plain:
        if not group["momentum"]:
            return "SGD"
        return "dampened" if group["dampening"] else "momentum"
    if type(optimizer) in (torch.optim.Adam, torch.optim.AdamW) and plain:
        return "AdamW" if group.get("decoupled_weight_decay") else "Adam"
    if type(optimizer) is torch.optim.RMSprop and plain:
        if not group["centered"] and not group["momentum"]:
            return "RMSProp"
    raise ConfigError(
        f"The optimizer {type(optimizer).__name__} is not written into cells as it is set. What "
        "would do: SGD, momentum, RMSProp, Adam or AdamW, of torch or by `optim.optimizer`, "
        "without nesterov, amsgrad or centred averages."
    )


def stepped(recorded: Recorded, grads: dict[str, Tensor], *, off: float = 0.0) -> dict[str, Tensor]:
    """The parameters after the optimizer's own step in float64, from these gradients.

    Args:
        off: share of a tensor's largest gradient that is added to every one of it.
    """
    model, optimizer = copy.deepcopy((recorded.model, recorded.optimizer))
    for state in optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, Tensor) and key != "step":
                state[key] = value.double()
    params = dict(model.named_parameters())
    for name, param in params.items():
        param.grad = None
        if name in grads:
            param.grad = grads[name] + off * grads[name].abs().max()
    optimizer.step()
    return {name: params[name].detach() for name in grads}


def state_names(kind: str) -> tuple[str, ...]:
    """`m`, `v`: what the rule remembers."""
    return {"": (), "momentum_buffer": ("m",), "square_avg": ("v",), "exp_avg": ("m", "v")}[
        _STATE.get(kind, ("",))[0]
    ]


def torch_names(kind: str) -> tuple[str, ...]:
    """The same by torch's names."""
    return _STATE.get(kind, ())


def state_formula(
    kind: str, which: str, w: str, g: str, old: str, s: dict[str, str], *, first: bool
) -> str:
    """A remembered number after the step.

    Args:
        s: what formulas call the settings.
        first: there is no old one.
    """
    used = _used(kind, w, g, s)
    match kind, which:
        case "momentum", _:
            return used if first else f"{s['momentum']}*{old}+{used}"
        case "dampened", _:
            return used if first else f"{s['momentum']}*{old}+(1-{s['dampening']})*{used}"
        case "averaged", _:
            return f"{s['momentum']}*{old}+(1-{s['momentum']})*{used}"
        case "RMSProp", _:
            return f"{s['alpha']}*{old}+(1-{s['alpha']})*{used}^2"
        case _, "m":
            return f"{s['beta1']}*{old}+(1-{s['beta1']})*{used}"
    return f"{s['beta2']}*{old}+(1-{s['beta2']})*{used}^2"


def weight_formula(kind: str, w: str, g: str, m: str, v: str, t: str, s: dict[str, str]) -> str:
    """The new weight, from what is remembered after the step."""
    lr, used = s["lr"], _used(kind, w, g, s)
    if kind == "SGD":
        return f"{w}-{lr}*{used}"
    if kind == "RMSProp":
        return f"{w}-{lr}*{used}/(SQRT({v})+{s['eps']})"
    if kind in ("Adam", "AdamW"):
        start = f"{w}*(1-{lr}*{s['weight_decay']})" if kind == "AdamW" else w
        root = f"SQRT({v}/(1-{s['beta2']}^{t}))+{s['eps']}"
        return f"{start}-{lr}*{m}/(1-{s['beta1']}^{t})/({root})"
    return f"{w}-{lr}*{m}"


def _used(kind: str, w: str, g: str, s: dict[str, str]) -> str:
    return g if kind == "AdamW" else f"({g}+{s['weight_decay']}*{w})"
