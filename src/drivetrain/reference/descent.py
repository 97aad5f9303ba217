"""Gradient descent on a few numbers: a parabola through noisy points.

Three coefficients are the smallest model there is: all that is done with a net's millions of weights is
done here with three, and the right answer is known, from least squares.

Letters: a, b, c the coefficients of a x² + b x + c; x and y the points, (N,); w any weights; lr the rate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Gradient = Callable[[np.ndarray], np.ndarray]


# --- slopes, and steps down them ----------------------------------------------------------------------


def numeric_gradient(
    f: Callable[[np.ndarray], float], w: np.ndarray, h: float = 1e-5
) -> np.ndarray:
    """How f changes with each weight, by trying: (f(w + h) - f(w - h)) / 2h, one weight at a time.

    It needs two calls a weight, which is why gradients are worked out instead. Stepping to both sides
    makes it exact for a parabola; stepping to one side only is off by h times half the curvature.
    """
    slopes = np.zeros_like(w)
    for index in np.ndindex(*w.shape):
        up, down = w.copy(), w.copy()
        up[index] += h
        down[index] -= h
        slopes[index] = (f(up) - f(down)) / (2 * h)
    return slopes


def descend(gradient: Gradient, start: np.ndarray, *, lr: float, steps: int) -> np.ndarray:
    """(steps + 1, …), the weights from the start on: w ← w - lr · gradient(w).

    >>> descend(lambda w: 2 * w, np.array(3.0), lr=0.1, steps=3).round(3).tolist()  # of w²
    [3.0, 2.4, 1.92, 1.536]
    """
    path = [np.asarray(start, dtype=np.float64)]
    for _ in range(steps):
        path.append(path[-1] - lr * gradient(path[-1]))
    return np.stack(path)


# --- a parabola ---------------------------------------------------------------------------------------


def quadratic(abc: np.ndarray, x: np.ndarray) -> np.ndarray:
    """a x² + b x + c at each x."""
    a, b, c = abc
    return a * x**2 + b * x + c


def noisy_points(
    count: int = 20, *, noise: float = 0.3, seed: int = 42
) -> tuple[np.ndarray, np.ndarray]:
    """x evenly on [-2, 2], and 3x² + 2x + 1 there plus normal noise of that spread."""
    x = np.linspace(-2, 2, count)
    noises = np.random.default_rng(seed).normal(0, noise, count)
    return x, quadratic(np.array([3.0, 2.0, 1.0]), x) + noises


def mean_squared(abc: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """The mean of (curve - y)²."""
    return float(((quadratic(abc, x) - y) ** 2).mean())


def mean_squared_gradient(abc: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Means of 2 (curve - y) times x², x and 1: how the curve moves with each coefficient."""
    wrong = quadratic(abc, x) - y
    return np.array([(2 * wrong * power).mean() for power in (x**2, x, np.ones_like(x))])


def mean_absolute(abc: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """The mean of |curve - y|."""
    return float(np.abs(quadratic(abc, x) - y).mean())


def mean_absolute_gradient(abc: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Means of ±x², ±x and ±1, the sign of the error: it does not shrink near the best curve."""
    side = np.sign(quadratic(abc, x) - y)
    return np.array([(side * power).mean() for power in (x**2, x, np.ones_like(x))])


def fitted(
    x: np.ndarray, y: np.ndarray, *, lr: float = 0.1, steps: int = 200
) -> tuple[np.ndarray, list[float]]:
    """What descent from (1, 1, 1) reaches, and the loss before each step and at the end."""
    path = descend(lambda abc: mean_squared_gradient(abc, x, y), np.ones(3), lr=lr, steps=steps)
    return path[-1], [mean_squared(abc, x, y) for abc in path]


def least_squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where that gradient is 0, solved at once: three equations in a, b and c."""
    powers = np.stack([x**2, x, np.ones_like(x)], axis=1)  # (N, 3)
    return np.linalg.solve(powers.T @ powers, powers.T @ y)


def largest_rate(x: np.ndarray) -> float:
    """Below it every step lowers the mean squared error, above it steps run away.

    The loss is a bowl. Along the direction in which it is bent most, with second derivative s, a step
    multiplies the distance to the bottom by 1 - lr · s: that grows where lr is above 2 / s.
    """
    powers = np.stack([x**2, x, np.ones_like(x)], axis=1)
    bent = np.linalg.eigvalsh(2 * powers.T @ powers / len(x))
    return float(2 / bent[-1])
