"""Documents as token ids in one flat array, in memory or on the disk.

A list of lists takes ten times the memory and a loop in Python for each batch. Here all ids stand in one
array, and a second one says where each document starts:

    >>> documents = TokenArray.from_lists([[5, 6, 7], [], [8]])
    >>> len(documents), documents.ids.tolist(), documents.offsets.tolist()
    (3, [5, 6, 7, 8], [0, 3, 3, 4])
    >>> documents.take(np.array([2, 0])).ids.tolist()
    [8, 5, 6, 7]

On the disk it is a folder of three files: `ids.bin` and `offsets.bin`, the bare numbers, little-endian,
and `tokens.json`, which says how many there are and of which type. `open` maps the ids into memory, so a
corpus may be larger than it. This module is imported by processes that tokenise, and so without torch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drivetrain import _strict
from drivetrain.errors import DataError, StorageError

StrPath = str | os.PathLike[str]

FORMAT = 1
DTYPES = {"uint16": np.dtype("<u2"), "int32": np.dtype("<i4")}
"""Types of ids on the disk; two bytes hold a vocabulary of up to 65,536 words."""
_RECORD, _IDS, _OFFSETS = "tokens.json", "ids.bin", "offsets.bin"
_RECORD_BYTES = 10_000


@dataclass(frozen=True, eq=False)
class TokenArray:
    """Documents as token ids in one flat array.

    Raises: DataError: the arrays are not of these types and shapes, or the offsets do not rise from 0
        to the number of ids.
    """

    ids: np.ndarray
    """(N,) uint16 or int32; may be mapped from a file, and is then read-only."""
    offsets: np.ndarray
    """(D + 1,) int64: document d is `ids[offsets[d]:offsets[d + 1]]`."""

    def __post_init__(self) -> None:
        check_arrays(self.ids, self.offsets)

    def __len__(self) -> int:
        """Number of documents, D."""
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        """The ids of each document, (T,) each."""
        return map(self.document, range(len(self)))

    def __repr__(self) -> str:
        return f"<TokenArray of {len(self)} documents, {len(self.ids)} ids, {self.ids.dtype}>"

    def lengths(self) -> np.ndarray:
        """(D,) int64, ids of each document."""
        return np.diff(self.offsets)

    def document(self, d: int) -> np.ndarray:
        """(T,) the ids of document d; negative numbers count from the end."""
        check_document(d, len(self))
        d %= len(self)
        return self.ids[self.offsets[d] : self.offsets[d + 1]]

    def take(self, documents: np.ndarray | Sequence[int]) -> TokenArray:
        """These documents, in this order, copied; one may be asked for twice.

        Args:
            documents: (K,) integers in 0..D-1.
        Raises: IndexError: there is no such document.
        """
        chosen = np.asarray(documents, dtype=np.int64)
        check_documents(chosen, len(self))
        starts = self.offsets[chosen]
        lengths = self.offsets[chosen + 1] - starts
        offsets = offsets_of(lengths)
        # Place i of the answer lies as far behind its document's start as it does there.
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return TokenArray(np.asarray(self.ids[places]), offsets)

    @classmethod
    def from_lists(
        cls, documents: Iterable[Sequence[int] | np.ndarray], *, vocab_size: int | None = None
    ) -> TokenArray:
        """An array of lists of ids.

        Args:
            documents: ids, 0 or more each.
            vocab_size: where given, it decides on the type of the ids, and not the largest of them, so
                that arrays of one vocabulary are of one type.
        Raises: DataError: an id is negative, or not below `vocab_size`.
        """
        arrays = [np.asarray(document, dtype=np.int64) for document in documents]
        ids = np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
        size = int(ids.max(initial=-1)) + 1
        if ids.min(initial=0) < 0 or size > (size if vocab_size is None else vocab_size):
            raise DataError(
                f"Ids must be in 0..{'' if vocab_size is None else vocab_size - 1}. "
                f"Got {int(ids.min())} to {size - 1}."
            )
        lengths = np.fromiter(map(len, arrays), np.int64, len(arrays))
        return cls(ids.astype(id_dtype(vocab_size or size)), offsets_of(lengths))

    def save(self, folder: StrPath) -> None:
        """Write the folder so that it is there whole or not at all; one of that name is replaced whole.

        Raises: StorageError: the disk refused.
        """
        with token_writer(
            folder, vocab_size=1 if self.ids.dtype == np.uint16 else 1 << 17
        ) as writer:
            writer.append(self)

    @classmethod
    def open(cls, folder: StrPath, *, vocab_size: int | None = None) -> TokenArray:
        """The array in a folder that `save` or `token_writer` wrote; its ids stay on the disk.

        Args:
            vocab_size: where given, every id is read once, and must be below it.
        Raises: DataError: the folder is missing or not sound. StorageError: the disk refused.
        """
        folder = Path(folder)
        try:
            name, num_ids, num_documents = _read_record(folder / _RECORD)
            ids = _mapped(folder / _IDS, DTYPES[name], num_ids)
            offsets = np.array(_mapped(folder / _OFFSETS, np.dtype("<i8"), num_documents + 1))
            check_arrays(ids, offsets)
        except FileNotFoundError as error:
            raise DataError(
                f"{folder} holds no token array: {error.filename} is missing."
            ) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"Could not read {folder}: {reason}.") from error
        except ValueError as error:
            raise DataError(
                f"{folder} is not a sound token array: {_strict.short(error)}"
            ) from error
        if vocab_size is not None:
            largest = max(
                (int(ids[start : start + _PIECE].max()) for start in range(0, num_ids, _PIECE)),
                default=-1,
            )
            smallest = int(ids.min(initial=0)) if ids.dtype.kind == "i" else 0
            if not 0 <= smallest <= largest + 1 <= vocab_size:
                raise DataError(
                    f"{folder} holds ids from {smallest} to {largest}, "
                    f"and the vocabulary has {vocab_size} words."
                )
        return cls(ids, offsets)


_PIECE = 1 << 24
"""Ids that are looked at in one go."""


class TokenWriter:
    """What `token_writer` gives: documents are appended to two files.

    Args:
        ids: takes the bytes of the ids.
        offsets: takes the bytes of where documents end.
        dtype: uint16 or int32.
    """

    def __init__(self, ids: Any, offsets: Any, dtype: np.dtype[Any]) -> None:
        self._ids, self._offsets, self.dtype = ids, offsets, dtype
        self.num_ids = 0
        self.num_documents = 0
        self._offsets.write(np.zeros(1, "<i8"))

    def append(self, documents: TokenArray) -> None:
        """Write these documents after those that were written.

        Raises: DataError: an id does not fit the type. StorageError: the disk refused.
        """
        ids, most = documents.ids, np.iinfo(self.dtype).max
        if ids.dtype != self.dtype and int(ids.max(initial=0)) > most:
            raise DataError(f"The id {int(ids.max())} does not fit into {self.dtype}.")
        little = self.dtype.newbyteorder("<")
        for start in range(0, len(ids), _PIECE):
            self._ids.write(np.ascontiguousarray(ids[start : start + _PIECE], dtype=little))
        ends = documents.offsets[1:] + self.num_ids
        self._offsets.write(np.ascontiguousarray(ends, dtype="<i8"))
        self.num_ids += len(ids)
        self.num_documents += len(documents)


@contextlib.contextmanager
def token_writer(folder: StrPath, *, vocab_size: int) -> Iterator[TokenWriter]:
    """Write a TokenArray piece by piece, for what memory does not hold:

        with token_writer(folder, vocab_size=30_000) as writer:
            for documents in pieces:
                writer.append(documents)

    The folder is there whole at the end or, after an error or a kill, not at all.

    Args:
        folder: one of that name is replaced whole.
        vocab_size: ids are below it; it decides on their type.
    Raises: StorageError: the disk refused.
    """
    from drivetrain import store  # it brings torch, which a process that tokenises does without

    with store.new_folder(folder) as temporary:
        with (
            store.streamed(temporary / _IDS) as ids,
            store.streamed(temporary / _OFFSETS) as offsets,
        ):
            writer = TokenWriter(ids, offsets, id_dtype(vocab_size))
            yield writer
        record = {
            "format": FORMAT,
            "dtype": writer.dtype.name,
            "num_ids": writer.num_ids,
            "num_documents": writer.num_documents,
        }
        store.write_json(temporary / _RECORD, record)


def id_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest type that holds ids below `vocab_size`: uint16 or int32."""
    return np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.int32)


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(D + 1,) int64: where documents of these lengths start and end, one after another."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def joined(parts: Sequence[TokenArray]) -> TokenArray:
    """The documents of several arrays, one after another; at least one array."""
    ids = np.concatenate([part.ids for part in parts])
    return TokenArray(ids, offsets_of(np.concatenate([part.lengths() for part in parts])))


def check_arrays(ids: np.ndarray, offsets: np.ndarray) -> None:
    """Raises DataError where the two arrays are not what a TokenArray holds."""
    if ids.ndim != 1 or ids.dtype.newbyteorder("=") not in (np.uint16, np.int32):
        raise DataError(f"`ids` must be (N,) uint16 or int32. Got {ids.shape} {ids.dtype}.")
    if offsets.ndim != 1 or not len(offsets) or offsets.dtype.newbyteorder("=") != np.int64:
        raise DataError(f"`offsets` must be (D + 1,) int64. Got {offsets.shape} {offsets.dtype}.")
    if offsets[0] != 0 or offsets[-1] != len(ids) or (offsets[1:] < offsets[:-1]).any():
        raise DataError(f"`offsets` must rise from 0 to {len(ids)}, the number of ids.")


def check_document(d: int, count: int) -> None:
    """Raises IndexError where there is no document `d` of `count`, from the start or the end."""
    if not -count <= d < count:
        raise IndexError(f"There are {count} documents. Got {d}.")


def check_documents(chosen: np.ndarray, count: int) -> None:
    """Raises IndexError where one of (K,) is not in 0..count-1."""
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < count):
        raise IndexError(f"Documents are 0 to {count - 1}. Got {chosen.min()} to {chosen.max()}.")


def _read_record(path: Path) -> tuple[str, int, int]:
    """Type, number of ids, number of documents. Raises ValueError, OSError."""
    descriptor, size = _strict.open_regular(path, limit=_RECORD_BYTES)
    with open(descriptor, "rb") as file:
        record = _strict.parse_json(file.read(size), max_depth=4, max_values=100)
    names = ("format", "dtype", "num_ids", "num_documents")
    if not isinstance(record, dict) or set(record) != set(names):
        raise ValueError(f"{path.name} does not hold {', '.join(names)}.")
    if record["format"] != FORMAT:
        raise ValueError(f"its format is {record['format']!r}, and this version reads {FORMAT}.")
    if record["dtype"] not in tuple(DTYPES):
        raise ValueError(f"its type is {_strict.shown(record['dtype'])}, not uint16 or int32.")
    counts = record["num_ids"], record["num_documents"]
    if not all(type(count) is int and 0 <= count < 1 << 48 for count in counts):
        raise ValueError(f"{path.name} holds no sound counts.")
    return record["dtype"], *counts


def _mapped(path: Path, dtype: np.dtype[Any], count: int) -> np.ndarray:
    """(count,) the numbers of a file, mapped. Raises ValueError, OSError."""
    descriptor, size = _strict.open_regular(path)
    with open(descriptor, "rb") as file:
        if size != count * dtype.itemsize:
            raise ValueError(f"{path.name} has {size} bytes, not {count * dtype.itemsize}.")
        if not count:  # nothing cannot be mapped
            return np.zeros(0, dtype)
        return np.memmap(file, dtype=dtype, mode="r", shape=(count,))
