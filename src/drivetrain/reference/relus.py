"""A sum of ReLUs comes as close to a curve as one likes: why a net with one hidden layer can do anything.

Each ReLU is 0 up to its kink and a straight line after it. Added up they are a line that bends at every
kink, and a line that bends often enough follows any curve. First it is built, with a kink wherever one is
wanted; then all its numbers are let go down the gradient, and the kinks move to where the curve bends.

Letters: K ReLUs, N points. f(x) = start + Σ bends_k · relu(x - kinks_k).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drivetrain.reference.autograd import Value
from drivetrain.reference.small_nets import step

Curve = Callable[[np.ndarray], np.ndarray]


@dataclass
class Relus:
    """The sum, with everything in it that can be learnt."""

    kinks: Value
    """(K,), where each begins."""
    bends: Value
    """(K,), how much the slope changes there."""
    start: Value
    """(), the height before the first kink."""

    def __call__(self, x: np.ndarray) -> Value:
        """(N,) -> (N,): (N, 1) meets (K,), and the sum is over K."""
        parts = (x[:, None] - self.kinks).relu() * self.bends  # (N, K)
        return parts.sum(axis=1) + self.start

    @property
    def parameters(self) -> list[Value]:
        """What is learnt."""
        return [self.kinks, self.bends, self.start]


def built(curve: Curve, low: float, high: float, count: int) -> Relus:
    """Kinks at equal distances from `low` on, and the curve met exactly at each of them and at `high`.

    The slope of a piece is that from one kink to the next; a ReLU adds what the slope changes by. The
    error of each piece is at most (width² / 8) times the curve's largest second derivative: twice as
    many kinks make it a quarter.
    """
    places = np.linspace(low, high, count + 1)
    slopes = np.diff(curve(places)) / np.diff(places)  # (K,)
    bends = np.diff(slopes, prepend=0.0)
    return Relus(Value(places[:-1]), Value(bends), Value(curve(places)[0]))


def fit(
    relus: Relus, x: np.ndarray, y: np.ndarray, *, lr: float | None = None, steps: int = 500
) -> list[float]:
    """Gradient descent on the mean squared error, all points at a time: the loss before each step.

    By default the rate is 0.1 / K. At the right end all K ReLUs are on and pull together, so the loss is
    bent the more the more there are, and a rate that suits 8 of them throws 32 out of the curve.
    """
    if lr is None:
        lr = 0.1 / len(relus.bends.data)
    losses: list[float] = []
    for _ in range(steps):
        loss = ((relus(x) - y) ** 2).mean()
        loss.backward()
        step(relus.parameters, lr)
        losses.append(float(loss.data))
    return losses


def largest_error(relus: Relus, curve: Curve, low: float, high: float, points: int = 2001) -> float:
    """How far the sum is off where it is off most, looked for at evenly spaced points."""
    x = np.linspace(low, high, points)
    return float(np.abs(relus(x).data - curve(x)).max())
