"""The bytes of a text table: what they are, and as one stream of clean UTF-8.

One pass over the file (`survey`) settles its hash, its encoding and what is in it that is no text, so
that reading never meets a surprise half-way. `Utf8Stream` then gives the same text as UTF-8, without
a byte order mark and without NULs, in pieces: a file may be larger than memory.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import stat
import threading
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

from drivetrain._optional import require
from drivetrain.errors import DataError

PIECE = 1 << 20
"""Bytes that are read at a time."""
SAMPLE = 1 << 20
"""Bytes of UTF-8 from the start in which the delimiter is looked for, and the header must be."""
MOST_CONTROLS = 0.002
"""Share of control characters above which bytes are no text."""

_BOMS = (  # the longer first: UTF-32 starts as UTF-16 does
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FOREIGN = (  # how files start that are sometimes taken for text tables
    (b"PK\x03\x04", "a zip archive or an Excel workbook. Save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook. Save the sheet as CSV"),
    (b"ARROW1", "an Arrow (Feather) file. Read it with pyarrow.feather.read_table and give that"),
    (b"SQLite format 3\0", "a SQLite database. Export the table as CSV"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"BZh", "compressed with bzip2. Unpack it first"),
    (b"\xfd7zXZ\0", "compressed with xz. Unpack it first"),
)
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ASCII = bytes(range(128))
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\r\f\x0b\x1a\0"))
_NOT_LEADS = bytes(set(range(256)) - set(range(0xC2, 0xF5)))
_NOT_IN_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")


@dataclass(frozen=True)
class Survey:
    """What one pass over a file found."""

    path: Path
    sha256: str
    """Of the file's bytes, as they are on the disk."""
    encoding: str
    """A Python codec's name."""
    has_bom: bool
    nuls: int
    """NUL characters; left out when the text is read."""
    undecodable: int
    """Places that are not of the encoding; U+FFFD stands there when the text is read."""
    quotes: int
    """Double quotes in all."""
    compression: str | None
    """`gzip`, `zstd` or none."""
    sample: str
    """The start of the text, clean."""
    is_whole: bool
    """Whether the sample is the whole text."""


def check_file(path: Path) -> None:
    """Refuse what is not a file that can be read.

    Raises: DataError: it is missing, a folder, a device, or may not be read.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path} does not exist.{_neighbour(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"{path} cannot be read: {_reason(error)}.") from None
    if stat.S_ISDIR(mode):
        raise DataError(f"{path} is a folder. Give a single CSV or Parquet file.")
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is a device, a pipe or a socket. Give a CSV or Parquet file.")


def first_bytes(path: Path, count: int = 16) -> bytes:
    """The file's start.

    Raises: DataError: it cannot be read.
    """
    with _opened(path, None) as file:
        return file.read(count)


def survey(path: Path, encoding: str | None = None) -> Survey:
    """Read the file once, and tell what it is.

    The encoding is the one given; else that of the byte order mark; else UTF-8, also with a few
    damaged places; else UTF-16 where every other byte is zero; else Windows-1252, or Latin-1 where a
    byte is not in that.

    Raises: DataError: the file is empty, is no text, cannot be read or unpacked, or is not of the
        encoding given.
    """
    start = first_bytes(path)
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            raise DataError(f"{path} is not a text table: it is {what}.")
    compression = "gzip" if start.startswith(_GZIP) else "zstd" if start.startswith(_ZSTD) else None
    with _opened(path, compression) as file:
        head = file.read(1 << 16)
    if not head:
        raise DataError(f"{path} is empty.")
    has_bom, found = _encoding_of(head)
    if encoding is not None:
        found = _known(encoding)
        has_bom = any(head.startswith(bom) and name.startswith(found) for bom, name in _BOMS)
    if found is None or found == "utf-8":
        _check_is_text(path, head)
    digest = hashlib.sha256()
    if compression is not None:
        with _opened(path, None) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    decoder = codecs.getincrementaldecoder(found or "utf-8")(errors="replace")
    leads = bad = nuls = quotes = 0
    high: set[int] = set()
    with _opened(path, compression) as file:
        while True:
            piece = file.read(PIECE)
            if compression is None:
                digest.update(piece)
            if found in (None, "utf-8") and piece.isascii() and not decoder.getstate()[0]:
                text_nuls, text_quotes = piece.count(b"\0"), piece.count(b'"')
            else:
                text = decoder.decode(piece, final=not piece)
                bad += text.count("\ufffd")
                text_nuls, text_quotes = text.count("\0"), text.count('"')
                leads += len(piece.translate(None, _NOT_LEADS))
                high.update(piece.translate(None, _ASCII))
            nuls, quotes = nuls + text_nuls, quotes + text_quotes
            if not piece:
                break
    if bad and encoding is not None:
        raise DataError(
            f"{path} is not written in {encoding!r}: it cannot be read so at {_places(bad)}. Leave "
            "`encoding` out to have it found."
        )
    if found is None:
        # What is UTF-8 with a few damaged bytes stays UTF-8: another encoding would spoil all the rest.
        if bad * 4 <= leads:
            found = "utf-8"
        else:
            found = "latin-1" if high & _NOT_IN_CP1252 else "cp1252"
            bad = 0
    made = Survey(
        path, digest.hexdigest(), found, has_bom, nuls, bad, quotes, compression, "", False
    )
    with Utf8Stream(made) as stream:
        data = stream.read(SAMPLE) or b""
        is_whole = not stream.read(1)
    sample = data.decode("utf-8", errors="ignore")  # a character may be cut at the end
    if not sample.strip():
        raise DataError(f"{path} is empty: there is nothing but blanks in it.")
    return replace(made, sample=sample, is_whole=is_whole)


class Utf8Stream(io.RawIOBase):
    """The text of a file as UTF-8, from its start or later; a file object for `pyarrow`.

    Args:
        found: what `survey` found.
        skip: bytes of UTF-8 to leave out at the start.
    """

    def __init__(self, found: Survey, skip: int = 0) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._pieces = _utf8_pieces(found)
        self._rest = memoryview(b"")
        self.read(skip)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, and only at the end less: pyarrow takes each read for a block."""
        view = memoryview(buffer).cast("B")
        filled = 0
        with self._lock:
            while filled < len(view):
                if not self._rest:
                    piece = next(self._pieces, None)
                    if piece is None:
                        break
                    self._rest = memoryview(piece)
                count = min(len(view) - filled, len(self._rest))
                view[filled : filled + count] = self._rest[:count]
                self._rest = self._rest[count:]
                filled += count
        return filled

    def close(self) -> None:
        """Close the file."""
        with self._lock:  # pyarrow reads ahead in a thread of its own
            self._pieces.close()
            self._rest = memoryview(b"")
        super().close()


def _utf8_pieces(found: Survey) -> Generator[bytes]:
    is_plain = found.encoding == "utf-8" and not found.undecodable and not found.nuls
    decoder = codecs.getincrementaldecoder(found.encoding)(errors="replace")
    is_first = True
    with _opened(found.path, found.compression) as file:
        while True:
            piece = file.read(PIECE)
            if is_plain:
                if is_first:
                    is_first = False
                    yield piece.removeprefix(codecs.BOM_UTF8)
                elif piece:
                    yield piece
            else:
                text = decoder.decode(piece, final=not piece)
                if is_first and text:
                    is_first = False
                    text = text.removeprefix("\ufeff")
                yield text.replace("\0", "").encode("utf-8", errors="replace")
            if not piece:
                return


@contextmanager
def _opened(path: Path, compression: str | None) -> Iterator[BinaryIO]:
    """The file, unpacked; whatever goes wrong while it is read becomes a DataError."""
    file: Any = None
    try:
        if compression == "gzip":
            file = gzip.open(path, "rb")  # noqa: SIM115 (closed below, as the others are)
        elif compression == "zstd":
            file = require("pyarrow", extra="tabular").input_stream(str(path), compression="zstd")
        else:
            file = open(path, "rb")  # noqa: SIM115 (closed below, as the others are)
        yield file
    except (OSError, EOFError, zlib.error) as error:
        what = "be unpacked: it is damaged or cut off" if compression else "be read"
        raise DataError(f"{path} cannot {what} ({_reason(error)}).") from None
    finally:
        if file is not None:
            file.close()


def _encoding_of(head: bytes) -> tuple[bool, str | None]:
    for bom, name in _BOMS:
        if head.startswith(bom):
            return True, name
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) / 2
    if odd > 0.5 * half and even < 0.05 * half:
        return False, "utf-16-le"
    if even > 0.5 * half and odd < 0.05 * half:
        return False, "utf-16-be"
    return False, None


def _known(encoding: str) -> str:
    try:
        b"abcd".decode(encoding, "replace")  # of no bytes at all, any codec makes a text
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError, TypeError, UnicodeError):
        name = ""
    no_files = ("", "idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")
    if name in no_files:
        raise DataError(
            f"The encoding {encoding!r} is unknown. Give one such as 'utf-8', 'cp1252', 'latin-1' or "
            "'utf-16'."
        )
    return {"utf-8-sig": "utf-8"}.get(name, name)


def _check_is_text(path: Path, head: bytes) -> None:
    controls = len(head) - len(head.translate(None, _CONTROLS))
    nuls = head.count(0)
    if controls > max(MOST_CONTROLS * len(head), 3) or nuls > max(0.1 * len(head), 3):
        raise DataError(
            f"{path} is not a text table: {controls + nuls} of its first {len(head)} bytes stand for no "
            "character. Give a CSV or Parquet file."
        )


def _places(count: int) -> str:
    return "1 place" if count == 1 else f"{count:,} places"


def _neighbour(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except (OSError, ValueError):
        return ""
    near = get_close_matches(path.name[:200], names, n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
