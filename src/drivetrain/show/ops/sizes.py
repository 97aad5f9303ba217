"""What an operation costs, how its size comes about, and how far back into the input it sees.

Multiplications are those of sums of products: convolutions, matrix products, attention, recurrent layers.
One count is not enough for a convolution, because people count over different grids:

- over the input grid: kernel × channels at each place that comes in, as if the stride were 1;
- over the output grid: at each place that comes out, which is what is computed;
- without padding: the same, less the products with zeros that were put around the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from drivetrain.show.record import Op, Record, Value

Counts = tuple[int, int, int]
"""Over the input grid, over the output grid, without padding."""


@dataclass(frozen=True)
class Window:
    """What a convolution or a pooling does along one axis."""

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    out: int

    @property
    def covered(self) -> int:
        """Places from the first under the kernel to the last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def inside(self) -> int:
        """Of all pairs of an output place and a place of the kernel, those that lie on the input."""
        starts = (i * self.stride - self.padding for i in range(self.out))
        taps = [tap * self.dilation for tap in range(self.kernel)]
        return sum(0 <= start + tap < self.size for start in starts for tap in taps)


def windows(op: Op) -> list[Window]:
    """Of a convolution or a pooling, one an axis; empty for other operations and transposed ones."""
    if op.name in _CONVOLUTIONS and not op.args.get("transposed"):
        source, weight = _input(op), op.args["weight"]
        dims = source.tensor.ndim - 2
        kernel = list(weight.tensor.shape[2:])
    elif "pool" in op.name and "kernel_size" in op.args:
        source = _input(op)
        dims = next((d for d in (1, 2, 3) if f"{d}d" in op.name), 2)
        kernel = each(op.args["kernel_size"], dims)
    else:
        return []
    stride = each(op.args.get("stride") or kernel, dims)
    padding = each(op.args.get("padding") or 0, dims)
    dilation = each(op.args.get("dilation") or 1, dims)
    sizes, outs = source.tensor.shape[-dims:], op.outputs[0].tensor.shape[-dims:]
    return [
        Window(*each) for each in zip(sizes, kernel, stride, padding, dilation, outs, strict=True)
    ]


def each(values: Any, dims: int) -> list[int]:
    """One number an axis, where one may stand for all."""
    numbers = [values] if isinstance(values, int) else list(values)
    return numbers * dims if len(numbers) == 1 else numbers


def size_formula(op: Op) -> str:
    """The output size with the formula filled in: "(28+2·1−3)//2+1 = 14"; empty where there is none.

    Axes that are alike are said once.
    """
    if op.name in _CONVOLUTIONS and op.args.get("transposed"):
        return _joined([_transposed(*each) for each in _transposed_windows(op)])
    found = windows(op)
    if found:
        rounds_up = bool(op.args.get("ceil_mode"))
        return _joined([_filled(one, rounds_up=rounds_up) for one in found])
    if "adaptive" in op.name and "pool" in op.name:
        sizes, dims = op.args["output_size"], len(op.args["output_size"])
        return _joined(
            [
                f"{n} → {m} windows"
                for n, m in zip(_input(op).tensor.shape[-dims:], sizes, strict=True)
            ]
        )
    if op.name in ("mean", "amax", "sum", "amin") and _input(op).tensor.ndim == 4:
        return f"one number of {'×'.join(map(str, _input(op).tensor.shape[-2:]))}"
    if op.name in _PRODUCTS:
        first, second = _factors(op)
        return (
            f"{first.tensor.shape[-1]} → {second.tensor.shape[-1] if second.tensor.ndim > 1 else 1}"
        )
    if op.name == "embedding":
        rows, width = op.args["weight"].tensor.shape
        return f"{width} numbers for each of {rows:,}"
    return ""


def advice(op: Op) -> str:
    """Where a convolution loses places at the edge: the padding with which it does not."""
    found = windows(op) if op.name in _CONVOLUTIONS else []
    words = []
    for one in dict.fromkeys(found):
        kept = -(-one.size // one.stride)
        if one.out >= kept or one.kernel == 1:
            continue
        if one.covered % 2:
            what = "keeps" if one.stride == 1 else "gives"
            words.append(f"{one.size} → {one.out}; padding {(one.covered - 1) // 2} {what} {kept}")
        else:
            words.append(
                f"{one.size} → {one.out}; a kernel that covers {one.covered}, an even number, keeps the "
                f"size only with unequal padding, {one.covered // 2 - 1} and {one.covered // 2}"
            )
    return ", ".join(words)


def multiplications(op: Op) -> Counts | None:
    """Of the whole batch; None where the operation is no sum of products."""
    if op.name in _CONVOLUTIONS:
        source, weight = _input(op).tensor, op.args["weight"].tensor
        items, out = source.shape[0], op.outputs[0].tensor
        grid_in, grid_out = prod(source.shape[2:]), prod(out.shape[2:])
        if op.args.get("transposed"):
            inside = prod(_transposed_inside(*each) for each in _transposed_windows(op))
        else:
            inside = prod(one.inside for one in windows(op))
        channels = (
            weight.shape[0] * weight.shape[1]
        )  # one of the two is already divided by the groups
        kernel = prod(weight.shape[2:])
        return (
            items * grid_in * channels * kernel,
            items * grid_out * channels * kernel,
            items * inside * channels,
        )
    if op.name in _PRODUCTS:
        first, _ = _factors(op)
        return _alike(op.outputs[0].tensor.numel() * first.tensor.shape[-1])
    if "scaled_dot_product" in op.name:
        query, key, value = (op.args[n].tensor for n in ("query", "key", "value"))
        pairs = prod(query.shape[:-1]) * key.shape[-2]
        return _alike(pairs * (query.shape[-1] + value.shape[-1]))
    if op.name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        steps = prod(op.args["input"].tensor.shape[:2])
        return _alike(steps * (op.args["w_ih"].tensor.numel() + op.args["w_hh"].tensor.numel()))
    return None


def _alike(count: int) -> Counts:
    return count, count, count


@dataclass(frozen=True)
class Field:
    """How much of the input a number sees: places along each axis, and the step from one to the next."""

    size: tuple[int, ...]
    jump: tuple[int, ...]


EVERYTHING = Field((), ())
"""All of the input."""


def receptive_fields(seen: Record) -> dict[int, Field]:
    """By the id of each value that comes from a picture or a series of features (B, C, …)."""
    fields: dict[int, Field] = {}
    for value in seen.calls[0].inputs if seen.calls else ():
        dims = value.tensor.ndim - 2
        if dims > 0 and value.tensor.dtype.is_floating_point:
            fields[id(value)] = Field((1,) * dims, (1,) * dims)
    for op in seen.ops:
        sources = [v for v in _values(op.args) if id(v) in fields]
        if sources:
            for out in op.outputs:
                fields.setdefault(id(out), _seen_by(op, out, sources, fields))
    return fields


def _seen_by(op: Op, out: Value, sources: Sequence[Value], fields: dict[int, Field]) -> Field:
    before = [fields[id(v)] for v in sources]
    if EVERYTHING in before or len({len(f.size) for f in before}) > 1:
        return EVERYTHING
    dims = len(before[0].size)
    sizes = tuple(max(f.size[d] for f in before) for d in range(dims))
    jumps = tuple(max(f.jump[d] for f in before) for d in range(dims))
    found = windows(op)
    if len(found) == dims:
        return Field(
            tuple(s + (one.covered - 1) * j for s, j, one in zip(sizes, jumps, found, strict=True)),
            tuple(j * one.stride for j, one in zip(jumps, found, strict=True)),
        )
    is_pointwise = op.name in _POINTWISE or all(
        v.tensor.shape[-dims:] == out.tensor.shape[-dims:] for v in sources
    )
    mixes = op.name in _MIXING or op.name in _PRODUCTS or "attention" in op.name
    if out.tensor.ndim == dims + 2 and is_pointwise and not mixes:
        return Field(sizes, jumps)
    return EVERYTHING


_CONVOLUTIONS = {
    *("convolution", "_convolution", "convolution_overrideable"),
    *("mkldnn_convolution", "cudnn_convolution"),
}
_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "dot", "linear"}
_POINTWISE = {"constant_pad_nd"}
_MIXING = {
    "native_layer_norm",
    "native_group_norm",
    "_softmax",
    "_log_softmax",
    "flip",
    "roll",
    "cumsum",
}


def _values(given: Any) -> list[Value]:
    if isinstance(given, Value):
        return [given]
    if isinstance(given, dict):
        given = list(given.values())
    return [v for part in given for v in _values(part)] if isinstance(given, list) else []


def _input(op: Op) -> Value:
    return op.args["input"] if "input" in op.args else op.args["self"]


def _factors(op: Op) -> tuple[Value, Value]:
    for first, second in (
        *(
            ("mat1", "mat2"),
            ("batch1", "batch2"),
            ("mat", "vec"),
            ("self", "mat2"),
            ("self", "vec"),
        ),
        *(("self", "tensor"), ("input", "weight")),
    ):
        if first in op.args and second in op.args:
            return op.args[first], op.args[second]
    raise AssertionError(op.name)


def _joined(parts: Sequence[str]) -> str:
    return " × ".join(dict.fromkeys(parts))


def _filled(one: Window, *, rounds_up: bool) -> str:
    covered = f"{one.kernel}" if one.dilation == 1 else f"{one.dilation}·({one.kernel}−1)−1"
    inner = f"{one.size}+2·{one.padding}−{covered}"
    if rounds_up:
        return f"⌈({inner})/{one.stride}⌉+1 = {one.out}"
    return f"({inner})//{one.stride}+1 = {one.out}"


def _transposed_windows(op: Op) -> list[tuple[int, int, int, int, int, int]]:
    source, weight = _input(op).tensor, op.args["weight"].tensor
    dims = source.ndim - 2
    stride, padding, dilation = (each(op.args[n], dims) for n in ("stride", "padding", "dilation"))
    outs = op.outputs[0].tensor.shape[2:]
    return list(
        zip(source.shape[2:], weight.shape[2:], stride, padding, dilation, outs, strict=True)
    )


def _transposed(n: int, k: int, s: int, p: int, d: int, out: int) -> str:
    extra = out - ((n - 1) * s - 2 * p + d * (k - 1) + 1)
    covered = f"{d}·({k}−1)+1" if d > 1 else f"{k}"
    return f"({n}−1)·{s}−2·{p}+{covered}{f'+{extra}' if extra else ''} = {out}"


def _transposed_inside(n: int, k: int, s: int, p: int, d: int, out: int) -> int:
    return sum(0 <= i * s - p + tap * d < out for i in range(n) for tap in range(k))
