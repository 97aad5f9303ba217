"""Activation regularization (AR) and its temporal form (TAR), for recurrent nets.

Paper: Merity, McCann & Socher 2017, arXiv:1708.01009. AR pulls the outputs of the last layer, after
their dropout, towards 0; TAR pulls each output, before the dropout, towards the one before it. As in
fastai both are means of squares, and 2 and 1 are the usual shares.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks._checking import check_number
from drivetrain.train.state import FitState


class RNNRegularization(Callback):
    """Adds alpha · mean(dropped²) + beta · mean((raw[t] - raw[t - 1])²) to the training loss.

    For models that keep their last layer's outputs when asked: they have an attribute
    `keeps_outputs`, and in training then fill `raw_output` and `dropped_output`, (B, T, E), and where
    there is padding `real`, (B, T) bool. Padding does not count. What is added is for the gradients: the
    losses of the history, training and validation, are without it and can be compared.

    Args:
        alpha: weight of AR, 0 or more.
        beta: weight of TAR, 0 or more.
    Raises: ConfigError: a weight is below 0; in the fit: the model keeps no outputs.
    """

    adjusts = ("loss",)

    def __init__(self, alpha: float = 2.0, *, beta: float = 1.0) -> None:
        check_number("RNNRegularization", "alpha", alpha, least=0)
        check_number("RNNRegularization", "beta", beta, least=0)
        self.alpha = alpha
        self.beta = beta
        self._model: Any = None

    def before_fit(self, state: FitState) -> None:
        self._model = keeping_module(state.model)
        self._model.keeps_outputs = True

    def after_loss(self, state: FitState) -> None:
        raw, dropped = self._model.raw_output, self._model.dropped_output
        real = getattr(self._model, "real", None)
        self._model.raw_output = self._model.dropped_output = None  # they hold the batch's graph
        if self.alpha:
            state.loss = state.loss + self.alpha * mean_square(dropped, real)
        if self.beta and raw.shape[1] > 1:
            both = None if real is None else real[:, 1:]  # where a position is real, so is the last
            state.loss = state.loss + self.beta * mean_square(raw[:, 1:] - raw[:, :-1], both)

    def after_fit(self, state: FitState) -> None:
        if self._model is not None:
            self._model.keeps_outputs = False
            self._model.raw_output = self._model.dropped_output = None
            self._model = None


def mean_square(values: Tensor, real: Tensor | None) -> Tensor:
    """Mean of the squares of (B, T, E); of real positions only where (B, T) says which are."""
    squares = values.pow(2)
    if real is None:
        return squares.mean()
    counted = real.unsqueeze(2)  # (B, T, 1)
    return (squares * counted).sum() / (counted.sum().clamp(min=1) * values.shape[2])


def keeping_module(model: nn.Module) -> nn.Module:
    """The module that keeps outputs when asked.

    Raises: ConfigError: there is none.
    """
    for module in model.modules():
        if hasattr(module, "keeps_outputs"):
            return module
    raise ConfigError(
        f"`RNNRegularization` found no module with `keeps_outputs` in `{type(model).__name__}`. "
        "Drivetrain's language models and document classifiers have it. Leave it out, or let your "
        "model keep `raw_output` and `dropped_output`, (B, T, E), while `keeps_outputs` is true."
    )
