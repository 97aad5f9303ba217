"""The gate before a training: what is critical stops it, unless it is accepted with a reason.

It looks at what is read already, for a few seconds at most: `drivetrain check` looks at the files, at
columns that a model does not see, and measures what a leak is worth.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from drivetrain.cli import anew, exits
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
    whole = _whole(found.source, words)
    if found.open:
        raise DataError(stopped(found, whole))
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
    return telling.rest(found, whole)


_AS_TYPED = frozenset(
    ("", "task", "label_columns", "text_columns", "pattern", "valid", "split", "kinds", "seed")
)
_BY_SET = frozenset(
    (
        *("time", "split_seed", "groups", "group", "split_column", "path_column", "folder", "test"),
        *("user", "item", "rating"),
    )
)
"""Options of `train` that say what the data is: those that `check` has too, and those that it takes by
--set. Not --drop: the whole look is at the columns that were dropped, too."""


def _whole(source: str, words: Sequence[str]) -> str:
    """The line that looks at all of the data, as it is split here.

    Args:
        source: as it was found.
        words: that say the task and the target, where no command line did.
    """
    context = click.get_current_context(silent=True)
    typed = context.meta.get(anew.WORDS, []) if context else []
    if typed[:1] != ["train"] or not any(not name for name, _ in anew.entries_of(typed[1:])):
        return shlex.join(["drivetrain", "check", source, *words])
    line = ["drivetrain", "check"]
    for name, said in anew.entries_of(typed[1:]):
        if name in _AS_TYPED or (name in _BY_SET and said[0].startswith("--set")):
            line += [one.replace("--label-column", "--target", 1) for one in said]
        elif name in _BY_SET:
            value = said[-1].partition("=")[2] if len(said) == 1 else said[-1]
            line += ["--set", f"{name}={value}"]
    for option, value in zip(words[::2], words[1::2], strict=True):
        if not any(one.split("=")[0] == option for one in line):
            line += [option, value]
    return shlex.join(line)


def say(left: str) -> None:
    """Say on stderr what a quick look left out; nothing where it left out nothing."""
    if left:
        exits.tell(left)


def stopped(found: Findings, whole: str) -> str:
    """Why a training does not begin, and how to go on; `whole` is the line that looks at everything."""
    first, *others = found.open
    more = f" And {len(others)} more." if others else ""
    return (
        f"{found.source}: {first.what}{more} See all, with what to do: {whole}. Train all the same: "
        f"--accept {shlex.quote(first.key)} --because WHY."
    )
