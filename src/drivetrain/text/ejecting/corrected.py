"""Texts whose labels a patch corrected, in the script of their run: by their paths, or rows of the table.

The source is read again without the patch, and held against what the run has; the script is told where
they differ. See `eject.corrections`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from drivetrain._optional import require
from drivetrain.eject.corrections import Corrections
from drivetrain.eject.lift import Lifter
from drivetrain.errors import EjectError
from drivetrain.text.data import TextData
from drivetrain.text.ejecting.read_function import Reading
from drivetrain.text.sources import read_source

FIRST, LAST = " (first)", " (last)"
"""End the names of the parts of a text that is cut: the first trains, and the last validates."""


@dataclass(frozen=True)
class Before:
    """The texts of a run as its source has them, and what a patch does to each."""

    texts: Sequence[str]
    names: Sequence[str]
    labels: Sequence[Any]
    left_out: frozenset[int] = frozenset()
    """Places of texts here that are in no part of the run."""
    relabelled: dict[int, Any] = field(default_factory=dict)
    """Place here -> the label that it is trained with; a list of several in the place of columns."""

    def after(self, values: Sequence[Any]) -> list[Any]:
        """Of something of each text, that of those that stay."""
        return [value for at, value in enumerate(values) if at not in self.left_out]


def before_patch(data: TextData) -> Before:
    """The texts of a run before its patch; the very ones of the run where it has none.

    Args:
        data: read from a folder or a table, and not sealed by `test`.
    """
    recipe = data.recipe
    if recipe.get("patch") is None:
        return Before(data.texts, data.ids, data.labels)
    source = recipe["source"]
    _, found, _ = read_source(
        source, source, None, recipe["target"], recipe["text_columns"], recipe
    )
    aside = {one.id for one in data.quarantined}
    now = dict(zip(data.ids, data.labels, strict=True))
    if data.goal is None:  # of a language model, whose texts may be cut in two
        now = {name.removesuffix(FIRST).removesuffix(LAST): None for name in now}
    return Before(
        found.texts,
        found.ids,
        found.labels,
        frozenset(at for at, name in enumerate(found.ids) if name not in now.keys() | aside),
        {
            at: now[name]
            for at, (name, label) in enumerate(zip(found.ids, found.labels, strict=True))
            if name in now and now[name] != label
        },
    )


# --- tables ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A row that is kept, as the script reads it."""

    at: int
    """Its position in the file."""
    text: str
    label: Any
    further: Any
    """Of the column of groups, times or parts."""


def corrections_of_rows(
    before: Before, found: Sequence[Row], table: Any, targets: Sequence[str], source: Path
) -> tuple[Corrections, list[Row]]:
    """What a patch did to rows of the file, and the rows that it left.

    Raises: EjectError: a new label does not fit its column.
    """
    pa = require("pyarrow", extra="tabular")
    new = list(before.relabelled.values())
    kind = table.column(targets[0]).type if targets else None
    if new and len(targets) == 1 and not pa.types.is_dictionary(kind):
        try:
            new = pa.array([str(label) for label in new], pa.string()).cast(kind).to_pylist()
        except pa.ArrowException as error:
            raise EjectError(
                f"A patch gives the column '{targets[0]}' of {source} labels that do not fit its kind: "
                f"{error}. Write the labels into the table, and train from that."
            ) from error
    labels = dict(zip(before.relabelled, new, strict=True))
    made = Corrections(
        {found[at].at: label for at, label in sorted(labels.items())},
        tuple(found[at].at for at in sorted(before.left_out)),
    )
    rows = [replace(row, label=labels.get(at, row.label)) for at, row in enumerate(found)]
    ours = {*made.relabelled, *made.left_out}
    cells = [[at, row] for at, row in enumerate(table.to_pylist()) if at in ours] if ours else []
    return replace(made, found=cells), before.after(rows)


def corrected_rows(
    reading: Reading, made: Corrections, label: str, lifter: Lifter
) -> tuple[str, dict[str, Any]]:
    """Statements of `read` that correct `rows`, and what they call."""
    uses: dict[str, Any] = {}
    if not len(made):
        return "", uses
    found = f"[[i, row] for i, row in enumerate(rows) if {made.has('i')}]"
    lines = reading.correct(made, "rows of the table, from 0", found, uses, lifter)
    if made.relabelled:
        lines += f"    for i, label in RELABELLED.items():\n        rows[i][{label}] = label\n"
    if made.left_out:
        lines += "    rows = [row for i, row in enumerate(rows) if i not in LEFT_OUT]\n"
    return lines, uses
