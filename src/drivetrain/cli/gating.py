"""The gate before a training: what is critical stops it, unless it is accepted with a reason.

It looks at what is read already, for a few seconds at most: `drivetrain check` looks at the files, at
columns that a model does not see, and measures what a leak is worth.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
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


def pass_pictures(data: Any, choices: Choices, accepted: Mapping[str, str]) -> str:
    """What the quick look leaves out, in a line. Raises: DataError: something critical is left."""
    from drivetrain.vision.checking import check_quickly

    words = ["--pattern", data.recipe["pattern"]] if "pattern" in data.recipe else []
    words += [word for name in _targets_of(data) for word in ("--target", name)]
    return _pass(check_quickly(data, seconds=SECONDS), choices, accepted, words)


def pass_table(data: Any, choices: Choices, accepted: Mapping[str, str]) -> str:
    """What the quick look leaves out, in a line. Raises: DataError: something critical is left."""
    from drivetrain.tabular.checking import check_quickly

    words = ["--target", ",".join(data.target.names)]
    return _pass(check_quickly(data), choices, accepted, words)


def pass_texts(data: Any, choices: Choices, accepted: Mapping[str, str]) -> str:
    """What the quick look leaves out, in a line. Raises: DataError: something critical is left."""
    from drivetrain.text.checking import check_quickly

    words = ["--task", "language" if data.goal is None else "text"]
    words += ["--target", data.goal.name] if data.goal is not None and data.recipe["target"] else []
    return _pass(check_quickly(data), choices, accepted, words)


def tell_ratings(data: Any, choices: Choices) -> str:
    """Tell of what is worth a decision: nothing in ratings stops a training. As `pass_pictures`."""
    from drivetrain.collab.checking import check_quickly

    return _pass(check_quickly(data), choices, {}, ["--task", "collab"])


def _targets_of(data: Any) -> list[str]:
    """Columns of labels of a CSV of pictures."""
    several = data.recipe.get("targets")
    label = data.recipe.get("label_column")
    return list(several) if several else [label] if label else []


def _pass(
    found: Findings, choices: Choices, accepted: Mapping[str, str], words: Sequence[str]
) -> str:
    """Tell of warnings, record what is accepted with the run's choices, and stop at what is not.

    Args:
        words: with which, behind the source, `drivetrain check` looks at the same.

    Returns: what the quick look leaves out and the command that looks at all of it, for when the run is
        there; empty where nothing is left out.
    """
    from drivetrain.gate import telling

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
    for line in telling.lines(found):
        exits.tell(line)
    return telling.rest(found, f"drivetrain check {shlex.join([found.source, *words])}")


def say(left: str) -> None:
    """Say on stderr what a quick look left out; nothing where it left out nothing."""
    if left:
        exits.tell(left)


def stopped(found: Findings) -> str:
    """Why a training does not begin, and how to go on."""
    first, *others = found.open
    more = f" And {len(others)} more." if others else ""
    return (
        f"{found.source}: {first.what}{more} See all, with what to do: drivetrain check. Train all the "
        f"same: --accept {shlex.quote(first.key)} --because WHY."
    )
