"""Constants of a script: each has a name, a value, and the reason that stands beside it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any


@dataclass
class Setting:
    """A constant of the script."""

    name: str
    value: Any
    reason: str


def add_setting(
    settings: list[Setting], constants: dict[str, Any], name: str, value: Any, reason: str
) -> str:
    """A constant beside others, and its name: where another value has the name it gets a number.

    Args:
        settings: to which it is added, unless it is there already with this value.
        constants: of the whole script, by name; it is added to them too.
        name: that it is to have.
        value: a plain one.
        reason: that stands beside it.
    """
    for number in itertools.count(1):
        wanted = name if number == 1 else f"{name}_{number}"
        if wanted not in constants:
            constants[wanted] = value
            settings.append(Setting(wanted, value, reason))
            return wanted
        if same_value(constants[wanted], value):
            return wanted
    raise AssertionError("the numbers came to an end")


def same_value(one: Any, other: Any) -> bool:
    """Whether two plain values are written alike: 1 is not 1.0."""
    return repr(one) == repr(other)
