"""How training went: each epoch's true mean beside the smoothed loss of its batches, and the rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drivetrain.errors import DrivetrainError
from drivetrain.interpret.text import number
from drivetrain.optim.schedules import PER_GROUP, of_record
from drivetrain.report.charts import Line, legend, line_chart
from drivetrain.report.html import Block, Section, charted, table
from drivetrain.report.record import Record, called

SMOOTHING = 0.9
"""Weight of what was before in the smoothed loss, a piece of an epoch."""
POINTS = 120
"""Of the curve of the learning rate, a stage."""
MOST_METRICS = 3
_OWN = ("epoch", "train_loss", "valid_loss", "seconds", "crc32")


def training(record: Record) -> Section | None:
    """The section; None where nothing was trained in epochs."""
    rows = [row for row in record.epochs if _number(row.get("train_loss")) is not None]
    if not rows:
        return None
    blocks = [_losses(record, rows), *_metrics(rows), *_rates(record)]
    lead = (
        "The training loss of an epoch is the true mean over all its items, measured while the weights "
        "still move; it stands at the epoch's middle. The validation loss is measured at its end."
    )
    return Section("training", "Training", blocks, lead)


def smoothed(record: Record) -> tuple[list[float], list[float | None]]:
    """Places in epochs and a debiased moving average of the batches' losses, over all epochs."""
    x: list[float] = []
    y: list[float | None] = []
    average = weight = 0.0
    for epoch in sorted(record.batches):
        pieces = record.batches[epoch]
        for place, loss in enumerate(pieces):
            x.append(epoch + (place + 0.5) / len(pieces))
            if loss is None:
                y.append(None)
                continue
            average = SMOOTHING * average + (1 - SMOOTHING) * loss
            weight = SMOOTHING * weight + (1 - SMOOTHING)
            y.append(average / weight)
    return x, y


def _losses(record: Record, rows: Sequence[Mapping[str, Any]]) -> Block:
    epochs = [int(row["epoch"]) for row in rows]
    train = [_number(row.get("train_loss")) for row in rows]
    valid = [_number(row.get("valid_loss")) for row in rows]
    lines = [Line("training, mean of the epoch", [e + 0.5 for e in epochs], train, "c0", dots=True)]
    if any(value is not None for value in valid):
        lines.append(Line("validation", [e + 1 for e in epochs], valid, "c1", dots=True))
    x, y = smoothed(record)
    known = [value for value in y if value is not None]
    if known:
        lines.insert(0, Line("training, batches smoothed", x, y, "c5"))
    means = [v for v in (*train, *valid) if v is not None]
    top = max([*means, float(np.quantile(known, 0.98))] if known else means)
    low = min([*means, *known])
    chart = line_chart(
        "Loss by epoch", lines, below="epochs", y_from=min(0.0, low) if low < 0.5 * top else None,
        y_to=top, x_from=0.0,
    )  # fmt: skip
    heads = ["epoch", "training", "validation", "seconds"]
    rows_of = [
        [e + 1, number(t), number(v), _seconds(row.get("seconds"))]
        for e, t, v, row in zip(epochs, train, valid, rows, strict=True)
    ]
    more = ""
    if known:
        cells = [[f"{a:.2f}", number(b)] for a, b in zip(x, y, strict=True)]
        more = table(["epoch", "batches smoothed"], cells, most=400)
    inside = charted(chart, heads, rows_of, before=legend(lines), more=more)
    if not known:
        inside += "<p class='quiet'>The losses of the batches were not kept in this run.</p>"
    return Block("Loss", inside)


def _metrics(rows: Sequence[Mapping[str, Any]]) -> list[Block]:
    names = [name for name in dict.fromkeys(k for row in rows for k in row) if name not in _OWN]
    told = [n for n in names if any(_number(row.get(n)) is not None for row in rows)]
    for name in [one for one in told if one == "error_rate" or one.endswith(" error_rate")]:
        if name.removesuffix("error_rate") + "accuracy" in told:
            told.remove(name)  # the same line upside down
    targets = sum(name.endswith(" accuracy") for name in told)
    blocks = []
    for name in told[: max(MOST_METRICS, targets)]:
        x = [int(row["epoch"]) + 1 for row in rows]
        y = [_number(row.get(name)) for row in rows]
        title = called(name)
        line = Line(title, x, y, "c2", dots=True)
        chart = line_chart(
            f"{title} on the validation items by epoch", [line], below="epochs", x_from=0.0
        )
        cells = [[e, number(value)] for e, value in zip(x, y, strict=True)]
        blocks.append(Block(f"Validation: {title}", charted(chart, ["epoch", title], cells)))
    return blocks


def rates(stages: Any, steps_an_epoch: float) -> list[tuple[list[float], list[list[float]]]]:
    """For each stage of a journal that trained: places in epochs, and the rate of each layer group there.

    The rate of a group that is frozen is 0. A stage whose schedule cannot be read is left out.
    """
    found = []
    frozen = 0
    for stage in stages if isinstance(stages, list) else []:
        try:
            if stage["kind"] == "freeze":
                frozen = int(stage["frozen_groups"])
            if stage["kind"] != "fit" or not stage["steps_done"]:
                continue
            record, lrs = stage["schedule"], [float(lr) for lr in stage["lrs"]]
            done = stage["steps_done"] / max(stage["epochs"] * steps_an_epoch, 1)
            at = np.linspace(0, min(done, 1.0), POINTS)
            many = record["schedules"] if record["name"] == PER_GROUP else [record] * len(lrs)
            curves = [
                [lr * of_record(one)(p) if group >= frozen else 0.0 for p in at.tolist()]
                for group, (lr, one) in enumerate(zip(lrs, many, strict=True))
            ]
            x = (stage["first_epoch"] + at * stage["epochs"]).tolist()
        except (KeyError, TypeError, ValueError, DrivetrainError):
            continue
        found.append((x, curves))
    return found


def _rates(record: Record) -> list[Block]:
    journal = record.value.get("journal")
    stages = journal if isinstance(journal, list) else []
    steps = sum(s.get("steps_done", 0) for s in stages if isinstance(s, dict))
    epochs = sum(s.get("epochs_done", 0) for s in stages if isinstance(s, dict))
    if not steps or not epochs:
        return []
    found = rates(stages, steps / epochs)
    if not found:
        return []
    lines: list[Line] = []
    many = max(len(curves) for _, curves in found)
    for group in range(many):
        x: list[float] = []
        y: list[float | None] = []
        for place, curves in found:
            if group < len(curves):
                x += [*place, place[-1]]
                y += [*curves[group], None]
        lines.append(
            Line(f"layer group {group + 1}" if many > 1 else "rate", x, y, f"c{group % 5}")
        )
    if all(line.y == lines[0].y for line in lines):
        lines = [Line("rate of all layers", lines[0].x, lines[0].y, "c0")]
    chart = line_chart("Learning rate by epoch", lines, below="epochs", y_from=0.0)
    x0 = lines[0].x
    heads = ["epoch", *(line.name for line in lines)]
    cells = [
        [f"{x0[i]:.2f}", *(f"{line.y[i]:.3g}" if line.y[i] is not None else "" for line in lines)]
        for i in range(0, len(x0), 6)
        if all(i < len(line.y) for line in lines)
    ]
    key = legend(lines) if len(lines) > 1 else ""
    return [Block("Learning rate", key + charted(chart, heads, cells))]


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and np.isfinite(value) else None


def _seconds(value: Any) -> str:
    found = _number(value)
    return "-" if found is None else f"{found:.2f}"
