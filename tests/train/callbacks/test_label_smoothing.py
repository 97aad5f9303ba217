"""LabelSmoothing: in training alone, and for cross-entropy alone."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.losses import cross_entropy, mse, soft_cross_entropy
from drivetrain.reference import losses as twin
from drivetrain.train import loop
from drivetrain.train.callback import CancelBatch, CancelEpoch
from drivetrain.train.callbacks.label_smoothing import LabelSmoothing
from drivetrain.train.callbacks.mixup import Mixup
from drivetrain.train.state import FitState
from tests.train.callbacks.cutting import assert_same, cut_and_resumed, fit_state, history, sha


class Look(dt.Callback):
    """The loss of each batch, with what it was computed from."""

    order = 1

    def __init__(self) -> None:
        self.seen: list[tuple[float, torch.Tensor, torch.Tensor]] = []

    def after_loss(self, state: FitState) -> None:
        self.seen.append((state.loss.item(), state.preds.detach().clone(), state.targets))


def fit_with(loss_fn: Any, *callbacks: dt.Callback) -> FitState:
    state = fit_state(*callbacks)
    state.loss_fn = loss_fn
    loop.fit(state)
    return state


def test_the_training_loss_is_the_smoothed_one_of_the_twin() -> None:
    look = Look()
    fit_with(cross_entropy, LabelSmoothing(0.2), look)
    assert len(look.seen) == 15
    for loss, preds, targets in look.seen[::4]:
        by_hand = twin.soft_cross_entropy(preds, twin.smoothed(targets, 3, 0.2))
        assert loss == pytest.approx(float(by_hand), rel=1e-5)


@pytest.mark.parametrize(
    "loss_fn",
    [
        cross_entropy,
        soft_cross_entropy,
        F.cross_entropy,
        nn.CrossEntropyLoss(),
        functools.partial(cross_entropy, label_smoothing=0.0),
    ],
)
def test_validation_keeps_the_plain_loss_and_the_fit_gives_it_back(loss_fn: Any) -> None:
    state = fit_with(loss_fn, LabelSmoothing(0.2))
    assert state.loss_fn is loss_fn
    plain = loop.evaluate(state.model, state.loaders.valid, cross_entropy)
    assert history(state)[-1]["valid_loss"] == pytest.approx(plain.loss)
    assert sha(state) == sha(fit_with(functools.partial(cross_entropy, label_smoothing=0.2)))


def test_class_weights_stay() -> None:
    weights = torch.tensor([1.0, 2.0, 5.0])
    ours = fit_with(nn.CrossEntropyLoss(weight=weights), LabelSmoothing(0.1))
    assert sha(ours) == sha(fit_with(nn.CrossEntropyLoss(weight=weights, label_smoothing=0.1)))


def test_no_smoothing_changes_no_bit() -> None:
    assert sha(fit_with(cross_entropy, LabelSmoothing(0.0))) == sha(fit_with(cross_entropy))


def test_with_mixup_both_targets_are_smoothed() -> None:
    both = fit_with(cross_entropy, LabelSmoothing(0.2), Mixup())
    by_loss = fit_with(functools.partial(cross_entropy, label_smoothing=0.2), Mixup())
    assert sha(both) == sha(by_loss)


@pytest.mark.parametrize("cancel", [CancelBatch, CancelEpoch, RuntimeError])
def test_whatever_is_cancelled_the_plain_loss_comes_back(cancel: Any) -> None:
    class Stop(dt.Callback):
        def after_backward(self, state: FitState) -> None:
            if state.step in (2, 6):
                raise cancel

    state = fit_state(LabelSmoothing(0.2), Stop(), look := Look())
    plain = state.loss_fn
    if cancel is RuntimeError:
        with pytest.raises(RuntimeError):
            loop.fit(state)
    else:
        loop.fit(state)
    assert state.loss_fn is plain
    for loss, preds, targets in look.seen:  # after a cancelled batch too
        assert loss == pytest.approx(float(F.cross_entropy(preds, targets, label_smoothing=0.2)))


@pytest.mark.parametrize("moment", [("batch", 3), ("batch", 5), ("epoch", 1), ("valid", 1)])
def test_a_cut_fit_goes_on_to_the_same_bits(moment: Any) -> None:
    whole = fit_with(cross_entropy, LabelSmoothing(0.3))
    found = cut_and_resumed(lambda: fit_state(LabelSmoothing(0.3)), moment)
    assert_same(found, whole)


@pytest.mark.parametrize("loss_fn", [mse, nn.MSELoss(), functools.partial(mse)])
def test_another_loss_is_refused_by_its_name(loss_fn: Any) -> None:
    name = "MSELoss" if isinstance(loss_fn, nn.Module) else "mse"
    with pytest.raises(ConfigError) as caught:
        fit_with(loss_fn, LabelSmoothing())
    assert str(caught.value) == (
        f"`LabelSmoothing` is for cross-entropy, and the loss is `{name}`. Leave `LabelSmoothing` out, "
        'or where the targets are classes use the loss "cross_entropy".'
    )


@pytest.mark.parametrize(
    "loss_fn",
    [
        functools.partial(cross_entropy, label_smoothing=0.1),
        nn.CrossEntropyLoss(label_smoothing=0.1),
    ],
)
def test_a_loss_that_smooths_already_is_refused(loss_fn: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        fit_with(loss_fn, LabelSmoothing())
    assert str(caught.value) == (
        "`LabelSmoothing` got a loss that smooths by 0.1 itself, in validation too. "
        "Choose one of the two."
    )


@pytest.mark.parametrize("smoothing", [-0.1, 1, 1.5, "0.1"])
def test_smoothing_is_a_share(smoothing: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        LabelSmoothing(smoothing)
    assert str(caught.value) == (
        f"`LabelSmoothing` needs `smoothing` of at least 0 and below 1. Got {smoothing!r}."
    )
