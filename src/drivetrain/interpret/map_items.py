"""Items that are drawn as a map: their vectors, what they are called, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from drivetrain.errors import ConfigError
from drivetrain.interpret.head_inputs import Caught
from drivetrain.interpret.text import number
from drivetrain.train.predictions import Predictions


@dataclass(frozen=True, eq=False)
class MapItems:
    """N items to be drawn as a map: their vectors, and what is known of each."""

    vectors: np.ndarray
    """(N, F)"""
    names: Sequence[str]
    """(N,)"""
    what: str
    """What the vectors are, as a sentence."""
    noun: str = "items"
    groups: tuple[str, ...] = ()
    """Names of the colours: classes, or steps of a number."""
    codes: np.ndarray | None = None
    """(N,) int64, the group of each; -1 of none."""
    group_of: str = ""
    """What the groups are of: `class`, or the name of a number."""
    is_ordered: bool = False
    """The groups are steps of a number."""
    said: Sequence[str] = ()
    """(N,) what the model said of each, where it says something."""
    wrong: np.ndarray | None = None
    """(N,) bool: what it said is not true."""
    details: Sequence[str] = ()
    """(N,) a line more about each, such as the beginning of a text."""
    pictures: Callable[[np.ndarray, int], np.ndarray] | None = None
    """(rows (n,), pixels a side) -> (n, side, side, 3) uint8, small pictures of those items."""
    total: int = 0
    """Items there are, should these be a sample of them; 0: these are all."""
    notes: Sequence[str] = field(default_factory=tuple)

    def __len__(self) -> int:
        return len(self.names)

    def label(self, row: int) -> str:
        """The name of an item's group."""
        code = -1 if self.codes is None else int(self.codes[row])
        return self.groups[code] if code >= 0 else ""


def sample(count: int, most: int, seed: int) -> np.ndarray:
    """(min(count, most),) int64, ascending: which items are drawn, at random from all where they are too
    many."""
    if count <= most:
        return np.arange(count)
    drawn = np.random.default_rng([seed, count]).permutation(count)[:most]
    return np.sort(drawn)


def steps(values: np.ndarray, count: int = 5) -> tuple[tuple[str, ...], np.ndarray]:
    """Numbers as groups of about equally many: (names in ascending order, (N,) codes; -1 of NaN).

    >>> steps(np.array([1.0, 2.0, 3.0, np.nan]), 2)
    (('1 to 2', '2 to 3'), array([ 0,  1,  1, -1]))
    """
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    if not known.any():
        return (), np.full(len(values), -1)
    # values that occur: between two of them an edge could miss one by its rounding
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, count + 1), method="nearest"))
    if len(edges) == 1:
        return (number(float(edges[0])),), np.where(known, 0, -1)
    codes = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    names = tuple(f"{number(low)} to {number(high)}" for low, high in pairwise(edges.tolist()))
    return names, np.where(known, codes, -1)


def of_predictions(
    caught: Caught, found: Predictions, *, noun: str, target: str = "", **known: Any
) -> MapItems:
    """The items of a record of predictions, by the vectors that were caught while it was made.

    Of one class an item, its true class is its group, and a wrong answer is marked; of numbers the groups
    are fifths of the true ones; of several labels an item there are no groups.

    Args:
        caught: from `head_inputs`.
        found: the record.
        noun: what the items are, in the plural.
        target: the name of what is predicted.
        known: `details`, `pictures`, `notes` of `MapItems`.

    Raises: as `Caught.vectors`. ConfigError: not as many vectors as predictions.
    """
    if found.parts:  # of several targets, the first
        name, found = next(iter(found.parts.items()))
        known["notes"] = (
            *known.get("notes", ()),
            f"Colours and mistakes are those of {name}, the first target.",
        )
    vectors = caught.vectors()
    if len(vectors) != len(found):
        raise ConfigError(
            f"{len(vectors):,} vectors were caught for {len(found):,} predictions: one each is needed."
        )
    many = "1 number" if vectors.shape[1] == 1 else f"{vectors.shape[1]:,} numbers"
    if caught.layer is None:
        what = f"What the last layer, {caught.last}, is given: {many} for each of the validation {noun}."
    else:
        mean = f", the mean of {caught.pooled:,} places" if caught.pooled else ""
        what = (
            f"What the layer {caught.layer} gives: {many} for each of the validation {noun}{mean}."
        )
    common: dict[str, Any] = {
        "vectors": vectors,
        "names": [str(name) for name in found.ids],
        "what": what,
        "noun": noun,
        **known,
    }
    targets = found.targets.cpu().numpy()
    if found.classes and targets.ndim == 1:
        answers = found.preds.cpu().numpy()
        is_known = (targets >= 0) & (targets < len(found.classes))
        return MapItems(
            groups=found.classes,
            codes=np.where(is_known, targets, -1),
            group_of="class",
            said=[found.classes[code] for code in answers.tolist()],
            wrong=is_known & (answers != targets),
            **common,
        )
    if found.classes or targets.size != len(found):
        return MapItems(**common)
    groups, codes = steps(targets.reshape(-1))
    outputs = found.outputs.double().cpu().numpy().reshape(-1)
    return MapItems(
        groups=groups,
        codes=codes,
        group_of=target,
        is_ordered=True,
        said=[number(value) for value in outputs.tolist()] if outputs.size == targets.size else (),
        **common,
    )
