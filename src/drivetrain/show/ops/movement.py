"""Operations that only move numbers: another shape, a part, an order, several side by side.

Which number stands where is found by doing the same operation to a tensor of positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.show.ops.look import Look, Worked, listed, ravel, unravel
from drivetrain.show.record import Value

_MOST = 1 << 27
"""Numbers of the tensors whose positions are written out."""


def moved(look: Look) -> Worked | None:
    """The number at one place is the number of another place."""
    sources = _moving(look.op.args)
    if look.op.args.get("accumulate") or (look.output and look.op.name == "_pack_padded_sequence"):
        return None  # sums, or sizes of batches
    if not sources or sum(v.tensor.numel() for v in sources) > _MOST:
        return None
    starts, start = [], 1
    for value in sources:
        starts.append(start)
        start += value.tensor.numel()
    positions = {id(v): _positions(v, first) for v, first in zip(sources, starts, strict=True)}
    given = {name: _put(part, positions) for name, part in look.op.args.items()}
    place = int(_flat(_run(look, given))[look.output][look.index])
    if place <= 0:
        look.setting("pad", look.arg("value", 0) or 0, "what stands where nothing comes from")
        return look.done("y = what is put beside", [("y", "pad", "the number there")])
    number = max(i for i, first in enumerate(starts) if first <= place)
    source, inside = sources[number], place - starts[number]
    name = "input" if len(sources) == 1 else f"input {number}"
    look.take("x", source, inside, "the number that is moved")
    where = listed(unravel(inside, source.tensor.shape))
    return look.done(f"output{listed(look.index)} = {name}{where}", [("y", "x", "the same number")])


def _run(look: Look, given: dict[str, Any]) -> Any:
    schema = look.op.function._schema  # type: ignore[attr-defined]
    args = [given[a.name] for a in schema.arguments if not a.kwarg_only]
    named = {a.name: given[a.name] for a in schema.arguments if a.kwarg_only}
    if "memory_format" in named:
        named["memory_format"] = None
    if "value" in given:
        args = [
            0 if a.name == "value" else given[a.name] for a in schema.arguments if not a.kwarg_only
        ]
    with torch.no_grad():
        return look.op.function(*args, **named)


def _positions(value: Value, first: int) -> Tensor:
    shape = tuple(value.tensor.shape)
    numbers = torch.arange(first, first + prod(shape), dtype=torch.float64)  # whole up to 2**53
    return numbers.reshape(shape)


def _moving(given: Any) -> list[Value]:
    """The tensors whose numbers are moved: all but those that say which ones."""
    if isinstance(given, dict):
        return [v for name, part in given.items() if name not in _SAYING for v in _moving(part)]
    if isinstance(given, list | tuple):
        return [v for part in given for v in _moving(part)]
    return [given] if isinstance(given, Value) else []


_SAYING = {"index", "indices", "mask", "lengths"}


def _put(given: Any, positions: dict[int, Tensor]) -> Any:
    if isinstance(given, Value):
        return positions.get(id(given), given.tensor.cpu()).clone()
    if isinstance(given, list | tuple):
        return [_put(part, positions) for part in given]
    return given


def _flat(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else [t for part in result for t in _flat(part)]


def copied(look: Look) -> Worked:
    """`copy_`: another tensor's numbers, broadcast, and turned into this one's type."""
    look.take("x", look.arg("src"), look.same_place("src"), "the number that is written")
    if not look.value.tensor.dtype.is_floating_point and look.arg("src").tensor.is_floating_point():
        expression = "where(x < 0, -floor(-x), floor(x))"
        return look.done("y = x without its decimals", [("y", expression, "the number there")])
    return look.done("y = x", [("y", "x", "the number there now")])


def shared_memory(look: Look) -> Worked:
    """What a tensor holds after another one that lies in the same memory was written into."""
    (_, strides, offset) = look.arg("geometry")
    (sizes, other_strides, other_offset) = look.arg("written_geometry")
    place = offset + sum(i * s for i, s in zip(look.index, strides, strict=True))
    written: Value = look.arg("written")
    seen = torch.as_strided(
        torch.arange(_reach(sizes, other_strides) + 1), sizes, other_strides, 0
    )  # of each number of the written tensor, where it lies
    found = (seen == place - other_offset).nonzero()
    if len(found):
        inside = ravel(tuple(found[0].tolist()), written.tensor.shape)
        look.take("x", written, inside, "the number that was written there")
    else:
        before: Value = look.arg("self")
        look.take("x", before, ravel(look.index, before.tensor.shape), "the number from before")
    return look.done("y = x", [("y", "x", "the number there now")])


def _reach(sizes: tuple[int, ...], strides: tuple[int, ...]) -> int:
    return sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True) if size)


def embedding(look: Look) -> Worked:
    """A row of a table of vectors."""
    table, tokens = look.arg("weight"), look.arg("indices")
    *at, column = look.index
    place = ravel(tuple(at), tokens.tensor.shape)
    row = int(look.take("token", tokens, place, "which row"))
    width = table.tensor.shape[1]
    look.take("w", table, row * width + np.arange(width), f"row {row} of the table")
    return look.done(
        f"y = W[token, {column}]: the one-hot row of the token, times W",
        [("y", f"w[{column}]", f"number {column} of the row")],
    )


def index_select(look: Look) -> Worked:
    """Rows (or columns …) by their numbers."""
    source, index, dim = look.arg("self"), look.arg("index"), look.arg("dim", 0)
    shape = source.tensor.shape
    dim %= len(shape)
    which = int(look.take("i", index, look.index[dim], "which one"))
    inside = tuple(which if d == dim else at for d, at in enumerate(look.index))
    look.take("x", source, ravel(inside, shape), "the number that is taken")
    return look.done(
        f"output{listed(look.index)} = input{listed(inside)}", [("y", "x", "as it is")]
    )


def gather(look: Look) -> Worked:
    """For each place a position along one axis."""
    source, index, dim = look.arg("self"), look.arg("index"), look.arg("dim", 0)
    shape = source.tensor.shape
    if not shape:
        inside: tuple[int, ...] = ()
        look.take("x", source, 0, "the number that is taken")
    else:
        dim %= len(shape)
        which = int(look.take("i", index, ravel(look.index, index.tensor.shape), "which one"))
        inside = tuple(which if d == dim else at for d, at in enumerate(look.index))
        look.take("x", source, ravel(inside, shape), "the number that is taken")
    return look.done(
        f"output{listed(look.index)} = input{listed(inside)}", [("y", "x", "as it is")]
    )


HANDLERS: Mapping[str, Callable[[Look], Any]] = {
    **dict.fromkeys(
        (
            *("view", "_unsafe_view", "reshape", "_reshape_alias", "as_strided", "alias", "detach"),
            *("permute", "transpose", "t", "movedim", "select", "slice", "narrow", "expand"),
            *("unsqueeze", "squeeze", "clone", "contiguous", "unbind", "split", "split_with_sizes"),
            *("unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "chunk", "flip", "roll"),
            *("repeat", "unfold", "diagonal", "cat", "stack", "lift", "lift_fresh"),
            *("lift_fresh_copy", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d"),
            *("replication_pad1d", "replication_pad2d", "pixel_shuffle", "pixel_unshuffle"),
            *("channel_shuffle", "im2col", "upsample_nearest1d", "upsample_nearest2d"),
            *("upsample_nearest3d", "_upsample_nearest_exact2d", "tril", "triu", "diag_embed"),
            *("select_scatter", "slice_scatter", "index", "_unsafe_index", "rot90", "expand_copy"),
            *(
                "view_as",
                "repeat_interleave",
                "masked_select",
                "index_put",
                "_pack_padded_sequence",
            ),
        ),
        moved,
    ),
    "copy": copied,
    "shared_memory": shared_memory,
    "embedding": embedding,
    "index_select": index_select,
    "gather": gather,
}
"""ATen's name -> what explains it."""
