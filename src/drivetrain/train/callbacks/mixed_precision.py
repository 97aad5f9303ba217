# pyright: reportPrivateImportUsage=false
# (torch's multi-tensor functions begin with an underscore)
"""Mixed precision: the model computes in 16 bits where that is safe; weights, losses and steps have 32.

Paper: Micikevicius et al. 2017, arXiv:1710.03740. torch's autocast chooses, operation by operation;
the model's outputs come back as float32, so that losses and metrics are measured in full precision.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from drivetrain.train.callback import LAST, Callback, CancelBatch
from drivetrain.train.callbacks._checking import check_choice
from drivetrain.train.state import FitState

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class MixedPrecision(Callback):
    """Every call of the model during the fit is under autocast, in training and in validation.

    float16 has few bits for the exponent: the loss is scaled up for the backward pass so that small
    gradients do not vanish, and gradients are scaled back right after it. Where that made one overflow,
    the batch is cancelled and the scale halved; after 2000 batches without one it is doubled. Who looks
    at gradients under float16 does so at `before_step`: at `after_backward` they may be scaled still.

    Args:
        dtype: `bfloat16` (same range as float32, no scaling) or `float16`.
    Raises: ConfigError: another dtype.
    """

    # Late, so that others see the loss as it is; before the one that may hold the step back.
    order = LAST + 6
    adjusts = ("loss",)

    def __init__(self, dtype: str = "bfloat16") -> None:
        check_choice("MixedPrecision", "dtype", dtype, DTYPES)
        self.dtype = dtype
        self._hooks: list[RemovableHandle] = []
        self.is_scaled = dtype == "float16"
        """Whether losses and gradients are scaled."""
        self._scaler = torch.amp.GradScaler("cpu", enabled=self.is_scaled)

    def before_fit(self, state: FitState) -> None:
        kind = state.device.type
        self._scaler = torch.amp.GradScaler(kind, enabled=self.is_scaled)
        casts: list[torch.autocast] = []  # of calls within calls

        def enter(model: nn.Module, args: Any) -> None:
            casts.append(torch.autocast(kind, dtype=DTYPES[self.dtype]))
            casts[-1].__enter__()

        def leave(model: nn.Module, args: Any, outputs: Any) -> Any:
            casts.pop().__exit__(None, None, None)
            return _as_float32(outputs)

        self._hooks = [
            state.model.register_forward_pre_hook(enter),
            state.model.register_forward_hook(leave, always_call=True),  # also after an error
        ]

    def state_dict(self) -> dict[str, Any]:
        return {"scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])

    def after_loss(self, state: FitState) -> None:
        if not self.is_scaled:
            return
        state.loss = self._scaler.scale(state.loss)
        # Of batches before, to which the scaled ones will be added.
        waiting = _gradients(state.optimizer)
        if waiting:
            torch._foreach_mul_(waiting, self._scaler.get_scale())

    def after_backward(self, state: FitState) -> None:
        if not self.is_scaled or not _gradients(state.optimizer):
            return
        scale = self._scaler.get_scale()
        self._scaler.unscale_(state.optimizer)
        self._scaler.update()
        if self._scaler.get_scale() < scale:  # a gradient was not finite
            raise CancelBatch

    def after_fit(self, state: FitState) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    return [
        parameter.grad
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]


def _as_float32(outputs: Any) -> Any:
    """The outputs with 16-bit tensors as float32; tuples, lists and dicts keep their form."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.dtype in DTYPES.values() else outputs
    if isinstance(outputs, dict):
        return {key: _as_float32(part) for key, part in outputs.items()}
    if type(outputs) in (tuple, list):
        return type(outputs)(_as_float32(part) for part in outputs)
    return outputs
