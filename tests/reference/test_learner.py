"""The seven steps: what they learn, that they are torch's own arithmetic, and when they stop."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import drivetrain as dt
from drivetrain import store
from drivetrain.optim import schedules
from drivetrain.randomness import preserved, set_generators
from drivetrain.reference import learner as twin
from drivetrain.reference.adam import AdamW
from drivetrain.reference.learner import Sgd, mean_loss, train
from drivetrain.reference.losses import mse
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from tests.train.blobs import blob_loaders, net as blob_net


class Parabola(nn.Module):
    """a x² + b x + c: a model need not be a net."""

    def __init__(self) -> None:
        super().__init__()
        self.abc = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b, c = self.abc
        return a * x * x + b * x + c


def parabola_batches(epoch: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    x = torch.linspace(-2, 2, 40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(epoch))
    x = x[order]
    y = 3 * x * x + 2 * x + 1
    return list(zip(x.split(16), y.split(16), strict=True))


def test_finds_the_parabola_that_made_the_data():
    model = Parabola()
    trace = train(model, parabola_batches, mse, Sgd(model.parameters(), lr=0.05).step, epochs=60)
    torch.testing.assert_close(model.abc.detach(), torch.tensor([3.0, 2.0, 1.0]), rtol=0, atol=1e-3)
    assert len(trace.losses) == 60 * 3
    assert trace.losses[-1] < 1e-5 < trace.losses[0]


def test_any_optimizer_fits():
    model = Parabola()
    adam = AdamW(model.parameters(), lr=0.1, weight_decay=0.0)
    train(model, parabola_batches, mse, lambda step: adam.step(), epochs=200)
    torch.testing.assert_close(model.abc.detach(), torch.tensor([3.0, 2.0, 1.0]), rtol=0, atol=0.05)


def net() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def column_batches(epoch: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(x[:, None], y[:, None]) for x, y in parabola_batches(epoch)]


def test_equals_the_loop_that_everyone_writes_to_the_last_bit():
    by_steps, by_hand = net(), net()
    optimizer = torch.optim.SGD(by_steps.parameters(), lr=0.01, momentum=0.9)
    train(by_steps, column_batches, nn.functional.mse_loss, lambda step: optimizer.step(), epochs=3)

    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(3):
        for x, y in column_batches(epoch):
            optimizer.zero_grad()
            nn.functional.mse_loss(by_hand(x), y).backward()
            optimizer.step()
    states = by_steps.state_dict(), by_hand.state_dict()
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_sgd_equals_torchs():
    ours, theirs = net().double(), net().double()
    twin = Sgd(ours.parameters(), lr=0.1)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(10):
        for model in (ours, theirs):
            model.zero_grad()
            x = torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None]
            mse(model(x), x * x).backward()
        twin.step()
        optimizer.step()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-12, atol=1e-14)


def test_step_is_told_how_many_were_made():
    model, seen = Parabola(), []
    train(model, parabola_batches, mse, seen.append, epochs=2)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_gradients_do_not_add_up_over_batches():
    model, norms = Parabola(), []

    def look(step: int) -> None:
        assert model.abc.grad is not None
        norms.append(model.abc.grad.norm().item())  # the weights stay, so does the gradient

    same_batch = parabola_batches()[:1]
    train(model, lambda epoch: same_batch, mse, look, epochs=3)
    assert norms[0] == norms[1] == norms[2]
    assert model.abc.grad is None


def test_each_epoch_brings_its_own_order():
    asked = []

    def batches(epoch: int):
        asked.append(epoch)
        return parabola_batches(epoch)

    model = Parabola()
    train(model, batches, mse, Sgd(model.parameters(), 0.01).step, epochs=3)
    assert asked == [0, 1, 2]


def test_stops_when_asked():
    model = Parabola()
    trace = train(
        model,
        parabola_batches,
        mse,
        Sgd(model.parameters(), lr=0.05).step,
        epochs=1000,
        valid_batches=parabola_batches(99),
        stop=lambda trace: trace.valid_losses[-1] < 0.01,
    )
    assert len(trace.valid_losses) < 50
    assert trace.valid_losses[-1] < 0.01 <= trace.valid_losses[-2]
    assert all(later < earlier for earlier, later in pairwise(trace.valid_losses))


@pytest.mark.row(41)
def test_mean_loss_is_over_items_and_not_over_batches():
    model, batches = Parabola(), parabola_batches()
    assert [len(x) for x, _ in batches] == [16, 16, 8]
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    whole = mse(model(x), y).item()
    assert mean_loss(model, batches, mse) == pytest.approx(whole, rel=1e-6)
    unweighted = sum(mse(model(x), y).item() for x, y in batches) / 3
    assert abs(unweighted - whole) > 0.01


def test_measuring_leaves_the_model_as_it_was():
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mean_loss(model, column_batches(), mse)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in model.parameters())


# --- callbacks ------------------------------------------------------------------------------------


class Noted(twin.Callback):
    """Writes every event down."""

    def __init__(self) -> None:
        self.seen: list[str] = []


for event in twin.EVENTS:
    setattr(Noted, event, lambda self, learner, event=event: self.seen.append(event))


def events(*others: twin.Callback, epochs: int = 1, **options: Any) -> list[str]:
    noted, model = Noted(), Parabola()
    options = {"callbacks": [noted, *others], "valid_batches": parabola_batches(), **options}
    step = Sgd(model.parameters(), 0.01).step
    train(model, lambda epoch: parabola_batches()[:2], mse, step, epochs=epochs, **options)
    return noted.seen


BATCH = ["before_batch", "after_forward", "after_loss", "after_backward", "after_step"]


@pytest.mark.row(161)
def test_is_shorter_than_150_lines():
    assert twin.__file__ is not None
    assert len(Path(twin.__file__).read_text("utf-8").splitlines()) < 150


@pytest.mark.row(161)
def test_events_come_in_the_order_that_is_written_down():
    batch = [*BATCH, "after_batch"]
    epoch = ["before_epoch", *batch, *batch, "after_epoch"]
    assert events(epochs=2) == ["before_fit", *epoch, *epoch, "after_fit"]
    real = [event for event in dt.train.callback.EVENTS if event in twin.EVENTS]
    assert sorted(real) == sorted(twin.EVENTS)  # the real loop has each of them, and some more


class Leaving(twin.Callback):
    """Raises at the second batch."""

    def __init__(self, way: type[Exception]) -> None:
        self.way = way

    def after_backward(self, learner: twin.Learner) -> None:
        if learner.step == 1:
            raise self.way


@pytest.mark.row(161)
@pytest.mark.parametrize("level", ["Batch", "Epoch", "Fit"])
def test_a_batch_an_epoch_or_the_fit_is_left_before_its_step(level: str):
    way = getattr(twin, f"Cancel{level}")
    seen = events(Leaving(way), epochs=2)
    first = ["before_fit", "before_epoch", *BATCH, "after_batch"]
    whole = ["before_epoch", *[*BATCH, "after_batch"] * 2, "after_epoch"]
    rest = {
        "Batch": ["after_batch", "after_epoch", *whole],
        "Epoch": ["after_epoch", "before_epoch", *BATCH[:-1], "after_cancel", "after_epoch"],
        "Fit": [],
    }[level]
    assert seen == [*first, *BATCH[:-1], "after_cancel", *rest, "after_fit"]


@pytest.mark.row(161)
def test_an_error_ends_the_fit_and_after_fit_still_comes():
    class Broken(twin.Callback):
        def after_loss(self, learner: twin.Learner) -> None:
            raise RuntimeError("no paper left")

    noted, model = Noted(), Parabola()
    with pytest.raises(RuntimeError, match="no paper left"):
        train(
            model, parabola_batches, mse, Sgd(model.parameters(), 0.01).step, epochs=1,
            callbacks=[noted, Broken()],
        )  # fmt: skip
    assert noted.seen[-2:] == ["after_loss", "after_fit"]
    assert torch.equal(model.abc, torch.ones(3))


@pytest.mark.row(161)
def test_a_name_that_is_no_event_is_refused_when_the_callback_is_written():
    with pytest.raises(TypeError) as caught:

        class Misspelt(twin.Callback):
            def after_bacth(self, learner: twin.Learner) -> None:
                pass

    assert str(caught.value) == f"`Misspelt.after_bacth` is no event. There are {twin.EVENTS}."


@pytest.mark.row(161)
@pytest.mark.parametrize(
    ("event", "what"),
    [("before_batch", "inputs"), ("after_forward", "preds"), ("after_loss", "loss")],
)
def test_what_a_callback_changes_is_what_goes_on(event: str, what: str):
    class Halve(twin.Callback):
        pass

    def halve(self: twin.Callback, learner: twin.Learner) -> None:
        setattr(learner, what, getattr(learner, what) / 2)

    setattr(Halve, event, halve)
    x, y = torch.linspace(-1, 1, 8), torch.linspace(0, 2, 8)
    model, expected = Parabola(), Parabola()
    step = Sgd(model.parameters(), 0.1).step
    train(model, lambda epoch: [(x, y)], mse, step, epochs=1, callbacks=[Halve()])
    preds = expected(x / 2 if what == "inputs" else x)
    loss = mse(preds / 2 if what == "preds" else preds, y)
    (gradient,) = torch.autograd.grad(loss / 2 if what == "loss" else loss, expected.abc)
    torch.testing.assert_close(model.abc, expected.abc - 0.1 * gradient, atol=1e-7, rtol=1e-6)


# --- the real loop, with all that hangs on it -----------------------------------------------------


class Cycle(twin.Callback):
    """One cycle of rate and momentum."""

    def __init__(self, optimizer: torch.optim.Optimizer, max_lr: float, steps: int) -> None:
        self.optimizer, self.max_lr, self.steps = optimizer, max_lr, steps

    def before_batch(self, learner: twin.Learner) -> None:
        done = learner.step / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = self.max_lr * schedules.one_cycle(done)
            group["betas"] = (schedules.one_cycle_momentum(done), group["betas"][1])


class Drawn(twin.Callback):
    """What dropout draws is a function of the seed and the step."""

    def before_batch(self, learner: twin.Learner) -> None:
        set_generators(42, "step", learner.step)


class Clip(twin.Callback):
    """No step is longer than a bound."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def after_backward(self, learner: twin.Learner) -> None:
        nn.utils.clip_grad_norm_(self.parameters, 0.5)


class SkipThird(twin.Callback):
    """The third batch is left."""

    def after_loss(self, learner: twin.Learner) -> None:
        if learner.step == 2:
            raise twin.CancelBatch


class RealSkipThird(dt.Callback):
    def after_loss(self, state: Any) -> None:
        if state.step == 2:
            raise dt.CancelBatch


@pytest.mark.row(161)
def test_with_cycle_dropout_clipping_and_a_batch_left_the_weights_are_the_real_loops_to_the_bit():
    ours, theirs = blob_net(dropout=0.3), blob_net(dropout=0.3)
    real = dt.Learner(ours, blob_loaders(), "cross_entropy", seed=42, progress=False)
    real.fit_one_cycle(3, 0.1, callbacks=[ClipGradients(0.5), RealSkipThird()])

    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.99), eps=1e-5, fused=True,
    )  # fmt: skip
    loaders = blob_loaders()

    def batches(epoch: int) -> Any:
        loaders.train.set_epoch(epoch)
        return loaders.train

    steps = 3 * len(loaders.train)
    with preserved():
        found = train(
            theirs, batches, nn.functional.cross_entropy, lambda step: optimizer.step(), epochs=3,
            valid_batches=loaders.valid,
            callbacks=[Cycle(optimizer, 0.1, steps), Drawn(), SkipThird(), Clip(optimizer)],
        )  # fmt: skip
    assert len(found.losses) == steps - 1
    assert store.weights_sha256(theirs.state_dict()) == store.weights_sha256(ours.state_dict())
    assert [row["valid_loss"] for row in real.history] == pytest.approx(
        found.valid_losses, rel=1e-6
    )
