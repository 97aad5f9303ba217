"""EMA beside its twin: what is averaged, what is validated, and what the model has in the end."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.reference.averaging import averaged, shares
from drivetrain.train import loop
from drivetrain.train.callbacks.ema import EMA
from tests.train.callbacks.cutting import fit_state, history, sha


class Weights(dt.Callback):
    """Copies of the weights: before the first step and after each, and of each validation."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []
        self.validated: list[dict[str, Tensor]] = []

    def _copy(self, state: Any) -> dict[str, Tensor]:
        return copy.deepcopy(state.model.state_dict())

    def before_fit(self, state: Any) -> None:
        self.steps, self.validated = [self._copy(state)], []

    def after_step(self, state: Any) -> None:
        self.steps.append(self._copy(state))

    def after_validate(self, state: Any) -> None:
        self.validated.append(self._copy(state))


def names(state: Any) -> list[str]:
    return [name for name, _ in state.model.named_parameters()]


@pytest.mark.parametrize("warmup", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.999])
def test_the_average_equals_its_twin(decay: float, warmup: bool) -> None:
    look, ema = Weights(), EMA(decay, warmup=warmup)
    state = fit_state(look, ema)
    loop.fit(state)
    assert ema.updates == 15
    for name in names(state):
        expected = averaged([step[name] for step in look.steps], decay, warmup).float()
        torch.testing.assert_close(ema.average[name], expected, atol=1e-6, rtol=1e-5)
        assert torch.equal(state.model.state_dict()[name], ema.average[name])


def test_at_the_beginning_it_is_the_plain_mean_of_all_steps() -> None:
    look, ema = Weights(), EMA(0.999)
    state = fit_state(look, ema)
    loop.fit(state)
    for name in names(state):
        mean = torch.stack([step[name] for step in look.steps[1:]]).mean(dim=0)
        torch.testing.assert_close(ema.average[name], mean, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.99])
@pytest.mark.parametrize("warmup", [True, False])
def test_the_shares_of_the_twin_add_up_to_one(decay: float, warmup: bool) -> None:
    for steps in (1, 2, 50):
        assert sum(shares(steps, decay, warmup)) == pytest.approx(1.0)
        assert shares(steps, decay, True)[0] == 0.0


def test_training_is_the_same_with_and_without_it() -> None:
    alone, beside = Weights(), Weights()
    loop.fit(fit_state(alone))
    loop.fit(fit_state(beside, EMA(0.9)))
    assert len(alone.steps) == len(beside.steps)
    for ours, theirs in zip(beside.steps, alone.steps, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_average_is_what_is_validated() -> None:
    look, ema = Weights(), EMA(0.8)
    state = fit_state(look, ema)
    loop.fit(state)
    for epoch, row in enumerate(history(state)):
        steps = look.steps[: 5 * (epoch + 1) + 1]
        for name in names(state):
            expected = averaged([step[name] for step in steps], 0.8, True).float()
            torch.testing.assert_close(look.validated[epoch][name], expected, atol=1e-6, rtol=1e-5)
        state.model.load_state_dict(look.validated[epoch])
        assert state.loaders.valid is not None
        assert (
            loop.evaluate(state.model, state.loaders.valid, state.loss_fn).loss
            == (row["valid_loss"])
        )


class Raise(dt.Callback):
    order = 1000

    def __init__(self, event: str, what: BaseException, interrupted: int | None = None) -> None:
        self.what, self.interrupted = what, interrupted
        self.event = event

    def _raise(self, event: str, state: Any) -> None:
        if event == self.event and state.epochs_done >= 1:
            state.interrupted = self.interrupted
            raise self.what

    def after_batch(self, state: Any) -> None:
        self._raise("after_batch", state)

    def after_valid_batch(self, state: Any) -> None:
        self._raise("after_valid_batch", state)


@pytest.mark.parametrize("event", ["after_batch", "after_valid_batch"])
@pytest.mark.parametrize(
    ("what", "signal", "takes_average"),
    [
        (dt.CancelFit(), None, True),
        (dt.CancelFit(), 15, False),
        (OSError("full"), None, False),
    ],
    ids=["cancelled", "signal", "error"],
)
def test_the_model_takes_the_average_only_where_the_fit_is_over(
    event: str, what: BaseException, signal: int | None, takes_average: bool
) -> None:
    look, ema = Weights(), EMA(0.8)
    state = fit_state(look, ema, Raise(event, what, signal))
    with pytest.raises(OSError, match=r"^full$") if isinstance(what, OSError) else nullcontext():
        loop.fit(state)
    found = state.model.state_dict()
    expected = ema.average if takes_average else look.steps[-1]
    for name in names(state):
        assert torch.equal(found[name], expected[name]), name
        assert not torch.equal(ema.average[name], look.steps[-1][name])


def test_frozen_parameters_and_buffers_are_those_of_training() -> None:
    look, ema = Weights(), EMA(0.8)
    state = fit_state(look, ema)
    state.model[0].requires_grad_(False)
    loop.fit(state)
    assert [name.split(".")[0] for name in ema.average] == ["1", "1", "4", "4"]
    found = state.model.state_dict()
    for name in ("0.weight", "0.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert torch.equal(found[name], look.steps[-1][name]), name


def test_a_second_fit_begins_a_new_average() -> None:
    ema = EMA(0.999)
    first = fit_state(ema)
    loop.fit(first)
    second = fit_state(ema, model=first.model, epochs=1)
    loop.fit(second)
    assert ema.updates == 5


def test_in_a_learner_the_model_that_is_kept_is_the_average(tmp_path: Any) -> None:
    ema = EMA(0.8)
    state = fit_state()
    trained = dt.Learner(
        state.model, state.loaders, callbacks=[ema], progress=False, out=tmp_path / "run"
    )
    trained.fit(2, 0.02)
    fresh = fit_state()
    kept = dt.Learner(fresh.model, fresh.loaders, progress=False)
    kept.load(tmp_path / "run")
    assert sha(fresh) == sha(state)
    assert torch.equal(fresh.model.state_dict()["0.weight"], ema.average["0.weight"])


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan"), "0.9"])
def test_a_wrong_decay_is_answered(decay: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        EMA(decay)
    assert str(caught.value) == f"`EMA` needs `decay` of at least 0 and below 1. Got {decay!r}."
