"""Label smoothing: cross-entropy in training asks for a little probability for each class.

Paper: Szegedy et al. 2015, arXiv:1512.00567, sec. 7. Twin: drivetrain.reference.losses.
"""

from __future__ import annotations

import copy
import functools

import torch.nn.functional as F
from torch import nn

from drivetrain.errors import ConfigError
from drivetrain.losses import cross_entropy, soft_cross_entropy, token_cross_entropy
from drivetrain.losses.table import loss_name, unwrapped
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks._checking import check_number
from drivetrain.train.state import FitState, LossFn

SMOOTHED = (cross_entropy, soft_cross_entropy, token_cross_entropy, F.cross_entropy)


class LabelSmoothing(Callback):
    """Trains with targets of which a share is spread over all classes; the validation loss stays plain.

    So the training loss can be compared with the validation loss no more, and the validation loss can
    with that of a training without smoothing.

    Args:
        smoothing: the share that is spread, in [0, 1).
    Raises: ConfigError: `smoothing` is outside; in the fit: the loss is no cross-entropy, or smooths
        by itself.
    """

    adjusts = ("loss_fn",)

    def __init__(self, smoothing: float = 0.1) -> None:
        check_number("LabelSmoothing", "smoothing", smoothing, least=0, below=1)
        self.smoothing = smoothing
        self._plain: LossFn | None = None

    def before_fit(self, state: FitState) -> None:
        self._plain = None
        self._smoothed(state.loss_fn)

    def before_epoch(self, state: FitState) -> None:
        self._plain, state.loss_fn = state.loss_fn, self._smoothed(state.loss_fn)

    def before_validate(self, state: FitState) -> None:
        self._back(state)

    def after_cancel(self, state: FitState) -> None:
        if state.cancelled != "batch":
            self._back(state)

    def after_fit(self, state: FitState) -> None:
        self._back(state)

    def _back(self, state: FitState) -> None:
        if self._plain is not None:
            state.loss_fn, self._plain = self._plain, None

    def _smoothed(self, loss_fn: LossFn) -> LossFn:
        bare, options = unwrapped(loss_fn)
        is_module = isinstance(bare, nn.CrossEntropyLoss)
        if not is_module and bare not in SMOOTHED:
            raise ConfigError(
                f"`LabelSmoothing` is for cross-entropy, and the loss is `{loss_name(bare)}`. Leave "
                '`LabelSmoothing` out, or where the targets are classes use the loss "cross_entropy".'
            )
        own = bare.label_smoothing if is_module else options.get("label_smoothing", 0.0)
        if own:
            raise ConfigError(
                f"`LabelSmoothing` got a loss that smooths by {own:g} itself, in validation too. "
                "Choose one of the two."
            )
        if not is_module:
            return functools.partial(loss_fn, label_smoothing=self.smoothing)
        smoothed = copy.copy(bare)  # shares the class weights
        smoothed.label_smoothing = self.smoothing
        return smoothed
