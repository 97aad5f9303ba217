"""Deep nets, plain and with shortcuts: the same layers, once one after the other, once each beside a way
past it.

A plain layer h' = relu(W h + b) has to hand on all that later ones need. In a deep net it does not: what
goes forward and what comes back is changed by every matrix on the way, and is soon lost. With a shortcut,
h' = h + relu(W h + b), a layer of zeros hands on everything, so a deeper net begins as a shallower one.
Paper: He et al. 2016, arXiv:1512.03385, fig. 1 (more layers, and a larger training error).

Letters: N items, E numbers a layer; each layer has W (E, E) and b (E,). A head (E,) makes one number of
the last layer's, and the loss is the mean of its squared distance from the target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Deep:
    """Layers of equal width, and a last one that makes one number of them."""

    weights: list[np.ndarray]
    """W of each layer, (E, E)."""
    biases: list[np.ndarray]
    """b of each layer, (E,)."""
    head: np.ndarray
    """(E,)."""
    has_shortcuts: bool

    def layers(self, x: np.ndarray) -> list[np.ndarray]:
        """What goes into each layer, and what comes out of the last: (N, E) each."""
        found = [x]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            h = found[-1]
            out = np.maximum(h @ weight.T + bias, 0)
            found.append(h + out if self.has_shortcuts else out)
        return found

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(N, E) -> (N,)."""
        return self.layers(x)[-1] @ self.head

    def loss(self, x: np.ndarray, y: np.ndarray) -> float:
        """The mean squared error."""
        return float(((self(x) - y) ** 2).mean())

    def gradients(
        self, x: np.ndarray, y: np.ndarray
    ) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Of the weights and of the biases of each layer, and of the head, by the chain rule."""
        found = self.layers(x)
        of_out = 2 * (found[-1] @ self.head - y) / len(y)  # (N,)
        of_head = of_out @ found[-1]
        pull = np.outer(of_out, self.head)  # (N, E)
        of_weights, of_biases = [], []
        for weight, bias, h in zip(
            self.weights[::-1], self.biases[::-1], found[-2::-1], strict=True
        ):
            through = pull * (h @ weight.T + bias > 0)
            of_weights.append(through.T @ h)
            of_biases.append(through.sum(axis=0))
            pull = through @ weight + (pull if self.has_shortcuts else 0)
        return of_weights[::-1], of_biases[::-1], of_head


def deep_net(depth: int, width: int, *, has_shortcuts: bool, spread: float, seed: int = 42) -> Deep:
    """A net of normal weights, their spread that many times √(1 / width), and biases of 0."""
    draw = np.random.default_rng(seed)
    scale = spread / np.sqrt(width)
    weights = [draw.normal(scale=scale, size=(width, width)) for _ in range(depth)]
    head = draw.normal(scale=1 / np.sqrt(width), size=width)
    return Deep(weights, [np.zeros(width) for _ in range(depth)], head, has_shortcuts)


def deepened(net: Deep, extra: int) -> Deep:
    """The net with layers of zeros behind its own: with shortcuts it answers what it answered before."""
    width = len(net.head)
    weights = [*net.weights, *(np.zeros((width, width)) for _ in range(extra))]
    biases = [*net.biases, *(np.zeros(width) for _ in range(extra))]
    return Deep(weights, biases, net.head, net.has_shortcuts)


def train(net: Deep, x: np.ndarray, y: np.ndarray, *, lr: float, steps: int) -> list[float]:
    """Plain gradient descent on all items, in place: the loss before each step, and after the last."""
    losses = []
    for _ in range(steps):
        losses.append(net.loss(x, y))
        of_weights, of_biases, of_head = net.gradients(x, y)
        for parts, pulls in ((net.weights, of_weights), (net.biases, of_biases)):
            for part, pull in zip(parts, pulls, strict=True):
                part -= lr * pull
        net.head = net.head - lr * of_head
    return [*losses, net.loss(x, y)]
