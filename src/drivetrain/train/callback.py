"""Callbacks: what is done at the events of a fit, and how a fit is cut short.

A callback is a class with one method an event. Each method is handed the state of the fit, may read all
of it, change what it finds there (batch, predictions, loss, gradients, rates), or raise `CancelBatch`,
`CancelEpoch` or `CancelFit`. The order of events is written out in `drivetrain.train.loop.fit`.

    before_fit
      before_epoch
        before_batch  after_forward  after_loss  after_backward  after_step  after_batch      (each batch)
        before_validate  after_validate
      after_epoch
    after_fit

`after_cancel` comes after a cancelled batch, epoch or fit, and `after_fit` comes always, also when an
error ends the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError

if TYPE_CHECKING:
    from drivetrain.train.state import FitState

EVENTS = (
    "before_fit",
    "before_epoch",
    "before_batch",
    "after_forward",
    "after_loss",
    "after_backward",
    "after_step",
    "after_batch",
    "before_validate",
    "after_validate",
    "after_epoch",
    "after_cancel",
    "after_fit",
)

FIRST, NORMAL, LAST = 0, 50, 100
"""Values for `Callback.order`: within an event, lower comes first; equal ones in the order given."""


class Cancel(Exception):  # noqa: N818 - control flow, as StopIteration is: nothing is wrong
    """Base of the three ways to stop early. `level` is `batch`, `epoch` or `fit`."""

    level = ""


class CancelBatch(Cancel):
    """Leave this batch. Raised before the optimizer's step, the weights stay as they were."""

    level = "batch"


class CancelEpoch(Cancel):
    """Leave this epoch, its validation included."""

    level = "epoch"


class CancelFit(Cancel):
    """End the fit here."""

    level = "fit"


class Callback:
    """Base of all callbacks; override the events you need.

    Raises: ConfigError: a subclass has a public method that looks like an event and is none, so that a
        typing slip is answered and not ignored.
    """

    order: int = NORMAL

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in vars(cls):
            if name.startswith(("before_", "after_", "on_")) and name not in EVENTS:
                raise ConfigError(
                    f"`{cls.__name__}.{name}` is not an event.{did_you_mean(name, EVENTS)} "
                    f"Events: {', '.join(EVENTS)}."
                )

    def before_fit(self, state: FitState) -> None:
        """Before anything: optimizer and schedule are made, no batch is drawn."""

    def before_epoch(self, state: FitState) -> None:
        """`state.epoch` is set; the model is not yet in training mode."""

    def before_batch(self, state: FitState) -> None:
        """`state.batch` is drawn and on the device; it may be replaced."""

    def after_forward(self, state: FitState) -> None:
        """`state.preds` holds the model's outputs."""

    def after_loss(self, state: FitState) -> None:
        """`state.loss` holds the loss, a scalar with its graph."""

    def after_backward(self, state: FitState) -> None:
        """Gradients are in the parameters; the optimizer has not stepped."""

    def after_step(self, state: FitState) -> None:
        """The optimizer has stepped; gradients are still there."""

    def after_batch(self, state: FitState) -> None:
        """The batch is done and gradients are cleared."""

    def before_validate(self, state: FitState) -> None:
        """Training of the epoch is done; validation comes."""

    def after_validate(self, state: FitState) -> None:
        """`state.evaluation` holds the validation's loss and metrics."""

    def after_epoch(self, state: FitState) -> None:
        """The epoch is done and counted in `state.epochs_done`."""

    def after_cancel(self, state: FitState) -> None:
        """A batch, epoch or fit was cancelled; `state.cancelled` says which."""

    def after_fit(self, state: FitState) -> None:
        """The last event, also after an error."""


Handler = Callable[["FitState"], None]


class Handlers:
    """For each event, the bound methods that override it, in order: an attribute an event.

    Built once a fit, so that an event nobody handles costs one look at an empty tuple.
    """

    before_fit: tuple[Handler, ...]
    before_epoch: tuple[Handler, ...]
    before_batch: tuple[Handler, ...]
    after_forward: tuple[Handler, ...]
    after_loss: tuple[Handler, ...]
    after_backward: tuple[Handler, ...]
    after_step: tuple[Handler, ...]
    after_batch: tuple[Handler, ...]
    before_validate: tuple[Handler, ...]
    after_validate: tuple[Handler, ...]
    after_epoch: tuple[Handler, ...]
    after_cancel: tuple[Handler, ...]
    after_fit: tuple[Handler, ...]

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        ordered = sorted(callbacks, key=lambda callback: callback.order)
        for event in EVENTS:
            handlers = tuple(
                getattr(callback, event)
                for callback in ordered
                if getattr(type(callback), event) is not getattr(Callback, event)
            )
            setattr(self, event, handlers)
