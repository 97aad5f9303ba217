"""Pooling: the largest or the mean number of a window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from drivetrain.show.ops.look import Look, Worked, grid, listed, of_sum, unravel
from drivetrain.show.ops.sizes import Window, windows


def largest(look: Look) -> Worked | None:
    """`max_pool`; what lies in the padding does not count."""
    if look.output > 0:
        return None
    source = look.arg("self")
    shape = tuple(source.tensor.shape)
    axes = [
        [i for i in start + one.dilation * np.arange(one.kernel) if 0 <= i < one.size]
        for one, start in _starts(look)
    ]
    places = grid(shape, *look.index[: -len(axes)], *axes)
    x = look.take("x", source, places, "the numbers in the window")
    place = int(places.reshape(-1)[int(x.argmax())])
    look.follow(source, place)
    return look.done(
        "y = the largest x of the window",
        [("y", "max(x)", f"the largest; it stands at {listed(unravel(place, shape))}")],
    )


def _starts(look: Look) -> list[tuple[Window, int]]:
    """Of each axis the window, and where it begins, which may be in the padding."""
    found = windows(look.op)
    places = look.index[-len(found) :]
    return [(one, i * one.stride - one.padding) for one, i in zip(found, places, strict=True)]


def average(look: Look) -> Worked:
    """`avg_pool`; zeros of the padding count unless told otherwise."""
    source = look.arg("self")
    shape = tuple(source.tensor.shape)
    starts = _starts(look)
    axes = [
        [i for i in range(start, start + one.kernel) if 0 <= i < one.size] for one, start in starts
    ]
    places = grid(shape, *look.index[: -len(axes)], *axes)
    x = look.take("x", source, places, "the numbers in the window").astype(np.float64)
    count = x.size
    if look.op.args["count_include_pad"]:
        count = prod(
            min(start + one.kernel, one.size + one.padding) - start for one, start in starts
        )
    count = look.arg("divisor_override") or count
    look.setting("n", count, "how many they count for")
    bound = of_sum(x, look.unit) / count + 2 * look.unit * abs(look.own)
    return look.done("y = Σ x / n", [("y", "sum(x) / n", "the mean")], bound=bound)


def adaptive(look: Look) -> Worked | None:
    """`adaptive_avg_pool` and `adaptive_max_pool`: windows as even as can be, ⌊i·n/m⌋ to ⌈(i+1)·n/m⌉."""
    if look.output > 0:
        return None
    source = look.arg("self")
    shape, sizes = tuple(source.tensor.shape), look.arg("output_size")
    dims = len(sizes)
    axes = [
        range(i * n // m, -(-(i + 1) * n // m))
        for i, n, m in zip(look.index[-dims:], shape[-dims:], sizes, strict=True)
    ]
    places = grid(shape, *look.index[:-dims], *axes)
    x = look.take("x", source, places, "the numbers in the window").astype(np.float64)
    if "max" in look.op.name:
        return look.done("y = the largest x of the window", [("y", "max(x)", "the largest")])
    bound = of_sum(x, look.unit) / x.size + 2 * look.unit * abs(look.own)
    return look.done(f"y = Σ x / {x.size}", [("y", "mean(x)", "the mean")], bound=bound)


HANDLERS: Mapping[str, Callable[[Look], Any]] = {
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool2d"), largest),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), average),
    **dict.fromkeys(
        (
            *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool2d"),
            *("adaptive_max_pool2d", "adaptive_max_pool3d", "mkldnn_adaptive_avg_pool2d"),
        ),
        adaptive,
    ),
}
"""ATen's name -> what explains it."""
