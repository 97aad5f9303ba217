"""A kernel of nine weights over a digit: the size of what comes out, and each sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from drivetrain.errors import ShapeError
from drivetrain.pages.page import Page, Slider

KERNELS: dict[str, tuple[float, ...]] = {
    "top edge": (-1, -1, -1, 0, 0, 0, 1, 1, 1),
    "left edge": (-1, 0, 1, -1, 0, 1, -1, 0, 1),
    "outline": (-1, -1, -1, -1, 8, -1, -1, -1, -1),
    "sum": (1, 1, 1, 1, 1, 1, 1, 1, 1),
    "same": (0, 0, 0, 0, 1, 0, 0, 0, 0),
}
"""Name -> nine weights, row by row; those of "sum" add up a patch, so a ninth of it is its mean."""
MOST_SIDE = 64


def build(*, picture: Any = None) -> Page:
    """The page.

    Args:
        picture: (H, W) numbers from 0 (dark) to 1 (bright), 3 to 64 a side; by default a 7 that is drawn
            here, 16 x 16.

    Raises: ShapeError: the picture has another shape.
    """
    pixels = seven() if picture is None else np.asarray(picture, dtype=np.float64)
    if pixels.ndim != 2 or not all(3 <= side <= MOST_SIDE for side in pixels.shape):
        raise ShapeError(
            f"The page `kernel` got a picture of shape {tuple(pixels.shape)}, expected (H, W) with "
            f"3 to {MOST_SIDE} a side: grey values from 0 to 1. Make it smaller, or take one "
            "channel of it."
        )
    weights = "".join(
        Slider(f"w{i}", f"weight {i // 3 + 1}, {i % 3 + 1}", -8, 8, 0.25, value).to_html()
        for i, value in enumerate(KERNELS["top edge"])
    )
    more = "".join(
        slider.to_html()
        for slider in (
            Slider("bias", "bias", -4, 4, 0.25, 0),
            Slider("padding", "padding", 0, 2, 1, 1),
            Slider("stride", "stride", 1, 3, 1, 1),
        )
    )
    buttons = "".join(f'<button data-kernel="{name}">{name}</button>' for name in KERNELS)
    height, width = pixels.shape
    body = f"""<section><div class="halves">
<div><h2>In: {height} × {width}</h2><canvas id="input" aria-label="the picture"></canvas></div>
<div><h2>Out: <span id="size"></span></h2><canvas id="output" aria-label="what comes out"></canvas></div>
</div>
<p class="note">Point at, or tap, a cell of what comes out: the cells that it is made of are framed,
those of the padding too.</p>
<p class="formula" id="size_formula"></p>
<p class="formula" id="sum_formula"></p>
<dl class="numbers"><dt>the cell's value</dt><dd id="value" class="main"></dd>
<dt>mean of all cells</dt><dd id="mean"></dd><dt>largest</dt><dd id="largest"></dd>
<dt>smallest</dt><dd id="smallest"></dd></dl>
<div class="buttons">{buttons}</div>
<label class="note"><select id="after"><option value="none">as it is</option>
<option value="relu">ReLU after it</option></select> what is done with each sum</label>
</section>
<section><h2>The kernel</h2><div class="beside"><div>{weights}</div><div>{more}</div></div></section>"""
    return Page(
        title="A kernel over a digit",
        question=(
            "A convolution lays nine weights over each 3 × 3 patch of a picture, multiplies, and "
            "adds. The same nine weights find the same thing everywhere."
        ),
        body=body,
        script="kernel",
        data={"picture": np.round(pixels, 4).tolist(), "kernels": KERNELS},
        tries=[
            (
                "Press “top edge”, then “left edge”.",
                "Bright where the picture gets brighter downwards, or to the right; black the "
                "other way round, which ReLU cuts off.",
            ),
            (
                "Set padding to 0, then 1, then 2, at stride 1.",
                "The size is 2 smaller, the same, 2 larger: for a kernel of 3, padding 1 keeps it.",
            ),
            (
                "Set stride to 2.",
                "Half the side, a quarter of the sums; the kernel has nine weights as before.",
            ),
        ],
    )


def seven(side: int = 16) -> np.ndarray:
    """A 7 with a bar, drawn by distance to its strokes: (side, side) from 0 to 1."""
    strokes = [((3, 3), (12, 3)), ((12, 3), (6, 13)), ((5.5, 8), (11.5, 8))]
    y, x = np.mgrid[0:side, 0:side] * (16 / side)
    nearest = np.full((side, side), np.inf)
    for (x0, y0), (x1, y1) in strokes:
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
        along = np.clip(along, 0, 1)
        distance = np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        nearest = np.minimum(nearest, distance)
    return np.clip(1.6 - nearest, 0, 1)
