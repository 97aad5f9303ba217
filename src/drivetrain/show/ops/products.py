"""Sums of products: matrices, convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from drivetrain.show.ops.look import Look, Worked, broadcast_place, grid, numbers, of_sum, ravel
from drivetrain.show.ops.sizes import each
from drivetrain.show.record import Value


def matrix_product(look: Look) -> Worked:
    """`mm`, `bmm`, `mv`, `dot`: a row times a column."""
    first = look.arg("self")
    second = look.arg("mat2", look.arg("vec", look.arg("tensor")))
    x, w = _row_and_column(look, first, second, look.index)
    return look.done(
        "y = Σ x·w",
        [("y", "sum(x * w)", "the sum of the products")],
        bound=of_sum(x * w, look.unit),
    )


def matrix_product_and_more(look: Look) -> Worked:
    """`addmm`, `baddbmm`, `addmv`: a product, and something added to it."""
    first = look.arg("mat1", look.arg("batch1", look.arg("mat")))
    second = look.arg("mat2", look.arg("batch2", look.arg("vec")))
    x, w = _row_and_column(look, first, second, look.index)
    beta, alpha = look.arg("beta", 1), look.arg("alpha", 1)
    b = float(look.take("b", look.arg("self"), look.same_place("self"), "what is added: the bias"))
    if alpha == 1 and beta == 1:
        lines = [("s", "sum(x * w)", "the sum of the products"), ("y", "s + b", "with the bias")]
        return look.done("y = Σ x·w + b", lines, bound=of_sum(np.append(x * w, b), look.unit))
    look.setting("alpha", alpha, "the factor of the product")
    look.setting("beta", beta, "the factor of what is added")
    lines = [
        ("s", "sum(x * w)", "the sum of the products"),
        ("y", "beta * b + alpha * s", "the result"),
    ]
    terms = np.append(x * w * float(alpha), b * float(beta))
    return look.done("y = β·b + α·Σ x·w", lines, bound=of_sum(terms, look.unit))


def _row_and_column(
    look: Look, first: Value, second: Value, index: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    a, b = tuple(first.tensor.shape), tuple(second.tensor.shape)
    batch = index[: len(a) - 2] if len(a) > 2 else ()
    rest = index[len(batch) :]
    inner = range(first.tensor.shape[-1])
    rows = grid(a, *batch, *([rest[0]] if len(a) > 1 else []), inner)
    columns = grid(b, *batch, inner, *([rest[-1]] if len(b) > 1 else []))
    which = "the weights from each of them" if second.is_learned else "the column of the second"
    x_words = "the numbers that come in" if second.is_learned else "the row of the first"
    w_now = numbers(second, columns)
    x = look.take("x", first, rows, x_words, weights=numbers(first, rows) * w_now)
    w = look.take("w", second, columns, which, weights=x * w_now)
    return x, w


def convolution(look: Look) -> Worked:
    """The patch under the kernel times the kernel, in 1, 2 or 3 dimensions; also transposed."""
    source, kernel = look.arg("input", look.arg("self")), look.arg("weight")
    stride, padding, dilation = (look.arg(n, [1]) for n in ("stride", "padding", "dilation"))
    dims = source.tensor.ndim - 2
    stride, padding, dilation = (each(s, dims) for s in (stride, padding, dilation))
    groups = int(look.arg("groups", 1))
    item, channel, *at = look.index
    is_transposed = bool(look.arg("transposed", False))
    places = _transposed_places if is_transposed else _places
    x_places, w_places = places(
        source, kernel, item, channel, at, stride, padding, dilation, groups
    )
    w_now = numbers(kernel, w_places)
    words = "the patch of the input under the kernel (channel × window), 0 where it is padded"
    x = look.take("x", source, x_places, words, weights=numbers(source, x_places) * w_now)
    w = look.take("w", kernel, w_places, f"the kernel of output channel {channel}")
    bias = look.op.args.get("bias")
    if bias is None:
        lines = [("y", "sum(x * w)", "the sum of the products")]
        return look.done("y = Σ x·w", lines, bound=of_sum(x * w, look.unit))
    b = float(look.take("b", bias, channel, "the bias of the channel"))
    lines = [("s", "sum(x * w)", "the sum of the products"), ("y", "s + b", "with the bias")]
    return look.done("y = Σ x·w + b", lines, bound=of_sum(np.append(x * w, b), look.unit))


def _places(
    source: Value,
    kernel: Value,
    item: int,
    channel: int,
    at: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> tuple[np.ndarray, np.ndarray]:
    shape, window = tuple(source.tensor.shape), tuple(kernel.tensor.shape)
    per_group = window[1]
    group = channel // (window[0] // groups)
    channels = range(group * per_group, (group + 1) * per_group)
    axes, inside = [], []
    for position, s, p, d, k, size in zip(
        at, stride, padding, dilation, window[2:], shape[2:], strict=True
    ):
        along = position * s - p + d * np.arange(k)
        axes.append(np.clip(along, 0, size - 1))
        inside.append((along >= 0) & (along < size))
    x = grid(shape, item, channels, *axes)
    is_inside = np.ones((), dtype=bool)
    for along in inside:
        is_inside = is_inside[..., None] & along
    w = grid(window, channel, *(range(size) for size in window[1:]))
    return np.where(is_inside, x, -1), w


def _transposed_places(
    source: Value,
    kernel: Value,
    item: int,
    channel: int,
    at: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Of a transposed convolution: which input numbers were spread to this place, and by which weight."""
    shape, window = tuple(source.tensor.shape), tuple(kernel.tensor.shape)
    per_group = window[1]
    group, inner = divmod(channel, per_group)
    first = group * (shape[1] // groups)
    hits: list[list[tuple[int, int]]] = []
    for position, s, p, d, k, size in zip(
        at, stride, padding, dilation, window[2:], shape[2:], strict=True
    ):
        along = []
        for tap in range(k):
            i, rest = divmod(position + p - tap * d, s)
            if rest == 0 and 0 <= i < size:
                along.append((i, tap))
        hits.append(along)
    x, w = [], []
    for c in range(first, first + shape[1] // groups):
        for pairs in product(*hits):
            x.append(ravel((item, c, *(i for i, _ in pairs)), shape))
            w.append(ravel((c, inner, *(tap for _, tap in pairs)), window))
    return np.asarray(x, dtype=np.int64), np.asarray(w, dtype=np.int64)


def linear(look: Look) -> Worked:
    """`linear` as one operation, as some back-ends have it."""
    source, weight = look.arg("input", look.arg("self")), look.arg("weight")
    *at, feature = look.index
    width = weight.tensor.shape[1]
    w_places = grid(tuple(weight.tensor.shape), feature, range(width))
    x_places = grid(tuple(source.tensor.shape), *at, range(width))
    w_now = numbers(weight, w_places)
    x = look.take(
        "x", source, x_places, "the numbers that come in", weights=numbers(source, x_places) * w_now
    )
    w = look.take("w", weight, w_places, f"the weights of output {feature}")
    bias = look.op.args.get("bias")
    if bias is None:
        return look.done(
            "y = Σ x·w", [("y", "sum(x * w)", "the sum")], bound=of_sum(x * w, look.unit)
        )
    b = float(
        look.take("b", bias, broadcast_place(bias, look.value.tensor.shape, look.index), "the bias")
    )
    lines = [("s", "sum(x * w)", "the sum of the products"), ("y", "s + b", "with the bias")]
    return look.done("y = Σ x·w + b", lines, bound=of_sum(np.append(x * w, b), look.unit))


def bilinear(look: Look) -> Worked | None:
    """`bilinear`: one vector, a matrix for each output, the other vector; the bias is added after."""
    first, weight, second = look.arg("i1"), look.arg("i2"), look.arg("i3")
    form = tuple(look.op.args[n] for n in ("expand1", "expand2", "expand3", "sumdim"))
    if form != ([1, 3], [0], [1, 2], [2, 3]):
        return None
    item, feature = look.index
    left, right = first.tensor.shape[1], second.tensor.shape[1]
    a = look.take("a", first, grid(tuple(first.tensor.shape), item, range(left)), "the one")
    b = look.take("b", second, grid(tuple(second.tensor.shape), item, range(right)), "the other")
    places = grid(tuple(weight.tensor.shape), feature, range(left), range(right))
    w = look.take("w", weight, places, f"the matrix of output {feature}")
    bound = of_sum(a[:, None] * w * b, look.unit)
    return look.done(
        "y = aᵀ·W·b", [("y", "dot(a, matmul(w, b))", "the sum of products")], bound=bound
    )


def distance(look: Look) -> Worked | None:
    """`cdist` of order 2: how far two rows are apart."""
    if look.arg("p", 2.0) != 2:
        return None
    first, second = look.arg("x1"), look.arg("x2")
    *batch, row, column = look.index
    width = range(first.tensor.shape[-1])
    a = look.take("a", first, grid(tuple(first.tensor.shape), *batch, row, width), "the one row")
    places = grid(tuple(second.tensor.shape), *batch, column, width)
    b = look.take("b", second, places, "the other row")
    # by matrices it is the root of |a|² + |b|² − 2ab, whose rounding is that of the squares
    squares, own = float((a**2).sum() + (b**2).sum()), abs(look.own)
    bound = 16 * look.unit * (own + squares / max(own, np.sqrt(look.unit * max(squares, 1e-30))))
    return look.done("y = √Σ (a − b)²", [("y", "sqrt(sum((a - b) ** 2))", "apart")], bound=bound)


HANDLERS: Mapping[str, Callable[[Look], Any]] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot"), matrix_product),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), matrix_product_and_more),
    **dict.fromkeys(("convolution", "_convolution", "convolution_overrideable"), convolution),
    **dict.fromkeys(("mkldnn_convolution", "cudnn_convolution"), convolution),
    "linear": linear,
    "_trilinear": bilinear,
    "_cdist_forward": distance,
}
"""ATen's name -> what explains it."""
