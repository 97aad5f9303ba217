"""The calculation of one number that a layer of a model gave: `layer(model, inputs, "layer3.0.conv1")`.

A layer is made of operations. The calculation of its output element is that of the last operation on
the way to it; the operations before are its `parts`, each for the element that mattered most to what
follows. So a residual block shows both its branches, and the whole model one way from pixel to score.
Operations that only move numbers (another shape, a part of a tensor) are passed through on that way.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from drivetrain.errors import InputError, ShapeError
from drivetrain.show.calculation import Calculation, Term, work
from drivetrain.show.ops import movement
from drivetrain.show.ops.look import Look, Piece, Worked, listed, ravel, unravel
from drivetrain.show.ops.table import explain, floor
from drivetrain.show.record import WHOLE, Call, Op, Record, Value, record
from drivetrain.train.batches import call_of, to_device
from drivetrain.train.learner import Learner

_AXES = {
    2: ("item", "feature"),
    3: ("item", "position", "feature"),
    4: ("item", "channel", "row", "column"),
}
_PICTURES = ("Conv", "BatchNorm2d", "Pool2d", "GroupNorm", "InstanceNorm2d")
_THROUGH = set(movement.HANDLERS) - {"embedding", "copy", "shared_memory"}


def layer(
    model: nn.Module | Learner,
    inputs: Any = None,
    layer: str = WHOLE,
    *,
    item: int = 0,
    at: Sequence[int] | None = None,
    output: int = 0,
    call: int = 0,
    training: bool = False,
) -> Calculation:
    """How one number that a layer gave came about.

    Args:
        model: any module, or a Learner.
        inputs: what the model is called with: a tensor, a tuple of them, or a dict by name; give few
            items, since everything is kept. None: the first validation batch of the Learner.
        layer: its path, as `names` lists them; "" or "(model)" is the whole model.
        item: which item of the batch, along the first axis of the layer's output.
        at: where in the item's output, one whole number an axis; None: where it is largest.
        output: which tensor, where the layer gives several.
        call: which of its runs, where the model uses it several times.
        training: with dropout, and the batch's own statistics; by default as in evaluation.

    Returns: with the operations before it as `parts`. `not_shown` names those that nothing here knows.
    Raises: UnknownNameError: no such layer ran. ShapeError: there is no such place.
        InputError: there are no inputs, or the layer gives no tensor.
    """
    seen = look_at(model, inputs, training=training)
    return element(seen, seen.call(layer, call), item=item, at=at, output=output)


def names(model: nn.Module | Learner, inputs: Any = None) -> tuple[str, ...]:
    """The layers that run for these inputs, in order, "(model)" first; arguments as for `layer`."""
    return look_at(model, inputs).names()


def look_at(model: nn.Module | Learner, inputs: Any = None, *, training: bool = False) -> Record:
    """One forward pass, recorded; arguments as for `layer`."""
    args, named = inputs_for(model, inputs)
    net = model.model if isinstance(model, Learner) else model
    return record(net, args, named, training=training)


def inputs_for(
    model: nn.Module | Learner, inputs: Any = None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the model is called with, by position and by name; of a Learner its validation batch.

    Raises: InputError: there are no inputs.
    """
    if inputs is None:
        if not isinstance(model, Learner):
            raise InputError(
                "There are no inputs to show. Give what the model is called with, such as a tensor of "
                "one item; only a Learner has batches of its own."
            )
        loader = model.loaders.train if model.loaders.valid is None else model.loaders.valid
        args, named, _ = call_of(to_device(next(iter(loader)), model.device))
        return args, named
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, tuple | list) else ((inputs,), {})


def element(
    seen: Record, call: Call, *, item: int = 0, at: Sequence[int] | None = None, output: int = 0
) -> Calculation:
    """The calculation of an output element of a layer's run; arguments as for `layer`.

    Raises: ShapeError: there is no such place. InputError: the layer gives no such tensor.
    """
    if not 0 <= output < len(call.outputs):
        raise InputError(
            f"The layer '{call.path}' gives {len(call.outputs)} tensors. Got output {output}; they count "
            "from 0."
        )
    value = call.outputs[output]
    index = _index(value.tensor, call.path, item, at)
    kind = type(call.module).__name__
    title = f"{call.path} ({kind}): output {_words(index, kind)}"
    looks = _way(call, value, index)
    if not looks:
        return _passed(seen, call, value, index, title)
    (top, worked), *before = looks
    parts = [_calculation(seen, call, *each) for each in reversed(before)]
    return _calculation(seen, call, top, worked, title=title, parts=parts)


def operation(seen: Record, op: Op, index: Sequence[int], *, output: int = 0) -> Calculation:
    """The calculation of one output element of one operation.

    Raises: ShapeError: there is no such place.
    """
    value = op.outputs[output]
    shape = tuple(value.tensor.shape)
    place = tuple(index)
    if len(place) != len(shape) or not all(0 <= i < n for i, n in zip(place, shape, strict=True)):
        raise ShapeError(
            f"{op.name} in '{op.path}' gave {_times(shape)}. Got the place {listed(place)}."
        )
    look = Look(op, value, place)
    return _calculation(seen, None, look, explain(look))


# --- the way to an element -------------------------------------------------------------------------


def _way(call: Call, value: Value, index: tuple[int, ...]) -> list[tuple[Look, Worked | None]]:
    """The operations that led to an element, the last one first; empty where the layer did none."""
    waiting: list[tuple[int, int, Value, int]] = []
    done: set[int] = set()
    found: list[tuple[Look, Worked | None]] = []

    def push(value: Value, place: int) -> None:
        op = value.op
        if value.is_learned or op is None or not call.first <= op.number < call.last:
            return
        if op.number not in done:
            done.add(op.number)
            heapq.heappush(waiting, (-op.number, len(done), value, place))

    last = value, ravel(index, value.tensor.shape)
    push(*_through(call, *last))
    if not waiting:
        push(*last)  # all that the layer does is to move numbers
    while waiting:
        _, _, value, place = heapq.heappop(waiting)
        assert value.op is not None
        look = Look(value.op, value, unravel(place, value.tensor.shape))
        worked = explain(look)
        found.append((look, worked))
        if worked is not None:
            for each in worked.follow:
                push(*_through(call, *each))
    return found


def _through(call: Call, value: Value, place: int) -> tuple[Value, int]:
    """Back through operations that only move numbers, to where an element was computed."""
    while True:
        op = value.op
        if op is None or op.name not in _THROUGH or not call.first <= op.number < call.last:
            return value, place
        worked = explain(Look(op, value, unravel(place, value.tensor.shape)))
        origins = [] if worked is None else [p for p in worked.pieces if p.term.name == "x"]
        if not origins or origins[0].origin is None:
            return value, place
        value, place = origins[0].origin, int(origins[0].places)


# --- as a calculation ------------------------------------------------------------------------------


def _calculation(
    seen: Record,
    call: Call | None,
    look: Look,
    worked: Worked | None,
    *,
    title: str = "",
    parts: Sequence[Calculation] = (),
) -> Calculation:
    op = look.op
    kind = seen.kind_of(op.path)
    title = title or f"{op.path} ({kind}), {op.name} {listed(look.index)}"
    source = f"{op.path} ({kind}), operation {op.overload}"
    if worked is None:
        given = ", ".join(
            f"{name} {_times(tuple(v.tensor.shape))}"
            for name, v in op.args.items()
            if isinstance(v, Value)
        )
        return work(
            f"{title}: not shown",
            f"{op.name}({given}) is not among the operations that are worked out here",
            [Term("given", "the run's own value", np.asarray(look.own), "result")],
            [("y", "given", "as the run has it")],
            own=look.own,
            tolerance=0.0,
            source=source,
            parts=parts,
            is_shown=False,
        )
    size = max(1.0, abs(look.own)) if np.isfinite(look.own) else 1.0
    bound = worked.bound / size if np.isfinite(worked.bound) else 0.0
    return work(
        title,
        worked.formula,
        [_term(call, piece) for piece in worked.pieces],
        worked.lines,
        own=worked.own,
        tolerance=max(floor(look), bound),
        source=source,
        parts=parts,
    )


def _term(call: Call | None, piece: Piece) -> Term:
    """What was computed before the layer began is its input."""
    term, origin = piece.term, piece.origin
    if call is None or origin is None or term.role != "step" or not piece.places.size:
        return term
    value, _ = _through(call, origin, max(0, int(piece.places.reshape(-1).max())))
    is_inside = value.op is not None and value.op.number >= call.first
    return term if is_inside else Term(term.name, term.meaning, term.value, "input")


def _passed(
    seen: Record, call: Call, value: Value, index: tuple[int, ...], title: str
) -> Calculation:
    """The layer did nothing: what comes out is what went in."""
    place = ravel(index, value.tensor.shape)
    look = Look(Op(-1, "identity", "", lambda: None, {"self": value}, call.path), value, index)
    look.take("x", value, place, "what comes in", role="weight" if value.is_learned else "input")
    worked = look.done("y = x", [("y", "x", "passed on as it is")])
    return work(
        title,
        worked.formula,
        [piece.term for piece in worked.pieces],
        worked.lines,
        own=worked.own,
        tolerance=0.0,
        source=f"{call.path} ({seen.kind_of(call.path)}), which passes its input on",
    )


def _index(tensor: Tensor, path: str, item: int, at: Sequence[int] | None) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    if not shape:
        return ()
    if not 0 <= item < shape[0]:
        raise ShapeError(
            f"The output of '{path}' is {_times(shape)}. Got item {item}, expected one of 0 to "
            f"{shape[0] - 1}."
        )
    if at is None:
        rest = tensor.detach()[item].double().nan_to_num()
        return (item, *unravel(int(rest.argmax()), shape[1:])) if rest.numel() else (item,)
    place = tuple(at)
    if len(place) != len(shape) - 1 or not all(
        isinstance(i, int) and 0 <= i < n for i, n in zip(place, shape[1:], strict=False)
    ):
        raise ShapeError(
            f"The output of '{path}' is {_times(shape[1:]) or 'one number'} an item. Got at={place}, "
            f"expected {len(shape) - 1} whole numbers, each from 0 to below the size of its axis."
        )
    return (item, *place)


def _words(index: tuple[int, ...], kind: str) -> str:
    axes = _AXES.get(len(index))
    if axes is None or (len(index) == 4 and not any(part in kind for part in _PICTURES)):
        return listed(index)
    return f"[{', '.join(f'{name} {i}' for name, i in zip(axes, index, strict=True))}]"


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
