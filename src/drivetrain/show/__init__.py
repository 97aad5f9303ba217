"""Any number of a run, worked out: the formula, the numbers put in, each step, the result, and a check.

    dt.show.layer(learner, layer="layers.0.conv", at=(3, 5, 7))   # an activation
    dt.show.layers(learner)                                       # the table of the network
    dt.show.loss(learner, item=3)                                 # a loss
    dt.show.metric(learner, "error_rate")                         # a metric
    dt.show.step(learner, weight="0.weight", at=(3, 5))           # one weight through a training step
    dt.show.broadcast((64, 28, 28), (28, 28))                     # shapes; also describe, conv, matmul

What comes back is a `Calculation` (or an `Answer`, or a table): print it, show it in a notebook, ask it
for JSON, or `write` it as one HTML page. Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.show.answer import Answer
    from drivetrain.show.calculation import Calculation
    from drivetrain.show.html import page, write
    from drivetrain.show.layer import layer, names
    from drivetrain.show.layers import layers
    from drivetrain.show.loss import loss, loss_of
    from drivetrain.show.metric import metric, metric_of
    from drivetrain.show.render import text
    from drivetrain.show.shapes import broadcast, conv, describe, matmul
    from drivetrain.show.step import step

__all__ = [
    "Answer",
    "Calculation",
    "broadcast",
    "conv",
    "describe",
    "layer",
    "layers",
    "loss",
    "loss_of",
    "matmul",
    "metric",
    "metric_of",
    "names",
    "page",
    "step",
    "text",
    "write",
]

_HOMES = {
    "answer": ("Answer",),
    "calculation": ("Calculation",),
    "html": ("page", "write"),
    "layer": ("layer", "names"),
    "layers": ("layers",),
    "loss": ("loss", "loss_of"),
    "metric": ("metric", "metric_of"),
    "render": ("text",),
    "shapes": ("broadcast", "conv", "describe", "matmul"),
    "step": ("step",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
