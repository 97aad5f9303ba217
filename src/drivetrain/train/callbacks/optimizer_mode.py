"""Optimizers that train at one set of weights and predict with another: each where it belongs.

Schedule-free optimizers (Defazio et al. 2024, arXiv:2405.15682) compute gradients at one point and
answer with an average; their methods `train()` and `eval()` move the model between the two.
"""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from drivetrain.train.callback import Callback
from drivetrain.train.state import FitState


class OptimizerMode(Callback):
    """Calls `optimizer.train()` for training and `optimizer.eval()` for validation and at the end.

    An optimizer without both methods is left alone. What its groups say of their mode and their count
    of steps goes into the checkpoint, since a fresh optimizer would not know them.
    """

    only_looks = True

    def __init__(self) -> None:
        self._optimizer: Any = None
        self._groups: list[dict[str, Any]] | None = None

    def before_fit(self, state: FitState) -> None:
        self._optimizer = state.optimizer if _has_modes(state.optimizer) else None
        self._groups = None

    def state_dict(self) -> dict[str, Any]:
        if self._optimizer is not None:
            return {"groups": [_plain(group) for group in self._optimizer.param_groups]}
        return {"groups": self._groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._groups = state["groups"]
        if self._optimizer is not None and self._groups is not None:
            for group, kept in zip(self._optimizer.param_groups, self._groups, strict=True):
                group.update(kept)

    def before_epoch(self, state: FitState) -> None:
        self._train()

    def before_validate(self, state: FitState) -> None:
        self._eval()

    def after_epoch(self, state: FitState) -> None:
        self._train()

    def after_cancel(self, state: FitState) -> None:
        self._train()

    def after_fit(self, state: FitState) -> None:
        self._eval()
        self._optimizer = None

    def _train(self) -> None:
        if self._optimizer is not None:
            self._optimizer.train()

    def _eval(self) -> None:
        if self._optimizer is not None:
            self._optimizer.eval()


def _has_modes(optimizer: Optimizer) -> bool:
    return all(callable(getattr(optimizer, name, None)) for name in ("train", "eval"))


def _plain(group: dict[str, Any]) -> dict[str, Any]:
    """The flags and numbers of a group."""
    return {key: value for key, value in group.items() if isinstance(value, bool | int | float)}
