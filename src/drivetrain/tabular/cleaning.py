"""Rows of a table as the cleaning page shows them.

material = material_of("runs/census")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from drivetrain import store
from drivetrain.clean.patch import Patch
from drivetrain.clean.queue import Item, Material
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import DataError, RunError
from drivetrain.tabular.data import gather_again
from drivetrain.tabular.models import load
from drivetrain.tabular.patching import hashes_of, patched, words_of
from drivetrain.train.predictions import Predictions
from drivetrain.train.run import Run


def material_of(folder: store.StrPath) -> Material:
    """The training and validation rows of a run, of whatever model, with what it says of each.

    Raises: RunError: no run of a table, or its table is not the one it began with. DataError: the table
        is larger than memory, or has several targets.
    """
    record = Run.open(folder).read()
    model = load(folder)
    data = gather_again(record["data"])
    if data.fingerprint() != record.get("fingerprint"):
        raise RunError(
            f"The table {data.source} is not the one that {folder} began with. Put it back, or train "
            "anew."
        )
    if data.stream is not None or len(data.target.names) > 1:
        why = "is read batch by batch" if data.stream is not None else "has several targets"
        raise DataError(f"{data.source} {why}: its rows cannot be cleaned one by one.")
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
    said = words_of(table.column(data.target.name))
    items = []
    for at, row in enumerate(rows.tolist()):
        line = int(place[row])
        cells = tuple((n, c[line] or "") for n, c in zip(names, columns, strict=True))
        part = "valid" if at < num_valid else "train"
        items.append(Item(hashes[line], data.ids[row], said[line] or "", part, cells=cells))
    outputs = model.predict_frame(data.frame.take(rows))
    predictions = _predictions(outputs, data.targets[rows], data.classes, items)
    return Material(tuple(items), predictions, Path(str(data.source)))


def _predictions(
    outputs: np.ndarray, targets: np.ndarray, classes: tuple[str, ...], items: Sequence[Item]
) -> Predictions:
    """Probabilities as scores with their cross-entropy, or numbers with their squared error."""
    ids = [item.name for item in items]
    if not classes:
        errors = torch.from_numpy((outputs - targets) ** 2)
        return Predictions(ids, torch.from_numpy(targets), torch.from_numpy(outputs), errors)
    scores = torch.from_numpy(np.log(np.clip(outputs, 1e-12, 1.0)))
    goals = torch.from_numpy(targets)
    losses = torch.nn.functional.cross_entropy(scores, goals, reduction="none")
    return Predictions(ids, goals, scores, losses, classes)
