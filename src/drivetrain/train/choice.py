"""Choices: what the program decided for the person, why, and how to decide otherwise."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

T = TypeVar("T")

LINE = 100
"""Columns of a printed line, as far as its words allow."""

WIDEST_VALUE = 28
"""Columns that a value gets beside its reason; a longer one has a line to itself."""
LEAST_REASON = 24
"""Columns below which a reason beside its value is a ladder of single words."""


@dataclass(frozen=True)
class Choice:
    """One decision."""

    what: str
    """The setting, by its name in the API: `size`, `model`, `lr` …"""
    value: Any
    """What was chosen; plain JSON."""
    reason: str
    """Why, in one sentence."""
    change: str
    """How to choose otherwise, as it is typed."""


class Choices:
    """The decisions of a run, in the order they were made; a later one replaces an earlier one."""

    def __init__(self) -> None:
        self._made: dict[str, Choice] = {}

    def add(self, what: str, value: T, *, reason: str, change: str) -> T:
        """Record a decision and return its value."""
        self._made[what] = Choice(what, value, reason, change)
        return value

    def choose(self, what: str, asked: T | None, *, usual: T, reason: str, change: str) -> T:
        """What was asked for, else the usual value with its reason; either is recorded.

        Args:
            what: the setting.
            asked: the person's value, or None.
            usual: the program's value.
            reason: why that one, in one sentence.
            change: how to choose otherwise, as it is typed.
        """
        if asked is None:
            return self.add(what, usual, reason=reason, change=change)
        return self.add(what, asked, reason="as asked", change=change)

    @classmethod
    def from_json(cls, records: Iterable[Mapping[str, Any]]) -> Choices:
        """The decisions that `to_json` wrote."""
        choices = cls()
        for record in records:
            choices.add(**record)
        return choices

    def __iter__(self) -> Iterator[Choice]:
        return iter(self._made.values())

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, what: str) -> Choice:
        return self._made[what]

    def __contains__(self, what: str) -> bool:
        return what in self._made

    def to_json(self) -> list[dict[str, Any]]:
        """`[{what, value, reason, change}, …]`."""
        return [asdict(choice) for choice in self]

    def __str__(self) -> str:
        """As `text`, in lines of 100 columns."""
        return self.text()

    def text(self, columns: int = LINE) -> str:
        """One line a choice: what, value, reason. A long reason goes on in the lines below.

        Args:
            columns: of a line, as far as its words allow; where a reason would have fewer than 24 of
                them, all reasons stand below their choices.
        """
        if not self._made:
            return ""
        width = max(len(choice.what) for choice in self)
        values = {choice.what: _short(choice.value) for choice in self}
        short = [len(value) for value in values.values() if len(value) <= WIDEST_VALUE]
        wide = max(short, default=0)
        indent = " " * (width + wide + 6)
        is_narrow = columns - len(indent) < LEAST_REASON
        if is_narrow:
            indent = " " * 6
        lines = []
        for choice in self:
            value = values[choice.what]
            head = f"  {choice.what:<{width}}  {value:<{wide}}  "
            if len(value) > wide or is_narrow:  # the reasons stay in their column
                lines.append(head.rstrip())
                head = indent
            lines += textwrap.wrap(
                choice.reason,
                width=columns,
                initial_indent=head,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            ) or [head.rstrip()]
        return "\n".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return " x ".join(_short(part) for part in value)
    return str(value)
