"""StochasticDepth: deeper blocks are skipped more often, in training only, and the model is as before."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.models.resnet import ResidualBlock, ResNet, ResNetConfig
from drivetrain.randomness import seeded
from drivetrain.train import loop
from drivetrain.train.callbacks.stochastic_depth import DropPath, StochasticDepth
from drivetrain.train.state import FitState
from tests.train.callbacks.cutting import assert_same, cut_and_resumed, fit_state, loaders, sha


class Layers(dt.Callback):
    """The drop-path layers in the model during the fit."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def after_forward(self, state: FitState) -> None:
        self.rates = [m.rate for m in state.model.modules() if isinstance(m, DropPath)]
        assert all(m.training for m in state.model.modules() if isinstance(m, DropPath))


def trained(model: nn.Module, *callbacks: dt.Callback) -> Layers:
    layers = Layers()
    state = FitState(
        model=model,
        loaders=loaders(pictured=True),
        loss_fn=nn.functional.cross_entropy,
        optimizer=torch.optim.SGD(model.parameters(), 0.01),
        epochs=1,
        callbacks=[*callbacks, layers],
    )
    loop.fit(state)
    return layers


def test_rates_rise_with_depth_as_in_the_paper() -> None:
    body = ResNet(ResNetConfig(in_channels=1, stem_widths=(4,), widths=(4, 4), blocks=(2, 3)))
    model = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    layers = trained(model, StochasticDepth(0.5))
    assert layers.rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    blocks = [m for m in model.modules() if isinstance(m, ResidualBlock)]
    assert all(type(block.drop_path) is nn.Identity for block in blocks)


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet18", 8), ("convnext_atto", 12), ("vit_tiny_patch16_224", 24), ("efficientnet_b0", 16)],
)
def test_timms_models_have_places_for_it(name: str, count: int) -> None:
    options = {"img_size": 32} if name.startswith("vit") else {}
    with seeded(0, "test"):
        model = timm.create_model(name, num_classes=3, in_chans=1, **options)
    before = {n: type(m) for n, m in model.named_modules()}
    names = list(model.state_dict())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1, 32, 32, generator=generator)
    plain = model.eval()(x)
    callback = StochasticDepth(0.9)
    state = fit_state(callback, model=model)
    callback.before_fit(state)
    assert list(model.state_dict()) == names
    torch.testing.assert_close(model.eval()(x), plain, rtol=0, atol=0)
    assert sum(isinstance(m, DropPath) for m in model.modules()) == count
    assert not torch.equal(model.train()(x), plain)
    callback.after_fit(state)
    assert {n: type(m) for n, m in model.named_modules()} == before


def test_a_share_of_items_is_dropped_and_the_mean_stays() -> None:
    with seeded(3, "test"):
        kept = DropPath(0.3)(torch.ones(20000, 2, 3, 3))
    per_item = kept.flatten(1)
    assert torch.equal(per_item.min(1)[0], per_item.max(1)[0])  # an item as a whole
    assert float((per_item[:, 0] == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.015)
    assert float(kept.max()) == pytest.approx(1 / 0.7)
    x = torch.randn(4, 2)
    assert DropPath(0.3).eval()(x) is x
    assert DropPath(0.0)(x) is x


def test_a_block_that_is_skipped_is_its_shortcut() -> None:
    with seeded(1, "test"):
        block = ResidualBlock(4, 4)
        x = torch.rand(8, 4, 5, 5)
        block.drop_path = DropPath(0.999999)
        assert torch.equal(block(x), x)  # relu of what is above 0


def test_rate_0_changes_no_bit() -> None:
    plain = fit_state(model=fit_state(StochasticDepth()).model, loaders=loaders(pictured=True))
    none = fit_state(StochasticDepth(0.0))
    loop.fit(plain)
    loop.fit(none)
    assert sha(plain) == sha(none)


@pytest.mark.parametrize("moment", [("batch", 3), ("batch", 7), ("batch", 10), ("epoch", 2)])
def test_a_cut_fit_goes_on_to_the_same_bits(moment: Any) -> None:
    def build() -> FitState:
        return fit_state(StochasticDepth(0.5))

    whole = build()
    loop.fit(whole)
    assert_same(cut_and_resumed(build, moment), whole)


def test_after_an_error_the_layers_are_back() -> None:
    class Fail(dt.Callback):
        def after_forward(self, state: FitState) -> None:
            raise RuntimeError

    state = fit_state(StochasticDepth(), Fail())
    with pytest.raises(RuntimeError):
        loop.fit(state)
    assert not any(isinstance(m, DropPath) for m in state.model.modules())


def test_a_model_without_places_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        loop.fit(fit_state(StochasticDepth(), model=nn.Sequential(nn.Linear(2, 3))))
    assert str(caught.value) == (
        "`StochasticDepth` found no blocks with a `drop_path` in `Sequential`. Drivetrain's residual "
        "nets have them, as have timm's resnet, convnext, efficientnet, vit and swin among others. Leave "
        "it out, or give your blocks a layer `drop_path = nn.Identity()` at the end of their residual "
        "branch."
    )


@pytest.mark.parametrize("rate", [-0.1, 1, 2.0, None])
def test_rate_is_a_share(rate: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        StochasticDepth(rate)
    assert str(caught.value) == (
        f"`StochasticDepth` needs `rate` of at least 0 and below 1. Got {rate!r}."
    )
