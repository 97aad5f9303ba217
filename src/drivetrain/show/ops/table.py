"""Which function explains an operation, and what is said of one that none does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivetrain.show.ops import (
    attention,
    made,
    movement,
    norms,
    places,
    pointwise,
    pooling,
    products,
    recurrent,
    reductions,
)
from drivetrain.show.ops.look import Look, Worked

HANDLERS: Mapping[str, Callable[[Look], Any]] = {
    **pointwise.HANDLERS,
    **movement.HANDLERS,
    **made.HANDLERS,
    **products.HANDLERS,
    **reductions.HANDLERS,
    **places.HANDLERS,
    **pooling.HANDLERS,
    **norms.HANDLERS,
    **attention.HANDLERS,
    **recurrent.HANDLERS,
}
"""ATen's name -> what explains one output element of it; None from it says that it cannot here."""


def floor(look: Look) -> float:
    """The tolerance that a calculation has at least: sixteen roundings of what the run computed in.

    Of float32 that is 1e-6; of float64 it is 1e-12, since functions of two libraries differ there.
    """
    return max(1e-12, 1e-6 if look.unit > 1e-9 else 0.0, 16 * look.unit)


def explain(look: Look) -> Worked | None:
    """An output element worked out; None where no function knows the operation, or this form of it."""
    handler = HANDLERS.get(look.op.name)
    return None if handler is None else handler(look)
