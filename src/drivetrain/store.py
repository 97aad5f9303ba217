"""Every durable write, and the reads that check it.

A file is written under a temporary name in its own folder, flushed to the disk (fsync), renamed over
its target, and the folder is flushed. Whoever reads sees the old file or the new one, whole, also
after a kill or a power cut. Nothing else in Drivetrain writes files that must last.

Tensors are safetensors, everything else JSON: opening either runs no code. The safetensors format has
no checksum and its own writer does not fsync, hence the hashes here.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as _load_tensors, save as _save_tensors
from torch import Tensor

from drivetrain.errors import RunError, StorageError

StrPath = str | os.PathLike[str]


def write_bytes(path: StrPath, data: bytes) -> str:
    """Write `data` to `path` so that it is there whole or not at all.

    Folders above it are made. Returns: the SHA-256 of `data`, in hex.
    Raises: StorageError: the disk refused (full, read-only, no right, a file in a folder's place).
    """
    path = Path(path)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp gives 0600, a user's file is not secret
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise _storage_error("write", path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return hashlib.sha256(data).hexdigest()


def write_text(path: StrPath, text: str) -> str:
    """Write UTF-8 text; see `write_bytes`."""
    return write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: StrPath, value: Any) -> str:
    """Write `value` as readable JSON (UTF-8, two blanks); NaN and infinities become strings."""
    return write_text(path, to_json(value, indent=2) + "\n")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON text. JSON has no NaN or infinity: they are written as "nan", "inf", "-inf"."""
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def write_tensors(
    path: StrPath, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> str:
    """Write named tensors as one safetensors file. Returns: the file's SHA-256."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return write_bytes(path, _save_tensors(_unshared(plain), dict(metadata) if metadata else None))


def append_line(path: StrPath, value: Any) -> None:
    """Append one JSON line and flush it to the disk; a torn last line is what `read_lines` forgives."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.exists() and not _ends_with_newline(path)
        with open(path, "ab") as file:
            line = to_json(value).encode("utf-8", "surrogateescape") + b"\n"
            file.write(b"\n" + line if torn else line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _storage_error("append to", path, error) from error


def read_json(path: StrPath) -> Any:
    """Read a JSON file.

    Raises: RunError: the file is missing or is not JSON.
    """
    return _parse_json(read_bytes(path), path)


def read_lines(path: StrPath) -> list[Any]:
    """Read JSON lines; a line cut by a kill is left out. A missing file has no lines."""
    if not Path(path).exists():
        return []
    rows = []
    for line in read_bytes(path).splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def read_tensors(path: StrPath, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file, checking it against its hash where that is known.

    Raises: RunError: missing, damaged, or not the file that was written.
    """
    data = read_bytes(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise RunError(
            f"{path} is damaged: its SHA-256 is not the one recorded. Restore it from a copy."
        )
    try:
        return _load_tensors(data)
    except SafetensorError as error:
        raise RunError(f"{path} is not a safetensors file: {error}.") from error


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
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
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


def _parse_json(data: bytes, path: StrPath) -> Any:
    try:
        return json.loads(data.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise RunError(f"{path} is not JSON ({error}). Restore it from a copy.") from error


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@functools.cache
def _umask() -> int:
    """The process's file mask, which can only be read by setting it: once, for every thread."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _storage_error(what: str, path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"Could not {what} {path}: {reason}. Free space or choose another folder.")
