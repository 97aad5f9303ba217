"""Events: what a callback is handed, what it may change, and where it may leave. Row 10, 152, 153."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_type_hints

import pytest
import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.randomness import seeded
from drivetrain.reference.learner import Sgd, train as reference_train
from drivetrain.train import callback as events, loop
from drivetrain.train.callback import EVENTS, Callback, CancelStep
from drivetrain.train.state import FitState
from tests.train.blobs import blobs
from tests.train.callbacks.cutting import fit_state, sha

BATCH = ("before_batch", "after_forward", "after_loss", "after_backward", "before_step")
CANCELS = {"batch": dt.CancelBatch, "epoch": dt.CancelEpoch, "fit": dt.CancelFit}


def linear() -> nn.Module:
    with seeded(7, "test"):
        return nn.Linear(2, 3)


def doing(**handlers: Any) -> Callback:
    """A callback with these functions of the state at these events."""
    methods = {event: lambda self, state, do=do: do(state) for event, do in handlers.items()}
    return type("Doing", (Callback,), methods)()


def momentum(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def state_with(*callbacks: Callback, epochs: int = 1, **options: Any) -> FitState:
    options = {"model": linear(), "make_optimizer": momentum, "scheduled": False} | options
    return fit_state(*callbacks, epochs=epochs, **options)


# --- the order, and what is handed over ------------------------------------------------------------


@pytest.mark.row(152)
def test_events_come_in_the_order_that_the_documentation_prints() -> None:
    seen: list[str] = []
    note = doing(**{event: lambda state, event=event: seen.append(event) for event in EVENTS})
    data = dt.TensorData(*blobs(6))
    loader = dt.BatchLoader(data, batch_size=3)
    loop.fit(state_with(note, loaders=dt.Loaders(loader, loader)))
    batch = [*BATCH, "after_step", "after_batch"]
    assert seen == [
        *("before_fit", "before_epoch", *batch, *batch),
        *("before_validate", "after_valid_batch", "after_valid_batch", "after_validate"),
        *("after_epoch", "after_fit"),
    ]
    documented = re.findall(r"^ {4,}(\S.*)$", inspect.getdoc(events) or "", re.MULTILINE)
    printed = re.findall(r"(?:before|after)_\w+", " ".join(documented))
    # In the diagram the step stands a line deeper, between its batch's other events.
    assert sorted(printed) == sorted(set(EVENTS) - {"after_cancel"})
    assert set(printed) == set(seen)


@pytest.mark.row(152)
@pytest.mark.parametrize("event", EVENTS)
def test_each_event_is_handed_the_typed_state(event: str) -> None:
    method = getattr(Callback, event)
    hints = get_type_hints(method, localns={"FitState": FitState})
    assert hints == {"state": FitState, "return": type(None)}
    assert method.__doc__
    fields = get_type_hints(FitState)
    assert {"batch", "preds", "loss", "optimizer", "row", "epochs_done", "step"} <= set(fields)
    given: list[Any] = []
    other = {"after_cancel": doing(after_step=_raising(dt.CancelFit))}.get(event)
    state = state_with(doing(**{event: given.append}), *([other] if other else []))
    loop.fit(state)
    assert given and all(one is state for one in given)


def _raising(what: type[Exception]) -> Any:
    def handler(state: Any) -> None:
        raise what

    return handler


# --- what may be changed -----------------------------------------------------------------------------


def zero_inputs(state: Any) -> None:
    state.batch = (state.batch[0] * 0, state.batch[1])


def half_preds(state: Any) -> None:
    state.preds = state.preds * 0.5


def half_loss(state: Any) -> None:
    state.loss = state.loss * 0.5


def half_gradients(state: Any) -> None:
    for parameter in state.model.parameters():
        parameter.grad.mul_(0.5)


def half_rate(state: Any) -> None:
    state.optimizer.param_groups[0]["lr"] = 0.05


def by_hand(change: str) -> Tensor:
    """One step of gradient descent on 20 blobs, with the change written into the formula."""
    inputs, targets = blobs(20)
    model = linear()
    preds = model(inputs * 0 if change == "batch" else inputs)
    loss = nn.functional.cross_entropy(preds * 0.5 if change == "preds" else preds, targets)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    rate = 0.05 if change in ("loss", "gradients", "rate") else 0.1
    return torch.cat(
        [(p - rate * g).flatten() for p, g in zip(model.parameters(), gradients, strict=True)]
    ).detach()


@pytest.mark.row(152)
@pytest.mark.parametrize(
    ("what", "event", "change"),
    [
        ("nothing", "before_batch", lambda state: None),
        ("batch", "before_batch", zero_inputs),
        ("preds", "after_forward", half_preds),
        ("loss", "after_loss", half_loss),
        ("gradients", "after_backward", half_gradients),
        ("gradients", "before_step", half_gradients),
        ("rate", "before_batch", half_rate),
        ("rate", "before_step", half_rate),
    ],
)
def test_a_callback_changes_the_step_as_the_formula_says(
    what: str, event: str, change: Any
) -> None:
    loader = dt.BatchLoader(dt.TensorData(*blobs(20)), batch_size=20)
    state = state_with(doing(**{event: change}), loaders=dt.Loaders(loader))
    loop.fit(state)
    found = torch.cat([p.detach().flatten() for p in state.model.parameters()])
    torch.testing.assert_close(found, by_hand(what), atol=1e-6, rtol=1e-6)
    if what != "nothing":
        assert not torch.allclose(found, by_hand("nothing"), atol=1e-6)


# --- where it may leave ------------------------------------------------------------------------------


@pytest.mark.row(153)
@pytest.mark.parametrize("k", [0, 2, 4])
@pytest.mark.parametrize("event", BATCH)
@pytest.mark.parametrize("level", CANCELS)
def test_a_cancel_in_step_k_leaves_the_weights_of_before_step_k(
    level: str, event: str, k: int
) -> None:
    hashes: list[str] = []
    cancelled: list[str] = []

    def cancel(state: Any) -> None:
        if state.step == k and not cancelled:
            raise CANCELS[level]

    def after_cancel(state: Any) -> None:
        cancelled.append(state.cancelled)
        assert sha(state) == hashes[-1]
        assert all(parameter.grad is None for parameter in state.model.parameters())

    look = doing(before_batch=lambda state: hashes.append(sha(state)), after_cancel=after_cancel)
    state = state_with(look, doing(**{event: cancel}))
    loop.fit(state)
    assert cancelled == [level]
    made = sha(state) != hashes[k]  # steps that came after it
    assert made == (level == "batch" and k < 4)
    assert state.epochs_done == (0 if level == "fit" else 1)


@pytest.mark.row(153)
@pytest.mark.parametrize("level", CANCELS)
def test_after_cancel_and_after_fit_always_come(level: str) -> None:
    """From every event from which one may leave at that level, whoever else raises there."""
    anywhere = [event for event in EVENTS if event not in ("after_cancel", "after_fit")]
    places = {"batch": BATCH, "epoch": anywhere[1:-1], "fit": anywhere}[level]
    for event in places:
        seen: list[str] = []
        look = doing(
            after_cancel=lambda state, seen=seen: seen.append(state.cancelled),
            after_fit=lambda state, seen=seen: seen.append("end"),
        )
        state = state_with(doing(**{event: _raising(CANCELS[level])}), look)
        loop.fit(state)
        assert seen[-1] == "end", event
        assert set(seen[:-1]) == {level}, event
        assert state.cancelled == ""


@pytest.mark.row(153)
def test_a_cancelled_step_keeps_the_gradients_for_the_next() -> None:
    steps: list[int] = []

    def hold(state: Any) -> None:
        if state.step % 2 == 0:
            raise CancelStep

    twice: list[Tensor] = []
    look = doing(
        before_step=lambda state: twice.append(state.model.weight.grad.clone()),
        after_step=lambda state: steps.append(state.step),
    )
    data = dt.TensorData(*blobs(40))
    loader = dt.BatchLoader(data, batch_size=20)
    loop.fit(state_with(look, doing(after_backward=hold), loaders=dt.Loaders(loader)))
    assert steps == [1]
    model = linear()
    inputs, targets = blobs(40)
    for part in (slice(0, 20), slice(20, 40)):
        nn.functional.cross_entropy(model(inputs[part]), targets[part]).backward()
    torch.testing.assert_close(twice[0], model.weight.grad)


# --- gradient descent itself -------------------------------------------------------------------------


@pytest.mark.row(10)
def test_gradient_descent_is_the_altering_mechanism() -> None:
    inputs, targets = blobs(60)
    data = dt.BatchLoader(dt.TensorData(inputs, targets), batch_size=20, shuffle=True)
    ours, theirs = linear(), linear()
    learner = dt.Learner(
        ours, data, optimizer=torch.optim.SGD, lr=0.1, weight_decay=0.0, progress=False
    )
    learner.fit(3)

    def batches(epoch: int) -> Any:
        data.set_epoch(epoch)
        return data

    by_hand = Sgd(theirs.parameters(), lr=0.1)
    trace = reference_train(theirs, batches, nn.functional.cross_entropy, by_hand.step, epochs=3)
    for found, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    assert trace.losses[-1] < 0.5 * trace.losses[0]
