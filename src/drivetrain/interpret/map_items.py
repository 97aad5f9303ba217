"""Items that are drawn as a map: their vectors, what they are called, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from drivetrain.errors import ConfigError
from drivetrain.interpret.head_inputs import Caught
from drivetrain.interpret.text import number
from drivetrain.train.predictions import Predictions

PARTS = {"valid": ("valid",), "train": ("train",), "all": ("train", "valid")}
"""Which items a map is asked for, and the parts of the split that they are of."""
_WORDS = {"valid": "validation ", "train": "training ", "all": ""}


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
    trained: np.ndarray | None = None
    """(N,) bool: the item is of training; None where that is no question."""
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
    caught: Caught,
    found: Predictions,
    *,
    noun: str,
    target: str = "",
    of: str = "valid",
    trained: int = 0,
    **known: Any,
) -> MapItems:
    """The items of a record of predictions, by the vectors that were caught while it was made.

    Of one class an item, its true class is its group, and a wrong answer is marked; of numbers the groups
    are fifths of the true ones; of several labels an item there are no groups.

    Args:
        caught: from `head_inputs`.
        found: the record; of several targets that of one, `predictions.of(NAME)`.
        noun: what the items are, in the plural.
        target: the name of what is predicted.
        of: `valid`, `train` or `all`: which items of the run they are.
        trained: so many of them, the first ones, are of training.
        known: `details`, `pictures`, `notes` of `MapItems`.

    Raises: as `Caught.vectors`. ConfigError: not as many vectors as predictions.
    """
    vectors = caught.vectors()
    if len(vectors) != len(found):
        raise ConfigError(
            f"{len(vectors):,} vectors were caught for {len(found):,} predictions: one each is needed."
        )
    many = "1 number" if vectors.shape[1] == 1 else f"{vectors.shape[1]:,} numbers"
    if caught.layer is None:
        what = f"What the last layer, {caught.last}, is given: {many} for each of the {_WORDS[of]}{noun}."
    else:
        mean = f", the mean of {caught.pooled:,} places" if caught.pooled else ""
        what = (
            f"What the layer {caught.layer} gives: {many} for each of the {_WORDS[of]}{noun}{mean}."
        )
    if trained:
        known["notes"] = (*known.get("notes", ()), _of_training(trained, noun))
    if of == "all":
        known["details"] = _with_parts(known.get("details", ()), len(found), trained)
    common: dict[str, Any] = {
        "trained": np.arange(len(found)) < trained,
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


def _of_training(count: int, noun: str) -> str:
    return (
        f"{count:,} {noun} are of training: the model has seen their answers. What it says of them is "
        "no measure of what it will say of others."
    )


def _with_parts(details: Sequence[str], count: int, trained: int) -> list[str]:
    """What is told of each item, after the part that it is of."""
    parts = ["training" if place < trained else "validation" for place in range(count)]
    if not len(details):
        return parts
    return [f"{part}: {told}" for part, told in zip(parts, details, strict=True)]


def joined(records: Sequence[Predictions]) -> Predictions:
    """Records of one model as one, in their order.

    Args:
        records: one or more; of several targets all of the same ones.
    """
    first = records[0]
    if len(records) == 1:
        return first
    return Predictions(
        [name for one in records for name in one.ids],
        torch.cat([one.targets for one in records]),
        torch.cat([one.outputs for one in records]),
        torch.cat([one.losses for one in records]),
        first.classes,
        {name: joined([one.parts[name] for one in records]) for name in first.parts},
    )
