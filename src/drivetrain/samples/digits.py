"""The sample `digits`: the 1,797 handwritten digits that scikit-learn ships.

The packaged table is read as a file: importing scikit-learn takes seconds and is not needed. A row is
64 values 0..16 (ink in a 4 x 4 block of the scan) and the digit; the values become grey 0..255.

Rows 0..1436 are `train`, the last 360 (a fifth) are the sealed `test`. The rows stand in the order in
which they were collected, so neighbours are often by the same hand: the nearest other digit lies 85
rows away in the median, where chance would give 538. A part drawn at random would meet hands it knows
(a nearest-neighbour classifier reaches 0.99 on it); the last fifth asks about new ones (0.96).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from drivetrain.errors import MissingPackageError
from drivetrain.samples.picture import Picture

NUM_TRAIN = 1437


def pictures() -> Iterator[Picture]:
    """The digits in the order of the table.

    Raises: MissingPackageError: scikit-learn is not installed, or came without its data.
    """
    with gzip.open(_table(), "rt", encoding="ascii") as rows:
        for number, row in enumerate(rows):
            *values, digit = (int(float(cell)) for cell in row.split(","))
            part = "train" if number < NUM_TRAIN else "test"
            grey = bytes(round(value * 255 / 16) for value in values)
            yield Picture(f"{part}/{digit}/digit-{number:04d}.png", "L", 8, 8, grey)


def _table() -> Path:
    spec = find_spec("sklearn")  # of a top-level package: finds it without importing it
    for folder in (spec and spec.submodule_search_locations) or ():
        table = Path(folder, "datasets", "data", "digits.csv.gz")
        if table.is_file():
            return table
    raise MissingPackageError(
        "The sample 'digits' is read from scikit-learn, which is not installed. "
        "Install it with: pip install 'drivetrain[samples]'."
    )
