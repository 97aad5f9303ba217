"""Labelled pictures, split and ready for loaders.

    data = from_folder("photos/", size=128, valid=0.2)
    loaders = data.loaders(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

Every training and validation picture is opened once before the split: one that cannot be used is set
aside with its reason, and what was decoded is kept in memory where it fits, at the training size. The
pictures of a test part are not opened, only counted.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drivetrain._registry import did_you_mean, lookup
from drivetrain.clean.patch import Patch, Setting
from drivetrain.data.items import Item, Quarantined
from drivetrain.data.loaders import BatchLoader, Loaders
from drivetrain.data.split import Split
from drivetrain.data.task import Task
from drivetrain.errors import ConfigError
from drivetrain.models.table import IMAGENET_MEAN, IMAGENET_STD
from drivetrain.train.choice import Choices
from drivetrain.train.sealed import Seal
from drivetrain.train.split_seed import say_split_seed, seed_of
from drivetrain.vision.augment import Augment, AugmentSettings
from drivetrain.vision.cleaning import patched
from drivetrain.vision.decode import (
    RESIZE_METHODS,
    find_bad,
)
from drivetrain.vision.listed import (
    GetItems,
    LabelOf,
    PartOf,
    StrPath,
    find_again,
    find_items,
)
from drivetrain.vision.normalise import Normalise
from drivetrain.vision.opening import (
    SMALL,
    chosen_size,
    decoded,
    hashes_of,
    is_test,
    refuse_if_unusable,
    typical_side,
)
from drivetrain.vision.pictures import PictureData
from drivetrain.vision.sealing import seal_of, with_test
from drivetrain.vision.sources import Found, find_by_name, find_in_csv, find_in_folder
from drivetrain.vision.splitting import (
    check_quantity,
    classes_of,
    split_of,
    targets_of,
    without_unknown,
)
from drivetrain.vision.targets import Targets, check_names, labels_of

CACHE_BYTES = 2 * 2**30
"""Decoded pictures are kept in memory up to this many bytes."""

Report = Callable[[str, int, int], None]
"""(what is done, how many so far, of how many)."""


def from_folder(folder: str | os.PathLike[str], **options: Any) -> VisionData:
    """Pictures in class folders, or in `train/`, `valid/` and `test/` with class folders inside.

    Args:
        folder: where they are.
        options: see `gather`.
    Raises: DataError: no pictures, one class, no right to read. ConfigError: an option is wrong.
    """
    return _gathered(find_in_folder(os.fspath(folder)), options)


def from_names(folder: str | os.PathLike[str], pattern: str, **options: Any) -> VisionData:
    """Pictures labelled by their file names, through a regular expression with one group.

    Args:
        folder: where they are.
        pattern: such as `^(.+)_[0-9]+`; searched in the name without folders.
        options: see `gather`.
    Raises: as `from_folder`.
    """
    return _gathered(find_by_name(os.fspath(folder), pattern), options)


def from_csv(
    table: str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    part_column: str | None = None,
    targets: Sequence[str] | str | None = None,
    **options: Any,
) -> VisionData:
    """Pictures listed with their labels in a CSV.

    Args:
        table: the CSV; its first line names the columns.
        folder: where relative paths start; by default beside the CSV.
        path_column: which column names the files; found by its usual names.
        label_column: which column holds the labels; found by its usual names.
        part_column: which column says train, valid or test, if any.
        targets: the columns of labels, where there are several: each picture is told its class of each.
            One alone is the same as `label_column`.
        options: see `gather`.
    Raises: as `from_folder`.
    """
    several: tuple[str, ...] = ()
    if targets is not None:
        if label_column is not None:
            raise ConfigError("`targets` and `label_column` both name columns of labels. Give one.")
        several = check_names(targets)
        if len(several) == 1:
            label_column, several = several[0], ()
    found = find_in_csv(
        os.fspath(table),
        folder=None if folder is None else os.fspath(folder),
        path_column=path_column,
        label_column=label_column,
        part_column=part_column,
        targets=several,
    )
    if not several:  # each of several is looked at by itself
        check_quantity(found)
    return _gathered(found, options)


def from_items(
    folder: str | os.PathLike[str],
    label: LabelOf,
    *,
    items: GetItems | Iterable[StrPath] | None = None,
    split: PartOf | None = None,
    **options: Any,
) -> VisionData:
    """Pictures that functions of your own find, label and split; see `vision.listed`.

    Args:
        folder: the source.
        label: says what is on a picture, by its path; None or an empty string sets it aside.
        items: gives the files of the source, or the files; by default all pictures below it.
        split: says by the path whether a picture is of `train`, `valid` or `test`; None: as `valid` says.
        options: see `gather`.
    Raises: as `from_folder`; ConfigError: a function answers something else than is expected.
    """
    return _gathered(find_items(folder, label, items=items, split=split), options)


def _from_list(
    folder: str | os.PathLike[str], items: Sequence[Sequence[str]], **options: Any
) -> VisionData:
    return _gathered(find_again(folder, items), options)


@dataclass
class VisionData:
    """Labelled pictures with their split. Made by `from_folder`, `from_names`, `from_csv`."""

    source: Path
    """Where they were found: a folder or a CSV."""
    items: list[Item]
    """N usable pictures, sorted by id; those of the test part are not checked."""
    classes: tuple[str, ...]
    """Labels in the order of the scores."""
    split: Split
    """Positions of each part."""
    size: tuple[int, int]
    """(height, width) in pixels."""
    resize: str
    """How a picture of other proportions becomes one of this size."""
    quarantined: list[Quarantined]
    """Pictures that were set aside, with the reason."""
    seed: int
    """Of the split."""
    choices: Choices
    """What was chosen, with reasons."""
    task: Task
    """The problem as a record."""
    recipe: dict[str, Any]
    """From which the same data can be gathered again."""
    hashes: dict[str, str]
    """SHA-256 of each opened file, by id."""
    num_workers: int
    """Threads that decode."""
    are_small: bool = False
    """Whether the files are small, such as digits or icons, at whatever size they are trained."""
    pixels: Tensor | None = field(default=None, repr=False)
    """(N, 3, H, W) uint8 of train and valid, where they fit in memory; rows of test are not there."""
    rows: dict[int, int] = field(default_factory=dict, repr=False)
    """Row of `pixels` of each item."""
    seal: Seal | None = None
    """What is known of the test part, which is closed; None where there is none."""
    targets: Targets | None = None
    """Where there are several targets: all of them; `classes` and `Item.label` are of the first."""

    def loaders(
        self,
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        batch_size: int = 64,
        augment: AugmentSettings | None = None,
    ) -> Loaders:
        """Loaders of normalised batches `(inputs (B, 3, H, W) float32, targets (B,) int64)`; of T targets
        they are (B, T).

        Args:
            mean: a number a channel; also `std`: what the model was trained with, by default ImageNet's.
            batch_size: pictures a batch, for training; validation takes as many.
            augment: how strongly training pictures are varied; None for the defaults.
        """
        train = self.pictures("train")
        vary = Augment(
            AugmentSettings() if augment is None else augment,
            train.ids,
            mean=mean,
            std=std,
            seed=self.seed,
        )
        common: dict[str, Any] = {
            "batch_size": batch_size,
            "seed": self.seed,
            "num_workers": 0 if self.pixels is not None else self.num_workers,
        }
        return Loaders(
            train=BatchLoader(train, shuffle=True, min_batch=2, transform=vary, **common),
            valid=BatchLoader(self.pictures("valid"), transform=Normalise(mean, std), **common),
        )

    def pictures(self, part: str, *, target: int | None = None) -> PictureData:
        """The pictures of `train` or `valid` as a batch-first data set, with their ids.

        Those of `test` are sealed: they have not been opened, and are decoded when asked for.

        Args:
            part: of the split.
            target: of several targets the one that is wanted, by its place; None gives all of them.
        """
        indices = getattr(self.split, part)
        members = [self.items[index] for index in indices]
        rows = [self.rows[index] for index in indices if index in self.rows]
        is_cached = self.pixels is not None and len(rows) == len(members)
        return PictureData(
            [item.path for item in members],
            self._codes(members, target),
            size=self.size,
            resize=self.resize,
            pixels=self.pixels if is_cached else None,
            rows=torch.tensor(rows, dtype=torch.int64) if is_cached else None,
            ids=[item.id for item in members],
        )

    def _codes(self, members: Sequence[Item], target: int | None) -> Tensor:
        if self.targets is not None:
            codes = self.targets.codes(members)
            return codes if target is None else codes[:, target].contiguous()
        number = {name: code for code, name in enumerate(self.classes)}
        return torch.tensor([number[item.label] for item in members], dtype=torch.int64)

    def counts(self) -> dict[str, int]:
        """How many items train, validate, are sealed for the test, and were set aside."""
        return {
            "train": len(self.split.train),
            "valid": len(self.split.valid),
            "test": len(self.split.test),
            "quarantined": len(self.quarantined),
        }

    def fingerprint(self) -> str:
        """SHA-256 over id, label and content hash of every train and valid item."""
        digest = hashlib.sha256()
        for index in sorted((*self.split.train, *self.split.valid)):
            item = self.items[index]
            line = "\0".join((item.id, *labels_of(item), self.hashes[item.id])) + "\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def __str__(self) -> str:
        counts = self.counts()
        parts = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        if self.targets is not None:
            pairs = zip(self.targets.names, self.targets.classes, strict=True)
            told = "; ".join(
                f"{name}: {len(found)} classes ({_names(found)})" for name, found in pairs
            )
            return f"{len(self.targets.names)} targets, {told}: {parts}"
        return f"{len(self.classes)} classes ({_names(self.classes)}): {parts}"


def _gathered(found: Found, options: dict[str, Any]) -> VisionData:
    known = [n for n in inspect.signature(gather).parameters if n != "found"]
    for name in options:
        if name not in known:
            raise ConfigError(
                f"There is no option '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}."
            )
    return gather(found, **options)


def gather(
    found: Found,
    *,
    size: int | tuple[int, int] | None = None,
    resize: str = "crop",
    valid: float = 0.2,
    test: float | str | os.PathLike[str] | None = None,
    patch: Setting | Sequence[Setting] | None = None,
    seed: int = 42,
    split_seed: int | None = None,
    num_workers: int | None = None,
    cache_bytes: int = CACHE_BYTES,
    report: Report | None = None,
) -> VisionData:
    """Open, check and split what a finder found.

    Args:
        found: from `vision.sources`.
        size: (height, width) in pixels or one number; None looks at the pictures.
        resize: `crop` (lose the ends of the longer side), `squish` (change proportions) or `pad` (add
            a black border).
        valid: share for validation, of every class alike, where the source has no such part.
        test: share of every class that is sealed for a test, or a folder or CSV of pictures for it; None:
            the source's own part `test`, if it has one. See `vision.sealing`.
        patch: changes of labels that `drivetrain clean` wrote, of one or several people, made
            before validation is drawn; the files and what is sealed stay as they are.
        seed: of the split, of the order of batches and of augmentation.
        split_seed: of the split alone; by default as `seed`. See `train.split_seed`.
        num_workers: threads that decode; None for one a core.
        cache_bytes: decoded pictures are kept in memory up to so many bytes.
        report: is told how far it is.
    Raises: DataError: fewer than two classes, or too few pictures. ConfigError: an option is wrong.
    """
    _check_options(resize, valid, num_workers)
    choices = Choices()
    workers = (os.cpu_count() or 1) if num_workers is None else num_workers
    drawn_by = seed_of(seed, split_seed)
    found = with_test(found, test, drawn_by)
    changes = None if patch is None else Patch.of_setting(patch)
    if changes is not None:
        found, applied = patched(found, changes)
        reason = " ".join(applied.notes())
        choices.add("patch", len(changes), reason=reason, change="train without --patch")
    typical = typical_side(found)
    height, width = chosen_size(size, typical, choices)
    opened = [i for i, item in enumerate(found.items) if not is_test(found, i)]
    paths = [found.items[index].path for index in opened]
    names = [found.items[index].id for index in opened]
    needed = len(opened) * height * width * 3
    progress = None if report is None else lambda n: report("opening pictures", n, len(paths))
    pixels = None
    if needed <= cache_bytes:
        pixels, good, bad = decoded(
            paths, names, size=(height, width), resize=resize, workers=workers, progress=progress
        )
    else:
        bad = find_bad(paths, num_workers=workers, ids=names, progress=progress)
        refused = {entry.id for entry in bad}
        good = [row for row, name in enumerate(names) if name not in refused]
    refuse_if_unusable(found, len(good), bad)
    kept = {opened[row] for row in good} | set(range(len(found.items))).difference(opened)
    order = sorted(kept)
    items = [found.items[index] for index in order]
    position = {index: new for new, index in enumerate(order)}
    rows = {position[opened[row]]: n for n, row in enumerate(good)}
    parts = None if found.parts is None else [found.parts[index] for index in order]
    classes = classes_of(items, parts, found)
    split = split_of(items, parts, valid, drawn_by, choices)
    items, split, extra = without_unknown(items, split, classes)
    targets = None
    if found.targets:
        targets, split, more = targets_of(found, classes, items, split)
        extra += more
        if split.method == "stratified":
            choices.add(
                "split",
                split.method,
                reason=f"{valid:.0%} of every class of {targets.names[0]}, the first target, validates",
                change="--valid SHARE, or name another target first",
            )
    hashes = hashes_of([item for index, item in enumerate(items) if index in rows], workers)
    seal = seal_of([items[i] for i in split.test], workers, _how_sealed(test))
    if test is not None and seal is not None:
        reason = f"{seal.how}: no part of training or of validation; drivetrain test opens them"
        choices.add("test", seal.count, reason=reason, change="--test SHARE or --test FOLDER")
    say_split_seed(split_seed, split.method, choices)
    choices.add(
        "resize",
        resize,
        reason="the middle is kept, nothing is distorted" if resize == "crop" else "as asked",
        change="--set resize=squish or --set resize=pad",
    )
    return VisionData(
        source=found.source,
        items=items,
        classes=classes,
        split=split,
        size=(height, width),
        resize=resize,
        quarantined=sorted([*found.set_aside, *bad, *extra], key=lambda entry: entry.id),
        seed=seed,
        choices=choices,
        task=Task(
            application="vision",
            inputs="picture",
            target="class" if targets is None else f"class of {', '.join(targets.names)}",
            classes=classes if targets is None else (),
            targets={}
            if targets is None
            else dict(zip(targets.names, targets.classes, strict=True)),
            source=str(found.source),
            found_by=found.found_by,
            labelled_by=found.labelled_by,
            split_by=str(choices["split"].value),
            preprocessing={"size": [height, width], "resize": resize},
        ),
        recipe={
            **found.recipe,
            "size": [height, width],
            "resize": resize,
            "valid": valid,
            "seed": seed,
            **({} if split_seed is None else {"split_seed": split_seed}),
            **({} if test is None else {"test": _test_record(test)}),
            **({} if changes is None else {"patch": changes.to_json()}),
        },
        hashes=hashes,
        num_workers=workers,
        are_small=typical <= SMALL,
        pixels=pixels,
        rows=rows,
        seal=seal,
        targets=targets,
    )


def _test_record(test: float | str | os.PathLike[str]) -> float | str:
    return os.path.abspath(os.fspath(test)) if isinstance(test, str | os.PathLike) else test


def _how_sealed(test: float | str | os.PathLike[str] | None) -> str:
    if test is None:
        return "the part test of the source"
    if isinstance(test, str | os.PathLike):
        return f"the pictures in {os.path.basename(os.path.abspath(test))}"
    return f"{test:.4g} of every class"


def gather_again(recipe: Mapping[str, Any], **options: Any) -> VisionData:
    """The data that `VisionData.recipe` describes.

    Raises: DataError: what is there now cannot be used.
    """
    given = dict(recipe)
    kind, source = given.pop("from"), given.pop("source")
    given["size"] = tuple(given["size"])
    maker: Callable[..., VisionData] = {
        "folder": from_folder,
        "names": from_names,
        "csv": from_csv,
        "items": _from_list,
    }[kind]
    return maker(source, **given, **options)


def _check_options(resize: str, valid: float, num_workers: int | None) -> None:
    """Refuse at the door what would else be refused after every picture was opened."""
    lookup(RESIZE_METHODS, resize, what="resize method")
    if not 0 < valid < 1:
        raise ConfigError(f"`valid` is the share for validation, between 0 and 1. Got {valid}.")
    if num_workers is not None and num_workers < 0:
        raise ConfigError(f"`num_workers` must be 0 or more. Got {num_workers}.")


def _names(classes: Sequence[str], shown: int = 6) -> str:
    more = f", and {len(classes) - shown} more" if len(classes) > shown else ""
    return ", ".join(classes[:shown]) + more
