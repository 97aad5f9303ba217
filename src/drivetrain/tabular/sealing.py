"""The sealed rows of a table: taken out before anything is inferred, put back for a test alone.

A share is drawn as validation is, by class, time or group, from the table as it was read. What stays is
then treated as if the sealed rows had never stood in the file: kinds, levels, fill values, scales,
vocabularies and baselines cannot depend on them. A model trained so has the weights of one that was
trained on a file without them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from drivetrain import metrics
from drivetrain._optional import require
from drivetrain.data.split import Split
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import ConfigError, DataError
from drivetrain.train import sealed
from drivetrain.train.sealed import Opened, Seal


@dataclass
class SealedRows:
    """Rows that wait for a test, as they were read."""

    table: Any
    """An Arrow table of the sealed rows alone."""
    ids: np.ndarray
    """(N,) int64, where each stood in its source, counted from 0."""
    seal: Seal
    path: str | None = None
    """The file they are of, where they have one of their own."""


def check_test(test: Any, valid: Any, *, is_streamed: bool) -> None:
    """Raises: ConfigError: rows cannot be sealed so."""
    if isinstance(test, str | os.PathLike):
        return
    if isinstance(test, bool) or not isinstance(test, int | float) or not 0 < test < 1:
        raise ConfigError(
            f"`test` is a share of the rows, between 0 and 1, or a file of its own. Got {test!r}."
        )
    if isinstance(valid, Sequence) and not isinstance(valid, str):
        raise ConfigError(
            "`valid` names the rows that validate, so `test` cannot draw among them. Give the test rows "
            "as a file of their own: test='test.csv'."
        )
    if is_streamed:
        raise ConfigError(
            "A table that is streamed has no rows to draw a test part from. Give it as a file of its "
            "own: test='test.csv'."
        )


def seal_file(path: str, names: Sequence[str], **options: Any) -> SealedRows:
    """The rows of a file of their own.

    Raises: DataError: it cannot be read, or has not the target.
    """
    opened = open_table(path, **options)
    gone = [name for name in names if name not in opened.names]
    if gone:
        raise DataError(
            f"{path} has no column '{gone[0]}', the target: nothing could be tested on it."
        )
    table = opened.read()
    how = f"the file {os.path.basename(path)}"
    return SealedRows(table, opened.row_ids, Seal(len(table), _fingerprint(table), how), path)


def seal_share(
    table: Any, ids: np.ndarray, split: Split, chosen: np.ndarray, share: float
) -> tuple[SealedRows, Any, np.ndarray]:
    """Take rows out of a table.

    Args:
        table: an Arrow table.
        ids: (N,) where its rows stand in the source.
        split: how they were drawn.
        chosen: the ids of those that are sealed.

    Returns: the sealed rows, the table without them, and the ids of its rows.
    """
    pa = require("pyarrow", extra="tabular")
    mask = np.isin(ids, chosen)
    apart, rest = table.filter(pa.array(mask)), table.filter(pa.array(~mask))
    how = f"{share:.4g} of the rows, {split.method}"
    found = SealedRows(apart, ids[mask], Seal(len(apart), _fingerprint(apart), how))
    return found, rest, ids[~mask]


def measured(
    found: Sequence[Any], preds: torch.Tensor, true: torch.Tensor, table: Any, left_out: int
) -> Opened:
    """What metrics say, with the interval of the first at any confidence."""
    values = {}
    for one in found:
        one.update(preds, true)
        values[one.name] = float(one.compute())

    def interval(confidence: float) -> Any:
        return metrics.interval_of(found[0], confidence)

    return Opened(values, interval, len(true), _fingerprint(table), left_out)


def _fingerprint(table: Any) -> str:
    """Over the rows' cells as JSON."""
    rows: list[Mapping[str, Any]] = table.to_pylist()
    return sealed.fingerprint(json.dumps(row, sort_keys=True, default=str) for row in rows)
