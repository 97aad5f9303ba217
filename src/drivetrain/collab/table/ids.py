"""Names of users or items and their codes: 0 for one that training did not see, the others from 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from drivetrain.errors import RunError


class Ids:
    """Names in the order of their codes.

    >>> ids = Ids(["Ann", "Bo"])
    >>> ids.code("Bo"), ids.code("Cy"), ids.names, len(ids)
    (2, 0, ('', 'Ann', 'Bo'), 3)

    Args:
        names: of those that training saw, each once, as text: a number of any size is exact.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names: tuple[str, ...] = ("", *names)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Name -> code."""
        return {name: code for code, name in enumerate(self.names) if code}

    def code(self, name: Any) -> int:
        """The code of a name, 0 if it is unknown. A whole number stands for its digits."""
        return self.index.get(as_id(name), 0)

    def codes(self, names: Sequence[Any]) -> np.ndarray:
        """(N,) int32 codes of many names."""
        index = self.index
        return np.array([index.get(as_id(name), 0) for name in names], dtype=np.int32)

    def to_json(self) -> list[str]:
        """The known names."""
        return list(self.names[1:])

    @classmethod
    def from_json(cls, record: Any) -> Ids:
        """The names that `to_json` wrote.

        Raises: RunError: they are no names, or one stands there twice.
        """
        if not isinstance(record, list) or not all(isinstance(name, str) for name in record):
            raise RunError("The names of users and items are a list of texts.")
        found = cls(record)
        if len(found.index) != len(record) or "" in found.index:
            raise RunError("A name of a user or an item is empty, or stands there twice.")
        return found


def as_id(name: Any) -> str:
    """A name as text: of a whole number its digits, blanks around it off.

    >>> as_id(7), as_id(7.0), as_id(" b7 ")
    ('7', '7', 'b7')
    """
    if isinstance(name, float | np.floating) and float(name).is_integer():
        return str(int(name))
    return str(name).strip()


def in_order(names: Sequence[str]) -> np.ndarray:
    """(N,) int64: the order of names: by number where all are whole numbers, else by letters."""
    if all(name.isascii() and name.removeprefix("-").isdigit() for name in names):
        keys: list[Any] = [(int(name), name) for name in names]
    else:
        keys = list(names)
    return np.array(sorted(range(len(names)), key=keys.__getitem__), dtype=np.int64)
