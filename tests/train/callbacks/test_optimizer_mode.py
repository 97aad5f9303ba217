"""OptimizerMode: which weights an optimizer with two kinds shows, and when."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import drivetrain as dt
from drivetrain.optim.optimizers import optimizer
from drivetrain.train import loop
from drivetrain.train.callbacks.optimizer_mode import OptimizerMode
from drivetrain.train.callbacks.save_best import SaveBest
from tests.train.callbacks.cutting import (
    FEW,
    assert_same,
    cut_and_resumed,
    fit_state,
    history,
    sha,
)


class TwoWeights(torch.optim.SGD):
    """Trains at w and answers with half of it; its groups count steps and know their mode."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        self.calls: list[str] = []
        for group in self.param_groups:
            group.update(count=0, training=True, note="not a number")

    def _move(self, name: str, training: bool, factor: float) -> None:
        self.calls.append(name)
        for group in self.param_groups:
            if group["training"] != training:
                group["training"] = training
                for parameter in group["params"]:
                    parameter.data.mul_(factor)

    def train(self) -> None:
        self._move("train", True, 2.0)

    def eval(self) -> None:
        self._move("eval", False, 0.5)

    def step(self, closure: Any = None) -> None:
        assert all(group["training"] for group in self.param_groups)
        for group in self.param_groups:
            group["count"] += 1
            group["lr"] = 0.1 / group["count"]
        super().step(closure)


def two_weights(model: nn.Module) -> TwoWeights:
    return TwoWeights(model.parameters())


class Note(dt.Callback):
    order = 99

    def before_validate(self, state: Any) -> None:
        state.optimizer.calls.append("validate")

    def after_epoch(self, state: Any) -> None:
        state.optimizer.calls.append("saved")


def test_it_trains_in_one_mode_and_validates_and_ends_in_the_other() -> None:
    state = fit_state(OptimizerMode(), Note(), make_optimizer=two_weights, epochs=2)
    state.schedule = None
    loop.fit(state)
    epoch = ["train", "eval", "validate", "train", "saved"]
    assert state.optimizer.calls == [*epoch, *epoch, "eval"]
    assert not state.optimizer.param_groups[0]["training"]


@pytest.mark.parametrize("what", [dt.CancelEpoch, dt.CancelFit])
def test_after_a_cut_validation_it_trains_again(what: type[Exception]) -> None:
    class Cut(dt.Callback):
        def after_valid_batch(self, state: Any) -> None:
            raise what

    state = fit_state(OptimizerMode(), Cut(), make_optimizer=two_weights, epochs=2)
    state.schedule = None
    loop.fit(state)
    assert not state.optimizer.param_groups[0]["training"]
    assert state.optimizer.calls[:3] == ["train", "eval", "train"]


def test_a_fit_that_is_cut_goes_on_to_the_same_bits() -> None:
    def make() -> Any:
        state = fit_state(OptimizerMode(), SaveBest(), make_optimizer=two_weights)
        state.schedule = None
        return state

    whole = make()
    loop.fit(whole)
    for moment in FEW:
        found = cut_and_resumed(make, moment)
        assert found is not None
        assert_same(found, whole)
        assert found.optimizer.param_groups[0]["count"] == 15


def test_an_optimizer_with_one_kind_of_weights_is_left_alone() -> None:
    plain, ours = fit_state(), fit_state(OptimizerMode())
    loop.fit(plain)
    loop.fit(ours)
    assert sha(ours) == sha(plain)


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_schedule_free_optimizers_validate_their_average_and_resume(name: str) -> None:
    def make() -> Any:
        return fit_state(
            OptimizerMode(),
            make_optimizer=lambda model: optimizer(name, lr=0.05)(model.parameters()),
            scheduled=False,
        )

    whole = make()
    loop.fit(whole)
    row = history(whole)[-1]
    assert whole.loaders.valid is not None
    again = loop.evaluate(whole.model, whole.loaders.valid, whole.loss_fn)
    assert again.loss == row["valid_loss"]  # the model ends with what was validated
    for moment in FEW:
        found = cut_and_resumed(make, moment)
        assert found is not None
        assert_same(found, whole)
