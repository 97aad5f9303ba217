"""Which pictures train and which validate, and which classes there are: those that an item trains.

A validation item of a class that no training item has is set aside: no answer to it could be right.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivetrain.data.items import Item, Quarantined
from drivetrain.data.split import Split, split_by_part, stratified_split
from drivetrain.errors import DataError
from drivetrain.train.choice import Choices
from drivetrain.vision.sources import Found
from drivetrain.vision.targets import Targets, are_numbers, labels_of

FEW = 20
"""Pictures of a number, in the mean, below which numbers are a quantity and not the names of classes."""


def split_of(
    items: Sequence[Item], parts: list[str] | None, valid: float, seed: int, choices: Choices
) -> Split:
    """As the source says, else a share of every class; recorded as a choice.

    Args:
        parts: of each item; None where the source names none.
        valid: share for validation.
    """
    if parts is not None and "train" in parts and "valid" in parts:
        choices.add(
            "split",
            "folders",
            reason="the source says which items validate",
            change="give a folder without train/ and valid/",
        )
        return split_by_part(parts)
    change = "--valid SHARE, or folders named train/ and valid/"
    if parts is None:
        split = stratified_split([item.label for item in items], valid=valid, seed=seed)
    else:  # train and test given: validation comes out of train
        inner = [index for index, part in enumerate(parts) if part != "test"]
        part = stratified_split([items[i].label for i in inner], valid=valid, seed=seed)
        split = Split(
            train=tuple(inner[i] for i in part.train),
            valid=tuple(inner[i] for i in part.valid),
            test=tuple(index for index, name in enumerate(parts) if name == "test"),
            method=part.method,
        )
    choices.add(
        "split",
        split.method,
        reason=f"{valid:.0%} of every class validates, so that rare classes are measured too",
        change=change,
    )
    return split


def classes_of(items: Sequence[Item], parts: list[str] | None, found: Found) -> tuple[str, ...]:
    """The labels that are trained, in sorted order: every class keeps an item for training."""
    part_of = parts or ["train"] * len(items)
    trained = (i.label for i, part in zip(items, part_of, strict=True) if part == "train")
    classes = tuple(sorted(set(trained)))
    if len(classes) < 2:
        only = f"one class, {classes[0]!r}" if classes else "no training pictures"
        raise DataError(
            f"{found.source} holds {only}: there is nothing to tell apart. "
            "Add a folder with pictures of something else."
        )
    return classes


def without_unknown(
    items: list[Item], split: Split, classes: tuple[str, ...]
) -> tuple[list[Item], Split, list[Quarantined]]:
    """Leave out validation items of a class that no training item has: no answer could be right."""
    known = set(classes)
    bad = [index for index in split.valid if items[index].label not in known]
    if not bad:
        return items, split, []
    aside = [
        Quarantined(
            items[index].id,
            "unknown-class",
            f"Its class {items[index].label!r} has no training picture.",
        )
        for index in bad
    ]
    refused = set(bad)
    valid = tuple(index for index in split.valid if index not in refused)
    if not valid:
        raise DataError(
            "No validation picture is of a class that is trained. "
            "The class folders below train/ and valid/ must have the same names."
        )
    return items, Split(split.train, valid, split.test, split.method), aside


def check_quantity(found: Found) -> None:
    """Refuse labels of a CSV that are a quantity: numbers of which each has few pictures.

    Raises: DataError: they are.
    """
    values = sorted({item.label for item in found.items})
    if are_numbers(values) and len(found.items) < FEW * len(values):
        raise DataError(
            f"The labels of {found.source} are {len(values):,} different numbers, such as {values[0]}, "
            "and each would be a class of its own. Pictures are sorted into classes here, and no number "
            "is predicted of them: write a few classes in their place, such as 'young' and 'old'."
        )


def targets_of(
    found: Found, classes: tuple[str, ...], items: list[Item], split: Split
) -> tuple[Targets, Split, list[Quarantined]]:
    """Several targets, and the split without those that validate a class which no item trains.

    Raises: DataError: a target has one class only, or is a quantity.
    """
    all_classes: list[tuple[str, ...]] = [classes]
    aside: list[Quarantined] = []
    for place, name in enumerate(found.targets[1:], start=1):
        trained = sorted({labels_of(items[index])[place] for index in split.train})
        if len(trained) < 2:
            raise DataError(
                f"The target {name!r} of {found.source} has one class among the training pictures, "
                f"{trained[0]!r}: there is nothing to tell apart. Leave this target out."
            )
        known = set(trained)
        for index in split.valid:
            label = labels_of(items[index])[place]
            if label not in known:
                text = f"Its class {label!r} of {name!r} has no training picture."
                aside.append(Quarantined(items[index].id, "unknown-class", text))
        all_classes.append(tuple(trained))
    for name, known_classes in zip(found.targets, all_classes, strict=True):
        if are_numbers(known_classes):
            raise DataError(
                f"The target {name!r} of {found.source} holds {len(known_classes):,} different numbers, "
                f"such as {known_classes[0]}, and each would be a class of its own. Pictures are sorted "
                "into classes here, and no number is predicted of them: leave this target out, or write "
                "a few classes in their place."
            )
    refused = {entry.id for entry in aside}
    valid = tuple(index for index in split.valid if items[index].id not in refused)
    if not valid:
        raise DataError(
            f"No validation picture of {found.source} has a class of each target that is trained. Take "
            "rare classes together, or leave a target out."
        )
    targets = Targets(found.targets, tuple(all_classes))
    first = {entry.id: entry for entry in reversed(aside)}  # one reason a picture does
    kept = Split(split.train, valid, split.test, split.method)
    return targets, kept, list(first.values())
