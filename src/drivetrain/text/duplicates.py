"""Texts that repeat others, equal or nearly so, within a split and across splits.

A text that trains and validates as well is known by heart, and the score is too good. So look before:

    found = find_duplicates({"train": train_texts, "valid": valid_texts})
    print(found)
    found.across("train", "valid")        # the place of each, counted through all splits
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivetrain.clean.duplicates import Duplicates
from drivetrain.clean.near_texts import LEAST, equal_texts, near_texts
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.text.base import check_texts


def find_duplicates(
    splits: Mapping[str, Sequence[str]],
    *,
    ids: Mapping[str, Sequence[str]] | None = None,
    at_least: float | None = LEAST,
) -> Duplicates:
    """Texts that equal others but for case, blanks and signs, and texts that nearly do.

    How they are found, and which are too short to be near, `clean.near_texts` says.

    Args:
        splits: name -> texts; a split that others must not repeat, such as train, stands first.
        ids: name -> ids of its texts; by default their positions.
        at_least: share of runs of words in common from which two texts are near; None looks for equal
            ones alone.

    Raises: ConfigError: `at_least` is out of range. ShapeError: not as many ids as texts. DataError: a
        text is no string.
    """
    if at_least is not None and not 0 < at_least <= 1:
        raise ConfigError(f"`at_least` must be a share above 0, up to 1. Got {at_least}.")
    names: list[str] = []
    for split, texts in splits.items():
        check_texts(texts)
        given = ids.get(split) if ids is not None else None
        if given is not None and len(given) != len(texts):
            raise ShapeError(f"`ids` has {len(given)} entries for {len(texts)} texts of '{split}'.")
        names += map(str, given if given is not None else range(len(texts)))
    every = [text for texts in splits.values() for text in texts]
    parts = [split for split, texts in splits.items() for _ in texts]
    pairs = equal_texts(every) if at_least is None else near_texts(every, least=at_least)
    return Duplicates.of(pairs, names, parts=parts)
