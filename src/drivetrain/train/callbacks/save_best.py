"""The best epoch's weights, kept and brought back at the end."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from drivetrain.errors import RunError
from drivetrain.train import saving
from drivetrain.train.callback import NORMAL, Callback
from drivetrain.train.callbacks._checking import check_choice
from drivetrain.train.checkpoints import Checkpoints
from drivetrain.train.ending import Ending
from drivetrain.train.modules import detached
from drivetrain.train.monitoring import MODES, Watch
from drivetrain.train.nonfinite import bad_weights
from drivetrain.train.state import FitState

WEIGHTS = "weights."


class SaveBest(Callback):
    """Keeps the weights of the epoch with the best value, as they were when they were validated.

    In a run folder they lie in `checkpoints/best-epoch-NNNN.safetensors`, otherwise in memory. The best
    of many epochs on the validation items looks better on those items than it is: measure on others.

    Args:
        monitor: a column of the history. An epoch with NaN or infinity there is never the best.
        mode: `min` or `max`; None: losses fall, a metric says `higher_is_better` itself.
        restore: put the best weights into the model when the fit is over, also where a callback ended it;
            not where an error or a signal did, since the fit may go on.
    Raises: ConfigError: `mode` is neither; in the fit: no such column. StorageError: the disk refused.
    """

    # After those that put averages into the model for the validation, and at the fit's end.
    order = NORMAL + 10

    def __init__(
        self, monitor: str = "valid_loss", *, mode: str | None = None, restore: bool = True
    ) -> None:
        check_choice("SaveBest", "mode", mode, MODES)
        self.monitor = monitor
        self.mode = mode
        self.restore = restore
        self.weights: dict[str, Tensor] = {}
        """The best weights by name, where the fit has no folder."""
        self.best: float | None = None
        """The best value of this fit."""
        self.best_epoch: int | None = None
        self._watch = Watch("SaveBest", monitor, mode=mode)
        self._ending = Ending()

    def before_fit(self, state: FitState) -> None:
        self._watch.check(state)
        self._watch.reset()
        self._ending.begin()
        self.weights, self.best, self.best_epoch = {}, None, None

    def state_dict(self) -> dict[str, Any]:
        kept = {WEIGHTS + name: tensor for name, tensor in self.weights.items()}
        own = {"kept_value": self.best, "kept_epoch": self.best_epoch}
        return {**self._watch.state_dict(), **own, **kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._watch.load_state_dict(state)
        self.best, self.best_epoch = state["kept_value"], state["kept_epoch"]
        self.weights = {
            name.removeprefix(WEIGHTS): value.clone()
            for name, value in state.items()
            if name.startswith(WEIGHTS)
        }

    def after_validate(self, state: FitState) -> None:
        before = self._watch.state_dict()
        if not self._watch.look(state):
            return
        if bad_weights(state.model):  # a metric that hides it: arg max of NaN is a class
            self._watch.load_state_dict({**before, "has_looked": True})
            return
        self.best, self.best_epoch = self._watch.best, state.epoch
        weights = state.model.state_dict()
        if state.folder is None:
            self.weights = detached(weights)
        else:
            why = {"monitor": self.monitor, "value": self.best}
            Checkpoints(state.folder / "checkpoints").save_best(state.epoch, weights, why)

    def after_fit(self, state: FitState) -> None:
        if self._ending.is_good(state) and self.restore and self.best_epoch is not None:
            self._restore(state)

    def _restore(self, state: FitState) -> None:
        if state.folder is None:
            saving.load_weights(state.model, self.weights, what="`SaveBest`")
            return
        checkpoints = Checkpoints(state.folder / "checkpoints")
        try:
            found = checkpoints.load_best()
            if found is None or found[1]["epoch"] != self.best_epoch:
                raise RunError(f"{checkpoints.folder} does not hold them any more.")
            saving.load_weights(state.model, found[0], what=str(checkpoints.folder))
        except RunError as error:
            warnings.warn(
                f"The weights of the best epoch, {self.best_epoch}, cannot be brought back: {error} "
                "The model keeps the weights of the last epoch.",
                stacklevel=2,
            )
