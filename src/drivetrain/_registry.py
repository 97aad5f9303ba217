"""Looking a name up in a table, with an answer to a typing slip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from drivetrain.errors import UnknownNameError

T = TypeVar("T")

LONGEST = 100
"""Letters of a name that is looked for among the others, and shown whole."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known name, or an empty string.

    >>> did_you_mean("acuracy", ["accuracy", "f1"])
    " Did you mean 'accuracy'?"
    """
    if len(name) > LONGEST:  # no slip of the hand, and the search takes its time for each letter
        return ""
    nearest = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def lookup(table: Mapping[str, T], name: str, *, what: str) -> T:
    """The entry of `table` under `name`; `what` names the kind of thing in the error.

    Raises: UnknownNameError: the table has no such name; the nearest one and all others are listed.
    """
    if isinstance(name, str) and name in table:  # what a file names may be anything
        return table[name]
    known = ", ".join(sorted(table))
    name = str(name)
    shown = name if len(name) <= LONGEST else f"{name[:LONGEST]}…"
    raise UnknownNameError(f"Unknown {what} '{shown}'.{did_you_mean(name, table)} Known: {known}.")
