"""The gate for pictures: what is wrong with a folder before a model learns from it.

    found = check("photos/")
    print(found)

Pictures of a test part are opened here to see whether training has them too; their labels are not looked
at. Nothing of it is kept.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from drivetrain.clean.duplicates import Duplicates, joined, same_content
from drivetrain.clean.near_pictures import SIDE, near_pictures
from drivetrain.data.items import Item
from drivetrain.gate.findings import Finding, Findings
from drivetrain.gate.items import (
    alike_classes,
    duplicates_across,
    duplicates_within,
    imbalance,
    label_conflicts,
    unreadable,
)
from drivetrain.gate.telling import before_training
from drivetrain.gate.worth import Worth, nearest_is_right, worth_of_copies
from drivetrain.store import file_sha256
from drivetrain.vision.data import Report, VisionData, from_csv, from_folder, from_names
from drivetrain.vision.decode import PictureError, decode_array, in_threads
from drivetrain.vision.targets import labels_of

MODEL = "the nearest picture of training"
SECONDS = 3.0
"""For near duplicates, before a training."""
COARSE = 8
"""Pixels a side at which the nearest picture is looked for."""
LEAST_SIDE, MOST_QUICKLY, BATCH = 64, 5000, 256
"""Of pictures in memory: the least side, the most that are compared, and those taken at once."""


def check(
    source: str | os.PathLike[str], *, seconds: float | None = None, **options: Any
) -> Findings:
    """Look at labelled pictures before a model learns from them.

    Args:
        source: a folder, or a CSV; with `pattern`, a folder whose file names hold the labels.
        seconds: time for the search for near duplicates; None: all pairs.
        options: as of `vision.from_folder`, `from_names` or `from_csv`.

    Returns: the findings, the gravest first; print them.
    Raises: what reading raises.
    """
    if Path(source).is_file():
        data = from_csv(source, **options)
    elif "pattern" in options:
        data = from_names(source, **options)
    else:
        data = from_folder(source, **options)
    return check_data(data, seconds=seconds, report=options.get("report"))


def check_quickly(data: VisionData, *, seconds: float | None = None) -> Findings:
    """The same by the pixels in memory alone, at the size that is trained; no file is opened.

    Args:
        seconds: time for the search for near duplicates.
    """
    return _checked(data, seconds, sealed=False, quick=True, report=None)


def warned(data: VisionData) -> str:
    """What `learner` writes of pictures before a training; see `gate.telling`."""
    pattern = data.recipe.get("pattern")
    more = "" if pattern is None else f", pattern={pattern!r}"
    how = f"dt.vision.check({str(data.source)!r}{more})"
    return before_training(check_quickly(data, seconds=SECONDS), how)


def check_data(
    data: VisionData,
    *,
    seconds: float | None = None,
    sealed: bool = True,
    report: Report | None = None,
) -> Findings:
    """The same of pictures that are read already: their files are opened again.

    Args:
        seconds: time for the search for near duplicates.
        sealed: look whether pictures of the test part are in training too.
        report: is told how far it is.
    """
    return _checked(data, seconds, sealed=sealed, quick=False, report=report)


def _checked(
    data: VisionData,
    seconds: float | None,
    *,
    sealed: bool,
    quick: bool,
    report: Report | None,
) -> Findings:
    parts = parts_of(data)
    asked = [at for at, part in enumerate(parts) if sealed or part != "test"]
    looked = [f"{len(asked):,} files, by their content."]
    left_out = []
    if not sealed and len(asked) < len(parts):
        left_out.append(f"{len(parts) - len(asked):,} pictures of the test part: they are sealed.")
    ids = [data.items[at].id for at in asked]
    hashes = [
        data.hashes.get(one) or _hash(data.items[at].path)
        for at, one in zip(asked, ids, strict=True)
    ]
    pairs = [same_content(hashes)]
    thumbs = None
    if data.are_small:
        left_out.append(
            "near duplicates: the pictures are too small to tell them from others of a kind."
        )
    elif quick and (why := _why_not_quickly(data, len(asked))):
        left_out.append(f"near duplicates: {why}.")
    else:
        if quick:
            thumbs, lost = _thumbs_in_memory(data, asked), 0
        else:
            paths = [data.items[at].path for at in asked]
            thumbs, lost = thumbs_of(paths, data.num_workers, report)
        near = near_pictures(thumbs, seconds=seconds)
        pairs.append(near)
        looked.append(
            f"{near.compared:,} pictures for near duplicates: resized, compressed again, or cropped by a "
            "few percent a side; turned or mirrored ones are not found."
        )
        left_out += [near.left_out] * bool(near.left_out)
        if lost:
            left_out.append(f"{lost:,} pictures that could not be opened.")
    found = Duplicates.of(joined(pairs), ids, parts=[parts[at] for at in asked])
    labels = ["" if parts[at] == "test" else _label(data.items[at]) for at in asked]

    def worth(copies: np.ndarray) -> Worth | None:
        return None if thumbs is None else _worth(thumbs, labels, found.parts, copies)

    findings: list[Finding] = [
        *duplicates_across(found, what="pictures", worth=worth),
        *label_conflicts(found.groups, labels, ids, what="pictures"),
        *duplicates_within(found, what="pictures"),
        *unreadable(data.quarantined, len(data.items), what="files"),
    ]
    names = [""] if data.targets is None else data.targets.names
    for place, target in enumerate(names):
        said = [labels_of(item)[place] for item in data.items]
        findings += imbalance(said, parts, what="pictures", target=target)
        findings += alike_classes(said, parts, what="pictures", target=target)
    return Findings.of(
        str(data.source), findings, counts=data.counts(), looked=looked, left_out=left_out
    )


def _label(item: Item) -> str:
    """What a picture is said to be; of several targets all labels, any of which may contradict."""
    return " / ".join((item.label, *item.others))


def parts_of(data: VisionData) -> list[str]:
    """(N,) the part of each item."""
    parts = [""] * len(data.items)
    for part in ("train", "valid", "test"):
        for at in getattr(data.split, part):
            parts[at] = part
    return parts


def thumbs_of(
    paths: Sequence[str | os.PathLike[str]], num_workers: int, report: Report | None = None
) -> tuple[np.ndarray, int]:
    """(N, 96, 96, 3) uint8 of whole pictures, and how many could not be opened: those are grey.

    Decoded at twice the size and averaged, so that libjpeg's scaled decoding leaves no pattern.
    """
    thumbs = np.full((len(paths), SIDE, SIDE, 3), 128, dtype=np.uint8)

    def one(at: int) -> bool:
        try:
            pixels = decode_array(paths[at], size=2 * SIDE, resize="squish")
        except PictureError:
            return False
        small = pixels.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3), dtype=np.float32)
        thumbs[at] = np.rint(small).astype(np.uint8)
        return True

    lost = 0
    for at, is_good in enumerate(in_threads(one, len(paths), num_workers)):
        lost += not is_good
        if report is not None:
            report("looking for duplicates", at + 1, len(paths))
    return thumbs, lost


def _why_not_quickly(data: VisionData, count: int) -> str:
    """Why what is in memory does not do; empty where it does."""
    if data.pixels is None:
        return "the pictures are not in memory"
    if min(data.size) < LEAST_SIDE:
        return f"they are trained at fewer than {LEAST_SIDE} pixels a side"
    return f"there are more than {MOST_QUICKLY:,}" if count > MOST_QUICKLY else ""


def _thumbs_in_memory(data: VisionData, asked: Sequence[int]) -> np.ndarray:
    """(N, 96, 96, 3) uint8 of pictures as they are trained: of oblong ones the middle, where cropped."""
    assert data.pixels is not None, "asked of pictures that are in memory"
    rows = torch.tensor([data.rows[at] for at in asked], dtype=torch.int64)
    thumbs = np.empty((len(asked), SIDE, SIDE, 3), dtype=np.uint8)
    for at in range(0, len(rows), BATCH):
        pixels = data.pixels[rows[at : at + BATCH]].float()
        small = F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=True)
        thumbs[at : at + BATCH] = small.round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
    return thumbs


def _worth(
    thumbs: np.ndarray, labels: Sequence[str], parts: Sequence[str], copies: np.ndarray
) -> Worth | None:
    """What copies add to the accuracy of the nearest picture of training."""
    by = SIDE // COARSE
    small = thumbs.reshape(len(thumbs), COARSE, by, COARSE, by, 3).mean(
        axis=(2, 4), dtype=np.float32
    )
    vectors = small.reshape(len(thumbs), -1) / 255
    train = np.array([at for at, part in enumerate(parts) if part == "train"])
    valid = np.array([at for at, part in enumerate(parts) if part == "valid"])
    codes = np.unique(np.array(labels), return_inverse=True)[1].astype(np.int64)
    vectors = vectors - vectors[train].mean(axis=0)
    right = nearest_is_right(vectors[train], codes[train], vectors[valid], codes[valid])
    return worth_of_copies(right, np.isin(valid, copies), metric="accuracy", model=MODEL)


def _hash(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:  # it is told of as a picture that could not be opened
        return ""
