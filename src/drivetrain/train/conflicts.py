"""Reporting callbacks that undo each other's work: two that write the same field of the state.

Nobody has to list what a callback writes: each handler is watched the first few times that its event
comes, by comparing the state's fields before and after it. Then the plain handlers are put back, so that
later steps cost nothing.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

from torch import Tensor

from drivetrain.train.callback import EVENTS, Callback, Handler, Handlers, named
from drivetrain.train.state import FitState

FIELDS = (
    "model",
    "loss_fn",
    "optimizer",
    "schedule",
    "metrics",
    "in_eval",
    "batch",
    "args",
    "kwargs",
    "targets",
    "preds",
    "loss",
)
"""Fields that are watched; beside them each column of `row`."""

WATCHED = 3
"""How often each event is watched; gradient accumulation scales its first loss at the second batch."""

Where = tuple[int, int]
"""Number of the event, place of the handler within it."""


def report_conflicts(on: Handlers, state: FitState) -> None:
    """Watch the handlers of a fit, and warn where one callback writes over what another one wrote.

    A callback that builds on what it finds says so in `adjusts`, and is not reported. What is put back
    when a fit or a cancelled part of it is over does not count.
    """
    if sum(not callback.only_looks for callback in state.callbacks) < 2:
        return
    watch = _Watch(on, state)
    for event in EVENTS:
        handlers: tuple[Handler, ...] = getattr(on, event)
        if handlers and event not in ("after_cancel", "after_fit"):
            setattr(on, event, watch.watched(event, handlers))


class _Watch:
    def __init__(self, on: Handlers, state: FitState) -> None:
        self.on = on
        self.names = {id(callback): name for name, callback in named(state.callbacks).items()}
        self.writes: dict[str, list[tuple[Where, Callback]]] = {}
        self.told: set[tuple[str, int, int]] = set()

    def watched(self, event: str, handlers: tuple[Handler, ...]) -> tuple[Handler, ...]:
        rounds = [0]

        def watching(place: int, state: FitState) -> None:
            if place == 0:
                rounds[0] += 1
                if rounds[0] == WATCHED:  # this round still runs to its end
                    setattr(self.on, event, handlers)
            before = _fields(state)
            try:
                handlers[place](state)
            finally:  # it may cancel
                callback: Any = getattr(handlers[place], "__self__", None)
                for field in _changed(before, _fields(state)):
                    self.note(field, (EVENTS.index(event), place), callback)

        return tuple(functools.partial(watching, place) for place in range(len(handlers)))

    def note(self, field: str, where: Where, callback: Callback) -> None:
        writes = self.writes.setdefault(field, [])
        if (where, callback) in writes:
            return
        for other_where, other in writes:
            if other is not callback:
                pair = sorted(((where, callback), (other_where, other)), key=lambda one: one[0])
                self.judge(field, *pair)
        writes.append((where, callback))

    def judge(
        self, field: str, first: tuple[Where, Callback], last: tuple[Where, Callback]
    ) -> None:
        earlier, later = first[1], last[1]
        key = (field, id(earlier), id(later))
        if key in self.told or {field, field.partition("[")[0]} & set(later.adjusts):
            return
        self.told.add(key)
        one, two = self.names.get(id(earlier), "?"), self.names.get(id(later), "?")
        warnings.warn(
            f"The callbacks `{one}` and `{two}` both write `state.{field}`. `{two}` comes last (at "
            f"`{EVENTS[last[0][0]]}`), so what `{one}` did may be lost or counted twice. Use one of "
            f"them. If `{two}` builds on what it finds there, let it say so: `adjusts = "
            f"({field.partition('[')[0]!r},)`.",
            stacklevel=2,
        )


def _fields(state: FitState) -> dict[str, list[Any]]:
    """Each field as the objects that it is made of, tensors with the count of their changes in place."""
    found = {field: _objects(getattr(state, field)) for field in FIELDS}
    return found | {f"row[{column!r}]": [value] for column, value in state.row.items()}


def _objects(value: Any) -> list[Any]:
    if isinstance(value, Tensor):
        return [value, 0 if value.is_inference() else value._version]
    if isinstance(value, dict):
        return [one for part in value.values() for one in _objects(part)]
    if isinstance(value, tuple | list):
        return [one for part in value for one in _objects(part)]
    return [value]


def _changed(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> list[str]:
    return [
        field
        for field, objects in after.items()
        if field not in before
        or len(before[field]) != len(objects)
        or any(
            old is not new and not (isinstance(new, int) and old == new)
            for old, new in zip(before[field], objects, strict=True)
        )
    ]
