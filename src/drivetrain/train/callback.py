"""Callbacks: what is done at the events of a fit, and how a fit is cut short.

A callback is a class with one method an event. Each method is handed the state of the fit, may read all
of it, change what it finds there (batch, predictions, loss, gradients, rates), or raise `CancelStep`,
`CancelBatch`, `CancelEpoch` or `CancelFit`. The order of events is written out in
`drivetrain.train.loop.fit`.

    before_fit
      before_epoch
        before_batch  after_forward  after_loss  after_backward                        (each batch)
          before_step  after_step                                                      (each step)
        after_batch
        before_validate  after_valid_batch  after_validate
      after_epoch
    after_fit

`after_cancel` comes after a cancelled batch, epoch or fit, and `after_fit` comes always, also when an
error ends the fit. A batch has a step of its own unless somebody cancels the step: its gradients then
stay and the next batch's are added to them.

What a callback has to remember when a run is cut and goes on, it answers in `state_dict`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

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
    "before_step",
    "after_step",
    "after_batch",
    "before_validate",
    "after_valid_batch",
    "after_validate",
    "after_epoch",
    "after_cancel",
    "after_fit",
)

ELSEWHERE = {
    # Lightning, Keras, transformers, skorch: `on_…` in their words
    **dict.fromkeys(("on_fit_start", "on_train_start", "on_train_begin"), "before_fit"),
    **dict.fromkeys(("on_fit_end", "on_train_end", "on_exception"), "after_fit"),
    **dict.fromkeys(
        ("on_epoch_start", "on_epoch_begin", "on_train_epoch_start", "before_train"), "before_epoch"
    ),
    **dict.fromkeys(("on_epoch_end",), "after_epoch"),
    **dict.fromkeys(("on_train_epoch_end", "after_train"), "before_validate"),
    **dict.fromkeys(
        ("on_batch_start", "on_batch_begin", "on_train_batch_start", "on_train_batch_begin"),
        "before_batch",
    ),
    **dict.fromkeys(("on_batch_end", "on_train_batch_end", "on_step_end"), "after_batch"),
    **dict.fromkeys(("on_step_begin",), "before_batch"),
    **dict.fromkeys(("after_pred",), "after_forward"),
    **dict.fromkeys(("before_backward", "on_before_backward"), "after_loss"),
    **dict.fromkeys(("on_after_backward", "on_grad_computed"), "after_backward"),
    **dict.fromkeys(("on_before_optimizer_step", "on_pre_optimizer_step"), "before_step"),
    **dict.fromkeys(("on_before_zero_grad", "on_optimizer_step"), "after_step"),
    **dict.fromkeys(
        (
            "on_validation_start",
            "on_validation_epoch_start",
            "on_validation_begin",
            "on_test_begin",
        ),
        "before_validate",
    ),
    **dict.fromkeys(("on_validation_batch_end", "on_test_batch_end"), "after_valid_batch"),
    **dict.fromkeys(
        ("on_validation_end", "on_validation_epoch_end", "on_test_end", "on_evaluate"),
        "after_validate",
    ),
    **dict.fromkeys(
        ("after_cancel_batch", "after_cancel_epoch", "after_cancel_fit", "after_cancel_train"),
        "after_cancel",
    ),
}
"""Events of other libraries -> ours."""

FIRST, NORMAL, LAST = 0, 50, 100
"""Values for `Callback.order`: within an event, lower comes first; equal ones in the order given."""


class Cancel(Exception):  # noqa: N818 - control flow, as StopIteration is: nothing is wrong
    """Base of the ways to leave early. `level` is `step`, `batch`, `epoch` or `fit`."""

    level = ""


class CancelStep(Cancel):
    """Make no step for this batch, and keep its gradients: the next batch's are added to them.

    For `after_backward`. What is left at the epoch's end makes the step that it waits for.
    """

    level = "step"


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

    Each event is handed the `state` of the fit, a `FitState`, and may change it.

    Raises: ConfigError: a subclass has a public method that looks like an event and is none, so that a
        typing slip is answered and not ignored.
    """

    order: int = NORMAL
    """Within an event, lower comes first."""
    adjusts: tuple[str, ...] = ()
    """Fields of the state that it changes on top of what it finds there, such as a loss that it scales:
    another callback may write them too. Where two write a field and the later one does not say so, the
    fit reports it (`drivetrain.train.conflicts`)."""

    only_looks: bool = False
    """It writes no field of the state, so a fit with one writer need not look for conflicts."""

    in_script: bool = True
    """False: it keeps, shows or refuses, and what is trained does not depend on it, so an ejected script
    does without."""

    def state_dict(self) -> dict[str, Any]:
        """What it must remember for a cut run to go on the same: tensors, and values that JSON has."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` answered.

        Args:
            state: what `state_dict` gave when the checkpoint was written.
        """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in vars(cls):
            if name.startswith(("before_", "after_", "on_")) and name not in EVENTS:
                ours = ELSEWHERE.get(name)
                hint = f" Here it is '{ours}'." if ours else did_you_mean(name, EVENTS)
                raise ConfigError(
                    f"`{cls.__name__}.{name}` is not an event.{hint} Events: {', '.join(EVENTS)}."
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
        """The batch's gradients are added to the parameters'; a step follows unless it is cancelled."""

    def before_step(self, state: FitState) -> None:
        """Gradients are complete; the optimizer steps next."""

    def after_step(self, state: FitState) -> None:
        """The optimizer has stepped; gradients are still there."""

    def after_batch(self, state: FitState) -> None:
        """The batch is done and gradients are cleared."""

    def before_validate(self, state: FitState) -> None:
        """Training of the epoch is done; validation comes."""

    def after_valid_batch(self, state: FitState) -> None:
        """One more batch of the validation is done."""

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
    before_step: tuple[Handler, ...]
    after_step: tuple[Handler, ...]
    after_batch: tuple[Handler, ...]
    before_validate: tuple[Handler, ...]
    after_valid_batch: tuple[Handler, ...]
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


def named(callbacks: Iterable[Callback]) -> dict[str, Callback]:
    """Callbacks by the name under which a checkpoint keeps their state.

    The class's name; a second of the same class is `Name-2`.
    """
    found: dict[str, Callback] = {}
    for callback in callbacks:
        name = kind = type(callback).__name__
        number = 1
        while name in found:
            number += 1
            name = f"{kind}-{number}"
        found[name] = callback
    return found
