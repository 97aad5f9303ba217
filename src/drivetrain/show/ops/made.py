"""Tensors that come from no other: zeros, a count, what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivetrain.show.ops.look import Look, Worked


def constant(look: Look) -> Worked:
    """The same number everywhere."""
    given = {"zeros": 0, "ones": 1, "zero": 0}.get(
        look.op.name.removeprefix("new_").removesuffix("_like")
    )
    if given is None:
        given = look.op.args.get("fill_value", look.op.args.get("value", look.op.args.get("s")))
    look.take("c", given, 0, "the number that fills it")
    return look.done("y = c", [("y", "c", "the number there")])


def counted(look: Look) -> Worked:
    """`arange`: start, start + step, …"""
    look.setting("start", look.arg("start", 0), "the first")
    look.setting("step", look.arg("step", 1), "from one to the next")
    (place,) = look.index
    return look.done(
        f"y = start + {place}·step", [("y", f"start + {place} * step", "the number there")]
    )


def spaced(look: Look) -> Worked:
    """`linspace`: from one number to another in equal steps."""
    look.setting("start", look.arg("start"), "the first")
    look.setting("end", look.arg("end"), "the last")
    (place,) = look.index
    parts = max(1, int(look.arg("steps")) - 1)
    lines = [("y", f"start + {place} * (end - start) / {parts}", "the number there")]
    return look.done("y = start + i·(end − start) / (n − 1)", lines)


def diagonal(look: Look) -> Worked:
    """`eye`: 1 where row and column are the same."""
    look.setting("row", look.index[0], "the row")
    look.setting("column", look.index[1], "the column")
    return look.done(
        "y = 1 where row = column, else 0", [("y", "row == column", "the number there")]
    )


def drawn(look: Look) -> Worked:
    """What a generator of random numbers gave: there is nothing to work out but the number itself."""
    look.setting("drawn", look.own, "the number that was drawn", role="state")
    words = f"y is drawn ({look.op.name})"
    if look.op.name == "bernoulli":
        words = f"y is 1 with probability {look.arg('p', 'x')}, else 0: drawn"
    return look.done(words, [("y", "drawn", "the number there")])


def unset(look: Look) -> Worked:
    """Memory that is not filled yet: whatever lies there; nothing may be made of it."""
    look.setting("found", look.own, "what lay there", role="state")
    return look.done("y is not set yet", [("y", "found", "the number there")])


HANDLERS: Mapping[str, Callable[[Look], Any]] = {
    **dict.fromkeys(
        (
            *("zeros", "zeros_like", "new_zeros", "zero", "ones", "ones_like", "new_ones"),
            *("full", "full_like", "new_full", "fill", "scalar_tensor"),
        ),
        constant,
    ),
    **dict.fromkeys(
        ("bernoulli", "rand", "rand_like", "randn", "randn_like", "uniform", "normal"), drawn
    ),
    **dict.fromkeys(("empty", "empty_like", "new_empty", "empty_strided"), unset),
    "arange": counted,
    "linspace": spaced,
    "eye": diagonal,
}
"""ATen's name -> what explains it."""
