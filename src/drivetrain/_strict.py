"""Bytes from strangers, parsed so that no content can run, crash, hang or flood anything.

What the standard library and safetensors accept is wider than what is safe to hand on: JSON without a
bound of depth, of two equal names, with NaN; a tensor file whose header asks for what its bytes do not
hold. Here everything is bounded first, then parsed. Each function raises `ValueError` with the reason
as a clause; `drivetrain.store` and `drivetrain.bundle.reading` say where, and what to do.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JSON_BYTES = 16 << 20
"""Bytes of a JSON text, and of the header of a tensor file."""
JSON_DEPTH = 64
JSON_VALUES = 500_000
"""Values of a JSON text: a short text can stand for objects of twenty times its size."""
DIGITS = 64
"""Digits of a number: ten thousand are read in a time that grows with their square."""
NAME_LETTERS = 512
"""Letters of a tensor's name."""
MOST_AXES = 16

SIZES: Mapping[str, int] = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""Bytes of an element, by the names that safetensors uses."""

# Whatever follows a quote up to its partner is one match: the quantifiers never give back, so the time
# is that of one reading also where the partner is missing.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (DIGITS + 1))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


@dataclass(frozen=True)
class Entry:
    """One tensor as a file's header describes it."""

    dtype: str
    """A name of `SIZES`."""
    shape: tuple[int, ...]
    start: int
    """Its first byte, counted from the end of the header; `end` is one after its last."""
    end: int


def shown(text: object, most: int = 80) -> str:
    """A name from a file for a message: in quotes, nothing that moves a terminal, and not too long."""
    return repr(text if len(text := str(text)) <= most else text[: most - 1] + "…")


def short(error: object, most: int = 200) -> str:
    """What an error says of a file's content, for a message: it may hold the content itself, whole."""
    return text if len(text := str(error)) <= most else text[: most - 1] + "…"


def open_regular(path: str | os.PathLike[str], *, limit: int | None = None) -> tuple[int, int]:
    """A descriptor of a file that is one: no link, no folder, no device, no pipe. And its bytes.

    Raises: OSError: as the system does. ValueError: it is something else, or longer than `limit`.
    """
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOCTTY"):
        flags |= getattr(os, name, 0)  # without O_NONBLOCK, a pipe waits for its other end
    if os.path.islink(path):
        raise ValueError("it is a link")
    descriptor = os.open(path, flags)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is a device, a pipe or a socket")
        if limit is not None and found.st_size > limit:
            raise ValueError(f"it has {found.st_size} bytes, more than the {limit} allowed")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found.st_size


def parse_json(
    data: bytes,
    *,
    max_depth: int = JSON_DEPTH,
    max_values: int = JSON_VALUES,
    max_letters: int | None = None,
    errors: str = "strict",
) -> Any:
    """The value of a JSON text.

    Args:
        max_depth: objects and lists inside one another.
        max_values: values and names in all.
        max_letters: of each string; with it, strings that are not Unicode text are refused too.
        errors: what to do with bytes that are not UTF-8; see `bytes.decode`.

    Raises: ValueError: it is not JSON, or beyond a bound, says a name twice, or a number is not finite.
    """
    text = data.decode("utf-8", errors)
    if data.count(b'"') > 4 * max_values:  # what follows takes its time for each string
        raise ValueError(f"it holds more than {max_values} values")
    # As text: joining as many pieces of bytes takes ten times the memory.
    skeleton = _STRING.sub("", text).encode("ascii", "ignore")
    if _LONG_NUMBER.search(skeleton):
        raise ValueError(f"a number has more than {DIGITS} digits")
    if sum(skeleton.count(sign) for sign in (b",", b":", b"[", b"{")) > max_values:
        raise ValueError(f"it holds more than {max_values} values")
    if _is_deeper(skeleton.translate(_ONE_KIND, _NO_BRACKETS), max_depth):
        raise ValueError(f"it is nested deeper than {max_depth} levels")
    value = json.loads(
        text, object_pairs_hook=_without_twins, parse_constant=_refused, parse_float=_finite
    )
    if max_letters is not None:
        _check_strings(value, max_letters)
    return value


def parse_header(
    data: bytes, size: int, *, dtypes: Mapping[str, Any] = SIZES
) -> tuple[dict[str, Entry], int]:
    """What a safetensors file holds, in the order of its bytes, and the bytes before the first tensor.

    Nothing is allocated for the tensors. Names, types, shapes and places fit each other and the file:
    every byte belongs to exactly one tensor.

    Args:
        data: the start of the file, at least its header.
        size: bytes of the whole file.
        dtypes: the accepted names of types.

    Raises: ValueError: it is not such a file.
    """
    length = header_bytes(data, size)
    found = parse_json(data[8 : 8 + length], max_depth=8, max_letters=JSON_BYTES)
    if not isinstance(found, dict):
        raise ValueError("its header is not a JSON object")
    metadata = found.pop("__metadata__", None)
    if metadata is not None and not (
        isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    ):
        raise ValueError("its __metadata__ does not hold strings alone")
    entries = {name: _entry(name, record, dtypes) for name, record in found.items()}
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)))
    place = 0
    for name, entry in ordered.items():
        if entry.start != place:
            what = "overlap" if entry.start < place else "leave a hole"
            raise ValueError(f"its tensors {what} before {shown(name)}")
        place = entry.end
    if 8 + length + place != size:
        raise ValueError(f"its tensors take {place} bytes, and it holds {size - 8 - length}")
    return ordered, 8 + length


def header_bytes(data: bytes, size: int) -> int:
    """Bytes of the header of a safetensors file, from its first eight.

    Raises: ValueError: there are too few, or they are not within the file.
    """
    if len(data) < 8:
        raise ValueError("it is too short to have a header")
    length = int.from_bytes(data[:8], "little")
    if length > size - 8:
        raise ValueError("its header would end after the file does")
    if length > JSON_BYTES:
        raise ValueError(f"its header has {length} bytes, more than the {JSON_BYTES} allowed")
    return length


def _entry(name: str, record: Any, dtypes: Mapping[str, Any]) -> Entry:
    if not 0 < len(name) <= NAME_LETTERS:
        raise ValueError(f"a tensor's name has {len(name)} letters, not 1 to {NAME_LETTERS}")
    if not isinstance(record, dict) or set(record) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"its header does not describe the tensor {shown(name)}")
    dtype, shape, offsets = record["dtype"], record["shape"], record["data_offsets"]
    if not isinstance(dtype, str) or dtype not in dtypes:
        raise ValueError(f"the type {shown(dtype)} of the tensor {shown(name)} is not one of ours")
    if not _are_counts(shape) or len(shape) > MOST_AXES:
        raise ValueError(f"the shape of the tensor {shown(name)} is not one")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"the place of the tensor {shown(name)} is not one")
    start, end = offsets
    if math.prod(shape) * SIZES[dtype] != end - start:
        raise ValueError(f"the shape and the bytes of the tensor {shown(name)} do not fit")
    return Entry(dtype, tuple(shape), start, end)


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < 1 << 53 for value in values
    )


def _is_deeper(brackets: bytes, most: int) -> bool:
    """Whether brackets stand inside one another more than `most` deep, in a time that is linear.

    Each round takes out the innermost pairs, of brackets that are all of one kind. What then has no
    partner makes the text no JSON; few of them are left to the parser, which says where.
    """
    for _ in range(most):
        if not brackets:  # most texts are flat: a journal is read in a third of its time less
            return False
        brackets = brackets.replace(b"[]", b"")
    return len(brackets) > most or b"[]" in brackets


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twin = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"the name {shown(twin)} stands twice in one object")
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"the number {number} is too large")
    return value


def _check_strings(value: Any, most: int) -> None:
    """Bounded by the depth that was checked before."""
    if isinstance(value, str):
        if len(value) > most:
            raise ValueError(f"a string has more than {most} letters")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a string is not Unicode text") from None
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_strings(name, most)
            _check_strings(inner, most)
    elif isinstance(value, list):
        for inner in value:
            _check_strings(inner, most)
