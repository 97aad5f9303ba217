"""A folder of pictures, once, as a smaller copy: the same tree, the same names, nothing lost in silence.

Decoding large photos again every epoch costs more than training on them; a copy at the size that is
needed is made once. The originals are only read. `comparison_grid` shows what each way of resizing does.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from drivetrain._optional import require
from drivetrain._registry import lookup
from drivetrain.data.items import Quarantined, find_files, item_id
from drivetrain.errors import ConfigError, DataError
from drivetrain.store import write_bytes
from drivetrain.vision.decode import PICTURE_SUFFIXES, in_threads, load_upright
from drivetrain.vision.formats import PictureError, Source, sniff_file
from drivetrain.vision.resize_methods import RESIZE_METHODS, ResizeMethod, check_size

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

JPEG_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif"))


@dataclass(frozen=True)
class ResizedPicture:
    """One picture that was written."""

    id: str
    """Path below the source folder."""
    target: str
    """Path below the new folder; another suffix where the format changed."""
    before: tuple[int, int]
    """(width, height) of the original, the right way up, as Pillow says it."""
    after: tuple[int, int]
    """(width, height) of the copy."""


@dataclass(frozen=True)
class ResizeReport:
    """What `resize_folder` did; `str()` is for reading."""

    written: tuple[ResizedPicture, ...]
    """The copies, in the order of their ids."""
    quarantined: tuple[Quarantined, ...]
    """What could not be copied, and why."""
    dst: Path
    """Where the copies are."""

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; sizes are [width, height]."""
        return {
            "dst": os.fspath(self.dst),
            "written": [
                {**asdict(one), "before": list(one.before), "after": list(one.after)}
                for one in self.written
            ],
            "quarantined": [bad.to_json() for bad in self.quarantined],
        }

    def __str__(self) -> str:
        lines = [f"{len(self.written)} pictures written to {self.dst}."]
        if self.written:
            first = self.written[0]
            width, height = first.after
            lines += [
                f"{first.id}: Pillow's size is (width, height): {first.before} before, "
                f"{first.after} now.",
                f"As an array it is (height, width, channels): ({height}, {width}, 3).",
            ]
        if self.quarantined:
            lines.append(f"{len(self.quarantined)} files were left out:")
            lines += [f"  {bad.id}: {bad.reason}: {bad.detail}" for bad in self.quarantined]
        return "\n".join(lines)


def resize_folder(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    size: int | tuple[int, int],
    resize: str = "squish",
    quality: int = 90,
    num_workers: int = 0,
    progress: Callable[[int], None] | None = None,
) -> ResizeReport:
    """Copy every picture below `src` to the same place below `dst`, at another size.

    JPEG and WebP become JPEG; PNG, GIF, BMP, TIFF and PPM become PNG, so that what was exact stays so.
    EXIF rotation and transparency are applied as when training; other metadata is left behind. Grey
    pictures stay grey. Meant for pictures: masks whose numbers are classes must not be interpolated.

    Args:
        src: folder of pictures; only read.
        dst: a folder that does not exist yet or is empty, not inside `src`.
        size: (height, width), or one number for squares.
        resize: crop, squish or pad, as for training; or `shrink`, which keeps the proportions, never
            enlarges, and ends as small as a later crop to `size` allows.
        quality: of the JPEGs, 1 to 95.
        num_workers: threads; the result is the same for every number.
        progress: called with the number done so far.

    Returns: what was written, and what could not be used.
    Raises: DataError: no pictures in `src`, or `dst` is not usable. ConfigError: `size` or `quality`.
        UnknownNameError: no such resize method. StorageError: the disk refused.
    """
    height, width = check_size(size)
    method = lookup(FOLDER_METHODS, resize, what="resize method")
    if not 1 <= quality <= 95:
        raise ConfigError(f"`quality` must be in 1..95. Got {quality}.")
    src, dst = Path(src), Path(dst)
    _check_folders(src, dst)
    paths = find_files(src, PICTURE_SUFFIXES)
    if not paths:
        raise DataError(
            f"{src} holds no pictures. Looked for: {', '.join(sorted(PICTURE_SUFFIXES))}."
        )
    ids = [item_id(path, src) for path in paths]
    targets = _targets(paths, ids)

    def one(index: int) -> ResizedPicture | Quarantined:
        target = targets[index]
        if isinstance(target, Quarantined):
            return target
        try:
            before, after, data = _smaller(paths[index], height, width, method, target, quality)
        except PictureError as error:
            return Quarantined(ids[index], error.reason, error.detail)
        write_bytes(dst / target, data)
        return ResizedPicture(ids[index], target, before, after)

    results: list[ResizedPicture | Quarantined] = []
    for result in in_threads(one, len(paths), num_workers):
        results.append(result)
        if progress is not None:
            progress(len(results))
    return ResizeReport(
        written=tuple(r for r in results if isinstance(r, ResizedPicture)),
        quarantined=tuple(r for r in results if isinstance(r, Quarantined)),
        dst=dst,
    )


def comparison_grid(source: Source, size: int | tuple[int, int]) -> PILImage:
    """One picture brought to `size` by every method, side by side under their names.

    Returns: an RGB image, 3 * width + 4 * 8 wide and height + 2 * 8 + 16 high, on white.
    Raises: PictureError: the file cannot be used.
    """
    height, width = check_size(size)
    gap, title = 8, 16
    image = load_upright(source).convert("RGB")
    canvas = require("PIL.Image", extra="vision").new(
        "RGB", (len(RESIZE_METHODS) * (width + gap) + gap, height + 2 * gap + title), "white"
    )
    pen = require("PIL.ImageDraw", extra="vision").Draw(canvas)
    for column, (name, method) in enumerate(RESIZE_METHODS.items()):
        left = gap + column * (width + gap)
        pen.text((left, gap // 2), name, fill="black")
        canvas.paste(method.apply(image, width, height), (left, gap + title))
    return canvas


def _shrunk(w: int, h: int, width: int, height: int) -> tuple[int, int]:
    """The smallest size of these proportions that covers (width, height), never above (w, h)."""
    scale = min(1.0, max(width / w, height / h))
    return max(1, round(w * scale)), max(1, round(h * scale))


def _shrink(image: PILImage, width: int, height: int) -> PILImage:
    new = _shrunk(*image.size, width, height)
    return image if new == image.size else RESIZE_METHODS["squish"].apply(image, *new)


FOLDER_METHODS = {**RESIZE_METHODS, "shrink": ResizeMethod(_shrunk, _shrink)}
"""The ways `resize_folder` knows, by name."""


def _smaller(
    path: Path, height: int, width: int, method: ResizeMethod, target: str, quality: int
) -> tuple[tuple[int, int], tuple[int, int], bytes]:
    """The original's (width, height), the copy's, and the copy as a file."""
    before = (0, 0)

    def needed(w: int, h: int) -> tuple[int, int]:
        nonlocal before
        before = (w, h)
        return method.needed(w, h, width, height)

    image = load_upright(path, needed=needed)
    if before == (0, 0):
        before = image.size  # only a JPEG is asked what is needed; the others come at full size
    image = method.apply(image, width, height)
    file = io.BytesIO()
    if Path(target).suffix.lower() in JPEG_SUFFIXES:
        image.save(file, "JPEG", quality=quality)
    else:
        image.save(file, "PNG")
    return before, image.size, file.getvalue()


def _targets(paths: Sequence[Path], ids: Sequence[str]) -> list[str | Quarantined]:
    """Where each copy goes, or why there will be none.

    The suffix follows the format that is written. Where two would meet (`a.bmp` beside `a.png`), the one
    that keeps its name wins and the other keeps its old suffix too: `a.bmp.png`.
    """
    taken = {id_.casefold() for id_ in ids}  # casefold: some file systems do not tell A from a
    targets: list[str | Quarantined] = []
    for path, id_ in zip(paths, ids, strict=True):
        try:
            format_ = sniff_file(path)
        except PictureError as error:
            targets.append(Quarantined(id_, error.reason, error.detail))
            continue
        is_jpeg = format_ in ("JPEG", "WEBP")
        known = JPEG_SUFFIXES if is_jpeg else frozenset((".png",))
        if PurePosixPath(id_).suffix.lower() in known:
            targets.append(id_)
            continue
        target = _free(id_, ".jpg" if is_jpeg else ".png", taken)
        taken.add(target.casefold())
        targets.append(target)
    return targets


def _free(id_: str, suffix: str, taken: set[str]) -> str:
    plain = str(PurePosixPath(id_).with_suffix(suffix))
    if plain.casefold() not in taken:
        return plain
    number, target = 1, id_ + suffix
    while target.casefold() in taken:
        number += 1
        target = f"{id_}-{number}{suffix}"
    return target


def _check_folders(src: Path, dst: Path) -> None:
    if dst.resolve().is_relative_to(src.resolve()):
        raise DataError(
            f"{dst} is inside {src}. Copies would be taken for originals: choose another."
        )
    if dst.exists() and not dst.is_dir():
        raise DataError(f"{dst} is a file, not a folder. Choose another.")
    if dst.exists() and next(dst.iterdir(), None) is not None:
        raise DataError(f"{dst} is not empty. Nothing is overwritten: choose a new folder.")
