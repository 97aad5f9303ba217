"""Checks of a fit's course: its events, what cancels it, and what it can do without."""

from __future__ import annotations

import math
import signal
import threading
from typing import Any

import torch

from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError, Interrupted, NonFiniteError
from drivetrain.testing.subject import (
    NoLength,
    Subject,
    at,
    differing,
    each,
    expect,
    expect_same_training,
    listed,
    skip,
    tensors_in,
    weights_of,
)
from drivetrain.train import loop
from drivetrain.train.callback import EVENTS, Callback, CancelBatch, CancelEpoch, CancelFit
from drivetrain.train.learner import Learner

NEXT: dict[str, tuple[str, ...]] = {
    "": ("before_fit",),
    "before_fit": ("before_epoch",),
    "before_epoch": ("before_batch", "before_validate"),
    "before_batch": ("after_forward",),
    "after_forward": ("after_loss",),
    "after_loss": ("after_backward",),
    "after_backward": ("before_step", "after_batch"),
    "before_step": ("after_step",),
    "after_step": ("after_batch", "before_validate"),
    "after_batch": ("before_batch", "before_validate", "before_step"),
    "before_validate": ("after_valid_batch", "after_validate"),
    "after_valid_batch": ("after_valid_batch", "after_validate"),
    "after_validate": ("after_epoch",),
    "after_epoch": ("before_epoch", "after_fit"),
    "after_cancel": ("after_batch", "after_epoch", "after_fit"),
    "after_fit": (),
}
"""What may follow an event."""
ENDINGS = ("after_cancel", "after_fit")
"""What may follow any event: callbacks may cancel, and an error may pass."""


def events_come_in_their_order(subject: Subject) -> None:
    """The events of a fit come in the order that is documented: callbacks are written against it."""
    learner = subject.make()
    seen: list[str] = []

    def noting(event: str) -> Any:
        def handle(self: Any, state: Any) -> None:
            seen.append(event)

        return handle

    probe = type("Probe", (Callback,), {event: noting(event) for event in EVENTS})()
    probe.order = -1000
    subject.train(learner, callbacks=[probe])
    last = ""
    for number, event in enumerate(seen):
        expect(
            event in NEXT[last] or (event in ENDINGS and last not in ("", "after_fit")),
            f"Event {number} of a fit is `{event}`, after `{last or 'nothing'}`: there may come "
            f"{' or '.join(f'`{e}`' for e in NEXT[last])}. Leave the events to `loop.fit`.",
        )  # fmt: skip
        last = event
    expect(last == "after_fit", f"The last event of a fit is `{last}`, expected `after_fit`.")


def a_cancelled_batch_makes_no_step(subject: Subject) -> None:
    """`CancelBatch` before the step leaves the weights, and the next batch trains as ever."""
    learner = subject.make()
    noted: list[dict[str, torch.Tensor]] = []

    def cancel(state: Any) -> None:
        noted.append(_parameters(learner))
        raise CancelBatch

    def look(state: Any) -> None:
        noted.append(_parameters(learner))

    learner.fit(
        1, callbacks=[at("after_backward", 1, cancel, order=-1000), at("after_batch", 1, look)]
    )
    if len(noted) < 2:
        skip("A callback cancels the first batch itself.")
    changed = differing(noted[0], noted[1])
    expect(
        not changed,
        f"A batch was cancelled before its step, and {listed(changed)} changed all the same. Leave the "
        "step to the loop, and do at `after_step` what belongs to one.",
    )
    expect(
        learner.journal[-1].status == "done" or learner.callbacks,
        f"After a cancelled batch the fit ended as '{learner.journal[-1].status}', expected 'done'.",
    )


def a_cancelled_epoch_leaves_it_usable(subject: Subject) -> None:
    """After `CancelEpoch` the next epoch is trained and validated as ever."""
    learner = subject.make()
    finished: list[int] = []

    def cancel(state: Any) -> None:
        raise CancelEpoch

    learner.fit(
        2,
        callbacks=[
            at("after_batch", 1, cancel),
            each("after_epoch", lambda s: finished.append(s.epoch)),
        ],
    )
    if learner.callbacks and len(finished) < 2:
        skip("A callback ended the fit.")
    expect(
        len(finished) == 2 and len(learner.history) == 2,
        f"Of two epochs, the first of them cancelled, {len(finished)} ended, and the history has "
        f"{len(learner.history)}.",
    )
    row = learner.history[-1]
    expect(
        math.isfinite(row.get("train_loss", math.nan)),
        f"The epoch after a cancelled one has no finite training loss: {row}. Begin anew "
        "in `before_epoch`; after a cancel comes `after_cancel`, and no validation.",
    )


def a_cancelled_fit_leaves_it_usable(subject: Subject) -> None:
    """After `CancelFit` the Learner can be trained again, with all of its parameters."""
    learner = subject.make()
    frozen = {name for name, p in learner.model.named_parameters() if not p.requires_grad}

    def cancel(state: Any) -> None:
        raise CancelFit

    learner.fit(2, callbacks=[at("after_batch", 1, cancel)])
    status = learner.journal[-1].status
    expect(
        status == "cancelled",
        f"A fit that a callback cancelled ended as '{status}', expected 'cancelled'.",
    )
    now = {name for name, p in learner.model.named_parameters() if not p.requires_grad}
    expect(
        now == frozen,
        f"After a cancelled fit {listed(sorted(now ^ frozen))} is frozen or trains as it did not before. "
        "Put back in `after_fit` what was changed in `before_fit`: it comes always.",
    )
    done = len(learner.history)
    learner.fit(1)
    expect(
        len(learner.history) > done,
        "After a cancelled fit the next one added no epoch to the history. Begin anew in `before_fit`.",
    )


def a_fit_cancelled_at_its_start_ends_well(subject: Subject) -> None:
    """`CancelFit` in `before_fit` ends the fit before others have begun, and changes nothing."""
    learner = subject.make()
    before = weights_of(learner)

    def cancel(state: Any) -> None:
        raise CancelFit

    learner.fit(1, callbacks=[at("before_fit", 1, cancel, order=-1000)])
    changed = differing(before, weights_of(learner))
    expect(
        not changed and not learner.history,
        f"A fit that was cancelled in `before_fit` changed {listed(changed) or 'the history'}. Let "
        "`after_fit` look whether `before_fit` came.",
    )


def fits_follow_each_other(subject: Subject) -> None:
    """A second fit goes on where the first one ended: its epochs are counted on, in one history."""
    learner = subject.make()
    learner.fit(1)
    before = len(learner.history)
    learner.fit(1)
    epochs = [row["epoch"] for row in learner.history]
    expect(
        before == 1 and len(epochs) == 2,
        f"Two fits of one epoch gave {len(epochs)} rows of history. Let callbacks begin anew in "
        "`before_fit`, so that what ended one fit does not end the next.",
    )
    expect(epochs == [0, 1], f"Two fits of one epoch numbered them {epochs}, expected [0, 1].")


def a_fit_of_no_epochs_is_refused(subject: Subject) -> None:
    """`fit(0)` is refused before anything changes: it is always a slip."""
    learner = subject.make()
    before = weights_of(learner)
    try:
        learner.fit(0)
    except ConfigError:
        pass
    else:
        raise AssertionError(
            "`fit(0)` was not refused. Check arguments before anything is done, and raise `ConfigError`."
        )
    expect(
        not differing(before, weights_of(learner)) and not learner.journal,
        "`fit(0)` was refused, but it changed weights or journal. Check before anything is done.",
    )


def a_nan_is_stopped_before_the_step(subject: Subject) -> None:
    """A NaN in a batch ends the fit with the weights from before it: one step would make them all NaN."""
    learner = subject.make()
    noted: list[dict[str, torch.Tensor]] = []

    def poison(state: Any) -> None:
        noted.append(_parameters(learner))
        args, kwargs, _ = loop.call_of(state.batch)
        state.batch, done = _with_nan(state.batch, in_inputs=bool(_floats((args, kwargs))))
        if not done:
            raise CancelFit

    losses: list[float] = []
    poisoner = at("before_batch", 2, poison)
    poisoner.adjusts = ("batch",)
    try:
        learner.fit(
            1,
            callbacks=[
                poisoner,
                each("after_loss", lambda s: losses.append(float(s.loss.detach())), order=-1000),
            ],
        )
    except NonFiniteError:
        changed = differing(noted[0], _parameters(learner))
        expect(
            not changed,
            f"The fit was stopped at a NaN, but {listed(changed)} had changed. Nobody may step before "
            "the guard has looked, at `before_step`.",
        )
        return
    if not noted:
        skip("An epoch has one batch.")
    if len(losses) < 2:
        skip("Neither inputs nor targets are floats: there can be no NaN in them.")
    if math.isfinite(losses[1]):
        skip("A NaN in the inputs does not reach the loss.")
    raise AssertionError(
        "A batch with NaN in it was trained on, and nobody stopped the fit. Leave the loss in "
        "`state.loss` as it is, and `NonFiniteGuard` in its place."
    )


def an_interrupted_fit_goes_on(subject: Subject) -> None:
    """After Ctrl-C, `resume` goes on to the same bits as if nothing had been."""
    if threading.current_thread() is not threading.main_thread():
        skip("Signals come to Python's main thread, and this is another one.")
    if signal.getsignal(signal.SIGINT) != signal.default_int_handler:
        skip("Somebody else handles Ctrl-C.")
    learner = subject.make()
    straight = subject.straight()
    try:
        subject.train(
            learner, callbacks=[at("after_loss", 2, lambda s: signal.raise_signal(signal.SIGINT))]
        )
    except Interrupted:
        learner.resume(callbacks=[])
    else:
        skip("The fit was over before Ctrl-C: a callback ended it.")
    expect_same_training(learner, straight, REMEMBER)


def it_trains_without_validation(subject: Subject) -> None:
    """Without a validation loader training goes as ever: there may be too few items for one."""
    learner = subject.make()
    learner.loaders = Loaders(learner.loaders.train)
    _needs_no_monitor(learner)
    learner.fit(2)
    expect(
        learner.history and "valid_loss" not in learner.history[0],
        f"Without validation the history has the rows {list(learner.history)}. Let callbacks look "
        "whether `state.evaluation` is there.",
    )


def it_trains_without_a_length(subject: Subject) -> None:
    """With a loader that has no `len` training goes as ever: streams have none."""
    learner = subject.make()
    train = NoLength(learner.loaders.train)
    learner.loaders = Loaders(train, learner.loaders.valid)
    learner.fit(2)
    expect(
        learner.history and math.isfinite(learner.history[0].get("train_loss", math.nan)),
        f"With a loader without a length the history has the rows {list(learner.history)}. Let callbacks "
        "look whether `state.num_batches` is there.",
    )


def it_prints_in_a_line(subject: Subject) -> None:
    """`repr(learner)` is one short line with its class, for the end of a cell and for messages."""
    learner = subject.make()
    text = repr(learner)
    expect(
        "\n" not in text and len(text) <= 200 and "Learner" in text,
        f"`repr(learner)` has {len(text)} characters in {text.count(chr(10)) + 1} lines. Let the model's "
        "`name` be a word, and `__repr__` one line.",
    )


# --- how it is done ---------------------------------------------------------------------------------

REMEMBER = (
    "So a training that was cut ends otherwise than one that was not. What a callback remembers goes "
    "into its `state_dict`, what the model remembers into buffers, what the optimizer remembers into its "
    "`state`; what is drawn is derived from seed and step."
)


def _parameters(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in learner.model.named_parameters()}


def _floats(value: Any) -> list[torch.Tensor]:
    return [tensor for _, tensor in tensors_in(value) if tensor.is_floating_point()]


def _with_nan(batch: Any, *, in_inputs: bool) -> tuple[Any, bool]:
    """The batch with one NaN, in the inputs where they are floats, else in the targets; and whether."""
    done = [False]

    def poisoned(part: Any) -> Any:
        if isinstance(part, torch.Tensor):
            if done[0] or not part.is_floating_point() or not part.numel():
                return part
            done[0] = True
            part = part.clone()
            part[(0,) * part.ndim] = math.nan
            return part
        if isinstance(part, dict):
            return {key: poisoned(value) for key, value in part.items()}
        if isinstance(part, tuple | list):
            return tuple([poisoned(value) for value in part])
        return part

    if isinstance(batch, dict):
        names = [n for n in batch if (n in ("targets", "labels")) != in_inputs]
        return batch | {name: poisoned(batch[name]) for name in names}, done[0]
    if in_inputs:
        return (*(poisoned(part) for part in batch[:-1]), batch[-1]), done[0]
    return (*batch[:-1], poisoned(batch[-1])), done[0]


def _needs_no_monitor(learner: Learner) -> None:
    watched = [
        name
        for callback in learner.callbacks
        if isinstance(name := getattr(callback, "monitor", None), str) and name != "train_loss"
    ]
    if watched:
        skip(f"A callback goes by `{watched[0]}`, which is measured on validation items.")


CHECKS = (
    events_come_in_their_order,
    a_cancelled_batch_makes_no_step,
    a_cancelled_epoch_leaves_it_usable,
    a_cancelled_fit_leaves_it_usable,
    a_fit_cancelled_at_its_start_ends_well,
    fits_follow_each_other,
    a_fit_of_no_epochs_is_refused,
    a_nan_is_stopped_before_the_step,
    an_interrupted_fit_goes_on,
    it_trains_without_validation,
    it_trains_without_a_length,
    it_prints_in_a_line,
)
