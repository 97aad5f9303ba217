"""The parabola of the course: noisy points, three sliders, the loss live."""

from __future__ import annotations

import numpy as np

from drivetrain.pages.page import Page, Slider, chart

TRUE = (3.0, 2.0, 1.0)
"""a, b and c of the curve that the points lie about: 3x² + 2x + 1."""


def build(*, points: int = 20, noise: float = 1.5, seed: int = 42) -> Page:
    """The page.

    Args:
        points: how many, evenly from -2 to 2.
        noise: standard deviation of what is added to each.
    """
    xs = np.linspace(-2, 2, points)
    ys = np.polyval(TRUE, xs) + np.random.default_rng(seed).normal(0, noise, points)
    best = np.polyfit(xs, ys, 2)
    low, high = float(ys.min()), float(ys.max())
    moves = [
        Slider("a", "a, of x²", -2, 6, 0.05, 1.0),
        Slider("b", "b, of x", -4, 6, 0.05, 1.0),
        Slider("c", "c", -4, 6, 0.05, 1.0),
        Slider("rate", "learning rate", 0.005, 0.3, 0.005, 0.05),
    ]
    body = f"""<section class="beside">
<div>{chart("picture", "Points and the parabola of the sliders")}</div>
<div>{"".join(move.to_html() for move in moves)}
<dl class="numbers">
<dt>mean absolute error</dt><dd id="mae" class="main"></dd>
<dt>mean squared error</dt><dd id="mse"></dd>
<dt>gradient of MSE in a</dt><dd id="grad_a"></dd>
<dt>… in b</dt><dd id="grad_b"></dd>
<dt>… in c</dt><dd id="grad_c"></dd>
<dt>least squares' MSE</dt><dd id="best"></dd>
</dl>
<p class="formula">y = <span id="formula"></span></p>
<div class="buttons"><button id="step">One step of descent</button>
<button id="steps">Twenty steps</button><button id="reset">Back to 1, 1, 1</button></div>
</div></section>"""
    return Page(
        title="Fit a parabola by hand",
        question=(
            f"{points} points lie about a parabola. Move a, b and c until the error is small; then let "
            "the gradient do it. Orange lines are the errors that the mean is taken of."
        ),
        body=body,
        script="quadratic",
        data={
            "x": xs.tolist(),
            "y": ys.tolist(),
            "best_mse": float(np.mean((np.polyval(best, xs) - ys) ** 2)),
            "bounds": [low - 0.15 * (high - low), high + 0.15 * (high - low)],
        },
        tries=[
            (
                "Move one slider to where the error is least, then the next, then the first again.",
                "The best place of each depends on the others: that is why all are moved at once.",
            ),
            (
                "Press “One step of descent” and look at the sliders.",
                "Each moves against its own gradient, by the rate times the gradient.",
            ),
            (
                "Set the rate to 0.2 and press it a few times.",
                "a swings to and fro and the error grows: the steps are longer than the valley is wide.",
            ),
        ],
    )
