"""What a file is, by its first bytes and never by its name; and Pillow, made ready for foreign files.

Only seven formats are opened at all. Whatever else a file may be ends in one `PictureError` with a
reason code and one plain sentence, which tells a person what to do with the file.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import threading
import warnings
from pathlib import Path
from typing import Any

from drivetrain._optional import require
from drivetrain.errors import DataError

Source = str | os.PathLike[str] | bytes
"""A path, or the bytes of a file."""

MAX_BYTES = 2**30
"""Largest file that is read, 1 GiB."""

REASONS = {
    "empty": "the file has no bytes",
    "truncated": "the file ends before the picture does",
    "damaged": "the bytes contradict themselves",
    "not-a-picture": "the content is something else",
    "refused-format": "a picture format, or a kind of pixel, that is not opened",
    "too-large": "more pixels or bytes than the limit",
    "too-thin": "one side is over a thousand times the other",
    "unreadable": "the file system would not give the bytes",
}
"""Every reason code, with what it means."""


class PictureError(DataError):
    """A file that cannot be used as a picture.

    `str()` is `name: sentence`; the name is left out for bytes.

    Args:
        reason: a short code, such as `truncated`.
        detail: a sentence.
        name: of the file.
    """

    def __init__(self, reason: str, detail: str, name: str = "") -> None:
        super().__init__(reason, detail, name)  # all three, so that it can be pickled
        self.reason = reason
        """A key of `REASONS`."""
        self.detail = detail
        """One plain sentence."""
        self.name = name
        """The path as given, or an empty string."""

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}" if self.name else self.detail


def read_source(source: Source) -> tuple[str, bytes]:
    """The source's name and its bytes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "", bytes(source)
    name = os.fspath(source)
    try:
        status = os.stat(name)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            raise PictureError("unreadable", "It is not a regular file.", name)
        if status.st_size > MAX_BYTES:
            raise PictureError(
                "too-large", f"The file has {status.st_size:,} bytes, over {MAX_BYTES:,}.", name
            )
        return name, Path(name).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, PictureError):
            raise
        why = getattr(error, "strerror", None) or str(error)
        raise PictureError("unreadable", f"The file cannot be read: {why}.", name) from error


def sniff_file(path: str | os.PathLike[str]) -> str:
    """The format of a file by its first bytes, without reading the rest.

    Raises: PictureError: it cannot be read, or is no picture of a format that is opened.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        why = error.strerror or str(error)
        raise PictureError("unreadable", f"The file cannot be read: {why}.", name) from error
    return sniff(head)[0]


def identify(data: bytes) -> tuple[Any, str]:
    """The opened, not yet decoded image, and its format by its first bytes."""
    format_, certain = sniff(data)
    if not _PLUGINS_READY.is_set():
        _prepare_pillow()
    pil = require("PIL", extra="vision")
    image_module = require("PIL.Image", extra="vision")
    try:
        return image_module.open(io.BytesIO(data), formats=[format_]), format_
    except image_module.DecompressionBombError as error:
        raise PictureError("too-large", "The header says it has far too many pixels.") from error
    except pil.UnidentifiedImageError as error:
        if not certain:
            raise PictureError("not-a-picture", "The content is not a picture.") from error
        if len(data) < 100:
            raise PictureError("truncated", f"The {format_} file ends in its header.") from error
        raise PictureError("damaged", f"The header of the {format_} file is damaged.") from error


def explained(error: Exception, name: str) -> PictureError:
    """What a decoder's exception means."""
    said = str(error)
    if isinstance(error, MemoryError):
        return PictureError("too-large", "Decoding it needs more memory than there is.", name)
    if isinstance(error, EOFError) or "truncated" in said.lower():
        return PictureError("truncated", "The file ends before the picture does.", name)
    return PictureError("damaged", "The picture's data is damaged and cannot be decoded.", name)


# --- what a file is ------------------------------------------------------------------------------

HEAD_BYTES = 1024
"""Bytes at the start of a file that tell its format."""

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

# A bitmap gives the size of its second header, and there are only so many of them.
_BMP_HEADERS = {size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124)}

_REFUSED = (
    (b"%!PS", "EPS or PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS or PostScript"),
    (b"8BPS", "Photoshop (PSD)"),
    (b"SIMPLE  =", "FITS"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x01\x00", "Windows icon (ICO)"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"gimp xcf", "GIMP (XCF)"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
)

_HEIF_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "HEIC"
)


def sniff(data: bytes) -> tuple[str, bool]:
    """The format by the first bytes, and whether they leave no doubt.

    Raises: PictureError: empty, another format, or no picture.
    """
    if not data:
        raise PictureError("empty", "The file is empty.")
    for magic, format_ in _MAGIC:
        if data.startswith(magic):
            return format_, True
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP", True
    if data[:2] == b"BM" and (len(data) < 18 or data[14:18] in _BMP_HEADERS):
        return "BMP", False  # these two letters are also how a text may begin
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace():
        return "PPM", False
    refused = next((kind for magic, kind in _REFUSED if data.startswith(magic)), None)
    if data[4:8] == b"ftyp":
        refused = _HEIF_BRANDS.get(data[8:12])
    head = data[:HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml")) and b"<svg" in head:
        refused = "SVG"
    if refused is not None:
        raise PictureError("refused-format", f"It is {refused}. Convert it to JPEG or PNG.")
    if any(magic.startswith(data) for magic, _ in _MAGIC):
        raise PictureError("truncated", f"The file ends after byte {len(data)}.")
    raise PictureError("not-a-picture", "The content is not a picture.")


# --- Pillow and threads --------------------------------------------------------------------------

_PLUGINS_READY = threading.Event()
_PLUGINS_LOCK = threading.Lock()


def _prepare_pillow() -> None:
    """Load the plugins of the formats that are opened, and only those, once."""
    with _PLUGINS_LOCK:
        for format_ in ("Jpeg", "Mpo", "Png", "Gif", "WebP", "Bmp", "Tiff", "Ppm"):
            require(f"PIL.{format_}ImagePlugin", extra="vision")
        # Pillow logs what it finds odd in a file; with no handler Python prints that on stderr.
        logging.getLogger("PIL").addHandler(logging.NullHandler())
        _PLUGINS_READY.set()


class _Quiet:
    """Ignore warnings raised inside Pillow while at least one thread decodes.

    `warnings.catch_warnings` swaps the whole process's filters and is not made for threads: two that
    overlap can leave the filters changed for good. This adds one filter, for Pillow's modules only,
    when the first thread enters, and takes it away when the last one leaves.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filter: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self._filter = warnings.filters[0]

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._filter in warnings.filters:
                warnings.filters.remove(self._filter)  # pyright: ignore[reportAttributeAccessIssue]


QUIET = _Quiet()
