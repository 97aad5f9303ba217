"""What is known of a name in a script, and how a value is written out."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

UNKNOWN: Any = type("Unknown", (), {"__repr__": lambda self: "UNKNOWN"})()


@dataclass(frozen=True)
class Known:
    """What is known of a name, or of a path such as `self.decay`."""

    value: Any = UNKNOWN
    """Decides branches; `UNKNOWN` where only another text is to be put in."""
    text: str | None = None
    """What stands for it in the script; None: the value written out, where it can be."""


Writer = Callable[[Any], ast.expr | None]
"""A value as an expression, such as a function by its name; None where it cannot be written."""


def literal(value: Any) -> ast.expr | None:
    """A plain value written out."""
    if value is None or isinstance(value, bool | int | str):
        return ast.Constant(value)
    if isinstance(value, float):
        return ast.Constant(value) if math.isfinite(value) else None
    if type(value) in (tuple, list):
        parts = [literal(part) for part in value]
        if any(part is None for part in parts):
            return None
        kind = ast.Tuple if type(value) is tuple else ast.List
        return kind(parts, ast.Load())  # pyright: ignore[reportArgumentType]
    if type(value) is dict and all(isinstance(key, str) for key in value):
        values = [literal(part) for part in value.values()]
        if any(part is None for part in values):
            return None
        return ast.Dict([ast.Constant(key) for key in value], values)  # pyright: ignore[reportArgumentType]
    return None
