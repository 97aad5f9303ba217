"""What becomes of one row on its way to a model: found, labelled, split, coded, filled and scaled."""

from __future__ import annotations

import numpy as np

from drivetrain.data.frame import Factor, Values
from drivetrain.data.steps import Step, Steps, place_of, split_reason
from drivetrain.tabular.data import TabularData


def steps(data: TabularData, item: int | str = 0) -> Steps:
    """Each step of one row, with its value: the cells, the target, the part, the model's input.

    Args:
        data: the table.
        item: its place among the rows that are used, or its id.

    Returns: the steps; print them. Sealed rows are not among those that are used.
    Raises: ConfigError, UnknownNameError: there is no such row.
    """
    at = place_of(item, list(data.ids) if isinstance(item, str) else data.ids, what="rows")
    part = next(name for name, rows in data.rows.items() if at in rows)
    row = data.frame.take(np.array([at]))
    cells = {name: _cell(row[name]) for name in data.preprocess.columns}
    codes, numbers = data.preprocess.net_inputs(row)
    found = (
        Step("item", data.ids[at], data.task.found_by),
        Step("cells", cells, "the columns that models see, dates taken apart"),
        Step("label", data.targets[at], f"{data.task.labelled_by}: {data.target.kind}"),
        Step("part", part, split_reason(data)),
        Step("codes", codes[0], "of the categories, 0 for what is missing or unseen"),
        Step("numbers", numbers[0], "gaps filled, scaled; then flags of what was missing"),
        Step("design", data.preprocess.design(row)[0], "what trees see"),
        Step("input", (codes.shape, numbers.shape), "what a net is given: a batch of one"),
    )
    return Steps(data.ids[at], found)


def _cell(values: Values) -> str:
    """The one value of a column as a word; `-` where there is none."""
    said = values.values()[0] if isinstance(values, Factor) else values[0]
    if said is None or said != said:  # NaN, NaT
        return "-"
    return f"{said:.6g}" if isinstance(said, float) else str(said)
