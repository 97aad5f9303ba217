"""The CSV of a run as a patch may change it itself; see `clean.inplace_table`.

done = inplace_table.apply(patch, source_of(Run.open("runs/census").read()))
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drivetrain.clean.inplace_table import TableSource
from drivetrain.data.tables.reading import open_table
from drivetrain.errors import DataError
from drivetrain.tabular.gathering import gather_again
from drivetrain.tabular.patching import hashes_of


def source_of(record: Mapping[str, Any]) -> TableSource:
    """The rows of training and of validation of a run's CSV, as it is now; none that are sealed.

    Args:
        record: `run.json`.

    Returns: the file, and which rows may change.
    Raises: DataError: it is not there any more, or is read batch by batch.
    """
    recipe = {name: value for name, value in record["data"].items() if name != "patch"}
    data = gather_again(recipe)
    if data.stream is not None:
        raise DataError(
            f"{data.source} is read batch by batch: its rows cannot be changed one by one. Where they "
            "fit into memory, train with: --set stream=false"
        )
    options = {name: recipe[name] for name in ("delimiter", "encoding", "missing")}
    path = Path(recipe["source"])
    opened = open_table(path, **options)
    hashes = hashes_of(opened.read(), data.target.names)
    rows = data.frame.ids[np.concatenate([data.rows["train"], data.rows["valid"]])]
    places = np.searchsorted(opened.row_ids, rows)
    return TableSource(
        path,
        data.target.names[0],
        {int(row): hashes[int(at)] for row, at in zip(rows, places, strict=True)},
        data.classes,
        targets=dict.fromkeys(data.target.names, ()) if len(data.target.names) > 1 else {},
        **options,
    )
