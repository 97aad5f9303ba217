"""Rows of a table as the cleaning page shows them.

pool = pool_of("runs/census")
pool.material.items[:3]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from drivetrain import store
from drivetrain.clean.patch import Patch
from drivetrain.clean.queue import Item, Material
from drivetrain.clean.targets import Targets
from drivetrain.data.frame import Frame
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import DataError, RunError
from drivetrain.tabular.columns.kinds import parse_frame
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.gathering import gather_again
from drivetrain.tabular.models import load
from drivetrain.tabular.patching import hashes_of, patched, words_of
from drivetrain.train.predictions import Predictions
from drivetrain.train.run import Run


@dataclass(frozen=True)
class TablePool:
    """The rows of a run that can be cleaned, and what they were read from."""

    data: TabularData
    rows: np.ndarray
    """(N,) int64, of `data.frame`: those that validate, then those of train."""
    every: Frame
    """(N rows) all columns of the table but the target, those that no model sees too."""
    material: Material


def material_of(folder: store.StrPath) -> Material:
    """The training and validation rows of a run, and what its model, whatever it is, says of each.

    Raises: as `pool_of`.
    """
    return pool_of(folder).material


def pool_of(folder: store.StrPath) -> TablePool:
    """The training and validation rows of a run, read again.

    Several numbers that are predicted together are a target each.
    Raises: RunError: no run of a table, or its table is not the one it began with. DataError: the table
        is larger than memory.
    """
    record = Run.open(folder).read()
    data = gather_again(record["data"])
    if data.fingerprint() != record.get("fingerprint"):
        raise RunError(
            f"The table {data.source} is not the one that {folder} began with. Put it back, or train "
            "anew."
        )
    if data.stream is not None:
        raise DataError(
            f"{data.source} is read batch by batch: its rows cannot be cleaned one by one. Where they "
            "fit into memory, train with: --set stream=false"
        )
    options = {name: record["data"].get(name) for name in ("delimiter", "encoding", "missing")}
    opened = open_table(record["data"]["source"], **options)
    table, ids = opened.read(), opened.row_ids
    if "patch" in record["data"]:  # a run that was trained with one is cleaned further
        changes = Patch.from_json(record["data"]["patch"])
        table, ids, _ = patched(table, ids, data.target.names, changes)
    place = np.searchsorted(ids, data.frame.ids)
    hashes = hashes_of(table, data.target.names)
    rows = np.concatenate([data.rows["valid"], data.rows["train"]])
    num_valid = len(data.rows["valid"])
    names = [name for name in table.column_names if name not in data.target.names]
    columns = [words_of(table.column(name)) for name in names]
    said = [words_of(table.column(name)) for name in data.target.names]
    items, labels = [], []
    for at, row in enumerate(rows.tolist()):
        line = int(place[row])
        cells = tuple((n, c[line] or "") for n, c in zip(names, columns, strict=True))
        part = "valid" if at < num_valid else "train"
        own = tuple(words[line] or "" for words in said)
        items.append(Item(hashes[line], data.ids[row], own[0], part, cells=cells))
        labels.append(own)

    def ask() -> Predictions:
        outputs = load(folder).predict_frame(data.frame.take(rows))
        return predictions_of(outputs, data, rows, [item.name for item in items])

    targets = torch.from_numpy(shown_targets(data)[rows])
    several = None
    if len(data.target.names) > 1:
        several = Targets(data.target.names, ((),) * len(data.target.names), tuple(labels))
    material = Material(
        tuple(items), targets, data.classes, ask, Path(str(data.source)), several=several
    )
    every, _ = parse_frame(table, data.schema, names=names, row_ids=ids)
    return TablePool(data, rows, every.take(place[rows]), material)


def shown_targets(data: TabularData) -> np.ndarray:
    """(N,) int64 classes, or float64 numbers in the unit of the table, not their logarithm."""
    return data.target.shown(data.targets)


def predictions_of(
    outputs: np.ndarray, data: TabularData, rows: np.ndarray, ids: Sequence[str]
) -> Predictions:
    """Probabilities as scores with their cross-entropy, or numbers with their squared error; of several
    the mean of theirs."""
    goals = torch.from_numpy(shown_targets(data)[rows])
    if not data.classes:
        said = torch.from_numpy(outputs)
        losses = ((said - goals) ** 2).reshape(len(goals), -1).mean(dim=1)
        return Predictions(ids, goals, said, losses)
    scores = torch.from_numpy(np.log(np.clip(outputs, 1e-12, 1.0)))
    losses = torch.nn.functional.cross_entropy(scores, goals, reduction="none")
    return Predictions(ids, goals, scores, losses, data.classes)
