"""What a sample is made of: pictures as a path and raw pixels, or files of text."""

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


class TextFile(NamedTuple):
    """A file of a sample that is a table."""

    path: str
    """Where it belongs in the folder: `train.csv`."""
    data: bytes
    """UTF-8."""


def content_version(pictures: Iterable[Picture | TextFile]) -> str:
    """SHA-256, in hex, over names, sizes and pixels: what the sample shows, not how PNG packs it."""
    digest = hashlib.sha256()
    for picture in pictures:
        if isinstance(picture, TextFile):
            digest.update(f"{picture.path} {len(picture.data)}\n".encode() + picture.data)
            continue
        head = f"{picture.path} {picture.mode} {picture.width} {picture.height}\n"
        digest.update(head.encode() + picture.pixels)
    return digest.hexdigest()
