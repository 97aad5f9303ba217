"""Which column of a table holds the users, which the items, the ratings and the times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError, DataError

USUAL = ("user", "item", "rating", "time")
"""Names given to the columns of a file without a header, in the order in which such files have them."""

KNOWN: Mapping[str, tuple[str, ...]] = {
    "user": (
        "user", "customer", "client", "reader", "viewer", "listener", "member", "visitor", "reviewer",
        "account", "person", "session",
    ),
    "item": (
        "item", "movie", "film", "product", "book", "isbn", "song", "track", "artist", "article",
        "anime", "game", "recipe", "restaurant", "business", "asin", "sku", "joke", "show", "video",
    ),
    "rating": ("rating", "score", "stars", "star", "rate", "grade", "preference", "overall", "plays"),
    "time": ("time", "timestamp", "date", "datetime", "rated", "created", "when"),
}  # fmt: skip
"""Role -> first words of a column's name that stand for it, the surest first."""
_ENDINGS = {
    "id",
    "ids",
    "no",
    "num",
    "number",
    "key",
    "code",
    "at",
    "on",
    "value",
    "count",
    "rated",
}
"""Words that may follow."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns that are used."""

    user: str
    item: str
    rating: str | None
    """None: each row says that something happened, and not how good it was."""
    time: str | None
    reason: str
    """How they were found."""

    @property
    def used(self) -> tuple[str, ...]:
        """Those there are."""
        found = (self.user, self.item, self.rating, self.time)
        return tuple(name for name in found if name is not None)


def find_columns(names: Sequence[str], asked: Mapping[str, str | None]) -> Columns:
    """The columns, as asked and else by their names.

    Args:
        names: of all columns.
        asked: `user`, `item`, `rating`, `time` -> the column, or None to look for it.

    Raises: ConfigError: a column that was asked for is not there, or stands for two things. DataError:
        there is none whose name says that it holds the users, or the items.
    """
    for role, name in asked.items():
        if name is not None and name not in names:
            raise ConfigError(
                f"There is no column '{name}' for `{role}`.{did_you_mean(name, names)} Columns: "
                f"{_listed(names)}."
            )
    given = [name for name in asked.values() if name is not None]
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        roles = " and ".join(f"`{role}`" for role, name in asked.items() if name == twice)
        raise ConfigError(f"The column '{twice}' is given for {roles}. Each needs its own.")
    found: dict[str, str | None] = {}
    for role in USUAL:
        free = [name for name in names if name not in (*given, *found.values())]
        found[role] = asked.get(role) or _by_name(role, free)
    for role in ("user", "item"):
        if found[role] is None:
            raise DataError(
                f"No column's name says that it holds the {role}s. Give `{role}`. Columns: "
                f"{_listed(names)}."
            )
    named = {role: name for role, name in found.items() if name is not None}
    reason = "as asked" if len(given) == len(named) else "by their names"
    return Columns(
        user=named["user"],
        item=named["item"],
        rating=named.get("rating"),
        time=named.get("time"),
        reason=reason,
    )


def looks_like_ratings(names: Sequence[str]) -> bool:
    """Whether columns' names are those of ratings: a user, an item and a rating, and little beside."""
    found = [_by_name(role, names) for role in ("user", "item", "rating")]
    return None not in found and len(set(found)) == 3 and len(names) <= 6


def _by_name(role: str, names: Sequence[str]) -> str | None:
    """The column whose name stands for a role; of several the one whose word comes first."""
    words = {name: _words(name) for name in names}
    for known in KNOWN[role]:
        for name in names:
            first, *others = words[name] or [""]
            if first == known and all(word in _ENDINGS for word in others):
                return name
    return None


def _words(name: str) -> list[str]:
    """A name's words in small letters, an "s" at the end of the first off.

    >>> _words("movieId"), _words("User ID"), _words("ratings"), _words("user_id")
    (['movie', 'id'], ['user', 'id'], ['rating'], ['user', 'id'])
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    found = re.findall(r"[a-z]+", spaced.lower())
    if found and found[0] not in ("stars", "plays"):
        found[0] = found[0].removesuffix("s")
    if len(found) == 1 and found[0].endswith("id") and len(found[0]) > 4:
        found = [found[0][:-2], "id"]
    return found


def _listed(names: Sequence[str]) -> str:
    some = ", ".join(map(str, names[:20]))
    return some + (", …" if len(names) > 20 else "")
