"""A patch of labels where pictures have several targets.

A patch is of one target, that of the run that was cleaned, and does not name it: which one a change is of
is told by the label that it changes. Where that is a class of two targets, nobody can tell, and it is
refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivetrain.clean.patch import Applied, Change, Patch
from drivetrain.errors import DataError


def applied_to_targets(
    patch: Patch, hashes: Sequence[str], labels: Sequence[tuple[str, ...]], names: Sequence[str]
) -> tuple[list[tuple[str, ...]], Applied]:
    """What a patch makes of items with T labels each.

    Args:
        patch: of one target, or those of several targets merged.
        hashes: (N,) SHA-256 of each item's content; empty of items that are not looked at.
        labels: (N,) the T labels of each.
        names: of the T targets.

    Returns: the new labels of each item, and what happened; whose own `labels` are of the first target.
    Raises: DataError: a label that is changed is a class of two targets.
    """
    known = [{row[place] for row in labels} for place in range(len(names))]
    parts: list[dict[str, Change]] = [{} for _ in names]
    for item, change in patch.changes.items():
        parts[_target_of(change, known, names)][item] = change
    made = [
        Patch(part).apply(hashes, [row[place] for row in labels])
        for place, part in enumerate(parts)
    ]
    kept = tuple(all(row) for row in zip(*(one.kept for one in made), strict=True))
    new = list(zip(*(one.labels for one in made), strict=True))
    return new, Applied(
        labels=made[0].labels,
        kept=kept,
        relabelled=sum(one.relabelled for one in made),
        left_out=sum(one.left_out for one in made),
        stale=tuple(name for one in made for name in one.stale),
        missing=sum(one.missing for one in made),
    )


def _target_of(change: Change, known: Sequence[set[str]], names: Sequence[str]) -> int:
    """The place of the target that a change is of; the first where it is of no known label."""
    told = change.label if change.was is None else change.was
    if told is None:  # left out, whatever its label is
        return 0
    found = [place for place, classes in enumerate(known) if told in classes]
    if len(found) > 1:
        of = " and ".join(names[place] for place in found)
        raise DataError(
            f"The patch changes the label {told!r}, which is a class of {of}, and does not say of which "
            "target it is. Write the changes into the table itself, with `drivetrain clean RUN "
            "--in-place` of a run of that target alone, and train without the patch."
        )
    return found[0] if found else 0
