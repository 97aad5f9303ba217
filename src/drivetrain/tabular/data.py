"""A table that is read, split and preprocessed: what models, nets and reports ask of it.

It is made by `tabular.gathering`. A table larger than memory (`stream`) is a sample of its rows here, and
its loaders read all of them from the disk (`tabular.encoding`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.data.frame import Frame
from drivetrain.data.items import Quarantined
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.data.split import Split, group_split, random_split, stratified_codes, time_split
from drivetrain.data.tables.reading import ReadReport
from drivetrain.data.task import Task
from drivetrain.tabular.columns.kinds import Schema
from drivetrain.tabular.encoding import Positions, encoded
from drivetrain.tabular.preprocess import Preprocess
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.sealing import SealedRows
from drivetrain.tabular.streaming.streamed import Streamed
from drivetrain.tabular.target import Target
from drivetrain.train.choice import Choices
from drivetrain.train.memory import size
from drivetrain.train.sealed import Seal

USED = ("number", "category", "date")
"""Kinds of columns that models see."""


class RowIds(Sequence[str]):
    """Names of rows, made when asked: `row 1` is the first after the header."""

    def __init__(self, positions: np.ndarray | Positions) -> None:
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [f"row {n + 1}" for n in self.positions[index].tolist()]
        return f"row {int(self.positions[index]) + 1}"


class RowData(TensorData):
    """Rows as tensors, which know their names."""

    def __init__(self, *tensors: Tensor, ids: Sequence[str]) -> None:
        super().__init__(*tensors)
        self.ids = ids


@dataclass
class TabularData:
    """The table with its split, and what was learnt of its training rows."""

    source: str
    """Where it came from: a path, or `a data frame`."""
    recipe: dict[str, Any]
    """How it was made, plain JSON: `gather_again` makes it anew from a file."""
    report: ReadReport
    """What reading found and repaired."""
    schema: Schema
    """Kinds of all columns, with reasons."""
    reader: Reader
    """Brings other rows into the same columns."""
    frame: Frame
    """The rows that are used; columns that models see, dates expanded."""
    target: Target
    """What is predicted, and how it is coded."""
    targets: np.ndarray
    """(N,) int64 classes or float64 numbers; (N, T) float64 for several numbers."""
    split: Split
    """Positions of each part."""
    preprocess: Preprocess
    """Learnt on the training rows."""
    quarantined: list[Quarantined]
    """Rows that were set aside, with the reason."""
    notes: list[str]
    """Sentences on what was found."""
    seed: int
    """Of the split."""
    choices: Choices = field(default_factory=Choices)
    """What was chosen, with reasons."""
    times: np.ndarray | None = None
    """(N,) by which rows are split in time; None where they are not."""
    groups: np.ndarray | None = None
    """(N,) int64, the group of each row; None where rows are not split by group."""
    stream: Streamed | None = None
    """Of a table larger than memory, how all its rows are read: then `frame` and all that goes with it
    is a sample of them, and `loaders` gives all. None for a table that is in memory."""
    sealed: SealedRows | None = field(default=None, repr=False)
    """Rows that stand in no part here, and wait for a test; None where nothing was sealed."""

    @property
    def seal(self) -> Seal | None:
        """What is known of the sealed rows while they are closed; None where there are none."""
        return None if self.sealed is None else self.sealed.seal

    def inner_split(self, *, seed: int, valid: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
        """The training rows split once more, in the manner of the split.

        Args:
            seed: of the draw.
            valid: share to look at.

        Returns: positions within the training part: to fit on, and to look at while fitting.
        """
        rows = self.rows["train"]
        if self.times is not None and self._has_all_classes_early(rows, valid):
            found = time_split(self.times[rows], valid=valid)
        elif self.groups is not None:
            found = group_split(self.groups[rows], valid=valid, seed=seed)
        elif self.target.kind == "class":
            found = stratified_codes(self.targets[rows], valid=valid, seed=seed)
        else:
            found = random_split(len(rows), valid=valid, seed=seed)
        return np.array(found.train, dtype=np.int64), np.array(found.valid, dtype=np.int64)

    def _has_all_classes_early(self, rows: np.ndarray, valid: float) -> bool:
        """Whether the earlier part of a split by time has rows of every class."""
        assert self.times is not None, "asked of a table that is split by time"
        if self.target.kind != "class":
            return True
        early = time_split(self.times[rows], valid=valid).train
        seen = np.unique(self.targets[rows[np.array(early, dtype=np.int64)]])
        return len(seen) == len(self.target.classes)

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Positions in `frame` of each part's rows, by part."""
        parts = {"train": self.split.train, "valid": self.split.valid, "test": self.split.test}
        return {name: np.array(rows, dtype=np.int64) for name, rows in parts.items()}

    def part(self, name: str) -> tuple[Frame, np.ndarray]:
        """Frame and targets of `train` or `valid`.

        Args:
            name: of the part.
        """
        rows = self.rows[name]
        return self.frame.take(rows), self.targets[rows]

    @cached_property
    def ids(self) -> RowIds:
        """Names of the rows of `frame`."""
        return RowIds(self.frame.ids)

    def tensors(self, part: str) -> tuple[Tensor, Tensor, Tensor]:
        """What a net sees of a part: codes (N, C) int64, numbers (N, D) float32, targets."""
        frame, targets = self.part(part)
        codes, numbers = self.preprocess.net_inputs(frame)
        kept = targets if self.target.kind == "class" else targets.astype(np.float32)
        return torch.from_numpy(codes), torch.from_numpy(numbers), torch.from_numpy(kept)

    def loaders(self, *, batch_size: int = 64) -> Loaders:
        """Batches (codes, numbers, targets): training rows shuffled anew each epoch, then validation.

        Args:
            batch_size: rows a batch.
        """
        made: Mapping[str, Any]
        if self.stream is not None:
            made = self._encoded_rows()
        else:
            made = {
                part: RowData(*self.tensors(part), ids=RowIds(self.frame.ids[self.rows[part]]))
                for part in ("train", "valid")
            }
        return Loaders(
            # a batch of one row has no spread, which batchnorm needs in training
            BatchLoader(
                made["train"], batch_size=batch_size, shuffle=True, min_batch=2, seed=self.seed
            ),
            BatchLoader(made["valid"], batch_size=max(batch_size, 1024)),
        )

    def _encoded_rows(self) -> dict[str, Any]:
        """All rows of each part, from the disk; what writing them found is told with the table."""
        stream = self.stream
        assert stream is not None, "asked of a streamed table"
        found = encoded(self)
        told = found.record
        stream.counts |= told["items"]
        stream.counts["quarantined"] = (
            stream.opened.num_set_aside + told["no_target"] + told["new_class"]
        )
        self.quarantined[:] = [
            *self.report.quarantined,
            *(Quarantined(**entry) for entry in told["set_aside"]),
        ]
        self.notes[:] = [note for note in self.notes if note not in stream.notes]
        stream.notes = told["notes"]
        self.notes += stream.notes
        self.choices.add(
            "rows_on_disk",
            str(found.folder),
            reason=f"all rows as the net sees them, {size(found.bytes)}: used again by whoever trains on "
            "the same, and made anew where they are not there",
            change="XDG_CACHE_HOME=FOLDER",
        )
        rows = {part: found.rows(part) for part in ("train", "valid")}
        for one in rows.values():
            one.ids = RowIds(one.positions)
        return rows

    def target_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest of the training targets, (T,) each; of numbers."""
        if self.stream is not None:
            told = encoded(self).record
            return np.array(told["low"]), np.array(told["high"])
        _, targets = self.part("train")
        columns = targets.reshape(len(targets), -1)
        return columns.min(axis=0), columns.max(axis=0)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores; empty for numbers."""
        return self.target.classes

    def split_record(self) -> dict[str, Any]:
        """The split by names of rows; of a streamed table that of the sample, and the rule for all."""
        record = self.split.to_json(self.ids)
        if self.stream is not None:
            record |= {"of": "a sample", "rule": self.stream.rule.to_json()}
        if self.sealed is not None:
            own = self.sealed.path
            record |= {"test": list(RowIds(self.sealed.ids))} if own is None else {"test_file": own}
        return record

    def counts(self) -> dict[str, int]:
        """Rows of each part, and those set aside; of a streamed table also those of the sample."""
        if self.stream is not None:
            sampled = {f"sample_{part}": len(self.rows[part]) for part in ("train", "valid")}
            apart = {} if self.sealed is None else {"test": self.sealed.seal.count}
            return {**self.stream.counts, **apart, **sampled}
        return {
            "train": len(self.split.train),
            "valid": len(self.split.valid),
            "test": len(self.split.test) if self.sealed is None else self.sealed.seal.count,
            "quarantined": len(self.quarantined),
        }

    def fingerprint(self) -> str:
        """SHA-256 over the source's content and how it was split."""
        split = hashlib.sha256(self.rows["train"].tobytes() + self.rows["valid"].tobytes())
        apart = [] if self.sealed is None else [self.sealed.seal.fingerprint]
        patch = self.recipe.get("patch")
        changed = [] if patch is None else [json.dumps(patch, sort_keys=True)]
        known = json.dumps([self.report.sha256, split.hexdigest(), *apart, *changed])
        return hashlib.sha256(known.encode()).hexdigest()

    @property
    def task(self) -> Task:
        """The problem, as a record."""
        return Task(
            application="tabular",
            inputs="row",
            target=self.target.kind,
            classes=self.target.classes,
            source=self.source,
            found_by="the rows of a table",
            labelled_by=f"the column {self.target.name}",
            split_by=self.split.method,
        )

    def __str__(self) -> str:
        counts = self.counts()
        return (
            f"{self.source}: {counts['train'] + counts['valid']:,} rows; {counts['train']:,} train, "
            f"{counts['valid']:,} validate"
            + (f", {counts['test']:,} sealed for a test" if counts["test"] else "")
            + f".\n{self.schema}"
        )
