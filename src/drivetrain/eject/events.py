"""What the callbacks of a fit do at each event, as statements, and what they are told of the training."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from drivetrain.eject.fits import Kind, has_name
from drivetrain.eject.inline import Opened
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.numbers import Numbers
from drivetrain.eject.settings import Setting
from drivetrain.eject.surroundings import Surroundings
from drivetrain.eject.tree import dotted
from drivetrain.errors import EjectError
from drivetrain.train import callbacks as named_callbacks
from drivetrain.train.callback import EVENTS, FIRST, Callback, Handlers
from drivetrain.train.callbacks.label_smoothing import LabelSmoothing
from drivetrain.train.callbacks.optimizer_mode import OptimizerMode

_TAKEN = frozenset(
    "model optimizer group groups loss losses counts preds targets inputs row step epoch in_eval "
    "evaluation progress is_over factors name value batch train valid".split()
)
"""Names of the loop, which no callback's may be."""


class Events:
    """The callbacks of a kind of fits, opened.

    Args:
        kind: the fits.
        numbers: theirs.
        lifter: for what the callbacks call.
        around: what the loop is put into.
        seed: of the run.
        loss: of the training, which may be another than that of the run.
        several: ids of callbacks that more than one fit of the journal has.

    Raises: EjectError: a callback has no plain form.
    """

    def __init__(
        self,
        kind: Kind,
        numbers: Numbers,
        lifter: Lifter,
        around: Surroundings,
        *,
        seed: int,
        loss: Known,
        several: frozenset[int],
    ) -> None:
        self.settings: list[Setting] = []
        self._places = _places(numbers, around.num_batches, may_end=kind.may_end)
        state = _state(numbers, around, seed, loss)
        taken = set(lifter.constants) | _TAKEN
        self._opened: list[Opened] = []
        for callback in _chosen(kind, around):
            known: dict[str, Known] = {}
            if isinstance(callback, OptimizerMode):
                known["self._optimizer"] = Known(object(), "optimizer")
                known["self._groups"] = Known(None)
            one = Opened(
                callback,
                lifter,
                name=_short_name(callback),
                state=state,
                form=around.form,
                taken=taken,
                metrics=around.metrics,
                known=known,
            )
            if id(callback) in several and not has_name(callback):
                one.refuse_what_goes_on()
            self._opened.append(one)
            self.settings += one.settings
            for inner in one.inner.values():
                self.settings += inner.settings

    def statements(self, record: Sequence[ast.stmt]) -> dict[str, list[ast.stmt]]:
        """By event.

        Args:
            record: what the loop does with the loss itself, between the callbacks that change it and
                those that look at it.

        Raises: EjectError: a callback has no plain form there.
        """
        early = [one for one in self._opened if one.callback.order < FIRST]
        late = [one for one in self._opened if one.callback.order >= FIRST]
        found = {}
        for event in EVENTS:
            if event == "after_loss":
                found[event] = [*self._at(event, early), *record, *self._at(event, late)]
            else:
                found[event] = self._at(event, self._opened)
        if found["after_valid_batch"]:
            at = next(one for one in self._opened if one.statements("after_valid_batch"))
            raise EjectError(
                f"The callback `{type(at.callback).__name__}` does something at `after_valid_batch`, and "
                "a script validates in a function of its own. Move it to `after_validate`."
            )
        beginnings = [s for one in self._opened for s in one.beginning()]
        found["before_fit"] = [*beginnings, *found["before_fit"]]
        return found

    def _at(self, event: str, opened: Sequence[Opened]) -> list[ast.stmt]:
        handlers: Any = Handlers([one.callback for one in opened])
        by_callback = {id(one.callback): one for one in opened}
        statements: list[ast.stmt] = []
        for handler in getattr(handlers, event):
            one = by_callback[id(handler.__self__)]
            one.state |= self._places[event]
            body = one.statements(event)
            if event == "after_fit":
                body = [s for s in body if not _forgets(s)]
            statements += body
        return statements


def _chosen(kind: Kind, around: Surroundings) -> list[Callback]:
    """Those that a script needs, in their order."""
    found = [
        c for c in kind.callbacks if type(c).in_script and not isinstance(c, LabelSmoothing)
    ]  # smoothing is an option of the loss
    if not around.has_modes:
        found = [c for c in found if not isinstance(c, OptimizerMode)]
    elif not any(isinstance(c, OptimizerMode) for c in found):
        found.insert(0, OptimizerMode())
    return sorted(found, key=lambda c: c.order)


def _short_name(callback: Callback) -> str:
    """What its constants and names are called after."""
    if has_name(callback):
        return named_callbacks.record_of(callback)["name"]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(callback).__name__).lower()


def _state(numbers: Numbers, around: Surroundings, seed: int, loss: Known) -> dict[str, Known]:
    """What the state of a fit answers a callback."""
    return {
        "state.seed": Known(seed, "SEED"),
        "state.epochs": numbers.as_known("epochs"),
        "state.first_step": numbers.as_known("first_step"),
        "state.folder": Known(None),
        "state.saved": Known(None),
        "bad_weights(model)": Known([]),  # the run has checked it
        "state.save": Known(None),
        "state.interrupted": Known(None),
        "state.device": Known(around.device),
        "hasattr(model, 'fill_unknown')": Known(around.fills_unknown),
        "state.loss_fn": loss,
        "state.cancelled": Known(""),
        "state.num_batches": Known(around.num_batches, "NUM_BATCHES"),
    }


def _places(
    numbers: Numbers, num_batches: int | None, *, may_end: bool
) -> Mapping[str, Mapping[str, Known]]:
    """By event, where training stands: an epoch counts as done at its last event."""
    first, epochs = numbers.text("first_epoch"), numbers.text("epochs")
    done = "epoch" if first == "0" else f"(epoch - {first})"

    def place(epoch: str, done: str, step: str) -> dict[str, Known]:
        share = f"{step} / ({epochs} * NUM_BATCHES)" if num_batches else f"{done} / {epochs}"
        found = {"epoch": epoch, "epochs_done": done, "step": step, "progress": f"({share})"}
        return {f"state.{name}": Known(text=text) for name, text in found.items()}

    places = {event: place("epoch", done, "step") for event in EVENTS}
    places["before_fit"] = place(first, "0", "0")
    places["after_epoch"] = place("(epoch + 1)", f"({done} + 1)", "step")
    last = epochs if first == "0" else f"({first} + {epochs})"
    places["after_fit"] = place(last, epochs, "step")
    if may_end:  # nobody knows in which epoch
        for name in places["after_fit"]:
            places["after_fit"][name] = Known(text=name)
    return places


def _forgets(node: ast.stmt) -> bool:
    """At the end of a fit: letting go of what a name holds."""
    if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        return False
    value = node.value
    if isinstance(value, ast.Call):
        return dotted(value.func) == "torch.empty"
    return isinstance(value, ast.Constant) or (
        isinstance(value, ast.Dict | ast.List | ast.Tuple)
        and not getattr(value, "elts", None)
        and not getattr(value, "keys", None)
    )
