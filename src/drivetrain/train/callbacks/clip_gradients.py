"""Gradient clipping: no step is longer than a bound, however steep the loss.

Paper: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, algorithm 1 (by the norm).
"""

from __future__ import annotations

import torch
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.train.callback import LAST, Callback
from drivetrain.train.callbacks._checking import check_number
from drivetrain.train.state import FitState

USUAL_NORM = 1.0


class ClipGradients(Callback):
    """Bounds the gradients before each step: all together by their norm, or each number by itself.

    Args:
        max_norm: where the Euclidean norm over all parameters is above it, all gradients are scaled by
            one factor, so that the direction stays. By default 1, unless `max_value` is given.
        max_value: each number is put between -`max_value` and `max_value`; the direction changes.
    Raises: ConfigError: both bounds are given, or one is not above 0.
    """

    # After whatever else changes gradients, so that the step keeps to the bound.
    order = LAST - 5

    def __init__(self, max_norm: float | None = None, *, max_value: float | None = None) -> None:
        if max_norm is not None and max_value is not None:
            raise ConfigError(
                "`ClipGradients` clips by `max_norm` or by `max_value`, and got both. "
                "Use two of them, one a bound."
            )
        for name, value in (("max_norm", max_norm), ("max_value", max_value)):
            if value is not None:
                check_number("ClipGradients", name, value, above=0)
        self.max_norm = max_norm
        self.max_value = max_value
        self._norm: Tensor | None = None

    @property
    def last_norm(self) -> float | None:
        """The norm of the last step's gradients before they were clipped; None when clipping by value.

        Reading it waits for the device, so the fit itself never does.
        """
        return None if self._norm is None else float(self._norm)

    def before_fit(self, state: FitState) -> None:
        self._norm = None

    def before_step(self, state: FitState) -> None:
        parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
        if self.max_value is not None:
            torch.nn.utils.clip_grad_value_(parameters, self.max_value)
        else:
            bound = USUAL_NORM if self.max_norm is None else self.max_norm
            self._norm = torch.nn.utils.clip_grad_norm_(parameters, bound)
