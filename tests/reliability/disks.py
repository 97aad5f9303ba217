"""Disks that stand in for the real one: they record, fail, or end the process at the k-th operation.

From a recording, `crash_states` rebuilds what a disk can hold after a kill or a power cut at any moment:

- a kill keeps all that was done, and tears the write it comes into;
- a power cut keeps what was synced. A file's content that was not is there, torn, zero-filled or missing;
  a folder's entry (a new name, a rename, a removal) that was not may have been kept or lost, each by
  itself.
"""

from __future__ import annotations

import errno
import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from drivetrain._disk import Disk

OPERATIONS = (
    "make_folder",
    "create",
    "open_append",
    "write",
    "sync",
    "rename",
    "exchange",
    "unlink",
    "remove_folder",
    "sync_folder",
)


@dataclass(frozen=True)
class Done:
    """One operation that was done."""

    name: str
    path: Path
    other: Path | None = None
    data: bytes = b""


class RecordingDisk(Disk):
    """The real disk, with a list of what was done to it. `close` is no operation: it changes nothing."""

    def __init__(self) -> None:
        self.done: list[Done] = []
        self._open: dict[int, Path] = {}

    def make_folder(self, folder: Path) -> None:
        super().make_folder(folder)
        self.done.append(Done("make_folder", folder))

    def create(self, target: Path) -> tuple[int, Path]:
        descriptor, path = super().create(target)
        self._open[descriptor] = path
        self.done.append(Done("create", path))
        return descriptor, path

    def open_append(self, path: Path) -> int:
        descriptor = super().open_append(path)
        self._open[descriptor] = path
        self.done.append(Done("open_append", path))
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        count = super().write(descriptor, data)
        self.done.append(Done("write", self._open[descriptor], data=bytes(data[:count])))
        return count

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.done.append(Done("sync", self._open[descriptor]))

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.done.append(Done("rename", source, target))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.done.append(Done("unlink", path))

    def sync_folder(self, folder: Path) -> None:
        super().sync_folder(folder)
        self.done.append(Done("sync_folder", folder))


class CountingDisk(Disk):
    """The real disk; `before` is called ahead of each operation with its number, from 1, and name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @property
    def count(self) -> int:
        """Operations so far."""
        return len(self.names)

    def before(self, number: int, name: str) -> None:
        """Nothing, here."""

    def _next(self, name: str) -> None:
        self.names.append(name)
        self.before(self.count, name)

    def make_folder(self, folder: Path) -> None:
        self._next("make_folder")
        super().make_folder(folder)

    def create(self, target: Path) -> tuple[int, Path]:
        self._next("create")
        return super().create(target)

    def open_append(self, path: Path) -> int:
        self._next("open_append")
        return super().open_append(path)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self._next("write")
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._next("sync")
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self._next("rename")
        super().rename(source, target)

    def exchange(self, one: Path, other: Path) -> None:
        self._next("exchange")
        super().exchange(one, other)

    def unlink(self, path: Path) -> None:
        self._next("unlink")
        super().unlink(path)

    def remove_folder(self, folder: Path) -> None:
        self._next("remove_folder")
        super().remove_folder(folder)

    def sync_folder(self, folder: Path) -> None:
        self._next("sync_folder")
        super().sync_folder(folder)


class KillingDisk(CountingDisk):
    """Ends the process with SIGKILL at the k-th operation: before it, or in the middle of a write."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def before(self, number: int, name: str) -> None:
        if number == self.at and name != "write":
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self.count + 1 == self.at:
            os.write(descriptor, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(descriptor, data)


SHORT = "short write"
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EINTR, SHORT)


class FailingDisk(CountingDisk):
    """The k-th operation fails with an error number; or, where it is a write, takes one byte only."""

    def __init__(self, at: int, error: int | str) -> None:
        super().__init__()
        self.at, self.error = at, error
        self.failed = False

    def before(self, number: int, name: str) -> None:
        if number == self.at and isinstance(self.error, int):
            self.failed = True
            raise OSError(self.error, os.strerror(self.error))

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self.count + 1 == self.at and self.error == SHORT:
            self._next("write")
            self.failed = True
            return os.write(descriptor, data[:1])
        if self.count + 1 == self.at and self.error == errno.ENOSPC:
            os.write(descriptor, data[: len(data) // 3])  # a full disk takes what fits first
        return super().write(descriptor, data)


# --- what a disk can hold after a cut -----------------------------------------------------------------


@dataclass
class _File:
    synced: bytes | None = None
    """Content that is on the disk itself; None where none ever was."""
    content: bytes = b""

    def variants(self) -> Iterator[bytes]:
        """What a power cut can leave of the content."""
        known = self.synced if self.synced is not None else b""
        yield self.content
        if self.synced != self.content:
            rest = self.content[len(known) :] if self.content.startswith(known) else self.content
            base = known if self.content.startswith(known) else b""
            half = rest[: len(rest) // 2]
            yield base + half  # torn
            yield base + half + bytes(len(rest) - len(half))  # its end zero-filled
            yield base + bytes(len(rest))  # zero-filled
            yield base  # missing


@dataclass
class State:
    """Files that a disk holds: path below the root -> content."""

    files: dict[str, bytes]
    how: str
    kept_until: int
    """Operations that this state must not have lost, because what they belong to had been finished."""


@dataclass
class _Disk:
    names: dict[Path, _File] = field(default_factory=dict)
    """What a process sees."""
    durable: dict[Path, _File] = field(default_factory=dict)
    """The names that are on the disk itself."""
    pending: list[tuple[Path, dict[Path, _File | None]]] = field(default_factory=list)
    """Per folder, changes of names that are not synced yet: path -> file, or None for gone."""

    def do(self, one: Done) -> None:
        if one.name in ("create", "open_append"):
            if one.path not in self.names:
                file = self.names[one.path] = _File()
                self.pending.append((one.path.parent, {one.path: file}))
        elif one.name == "write":
            self.names[one.path].content += one.data
        elif one.name == "sync":
            self.names[one.path].synced = self.names[one.path].content
        elif one.name == "rename":
            assert one.other is not None
            file = self.names.pop(one.path)
            self.names[one.other] = file
            self.pending.append((one.path.parent, {one.path: None, one.other: file}))
        elif one.name == "unlink":
            del self.names[one.path]
            self.pending.append((one.path.parent, {one.path: None}))
        elif one.name == "sync_folder":
            for folder, change in self.pending:
                if folder == one.path:
                    _apply(self.durable, change)
            self.pending = [(f, c) for f, c in self.pending if f != one.path]


def crash_states(done: list[Done], root: Path, *, step: int = 4) -> Iterator[State]:
    """Every state that a kill or a power cut can leave, at each operation of a recording.

    Args:
        done: what was recorded.
        root: states name files below it.
        step: a kill tears a write after each so many bytes.
    """
    disk = _Disk()
    for number, one in enumerate(done):
        if one.name == "write":
            for cut in range(1, len(one.data), step):
                part = one.data[:cut]
                files = {path: file.content for path, file in disk.names.items()}
                files[one.path] = files[one.path] + part
                yield State(
                    _below(files, root), f"killed in operation {number}, {one.name}", number
                )
        disk.do(one)
        seen = {path: file.content for path, file in disk.names.items()}
        yield State(_below(seen, root), f"killed after operation {number}, {one.name}", number + 1)
        for files in _after_power_cut(disk):
            yield State(_below(files, root), f"power cut after operation {number}", number + 1)


def _after_power_cut(disk: _Disk) -> Iterator[dict[Path, bytes]]:
    """With each unsynced change of names kept or lost, and each unsynced content in each variant."""
    for kept in _choices(len(disk.pending)):
        names = dict(disk.durable)
        for keep, (_, change) in zip(kept, disk.pending, strict=True):
            if keep:
                _apply(names, change)
        whole = {path: file.content for path, file in names.items()}
        yield whole
        for path, file in names.items():  # of a sound store one file at a time is not synced
            for content in file.variants():
                yield whole | {path: content}


def _choices(count: int) -> Iterator[tuple[bool, ...]]:
    """Which of `count` changes were kept: any of a few; of many, all up to each, and all but one."""
    if count <= 3:
        yield from itertools.product((False, True), repeat=count)
        return
    for one in range(count + 1):
        yield tuple([number < one for number in range(count)])
    for one in range(count):
        yield tuple([number != one for number in range(count)])


def _apply(names: dict[Path, _File], change: dict[Path, _File | None]) -> None:
    for path, file in change.items():
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file


def _below(files: dict[Path, bytes], root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): content for path, content in files.items()}


def write_state(state: State, folder: Path) -> None:
    """Put a state's files into an empty folder."""
    for name, content in state.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
