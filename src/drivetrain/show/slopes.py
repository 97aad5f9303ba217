"""How the outputs of a module rise with one of its weights: the second factor of the chain rule.

In float64. The module is called again on a copy, with the inputs that it had in the step and with the
same draws.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from drivetrain.show.follow import Call, Followed, tensors_of

LINEAR_IN_WEIGHT = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding, nn.LayerNorm, nn.GroupNorm),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
)
"""Layers whose output is a straight line in each weight: a difference gives its slope exactly."""


def slopes(found: Followed, call: Call, place: tuple[int, ...]) -> list[Tensor | None]:
    """dout/dw at every output of a module's call, in float64.

    A difference, where the output is a straight line in the weight; else forward differentiation, or a
    small difference where torch has no forward rule for an operation of the module.
    """
    module = found.model.get_submodule(call.path)
    shape = found.weight.shape
    direction = torch.zeros(shape, dtype=torch.float64, device=found.weight.device)
    direction[place] = 1.0
    base = found.weight.double()
    args, kwargs = doubled_inputs(call.args), doubled_inputs(call.kwargs)

    def outputs(value: Tensor) -> list[Tensor]:
        torch.set_rng_state(call.generator)
        fresh = doubled(module)
        given = dict.fromkeys(call.names, value)
        return list(tensors_of(functional_call(fresh, given, args, kwargs)))

    def apart(h: float) -> list[Tensor | None]:
        with torch.no_grad():
            above, below = (outputs(base + sign * h * direction) for sign in (1, -1))
        return [((a - b) / (2 * h)).cpu() for a, b in zip(above, below, strict=True)]

    if is_padding(module, place):
        return [None for _ in call.outputs]
    if type(module) in LINEAR_IN_WEIGHT:  # a subclass may do more, such as an activation
        return apart(1.0)
    try:
        with warnings.catch_warnings():
            # torch's own import for forward rules warns of a decorator of its own (2.14).
            warnings.simplefilter("ignore", FutureWarning)
            with torch.no_grad(), forward_ad.dual_level():
                given = outputs(forward_ad.make_dual(base, direction))
                found_slopes = [forward_ad.unpack_dual(out).tangent for out in given]
                return [None if t is None else t.detach().cpu() for t in found_slopes]
    except (RuntimeError, NotImplementedError):  # an operation without a forward rule
        return apart(1e-5)


def is_padding(module: nn.Module, place: tuple[int, ...]) -> bool:
    """Whether it is a weight of the row that stands for padding, which torch gives no gradient."""
    return isinstance(module, nn.Embedding) and place[0] == module.padding_idx


def doubled(module: nn.Module) -> nn.Module:
    """A copy of a module in float64: parameters, buffers, and tensors that it holds as attributes."""
    fresh = copy.deepcopy(module).double()
    for one in fresh.modules():
        for key, value in vars(one).items():
            if not key.startswith("_") and isinstance(value, Tensor | list | tuple):
                object.__setattr__(one, key, doubled_inputs(value))
    return fresh


def doubled_inputs(value: Any) -> Any:
    """Floats in float64 and without a graph; all else as it is."""
    if isinstance(value, Tensor):
        return value.detach().double() if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {key: doubled_inputs(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(doubled_inputs(part) for part in value)
    return value
