"""Pictures are opened once, before the split: at which size, and which of them cannot be used.

Those of a test part stay closed: they are neither measured nor decoded.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from torch import Tensor

from drivetrain.data.items import Item, Quarantined
from drivetrain.errors import DataError, StorageError
from drivetrain.store import file_sha256
from drivetrain.train.choice import Choices
from drivetrain.vision.decode import PictureError, check_size, decode_all, picture_size
from drivetrain.vision.sources import Found

SMALL = 64
"""Pictures whose longer side is at most this many pixels are small: digits, icons."""

PHOTO_SIZE = 128
"""The side, in pixels, at which photos are trained unless asked otherwise."""


def is_test(found: Found, index: int) -> bool:
    """Whether an item that was found is of the test part."""
    return found.parts is not None and found.parts[index] == "test"


def typical_side(found: Found) -> int:
    """The median of the longer sides, in pixels: headers of up to 200 files are read, no pixels."""
    longest = []
    seen = [item for index, item in enumerate(found.items) if not is_test(found, index)]
    for item in seen[:: max(1, len(seen) // 200)]:
        try:
            picture = picture_size(item.path)
        except PictureError:
            continue  # it will be set aside with its reason when all are opened
        longest.append(max(picture.width, picture.height))
    return int(statistics.median_low(longest)) if longest else PHOTO_SIZE


def chosen_size(
    size: int | tuple[int, int] | None, typical: int, choices: Choices
) -> tuple[int, int]:
    """The size asked for, or one that suits the pictures."""
    if size is not None:
        height, width = check_size(size)
        choices.add("size", [height, width], reason="as asked", change="--size N")
        return height, width
    if typical <= SMALL:
        side = max(16, typical)
        reason = f"the pictures are small, {typical} pixels at their longer side"
    else:
        side = PHOTO_SIZE
        reason = "enough to tell most things apart, and minutes instead of hours on a CPU"
    choices.add("size", [side, side], reason=reason, change="--size N")
    return side, side


def decoded(
    paths: Sequence[Path],
    names: Sequence[str],
    *,
    size: tuple[int, int],
    resize: str,
    workers: int,
    progress: Callable[[int], None] | None,
) -> tuple[Tensor, list[int], list[Quarantined]]:
    """Pixels of all pictures that can be used, their places, and the others; see `decode.decode_all`.

    Raises: StorageError: they do not fit in memory.
    """
    try:
        return decode_all(
            paths, size=size, resize=resize, num_workers=workers, ids=names, progress=progress
        )
    except MemoryError as error:
        raise StorageError(
            f"{len(paths):,} pictures of {size[0]} x {size[1]} do not fit in memory. "
            "Use a smaller --size."
        ) from error


def refuse_if_unusable(found: Found, good: int, bad: Sequence[Quarantined]) -> None:
    """Raises: DataError: no picture is good."""
    if not good:
        first = f" The first: {bad[0].id}: {bad[0].detail}" if bad else ""
        raise DataError(f"None of the {len(bad)} pictures in {found.source} can be used.{first}")


def hashes_of(items: Sequence[Item], workers: int) -> dict[str, str]:
    """SHA-256 of each file, by id."""
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        digests = pool.map(lambda item: file_sha256(item.path), items)
        return dict(zip((item.id for item in items), digests, strict=True))
