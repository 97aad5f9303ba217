"""Mixup and CutMix in a fit: what they draw, what they leave alone, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import drivetrain as dt
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.train import loop
from drivetrain.train.callbacks.accumulate import Accumulate
from drivetrain.train.callbacks.cutmix import CutMix
from drivetrain.train.callbacks.mixed_precision import MixedPrecision
from drivetrain.train.callbacks.mixup import Mixup
from drivetrain.train.state import FitState
from tests.train.callbacks.cutting import (
    assert_same,
    cut_and_resumed,
    fit_state,
    history,
    loaders,
    pictures,
    sha,
)


class Batches(dt.Callback):
    """What the model is shown in each step, and the loss it is trained on."""

    def __init__(self) -> None:
        self.inputs: list[torch.Tensor] = []
        self.targets: list[torch.Tensor] = []
        self.shares: list[float] = []
        self.losses: list[float] = []

    def after_forward(self, state: FitState) -> None:
        self.inputs.append(state.args[0].clone())
        self.targets.append(state.targets.clone())
        mixing = next(one for one in state.callbacks if isinstance(one, Mixup | CutMix))
        self.shares.extend(mixing._shares.tolist())

    def after_loss(self, state: FitState) -> None:
        self.losses.append(state.loss.item())


def seen(callback: dt.Callback, **fit: Any) -> Batches:
    batches = Batches()
    loop.fit(fit_state(callback, batches, **fit))
    return batches


@pytest.mark.parametrize("make", [Mixup, CutMix])
def test_draws_are_functions_of_seed_and_step(make: Any) -> None:
    one, two, other = seen(make()), seen(make()), Batches()
    state = fit_state(make(), other)
    state.seed = 7
    loop.fit(state)
    assert one.shares == two.shares != other.shares
    assert all(torch.equal(a, b) for a, b in zip(one.inputs, two.inputs, strict=True))
    assert len(set(one.shares)) > 10  # a new one each step; CutMix has few sizes of boxes


@pytest.mark.parametrize("make", [Mixup, CutMix])
def test_nothing_global_is_drawn_from(make: Any) -> None:
    torch_state = torch.get_rng_state()
    callback = make()
    state = fit_state(callback)
    state.batch = next(iter(state.loaders.train))
    callback.before_batch(state)
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_shares_of_mixup_have_the_spread_of_the_beta_distribution() -> None:
    for alpha in (0.2, 0.4, 2.0):
        shares = torch.tensor(seen(Mixup(alpha, per_item=True), epochs=20).shares)
        assert len(shares) == 20 * 96
        assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
        assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@pytest.mark.parametrize("make", [Mixup, CutMix])
def test_validation_sees_items_and_targets_as_they_are(make: Any) -> None:
    class Validated(dt.Callback):
        found: Any = None

        def after_validate(self, state: FitState) -> None:
            plain = loop.evaluate(state.model, state.loaders.valid, state.loss_fn)
            self.found = plain.loss, state.evaluation.loss

    check = Validated()
    state = fit_state(make(), check)
    before = [tensor.clone() for tensor in state.loaders.train.data.tensors]
    loop.fit(state)
    assert check.found[0] == check.found[1]
    after = state.loaders.train.data.tensors
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_training_loss_is_the_one_that_is_trained_on() -> None:
    state = fit_state(Mixup(), batches := Batches())
    loop.fit(state)
    first = sum(loss * n for loss, n in zip(batches.losses, [20] * 4 + [16], strict=False)) / 96
    assert history(state)[0]["train_loss"] == pytest.approx(first)


def test_a_small_alpha_changes_next_to_nothing() -> None:
    batches = seen(Mixup(1e-6))
    assert all(share in (0.0, 1.0) or min(share, 1 - share) < 1e-6 for share in batches.shares)


@pytest.mark.parametrize("form", ["tuple", "two inputs", "dict"])
def test_all_inputs_of_a_batch_are_mixed_alike(form: str) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 3)
            self.seen: list[Any] = []

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            self.seen.append((x, y))
            return self.layer(x + y)

    x, targets = loaders().train.data.tensors
    batch: Any = {"x": x, "y": 2 * x, "labels": targets} if form == "dict" else (x, 2 * x, targets)
    if form == "tuple":
        batch = (x, targets)
    model = nn.Linear(2, 3) if form == "tuple" else Two()
    state = fit_state(Mixup(1.0), model=model, loaders=dt.Loaders([batch]), epochs=1, scheduled=False,
                      make_optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1))  # fmt: skip
    loop.fit(state)
    if form != "tuple":
        first, second = model.seen[0]
        torch.testing.assert_close(second, 2 * first)
        assert not torch.equal(first, x)
    assert history(state)[0]["train_loss"] > 0


@pytest.mark.parametrize("make", [Mixup, CutMix])
@pytest.mark.parametrize("moment", [("batch", k) for k in range(1, 15, 3)])
def test_a_cut_fit_goes_on_to_the_same_bits(make: Any, moment: Any) -> None:
    def build() -> FitState:
        return fit_state(make(), Accumulate(3), MixedPrecision())

    whole = build()
    loop.fit(whole)
    assert_same(cut_and_resumed(build, moment), whole)


def test_mixed_precision_scales_the_mixed_loss() -> None:
    plain, scaled = fit_state(Mixup()), fit_state(Mixup(), MixedPrecision("float16"))
    loop.fit(plain)
    loop.fit(scaled)
    pairs = zip(history(plain), history(scaled), strict=True)
    assert all(b["valid_loss"] == pytest.approx(a["valid_loss"], rel=0.05) for a, b in pairs)


def test_pictures_are_learnt_from_mixtures() -> None:
    for make in (Mixup, CutMix):
        data = dt.TensorData(*pictures())
        loader = dt.BatchLoader(data, batch_size=16, shuffle=True)
        learner = dt.Learner(
            fit_state(CutMix()).model, (loader, loader), metrics=["accuracy"], progress=False
        )
        learner.fit_one_cycle(8, 0.02, callbacks=[make()])
        assert learner.history[-1]["accuracy"] > 0.9


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), "0.4", True])
@pytest.mark.parametrize("make", [Mixup, CutMix])
def test_alpha_must_be_above_0(make: Any, alpha: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        make(alpha)
    assert str(caught.value) == f"`{make.__name__}` needs `alpha` above 0. Got {alpha!r}."


def test_whole_numbers_are_not_mixed() -> None:
    words = torch.arange(96).reshape(96, 1)
    model = nn.Sequential(nn.Embedding(96, 4), nn.Flatten(), nn.Linear(4, 3))
    state = fit_state(Mixup(), model=model, loaders=dt.Loaders([(words, torch.arange(96) % 3)]))
    with pytest.raises(ShapeError) as caught:
        loop.fit(state)
    assert str(caught.value) == (
        "`Mixup` got an input of int64, expected floats: the numbers of words or categories have "
        "nothing between them. Leave it out for this model."
    )


def test_cutmix_needs_pictures() -> None:
    with pytest.raises(ShapeError) as caught:
        loop.fit(fit_state(CutMix(), loaders=loaders()))
    assert str(caught.value) == (
        "`CutMix` got inputs of shape (20, 2), expected pictures (B, C, height, width) of one size. "
        "For other inputs there is `Mixup`."
    )


def test_an_input_without_items_is_refused() -> None:
    state = fit_state(Mixup(), loaders=dt.Loaders([(torch.tensor(1.0), torch.zeros(3))]))
    with pytest.raises(
        ShapeError, match=r"^`Mixup` got an input of \(\), expected tensors of shape "
    ):
        loop.fit(state)


def test_it_leaves_no_trace() -> None:
    callback = Mixup()
    loop.fit(fit_state(callback))
    assert not callback._partners.numel() and not callback._shares.numel()
    plain, again = fit_state(), fit_state()
    loop.fit(plain)
    loop.fit(again)
    assert sha(plain) == sha(again)
