"""Layers that go back by hand beside torch.autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from drivetrain.randomness import seeded
from drivetrain.reference import chain_rule as twin
from drivetrain.reference.descent import numeric_gradient
from tests.reference.gradients import normal, same


def pair(kind: type[nn.Module], by_hand: type[twin.Layer]) -> tuple[twin.Net, nn.Sequential]:
    """784 in small: 7 inputs, 5 hidden units, 2 outputs, with the same weights on both sides."""
    with seeded(3, "net"):
        theirs = nn.Sequential(nn.Linear(7, 5), kind(), nn.Linear(5, 2)).double()
    weights = [weight.detach().numpy().copy() for weight in theirs.parameters()]
    return twin.Net(twin.Linear(*weights[:2]), by_hand(), twin.Linear(*weights[2:])), theirs


@pytest.mark.row(32)
@pytest.mark.row(157)
@pytest.mark.parametrize(("kind", "by_hand"), [(nn.ReLU, twin.ReLU), (nn.Sigmoid, twin.Sigmoid)])
def test_forward_backward_and_steps_by_hand_are_torchs(
    kind: type[nn.Module], by_hand: type[twin.Layer]
) -> None:
    ours, theirs = pair(kind, by_hand)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.3)
    inputs, targets = normal(16, 7), normal(16, 2, seed=1)
    x, y = torch.from_numpy(inputs).requires_grad_(), torch.from_numpy(targets)
    losses: list[float] = []
    for _ in range(20):
        losses.append(ours.forward(inputs, targets))
        by_inputs = ours.backward()
        optimizer.zero_grad()
        x.grad = None
        loss = F.mse_loss(theirs(x), y)
        loss.backward()
        same(losses[-1], loss, atol=1e-12)
        assert x.grad is not None
        same(by_inputs, x.grad)
        linears = [layer for layer in ours.layers if isinstance(layer, twin.Linear)]
        found = [g for layer in linears for g in (layer.W_gradient, layer.b_gradient)]
        for gradient, weight in zip(found, theirs.parameters(), strict=True):
            assert weight.grad is not None
            same(gradient, weight.grad)
        for layer in linears:
            layer.W = layer.W - 0.3 * layer.W_gradient
            layer.b = layer.b - 0.3 * layer.b_gradient
        optimizer.step()
    assert bool((np.diff(losses) < 0).all())


@pytest.mark.row(32)
def test_gradients_by_hand_are_those_of_trying_every_weight() -> None:
    ours, _ = pair(nn.ReLU, twin.ReLU)
    inputs, targets = normal(16, 7), normal(16, 2, seed=1)
    ours.forward(inputs, targets)
    ours.backward()
    first = ours.layers[0]
    assert isinstance(first, twin.Linear)
    by_hand, W = first.W_gradient, first.W

    def loss(weights: np.ndarray) -> float:
        first.W = weights
        return ours.forward(inputs, targets)

    same(numeric_gradient(loss, W), by_hand, atol=1e-8)


def test_a_shut_relu_lets_nothing_back_and_zero_counts_as_shut() -> None:
    relu = twin.ReLU()
    x = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    x.relu().sum().backward()
    assert relu.forward(np.array([-1.0, 0.0, 2.0])).tolist() == [0, 0, 2]
    assert x.grad is not None
    assert relu.backward(np.ones(3)).tolist() == x.grad.tolist() == [0, 0, 1]


def test_targets_that_would_be_broadcast_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        twin.MeanSquaredError().forward(np.zeros((4, 1)), np.zeros(4))
    assert str(caught.value) == (
        "Predictions (4, 1) and targets (4,) differ in shape: they would be broadcast, and each "
        "prediction compared with every target."
    )
