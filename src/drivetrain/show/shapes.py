"""Shapes and the arithmetic of them: what a tensor's axes are, broadcasting, convolution, matmul.

Each answers with a table that says how the result comes about, and refuses what does not fit by naming
the axis, the reason and the usual cure.

>>> print(broadcast((64, 28, 28), (28, 28)))
(64, 28, 28) with (28, 28) gives (64, 28, 28)
<BLANKLINE>
  axis  first  second  result  why
  0     64     -       64      the second has no such axis: counted as 1, and repeated 64 times
  1     28     28      28      equal
  2     28     28      28      equal
<BLANKLINE>
Axes are aligned at the last one; two sizes fit where they are equal or one of them is 1.
Nothing is copied: what is repeated is read again from the same place in memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from drivetrain.errors import ConfigError, ShapeError
from drivetrain.show.answer import Answer

Shape = tuple[int, ...]
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")

# --- what a tensor is -----------------------------------------------------------------------------

_USUAL: dict[int, tuple[str, ...]] = {
    1: ("numbers",),
    2: ("rows", "columns"),
    3: ("matrices", "rows", "columns"),
    4: ("items", "channels", "rows", "columns"),
    5: ("items", "channels", "frames", "rows", "columns"),
}
_KINDS = {0: "one number (a scalar)", 1: "a vector", 2: "a matrix", 3: "a stack of matrices"}


def describe(value: Any, *, axes: Sequence[str] = ()) -> Answer:
    """Rank, shape, dtype and device of a tensor, and which axis is which.

    Rank is how many axes there are, and shape how long each of them is: `rank == len(shape)`.

    Args:
        value: a tensor, a numpy array, a number, or nested lists of numbers.
        axes: what the axes are, where it is known: ("items", "channels", "rows", "columns"). By default
            the usual reading of so many axes, which a shape alone cannot prove.

    Raises: ShapeError: nested lists that are no rectangle, with the odd row named; or not one name for
        each axis.

    >>> import torch
    >>> describe(torch.zeros(64, 28, 28)).values["axes"]
    ['64 matrices', '28 rows', '28 columns']
    """
    found, kind, device = _as_array(value)
    shape = tuple(found.shape)
    if axes and len(axes) != len(shape):
        raise ShapeError(
            f"`describe` got {len(axes)} names of axes for a tensor of shape {shape}, which has "
            f"{len(shape)}."
        )
    words = list(axes) or _usual(len(shape))
    named = [f"{size:,} {word}" for size, word in zip(shape, words, strict=True)]
    count = math.prod(shape)
    size = int(found.element_size()) if isinstance(found, Tensor) else int(found.itemsize)
    dtype = str(found.dtype).removeprefix("torch.")
    what = _KINDS.get(len(shape), f"{len(shape)} axes")
    rows = [
        (str(axis), f"{length:,}", word, _index(len(shape), axis))
        for axis, (length, word) in enumerate(zip(shape, words, strict=True))
    ]
    grad = isinstance(value, Tensor) and value.requires_grad
    notes = [
        f"{kind}, dtype {dtype} ({size} bytes a number), on {device}: "
        f"{_counted(count, 'number')}, {_bytes(count * size)}."
    ]
    if isinstance(value, Tensor):
        notes.append(
            "It records what is done with it, for gradients."
            if grad
            else "It records no gradients."
        )
    else:
        notes.append(
            "It is no tensor: it knows neither devices nor gradients. `torch.as_tensor` makes one."
        )
    if len(shape) > 1 and not axes:
        notes.append("The words are the usual reading of so many axes; a shape cannot prove them.")
    values = {
        "rank": len(shape),
        "shape": list(shape),
        "dtype": dtype,
        "device": device,
        "axes": named,
        "count": count,
        "bytes": count * size,
        "requires_grad": grad,
        "kind": kind,
    }
    title = f"rank {len(shape)}, shape {shape}: {what}"
    return Answer(
        title, ("axis", "size", "of what", "the first of them"), tuple(rows), tuple(notes), values
    )


def _usual(rank: int) -> list[str]:
    if rank in _USUAL:
        return list(_USUAL[rank])
    return [f"along axis {axis}" for axis in range(rank)]


def _index(rank: int, axis: int) -> str:
    return "t[" + ", ".join("0" if at == axis else ":" for at in range(rank)) + "]"


def _as_array(value: Any) -> tuple[Tensor | np.ndarray, str, str]:
    if isinstance(value, Tensor):
        return value, "torch tensor", str(value.device)
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            _check_rectangle(value.tolist())
        return value, "numpy array", "cpu"
    if isinstance(value, list | tuple):
        _check_rectangle(value)
        return np.asarray(value), "nested lists", "cpu"
    return np.asarray(value), "Python number", "cpu"


def _check_rectangle(value: Any) -> None:
    """Raises: ShapeError: where rows differ in length; the row that differs from the others is named."""
    level: list[tuple[str, Any]] = [("", value)]
    while level:
        are_lists = [isinstance(one, list | tuple) for _, one in level]
        if not any(are_lists):
            return
        if not all(are_lists):
            place, one = level[are_lists.index(sum(are_lists) * 2 <= len(are_lists))]
            kind = "a list" if isinstance(one, list | tuple) else f"{one!r}, a single number"
            raise ShapeError(
                f"These nested lists are no array: at {place or 'the outside'} stands {kind}, and the "
                "others at this depth are not. A tensor has numbers at one depth only."
            )
        lengths = [len(one) for _, one in level]
        usual = max(set(lengths), key=lambda length: (lengths.count(length), length == lengths[0]))
        odd = [i for i, length in enumerate(lengths) if length != usual]
        if odd:
            places = ", ".join(f"{level[i][0]} with {lengths[i]}" for i in odd[:3])
            more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
            what = "row" if len(odd) == 1 else "rows"
            raise ShapeError(
                f"These nested lists are ragged: {what} {places}{more}, where "
                f"{'the others have' if usual != lengths[odd[0]] else 'expected'} {usual}. Make all rows "
                "equally long: pad the short ones, cut the long ones, or keep a list of tensors."
            )
        level = [(f"{place}[{at}]", inner) for place, one in level for at, inner in enumerate(one)]


# --- broadcasting ---------------------------------------------------------------------------------


def broadcast(*shapes: Sequence[int] | Tensor | np.ndarray) -> Answer:
    """How shapes are aligned in `a + b`, axis by axis, and the shape of the result.

    Args:
        shapes: two or more; a tensor or an array stands for its shape.

    Raises: ShapeError: they cannot be broadcast: the axis, why, and what usually cures it.

    >>> broadcast((64, 28, 28), (28, 28)).result
    [64, 28, 28]
    """
    if len(shapes) < 2:
        raise ConfigError(f"`broadcast` needs two shapes or more. Got {len(shapes)}.")
    known = [_shape_of(one) for one in shapes]
    rank = max(len(shape) for shape in known)
    names = _names(len(known))
    result: list[int] = []
    rows: list[tuple[str, ...]] = []
    for axis in range(rank):
        sizes = [_at(shape, axis, rank) for shape in known]
        real = {size for size in sizes if size is not None and size != 1}
        if len(real) > 1:
            raise ShapeError(_cannot(known, axis, rank))
        size = real.pop() if real else 1
        result.append(size)
        cells = ["-" if one is None else f"{one:,}" for one in sizes]
        rows.append((str(axis), *cells, f"{size:,}", _why(sizes, size, names)))
    title = f"{' with '.join(str(shape) for shape in known)} gives {tuple(result)}"
    notes = (
        "Axes are aligned at the last one; two sizes fit where they are equal or one of them is 1.",
        "Nothing is copied: what is repeated is read again from the same place in memory.",
    )
    values = {"shapes": [list(shape) for shape in known], "result": result}
    return Answer(title, ("axis", *names, "result", "why"), tuple(rows), notes, values)


def _at(shape: Shape, axis: int, rank: int) -> int | None:
    at = axis - (rank - len(shape))
    return shape[at] if at >= 0 else None


def _names(count: int) -> list[str]:
    return [ORDINALS[i] if i < len(ORDINALS) else f"{i + 1}th" for i in range(count)]


def _why(sizes: Sequence[int | None], size: int, names: Sequence[str]) -> str:
    missing = [name for name, one in zip(names, sizes, strict=True) if one is None]
    ones = [name for name, one in zip(names, sizes, strict=True) if one == 1 != size]
    words = []
    again = f"repeated {size:,} times"
    if missing:
        verb = "has" if len(missing) == 1 else "have"
        words.append(
            f"the {' and '.join(missing)} {verb} no such axis: counted as 1"
            + (f", and {again}" if size != 1 else "")
        )
    if ones:
        words.append(f"the {' and '.join(ones)} {'is' if len(ones) == 1 else 'are'} 1: {again}")
    return "; ".join(words) or "equal"


def _cannot(shapes: Sequence[Shape], axis: int, rank: int) -> str:
    names = _names(len(shapes))
    sizes = [_at(shape, axis, rank) for shape in shapes]
    told = [
        (name, size)
        for name, size in zip(names, sizes, strict=True)
        if size is not None and size != 1
    ]
    (one, a), (other, b) = told[0], next(pair for pair in told if pair[1] != told[0][1])
    first, second = (shapes[names.index(name)] for name in (one, other))
    place = "the last" if axis == rank - 1 else f"{rank - axis} from the end"
    return (
        f"Shapes {' and '.join(str(shape) for shape in shapes)} cannot be broadcast: at axis {axis} of "
        f"the result ({place}) the {one} has {a} and the {other} has {b}, and neither is 1. "
        f"{_cure(first, second, one, other)}"
    )


def _cure(first: Shape, second: Shape, one: str, other: str) -> str:
    """What usually was meant: axes of size 1 put in, or the axes turned round."""
    for short, long, name in ((second, first, other), (first, second, one)):
        placed = _placed(short, long) if len(short) <= len(long) else None
        if placed is not None:
            index = ", ".join("None" if at is None else ":" for at in placed)
            shape = tuple(1 if at is None else short[at] for at in placed)
            return f"Give the {name} axes of size 1, as {shape}: `x[{index}]`."
    if len(first) == len(second) == 2 and _fits(first, second[::-1]):
        return f"Turn the {other} round, to {second[::-1]}: `x.T`."
    if len(first) == len(second) == 1:
        return (
            "Element by element they must be equally long; for every pair of them give the "
            f"{one} as ({first[0]}, 1): `x[:, None]`."
        )
    return "Sizes must be equal, or one of them 1: reshape one, or take a part of it."


def _placed(short: Shape, long: Shape) -> list[int | None] | None:
    """Where the axes of `short` may stand among those of `long`, None for an axis of size 1 put in."""
    rank = len(long)
    if rank == len(short):
        return None
    for places in itertools.combinations(range(rank), len(short)):
        if all(size in (long[at], 1) for size, at in zip(short, places, strict=True)):
            kept = rank - places[0]  # axes in front need not be written
            found: list[int | None] = [None] * rank
            for index, at in enumerate(places):
                found[at] = index
            return found[rank - kept :]
    return None


def _fits(first: Shape, second: Shape) -> bool:
    pairs = zip(first[::-1], second[::-1], strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def _shape_of(value: Any) -> Shape:
    shape = getattr(value, "shape", value)
    try:
        sizes = tuple(shape)
    except TypeError:
        sizes = (shape,)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 0:
            raise ShapeError(
                f"A shape is whole numbers from 0 up, such as (64, 28, 28). Got {value!r}."
            )
    return tuple(int(size) for size in sizes)


# --- convolution ----------------------------------------------------------------------------------


def conv(
    size: int | Sequence[int],
    kernel_size: int | Sequence[int] = 3,
    *,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    layers: int = 1,
    out_channels: int | None = None,
) -> Answer:
    """The size that a convolution or a pooling gives, with the formula filled in; also of several alike.

    (n + 2p - d(k - 1) - 1) // s + 1, which without dilation is (n + 2p - k) // s + 1.

    Args:
        size: n; or (height, width), (channels, height, width) or (items, channels, height, width).
        kernel_size: k; like the following also one each for height and width.
        padding: p, rows of zeros put at each side.
        stride: s, how far the kernel moves.
        dilation: d, the distance of the rows under the kernel.
        layers: how many such layers follow each other.
        out_channels: of each layer, where `size` has channels; by default as many as come in.

    Raises: ConfigError: a number out of range. ShapeError: the kernel is larger than what it lies on.

    >>> conv(28, 3, padding=1, stride=2, layers=5).values["sizes"]
    [28, 14, 7, 4, 2, 1]
    >>> conv((64, 1, 28, 28), 3, out_channels=4).result
    [64, 4, 26, 26]
    """
    given = _shape_of(size)
    if not 1 <= len(given) <= 4:
        raise ShapeError(
            f"`conv` needs a size of 1 to 4 numbers, such as 28 or (64, 1, 28, 28). Got {given}."
        )
    if isinstance(layers, bool) or not isinstance(layers, int) or layers < 1:
        raise ConfigError(f"`layers` must be a whole number from 1 up. Got {layers!r}.")
    front, grid = list(given[:-2]), list(given[-2:])
    k, p, s, d = (
        _each(value, len(grid), name, least)
        for value, name, least in (
            (kernel_size, "kernel_size", 1),
            (padding, "padding", 0),
            (stride, "stride", 1),
            (dilation, "dilation", 1),
        )
    )
    grids, lost, rows = [grid], [], []
    for layer in range(1, layers + 1):
        axes = [_Axis(*one) for one in zip(grids[-1], k, p, s, d, strict=True)]
        for axis in axes:
            if axis.room < 0 or axis.n < 1:
                raise ShapeError(_too_large(layer, axis))
        names = [""] if len(set(axes)) == 1 else ["height ", "width "]
        for name, axis in zip(names, axes, strict=False):  # one line serves two equal axes
            rows.append(
                (
                    *(str(layer), f"{name}{axis.n:,}", axis.filled(), f"{axis.size:,}"),
                    axis.left_over(),
                )
            )
        grids.append([axis.size for axis in axes])
        lost.append([axis.room % axis.s for axis in axes])
    notes = [_keeping(k, d, s), *_skipped(k, s, d)]
    values: dict[str, Any] = {
        "size": _plain(list(given)),
        "kernel_size": k,
        "padding": p,
        "stride": s,
        "dilation": d,
        "sizes": [_plain(each) for each in grids],
        "left_over": [_plain(each) for each in lost],
        "same_padding": [_same(*one) for one in zip(k, d, strict=True)],
        "result": _plain(grids[-1]),
    }
    if front:
        out = front[-1] if out_channels is None else _each(out_channels, 1, "out_channels", 1)[0]
        values["result"] = [*front[:-1], out, *grids[-1]]
        values["weight"] = [out, front[-1], *k]
        notes.append(
            f"The weight of the first layer has shape {tuple(values['weight'])}: output channels, input "
            "channels, kernel; each output looks at all inputs."
        )
    elif out_channels is not None:
        raise ConfigError("`out_channels` needs a size with channels, such as (64, 1, 28, 28).")
    is_spread = set(d) != {1}
    chain = " -> ".join("x".join(map(str, each)) for each in grids)
    settings = f"kernel {_short(k)}, padding {_short(p)}, stride {_short(s)}"
    settings += f", dilation {_short(d)}" if is_spread else ""
    formula = "(n + 2p - d(k - 1) - 1) // s + 1" if is_spread else "(n + 2p - k) // s + 1"
    header = ("layer", "in", formula, "out", "what the floor leaves over")
    return Answer(f"{chain} ({settings})", header, tuple(rows), tuple(notes), values)


class _Axis(NamedTuple):
    """One axis under a kernel: n, and kernel, padding, stride and dilation."""

    n: int
    k: int
    p: int
    s: int
    d: int

    @property
    def room(self) -> int:
        """How far the kernel can move."""
        return self.n + 2 * self.p - self.d * (self.k - 1) - 1

    @property
    def size(self) -> int:
        """Places at which it stands."""
        return self.room // self.s + 1

    def filled(self) -> str:
        """The formula with its numbers."""
        n, k, p, s, d = self
        inner = f"{n} + 2·{p} - {k}" if d == 1 else f"{n} + 2·{p} - {d}·({k} - 1) - 1"
        return f"({inner}) // {s} + 1 = {self.room} // {s} + 1"

    def left_over(self) -> str:
        """What lies at the end, where the next step would not fit."""
        rest = self.room % self.s
        real = max(0, rest - self.p)
        if rest == 0:
            return "nothing"
        if real == 0:
            return f"{rest} of the padding at the end"
        last = "the last one" if real == 1 else f"the last {real}"
        padding = f", and {self.p} of the padding" if self.p else ""
        return f"{last} of the {self.n}: under no kernel{padding}"


def _plain(sizes: Sequence[int]) -> Any:
    """One size as a number, several as a list."""
    return sizes[0] if len(sizes) == 1 else list(sizes)


def _same(k: int, d: int) -> int | None:
    """The padding that keeps the size at stride 1; None where none does."""
    return d * (k - 1) // 2 if d * (k - 1) % 2 == 0 else None


def _keeping(k: Sequence[int], d: Sequence[int], s: Sequence[int]) -> str:
    reach = [d_ * (k_ - 1) for k_, d_ in zip(k, d, strict=True)]
    if any(one % 2 for one in reach):
        return (
            f"No padding on both sides keeps the size under a kernel of {_short(k)}: 2p would have to be "
            f"{_short(reach)}. Use an odd kernel."
        )
    what = f"Padding {_short([one // 2 for one in reach])} keeps the size at stride 1"
    if max(s) == 1:
        return f"{what}: 2p = d(k - 1)."
    return f"{what}; at stride {_short(s)} it gives n / {_short(s)}, rounded up."


def _skipped(k: Sequence[int], s: Sequence[int], d: Sequence[int]) -> Iterator[str]:
    covered = [d_ * (k_ - 1) + 1 for k_, d_ in zip(k, d, strict=True)]
    if any(step > width for step, width in zip(s, covered, strict=True)):
        yield (
            f"The stride {_short(s)} is longer than the kernel reaches ({_short(covered)}): what lies "
            "between two positions is never looked at."
        )


def _too_large(layer: int, axis: _Axis) -> str:
    n, k, p, _, d = axis
    where = f"In layer {layer} the" if layer > 1 else "The"
    reach = f"{k}" if d == 1 else f"{k} with dilation {d}, which reaches over {d * (k - 1) + 1},"
    return (
        f"{where} kernel of {reach} does not fit on {n} + 2·{p} = {n + 2 * p}. Use a smaller kernel, "
        "more padding or fewer layers."
    )


def _each(value: Any, axes: int, name: str, least: int) -> list[int]:
    found = list(value) if isinstance(value, list | tuple) else [value] * axes
    right = all(isinstance(x, int) and not isinstance(x, bool) and x >= least for x in found)
    if len(found) != axes or not right:
        many = " or one for each of height and width" if axes == 2 else ""
        raise ConfigError(f"`{name}` must be a whole number from {least} up{many}. Got {value!r}.")
    return found


def _short(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


# --- matrix products ------------------------------------------------------------------------------


def matmul(*shapes: Sequence[int] | Tensor | np.ndarray) -> Answer:
    """The shape of `a @ b @ …`, which axes meet, and how many multiplications that is.

    Args:
        shapes: two or more; a tensor or an array stands for its shape. Products go from left to right.

    Raises: ShapeError: the inner axes differ: which, and what usually cures it.

    >>> matmul((64, 784), (784, 30), (30, 1)).result
    [64, 1]
    """
    if len(shapes) < 2:
        raise ConfigError(f"`matmul` needs two shapes or more. Got {len(shapes)}.")
    known = [_shape_of(one) for one in shapes]
    result = known[0]
    rows: list[tuple[str, ...]] = []
    total = 0
    for right in known[1:]:
        before, inner = result, _inner(result, right)
        result = _product(before, right)
        work = math.prod(result) * inner
        total += work
        rows.append(
            (
                f"{before} @ {right}",
                f"{inner:,}",
                str(result),
                f"{math.prod(result):,} · {inner:,} = {work:,}",
            )
        )
    notes = (
        "The last axis of the left meets the last but one of the right; both are summed over and vanish.",
        "All axes before those two are broadcast.",
    )
    values = {
        "shapes": [list(shape) for shape in known],
        "result": list(result),
        "multiplications": total,
    }
    title = f"{' @ '.join(str(shape) for shape in known)} gives {result}"
    return Answer(
        title, ("product", "summed", "result", "multiplications"), tuple(rows), notes, values
    )


def _inner(first: Shape, second: Shape) -> int:
    left, right = list(first), list(second)
    if not left or not right:
        raise ShapeError(
            f"`matmul` got {first} and {second}: a single number has no axis to sum over. Use `*`."
        )
    rows = right[0] if len(right) == 1 else right[-2]
    if left[-1] == rows:
        return rows
    at = "only" if len(right) == 1 else "last but one"
    cure = "Inner sizes must be equal."
    if len(right) > 1 and left[-1] == right[-1]:
        cure = f"Turn the right one round: `b.mT`, {(*right[:-2], right[-1], right[-2])}."
    elif len(left) > 1 and left[-2] == rows:
        cure = f"Turn the left one round: `a.mT`, {(*left[:-2], left[-1], left[-2])}."
    raise ShapeError(
        f"{first} @ {second} is not possible: the last axis of the left has {left[-1]}, and the {at} "
        f"axis of the right has {rows}. {cure}"
    )


def _product(left: Shape, right: Shape) -> Shape:
    outer_left, outer_right = left[:-2], right[:-2]
    front = tuple(broadcast(outer_left, outer_right).result) if outer_left or outer_right else ()
    rows = (left[-2],) if len(left) > 1 else ()
    columns = (right[-1],) if len(right) > 1 else ()
    return (*front, *rows, *columns)


# --- words ----------------------------------------------------------------------------------------


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"
