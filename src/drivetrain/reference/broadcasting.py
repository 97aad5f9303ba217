"""Broadcasting: how arrays of different shapes are put together without copying either.

The rule, in three sentences. Write the shapes under each other so that their LAST axes meet; where one
is shorter, 1 stands for the axis it lacks. On each axis the sizes must be equal, or one of them 1. An
axis of size 1 is read again and again, as often as the other is long.

Gradients go the way back: what was read many times gets the sum of what comes back to each reading.
Twin of `torch.broadcast_shapes`, `torch.broadcast_to` and of the sums within autograd.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """What meets on one axis, and what becomes of it."""

    number: int
    """Counted from the end: -1 is the last, as they are lined up."""
    sizes: tuple[int | None, ...]
    """Of each shape; None where it has no such axis."""
    result: int | None
    """None where the sizes do not go together."""
    reason: str


def aligned(*shapes: Shape) -> list[Axis]:
    """The axes of the result from the first to the last, whether they go together or not.

    >>> for axis in aligned((64, 28, 28), (28, 28)):
    ...     print(axis.number, axis.sizes, axis.result, axis.reason)
    -3 (64, None) 64 missing in (28, 28): repeated 64 times
    -2 (28, 28) 28 equal
    -1 (28, 28) 28 equal
    """
    axes: list[Axis] = []
    for number in range(-max(map(len, shapes), default=0), 0):
        sizes = tuple(shape[number] if len(shape) >= -number else None for shape in shapes)
        wanted = {size for size in sizes if size not in (None, 1)}
        if len(wanted) > 1:
            clash = " and ".join(str(size) for size in sizes if size in wanted)
            axes.append(Axis(number, sizes, None, f"{clash} differ, and neither is 1"))
            continue
        (result,) = wanted or {1}
        repeats = f"repeated {result} time{'s' * (result != 1)}"
        reasons = [
            f"{'missing' if size is None else 'size 1'} in {shape}: {repeats}"
            for shape, size in zip(shapes, sizes, strict=True)
            if size is None or size != result
        ]
        axes.append(Axis(number, sizes, result, "; ".join(reasons) or "equal"))
    return axes


def result_shape(*shapes: Shape) -> Shape:
    """The shape that all of them are read in.

    Raises: ValueError: they do not go together: the first axis from the end that clashes is named.
    """
    axes = aligned(*shapes)
    for axis in reversed(axes):
        if axis.result is None:
            raise ValueError(
                f"Shapes {' and '.join(map(str, shapes))} do not broadcast: on axis {axis.number}, "
                f"{axis.reason}. Put in an axis of size 1, or move axes, so that equal sizes meet."
            )
    return tuple(axis.result for axis in axes if axis.result is not None)


def explained(*shapes: Shape) -> str:
    """A line for each axis: the sizes under each other, the result, and why; `-` where there is no axis.

    >>> print(explained((3,), (2, 1)))
    axis  (3,)  (2, 1)  result  why
      -2     -       2       2  missing in (3,): repeated 2 times
      -1     3       1       3  size 1 in (2, 1): repeated 3 times
    """
    heads = ["axis", *map(str, shapes), "result"]
    rows = [
        [
            str(axis.number),
            *("-" if size is None else str(size) for size in axis.sizes),
            "?" if axis.result is None else str(axis.result),
        ]
        for axis in aligned(*shapes)
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (heads, *rows)
    ]
    whys = ["why", *(axis.reason for axis in aligned(*shapes))]
    return "\n".join(f"{line}  {why}" for line, why in zip(lines, whys, strict=True))


def source_index(index: Shape, shape: Shape) -> Shape:
    """Where a number of the result is read from: leading axes that are not there are dropped, and
    along an axis of size 1 it is always 0.

    >>> source_index((5, 2, 7), (3, 1))
    (2, 0)
    """
    kept = index[len(index) - len(shape) :]
    return tuple(0 if size == 1 else i for i, size in zip(kept, shape, strict=True))


def broadcast_to(x: np.ndarray, shape: Shape) -> np.ndarray:
    """`x` read in a larger shape, one number after the other: the rule as a loop."""
    wide = np.empty(shape, x.dtype)
    for index in np.ndindex(*shape):
        wide[index] = x[source_index(index, x.shape)]
    return wide


def undone(gradient: np.ndarray, shape: Shape) -> np.ndarray:
    """The gradient of what was read in the shape of `gradient` and is of `shape`: sums over the readings.

    Axes that were missing are summed away, axes of size 1 are summed to size 1 again.
    """
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    stretched = tuple(
        axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] != 1
    )
    return gradient.sum(axis=stretched, keepdims=True)
