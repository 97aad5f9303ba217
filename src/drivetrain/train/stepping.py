# pyright: reportPrivateImportUsage=false, reportPrivateUsage=false
"""A step of an optimizer, and the gradients cleared, without what torch does around them at each call.

Around the kernel that moves the weights torch looks for a profiler, for hooks and for devices, sorts the
tensors by device and kind, and asks each tensor for its state. On a small net on a CPU that costs half as
much again as the kernel. Where none of it can matter, the same kernel is called with the same tensors, so
the weights are the same to the last bit; everything else is `optimizer.step()` and
`optimizer.zero_grad()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

KERNELS = {Adam: torch._fused_adam_, AdamW: torch._fused_adamw_}
"""Optimizers whose fused kernel is called here, and it: of exactly these classes."""


def take_step(optimizer: Optimizer) -> None:
    """`optimizer.step()`, by the quick way where that gives the same.

    That is: torch's own Adam or AdamW, fused, on dense float32 parameters on the CPU that were moved
    before, with no hook, profiler, gradient scaler or scheduler of torch's that wants to see the step.
    """
    if type(optimizer) in KERNELS and not _is_watched(optimizer):
        groups = [_gathered(group, optimizer.state) for group in optimizer.param_groups]
        if None not in groups:
            kernel = KERNELS[type(optimizer)]
            with torch.no_grad():
                for group, tensors in zip(optimizer.param_groups, groups, strict=True):
                    assert tensors is not None, "just looked"
                    _move(kernel, group, *tensors)
            return
    optimizer.step()


def clear_gradients(optimizer: Optimizer) -> None:
    """`optimizer.zero_grad()`, without the range it opens for torch's profiler at each call.

    That costs more than a small model's layer. An optimizer with a `zero_grad` of its own is asked.
    """
    if type(optimizer).zero_grad is not Optimizer.zero_grad:
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


Gathered = tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor], list[Tensor]]


def _is_watched(optimizer: Optimizer) -> bool:
    """Somebody may want to see or change the step: a hook, a scheduler, a scaler, the profiler."""
    own = optimizer.__dict__
    return bool(
        own["_optimizer_step_pre_hooks"]
        or own["_optimizer_step_post_hooks"]
        or _global_optimizer_pre_hooks
        or _global_optimizer_post_hooks
        or "step" in own  # a scheduler counts the calls
        or "grad_scale" in own
        or "found_inf" in own
        or torch.autograd._profiler_enabled()
    )


def _gathered(group: Mapping[str, Any], state: Mapping[Tensor, Any]) -> Gathered | None:
    """Parameters, gradients, both averages and steps of a group; None where torch is to look itself."""
    if (
        not group["fused"]
        or group["amsgrad"]
        or group["capturable"]
        or group["differentiable"]
        or type(group["lr"]) is not float
    ):
        return None
    found: Gathered = [], [], [], [], []
    parameters, gradients, averages, squares, steps = found
    for parameter in group["params"]:
        gradient = parameter.grad
        if gradient is None:
            continue
        kept = state.get(parameter)
        if (
            kept is None
            or parameter.dtype is not torch.float32
            or not parameter.is_cpu
            or gradient.layout is not torch.strided
        ):
            return None
        parameters.append(parameter)
        gradients.append(gradient)
        averages.append(kept["exp_avg"])
        squares.append(kept["exp_avg_sq"])
        steps.append(kept["step"])
    return found


def _move(
    kernel: Any,
    group: Mapping[str, Any],
    parameters: list[Tensor],
    gradients: list[Tensor],
    averages: list[Tensor],
    squares: list[Tensor],
    steps: list[Tensor],
) -> None:
    """The kernel once, as `torch.optim.adam` calls it for tensors of one device and kind."""
    if not parameters:
        return
    beta1, beta2 = group["betas"]
    torch._foreach_add_(steps, 1)
    kernel(
        parameters,
        gradients,
        averages,
        squares,
        [],
        steps,
        amsgrad=False,
        lr=group["lr"],
        beta1=beta1,
        beta2=beta2,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=group["maximize"],
        grad_scale=None,
        found_inf=None,
    )
