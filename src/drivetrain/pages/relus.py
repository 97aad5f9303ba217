"""A sum of ReLUs: two that one moves by hand, and up to 32 fitted to a sine."""

from __future__ import annotations

from typing import Any

import numpy as np

from drivetrain.pages.page import Page, Slider, chart

MOST = 32
"""ReLUs at most."""


def build() -> Page:
    """The page. Nothing in it is drawn at random."""
    moves = [
        Slider("m1", "slope 1", -3, 3, 0.05, 1.0),
        Slider("b1", "bias 1", -4, 4, 0.05, 1.5),
        Slider("m2", "slope 2", -3, 3, 0.05, -1.0),
        Slider("b2", "bias 2", -4, 4, 0.05, 1.5),
        Slider("scale", "weight of both", -2, 2, 0.05, 0.5),
        Slider("shift", "added at the end", -3, 3, 0.05, -1.0),
    ]
    fits = [fit(k) for k in range(1, MOST + 1)]
    body = f"""<section><h2>Two by hand</h2><div class="beside">
<div>{chart("two", "Two ReLUs, their sum, and the sine")}</div>
<div>{"".join(move.to_html() for move in moves)}
<dl class="numbers"><dt>mean absolute error</dt><dd id="loss_two" class="main"></dd></dl>
<p class="formula">y = w·max(0, m₁x + b₁) + w·max(0, m₂x + b₂) + c</p>
</div></div></section>
<section><h2>Many, fitted</h2><div class="beside">
<div>{chart("many", "A sum of fitted ReLUs, and the sine")}</div>
<div>{Slider("k", "how many", 1, MOST, 1, 4).to_html()}
<dl class="numbers"><dt>largest error</dt><dd id="loss_many" class="main"></dd>
<dt>mean absolute error</dt><dd id="mae_many"></dd></dl>
<p class="note">Each ReLU begins to rise at its own place, evenly from −π to π; how much it rises, and one
number added at the end, are those that make the squared error least.</p>
</div></div></section>"""
    return Page(
        title="A sum of ReLUs",
        question=(
            "A ReLU is a line with everything below zero cut off. One is a bend; enough of them, added, "
            "follow any curve. Here the curve is a sine, dashed."
        ),
        body=body,
        script="relus",
        data={"fits": fits},
        tries=[
            (
                "Move slope 1 and bias 1 alone.",
                "The bend stands where slope·x + bias is 0: at −bias/slope.",
            ),
            (
                "Take “how many” from 1 to 32.",
                "The largest error falls, to about a quarter each time the number doubles.",
            ),
            (
                "Look beside the edges, beyond −π and π.",
                "Nothing was fitted there: the last line goes on as it was, and the sine does not.",
            ),
        ],
    )


def fit(k: int) -> dict[str, Any]:
    """`k` ReLUs on a grid, fitted to the sine by least squares: their starts, rises and the constant."""
    starts = -np.pi + 2 * np.pi * np.arange(k) / k
    xs = np.linspace(-np.pi, np.pi, 401)
    columns = np.maximum(0.0, xs[:, None] - starts[None, :])  # (401, k)
    design = np.column_stack([columns, np.ones_like(xs)])
    found, *_ = np.linalg.lstsq(design, np.sin(xs), rcond=None)
    return {"starts": starts.tolist(), "rises": found[:-1].tolist(), "added": float(found[-1])}
