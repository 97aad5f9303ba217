"""The operations on a disk that every durable write is made of, and nothing else.

`drivetrain.store` composes them; no other module writes files that must last. They stand behind one
object, `disk`, so that a test can take its place: record what was done and rebuild every state that a
power cut could leave, fail the n-th operation, or end the process in the middle of it.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

TEMPORARY = ".tmp"
"""End of the name of a file that is not yet in its place; what a kill leaves is found by it."""

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would write \r\n for \n otherwise


class Disk:
    """The real disk. Each method is one operation and raises `OSError` as the system does."""

    def make_folder(self, folder: Path) -> None:
        """Make one folder in a folder that exists; it may be there already."""
        folder.mkdir(exist_ok=True)

    def create(self, target: Path) -> tuple[int, Path]:
        """A new, empty temporary file beside `target`: its descriptor and path."""
        path = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}{TEMPORARY}")
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, 0o666), path

    def open_append(self, path: Path) -> int:
        """A descriptor that writes at the file's end; the file is made where it is missing."""
        return os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | _BINARY, 0o666)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Write some of `data`; the number of bytes that were taken."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Wait until the file's content is on the disk itself."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Give the descriptor back."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target` in one step."""
        os.replace(source, target)

    def exchange(self, one: Path, other: Path) -> None:
        """Let two folders have each other's name in one step: what replaces a folder that is not empty.

        Linux and macOS have a call for it. Elsewhere there are two steps, and a kill between them leaves
        the folder that was replaced beside its place, whole, under a name that ends in `.tmp`.
        """
        if not _exchange(os.fsencode(one), os.fsencode(other)):
            aside = one.with_name(f"{one.name[: -len(TEMPORARY)]}.old{TEMPORARY}")
            os.rename(other, aside)
            os.rename(one, other)
            os.rename(aside, one)

    def remove_folder(self, folder: Path) -> None:
        """Remove an empty folder."""
        os.rmdir(folder)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        os.unlink(path)

    def sync_folder(self, folder: Path) -> None:
        """Wait until the folder's names are on the disk: what makes a rename last."""
        if os.name == "nt":  # Windows cannot open a folder, and writes its names by itself
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(one: bytes, other: bytes) -> bool:
    """The system's own exchange of two names; False where it, or the folder's disk, has none."""
    import ctypes  # only here: nothing else calls the system's library by hand

    if os.name != "posix":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "renameat2"):  # Linux
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        failed = library.renameat2(here, one, here, other, exchange)
    elif hasattr(library, "renamex_np"):  # macOS
        failed = library.renamex_np(one, other, 2)  # RENAME_SWAP
    else:
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), os.fsdecode(other))


disk: Disk = Disk()
"""What `drivetrain.store` writes with."""
