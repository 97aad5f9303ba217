"""What shortcuts do for deep nets: values and gradients beside torch's, and both kinds trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drivetrain.reference import depth as twin
from tests.reference.arrays import assert_equal, normal


def data(items: int = 64, width: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Targets that a single layer can learn: the largest of two numbers, centred."""
    x = normal(0, items, width)
    y = np.maximum(x[:, 0], x[:, 1])
    return x, y - y.mean()


@pytest.mark.row(142)
@pytest.mark.parametrize("has_shortcuts", [False, True])
def test_values_and_gradients_are_torchs(has_shortcuts: bool) -> None:
    x, y = data()
    net = twin.deep_net(6, 8, has_shortcuts=has_shortcuts, spread=1.4)
    for place, bias in enumerate(net.biases):
        bias += 0.1 * normal(place, 8)
    weights = [torch.tensor(w, requires_grad=True) for w in (*net.weights, *net.biases, net.head)]
    h = torch.from_numpy(x)
    for weight, bias in zip(weights[:6], weights[6:12], strict=True):
        out = torch.relu(torch.nn.functional.linear(h, weight, bias))
        h = h + out if has_shortcuts else out
    loss = torch.nn.functional.mse_loss(h @ weights[12], torch.from_numpy(y))
    assert_equal(np.array(net.loss(x, y)), loss)
    of_weights, of_biases, of_head = net.gradients(x, y)
    wanted = torch.autograd.grad(loss, weights)
    for found, gradient in zip([*of_weights, *of_biases, of_head], wanted, strict=True):
        assert_equal(found, gradient)


@pytest.mark.row(142)
def test_a_net_deepened_by_layers_of_zeros_is_as_good_as_before_with_shortcuts_only() -> None:
    x, y = data()
    net = twin.deep_net(4, 8, has_shortcuts=True, spread=0.5)
    assert np.array_equal(twin.deepened(net, 30)(x), net(x))
    assert twin.deepened(net, 30).loss(x, y) == net.loss(x, y)
    plain = twin.deep_net(4, 8, has_shortcuts=False, spread=0.5)
    assert not twin.deepened(plain, 30)(x).any()


@pytest.mark.row(142)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_deep_and_plain_does_not_learn_what_shallow_does_and_shortcuts_put_it_right(
    seed: int,
) -> None:
    """Each with the better of two rates, so that it is not the rate."""
    x, y = data()
    best = {}
    for name, layers, has_shortcuts, spread in (
        ("shallow", 2, False, np.sqrt(2)),  # He's for ReLUs
        ("plain", 30, False, np.sqrt(2)),
        ("residual", 30, True, 0.1),  # small, so that each layer begins as next to nothing
    ):
        best[name] = min(
            twin.train(
                twin.deep_net(layers, 8, has_shortcuts=has_shortcuts, spread=spread, seed=seed),
                x, y, lr=lr, steps=120,
            )[-1]
            for lr in (0.01, 0.03)
        )  # fmt: skip
    assert best["residual"] < 0.5 * best["shallow"]
    assert best["shallow"] < 0.5 * best["plain"]
    assert best["plain"] > 0.98 * y.var()  # no better than the mean of all targets


@pytest.mark.row(142)
def test_the_gradient_does_not_reach_the_first_layer_without_shortcuts() -> None:
    x, y = data()
    largest = {}
    for has_shortcuts in (False, True):
        net = twin.deep_net(40, 8, has_shortcuts=has_shortcuts, spread=0.5)
        largest[has_shortcuts] = np.abs(net.gradients(x, y)[0][0]).max()
    assert largest[False] < 1e-12
    assert largest[True] > 0.01
