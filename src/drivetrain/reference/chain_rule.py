"""Forward and backward through a net, written out layer by layer.

Each layer knows two things: what it puts out, and, told how the loss changes with each of its outputs,
how the loss changes with each of its inputs and weights. Going back is one multiplication a layer: the
chain rule. `autograd` does the same for any formula; here it is done by hand once.

Letters: B items, I inputs, O outputs; g the gradient of the loss by what a layer puts out, in its shape.
Weights lie as in torch: W (O, I), b (O,). Twin of `torch.autograd` for linear layers, ReLU and MSE.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Layer(Protocol):
    """What a net is made of."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """What is put out for `x`; what backward will need is kept."""
        ...

    def backward(self, g: np.ndarray) -> np.ndarray:
        """From the gradient by the outputs to that by the inputs."""
        ...


class Linear:
    """y = x Wᵀ + b."""

    def __init__(self, W: np.ndarray, b: np.ndarray) -> None:
        self.W, self.b = W, b

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(B, I) -> (B, O)."""
        self.x = x
        return x @ self.W.T + self.b

    def backward(self, g: np.ndarray) -> np.ndarray:
        """(B, O) -> (B, I).

        Of one item, y_o = Σ w_oi x_i + b_o: with w_oi it moves by x_i, with b_o by 1, with x_i by w_oi.
        Every item used the same W and b, so what comes from each is added up: that is what the product
        over B does.
        """
        self.W_gradient = g.T @ self.x  # (O, B) @ (B, I)
        self.b_gradient = g.sum(axis=0)
        return g @ self.W


class ReLU:
    """y = max(0, x)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Any shape."""
        self.open = x > 0
        return np.where(self.open, x, 0.0)

    def backward(self, g: np.ndarray) -> np.ndarray:
        """What passed on the way there passes on the way back; nothing goes through a shut one."""
        return np.where(self.open, g, 0.0)


class Sigmoid:
    """y = 1 / (1 + e^-x)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Any shape."""
        self.y = (1 + np.tanh(x / 2)) / 2  # the same curve, in a form that cannot overflow
        return self.y

    def backward(self, g: np.ndarray) -> np.ndarray:
        """Its slope is y (1 - y)."""
        return g * self.y * (1 - self.y)


class MeanSquaredError:
    """The last step: all predictions become one number."""

    def forward(self, preds: np.ndarray, targets: np.ndarray) -> float:
        """Mean of (preds - targets)² over all numbers of both, which have one shape."""
        if preds.shape != targets.shape:
            raise ValueError(
                f"Predictions {preds.shape} and targets {targets.shape} differ in shape: they would be "
                "broadcast, and each prediction compared with every target."
            )
        self.wrong = preds - targets
        return float((self.wrong**2).mean())

    def backward(self) -> np.ndarray:
        """2 (preds - targets) / count: the loss by itself is 1, and here the way back begins."""
        return 2 * self.wrong / self.wrong.size


class Net:
    """Layers in a row and a loss at the end."""

    def __init__(self, *layers: Layer) -> None:
        self.layers, self.loss = layers, MeanSquaredError()

    def forward(self, x: np.ndarray, targets: np.ndarray) -> float:
        """Through all layers, to the loss."""
        for layer in self.layers:
            x = layer.forward(x)
        return self.loss.forward(x, targets)

    def backward(self) -> np.ndarray:
        """Through all layers from the last to the first, to the gradient by the inputs."""
        g = self.loss.backward()
        for layer in reversed(self.layers):
            g = layer.backward(g)
        return g
