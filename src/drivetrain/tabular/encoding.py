"""All rows of a streamed table as a net sees them, on the disk: made in one pass, read by position.

A row is a record of 32-bit words, so that a row of a shuffled batch is one place on the disk and not
several:

    2 words    its position in the source, int64
    C words    codes of the categories, int32
    D words    standardised numbers and flags, float32
    T words    the class, int32; or the numbers that are predicted, float32

The rows that train and those that validate are a file each, in the order of the source, beside a record
of what they are made of. They lie in `$XDG_CACHE_HOME/drivetrain/tables/<hash>/`, the hash being of the
source's content and of all that was learnt: whoever trains on the same again finds them there. The folder
is there whole or not at all, and may be deleted.

Memory: the system reads the pages that a batch needs (`mmap`) and this process gives them back, so that
what stays is the order of an epoch, 8 bytes a row: 0.8 GB for 100 million rows. Beyond what the system
can keep of the files in memory, a shuffled epoch is as fast as the disk answers single reads.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from drivetrain import store
from drivetrain._optional import require
from drivetrain.data.frame import Frame
from drivetrain.data.tables.reading import MOST_RECORDS
from drivetrain.errors import DataError, RunError
from drivetrain.samples.folder import cache_folder
from drivetrain.tabular.columns.kinds import parse_frame
from drivetrain.tabular.columns.parsing import Unread
from drivetrain.tabular.preprocess import Notes
from drivetrain.tabular.setting_aside import new_class, no_target
from drivetrain.tabular.streaming.batches import add_notes
from drivetrain.tabular.streaming.first import CHANGED, release, stamp_of
from drivetrain.tabular.target import Target, words_of

if TYPE_CHECKING:
    from drivetrain.tabular.data import TabularData

FORMAT = 1
RECORD = "table.json"
PARTS = ("train", "valid")
ID_WORDS = 2
KEPT = 1 << 26
"""Bytes of the files that this process may hold before it gives their pages back."""
AROUND = 1 << 16
"""Bytes that the system brings for a row that is read by itself: the pages around it."""


# --- reading -----------------------------------------------------------------------------------------


class EncodedRows:
    """The rows of a part, from the disk: a batch-first data set (`data.loaders.BatchData`).

    Args:
        path: the file.
        codes, numbers, targets: words of each in a row.
        is_class: whether the target is a class.
    Raises: DataError: the file cannot be read.
    """

    def __init__(
        self, path: Path, *, codes: int, numbers: int, targets: int, is_class: bool
    ) -> None:
        self.path = path
        self.is_class = is_class
        self._ends = np.cumsum([ID_WORDS, codes, numbers, targets]).tolist()
        self._squeezes = targets == 1
        try:
            with open(path, "rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}.") from None
        self._rows = np.frombuffer(self._map, dtype=np.int32).reshape(-1, self._ends[-1])
        self._held = 0
        self.ids: Sequence[str] = ()
        """Names of the rows."""

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes (B, C) int64, numbers (B, D) float32, targets (B,) int64, or (B,) or (B, T) float32."""
        words = self._take(indices.numpy())
        ids, codes, numbers, _ = self._ends
        targets = words[:, numbers:]
        if self._squeezes:
            targets = targets[:, 0]
        return (
            torch.from_numpy(words[:, ids:codes].astype(np.int64)),
            torch.from_numpy(np.ascontiguousarray(words[:, codes:numbers]).view(np.float32)),
            torch.from_numpy(
                targets.astype(np.int64)
                if self.is_class
                else np.ascontiguousarray(targets).view(np.float32)
            ),
        )

    @property
    def positions(self) -> Positions:
        """(N,) int64 where each row stands in the source, read when asked."""
        return Positions(self)

    def _take(self, rows: np.ndarray) -> np.ndarray:
        """(B, W) int32 the records at these places."""
        count = len(rows)
        if count and rows[-1] - rows[0] == count - 1 and (np.diff(rows) == 1).all():
            found = self._rows[rows[0] : rows[0] + count].copy()
            self._forget(found.nbytes)
            return found
        found = np.empty((count, self._ends[-1]), dtype=np.int32)
        order = np.argsort(rows)  # the disk is asked in its own order
        step = KEPT // AROUND
        for start in range(0, count, step):
            part = order[start : start + step]
            found[part] = self._rows[rows[part]]
            self._forget(AROUND * len(part))
        return found

    def _forget(self, held: int) -> None:
        """Give the pages back where they may be many; the system keeps them as long as it has room."""
        self._held += held
        if self._held >= KEPT:
            self._held = 0
            if len(self._map) > KEPT and hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED)


class Positions:
    """Where the rows of a part stand in the source; a sequence that stays on the disk."""

    def __init__(self, rows: EncodedRows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            places = np.arange(len(self))[index]
            return self._of(places)
        return self._of(np.array([range(len(self))[index]]))[0]

    def _of(self, places: np.ndarray) -> np.ndarray:
        words = np.ascontiguousarray(self._rows._take(places)[:, :ID_WORDS])
        return words.view(np.int64)[:, 0]


@dataclass(frozen=True)
class Encoded:
    """The rows of a table on the disk."""

    folder: Path
    record: Mapping[str, Any]
    """`table.json`."""

    def rows(self, part: str) -> EncodedRows:
        """Those of `train` or `valid`."""
        found = self.record
        return EncodedRows(
            self.folder / f"{part}.rows",
            codes=found["codes"],
            numbers=found["numbers"],
            targets=found["targets"],
            is_class=found["is_class"],
        )

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum((self.folder / f"{part}.rows").stat().st_size for part in PARTS)


# --- making ------------------------------------------------------------------------------------------


def encoded(data: TabularData) -> Encoded:
    """The rows of a streamed table as its net sees them, made where they are not there yet.

    Raises: DataError: the table cannot be read, or is another than it was. StorageError: the disk
        refused.
    """
    stream = data.stream
    assert stream is not None, "asked of a streamed table"
    made = _made_of(data)
    key = hashlib.sha256(store.json_bytes(made)).hexdigest()
    known = stream.encoded.get(key)
    folder = cache_folder().parent / "tables" / key[:32] if known is None else known.folder
    found = _opened(folder, key)  # also where it was made before: it may be deleted at any time
    if found is None:
        _remove_older(folder.parent, os.path.abspath(data.source), data.report.sha256)
        with store.new_folder(folder) as temporary:
            _write(temporary, data, key)
        found = _opened(folder, key)
        if found is None:
            raise DataError(f"{folder} was changed while it was made. Begin again.")
    stream.encoded[key] = found
    return found


def _made_of(data: TabularData) -> dict[str, Any]:
    """All that decides what is written."""
    assert data.stream is not None, "asked of a streamed table"
    report = data.report
    return {
        "format": FORMAT,
        "byteorder": sys.byteorder,
        "sha256": report.sha256,
        "delimiter": report.delimiter,
        "encoding": report.encoding,
        "rule": data.stream.rule.to_json(),
        "reader": data.reader.to_json(),
        "preprocess": data.preprocess.to_json(),
        "target": data.target.to_json(),
    }


def _opened(folder: Path, key: str) -> Encoded | None:
    """The rows in a folder, if they are those that the key is of, and whole."""
    try:
        record = store.read_json(folder / RECORD)
        if record["key"] != key:
            return None
        width = ID_WORDS + record["codes"] + record["numbers"] + record["targets"]
        for part in PARTS:
            if (folder / f"{part}.rows").stat().st_size != 4 * width * record["items"][part]:
                return None
    except (RunError, OSError, KeyError, TypeError):
        return None
    return Encoded(folder, record)


def _write(folder: Path, data: TabularData, key: str) -> None:
    """Pass over all rows once, and write them."""
    pa = require("pyarrow", extra="tabular")
    stream, target = data.stream, data.target
    assert stream is not None, "asked of a streamed table"
    source = stream.opened.only(stream.names)
    wanted = list(dict.fromkeys([*data.reader.features, *target.names]))
    unread, notes, pass_ = Unread(), Notes(), _Pass(target.num_outputs, target.kind == "class")
    with (
        store.streamed(folder / "train.rows") as train,
        store.streamed(folder / "valid.rows") as valid,
    ):
        for ids, piece in source.numbered_batches():
            table = pa.Table.from_batches([piece])
            frame, _ = parse_frame(table, data.schema, names=wanted, row_ids=ids, unread=unread)
            targets = target.values(frame)
            kept = pass_.known(targets, frame, target, ids)
            validates = stream.rule.validates(ids, table, data.schema)
            seen = Notes()
            used = data.reader.expand(frame.select(data.reader.features)).take(kept)
            codes, numbers = data.preprocess.net_inputs(used, seen)
            seen.outside = {}  # of the sample's range: of training rows too some are
            add_notes(notes, seen)
            words = _words(ids[kept], codes, numbers, targets[kept], target.kind == "class")
            is_valid = validates[kept]
            for part, chosen in ((train, ~is_valid), (valid, is_valid)):
                if chosen.any():  # a batch may be of one part alone: by time most are
                    part.write(words[chosen])
            pass_.count(is_valid, targets[kept])
            if stream.report is not None:
                stream.report("rows written", pass_.rows, stream.first.rows)
    release()
    if pass_.rows != stream.first.rows or stamp_of(stream.opened) != stream.first.stamp:
        raise DataError(CHANGED.format(source=data.source))
    if not min(pass_.items.values()):
        empty = min(pass_.items, key=pass_.items.__getitem__)
        raise DataError(f"{data.source} has no row for '{empty}'. Split otherwise.")
    store.write_json(
        folder / RECORD,
        {
            "key": key,
            "source": os.path.abspath(data.source),
            "sha256": data.report.sha256,
            "items": pass_.items,
            "codes": len(data.preprocess.categories),
            "numbers": data.preprocess.num_net_numbers,
            "targets": 1 if target.kind == "class" else len(target.names),
            "is_class": target.kind == "class",
            "low": pass_.low.tolist(),
            "high": pass_.high.tolist(),
            "no_target": pass_.num_without,
            "new_class": pass_.num_new,
            "set_aside": [
                *(no_target(place, target.names).to_json() for place in pass_.without),
                *(new_class(place, target.name).to_json() for place in pass_.new),
            ],
            "notes": [*unread.sentences(), *notes.sentences()],
        },
    )


class _Pass:
    """What is counted while rows are written."""

    def __init__(self, num_outputs: int, is_class: bool) -> None:
        self.rows = 0
        self.items = dict.fromkeys(PARTS, 0)
        self.without: list[int] = []
        self.num_without = 0
        self.new: list[int] = []
        """Rows of a class that no training row has."""
        self.num_new = 0
        wide = 0 if is_class else num_outputs
        self.low, self.high = np.full(wide, np.inf), np.full(wide, -np.inf)
        """Of the training targets, where they are numbers."""

    def known(
        self, targets: np.ndarray, frame: Frame, target: Target, ids: np.ndarray
    ) -> np.ndarray:
        """(N,) bool: rows whose target can be learnt; the others are recorded."""
        self.rows += len(ids)
        if target.kind == "class":
            is_known = targets >= 0
            gone = words_of(frame, target.names[0]).codes < 0
        else:
            gone = np.asarray(np.isnan(targets).reshape(len(ids), -1).any(axis=1))
            is_known = ~gone
        new = ~is_known & ~gone
        self.num_without += int(gone.sum())
        self.num_new += int(new.sum())
        self.without += ids[gone][: MOST_RECORDS - len(self.without)].tolist()
        self.new += ids[new][: MOST_RECORDS - len(self.new)].tolist()
        return is_known

    def count(self, is_valid: np.ndarray, targets: np.ndarray) -> None:
        self.items["valid"] += int(is_valid.sum())
        self.items["train"] += int((~is_valid).sum())
        if len(self.low) and not is_valid.all():
            of_training = targets[~is_valid].reshape(-1, len(self.low))
            self.low = np.minimum(self.low, of_training.min(axis=0))
            self.high = np.maximum(self.high, of_training.max(axis=0))


def _words(
    ids: np.ndarray, codes: np.ndarray, numbers: np.ndarray, targets: np.ndarray, is_class: bool
) -> np.ndarray:
    """(N, W) int32 records; see the module."""
    count = len(ids)
    kept = targets.reshape(count, 1 if targets.ndim == 1 else targets.shape[1])
    parts = [
        np.ascontiguousarray(ids, dtype=np.int64).view(np.int32).reshape(count, ID_WORDS),
        codes.astype(np.int32),
        np.ascontiguousarray(numbers).view(np.int32),
        kept.astype(np.int32) if is_class else kept.astype(np.float32).view(np.int32),
    ]
    return np.concatenate(parts, axis=1)


def _remove_older(folder: Path, source: str, sha256: str) -> None:
    """Remove the rows of what a file held before: nobody can ask for them again."""
    for path in folder.glob(f"*/{RECORD}"):
        try:
            record = store.read_json(path)
            is_older = record["source"] == source and record["sha256"] != sha256
        except (RunError, KeyError, TypeError):
            continue
        if is_older:
            shutil.rmtree(path.parent, ignore_errors=True)
