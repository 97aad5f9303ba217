"""Rows that cannot be learnt from, set aside by name: without a target, or of a class training lacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivetrain.data.frame import Factor, Frame
from drivetrain.data.items import Quarantined
from drivetrain.data.split import Split
from drivetrain.errors import DataError
from drivetrain.tabular.target import Target


def with_target(frame: Frame, names: Sequence[str], quarantined: list[Quarantined]) -> Frame:
    """The rows that have a target; the others are set aside by name."""
    is_missing = np.zeros(len(frame), dtype=bool)
    for name in names:
        values = frame[name]
        if isinstance(values, Factor):
            is_missing |= values.codes < 0
        elif values.dtype.kind == "f":
            is_missing |= np.isnan(values)
    if not is_missing.any() or is_missing.all():  # all missing is said by the target's own check
        return frame
    quarantined += [no_target(position, names) for position in frame.ids[is_missing].tolist()]
    return frame.take(~is_missing)


def without_new_classes(
    frame: Frame,
    split: Split,
    targets: np.ndarray,
    target: Target,
    quarantined: list[Quarantined],
) -> tuple[Frame, Split, np.ndarray]:
    """Leave out validation rows of a class that training does not have: no model can name it."""
    keep = targets >= 0
    quarantined += [new_class(position, target.name) for position in frame.ids[~keep].tolist()]
    place = np.cumsum(keep) - 1
    parts = {}
    for part in ("train", "valid", "test"):
        rows = np.array(getattr(split, part), dtype=np.int64)
        parts[part] = tuple(place[rows[keep[rows]]].tolist())
    if not parts["valid"]:
        raise DataError(
            f"No validation row has a class of '{target.name}' that training has. Split otherwise."
        )
    return frame.take(keep), Split(**parts, method=split.method), targets[keep]


def no_target(position: int, target: Sequence[str]) -> Quarantined:
    """The record of a row that has no target."""
    what = " and ".join(f"'{name}'" for name in target)
    return Quarantined(f"row {position + 1}", "no-target", f"The target {what} is missing.")


def new_class(position: int, target: str) -> Quarantined:
    """The record of a row of a class that no training row has."""
    detail = f"No training row has this class of '{target}'."
    return Quarantined(f"row {position + 1}", "class-not-in-training", detail)
