"""Arguments of callbacks, checked where they are given."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError


def check_whole(owner: str, name: str, value: Any, *, least: int) -> None:
    """Raises: ConfigError: `value` is no whole number of `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(
            f"`{owner}` needs `{name}` as a whole number of {least} or more. Got {value!r}."
        )


def check_number(
    owner: str,
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
) -> None:
    """Raises: ConfigError: `value` is no finite number within the bounds that are given."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if (
        not is_number
        or not math.isfinite(value)
        or (above is not None and value <= above)
        or (least is not None and value < least)
        or (below is not None and value >= below)
    ):
        bounds = [
            f"{words} {bound:g}"
            for words, bound in (("above", above), ("of at least", least), ("below", below))
            if bound is not None
        ]
        raise ConfigError(f"`{owner}` needs `{name}` {' and '.join(bounds)}. Got {value!r}.")


def check_choice(owner: str, name: str, value: Any, known: Iterable[Any]) -> None:
    """Raises: ConfigError: `value` is none of `known`."""
    known = list(known)
    if value not in known:
        words = [one for one in known if isinstance(one, str)]
        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        raise ConfigError(
            f"`{owner}` needs `{name}` to be one of {', '.join(map(repr, known))}. "
            f"Got {value!r}.{hint}"
        )
