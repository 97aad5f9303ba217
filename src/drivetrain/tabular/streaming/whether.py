"""Whether a table is read batch by batch: where it would take much of the memory that is free."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from drivetrain._optional import require
from drivetrain.data.tables.csv_bytes import first_bytes
from drivetrain.errors import ConfigError
from drivetrain.train.memory import free_memory, size

SHARE = 0.25
"""Of the free memory that a table may take before it is streamed."""
GROWTH = 3
"""Bytes of memory for a byte of CSV, about: words, their codes, and the columns that are made of them."""
PACKED = 4
"""Bytes of CSV for a byte of it packed, about."""


def bytes_in_memory(path: Path) -> int:
    """About how much memory a table takes when it is read whole.

    Of a Parquet file its pages unpacked, as its metadata tell; of a CSV file `GROWTH` times its size.
    """
    start = first_bytes(path, 4)
    if start == b"PAR1":
        parquet = require("pyarrow.parquet", extra="tabular")
        meta = parquet.read_metadata(str(path))
        return sum(meta.row_group(n).total_byte_size for n in range(meta.num_row_groups))
    packed = PACKED if start[:2] == b"\x1f\x8b" or start == b"\x28\xb5\x2f\xfd" else 1
    return GROWTH * packed * os.stat(path).st_size


def why_streamed(source: Any, asked: bool | None) -> str | None:
    """Why a table is read in batches, in a sentence; None where it is read whole.

    Args:
        source: as `reading.open_table` takes it.
        asked: whether it is to be; None where that is to be found out.

    Raises: ConfigError: a table that is in memory already is to be streamed.
    """
    is_file = isinstance(source, str | os.PathLike)
    if asked and not is_file:
        raise ConfigError(
            "`stream` reads a file batch by batch, and this table is in memory already. Leave it out."
        )
    if asked is not None or not is_file:
        return "as asked" if asked else None
    path = Path(os.fspath(source)).expanduser()
    try:
        needed = bytes_in_memory(path)
    except Exception:  # noqa: BLE001 - what is wrong with the file is said where it is opened
        return None
    free = free_memory(torch.device("cpu"))
    if free is None or needed <= SHARE * free:
        return None
    return (
        f"read whole it would take about {size(needed)} of memory, more than a quarter of the "
        f"{size(free)} that are free"
    )
