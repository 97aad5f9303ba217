"""Predictions out of fold: what is said of an item comes from a model that has not seen it, nor a copy.

    fold_of = assign_folds(5, strata=targets, together=groups, seed=42)
    found = out_of_fold(model, targets, fold_of)
    found.predictions(own)                            # in the place of those of the run's own model

The items of training and validation are dealt to K folds, and K models each leave one fold out (Stone
1974, doi:10.1111/j.2517-6161.1974.tb00994.x). What hangs together, copies above all, stays in one fold:
a wrong label whose copy was trained on would be found right.

An item whose label no item outside its fold has cannot be judged: the model has never met the label.
What is said of it is what the run's own model says, and it counts as seen.

Several targets share one assignment to folds, so that one training answers for all of them; what is said
of each is then taken apart, and makes a queue of its own, all of which are joined.

Letters: N items, T targets, C classes, K folds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain.clean.duplicates import Duplicates, NearPairs, joined, same_content
from drivetrain.clean.fold_files import FoldFiles, kept_outliers, kept_pairs
from drivetrain.clean.outliers import Outliers, Space, find_outliers
from drivetrain.clean.queue import Item, Material, Queue
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.randomness import permutation
from drivetrain.train.predictions import Predictions

FOLDS = 5
MOST_FOLDS = 100
BANDS = 10
"""Of a number that is told from others by its place among them, for folds of about one mean."""
MOST_ENTRIES = 400_000
"""Labels of several targets that are put into one queue: the worst of each. A thousand labels of ten
thousand texts would take five gigabytes."""
LEAST_CHANCE = 1e-12
"""Below it a probability has no logarithm that says more."""

Report = Callable[[str, int, int | None], None]
"""Is told what is done, how many so far, and of how many."""


@dataclass(frozen=True)
class FoldModel:
    """How an application predicts the items of one fold from those of the others."""

    what: str
    """Ends the sentence "out of 5 folds, by …"."""
    settings: Mapping[str, Any]
    """Plain JSON: all that its answers depend on, apart from items and labels."""
    answer: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    """`(fitted on, asked, fold)`, positions of items -> probabilities (A, C), or numbers (A,). Of several
    targets those of all, side by side: (A, C_1 + … + C_T), or (A, T) numbers."""


@dataclass(frozen=True)
class Pool:
    """The items of a run, and how they can be predicted; see `vision.folding` and its like."""

    material: Material
    models: Mapping[str, Callable[[], FoldModel]]
    """`quick`, which needs minutes at most, and `own`: the run's own recipe."""
    near: Callable[[], NearPairs]
    """Finds what is nearly the same."""
    near_by: str = ""
    """By what, apart from the content of the items: with another one kept pairs are found anew."""
    groups: np.ndarray | None = None
    """(N,) int64, where the run was split by group: the group of each item."""
    by_chance: bool = False
    """Items of one content may be equal by chance, such as short rows: then only pairs are copies."""
    space: Space | None = None
    """In what items are measured that may be unlike the others; None: nothing is said of that."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What models that have not seen an item say of it."""

    outputs: np.ndarray
    """(N, C) float64 probabilities, or (N,) numbers; of several targets those of all side by side."""
    known: np.ndarray
    """(N,) bool: the model had met the item's label; (N, T) of several targets with classes."""
    num_folds: int
    """Folds that the items were cut into."""
    what: str
    """By which model, in words."""

    @property
    def said(self) -> str:
        """In words: "out of 5 folds, by …"."""
        return f"out of {self.num_folds} folds, by {self.what}"

    def part(self, place: int, span: tuple[int, int], *, is_class: bool) -> OutOfFold:
        """What is said of one of several targets.

        Args:
            place: of the target.
            span: of its columns: the first, and the one after the last.
            is_class: whether the targets are labels, and not numbers.
        """
        start, stop = span
        outputs = self.outputs[:, start:stop] if is_class else self.outputs[:, start]
        known = self.known[:, place] if is_class else self.known
        return replace(self, outputs=outputs, known=known)

    def predictions(self, own: Predictions) -> Predictions:
        """A record with these answers, and those of `own` for items that could not be judged.

        The losses are cross-entropy in nats, squared errors, or of several labels at once the mean of
        theirs.
        """
        outputs = torch.from_numpy(self.outputs)
        if own.targets.is_floating_point() and own.targets.ndim == 1:
            return Predictions(own.ids, own.targets, outputs, (outputs - own.targets.double()) ** 2)
        chances = outputs.clamp(LEAST_CHANCE, 1 - LEAST_CHANCE)
        if own.targets.ndim == 2:
            losses = torch.nn.functional.binary_cross_entropy(
                chances, own.targets.double(), reduction="none"
            ).mean(dim=1)
            return Predictions(own.ids, own.targets, chances.logit(), losses, own.classes)
        scores = outputs.clamp(min=LEAST_CHANCE).log()
        losses = torch.nn.functional.nll_loss(scores, own.targets, reduction="none")
        if not self.known.all():
            known = torch.from_numpy(self.known)
            scores = torch.where(known[:, None], scores, own.outputs.double().log_softmax(dim=1))
            losses = torch.where(known, losses, own.losses.double())
        return Predictions(own.ids, own.targets, scores, losses, own.classes)


def assign_folds(
    num_folds: int,
    *,
    strata: np.ndarray,
    together: np.ndarray | None = None,
    seed: int = 42,
) -> np.ndarray:
    """Deal items to folds: every class evenly, and what hangs together into one.

    Without groups the folds' counts of every class differ by one at most, and so do their sizes. Groups
    of several are dealt first, the largest first, each to where its classes are fewest; single items
    then even out what those have left uneven.

    Of several targets each item has a class of each. Then those with the rarest class are dealt first
    (the idea of Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10), each to where its classes are
    fewest, which evens all of them nearly.

    Args:
        num_folds: K, at least 2; there are fewer where there are fewer groups.
        strata: (N,) int64 class of each item, or band of a number, see `bands`; (N, T) of T targets.
        together: (N,) int64 group of each item; None: each is one by itself.
        seed: of the order of dealing.

    Returns: (N,) int64, the fold that each item is left out in, each of 0 … K-1 with an item at least.
    Raises: ConfigError: no such number of folds. DataError: fewer than two groups.
    """
    if not 2 <= num_folds <= MOST_FOLDS:
        raise ConfigError(f"`num_folds` is a number from 2 to {MOST_FOLDS}. Got {num_folds}.")
    count = len(strata)
    heads = np.arange(count) if together is None else np.asarray(together)
    groups, code, sizes = np.unique(heads, return_inverse=True, return_counts=True)
    if len(groups) < 2:
        raise DataError(
            f"All {count:,} items hang together, so that no model could be trained without them. See "
            "them by the run's own predictions: --folds 0"
        )
    folds = min(num_folds, len(groups))
    classes = _numbered(strata)  # (N, T)
    in_class = np.bincount(classes.ravel()).astype(np.float64)
    held = np.zeros((folds, len(in_class)))  # items of each class in each fold
    fold_of = np.full(count, -1, dtype=np.int64)
    drawn = permutation(len(groups), seed=seed, epoch=0, purpose="clean folds").numpy()
    by_group = np.split(np.argsort(code, kind="stable"), np.cumsum(sizes)[:-1])
    several = drawn[sizes[drawn] > 1]
    for group in several[np.argsort(-sizes[several], kind="stable")].tolist():
        members = by_group[group]
        own = np.bincount(classes[members].ravel(), minlength=len(in_class))
        crowded = (held / in_class) @ own + 1e-9 * held.sum(axis=1)
        fold = int(crowded.argmin())
        fold_of[members] = fold
        held[fold] += own
    single = np.array([by_group[g][0] for g in drawn[sizes[drawn] == 1].tolist()], dtype=np.int64)
    if classes.shape[1] > 1:
        _deal_several(single, classes, in_class, held, fold_of)
        return fold_of
    totals = held.sum(axis=1).tolist()
    for place in range(len(in_class)):
        counts = held[:, place].tolist()
        for item in single[classes[single, 0] == place].tolist():
            fold = min(range(folds), key=lambda k: (counts[k], totals[k], k))
            fold_of[item] = fold
            counts[fold] += 1
            totals[fold] += 1
    return fold_of


def _numbered(strata: np.ndarray) -> np.ndarray:
    """(N, T) int64: the classes of all targets, numbered through, so that no two have a number."""
    columns, first = [], 0
    for column in strata.reshape(len(strata), -1).T:
        codes = np.unique(column, return_inverse=True)[1] + first
        columns.append(codes)
        first = int(codes.max()) + 1 if len(codes) else first
    return np.stack(columns, axis=1)


def _deal_several(
    single: np.ndarray,
    classes: np.ndarray,
    in_class: np.ndarray,
    held: np.ndarray,
    fold_of: np.ndarray,
) -> None:
    """Deal single items with a class of each target: those with the rarest first."""
    rarest = in_class[classes[single]].min(axis=1)
    sizes = np.bincount(fold_of[fold_of >= 0], minlength=len(held)).astype(np.float64)
    for item in single[np.argsort(rarest, kind="stable")].tolist():
        own = classes[item]
        fold = int(((held[:, own] / in_class[own]).sum(axis=1) + 1e-9 * sizes).argmin())
        fold_of[item] = fold
        held[fold, own] += 1
        sizes[fold] += 1


def bands(numbers: np.ndarray, count: int = BANDS) -> np.ndarray:
    """(N,) int64: the band of each number, of bands with about as many numbers each."""
    order = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")
    return order * min(count, len(numbers)) // max(len(numbers), 1)


def hang_together(
    hashes: Sequence[str],
    near: NearPairs | None = None,
    groups: np.ndarray | None = None,
    *,
    by_chance: bool = False,
) -> np.ndarray:
    """(N,) int64: one number for items of one content, for near duplicates, and for those of a group.

    Args:
        hashes: (N,) of the items' content.
        near: pairs of positions.
        groups: (N,) what else is to stay together.
        by_chance: equal content is no sign of a copy; `near` alone says which are.
    """
    found = [] if by_chance else [same_content(hashes)]
    if near is not None:
        found.append(near)
    if groups is not None:
        found.append(same_content([str(one) for one in groups.tolist()]))
    return Duplicates.of(joined(found), list(hashes)).group_of


def out_of_fold(
    model: FoldModel,
    targets: np.ndarray,
    fold_of: np.ndarray,
    *,
    num_classes: int | Sequence[int] = 0,
    files: FoldFiles | None = None,
    report: Report | None = None,
) -> OutOfFold:
    """Ask a model of each fold about the items that it has not seen.

    Args:
        model: fits and answers.
        targets: (N,) int64 classes, (N,) float numbers, or (N, C) floats of 0 and 1; (N, T) int64 classes
            or float numbers of several targets.
        fold_of: (N,) from `assign_folds`.
        num_classes: C, where there are classes; of several targets that of each.
        files: keeps each fold when it is answered, and knows those of an earlier, cut call.
        report: is told how many folds are done.

    Raises: ShapeError, DataError: the model's answers are of another shape, or are no probabilities.
    """
    folds = int(fold_of.max()) + 1
    is_class = targets.dtype.kind in "iu"
    sizes = (num_classes,) if isinstance(num_classes, int) else tuple(num_classes)
    width = (sum(sizes),) if is_class else targets.shape[1:]
    outputs = np.zeros((len(targets), *width))
    known = np.ones(targets.shape if is_class else len(targets), dtype=bool)
    for fold in range(folds):
        if report is not None:
            report("folds predicted", fold, folds)
        asked, fitted = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        found = None if files is None else files.read(fold, (len(asked), *width))
        if found is None:
            found = np.asarray(model.answer(fitted, asked, fold), dtype=np.float64)
            _check(found, (len(asked), *width), sizes if is_class else (), fold=fold)
            if files is not None:
                files.write(fold, found)
        outputs[asked] = found
        if is_class and targets.ndim == 1:
            known[asked] = np.isin(targets[asked], targets[fitted])
        elif is_class:
            for place in range(targets.shape[1]):
                known[asked, place] = np.isin(targets[asked, place], targets[fitted, place])
    if report is not None:
        report("folds predicted", folds, folds)
    return OutOfFold(outputs, known, folds, model.what)


def queue_of(
    pool: Pool,
    *,
    folds: int = FOLDS,
    model: str = "quick",
    folder: Path | None = None,
    may_write: bool = True,
    seed: int = 42,
    report: Report | None = None,
) -> Queue:
    """The queue of a run's items by predictions out of fold.

    Args:
        folds: K; 0 takes the predictions of the run's own model, which has seen the items of train, and
            of outliers only those that an earlier call has kept.
        model: a name of `Pool.models`.
        folder: where folds are kept, so that the next call with the same labels begins at once; and one
            that is cut loses one fold at most. None keeps nothing.
        seed: of the assignment to folds.
        report: is told how far it is.

    Raises: ConfigError: no such number of folds. DataError: too few items, or all of them are one.
        StorageError: the disk refused.
    """
    material = pool.material
    items, targets = material.items, material.targets.numpy()
    hashes = [item.hash for item in items]
    items_key = hashlib.sha256(store.json_bytes([pool.near_by, hashes])).hexdigest()
    near = kept_pairs(folder, items_key, pool.near, may_write=may_write)
    pairs = [
        (int(one), int(other))
        for one, other in zip(near.first.tolist(), near.second.tolist(), strict=True)
        if hashes[one] != hashes[other]  # those are one item of the queue
    ]
    if folds == 0 or len(material.classes) == 1:
        why = "" if folds == 0 else "; there is one class alone"
        basis = f"by the run's own model, which has learnt the labels of train{why}"
        unlike = outliers_of(
            pool, folder, is_kept_only=folds == 0, may_write=may_write, report=report
        )
        return _queued(material, material.predictions, near=pairs, basis=basis, outliers=unlike)
    several = material.several
    is_class = targets.dtype.kind in "iu"
    together = hang_together(hashes, near, pool.groups, by_chance=pool.by_chance)
    strata = targets if is_class else bands(targets.reshape(len(targets), -1).sum(axis=1))
    fold_of = assign_folds(folds, strata=strata, together=together, seed=seed)
    if report is not None:
        report("folds predicted", 0, int(fold_of.max()) + 1)
    asked = pool.models[model]()
    files = None
    if folder is not None:
        key = key_of(asked, hashes, targets, fold_of)
        files = FoldFiles(folder, f"{model}-{folds}", key, may_write=may_write)
    sizes = len(material.classes) if several is None else several.sizes
    found = out_of_fold(asked, targets, fold_of, num_classes=sizes, files=files, report=report)
    unlike = outliers_of(pool, folder, may_write=may_write, report=report)
    own = material.predictions if not found.known.all() else material.unpredicted()
    return _queued(material, own, found, near=pairs, basis=found.said, outliers=unlike)


def _queued(
    material: Material, own: Predictions, found: OutOfFold | None = None, **options: Any
) -> Queue:
    """The queue of what the run's own model says, or of what was found out of fold in its place.

    Args:
        options: of `Queue.of`.
    """
    several = material.several
    if several is None:
        return _queue_of_one(material.items, own, found, **options)
    queues = {}
    for place, (name, part, span) in enumerate(
        zip(several.names, several.split(own), several.spans, strict=True)
    ):
        items = [
            replace(item, label=labels[place], target=name)
            for item, labels in zip(material.items, several.labels, strict=True)
        ]
        said = None if found is None else found.part(place, span, is_class=several.are_classes)
        queue = _queue_of_one(items, part, said, **options)
        queues[name] = _worst(queue, MOST_ENTRIES // len(several.names), with_outliers=place == 0)
    return Queue.joined(queues)


def _worst(queue: Queue, count: int, *, with_outliers: bool) -> Queue:
    """The head of a queue: of many targets all labels of all items would not fit into memory."""
    return queue if len(queue) <= count else queue.head(count, with_outliers=with_outliers)


def _queue_of_one(
    items: Sequence[Item], own: Predictions, found: OutOfFold | None, **options: Any
) -> Queue:
    if found is None:
        return Queue.of(items, own, **options)
    seen = [
        item.part == "train" and not bool(is_known)
        for item, is_known in zip(items, found.known, strict=True)
    ]
    return Queue.of(items, found.predictions(own), seen=seen, **options)


def outliers_of(
    pool: Pool,
    folder: Path | None = None,
    *,
    is_kept_only: bool = False,
    may_write: bool = True,
    report: Report | None = None,
) -> Outliers | None:
    """The items of a run that are unlike the others, as they are kept or found now.

    Labels and folds have no part in it: what is kept is good after a patch as well, as long as the
    items are the same.

    Args:
        pool: the items, and the space that they are measured in.
        folder: where they are kept; None keeps nothing.
        is_kept_only: nothing is measured now.
        may_write: otherwise they are not kept.
        report: is told how far it is.

    Returns: None where nothing is said of it. Raises: StorageError: the disk refused.
    """
    space = pool.space
    if space is None:
        return None
    hashes = [item.hash for item in pool.material.items]
    key = hashlib.sha256(store.json_bytes([1, space.what, dict(space.settings), hashes]))

    def find() -> Outliers:
        return find_outliers(space.points(), keys=hashes, what=space.what, report=report)

    wanted = None if is_kept_only else find
    return kept_outliers(folder, key.hexdigest(), wanted, may_write=may_write)


def key_of(
    model: FoldModel, hashes: Sequence[str], targets: np.ndarray, fold_of: np.ndarray
) -> str:
    """SHA-256 of all that predictions depend on: items, labels, folds, and the model's settings."""
    digest = hashlib.sha256(store.json_bytes([1, model.what, dict(model.settings), list(hashes)]))
    for values in (targets, fold_of):
        digest.update(str((values.dtype.str, values.shape)).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _check(found: np.ndarray, shape: tuple[int, ...], sizes: Sequence[int], *, fold: int) -> None:
    """Raises: ShapeError, DataError: as `out_of_fold`. `sizes` are the classes of each target, if any."""
    if found.shape != shape:
        raise ShapeError(
            f"The model of fold {fold + 1} answered with shape {found.shape}, expected {shape}."
        )
    if not np.isfinite(found).all():
        raise DataError(f"The model of fold {fold + 1} answered with what is not finite.")
    start = 0
    for size in sizes if len(found) else ():
        chances = found[:, start : start + size]
        start += size
        sums = chances.sum(axis=1)
        if chances.min() < 0 or np.abs(sums - 1).max() > 1e-3:
            raise DataError(
                f"The model of fold {fold + 1} answered with what are no probabilities: they are "
                f"{chances.min():.3g} and up, and of an item they add up to {sums.min():.3g} and up."
            )
