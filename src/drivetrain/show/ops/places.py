"""Operations that find places, or write to places that another tensor names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from drivetrain.show.ops.look import Look, Worked, grid, listed, numbers, of_sum, ravel
from drivetrain.show.record import Value


def where_set(look: Look) -> Worked:
    """`nonzero`: the places that are not 0, in order. That it is this one is checked by counting."""
    source = look.arg("self")
    shape = tuple(source.tensor.shape)
    count, axis = look.index
    flat = numbers(source, np.arange(prod(shape)))
    place = int(np.flatnonzero(flat)[count])
    look.take("before", source, np.arange(place), "the numbers before the place")
    look.take("here", source, place, "the number at the place")
    look.setting("place", place, "the place, counted through the whole tensor")
    inner = prod(shape[axis + 1 :])
    along = f"floor(place / {inner}) - {shape[axis]} * floor(place / {inner * shape[axis]})"
    lines = [
        ("n", "sum(before != 0)", f"how many before it are not 0; it must be {count}"),
        ("index", along, f"its position along axis {axis}"),
        ("y", f"index * (n == {count}) * (here != 0)", "the position, where that is so"),
    ]
    return look.done(f"y = the position of number {count} (from 0) that is not 0", lines)


def extreme_place(look: Look) -> Worked | None:
    """`argmax` and `argmin`: the first place of the largest or smallest number."""
    return _extreme(look, "max" if look.op.name == "argmax" else "min")


def extreme(look: Look) -> Worked | None:
    """`max` and `min` along an axis: the number, and where it is; over everything the number alone."""
    kind = look.op.name
    if look.output == 1:
        return _extreme(look, kind)
    words = "largest" if kind == "max" else "smallest"
    source = look.arg("self")
    axes = _line(source, look.op.args.get("dim"), bool(look.arg("keepdim")), look.index)
    look.take("x", source, axes, "the numbers that are put together")
    return look.done(f"y = the {words} x", [("y", f"{kind}(x)", f"the {words}")])


def _extreme(look: Look, kind: str) -> Worked:
    source = look.arg("self")
    places = _line(source, look.op.args.get("dim"), bool(look.arg("keepdim")), look.index).reshape(
        -1
    )
    place = int(look.own)
    mark = np.zeros(len(places))
    mark[place] = 1.0
    look.take("x", source, places, "the numbers that are looked through", weights=mark)
    look.setting("place", place, "the place")
    lines = [("y", f"place * (x[{place}] == {kind}(x))", f"where the {kind}imum stands")]
    return look.done(f"y = the place of the {kind}imum", lines)


def _line(source: Value, dim: Any, keep: bool, index: tuple[int, ...]) -> np.ndarray:
    shape = tuple(source.tensor.shape)
    if dim is None or not shape:
        return np.arange(prod(shape))
    dim = (dim[0] if isinstance(dim, list) else dim) % len(shape)
    axes: list[Any] = list(index) if keep else [*index[:dim], 0, *index[dim:]]
    axes[dim] = range(shape[dim])
    return grid(shape, *axes)


def ranked(look: Look) -> Worked | None:
    """`sort` and `topk`: the number of a rank and where it stands. That it is this one is counted."""
    source, places_of = look.arg("self"), look.op.outputs[1]
    shape = tuple(source.tensor.shape)
    if not shape:
        return None
    dim = int(look.arg("dim", -1)) % len(shape)
    descends = (
        look.arg("largest", True) if look.op.name == "topk" else look.arg("descending", False)
    )
    if look.op.name == "topk" and not look.arg("sorted", True):
        return None
    place = int(numbers(places_of, np.asarray(ravel(look.index, places_of.tensor.shape))))
    axes: list[Any] = list(look.index)
    axes[dim] = range(shape[dim])
    mark = np.zeros(shape[dim])
    mark[place] = 1.0
    look.take("x", source, grid(shape, *axes), "the numbers that are put in order", weights=mark)
    rank = look.index[dim]
    before, after = (">", ">=") if descends else ("<", "<=")
    lines = [
        ("before", f"sum(x {before} x[{place}])", f"how many come before it; at most {rank}"),
        (
            "upto",
            f"sum(x {after} x[{place}])",
            f"how many come before it or are equal; above {rank}",
        ),
        ("right", f"(before <= {rank}) * ({rank} < upto)", "1 where that is so"),
    ]
    if look.output == 0:
        return look.done(f"y = the x of rank {rank}", [*lines, ("y", f"x[{place}] * right", "it")])
    look.setting("place", place, "where it stands")
    return look.done(
        f"y = where the x of rank {rank} stands", [*lines, ("y", "place * right", "it")]
    )


def median(look: Look) -> Worked | None:
    """`median`: the lower one of the two in the middle. That it is this one is counted."""
    source = look.arg("self")
    if look.output > 0 or look.op.args.get("dim") is not None:
        return None
    places = np.arange(source.tensor.numel())
    x = look.take("x", source, places, "the numbers", weights=numbers(source, places) == look.own)
    rank, place = (x.size - 1) // 2, int(np.flatnonzero(x == look.own)[0])
    lines = [
        ("below", f"sum(x < x[{place}])", f"how many are below it; at most {rank}"),
        ("upto", f"sum(x <= x[{place}])", f"how many are not above it; more than {rank}"),
        ("y", f"x[{place}] * (below <= {rank}) * ({rank} < upto)", "it, where that is so"),
    ]
    return look.done(f"y = the x of rank {rank}, from 0", lines)


def written(look: Look) -> Worked | None:
    """`index_copy`, `index_add`, `index_fill`, `scatter` and `scatter_add`: a tensor after writing."""
    name, target = look.op.name, look.arg("self")
    shape = tuple(look.value.tensor.shape)
    if not shape or look.op.args.get("reduce") is not None:
        return None
    index: Value = look.arg("index")
    dim = int(look.arg("dim", 0)) % len(shape)
    source = look.op.args.get("source", look.op.args.get("src", look.op.args.get("value")))
    hits = [
        hit
        for hit in _candidates(look, index, dim)
        if int(numbers(index, np.asarray(hit[0]))) == look.index[dim]
    ]
    x_place = ravel(look.index, shape)
    if "add" in name:
        x = float(look.take("x", target, x_place, "what stood there"))
        assert isinstance(source, Value)
        places = np.asarray([_inside(source, hit[1]) for hit in hits], dtype=np.int64)
        a = look.take("a", source, places, "what is added to this place").astype(np.float64)
        look.setting("alpha", look.arg("alpha", 1), "its factor")
        lines = [("y", "x + alpha * sum(a)", "the number there now")]
        return look.done("y = x + Σ a", lines, bound=of_sum(np.append(a, x), look.unit))
    if not hits:
        look.take("x", target, x_place, "what stood there, where nothing is written")
        return look.done("y = x", [("y", "x", "the number there")])
    place = _inside(source, hits[-1][1]) if isinstance(source, Value) else 0
    look.take("a", source, place, "what is written to this place")
    return look.done("y = a", [("y", "a", "the number there now")])


def _candidates(look: Look, index: Value, dim: int) -> list[tuple[int, tuple[int, ...]]]:
    """(place in the index, place in what is written) of all that may be written to the output's place."""
    size = tuple(index.tensor.shape)
    if look.op.name.startswith("scatter"):
        if any(i >= n for d, (i, n) in enumerate(zip(look.index, size, strict=True)) if d != dim):
            return []
        found = [
            tuple(k if d == dim else i for d, i in enumerate(look.index)) for k in range(size[dim])
        ]
        return [(ravel(at, size), at) for at in found]
    return [
        (k, tuple(k if d == dim else i for d, i in enumerate(look.index)))
        for k in range(index.tensor.numel())
    ]


def _inside(source: Value, at: tuple[int, ...]) -> int:
    return ravel(at, source.tensor.shape) if source.tensor.ndim else 0


def bag(look: Look) -> Worked | None:
    """`embedding_bag`: the sum or the mean of some rows of a table."""
    if look.output > 0 or look.op.args.get("mode", 0) == 2 or look.arg("padding_idx", -1) >= 0:
        return None
    table, tokens, offsets = look.arg("weight"), look.arg("indices"), look.arg("offsets")
    number, column = look.index
    starts = numbers(offsets, np.arange(offsets.tensor.numel()))
    ends = [*starts[1:].tolist(), tokens.tensor.numel()]
    places = np.arange(int(starts[number]), int(ends[number]))
    rows = look.take("tokens", tokens, places, "which rows").astype(np.int64)
    w = look.take("w", table, rows * table.tensor.shape[1] + column, f"number {column} of each row")
    terms, expression = w, "w"
    if look.op.args.get("per_sample_weights") is not None:
        s = look.take("s", look.arg("per_sample_weights"), places, "the weight of each row")
        terms, expression = w * s, "w * s"
    reduce = "mean" if look.op.args.get("mode") == 1 else "sum"
    if not len(places):
        return look.done("y = 0: there are no rows", [("y", "sum(w)", "nothing")])
    lines = [("y", f"{reduce}({expression})", f"the {reduce} of the rows")]
    return look.done(
        f"y = the {reduce} of rows {listed(rows[:8].tolist())}",
        lines,
        bound=of_sum(terms, look.unit),
    )


def bilinear(look: Look) -> Worked:
    """`upsample_bilinear2d`: between the four nearest numbers."""
    source = look.arg("self", look.arg("input"))
    shape, size = tuple(source.tensor.shape), tuple(look.value.tensor.shape)
    factors = look.op.args.get("scale_factors") or [
        look.op.args.get("scales_h"), look.op.args.get("scales_w")
    ]  # fmt: skip
    rows, shares = [], []
    for d in (2, 3):
        i, n, m = look.index[d], shape[d], size[d]
        if look.arg("align_corners", False):
            at = i * (n - 1) / (m - 1) if m > 1 else 0.0
        else:
            factor = factors[d - 2]
            ratio = n / m if factor is None else 1 / factor
            at = max(0.0, (i + 0.5) * ratio - 0.5)
        first = min(int(at), n - 1)
        rows.append([first, min(first + 1, n - 1)])
        shares.append(at - first)
    look.take("x", source, grid(shape, *look.index[:2], *rows), "the four nearest numbers")
    look.setting("down", np.asarray([1 - shares[0], shares[0]]), "how near it is to each row")
    look.setting("across", np.asarray([1 - shares[1], shares[1]]), "how near it is to each column")
    lines = [
        ("r", "matmul(x, across)", "between the columns"),
        ("y", "dot(down, r)", "between the rows"),
    ]
    return look.done("y = Σ down·x·across", lines, bound=64 * look.unit * abs(look.own))


HANDLERS: Mapping[str, Callable[[Look], Any]] = {
    "nonzero": where_set,
    **dict.fromkeys(("argmax", "argmin"), extreme_place),
    **dict.fromkeys(("max", "min"), extreme),
    **dict.fromkeys(("sort", "topk"), ranked),
    "median": median,
    **dict.fromkeys(("index_copy", "index_add", "index_fill", "scatter", "scatter_add"), written),
    "_embedding_bag": bag,
    "_embedding_bag_forward_only": bag,
    "upsample_bilinear2d": bilinear,
}
"""ATen's name -> what explains it."""
