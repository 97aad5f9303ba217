"""One writer a folder: a lock that the system lets go of when its process ends, however it ends.

The lock is the kernel's (`flock`; on Windows `msvcrt.locking`), not the file's existence: a process
that was killed leaves the file behind and no lock, so nobody has to clean up, and no process id can
be mistaken for another's.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
import weakref
from pathlib import Path

from drivetrain import _strict
from drivetrain.errors import RunError, StorageError

LOCK = ".lock"
"""Name of the file in the folder."""

_FAR = 1 << 30
"""Windows locks bytes and not files: one far behind the text, which others may go on reading."""


class FolderLock:
    """Holds a folder for this process until `release`, or until the process ends.

    Args:
        folder: exists and can be written to.
    Raises: RunError: another Learner or process holds it. StorageError: the disk refused.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / LOCK
        self._descriptor: int | None = None
        try:
            # A folder may come from a stranger: a link in the lock's place would be written through.
            plain = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | plain, 0o666)
        except OSError as error:
            raise StorageError(
                f"Could not lock {folder}: {error.strerror}. Choose another folder."
            ) from error
        try:
            _lock(descriptor)
        except OSError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise RunError(
                f"{folder} is in use: {holder} is training in it. "
                "Wait until that has ended, or stop it."
            ) from error
        self._descriptor = descriptor
        _held.add(self)
        _sign(descriptor)

    @property
    def is_held(self) -> bool:
        """Whether this object still holds the folder."""
        return self._descriptor is not None

    def release(self) -> None:
        """Let others have the folder. May be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)  # closing is what unlocks
            self._descriptor = None

    def __del__(self) -> None:
        self.release()


_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _let_go_in_child() -> None:
    """A forked child (a loader's worker) shares the lock; were it to live on, so would the lock."""
    for lock in _held:
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def _lock(descriptor: int) -> None:
    if os.name == "nt":
        import msvcrt  # pyright: ignore[reportMissingImports]  # only Windows has it

        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sign(descriptor: int) -> None:
    """Write who holds it, for the message that others get; the lock holds without it."""
    text = json.dumps(
        {"process": os.getpid(), "host": platform.node(), "since": time.strftime("%F %T")}
    )
    with contextlib.suppress(OSError):
        if (
            os.fstat(descriptor).st_nlink > 1
        ):  # another file's content: the lock holds without a text
            return
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text.encode())


def _holder(descriptor: int) -> str:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        found = _strict.parse_json(os.read(descriptor, 1000))
        return f"process {found['process']} on {found['host']} (since {found['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
