"""ActivationStats: the numbers of each layer over the steps, and what they show of a net that dies."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.randomness import seeded
from drivetrain.train import loop
from drivetrain.train.callbacks.accumulate import Accumulate
from drivetrain.train.callbacks.activation_stats import ActivationStats
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.train.state import FitState
from tests.train.callbacks.cutting import (
    assert_same,
    cut_and_resumed,
    fit_state,
    loaders,
    picture_net,
    sha,
)


class ByHand(dt.Callback):
    """The outputs of one module and the gradient of a weight, step by step."""

    def __init__(self, module: nn.Module, weight: Tensor) -> None:
        self.outputs: list[Tensor] = []
        self.norms: list[float] = []
        self.weight = weight
        module.register_forward_hook(self.keep)

    def keep(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if module.training:
            self.outputs.append(output.detach().clone())

    def before_step(self, state: FitState) -> None:
        self.norms.append(self.weight.grad.norm().item())


def test_each_number_is_that_of_the_layers_outputs() -> None:
    stats = ActivationStats(threshold=0.1, bins=20, limit=5.0)
    state = fit_state(stats, ClipGradients(0.01))
    hand = ByHand(state.model[2], state.model[0].weight)
    state.callbacks = [*state.callbacks, hand]
    loop.fit(state)
    first, last = stats.layers
    assert (first.name, first.kind) == ("0", "Linear BatchNorm1d ReLU")
    assert (last.name, last.kind) == ("4", "Linear")
    assert first.steps.tolist() == list(range(15))
    assert first.mean.tolist() == pytest.approx([float(x.mean()) for x in hand.outputs], abs=1e-6)
    assert first.std.tolist() == pytest.approx(
        [float(x.std(correction=0)) for x in hand.outputs], rel=1e-5
    )
    near = [float((x.abs() < 0.1).float().mean()) for x in hand.outputs]
    assert first.near_zero.tolist() == pytest.approx(near)
    assert first.gradient.tolist() == pytest.approx(hand.norms)  # before clipping
    for row, x in zip(first.histogram, hand.outputs, strict=True):
        sizes = x.abs().flatten().tolist()
        counts = [0.0] * 20
        for size in sizes:
            counts[min(int(size / 0.25), 19)] += 1 / len(sizes)
        assert row.tolist() == pytest.approx(counts, abs=1e-6)


def test_it_changes_no_bit_and_leaves_no_hook() -> None:
    plain, watched = fit_state(), fit_state(ActivationStats())
    loop.fit(plain)
    loop.fit(watched)
    assert sha(plain) == sha(watched)
    assert not any(m._forward_hooks for m in watched.model.modules())


def test_hooks_go_after_an_error_too() -> None:
    class Fail(dt.Callback):
        def after_backward(self, state: FitState) -> None:
            if state.step == 3:
                raise RuntimeError

    stats = ActivationStats()
    state = fit_state(stats, Fail())
    with pytest.raises(RuntimeError):
        loop.fit(state)
    assert not any(m._forward_hooks for m in state.model.modules())
    assert stats.layers[0].steps.tolist() == [0, 1, 2]


def test_memory_is_bounded_and_steps_stay_evenly_spread() -> None:
    stats = ActivationStats(keep=8)
    loop.fit(fit_state(stats, epochs=20))  # 100 steps
    steps = stats.layers[0].steps.tolist()
    assert steps == list(range(0, 100, 16))
    assert len(steps) <= 8
    every = ActivationStats(every=7)
    loop.fit(fit_state(every))
    assert every.layers[0].steps.tolist() == [0, 7, 14]


def test_validation_is_not_measured() -> None:
    stats = ActivationStats("BatchNorm1d")
    loop.fit(fit_state(stats, epochs=1))
    assert len(stats.layers[0].steps) == 5


@pytest.mark.parametrize(
    ("modules", "names"),
    [
        (None, ["0", "4"]),
        ("ReLU", ["2"]),
        (["0", "ReLU"], ["0", "2"]),
        (nn.Linear, ["0", "4"]),
        ([nn.BatchNorm1d, "4"], ["1", "4"]),
    ],
)
def test_layers_are_chosen_by_name_or_class(modules: Any, names: list[str]) -> None:
    stats = ActivationStats(modules)
    loop.fit(fit_state(stats, epochs=1))
    assert [layer.name for layer in stats.layers] == names
    if modules == "ReLU":
        assert stats.layers[0].gradient.isnan().all()  # it has no weight
        assert stats.table().splitlines()[-1].endswith("%")


def test_a_module_itself_can_be_chosen() -> None:
    state = fit_state()
    stats = ActivationStats([state.model[2]])
    state.callbacks = [*state.callbacks, stats]
    loop.fit(state)
    assert [layer.name for layer in stats.layers] == ["2"]


def test_residual_nets_are_measured_layer_by_layer() -> None:
    stats = ActivationStats()
    loop.fit(fit_state(stats, model=picture_net(), loaders=loaders(pictured=True), epochs=1))
    kinds = [layer.kind for layer in stats.layers]
    assert kinds[0] == "Conv2d BatchNorm2d ReLU"
    assert kinds[-1] == "Linear"
    assert all(bool(torch.isfinite(layer.mean).all()) for layer in stats.layers)


def test_without_a_step_the_gradient_is_unknown() -> None:
    stats = ActivationStats()
    loop.fit(fit_state(stats, Accumulate(2), epochs=1))
    known = torch.isfinite(stats.layers[0].gradient).tolist()
    assert known == [False, True, False, True, False]


@pytest.mark.parametrize("moment", [("batch", 4), ("batch", 9), ("epoch", 2), ("valid", 1)])
def test_a_cut_fit_measures_the_same(moment: Any) -> None:
    def build() -> FitState:
        return fit_state(ActivationStats(keep=4, bins=8))

    whole = build()
    loop.fit(whole)
    found = cut_and_resumed(build, moment)
    assert_same(found, whole)
    for ours, theirs in zip(found.callbacks[1].layers, whole.callbacks[1].layers, strict=True):
        assert ours.steps.tolist() == theirs.steps.tolist()
        assert torch.equal(ours.histogram, theirs.histogram)
        assert ours.gradient.tolist() == theirs.gradient.tolist()


def test_not_a_number_is_shown_as_that() -> None:
    class Spoil(dt.Callback):
        def before_batch(self, state: FitState) -> None:
            if state.step == 2:
                state.batch = (state.batch[0] * math.nan, state.batch[1])

    stats = ActivationStats()
    loop.fit(fit_state(stats, Spoil(), epochs=1))
    assert torch.isnan(stats.layers[0].mean).tolist() == [False, False, True, True, True]


# --- what it shows ------------------------------------------------------------------------------------


def ten_digits(*, batchnorm: bool, lr: float = 0.06) -> tuple[ActivationStats, dt.Learner]:
    """A net of convolutions with stride 2; the usual rate is too high for it."""
    pixels, targets = load_digits(return_X_y=True)
    inputs = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    targets = torch.tensor(targets)
    layers: list[nn.Module] = []
    with seeded(1, "test"):
        for before, after in ((1, 16), (16, 32), (32, 64)):
            layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
            layers.extend([nn.BatchNorm2d(after)] if batchnorm else [])
            layers.append(nn.ReLU())
        model = nn.Sequential(*layers, nn.Conv2d(64, 10, 3, stride=2, padding=1), nn.Flatten())
    train = dt.BatchLoader(
        dt.TensorData(inputs[:1400], targets[:1400]), batch_size=64, shuffle=True
    )
    valid = dt.BatchLoader(dt.TensorData(inputs[1400:], targets[1400:]), batch_size=512)
    stats = ActivationStats()
    learner = dt.Learner(
        model, (train, valid), metrics=["accuracy"], optimizer=torch.optim.Adam, progress=False
    )
    learner.fit(3, lr, callbacks=[stats])
    return stats, learner


@pytest.mark.row(138)
def test_at_a_high_rate_the_plain_net_dies_and_the_one_with_batchnorm_trains() -> None:
    dead, plain = ten_digits(batchnorm=False)
    alive, normed = ten_digits(batchnorm=True)
    slow, careful = ten_digits(batchnorm=False, lr=0.01)
    before_last = dead.layers[-2]
    assert before_last.kind == "Conv2d ReLU"
    assert float(before_last.std[0]) > 0.01
    assert float(before_last.near_zero[-20:].min()) > 0.9
    assert float(before_last.gradient[-1]) == 0  # and it cannot come back
    assert plain.history[-1]["accuracy"] < 0.2
    assert float(slow.layers[-2].near_zero[-20:].max()) < 0.9  # it was the rate
    assert careful.history[-1]["accuracy"] > 0.6
    assert all(float(layer.near_zero[-20:].mean()) < 0.75 for layer in alive.layers)
    assert normed.history[-1]["accuracy"] > 0.6
    # The colourful dimension: all sizes of the dead layer are in the first bin, of the living in many.
    assert int((before_last.histogram[-1] > 0).sum()) == 1
    assert int((alive.layers[-2].histogram[-1] > 0).sum()) > 10
    assert isinstance(dead.plot_histograms(), Figure)


def test_the_table_says_a_line_a_layer() -> None:
    stats = ActivationStats()
    loop.fit(fit_state(stats, epochs=1))
    lines = stats.table().splitlines()
    assert lines[0] == "step 4, near 0: |x| < 0.05"
    assert lines[1].split() == ["layer", "kind", "mean", "std", "near", "0", "gradient"]
    layer = stats.layers[1]
    assert lines[3].split() == [
        "4",
        "Linear",
        f"{float(layer.mean[-1]):.3f}",
        f"{float(layer.std[-1]):.3f}",
        f"{float(layer.near_zero[-1]):.1%}",
        f"{float(layer.gradient[-1]):.2e}",
    ]


def test_the_figures_hold_the_numbers() -> None:
    stats = ActivationStats(bins=12, limit=4.0)
    loop.fit(fit_state(stats))
    axes = stats.plot().axes
    assert [one.get_title() for one in axes] == [
        "mean",
        "std",
        "share near 0 (|x| < 0.05)",
        "norm of gradient",
    ]
    for one, name in zip(axes, ("mean", "std", "near_zero", "gradient"), strict=True):
        drawn = [line.get_ydata().tolist() for line in one.lines]
        assert drawn == [getattr(layer, name).tolist() for layer in stats.layers]
    pictures = [one for one in stats.plot_histograms().axes if one.get_visible()]
    assert [one.get_title() for one in pictures] == ["0 Linear BatchNorm1d ReLU", "4 Linear"]
    drawn = torch.tensor(pictures[0].images[0].get_array())
    torch.testing.assert_close(drawn, torch.log1p(1e6 * stats.layers[0].histogram).T)
    assert len(stats.plot_histograms(columns=1).axes) == 2


def test_before_a_fit_there_is_nothing_to_show() -> None:
    for show in ("table", "plot", "plot_histograms"):
        with pytest.raises(ConfigError) as caught:
            getattr(ActivationStats(), show)()
        assert str(caught.value) == (
            "`ActivationStats` has measured nothing yet. Train first: "
            "`learner.fit(1, callbacks=[stats])`."
        )


def test_an_unknown_module_is_answered() -> None:
    with pytest.raises(ConfigError) as caught:
        loop.fit(fit_state(ActivationStats("Linaer")))
    assert str(caught.value) == (
        "`ActivationStats` found no module 'Linaer' in the model. Did you mean 'Linear'? Modules go by "
        "their name in `named_modules()` or by their class."
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, "`every` as a whole number of 1 or more. Got 0."),
        ({"threshold": 0}, "`threshold` above 0. Got 0."),
        ({"bins": 1}, "`bins` as a whole number of 2 or more. Got 1."),
        ({"limit": -1}, "`limit` above 0. Got -1."),
        ({"keep": 7}, "`keep` as an even number. Got 7."),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ActivationStats(**options)
    assert str(caught.value) == f"`ActivationStats` needs {words}"
