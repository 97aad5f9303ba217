"""The items to look at, worst first: whose label a model doubts, and how each of them is shown.

    queue = Queue.of(items, predictions)                # predictions in the order of the items
    queue.rows[:20]                                     # the most doubtful first
    queue.chosen(flagged=True, label="cat")             # what a filter leaves

Probabilities of items that a model has trained on say little: it has learnt their labels, wrong ones
too. So flags are given within each kind, items that were seen and items that were not, and what is
out of fold (`clean.folds`, or `probs`) takes the place of the model's own. Of items with one content the
first is shown, with how many there are.

Where items have several targets, each label is an entry of its own, and all stand in one queue
(`Queue.joined`). What is of an item whatever its labels are, that it is there twice or unlike the others,
is counted once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain import store
from drivetrain._registry import did_you_mean
from drivetrain.clean.labels import label_issues
from drivetrain.clean.outliers import Outliers
from drivetrain.clean.targets import Targets
from drivetrain.errors import ConfigError, ShapeError, UnknownNameError
from drivetrain.train.predictions import Predictions

KINDS = ("picture", "text", "row")
"""How an item is shown."""
EXCERPT = 400
"""Letters of a text that stand in the list; the page asks for the rest."""
LONGEST_CELL = 200
HIGH_LOSS = 0.9
"""Share of the losses that are below a high one."""


@dataclass(frozen=True)
class Item:
    """One labelled thing, as an application has it."""

    hash: str
    """SHA-256 of its content, in hex; see `text_hash` and `row_hash`."""
    name: str
    """Of the file or row, for people."""
    label: str
    """What the source says."""
    part: str = ""
    """train or valid."""
    text: str | None = None
    """The text itself, of a text."""
    cells: tuple[tuple[str, str], ...] | None = None
    """Column and value, in the table's order."""
    target: str = ""
    """What the label is of, where there are several."""

    @property
    def entry(self) -> str:
        """Names it in a queue; see `entry_of`."""
        return entry_of(self.hash, self.target)

    @property
    def kind(self) -> str:
        """One of `KINDS`; what has no text and no cells is a picture."""
        return "text" if self.text is not None else "row" if self.cells is not None else "picture"


@dataclass(frozen=True)
class Row:
    """An item's place in the queue."""

    item: Item
    suggested: str | None = None
    """The likeliest label that it has not; None where the target is a number."""
    probability: float | None = None
    """Of the label that it has."""
    suggested_probability: float | None = None
    predicted: float | None = None
    """Of a number: what is said instead, in the unit of the targets."""
    loss: float | None = None
    margin: float | None = None
    """Probability of the label less that of the suggested one. Of a number: how far the prediction is
    off, in spreads of such errors (1.48 of their median), with a minus."""
    is_flagged: bool = False
    """Probably wrong, by confident learning."""
    is_high: bool = False
    """Its loss is among the highest tenth."""
    was_seen: bool = False
    """The model has trained on it, so that what it says of it says little."""
    copies: int = 1
    """Items with this content."""
    also: tuple[str, ...] = ()
    """Other labels that the copies have."""
    near: tuple[str, ...] = ()
    """Hashes of items that are nearly the same."""
    outlier: float | None = None
    """How far it is from the others, in spreads above what is usual; None where nobody measured."""
    is_outlier: bool = False
    """Too far to be of their kind; see `clean.outliers`."""
    nearest: tuple[str, str] | None = None
    """Hash and name of the item that an outlier is nearest to."""

    def to_json(self) -> dict[str, Any]:
        """Plain, with a text cut to its beginning."""
        item = self.item
        text = None if item.text is None else item.text[:EXCERPT]
        cells = None
        if item.cells is not None:
            cells = [[name[:LONGEST_CELL], value[:LONGEST_CELL]] for name, value in item.cells]
        return {
            "hash": item.hash,
            "entry": item.entry,
            "name": item.name,
            "target": item.target,
            "label": item.label,
            "part": item.part,
            "kind": item.kind,
            "text": text,
            "is_cut": item.text is not None and len(item.text) > EXCERPT,
            "cells": cells,
            "suggested": self.suggested,
            "probability": self.probability,
            "suggested_probability": self.suggested_probability,
            "predicted": self.predicted,
            "loss": self.loss,
            "margin": self.margin,
            "flagged": self.is_flagged,
            "high": self.is_high,
            "seen": self.was_seen,
            "copies": self.copies,
            "also": list(self.also),
            "near": list(self.near),
            "outlier": self.outlier,
            "is_outlier": self.is_outlier,
            "nearest": None
            if self.nearest is None
            else {"hash": self.nearest[0], "name": self.nearest[1]},
        }


@dataclass(frozen=True)
class Material:
    """What an application gives to be cleaned: `vision.cleaning`, `text.cleaning`, `tabular.cleaning`."""

    items: tuple[Item, ...]
    targets: Tensor
    """(N, …) of the items, in their order; classes as int64; (N, T) of several."""
    classes: tuple[str, ...]
    """Labels in the order of the scores; empty for numbers, and where there are several targets."""
    ask: Callable[[], Predictions]
    """What the run's own model says of the items, in their order."""
    source: Path
    """Where they come from."""
    picture: Callable[[str], bytes] | None = None
    """Hash of an item -> a PNG of it."""
    several: Targets | None = None
    """The targets, where there are several: then an item's own label is that of the first."""

    @cached_property
    def predictions(self) -> Predictions:
        """What the run's own model says; it is asked once, when this is first looked at."""
        return self.ask()

    def unpredicted(self) -> Predictions:
        """A record of the items without scores and losses, for others to be put in."""
        count = len(self.items)
        nothing = torch.zeros(count, 0), torch.zeros(count)
        return Predictions([one.name for one in self.items], self.targets, *nothing, self.classes)


@dataclass(frozen=True)
class Queue:
    """Items, the most doubtful first."""

    rows: tuple[Row, ...]
    """The items with what is known of them, in the order of the page."""
    classes: tuple[str, ...]
    """Labels that may be given; empty where the target is a number."""
    total: int
    """Items before those with one content were made one."""
    basis: str = ""
    """Whose predictions these are, in words: "out of 5 folds, by …"; empty where nobody said."""
    unlike: str = ""
    """How many items are unlike the others, and in what, as a sentence; empty where nobody said."""
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where there are several, target -> the labels that may be given; `classes` is empty then."""
    by_hash: Mapping[str, Row] = field(init=False, repr=False)
    by_entry: Mapping[str, Row] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        first: dict[str, Row] = {}
        for row in self.rows:
            first.setdefault(row.item.hash, row)
        object.__setattr__(self, "by_hash", first)
        object.__setattr__(self, "by_entry", {row.item.entry: row for row in self.rows})

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        predictions: Predictions,
        *,
        probs: np.ndarray | None = None,
        seen: Sequence[bool] | None = None,
        near: Sequence[tuple[int, int]] = (),
        basis: str = "",
        outliers: Outliers | None = None,
    ) -> Queue:
        """Order items by how much their labels are doubted.

        Args:
            items: N items.
            predictions: of the same, in their order.
            probs: (N, C) probabilities out of fold; by default those of `predictions`.
            seen: (N,) whether the model has trained on an item; by default, that it has where its part
                is train and `probs` are not given.
            near: pairs of positions that are nearly the same; see `clean.near_pictures` and its like.
            basis: whose predictions these are, in words.
            outliers: of the same items, in their order. They are marked; the order stays as it is.

        Returns: the items, the most doubtful first.
        Raises: ShapeError: not as many predictions as items. DataError: probabilities that are none.
        """
        if len(predictions) != len(items):
            raise ShapeError(f"A queue got {len(items)} items and {len(predictions)} predictions.")
        if outliers is not None and len(outliers) != len(items):
            raise ShapeError(f"A queue got {len(items)} items and outliers of {len(outliers)}.")
        is_class = bool(predictions.classes) and not predictions.targets.is_floating_point()
        if seen is None:
            seen = [probs is None and item.part == "train" for item in items]
        losses = predictions.losses.double().numpy()
        rows = [
            Row(item, loss=_finite(loss), was_seen=bool(known))
            for item, loss, known in zip(items, losses, seen, strict=True)
        ]
        order = np.argsort(-np.nan_to_num(losses, nan=np.inf), kind="stable")
        if is_class and predictions.targets.ndim == 1 and len(items):
            chances = predictions.probs.double().numpy() if probs is None else np.asarray(probs)
            targets = predictions.targets.numpy().astype(np.int64)
            rows, confidence = _doubted(rows, targets, chances, predictions.classes)
            order = np.lexsort((-losses, confidence))
        elif predictions.targets.is_floating_point() and predictions.targets.ndim == 1:
            rows = _off(rows, predictions)
        rows = _with_high(rows)
        for one, other in near:
            rows[one] = replace(rows[one], near=(*rows[one].near, items[other].hash))
            rows[other] = replace(rows[other], near=(*rows[other].near, items[one].hash))
        if outliers is not None:
            rows = _measured(rows, outliers)
        classes = predictions.classes if is_class and predictions.targets.ndim == 1 else ()
        each = _each_once([rows[at] for at in order.tolist()])
        return cls(each, classes, len(items), basis, _said_of(each, outliers))

    @classmethod
    def joined(cls, queues: Mapping[str, Queue]) -> Queue:
        """One queue of the labels of several targets, the most doubtful first.

        A label with probability p, one of C, stands where (1 - p) / (p (C - 1)) puts it: where errors
        fall on any other label alike, that is the order of how probable an error is, whatever the target
        (docs/decisions/0024-out-of-fold.md). Numbers are in the order of how many spreads they are off.

        Args:
            queues: target -> its queue, of the same items.

        Raises: ConfigError: no queue, or some of classes and some of numbers.
        """
        kinds = {bool(queue.classes) for queue in queues.values()}
        if len(kinds) != 1:
            raise ConfigError(
                "A queue of several targets is of labels or of numbers. Got "
                f"{'both' if kinds else 'no target'}."
            )
        rows = [
            replace(row, item=replace(row.item, target=name))
            for name, queue in queues.items()
            for row in queue.rows
        ]
        sizes = {name: len(queue.classes) for name, queue in queues.items()}
        doubts = [-_doubt(row, sizes[row.item.target]) for row in rows]
        order = np.argsort(doubts, kind="stable").tolist()
        first = next(iter(queues.values()))
        return replace(
            first,
            rows=tuple(rows[at] for at in order),
            classes=(),
            targets={name: queue.classes for name, queue in queues.items()},
        )

    def labels_of(self, row: Row) -> tuple[str, ...]:
        """The labels that may be given to an entry; none of numbers.

        Args:
            row: the entry.
        """
        return self.targets[row.item.target] if self.targets else self.classes

    def of_target(self, name: str) -> Queue:
        """The entries of one of several targets, in their order.

        Args:
            name: of the target.

        Raises: UnknownNameError: there is no such target. ConfigError: there is one, and no choice.
        """
        check_target(name, self.targets)
        rows = tuple(row for row in self.rows if row.item.target == name)
        return replace(self, rows=rows, targets={name: self.targets[name]})

    def chosen(
        self,
        *,
        flagged: bool = False,
        high: bool = False,
        near: bool = False,
        outlier: bool = False,
        label: str | None = None,
        part: str | None = None,
    ) -> list[Row]:
        """The rows that all filters let pass, in their order.

        Args:
            flagged: only those whose labels are probably wrong.
            high: only those whose loss is among the highest tenth.
            near: only those with a near duplicate, each item once.
            outlier: only those that are unlike the others, each item once.
            label: only those that are labelled so.
            part: only those of this part.

        Raises: ConfigError: a label that is none.
        """
        known = tuple(
            dict.fromkeys((*self.classes, *(c for all_ in self.targets.values() for c in all_)))
        )
        if label is not None and known and label not in known:
            raise ConfigError(f"Unknown label {label!r}. Known: {', '.join(known)}.")
        return [
            row
            for row in (self.by_hash.values() if near or outlier else self.rows)
            if (row.is_flagged or not flagged)
            and (row.is_high or not high)
            and (row.near or row.copies > 1 or not near)
            and (row.is_outlier or not outlier)
            and label in (None, row.item.label)
            and part in (None, row.item.part)
        ]

    @property
    def outliers(self) -> list[Row]:
        """The rows that are unlike the others, the farthest first."""
        return sorted(self.chosen(outlier=True), key=lambda row: -(row.outlier or 0.0))

    def head(self, count: int, *, with_outliers: bool = False) -> Queue:
        """The first `count` rows as a queue of their own.

        Args:
            count: of the worst.
            with_outliers: those that are unlike the others as well, wherever they stand.
        """
        rows = self.rows[:count]
        if with_outliers:
            there = {row.item.hash for row in rows}
            rows += tuple(row for row in self.chosen(outlier=True) if row.item.hash not in there)
        return replace(self, rows=rows)

    def to_json(self) -> dict[str, Any]:
        """All of it, plain."""
        return {
            "classes": list(self.classes),
            "targets": {name: list(classes) for name, classes in self.targets.items()},
            "total": self.total,
            "basis": self.basis,
            "unlike": self.unlike,
            "items": [row.to_json() for row in self.rows],
        }


def check_target(name: str, known: Iterable[str]) -> None:
    """Raises: UnknownNameError: it is none of the targets. ConfigError: there is one, and no choice."""
    targets = tuple(known)
    if not targets:
        raise ConfigError(
            f"The target {name!r} was asked for, and this run is of one: leave it out."
        )
    if name not in targets:
        raise UnknownNameError(
            f"There is no target {name!r}.{did_you_mean(name, targets)} Targets: {', '.join(targets)}."
        )


def entry_of(hash_: str, target: str = "") -> str:
    """What a label is called in a queue: the hash of its item, and where there are several its target."""
    return f"{hash_} {target}" if target else hash_


def text_hash(text: str) -> str:
    """SHA-256 of a text's UTF-8, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def row_hash(cells: Mapping[str, str | None]) -> str:
    """SHA-256 of a row's cells as JSON, in hex: column -> value as text, without the target.

    The order of the columns does not matter, so that a table may be laid out anew.

    >>> row_hash({"age": "22", "sex": None}) == row_hash({"sex": None, "age": "22"})
    True
    """
    plain = store.to_json(dict(sorted(cells.items())))
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _doubted(
    rows: Sequence[Row], targets: np.ndarray, chances: np.ndarray, classes: Sequence[str]
) -> tuple[list[Row], np.ndarray]:
    """Rows with what the probabilities say of them, and that of each label (N,)."""
    found = list(rows)
    confidence = np.zeros(len(rows))
    was_seen = np.array([row.was_seen for row in rows])
    for kind in (False, True):
        at = np.flatnonzero(was_seen == kind)
        if not len(at):
            continue
        issues = label_issues(targets[at], chances[at])
        confidence[at] = issues.confidence
        for place, index in enumerate(at.tolist()):
            suggested = int(issues.suggested[place])
            has_other = len(classes) > 1
            found[index] = replace(
                found[index],
                suggested=classes[suggested] if has_other else None,
                probability=float(chances[index, targets[index]]),
                suggested_probability=float(chances[index, suggested]) if has_other else None,
                margin=float(issues.margin[place]),
                is_flagged=bool(issues.flagged[place]),
            )
    return found, confidence


def _doubt(row: Row, num_classes: int) -> float:
    """How doubtful a label is, to be compared with those of other targets."""
    if num_classes == 0:
        return np.inf if row.margin is None else -row.margin
    chance = 0.0 if row.probability is None else row.probability
    if num_classes == 1 or chance >= 1:
        return 0.0
    return np.inf if chance <= 0 else (1 - chance) / (chance * (num_classes - 1))


def _off(rows: Sequence[Row], predictions: Predictions) -> list[Row]:
    """Rows of numbers, with what is predicted and how far off that is."""
    said = predictions.outputs.double().flatten().numpy()
    errors = np.abs(said - predictions.targets.double().numpy())
    spread = 1.4826 * float(np.nanmedian(errors)) if len(errors) else 0.0
    if spread == 0 and len(errors):  # most are hit exactly
        spread = float(np.nanmean(errors))
    return [
        replace(
            row,
            predicted=_finite(value),
            margin=_finite(-error / spread) if spread > 0 else None,
        )
        for row, value, error in zip(rows, said.tolist(), errors.tolist(), strict=True)
    ]


def _measured(rows: Sequence[Row], outliers: Outliers) -> list[Row]:
    """Rows with how far each is from the others."""
    found = []
    for row, score, is_far, near in zip(
        rows,
        outliers.scores.tolist(),
        outliers.flagged.tolist(),
        outliers.nearest.tolist(),
        strict=True,
    ):
        nearest = None if near < 0 else (rows[near].item.hash, rows[near].item.name)
        found.append(replace(row, outlier=_finite(score), is_outlier=is_far, nearest=nearest))
    return found


def _said_of(rows: Sequence[Row], outliers: Outliers | None) -> str:
    """How many are unlike the others, and in what."""
    if outliers is None:
        return ""
    if outliers.left_out:
        return outliers.left_out
    count = sum(row.is_outlier for row in rows)
    number = f"{count:,} items are" if count > 1 else "1 item is" if count else "No item is"
    return f"{number} unlike the others" + (f" in {outliers.what}." if outliers.what else ".")


def _with_high(rows: Sequence[Row]) -> list[Row]:
    losses = [row.loss for row in rows if row.loss is not None]
    if not losses:
        return list(rows)
    bound = float(np.quantile(losses, HIGH_LOSS))
    return [replace(row, is_high=row.loss is None or row.loss > bound) for row in rows]


def _each_once(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Of rows with one content the first, which knows of the others."""
    heads: dict[str, list[Row]] = {}
    for row in rows:
        heads.setdefault(row.item.hash, []).append(row)
    found = []
    for same in heads.values():
        first = same[0]
        also = tuple(sorted({row.item.label for row in same} - {first.item.label}))
        near = tuple(dict.fromkeys(h for row in same for h in row.near if h != first.item.hash))
        found.append(
            replace(
                first,
                copies=len(same),
                also=also,
                near=near,
                is_flagged=any(row.is_flagged for row in same),
                is_outlier=any(row.is_outlier for row in same),
            )
        )
    return tuple(found)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
