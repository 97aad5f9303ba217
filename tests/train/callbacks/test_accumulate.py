"""Accumulate: several batches are one, in gradients and steps, and need less memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.randomness import seeded
from drivetrain.train import loop
from drivetrain.train.callbacks.accumulate import Accumulate
from tests.train.blobs import blobs
from tests.train.callbacks.cutting import fit_state, history, sha


def plain_net(width: int = 16) -> nn.Module:
    """Without batchnorm and dropout: each item is on its own."""
    with seeded(5, "test"):
        return nn.Sequential(
            nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)
        )


class Gradients(dt.Callback):
    def __init__(self) -> None:
        self.seen: list[list[Tensor]] = []

    def before_step(self, state: Any) -> None:
        self.seen.append([p.grad.clone() for p in state.model.parameters()])


def gradients(batch_size: int, steps: int, count: int = 64) -> tuple[Gradients, Any]:
    look = Gradients()
    loader = dt.BatchLoader(dt.TensorData(*blobs(count)), batch_size=batch_size, shuffle=True)
    callbacks = [look] if steps == 1 else [look, Accumulate(steps)]
    state = fit_state(*callbacks, model=plain_net(), loaders=dt.Loaders(loader), epochs=1)
    loop.fit(state)
    return look, state


@pytest.mark.row(111)
def test_four_batches_of_16_have_the_gradient_of_one_of_64() -> None:
    one, whole = gradients(64, 1)
    four, parts = gradients(16, 4)
    assert len(one.seen) == len(four.seen) == 1
    for expected, found in zip(one.seen[0], four.seen[0], strict=True):
        torch.testing.assert_close(found, expected, atol=4e-7, rtol=0)
    losses = [history(state)[0]["train_loss"] for state in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # it is recorded unscaled


@pytest.mark.row(111)
@pytest.mark.parametrize(
    ("batch_size", "steps", "count"), [(20, 4, 64), (20, 10, 64), (7, 3, 21), (60, 2, 64)]
)
def test_uneven_batches_weigh_what_they_hold(batch_size: int, steps: int, count: int) -> None:
    one, _ = gradients(count, 1, count)
    uneven, state = gradients(batch_size, steps, count)
    assert len(uneven.seen) == 1
    assert not state.pending
    for expected, found in zip(one.seen[0], uneven.seen[0], strict=True):
        torch.testing.assert_close(found, expected, atol=4e-7, rtol=0)


def test_what_the_epochs_end_cuts_short_makes_its_own_step() -> None:
    look, state = gradients(16, 3)  # 3 + 1 batches
    _, alone = gradients(16, 1)
    assert len(look.seen) == 2
    assert state.step == alone.step == 4
    assert sha(state) != sha(alone)


def test_one_batch_a_step_changes_no_bit() -> None:
    plain, ours = fit_state(), fit_state(Accumulate(1))
    loop.fit(plain)
    loop.fit(ours)
    assert sha(ours) == sha(plain)


def test_other_callbacks_see_the_loss_as_it_is_and_every_backward() -> None:
    seen: list[float] = []
    backward: list[int] = []

    class Look(dt.Callback):
        def after_loss(self, state: Any) -> None:
            plain = state.loss_fn(state.preds, state.targets)
            seen.append((state.loss - plain).item())

        def after_backward(self, state: Any) -> None:
            backward.append(state.step)

    loop.fit(fit_state(Look(), Accumulate(4), epochs=1))
    assert seen == [0.0] * 5
    assert backward == [0, 1, 2, 3, 4]


def test_gradients_are_the_mean_over_the_group_at_any_moment() -> None:
    at: list[list[Tensor]] = []

    class Look(dt.Callback):
        def after_backward(self, state: Any) -> None:
            at.append([p.grad.clone() for p in state.model.parameters()])

    inputs, targets = blobs(60)
    loader = dt.BatchLoader(dt.TensorData(inputs, targets), batch_size=25)
    loop.fit(
        fit_state(Look(), Accumulate(3), model=plain_net(), loaders=dt.Loaders(loader), epochs=1)
    )
    for end, found in zip((25, 50, 60), at, strict=True):
        model = plain_net()
        nn.functional.cross_entropy(model(inputs[:end]), targets[:end]).backward()
        for parameter, gradient in zip(model.parameters(), found, strict=True):
            torch.testing.assert_close(gradient, parameter.grad, atol=4e-7, rtol=0)


@pytest.mark.parametrize(
    ("cancel", "expected"),
    # Batch 1 is left out, and the gradients of batch 0 with it. Then come 2, 3, 4 and a new epoch;
    # or a new epoch at once, with the groups 1, 2, 3 and 4, 5.
    [(dt.CancelBatch, [4, 7, 10]), (dt.CancelEpoch, [3, 6])],
)
def test_a_cancel_begins_a_new_group(cancel: type[Exception], expected: list[int]) -> None:
    steps: list[int] = []

    class Once(dt.Callback):
        def before_batch(self, state: Any) -> None:
            if state.step == 1 and not steps and state.batches_done == 1:
                raise cancel

        def after_step(self, state: Any) -> None:
            steps.append(state.step)

    loop.fit(fit_state(Once(), Accumulate(3), epochs=2))
    assert steps == expected


@pytest.mark.row(111)
def test_peak_memory_falls() -> None:
    def peak(batch_size: int, steps: int) -> int:
        """The most bytes that a backward pass keeps alive."""
        loader = dt.BatchLoader(dt.TensorData(*blobs(64)), batch_size=batch_size)
        model = plain_net(64)
        own = {parameter.data_ptr() for parameter in model.parameters()}
        kept: dict[int, int] = {}
        peaks: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in own:
                kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        class Count(dt.Callback):
            def after_backward(self, state: Any) -> None:
                peaks.append(sum(kept.values()))
                kept.clear()

        state = fit_state(
            Count(), Accumulate(steps), model=model, loaders=dt.Loaders(loader), epochs=1
        )
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loop.fit(state)
        return max(peaks)

    assert peak(16, 4) < 0.3 * peak(64, 1)


def test_a_wrong_number_is_answered() -> None:
    with pytest.raises(ConfigError) as caught:
        Accumulate(0)
    assert str(caught.value) == "`Accumulate` needs `steps` as a whole number of 1 or more. Got 0."
