"""Carrying on: what a recurrent model had read when a run was cut, it has read when the run goes on."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from drivetrain.train.callback import FIRST, Callback
from drivetrain.train.state import FitState


class CarryState(Callback):
    """Puts the state that a model carries from batch to batch into checkpoints.

    Of every module that has `reset()` and a list of tensors `state`, such as a `RecurrentEncoder`.
    Between epochs nothing is carried, since such a module begins anew when it enters training. A
    model without any trains as without this callback.
    """

    order = FIRST
    in_script = False

    def __init__(self) -> None:
        self._carrying: dict[str, nn.Module] = {}
        self._waiting: dict[str, Tensor] = {}

    def before_fit(self, state: FitState) -> None:
        self._waiting = {}
        self._carrying = {
            name: module for name, module in state.model.named_modules() if carries(module)
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            f"{name}:{number}": part.clone()
            for name, module in self._carrying.items()
            for number, part in enumerate(states_of(module))
        } or dict(self._waiting)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._waiting = dict(state)

    def before_batch(self, state: FitState) -> None:
        if self._waiting:
            # Not before: the epoch begins with training mode, which begins a new text. Where the cut
            # was between two epochs there is nothing to go on with.
            if state.batches_done:
                self._give_back(state)
            self._waiting = {}

    def _give_back(self, state: FitState) -> None:
        for name, module in self._carrying.items():
            parts = states_of(module)
            parts.clear()
            while (entry := f"{name}:{len(parts)}") in self._waiting:
                parts.append(self._waiting[entry].to(state.device))


def carries(module: nn.Module) -> bool:
    """Whether a module carries a state that can be put back."""
    return callable(getattr(module, "reset", None)) and isinstance(
        getattr(module, "state", None), list
    )


def states_of(module: nn.Module) -> list[Tensor]:
    """The list itself, to read or to fill."""
    return module.state  # pyright: ignore[reportReturnType]
