# pyright: reportPrivateImportUsage=false
# (torch's multi-tensor functions begin with an underscore)
"""Exponential moving average of the weights: what is validated and kept is smoother than what is trained.

Papers: Polyak & Juditsky 1992, doi:10.1137/0330046 (averaging); Tarvainen & Valpola 2017,
arXiv:1703.01780 (the mean teacher's decay and its beginning). Twin: drivetrain.reference.averaging.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from drivetrain.train.callback import Callback
from drivetrain.train.callbacks._checking import check_number
from drivetrain.train.ending import Ending
from drivetrain.train.state import FitState

AVERAGE = "average."


class EMA(Callback):
    """After each step the average moves towards the weights: `decay` of it stays.

    The average is what is validated, and what the model has when the fit is over; after an error or a
    signal the weights are those of training, so that the fit can go on. Only parameters that are trained
    are averaged; buffers, such as the running statistics of batchnorms, are those of training.

    Args:
        decay: share of the average that stays at each step, in [0, 1): it looks back over about
            1 / (1 - `decay`) steps.
        warmup: at the beginning the plain mean over all steps so far, until the decay would look back no
            further; otherwise the weights before the first step fade only as the decay lets them.
    Raises: ConfigError: `decay` is outside [0, 1).
    """

    def __init__(self, decay: float = 0.999, *, warmup: bool = True) -> None:
        check_number("EMA", "decay", decay, least=0, below=1)
        self.decay = decay
        self.warmup = warmup
        self.average: dict[str, Tensor] = {}
        """The averages by the name of the parameter."""
        self.updates = 0
        """Steps that are in them."""
        self._trained: dict[str, Tensor] = {}
        self._aside: dict[str, Tensor] | None = None
        self._ending = Ending()

    def before_fit(self, state: FitState) -> None:
        self._ending.begin()
        self._aside, self.updates = None, 0
        self._trained = {
            name: parameter.detach()
            for name, parameter in state.model.named_parameters()
            if parameter.requires_grad
        }
        self.average = {name: tensor.clone() for name, tensor in self._trained.items()}

    def state_dict(self) -> dict[str, Any]:
        kept = {AVERAGE + name: tensor for name, tensor in self.average.items()}
        return {"updates": self.updates, **kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        for entry, value in state.items():
            if entry.startswith(AVERAGE):
                name = entry.removeprefix(AVERAGE)
                if name in self._trained:  # keep the memory format of the parameter
                    self.average[name].copy_(value)
                else:
                    self.average[name] = value.clone()

    def after_step(self, state: FitState) -> None:
        self.updates += 1
        stays = min(self.decay, 1 - 1 / self.updates) if self.warmup else self.decay
        torch._foreach_lerp_(self._averages(), list(self._trained.values()), 1 - stays)

    def before_validate(self, state: FitState) -> None:
        self._aside = {name: tensor.clone() for name, tensor in self._trained.items()}
        torch._foreach_copy_(list(self._trained.values()), self._averages())

    def after_epoch(self, state: FitState) -> None:
        self._back()

    def after_cancel(self, state: FitState) -> None:
        self._back()

    def after_fit(self, state: FitState) -> None:
        self._back()
        if self._ending.is_good(state) and self._trained:
            torch._foreach_copy_(list(self._trained.values()), self._averages())
        self._trained = {}

    def _averages(self) -> list[Tensor]:
        return [self.average[name] for name in self._trained]

    def _back(self) -> None:
        """The weights of training, where the average stands in their place."""
        if self._aside is not None:
            torch._foreach_copy_(list(self._trained.values()), list(self._aside.values()))
            self._aside = None
