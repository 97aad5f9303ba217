"""What was asked, and the data at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drivetrain.interpret.text import number, share
from drivetrain.report.charts import bar_chart, histogram
from drivetrain.report.evidence import Amounts, Evidence, Shown
from drivetrain.report.galleries import gallery_blocks
from drivetrain.report.html import Block, Section, charted, image, pairs, paragraph
from drivetrain.report.record import Record
from drivetrain.report.svg import safe

MOST_CLASSES = 24
"""Bars of classes; how many more there are stands below."""
BINS = 24
MOST_LETTERS = 420
"""Of a text that is shown."""
MOST_CELLS = 14
"""Columns of a row that is shown."""

SPLITS = {
    "stratified": "at random, of every class alike",
    "random": "at random",
    "time": "by time: the last ones validate",
    "group": "by group: no group is in both parts",
    "given": "as the data says",
}


def question(record: Record, evidence: Evidence) -> Section:
    """What was asked: the four questions, and how many items answer them."""
    task = record.task
    classes = task.get("classes")
    many = f"{len(classes):,} " if isinstance(classes, list) else ""
    goal = {
        "class": f"one of {many}classes",
        "number": "a number",
        "labels": f"any of {many}labels",
    }
    target, split = str(task.get("target", "")), str(task.get("split_by", ""))
    split_by = SPLITS.get(split, split)
    several = task.get("targets")
    comes_out = f"{evidence.target}: {goal.get(target, target)}".lstrip(": ")
    if isinstance(several, dict):
        comes_out = "; ".join(f"{name}: one of {len(of):,} classes" for name, of in several.items())
        if split == "stratified":
            split_by = f"at random, of every class of {next(iter(several), '')} alike"
    four = [
        ("What goes in", f"a {task.get('inputs', 'item')}"),
        ("What comes out", comes_out),
        ("How the items are found", task.get("found_by", "")),
        ("How they are labelled", task.get("labelled_by", "")),
        ("How they are split", split_by),
        ("Source", task.get("source", "")),
    ]
    items = record.value.get("items")
    counts = (
        {k: v for k, v in items.items() if isinstance(v, int)} if isinstance(items, dict) else {}
    )
    words = {
        "train": "to train",
        "valid": "to validate: the results are measured on them",
        "test": "sealed for a test: nothing here has seen them",
        "quarantined": "set aside, since they could not be used",
    }
    parts = [(name, f"{counts[name]:,} {words[name]}") for name in words if counts.get(name)]
    blocks = [
        Block("The four questions", pairs((n, v) for n, v in four if v)),
        Block(f"The {evidence.noun}", pairs(parts) + _notes(record)),
    ]
    return Section("asked", "What was asked", blocks)


def _notes(record: Record) -> str:
    notes = record.value.get("notes")
    told = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    items = "".join(f"<li>{safe(note)}</li>" for note in told[:12])
    return f"<ul class='plain'>{items}</ul>" if items else ""


def glance(evidence: Evidence) -> Section | None:
    """The data: how often each class or number comes, and a few items."""
    blocks = []
    if evidence.classes and evidence.counts:
        blocks.append(class_bars(evidence))
    if evidence.numbers is not None and len(evidence.numbers):
        name = evidence.target or "the target"
        amounts = Amounts(f"Distribution of {name}", evidence.numbers, name, evidence.noun)
        blocks.append(amounts_block(amounts))
    blocks += [amounts_block(one) for one in evidence.amounts if len(one.values)]
    if evidence.samples:
        inside = gallery(evidence.samples)
        blocks.append(Block(f"Some {evidence.noun} of training", inside, wide=True))
    blocks += gallery_blocks(evidence, "data")
    if not blocks:
        return None
    return Section("data", "The data at a glance", blocks)


def class_bars(evidence: Evidence, target: str = "") -> Block:
    """How many items each class has; of several targets the name of this one stands above it."""
    train = np.array(evidence.counts.get("train", [0] * len(evidence.classes)))
    order = np.argsort(-train, kind="stable")
    shown = order[:MOST_CLASSES].tolist()
    chart = bar_chart(
        f"{evidence.noun} of each class, to train",
        [evidence.classes[i] for i in shown],
        [float(train[i]) for i in shown],
        shown=[f"{train[i]:,} · {share(float(train[i]), float(train.sum()))}" for i in shown],
    )
    parts = list(evidence.counts)
    rows = [
        [evidence.classes[i], *(f"{evidence.counts[part][i]:,}" for part in parts)]
        for i in order.tolist()
    ]
    more = len(order) - len(shown)
    below = paragraph(f"and {more:,} more classes", "quiet") if more > 0 else ""
    title = f"{target or 'Classes'}: {len(evidence.classes):,}" + (" classes" if target else "")
    inside = charted(chart, ["class", *parts], rows, before=paragraph("Of training:", "quiet"))
    return Block(title, inside + below)


def amounts_block(amounts: Amounts) -> Block:
    """A histogram with its numbers; of few whole numbers a bar each."""
    values = np.asarray(amounts.values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return Block(amounts.title, paragraph("None of them is a finite number."))
    edges, counts = binned(values)
    # the outer ones hold what lies beyond the axis as well, and say so
    told = [min(edges[0], float(values.min())), *edges[1:-1], max(edges[-1], float(values.max()))]
    chart = histogram(
        f"Histogram of {amounts.below}", edges, counts,
        below=amounts.below, beside=amounts.of, told=told,
    )  # fmt: skip
    rows = [
        [number(low), number(high), f"{count:,}"]
        for low, high, count in zip(told[:-1], told[1:], counts, strict=True)
    ]
    said = (
        f"mean {number(float(values.mean()))}, median {number(float(np.median(values)))}, "
        f"{number(float(values.min()))} to {number(float(values.max()))}"
    )
    inside = charted(
        chart, ["from", "to", amounts.of], rows, left=(), before=paragraph(said, "quiet")
    )
    return Block(amounts.title, inside)


def binned(values: np.ndarray) -> tuple[list[float], list[int]]:
    """Edges and counts: of few different values one bin each, else `BINS` from the 0.5th percentile to
    the 99.5th, and what lies beyond in the outer ones."""
    different = np.unique(values)
    least = 1e-9 * max(float(np.abs(values).max()), 1.0)  # closer ones are drawn as one
    if 1 < len(different) <= BINS:
        step, width = float(np.diff(different).min()), float(different[-1] - different[0])
        if least < step and width <= 2 * BINS * step:
            edges = different[0] - step / 2 + step * np.arange(round(width / step) + 2)
            edges[-1] = max(edges[-1], different[-1])
            return edges.tolist(), np.histogram(values, edges)[0].tolist()
    low, high = np.quantile(values, [0.005, 0.995]).tolist()
    if high - low <= least:
        low, high = float(values.min()), float(values.max())
    if high - low <= least:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    counts = np.histogram(np.clip(values, low, high), edges)[0]
    return edges.tolist(), counts.tolist()


# ---- items


def gallery(items: Sequence[Shown], said: Sequence[str] = ()) -> str:
    """Items side by side where they are pictures, under each other where they are texts or rows.

    Args:
        said: a line of HTML below each.
    """
    below = list(said) or [f"<b>{safe(item.label)}</b>" if item.label else "" for item in items]
    are_pictures = any(item.looks for item in items)
    cards = [
        _picture(item, line) if are_pictures else _words(item, line)
        for item, line in zip(items, below, strict=True)
    ]
    many = "pictures" if are_pictures else "texts"
    if any(len(item.looks) > 1 for item in items):
        many += " rows"
    return f"<ul class='{many}'>{''.join(cards)}</ul>"


def _picture(item: Shown, line: str) -> str:
    looks = "".join(
        f"<span>{image(look.data, look.caption or item.id, pixels=look.pixels)}"
        + (f"<small>{safe(look.caption)}</small>" if look.caption else "")
        + "</span>"
        for look in item.looks
    )
    name = safe(item.id.replace("\\", "/").rsplit("/", 1)[-1])
    return (
        f"<li><div class='looks'>{looks}</div><p>{line}</p>"
        f"<p class='id' title='{safe(item.id)}'>{name}</p></li>"
    )


def _words(item: Shown, line: str) -> str:
    text = item.text
    if len(text) > MOST_LETTERS:
        half = MOST_LETTERS // 2
        text = f"{text[:half].rstrip()} … {text[-half:].lstrip()}"
    body = f"<blockquote>{safe(text)}</blockquote>" if text else ""
    cells = "".join(
        f"<span><i>{safe(name)}</i> {safe(value)}</span>" for name, value in item.cells[:MOST_CELLS]
    )
    more = len(item.cells) - MOST_CELLS
    cells += f"<span class='quiet'>and {more} more</span>" if more > 0 else ""
    row = f"<div class='cells'>{cells}</div>" if cells else ""
    return f"<li><p>{line} <span class='id'>{safe(item.id)}</span></p>{body}{row}</li>"


def folder_name(path: Path) -> str:
    """The run's name: that of its folder."""
    return path.resolve().name or str(path)
