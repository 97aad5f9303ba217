"""The check at the door: do the model's outputs, the targets and the loss belong together?"""

from __future__ import annotations

from drivetrain.losses import check_pair
from drivetrain.train.callback import FIRST, Callback
from drivetrain.train.state import FitState


class CheckFirstBatch(Callback):
    """Refuses a wrong pair of loss and targets at the first batch, before any weight has changed."""

    order = FIRST
    only_looks = True
    in_script = False

    def __init__(self) -> None:
        self.checked = False

    def after_forward(self, state: FitState) -> None:
        if not self.checked:
            check_pair(state.loss_fn, state.preds, state.targets)
            self.checked = True
