"""Every default with its reason, and how to make the run again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from drivetrain.report.html import Block, Marked, Section, code, coded, pairs, paragraph, table
from drivetrain.report.next_steps import Step
from drivetrain.report.record import Record, command_of, shown_value
from drivetrain.report.svg import safe


def reasons(record: Record) -> Section | None:
    """What was chosen, why, and how to choose otherwise."""
    made = record.choices
    if not made:
        return None
    rows = [
        [
            choice.what,
            Marked(f"<b>{safe(shown_value(choice.value))}</b>"),
            Marked(coded(choice.reason)),
            Marked(f"<code>{safe(choice.change)}</code>"),
        ]
        for choice in made
    ]
    inside = table(["what", "chosen", "why", "to change it"], rows, left=(0, 1, 2, 3), kind="stack")
    lead = "Each setting of this run, with the reason for it. What you asked for says so."
    title = "Why it is so"
    return Section("why", title, [Block(f"{len(made)} choices", inside, wide=True)], lead)


def again(record: Record) -> Section:
    """How to reproduce it."""
    value, run = record.value, shlex.quote(str(record.folder))
    command, unsaid = command_of(record)
    said = "The same version chooses what was left to it in the same way, and gets the same bits."
    if unsaid:
        said += f" Not in this line, though asked for: {', '.join(unsaid)}; see “Why it is so”."
    result = record.result
    weights = result.weights_sha256 if result is not None else ""
    versions = value.get("versions")
    known = versions.items() if isinstance(versions, dict) else ()
    facts = [
        ("seed", value.get("seed", "")),
        *((str(name), version) for name, version in known),
        ("device", value.get("device", "")),
        ("data", value.get("fingerprint", "")),
        ("weights_sha256", weights),
    ]
    script = code(f"drivetrain eject {run} -o train.py\npython train.py --data SOURCE --out again/")
    blocks = [
        Block("Train it again", code(command) + paragraph(said, "quiet")),
        Block(
            "Without Drivetrain",
            script
            + paragraph(
                "One script of plain PyTorch; it ends with the same weights, or of trees the same "
                "predictions.",
                "quiet",
            ),
        ),
        Block("What it depends on", pairs((n, v) for n, v in facts if v not in ("", None))),
    ]
    return Section("again", "How to reproduce it", blocks)


def following(told: Sequence[Step]) -> Section | None:
    """What to do next."""
    if not told:
        return None
    items = "".join(
        f"<li><b>{coded(one.what)}</b> {coded(one.why)}{code(one.command) if one.command else ''}</li>"
        for one in told
    )
    block = Block("In this order", f"<ol class='next'>{items}</ol>", wide=True)
    return Section("next", "What to do next", [block])
