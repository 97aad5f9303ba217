"""Where the model errs: classes taken for each other, promises not kept, the worst items, weak slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from drivetrain.errors import DrivetrainError
from drivetrain.interpret.mistakes import Confusion, confusion
from drivetrain.interpret.outcomes import Classified, classified, is_numeric
from drivetrain.interpret.reliability import Reliability, reliability
from drivetrain.interpret.slices import Slices, slices
from drivetrain.interpret.text import chance, number, share, span
from drivetrain.interpret.thresholds import Thresholds, thresholds
from drivetrain.metrics.interval import two_sided_student
from drivetrain.report.charts import (
    Line,
    Measure,
    bin_chart,
    interval_chart,
    legend,
    line_chart,
    matrix_chart,
    point_chart,
)
from drivetrain.report.evidence import Amounts, Evidence, Shown
from drivetrain.report.html import Block, Section, charted, paragraph, table
from drivetrain.report.maps import map_blocks
from drivetrain.report.question import amounts_block, gallery
from drivetrain.report.svg import safe
from drivetrain.train.predictions import Predictions

T = TypeVar("T")

MOST_CLASSES = 24
"""Classes of a matrix that is drawn; of more, those that are confused most."""
FEW = 200
"""Items of a class below which a share of them is told in whole percent."""
WORST = 12
"""Items with the highest losses that are shown."""
MOST_SLICES = 8


class Findings:
    """What was found of one record of predictions, which advice is drawn from as well."""

    def __init__(self, predictions: Predictions) -> None:
        self.predictions = predictions
        self.classified: Classified | None = None
        self.confusion: Confusion | None = None
        self.reliability: Reliability | None = None
        self.thresholds: Thresholds | None = None
        self.slices: Slices | None = None
        self.broken = _broken(predictions)
        """Of which item the answer is no number; empty where all are."""


def findings(evidence: Evidence) -> Findings | None:
    """All that there is to be found; what the record is not made for is left out."""
    predictions = evidence.predictions
    if predictions is None or not len(predictions):
        return None
    found = Findings(predictions)
    if not is_numeric(predictions):
        found.classified = _tried(lambda: classified("report", predictions))
        if found.classified is not None:
            found.confusion = confusion(predictions)
            found.reliability = _tried(lambda: reliability(predictions))
            if len(found.classified.classes) == 2:
                found.thresholds = _tried(lambda: thresholds(predictions))
    if evidence.facts and (found.classified is not None or is_numeric(predictions)):
        found.slices = _tried(lambda: slices(predictions, evidence.facts))
    return found


def _broken(predictions: Predictions) -> str:
    """The first item with an answer that is NaN or infinite; -inf, of a class that cannot be, is none."""
    outputs = predictions.outputs
    is_wrong = outputs.isnan()
    if is_numeric(predictions):
        is_wrong = ~outputs.isfinite()
    elif outputs.ndim > 1:  # of one yes or no infinity is a probability of 1
        is_wrong = is_wrong | outputs.isposinf()
    rows = is_wrong.flatten(start_dim=1).any(dim=1) if is_wrong.ndim > 1 else is_wrong
    places = rows.nonzero()[:, 0].tolist()
    return str(predictions.ids[places[0]]) if places else ""


def _tried(make: Callable[[], T]) -> T | None:
    """None where the record is not of the kind that is asked for, such as several labels an item."""
    try:
        return make()
    except DrivetrainError:
        return None


def errors(found: Findings, evidence: Evidence) -> Section | None:
    """The section; its blocks in the order of what is seen at once."""
    blocks: list[Block] = []
    if found.broken:
        said = (
            f"What it says of {found.broken} is NaN or infinite: the model is broken, and where it errs "
            "cannot be told."
        )
        blocks.append(Block("Answers that are no numbers", paragraph(said)))
    if found.confusion is not None:
        blocks += [_matrix(found.confusion), _pairs(found.confusion)]
        blocks.append(_per_class(found.confusion))
    if found.reliability is not None:
        blocks.append(_calibration(found.reliability))
    if found.thresholds is not None:
        blocks += _thresholds(found.thresholds)
    if found.classified is None and is_numeric(found.predictions) and not found.broken:
        blocks += _numbers(found.predictions, evidence)
    blocks += _worst(found, evidence)
    if evidence.map is not None and evidence.map.said:
        blocks += map_blocks(evidence.map, f"Which {evidence.map.noun} it takes for alike")
    if found.slices is not None:
        blocks.append(_slices(found.slices))
    if not blocks:
        return None
    lead = f"All on the {len(found.predictions):,} validation {evidence.noun}."
    return Section("errors", "Where it errs", blocks, lead)


# ---- classes


def _matrix(found: Confusion) -> Block:
    names, matrix = found.classes, found.matrix
    wrong, of = found.num_wrong, found.num_items
    said = f"{wrong:,} of {of:,} are wrong ({share(wrong, of)})."
    items = matrix.sum(axis=1)
    if len(names) > MOST_CLASSES:
        off = matrix.copy()
        np.fill_diagonal(off, 0)
        kept = np.sort(np.argsort(-(off.sum(0) + off.sum(1)), kind="stable")[:MOST_CLASSES])
        matrix, names = matrix[np.ix_(kept, kept)], tuple(names[i] for i in kept.tolist())
        items = items[kept]
        said += f" Shown are the {MOST_CLASSES} of {len(found.classes):,} classes with the most mistakes."
    chart = matrix_chart(
        "Confusion matrix: rows are true, columns predicted", matrix, names, of=items
    )
    rows, columns = np.nonzero(found.matrix)
    cells = [
        [found.classes[r], found.classes[c], f"{found.matrix[r, c]:,}"]
        for r, c in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    heads = ["is", "taken for", "items"]
    inside = charted(chart, heads, cells, left=(0, 1), before=paragraph(said, "quiet"))
    return Block("Confusion matrix", inside, wide=len(names) > 6)


def _pairs(found: Confusion) -> Block:
    pairs = found.most_confused()
    if not pairs:
        return Block("Most confused", paragraph("Nothing is taken for anything else."))
    # of few items an interval is tens of percent wide, and a tenth of one says nothing
    places = 0 if max(pair.of for pair in pairs) < FEW else 1
    rows = [
        [
            p.true, p.taken_for, f"{p.num_items:,} of {p.of:,}", f"{p.share:.{places}%}",
            f"{p.low:.{places}%} to {p.high:.{places}%}",
        ]
        for p in pairs
    ]  # fmt: skip
    heads = ["is", "taken for", "items", "share", "95%"]
    return Block("Most confused", table(heads, rows, left=(0, 1), kind="tight"))


def _per_class(found: Confusion) -> Block:
    results = sorted(
        found.per_class(), key=lambda one: (one.recall is None, one.recall, -one.num_items)
    )
    known = [one for one in results if one.recall is not None][:MOST_CLASSES]
    chart = interval_chart(
        "Share of each class that was found, with 95% intervals",
        [Measure(o.name, o.recall or 0.0, o.recall_low, o.recall_high, "c0") for o in known],
        below="share that was found (recall)",
    ) if known else ""  # fmt: skip
    rows = [
        [
            o.name, f"{o.num_items:,}", number(o.recall), span(o.recall_low, o.recall_high),
            number(o.precision), number(o.f1),
        ]
        for o in results
    ]  # fmt: skip
    heads = ["class", "items", "recall", "95% interval", "precision", "F1"]
    return Block("Each class", charted(chart, heads, rows))


def _calibration(found: Reliability) -> Block:
    points = [(b.promised, b.right, b.right_low, b.right_high, b.num_items) for b in found.bins]
    chart = bin_chart(
        "Promised against right", points,
        below="probability of the answer", beside="share that was right",
    )  # fmt: skip
    said = str(found).splitlines()[0]
    rows = [
        [
            f"{b.low:.0%} to {b.high:.0%}", f"{b.num_items:,}", f"{b.promised:.1%}", f"{b.right:.1%}",
            f"{b.right_low:.1%} to {b.right_high:.1%}",
        ]
        for b in found.bins
    ]  # fmt: skip
    heads = ["probability", "items", "promised", "right", "95% interval"]
    inside = charted(chart, heads, rows, before=paragraph(said, "quiet"))
    return Block("Do its probabilities keep their word?", inside)


def _thresholds(found: Thresholds) -> list[Block]:
    points = [p for p in found.points if np.isfinite(p.at)]
    x = [p.at for p in points]
    lines = [
        Line("recall", x, [p.recall for p in points], "c0"),
        Line("precision", x, [p.precision for p in points], "c1"),
    ]
    best = found.best
    marks = [(best.at, f"least cost: {best.at:.2f}")] if np.isfinite(best.at) else []
    chart = line_chart(
        f"Recall and precision of {found.name} by threshold", lines,
        below=f"flag where the probability of {found.name[:24]} is at least this",
        y_from=0.0, y_to=1.0, marks=marks,
    )  # fmt: skip
    rows = [
        [
            "none" if np.isinf(p.at) else f"{p.at:.3f}", f"{p.flagged:,}", number(p.precision),
            number(p.recall), number(p.f1), f"{p.missed:,}", f"{p.alarms:,}", number(p.cost),
        ]
        for p in found.points
    ]  # fmt: skip
    heads = ["threshold", "flagged", "precision", "recall", "F1", "missed", "alarms", "cost"]
    half = found.at(0.5)
    said = (
        f"Where missing one costs as much as a false alarm, {number(best.at)} costs {number(best.cost)}, "
        f"and 0.5 costs {number(half.cost)}. It was chosen on these same items: a little too good."
        if np.isfinite(best.at)
        else "Where missing one costs as much as a false alarm, flagging nothing is cheapest."
    )
    inside = legend(lines) + charted(chart, heads, rows, left=())
    return [Block(f"Where to draw the line for “{found.name}”", paragraph(said, "quiet") + inside)]


# ---- numbers


def _numbers(predictions: Predictions, evidence: Evidence) -> list[Block]:
    targets = predictions.targets.double().cpu().numpy()
    outputs = predictions.outputs.double().cpu().numpy().reshape(targets.shape)
    if targets.ndim > 1:
        if targets.shape[1] != 1:
            return []
        targets, outputs = targets[:, 0], outputs[:, 0]
    name = evidence.target or "target"
    apart = outputs - targets
    edges = np.unique(np.quantile(targets, np.linspace(0, 1, 11)))
    bins = np.clip(np.searchsorted(edges, targets, side="right") - 1, 0, max(len(edges) - 2, 0))
    rows = []
    for place in range(max(len(edges) - 1, 1)):
        inside = bins == place
        if inside.any():
            end = edges[min(place + 1, len(edges) - 1)]
            below = "below " if place < len(edges) - 2 else ""  # the last one holds its end
            rows.append(
                [
                    f"{number(float(edges[place]))} to {below}{number(float(end))}",
                    f"{inside.sum():,}",
                    number(float(outputs[inside].mean())),
                    number(float(apart[inside].mean())),
                    number(float(np.abs(apart[inside]).mean())),
                ]
            )
    heads = [f"true {name}", evidence.noun, "mean predicted", "mean error", "mean |error|"]
    chart = point_chart(
        "Predicted against true", targets, outputs,
        below=f"true {name}", beside=f"predicted {name}", diagonal=True,
    )  # fmt: skip
    said = f"On the dashed line an answer is right. {_bias(apart)}"
    return [
        Block("Predicted and true", charted(chart, heads, rows, before=paragraph(said, "quiet"))),
        amounts_block(Amounts("How far off", apart, "predicted minus true", evidence.noun)),
    ]


def _bias(apart: np.ndarray) -> str:
    count = len(apart)
    half = np.inf
    if count > 1:
        half = two_sided_student(0.95, count - 1) * float(apart.std(ddof=1)) / count**0.5
    mean = float(apart.mean())
    if abs(mean) <= half:
        return "On the whole it is neither too high nor too low."
    return f"On the whole it is too {'high' if mean > 0 else 'low'}, by {number(abs(mean))}."


# ---- items


def worst_positions(found: Findings, count: int = WORST) -> list[int]:
    """Positions of the items with the highest losses; of classes only those that are wrong."""
    losses = found.predictions.losses.double().cpu().numpy()
    order = np.argsort(-np.nan_to_num(losses, nan=np.inf), kind="stable")
    if found.classified is not None:
        order = order[found.classified.wrong[order]]
    return order[:count].tolist()


def _worst(found: Findings, evidence: Evidence) -> list[Block]:
    positions = worst_positions(found)
    if not positions:
        return [Block("Worst losses", paragraph(f"None of the {evidence.noun} is wrong."))]
    items = evidence.show(positions)
    if not items:
        predictions = found.predictions
        items = [Shown(str(predictions.ids[place])) for place in positions]
    said = [_said(found, place) for place in positions]
    title = f"The {len(items)} worst" if len(items) > 1 else "The worst"
    lead = "By loss: answers that were surest of themselves, and wrong. Is the label right?"
    if found.classified is None:
        lead = "By loss: answers that are furthest off. Is what they are compared with right?"
    return [Block(title, paragraph(lead, "quiet") + gallery(items, said), wide=True)]


def _said(found: Findings, place: int) -> str:
    """What is true of an item, what was said, and how surely."""
    predictions = found.predictions
    loss = f"loss {number(float(predictions.losses[place]))}"
    if found.classified is not None:
        known = found.classified
        true, pred = int(known.targets[place]), int(known.preds[place])
        sure = float(known.probs[place, pred])
        return (
            f"<span class='no'>said {safe(known.classes[pred])}</span> {sure:.0%} · "
            f"<b>is {safe(known.classes[true])}</b> · {safe(loss)}"
        )
    if is_numeric(predictions) and predictions.targets[place].numel() == 1:
        true, pred = float(predictions.targets[place]), float(predictions.outputs[place])
        return (
            f"<span class='no'>said {safe(number(pred))}</span> · <b>is {safe(number(true))}</b> · "
            f"{safe(loss)}"
        )
    return safe(loss)


def _slices(found: Slices) -> Block:
    title = "Groups that it does worse on"
    if not found.tried:
        return Block(
            title, paragraph(f"No group of the {found.num_items:,} is large enough to tell.")
        )
    if not found.found:
        said = (
            f"None of {found.tried:,} groups does worse than the rest by more than chance (corrected for "
            "how many were looked at)."
        )
        return Block(title, paragraph(said))
    shown: Sequence = found.found[:MOST_SLICES]
    measures = [Measure(s.name, s.error, s.low, s.high, "c1") for s in shown]
    measures.append(Measure(f"all {found.num_items:,}", found.error, None, None, "own"))
    chart = interval_chart(f"{found.measure} of groups", measures, below=found.measure, above=True)
    rows = [
        [
            s.name,
            f"{s.num_items:,}",
            number(s.error),
            span(s.low, s.high),
            number(s.rest),
            chance(s.p_value),
        ]
        for s in found.found
    ]
    heads = ["group", "items", "error", "95% interval", "the rest", "p"]
    many = len(found.found)
    said = (
        f"Of {found.tried:,} groups {many:,} do worse than all others, corrected for the number "
        "looked at"
        + (f"; the {MOST_SLICES} that cost most are drawn." if many > MOST_SLICES else ".")
    )
    inside = charted(chart, heads, rows, before=paragraph(said, "quiet"))
    return Block(title, inside)
