"""What a sample is made of: pictures as a path and raw pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple


class Picture(NamedTuple):
    """One picture of a sample, not yet a file."""

    path: str
    """Where it belongs in the folder, with forward slashes: `train/3/digit-0003.png`."""
    mode: str
    """Pillow's mode: `L` (grey, 1 byte a pixel) or `RGB` (3 bytes a pixel)."""
    width: int
    height: int
    pixels: bytes
    """Rows from the top, `height * width` pixels of one byte a colour."""


def content_version(pictures: Iterable[Picture]) -> str:
    """SHA-256, in hex, over names, sizes and pixels: what the sample shows, not how PNG packs it."""
    digest = hashlib.sha256()
    for picture in pictures:
        head = f"{picture.path} {picture.mode} {picture.width} {picture.height}\n"
        digest.update(head.encode() + picture.pixels)
    return digest.hexdigest()
