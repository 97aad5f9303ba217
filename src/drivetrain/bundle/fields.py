"""Entries of a JSON object from a stranger, taken out one by one, each checked before it is used."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from drivetrain._strict import shown
from drivetrain.errors import BundleError

MOST_SHOWN = 80
"""Letters of a value in a message."""


class Fields:
    """The entries of one JSON object.

    Args:
        value: what the file holds there.
        where: names the file, and the place in it, in messages.
    Raises: BundleError: it is no object. Every method raises it too.
    """

    def __init__(self, value: Any, where: str) -> None:
        self.where = where
        if not isinstance(value, dict):
            self.refuse("is no JSON object")
        self._left = dict(value)

    def take(self, name: str) -> Any:
        """The entry as it stands."""
        if name not in self._left:
            self.refuse(f"has no `{name}`")
        return self._left.pop(name)

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number in low..high."""
        value = self.take(name)
        if type(value) is not int or not low <= value <= high:
            self.wrong(name, f"a whole number from {low} to {high}", value)
        return value

    def number(self, name: str, low: float, high: float) -> float:
        """A finite number in [low, high]."""
        value = self.take(name)
        if not _is_number(value) or not low <= value <= high:
            self.wrong(name, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def numbers(self, name: str, count: int, low: float, high: float) -> tuple[float, ...]:
        """A list of `count` finite numbers in [low, high]."""
        value = self.take(name)
        if not isinstance(value, list) or len(value) != count:
            self.wrong(name, f"{count} numbers", value)
        if not all(_is_number(one) and low <= one <= high for one in value):
            self.wrong(name, f"{count} numbers from {low:g} to {high:g}", value)
        return tuple(float(one) for one in value)

    def text(self, name: str, *, pattern: str = "", most: int = 1_000) -> str:
        """A string of 1 to `most` letters, that a regular expression fits where one is given."""
        value = self.take(name)
        if not isinstance(value, str) or not 1 <= len(value) <= most:
            self.wrong(name, f"a text of 1 to {most} letters", value)
        if pattern and not re.fullmatch(pattern, value):
            self.wrong(name, f"a text of the form {pattern}", value)
        return value

    def word(self, name: str, known: Sequence[str]) -> str:
        """One of some words."""
        value = self.take(name)
        if not isinstance(value, str) or value not in known:
            self.wrong(name, f"one of {', '.join(known)}", value)
        return value

    def inner(self, name: str) -> Fields:
        """The object that stands there."""
        return Fields(self.take(name), f"{self._place}, `{name}`,")

    def inners(self, name: str, most: int) -> list[Fields]:
        """The objects of the list that stands there."""
        value = self.take(name)
        if not isinstance(value, list) or len(value) > most:
            self.wrong(name, f"a list of at most {most} objects", value)
        return [
            Fields(one, f"{self._place}, `{name}[{number}]`,") for number, one in enumerate(value)
        ]

    @property
    def _place(self) -> str:
        """`where` without the comma that ends it inside a file."""
        return self.where.removesuffix(",")

    def end(self) -> None:
        """Refuse what was not asked for: it could mean something to another version."""
        if self._left:
            self.refuse(f"has the unknown entry {shown(next(iter(self._left)))}")

    def wrong(self, name: str, expected: str, value: Any) -> NoReturn:
        """Refuse the value of an entry."""
        found = repr(value)
        found = found if len(found) <= MOST_SHOWN else f"{found[:MOST_SHOWN]}…"
        self.refuse(f"has {found} as `{name}`, expected {expected}")

    def refuse(self, why: str) -> NoReturn:
        """Raise what is wrong with it."""
        raise BundleError(f"{self.where} {why}. Take it anew from where it came from.")


def _is_number(value: Any) -> bool:
    """Is it a finite number that a float can hold?"""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # of a whole number; Python compares one with infinity without a float
        return False
