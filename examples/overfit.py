"""Too simple, right and too wild: ten noisy points of a parabola under three polynomials.

    python examples/overfit.py [picture.svg]

A straight line misses the bend, the parabola meets it, and the polynomial of degree 10 goes through
every point and wildly up and down between them. The training error falls with the degree; what tells is
the error on points that were not fitted to.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.polynomial import Polynomial

from drivetrain.train.diagnosis import Diagnosis, fit_diagnosis

DEGREES = (1, 2, 10)


def points(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x in [-2, 2], and 3x² + 2x + 1 with noise."""
    draw = np.random.default_rng(seed)
    x = np.sort(draw.uniform(-2, 2, count))
    return x, 3 * x**2 + 2 * x + 1 + draw.normal(0, 1.5, count)


def fitted(seed: int = 0) -> tuple[list[Polynomial], list[Diagnosis]]:
    """The three polynomials on ten points, and what their errors on these and on 200 others say."""
    (x, y), (new_x, new_y) = points(10, seed), points(200, seed + 1000)
    found = [Polynomial.fit(x, y, min(degree, len(x) - 1)) for degree in DEGREES]
    train = [float(((curve(x) - y) ** 2).mean()) for curve in found]
    valid = [float(((curve(new_x) - new_y) ** 2).mean()) for curve in found]
    return found, fit_diagnosis([f"degree {degree}" for degree in DEGREES], train, valid)


def draw(path: str) -> None:
    """The points under the three curves."""
    from matplotlib.figure import Figure

    curves, told = fitted()
    x, y = points(10, 0)
    fine = np.linspace(x.min(), x.max(), 300)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, curve, one in zip(figure.subplots(1, 3, sharey=True), curves, told, strict=True):
        axes.plot(fine, curve(fine))
        axes.plot(x, y, "ko", markersize=4)
        axes.set_ylim(y.min() - 5, y.max() + 5)
        axes.set_title(
            f"{one.name}: {one.verdict}\ntrain {one.train_loss:.3g}, valid {one.valid_loss:.3g}"
        )
        axes.set_xlabel("x")
    figure.savefig(path)


if __name__ == "__main__":
    for line in fitted()[1]:
        print(line)
    if len(sys.argv) > 1:
        draw(sys.argv[1])
