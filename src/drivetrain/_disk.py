"""The operations on a disk that every durable write is made of, and nothing else.

`drivetrain.store` composes them; no other module writes files that must last. They stand behind one
object, `disk`, so that a test can take its place: record what was done and rebuild every state that a
power cut could leave, fail the n-th operation, or end the process in the middle of it.
"""

from __future__ import annotations

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


disk: Disk = Disk()
"""What `drivetrain.store` writes with."""
