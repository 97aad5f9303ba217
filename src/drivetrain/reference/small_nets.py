"""The smallest nets that read digits: a weight for each pixel, and the same with a hidden layer.

All of it is made of this package: `autograd` for the gradients, `mnist_loss` from `probability`, and a
step that is one line. Twin of `nn.Linear`, of `nn.Sequential(Linear, ReLU, Linear)` and of SGD.

Letters: B items of a batch, N of all, P pixels of a picture in one row, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drivetrain.reference.autograd import Value
from drivetrain.reference.probability import mnist_loss

Loss = Callable[[Value, np.ndarray], Value]


def linear(x: Value, weights: Value, bias: Value) -> Value:
    """`x @ weights + bias`: (B, P) @ (P, O) + (O,). The bias is added to every row, by broadcasting."""
    return x @ weights + bias


def started(inputs: int, outputs: int, draw: np.random.Generator) -> tuple[Value, Value]:
    """Weights (inputs, outputs) and bias (outputs,), evenly within ±1/√inputs, as torch starts them."""
    bound = 1 / np.sqrt(inputs)
    shapes = (inputs, outputs), (outputs,)
    weights, bias = (Value(draw.uniform(-bound, bound, shape)) for shape in shapes)
    return weights, bias


class PixelWeights:
    """One learnt weight a pixel: x · w + b, a score above 0 for yes."""

    def __init__(self, pixels: int, *, seed: int = 42) -> None:
        self.weights, self.bias = started(pixels, 1, np.random.default_rng(seed))

    @property
    def parameters(self) -> list[Value]:
        """What is learnt."""
        return [self.weights, self.bias]

    def __call__(self, x: np.ndarray) -> Value:
        """(B, P) -> (B, 1)."""
        return linear(Value(x), self.weights, self.bias)


class SimpleNet:
    """Linear, ReLU, linear: H pictures of weights are compared with, and their answers weighed."""

    def __init__(self, pixels: int, hidden: int = 30, *, seed: int = 42) -> None:
        draw = np.random.default_rng(seed)
        self.weights1, self.bias1 = started(pixels, hidden, draw)
        self.weights2, self.bias2 = started(hidden, 1, draw)

    @property
    def parameters(self) -> list[Value]:
        """What is learnt, in the order of the layers."""
        return [self.weights1, self.bias1, self.weights2, self.bias2]

    def __call__(self, x: np.ndarray) -> Value:
        """(B, P) -> (B, 1)."""
        hidden = linear(Value(x), self.weights1, self.bias1).relu()  # (B, H)
        return linear(hidden, self.weights2, self.bias2)


Net = PixelWeights | SimpleNet


def step(parameters: Sequence[Value], lr: float) -> None:
    """Every weight a little against its gradient, and the gradient forgotten."""
    for weight in parameters:
        weight.data = weight.data - lr * weight.grad
        weight.grad = np.zeros_like(weight.data)


def train(
    net: Net,
    x: np.ndarray,
    y: np.ndarray,
    *,
    loss_fn: Loss = mnist_loss,
    lr: float = 1.0,
    epochs: int = 20,
    batch_size: int = 64,
    seed: int = 42,
) -> list[float]:
    """Train `net` where it stands; the loss of each batch, before the step it led to.

    Args:
        x: (N, P), pixels.
        y: (N, 1), 1 for yes and 0 for no, of the shape of the net's output.
    """
    draw = np.random.default_rng(seed)
    losses: list[float] = []
    for _ in range(epochs):
        order = draw.permutation(len(x))
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            loss = loss_fn(net(x[batch]), y[batch])
            loss.backward()
            step(net.parameters, lr)
            losses.append(float(loss.data))
    return losses


def accuracy(net: Net, x: np.ndarray, y: np.ndarray) -> float:
    """The share of items on the right side of 0."""
    return float(((net(x).data > 0) == (y == 1)).mean())
