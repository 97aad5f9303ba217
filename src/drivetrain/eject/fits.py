"""The fits of a journal, and which of them differ in numbers alone: those share a function."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from drivetrain.errors import ConfigError
from drivetrain.optim.schedules import PER_GROUP
from drivetrain.train import callbacks as named_callbacks, journal
from drivetrain.train.callback import Callback
from drivetrain.train.journal import Stage

COMPOSITE = (PER_GROUP, "warmup", "piecewise")
"""Schedules that are made of others, so that their options are no plain numbers."""


@dataclass
class Fit:
    """One fit of the journal, as a call of a function of the script."""

    stage: Stage
    callbacks: list[Callback]
    function: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    """By parameter, the text of what this fit gives."""

    @property
    def stops_at(self) -> int | None:
        """The step after which it was ended by what a script does not have: the clock, a person."""
        stage = self.stage
        is_ended_inside = any(type(c).in_script and may_end(c) for c in self.callbacks)
        if stage.status == journal.INTERRUPTED:
            return stage.steps_done
        if stage.status == journal.CANCELLED and not is_ended_inside:
            return stage.steps_done
        return None


@dataclass
class Kind:
    """Fits that differ in numbers alone."""

    name: str
    """Of their function."""
    fits: list[Fit]
    node: Any = None
    """The function, when it is written."""

    @property
    def stage(self) -> Stage:
        """What the first of them was asked for."""
        return self.fits[0].stage

    @property
    def callbacks(self) -> list[Callback]:
        """Those of the first."""
        return self.fits[0].callbacks

    @property
    def may_end(self) -> bool:
        """Whether a fit may be over before its last epoch."""
        return self.fits[0].stops_at is not None or any(map(may_end, self.callbacks))

    @property
    def description(self) -> str:
        """What the function does, in a sentence."""
        name = self.stage.schedule["name"]
        how = {
            "constant": "at constant rates",
            "one_cycle": "under the 1cycle policy",
            PER_GROUP: "each layer group under a schedule of its own",
        }.get(name, f"under the schedule `{name}`")
        calls = dict.fromkeys(fit.stage.call for fit in self.fits)
        return f"Train {how} (`{'`, `'.join(calls)}`)."


def kinds_of(fits: Sequence[Fit]) -> list[Kind]:
    """The fits by kind, in the order in which kinds first occur."""
    groups: dict[Any, list[Fit]] = {}
    for fit in fits:
        groups.setdefault(_key(fit), []).append(fit)
    kinds: list[Kind] = []
    for group in groups.values():
        schedule = group[0].stage.schedule["name"]
        base = "fit" if schedule == "constant" or len(groups) == 1 else f"fit_{schedule}"
        taken = {kind.name for kind in kinds}
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        kinds.append(Kind(name, group))
    return kinds


def _key(fit: Fit) -> Any:
    """What is the same in all fits of a kind."""
    schedule, momentum = fit.stage.schedule, fit.stage.momentum
    shape = (schedule["name"], None if momentum is None else momentum["name"])
    parts = repr(schedule) if schedule["name"] in COMPOSITE else ""
    callbacks = [
        repr(named_callbacks.record_of(one)) if has_name(one) else id(one) for one in fit.callbacks
    ]
    return (shape, parts, tuple(callbacks), fit.stops_at is not None)


def may_end(callback: Callback) -> bool:
    """Whether a callback may end a fit."""
    return "CancelFit" in inspect.getsource(type(callback))


def has_name(callback: Callback) -> bool:
    """Whether a callback can be made again from its name and options."""
    try:
        named_callbacks.record_of(callback)
    except ConfigError:
        return False
    return True
