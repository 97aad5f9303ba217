"""The smallest nets beside torch's, step for step; and what a hidden layer is worth on real digits."""

from __future__ import annotations

import gzip
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from drivetrain import losses as fast
from drivetrain.reference import neurons, pictures, small_nets as twin
from drivetrain.reference.autograd import Value
from tests.reference.gradients import normal, same
from tests.tabular.tables import real


def as_torch(net: twin.Net) -> nn.Module:
    """The same net, with the same weights, of torch's own layers."""
    arrays = [value.data for value in net.parameters]
    layers: list[nn.Module] = []
    for weights, bias in zip(arrays[::2], arrays[1::2], strict=True):
        layer = nn.Linear(*weights.shape).double()
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights).T)
            layer.bias.copy_(torch.from_numpy(bias))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.row(37)
def test_a_linear_layer_is_a_product_and_a_bias() -> None:
    net = twin.PixelWeights(784)
    x = normal(64, 784)
    assert (net.weights.shape, net.bias.shape) == ((784, 1), (1,))
    found = twin.linear(Value(x), net.weights, net.bias)
    assert found.shape == (64, 1)
    same(found.data, as_torch(net)(torch.from_numpy(x)), atol=1e-12)
    same(found.data, net(x).data, atol=0)


@pytest.mark.row(43)
@pytest.mark.parametrize("net", [twin.PixelWeights(20), twin.SimpleNet(20, 6)])
def test_training_goes_step_for_step_where_torch_goes(net: twin.Net) -> None:
    x, y = normal(37, 20), (normal(37, 1, seed=1) > 0).astype(float)
    theirs = as_torch(net)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.7)
    losses = twin.train(net, x, y, lr=0.7, epochs=3, batch_size=16, seed=5)
    draw = np.random.default_rng(5)
    expected: list[float] = []
    for _ in range(3):
        order = draw.permutation(37)
        for batch in (order[:16], order[16:32], order[32:]):
            inputs, targets = torch.from_numpy(x[batch]), torch.from_numpy(y[batch])
            optimizer.zero_grad()
            loss = fast.mnist_loss(theirs(inputs), targets)
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
    same(losses, expected)
    for value, weight in zip(net.parameters, theirs.parameters(), strict=True):
        same(value.data, weight.T if weight.ndim == 2 else weight)
    right = (theirs(torch.from_numpy(x)) > 0) == torch.from_numpy(y == 1)
    assert twin.accuracy(net, x, y) == pytest.approx(right.double().mean().item())


@pytest.mark.row(43)
def test_the_simple_net_has_23581_parameters_that_start_as_torchs_do() -> None:
    net = twin.SimpleNet(784)
    assert sum(value.data.size for value in net.parameters) == 23_581
    assert neurons.num_parameters(784, 30, 1) == 23_581
    for value, inputs in zip(net.parameters, (784, 784, 30, 30), strict=True):
        bound = 1 / inputs**0.5  # of nn.Linear's weight and bias alike
        assert float(np.abs(value.data).max()) <= bound
    assert float(net.weights1.data.std()) == pytest.approx(1 / (3 * 784) ** 0.5, rel=0.02)
    assert not np.array_equal(net.weights1.data, twin.SimpleNet(784, seed=43).weights1.data)
    assert np.array_equal(net.weights1.data, twin.SimpleNet(784).weights1.data)


@pytest.mark.row(44)
def test_a_hidden_layer_learns_xor_and_pixel_weights_cannot() -> None:
    x, y = neurons.XOR_INPUTS, neurons.XOR_TARGETS
    net, linear = twin.SimpleNet(2, 8, seed=0), twin.PixelWeights(2)
    losses = twin.train(net, x, y, epochs=500, batch_size=4)
    twin.train(linear, x, y, epochs=500, batch_size=4)
    assert twin.accuracy(net, x, y) == 1 and losses[-1] < 0.05
    assert twin.accuracy(linear, x, y) <= 0.75


def threes_and_sevens(part: str) -> tuple[np.ndarray, np.ndarray]:
    """(N, 784) pixels from 0 to 1, and (N, 1) whether it is a three, of MNIST's own split."""
    images = real(f"mnist/{part}-images-idx3-ubyte.gz").read_bytes()
    labels = real(f"mnist/{part}-labels-idx1-ubyte.gz").read_bytes()
    x = np.frombuffer(gzip.decompress(images), np.uint8, offset=16).reshape(-1, 784)
    y = np.frombuffer(gzip.decompress(labels), np.uint8, offset=8)
    wanted = (y == 3) | (y == 7)
    return x[wanted] / 255, (y[wanted] == 3)[:, None].astype(float)


@pytest.mark.row(43)
@pytest.mark.slow
def test_on_mnist_each_part_is_worth_something() -> None:
    (x, y), (x_valid, y_valid) = threes_and_sevens("train"), threes_and_sevens("t10k")
    classes, ideals = pictures.mean_pictures(x.reshape(-1, 28, 28), y[:, 0])
    guesses = pictures.nearest(x_valid.reshape(-1, 28, 28), classes, ideals, pictures.mean_absolute)
    for seed in range(2):
        scores = [float((guesses == y_valid[:, 0]).mean())]
        for net in (twin.PixelWeights(784, seed=seed), twin.SimpleNet(784, seed=seed)):
            twin.train(net, x, y, epochs=20, seed=seed)
            scores.append(twin.accuracy(net, x_valid, y_valid))
        assert all(better > worse for worse, better in pairwise(scores)), scores
        assert scores[-1] > 0.985
