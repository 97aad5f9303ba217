"""Reading folders from strangers: nothing runs, nothing is followed, nothing is larger than it says.

Whoever opens a bundle reads it through these four functions alone. They trust no name, size, number or
header: each is checked against a bound, or against what the reader expects, before memory is taken
for it. Every refusal is a `BundleError`. What the values mean is for the caller to check.

A hard link is read as the file that it is: backups and package caches make them, and an archive that
holds one cannot say where to. Links by name are refused, since those lead out of the folder.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from drivetrain import _strict
from drivetrain.errors import BundleError

StrPath = str | os.PathLike[str]

MOST_FILES = 1_000
MOST_BYTES = 8 << 30
"""Of a folder in all, and of a file of tensors."""
MOST_LETTERS = 1 << 20
"""Of one string in a JSON file."""
_PIECE = 1 << 20

DTYPES: Mapping[str, torch.dtype] = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "I32": torch.int32, "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64,
}  # fmt: skip
"""The types of tensors that a bundle may hold, by the names that safetensors uses."""

Expected = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]


def check_folder(
    folder: StrPath,
    *,
    allowed: Iterable[str],
    max_files: int = MOST_FILES,
    max_bytes: int = MOST_BYTES,
) -> dict[str, int]:
    """The files of a folder and of those in it, with their bytes; none is opened.

    Args:
        allowed: paths within the folder, with `/`; `*`, `?` and `[…]` stand for parts of one name.
        max_files: files and folders in all.
        max_bytes: bytes of all files.

    Returns: path within the folder, with `/` -> bytes, sorted.
    Raises: BundleError: it is no folder, too full, or holds something that is not a plain file or
        that no name in `allowed` stands for.
    """
    folder = Path(folder)
    patterns = [tuple(pattern.split("/")) for pattern in allowed]
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a bundle: there is no such folder.")
    found: dict[str, int] = {}
    waiting: list[tuple[str, ...]] = [()]
    entries = 0
    while waiting:
        above = waiting.pop()
        for name, status in _entries(folder.joinpath(*above)):
            path = (*above, name)
            place = _strict.shown("/".join(path))
            entries += 1
            if entries > max_files:
                _refuse(folder, f"it holds more than the {max_files} files allowed")
            if stat.S_ISDIR(status.st_mode):
                if not any(_fits(path, pattern[: len(path)]) for pattern in patterns):
                    _refuse(folder, f"it holds the folder {place}, which is no part of a bundle")
                waiting.append(path)
            elif stat.S_ISLNK(status.st_mode):
                _refuse(folder, f"{place} is a link", "Put the file itself in its place.")
            elif not stat.S_ISREG(status.st_mode):
                _refuse(folder, f"{place} is a device, a pipe or a socket")
            elif not any(_fits(path, pattern) for pattern in patterns):
                _refuse(folder, f"it holds {place}, which is no part of a bundle", "Remove it.")
            else:
                found["/".join(path)] = status.st_size
    if sum(found.values()) > max_bytes:
        _refuse(folder, f"its files have {sum(found.values())} bytes, {max_bytes} are allowed")
    return dict(sorted(found.items()))


def read_bytes(path: StrPath, *, limit: int) -> bytes:
    """The bytes of a plain file; the last part of the path may not be a link.

    Raises: BundleError: there is none, it cannot be read, or it has more than `limit` bytes.
    """
    descriptor, size = _open(path, limit)
    with open(descriptor, "rb") as file:
        data = file.read(size)
    if len(data) != size:
        _refuse(path, "it was cut while it was read")
    return data


def read_json(
    path: StrPath, *, limit: int = _strict.JSON_BYTES, max_letters: int = MOST_LETTERS
) -> dict[str, Any]:
    """The object that a JSON file holds.

    UTF-8; 64 levels deep at most; no name twice in one object; no NaN, no infinity, no number of more
    than 64 digits; at most half a million values.

    Args:
        limit: bytes.
        max_letters: of each string, names among them.

    Raises: BundleError: it is missing or not such a file.
    """
    data = read_bytes(path, limit=limit)
    try:
        value = _strict.parse_json(data, max_letters=max_letters)
    except ValueError as error:
        _refuse(path, f"it is not JSON as we write it: {error}", cause=error)
    if not isinstance(value, dict):
        _refuse(path, "it does not hold a JSON object")
    return value


def read_tensors(
    path: StrPath,
    *,
    expected: Expected | None = None,
    sha256: str | None = None,
    require_finite: bool = False,
    limit: int = MOST_BYTES,
) -> dict[str, Tensor]:
    """The tensors of a safetensors file, each in memory of its own; no more is taken than they need.

    Args:
        expected: type and shape of every tensor; where given, the header is compared with it before
            memory is taken, and the answer has exactly these names.
        sha256: of the file's bytes, in hex, taken from the same reading.
        require_finite: refuse NaN and infinities.
        limit: bytes of the file.

    Raises: BundleError: it is missing, not a safetensors file, holds other tensors than expected, or
        its SHA-256 is another.
    """
    descriptor, size = _open(path, limit)
    digest = hashlib.sha256()
    with open(descriptor, "rb") as file:
        try:
            start = file.read(8)
            start += file.read(_strict.header_bytes(start, size))
            entries, _ = _strict.parse_header(start, size, dtypes=DTYPES)
        except ValueError as error:
            _refuse(path, f"it is not a safetensors file: {error}", cause=error)
        if expected is not None:
            _compare(path, entries, expected)
        digest.update(start)
        tensors: dict[str, Tensor] = {}
        for name, entry in entries.items():
            tensor = torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
            memory = tensor.reshape(-1).view(torch.uint8).numpy().data
            while memory:
                count = file.readinto(memory[:_PIECE])
                if not count:
                    _refuse(path, "it was cut while it was read")
                digest.update(memory[:count])
                memory = memory[count:]
            tensors[name] = tensor
    if sha256 is not None and digest.hexdigest() != sha256:
        _refuse(path, "its SHA-256 is not the one recorded")
    for name, tensor in tensors.items():
        # A byte that is neither 0 nor 1 is no bool, and torch does not say what it then does.
        if tensor.dtype == torch.bool and (tensor.view(torch.uint8) > 1).any():
            _refuse(path, f"the tensor {_strict.shown(name)} holds bytes that are no bools")
        if require_finite and tensor.is_floating_point() and not tensor.isfinite().all():
            _refuse(path, f"the tensor {_strict.shown(name)} holds NaN or infinity")
    return tensors if expected is None else {name: tensors[name] for name in expected}


def _entries(folder: Path) -> list[tuple[str, os.stat_result]]:
    """Name and status of what is in a folder, in sorted order, links not followed."""
    try:
        with os.scandir(folder) as scan:
            found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in scan]
    except OSError as error:
        _refuse(folder, f"it cannot be read ({error.strerror})", cause=error)
    return sorted(found)


def _fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(map(fnmatch.fnmatchcase, path, pattern))


def _open(path: StrPath, limit: int) -> tuple[int, int]:
    try:
        return _strict.open_regular(path, limit=limit)
    except FileNotFoundError as error:
        _refuse(path, "it does not exist", cause=error)
    except OSError as error:
        _refuse(path, f"it cannot be read ({error.strerror})", cause=error)
    except ValueError as error:
        _refuse(path, str(error), cause=error)


def _compare(path: StrPath, entries: Mapping[str, _strict.Entry], expected: Expected) -> None:
    for what, names in (
        ("lacks the tensor", [name for name in expected if name not in entries]),
        ("holds the unknown tensor", [name for name in entries if name not in expected]),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            _refuse(path, f"it {what} {_strict.shown(names[0])}{more}")
    for name, (dtype, shape) in expected.items():
        entry = entries[name]
        if (DTYPES[entry.dtype], entry.shape) != (dtype, tuple(shape)):
            _refuse(
                path,
                f"the tensor {_strict.shown(name)} is {DTYPES[entry.dtype]} of shape "
                f"{entry.shape}, expected {dtype} of shape {tuple(shape)}",
            )


def _refuse(
    path: StrPath,
    why: str,
    remedy: str = "Take it anew from where it came from.",
    *,
    cause: BaseException | None = None,
) -> NoReturn:
    raise BundleError(f"{os.fspath(path)} cannot be used: {why}. {remedy}") from cause
