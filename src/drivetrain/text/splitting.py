"""Which texts train, which validate, and which are sealed: as the source says, or as was asked for.

Every choice is recorded with its reason. `text.sealing` knows what a sealed part is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drivetrain.data.items import Quarantined
from drivetrain.data.split import (
    Split,
    group_split,
    random_split,
    split_by_part,
    stratified_split,
    time_split,
)
from drivetrain.errors import ConfigError, DataError
from drivetrain.text.goal import Goal
from drivetrain.text.reading import PARTS, Columns, Texts
from drivetrain.text.sealing import check_test, split_without, with_elsewhere
from drivetrain.train.choice import Choices
from drivetrain.train.split_seed import seed_of

SPLITS = ("stratified", "random", "group", "time")


def split_of(found: Texts, options: Mapping[str, Any], choices: Choices) -> Split:
    """The split that the source has, or that was asked for; recorded as a choice.

    Args:
        options: of `text.data.gather`.

    Raises: ConfigError, DataError: texts cannot be split so.
    """
    change = "--set split=stratified|random|group|time"
    valid, how = options["valid"], options["split"]
    seed = seed_of(options["seed"], options.get("split_seed"))
    if how is not None and how not in SPLITS:
        raise ConfigError(f"`split` must be one of {', '.join(SPLITS)}. Got {how!r}.")
    parts = found.parts
    if options["split_column"] is not None:
        parts = [_part_of(value) for value in found.columns[options["split_column"]]]
    if parts is not None:
        return _of_parts(found, parts, valid, seed, choices, change)
    group, time = options["group"], options["time"]
    if how is None:
        how = "group" if group else "time" if time else None
    for name, column in (("group", group), ("time", time)):
        if how == name and column is None:
            raise ConfigError(f"`split='{name}'` needs `{name}='COLUMN'`.")
    if how == "group":
        reason = f"texts of one '{group}' stay together"
        choices.add("split", "group", reason=reason, change=change)
        values = [str(value) for value in found.columns[group]]
        return group_split(values, valid=valid, seed=seed)
    if how == "time":
        reason = f"the last {valid:.0%} by '{time}' validate"
        choices.add("split", "time", reason=reason, change=change)
        return time_split(_times(found.columns[time], time), valid=valid)
    if not options["labelled"] and len(found.texts) < 10:
        return _cut(found, valid, choices)
    is_class = options["labelled"] and all(isinstance(label, str | int) for label in found.labels)
    few = len(set(map(str, found.labels))) if is_class else 0
    is_class = is_class and not options["separator"] and 2 * few <= len(found.labels)
    if how == "stratified" or (how is None and is_class):
        reason = "as asked" if how else "the same share of every class validates"
        choices.add("split", "stratified", reason=reason, change=change)
        return stratified_split([str(label) for label in found.labels], valid=valid, seed=seed)
    reason = "as asked" if how else "texts have no classes that could be shared out"
    choices.add("split", "random", reason=reason, change=change)
    return random_split(len(found.texts), valid=valid, seed=seed)


def split_sealed(
    found: Texts, columns: Columns | None, options: Mapping[str, Any], choices: Choices
) -> Split:
    """The split where texts are sealed for a test: they are drawn first, or come from elsewhere.

    Arguments and errors as `split_of`; `columns` are those of a table.
    """
    test = options["test"]
    has_parts = found.parts is not None or options["split_column"] is not None
    check_test(test, has_parts=has_parts, labelled=options["labelled"])
    if isinstance(test, str):
        parted = split_of(found, options, choices)
        if parted.test:
            raise ConfigError(
                "The source has a test part of its own, and `test` names another. Leave one of them out."
            )
        words = {name: options[name] for name in ("compose", "delimiter", "encoding")}
        parted = with_elsewhere(found, parted, test, columns, **words)
    else:
        drawn = split_of(found, {**options, "valid": test}, Choices())
        parted = split_without(found, drawn.valid, lambda rest: split_of(rest, options, choices))
    reason = "no part of training or of validation; drivetrain test opens them"
    choices.add("test", len(parted.test), reason=reason, change="--test SHARE or --test FILE")
    return parted


def without_new_classes(found: Texts, split: Split, goal: Goal) -> tuple[Texts, Split]:
    """Leave out validation and test texts of a class that training does not have."""
    codes = goal.encode(found.labels)
    if (codes >= 0).all():
        return found, split
    keep = codes >= 0
    place = np.cumsum(keep) - 1
    found.quarantined += [
        Quarantined(found.ids[row], "class-not-in-training", "No training text has its class.")
        for row in np.flatnonzero(~keep).tolist()
    ]
    rows = np.flatnonzero(keep).tolist()
    found.texts = [found.texts[row] for row in rows]
    found.ids = [found.ids[row] for row in rows]
    found.labels = [found.labels[row] for row in rows]
    parts = {
        part: tuple(int(place[row]) for row in getattr(split, part) if keep[row])
        for part in ("train", "valid", "test")
    }
    if not parts["valid"]:
        raise DataError("No validation text has a class that training has. Split otherwise.")
    return found, Split(**parts, method=split.method)


def note_duplicates(found: Texts, split: Split) -> None:
    """Say how many validation or test texts stand in training as well, word for word."""
    hashes = [hash(text) for text in found.texts]
    train = {hashes[row]: row for row in split.train}
    for part in ("valid", "test"):
        twins = [
            row
            for row in getattr(split, part)
            if hashes[row] in train and found.texts[train[hashes[row]]] == found.texts[row]
        ]
        if twins:
            first = twins[0]
            found.notes.append(
                f"{len(twins):,} of the {len(getattr(split, part)):,} texts of `{part}` stand word for "
                f"word in training, such as {found.ids[first]} "
                f"({found.ids[train[hashes[first]]]}): results on them flatter."
            )


def _of_parts(
    found: Texts,
    parts: Sequence[str | None],
    valid: float,
    seed: int,
    choices: Choices,
    change: str,
) -> Split:
    """As folders or a column say; without a valid part, a share of the training texts validates."""
    outside = [k for k, part in enumerate(parts) if part is None]
    found.notes += (
        [f"{len(outside):,} texts are in no part, such as {found.ids[outside[0]]}: they train."]
        if outside
        else []
    )
    named = [part or "train" for part in parts]
    given = split_by_part(named)
    if not given.train:
        raise DataError("No text is in the part `train`.")
    if given.valid:
        choices.add("split", "folders", reason="the source says which is which", change=change)
        return given
    labels = [str(found.labels[row]) for row in given.train]
    if found.labels[0] is None or 2 * len(set(labels)) > len(labels):
        inner = random_split(len(labels), valid=valid, seed=seed)
    else:
        inner = stratified_split(labels, valid=valid, seed=seed)
    train = tuple(given.train[k] for k in inner.train)
    validating = tuple(given.train[k] for k in inner.valid)
    reason = f"the test part is sealed; {valid:.0%} of the training part validates"
    choices.add("split", inner.method, reason=reason, change=change)
    return Split(train, validating, given.test, inner.method)


def _cut(found: Texts, valid: float, choices: Choices) -> Split:
    """The last share of each of a few long texts validates: they are cut at the end of a line or word."""
    texts, ids, parts = [], [], []
    for name, text in zip(found.ids, found.texts, strict=True):
        place = int(len(text) * (1 - valid))
        for mark in ("\n", " "):
            near = text.rfind(mark, 0, place)
            if near > 0:
                place = near + 1
                break
        texts += [text[:place], text[place:]]
        ids += [f"{name} (first)", f"{name} (last)"]
        parts += ["train", "valid"]
    found.texts, found.ids, found.labels = texts, ids, [None] * len(texts)
    reason = f"few texts: the last {valid:.0%} of each validates"
    choices.add("split", "time", reason=reason, change="--set valid=SHARE")
    return Split(tuple(range(0, len(texts), 2)), tuple(range(1, len(texts), 2)), method="time")


def _part_of(value: Any) -> str | None:
    part = PARTS.get(str(value).strip().lower())
    if part is None and value is not None:
        raise DataError(
            f"`split_column` holds {str(value)[:40]!r}; known are train, valid and test."
        )
    return part


def _times(values: Sequence[Any], name: str) -> np.ndarray:
    try:
        if all(isinstance(value, int | float) for value in values):
            return np.array(values, dtype=np.float64)
        return np.array([np.datetime64(str(value), "us") for value in values])
    except ValueError:
        raise ConfigError(f"`time`: the column '{name}' holds what is no date or number.") from None
