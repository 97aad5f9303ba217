"""MixedPrecision: what is 16 bits and what is not, and what happens where float16 overflows."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.losses import cross_entropy
from drivetrain.randomness import seeded
from drivetrain.train import loop
from drivetrain.train.callbacks.accumulate import Accumulate
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.train.callbacks.mixed_precision import MixedPrecision
from tests.train.blobs import blobs, net
from tests.train.callbacks.cutting import fit_state, history, sha

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def is_on() -> bool:
    return torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("dtype", DTYPES)
def test_layers_compute_in_16_bits_and_all_that_is_kept_has_32(dtype: str) -> None:
    layers: set[tuple[bool, torch.dtype]] = set()
    outside: list[bool] = []

    class Look(dt.Callback):
        def after_forward(self, state: Any) -> None:
            outside.append(is_on())

        def after_loss(self, state: Any) -> None:
            plain = state.loss_fn(state.preds, state.targets)
            assert torch.equal(state.loss, plain)  # not the scaled one
            assert state.preds.dtype == state.loss.dtype == torch.float32

        def before_step(self, state: Any) -> None:
            assert {p.grad.dtype for p in state.model.parameters()} == {torch.float32}

        def after_batch(self, state: Any) -> None:
            outside.append(is_on())

        def after_epoch(self, state: Any) -> None:
            outside.append(is_on())

    model = net()
    model[0].register_forward_hook(lambda m, _, out: layers.add((m.training, out.dtype)))
    state = fit_state(MixedPrecision(dtype), Look(), model=model)
    loop.fit(state)
    assert layers == {(True, DTYPES[dtype]), (False, DTYPES[dtype])}
    assert not any(outside)
    assert {t.dtype for t in model.state_dict().values()} == {torch.float32, torch.int64}
    assert model(torch.zeros(2, 2)).dtype == torch.float32
    assert not model._forward_hooks
    assert history(state)[-1]["accuracy"] == 1.0


def test_it_equals_autocast_written_by_hand_to_the_last_bit() -> None:
    inputs, targets = blobs()
    state = fit_state(
        MixedPrecision(),
        model=net(),
        loaders=dt.Loaders(dt.BatchLoader(dt.TensorData(inputs, targets), batch_size=16)),
        make_optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1),
        scheduled=False,
        epochs=2,
    )
    loop.fit(state)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        for start in range(0, 96, 16):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                outputs = model(inputs[start : start + 16])
                loss = cross_entropy(outputs, targets[start : start + 16])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    ours, theirs = state.model.state_dict(), model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def gradients_of(*callbacks: dt.Callback) -> list[Tensor]:
    seen: list[Tensor] = []

    class Look(dt.Callback):
        def before_step(self, state: Any) -> None:
            if not seen:
                seen.extend(p.grad.clone() for p in state.model.parameters())

    loop.fit(fit_state(*callbacks, Look(), model=net(), epochs=1))
    return seen


def test_scaled_gradients_are_scaled_back_before_the_step() -> None:
    for exact, found in zip(gradients_of(), gradients_of(MixedPrecision("float16")), strict=True):
        torch.testing.assert_close(found, exact, atol=2e-3, rtol=2e-2)


def test_without_the_scale_small_gradients_would_vanish_in_float16() -> None:
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x) * 1e-3) * 1e-3

    def gradient(scaled: bool) -> float:
        seen: list[float] = []
        precision = MixedPrecision("float16")

        class Look(dt.Callback):
            def before_epoch(self, state: Any) -> None:
                if not scaled:
                    precision._scaler = torch.amp.GradScaler("cpu", init_scale=1.0)

            def before_step(self, state: Any) -> None:
                seen.append(float(state.model.first.weight.grad.abs().max()))

        with seeded(6, "test"):
            model = Tiny()
        loop.fit(fit_state(precision, Look(), model=model, epochs=1))
        return max(seen)

    assert gradient(scaled=True) > 2 * gradient(scaled=False)


class Overflow(dt.Callback):
    """Makes the gradients of given batches infinite."""

    def __init__(self, *steps: int) -> None:
        self.steps = steps

    def after_backward(self, state: Any) -> None:
        if state.step in self.steps:
            state.model[0].weight.grad[0, 0] = torch.inf


def test_where_a_gradient_overflows_the_step_is_left_out_and_the_scale_halved() -> None:
    precision = MixedPrecision("float16")
    seen: list[tuple[str, str]] = []
    before: dict[str, Tensor] = {}

    class Look(dt.Callback):
        def before_batch(self, state: Any) -> None:
            before.update({n: p.detach().clone() for n, p in state.model.named_parameters()})

        def after_step(self, state: Any) -> None:
            seen.append(("step", str(state.step)))

        def after_cancel(self, state: Any) -> None:
            seen.append((state.cancelled, str(state.step)))
            for name, parameter in state.model.named_parameters():
                assert torch.equal(parameter, before[name])
                assert parameter.grad is None

    loop.fit(fit_state(precision, ClipGradients(0.5), Look(), Overflow(2), epochs=1))
    assert seen == [("step", "0"), ("step", "1"), ("batch", "2"), ("step", "3"), ("step", "4")]
    assert precision.state_dict()["scaler"]["scale"] == 2.0**15
    assert precision.state_dict()["scaler"]["_growth_tracker"] == 2


def test_an_overflow_drops_the_whole_group_of_batches_and_the_next_begins_anew() -> None:
    steps: list[int] = []

    class Look(dt.Callback):
        def after_step(self, state: Any) -> None:
            steps.append(state.step)

    # Groups of 2: 0 with 1, then 2 with the one that overflows, then 4 alone at the epoch's end.
    state = fit_state(
        MixedPrecision("float16"), Accumulate(2), Overflow(3), Look(), epochs=1, scheduled=False
    )
    loop.fit(state)
    assert steps == [1, 5]
    assert all(torch.isfinite(t).all() for t in state.model.state_dict().values())


def test_accumulated_gradients_are_those_of_one_batch_also_when_scaled() -> None:
    found = gradients_of(MixedPrecision("float16"), Accumulate(3))
    for exact, ours in zip(gradients_of(Accumulate(3)), found, strict=True):
        torch.testing.assert_close(ours, exact, atol=2e-3, rtol=2e-2)


@pytest.mark.parametrize("event", ["in the model", "before_step", "after_valid_batch"])
@pytest.mark.parametrize("what", [dt.CancelBatch, dt.CancelEpoch, ValueError])
def test_autocast_never_outlives_a_batch_that_is_cut(event: str, what: type[Exception]) -> None:
    if event == "after_valid_batch" and what is dt.CancelBatch:
        what = dt.CancelFit

    class Cut(dt.Callback):
        pass

    def cut(self: Any, state: Any) -> None:
        raise what("cut")

    model = net()
    if event == "in the model":
        model[2].register_forward_pre_hook(
            lambda layer, _: cut(None, None) if layer.training else None
        )
    else:
        setattr(Cut, event, cut)
    with pytest.raises(ValueError, match=r"^cut$") if what is ValueError else nullcontext():
        loop.fit(fit_state(MixedPrecision("float16"), Cut(), model=model, epochs=1))
    assert not is_on()
    assert not model._forward_hooks


def test_outputs_keep_their_form() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, x: Tensor) -> dict[str, Any]:
            out = self.net(x)
            return {"logits": out, "more": (out, [out]), "count": torch.tensor(3)}

    found: list[Any] = []

    class Look(dt.Callback):
        def after_forward(self, state: Any) -> None:
            found.append(state.preds)

    state = fit_state(
        MixedPrecision(),
        Look(),
        model=Two(),
        epochs=1,
        metrics=(),
    )
    state.loss_fn = lambda preds, targets: cross_entropy(preds["logits"], targets)
    loop.fit(state)
    preds = found[0]
    assert preds["logits"].dtype == preds["more"][0].dtype == torch.float32
    assert preds["more"][1][0].dtype == torch.float32
    assert type(preds["more"]) is tuple and type(preds["more"][1]) is list
    assert preds["count"].dtype == torch.int64


def test_float16_is_deterministic() -> None:
    states = [fit_state(MixedPrecision("float16")) for _ in range(2)]
    for state in states:
        loop.fit(state)
    assert sha(states[0]) == sha(states[1])


@pytest.mark.parametrize("dtype", ["half", torch.bfloat16])
def test_another_dtype_is_answered(dtype: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        MixedPrecision(dtype)
    assert str(caught.value) == (
        f"`MixedPrecision` needs `dtype` to be one of 'bfloat16', 'float16'. Got {dtype!r}."
    )
