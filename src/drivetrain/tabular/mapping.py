"""What maps of a table are made of: rows as its net sees them, or the categories of a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from drivetrain._registry import lookup
from drivetrain.interpret.head_inputs import Caught
from drivetrain.interpret.map_items import MapItems, of_predictions, steps
from drivetrain.interpret.text import number
from drivetrain.report.evidence import Shown
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.estimators import NetEstimator
from drivetrain.tabular.models import TabularModel
from drivetrain.train.predictions import Predictions

MOST_CELLS = 6
"""Columns that are told of a row."""
UNKNOWN = "missing or unknown"


def net_of(model: TabularModel) -> NetEstimator | None:
    """The model's net, if it is one."""
    return model.estimator if isinstance(model.estimator, NetEstimator) else None


def mapped(
    caught: Caught, found: Predictions, rows: Sequence[Shown], target: str, **known: Any
) -> MapItems:
    """The rows of a record, in its order, by what was caught while it was made.

    Args:
        known: as of `of_predictions`.
    """
    details = [
        ", ".join(f"{name} {value}" for name, value in one.cells[:MOST_CELLS]) for one in rows
    ]
    return of_predictions(caught, found, noun="rows", target=target, details=details, **known)


def categories(net: NetEstimator, data: TabularData, column: str) -> MapItems:
    """The categories of a column at their embeddings, in colours by the mean target of their rows.

    The mean is over training rows; of classes it is the share of the last one, where there are two.
    """
    columns = data.preprocess.categories
    known = {one.name: place for place, one in enumerate(columns)}
    place = lookup(known, column, what="column of categories")
    table = net.net.embeddings[place]
    assert isinstance(table, torch.nn.Embedding), "as it was made"
    vectors = table.weight.detach().to("cpu", torch.float32).numpy()
    names = (UNKNOWN, *columns[place].levels)
    frame, targets = data.part("train")
    codes = data.preprocess.codes(frame)[:, place]
    counts = np.bincount(codes, minlength=len(names))
    means, what = _means(data, codes, targets, counts)
    groups, steps_of = steps(means)
    rows = [f"{count:,} training rows" for count in counts.tolist()]
    details = [
        text if np.isnan(mean) else f"{text}, {what} {number(float(mean))}"
        for text, mean in zip(rows, means, strict=True)
    ]
    notes = [f"Colours: {what}, of the training rows of each category."] if groups else []
    unused = int((counts == 0).sum())
    if unused:
        are = "category has" if unused == 1 else "categories have"
        notes.append(
            f"{unused} {are} no training row: that vector is as it was drawn at the start."
        )
    many = "1 number" if vectors.shape[1] == 1 else f"{vectors.shape[1]} numbers"
    return MapItems(
        vectors=vectors,
        names=list(names),
        what=f"The embedding of {column}: {many} for each of its categories.",
        noun="categories",
        groups=groups,
        codes=steps_of,
        group_of=what,
        is_ordered=True,
        details=details,
        notes=notes,
    )


def _means(
    data: TabularData, codes: np.ndarray, targets: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, str]:
    """(L,) float64 of each category, NaN where there is none; and what they are."""
    if data.target.kind == "class":
        if len(data.classes) != 2:
            return np.full(len(counts), np.nan), ""
        values, what = (targets == 1).astype(np.float64), f"share of {data.classes[1]}"
    else:
        own = data.target.shown(targets)
        if own.ndim > 1:
            return np.full(len(counts), np.nan), ""
        values, what = own.astype(np.float64), f"mean {data.target.name}"
    sums = np.bincount(codes, weights=values, minlength=len(counts))
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0), what
