"""A run that trained on a share of its items, as its script says it: see `train.within`.

Which items they are follows from a seed, so that the script draws the same ones. What is learnt of the
items beside the weights is that of all of them, as in the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.train.budget import choose_items

FRACTION = "train_fraction"
"""As `train.within` calls the setting of a run."""


def kept_rows(
    fraction: float,
    uses: dict[str, Any],
    setting: Callable[[str, Any, str], str],
    *,
    count: str,
    seed: str,
    labels: str | None = None,
) -> tuple[str, str]:
    """A statement that draws the rows that train, and what the rows of a permutation of them are.

    Args:
        fraction: of the rows; 1 for all, of which nothing is said.
        uses: is given what the statement calls.
        setting: writes a setting at the head of the script.
        count, seed, labels: expressions: how many rows there are, by which seed they are drawn, and the
            class of each.

    Returns: ("", "{}") where all train; else the statement, and a form such as "kept[{}]".
    """
    if fraction == 1:
        return "", "{}"
    setting("FRACTION", fraction, "share of the training items that is trained on, to end in time")
    uses["choose_items"] = choose_items
    told = "" if labels is None else f", labels={labels}"
    return f"    kept = choose_items({count}, FRACTION, seed={seed}{told})\n", "kept[{}]"


def shared_loaders(
    fraction: float,
    uses: dict[str, Any],
    setting: Callable[[str, Any, str], str],
    lifter: Lifter,
    *,
    loaders: str,
    seed: str,
) -> str:
    """Statements that answer loaders, an expression, whose training loader gives out a share.

    Args:
        fraction, uses, setting: as of `kept_rows`.
        lifter: is told what is imported.
        loaders, seed: expressions.
    """
    if fraction == 1:
        return f"return {loaders}"
    setting("FRACTION", fraction, "share of the training items that is trained on, to end in time")
    uses["share_of"] = "drivetrain.train.budget:share_of"
    lifter.add_import(Import("dataclasses", "replace"))
    return (
        f"loaders = {loaders}\n"
        f"    return replace(loaders, train=share_of(loaders.train, FRACTION, seed={seed}))"
    )
