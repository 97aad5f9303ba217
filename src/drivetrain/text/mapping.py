"""What a map of texts is made of: their vectors in the order of a record, and how they begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from drivetrain.interpret.head_inputs import Caught
from drivetrain.interpret.map_items import MapItems, of_predictions
from drivetrain.text.data import TextData
from drivetrain.train.predictions import Predictions

LETTERS = 240
"""Of a text that are shown with its point."""


def mapped(
    caught: Caught, found: Predictions, texts: Sequence[str], target: str, **known: Any
) -> MapItems:
    """The texts of a record, in its order, by what was caught while it was made.

    Args:
        known: as of `of_predictions`.
    """
    details = [_beginning(text) for text in texts]
    return of_predictions(caught, found, noun="texts", target=target, details=details, **known)


def _beginning(text: str) -> str:
    plain = " ".join(text[: 2 * LETTERS].split())
    return plain if len(plain) <= LETTERS else f"{plain[:LETTERS].rpartition(' ')[0]} …"


def in_order(data: TextData, max_len: int | None, part: str = "valid") -> list[str]:
    """The texts of a part as a loader that does not shuffle has them: the longest first."""
    _, texts, _ = data.part(part)
    return [texts[place] for place in places_in_order(data, max_len, part)]


def places_in_order(data: TextData, max_len: int | None, part: str = "valid") -> list[int]:
    """Places of the texts of a part in that order."""
    lengths = data.padded(part, max_len=max_len).lengths
    return np.argsort(-lengths, kind="stable").tolist()
