"""What to do next: short, by rules on what was found, each with its evidence.

What to change in the training is the ladder's to say (`train.advice`); beside it stand what the
predictions and the data say: labels to look at, classes to tell apart, items to get.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from drivetrain import store
from drivetrain.interpret.text import number, share
from drivetrain.report.errors import Findings
from drivetrain.report.evidence import Evidence
from drivetrain.report.outcome import all_baselines
from drivetrain.report.record import Record, called
from drivetrain.train.advice import WORDS, advice_of
from drivetrain.train.tried import read_tried

MOST = 6
SURE = 0.9
"""An answer of this probability that is wrong hints at a wrong label."""
FEW_VALID = 200
"""Validation items below which an interval is wide whatever the model is."""


@dataclass(frozen=True)
class Step:
    """One thing to do."""

    what: str
    why: str
    """The evidence, in numbers."""
    command: str = ""
    """A line to type, where there is one."""


def next_steps(
    record: Record,
    evidence: Evidence,
    found: Findings | None,
    *,
    commands: Collection[str] | None = None,
) -> list[Step]:
    """At most `MOST` things to do, the most important first.

    Args:
        commands: verbs that there are; lines of others are left out. None: all.
    """
    own = of_findings(record, evidence, found)
    told = [*unfinished(record), *own["baseline"], *ladder(record)]
    told += [*own["labels"], *own["classes"], *own["slices"], *own["calibration"]]
    told += [*set_aside(record, evidence), *own["few"], *more_valid(record, evidence)]
    return known([*told, *last(record)], commands)[:MOST]


def of_findings(
    record: Record, evidence: Evidence, found: Findings | None
) -> dict[str, list[Step]]:
    """What the result and the predictions of a target say to do, by kind."""
    run = shlex.quote(str(record.folder))
    return {
        "baseline": _baseline(record, evidence),
        "labels": [] if found is None else _labels(found, evidence, run),
        "classes": [] if found is None else _classes(found),
        "slices": [] if found is None else _slices(found, evidence),
        "calibration": [] if found is None else _calibration(found, run),
        "few": _few(evidence),
    }


def known(told: Sequence[Step], commands: Collection[str] | None) -> list[Step]:
    """Those whose commands there are; all where none are named."""
    return [one for one in told if commands is None or _known(one.command, commands)]


def _known(command: str, commands: Collection[str]) -> bool:
    words = command.split()
    return len(words) < 2 or words[0] != "drivetrain" or words[1] in commands


def unfinished(record: Record) -> list[Step]:
    """Of a run without a result."""
    run = shlex.quote(str(record.folder))
    if record.result is not None:
        return []
    why = "The run has no result yet."
    return [Step("Finish the training.", why, f"drivetrain resume {run}")]


def _baseline(record: Record, evidence: Evidence) -> list[Step]:
    result = record.result
    others = [] if result is None else all_baselines(result, evidence)
    if result is None or not others:
        return []
    sign = 1 if result.higher_is_better else -1
    best = max(others, key=lambda score: sign * score.value)
    beats = result.beats(best)
    if beats or (beats is None and result.may_beat(best)):
        return []
    values = f"{called(result.metric)} {number(result.own.value)} against {number(best.value)}"
    if beats is None:
        return [
            Step(
                f"Do not rely on it before it beats “{called(best.name)}”.",
                f"{values}: too close to tell, so the simple rule may be as good.",
            )
        ]
    return [
        Step(
            f"Take “{called(best.name)}” for now, and look for what keeps the model from learning.",
            f"{values}: a rule that simple should not win.",
        )
    ]


def ladder(record: Record) -> list[Step]:
    """The next experiment of the ladder, where the run has losses to read it from."""
    run = shlex.quote(str(record.folder))
    if record.result is None:
        return []
    found = advice_of(record.value, record.epochs, read_tried(record.folder))
    if found is None:
        return []
    what = f"{WORDS[found.rung].capitalize()}: {found.experiment}"
    command = f"drivetrain advise {run}" + (" --run" if found.changes else "")
    return [Step(what, " ".join(found.evidence), command)]


def _labels(found: Findings, evidence: Evidence, run: str) -> list[Step]:
    known = found.classified
    if known is None or not known.wrong.any():
        return []
    sure = known.probs.max(axis=1)
    count = int((known.wrong & (sure >= SURE)).sum())
    if not count:
        return []
    wrong = int(known.wrong.sum())
    return [
        Step(
            f"Look at the {evidence.noun} that it is sure of and wrong on: their labels may be wrong.",
            f"Of {wrong:,} mistakes {count:,} were made with a probability of {SURE:.0%} or more.",
            f"drivetrain clean {run}",
        )
    ]


def _classes(found: Findings) -> list[Step]:
    if found.confusion is None or len(found.confusion.classes) < 3:
        return []
    pairs = found.confusion.most_confused(1)
    wrong = found.confusion.num_wrong
    if not pairs or wrong < 10 or pairs[0].num_items < 0.2 * wrong:
        return []
    pair = pairs[0]
    return [
        Step(
            f"Tell “{pair.true}” and “{pair.taken_for}” apart: more of both, or one class for both.",
            f"{pair.num_items:,} of all {wrong:,} mistakes are this one pair ({pair.share:.0%} of "
            f"“{pair.true}”).",
        )
    ]


def _slices(found: Findings, evidence: Evidence) -> list[Step]:
    if found.slices is None or not found.slices.found:
        return []
    worst = found.slices.found[0]
    return [
        Step(
            f"Look at the {evidence.noun} with {worst.name}: get more, or find out what is different.",
            f"{found.slices.measure} {number(worst.error)} on {worst.num_items:,} of them, "
            f"{number(worst.rest)} on the rest.",
        )
    ]


def _calibration(found: Findings, run: str) -> list[Step]:
    known = found.reliability
    if known is None or known.num_items < 50:
        return []
    apart = known.promised - known.right
    bins = [b for b in known.bins if not b.keeps and b.num_items >= 10]
    if known.error < 0.05 or not bins or abs(apart) < 0.03:
        return []
    word = "surer than it is right" if apart > 0 else "less sure than it is right"
    return [
        Step(
            "Do not take its probabilities at their word; a bundle has them corrected.",
            f"It is {word}: {known.promised:.1%} promised, {known.right:.1%} right.",
            f"drivetrain export {run} -o BUNDLE",
        )
    ]


def _counts(record: Record) -> dict[str, int]:
    items = record.value.get("items")
    return {k: v for k, v in items.items() if isinstance(v, int)} if isinstance(items, dict) else {}


def set_aside(record: Record, evidence: Evidence) -> list[Step]:
    """Items that could not be used, where they are many."""
    told = []
    counts = _counts(record)
    used = sum(counts.get(part, 0) for part in ("train", "valid", "test"))
    aside = counts.get("quarantined", 0)
    if aside and aside > 0.01 * max(used, 1):
        told.append(
            Step(
                f"Look why {aside:,} {evidence.noun} were set aside.",
                f"They are {share(aside, used + aside)} of all; quarantine.jsonl in the run names each "
                "with its reason.",
            )
        )
    return told


def _few(evidence: Evidence) -> list[Step]:
    told = []
    train = np.array(evidence.counts.get("train", []))
    if len(train) > 1 and train.min() < 0.1 * train.max():
        few = evidence.classes[int(train.argmin())]
        told.append(
            Step(
                f"Get more {evidence.noun} of “{few}”.",
                f"It has {int(train.min()):,} to train on, the commonest class {int(train.max()):,}.",
            )
        )
    return told


def more_valid(record: Record, evidence: Evidence) -> list[Step]:
    """More validation items, where so few leave the result open."""
    told = []
    valid = _counts(record).get("valid", 0)
    result = record.result
    if 0 < valid < FEW_VALID and result is not None and result.own.low is not None:
        told.append(
            Step(
                f"Validate on more {evidence.noun} before you compare models.",
                f"{valid:,} leave the {called(result.metric)} open between {number(result.own.low)} and "
                f"{number(result.own.high)}.",
            )
        )
    return told


def last(record: Record) -> list[Step]:
    """What the sealed test set wants."""
    run = shlex.quote(str(record.folder))
    items = record.value.get("items")
    sealed = items.get("test", 0) if isinstance(items, dict) else 0
    if record.result is None:
        return []
    looks = len(store.read_lines(record.folder / "looks.jsonl"))
    if looks:
        times = "once" if looks == 1 else f"{looks:,} times"
        return [
            Step(
                "Choose nothing by the sealed test set any more.",
                f"It was opened {times}: what is changed to please it is no longer judged by it.",
            )
        ]
    if isinstance(sealed, int) and sealed:
        return [
            Step(
                "When you have decided, and only then, open the sealed test set.",
                f"{sealed:,} items were kept from everything on this page. Each look at them is counted.",
                f"drivetrain test {run}",
            )
        ]
    return [
        Step(
            "Seal a test set next time.",
            "What is chosen by looking at the validation items looks better on them than it is.",
        )
    ]
