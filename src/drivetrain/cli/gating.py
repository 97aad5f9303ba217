"""The gate before a training: what is critical stops it, unless it is accepted with a reason.

It looks at what is read already, for a few seconds at most: `drivetrain check` looks at the files, at
columns that a model does not see, and measures what a leak is worth.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import exits
from drivetrain.errors import DataError

if TYPE_CHECKING:
    from drivetrain.gate.findings import Findings
    from drivetrain.train.choice import Choices

SECONDS = 3.0
"""For near duplicates of pictures."""


def accepted_of(accept: tuple[str, ...], given: dict[str, Any]) -> dict[str, str]:
    """Finding -> why it is let pass; the reason is taken out of the settings but for a split's.

    Raises: UsageError: no reason is given.
    """
    if not accept:
        return {}
    because: str | None = given.get("because")
    if not because:
        raise click.UsageError("--accept: say why with --because.")
    if "split" not in given:
        del given["because"]
    return dict.fromkeys(accept, because)


def pass_pictures(data: Any, choices: Choices, accepted: Mapping[str, str]) -> None:
    """Raises: DataError: something critical is left."""
    from drivetrain.vision.checking import check_quickly

    _pass(check_quickly(data, seconds=SECONDS), choices, accepted)


def pass_table(data: Any, choices: Choices, accepted: Mapping[str, str]) -> None:
    """Raises: DataError: something critical is left."""
    from drivetrain.tabular.checking import check_quickly

    _pass(check_quickly(data), choices, accepted)


def pass_texts(data: Any, choices: Choices, accepted: Mapping[str, str]) -> None:
    """Raises: DataError: something critical is left."""
    from drivetrain.text.checking import check_quickly

    if data.goal is None:  # what a language model repeats is the language
        return
    _pass(check_quickly(data), choices, accepted)


def _pass(found: Findings, choices: Choices, accepted: Mapping[str, str]) -> None:
    """Tell of warnings, record what is accepted with the run's choices, and stop at what is not."""
    found = found.accepted(accepted)
    if found.open:
        raise DataError(stopped(found))
    for one in found.found:
        if one.because is not None:
            choices.add(
                f"accepted {one.key}",
                one.what,
                reason=one.because,
                change="train without --accept: it then stops here",
            )
        if one.name == "unreadable":
            continue  # told of by name where the source is described
        if one.level == "warning" or one.because is not None:
            click.echo(exits.visible(f"! {one.key}: {one.what}"), err=True)


def stopped(found: Findings) -> str:
    """Why a training does not begin, and how to go on."""
    first, *others = found.open
    more = f" And {len(others)} more." if others else ""
    return (
        f"{found.source}: {first.what}{more} See all, with what to do: drivetrain check. Train all the "
        f"same: --accept {shlex.quote(first.key)} --because WHY."
    )
