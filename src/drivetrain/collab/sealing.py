"""The sealed ratings: a share of the rows, held out as validation is: by chance, time, user or item."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from drivetrain.collab.measure import measure_ratings
from drivetrain.train import sealed
from drivetrain.train.sealed import Opened, Seal

if TYPE_CHECKING:
    from drivetrain.collab.data import CollabData
    from drivetrain.collab.model import CollabModel


def seal_of(data: CollabData) -> Seal | None:
    """What is known of the test part while it is closed; None where there is none.

    Events, which are no ratings, are measured by lists and not by errors: none of them are sealed.
    """
    count = data.counts()["test"]
    if not count or data.is_implicit:
        return None
    return Seal(
        count, _fingerprint(data), f"{data.recipe['test']:.4g} of the ratings, {data.split}"
    )


def opened(model: CollabModel, data: CollabData) -> Opened:
    """Measure a model on the sealed ratings: the root mean squared error first, drawn over users."""
    test = data.pairs("test")
    predicted = model.outputs(test.users, test.items)
    unknown = (test.users == 0) | (test.items == 0)

    def measured(confidence: float) -> Any:
        return measure_ratings(
            predicted, test.ratings, test.users, is_unknown=unknown, confidence=confidence
        )

    def interval(confidence: float) -> tuple[float, float] | None:
        found = measured(confidence).rmse
        ends = (found.low, found.high)
        return ends if all(map(math.isfinite, ends)) else None

    found = measured(0.95)
    values = {name: getattr(found, name).value for name in ("rmse", "mse", "mae")}
    return Opened(values, interval, len(test), _fingerprint(data))


def _fingerprint(data: CollabData) -> str:
    """Over users, items and ratings as the source names them; those whom training does not know by 0."""
    rows = data.rows("test")
    test = data.part("test")
    columns = (data.positions[rows], test.users, test.items, test.ratings)
    cells = zip(*(column.tolist() for column in columns), strict=True)
    return sealed.fingerprint(json.dumps([data.sha256, *row]) for row in cells)
