"""A patch of labels where pictures have several targets.

A change says of which target it is, where a run of all of them was cleaned. A patch of a run of one
target names none: which one a change is of is then told by the label that it changes. Where that is a
class of two targets, nobody can tell, and it is refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivetrain.clean.patch import Applied, Change, Patch, joined
from drivetrain.errors import DataError


def applied_to_targets(
    patch: Patch, hashes: Sequence[str], labels: Sequence[tuple[str, ...]], names: Sequence[str]
) -> tuple[list[tuple[str, ...]], Applied]:
    """What a patch makes of items with T labels each.

    Args:
        patch: of one target or of several, or those of several people merged.
        hashes: (N,) SHA-256 of each item's content; empty of items that are not looked at.
        labels: (N,) the T labels of each.
        names: of the T targets. Changes of others are not looked at.

    Returns: the new labels of each item, and what happened; whose own `labels` are of the first target.
    Raises: DataError: a label that is changed is a class of two targets and no target is named, or one
        label is changed twice.
    """
    known = [{row[place] for row in labels} for place in range(len(names))]
    unnamed: list[dict[str, Change]] = [{} for _ in names]
    for item, change in patch.changes.items():
        unnamed[_target_of(change, known, names)][item] = change
    made = [
        Patch(joined(own, patch.targets.get(name, {}))).apply(
            hashes, [row[place] for row in labels]
        )
        for place, (name, own) in enumerate(zip(names, unnamed, strict=True))
    ]
    new = list(zip(*(one.labels for one in made), strict=True))
    others = [name for name in patch.targets if name not in names]
    return new, Applied.of_targets(made, others)


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
            "target it is. Decide it once more in a run of all targets, with `drivetrain clean RUN`: its "
            "patch says so. Or train without the patch."
        )
    return found[0] if found else 0
