"""A run of several targets: what is said of each of them, and of all together.

Each target is reported as a run of it alone would be: from a record in which its result stands where a
lone one's does, and from its own evidence. What belongs to all (training, layers, choices) comes once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drivetrain.interpret.text import listed, number, share
from drivetrain.metrics.interval import wilson_interval
from drivetrain.report import next_steps as steps
from drivetrain.report.errors import Findings, errors, findings
from drivetrain.report.evidence import Evidence
from drivetrain.report.galleries import gallery_blocks
from drivetrain.report.html import Block, Section, paragraph, table
from drivetrain.report.next_steps import Step
from drivetrain.report.outcome import against, all_baselines, verdict
from drivetrain.report.page import Fact
from drivetrain.report.question import class_bars, gallery
from drivetrain.report.record import Record, better, called
from drivetrain.train.predictions import Predictions

MOST_STEPS = 8
"""Things to do that are told of all targets."""
MOST_CLASSES = 12
"""Classes of a target in a table of two of them."""
MOST_PAIRS = 3
"""Tables of two targets."""


@dataclass(frozen=True)
class Part:
    """One of several targets."""

    name: str
    record: Record
    """Of the run, with this target's result in the place of a lone one's."""
    evidence: Evidence
    found: Findings | None


def names_of(record: Record) -> list[str]:
    """The targets of a run; empty of one."""
    targets = record.task.get("targets")
    return list(map(str, targets)) if isinstance(targets, dict) and len(targets) > 1 else []


def parts_of(record: Record, evidence: Evidence) -> list[Part]:
    """Each target of a run with what is known of it; empty of a run of one."""
    found = []
    for name in names_of(record):
        own = evidence.targets.get(name, Evidence(noun=evidence.noun, target=name))
        found.append(Part(name, _alone(record, name), own, findings(own)))
    return found


def _alone(record: Record, name: str) -> Record:
    """The record as if the target stood alone: results of the whole run hold its result only."""
    results = record.value.get("results")
    told = results.get("targets") if isinstance(results, dict) else None
    own = told.get(name) if isinstance(told, dict) else None
    if not isinstance(results, dict) or not isinstance(own, dict):
        return replace(record, value={k: v for k, v in record.value.items() if k != "results"})
    metrics = results.get("metrics")
    valid = metrics.get("valid") if isinstance(metrics, dict) else {}
    begins = f"{name} "
    mine = {
        key.removeprefix(begins): value
        for key, value in (valid.items() if isinstance(valid, dict) else ())
        if key.startswith(begins)
    }
    alone = {
        "metrics": {"valid": mine | {"accuracy": own.get("accuracy")}},
        "interval": own.get("interval"),
        "baselines": own.get("baselines"),
    }
    return replace(record, value={**record.value, "results": {**results, **alone}})


# ---- the head


def verdict_of_all(parts: Sequence[Part]) -> str:
    """What each target's result is worth, a sentence each; empty where training is not finished."""
    told = []
    for part in parts:
        result = part.record.result
        if result is not None:
            said = verdict(result, part.evidence)
            told.append(f"{part.name}: {said[0].lower()}{said[1:]}")
    return " ".join(told)


def facts_of(parts: Sequence[Part]) -> list[Fact]:
    """A number of each target, with its interval and the best simple rule beside it."""
    found = []
    for part in parts:
        result = part.record.result
        if result is None:
            continue
        own, others = result.own, all_baselines(result, part.evidence)
        beside = "no interval"
        if own.low is not None and own.high is not None:
            beside = f"95% interval {share(own.low, 1)} to {share(own.high, 1)}"
        if others:
            best = max(others, key=lambda score: score.value)
            beside += f"; {called(best.name)} {share(best.value, 1)}"
        found.append(Fact(f"{part.name} accuracy", share(own.value, 1), beside))
    return found


# ---- sections


def glance_of_all(parts: Sequence[Part], evidence: Evidence) -> Section | None:
    """How often each class of each target comes, which come together, and a few items."""
    blocks = [
        class_bars(part.evidence, part.name)
        for part in parts
        if part.evidence.classes and part.evidence.counts
    ]
    blocks += _pairs(parts, evidence)
    if evidence.samples:
        inside = gallery(evidence.samples)
        blocks.append(Block(f"Some {evidence.noun} of training", inside, wide=True))
    blocks += gallery_blocks(evidence, "data")
    return Section("data", "The data at a glance", blocks) if blocks else None


def _pairs(parts: Sequence[Part], evidence: Evidence) -> list[Block]:
    """For two targets at a time, training items that have a class of both."""
    codes = evidence.together
    if codes is None or codes.ndim != 2 or codes.shape[1] != len(parts):
        return []
    places = [(a, b) for a in range(len(parts)) for b in range(a + 1, len(parts))]
    return [_together(parts[a], parts[b], codes[:, a], codes[:, b]) for a, b in places[:MOST_PAIRS]]


def _together(first: Part, second: Part, rows: np.ndarray, columns: np.ndarray) -> Block:
    names, others = first.evidence.classes, second.evidence.classes
    counts = np.zeros((len(names), len(others)), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    # the commonest ones, in their order
    down = np.sort(np.argsort(-counts.sum(1), kind="stable")[:MOST_CLASSES])
    across = np.sort(np.argsort(-counts.sum(0), kind="stable")[:MOST_CLASSES])
    shown = [
        [names[row], *(f"{counts[row, column]:,}" for column in across.tolist())]
        for row in down.tolist()
    ]
    told = []
    if ((counts > 0).sum(1) <= 1).all():
        told.append(
            f"Each class of {first.name} comes with one class of {second.name} only: whoever knows the "
            "first knows the second."
        )
    elif ((counts > 0).sum(0) <= 1).all():
        told.append(
            f"Each class of {second.name} comes with one class of {first.name} only: whoever knows the "
            "second knows the first."
        )
    elif (counts == 0).any():
        none = int((counts == 0).sum())
        told.append(
            f"{none:,} of {counts.size:,} mixtures have no training item: what the model says of them "
            "was never put right."
        )
    more = counts.size - len(down) * len(across)
    if more:
        told.append(f"Shown are the {len(down)} x {len(across)} commonest.")
    inside = table([first.name, *(others[column] for column in across.tolist())], shown)
    title = f"{first.name} and {second.name} together"
    return Block(title, "".join(paragraph(one, "quiet") for one in told) + inside)


def outcome_of_all(record: Record, parts: Sequence[Part], evidence: Evidence) -> Section | None:
    """Each target beside simple rules, how often all are right, and all measures."""
    result = record.result
    if result is None:
        return None
    blocks = []
    for part in parts:
        own = part.record.result
        if own is not None:
            blocks.append(against(own, part.evidence, f"{part.name} beside simple rules"))
    if evidence.predictions is not None and evidence.predictions.parts:
        blocks.append(_at_once(evidence.predictions))
    rows = [
        [called_of(name), number(value), better(name.rsplit(" ", 1)[-1])]
        for name, value in result.metrics.items()
    ]
    count = result.items.get("valid")
    of = paragraph(f"On {count:,} validation items.", "quiet") if count else ""
    blocks.append(Block("All measures", of + table(["", "value", "better"], rows)))
    return Section("result", "The result", blocks, verdict_of_all(parts))


def called_of(name: str) -> str:
    """A metric of one of several targets in words: `variety error rate`."""
    target, _, metric = name.rpartition(" ")
    return f"{target} {called(metric)}" if target else f"{called(metric)} of all"


def _at_once(found: Predictions) -> Block:
    """How many targets are wrong, item by item: whether mistakes come together."""
    wrong = np.stack(
        [(part.preds != part.targets).cpu().numpy() for part in found.parts.values()], axis=1
    )
    count, targets = wrong.shape
    counts = np.bincount(wrong.sum(axis=1), minlength=targets + 1)
    alone = np.array([1.0])  # what chance would give, were they wrong without each other
    for rate in wrong.mean(axis=0).tolist():
        alone = np.convolve(alone, [1 - rate, rate])
    low, high = wilson_interval(int(counts[0]), count)
    said = (
        f"{counts[0]:,} of {count:,} are right in {listed(list(found.parts))} at once: "
        f"{share(int(counts[0]), count)} (95% interval {share(low, 1)} to {share(high, 1)})."
    )
    rows = [
        [
            "all right" if not many else "all wrong" if many == targets else f"{many} wrong",
            f"{counts[many]:,}",
            share(int(counts[many]), count),
            share(float(alone[many]), 1),
        ]
        for many in range(targets + 1)
    ]
    heads = ["", "items", "share", "if independent"]
    below = paragraph(
        "The last column is what chance would give if a mistake in one said nothing of the others.",
        "quiet",
    )
    return Block("All targets at once", paragraph(said, "quiet") + table(heads, rows) + below)


def errors_of_all(parts: Sequence[Part]) -> list[Section]:
    """Where it errs, a section for each target."""
    sections = []
    for place, part in enumerate(parts, 1):
        made = None if part.found is None else errors(part.found, part.evidence)
        if made is not None:
            sections.append(
                replace(made, key=f"errors-{place}", title=f"Where it errs: {part.name}")
            )
    return sections


# ---- what to do


def steps_of_all(
    record: Record,
    parts: Sequence[Part],
    evidence: Evidence,
    *,
    commands: Collection[str] | None = None,
) -> list[Step]:
    """At most `MOST_STEPS` things to do; those of one target name it."""
    of_each: list[tuple[Part, Mapping[str, list[Step]]]] = [
        (part, steps.of_findings(part.record, part.evidence, part.found)) for part in parts
    ]

    def each(kind: str) -> list[Step]:
        return [_named(part, one) for part, told in of_each for one in told[kind]]

    told = [*steps.unfinished(record), *each("baseline"), *steps.ladder(record)]
    told += [*each("labels"), *each("classes"), *each("slices"), *each("calibration")]
    told += [*steps.set_aside(record, evidence), *each("few")]
    told += [*_valid(parts), *steps.last(record)]
    return steps.known(told, commands)[:MOST_STEPS]


def _named(part: Part, step: Step) -> Step:
    command = step.command
    if command.startswith("drivetrain clean "):
        command = ""
    return replace(
        step, what=f"{part.name}: {step.what[0].lower()}{step.what[1:]}", command=command
    )


def _valid(parts: Sequence[Part]) -> list[Step]:
    """More validation items: asked for once, with the target that is left most open."""
    told: list[tuple[float, Step]] = []
    for part in parts:
        result = part.record.result
        for one in steps.more_valid(part.record, part.evidence):
            assert result is not None, "it was looked at"
            width: Any = (result.own.high or 0.0) - (result.own.low or 0.0)
            told.append((width, replace(one, why=f"{part.name}: {one.why}")))
    return [max(told, key=lambda pair: pair[0])[1]] if told else []
