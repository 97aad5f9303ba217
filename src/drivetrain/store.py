"""Every durable write, and the reads that check it.

A file is written under a temporary name in its own folder, flushed to the disk (fsync), renamed over
its target, and the folder is flushed. Whoever reads sees the old file or the new one, whole, also
after a kill or a power cut. Nothing else in Drivetrain writes files that must last.

Tensors are safetensors, everything else JSON: opening either runs no code. The safetensors format has
no checksum and its own writer does not fsync, hence the hashes here. A folder may come from a stranger:
what is read is bounded and checked first (`drivetrain._strict`), and links are not followed.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import io
import json
import math
import os
import secrets
import stat
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as _load_tensors, save as _save_tensors
from torch import Tensor

from drivetrain import _disk, _strict
from drivetrain.errors import RunError, StorageError

StrPath = str | os.PathLike[str]

MOST_VALUES = 1_000_000
"""Values of a JSON file, names among them."""

_CRC = "crc32"
"""Last entry of a line of a log."""

_A_DAY = 86_400.0
"""Seconds."""


def write_bytes(path: StrPath, data: bytes) -> str:
    """Write `data` to `path` so that it is there whole or not at all.

    Folders above it are made. Returns: the SHA-256 of `data`, in hex.
    Raises: StorageError: the disk refused (full, read-only, no right, a file in a folder's place).
    """
    with streamed(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def streamed(path: StrPath) -> Iterator[Stream]:
    """A file to write piece by piece, that is there whole or not at all: for what memory does not hold.

    Inside, it stands beside its place under a temporary name; at the end it takes its place, and after
    an error it is gone. Folders above it are made.
    Raises: StorageError: the disk refused.
    """
    path = Path(path)
    disk = _disk.disk
    temporary: Path | None = None
    try:
        make_folders(path.parent)
        _refuse_device(path)
        descriptor, temporary = disk.create(path)
        stream = Stream(path, descriptor)
        try:
            yield stream
            disk.sync(descriptor)
        finally:
            stream.close()
            disk.close(descriptor)
        disk.rename(temporary, path)
        temporary = None
        disk.sync_folder(path.parent)
    except StorageError:
        raise
    except OSError as error:
        raise _storage_error("write", path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # what it was for has failed already, and says so
                disk.unlink(temporary)


class Stream(io.RawIOBase):
    """A file that `streamed` opened, to write to; other libraries take it for a file too."""

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__()
        self._path = path
        self._descriptor = descriptor
        self._size = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Write all of `data`, whatever holds bytes. Raises: StorageError: the disk refused."""
        if self.closed:
            raise ValueError("The file is closed.")
        view = memoryview(data)
        view = view.cast("B") if view.nbytes else memoryview(b"")  # an empty array cannot be cast
        try:
            _write_all(self._descriptor, view)
        except OSError as error:
            raise _storage_error("write", self._path, error) from error
        self._size += len(view)
        return len(view)

    def tell(self) -> int:
        """Bytes that were written."""
        return self._size


def write_text(path: StrPath, text: str) -> str:
    """Write UTF-8 text; see `write_bytes`."""
    return write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: StrPath, value: Any) -> str:
    """Write `value` as readable JSON (UTF-8, two blanks); NaN and infinities become strings."""
    return write_bytes(path, json_bytes(value))


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON text. JSON has no NaN or infinity: they are written as "nan", "inf", "-inf"."""
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def write_tensors(
    path: StrPath, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> str:
    """Write named tensors as one safetensors file. Returns: the file's SHA-256."""
    return write_bytes(path, tensor_bytes(tensors, metadata))


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Named tensors as the bytes of a safetensors file."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return _save_tensors(_unshared(plain), dict(metadata) if metadata else None)


def json_bytes(value: Any) -> bytes:
    """`value` as `write_json` writes it."""
    return (to_json(value, indent=2) + "\n").encode("utf-8", "surrogateescape")


def write_folder(
    folder: StrPath,
    files: Mapping[str, bytes],
    *,
    prove: Callable[[Path], Any] | None = None,
) -> None:
    """Write a whole folder so that it is there whole or not at all; one of that name is replaced whole.

    It is made beside its place under a temporary name and then takes its place in one step. A kill
    before that leaves a hidden folder that ends in `.tmp`; a later call removes it, after a day.

    Args:
        folder: what is there now is lost.
        files: path within the folder, with `/` -> content.
        prove: called with the folder before it takes its place; what it raises stops that.
    Raises: StorageError: the disk refused.
    """
    with new_folder(folder) as temporary:
        for name, data in files.items():
            write_bytes(temporary / name, data)
        if prove is not None:
            prove(temporary)


@contextlib.contextmanager
def new_folder(folder: StrPath) -> Iterator[Path]:
    """A folder to fill, that is there whole or not at all; one of that name is replaced whole.

    Inside, it stands beside its place under a temporary name, and what is put there goes through this
    module; at the end it takes its place in one step, and after an error it is gone. A kill before that
    leaves a hidden folder that ends in `.tmp`; a later call removes it, after a day.

    Raises: StorageError: the disk refused.
    """
    folder = Path(folder)
    disk = _disk.disk
    temporary = folder.with_name(f".{folder.name[:80]}.{secrets.token_hex(4)}{_disk.TEMPORARY}")
    try:
        make_folders(folder.parent)
        _remove_left_over(folder)
        disk.make_folder(temporary)
        yield temporary
        disk.sync_folder(temporary)
        _put_in_place(temporary, folder)
        disk.sync_folder(folder.parent)
    except StorageError as error:
        if error.__cause__ is None or not isinstance(error.__cause__, OSError):
            raise
        raise _storage_error("write", folder, error.__cause__) from error.__cause__
    except OSError as error:
        raise _storage_error("write", folder, error) from error
    finally:
        with contextlib.suppress(OSError):  # the new folder has its place, or what failed says so
            _remove_tree(temporary)


def append_line(path: StrPath, value: Mapping[str, Any]) -> None:
    """Append an object as one JSON line with its CRC-32, and flush it to the disk.

    A kill can tear the last line: `read_lines` leaves it out, and the next line starts a line anew.
    """
    append_bytes(path, json_line(value))


def json_line(value: Mapping[str, Any]) -> bytes:
    """An object as one JSON line with its CRC-32, which `read_lines` checks."""
    body = to_json(dict(value)).encode("utf-8", "surrogateescape")
    return b'%s, "%s": "%08x"}\n' % (body[:-1], _CRC.encode(), zlib.crc32(body))


def append_bytes(path: StrPath, lines: bytes) -> None:
    """Append whole lines and flush them to the disk; where a kill tore the last one, on a new line.

    Raises: StorageError: the disk refused.
    """
    path = Path(path)
    disk = _disk.disk
    try:
        make_folders(path.parent)
        is_new = not path.exists()
        torn = not is_new and not _ends_with_newline(path)
        descriptor = disk.open_append(path)
        try:
            _write_all(descriptor, b"\n" + lines if torn else lines)
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)
        if is_new:
            disk.sync_folder(path.parent)
    except OSError as error:
        raise _storage_error("append to", path, error) from error


def remove(path: StrPath) -> None:
    """Remove a file; it may be missing.

    Raises: StorageError: the disk refused.
    """
    path = Path(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            _disk.disk.unlink(path)
    except OSError as error:
        raise _storage_error("remove", path, error) from error


def make_folders(folder: StrPath) -> None:
    """Make a folder and those above it, so that they last. Raises `OSError` as the system does."""
    folder = Path(folder)
    if folder.is_dir():
        return
    make_folders(folder.parent)
    _disk.disk.make_folder(folder)
    _disk.disk.sync_folder(folder.parent)


def sweep(folder: StrPath) -> None:
    """Remove the temporary files that a kill left in `folder`; nobody else may be writing in it."""
    for path in Path(folder).glob(f".*{_disk.TEMPORARY}"):
        remove(path)


def read_json(path: StrPath, *, max_values: int = MOST_VALUES) -> Any:
    """Read a JSON file.

    Args:
        max_values: how many values it may hold, names among them.

    Raises: RunError: the file is missing, a link or a pipe, or is not JSON; or it is nested deeper
        than 64 levels, says a name twice in one object, or holds NaN or an infinity.
    """
    data = _read_plain(path)
    try:
        return _strict.parse_json(data, max_values=max_values, errors="surrogateescape")
    except ValueError as error:
        raise RunError(f"{path} is not JSON ({error}). Restore it from a copy.") from error


def read_lines(path: StrPath) -> list[dict[str, Any]]:
    """Read what `append_line` wrote, as far as it is whole. A missing file has no lines.

    A line that a kill tore, that was damaged later, or that somebody else wrote has not the checksum it
    should have, and is left out; so is one that is not the JSON of an object.
    """
    if not Path(path).exists():
        return []
    rows = []
    for line in read_bytes(path).splitlines():
        body, found, crc = line.rpartition(b', "%s": ' % _CRC.encode())
        if found and crc == b'"%08x"}' % zlib.crc32(body + b"}"):
            with contextlib.suppress(ValueError):
                rows.append(_strict.parse_json(body + b"}", errors="surrogateescape"))
    return rows


def read_tensors(path: StrPath, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file, checking it against its hash where that is known.

    Raises: RunError: missing, damaged, or not the file that was written.
    """
    data = _read_plain(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise RunError(
            f"{path} is damaged: its SHA-256 is not the one recorded. Restore it from a copy."
        )
    try:
        _strict.parse_header(data, len(data))
        tensors = _load_tensors(data)
    except (SafetensorError, ValueError) as error:
        raise RunError(f"{path} is not a safetensors file: {error}.") from error
    for name, tensor in tensors.items():
        # A byte that is neither 0 nor 1 is no bool, and torch does not say what it then does.
        if tensor.dtype == torch.bool and (tensor.view(torch.uint8) > 1).any():
            raise RunError(
                f"{path} is damaged: {_strict.shown(name)} holds bytes that are no bools."
            )
    return tensors


def read_bytes(path: StrPath) -> bytes:
    """Read a file whole.

    Raises: RunError: it is not there. StorageError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist.") from error
    except OSError as error:
        raise _storage_error("read", Path(path), error) from error


def file_sha256(path: StrPath) -> str:
    """SHA-256 of a file's bytes, in hex, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over tensors in sorted name order: name, dtype, shape, little-endian bytes.

    Two models with the same hash have the same weights to the last bit.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.reshape(-1).clone(memory_format=torch.contiguous_format)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies for names that share memory (tied weights): the format refuses shared storage."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        pointer = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if pointer in seen else tensor
        seen.add(pointer)
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename, or exchange with the folder that is there; another program may be doing the same."""
    tries = 100
    while True:
        tries -= 1
        try:
            if folder.exists():
                _disk.disk.exchange(temporary, folder)
            else:
                _disk.disk.rename(temporary, folder)
            return
        except OSError as error:  # it came, or went, since we looked
            came_or_went = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
            if error.errno not in came_or_went or not tries or not temporary.exists():
                raise


def _remove_left_over(folder: Path) -> None:
    """What kills left of earlier writes of this folder; never what another program is writing now."""
    for path in folder.parent.glob(f".{glob.escape(folder.name[:80])}.*{_disk.TEMPORARY}"):
        with contextlib.suppress(OSError):  # it is in nobody's way
            if path.is_dir() and time.time() - path.stat().st_mtime > _A_DAY:
                _remove_tree(path)


def _remove_tree(folder: Path) -> None:
    """Remove a folder that `write_folder` made, or took from its place; links are not followed."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _remove_tree(path)
        else:
            _disk.disk.unlink(path)
    _disk.disk.remove_folder(folder)


def _read_plain(path: StrPath) -> bytes:
    """Read a file whole that is one: links lead out of the folder, and pipes never end."""
    try:
        descriptor, _ = _strict.open_regular(path)
        with open(descriptor, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist.") from error
    except OSError as error:
        raise _storage_error("read", Path(path), error) from error
    except ValueError as error:
        raise RunError(f"{path} is not read: {error}. Put a plain file in its place.") from error


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _refuse_device(path: Path) -> None:
    """Raises: StorageError: a file would take the place of a device or a pipe, such as /dev/null."""
    try:
        mode = os.stat(path).st_mode
    except OSError:  # nothing there, or nothing that may be looked at
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StorageError(
            f"Could not write {path}: it is a device or a pipe, and a file would take its place. Give "
            "the name of a file."
        )


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`: the system may take less at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[_disk.disk.write(descriptor, rest) :]


def _storage_error(what: str, path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"Could not {what} {path}: {reason}. Free space or choose another folder.")
