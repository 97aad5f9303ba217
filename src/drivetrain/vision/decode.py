"""From the bytes of a picture file to a small uint8 tensor, for every kind of file people have.

What is slow is done once and no larger than needed: a JPEG is decoded at 1/2, 1/4 or 1/8 when the
result is still at least as large as asked for (libjpeg's scaled decoding, Pillow's `draft`), and crop
and resize are one Pillow call. Pillow gives Python's lock free while it works, so threads help.

What is foreign is not trusted: the format is read from the content, never from the name; only seven
formats are opened at all; size is checked in the header, before any pixel is decoded. Every way a file
can be bad ends in one `PictureError` with a reason code and one plain sentence.

Sizes: Pillow says (width, height); tensors and everything else here say (height, width).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from drivetrain._optional import require
from drivetrain._registry import lookup
from drivetrain.data.items import Quarantined
from drivetrain.vision.formats import (
    QUIET,
    REASONS,
    PictureError,
    Source,
    explained,
    identify,
    read_source,
)
from drivetrain.vision.resize_methods import RESIZE_METHODS, check_size

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = [
    "MAX_PIXELS",
    "MAX_RATIO",
    "PICTURE_SUFFIXES",
    "REASONS",
    "RESIZE_METHODS",
    "PictureError",
    "PictureSize",
    "Source",
    "check_size",
    "decode_all",
    "decode_array",
    "find_bad",
    "in_threads",
    "load_upright",
    "open_picture",
    "picture_size",
]

PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .gif .webp .bmp .dib .tif .tiff .ppm .pgm .pbm .pnm".split()
)
"""File names that are taken for pictures when a folder is searched; what is inside decides later."""

MAX_PIXELS = 2**27
"""Largest picture that is opened, 134 million pixels: a 108-megapixel photo passes."""

MAX_RATIO = 1000
"""Longest side over shortest, above which a file is a line and not a picture."""


class PictureSize(NamedTuple):
    """What a header says."""

    width: int
    """Pixels across, of the picture the right way up."""
    height: int
    """Pixels down, of the picture the right way up."""
    format: str
    """JPEG, PNG, GIF, WEBP, BMP, TIFF or PPM, by content."""


def open_picture(
    source: Source,
    *,
    size: int | tuple[int, int],
    resize: str = "crop",
    max_pixels: int = MAX_PIXELS,
) -> Tensor:
    """Decode one picture at one size.

    The EXIF rotation is applied, transparency is laid over white, CMYK, palettes, grey and 1-bit become
    RGB, 16-bit grey is scaled to 8 bits, an animation gives its first frame.

    Args:
        source: a path, or the bytes of a file.
        size: (height, width) in pixels, or one number for a square.
        resize: what to do when the proportions differ. `crop` keeps the middle and loses the ends of
            the longer side; `squish` keeps everything and changes the proportions; `pad` keeps
            everything and adds a black border. `RESIZE_METHODS` lists them.
        max_pixels: larger pictures are refused from their header, before decoding.

    Returns: (3, height, width) uint8, RGB; its memory is channels last.
    Raises: PictureError: the file cannot be used. UnknownNameError: no such resize method.
    """
    array = decode_array(source, size=size, resize=resize, max_pixels=max_pixels)
    return torch.from_numpy(np.array(array)).permute(2, 0, 1)  # Pillow's memory is read-only


def decode_array(
    source: Source,
    *,
    size: int | tuple[int, int],
    resize: str = "crop",
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """`open_picture` as a numpy array (height, width, 3) uint8, which may be read-only."""
    height, width = check_size(size)
    method = lookup(RESIZE_METHODS, resize, what="resize method")
    image = load_upright(
        source, needed=lambda w, h: method.needed(w, h, width, height), max_pixels=max_pixels
    )
    image = method.apply(image, width, height)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def decode_all(
    paths: Sequence[str | os.PathLike[str]],
    *,
    size: int | tuple[int, int],
    resize: str = "crop",
    num_workers: int = 0,
    ids: Sequence[str] | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int], None] | None = None,
) -> tuple[Tensor, list[int], list[Quarantined]]:
    """Decode many pictures; the result is the same for every `num_workers`.

    Args:
        paths: N files.
        size: see `open_picture`; also `resize` and `max_pixels`.
        num_workers: threads; 0 and 1 decode in the calling thread.
        ids: N names for the quarantine; the paths themselves by default.
        progress: called in the calling thread, in order, with the number done so far.

    Returns: pixels (G, 3, height, width) uint8 of the good ones, channels last; their indices into
        `paths`, ascending; the others with their reasons, in the order of `paths`.
    """
    height, width = check_size(size)
    names = [os.fspath(path) for path in paths] if ids is None else ids
    pixels = np.empty((len(paths), height, width, 3), dtype=np.uint8)

    def one(index: int) -> PictureError | None:
        try:
            pixels[index] = decode_array(
                paths[index], size=(height, width), resize=resize, max_pixels=max_pixels
            )
        except PictureError as error:
            return error
        return None

    good: list[int] = []
    quarantined: list[Quarantined] = []
    for index, error in enumerate(in_threads(one, len(paths), num_workers)):
        if error is None:
            good.append(index)
        else:
            quarantined.append(Quarantined(names[index], error.reason, error.detail))
        if progress is not None:
            progress(index + 1)
    if quarantined:
        # Close the gaps in place: a copy would double the memory.
        for row, index in enumerate(good):
            pixels[row] = pixels[index]
    return torch.from_numpy(pixels[: len(good)]).permute(0, 3, 1, 2), good, quarantined


def find_bad(
    paths: Sequence[str | os.PathLike[str]],
    *,
    num_workers: int = 0,
    ids: Sequence[str] | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int], None] | None = None,
) -> list[Quarantined]:
    """The files that `decode_all` would set aside, found without keeping any pixels.

    For sets that do not fit in memory. Every file is decoded, since a header does not tell whether the
    rest is there, but JPEGs at an eighth of their size.
    """
    names = [os.fspath(path) for path in paths] if ids is None else ids

    def one(index: int) -> PictureError | None:
        try:
            load_upright(paths[index], needed=lambda width, height: (1, 1), max_pixels=max_pixels)
        except PictureError as error:
            return error
        return None

    bad: list[Quarantined] = []
    for index, error in enumerate(in_threads(one, len(paths), num_workers)):
        if error is not None:
            bad.append(Quarantined(names[index], error.reason, error.detail))
        if progress is not None:
            progress(index + 1)
    return bad


def picture_size(source: Source) -> PictureSize:
    """Width, height and format from the header alone, without decoding.

    The size is that of the picture the right way up. One exception: a PNG whose EXIF block stands after
    its pixels is given as stored.

    Raises: PictureError: the file cannot be read, is no picture, or its format is not opened.
    """
    name, data = read_source(source)
    try:
        with QUIET:
            image, strong = identify(data)
            width, height = image.size
            # A TIFF's size is turned by Pillow itself; a PNG would be decoded whole to find its EXIF.
            if image.format in ("JPEG", "MPO", "WEBP") or "exif" in image.info:
                if image.format != "TIFF" and _exif_orientation(image) >= 5:
                    width, height = height, width
            return PictureSize(width, height, "JPEG" if image.format == "MPO" else strong)
    except PictureError as error:
        raise PictureError(error.reason, error.detail, name) from error.__cause__
    except Exception as error:  # a decoder of foreign bytes may raise anything
        raise explained(error, name) from error


def load_upright(
    source: Source,
    *,
    needed: Callable[[int, int], tuple[int, int]] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> PILImage:
    """Decode a picture as a Pillow image of mode RGB or L, the right way up.

    Args:
        source: a path, or the bytes of a file.
        needed: told the (width, height) of the picture the right way up, answers the smallest (width,
            height) that will do; a JPEG may then come smaller than it is stored. None: full size.
        max_pixels: larger pictures are refused from their header.

    Raises: PictureError: the file cannot be used.
    """
    name, data = read_source(source)
    try:
        with QUIET:
            return _load(data, needed, max_pixels)
    except PictureError as error:
        raise PictureError(error.reason, error.detail, name) from error.__cause__
    except Exception as error:  # a decoder of foreign bytes may raise anything
        raise explained(error, name) from error


# --- decoding ------------------------------------------------------------------------------------


def _load(
    data: bytes, needed: Callable[[int, int], tuple[int, int]] | None, max_pixels: int
) -> PILImage:
    image, format_ = identify(data)
    width, height = image.size
    _within(width, height, max_pixels, MAX_RATIO)
    return upright(image, format_, needed=needed)


def upright(
    image: Any,
    format_: str,
    *,
    needed: Callable[[int, int], tuple[int, int]] | None,
    turns: bool = True,
    odd: bool = True,
) -> Any:
    """Decode an opened picture: RGB or L, the right way up.

    Args:
        image: as Pillow opened it.
        format_: its format by its first bytes.
        needed: from (width, height) to the smallest that will do; see `load_upright`.
        turns: False where no picture says in its EXIF that it is turned.
        odd: False where all pictures are RGB or grey with 8 bits, and nothing is transparent.
    """
    orientation = _exif_orientation(image) if turns and format_ == "JPEG" else 1
    if format_ == "JPEG" and needed is not None:
        width, height = image.size
        asked = needed(height, width)[::-1] if orientation >= 5 else needed(width, height)
        image.draft(None, asked)  # libjpeg decodes at 1/2, 1/4 or 1/8 where that is large enough
    if turns or odd:
        image.load()
    if (
        turns and format_ != "JPEG"
    ):  # a TIFF turned itself in load(); a PNG may only now know its EXIF
        orientation = _exif_orientation(image)
    if odd:
        image = _plain(image, format_)
    turn = _TURNS[orientation] if orientation in _TURNS else None  # noqa: SIM401 - read by ejecting
    return image if turn is None else image.transpose(turn)


def _within(width: int, height: int, max_pixels: int, max_ratio: int) -> None:
    """Refuse what is no picture by its size. Raises: PictureError."""
    if width * height > max_pixels:
        raise PictureError(
            "too-large",
            f"The header says {width} x {height}, more than the limit of {max_pixels:,} pixels.",
        )
    if max(width, height) > max_ratio * min(width, height):
        raise PictureError(
            "too-thin", f"It is {width} x {height}: one side is over {max_ratio:,} times the other."
        )


def _plain(image: Any, format_: str) -> Any:
    """RGB or L, 8 bits, nothing transparent."""
    mode = image.mode
    if mode in ("RGB", "L") and "transparency" not in image.info:
        return image
    if mode.startswith("I;16") or (mode == "I" and format_ in ("PNG", "PPM")):
        return _from_16_bits(image)
    if mode in ("I", "F", "LAB"):  # no agreed range or meaning: a guess would differ by picture
        raise PictureError(
            "refused-format",
            f"Its pixels are {mode!r} ({_KINDS[mode]}). Convert it to 8 or 16 bits a colour.",
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        canvas = require("PIL.Image", extra="vision").new("RGB", image.size, "white")
        canvas.paste(rgba, mask=rgba)
        return canvas
    return image.convert("L" if mode == "1" else "RGB")


def _from_16_bits(image: Any) -> Any:
    """Scale 0..65535 to 0..255, rounded; Pillow's own convert("L") would clip at 255."""
    values = np.asarray(image).astype(np.int64)
    top = 65535
    bits = getattr(image, "tag_v2", {}).get(258)  # BitsPerSample of a TIFF: 12 comes unscaled
    if bits == (12,):
        top = 4095
    clear = image.info.get("transparency")
    scaled = np.clip((values * 255 + top // 2) // top, 0, 255).astype(np.uint8)
    if isinstance(clear, int):
        scaled[values == clear] = 255  # the transparent grey lies over white, as all transparency
    return require("PIL.Image", extra="vision").fromarray(scaled)


def _exif_orientation(image: Any) -> int:
    """EXIF orientation 1..8; 1 where there is none or it cannot be read."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a broken EXIF block does not make the pixels bad
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


# Pillow's Transpose numbers: 0 flip left-right, 1 flip top-bottom, 2 turn 90 (anticlockwise), 3
# turn 180, 4 turn 270, 5 transpose, 6 transverse. Orientation 1 is upright.
_TURNS: dict[int, Any] = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}

_KINDS = {"I": "32-bit or signed whole numbers", "F": "floating point numbers", "LAB": "CIE L*a*b*"}


# --- threads -------------------------------------------------------------------------------------

T = TypeVar("T")


def in_threads(one: Callable[[int], T], count: int, num_workers: int) -> Iterator[T]:
    """The results of `one(0) … one(count - 1)`, in order; 0 and 1 workers run in the calling thread."""
    if num_workers <= 1:
        yield from map(one, range(count))
        return
    with ThreadPoolExecutor(num_workers, thread_name_prefix="drivetrain-decode") as pool:
        # When this is closed early (Ctrl-C), `map` cancels what has not begun.
        yield from pool.map(one, range(count))
