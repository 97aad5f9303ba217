"""A report: sections made of a run's record and of what the application gives, as a page or as slides."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.interpret.text import listed, number, share
from drivetrain.report.errors import errors, findings
from drivetrain.report.evidence import Evidence
from drivetrain.report.html import Section
from drivetrain.report.next_steps import Step, next_steps
from drivetrain.report.outcome import all_baselines, layers, outcome, verdict
from drivetrain.report.page import Fact, Head, page, slides
from drivetrain.report.question import folder_name, glance, question
from drivetrain.report.reasons import again, following, reasons
from drivetrain.report.record import Record, called
from drivetrain.report.targets import (
    Part,
    errors_of_all,
    facts_of,
    glance_of_all,
    outcome_of_all,
    parts_of,
    steps_of_all,
    verdict_of_all,
)
from drivetrain.report.training import training

MOST_BYTES = 5_000_000
"""A page that is larger is refused by many a mail; what an application gives keeps far below."""


@dataclass(frozen=True)
class Report:
    """All sections of a report."""

    head: Head
    sections: Sequence[Section]
    advice: Sequence[Step]
    notes: Sequence[str] = ()
    """What is missing, and why."""

    def to_html(self) -> str:
        """The page, one file."""
        return page(self.head, self.sections, self.notes)

    def to_slides(self) -> str:
        """The same as slides, one file."""
        return slides(self.head, self.sections, self.notes)

    def to_json(self) -> dict[str, Any]:
        """What was found, without the pictures."""
        return {
            "title": self.head.title,
            "verdict": self.head.verdict,
            "facts": {fact.name: fact.value for fact in self.head.facts},
            "sections": {s.key: [block.title for block in s.blocks] for s in self.sections},
            "advice": [
                {"what": one.what, "why": one.why, "command": one.command} for one in self.advice
            ],
            "notes": list(self.notes),
        }

    def write(self, path: store.StrPath, *, as_slides: bool = False) -> Path:
        """Write the file; one that is there is replaced.

        Raises: StorageError: the disk refused.
        """
        store.write_text(path, self.to_slides() if as_slides else self.to_html())
        return Path(path)


def build(record: Record, evidence: Evidence, *, commands: Collection[str] | None = None) -> Report:
    """The report of a run.

    Args:
        record: of the run; see `record.open_record`.
        evidence: what its application knows; a bare `Evidence()` gives what the record alone says.
        commands: verbs that may be recommended; by default all.
    """
    parts = parts_of(record, evidence)
    if parts:
        return _of_several(record, evidence, parts, commands)
    found = findings(evidence)
    told = next_steps(record, evidence, found, commands=commands)
    made = [
        question(record, evidence),
        glance(evidence),
        training(record),
        outcome(record, evidence),
        None if found is None else errors(found, evidence),
        following(told),
        layers(evidence, record),
        reasons(record),
        again(record),
    ]
    sections = [section for section in made if section is not None and section.blocks]
    return Report(_head(record, evidence), sections, told, tuple(evidence.notes))


def _of_several(
    record: Record,
    evidence: Evidence,
    parts: Sequence[Part],
    commands: Collection[str] | None,
) -> Report:
    """The report of a run of several targets."""
    told = steps_of_all(record, parts, evidence, commands=commands)
    made = [
        question(record, evidence),
        glance_of_all(parts, evidence),
        training(record),
        outcome_of_all(record, parts, evidence),
        *errors_of_all(parts),
        following(told),
        layers(evidence, record),
        reasons(record),
        again(record),
    ]
    sections = [section for section in made if section is not None and section.blocks]
    said = verdict_of_all(parts) or "This run is not finished."
    facts = [*facts_of(parts), *_plain_facts(record, evidence)]
    over = f"Report of a training: {listed([part.name for part in parts])}"
    head = Head(folder_name(record.folder), over, said, facts)
    return Report(head, sections, told, tuple(evidence.notes))


def _head(record: Record, evidence: Evidence) -> Head:
    result = record.result
    facts = []
    said = "This run is not finished."
    if result is not None:
        said = verdict(result, evidence)
        own = result.own
        name = called(result.metric)
        value = share(own.value, 1) if result.metric == "accuracy" else number(own.value)
        facts.append(Fact(name, value, _interval(own.low, own.high, result.metric)))
        others = all_baselines(result, evidence)
        if others:
            sign = 1 if result.higher_is_better else -1
            best = max(others, key=lambda score: sign * score.value)
            rival = share(best.value, 1) if result.metric == "accuracy" else number(best.value)
            facts.append(Fact("the best simple rule", rival, called(best.name)))
    facts += _plain_facts(record, evidence)
    target = f": {evidence.target}" if evidence.target else ""
    return Head(folder_name(record.folder), f"Report of a training{target}", said, facts)


def _plain_facts(record: Record, evidence: Evidence) -> list[Fact]:
    """How many items there were, and what was trained."""
    facts = []
    items = record.value.get("items")
    if isinstance(items, dict) and isinstance(items.get("train"), int):
        valid = items.get("valid", 0)
        facts.append(
            Fact(f"{evidence.noun} to train", f"{items['train']:,}", f"{valid:,} validate")
        )
    facts.append(Fact("model", record.model or "-", _spent(record)))
    return facts


def _interval(low: float | None, high: float | None, metric: str) -> str:
    if low is None or high is None:
        return "no interval"
    if metric == "accuracy":
        return f"95% interval {share(low, 1)} to {share(high, 1)}"
    return f"95% interval {number(low)} to {number(high)}"


def _spent(record: Record) -> str:
    result = record.result
    if result is None:
        return f"{len(record.epochs)} epochs so far"
    parts = []
    if result.epochs:
        parts.append("1 epoch" if result.epochs == 1 else f"{result.epochs} epochs")
    if result.seconds is not None:
        minutes, seconds = divmod(round(result.seconds), 60)
        parts.append(f"{minutes} min {seconds} s" if minutes else f"{result.seconds:.1f} s")
    return " in ".join(parts)
