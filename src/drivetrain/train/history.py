"""History: one row an epoch, printable, plain JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


class History(list[dict[str, Any]]):
    """Rows such as `{"epoch": 0, "train_loss": .7, "valid_loss": .5, "accuracy": .8, "seconds": 1.2}`."""

    def __str__(self) -> str:
        """A table with a heading; every column that any row has."""
        if not self:
            return "no epochs yet"
        names = columns(self)
        return "\n".join([heading(names), *(line(row, names) for row in self)])


def columns(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Names of all columns in the order of their first appearance, `seconds` last."""
    names = dict.fromkeys(name for row in rows for name in row)
    if "seconds" in names:
        del names["seconds"]
        names["seconds"] = None
    return list(names)


def heading(names: Iterable[str]) -> str:
    """The table's first line."""
    return "  ".join(f"{name:>{_width(name)}}" for name in names)


def line(row: dict[str, Any], names: Iterable[str]) -> str:
    """One row under `heading(names)`."""
    return "  ".join(f"{_cell(name, row.get(name)):>{_width(name)}}" for name in names)


def _width(name: str) -> int:
    return max(len(name), 5 if name == "epoch" else 8)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    if name == "seconds":
        return f"{value:.1f}"
    return _number(value, _width(name))


def _number(value: float, width: int) -> str:
    """Four decimals; powers of ten where those would say 0.0000 or not fit the column."""
    plain = f"{value:.4f}"
    if len(plain) <= width and (abs(value) >= 0.001 or value == 0 or not math.isfinite(value)):
        return plain
    return f"{value:.2e}" if len(f"{value:.2e}") <= width else f"{value:.1e}"
