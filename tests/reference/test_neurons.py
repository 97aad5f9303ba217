"""Neurons and what stands between their layers beside torch; two linear layers, and XOR."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from drivetrain.nn.ranges import sigmoid_range
from drivetrain.randomness import seeded
from drivetrain.reference import neurons as twin
from tests.reference.gradients import normal, same


def layer(inputs: int, outputs: int, seed: int = 0) -> tuple[nn.Linear, np.ndarray, np.ndarray]:
    with seeded(seed, "layer"):
        module = nn.Linear(inputs, outputs).double()
    return module, module.weight.detach().numpy(), module.bias.detach().numpy()


@pytest.mark.row(155)
def test_one_neuron_is_one_row_of_a_linear_layer() -> None:
    module, W, b = layer(5, 3)
    x = normal(4, 5)
    expected = module(torch.from_numpy(x))
    same(twin.dense(x, W, b), expected, atol=1e-12)
    for item, o in itertools.product(range(4), range(3)):
        by_hand = twin.neuron(x[item].tolist(), W[o].tolist(), float(b[o]))
        assert by_hand == pytest.approx(expected[item, o].item(), abs=1e-12)
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter than argument 1"):
        twin.neuron([1, 2], [1], 0)


@pytest.mark.row(43)
@pytest.mark.parametrize("widths", [(784, 30, 1), (5, 3), (10, 10, 10, 2)])
def test_the_parameters_of_dense_layers(widths: tuple[int, ...]) -> None:
    net = nn.Sequential(*[nn.Linear(i, o) for i, o in itertools.pairwise(widths)])
    assert twin.num_parameters(*widths) == sum(weight.numel() for weight in net.parameters())


@pytest.mark.row(40)
@given(x=st.floats(-1e4, 1e4))
@settings(max_examples=200, deadline=None)
def test_the_curves_are_torchs_from_end_to_end(x: float) -> None:
    array = np.array([x, -x, 0.0])
    tensor = torch.tensor(array, requires_grad=True)
    same(twin.sigmoid(array), torch.sigmoid(tensor), atol=1e-15)
    (slope,) = torch.autograd.grad(torch.sigmoid(tensor).sum(), tensor)
    same(twin.sigmoid_slope(array), slope, atol=1e-15)
    same(twin.relu(array), torch.relu(tensor), atol=0)
    same(twin.sigmoid_range(array, -1, 5.5), sigmoid_range(tensor, -1, 5.5), atol=1e-14)


@pytest.mark.row(40)
def test_a_sigmoid_rises_from_nought_to_one_through_a_half() -> None:
    heights = twin.sigmoid(np.linspace(-30, 30, 601))
    assert bool((np.diff(heights) > 0).all())
    assert twin.sigmoid(np.array(0.0)) == 0.5
    assert twin.sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0, 1]
    far = torch.tensor([-100.0, -600.0], dtype=torch.float64)  # tiny, and not lost beside a 1
    np.testing.assert_allclose(twin.sigmoid(far.numpy()), far.sigmoid().numpy(), rtol=1e-14)
    assert twin.sigmoid_range(np.array(0.0), 0, 5.5) == 2.75


@pytest.mark.row(44)
def test_two_linear_layers_are_one() -> None:
    (first, W1, b1), (second, W2, b2) = layer(6, 4), layer(4, 3, seed=1)
    x = normal(10, 6)
    W, b = twin.collapsed(W1, b1, W2, b2)
    assert (W.shape, b.shape) == ((3, 6), (3,))
    expected = second(first(torch.from_numpy(x)))
    same(twin.dense(x, W, b), expected, atol=1e-12)
    between = twin.dense(twin.relu(twin.dense(x, W1, b1)), W2, b2)
    same(between, second(first(torch.from_numpy(x)).relu()), atol=1e-12)
    assert np.abs(between - expected.detach().numpy()).max() > 0.1


@pytest.mark.row(44)
@given(weights=st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3))
@settings(max_examples=100, deadline=None)
def test_no_linear_layer_is_xor(weights: list[float]) -> None:
    W, b = np.array([weights[:2]]), np.array(weights[2:])
    out = twin.dense(twin.XOR_INPUTS, W, b)
    assert twin.corner_gap(out) == pytest.approx(0, abs=1e-9)
    # The four errors add up to 2 at least, in whatever way they are shared out.
    assert np.abs(out - twin.XOR_TARGETS).sum() >= 2 - 1e-9


@pytest.mark.row(44)
def test_with_a_relu_between_two_layers_are_xor() -> None:
    assert twin.xor_net(twin.XOR_INPUTS).tolist() == twin.XOR_TARGETS.tolist()
    assert twin.corner_gap(twin.XOR_TARGETS) == -2
    W, b = twin.best_linear_xor()
    same(twin.dense(twin.XOR_INPUTS, W, b), np.full((4, 1), 0.5), atol=1e-12)
