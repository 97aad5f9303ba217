"""The ways to bring a picture of any proportions to one size: crop, squish, pad. Each is one resize.

On a 300 x 200 picture brought to 224 x 224: `crop` keeps the middle 200 x 200 and loses a third of the
width; `squish` keeps everything and makes it 1.5 times as tall for its width; `pad` keeps everything at
224 x 149 and adds 37 black rows above and 38 below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from drivetrain._optional import require
from drivetrain.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


LARGEST_SIDE = 8192
"""Of what a model is given: one picture of this size takes 200 MB as bytes, and 800 MB as floats."""


def check_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) from one number or two.

    Raises: ConfigError: not one or two whole numbers from 1 to `LARGEST_SIDE`.
    """
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2 or not all(type(side) is int and side >= 1 for side in pair):  # not True
        raise ConfigError(
            f"`size` must be a number of pixels, or (height, width), each at least 1. Got {size!r}."
        )
    if max(pair) > LARGEST_SIDE:
        raise ConfigError(f"`size` must be at most {LARGEST_SIDE} pixels a side. Got {size!r}.")
    return pair


class ResizeMethod(NamedTuple):
    """How a picture of a known size becomes one of the size asked for."""

    needed: Callable[[int, int, int, int], tuple[int, int]]
    """(w, h, width, height) -> the (width, height) at which the whole picture must be decoded."""
    apply: Callable[[PILImage, int, int], PILImage]
    """(image, width, height) -> the image, in one resize."""


def _crop_needed(w: int, h: int, width: int, height: int) -> tuple[int, int]:
    """The size at which a whole picture of (w, h) must be decoded."""
    if w * height >= h * width:  # wider than asked: the height decides
        return -(-w * height // h), height
    return width, -(-h * width // w)


def _crop(image: PILImage, width: int, height: int) -> PILImage:
    w, h = image.size
    if w * height >= h * width:
        keep = h * width / height
        box = ((w - keep) / 2, 0.0, min((w + keep) / 2, w), float(h))
    else:
        keep = w * height / width
        box = (0.0, (h - keep) / 2, float(w), min((h + keep) / 2, h))
    return _resized(image, width, height, box)


def _squish_needed(w: int, h: int, width: int, height: int) -> tuple[int, int]:
    return width, height


def _squish(image: PILImage, width: int, height: int) -> PILImage:
    bilinear = require("PIL.Image", extra="vision").Resampling.BILINEAR
    return image.resize((width, height), bilinear, reducing_gap=2.0)


def _pad_needed(w: int, h: int, width: int, height: int) -> tuple[int, int]:
    """The size that a picture of (w, h) has inside its border."""
    if w * height >= h * width:
        return width, max(1, round(h * width / w))
    return max(1, round(w * height / h)), height


def _pad(image: PILImage, width: int, height: int) -> PILImage:
    w, h = image.size
    inner_width, inner_height = _pad_needed(w, h, width, height)
    inner = _resized(image, inner_width, inner_height, None)
    if inner.size == (width, height):
        return inner
    canvas = require("PIL.Image", extra="vision").new(inner.mode, (width, height))  # black
    canvas.paste(inner, ((width - inner_width) // 2, (height - inner_height) // 2))
    return canvas


def _resized(
    image: PILImage, width: int, height: int, box: tuple[float, float, float, float] | None
) -> PILImage:
    # BILINEAR widens its triangle when shrinking, so nothing aliases; reducing_gap=2 lets a large
    # picture first be averaged over whole blocks, as long as twice the target remains.
    bilinear = require("PIL.Image", extra="vision").Resampling.BILINEAR
    return image.resize((width, height), bilinear, box=box, reducing_gap=2.0)


RESIZE_METHODS = {
    "crop": ResizeMethod(_crop_needed, _crop),
    "squish": ResizeMethod(_squish_needed, _squish),
    "pad": ResizeMethod(_pad_needed, _pad),
}
"""The ways to reach a size, by name."""
