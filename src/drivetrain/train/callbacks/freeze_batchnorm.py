"""Batchnorm left as it is: its statistics, and scale and shift where that is asked for."""

from __future__ import annotations

from torch import nn

from drivetrain.train.callback import Callback
from drivetrain.train.modules import batchnorms
from drivetrain.train.state import FitState


class FreezeBatchnorm(Callback):
    """All layers with running statistics compute with them in training too, and never change them.

    What small batches of a new data set would measure is often worse than what a pretrained model brings.
    `Learner.fine_tune` leaves the body's alone by itself; this is for all of the model, in any fit.

    Args:
        affine: also keep scale and shift (`weight` and `bias`) from training.
    """

    adjusts = ("in_eval",)

    def __init__(self, *, affine: bool = False) -> None:
        self.affine = affine
        self._held: list[nn.Parameter] = []

    def before_fit(self, state: FitState) -> None:
        layers = batchnorms([[state.model]])
        state.in_eval = [*state.in_eval, *layers]
        self._held = []
        if self.affine:
            parameters = [p for layer in layers for p in layer.parameters(recurse=False)]
            self._held = [p for p in parameters if p.requires_grad]
            for parameter in self._held:
                parameter.requires_grad_(False)

    def after_fit(self, state: FitState) -> None:
        for parameter in self._held:
            parameter.requires_grad_(True)
        self._held = []
